//! The `clip` step: values outside an interval move to its nearest end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::Kernel;

/// Limits values to `[min, max]` (`numpy.clip`); missing stays missing. Stateless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clip {
    /// Lower limit; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Upper limit; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl Clip {
    /// Clips from below only.
    pub fn min(min: f64) -> Self {
        Self {
            min: Some(min),
            max: None,
        }
    }

    /// Clips from above only.
    pub fn max(max: f64) -> Self {
        Self {
            min: None,
            max: Some(max),
        }
    }

    /// Clips on both sides.
    pub fn between(min: f64, max: f64) -> Self {
        Self {
            min: Some(min),
            max: Some(max),
        }
    }

    /// Says what is wrong with the limits, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        match (self.min, self.max) {
            (None, None) => Some("give `min`, `max`, or both".to_owned()),
            (Some(min), _) if min.is_nan() => Some("`min` is not a number".to_owned()),
            (_, Some(max)) if max.is_nan() => Some("`max` is not a number".to_owned()),
            (Some(min), Some(max)) if min > max => {
                Some(format!("`min` {min} is above `max` {max}"))
            }
            _ => None,
        }
    }

    pub(crate) fn kernel(&self) -> Kernel {
        Kernel::Clip {
            min: self.min.unwrap_or(f64::NEG_INFINITY),
            max: self.max.unwrap_or(f64::INFINITY),
        }
    }
}
