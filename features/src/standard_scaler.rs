//! The `standard_scaler` step: subtract the mean, divide by the population standard deviation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exact_float::ExactFloat;
use crate::kernel::Kernel;
use crate::moments::Moments;

/// Scales to mean 0 and variance 1, as scikit-learn's `StandardScaler`: `(x - mean_) / scale_`.
///
/// The variance is the population variance (ddof 0). A column counts as constant, and is not divided, when
/// `var <= n·eps·var + (n·mean·eps)²`. Missing values are passed over in fit and stay missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StandardScaler {
    /// Whether to subtract the mean; default true.
    pub with_mean: bool,
    /// Whether to divide by the standard deviation; default true.
    pub with_std: bool,
}

impl Default for StandardScaler {
    fn default() -> Self {
        Self {
            with_mean: true,
            with_std: true,
        }
    }
}

impl StandardScaler {
    /// Centres and scales.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves the mean where it is.
    #[must_use]
    pub fn without_mean(mut self) -> Self {
        self.with_mean = false;
        self
    }

    /// Leaves the spread as it is.
    #[must_use]
    pub fn without_std(mut self) -> Self {
        self.with_std = false;
        self
    }

    pub(crate) fn fit(self, moments: &Moments) -> FittedStandardScaler {
        let (mean, var) = (moments.mean_or_nan(), moments.variance());
        FittedStandardScaler {
            options: self,
            n_samples_seen_: moments.count,
            mean_: (self.with_mean || self.with_std).then_some(mean.into()),
            var_: self.with_std.then_some(var.into()),
            scale_: self
                .with_std
                .then(|| scale_of(var, mean, moments.count).into()),
        }
    }
}

/// The divisor: the standard deviation, or 1 for a column that is constant to rounding.
fn scale_of(var: f64, mean: f64, count: u64) -> f64 {
    let n = count as f64;
    let rounding = n * mean * f64::EPSILON;
    if var <= n * f64::EPSILON * var + rounding * rounding {
        1.0
    } else {
        var.sqrt()
    }
}

/// What a [`StandardScaler`] learned; fields carry scikit-learn's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FittedStandardScaler {
    #[serde(flatten)]
    options: StandardScaler,
    n_samples_seen_: u64,
    mean_: Option<ExactFloat>,
    var_: Option<ExactFloat>,
    scale_: Option<ExactFloat>,
}

impl FittedStandardScaler {
    pub(crate) fn kernels(&self) -> Vec<Kernel> {
        let center = self.mean_.filter(|_| self.options.with_mean);
        match (center, self.scale_) {
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
