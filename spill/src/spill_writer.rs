//! Writes one spill file. Owns the Parquet settings and the bound on the encoder's memory; does not decide what is
//! spilled or when.

use std::fs::File;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::batch_size::batch_logical_bytes;
use crate::budget::MemoryBudget;
use crate::carrier::Carrier;
use crate::checked_file::CheckedSink;
use crate::error::SpillError;
use crate::lease::Lease;
use crate::ledger::BudgetShares;
use crate::spill_dir::{FileSlot, SpillDir};
use crate::spill_file::{FileFacts, SpillFile};

/// How pages of spill files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SpillCompression {
    /// Fastest; for fast local disks.
    #[default]
    Lz4,
    /// About a third smaller and slower to write; for slow or small disks.
    Zstd1,
}

/// Encoded bytes of a data page. Small, because every column of every open file holds one.
const PAGE_BYTES: usize = 128 << 10;
/// A column whose dictionary grows beyond this goes on in plain encoding.
const DICTIONARY_BYTES: usize = 256 << 10;
/// What a dictionary encoder takes before it has seen a value (its hash table is allocated up front).
const EMPTY_DICTIONARY_BYTES: usize = 96 << 10;

/// Working memory of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// Taken even when the budget is exhausted, since spilling is what frees memory: this much times the number of
    /// writers may be counted above the shares.
    assured_bytes: usize,
    /// The row group is closed at this size even when the budget would grant more.
    most_bytes: usize,
}

impl Room {
    fn of(shares: &BudgetShares) -> Self {
        Self {
            assured_bytes: (shares.counted_bytes / 32).clamp(256 << 10, 8 << 20),
            most_bytes: (shares.counted_bytes / 8).clamp(1 << 20, 32 << 20),
        }
    }
}

/// A spill file being written. Cannot be read; [`finish`](Self::finish) makes it a [`SpillFile`], dropping it removes it.
///
/// The memory of the encoder is leased. When the budget refuses to let it grow beyond a small assured size, the row
/// group is closed early, which costs some compression and nothing else.
pub struct SpillWriter {
    encoder: ArrowWriter<CheckedSink>,
    slot: Arc<FileSlot>,
    carrier: Carrier,
    room: Room,
    lease: Lease,
    budget: MemoryBudget,
    rows: u64,
    batches: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Failed,
}

impl SpillWriter {
    /// Creates the next file of `dir` for rows of `schema`, which must have at least one column.
    ///
    /// # Errors
    /// [`SpillError::UnsupportedType`] as for [`check_spillable`](crate::check_spillable); [`SpillError::Io`] or
    /// [`SpillError::QuotaExceeded`] when the file cannot be begun.
    pub fn create(
        dir: &Arc<SpillDir>,
        schema: &SchemaRef,
        budget: &MemoryBudget,
        compression: SpillCompression,
    ) -> Result<Self, SpillError> {
        let carrier = Carrier::new(schema)?;
        Self::begin(carrier, dir.create_file()?, budget, compression)
    }

    /// Creates the file `name` of `dir` for rows of `schema`, which must have at least one column.
    pub(crate) fn create_named(
        dir: &Arc<SpillDir>,
        name: &str,
        schema: &SchemaRef,
        budget: &MemoryBudget,
        compression: SpillCompression,
    ) -> Result<Self, SpillError> {
        let carrier = Carrier::new(schema)?;
        Self::begin(carrier, dir.create_named(name)?, budget, compression)
    }

    fn begin(
        carrier: Carrier,
        (file, slot): (File, Arc<FileSlot>),
        budget: &MemoryBudget,
        compression: SpillCompression,
    ) -> Result<Self, SpillError> {
        let room = Room::of(&budget.shares());
        let file_schema = Arc::clone(carrier.file_schema());
        let leaves = file_schema.flattened_fields().len();
        let properties = properties(leaves, room, compression);
        let sink = CheckedSink::new(file, Arc::clone(&slot));
        let encoder =
            ArrowWriter::try_new(sink, file_schema, Some(properties)).map_err(|source| {
                SpillError::Parquet {
                    path: slot.path().to_owned(),
                    source,
                }
            })?;
        Ok(Self {
            encoder,
            slot,
            carrier,
            room,
            lease: budget.lease_regardless("spill writer", 0),
            budget: budget.clone(),
            rows: 0,
            batches: 0,
            state: State::Open,
        })
    }

    /// Appends the rows of `batch`, whose schema must be that of the file.
    ///
    /// # Errors
    /// [`SpillError::Io`] (full disk), [`SpillError::QuotaExceeded`]; the file is abandoned then.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), SpillError> {
        if self.state == State::Failed {
            return Err(self.abandoned());
        }
        self.try_write(batch)
            .inspect_err(|_| self.state = State::Failed)
    }

    /// Ends the file and makes it readable.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn finish(mut self) -> Result<SpillFile, SpillError> {
        if self.state == State::Failed {
            return Err(self.abandoned());
        }
        let finished = self.encoder.finish().map(drop);
        self.check(finished)?;
        let facts = FileFacts {
            rows: self.rows,
            batches: self.batches,
        };
        let seal = self.encoder.inner_mut().seal();
        Ok(SpillFile::new(
            self.slot,
            seal,
            self.carrier,
            facts,
            self.budget,
        ))
    }

    fn try_write(&mut self, batch: &RecordBatch) -> Result<(), SpillError> {
        let rows = batch.num_rows();
        let row_bytes = batch_logical_bytes(batch).div_ceil(rows.max(1)).max(1);
        // While encoding, a row takes up to three times its bytes; small steps keep what lies between two looks small.
        let step = (self.room.assured_bytes / 8 / row_bytes).max(1);
        let mut at = 0;
        while at < rows {
            let piece = self.carrier.load(&batch.slice(at, step.min(rows - at)))?;
            let written = self.encoder.write(&piece);
            self.check(written)?;
            at += piece.num_rows();
            self.bound_memory()?;
        }
        self.rows += rows as u64;
        self.batches += 1;
        Ok(())
    }

    /// Leases what the encoder holds, and closes the row group when it may not hold so much.
    fn bound_memory(&mut self) -> Result<(), SpillError> {
        let held = self.held_bytes();
        let refused = self.lease.resize(held).is_err();
        // Refused or not, it is there.
        self.lease.resize_regardless(held);
        if held > self.room.most_bytes || (refused && held > self.room.assured_bytes) {
            let flushed = self.encoder.flush();
            self.check(flushed)?;
        }
        self.lease.resize_regardless(self.held_bytes());
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        self.encoder.memory_size() + self.encoder.inner().memory_bytes()
    }

    /// Turns what the encoder says into the failure of the sink that is behind it, if there is one.
    fn check(&mut self, result: Result<(), ParquetError>) -> Result<(), SpillError> {
        result.map_err(|source| {
            let path = self.slot.path().to_owned();
            let failure = self.encoder.inner_mut().take_failure();
            failure.unwrap_or(SpillError::Parquet { path, source })
        })
    }

    fn abandoned(&self) -> SpillError {
        SpillError::Abandoned {
            path: self.slot.path().to_owned(),
        }
    }
}

fn properties(leaves: usize, room: Room, compression: SpillCompression) -> WriterProperties {
    let codec = match compression {
        SpillCompression::Lz4 => Compression::LZ4_RAW,
        SpillCompression::Zstd1 => Compression::ZSTD(ZstdLevel::default()),
    };
    // Nobody filters spilled rows, so statistics would only cost time and footer. In very wide tables the empty
    // dictionaries alone would fill the working memory and leave row groups of a few rows.
    let dictionaries_fit = leaves.saturating_mul(EMPTY_DICTIONARY_BYTES) <= room.assured_bytes;
    WriterProperties::builder()
        .set_compression(codec)
        .set_dictionary_enabled(dictionaries_fit)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_max_row_group_bytes(Some(room.most_bytes))
        .set_max_row_group_row_count(None)
        .build()
}

#[cfg(test)]
mod tests;
