//! What a reservoir kept, ready to be replayed. Owns the order of the parts and the iteration over them; decoding a file
//! belongs to its reader.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use crate::budget::MemoryBudget;
use crate::error::SpillError;
use crate::lease::Lease;
use crate::segment::Segment;
use crate::spill_dir::SpillDir;
use crate::spill_file::SpillFile;
use crate::spill_reader::{SpillReader, rows_only};
use crate::spill_writer::{SpillCompression, SpillPages, SpillWriter};

/// Batches in memory and the lease for them.
pub(crate) struct MemoryPart {
    batches: Vec<RecordBatch>,
    lease: Lease,
}

impl MemoryPart {
    pub(crate) fn new(batches: Vec<RecordBatch>, lease: Lease) -> Self {
        Self { batches, lease }
    }
}

/// A run of consecutive rows.
#[derive(Clone)]
pub(crate) enum Part {
    Memory(Arc<MemoryPart>),
    File(SpillFile),
    /// On disk, and in memory as long as there is room.
    Both(Arc<MemoryPart>, SpillFile),
    /// Rows without columns.
    Rows(u64),
}

/// All rows of a finished reservoir. Holds its leases and files until it and its replays are gone.
pub struct Pond {
    schema: SchemaRef,
    rows: u64,
    parts: Vec<Part>,
    budget: MemoryBudget,
    dir: Arc<SpillDir>,
    compression: SpillCompression,
}

impl Pond {
    pub(crate) fn new(
        schema: SchemaRef,
        rows: u64,
        parts: Vec<Part>,
        budget: MemoryBudget,
        dir: Arc<SpillDir>,
        compression: SpillCompression,
    ) -> Self {
        Self {
            schema,
            rows,
            parts,
            budget,
            dir,
            compression,
        }
    }

    /// The rows of `segments`, one behind the other.
    pub fn of_segments(
        schema: SchemaRef,
        segments: impl IntoIterator<Item = Segment>,
        budget: MemoryBudget,
        dir: Arc<SpillDir>,
    ) -> Self {
        let mut rows = 0;
        let mut parts = Vec::new();
        for segment in segments {
            rows += segment.rows();
            parts.push(segment.into_part());
        }
        Self::new(
            schema,
            rows,
            parts,
            budget,
            dir,
            SpillCompression::default(),
        )
    }

    /// The schema of the rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes on disk.
    pub fn spilled_bytes(&self) -> u64 {
        let files = self.parts.iter().filter_map(|part| match part {
            Part::File(file) | Part::Both(_, file) => Some(file.bytes()),
            Part::Memory(_) | Part::Rows(_) => None,
        });
        files.sum()
    }

    /// Where the rows on disk are, in row order.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().filter_map(|part| match part {
            Part::File(file) | Part::Both(_, file) => Some(file.path()),
            Part::Memory(_) | Part::Rows(_) => None,
        })
    }

    /// Bytes leased for batches in memory.
    pub fn memory_bytes(&self) -> usize {
        let memory = self.parts.iter().filter_map(|part| match part {
            Part::Memory(memory) | Part::Both(memory, _) => Some(memory.lease.bytes()),
            Part::File(_) | Part::Rows(_) => None,
        });
        memory.sum()
    }

    /// Iterates all rows in arrival order, in batches of 1 to `batch_rows` rows. `projection` lists columns by index, in
    /// any order, repeats allowed; `None` is all and an empty list only counts rows. Can be called again, also while
    /// another replay runs, and the replay may outlive the pond.
    ///
    /// Values come back as they went in: nulls, the bits of NaN, nested values and the type of dictionaries (not the order of their
    /// entries). Plain texts of a [segment](crate::Segment) may come back as dictionaries with 32-bit keys, in some batches or in all.
    /// Batches from memory share their buffers with the pond.
    ///
    /// # Errors
    /// [`SpillError::ProjectionOutOfRange`] and [`SpillError::ZeroBatchRows`] at once; [`SpillError::Missing`],
    /// [`SpillError::Corrupt`] or [`SpillError::Io`] as an item when a file has been tampered with, after which the
    /// iteration ends.
    pub fn replay(
        &self,
        projection: Option<&[usize]>,
        batch_rows: usize,
    ) -> Result<Replay, SpillError> {
        Replay::try_new(&self.schema, projection, batch_rows, self.parts.clone())
    }

    /// Moves what is in memory to disk and returns the bytes freed. A replay that runs keeps its batches until it ends.
    ///
    /// # Errors
    /// [`SpillError::UnsupportedType`], [`SpillError::Io`], [`SpillError::QuotaExceeded`]; the pond is unchanged then.
    pub fn shed(&mut self) -> Result<usize, SpillError> {
        let mut freed = 0;
        for part in &mut self.parts {
            if let Part::Both(memory, file) = part {
                freed += memory.lease.bytes();
                *part = Part::File(file.clone());
                continue;
            }
            let Part::Memory(memory) = part else { continue };
            let mut writer = SpillWriter::create(
                &self.dir,
                &self.schema,
                &self.budget,
                self.compression,
                SpillPages::Large,
            )?;
            for batch in &memory.batches {
                writer.write(batch)?;
            }
            let file = writer.finish()?;
            freed += memory.lease.bytes();
            *part = Part::File(file);
        }
        Ok(freed)
    }
}

/// Iterates over the rows of a [`Pond`]. Made by [`Pond::replay`].
pub struct Replay {
    schema: SchemaRef,
    indices: Vec<usize>,
    batch_rows: usize,
    parts: VecDeque<Part>,
    current: Current,
}

enum Current {
    Nothing,
    Memory {
        part: Arc<MemoryPart>,
        batch: usize,
        row: usize,
    },
    File(Box<SpillReader>),
    Rows(u64),
}

impl Replay {
    /// Over `parts` with rows of `schema`; see [`Pond::replay`].
    pub(crate) fn try_new(
        schema: &Schema,
        projection: Option<&[usize]>,
        batch_rows: usize,
        parts: impl IntoIterator<Item = Part>,
    ) -> Result<Self, SpillError> {
        let columns = schema.fields().len();
        let indices = match projection {
            Some(indices) => indices.to_vec(),
            None => (0..columns).collect(),
        };
        if let Some(index) = indices.iter().copied().find(|i| *i >= columns) {
            return Err(SpillError::ProjectionOutOfRange { index, columns });
        }
        if batch_rows == 0 {
            return Err(SpillError::ZeroBatchRows);
        }
        let schema = schema.project(&indices);
        Ok(Self {
            schema: Arc::new(schema.map_err(SpillError::arrow("project a schema"))?),
            indices,
            batch_rows,
            parts: parts.into_iter().collect(),
            current: Current::Nothing,
        })
    }

    /// The schema of the batches, except that texts may be dictionaries; see [`Pond::replay`].
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>, SpillError> {
        loop {
            let item = match &mut self.current {
                Current::Nothing => None,
                Current::Memory { part, batch, row } => match part.batches.get(*batch) {
                    None => None,
                    Some(whole) => {
                        let rows = self.batch_rows.min(whole.num_rows() - *row);
                        let piece = whole.slice(*row, rows);
                        *row += rows;
                        if *row == whole.num_rows() {
                            (*batch, *row) = (*batch + 1, 0);
                        }
                        Some(
                            piece
                                .project(&self.indices)
                                .map_err(SpillError::arrow("project a batch")),
                        )
                    }
                },
                Current::File(reader) => reader.next(),
                Current::Rows(0) => None,
                Current::Rows(left) => {
                    let rows = (*left).min(self.batch_rows as u64);
                    *left -= rows;
                    Some(rows_only(&self.schema, rows))
                }
            };
            if item.is_some() {
                return item.transpose();
            }
            // Frees what the finished part held before the next one is opened.
            self.current = Current::Nothing;
            self.current = match self.parts.pop_front() {
                None => return Ok(None),
                Some(Part::Memory(part) | Part::Both(part, _)) => Current::Memory {
                    part,
                    batch: 0,
                    row: 0,
                },
                Some(Part::File(file)) => {
                    let reader = file.read(Some(&self.indices), self.batch_rows)?;
                    Current::File(Box::new(reader))
                }
                Some(Part::Rows(rows)) => Current::Rows(rows),
            };
        }
    }
}

impl Iterator for Replay {
    type Item = Result<RecordBatch, SpillError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.advance();
        if item.is_err() {
            self.parts.clear();
            self.current = Current::Nothing;
        }
        item.transpose()
    }
}
