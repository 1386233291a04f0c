//! A vocabulary in a store, and the side table made of it.
//!
//! Owns the missing value, which runs do not have, and the cut of tables into batches. Must not know what ids mean.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, UInt64Array, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{MAX_CATEGORIES, SavedVocabulary};
use crate::category::frequency::CountHistogram;
use crate::category::runs::{MergedRun, stored_type};
use crate::category::store::{
    CategoryTable, StoreError, TABLE_ROWS, TableBatches, without_idle_masks,
};
use crate::category::{CategoryError, CategoryKind};

/// Values and counts of a vocabulary that is too large for memory. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct CountedRun {
    run: Arc<MergedRun>,
    missing: u64,
    rows: u64,
    categories: usize,
}

impl CountedRun {
    /// `missing` of `rows` rows are missing values, which the run does not have.
    ///
    /// # Errors
    /// More categories than can be numbered.
    pub(crate) fn try_new(run: MergedRun, missing: u64, rows: u64) -> Result<Self, CategoryError> {
        let categories = usize::try_from(run.counts.categories()).unwrap_or(usize::MAX);
        let categories = categories.saturating_add(usize::from(missing > 0));
        if categories > MAX_CATEGORIES {
            return Err(CategoryError::TooManyCategories {
                categories,
                limit: MAX_CATEGORIES,
            });
        }
        Ok(Self {
            run: Arc::new(run),
            missing,
            rows,
            categories,
        })
    }

    pub(crate) fn kind(&self) -> CategoryKind {
        self.run.kind
    }

    /// Rows the counts were made from, missing values included.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows whose value is missing.
    pub(crate) fn missing(&self) -> u64 {
        self.missing
    }

    /// Number of categories, the missing one included.
    pub(crate) fn len(&self) -> usize {
        self.categories
    }

    /// How often the categories occur, all but the missing one.
    pub(crate) fn histogram(&self) -> &CountHistogram {
        &self.run.counts
    }

    /// Values and counts in order, without the missing value.
    pub(crate) fn read(
        &self,
    ) -> Result<
        impl Iterator<Item = Result<(ArrayRef, UInt64Array), CategoryError>> + Send + use<>,
        CategoryError,
    > {
        self.run.read()
    }

    /// What goes into JSON.
    pub(crate) fn to_saved(&self) -> SavedVocabulary {
        SavedVocabulary::outline(self.run.kind, self.rows, self.categories)
    }
}

/// The ids of a vocabulary, category by category.
pub(crate) trait Ids: fmt::Debug + Send + Sync {
    /// Begins with the first category.
    fn begin(&self) -> Box<dyn NextId>;
}

/// The ids of the categories that follow.
pub(crate) trait NextId: Send {
    /// The id of the next category, which occurs `count` times.
    fn next(&mut self, count: u64) -> i32;

    /// The id of the missing value, asked for after all others; None if it stays missing.
    fn missing(&mut self) -> Option<i32>;
}

/// The side table of a stored vocabulary: columns `category` (null for the missing value, which is last) and `count`, and
/// `id` where there are ids. It is computed anew at every reading.
#[derive(Debug)]
pub(crate) struct StoredTable {
    run: CountedRun,
    ids: Option<Arc<dyn Ids>>,
    schema: SchemaRef,
}

impl StoredTable {
    pub(crate) fn new(run: CountedRun, ids: Option<Arc<dyn Ids>>) -> Self {
        let mut fields = vec![
            Field::new("category", stored_type(run.kind()), true),
            Field::new("count", DataType::UInt64, false),
        ];
        if ids.is_some() {
            fields.push(Field::new("id", DataType::Int32, true));
        }
        Self {
            run,
            ids,
            schema: Arc::new(Schema::new(fields)),
        }
    }
}

impl CategoryTable for StoredTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn rows(&self) -> u64 {
        self.run.len() as u64
    }

    fn read(&self) -> Result<TableBatches, StoreError> {
        let mut parts = self.run.read().map_err(store_error)?;
        let mut ids = self.ids.as_ref().map(|ids| ids.begin());
        let schema = Arc::clone(&self.schema);
        let mut last = missing_row(&self.run);
        let rows = std::iter::from_fn(move || {
            let part = match parts.next() {
                Some(Ok((values, counts))) => {
                    let ids = ids.as_mut().map(|ids| {
                        let next = counts.values().iter().map(|count| ids.next(*count));
                        Arc::new(Int32Array::from_iter_values(next)) as ArrayRef
                    });
                    (values, counts, ids)
                }
                Some(Err(error)) => return Some(Err(store_error(error))),
                None => {
                    let (values, counts) = last.take()?;
                    let ids = ids
                        .as_mut()
                        .map(|ids| Arc::new(Int32Array::from(vec![ids.missing()])) as ArrayRef);
                    (values, counts, ids)
                }
            };
            let (values, counts, ids) = part;
            let columns = [values, Arc::new(counts) as ArrayRef]
                .into_iter()
                .chain(ids);
            let batch = RecordBatch::try_new(Arc::clone(&schema), columns.collect());
            Some(batch.map_err(StoreError::new))
        });
        Ok(Box::new(Rechunked {
            batches: rows,
            schema: Arc::clone(&self.schema),
            waiting: Vec::new(),
            waiting_rows: 0,
        }))
    }
}

/// The row of the missing value, if there is one.
fn missing_row(run: &CountedRun) -> Option<(ArrayRef, UInt64Array)> {
    (run.missing() > 0).then(|| {
        (
            new_null_array(&stored_type(run.kind()), 1),
            UInt64Array::from(vec![run.missing()]),
        )
    })
}

fn store_error(error: CategoryError) -> StoreError {
    match error {
        CategoryError::Store(error) => error,
        other => StoreError::new(other),
    }
}

/// Rows cut into batches of exactly [`TABLE_ROWS`] but the last.
struct Rechunked<I> {
    batches: I,
    schema: SchemaRef,
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
}

impl<I: Iterator<Item = Result<RecordBatch, StoreError>>> Rechunked<I> {
    fn cut(&mut self) -> Result<RecordBatch, StoreError> {
        let whole = match self.waiting.as_slice() {
            [only] => only.clone(),
            several => concat_batches(&self.schema, several).map_err(StoreError::new)?,
        };
        let rows = TABLE_ROWS.min(whole.num_rows());
        self.waiting.clear();
        self.waiting_rows = whole.num_rows() - rows;
        if self.waiting_rows > 0 {
            self.waiting.push(whole.slice(rows, self.waiting_rows));
        }
        without_idle_masks(&whole.slice(0, rows))
    }
}

impl<I: Iterator<Item = Result<RecordBatch, StoreError>>> Iterator for Rechunked<I> {
    type Item = Result<RecordBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.waiting_rows < TABLE_ROWS {
            match self.batches.next() {
                Some(Ok(batch)) => {
                    self.waiting_rows += batch.num_rows();
                    if batch.num_rows() > 0 {
                        self.waiting.push(batch);
                    }
                }
                Some(Err(error)) => return Some(Err(error)),
                None if self.waiting_rows == 0 => return None,
                None => break,
            }
        }
        Some(self.cut())
    }
}
