//! The `robust_scaler` step: subtract the median, divide by a range between percentiles.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exact_float::ExactFloat;
use crate::kernel::Kernel;
use crate::max_abs_scaler::nonzero_scale;
use crate::normal;
use crate::quantiles::{Quantile, QuantileMethod, Wanted};

/// Scales by median and percentile range, as scikit-learn's `RobustScaler`: `(x - center_) / scale_`.
///
/// Percentiles are numpy's linear ones over the non-missing training values; a range below ten times the machine epsilon
/// counts as 1. Missing values stay missing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RobustScaler {
    /// Whether to subtract the median; default true.
    pub with_centering: bool,
    /// Whether to divide by the range; default true.
    pub with_scaling: bool,
    /// Percentiles that span the range; default `[25, 75]`.
    pub quantile_range: (f64, f64),
    /// Whether the range is divided by that of a standard normal variable, so that normal data get variance 1; default
    /// false.
    pub unit_variance: bool,
    /// How the percentiles are found; default exact.
    pub quantiles: QuantileMethod,
}

impl Default for RobustScaler {
    fn default() -> Self {
        Self {
            with_centering: true,
            with_scaling: true,
            quantile_range: (25.0, 75.0),
            unit_variance: false,
            quantiles: QuantileMethod::Exact,
        }
    }
}

impl RobustScaler {
    /// Median and interquartile range.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves the median where it is.
    #[must_use]
    pub fn without_centering(mut self) -> Self {
        self.with_centering = false;
        self
    }

    /// Leaves the spread as it is.
    #[must_use]
    pub fn without_scaling(mut self) -> Self {
        self.with_scaling = false;
        self
    }

    /// Percentiles, 0 to 100, that span the range.
    #[must_use]
    pub fn quantile_range(mut self, low: f64, high: f64) -> Self {
        self.quantile_range = (low, high);
        self
    }

    /// Gives normal data variance 1.
    #[must_use]
    pub fn unit_variance(mut self) -> Self {
        self.unit_variance = true;
        self
    }

    /// How the percentiles are found.
    #[must_use]
    pub fn quantiles(mut self, method: QuantileMethod) -> Self {
        self.quantiles = method;
        self
    }

    pub(crate) fn problem(&self) -> Option<String> {
        let (low, high) = self.quantile_range;
        if !(0.0 <= low && low <= high && high <= 100.0) {
            return Some(format!(
                "`quantile_range` [{low}, {high}] is not a rising pair of percentiles from 0 to 100"
            ));
        }
        (self.unit_variance && !(0.0 < low && low < high && high < 100.0)).then(|| {
            format!("`unit_variance` needs 0 < low < high < 100, and `quantile_range` is [{low}, {high}]")
        })
    }

    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        let (low, high) = self.quantile_range;
        vec![
            Wanted::Median,
            Wanted::Percentile(low),
            Wanted::Percentile(high),
        ]
    }

    /// Takes the quantiles in the order of [`Self::wanted`].
    pub(crate) fn fit(self, count: u64, quantiles: &[Quantile]) -> FittedRobustScaler {
        let nothing = Quantile {
            value: f64::NAN,
            low: f64::NAN,
            high: f64::NAN,
        };
        let [median, low, high] = match quantiles {
            [median, low, high] => [*median, *low, *high],
            _ => [nothing; 3],
        };
        let spread = nonzero_scale(high.value - low.value);
        let scale = if self.unit_variance {
            let (low, high) = self.quantile_range;
            spread / (normal::quantile(high / 100.0) - normal::quantile(low / 100.0))
        } else {
            spread
        };
        let approximate = self.quantiles == QuantileMethod::Approximate;
        FittedRobustScaler {
            options: self,
            n_samples_seen_: count,
            center_: self.with_centering.then_some(median.value.into()),
            scale_: self.with_scaling.then_some(scale.into()),
            quantile_intervals: approximate.then(|| {
                [median, low, high]
                    .map(|found| [found.low.into(), found.high.into()])
                    .to_vec()
            }),
        }
    }
}

/// What a [`RobustScaler`] learned; fields carry scikit-learn's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FittedRobustScaler {
    #[serde(flatten)]
    options: RobustScaler,
    n_samples_seen_: u64,
    center_: Option<ExactFloat>,
    scale_: Option<ExactFloat>,
    /// For approximate quantiles: the intervals that hold the exact median, lower and upper percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantile_intervals: Option<Vec<[ExactFloat; 2]>>,
}

impl FittedRobustScaler {
    pub(crate) fn kernels(&self) -> Vec<Kernel> {
        match (self.center_, self.scale_) {
            (Some(center), Some(scale)) => vec![Kernel::CenterScale {
                center: center.0,
                scale: scale.0,
            }],
            (Some(center), None) => vec![Kernel::Center(center.0)],
            (None, Some(scale)) => vec![Kernel::Scale(scale.0)],
            // Dividing by 1 changes no bit, and still makes floats of integers.
            (None, None) => vec![Kernel::Scale(1.0)],
        }
    }
}
