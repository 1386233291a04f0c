//! Everything learned, ready to transform batches.
//!
//! Owns output names and types and the transform of a batch; how it is saved is the artefact's affair.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields};
use thiserror::Error;

pub use crate::chain::DropReason;
use crate::chain::{Branch, Route, Tail};
pub use crate::fitted_step::StepError;
use crate::fitted_step::{FittedStep, without_dictionary};
use crate::kernel::Kernel;
use crate::numeric;
use crate::output_dtype::OutputDtype;
use crate::transform_counts::TransformCounts;

/// Feature sets that have learned what they need. Pure: a row's features depend on that row alone.
#[derive(Clone, Debug)]
pub struct FittedFeatures {
    pub(crate) chains: Vec<FittedChain>,
    pub(crate) dtype: OutputDtype,
    /// Training rows learned from.
    pub(crate) rows: u64,
    routes: Vec<Route>,
    fields: Fields,
    dropped: Vec<DroppedColumn>,
}

/// One column and what was learned for it.
#[derive(Clone, Debug)]
pub(crate) struct FittedChain {
    pub(crate) column: String,
    pub(crate) data_type: DataType,
    pub(crate) prefix: String,
    pub(crate) suffix: String,
    pub(crate) branch: Branch,
}

/// A column, or a stream made of one, without output.
#[derive(Clone, Debug, PartialEq)]
pub struct DroppedColumn {
    /// Name of the column; of a stream made of a column, that of the stream.
    pub name: String,
    /// Why.
    pub reason: DropReason,
    /// Part of its training rows that was missing, where that was counted.
    pub null_fraction: Option<f64>,
}

impl DroppedColumn {
    /// What a branch loses at its end, or at an imputer that keeps only the indicator.
    fn of(branch: &Branch) -> Option<Self> {
        let (reason, null_fraction) = match (&branch.tail, branch.steps.last()) {
            (
                Tail::Dropped {
                    reason,
                    null_fraction,
                },
                _,
            ) => (*reason, *null_fraction),
            (Tail::Streams(_), Some(FittedStep::SimpleImputer(imputer)))
                if imputer.statistics_.is_none() =>
            {
                (DropReason::NoValues, Some(1.0))
            }
            _ => return None,
        };
        Some(Self {
            name: branch.name.clone(),
            reason,
            null_fraction,
        })
    }
}

/// Two outputs of one name.
#[derive(Clone, Debug)]
pub(crate) struct DuplicateName {
    pub(crate) name: String,
    pub(crate) first: String,
    pub(crate) second: String,
}

/// Why a batch cannot be transformed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransformError {
    /// A batch without an input column.
    #[error("the batch has no column `{column}`")]
    MissingColumn {
        /// The column.
        column: String,
    },
    /// A step that cannot work on the values, such as an encoder meeting an unknown category it was told to refuse.
    #[error("column `{column}`: {source}")]
    Step {
        /// The column.
        column: String,
        /// Why.
        source: StepError,
    },
    /// Steps that did not give the features promised.
    #[error("the batch gave {found} features instead of {expected}")]
    FeatureCount {
        /// Features given.
        found: usize,
        /// Features promised.
        expected: usize,
    },
}

impl FittedFeatures {
    pub(crate) fn assemble(
        chains: Vec<FittedChain>,
        dtype: OutputDtype,
        rows: u64,
    ) -> Result<Self, DuplicateName> {
        let mut fields: Vec<Field> = Vec::new();
        let mut dropped = Vec::new();
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for chain in &chains {
            let mut types = Vec::new();
            chain.branch.output_types(&chain.data_type, &mut types);
            let mut types = types.into_iter();
            let mut duplicate = None;
            chain.branch.visit(&mut |branch| match &branch.tail {
                Tail::Output => {
                    let name = format!("{}{}{}", chain.prefix, branch.name, chain.suffix);
                    let data_type = types.next().unwrap_or(DataType::Null);
                    if let Some(first) = seen.insert(name.clone(), chain.column.clone()) {
                        duplicate.get_or_insert(DuplicateName {
                            name: name.clone(),
                            first,
                            second: chain.column.clone(),
                        });
                    }
                    fields.push(Field::new(name, dtype.leaving(&data_type), true));
                }
                Tail::Open { .. } | Tail::Streams(_) | Tail::Dropped { .. } => {}
            });
            chain
                .branch
                .visit_all(&mut |branch| dropped.extend(DroppedColumn::of(branch)));
            if let Some(duplicate) = duplicate {
                return Err(duplicate);
            }
        }
        let routes = chains
            .iter()
            .map(|chain| chain.branch.compile(&mut 0))
            .collect();
        Ok(Self {
            chains,
            dtype,
            rows,
            routes,
            fields: fields.into(),
            dropped,
        })
    }

    /// The features, in recipe order. All are nullable: what is missing and not filled stays null.
    pub fn output_fields(&self) -> &Fields {
        &self.fields
    }

    /// Input columns needed, each once.
    pub fn input_columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for (chain, route) in self.chains.iter().zip(&self.routes) {
            if route.has_leaf() && !columns.contains(&chain.column.as_str()) {
                columns.push(&chain.column);
            }
        }
        columns
    }

    /// Columns without output, and why.
    pub fn dropped(&self) -> &[DroppedColumn] {
        &self.dropped
    }

    /// Training rows learned from; 0 when nothing had to be learned.
    pub fn training_rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of the vocabularies held. Everything else that was learned is small.
    pub fn memory_bytes(&self) -> usize {
        let mut bytes = 0;
        for chain in &self.chains {
            chain.branch.visit_all(&mut |branch| {
                bytes += branch
                    .steps
                    .iter()
                    .map(FittedStep::memory_bytes)
                    .sum::<usize>();
            });
        }
        bytes
    }

    /// Transforms a batch: one array per field of [`Self::output_fields`], as long as the batch. Columns are found by
    /// name, in any order. `counts` grows by what was met.
    ///
    /// # Errors
    /// A missing column; values of a type the fitted step cannot take; an unknown category where it is an error.
    pub fn transform(
        &self,
        batch: &RecordBatch,
        counts: &mut TransformCounts,
    ) -> Result<Vec<ArrayRef>, TransformError> {
        let mut features: Vec<ArrayRef> = Vec::with_capacity(self.fields.len());
        for (chain, route) in self
            .chains
            .iter()
            .zip(&self.routes)
            .filter(|(_, route)| route.has_leaf())
        {
            let column = &chain.column;
            let values =
                batch
                    .column_by_name(column)
                    .ok_or_else(|| TransformError::MissingColumn {
                        column: column.clone(),
                    })?;
            let mut unknown = 0;
            route
                .send(
                    values,
                    &mut unknown,
                    &mut |_, values, kernels| -> Result<(), StepError> {
                        let feature = leave(values, kernels, self.dtype)?;
                        let promised = self.fields.get(features.len());
                        features.push(match promised {
                            Some(field) => without_dictionary(&feature, field.data_type()),
                            None => feature,
                        });
                        Ok(())
                    },
                )
                .map_err(|source| TransformError::Step {
                    column: column.clone(),
                    source,
                })?;
            counts.add_unknown(column, unknown);
        }
        counts.rows += batch.num_rows() as u64;
        if features.len() == self.fields.len() {
            Ok(features)
        } else {
            Err(TransformError::FeatureCount {
                found: features.len(),
                expected: self.fields.len(),
            })
        }
    }
}

/// The last kernels and the cast in one go.
fn leave(values: &ArrayRef, kernels: &[Kernel], dtype: OutputDtype) -> Result<ArrayRef, StepError> {
    if kernels.is_empty() && !values.data_type().is_floating() {
        return Ok(ArrayRef::clone(values));
    }
    numeric::transform(values, kernels, dtype)
        .ok_or_else(|| StepError::NotNumeric {
            step: "a numeric step",
            data_type: values.data_type().clone(),
        })?
        .finite()
}
