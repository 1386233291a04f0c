//! The shares of the three splits, and the hash buckets that realise them.
//!
//! Owns the choice of the number of buckets; knows nothing of keys or hashes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Split, SplitError};

/// Finest resolution of a ratio: one part in a million.
const MAX_BUCKETS: i64 = 1_000_000;
const TOLERANCE: f64 = 1e-9;

/// Shares of train, validation and test rows. Each lies in [0, 1], and they must add up to 1 (to 1e-9).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitRatios {
    /// Share of training rows.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub train: f64,
    /// Share of validation rows; 0 if not given.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub val: f64,
    /// Share of test rows; 0 if not given.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub test: f64,
}

impl Default for SplitRatios {
    /// 0.8, 0.1, 0.1.
    fn default() -> Self {
        Self {
            train: 0.8,
            val: 0.1,
            test: 0.1,
        }
    }
}

/// `count` equally likely buckets: train below `train_below`, else val below `val_below`, else test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Buckets {
    pub(super) count: i64,
    pub(super) train_below: i64,
    pub(super) val_below: i64,
}

impl SplitRatios {
    /// Checks the ratios and chooses the buckets: the smallest power of ten from 10 to 1 000 000 for which every ratio
    /// is a whole number of buckets, otherwise 1 000 000 with the cumulated ratios rounded.
    pub(super) fn buckets(&self) -> Result<Buckets, SplitError> {
        let named = [
            (Split::Train, self.train),
            (Split::Val, self.val),
            (Split::Test, self.test),
        ];
        for (split, ratio) in named {
            if !(0.0..=1.0).contains(&ratio) {
                return Err(SplitError::RatioOutOfRange { split, ratio });
            }
        }
        let sum = self.train + self.val + self.test;
        if (sum - 1.0).abs() > TOLERANCE {
            return Err(SplitError::RatioSum { sum });
        }
        let whole = |count: i64| {
            named.iter().all(|(_, ratio)| {
                let share = ratio * count as f64;
                (share - share.round()).abs() <= TOLERANCE
            })
        };
        let mut count = 10;
        while count < MAX_BUCKETS && !whole(count) {
            count *= 10;
        }
        let train_below = (self.train * count as f64).round() as i64;
        let val_below = ((self.train + self.val) * count as f64).round() as i64;
        let buckets = Buckets {
            count,
            train_below,
            val_below,
        };
        for (split, ratio) in named {
            if ratio > 0.0 && buckets.size(split) == 0 {
                return Err(SplitError::RatioTooSmall {
                    split,
                    ratio,
                    buckets: count,
                });
            }
        }
        Ok(buckets)
    }
}

impl Buckets {
    /// Split of a fingerprint read as a signed number: `ABS(MOD(fingerprint, count))` compared with the two bounds.
    /// The remainder is taken before the absolute value because the smallest i64 has no absolute value.
    pub(super) fn split(&self, fingerprint: i64) -> Split {
        let bucket = (fingerprint % self.count).abs();
        if bucket < self.train_below {
            Split::Train
        } else if bucket < self.val_below {
            Split::Val
        } else {
            Split::Test
        }
    }

    fn size(&self, split: Split) -> i64 {
        match split {
            Split::Train => self.train_below,
            Split::Val => self.val_below - self.train_below,
            Split::Test => self.count - self.val_below,
        }
    }
}

#[cfg(test)]
mod tests;
