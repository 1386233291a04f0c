//! A run of rows that outlives the process. Owns the pairing of a file that is always written with a copy in memory that is
//! kept as long as the budget grants it; when a segment is durable, and what is remembered of it, is the caller's affair.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::batch_size::BatchMeasure;
use crate::budget::MemoryBudget;
use crate::error::SpillError;
use crate::lease::Lease;
use crate::ledger::Pressure;
use crate::pond::{MemoryPart, Part, Replay};
use crate::reservoir::COLUMN_OVERHEAD_BYTES;
use crate::row_group::Texts;
use crate::seen_texts::SeenTexts;
use crate::spill_dir::SpillDir;
use crate::spill_file::{KeptFile, SpillFile};
use crate::spill_writer::SpillWriter;

/// A segment being written to a [lasting](SpillDir::lasting) directory. Dropped unfinished, it removes its file.
pub struct SegmentWriter {
    writer: SpillWriter,
    schema: SchemaRef,
    copy: Copy,
}

/// The rows so far in memory, as long as there is room for all of them.
struct Copy {
    budget: MemoryBudget,
    /// What all leases together may come to for a copy to grow. The rest is for rows on their way to a file: texts repeat the more
    /// the larger its row groups are, and reading a file that was just written back costs little.
    most_leased: usize,
    kept: Option<Kept>,
}

struct Kept {
    batches: Vec<RecordBatch>,
    measure: BatchMeasure,
    lease: Lease,
}

impl Copy {
    fn new(budget: &MemoryBudget) -> Self {
        Self {
            budget: budget.clone(),
            most_leased: budget.shares().leased_bytes / 2,
            kept: Some(Kept {
                batches: Vec::new(),
                measure: BatchMeasure::new(),
                lease: budget.lease_regardless("reservoir", 0),
            }),
        }
    }

    fn add(&mut self, rows: &[RecordBatch]) {
        if self.budget.pressure() == Pressure::Critical {
            self.kept = None;
        }
        for batch in rows {
            let Some(mut kept) = self.kept.take() else {
                return;
            };
            let overhead = batch.num_columns() * COLUMN_OVERHEAD_BYTES;
            let bytes = kept.measure.add(batch).saturating_add(overhead);
            let leased = self.budget.usage().leased_bytes.saturating_add(bytes);
            if leased <= self.most_leased && kept.lease.try_grow(bytes).is_ok() {
                kept.batches.push(batch.clone());
                self.kept = Some(kept);
            }
        }
    }
}

impl SegmentWriter {
    /// Begins the file `name` of `dir` for rows of `schema`, which has at least one column. `seen` is shared by the segments of one
    /// table.
    ///
    /// # Errors
    /// [`SpillError::UnsupportedType`] as for [`check_spillable`](crate::check_spillable); [`SpillError::Io`], also when
    /// the file is there already; [`SpillError::QuotaExceeded`].
    pub fn create(
        dir: &Arc<SpillDir>,
        name: &str,
        schema: &SchemaRef,
        budget: &MemoryBudget,
        seen: &SeenTexts,
    ) -> Result<Self, SpillError> {
        let texts = Texts::Interned(seen.clone());
        Ok(Self {
            writer: SpillWriter::create_named(dir, name, schema, budget, &texts)?,
            schema: Arc::clone(schema),
            copy: Copy::new(budget),
        })
    }

    /// Appends the rows of `batch`, which has the columns of the segment, and returns those that have gone to the file since, in the
    /// form and order in which [`Segment::replay`] gives them back. Blocks while it writes.
    ///
    /// # Errors
    /// [`SpillError::Arrow`] when the columns differ; [`SpillError::Io`] and [`SpillError::QuotaExceeded`], after which the
    /// segment is of no use.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<Vec<RecordBatch>, SpillError> {
        if batch.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), batch.columns().to_vec())
            .map_err(SpillError::arrow("keep a batch"))?;
        let settled = self.writer.take_in(&batch)?;
        self.copy.add(&settled);
        Ok(settled)
    }

    /// Ends the file. It is not durable yet, and is removed with the segment unless [kept](Segment::keep). The rows are those that
    /// [`push`](Self::push) has not returned.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub fn finish(mut self) -> Result<(Segment, Vec<RecordBatch>), SpillError> {
        let (file, settled) = self.writer.finish_with_rows()?;
        self.copy.add(&settled);
        let kept = self.copy.kept;
        let memory = kept.map(|kept| Arc::new(MemoryPart::new(kept.batches, kept.lease)));
        let segment = Segment {
            schema: self.schema,
            memory,
            file,
        };
        Ok((segment, settled))
    }
}

/// A finished segment.
pub struct Segment {
    schema: SchemaRef,
    memory: Option<Arc<MemoryPart>>,
    file: SpillFile,
}

impl Segment {
    /// Takes over the file `name` of `dir` that an earlier process wrote with rows of `schema`, and kept. Reads it once.
    ///
    /// # Errors
    /// [`SpillError::Missing`], [`SpillError::Corrupt`] when it is not as `known`, [`SpillError::Io`].
    pub fn adopt(
        dir: &Arc<SpillDir>,
        name: &str,
        schema: &SchemaRef,
        known: KeptFile,
        budget: &MemoryBudget,
    ) -> Result<Self, SpillError> {
        Ok(Self {
            schema: Arc::clone(schema),
            memory: None,
            file: SpillFile::adopt(dir, name, schema, known, budget)?,
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.file.rows()
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What a later process has to know to [adopt](Self::adopt) the file.
    pub fn known(&self) -> KeptFile {
        self.file.known()
    }

    /// The file stays when this value and all its readers are gone, until somebody removes it.
    pub fn keep(&self) {
        self.file.keep();
    }

    /// Iterates the rows as [`Pond::replay`](crate::Pond::replay) does; texts that were interned are dictionaries.
    ///
    /// # Errors
    /// As there.
    pub fn replay(
        &self,
        projection: Option<&[usize]>,
        batch_rows: usize,
    ) -> Result<Replay, SpillError> {
        Replay::try_new(&self.schema, projection, batch_rows, [self.part()])
    }

    fn part(&self) -> Part {
        match &self.memory {
            Some(memory) => Part::Both(Arc::clone(memory), self.file.clone()),
            None => Part::File(self.file.clone()),
        }
    }

    pub(crate) fn into_part(self) -> Part {
        self.part()
    }
}

#[cfg(test)]
mod tests;
