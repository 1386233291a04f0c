//! The `min_max_scaler` step: move the training range onto a given range.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exact_float::ExactFloat;
use crate::extrema::Extrema;
use crate::kernel::Kernel;
use crate::max_abs_scaler::nonzero_scale;

/// Scales the training minimum and maximum to `feature_range`, as scikit-learn's `MinMaxScaler`: `x * scale_ + min_`.
///
/// A range below ten times the machine epsilon counts as 1. Missing values are passed over in fit and stay missing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MinMaxScaler {
    /// Where minimum and maximum go; default `[0, 1]`.
    pub feature_range: (f64, f64),
    /// Whether values outside the training range are moved to its ends; default false.
    pub clip: bool,
}

impl Default for MinMaxScaler {
    fn default() -> Self {
        Self {
            feature_range: (0.0, 1.0),
            clip: false,
        }
    }
}

impl MinMaxScaler {
    /// Scales to `[0, 1]`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Scales to `[low, high]`.
    #[must_use]
    pub fn feature_range(mut self, low: f64, high: f64) -> Self {
        self.feature_range = (low, high);
        self
    }

    /// Moves values outside the training range to its ends.
    #[must_use]
    pub fn clipped(mut self) -> Self {
        self.clip = true;
        self
    }

    pub(crate) fn problem(&self) -> Option<String> {
        let (low, high) = self.feature_range;
        let ordered = low < high && low.is_finite() && high.is_finite();
        (!ordered).then(|| format!("`feature_range` [{low}, {high}] is not a finite rising pair"))
    }

    pub(crate) fn fit(self, extrema: &Extrema) -> FittedMinMaxScaler {
        let (low, high) = self.feature_range;
        let (min, max) = (extrema.min(), extrema.max());
        let range = max - min;
        let scale = (high - low) / nonzero_scale(range);
        FittedMinMaxScaler {
            options: self,
            n_samples_seen_: extrema.count,
            data_min_: min.into(),
            data_max_: max.into(),
            data_range_: range.into(),
            scale_: scale.into(),
            min_: (low - min * scale).into(),
        }
    }
}

/// What a [`MinMaxScaler`] learned; fields carry scikit-learn's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FittedMinMaxScaler {
    #[serde(flatten)]
    options: MinMaxScaler,
    n_samples_seen_: u64,
    data_min_: ExactFloat,
    data_max_: ExactFloat,
    data_range_: ExactFloat,
    scale_: ExactFloat,
    min_: ExactFloat,
}

impl FittedMinMaxScaler {
    pub(crate) fn kernels(&self) -> Vec<Kernel> {
        let affine = Kernel::Affine {
            factor: self.scale_.0,
            offset: self.min_.0,
        };
        if self.options.clip {
            let (min, max) = self.options.feature_range;
            vec![affine, Kernel::Clip { min, max }]
        } else {
            vec![affine]
        }
    }
}
