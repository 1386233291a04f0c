//! Sorted runs of categories and counts: written when memory is short, merged exactly at the end.
//!
//! Owns the form of a run and the merge; must not know what the categories are for. A run has the columns `category`
//! (LargeUtf8, Int64 or Float64, distinct and rising) and `count`; missing values are never in it.

mod merge;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, LargeStringArray, RecordBatch, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};

use super::counts::SortedTexts;
use super::frequency::CountHistogram;
use super::store::{
    CategoryStore, CategoryTable, Reservation, StoreError, TABLE_ROWS, TableWriter,
};
use super::vocabulary::value_bytes;
use super::{CategoryError, CategoryKind};

/// Runs merged at a time; each holds a batch in memory. With more of them, merges are merged.
const FAN_IN: usize = 32;

/// Where the categories of one vocabulary go, and how large it may be in memory once it is fitted.
#[derive(Debug, Clone)]
pub(crate) struct VocabularyRoom {
    pub(crate) store: Arc<dyn CategoryStore>,
    /// Bytes of a fitted vocabulary above which only its codes are kept in memory.
    pub(crate) in_memory_bytes: usize,
    /// The same for a vocabulary that has spilled already.
    pub(crate) spilled_in_memory_bytes: usize,
}

/// Counts of distinct values that can leave memory and come back exactly.
pub(crate) trait Spillable {
    /// Hands what is in memory to the store.
    fn spill(&mut self, store: &dyn CategoryStore) -> Result<(), CategoryError>;

    /// Whether something was handed to the store.
    fn has_spilled(&self) -> bool;

    /// Bytes that spilling would free.
    fn spillable_bytes(&self) -> usize;
}

impl VocabularyRoom {
    /// Reserves memory for a fitted vocabulary.
    pub(crate) fn reserve(
        room: Option<&Self>,
        bytes: usize,
    ) -> Result<Option<Arc<dyn Reservation>>, CategoryError> {
        let granted = room.map(|room| room.store.reserve(bytes)).transpose()?;
        Ok(granted.map(Arc::from))
    }
}

/// The type of `category` in a run, and of the values of a vocabulary; booleans have no runs.
pub(crate) fn stored_type(kind: CategoryKind) -> DataType {
    match kind {
        CategoryKind::Bool => DataType::Boolean,
        CategoryKind::Int => DataType::Int64,
        CategoryKind::Float32 | CategoryKind::Float64 => DataType::Float64,
        CategoryKind::Text => DataType::LargeUtf8,
    }
}

fn run_schema(kind: CategoryKind) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("category", stored_type(kind), false),
        Field::new("count", DataType::UInt64, false),
    ]))
}

/// A run being written.
pub(crate) struct RunWriter {
    schema: SchemaRef,
    writer: Box<dyn TableWriter>,
}

impl RunWriter {
    pub(crate) fn begin(
        store: &dyn CategoryStore,
        kind: CategoryKind,
    ) -> Result<Self, CategoryError> {
        let schema = run_schema(kind);
        let writer = store.begin(&schema)?;
        Ok(Self { schema, writer })
    }

    /// Writes texts that rise.
    pub(super) fn texts(&mut self, sorted: &SortedTexts<'_>) -> Result<(), CategoryError> {
        for part in sorted.parts(TABLE_ROWS) {
            let values = LargeStringArray::from_iter_values(part.texts());
            self.write(Arc::new(values), part.counts())?;
        }
        Ok(())
    }

    /// Writes integers that rise.
    pub(super) fn ints(&mut self, sorted: &[(i64, u64)]) -> Result<(), CategoryError> {
        for part in sorted.chunks(TABLE_ROWS) {
            let values = Int64Array::from_iter_values(part.iter().map(|pair| pair.0));
            self.write(Arc::new(values), part.iter().map(|pair| pair.1))?;
        }
        Ok(())
    }

    /// Writes floats that rise.
    pub(crate) fn floats(&mut self, sorted: &[(f64, u64)]) -> Result<(), CategoryError> {
        for part in sorted.chunks(TABLE_ROWS) {
            let values = Float64Array::from_iter_values(part.iter().map(|pair| pair.0));
            self.write(Arc::new(values), part.iter().map(|pair| pair.1))?;
        }
        Ok(())
    }

    fn write(
        &mut self,
        values: ArrayRef,
        counts: impl Iterator<Item = u64>,
    ) -> Result<(), CategoryError> {
        let counts: UInt64Array = counts.map(Some).collect();
        self.write_columns(vec![values, Arc::new(counts)])
    }

    fn write_columns(&mut self, columns: Vec<ArrayRef>) -> Result<(), CategoryError> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| CategoryError::Store(StoreError::new(error)))?;
        Ok(self.writer.write(&batch)?)
    }

    pub(crate) fn finish(self) -> Result<Arc<dyn CategoryTable>, CategoryError> {
        Ok(self.writer.finish()?)
    }
}

/// All categories of a vocabulary but the missing one, in one run.
#[derive(Debug, Clone)]
pub(crate) struct MergedRun {
    pub(crate) kind: CategoryKind,
    pub(crate) table: Arc<dyn CategoryTable>,
    pub(crate) counts: CountHistogram,
    /// Bytes of the values, without their offsets.
    pub(crate) value_bytes: usize,
}

impl MergedRun {
    /// Makes one run of `runs`, the counts of a category in several of them added up.
    ///
    /// Memory: one batch per run for at most [`FAN_IN`] runs at a time.
    pub(crate) fn try_new(
        store: &dyn CategoryStore,
        kind: CategoryKind,
        mut runs: Vec<Arc<dyn CategoryTable>>,
    ) -> Result<Self, CategoryError> {
        while runs.len() > FAN_IN {
            // The oldest first: they are as short as the others, and merged ones go to the end.
            let rest = runs.split_off(FAN_IN);
            let merged = merge_runs(store, kind, &runs, &mut |_, _| {})?;
            runs = rest;
            runs.push(merged);
        }
        let mut counts = CountHistogram::default();
        let mut bytes = 0;
        let mut look = |values: &ArrayRef, of: &UInt64Array| {
            of.values().iter().for_each(|count| counts.add(*count));
            bytes += value_bytes(values);
        };
        let table = match runs.as_slice() {
            [only] => {
                for batch in only.read()? {
                    let (values, of) = run_columns(&batch?)?;
                    look(&values, &of);
                }
                Arc::clone(only)
            }
            several => merge_runs(store, kind, several, &mut look)?,
        };
        Ok(Self {
            kind,
            table,
            counts,
            value_bytes: bytes,
        })
    }

    /// Values and counts in order.
    pub(crate) fn read(
        &self,
    ) -> Result<
        impl Iterator<Item = Result<(ArrayRef, UInt64Array), CategoryError>> + Send + use<>,
        CategoryError,
    > {
        let batches = self.table.read()?;
        Ok(batches.map(|batch| run_columns(&batch?)))
    }
}

fn merge_runs(
    store: &dyn CategoryStore,
    kind: CategoryKind,
    runs: &[Arc<dyn CategoryTable>],
    look: &mut dyn FnMut(&ArrayRef, &UInt64Array),
) -> Result<Arc<dyn CategoryTable>, CategoryError> {
    let mut writer = RunWriter::begin(store, kind)?;
    merge::merge(kind, runs, &mut |values, counts| {
        look(&values, &counts);
        writer.write_columns(vec![values, Arc::new(counts)])
    })?;
    writer.finish()
}

/// The columns of a run, whose form the store must not have changed.
fn run_columns(batch: &RecordBatch) -> Result<(ArrayRef, UInt64Array), CategoryError> {
    let changed = || CategoryError::RunChanged {
        rows: batch.num_rows(),
    };
    let [values, counts] = batch.columns() else {
        return Err(changed());
    };
    let counts = counts
        .as_primitive_opt::<UInt64Type>()
        .ok_or_else(changed)?;
    if values.null_count() + counts.null_count() > 0 {
        return Err(changed());
    }
    Ok((Arc::clone(values), counts.clone()))
}
