//! The ordinal encoder: every category of a column becomes a number.
//!
//! Owns its options, the numbering of categories and the encoding of batches. Must not know how categories are counted,
//! or which column of which recipe they come from.

mod numbering;
mod parts;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::numbering::Numbering;
use crate::category::frequency::FrequencyLimits;
use crate::category::lookup::compact::CompactIndex;
use crate::category::lookup::{CategoryLookup, MIN_CODE, NO_CODE, UNKNOWN, first_unknown};
use crate::category::runs::VocabularyRoom;
use crate::category::store::{CategoryTable, Reservation};
use crate::category::vocabulary::{
    CountedRun, Ids, LearnedVocabulary, SavedVocabulary, StoredTable, Vocabulary,
};
use crate::category::{CategoryCounts, CategoryError, CategoryKind, MinFrequency};

/// The order in which categories are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CategoryOrder {
    /// By value, from 0, as scikit-learn does.
    #[default]
    Value,
    /// By falling number of training rows, from 1; 0 is for infrequent and unknown categories together. Equally frequent
    /// categories go by value, a missing one before all others.
    Frequency,
}

/// What happens to values never seen in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrdinalUnknown {
    /// They are an error.
    Error,
    /// They get `unknown_value`.
    UseEncodedValue,
    /// They share the code of the infrequent categories: 0 under `order: frequency`, otherwise the code after the frequent
    /// categories, which is then reserved even if no category was infrequent.
    Infrequent,
}

/// What happens to missing values (null, or not a number).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrdinalMissing {
    /// They stay missing.
    Keep,
    /// They are a category like any other, and can be infrequent.
    Category,
    /// They get this code.
    Encoded(i32),
}

/// Encodes the categories of a column as integers (Int32).
///
/// With `order: value` this is scikit-learn's `OrdinalEncoder`: codes from 0 in the order of the values, infrequent
/// categories sharing the code after the frequent ones, missing values staying missing and never being infrequent.
/// As there, a missing value in a column that had none in training is an unknown one.
///
/// With `order: frequency` code 0 is for infrequent and unknown values together and codes from 1 go by falling frequency;
/// missing values are a category, and `max_categories` is the number of different codes, 0 included. Under
/// `missing: keep` and `missing: {encoded: ..}` a missing value is never unknown.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrdinalEncoder {
    /// The order of the codes; by value if not given.
    #[serde(default)]
    pub order: CategoryOrder,
    /// How often a category must occur in training rows to get a code of its own; no limit if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_frequency: Option<MinFrequency>,
    /// Largest number of codes, the one for infrequent categories included; no limit if not given. Among equally frequent
    /// categories the last in the order of frequency become infrequent first, and under `order: value` the first by value,
    /// as in scikit-learn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_categories: Option<u64>,
    /// What happens to values never seen in training; `error` if not given, or `infrequent` under `order: frequency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle_unknown: Option<OrdinalUnknown>,
    /// The code of values never seen, under `handle_unknown: use_encoded_value`. It must not be the code of a frequent
    /// category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_value: Option<i32>,
    /// What happens to missing values; `keep` if not given, or `category` under `order: frequency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<OrdinalMissing>,
}

impl OrdinalEncoder {
    /// scikit-learn's encoder with its defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Codes by falling frequency, 0 for infrequent and unknown categories.
    #[must_use]
    pub fn by_frequency() -> Self {
        Self {
            order: CategoryOrder::Frequency,
            ..Self::default()
        }
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

    /// Gives values never seen in training this code.
    #[must_use]
    pub fn unknown_value(mut self, code: i32) -> Self {
        self.handle_unknown = Some(OrdinalUnknown::UseEncodedValue);
        self.unknown_value = Some(code);
        self
    }

    /// Sets [`handle_unknown`](Self::handle_unknown).
    #[must_use]
    pub fn handle_unknown(mut self, rule: OrdinalUnknown) -> Self {
        self.handle_unknown = Some(rule);
        self
    }

    /// Sets [`missing`](Self::missing).
    #[must_use]
    pub fn missing(mut self, rule: OrdinalMissing) -> Self {
        self.missing = Some(rule);
        self
    }

    /// Refuses contradictory options, and columns without categories, before a row is read.
    pub(crate) fn check(&self, data_type: &DataType) -> Result<(), CategoryError> {
        CategoryKind::of(data_type)?;
        self.check_options()
    }

    fn check_options(&self) -> Result<(), CategoryError> {
        self.limits().check()?;
        match (self.unknown_rule(), self.unknown_value) {
            (OrdinalUnknown::UseEncodedValue, None) => {
                return Err(CategoryError::UnknownValueMissing);
            }
            (OrdinalUnknown::Error | OrdinalUnknown::Infrequent, Some(value)) => {
                return Err(CategoryError::UnknownValueUnused { value });
            }
            _ => {}
        }
        let missing_code = match self.missing_rule() {
            OrdinalMissing::Encoded(code) => Some(code),
            OrdinalMissing::Keep | OrdinalMissing::Category => None,
        };
        for (option, code) in [
            ("missing.encoded", missing_code),
            ("unknown_value", self.unknown_value),
        ] {
            if let Some(code) = code.filter(|code| *code < MIN_CODE) {
                return Err(CategoryError::CodeTooSmall {
                    option,
                    code,
                    least: MIN_CODE,
                });
            }
        }
        Ok(())
    }

    /// Numbers the categories that were counted in training rows, in memory or in the store of `room`.
    ///
    /// # Errors
    /// Contradictory options, no rows, or a code given for missing or unknown values that a category has got; what the
    /// store fails with.
    pub(crate) fn fit(
        &self,
        counts: CategoryCounts,
        room: Option<&VocabularyRoom>,
    ) -> Result<FittedOrdinalEncoder, CategoryError> {
        self.check_options()?;
        if counts.total() == 0 {
            return Err(CategoryError::NoRows);
        }
        match counts.into_learned(room)? {
            LearnedVocabulary::InMemory(vocabulary) => {
                let numbering = self.number(&vocabulary)?;
                let bytes = Vocabulary::fitted_bytes(vocabulary.len(), vocabulary.value_bytes());
                let reservation = VocabularyRoom::reserve(room, bytes)?;
                let ids = ids_of(&vocabulary, &numbering);
                let mut fitted =
                    FittedOrdinalEncoder::new(self.clone(), vocabulary, ids, numbering.unknown);
                fitted._reservation = reservation;
                Ok(fitted)
            }
            LearnedVocabulary::Stored(run) => {
                let reservation = VocabularyRoom::reserve(room, CompactIndex::bytes(run.len()))?;
                let mut fitted = self.fit_stored(run)?;
                fitted._reservation = reservation;
                Ok(fitted)
            }
        }
    }

    fn number(&self, vocabulary: &Vocabulary) -> Result<Numbering, CategoryError> {
        let (counts, missing) = (vocabulary.histogram(), vocabulary.missing());
        Numbering::try_new(self, &counts, missing, vocabulary.rows())
    }

    /// Only the codes come into memory.
    fn fit_stored(&self, run: CountedRun) -> Result<FittedOrdinalEncoder, CategoryError> {
        let numbering = Numbering::try_new(self, run.histogram(), run.missing(), run.rows())?;
        let mut missing = self.unseen_missing();
        let index = CompactIndex::build(run.len(), |filling| {
            let mut ids = numbering.begin();
            for part in run.read()? {
                let (values, counts) = part?;
                let codes = counts.values().iter().map(|count| ids.next(*count));
                filling.add_values(&values, codes)?;
            }
            if run.missing() > 0 {
                missing = ids.missing().unwrap_or(NO_CODE);
            }
            Ok(())
        })?;
        let unknown = numbering.unknown;
        Ok(FittedOrdinalEncoder {
            options: self.clone(),
            unknown,
            lookup: CategoryLookup::compact(run.kind(), index, missing),
            words: Words::Stored {
                saved: run.to_saved(),
                table: Arc::new(StoredTable::new(run, Some(Arc::new(numbering)))),
            },
            _reservation: None,
        })
    }

    fn limits(&self) -> FrequencyLimits {
        FrequencyLimits {
            min_frequency: self.min_frequency,
            max_categories: self.max_categories,
        }
    }

    fn unknown_rule(&self) -> OrdinalUnknown {
        self.handle_unknown.unwrap_or(match self.order {
            CategoryOrder::Value => OrdinalUnknown::Error,
            CategoryOrder::Frequency => OrdinalUnknown::Infrequent,
        })
    }

    fn missing_rule(&self) -> OrdinalMissing {
        self.missing.unwrap_or(match self.order {
            CategoryOrder::Value => OrdinalMissing::Keep,
            CategoryOrder::Frequency => OrdinalMissing::Category,
        })
    }

    /// What a missing value gets if training rows had none.
    fn unseen_missing(&self) -> i32 {
        match (self.order, self.missing_rule()) {
            (CategoryOrder::Frequency, OrdinalMissing::Keep) => NO_CODE,
            (CategoryOrder::Frequency, OrdinalMissing::Encoded(code)) => code,
            _ => UNKNOWN,
        }
    }
}

/// One id per category, [`NO_CODE`] for a missing value that stays missing.
fn ids_of(vocabulary: &Vocabulary, numbering: &Numbering) -> Vec<i32> {
    let mut next = numbering.begin();
    let categories = vocabulary.len() - usize::from(vocabulary.has_missing());
    let mut ids = Vec::with_capacity(vocabulary.len());
    let counts = vocabulary.counts().iter().take(categories);
    ids.extend(counts.map(|count| next.next(*count)));
    if vocabulary.has_missing() {
        ids.push(next.missing().unwrap_or(NO_CODE));
    }
    ids
}

/// The categories of a fitted encoder.
#[derive(Debug, Clone)]
enum Words {
    InMemory {
        vocabulary: Vocabulary,
        /// One per category, [`NO_CODE`] for a missing value that stays missing.
        ids: Vec<i32>,
    },
    Stored {
        saved: SavedVocabulary,
        /// Categories, counts and ids.
        table: Arc<dyn CategoryTable>,
    },
}

/// An [`OrdinalEncoder`] that has seen its training rows.
#[derive(Debug, Clone)]
pub(crate) struct FittedOrdinalEncoder {
    options: OrdinalEncoder,
    words: Words,
    /// The id of values never seen; none if they are an error.
    unknown: Option<i32>,
    lookup: CategoryLookup,
    /// Held as long as what it was granted for.
    _reservation: Option<Arc<dyn Reservation>>,
}

impl FittedOrdinalEncoder {
    fn new(
        options: OrdinalEncoder,
        vocabulary: Vocabulary,
        ids: Vec<i32>,
        unknown: Option<i32>,
    ) -> Self {
        let lookup = CategoryLookup::new(&vocabulary, &ids, options.unseen_missing());
        Self {
            options,
            words: Words::InMemory { vocabulary, ids },
            unknown,
            lookup,
            _reservation: None,
        }
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let words = match &self.words {
            Words::InMemory { vocabulary, ids } => {
                vocabulary.memory_bytes() + ids.capacity() * size_of::<i32>()
            }
            Words::Stored { .. } => 0,
        };
        words + self.lookup.memory_bytes()
    }

    /// One id per value (Int32, null only for missing values that stay missing). `unknown` grows by the number of values
    /// never seen in training.
    ///
    /// # Errors
    /// [`CategoryError::UnknownCategory`] under `handle_unknown: error`; a column of another kind.
    pub(crate) fn transform(
        &self,
        values: &ArrayRef,
        unknown: &mut u64,
    ) -> Result<ArrayRef, CategoryError> {
        let mut ids = self.lookup.codes(values)?;
        let unseen = ids.iter().filter(|id| **id == UNKNOWN).count() as u64;
        if unseen > 0 {
            let Some(code) = self.unknown else {
                return Err(CategoryError::UnknownCategory {
                    value: first_unknown(values, &ids),
                    rows: unseen,
                    of: values.len(),
                });
            };
            *unknown += unseen;
            for id in &mut ids {
                if *id == UNKNOWN {
                    *id = code;
                }
            }
        }
        let missing = self.options.missing_rule() == OrdinalMissing::Keep && ids.contains(&NO_CODE);
        let nulls = missing.then(|| ids.iter().map(|id| *id != NO_CODE).collect::<NullBuffer>());
        if missing {
            for id in &mut ids {
                if *id == NO_CODE {
                    *id = 0;
                }
            }
        }
        Ok(Arc::new(Int32Array::new(ids.into(), nulls)))
    }
}

#[cfg(test)]
mod tests;
