//! The steps of a recipe: what is asked for, before anything is learned.
//!
//! Owns the list of steps and how they are written; each step's own options live in its own module.

mod notation;

use crate::clip::Clip;
use crate::date_parts::DateParts;
use crate::drop_step::Drop;
use crate::max_abs_scaler::MaxAbsScaler;
use crate::min_max_scaler::MinMaxScaler;
use crate::one_hot_encoder::OneHotEncoder;
use crate::ordinal_encoder::OrdinalEncoder;
use crate::robust_scaler::RobustScaler;
use crate::simple_imputer::SimpleImputer;
use crate::sql_step::Sql;
use crate::standard_scaler::StandardScaler;

/// One step of a chain. A step cannot transform: only fitting a plan gives something that can.
///
/// Written as a name (`log1p`) when every option keeps its default, and otherwise as a map with one key
/// (`{clip: {min: 0}}`). `{simple_imputer: median}` is short for `{simple_imputer: {strategy: median}}`, and
/// `{sql: "x * 2"}` for `{sql: {expression: "x * 2"}}`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// Fill missing values.
    SimpleImputer(SimpleImputer),
    /// Mean 0, variance 1.
    StandardScaler(StandardScaler),
    /// A given range.
    MinMaxScaler(MinMaxScaler),
    /// Largest absolute value 1.
    MaxAbsScaler(MaxAbsScaler),
    /// Median 0, percentile range 1.
    RobustScaler(RobustScaler),
    /// `ln(1 + x)`; −1 gives −inf, less gives missing.
    Log1p,
    /// Limit to an interval.
    Clip(Clip),
    /// Square root; below 0 missing.
    Sqrt,
    /// Absolute value.
    Abs,
    /// A SQL expression.
    Sql(Sql),
    /// One 0/1 column per category.
    OneHotEncoder(OneHotEncoder),
    /// One integer per category.
    OrdinalEncoder(OrdinalEncoder),
    /// Parts of dates and times.
    DateParts(DateParts),
    /// Leave the column out.
    Drop(Drop),
}

/// `ln(1 + x)` as a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log1p;

/// The square root as a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sqrt;

/// The absolute value as a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abs;

impl Step {
    /// Whether the step shifts or scales numbers by what it learned from them.
    pub(crate) fn is_scaler(&self) -> bool {
        match self {
            Self::StandardScaler(scaler) => scaler.with_mean || scaler.with_std,
            Self::RobustScaler(scaler) => scaler.with_centering || scaler.with_scaling,
            Self::MinMaxScaler(_) | Self::MaxAbsScaler(_) => true,
            _ => false,
        }
    }

    /// The name under which recipes know the step.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SimpleImputer(_) => "simple_imputer",
            Self::StandardScaler(_) => "standard_scaler",
            Self::MinMaxScaler(_) => "min_max_scaler",
            Self::MaxAbsScaler(_) => "max_abs_scaler",
            Self::RobustScaler(_) => "robust_scaler",
            Self::Log1p => "log1p",
            Self::Clip(_) => "clip",
            Self::Sqrt => "sqrt",
            Self::Abs => "abs",
            Self::Sql(_) => "sql",
            Self::OneHotEncoder(_) => "one_hot_encoder",
            Self::OrdinalEncoder(_) => "ordinal_encoder",
            Self::DateParts(_) => "date_parts",
            Self::Drop(_) => "drop",
        }
    }
}

macro_rules! step_from {
    ($($options:ident),* $(,)?) => {
        $(impl From<$options> for Step {
            fn from(options: $options) -> Self {
                Self::$options(options)
            }
        })*
    };
}

step_from!(
    SimpleImputer,
    StandardScaler,
    MinMaxScaler,
    MaxAbsScaler,
    RobustScaler,
    Clip,
    Sql,
    OneHotEncoder,
    OrdinalEncoder,
    DateParts,
    Drop,
);

impl From<Log1p> for Step {
    fn from(_: Log1p) -> Self {
        Self::Log1p
    }
}

impl From<Sqrt> for Step {
    fn from(_: Sqrt) -> Self {
        Self::Sqrt
    }
}

impl From<Abs> for Step {
    fn from(_: Abs) -> Self {
        Self::Abs
    }
}

#[cfg(test)]
mod tests;
