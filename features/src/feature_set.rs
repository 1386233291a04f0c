//! A set of columns and the chain of steps each of them goes through.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::selector::Selector;
use crate::step::Step;

/// Columns and their chain, like one entry of scikit-learn's `ColumnTransformer` holding a `Pipeline`.
///
/// Every selected column gets its own copy of the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureSet {
    /// Which columns.
    pub columns: Selector,
    /// Steps in order; without any the columns are handed on as they are.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Text put before every output name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Text put after every output name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

/// Starts a feature set: `columns("i*").then(Log1p).then(StandardScaler::new())`.
pub fn columns(selector: impl Into<Selector>) -> FeatureSet {
    FeatureSet {
        columns: selector.into(),
        steps: Vec::new(),
        prefix: None,
        suffix: None,
    }
}

impl FeatureSet {
    /// Appends a step.
    #[must_use]
    pub fn then(mut self, step: impl Into<Step>) -> Self {
        self.steps.push(step.into());
        self
    }

    /// Puts `prefix` before every output name.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Puts `suffix` after every output name.
    #[must_use]
    pub fn with_suffix(mut self, suffix: impl Into<String>) -> Self {
        self.suffix = Some(suffix.into());
        self
    }

    pub(crate) fn output_name(&self, stream: &str) -> String {
        format!(
            "{}{stream}{}",
            self.prefix.as_deref().unwrap_or(""),
            self.suffix.as_deref().unwrap_or("")
        )
    }
}
