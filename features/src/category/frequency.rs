//! Which categories are too rare to stand alone.
//!
//! Owns scikit-learn's `min_frequency` and `max_categories` rule; knows nothing of values or codes.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use super::CategoryError;

/// How often a category must occur in training rows to stand alone: a whole number is a count, a number between 0 and 1
/// is a share of all training rows (missing ones included).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinFrequency {
    /// At least this many rows.
    Count(u64),
    /// At least this share of the training rows, in (0, 1).
    Fraction(f64),
}

impl From<u64> for MinFrequency {
    fn from(count: u64) -> Self {
        MinFrequency::Count(count)
    }
}

impl From<i32> for MinFrequency {
    /// A plain integer literal; negative counts become 0, which every encoder refuses.
    fn from(count: i32) -> Self {
        MinFrequency::Count(u64::try_from(count).unwrap_or(0))
    }
}

impl From<f64> for MinFrequency {
    fn from(fraction: f64) -> Self {
        MinFrequency::Fraction(fraction)
    }
}

impl MinFrequency {
    /// Whether `count` of `rows` rows is too few. scikit-learn: `count < min_frequency`, or `count < min_frequency * n_samples`.
    fn is_infrequent(self, count: u64, rows: u64) -> bool {
        match self {
            MinFrequency::Count(least) => count < least,
            MinFrequency::Fraction(share) => (count as f64) < rows as f64 * share,
        }
    }
}

impl Serialize for MinFrequency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            MinFrequency::Count(count) => serializer.serialize_u64(count),
            MinFrequency::Fraction(share) => serializer.serialize_f64(share),
        }
    }
}

impl<'de> Deserialize<'de> for MinFrequency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = MinFrequency;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a whole number of rows from 1, or a share between 0 and 1")
            }

            fn visit_u64<E>(self, count: u64) -> Result<MinFrequency, E> {
                Ok(MinFrequency::Count(count))
            }

            fn visit_i64<E: Error>(self, count: i64) -> Result<MinFrequency, E> {
                u64::try_from(count)
                    .map(MinFrequency::Count)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(count), &self))
            }

            fn visit_f64<E>(self, share: f64) -> Result<MinFrequency, E> {
                Ok(MinFrequency::Fraction(share))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

impl JsonSchema for MinFrequency {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "MinFrequency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            ]
        })
    }
}

/// The two limits together, as scikit-learn applies them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct FrequencyLimits {
    pub(crate) min_frequency: Option<MinFrequency>,
    pub(crate) max_categories: Option<u64>,
}

impl FrequencyLimits {
    /// Refuses what scikit-learn refuses: a count or a number of categories below 1, a share outside (0, 1).
    pub(crate) fn check(&self) -> Result<(), CategoryError> {
        match self.min_frequency {
            Some(MinFrequency::Count(0)) => return Err(CategoryError::MinFrequencyZero),
            Some(MinFrequency::Fraction(share)) if !(share > 0.0 && share < 1.0) => {
                return Err(CategoryError::MinFrequencyShare { share });
            }
            _ => {}
        }
        if self.max_categories == Some(0) {
            return Err(CategoryError::MaxCategoriesZero);
        }
        Ok(())
    }

    /// One flag per category: set where it is infrequent.
    ///
    /// `counts` are in the order that decides ties of `max_categories`: among equally frequent categories the *earlier*
    /// one becomes infrequent first (scikit-learn cuts a stable ascending sort). `max_categories` counts the group of
    /// infrequent categories as one, whether or not there is one, as scikit-learn does.
    pub(crate) fn infrequent(&self, counts: &[u64], rows: u64) -> Vec<bool> {
        let mut infrequent: Vec<bool> = counts
            .iter()
            .map(|&count| {
                self.min_frequency
                    .is_some_and(|least| least.is_infrequent(count, rows))
            })
            .collect();
        let frequent = infrequent.iter().filter(|flag| !**flag).count() as u64;
        if let Some(most) = self.max_categories
            && most < frequent + 1
        {
            let kept = usize::try_from(most.saturating_sub(1)).unwrap_or(usize::MAX);
            let mut order: Vec<usize> = (0..counts.len()).collect();
            order.sort_by_key(|&index| counts.get(index).copied().unwrap_or_default());
            for &index in order.iter().take(counts.len().saturating_sub(kept)) {
                if let Some(flag) = infrequent.get_mut(index) {
                    *flag = true;
                }
            }
        }
        infrequent
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn infrequent(
        min_frequency: Option<MinFrequency>,
        max_categories: Option<u64>,
        counts: &[u64],
        rows: u64,
    ) -> Vec<usize> {
        let limits = FrequencyLimits {
            min_frequency,
            max_categories,
        };
        limits.check().unwrap();
        limits
            .infrequent(counts, rows)
            .iter()
            .enumerate()
            .filter(|(_, flag)| **flag)
            .map(|(index, _)| index)
            .collect()
    }

    #[test]
    fn follows_scikit_learn() {
        let counts = [5, 20, 10, 3];
        assert_eq!(infrequent(Some(6.into()), None, &counts, 38), [0, 3]);
        assert_eq!(infrequent(Some(5.into()), None, &counts, 38), [3]);
        assert_eq!(infrequent(Some(0.2.into()), None, &counts, 38), [0, 3]);
        assert_eq!(infrequent(None, Some(3), &counts, 38), [0, 3]);
        assert_eq!(infrequent(None, Some(4), &counts, 38), [3]);
        assert_eq!(infrequent(None, Some(5), &counts, 38), [] as [usize; 0]);
        assert_eq!(infrequent(None, Some(1), &counts, 38), [0, 1, 2, 3]);
    }

    #[test]
    fn ties_cut_the_earlier_category() {
        assert_eq!(infrequent(None, Some(3), &[4, 4, 4, 4], 16), [0, 1]);
        assert_eq!(infrequent(None, Some(3), &[4, 9, 4, 4], 21), [0, 2]);
    }

    #[test]
    fn reads_counts_and_shares() {
        assert_eq!(
            serde_json::from_str::<MinFrequency>("10").unwrap(),
            MinFrequency::Count(10)
        );
        assert_eq!(
            serde_json::from_str::<MinFrequency>("0.1").unwrap(),
            MinFrequency::Fraction(0.1)
        );
        assert!(
            serde_json::from_str::<MinFrequency>("-1")
                .unwrap_err()
                .to_string()
                .contains("a whole number of rows from 1")
        );
        assert_eq!(
            serde_json::to_string(&MinFrequency::Fraction(0.1)).unwrap(),
            "0.1"
        );
    }

    #[test]
    fn refuses_what_scikit_learn_refuses() {
        for (min_frequency, max_categories) in [
            (Some(0.into()), None),
            (Some(1.0.into()), None),
            (Some(f64::NAN.into()), None),
            (None, Some(0)),
        ] {
            assert!(
                FrequencyLimits {
                    min_frequency,
                    max_categories
                }
                .check()
                .is_err()
            );
        }
    }
}
