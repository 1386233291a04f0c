//! Faults of calls that write: before the work is done, or in place of the answer.

use tonic::{Request, Status};

use super::WriteService;
use crate::connection::ConnectionHandle;
use crate::faults::{FaultAction, WriteMethod};
use crate::grpc_service::carry_out;
use crate::request_log::LoggedCall;

/// What becomes of the answer once the work is done.
#[derive(Debug)]
pub(super) enum Answering {
    /// It is told.
    Told,
    /// It never arrives: its connection is closed.
    Lost(Option<ConnectionHandle>),
}

impl Answering {
    /// The answer, unless it is lost.
    pub fn tell<T>(self, answer: T) -> Result<T, Status> {
        match self {
            Self::Told => Ok(answer),
            Self::Lost(connection) => {
                if let Some(connection) = connection {
                    connection.cut_after(0);
                }
                Err(Status::unavailable("the answer was lost on request"))
            }
        }
    }
}

impl WriteService {
    /// Plays the fault of a call that has one answer, as far as it comes before the work.
    pub(super) async fn play<T>(
        &self,
        method: WriteMethod,
        subject: &str,
        request: &Request<T>,
    ) -> Result<Answering, Status> {
        match self.faults.on_write(method, subject) {
            None => Ok(Answering::Told),
            Some(fault) => {
                let connection = request.extensions().get::<ConnectionHandle>();
                self.strike(method, subject, 0, &fault.action, connection)
                    .await
            }
        }
    }

    /// Carries out a fault whose moment has come.
    pub(super) async fn strike(
        &self,
        method: WriteMethod,
        subject: &str,
        after_responses: u64,
        action: &FaultAction,
        connection: Option<&ConnectionHandle>,
    ) -> Result<Answering, Status> {
        self.log.record(LoggedCall::Fault {
            method: method.name().to_owned(),
            subject: subject.to_owned(),
            after_responses,
            fault: action.to_string(),
        });
        carry_out(action, connection).await?;
        Ok(match action {
            FaultAction::LoseAnswer => Answering::Lost(connection.cloned()),
            _ => Answering::Told,
        })
    }
}
