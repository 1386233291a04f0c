//! The border between vocabularies and the disk: what a fit asks for when its categories outgrow memory.
//!
//! Owns the contracts and the in-memory table. Must not know where rows go, how they are stored there, or who limits memory.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, LargeStringArray, RecordBatch,
};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, SchemaRef};

/// Batches of a table, in order. After an error there are no more.
pub type TableBatches = Box<dyn Iterator<Item = Result<RecordBatch, StoreError>> + Send>;

/// Rows of categories that can be read from the start any number of times, also by several readers at once.
///
/// Every reading gives the same rows in the same order; how they are cut into batches may differ. A batch may be empty.
/// Implementations hold a bounded number of batches in memory per reader, and give up what they keep on disk when they are
/// dropped, if it was theirs.
pub trait CategoryTable: fmt::Debug + Send + Sync {
    /// Columns of every batch.
    fn schema(&self) -> SchemaRef;

    /// Number of rows.
    fn rows(&self) -> u64;

    /// Reads from the first row.
    ///
    /// # Errors
    /// When the rows cannot be opened; reading on may fail with any batch.
    fn read(&self) -> Result<TableBatches, StoreError>;
}

/// Where the categories of a fit go when they do not fit in memory, and who says how much memory that is.
///
/// Shared by all workers of a fit. What is written is opaque to a store: batches of up to a few thousand rows of distinct
/// sorted categories and their counts, which must come back unchanged or not at all.
pub trait CategoryStore: fmt::Debug + Send + Sync {
    /// Begins a table of rows of `schema`, which has a non-null column of texts, 64-bit integers or 64-bit floats and one
    /// of counts.
    ///
    /// # Errors
    /// When there is no room for it.
    fn begin(&self, schema: &SchemaRef) -> Result<Box<dyn TableWriter>, StoreError>;

    /// Reserves memory for something about to be made. The bytes are held until the reservation is dropped.
    ///
    /// # Errors
    /// When there is not as much memory; the fit then ends with this error.
    fn reserve(&self, bytes: usize) -> Result<Box<dyn Reservation>, StoreError>;
}

/// A table being written. Dropped unfinished, it leaves nothing behind.
pub trait TableWriter: Send {
    /// Appends rows.
    ///
    /// # Errors
    /// When they cannot be kept; the table is not to be continued then.
    fn write(&mut self, rows: &RecordBatch) -> Result<(), StoreError>;

    /// Ends the table.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn finish(self: Box<Self>) -> Result<Arc<dyn CategoryTable>, StoreError>;
}

/// Memory that was granted, until it is dropped.
pub trait Reservation: fmt::Debug + Send + Sync {}

/// A store, or a table of its, that failed. The source says how.
#[derive(Debug, Clone, thiserror::Error)]
#[error("categories cannot be kept or read back: {source}")]
pub struct StoreError {
    source: Arc<dyn Error + Send + Sync>,
}

impl StoreError {
    /// The failure `source` of a store.
    #[must_use]
    pub fn new(source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            source: Arc::new(source),
        }
    }

    /// What failed, for those who know the store.
    #[must_use]
    pub fn failure(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.source.as_ref()
    }
}

impl PartialEq for StoreError {
    /// Only clones of one failure are equal.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
    }
}

/// A table in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryTable(RecordBatch);

impl MemoryTable {
    /// The rows of `batch`.
    #[must_use]
    pub fn new(batch: RecordBatch) -> Self {
        Self(batch)
    }
}

/// Rows of a batch of a table. A table is cut into batches of exactly so many, wherever it is kept, so that a file made
/// of it does not depend on that; for the same reason only columns with nulls have a mask of nulls.
pub(crate) const TABLE_ROWS: usize = 8192;

impl CategoryTable for MemoryTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn rows(&self) -> u64 {
        self.0.num_rows() as u64
    }

    fn read(&self) -> Result<TableBatches, StoreError> {
        let batch = self.0.clone();
        let rows = batch.num_rows();
        let starts = (0..rows).step_by(TABLE_ROWS);
        Ok(Box::new(starts.map(move |start| {
            without_idle_masks(&batch.slice(start, TABLE_ROWS.min(rows - start)))
        })))
    }
}

/// The same rows, where a mask that hides no row is gone: encoders write other bytes when they see one.
pub(crate) fn without_idle_masks(batch: &RecordBatch) -> Result<RecordBatch, StoreError> {
    let columns = batch.columns().iter().map(|column| {
        if column.nulls().is_none_or(|nulls| nulls.null_count() > 0) {
            return Arc::clone(column);
        }
        if let Some(texts) = column.as_string_opt::<i64>() {
            let texts = (0..texts.len()).map(|row| texts.value(row));
            Arc::new(LargeStringArray::from_iter_values(texts)) as ArrayRef
        } else if let Some(ints) = column.as_primitive_opt::<Int64Type>() {
            Arc::new(Int64Array::new(ints.values().clone(), None))
        } else if let Some(floats) = column.as_primitive_opt::<Float64Type>() {
            Arc::new(Float64Array::new(floats.values().clone(), None))
        } else if let Some(ids) = column.as_primitive_opt::<Int32Type>() {
            Arc::new(Int32Array::new(ids.values().clone(), None))
        } else {
            Arc::clone(column)
        }
    });
    RecordBatch::try_new(batch.schema(), columns.collect()).map_err(StoreError::new)
}
