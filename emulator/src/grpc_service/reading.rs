//! Beginning a ReadRows call: what its stream stands for, and where its messages come from.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::{Request, Status};

use super::fault_play::LoggedFault;
use super::messages::ReadRowsRequest;
use super::producing::{Making, produce, read_status, send_kept};
use super::sending::{Sending, Source};
use super::{ReadService, buffer_compression, precision, status};
use crate::arrow_message::BufferCompression;
use crate::catalog::Table;
use crate::connection::ConnectionHandle;
use crate::kept_messages::KeptMessages;
use crate::picoseconds::Precision;
use crate::projection::Projection;
use crate::read_plan::{Format, ReadPlan};
use crate::session::{FoundStream, Session, SessionError};

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
        let source = self.source(&found, offset)?;
        let clock = Arc::clone(&self.clock);
        Ok(Sending::new(source, found.plan, read_stream, clock, served)
            .within(found.session)
            .with_fault(fault, connection))
    }

    /// Begins to read messages from row `offset` on.
    fn source(&self, found: &Found, offset: u64) -> Result<Source, Status> {
        let making = Making {
            plan: Arc::clone(&found.plan),
            rows: found.rows.clone(),
            message_bytes: found.message_bytes,
            budget: Arc::clone(&self.decoding),
        };
        let (sender, messages) = mpsc::channel(QUEUED_MESSAGES);
        let mut tasks = JoinSet::new();
        let key = found.is_worth_keeping(&self.kept).then(|| found.identity());
        let kept = key.as_ref().and_then(|key| self.kept.find(key, offset));
        if let Some(rest) = kept {
            tasks.spawn(send_kept(rest, Arc::clone(&self.kept), making, sender));
            return Ok(Source::new(messages, tasks));
        }
        let reader = making.reader(offset).map_err(|e| read_status(&e))?;
        let recording = key.filter(|_| offset == 0);
        let recording = recording.and_then(|key| self.kept.record(&key));
        tasks.spawn(produce(reader, making.budget, sender, recording));
        Ok(Source::new(messages, tasks))
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

    /// Whether the stream is one that may be read again. The results of queries are read once.
    fn is_worth_keeping(&self, kept: &KeptMessages) -> bool {
        self.session.is_some()
            && kept.is_worth(self.plan.selected_bytes)
            && !self.plan.table.name.is_hidden()
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
