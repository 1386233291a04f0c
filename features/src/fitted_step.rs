//! A step that has learned what it needs and can transform.
//!
//! Owns the list of fitted steps and what each does to one stream of values; the shape of chains is not known here.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use thiserror::Error;

use crate::category::CategoryError;
use crate::clip::Clip;
use crate::date_parts::{BoundDateParts, DatePartsError};
use crate::expression::{ColumnExpression, ExpressionError};
use crate::kernel::Kernel;
use crate::max_abs_scaler::FittedMaxAbsScaler;
use crate::min_max_scaler::FittedMinMaxScaler;
use crate::numeric::{self, Numbers};
use crate::one_hot_encoder::FittedOneHotEncoder;
use crate::ordinal_encoder::FittedOrdinalEncoder;
use crate::output_dtype::OutputDtype;
use crate::robust_scaler::FittedRobustScaler;
use crate::simple_imputer::{FillStatistic, FittedSimpleImputer, fill_text};
use crate::standard_scaler::FittedStandardScaler;

/// A fitted step; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum FittedStep {
    Log1p,
    Sqrt,
    Abs,
    Clip(Clip),
    SimpleImputer(FittedSimpleImputer),
    StandardScaler(FittedStandardScaler),
    MinMaxScaler(FittedMinMaxScaler),
    MaxAbsScaler(FittedMaxAbsScaler),
    RobustScaler(FittedRobustScaler),
    Sql(BoundSql),
    OneHotEncoder(Arc<FittedOneHotEncoder>),
    OrdinalEncoder(Arc<FittedOrdinalEncoder>),
    DateParts(Arc<BoundDateParts>),
    /// A conditional drop that did not happen.
    Kept(KeptColumn),
}

/// An expression bound to the type of its input.
#[derive(Clone, Debug)]
pub(crate) struct BoundSql {
    pub(crate) text: String,
    pub(crate) input_type: DataType,
    pub(crate) expression: Arc<dyn ColumnExpression>,
}

/// Why a conditional drop did not happen.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct KeptColumn {
    pub(crate) null_fraction_above: f64,
    pub(crate) null_fraction_: f64,
}

/// Why a fitted step cannot transform.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StepError {
    /// The values are not numbers.
    #[error("{step} needs numbers, and the values are of type {data_type}")]
    NotNumeric {
        /// Name of the step.
        step: &'static str,
        /// Type met.
        data_type: DataType,
    },
    /// The values are not strings.
    #[error("{step} was fitted on strings, and the values are of type {data_type}")]
    NotText {
        /// Name of the step.
        step: &'static str,
        /// Type met.
        data_type: DataType,
    },
    /// An expression was compiled for another type.
    #[error("{step} was bound to type {expected}, and the values are of type {data_type}")]
    BoundType {
        /// Name of the step.
        step: &'static str,
        /// Type met.
        data_type: DataType,
        /// Type bound to.
        expected: DataType,
    },
    /// Infinite values reached what was learned from finite ones.
    #[error("{count} infinite values reach a step that learned numbers; put a clip step before it")]
    Infinite {
        /// How many, in one batch.
        count: u64,
    },
    /// A category encoder refused.
    #[error(transparent)]
    Category(#[from] CategoryError),
    /// A date step refused.
    #[error(transparent)]
    DateParts(#[from] DatePartsError),
    /// An expression failed.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
}

impl FittedStep {
    /// The name under which recipes and artefacts know the step.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Log1p => "log1p",
            Self::Sqrt => "sqrt",
            Self::Abs => "abs",
            Self::Clip(_) => "clip",
            Self::SimpleImputer(_) => "simple_imputer",
            Self::StandardScaler(_) => "standard_scaler",
            Self::MinMaxScaler(_) => "min_max_scaler",
            Self::MaxAbsScaler(_) => "max_abs_scaler",
            Self::RobustScaler(_) => "robust_scaler",
            Self::Sql(_) => "sql",
            Self::OneHotEncoder(_) => "one_hot_encoder",
            Self::OrdinalEncoder(_) => "ordinal_encoder",
            Self::DateParts(_) => "date_parts",
            Self::Kept(_) => "drop",
        }
    }

    /// The step as kernels, when it maps one stream of numbers to one.
    pub(crate) fn kernels(&self) -> Option<Vec<Kernel>> {
        match self {
            Self::Log1p => Some(vec![Kernel::Log1p]),
            Self::Sqrt => Some(vec![Kernel::Sqrt]),
            Self::Abs => Some(vec![Kernel::Abs]),
            Self::Clip(clip) => Some(vec![clip.kernel()]),
            Self::SimpleImputer(FittedSimpleImputer {
                statistics_: Some(FillStatistic::Number(fill)),
                indicator_: false,
                ..
            }) => Some(vec![Kernel::Fill(fill.0)]),
            Self::StandardScaler(fitted) => Some(fitted.kernels()),
            Self::MinMaxScaler(fitted) => Some(fitted.kernels()),
            Self::MaxAbsScaler(fitted) => Some(fitted.kernels()),
            Self::RobustScaler(fitted) => Some(fitted.kernels()),
            _ => None,
        }
    }

    /// Bytes of the vocabulary held.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::OneHotEncoder(fitted) => fitted.memory_bytes(),
            Self::OrdinalEncoder(fitted) => fitted.memory_bytes(),
            _ => 0,
        }
    }

    /// Whether the step hands its input on as it is.
    pub(crate) fn is_identity(&self) -> bool {
        matches!(self, Self::Kept(_))
    }

    /// Names of the streams the step gives for a stream of this name; None when there is one, of the same name.
    pub(crate) fn stream_names(&self, stream: &str) -> Option<Vec<String>> {
        match self {
            Self::SimpleImputer(fitted) => {
                let filled = fitted.statistics_.is_some().then(|| stream.to_owned());
                let indicator = fitted
                    .indicator_
                    .then(|| format!("missingindicator_{stream}"));
                (filled.is_none() || indicator.is_some())
                    .then(|| filled.into_iter().chain(indicator).collect())
            }
            Self::OneHotEncoder(fitted) => Some(fitted.output_names(stream)),
            Self::DateParts(bound) => Some(
                bound
                    .output_fields()
                    .iter()
                    .map(|field| field.name().clone())
                    .collect(),
            ),
            _ => None,
        }
    }

    /// Types of the streams the step gives for a stream of this type.
    pub(crate) fn output_types(&self, input: &DataType) -> Vec<DataType> {
        match self {
            Self::SimpleImputer(fitted) => {
                let filled = match (&fitted.statistics_, input) {
                    (None, _) => None,
                    (Some(FillStatistic::Number(_)), _) => Some(DataType::Float64),
                    (Some(FillStatistic::Text(_)), DataType::Dictionary(_, value)) => {
                        Some(value.as_ref().clone())
                    }
                    (Some(FillStatistic::Text(_)), other) => Some(other.clone()),
                };
                filled
                    .into_iter()
                    .chain(fitted.indicator_.then_some(DataType::Float64))
                    .collect()
            }
            Self::Sql(bound) => vec![bound.expression.output_type().clone()],
            Self::OneHotEncoder(fitted) => vec![DataType::UInt8; fitted.num_outputs()],
            Self::OrdinalEncoder(_) => vec![DataType::Int32],
            Self::DateParts(bound) => bound
                .output_fields()
                .iter()
                .map(|field| field.data_type().clone())
                .collect(),
            Self::Kept(_) => vec![input.clone()],
            _ => vec![DataType::Float64],
        }
    }

    /// Transforms one stream; `unknown` counts category values never seen in training.
    pub(crate) fn transform(
        &self,
        values: &ArrayRef,
        unknown: &mut u64,
    ) -> Result<Vec<ArrayRef>, StepError> {
        if let Some(kernels) = self.kernels() {
            return Ok(vec![self.run_kernels(values, &kernels)?]);
        }
        match self {
            Self::SimpleImputer(fitted) => self.impute(fitted, values),
            Self::Sql(bound) => Ok(vec![bound.evaluate(values)?]),
            Self::OneHotEncoder(fitted) => Ok(fitted.transform(values, unknown)?),
            Self::OrdinalEncoder(fitted) => Ok(vec![fitted.transform(values, unknown)?]),
            Self::DateParts(bound) => Ok(bound.transform(values)?),
            _ => Ok(vec![Arc::clone(values)]),
        }
    }

    fn run_kernels(&self, values: &ArrayRef, kernels: &[Kernel]) -> Result<ArrayRef, StepError> {
        numeric::transform(values, kernels, OutputDtype::Float64)
            .ok_or_else(|| StepError::NotNumeric {
                step: self.name(),
                data_type: values.data_type().clone(),
            })?
            .finite()
    }

    fn impute(
        &self,
        fitted: &FittedSimpleImputer,
        values: &ArrayRef,
    ) -> Result<Vec<ArrayRef>, StepError> {
        let mut streams = Vec::with_capacity(2);
        match &fitted.statistics_ {
            None => {}
            Some(FillStatistic::Number(fill)) => {
                streams.push(self.run_kernels(values, &[Kernel::Fill(fill.0)])?)
            }
            Some(FillStatistic::Text(fill)) => {
                streams.push(fill_text(values, fill).ok_or_else(|| StepError::NotText {
                    step: self.name(),
                    data_type: values.data_type().clone(),
                })?);
            }
        }
        if fitted.indicator_ {
            streams.push(if numeric::is_readable(values.data_type()) {
                self.run_kernels(values, &[Kernel::IsMissing])?
            } else {
                let nulls = values.logical_nulls();
                let missing = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
                Arc::new(Float64Array::from_iter_values(
                    (0..values.len()).map(|row| f64::from(u8::from(missing(row)))),
                ))
            });
        }
        Ok(streams)
    }
}

/// `values` as `plain` where they are a dictionary of such values, as texts are when the engine has interned them; otherwise as
/// they are.
pub(crate) fn without_dictionary(values: &ArrayRef, plain: &DataType) -> ArrayRef {
    match values.data_type() {
        DataType::Dictionary(_, value) if value.as_ref() == plain => {
            cast(values, plain).unwrap_or_else(|_| Arc::clone(values))
        }
        _ => Arc::clone(values),
    }
}

impl BoundSql {
    fn evaluate(&self, values: &ArrayRef) -> Result<ArrayRef, StepError> {
        let values = &without_dictionary(values, &self.input_type);
        if values.data_type() != &self.input_type {
            return Err(StepError::BoundType {
                step: "sql",
                data_type: values.data_type().clone(),
                expected: self.input_type.clone(),
            });
        }
        let result = self.expression.evaluate(values)?;
        if result.len() != values.len() || result.data_type() != self.expression.output_type() {
            return Err(ExpressionError::Shape {
                expression: self.text.clone(),
                rows: result.len(),
                data_type: result.data_type().clone(),
                expected_rows: values.len(),
                expected_type: self.expression.output_type().clone(),
            }
            .into());
        }
        Ok(result)
    }
}

impl Numbers {
    /// The column, when what was learned from finite numbers met finite numbers.
    ///
    /// # Errors
    /// [`StepError::Infinite`]; scikit-learn refuses infinity here too.
    pub(crate) fn finite(self) -> Result<ArrayRef, StepError> {
        match self.infinite {
            0 => Ok(self.array),
            count => Err(StepError::Infinite { count }),
        }
    }
}
