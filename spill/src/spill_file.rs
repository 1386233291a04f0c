//! A finished spill file. Owns what is known about it and its life on disk; decoding belongs to the reader.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::budget::MemoryBudget;
use crate::carrier::Carrier;
use crate::checked_file::{CheckedFile, Seal};
use crate::error::SpillError;
use crate::spill_dir::{FileSlot, SpillDir};
use crate::spill_reader::SpillReader;
use crate::spill_writer::SpillPages;

/// Rows on disk, readable any number of times. The file is removed when the last clone and the last reader are gone.
#[derive(Clone)]
pub struct SpillFile {
    slot: Arc<FileSlot>,
    seal: Seal,
    carrier: Carrier,
    facts: FileFacts,
    budget: MemoryBudget,
}

/// What is written down about a file that is to be read by a later process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptFile {
    /// Number of rows.
    pub rows: u64,
    /// Size on disk in bytes.
    pub bytes: u64,
    /// Checksum of its content (CRC-32C over the CRC-32C of its blocks of 16 KiB).
    pub digest: u32,
}

/// What the writer counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileFacts {
    pub(crate) rows: u64,
    pub(crate) batches: u64,
    pub(crate) pages: SpillPages,
}

impl SpillFile {
    pub(crate) fn new(
        slot: Arc<FileSlot>,
        seal: Seal,
        carrier: Carrier,
        facts: FileFacts,
        budget: MemoryBudget,
    ) -> Self {
        Self {
            slot,
            seal,
            carrier,
            facts,
            budget,
        }
    }

    /// The file `name` of `dir`, which an earlier process wrote and kept, with `rows` rows of `schema`. Reads it once.
    pub(crate) fn adopt(
        dir: &Arc<SpillDir>,
        name: &str,
        schema: &SchemaRef,
        known: KeptFile,
        budget: &MemoryBudget,
    ) -> Result<Self, SpillError> {
        let slot = dir.adopt_named(name, known.bytes);
        let seal = Seal::of_file(slot.path(), known.bytes, known.digest)?;
        let facts = FileFacts {
            rows: known.rows,
            batches: 0,
            pages: SpillPages::default(),
        };
        let carrier = Carrier::new(schema)?;
        Ok(Self::new(slot, seal, carrier, facts, budget.clone()))
    }

    /// The file outlives this value and the process.
    pub(crate) fn keep(&self) {
        self.slot.keep();
    }

    /// What has to be known to adopt the file later.
    pub(crate) fn known(&self) -> KeptFile {
        KeptFile {
            rows: self.rows(),
            bytes: self.bytes(),
            digest: self.seal.digest(),
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.slot.path()
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.facts.rows
    }

    /// Number of batches that were written; what is read may be cut differently.
    pub fn batches(&self) -> u64 {
        self.facts.batches
    }

    /// Size on disk in bytes.
    pub fn bytes(&self) -> u64 {
        self.seal.len()
    }

    /// Reads the rows in the order they were written, in batches of at most `batch_rows` rows. `projection` lists columns
    /// by index, in any order, repeats allowed; `None` is all. Columns that are not asked for are not read from disk.
    ///
    /// # Errors
    /// [`SpillError::Missing`], [`SpillError::Corrupt`] or [`SpillError::Io`] when the file cannot be opened;
    /// [`SpillError::ProjectionOutOfRange`]; [`SpillError::ZeroBatchRows`]. The same file errors can come with any
    /// batch; no batch is ever made from changed bytes.
    pub fn read(
        &self,
        projection: Option<&[usize]>,
        batch_rows: usize,
    ) -> Result<SpillReader, SpillError> {
        let file = CheckedFile::open(&self.slot, &self.seal)?;
        let columns = self.carrier.file_schema().fields().len();
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
        SpillReader::open(
            file,
            &self.carrier,
            &indices,
            batch_rows,
            self.facts,
            &self.budget,
        )
    }
}

impl std::fmt::Debug for SpillFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpillFile")
            .field("path", &self.path())
            .field("rows", &self.rows())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
