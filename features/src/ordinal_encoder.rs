//! The ordinal encoder: every category of a column becomes a number.
//!
//! Owns its options, the numbering of categories and the encoding of batches. Must not know how categories are counted,
//! or which column of which recipe they come from.

mod parts;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::category::frequency::FrequencyLimits;
use crate::category::lookup::{CategoryLookup, MIN_CODE, NO_CODE, UNKNOWN, first_unknown};
use crate::category::vocabulary::Vocabulary;
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

    /// Numbers the categories that were counted in training rows.
    ///
    /// # Errors
    /// Contradictory options, no rows, or a code given for missing or unknown values that a category has got.
    pub(crate) fn fit(
        &self,
        counts: CategoryCounts,
    ) -> Result<FittedOrdinalEncoder, CategoryError> {
        self.check_options()?;
        let vocabulary = counts.into_vocabulary()?;
        if vocabulary.rows() == 0 {
            return Err(CategoryError::NoRows);
        }
        let numbering = self.number(&vocabulary)?;
        Ok(FittedOrdinalEncoder::new(
            self.clone(),
            vocabulary,
            numbering,
        ))
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

    fn number(&self, vocabulary: &Vocabulary) -> Result<Numbering, CategoryError> {
        let missing_rule = self.missing_rule();
        let apart = vocabulary.has_missing() && missing_rule != OrdinalMissing::Category;
        let counts = vocabulary.counts();
        let counts = counts
            .get(..counts.len() - usize::from(apart))
            .unwrap_or_default();
        let (mut ids, first, frequent) = match self.order {
            CategoryOrder::Value => self.number_by_value(counts, vocabulary.rows()),
            CategoryOrder::Frequency => self.number_by_frequency(
                counts,
                vocabulary.has_missing() && !apart,
                vocabulary.rows(),
            ),
        };
        if apart {
            ids.push(match missing_rule {
                OrdinalMissing::Encoded(code) => code,
                OrdinalMissing::Keep | OrdinalMissing::Category => NO_CODE,
            });
        }
        let end = first + frequent;
        let free = |option, code| {
            if (first..end).contains(&code) {
                Err(CategoryError::CodeTaken {
                    option,
                    code,
                    first,
                    last: end - 1,
                })
            } else {
                Ok(code)
            }
        };
        if let OrdinalMissing::Encoded(code) = missing_rule
            && (apart || self.order == CategoryOrder::Frequency)
        {
            free("missing.encoded", code)?;
        }
        let unknown = match (self.unknown_rule(), self.order) {
            (OrdinalUnknown::Error, _) => None,
            (OrdinalUnknown::UseEncodedValue, _) => match self.unknown_value {
                Some(code) => Some(free("unknown_value", code)?),
                None => return Err(CategoryError::UnknownValueMissing),
            },
            (OrdinalUnknown::Infrequent, CategoryOrder::Value) => Some(end),
            (OrdinalUnknown::Infrequent, CategoryOrder::Frequency) => Some(0),
        };
        Ok(Numbering { ids, unknown })
    }

    /// Ids, the first id of a frequent category, and their number.
    fn number_by_value(&self, counts: &[u64], rows: u64) -> (Vec<i32>, i32, i32) {
        let infrequent = self.limits().infrequent(counts, rows);
        let frequent = infrequent.iter().filter(|flag| !**flag).count() as i32;
        let mut next = 0..;
        let ids = infrequent.iter().map(|flag| {
            if *flag {
                frequent
            } else {
                next.next().unwrap_or(frequent)
            }
        });
        (ids.collect(), 0, frequent)
    }

    fn number_by_frequency(
        &self,
        counts: &[u64],
        missing_is_last: bool,
        rows: u64,
    ) -> (Vec<i32>, i32, i32) {
        // A missing value stands at the end of the vocabulary but before the others among equally frequent ones.
        let last = counts.len().wrapping_sub(1);
        let place = |index: usize| {
            if missing_is_last && index == last {
                0
            } else {
                index + 1
            }
        };
        let mut rarest_first: Vec<(u64, std::cmp::Reverse<usize>, usize)> = counts
            .iter()
            .enumerate()
            .map(|(index, &count)| (count, std::cmp::Reverse(place(index)), index))
            .collect();
        rarest_first.sort_unstable();
        let ascending: Vec<u64> = rarest_first.iter().map(|(count, ..)| *count).collect();
        let infrequent = self.limits().infrequent(&ascending, rows);
        let mut ids = vec![0; counts.len()];
        let mut frequent = 0;
        for ((.., index), infrequent) in rarest_first.iter().zip(&infrequent).rev() {
            if !infrequent && let Some(id) = ids.get_mut(*index) {
                frequent += 1;
                *id = frequent;
            }
        }
        (ids, 1, frequent)
    }
}

/// The ids of a vocabulary.
#[derive(Debug, Clone, PartialEq)]
struct Numbering {
    /// One per category, [`NO_CODE`] for a missing value that stays missing.
    ids: Vec<i32>,
    /// The id of values never seen; none if they are an error.
    unknown: Option<i32>,
}

/// An [`OrdinalEncoder`] that has seen its training rows.
#[derive(Debug, Clone)]
pub(crate) struct FittedOrdinalEncoder {
    options: OrdinalEncoder,
    vocabulary: Vocabulary,
    numbering: Numbering,
    lookup: CategoryLookup,
}

impl FittedOrdinalEncoder {
    fn new(options: OrdinalEncoder, vocabulary: Vocabulary, numbering: Numbering) -> Self {
        let lookup = CategoryLookup::new(&vocabulary, &numbering.ids, options.unseen_missing());
        Self {
            options,
            vocabulary,
            numbering,
            lookup,
        }
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
            let Some(code) = self.numbering.unknown else {
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
