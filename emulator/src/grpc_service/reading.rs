//! Beginning a ReadRows call: what its stream stands for, and the task that reads messages ahead of the connection.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};

use super::fault_play::LoggedFault;
use super::messages::ReadRowsRequest;
use super::sending::{Sending, Source};
use super::{ReadService, blocking, buffer_compression, precision, status};
use crate::arrow_message::BufferCompression;
use crate::catalog::Table;
use crate::connection::ConnectionHandle;
use crate::decode_budget::{DecodeBudget, Ticket};
use crate::file_rows::{FileError, FileRows};
use crate::kept_messages::Recording;
use crate::picoseconds::Precision;
use crate::projection::Projection;
use crate::read_plan::{Format, ReadPlan};
use crate::session::{FoundStream, Session, SessionError};
use crate::stream_reader::{Message, ReadError, StreamReader};

/// Messages waiting between the reading task and the connection, per stream.
const QUEUED_MESSAGES: usize = 1;

/// Bytes of Arrow data a message of a query's result aims at.
const JOB_MESSAGE_BYTES: usize = 1 << 20;

impl ReadService {
    /// Finds what is asked for and begins to read it.
    ///
    /// # Errors
    /// The status that answers the call instead.
    pub(super) async fn read(&self, request: Request<ReadRowsRequest>) -> Result<Sending, Status> {
        let connection = request.extensions().get::<ConnectionHandle>().cloned();
        let ReadRowsRequest {
            read_stream,
            offset,
            arrow_serialization_options,
        } = request.into_inner();
        let offset = u64::try_from(offset).map_err(|_| {
            Status::invalid_argument(format!("offset {offset} must not be negative"))
        })?;
        let found = match self.job_rows(&read_stream)? {
            Some(table) => {
                let options = arrow_serialization_options.unwrap_or_default();
                let compression = buffer_compression(options.buffer_compression)?;
                let precision = precision(options.picos_timestamp_precision);
                Found::of_job(table, compression, precision)?
            }
            None => {
                let found = self
                    .sessions
                    .stream(&read_stream, self.clock.now())
                    .map_err(|e| status(&e))?;
                Found::of_session(found)
            }
        };
        let served = self.log.record_read(&read_stream, offset);
        let fault = self.faults.on_read(&read_stream, found.index);
        let fault = fault.map(|fault| LoggedFault {
            fault,
            log: Arc::clone(&self.log),
        });
        let offset = match fault.as_ref().filter(|f| f.ignores_offset()) {
            Some(fault) => {
                fault.tell("ReadRows", &read_stream, 0);
                0
            }
            None => offset,
        };
        let source = self.source(&found, offset).await?;
        let clock = Arc::clone(&self.clock);
        Ok(Sending::new(source, found.plan, read_stream, clock, served)
            .within(found.session)
            .with_fault(fault, connection))
    }

    /// Where the messages from row `offset` on come from.
    async fn source(&self, found: &Found, offset: u64) -> Result<Source, Status> {
        let key = self.kept.is_enabled().then(|| found.identity());
        let kept = key.as_ref().and_then(|key| self.kept.find(key, offset));
        if let Some(rest) = kept {
            return Ok(Source::Kept(rest));
        }
        let recording = key.filter(|_| offset == 0).map(|key| self.kept.record(key));
        let plan = Arc::clone(&found.plan);
        let (rows, target_bytes) = (found.rows.clone(), found.message_bytes);
        let reader = blocking(move || StreamReader::try_new(plan, rows, offset, target_bytes))
            .await?
            .map_err(|e| read_status(&e))?;
        let (sender, messages) = mpsc::channel(QUEUED_MESSAGES);
        let mut tasks = JoinSet::new();
        let decoding = Arc::clone(&self.decoding);
        tasks.spawn(produce(reader, decoding, sender, recording));
        Ok(Source::Read {
            messages,
            _tasks: tasks,
        })
    }

    /// The result table of `projects/P/locations/L/jobs/J/streams/_default`; `None` for any other name.
    fn job_rows(&self, stream: &str) -> Result<Option<Arc<Table>>, Status> {
        let parts: Vec<&str> = stream.split('/').collect();
        let [
            "projects",
            project,
            "locations",
            _,
            "jobs",
            id,
            "streams",
            "_default",
        ] = parts.as_slice()
        else {
            return Ok(None);
        };
        let not_found =
            || Status::not_found(format!("Requested entity was not found. Entity: {stream}"));
        let job = self.jobs.get(project, id).ok_or_else(not_found)?;
        let result = job.result.as_ref().ok_or_else(not_found)?;
        if result.explicit {
            return Err(Status::invalid_argument(
                "This API does not support explicitly-specified destination tables",
            ));
        }
        let table = self.catalog.table(&result.table);
        table
            .map(Some)
            .map_err(|e| status(&SessionError::Catalog(e)))
    }
}

/// What a stream's name stands for.
struct Found {
    plan: Arc<ReadPlan>,
    session: Option<Arc<Session>>,
    index: usize,
    rows: Range<u64>,
    message_bytes: usize,
}

impl Found {
    fn of_session(found: FoundStream) -> Self {
        let FoundStream {
            session,
            index,
            rows,
        } = found;
        Self {
            plan: Arc::clone(&session.plan),
            message_bytes: session.message_bytes,
            session: Some(session),
            index,
            rows,
        }
    }

    /// Everything that decides the messages of the stream.
    fn identity(&self) -> String {
        let plan = self.plan.identity();
        format!("{:?} {} {plan}", self.rows, self.message_bytes)
    }

    /// All rows of a query's result.
    fn of_job(
        table: Arc<Table>,
        compression: BufferCompression,
        precision: Precision,
    ) -> Result<Self, Status> {
        let rows = 0..table.rows;
        let all =
            Projection::resolve(&table.schema, &[]).map_err(|e| Status::internal(e.to_string()))?;
        let plan = ReadPlan::try_new(table, &all, None, Format::Arrow(compression), precision)
            .map_err(|e| Status::internal(e.to_string()))?;
        Ok(Self {
            plan: Arc::new(plan),
            session: None,
            index: 0,
            rows,
            message_bytes: JOB_MESSAGE_BYTES,
        })
    }
}

/// A reader's place in the budget, given up with what was left there.
struct Place {
    budget: Arc<DecodeBudget<FileRows>>,
    ticket: Ticket,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.budget.leave(self.ticket);
    }
}

/// Reads messages, one ahead of the connection. Ends when the call is dropped.
async fn produce(
    mut reader: StreamReader,
    budget: Arc<DecodeBudget<FileRows>>,
    sender: mpsc::Sender<Result<Message, Status>>,
    mut recording: Option<Recording>,
) {
    let place = Place {
        ticket: budget.ticket(),
        budget,
    };
    // The slot in the queue is taken first, so that at most one message is made that nobody has asked for.
    while let Ok(slot) = sender.reserve().await {
        let (budget, ticket) = (Arc::clone(&place.budget), place.ticket);
        budget.enter(ticket, reader.decoder_bytes()).await;
        let granted = budget.work(reader.working_bytes()).await;
        // On the threads that compute, not on those for blocking work: these are as many as there are streams, each would keep
        // its own freed memory, and the budget lets no more than a few decode at a time anyway.
        reader.restore_decoder(budget.begin(ticket));
        let next = reader.next_message();
        let made = match &next {
            Ok(Some(message)) => message.body.len() as u64,
            _ => 0,
        };
        budget.end(ticket, made, reader.take_decoder());
        drop(granted);
        match next {
            Ok(Some(mut message)) => {
                // What does not fit is sent all the same.
                recording = recording.and_then(|recording| recording.add(&mut message));
                slot.send(Ok(message));
                // The task that was woken by that waits on this very thread, where no other can take it up.
                tokio::task::yield_now().await;
            }
            Ok(None) => {
                if let Some(recording) = recording {
                    recording.finish();
                }
                return;
            }
            Err(error) => {
                slot.send(Err(read_status(&error)));
                return;
            }
        }
    }
}

fn read_status(error: &ReadError) -> Status {
    let code = match error {
        ReadError::OffsetNotAllocated { .. } | ReadError::File(FileError::Changed { .. }) => {
            Code::FailedPrecondition
        }
        ReadError::Filter(_) => Code::InvalidArgument,
        _ => Code::Internal,
    };
    tracing::debug!(error = error as &dyn std::error::Error, "read failed");
    Status::new(code, error.to_string())
}
