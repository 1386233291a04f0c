//! Reading one stream: messages in order, each exactly once, whatever the connection does.
//!
//! Owns the row offset, reopening, the detection of servers that ignore the offset, and reading ahead by a bounded number
//! of messages. Must not know sessions or plans.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use google_cloud_bigquery::client::Read;
use google_cloud_bigquery::model::ReadRowsResponse;
use google_cloud_bigquery::model::read_rows_response::{Rows, Schema};
use google_cloud_gax::streaming::ResponseStream;
use millpond_spill::Permit;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::decode::{DecodeFault, Decoder, decoded_bytes, read_schema, schema_difference};
use super::failure::{Doing, Place};
use super::retry::{Attempts, Cause, Timing, cause_of};
use crate::error::{Error, ErrorKind, Result};
use crate::source::{BatchStream, Leg, ReadContext};

/// Messages read ahead of the consumer, each under its permit: some megabytes, so that the server has something to do while a row
/// group is learned from and written.
pub(super) const AHEAD: usize = 8;
/// How far beyond the rows received a row surely does not exist.
const FAR: i64 = 1 << 40;

/// One stream of a session.
#[derive(Clone)]
pub(super) struct StreamSpec {
    /// A client shared by a few streams.
    pub client: Read,
    /// The stream's resource name.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// Its number in the session.
    pub index: usize,
    /// What is read.
    pub place: Arc<Place>,
    /// How patiently.
    pub timing: Timing,
    /// The columns.
    pub decoder: Arc<Decoder>,
}

impl fmt::Debug for StreamSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSpec")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl StreamSpec {
    fn doing(&self, offset: i64) -> Doing<'_> {
        Doing::Reading {
            stream: &self.label,
            offset,
        }
    }

    fn describe(&self, offset: i64) -> String {
        self.place.describe(self.doing(offset))
    }

    fn data_error(&self, offset: i64, fault: DecodeFault) -> Error {
        Error::with_source(
            ErrorKind::Data,
            format!("unusable message while {}", self.describe(offset)),
            fault,
        )
    }

    /// The batches of the stream. Nothing happens before the first poll; dropping the stream ends the read.
    pub fn batches(self, context: ReadContext) -> BatchStream {
        self.leg(context, Leg::WHOLE, Parked::default())
    }

    /// The batches of one leg. When it ends, the connection waits in `parked` for the next leg.
    pub fn leg(self, context: ReadContext, leg: Leg, parked: Parked) -> BatchStream {
        stream::unfold(
            Consumer::Waiting {
                spec: self,
                context,
                leg,
                parked,
            },
            Consumer::next,
        )
        .boxed()
    }
}

/// Where a stream waits between two legs. Clones share the place.
#[derive(Clone, Default)]
pub(super) struct Parked(Arc<Mutex<Option<Running>>>);

impl Parked {
    fn place(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parked")
    }
}

/// One message as received, with the right to hold it.
struct Message {
    offset: i64,
    rows: i64,
    payload: Bytes,
    permit: Permit,
}

/// The polled side: decodes what the reader task sends.
enum Consumer {
    /// Not polled yet.
    Waiting {
        spec: StreamSpec,
        context: ReadContext,
        leg: Leg,
        parked: Parked,
    },
    /// A task reads ahead.
    Running {
        running: Running,
        /// Bytes the leg may still take.
        left: u64,
        parked: Parked,
    },
    /// The end or an error was delivered.
    Done,
}

struct Running {
    spec: StreamSpec,
    context: ReadContext,
    /// The row that comes next.
    row: i64,
    /// Bytes of the message delivered last.
    bytes: u64,
    /// Held for the batch delivered last, until the next poll.
    permit: Option<Permit>,
    messages: mpsc::Receiver<Result<Message>>,
    /// The one reader task; dropping the set ends it.
    tasks: JoinSet<()>,
}

impl Consumer {
    async fn next(self) -> Option<(Result<RecordBatch>, Self)> {
        let (mut running, left, parked) = match self {
            Self::Waiting {
                spec,
                context,
                leg,
                parked,
            } => {
                let from_row = i64::try_from(leg.from_row).unwrap_or(i64::MAX);
                let waiting = parked.place().take();
                let running = match waiting.filter(|running| running.row == from_row) {
                    Some(running) => running,
                    None => Running::start(spec, context, from_row),
                };
                (running, leg.most_bytes, parked)
            }
            Self::Running {
                running,
                left,
                parked,
            } => (running, left, parked),
            Self::Done => return None,
        };
        running.permit = None;
        if left == 0 {
            *parked.place() = Some(running);
            return None;
        }
        match running.next().await {
            Some(Ok(batch)) => {
                let left = left.saturating_sub(running.bytes);
                let next = Self::Running {
                    running,
                    left,
                    parked,
                };
                Some((Ok(batch), next))
            }
            Some(Err(error)) => Some((Err(error), Self::Done)),
            None => {
                // At its end, which the next leg finds out without asking the server again.
                *parked.place() = Some(running);
                None
            }
        }
    }
}

impl Running {
    fn start(spec: StreamSpec, context: ReadContext, row: i64) -> Self {
        let (sender, messages) = mpsc::channel(AHEAD);
        let mut tasks = JoinSet::new();
        tasks.spawn(read_ahead(
            StreamReader::new(spec.clone(), context.clone(), row),
            sender,
        ));
        Self {
            spec,
            context,
            row,
            bytes: 0,
            permit: None,
            messages,
            tasks,
        }
    }

    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        let message = match self.messages.recv().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Some(Err(error)),
            None => {
                // A reader that ends without saying so ended well, unless it panicked.
                return match self.tasks.join_next().await {
                    Some(Err(panic)) => Some(Err(Error::with_source(
                        ErrorKind::Data,
                        format!("reader of {} failed", self.spec.label),
                        panic,
                    ))),
                    _ => None,
                };
            }
        };
        let decoded = self.spec.decoder.decode(&message.payload, message.rows);
        Some(match decoded {
            Ok(batch) => {
                let rows = u64::try_from(message.rows).unwrap_or(0);
                self.row = message.offset.saturating_add(message.rows);
                self.bytes = message.payload.len() as u64;
                self.context.metrics.add(rows, message.payload.len() as u64);
                self.permit = Some(message.permit);
                Ok(batch)
            }
            Err(fault) => Err(self.spec.data_error(message.offset, fault)),
        })
    }
}

/// Sends the messages of `reader` until the end, an error, or the consumer is gone.
async fn read_ahead(mut reader: StreamReader, sender: mpsc::Sender<Result<Message>>) {
    // The place in the queue comes first, so that at most `AHEAD` messages are held here and in the queue together.
    while let Ok(slot) = sender.reserve().await {
        match reader.next().await {
            Ok(Some(message)) => slot.send(Ok(message)),
            Ok(None) => return,
            Err(error) => {
                slot.send(Err(error));
                return;
            }
        }
    }
}

/// The connected side: knows the offset and opens the stream again when it breaks.
struct StreamReader {
    spec: StreamSpec,
    context: ReadContext,
    attempts: Attempts,
    /// Rows received.
    offset: i64,
    open: Option<ResponseStream<ReadRowsResponse>>,
    /// Whether the next message is the first after opening at an offset above zero.
    resumed: bool,
    /// Whether an earlier process received the rows before the offset, so that nothing here can tell if they come again.
    unproven: bool,
    /// Checksum of the message at offset zero.
    first_sum: Option<u32>,
    /// The service's own measure of how much of the stream it has sent, from 0 to 1.
    progress: f64,
}

impl StreamReader {
    fn new(spec: StreamSpec, context: ReadContext, offset: i64) -> Self {
        Self {
            attempts: Attempts::new(spec.timing, spec.index as u64 + 1),
            spec,
            context,
            offset,
            open: None,
            resumed: false,
            unproven: offset > 0,
            first_sum: None,
            progress: 0.0,
        }
    }

    /// The next message that holds rows, or nothing at the end of the stream.
    async fn next(&mut self) -> Result<Option<Message>> {
        loop {
            let idle = self.spec.timing.idle;
            let Some(open) = &mut self.open else {
                match timeout(idle, self.spec.open_at(self.offset)).await {
                    Ok(Ok(open)) => {
                        self.open = Some(open);
                        self.resumed = self.offset > 0;
                    }
                    Ok(Err(error)) => self.recover(error).await?,
                    Err(_) => self.recover_from_silence(idle).await?,
                }
                continue;
            };
            match timeout(idle, open.next()).await {
                Ok(Some(Ok(response))) => {
                    if let Some(message) = self.accept(response).await? {
                        return Ok(Some(message));
                    }
                }
                Ok(Some(Err(error))) => self.recover(error).await?,
                Ok(None) => return Ok(None),
                Err(_) => self.recover_from_silence(idle).await?,
            }
        }
    }

    /// Waits as long as the failure demands before the stream is opened again, or gives up.
    async fn recover(&mut self, error: google_cloud_bigquery::Error) -> Result<()> {
        self.open = None;
        self.pause(error).await
    }

    async fn recover_from_silence(&mut self, silence: Duration) -> Result<()> {
        self.open = None;
        self.pause_for_silence(silence).await
    }

    /// Waits as long as the failure demands, or gives up.
    async fn pause(&mut self, error: google_cloud_bigquery::Error) -> Result<()> {
        let cause = cause_of(&error);
        match cause.and_then(|cause| self.attempts.wait_after(cause, Instant::now())) {
            Some(wait) => {
                tracing::debug!(stream = %self.spec.name, offset = self.offset, ?wait, %error, "asking again");
                self.wait(wait).await;
                Ok(())
            }
            None => {
                let doing = self.spec.doing(self.offset);
                let failures = self.attempts.failures();
                Err(self.spec.place.error(doing, error, failures))
            }
        }
    }

    async fn pause_for_silence(&mut self, silence: Duration) -> Result<()> {
        match self.attempts.wait_after(Cause::Silent, Instant::now()) {
            Some(wait) => {
                tracing::debug!(stream = %self.spec.name, offset = self.offset, ?silence, "asking again after silence");
                self.wait(wait).await;
                Ok(())
            }
            None => {
                let doing = self.spec.doing(self.offset);
                let failures = self.attempts.failures();
                Err(self.spec.place.silence(doing, silence.as_secs(), failures))
            }
        }
    }

    async fn wait(&mut self, wait: Duration) {
        self.context.metrics.add_retry();
        sleep(wait).await;
    }

    /// Checks a response and gets the permit for it. Responses without rows carry only statistics.
    async fn accept(&mut self, response: ReadRowsResponse) -> Result<Option<Message>> {
        let offset = self.offset;
        let (spec, wire) = (&self.spec, self.spec.decoder.wire_schema());
        if let Some(Schema::ArrowSchema(schema)) = &response.schema {
            let found = read_schema(&schema.serialized_schema)
                .map_err(|fault| spec.data_error(offset, fault))?;
            if let Some(difference) = schema_difference(wire, &found) {
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!(
                        "schema differs from the session's while {}: {difference}",
                        spec.describe(offset)
                    ),
                ));
            }
        }
        let rows = response.row_count;
        let payload = match response.rows {
            Some(Rows::ArrowRecordBatch(batch)) => batch.serialized_record_batch,
            None if rows == 0 => return Ok(None),
            _ => {
                return Err(Error::new(
                    ErrorKind::Data,
                    format!(
                        "message of {rows} rows without Arrow data while {}",
                        spec.describe(offset)
                    ),
                ));
            }
        };
        let progress = response.stats.and_then(|stats| stats.progress);
        if std::mem::take(&mut self.resumed) {
            // Progress at the very start cannot be, since rows were received before.
            let went_back = progress
                .as_ref()
                .is_some_and(|p| p.at_response_start < self.progress || p.at_response_start == 0.0);
            let repeated = self.first_sum == Some(crc32c::crc32c(&payload));
            if went_back || repeated || std::mem::take(&mut self.unproven) {
                self.check_offset_is_honoured().await?;
            }
            if went_back || repeated {
                self.check_rows_come_again(&payload, rows).await?;
            }
        } else if offset == 0 {
            self.first_sum = Some(crc32c::crc32c(&payload));
        }
        let end = usize::try_from(rows)
            .ok()
            .and_then(|_| offset.checked_add(rows))
            .ok_or_else(|| {
                let fault = DecodeFault::RowCount {
                    said: rows,
                    found: 0,
                };
                self.spec.data_error(offset, fault)
            })?;
        let bytes = decoded_bytes(&payload).map_err(|fault| self.spec.data_error(offset, fault))?;
        let permit = self
            .context
            .budget
            .permit(
                "BigQuery messages",
                usize::try_from(bytes).unwrap_or(usize::MAX),
            )
            .await
            .map_err(|error| {
                Error::with_source(
                    ErrorKind::MemoryBudget,
                    format!(
                        "one message of {bytes} bytes is too large while {}",
                        self.spec.describe(offset)
                    ),
                    error,
                )
            })?;
        if rows > 0 {
            self.attempts.progress();
        }
        self.offset = end;
        if let Some(progress) = progress {
            self.progress = progress.at_response_end;
        }
        Ok(Some(Message {
            offset,
            rows,
            payload,
            permit,
        }))
    }

    /// Asks for a row far beyond the end. An honest server refuses or ends at once; one that ignores offsets sends rows,
    /// and would have sent every row before the break a second time.
    async fn check_offset_is_honoured(&mut self) -> Result<()> {
        match self.first_at(self.offset.saturating_add(FAR)).await? {
            Ok(Some(_)) => Err(self.ignores_offset()),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Asks once more for what a call answered that looks as if it had begun at the first row. A server that ignores offsets
    /// now and then would have to ignore this one, too, to give the same rows.
    async fn check_rows_come_again(&mut self, payload: &Bytes, rows: i64) -> Result<()> {
        let (again, more) = match self.first_at(self.offset).await? {
            Ok(Some(found)) => found,
            Ok(None) => return Err(self.ignores_offset()),
            Err(error) => {
                let failures = self.attempts.failures();
                let doing = self.spec.doing(self.offset);
                return Err(self.spec.place.error(doing, error, failures));
            }
        };
        let decoder = &self.spec.decoder;
        let (Ok(one), Ok(other)) = (decoder.decode(payload, rows), decoder.decode(&again, more))
        else {
            // The caller decodes the message and says what is wrong with it.
            return Ok(());
        };
        // Messages need not be cut alike.
        let common = one.num_rows().min(other.num_rows());
        match one.slice(0, common) == other.slice(0, common) {
            true => Ok(()),
            false => Err(self.ignores_offset()),
        }
    }

    /// The first message with rows from row `offset` on, or how the server refused. What may pass is tried again, because an
    /// answer that did not arrive proves nothing.
    async fn first_at(
        &mut self,
        offset: i64,
    ) -> Result<std::result::Result<Option<(Bytes, i64)>, google_cloud_bigquery::Error>> {
        let idle = self.spec.timing.idle;
        loop {
            let probe = async {
                let mut open = self.spec.open_at(offset).await?;
                while let Some(response) = open.next().await.transpose()? {
                    if let (Some(Rows::ArrowRecordBatch(batch)), 1..) =
                        (response.rows, response.row_count)
                    {
                        return Ok(Some((batch.serialized_record_batch, response.row_count)));
                    }
                }
                Ok(None)
            };
            match timeout(idle, probe).await {
                Ok(Ok(found)) => return Ok(Ok(found)),
                Ok(Err(error)) if cause_of(&error).is_none() => return Ok(Err(error)),
                Ok(Err(error)) => self.pause(error).await?,
                Err(_) => self.pause_for_silence(idle).await?,
            }
        }
    }

    fn ignores_offset(&self) -> Error {
        Error::new(
            ErrorKind::Data,
            format!(
                "server ignores the row offset and would send rows twice while {}",
                self.spec.describe(self.offset)
            ),
        )
    }
}

impl StreamSpec {
    async fn open_at(
        &self,
        offset: i64,
    ) -> Result<ResponseStream<ReadRowsResponse>, google_cloud_bigquery::Error> {
        self.client
            .read_rows()
            .set_read_stream(&self.name)
            .set_offset(offset)
            .send()
            .await
    }
}
