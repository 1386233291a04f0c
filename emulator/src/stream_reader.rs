//! Reads one stream: rows of a table in storage order, straight from Parquet into IPC messages.
//!
//! Holds one decoded batch at a time, never a table. Blocks; the caller runs it off the async threads.
//! Must not know about gRPC, faults or sessions.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use datafusion::common::DataFusionError;

use crate::arrow_message::MessageEncoder;
use crate::avro;
use crate::file_rows::{FileError, FileRows};
use crate::message_body::MessageBody;
use crate::read_plan::{ConvertError, Format, ReadPlan};

/// Until real rows have been measured no batch is larger than this many rows.
const FIRST_BATCH_ROWS: usize = 8192;
/// Rows narrower than this would make batches of more rows than anybody wants.
const MAX_BATCH_ROWS: usize = 16 << 20;
/// A message longer than this could not be sent.
const MAX_BATCH_BYTES: usize = 124 << 20;

/// Why a stream cannot be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ReadError {
    /// The offset lies beyond the end of the stream.
    #[error("offset {offset} has not been allocated yet")]
    OffsetNotAllocated { offset: u64 },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot convert rows to their wire types: {0}")]
    Wire(ArrowError),
    #[error("row filter failed: {0}")]
    Filter(DataFusionError),
    #[error("rows {start}..{end} lie outside of the table")]
    OutsideTable { start: u64, end: u64 },
}

impl From<ConvertError> for ReadError {
    fn from(e: ConvertError) -> Self {
        match e {
            ConvertError::Type(e) => Self::Wire(e),
            ConvertError::Filter(e) => Self::Filter(e),
        }
    }
}

/// One response's worth of rows.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// One encapsulated RecordBatch message, or Avro rows.
    pub body: MessageBody,
    /// Rows in it.
    pub rows: u64,
    /// Share of the stream's stored rows that lie before and up to the end of this message.
    pub progress: Range<f64>,
    /// What the response says about the body's size before it was compressed as a whole.
    pub uncompressed_bytes: Option<i64>,
}

/// A batch ready to be encoded, and the table's row number up to which it reaches.
struct Ready {
    batch: RecordBatch,
    reaches: u64,
}

/// Reads the rows of one stream in order.
pub(crate) struct StreamReader {
    plan: Arc<ReadPlan>,
    /// `None` for Avro, whose rows need nothing that goes from one message to the next.
    encoder: Option<MessageEncoder>,
    /// The table's row numbers the stream holds.
    run: Range<u64>,
    /// The next table row to decode.
    next_row: u64,
    /// Table row up to which messages were handed out.
    told: u64,
    /// The offset asked for, and how many passing rows must still be skipped to get there.
    offset: u64,
    to_skip: u64,
    /// Bytes of IPC a message should have.
    target_bytes: usize,
    batch_rows: usize,
    open: Option<FileRows>,
    ready: VecDeque<Ready>,
    /// Filtered remainders, gathered until they are worth a message.
    gathered: Vec<RecordBatch>,
    gathered_bytes: usize,
}

impl StreamReader {
    /// Positions a reader `offset` rows into the stream that holds the table rows `run`.
    ///
    /// Without a filter the position follows from the row counts alone. With one, offsets count passing rows, so the rows
    /// before it are decoded and dropped.
    ///
    /// # Errors
    /// [`ReadError::OffsetNotAllocated`] when the offset is beyond the end; with a filter that shows only on reading.
    pub fn try_new(
        plan: Arc<ReadPlan>,
        run: Range<u64>,
        offset: u64,
        target_bytes: usize,
    ) -> Result<Self, ReadError> {
        let rows = run.end.saturating_sub(run.start);
        let filtered = plan.is_filtered();
        if !filtered && offset > rows {
            return Err(ReadError::OffsetNotAllocated { offset });
        }
        let next_row = if filtered {
            run.start
        } else {
            run.start + offset
        };
        let guess = usize::try_from(target_bytes as u64 / plan.estimated_row_bytes())
            .unwrap_or(FIRST_BATCH_ROWS);
        Ok(Self {
            encoder: match plan.format {
                Format::Arrow(compression) => Some(
                    MessageEncoder::try_new(&plan.schema, compression).map_err(ReadError::Wire)?,
                ),
                Format::Avro => None,
            },
            plan,
            run,
            next_row,
            told: next_row,
            offset,
            to_skip: if filtered { offset } else { 0 },
            target_bytes,
            batch_rows: guess.clamp(1, FIRST_BATCH_ROWS),
            open: None,
            ready: VecDeque::new(),
            gathered: Vec::new(),
            gathered_bytes: 0,
        })
    }

    /// Bytes the reader needs while it makes a message, about.
    pub fn working_bytes(&self) -> u64 {
        // The decoded batch, what is gathered or converted of it, and the message.
        self.plan.decoder_bytes + 3 * self.target_bytes as u64
    }

    /// Bytes its decoder keeps between messages, about.
    pub fn decoder_bytes(&self) -> u64 {
        self.plan.decoder_bytes
    }

    /// Gives the decoder away while the reader waits. Without one the next message makes it again.
    pub fn take_decoder(&mut self) -> Option<FileRows> {
        self.open.take()
    }

    /// Gives a decoder back to the reader it was taken from.
    pub fn restore_decoder(&mut self, decoder: Option<FileRows>) {
        self.open = decoder;
    }

    /// The next message, or `None` at the clean end of the stream.
    ///
    /// # Errors
    /// [`ReadError`]; the stream is then at an end.
    pub fn next_message(&mut self) -> Result<Option<Message>, ReadError> {
        match self.next_ready()? {
            Some(ready) => self.encode(&ready).map(Some),
            None => Ok(None),
        }
    }

    /// The next rows as they are, for those who do not send messages.
    ///
    /// # Errors
    /// As [`StreamReader::next_message`].
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        Ok(self.next_ready()?.map(|ready| ready.batch))
    }

    fn next_ready(&mut self) -> Result<Option<Ready>, ReadError> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Ok(Some(ready));
            }
            let Some(decoded) = self.next_decoded()? else {
                if self.to_skip > 0 {
                    return Err(ReadError::OffsetNotAllocated {
                        offset: self.offset,
                    });
                }
                if self.gathered.is_empty() {
                    return Ok(None);
                }
                self.flush()?;
                continue;
            };
            self.accept(&decoded)?;
        }
    }

    fn encode(&mut self, ready: &Ready) -> Result<Message, ReadError> {
        let start = self.progress_at(self.told);
        self.told = ready.reaches;
        let payload = match &mut self.encoder {
            Some(encoder) => encoder.encode(&ready.batch),
            None => avro::encode(&ready.batch).map(MessageBody::from),
        };
        let (body, uncompressed_bytes) = self
            .plan
            .response_compression
            .apply(payload.map_err(ReadError::Wire)?);
        Ok(Message {
            body,
            rows: ready.batch.num_rows() as u64,
            progress: start..self.progress_at(ready.reaches),
            uncompressed_bytes,
        })
    }

    fn progress_at(&self, row: u64) -> f64 {
        let rows = self.run.end.saturating_sub(self.run.start).max(1);
        row.saturating_sub(self.run.start) as f64 / rows as f64
    }

    /// Converts, filters and skips; queues what remains, cut to size.
    fn accept(&mut self, decoded: &RecordBatch) -> Result<(), ReadError> {
        let partition_time = self.open.as_ref().and_then(|open| open.partition_time);
        let mut batch = self.plan.convert(decoded, partition_time)?;
        let skipped = self.to_skip.min(batch.num_rows() as u64);
        self.to_skip -= skipped;
        if skipped > 0 {
            let skipped = skipped as usize;
            batch = batch.slice(skipped, batch.num_rows() - skipped);
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let bytes = wire_bytes(&batch);
        self.adjust_batch_rows(bytes, batch.num_rows(), decoded.num_rows());
        if self.plan.is_filtered() {
            self.gathered_bytes += bytes;
            self.gathered.push(batch);
            if self.gathered_bytes * 2 >= self.target_bytes {
                self.flush()?;
            }
        } else {
            self.queue(&batch, bytes);
        }
        Ok(())
    }

    /// Turns the gathered remainders into one batch.
    fn flush(&mut self) -> Result<(), ReadError> {
        let gathered = std::mem::take(&mut self.gathered);
        let bytes = std::mem::take(&mut self.gathered_bytes);
        let batch = concat_batches(&self.plan.schema, &gathered).map_err(ReadError::Wire)?;
        self.queue(&batch, bytes);
        Ok(())
    }

    /// Queues a batch in slices of about the target size.
    fn queue(&mut self, batch: &RecordBatch, bytes: usize) {
        let rows = batch.num_rows();
        let slices = if bytes > 2 * self.target_bytes || bytes > MAX_BATCH_BYTES {
            bytes.div_ceil(self.target_bytes.max(1)).min(rows)
        } else {
            1
        };
        let slice_rows = rows.div_ceil(slices.max(1)).max(1);
        let mut from = 0;
        while from < rows {
            let len = slice_rows.min(rows - from);
            let after = (rows - from - len) as u64;
            // Exact without a filter; with one the rows in between are not known, so the last slice tells them all.
            let reaches = if self.plan.is_filtered() && after > 0 {
                self.told
            } else {
                self.next_row - after
            };
            self.ready.push_back(Ready {
                batch: batch.slice(from, len),
                reaches,
            });
            from += len;
        }
    }

    /// Aims the next reads at the target size once real rows have been weighed.
    fn adjust_batch_rows(&mut self, bytes: usize, rows: usize, decoded_rows: usize) {
        let per_row = bytes.div_ceil(rows.max(1)).max(1);
        let wanted = (self.target_bytes / per_row).clamp(1, MAX_BATCH_ROWS);
        // A short batch at the end of a run says little, and reopening is not free: only a clear miss is corrected.
        let clear_miss = wanted > 2 * self.batch_rows || 2 * wanted < self.batch_rows;
        if 2 * decoded_rows >= self.batch_rows && clear_miss {
            self.batch_rows = wanted;
            self.open = None;
        }
    }

    fn next_decoded(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        while self.next_row < self.run.end {
            if self.open.is_none() {
                self.open = Some(self.open_at(self.next_row)?);
            }
            let Some(open) = &mut self.open else { continue };
            match open.next_batch()? {
                Some(batch) => {
                    self.next_row += batch.num_rows() as u64;
                    return Ok(Some(batch));
                }
                None => self.open = None,
            }
        }
        self.open = None;
        Ok(None)
    }

    /// Opens the file that holds table row `row` for everything the stream has in it from there on.
    fn open_at(&self, row: u64) -> Result<FileRows, ReadError> {
        let files = &self.plan.table.files;
        let index = files.partition_point(|f| f.end_row() <= row);
        let file = files.get(index).ok_or(ReadError::OutsideTable {
            start: row,
            end: self.run.end,
        })?;
        let end_row = self.run.end.min(file.end_row());
        Ok(FileRows::open(
            file,
            file.own_row(row)..file.own_row(end_row),
            &file.own_leaves(&self.plan.leaves),
            self.batch_rows,
        )?)
    }
}

/// Bytes a batch takes on the wire before compression.
fn wire_bytes(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .map(|c| {
            let data = c.to_data();
            data.get_slice_memory_size()
                .unwrap_or_else(|_| c.get_buffer_memory_size())
        })
        .sum()
}
