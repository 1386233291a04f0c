//! A sorted list of distinct values with their counts, in memory or in a store.
//!
//! Owns the representation; must not know what codes the values get, or how it is saved.

mod saved;
mod stored;

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, LargeStringArray,
    RecordBatch, UInt64Array, new_null_array,
};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};

pub(crate) use self::saved::{IdColumn, SavedVocabulary, TableVocabulary};
pub(crate) use self::stored::{CountedRun, Ids, NextId, StoredTable};
use super::frequency::CountHistogram;
use super::runs::{MergedRun, stored_type};
use super::{Category, CategoryError, CategoryKind, InvalidParts};

/// Vocabularies with more categories than this are kept in a side table instead of JSON.
const INLINE_CATEGORIES: usize = 1_000;

/// A vocabulary read from a side table stays in memory up to this size; otherwise only its codes do.
pub(crate) const LOADED_BYTES: usize = 64 << 20;

/// Codes are i32, and one is needed for rare and unknown values.
const MAX_CATEGORIES: usize = i32::MAX as usize - 2;

/// What was learned of a column's categories.
#[derive(Debug)]
pub(crate) enum LearnedVocabulary {
    /// Everything, in memory.
    InMemory(Vocabulary),
    /// Everything, in a store.
    Stored(CountedRun),
}

/// Distinct values in [`Category`] order, the missing value last as a null, each with its number of training rows.
#[derive(Debug, Clone)]
pub(crate) struct Vocabulary {
    kind: CategoryKind,
    /// LargeUtf8, Int64, Float64 or Boolean.
    values: ArrayRef,
    counts: Vec<u64>,
    rows: u64,
}

impl Vocabulary {
    /// `values` must be sorted and distinct with at most one null, the last.
    pub(super) fn try_new(
        kind: CategoryKind,
        values: ArrayRef,
        counts: Vec<u64>,
        rows: u64,
    ) -> Result<Self, CategoryError> {
        if values.len() > MAX_CATEGORIES {
            return Err(CategoryError::TooManyCategories {
                categories: values.len(),
                limit: MAX_CATEGORIES,
            });
        }
        Ok(Self {
            kind,
            values,
            counts,
            rows,
        })
    }

    /// Number of categories, the missing one included.
    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Rows the counts were made from, missing values included.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn kind(&self) -> CategoryKind {
        self.kind
    }

    /// One count per category.
    pub(crate) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The categories as an array, the missing one as a null at the end.
    pub(crate) fn values(&self) -> &ArrayRef {
        &self.values
    }

    /// Whether the last category is the missing one.
    pub(crate) fn has_missing(&self) -> bool {
        self.values.null_count() > 0
    }

    /// The category at a position; missing beyond the end.
    pub(crate) fn category(&self, index: usize) -> Category {
        category_at(self.kind, &self.values, index)
    }

    /// Categories and counts in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Category, u64)> + '_ {
        self.counts
            .iter()
            .enumerate()
            .map(|(index, count)| (self.category(index), *count))
    }

    /// Whether the vocabulary is too long for JSON and needs [`to_table`](Self::to_table).
    pub(crate) fn needs_table(&self) -> bool {
        self.len() > INLINE_CATEGORIES
    }

    /// Whether a vocabulary of so many values with so many bytes is to be kept in memory, values and all, when
    /// `most_bytes` are allowed for it. What stands in JSON always is.
    pub(crate) fn stays_in_memory(
        kind: CategoryKind,
        categories: usize,
        value_bytes: usize,
        most_bytes: usize,
    ) -> bool {
        kind == CategoryKind::Bool
            // One more may be missing.
            || categories < INLINE_CATEGORIES
            || Self::fitted_bytes(categories, value_bytes) <= most_bytes
    }

    /// Bytes of a fitted encoder of so many values with so many bytes: values, offsets, counts, codes and look-up table.
    pub(crate) fn fitted_bytes(categories: usize, value_bytes: usize) -> usize {
        const PER_CATEGORY: usize = 64;
        value_bytes.saturating_add(categories.saturating_mul(PER_CATEGORY))
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let offsets = match self.kind {
            CategoryKind::Text => self.len() * size_of::<i64>(),
            _ => 0,
        };
        self.value_bytes() + offsets + self.counts.capacity() * size_of::<u64>()
    }

    /// Rows whose value is missing.
    pub(crate) fn missing(&self) -> u64 {
        match self.counts.last() {
            Some(count) if self.has_missing() => *count,
            _ => 0,
        }
    }

    /// How often the categories occur, all but the missing one.
    pub(crate) fn histogram(&self) -> CountHistogram {
        let categories = self.len() - usize::from(self.has_missing());
        self.counts.iter().copied().take(categories).collect()
    }

    /// Bytes of the values alone, without offsets.
    pub(crate) fn value_bytes(&self) -> usize {
        value_bytes(&self.values)
    }

    /// Reads the whole of a run into memory.
    ///
    /// # Errors
    /// As the store; too many categories.
    pub(super) fn from_run(
        run: &MergedRun,
        missing: u64,
        rows: u64,
    ) -> Result<Self, CategoryError> {
        let mut parts = Vec::new();
        let mut counts = Vec::new();
        for part in run.read()? {
            let (values, of) = part?;
            counts.extend_from_slice(of.values());
            parts.push(values);
        }
        if missing > 0 {
            parts.push(new_null_array(&stored_type(run.kind), 1));
            counts.push(missing);
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        let unreadable = |_| CategoryError::UnreadableValues {
            data_type: stored_type(run.kind),
        };
        Self::try_new(run.kind, concat(&parts).map_err(unreadable)?, counts, rows)
    }

    /// Builds a vocabulary from saved categories, checking everything that fitting would have guaranteed.
    pub(crate) fn from_categories(
        kind: CategoryKind,
        categories: &[Category],
        counts: Vec<u64>,
        rows: u64,
    ) -> Result<Self, InvalidParts> {
        check_lengths(categories.len(), counts.len())?;
        for (index, category) in categories.iter().enumerate() {
            let after = index
                .checked_sub(1)
                .and_then(|before| categories.get(before));
            let sorted = after.is_none_or(|before| before.cmp(category) == Ordering::Less);
            if !sorted || !belongs(kind, category) {
                return Err(InvalidParts::Category { index });
            }
        }
        let values: ArrayRef = match kind {
            CategoryKind::Bool => {
                Arc::new(categories.iter().map(as_bool).collect::<BooleanArray>())
            }
            CategoryKind::Int => Arc::new(categories.iter().map(as_int).collect::<Int64Array>()),
            CategoryKind::Float32 | CategoryKind::Float64 => {
                Arc::new(categories.iter().map(as_float).collect::<Float64Array>())
            }
            CategoryKind::Text => {
                Arc::new(categories.iter().map(as_text).collect::<LargeStringArray>())
            }
        };
        Ok(Self {
            kind,
            values,
            counts,
            rows,
        })
    }

    /// The side table: columns `category` (nullable) and `count`, and whatever `extra` columns the encoder adds.
    pub(crate) fn to_table(
        &self,
        extra: Vec<(Field, ArrayRef)>,
    ) -> Result<RecordBatch, CategoryError> {
        let mut fields = vec![
            Field::new("category", self.values.data_type().clone(), true),
            Field::new("count", DataType::UInt64, false),
        ];
        let mut columns: Vec<ArrayRef> = vec![
            self.values.clone(),
            Arc::new(UInt64Array::from(self.counts.clone())),
        ];
        for (field, column) in extra {
            fields.push(field);
            columns.push(column);
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|_| {
            CategoryError::UnreadableValues {
                data_type: self.values.data_type().clone(),
            }
        })
    }
}

/// The value of an array of the type vocabularies keep, as a category; missing beyond the end.
pub(crate) fn category_at(kind: CategoryKind, values: &ArrayRef, index: usize) -> Category {
    if index >= values.len() || values.is_null(index) {
        return Category::Missing;
    }
    match kind {
        CategoryKind::Bool => values
            .as_boolean_opt()
            .map(|array| Category::Bool(array.value(index))),
        CategoryKind::Int => values
            .as_primitive_opt::<Int64Type>()
            .map(|array| Category::Int(array.value(index))),
        CategoryKind::Float32 | CategoryKind::Float64 => values
            .as_primitive_opt::<Float64Type>()
            .map(|array| Category::Float(array.value(index))),
        CategoryKind::Text => values
            .as_string_opt::<i64>()
            .map(|array| Category::Text(array.value(index).to_owned())),
    }
    .unwrap_or(Category::Missing)
}

fn check_lengths(categories: usize, counts: usize) -> Result<(), InvalidParts> {
    if categories == counts && categories <= MAX_CATEGORIES {
        Ok(())
    } else {
        Err(InvalidParts::Lengths {
            categories,
            counts,
            codes: categories,
        })
    }
}

fn belongs(kind: CategoryKind, category: &Category) -> bool {
    match (kind, category) {
        (_, Category::Missing)
        | (CategoryKind::Bool, Category::Bool(_))
        | (CategoryKind::Int, Category::Int(_))
        | (CategoryKind::Text, Category::Text(_)) => true,
        (CategoryKind::Float32 | CategoryKind::Float64, Category::Float(value)) => {
            value.is_finite() && !(*value == 0.0 && value.is_sign_negative())
        }
        _ => false,
    }
}

fn as_bool(category: &Category) -> Option<bool> {
    match category {
        Category::Bool(value) => Some(*value),
        _ => None,
    }
}

fn as_int(category: &Category) -> Option<i64> {
    match category {
        Category::Int(value) => Some(*value),
        _ => None,
    }
}

fn as_float(category: &Category) -> Option<f64> {
    match category {
        Category::Float(value) => Some(*value),
        _ => None,
    }
}

fn as_text(category: &Category) -> Option<&str> {
    match category {
        Category::Text(value) => Some(value),
        _ => None,
    }
}

/// Bytes of an array's values, without offsets.
pub(super) fn value_bytes(values: &ArrayRef) -> usize {
    match values.as_string_opt::<i64>() {
        Some(texts) => match (texts.value_offsets().first(), texts.value_offsets().last()) {
            (Some(first), Some(last)) => usize::try_from(last - first).unwrap_or(0),
            _ => 0,
        },
        None => values.len() * size_of::<u64>(),
    }
}
