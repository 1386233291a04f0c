//! Columns that are not features: labels, keys, weights, and columns handed through untouched.
//!
//! Owns the names only; what the engine does with such columns is not known here.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names of the columns with a part other than "feature".
///
/// A glob, type, or catch-all selector never picks these columns; naming one outright, or asking for its [`Role`], does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// Target columns.
    pub label: Vec<String>,
    /// Row identifiers.
    pub key: Vec<String>,
    /// Sample weights.
    pub weight: Vec<String>,
    /// Columns copied to the output as they are.
    pub pass_through: Vec<String>,
}

/// The part a column plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A column without any other role.
    Feature,
    /// A target column.
    Label,
    /// A row identifier.
    Key,
    /// A sample weight.
    Weight,
    /// A column copied to the output as it is.
    PassThrough,
}

impl Roles {
    /// The role of a column; [`Role::Feature`] when no list names it.
    pub fn role(&self, column: &str) -> Role {
        let listed = |names: &[String]| names.iter().any(|name| name == column);
        if listed(&self.label) {
            Role::Label
        } else if listed(&self.key) {
            Role::Key
        } else if listed(&self.weight) {
            Role::Weight
        } else if listed(&self.pass_through) {
            Role::PassThrough
        } else {
            Role::Feature
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Feature => "feature",
            Self::Label => "label",
            Self::Key => "key",
            Self::Weight => "weight",
            Self::PassThrough => "pass_through",
        })
    }
}
