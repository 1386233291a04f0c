//! A vocabulary in JSON or in a side table.
//!
//! Owns that format. Reading never trusts what it reads, and never holds more than it is allowed.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, UInt64Array};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, UInt64Type};
use serde::{Deserialize, Serialize};

use super::{INLINE_CATEGORIES, MAX_CATEGORIES, Vocabulary, value_bytes};
use crate::category::runs::stored_type;
use crate::category::store::{CategoryTable, TableBatches};
use crate::category::{Category, CategoryError, CategoryKind, InvalidParts};

/// A vocabulary as it stands in JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedVocabulary {
    /// The kind of values.
    values: CategoryKind,
    n_samples_seen_: u64,
    n_categories_: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    categories_: Option<Vec<Category>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counts_: Option<Vec<u64>>,
}

impl SavedVocabulary {
    /// Everything of a short vocabulary; of a long one, whose rest is in a side table, the outline.
    pub(crate) fn of(vocabulary: &Vocabulary) -> Self {
        let inline = vocabulary.len() <= INLINE_CATEGORIES;
        Self {
            categories_: inline.then(|| vocabulary.iter().map(|(category, _)| category).collect()),
            counts_: inline.then(|| vocabulary.counts().to_vec()),
            ..Self::outline(vocabulary.kind(), vocabulary.rows(), vocabulary.len())
        }
    }

    /// The outline of a vocabulary that is in a side table.
    pub(crate) fn outline(kind: CategoryKind, rows: u64, categories: usize) -> Self {
        Self {
            values: kind,
            n_samples_seen_: rows,
            n_categories_: categories,
            categories_: None,
            counts_: None,
        }
    }

    /// Number of categories announced.
    pub(crate) fn categories(&self) -> usize {
        self.n_categories_
    }

    /// Reads a vocabulary that is wholly in JSON. None if it is in a side table.
    pub(crate) fn listed(&self) -> Result<Option<Vocabulary>, InvalidParts> {
        let (categories, counts) = match (&self.categories_, &self.counts_) {
            (Some(categories), Some(counts)) => (categories, counts),
            (None, None) => return Ok(None),
            _ => return Err(InvalidParts::Table),
        };
        let rows = counts
            .iter()
            .try_fold(0_u64, |sum, count| sum.checked_add(*count));
        self.check_totals(categories.len(), rows)?;
        Vocabulary::from_categories(
            self.values,
            categories,
            counts.clone(),
            self.n_samples_seen_,
        )
        .map(Some)
    }

    fn check_totals(&self, listed: usize, rows: Option<u64>) -> Result<(), InvalidParts> {
        if listed == self.n_categories_ && rows == Some(self.n_samples_seen_) {
            return Ok(());
        }
        Err(InvalidParts::Totals {
            listed,
            expected: self.n_categories_,
            rows: self.n_samples_seen_,
        })
    }
}

/// A vocabulary in a side table, with its outline.
#[derive(Debug, Clone)]
pub(crate) struct TableVocabulary {
    pub(crate) saved: SavedVocabulary,
    pub(crate) table: Arc<dyn CategoryTable>,
    /// Named in errors.
    encoder: &'static str,
}

/// A vocabulary, and the id of each category where there are ids.
pub(crate) type WithIds = (Vocabulary, Vec<Option<i32>>);

/// Whether a side table has a column of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdColumn {
    /// One id per category.
    Present,
    /// None is expected.
    Absent,
}

/// Rows of a side table that have been checked.
pub(crate) struct CheckedRows {
    /// The type vocabularies keep; a missing value is null, and the last of the table.
    pub(crate) values: ArrayRef,
    pub(crate) counts: UInt64Array,
    /// Where the table has them.
    pub(crate) ids: Option<Int32Array>,
    /// Position of the first row in the table.
    pub(crate) start: usize,
}

impl TableVocabulary {
    /// # Errors
    /// When the table has another number of rows than announced.
    pub(crate) fn try_new(
        saved: SavedVocabulary,
        table: Arc<dyn CategoryTable>,
        encoder: &'static str,
    ) -> Result<Self, CategoryError> {
        let opened = Self {
            saved,
            table,
            encoder,
        };
        let listed = usize::try_from(opened.table.rows()).unwrap_or(usize::MAX);
        opened
            .saved
            .check_totals(listed, Some(opened.saved.n_samples_seen_))
            .map_err(|reason| opened.invalid(reason))?;
        if listed > MAX_CATEGORIES {
            return Err(CategoryError::TooManyCategories {
                categories: listed,
                limit: MAX_CATEGORIES,
            });
        }
        Ok(opened)
    }

    pub(crate) fn kind(&self) -> CategoryKind {
        self.saved.values
    }

    /// Number of categories, the missing one included.
    pub(crate) fn len(&self) -> usize {
        self.saved.n_categories_
    }

    /// Rows learned from.
    pub(crate) fn rows(&self) -> u64 {
        self.saved.n_samples_seen_
    }

    pub(crate) fn invalid(&self, reason: InvalidParts) -> CategoryError {
        CategoryError::InvalidParts {
            encoder: self.encoder,
            reason,
        }
    }

    /// Reads and checks the table, row by row.
    ///
    /// # Errors
    /// When it cannot be read; everything that fitting would not have produced.
    pub(crate) fn for_each(
        &self,
        ids: IdColumn,
        mut each: impl FnMut(CheckedRows) -> Result<(), CategoryError>,
    ) -> Result<(), CategoryError> {
        let mut checking = Checking {
            kind: self.saved.values,
            last: None,
            listed: 0,
            rows: Some(0),
        };
        let batches: TableBatches = self.table.read()?;
        for batch in batches {
            let rows = checking
                .check(&batch?, ids)
                .map_err(|reason| self.invalid(reason))?;
            each(rows)?;
        }
        self.saved
            .check_totals(checking.listed, checking.rows)
            .map_err(|reason| self.invalid(reason))
    }

    /// The whole vocabulary with its ids, or None if it would take more than `most_bytes` once it is fitted.
    ///
    /// # Errors
    /// As [`for_each`](Self::for_each).
    pub(crate) fn in_memory(
        &self,
        ids: IdColumn,
        most_bytes: usize,
    ) -> Result<Option<WithIds>, CategoryError> {
        let kind = self.saved.values;
        let mut parts = Vec::new();
        let mut counts = Vec::new();
        let mut listed_ids = Vec::new();
        let mut bytes = 0;
        let mut fits = true;
        let stays = |bytes| Vocabulary::stays_in_memory(kind, self.len(), bytes, most_bytes);
        if !stays(0) {
            return Ok(None);
        }
        self.for_each(ids, |rows| {
            bytes += value_bytes(&rows.values);
            fits &= stays(bytes);
            if fits {
                parts.push(rows.values);
                counts.extend_from_slice(rows.counts.values());
                listed_ids.extend(rows.ids.iter().flatten());
            } else {
                parts.clear();
            }
            Ok(())
        })?;
        if !fits {
            return Ok(None);
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        let values = concat(&parts).map_err(|_| CategoryError::UnreadableValues {
            data_type: stored_type(kind),
        })?;
        let vocabulary = Vocabulary::try_new(kind, values, counts, self.rows())?;
        Ok(Some((vocabulary, listed_ids)))
    }
}

/// What has been seen of a table.
struct Checking {
    kind: CategoryKind,
    /// The last value, alone in an array.
    last: Option<ArrayRef>,
    listed: usize,
    /// Sum of the counts, None once it overflowed.
    rows: Option<u64>,
}

impl Checking {
    fn check(&mut self, batch: &RecordBatch, ids: IdColumn) -> Result<CheckedRows, InvalidParts> {
        let wrong = |column| InvalidParts::TableColumn { column };
        let values = batch.column_by_name("category").ok_or(wrong("category"))?;
        let values = plain_values(self.kind, values).ok_or(wrong("category"))?;
        let counts = batch
            .column_by_name("count")
            .and_then(|column| column.as_primitive_opt::<UInt64Type>())
            .filter(|counts| counts.null_count() == 0)
            .ok_or(wrong("count"))?;
        let ids = match ids {
            IdColumn::Absent => None,
            IdColumn::Present => Some(
                batch
                    .column_by_name("id")
                    .and_then(|column| column.as_primitive_opt::<Int32Type>())
                    .ok_or(wrong("id"))?
                    .clone(),
            ),
        };
        if let Some(index) = first_disorder(self.kind, self.last.as_ref(), &values) {
            return Err(InvalidParts::Category {
                index: self.listed + index,
            });
        }
        let start = self.listed;
        self.listed += batch.num_rows();
        self.rows = counts
            .values()
            .iter()
            .try_fold(self.rows.unwrap_or(u64::MAX), |sum, count| {
                sum.checked_add(*count)
            });
        if let Some(last) = values.len().checked_sub(1) {
            self.last = Some(values.slice(last, 1));
        }
        Ok(CheckedRows {
            values,
            counts: counts.clone(),
            ids,
            start,
        })
    }
}

/// The values in the type vocabularies keep. Text columns may have been widened or narrowed on the way.
fn plain_values(kind: CategoryKind, values: &ArrayRef) -> Option<ArrayRef> {
    let kept = stored_type(kind);
    let text = matches!(values.data_type(), DataType::Utf8 | DataType::Utf8View);
    if *values.data_type() == kept {
        return Some(Arc::clone(values));
    }
    (kind == CategoryKind::Text && text)
        .then(|| cast(values, &kept).ok())
        .flatten()
}

/// The first value that is not above the one before it, or is none of this kind. A null is above all others.
fn first_disorder(
    kind: CategoryKind,
    before: Option<&ArrayRef>,
    values: &ArrayRef,
) -> Option<usize> {
    /// `rises` compares the value at the first position of the first array with that of the second.
    fn search<'a, T, A: 'a>(
        before: Option<A>,
        values: A,
        items: impl Fn(A) -> Vec<Option<T>>,
        good: impl Fn(&T) -> bool,
        compare: impl Fn(&T, &T) -> Ordering,
    ) -> Option<usize> {
        // None: nothing yet. Some(None): a null, after which nothing may come.
        let mut last: Option<Option<T>> = before.and_then(|array| items(array).pop());
        for (index, item) in items(values).into_iter().enumerate() {
            let rises = match (&last, &item) {
                (None, _) => true,
                (Some(None), _) => false,
                (Some(Some(_)), None) => true,
                (Some(Some(last)), Some(item)) => compare(last, item) == Ordering::Less,
            };
            if !rises || item.as_ref().is_some_and(|item| !good(item)) {
                return Some(index);
            }
            last = Some(item);
        }
        None
    }

    match kind {
        CategoryKind::Bool => search(
            before.and_then(|array| array.as_boolean_opt()),
            values.as_boolean_opt()?,
            |array| array.iter().collect(),
            |_| true,
            bool::cmp,
        ),
        CategoryKind::Int => search(
            before.and_then(|array| array.as_primitive_opt::<Int64Type>()),
            values.as_primitive_opt::<Int64Type>()?,
            |array| array.iter().collect(),
            |_| true,
            i64::cmp,
        ),
        CategoryKind::Float32 | CategoryKind::Float64 => search(
            before.and_then(|array| array.as_primitive_opt::<Float64Type>()),
            values.as_primitive_opt::<Float64Type>()?,
            |array| array.iter().collect(),
            |value| value.is_finite() && !(*value == 0.0 && value.is_sign_negative()),
            f64::total_cmp,
        ),
        CategoryKind::Text => search(
            before.and_then(|array| array.as_string_opt::<i64>()),
            values.as_string_opt::<i64>()?,
            |array| array.iter().collect(),
            |_| true,
            |left: &&str, right: &&str| left.cmp(right),
        ),
    }
}
