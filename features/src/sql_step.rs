//! The `sql` step: an expression over the column, evaluated by whichever SQL engine is attached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Replaces the column by the value of a row-wise SQL expression. Stateless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sql {
    /// SQL text in which the column goes by its own name or by `x`, for example `x * 2` or `coalesce(x, 0)`.
    pub expression: String,
}

impl Sql {
    /// A step that evaluates `expression`.
    pub fn new(expression: impl Into<String>) -> Self {
        Self {
            expression: expression.into(),
        }
    }
}
