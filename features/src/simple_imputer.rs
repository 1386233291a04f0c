//! The `simple_imputer` step: put one learned or given value where values are missing.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, StringArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exact_float::ExactFloat;
use crate::quantiles::QuantileMethod;

/// Fills missing values (null or NaN), as scikit-learn's `SimpleImputer`.
///
/// Numbers take every strategy, strings `most_frequent` and `constant`. A column without a single value in training is
/// dropped unless `keep_empty_features` is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimpleImputer {
    /// What to fill with; default mean.
    pub strategy: ImputeStrategy,
    /// The value for `strategy: constant`; default 0 for numbers and `missing_value` for strings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill_value: Option<FillValue>,
    /// Adds a column `missingindicator_{column}` (1 where missing) when the training rows had missing values; default
    /// false.
    pub add_indicator: bool,
    /// Keeps a column without values in training, filled with 0 (or `fill_value`); default false: it is dropped.
    pub keep_empty_features: bool,
    /// How the median is found; default exact.
    pub quantiles: QuantileMethod,
}

/// What a [`SimpleImputer`] fills with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImputeStrategy {
    /// Arithmetic mean of the training values.
    #[default]
    Mean,
    /// Median; of an even number of values the mean of the middle two.
    Median,
    /// The most frequent value, the smallest among equals.
    MostFrequent,
    /// `fill_value`.
    Constant,
}

/// A constant to fill with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FillValue {
    /// For numeric columns.
    Number(f64),
    /// For string columns.
    Text(String),
}

impl From<f64> for FillValue {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for FillValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl fmt::Display for ImputeStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mean => "mean",
            Self::Median => "median",
            Self::MostFrequent => "most_frequent",
            Self::Constant => "constant",
        })
    }
}

impl SimpleImputer {
    fn with_strategy(strategy: ImputeStrategy) -> Self {
        Self {
            strategy,
            ..Self::default()
        }
    }

    /// Fills with the mean.
    pub fn mean() -> Self {
        Self::with_strategy(ImputeStrategy::Mean)
    }

    /// Fills with the median.
    pub fn median() -> Self {
        Self::with_strategy(ImputeStrategy::Median)
    }

    /// Fills with the most frequent value.
    pub fn most_frequent() -> Self {
        Self::with_strategy(ImputeStrategy::MostFrequent)
    }

    /// Fills with a given value.
    pub fn constant(value: impl Into<FillValue>) -> Self {
        Self {
            fill_value: Some(value.into()),
            ..Self::with_strategy(ImputeStrategy::Constant)
        }
    }

    /// Adds an indicator column.
    #[must_use]
    pub fn add_indicator(mut self) -> Self {
        self.add_indicator = true;
        self
    }

    /// Keeps a column without values in training.
    #[must_use]
    pub fn keep_empty_features(mut self) -> Self {
        self.keep_empty_features = true;
        self
    }

    /// How the median is found.
    #[must_use]
    pub fn quantiles(mut self, method: QuantileMethod) -> Self {
        self.quantiles = method;
        self
    }

    /// Says what is wrong with the options for a stream of numbers or of strings.
    pub(crate) fn problem(&self, kind: FillKind) -> Option<String> {
        if self.fill_value.is_some() && self.strategy != ImputeStrategy::Constant {
            return Some(format!(
                "`fill_value` is for `strategy: constant`, and the strategy is {}",
                self.strategy
            ));
        }
        match (kind, self.strategy, &self.fill_value) {
            (FillKind::Text, ImputeStrategy::Mean | ImputeStrategy::Median, _) => Some(format!(
                "strategy {} needs numbers; strings take most_frequent or constant",
                self.strategy
            )),
            (FillKind::Text, _, Some(FillValue::Number(value))) => Some(format!(
                "`fill_value` {value} is a number, and the column holds strings; write it in quotes"
            )),
            (FillKind::Number, _, Some(FillValue::Text(text))) => Some(format!(
                "`fill_value` \"{text}\" is a string, and the column holds numbers"
            )),
            (FillKind::Number, _, Some(FillValue::Number(value))) if !value.is_finite() => {
                Some(format!("`fill_value` {value} is not a finite number"))
            }
            _ => None,
        }
    }

    /// Settles what to fill with. `learned` is the statistic of the strategy, None for `constant` or without values.
    pub(crate) fn fit(
        &self,
        kind: FillKind,
        rows: u64,
        missing: u64,
        learned: Option<FillStatistic>,
        interval: Option<[f64; 2]>,
    ) -> FittedSimpleImputer {
        let empty = missing == rows;
        let constant = || match (&self.fill_value, kind) {
            (Some(FillValue::Number(value)), _) => FillStatistic::Number((*value).into()),
            (Some(FillValue::Text(text)), _) => FillStatistic::Text(text.clone()),
            (None, FillKind::Number) => FillStatistic::Number(0.0.into()),
            (None, FillKind::Text) => FillStatistic::Text("missing_value".to_owned()),
        };
        let zero = || match kind {
            FillKind::Number => FillStatistic::Number(0.0.into()),
            FillKind::Text => FillStatistic::Text("0".to_owned()),
        };
        let statistic = match (empty, self.keep_empty_features) {
            (true, false) => None,
            (true, true) if self.strategy != ImputeStrategy::Constant => Some(zero()),
            _ if self.strategy == ImputeStrategy::Constant => Some(constant()),
            _ => learned,
        };
        FittedSimpleImputer {
            strategy: self.strategy,
            n_samples_seen_: rows,
            n_missing_: missing,
            statistics_: statistic,
            indicator_: self.add_indicator && missing > 0,
            quantile_interval: interval.map(|ends| ends.map(ExactFloat)),
        }
    }
}

/// What kind of values a stream holds, as far as filling goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FillKind {
    Number,
    Text,
}

/// A value to fill with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum FillStatistic {
    Number(ExactFloat),
    Text(String),
}

/// What a [`SimpleImputer`] learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FittedSimpleImputer {
    strategy: ImputeStrategy,
    n_samples_seen_: u64,
    pub(crate) n_missing_: u64,
    /// None: the column had no values in training and is dropped.
    pub(crate) statistics_: Option<FillStatistic>,
    /// Whether an indicator stream follows the filled one.
    pub(crate) indicator_: bool,
    /// For an approximate median: the interval that holds the exact one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantile_interval: Option<[ExactFloat; 2]>,
}

/// Fills the nulls of a string column; a dictionary becomes its plain value type. None when the column is not text.
pub(crate) fn fill_text(array: &ArrayRef, fill: &str) -> Option<ArrayRef> {
    let plain = match array.data_type() {
        DataType::Dictionary(_, value) => cast(array, value).ok()?,
        _ => Arc::clone(array),
    };
    if plain.logical_null_count() == 0 {
        return Some(plain);
    }
    Some(match plain.data_type() {
        DataType::Utf8 => {
            let filled = plain
                .as_string_opt::<i32>()?
                .iter()
                .map(|text| Some(text.unwrap_or(fill)));
            Arc::new(filled.collect::<StringArray>())
        }
        DataType::LargeUtf8 => {
            let filled = plain
                .as_string_opt::<i64>()?
                .iter()
                .map(|text| Some(text.unwrap_or(fill)));
            Arc::new(filled.collect::<LargeStringArray>())
        }
        DataType::Utf8View => {
            let filled = plain
                .as_string_view_opt()?
                .iter()
                .map(|text| Some(text.unwrap_or(fill)));
            Arc::new(filled.collect::<StringViewArray>())
        }
        _ => return None,
    })
}
