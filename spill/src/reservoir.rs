//! Keeps the batches of one work unit until they are needed again. Owns the decision between memory and disk; measuring,
//! leasing and encoding are done by the modules named after them.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};

use crate::batch_size::BatchMeasure;
use crate::budget::MemoryBudget;
use crate::compact::compact_if_wasteful;
use crate::error::SpillError;
use crate::lease::Lease;
use crate::ledger::Pressure;
use crate::pond::{MemoryPart, Part, Pond};
use crate::spill_dir::SpillDir;
use crate::spill_file::SpillFile;
use crate::spill_writer::{SpillCompression, SpillPages, SpillWriter};

/// Counted per column of a batch in memory for what is around its buffers (array headers, pointers, our own notes).
pub(crate) const COLUMN_OVERHEAD_BYTES: usize = 256;

/// Keeps batches in arrival order: in memory while the budget grants a lease, on disk from the first refusal on.
///
/// ```text
///   push ->  [ head file ] [ memory ......... ] [ tail file ..... ]
///             only after     leased               from the first
///             a late shed                         refusal on
/// ```
///
/// What is in memory when the budget first says no stays there; [`shed`](Self::shed) moves it to disk too, and
/// [`push`](Self::push) does that by itself while the pressure is [`Pressure::Critical`].
pub struct Reservoir {
    schema: SchemaRef,
    budget: MemoryBudget,
    dir: Arc<SpillDir>,
    compression: SpillCompression,
    head: Option<SpillFile>,
    memory: Vec<RecordBatch>,
    measure: BatchMeasure,
    lease: Lease,
    tail: Option<SpillWriter>,
    rows: u64,
}

/// Options of a [`Reservoir`].
pub struct ReservoirBuilder {
    schema: SchemaRef,
    budget: MemoryBudget,
    dir: Arc<SpillDir>,
    compression: SpillCompression,
}

impl ReservoirBuilder {
    /// A reservoir for batches of `schema` with default options.
    pub fn new(schema: SchemaRef, budget: MemoryBudget, dir: Arc<SpillDir>) -> Self {
        Self {
            schema,
            budget,
            dir,
            compression: SpillCompression::default(),
        }
    }

    /// How spilled pages are compressed; LZ4 by default.
    #[must_use]
    pub fn compression(mut self, compression: SpillCompression) -> Self {
        self.compression = compression;
        self
    }

    /// The empty reservoir.
    pub fn build(self) -> Reservoir {
        Reservoir {
            lease: self.budget.lease_regardless("reservoir", 0),
            schema: self.schema,
            budget: self.budget,
            dir: self.dir,
            compression: self.compression,
            head: None,
            memory: Vec::new(),
            measure: BatchMeasure::new(),
            tail: None,
            rows: 0,
        }
    }
}

impl Reservoir {
    /// An empty reservoir with default options. Whether `schema` can be spilled at all is found out at the first spill;
    /// [`check_spillable`](crate::check_spillable) tells before.
    pub fn new(schema: SchemaRef, budget: MemoryBudget, dir: Arc<SpillDir>) -> Self {
        ReservoirBuilder::new(schema, budget, dir).build()
    }

    /// Rows pushed so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes leased for batches in memory.
    pub fn memory_bytes(&self) -> usize {
        self.lease.bytes()
    }

    /// Adds a batch behind all others. A batch that keeps more than twice its own bytes alive is copied first. Batches
    /// without rows are dropped. Blocks while it writes; the caller still counts `batch` in flight until this returns.
    ///
    /// # Errors
    /// [`SpillError::SchemaMismatch`] when names or types differ from the reservoir's (the reservoir stays usable);
    /// [`SpillError::UnsupportedType`], [`SpillError::Io`], [`SpillError::QuotaExceeded`] when it must spill and cannot.
    pub fn push(&mut self, batch: RecordBatch) -> Result<(), SpillError> {
        let batch = self.conform(batch)?;
        let rows = batch.num_rows() as u64;
        if rows > 0 && batch.num_columns() > 0 {
            let floor = self.budget.shares().floor_bytes;
            if self.lease.bytes() > floor && self.budget.pressure() == Pressure::Critical {
                self.shed()?;
            }
            self.place(batch)?;
        }
        self.rows += rows;
        Ok(())
    }

    /// Moves everything that is in memory to disk and returns the bytes that were freed. Order is kept.
    ///
    /// # Errors
    /// As for [`push`](Self::push); what was in memory is still there then.
    pub fn shed(&mut self) -> Result<usize, SpillError> {
        if self.memory.is_empty() {
            return Ok(0);
        }
        let mut writer = self.new_writer()?;
        for batch in &self.memory {
            writer.write(batch)?;
        }
        // Without a tail the new file can go on growing; otherwise it belongs before the tail.
        if self.tail.is_none() {
            self.tail = Some(writer);
        } else {
            self.head = Some(writer.finish()?);
        }
        self.memory = Vec::new();
        self.measure = BatchMeasure::new();
        let freed = self.lease.bytes();
        self.lease.shrink(freed);
        Ok(freed)
    }

    /// Ends the unit. The rows can be replayed from now on.
    ///
    /// # Errors
    /// As for [`push`](Self::push).
    pub fn finish(self) -> Result<Pond, SpillError> {
        let mut parts = Vec::new();
        parts.extend(self.head.map(Part::File));
        if !self.memory.is_empty() {
            parts.push(Part::Memory(Arc::new(MemoryPart::new(
                self.memory,
                self.lease,
            ))));
        }
        if let Some(tail) = self.tail {
            parts.push(Part::File(tail.finish()?));
        }
        if self.schema.fields().is_empty() {
            parts.push(Part::Rows(self.rows));
        }
        Ok(Pond::new(
            self.schema,
            self.rows,
            parts,
            self.budget,
            self.dir,
            self.compression,
        ))
    }

    fn place(&mut self, batch: RecordBatch) -> Result<(), SpillError> {
        if let Some(tail) = &mut self.tail {
            return tail.write(&batch);
        }
        let batch = compact_if_wasteful(batch)?;
        let overhead = batch.num_columns() * COLUMN_OVERHEAD_BYTES;
        let bytes = self.measure.add(&batch).saturating_add(overhead);
        if self.lease.try_grow(bytes).is_ok() {
            self.memory.push(batch);
            return Ok(());
        }
        self.measure.undo();
        let mut tail = self.new_writer()?;
        let written = tail.write(&batch);
        // Kept also after a failure, so that a later push fails instead of leaving a hole in the order.
        self.tail = Some(tail);
        written
    }

    fn new_writer(&self) -> Result<SpillWriter, SpillError> {
        SpillWriter::create(
            &self.dir,
            &self.schema,
            &self.budget,
            self.compression,
            SpillPages::Large,
        )
    }

    /// The batch under the schema of the reservoir.
    fn conform(&self, batch: RecordBatch) -> Result<RecordBatch, SpillError> {
        if batch.schema_ref() == &self.schema {
            return Ok(batch);
        }
        let found = batch.schema();
        let columns = |schema: &Schema| {
            let fields = schema.fields().iter();
            fields
                .map(|f| (f.name().clone(), f.data_type().clone()))
                .collect::<Vec<_>>()
        };
        let mismatch = || SpillError::SchemaMismatch {
            expected: describe(&self.schema),
            found: describe(&found),
        };
        if columns(&found) != columns(&self.schema) {
            return Err(mismatch());
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        // Fails when there are nulls in a column that must not have any.
        RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            batch.columns().to_vec(),
            &options,
        )
        .map_err(|_| mismatch())
    }
}

fn describe(schema: &Schema) -> String {
    let fields = schema.fields().iter().map(|field| {
        let null = if field.is_nullable() { "" } else { " not null" };
        format!("{} {}{null}", field.name(), field.data_type())
    });
    fields.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
