//! The sink of rows that have no split: one Parquet file per work unit.
//!
//! Owns nothing but the choice of file; chunks and pages are made as for shards, so the bytes depend on the rows alone here too.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::chunk::Chunk;
use super::layout::Layout;
use super::shard::ShardWriter;
use super::{SinkSettings, plain};
use crate::error::{Error, ErrorKind, Result};
use crate::output_dir::{OutputDir, PendingFile};

/// Writes the rows of one work unit, in order, to `part-NNNNN.parquet`.
#[derive(Debug)]
pub(crate) struct PartSink {
    chunk: Chunk,
    rows: Vec<u32>,
    writer: ShardWriter<PendingFile>,
}

impl PartSink {
    /// Opens the file of unit `unit` for batches of `schema`.
    ///
    /// # Errors
    /// Sink or Disk when the file cannot be made.
    pub fn try_new(
        directory: &OutputDir,
        schema: &Schema,
        settings: &SinkSettings,
        unit: usize,
    ) -> Result<Self> {
        let schema = plain(schema);
        let layout = Arc::new(Layout::try_new(&schema, settings.compression)?);
        let file = directory.part(unit)?;
        let name = file.name().to_owned();
        Ok(Self {
            chunk: Chunk::new(&schema, layout.chunk_rows()),
            rows: Vec::new(),
            writer: ShardWriter::try_new(file, name, &layout)?,
        })
    }

    /// Appends all rows of `batch`.
    ///
    /// # Errors
    /// Sink or Disk when writing fails.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let rows = u32::try_from(batch.num_rows()).map_err(|_| {
            Error::new(
                ErrorKind::Sink,
                format!("a batch of {} rows is too long", batch.num_rows()),
            )
        })?;
        self.rows.clear();
        self.rows.extend(0..rows);
        let mut rest = self.rows.as_slice();
        while !rest.is_empty() {
            let taken = self.chunk.append(batch, rest)?;
            rest = rest.get(taken..).unwrap_or_default();
            if self.chunk.is_full() {
                write_chunk(&mut self.chunk, &mut self.writer)?;
            }
        }
        Ok(())
    }

    /// Completes the file.
    ///
    /// # Errors
    /// Sink or Disk when writing fails.
    pub fn finish(mut self) -> Result<()> {
        if !self.chunk.is_empty() {
            write_chunk(&mut self.chunk, &mut self.writer)?;
        }
        let (file, _) = self.writer.close()?;
        file.publish()
    }

    /// Memory held, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.chunk.memory_bytes() + self.writer.memory_bytes()
    }
}

fn write_chunk(chunk: &mut Chunk, writer: &mut ShardWriter<PendingFile>) -> Result<()> {
    let (rows, long_bytes) = chunk.take()?;
    writer.write(rows, long_bytes)
}
