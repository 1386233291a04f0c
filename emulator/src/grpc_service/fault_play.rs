//! Carrying out a fault: what a script orders, done to a call or to its next response.

use std::sync::Arc;
use std::time::Duration;

use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::rpc;
use prost::Message as _;
use proto::read_rows_response::Rows;
use tonic::{Code, Status};

use super::outgoing::Outgoing;
use crate::connection::ConnectionHandle;
use crate::faults::{FaultAction, PlannedFault};
use crate::request_log::{LoggedCall, RequestLog};

/// A fault chosen for a call, and where it is logged when its moment comes.
#[derive(Debug)]
pub(super) struct LoggedFault {
    pub fault: PlannedFault,
    pub log: Arc<RequestLog>,
}

impl LoggedFault {
    /// Whether the call is to be served from the first row of its stream.
    pub fn ignores_offset(&self) -> bool {
        self.fault.action == FaultAction::IgnoreOffset
    }

    /// Logs that the fault is being carried out.
    pub fn tell(&self, method: &str, subject: &str, after_responses: u64) {
        self.log.record(LoggedCall::Fault {
            method: method.to_owned(),
            subject: subject.to_owned(),
            after_responses,
            fault: self.fault.action.to_string(),
        });
    }
}

/// Does what can be done to a call before it sends anything more.
pub(crate) async fn carry_out(
    action: &FaultAction,
    connection: Option<&ConnectionHandle>,
) -> Result<(), Status> {
    match action {
        FaultAction::Abort {
            code,
            message,
            retry_delay,
        } => Err(aborted(*code, message, *retry_delay)),
        FaultAction::Stall(time) | FaultAction::Slow(time) => {
            tokio::time::sleep(*time).await;
            Ok(())
        }
        FaultAction::Cut { after_bytes } => {
            if let Some(connection) = connection {
                connection.cut_after(*after_bytes);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Alters a response as `action` orders.
// The batch's own count is marked as deprecated, but a server that miscounts does so in both places.
#[allow(deprecated)]
pub(super) fn alter(action: &FaultAction, outgoing: &mut Outgoing) {
    match action {
        FaultAction::Corrupt(corruption) => {
            let whole = std::mem::take(&mut outgoing.body).into_bytes();
            outgoing.body = corruption.apply(&whole).into();
        }
        FaultAction::WrongRowCount { off_by } => {
            let response = &mut outgoing.response;
            response.row_count = response.row_count.saturating_add(*off_by);
            let count = match &mut response.rows {
                Some(Rows::ArrowRecordBatch(batch)) => &mut batch.row_count,
                Some(Rows::AvroRows(rows)) => &mut rows.row_count,
                None => return,
            };
            *count = count.saturating_add(*off_by);
        }
        _ => {}
    }
}

fn aborted(code: Code, message: &str, retry_delay: Option<Duration>) -> Status {
    let Some(delay) = retry_delay else {
        return Status::new(code, message);
    };
    let info = rpc::RetryInfo {
        retry_delay: prost_types::Duration::try_from(delay).ok(),
    };
    let details = rpc::Status {
        code: code.into(),
        message: message.to_owned(),
        details: vec![prost_types::Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: info.encode_to_vec(),
        }],
    };
    Status::with_details(code, message, details.encode_to_vec().into())
}
