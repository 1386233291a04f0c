//! One ReadRows call on its way out: messages become responses, expiry is watched, and the call's fault is played.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use proto::read_rows_response::{Rows, Schema};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::Status;

use super::fault_play::{self, LoggedFault};
use super::outgoing::Outgoing;
use super::status;
use crate::clock::Clock;
use crate::connection::ConnectionHandle;
use crate::faults::FaultAction;
use crate::read_plan::{Format, ReadPlan};
use crate::request_log::Served;
use crate::session::Session;
use crate::stream_reader::Message;

/// Messages being read.
pub(super) struct Source {
    messages: mpsc::Receiver<Result<Message, Status>>,
    /// Dropping the call ends what reads.
    _tasks: JoinSet<()>,
}

impl Source {
    /// What `tasks` send.
    pub fn new(messages: mpsc::Receiver<Result<Message, Status>>, tasks: JoinSet<()>) -> Self {
        Self {
            messages,
            _tasks: tasks,
        }
    }

    async fn next(&mut self) -> Result<Option<Message>, Status> {
        self.messages.recv().await.transpose()
    }
}

/// The state of one call.
pub(super) struct Sending {
    source: Source,
    plan: Arc<ReadPlan>,
    /// What may expire; rows of a query job have no session.
    session: Option<Arc<Session>>,
    stream: String,
    clock: Arc<dyn Clock>,
    served: Arc<Served>,
    fault: Option<LoggedFault>,
    connection: Option<ConnectionHandle>,
    /// What waits before every further response.
    pause: Duration,
    /// A response that is sent once more.
    again: Option<Outgoing>,
    sent: u64,
    ended: bool,
}

impl Sending {
    pub fn new(
        source: Source,
        plan: Arc<ReadPlan>,
        stream: String,
        clock: Arc<dyn Clock>,
        served: Arc<Served>,
    ) -> Self {
        Self {
            source,
            plan,
            session: None,
            stream,
            clock,
            served,
            fault: None,
            connection: None,
            pause: Duration::ZERO,
            again: None,
            sent: 0,
            ended: false,
        }
    }

    /// Ends the call when `session` expires.
    pub fn within(mut self, session: Option<Arc<Session>>) -> Self {
        self.session = session;
        self
    }

    /// Gives the call its fault and the connection it may cut.
    pub fn with_fault(
        mut self,
        fault: Option<LoggedFault>,
        connection: Option<ConnectionHandle>,
    ) -> Self {
        self.fault = fault;
        self.connection = connection;
        self
    }

    /// The responses, ending with the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Outgoing, Status>> + Send + 'static {
        futures::stream::unfold(self, |mut sending| async move {
            let response = sending.next().await?;
            Some((response, sending))
        })
    }

    async fn next(&mut self) -> Option<Result<Outgoing, Status>> {
        if self.ended {
            return None;
        }
        let next = self.try_next().await.transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }

    async fn try_next(&mut self) -> Result<Option<Outgoing>, Status> {
        if let Some(again) = self.again.take() {
            return Ok(Some(again));
        }
        let fault = self.play().await?;
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        if let Some(session) = &self.session {
            session
                .check_alive(&self.stream, self.clock.now())
                .map_err(|e| status(&e))?;
        }
        let Some(message) = self.source.next().await? else {
            return Ok(None);
        };
        // The schema comes with the first response of every call, so that a client that reconnects can decode.
        let schema = (self.sent == 0).then(|| self.plan.schema_message.clone());
        self.sent += 1;
        self.served.add(message.rows);
        let mut response = response(message, schema, self.plan.format);
        if let Some(action) = fault {
            fault_play::alter(&action, &mut response);
            if action == FaultAction::Duplicate {
                self.again = Some(response.clone());
            }
        }
        Ok(Some(response))
    }

    /// Carries out the fault whose moment has come; what it does to the next response is left to the caller.
    async fn play(&mut self) -> Result<Option<FaultAction>, Status> {
        let sent = self.sent;
        let Some(due) = self
            .fault
            .take_if(|f| f.fault.after_responses == sent && !f.ignores_offset())
        else {
            return Ok(None);
        };
        due.tell("ReadRows", &self.stream, sent);
        match due.fault.action {
            FaultAction::Slow(time) => self.pause = time,
            FaultAction::ExpireSession => {
                if let Some(session) = &self.session {
                    session.expire(self.clock.now());
                }
            }
            action => {
                fault_play::carry_out(&action, self.connection.as_ref()).await?;
                return Ok(Some(action));
            }
        }
        Ok(None)
    }
}

// The field is marked as deprecated in favour of the response's own, but the service still fills it.
#[allow(deprecated)]
fn response(message: Message, schema: Option<Bytes>, format: Format) -> Outgoing {
    let row_count = i64::try_from(message.rows).unwrap_or(i64::MAX);
    let rows = match format {
        Format::Arrow(_) => Rows::ArrowRecordBatch(proto::ArrowRecordBatch {
            serialized_record_batch: Bytes::new(),
            row_count,
        }),
        Format::Avro => Rows::AvroRows(proto::AvroRows {
            serialized_binary_rows: Bytes::new(),
            row_count,
        }),
    };
    let schema = schema.map(|message| match format {
        Format::Arrow(_) => Schema::ArrowSchema(proto::ArrowSchema {
            serialized_schema: message,
        }),
        Format::Avro => Schema::AvroSchema(proto::AvroSchema {
            schema: String::from_utf8_lossy(&message).into_owned(),
        }),
    });
    let response = proto::ReadRowsResponse {
        row_count,
        stats: Some(proto::StreamStats {
            progress: Some(proto::stream_stats::Progress {
                at_response_start: message.progress.start,
                at_response_end: message.progress.end,
            }),
        }),
        throttle_state: Some(proto::ThrottleState {
            throttle_percent: 0,
        }),
        uncompressed_byte_size: message.uncompressed_bytes,
        rows: Some(rows),
        schema,
    };
    Outgoing {
        response,
        body: message.body,
    }
}
