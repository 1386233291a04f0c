//! The `drop` step: leave a column out, always or when too much of it is missing in training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Leaves the column out of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Drop {
    /// Fraction in `[0, 1]`: the column is dropped only when more than this part of its training rows is missing
    /// (null or NaN) at this place in the chain. None (default): dropped always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null_fraction_above: Option<f64>,
}

impl Drop {
    /// Drops always.
    pub fn always() -> Self {
        Self::default()
    }

    /// Drops when more than `fraction` of the training rows is missing.
    pub fn null_fraction_above(fraction: f64) -> Self {
        Self {
            null_fraction_above: Some(fraction),
        }
    }

    pub(crate) fn problem(&self) -> Option<String> {
        match self.null_fraction_above {
            Some(fraction) if !(0.0..=1.0).contains(&fraction) => Some(format!(
                "`null_fraction_above` is {fraction}, not a fraction from 0 to 1"
            )),
            _ => None,
        }
    }
}
