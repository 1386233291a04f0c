//! The sink: one work unit's rows, divided among three Parquet shards whose bytes depend on the rows alone.
//!
//! Owns the hot path from transformed batches to encoded pages, and the promise that neither batch boundaries nor threads nor
//! memory show in the bytes: rows of each split are first gathered into chunks and row groups of a fixed number of rows, and everything
//! that follows (pages, dictionaries) sees only those. Must not know what the columns mean.

mod chunk;
mod column;
mod compression;
mod layout;
mod part;
mod shard;
#[cfg(test)]
pub(crate) mod tests;
mod validity;

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use millpond_features::{Split, SplitAssignment};
use parquet::basic::Compression;

use crate::error::{Error, ErrorKind, Result};
use crate::manifest::ShardEntry;
use crate::output_dir::{OutputDir, PendingFile};

pub(crate) use self::layout::shards_memory_bytes;
pub(crate) use self::part::PartSink;

use self::chunk::Chunk;
use self::layout::Layout;
use self::shard::ShardWriter;

/// How shards are written.
#[derive(Debug, Clone)]
pub struct SinkSettings {
    compression: Compression,
}

impl SinkSettings {
    /// Settings with pages compressed as `compression` says: `uncompressed`, `snappy`, `lz4` or `zstd(LEVEL)` with a level
    /// from 1 to 22. A higher level trades processor time for smaller files.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) with the list of choices for anything else.
    pub fn try_new(compression: &str) -> Result<Self> {
        Ok(Self {
            compression: compression::parse(compression)?,
        })
    }
}

/// Writes the rows of one work unit to one shard per split.
///
/// A split that gets no row gets no shard. Until [`finish`](Self::finish), shards exist under temporary names only;
/// dropping the sink removes them, so an unfinished shard can never be listed in a manifest.
#[derive(Debug)]
pub struct SplitSink<'a> {
    directory: &'a OutputDir,
    schema: SchemaRef,
    layout: Arc<Layout>,
    unit: usize,
    outputs: [Output; 3],
}

/// One split of the unit.
#[derive(Debug)]
struct Output {
    split: Split,
    chunk: Chunk,
    /// Rows of the batch at hand, in order. Kept for its allocation.
    selected: Vec<u32>,
    /// Opened by the first full chunk.
    writer: Option<ShardWriter<PendingFile>>,
}

impl<'a> SplitSink<'a> {
    /// A sink for the unit with index `unit`, whose batches have `schema`. Opens no file yet.
    ///
    /// # Errors
    /// [`Schema`](ErrorKind::Schema) if a column's type cannot be written.
    pub fn try_new(
        directory: &'a OutputDir,
        schema: &Schema,
        settings: &SinkSettings,
        unit: usize,
    ) -> Result<Self> {
        let schema = plain(schema);
        let layout = Arc::new(Layout::try_new(&schema, settings.compression)?);
        let outputs = Split::ALL.map(|split| Output {
            split,
            chunk: Chunk::new(&schema, layout.chunk_rows()),
            selected: Vec::new(),
            writer: None,
        });
        Ok(Self {
            directory,
            schema,
            layout,
            unit,
            outputs,
        })
    }

    /// Appends the rows of `batch` to the shards of the splits they are assigned to.
    ///
    /// # Errors
    /// [`Schema`](ErrorKind::Schema) if the batch does not have the sink's columns, or a null where none is allowed;
    /// [`Sink`](ErrorKind::Sink) if the assignment is for another number of rows or writing fails;
    /// [`Disk`](ErrorKind::Disk) if there is no room. The sink cannot be used after an error.
    pub fn push(&mut self, batch: &RecordBatch, splits: &SplitAssignment) -> Result<()> {
        self.check(batch, splits)?;
        for output in &mut self.outputs {
            output.selected.clear();
        }
        let [train, val, test] = &mut self.outputs;
        for row in 0..batch.num_rows() {
            let output = match splits.get(row) {
                Some(Split::Train) => &mut *train,
                Some(Split::Val) => &mut *val,
                Some(Split::Test) => &mut *test,
                None => continue,
            };
            // A batch beyond 4 billion rows was refused above.
            output.selected.push(u32::try_from(row).unwrap_or(u32::MAX));
        }
        for output in &mut self.outputs {
            let selected = std::mem::take(&mut output.selected);
            let mut rest = selected.as_slice();
            while !rest.is_empty() {
                let taken = output.chunk.append(batch, rest)?;
                rest = rest.get(taken..).unwrap_or_default();
                if output.chunk.is_full() {
                    output.write_chunk(self.directory, &self.layout, self.unit)?;
                }
            }
            output.selected = selected;
        }
        Ok(())
    }

    /// Completes the shards; each is renamed into place once it is durable, at the latest by
    /// [`OutputDir::commit`]. Returns an entry for every split with rows, in the order train, val, test.
    ///
    /// # Errors
    /// [`Sink`](ErrorKind::Sink) or [`Disk`](ErrorKind::Disk) if writing fails, here or of an earlier unit.
    pub fn finish(mut self) -> Result<Vec<ShardEntry>> {
        let mut entries = Vec::with_capacity(self.outputs.len());
        for output in &mut self.outputs {
            if !output.chunk.is_empty() {
                output.write_chunk(self.directory, &self.layout, self.unit)?;
            }
            if let Some(writer) = output.writer.take() {
                entries.push(publish(writer, output.split, self.unit)?);
            }
        }
        Ok(entries)
    }

    /// Writes a shard without rows, for a split that has none in the whole run, so that a reader finds the schema.
    ///
    /// # Errors
    /// [`Sink`](ErrorKind::Sink) or [`Disk`](ErrorKind::Disk) if writing fails.
    pub fn write_empty_shard(
        directory: &OutputDir,
        schema: &Schema,
        settings: &SinkSettings,
        split: Split,
    ) -> Result<ShardEntry> {
        let layout = Arc::new(Layout::try_new(&plain(schema), settings.compression)?);
        let file = directory.shard(split, 0)?;
        let name = file.name().to_owned();
        publish(ShardWriter::try_new(file, name, &layout)?, split, 0)
    }

    /// Memory held: rows gathered but not written, and what is kept for the footers, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.outputs.iter().map(Output::memory_bytes).sum()
    }

    fn check(&self, batch: &RecordBatch, splits: &SplitAssignment) -> Result<()> {
        let rows = batch.num_rows();
        if splits.len() != rows {
            return Err(Error::new(
                ErrorKind::Sink,
                format!(
                    "splits are assigned to {} rows but the batch has {rows}",
                    splits.len()
                ),
            ));
        }
        if u32::try_from(rows).is_err() {
            return Err(Error::new(
                ErrorKind::Sink,
                format!("a batch of {rows} rows is too long"),
            ));
        }
        if batch.num_columns() != self.schema.fields().len() {
            return Err(Error::new(
                ErrorKind::Schema,
                format!(
                    "the batch has {} columns, the output {}",
                    batch.num_columns(),
                    self.schema.fields().len()
                ),
            ));
        }
        for (field, column) in self.schema.fields().iter().zip(batch.columns()) {
            if !column.data_type().equals_datatype(field.data_type()) {
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!(
                        "output column {:?} is {} in the batch, {} in the schema",
                        field.name(),
                        column.data_type(),
                        field.data_type()
                    ),
                ));
            }
            // The Parquet writer would lose the row without a word.
            if !field.is_nullable() && column.logical_null_count() > 0 {
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!(
                        "output column {:?} has {} nulls but allows none",
                        field.name(),
                        column.logical_null_count()
                    ),
                ));
            }
        }
        Ok(())
    }
}

impl Output {
    fn write_chunk(
        &mut self,
        directory: &OutputDir,
        layout: &Arc<Layout>,
        unit: usize,
    ) -> Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let file = directory.shard(self.split, unit)?;
                let name = file.name().to_owned();
                self.writer
                    .insert(ShardWriter::try_new(file, name, layout)?)
            }
        };
        let (rows, long_bytes) = self.chunk.take()?;
        writer.write(rows, long_bytes)
    }

    fn memory_bytes(&self) -> usize {
        self.chunk.memory_bytes() + self.writer.as_ref().map_or(0, ShardWriter::memory_bytes)
    }
}

/// The schema without its metadata, which says where rows came from and is not part of what they are.
fn plain(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().clone()))
}

/// Completes one shard and hands it over.
fn publish(writer: ShardWriter<PendingFile>, split: Split, unit: usize) -> Result<ShardEntry> {
    let (file, digest) = writer.close()?;
    let path = file.name().to_owned();
    file.publish()?;
    Ok(ShardEntry {
        path,
        split,
        unit,
        rows: digest.rows,
        bytes: digest.bytes,
        crc32c: digest.crc32c,
    })
}
