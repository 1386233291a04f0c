//! Order statistics of a stream in bounded memory: exact over several passes, or approximate in one.
//!
//! Values are looked up through their order-preserving 64-bit image. All states are counts of sets of values, so that
//! neither batches, nor threads, nor the order of merging can change a result.

mod histogram;
mod image;
mod search;
mod sparse;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use search::{QuantileAccumulator, QuantileSearch};

/// Values of one stream kept as they are before counting begins.
pub(crate) const KEPT_VALUES: usize = 65_536;

/// How medians and percentiles are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuantileMethod {
    /// Exact, as numpy's linear method. One pass up to 65 536 training values, then usually one more.
    #[default]
    Exact,
    /// One pass whatever the size. Deterministic; the interval that holds each true order statistic is recorded.
    /// Exact while the column has at most 65 536 distinct values.
    Approximate,
}

/// A wanted point of the distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// Mean of the middle two (or the middle) values.
    Median,
    /// numpy's linear percentile, 0 to 100.
    Percentile(f64),
}

/// What is known of one wanted point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quantile {
    /// The value; NaN when there are no values.
    pub(crate) value: f64,
    /// Interval that holds the exact value; its ends are equal to it when it is exact.
    pub(crate) low: f64,
    /// Upper end of the interval.
    pub(crate) high: f64,
}

impl Wanted {
    /// The two neighbouring zero-based ranks among `count` values, and the weight of the upper one.
    fn ranks(self, count: u64) -> (u64, u64, f64) {
        let last = count.saturating_sub(1);
        match self {
            Self::Median => (last / 2, last - last / 2, 0.5),
            Self::Percentile(percent) => {
                let position = last as f64 * (percent / 100.0);
                let lower = position.floor();
                let rank = (lower as u64).min(last);
                (rank, (rank + 1).min(last), position - lower)
            }
        }
    }

    /// The point between the two neighbours, rounded as numpy rounds it.
    fn interpolate(self, low: f64, high: f64, weight: f64) -> f64 {
        let width = high - low;
        match self {
            _ if width == 0.0 => low,
            // Halved after the sum, as numpy does, unless the sum has no room.
            Self::Median if (low + high).is_finite() => (low + high) / 2.0,
            Self::Median => low / 2.0 + high / 2.0,
            Self::Percentile(_) if weight >= 0.5 => high - width * (1.0 - weight),
            Self::Percentile(_) => low + width * weight,
        }
    }
}

#[cfg(test)]
mod tests;
