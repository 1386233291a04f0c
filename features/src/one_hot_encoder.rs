//! The one-hot encoder: every category of a column becomes a column of zeros and ones.
//!
//! Owns its options, the grouping into output columns and the encoding of batches. Must not know how categories are
//! counted, or which column of which recipe they come from.

mod grouping;
mod parts;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt8Array};
use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::grouping::{Grouping, Output};
use crate::category::frequency::FrequencyLimits;
use crate::category::lookup::compact::CompactIndex;
use crate::category::lookup::{CategoryLookup, NO_CODE, UNKNOWN, first_unknown};
use crate::category::name::python_text;
use crate::category::runs::VocabularyRoom;
use crate::category::store::{CategoryTable, Reservation};
use crate::category::vocabulary::{
    CountedRun, LearnedVocabulary, SavedVocabulary, StoredTable, Vocabulary,
};
use crate::category::{Category, CategoryCounts, CategoryError, CategoryKind, MinFrequency};

/// What happens to values never seen in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OneHotUnknown {
    /// They are an error.
    #[default]
    Error,
    /// All their columns are 0.
    Ignore,
    /// They count as infrequent; all their columns are 0 if training found no infrequent category.
    InfrequentIfExist,
}

/// Which column of a feature is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OneHotDrop {
    /// The first one.
    First,
    /// The first one of features with exactly two.
    IfBinary,
}

/// Encodes the categories of a column as one UInt8 column each, as scikit-learn's `OneHotEncoder` does.
///
/// Columns go by value, a missing value being a category of its own after all others and the infrequent categories
/// sharing the last column. They are named `{column}_{category}` with the category as Python writes it: a missing value is
/// `None`, or `nan` in a column of floats, and the infrequent ones are `infrequent_sklearn`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneHotEncoder {
    /// What happens to values never seen in training; `error` if not given.
    #[serde(default)]
    pub handle_unknown: OneHotUnknown,
    /// How often a category must occur in training rows to get a column of its own; no limit if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_frequency: Option<MinFrequency>,
    /// Largest number of columns, the one for infrequent categories included; no limit if not given. Among equally
    /// frequent categories the first by value become infrequent first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_categories: Option<u64>,
    /// Which column is left out, after infrequent categories have been grouped; none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<OneHotDrop>,
}

impl OneHotEncoder {
    /// scikit-learn's encoder with its defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`handle_unknown`](Self::handle_unknown).
    #[must_use]
    pub fn handle_unknown(mut self, rule: OneHotUnknown) -> Self {
        self.handle_unknown = rule;
        self
    }

    /// Sets [`min_frequency`](Self::min_frequency): a count, or a share between 0 and 1.
    #[must_use]
    pub fn min_frequency(mut self, least: impl Into<MinFrequency>) -> Self {
        self.min_frequency = Some(least.into());
        self
    }

    /// Sets [`max_categories`](Self::max_categories).
    #[must_use]
    pub fn max_categories(mut self, most: u64) -> Self {
        self.max_categories = Some(most);
        self
    }

    /// Sets [`drop`](Self::drop).
    #[must_use]
    pub fn drop(mut self, rule: OneHotDrop) -> Self {
        self.drop = Some(rule);
        self
    }

    /// Refuses contradictory options, and columns without categories, before a row is read.
    pub(crate) fn check(&self, data_type: &DataType) -> Result<(), CategoryError> {
        CategoryKind::of(data_type)?;
        self.limits().check()
    }

    /// Gives columns to the categories that were counted in training rows, in memory or in the store of `room`.
    ///
    /// # Errors
    /// Contradictory options, no rows, too many columns; what the store fails with.
    pub(crate) fn fit(
        &self,
        counts: CategoryCounts,
        room: Option<&VocabularyRoom>,
    ) -> Result<FittedOneHotEncoder, CategoryError> {
        self.limits().check()?;
        if counts.total() == 0 {
            return Err(CategoryError::NoRows);
        }
        let (reservation, mut fitted) = match counts.into_learned(room)? {
            LearnedVocabulary::InMemory(vocabulary) => {
                let bytes = Vocabulary::fitted_bytes(vocabulary.len(), vocabulary.value_bytes());
                (
                    VocabularyRoom::reserve(room, bytes)?,
                    FittedOneHotEncoder::new(self.clone(), vocabulary)?,
                )
            }
            LearnedVocabulary::Stored(run) => (
                VocabularyRoom::reserve(room, CompactIndex::bytes(run.len()))?,
                self.fit_stored(run)?,
            ),
        };
        fitted._reservation = reservation;
        Ok(fitted)
    }

    /// Only the codes come into memory, and the categories that have a column.
    fn fit_stored(&self, run: CountedRun) -> Result<FittedOneHotEncoder, CategoryError> {
        let mut counts = run.histogram().clone();
        if run.missing() > 0 {
            counts.add(run.missing());
        }
        let grouping = Grouping::try_new(self, &counts, run.rows())?;
        let mut outputs = Vec::new();
        let mut missing = UNKNOWN;
        let index = CompactIndex::build(run.len(), |filling| {
            let mut columns = grouping.begin();
            for part in run.read()? {
                let (values, counts) = part?;
                let codes = columns.next_values(run.kind(), &values, &counts);
                filling.add_values(&values, codes.into_iter())?;
            }
            if run.missing() > 0 {
                missing = columns.next(run.missing(), || Category::Missing);
            }
            outputs = columns.finish();
            Ok(())
        })?;
        let lookup = CategoryLookup::compact(run.kind(), index, missing);
        let words = Words::Stored {
            saved: run.to_saved(),
            table: Arc::new(StoredTable::new(run, None)),
        };
        Ok(FittedOneHotEncoder::assemble(
            self.clone(),
            words,
            outputs,
            grouping.rest,
            lookup,
        ))
    }

    fn limits(&self) -> FrequencyLimits {
        FrequencyLimits {
            min_frequency: self.min_frequency,
            max_categories: self.max_categories,
        }
    }
}

/// The categories of a fitted encoder.
#[derive(Debug, Clone)]
enum Words {
    InMemory(Vocabulary),
    Stored {
        saved: SavedVocabulary,
        /// Categories and counts.
        table: Arc<dyn CategoryTable>,
    },
}

/// A [`OneHotEncoder`] that has seen its training rows.
#[derive(Debug, Clone)]
pub(crate) struct FittedOneHotEncoder {
    options: OneHotEncoder,
    words: Words,
    kind: CategoryKind,
    outputs: Vec<Output>,
    /// The output of values never seen: [`NO_CODE`] if all columns are 0. Not used under `handle_unknown: error`.
    unknown: i32,
    lookup: CategoryLookup,
    /// Held as long as what it was granted for.
    _reservation: Option<Arc<dyn Reservation>>,
}

impl FittedOneHotEncoder {
    /// Everything follows from the options and the vocabulary.
    fn new(options: OneHotEncoder, vocabulary: Vocabulary) -> Result<Self, CategoryError> {
        let counts = vocabulary.counts().iter().copied().collect();
        let grouping = Grouping::try_new(&options, &counts, vocabulary.rows())?;
        let mut columns = grouping.begin();
        let counts = vocabulary.counts().iter().enumerate();
        let codes: Vec<i32> = counts
            .map(|(index, count)| columns.next(*count, || vocabulary.category(index)))
            .collect();
        let outputs = columns.finish();
        let lookup = CategoryLookup::new(&vocabulary, &codes, UNKNOWN);
        let words = Words::InMemory(vocabulary);
        Ok(Self::assemble(
            options,
            words,
            outputs,
            grouping.rest,
            lookup,
        ))
    }

    /// `rest` is the code of infrequent categories.
    fn assemble(
        options: OneHotEncoder,
        words: Words,
        outputs: Vec<Output>,
        rest: i32,
        lookup: CategoryLookup,
    ) -> Self {
        let unknown = match options.handle_unknown {
            OneHotUnknown::InfrequentIfExist => rest,
            OneHotUnknown::Error | OneHotUnknown::Ignore => NO_CODE,
        };
        Self {
            options,
            words,
            kind: lookup.kind(),
            outputs,
            unknown,
            lookup,
            _reservation: None,
        }
    }

    /// Bytes held, the names of the columns aside.
    pub(crate) fn memory_bytes(&self) -> usize {
        let words = match &self.words {
            Words::InMemory(vocabulary) => vocabulary.memory_bytes(),
            Words::Stored { .. } => 0,
        };
        words + self.outputs.capacity() * size_of::<Output>() + self.lookup.memory_bytes()
    }

    /// Number of output columns.
    pub(crate) fn num_outputs(&self) -> usize {
        self.outputs.len()
    }

    /// The names of the output columns: scikit-learn's `get_feature_names_out`.
    ///
    /// Different categories can have the same text (the text `None` and a missing value); the later ones then get `_1`,
    /// `_2` and so on.
    pub(crate) fn output_names(&self, column: &str) -> Vec<String> {
        let mut taken = HashSet::with_capacity(self.outputs.len());
        let name = |output: &Output| {
            let name = match output {
                Output::Infrequent => format!("{column}_infrequent_sklearn"),
                Output::Category(category) => {
                    format!("{column}_{}", python_text(category, self.kind))
                }
            };
            let free = std::iter::once(name.clone())
                .chain((1..=self.outputs.len()).map(|number| format!("{name}_{number}")))
                .find(|candidate| !taken.contains(candidate))
                .unwrap_or(name);
            taken.insert(free.clone());
            free
        };
        self.outputs.iter().map(name).collect()
    }

    /// One UInt8 array of zeros and ones, without nulls, per output column. `unknown` grows by the number of values never
    /// seen in training.
    ///
    /// # Errors
    /// [`CategoryError::UnknownCategory`] under `handle_unknown: error`; a column of another kind.
    pub(crate) fn transform(
        &self,
        values: &ArrayRef,
        unknown: &mut u64,
    ) -> Result<Vec<ArrayRef>, CategoryError> {
        let codes = self.lookup.codes(values)?;
        let unseen = codes.iter().filter(|code| **code == UNKNOWN).count() as u64;
        if unseen > 0 && self.options.handle_unknown == OneHotUnknown::Error {
            return Err(CategoryError::UnknownCategory {
                value: first_unknown(values, &codes),
                rows: unseen,
                of: values.len(),
            });
        }
        *unknown += unseen;
        let mut columns = vec![vec![0_u8; values.len()]; self.outputs.len()];
        for (row, &code) in codes.iter().enumerate() {
            let code = if code == UNKNOWN { self.unknown } else { code };
            let column = usize::try_from(code)
                .ok()
                .and_then(|code| columns.get_mut(code));
            if let Some(place) = column.and_then(|column| column.get_mut(row)) {
                *place = 1;
            }
        }
        Ok(columns
            .into_iter()
            .map(|column| Arc::new(UInt8Array::from(column)) as ArrayRef)
            .collect())
    }
}

#[cfg(test)]
mod tests;
