//! Which categories are too rare to stand alone.
//!
//! Owns scikit-learn's `min_frequency` and `max_categories` rule; knows nothing of values or codes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use hashbrown::HashMap;
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

    /// Where the infrequent categories end, for categories with these counts in `rows` rows.
    ///
    /// `max_categories` counts the group of infrequent categories as one, whether or not there is one, as scikit-learn
    /// does. It makes the rarest categories infrequent, and so does `min_frequency`: the larger of the two numbers counts.
    pub(crate) fn cut(&self, counts: &CountHistogram, rows: u64) -> Cut {
        let below = |least: MinFrequency| {
            let rare = counts
                .ascending()
                .filter(|(count, _)| least.is_infrequent(*count, rows));
            rare.map(|(_, categories)| categories).sum::<u64>()
        };
        let all = counts.categories();
        let mut infrequent = self.min_frequency.map_or(0, below);
        if let Some(most) = self.max_categories
            && most < all - infrequent + 1
        {
            infrequent = all.saturating_sub(most.saturating_sub(1));
        }
        let mut left = infrequent;
        for (count, categories) in counts.ascending() {
            if left < categories {
                return Cut {
                    infrequent,
                    frequent: all - infrequent,
                    count,
                    at_count: left,
                };
            }
            left -= categories;
        }
        Cut {
            infrequent,
            frequent: 0,
            count: u64::MAX,
            at_count: 0,
        }
    }
}

/// How many categories occur so many times: all that numbering by frequency needs to know of a vocabulary beforehand.
/// Its size is that of the number of different counts, at most the square root of twice the number of rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CountHistogram {
    categories: BTreeMap<u64, u64>,
    total: u64,
}

impl CountHistogram {
    /// Adds one category with this count.
    pub(crate) fn add(&mut self, count: u64) {
        *self.categories.entry(count).or_insert(0) += 1;
        self.total += 1;
    }

    /// Number of categories.
    pub(crate) fn categories(&self) -> u64 {
        self.total
    }

    /// Counts that occur, rising, with the number of categories that have them.
    pub(crate) fn ascending(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + '_ {
        self.categories
            .iter()
            .map(|(count, categories)| (*count, *categories))
    }
}

impl FromIterator<u64> for CountHistogram {
    fn from_iter<I: IntoIterator<Item = u64>>(counts: I) -> Self {
        // Most categories share a few counts: a hash table meets them faster than a tree.
        let mut seen: HashMap<u64, u64> = HashMap::new();
        let mut total = 0;
        for count in counts {
            *seen.entry(count).or_insert(0) += 1;
            total += 1;
        }
        Self {
            categories: seen.into_iter().collect(),
            total,
        }
    }
}

/// The border between infrequent and frequent categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Number of infrequent categories.
    pub(crate) infrequent: u64,
    /// Number of frequent categories.
    pub(crate) frequent: u64,
    /// Categories that occur less often than this are infrequent, those that occur more often are not.
    pub(crate) count: u64,
    /// How many of those that occur exactly so often are infrequent.
    pub(crate) at_count: u64,
}

/// Tells infrequent categories that come by value: among equally frequent ones the *earlier* become infrequent first, as
/// scikit-learn cuts a stable ascending sort.
#[derive(Debug, Clone)]
pub(crate) struct CutByValue {
    cut: Cut,
    met_at_count: u64,
}

impl CutByValue {
    pub(crate) fn new(cut: Cut) -> Self {
        Self {
            cut,
            met_at_count: 0,
        }
    }

    /// Whether the next category, which occurs `count` times, is infrequent.
    pub(crate) fn next_is_infrequent(&mut self, count: u64) -> bool {
        if count == self.cut.count {
            self.met_at_count += 1;
            return self.met_at_count <= self.cut.at_count;
        }
        count < self.cut.count
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

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
        let cut = limits.cut(&counts.iter().copied().collect(), rows);
        let mut by_value = CutByValue::new(cut);
        let found: Vec<usize> = (0..counts.len())
            .filter(|index| by_value.next_is_infrequent(counts[*index]))
            .collect();
        assert_eq!(found.len() as u64, cut.infrequent);
        assert_eq!((counts.len() - found.len()) as u64, cut.frequent);
        found
    }

    /// scikit-learn's own way: flags, and a stable sort of them all.
    fn as_scikit_learn(limits: &FrequencyLimits, counts: &[u64], rows: u64) -> Vec<usize> {
        let rare = |count: u64| {
            limits
                .min_frequency
                .is_some_and(|least| least.is_infrequent(count, rows))
        };
        let mut flags: Vec<bool> = counts.iter().map(|count| rare(*count)).collect();
        let frequent = flags.iter().filter(|flag| !**flag).count() as u64;
        if let Some(most) = limits.max_categories
            && most < frequent + 1
        {
            let mut order: Vec<usize> = (0..counts.len()).collect();
            order.sort_by_key(|index| counts[*index]);
            let cut = counts.len().saturating_sub(most as usize - 1);
            order
                .iter()
                .take(cut)
                .for_each(|index| flags[*index] = true);
        }
        (0..counts.len()).filter(|index| flags[*index]).collect()
    }

    proptest! {
        #[test]
        fn a_histogram_is_enough(
            counts in proptest::collection::vec(1_u64..6, 0..40),
            least in proptest::option::of(prop_oneof![
                (1_u64..7).prop_map(MinFrequency::Count),
                (0.001_f64..0.3).prop_map(MinFrequency::Fraction),
            ]),
            most in proptest::option::of(1_u64..45),
        ) {
            let rows = counts.iter().sum();
            let limits = FrequencyLimits { min_frequency: least, max_categories: most };
            prop_assert_eq!(infrequent(least, most, &counts, rows), as_scikit_learn(&limits, &counts, rows));
        }
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
