//! A sorted list of distinct values with their counts, in compact form, and its place in JSON or a side table.
//!
//! Owns the representation; must not know what codes the values get.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, LargeStringArray,
    RecordBatch, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, UInt64Type};
use serde::{Deserialize, Serialize};

use super::{Category, CategoryError, CategoryKind, InvalidParts};

/// Vocabularies with more categories than this are kept in a side table instead of JSON.
const INLINE_CATEGORIES: usize = 1_000;

/// Codes are i32, and one is needed for rare and unknown values.
const MAX_CATEGORIES: usize = i32::MAX as usize - 2;

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
        if index >= self.values.len() || self.values.is_null(index) {
            return Category::Missing;
        }
        match self.kind {
            CategoryKind::Bool => self
                .values
                .as_boolean_opt()
                .map(|array| Category::Bool(array.value(index))),
            CategoryKind::Int => self
                .values
                .as_primitive_opt::<Int64Type>()
                .map(|array| Category::Int(array.value(index))),
            CategoryKind::Float32 | CategoryKind::Float64 => self
                .values
                .as_primitive_opt::<Float64Type>()
                .map(|array| Category::Float(array.value(index))),
            CategoryKind::Text => self
                .values
                .as_string_opt::<i64>()
                .map(|array| Category::Text(array.value(index).to_owned())),
        }
        .unwrap_or(Category::Missing)
    }

    /// Categories and counts in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Category, u64)> + '_ {
        self.counts
            .iter()
            .enumerate()
            .map(|(index, count)| (self.category(index), *count))
    }

    /// What goes into JSON: everything, or only the outline if a side table has the rest.
    pub(crate) fn to_saved(&self) -> SavedVocabulary {
        let inline = self.len() <= INLINE_CATEGORIES;
        SavedVocabulary {
            values: self.kind,
            n_samples_seen_: self.rows,
            n_categories_: self.len(),
            categories_: inline.then(|| self.iter().map(|(category, _)| category).collect()),
            counts_: inline.then(|| self.counts.clone()),
        }
    }

    /// Whether the vocabulary is too long for JSON and needs [`to_table`](Self::to_table).
    pub(crate) fn needs_table(&self) -> bool {
        self.len() > INLINE_CATEGORIES
    }

    /// The reverse of [`to_saved`](Self::to_saved) and [`to_table`](Self::to_table).
    pub(crate) fn from_saved(
        saved: SavedVocabulary,
        table: Option<&RecordBatch>,
    ) -> Result<Self, InvalidParts> {
        let vocabulary = match (saved.categories_, saved.counts_, table) {
            (Some(categories), Some(counts), None) => {
                Self::from_categories(saved.values, &categories, counts, saved.n_samples_seen_)?
            }
            (None, None, Some(table)) => {
                Self::from_table(saved.values, table, saved.n_samples_seen_)?
            }
            _ => return Err(InvalidParts::Table),
        };
        let (listed, expected) = (vocabulary.len(), saved.n_categories_);
        let rows = vocabulary
            .counts
            .iter()
            .try_fold(0_u64, |sum, count| sum.checked_add(*count));
        if listed != expected || rows != Some(saved.n_samples_seen_) {
            return Err(InvalidParts::Totals {
                listed,
                expected,
                rows: saved.n_samples_seen_,
            });
        }
        Ok(vocabulary)
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

    /// Reads `category` and `count` back from a side table. String columns may have been widened or narrowed on the way.
    pub(crate) fn from_table(
        kind: CategoryKind,
        table: &RecordBatch,
        rows: u64,
    ) -> Result<Self, InvalidParts> {
        let wrong = |column| InvalidParts::TableColumn { column };
        let values = table.column_by_name("category").ok_or(wrong("category"))?;
        if !kind.accepts(values.data_type()) {
            return Err(wrong("category"));
        }
        let counts = table
            .column_by_name("count")
            .and_then(|column| column.as_primitive_opt::<UInt64Type>())
            .filter(|counts| counts.null_count() == 0)
            .ok_or(wrong("count"))?;
        let categories = read_categories(kind, values).ok_or(wrong("category"))?;
        Self::from_categories(kind, &categories, counts.values().to_vec(), rows)
    }
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

fn read_categories(kind: CategoryKind, values: &ArrayRef) -> Option<Vec<Category>> {
    fn list<T>(
        items: impl Iterator<Item = Option<T>>,
        make: impl Fn(T) -> Category,
    ) -> Vec<Category> {
        items
            .map(|item| item.map_or(Category::Missing, &make))
            .collect()
    }
    let text = |value: &str| Category::Text(value.to_owned());
    match (kind, values.data_type()) {
        (CategoryKind::Bool, _) => Some(list(values.as_boolean_opt()?.iter(), Category::Bool)),
        (CategoryKind::Int, _) => Some(list(
            values.as_primitive_opt::<Int64Type>()?.iter(),
            Category::Int,
        )),
        (CategoryKind::Float32 | CategoryKind::Float64, _) => Some(list(
            values.as_primitive_opt::<Float64Type>()?.iter(),
            Category::Float,
        )),
        (CategoryKind::Text, DataType::Utf8) => {
            Some(list(values.as_string_opt::<i32>()?.iter(), text))
        }
        (CategoryKind::Text, DataType::LargeUtf8) => {
            Some(list(values.as_string_opt::<i64>()?.iter(), text))
        }
        (CategoryKind::Text, DataType::Utf8View) => {
            Some(list(values.as_string_view_opt()?.iter(), text))
        }
        (CategoryKind::Text, _) => None,
    }
}
