//! The `max_abs_scaler` step: divide by the largest absolute value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exact_float::ExactFloat;
use crate::extrema::Extrema;
use crate::kernel::Kernel;

/// Divides by the largest absolute training value, as scikit-learn's `MaxAbsScaler`: `x / scale_`.
///
/// A largest value below ten times the machine epsilon counts as 1. Missing values are passed over and stay missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MaxAbsScaler {
    /// Whether values beyond the training range are moved to −1 and 1; default false.
    pub clip: bool,
}

impl MaxAbsScaler {
    /// Scales to at most 1 in absolute value.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves values beyond the training range to −1 and 1.
    #[must_use]
    pub fn clipped(mut self) -> Self {
        self.clip = true;
        self
    }

    pub(crate) fn fit(self, extrema: &Extrema) -> FittedMaxAbsScaler {
        let max_abs = if extrema.count == 0 {
            f64::NAN
        } else {
            extrema.min().abs().max(extrema.max().abs())
        };
        FittedMaxAbsScaler {
            options: self,
            n_samples_seen_: extrema.count,
            max_abs_: max_abs.into(),
            scale_: nonzero_scale(max_abs).into(),
        }
    }
}

/// scikit-learn's guard against dividing by next to nothing: below ten times the machine epsilon the divisor is 1.
pub(crate) fn nonzero_scale(scale: f64) -> f64 {
    if scale < 10.0 * f64::EPSILON {
        1.0
    } else {
        scale
    }
}

/// What a [`MaxAbsScaler`] learned; fields carry scikit-learn's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FittedMaxAbsScaler {
    #[serde(flatten)]
    options: MaxAbsScaler,
    n_samples_seen_: u64,
    max_abs_: ExactFloat,
    scale_: ExactFloat,
}

impl FittedMaxAbsScaler {
    pub(crate) fn kernels(&self) -> Vec<Kernel> {
        let scale = Kernel::Scale(self.scale_.0);
        if self.options.clip {
            vec![
                scale,
                Kernel::Clip {
                    min: -1.0,
                    max: 1.0,
                },
            ]
        } else {
            vec![scale]
        }
    }
}
