//! Writes one spill file. Owns the Parquet settings and the bound on the memory of rows that wait for their row group; does not
//! decide what is spilled or when.

use std::fs::File;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowSchemaConverter, encode_arrow_schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::budget::MemoryBudget;
use crate::carrier::Carrier;
use crate::checked_file::CheckedSink;
use crate::error::SpillError;
use crate::lease::Lease;
use crate::ledger::BudgetShares;
use crate::row_group::{RowGroup, Texts};
use crate::row_group_encoder::{RowGroupEncoder, packs_well};
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

/// How large the pages of a spill file are. A reader holds one of every column, compressed and decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SpillPages {
    /// 128 KiB; texts that repeat stand in dictionaries. For files that are read one after the other.
    #[default]
    Large,
    /// 16 KiB, without dictionaries. For files that are read side by side, such as sorted runs that are merged.
    Small,
}

impl SpillPages {
    /// Encoded bytes of a data page.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Large => 128 << 10,
            Self::Small => 16 << 10,
        }
    }
}

/// A column whose dictionary grows beyond this goes on in plain encoding.
const DICTIONARY_BYTES: usize = 256 << 10;
/// Memory that a finished row group takes per column until the footer is written.
const FOOTER_COLUMN_BYTES: usize = 512;

/// Working memory of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// Taken even when the budget is exhausted, since spilling is what frees memory: this much times the number of
    /// writers may be counted above the shares.
    assured_bytes: usize,
    /// The row group is closed at this size even when the budget would grant more. Large, since each row group has its texts
    /// counted, written and looked up once more.
    most_bytes: usize,
}

impl Room {
    fn of(shares: &BudgetShares) -> Self {
        Self {
            assured_bytes: (shares.counted_bytes / 32).clamp(256 << 10, 8 << 20),
            most_bytes: (shares.counted_bytes / 8).clamp(1 << 20, 128 << 20),
        }
    }
}

/// A spill file being written. Cannot be read; [`finish`](Self::finish) makes it a [`SpillFile`], dropping it removes it.
///
/// Rows wait until a row group is full, which is then encoded column by column. Their memory is leased. When the budget refuses
/// to let it grow beyond a small assured size, the row group is closed early, which costs some compression and nothing else.
pub struct SpillWriter {
    file: SerializedFileWriter<CheckedSink>,
    encoder: RowGroupEncoder,
    group: RowGroup,
    slot: Arc<FileSlot>,
    carrier: Carrier,
    pages: SpillPages,
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
        pages: SpillPages,
    ) -> Result<Self, SpillError> {
        let carrier = Carrier::new(schema)?;
        let file = dir.create_file()?;
        Self::begin(carrier, file, budget, compression, pages, &Texts::Plain)
    }

    /// Creates the file `name` of `dir` for rows of `schema`, which must have at least one column.
    pub(crate) fn create_named(
        dir: &Arc<SpillDir>,
        name: &str,
        schema: &SchemaRef,
        budget: &MemoryBudget,
        texts: &Texts,
    ) -> Result<Self, SpillError> {
        let carrier = Carrier::new(schema)?;
        let file = dir.create_named(name)?;
        let (compression, pages) = (SpillCompression::default(), SpillPages::default());
        Self::begin(carrier, file, budget, compression, pages, texts)
    }

    fn begin(
        carrier: Carrier,
        (file, slot): (File, Arc<FileSlot>),
        budget: &MemoryBudget,
        compression: SpillCompression,
        pages: SpillPages,
        texts: &Texts,
    ) -> Result<Self, SpillError> {
        let schema = carrier.file_schema();
        let properties = Arc::new(properties(schema, compression, pages, texts));
        let failed = |source| SpillError::Parquet {
            path: slot.path().to_owned(),
            source,
        };
        let encoder =
            RowGroupEncoder::try_new(schema, &properties).map_err(|e| failed(e.source))?;
        let sink = CheckedSink::new(file, Arc::clone(&slot));
        let root = ArrowSchemaConverter::new().convert(schema);
        let file = root
            .and_then(|root| SerializedFileWriter::new(sink, root.root_schema_ptr(), properties))
            .map_err(failed)?;
        Ok(Self {
            file,
            encoder,
            group: RowGroup::new(carrier.rows_schema(), texts),
            slot,
            carrier,
            pages,
            room: Room::of(&budget.shares()),
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
        self.take_in(batch).map(drop)
    }

    /// As [`write`](Self::write). Returns the rows that have gone to the file since, in order, as they will be read back; their memory is
    /// leased until the next call.
    pub(crate) fn take_in(&mut self, batch: &RecordBatch) -> Result<Vec<RecordBatch>, SpillError> {
        if self.state == State::Failed {
            return Err(self.abandoned());
        }
        self.try_take_in(batch)
            .inspect_err(|_| self.state = State::Failed)
    }

    /// Ends the file and makes it readable.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn finish(self) -> Result<SpillFile, SpillError> {
        self.finish_with_rows().map(|(file, _)| file)
    }

    /// As [`finish`](Self::finish), with the rows that went to the file last.
    pub(crate) fn finish_with_rows(mut self) -> Result<(SpillFile, Vec<RecordBatch>), SpillError> {
        if self.state == State::Failed {
            return Err(self.abandoned());
        }
        let settled = self.close_group()?;
        // Only now is it known which texts are dictionaries in all row groups.
        let schema = self.group.file_schema(self.carrier.file_schema());
        let hint = encode_arrow_schema(&schema);
        self.file
            .append_key_value_metadata(KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), hint));
        let finished = self.file.finish().map(drop);
        self.check(finished)?;
        let facts = FileFacts {
            rows: self.rows,
            batches: self.batches,
            pages: self.pages,
        };
        let seal = self.file.inner_mut().seal();
        let file = SpillFile::new(self.slot, seal, self.carrier, facts, self.budget);
        Ok((file, settled))
    }

    fn try_take_in(&mut self, batch: &RecordBatch) -> Result<Vec<RecordBatch>, SpillError> {
        self.group.push(batch)?;
        self.rows += batch.num_rows() as u64;
        self.batches += 1;
        let held = self.held_bytes();
        let refused = self.lease.resize(held).is_err();
        // Refused or not, it is there.
        self.lease.resize_regardless(held);
        if held > self.room.most_bytes || (refused && held > self.room.assured_bytes) {
            return self.close_group();
        }
        Ok(Vec::new())
    }

    /// Writes the rows that wait as one row group.
    fn close_group(&mut self) -> Result<Vec<RecordBatch>, SpillError> {
        if self.group.is_empty() {
            return Ok(Vec::new());
        }
        let settled = self.group.settle()?;
        let loaded = settled.iter().map(|batch| self.carrier.load(batch));
        let loaded = loaded.collect::<Result<Vec<_>, _>>()?;
        let written = self.encoder.write(&mut self.file, &loaded);
        self.check(written)?;
        Ok(settled)
    }

    fn held_bytes(&self) -> usize {
        let groups = self.file.flushed_row_groups().len();
        self.group.memory_bytes()
            + self.file.inner().memory_bytes()
            + groups * self.encoder.columns() * FOOTER_COLUMN_BYTES
    }

    /// Turns what the encoder says into the failure of the sink that is behind it, if there is one.
    fn check(&mut self, result: Result<(), ParquetError>) -> Result<(), SpillError> {
        result.map_err(|source| {
            let path = self.slot.path().to_owned();
            let failure = self.file.inner_mut().take_failure();
            failure.unwrap_or(SpillError::Parquet { path, source })
        })
    }

    fn abandoned(&self) -> SpillError {
        SpillError::Abandoned {
            path: self.slot.path().to_owned(),
        }
    }
}

fn properties(
    schema: &Schema,
    compression: SpillCompression,
    pages: SpillPages,
    texts: &Texts,
) -> WriterProperties {
    let codec = match compression {
        SpillCompression::Lz4 => Compression::LZ4_RAW,
        SpillCompression::Zstd1 => Compression::ZSTD(ZstdLevel::default()),
    };
    // Nobody filters spilled rows, so statistics would only cost time and footer.
    let mut properties = WriterProperties::builder()
        .set_compression(codec)
        .set_dictionary_enabled(false)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_data_page_size_limit(pages.bytes())
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true);
    for field in schema.fields() {
        let path = ColumnPath::from(field.name().as_str());
        if packs_well(field.data_type()) {
            properties = properties
                .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
                .set_column_compression(path, Compression::UNCOMPRESSED);
        } else if has_texts(field.data_type())
            && matches!((texts, pages), (Texts::Plain, SpillPages::Large))
        {
            properties = properties.set_column_dictionary_enabled(path, true);
        }
    }
    properties.build()
}

/// Whether values are texts or bytes, which often repeat.
fn has_texts(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => has_texts(values),
        other => {
            other.is_string()
                || matches!(
                    other,
                    DataType::Binary | DataType::LargeBinary | DataType::BinaryView
                )
        }
    }
}

#[cfg(test)]
mod tests;
