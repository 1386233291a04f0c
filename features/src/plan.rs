//! Feature sets bound to a schema: everything that can be wrong without data is found here.
//!
//! Owns the check of types and names and the estimate of passes; no data is seen.

mod estimate;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use thiserror::Error;

use crate::category::CategoryError;
use crate::chain::{Branch, DropReason, Tail};
use crate::date_parts::DatePartsError;
use crate::expression::{ExpressionCompiler, ExpressionError};
use crate::feature_set::FeatureSet;
use crate::fit::Fit;
use crate::fitted_step::{BoundSql, FittedStep};
use crate::numeric;
use crate::output_dtype::OutputDtype;
use crate::quantiles::KEPT_VALUES;
use crate::roles::Roles;
use crate::selector::SelectionProblem;
use crate::simple_imputer::FillKind;
use crate::step::Step;

pub use estimate::PassEstimate;

/// Feature sets bound to a schema, ready to be fitted.
#[derive(Clone, Debug)]
pub struct FeaturePlan {
    pub(crate) chains: Vec<Chain>,
    pub(crate) dtype: OutputDtype,
    /// Values an exact quantile search keeps per stream and worker.
    pub(crate) kept_values: usize,
}

/// One column and its steps.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) column: String,
    pub(crate) data_type: DataType,
    pub(crate) steps: Vec<BoundStep>,
    /// Lends its prefix and suffix.
    pub(crate) set: Arc<FeatureSet>,
}

/// A step and what was prepared for it.
#[derive(Clone, Debug)]
pub(crate) struct BoundStep {
    pub(crate) step: Step,
    /// Type of the values that arrive; of several streams the first.
    pub(crate) input_type: DataType,
    /// For `sql`: the expression for each type that may arrive.
    pub(crate) expressions: Vec<BoundSql>,
}

/// Why feature sets do not fit a schema.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A column named outright that does not exist.
    #[error("features[{set}]: no column `{column}`{}", hint(nearest.as_deref()))]
    UnknownColumn {
        /// Index of the feature set.
        set: usize,
        /// The name.
        column: String,
        /// The most similar existing name.
        nearest: Option<String>,
    },
    /// A glob that cannot be read.
    #[error("features[{set}]: glob `{glob}` cannot be read: {reason}")]
    BadGlob {
        /// Index of the feature set.
        set: usize,
        /// The glob.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A selector, or one glob of it, that matches no column.
    #[error("features[{set}]: {selector} selects no column")]
    NothingSelected {
        /// Index of the feature set.
        set: usize,
        /// The selector as written.
        selector: String,
    },
    /// A step given a type it cannot work on.
    #[error("column `{column}`: step {step} cannot work on type {data_type}: {advice}")]
    UnsupportedType {
        /// The column.
        column: String,
        /// The step.
        step: &'static str,
        /// Type of the values that would reach the step.
        data_type: DataType,
        /// What to write instead.
        advice: &'static str,
    },
    /// Options that contradict each other, or the type of the column.
    #[error("column `{column}`: step {step}: {problem}")]
    InvalidOptions {
        /// The column.
        column: String,
        /// The step.
        step: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A category encoder that cannot work.
    #[error("column `{column}`: step {step}: {source}")]
    Category {
        /// The column.
        column: String,
        /// The step.
        step: &'static str,
        /// Why.
        source: CategoryError,
    },
    /// A date step that cannot work.
    #[error("column `{column}`: step date_parts: {source}")]
    DateParts {
        /// The column.
        column: String,
        /// Why.
        source: DatePartsError,
    },
    /// An expression that does not compile.
    #[error("column `{column}`: {source}")]
    Expression {
        /// The column.
        column: String,
        /// Why.
        source: ExpressionError,
    },
    /// Two features of one name.
    #[error(
        "two features would be named `{name}`, from column `{first}` and column `{second}`; give one feature set a prefix or suffix"
    )]
    DuplicateOutput {
        /// The name.
        name: String,
        /// Column of the first.
        first: String,
        /// Column of the second.
        second: String,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest
        .map(|near| format!(", did you mean `{near}`?"))
        .unwrap_or_default()
}

/// What advice to give when numbers are needed.
const NUMBERS_NEEDED: &str =
    "it needs numbers; use date_parts for dates, an encoder for categories, or sql";

impl FeaturePlan {
    /// Binds feature sets to a schema.
    ///
    /// Columns are selected by `roles` as [`Selector`](crate::Selector) says. Floating-point features leave as `dtype`.
    /// `compiler` is asked for every `sql` step.
    ///
    /// # Errors
    /// Everything that can be wrong before data is seen: unknown columns, types a step cannot take, options that
    /// contradict each other, expressions that do not compile, outputs of the same name.
    pub fn try_new(
        sets: &[FeatureSet],
        schema: &Schema,
        roles: &Roles,
        dtype: OutputDtype,
        compiler: &dyn ExpressionCompiler,
    ) -> Result<Self, PlanError> {
        let mut chains = Vec::new();
        for (index, set) in sets.iter().enumerate() {
            let shared = Arc::new(set.clone());
            let columns = set
                .columns
                .resolve(schema, roles)
                .map_err(|problem| selection_error(index, problem))?;
            for column in columns {
                chains.push(Chain::bind(&shared, schema.field(column), compiler)?);
            }
        }
        let plan = Self {
            chains,
            dtype,
            kept_values: KEPT_VALUES,
        };
        plan.check_names()?;
        Ok(plan)
    }

    /// Columns needed from the input to transform, before any is dropped for what the data hold; each once, in recipe
    /// order.
    pub fn input_columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for chain in &self.chains {
            if !columns.contains(&chain.column.as_str()) {
                columns.push(&chain.column);
            }
        }
        columns
    }

    /// How many passes over the training rows fitting will take.
    pub fn passes(&self) -> PassEstimate {
        PassEstimate::of(&self.chains, self.kept_values)
    }

    /// Starts fitting.
    pub fn fit(&self) -> Fit {
        Fit::new(self)
    }

    /// Names known before fitting must differ; those of one-hot columns are checked when they are known.
    fn check_names(&self) -> Result<(), PlanError> {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for chain in &self.chains {
            for stream in chain.known_streams() {
                let name = chain.set.output_name(&stream);
                if let Some(first) = seen.insert(name.clone(), &chain.column) {
                    return Err(PlanError::DuplicateOutput {
                        name,
                        first: first.to_owned(),
                        second: chain.column.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

fn selection_error(set: usize, problem: SelectionProblem) -> PlanError {
    match problem {
        SelectionProblem::UnknownColumn { column, nearest } => PlanError::UnknownColumn {
            set,
            column,
            nearest,
        },
        SelectionProblem::BadGlob { glob, reason } => PlanError::BadGlob { set, glob, reason },
        SelectionProblem::Nothing { selector } => PlanError::NothingSelected { set, selector },
    }
}

/// Whether values of this type are filled as numbers or as text.
pub(crate) fn fill_kind(data_type: &DataType) -> Option<FillKind> {
    if numeric::is_readable(data_type) {
        return Some(FillKind::Number);
    }
    let plain = match data_type {
        DataType::Dictionary(_, value) => value.as_ref(),
        other => other,
    };
    plain.is_string().then_some(FillKind::Text)
}

impl Chain {
    fn bind(
        set: &Arc<FeatureSet>,
        field: &Field,
        compiler: &dyn ExpressionCompiler,
    ) -> Result<Self, PlanError> {
        let mut types = vec![field.data_type().clone()];
        let mut steps = Vec::with_capacity(set.steps.len());
        for step in &set.steps {
            let mut outputs = Vec::new();
            let mut expressions = Vec::new();
            for data_type in &types {
                for output in bind_step(step, field.name(), data_type, compiler, &mut expressions)?
                {
                    if !outputs.contains(&output) {
                        outputs.push(output);
                    }
                }
            }
            let input_type = types.first().cloned().unwrap_or(DataType::Null);
            steps.push(BoundStep {
                step: step.clone(),
                input_type,
                expressions,
            });
            types = outputs;
        }
        Ok(Self {
            column: field.name().clone(),
            data_type: field.data_type().clone(),
            steps,
            set: Arc::clone(set),
        })
    }

    /// The chain before anything is learned, moved past the steps that learn nothing.
    pub(crate) fn start(&self) -> Branch {
        let mut root = Branch::open(self.column.clone(), 0, self.data_type.clone());
        self.advance(&mut root);
        root
    }

    /// Moves every open branch past the steps that learn nothing.
    pub(crate) fn advance(&self, branch: &mut Branch) {
        loop {
            match &mut branch.tail {
                Tail::Streams(branches) => {
                    return branches.iter_mut().for_each(|branch| self.advance(branch));
                }
                Tail::Output | Tail::Dropped { .. } => return,
                Tail::Open { done, data_type } => {
                    let (done, data_type) = (*done, data_type.clone());
                    let Some(bound) = self.steps.get(done) else {
                        branch.tail = Tail::Output;
                        return;
                    };
                    if matches!(&bound.step, Step::Drop(drop) if drop.null_fraction_above.is_none())
                    {
                        branch.tail = Tail::Dropped {
                            reason: DropReason::DropStep,
                            null_fraction: None,
                        };
                        return;
                    }
                    let Some(step) = bound.stateless(&branch.name, &data_type) else {
                        return;
                    };
                    branch.push(step, done, &data_type);
                }
            }
        }
    }

    /// Names of the streams that leave, as far as they are known without data.
    fn known_streams(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut follow = self.start();
        // What is learned changes names only at an encoder into several columns, and at an imputer's indicator.
        loop {
            let mut open = None;
            follow.visit(&mut |branch| {
                if let Tail::Open { done, .. } = &branch.tail {
                    open.get_or_insert(*done);
                }
            });
            let Some(done) = open else { break };
            let multiplies = self
                .steps
                .get(done)
                .is_none_or(|bound| matches!(bound.step, Step::OneHotEncoder(_)));
            skip_learned(&mut follow, multiplies);
            self.advance(&mut follow);
        }
        follow.visit(&mut |branch| {
            if matches!(branch.tail, Tail::Output) {
                names.push(branch.name.clone());
            }
        });
        names
    }
}

/// Takes the next step of every open branch as one that keeps the name, or ends the branch.
fn skip_learned(branch: &mut Branch, end: bool) {
    match &mut branch.tail {
        Tail::Streams(branches) => branches
            .iter_mut()
            .for_each(|branch| skip_learned(branch, end)),
        Tail::Open { .. } if end => {
            branch.tail = Tail::Dropped {
                reason: DropReason::DropStep,
                null_fraction: None,
            }
        }
        Tail::Open { done, .. } => *done += 1,
        Tail::Output | Tail::Dropped { .. } => {}
    }
}

impl Branch {
    /// Appends a fitted step to an open branch and opens what follows it.
    pub(crate) fn push(&mut self, step: FittedStep, done: usize, data_type: &DataType) {
        let types = step.output_types(data_type);
        let names = step.stream_names(&self.name);
        self.steps.push(step);
        self.tail = match names {
            None => Tail::Open {
                done: done + 1,
                data_type: types
                    .into_iter()
                    .next()
                    .unwrap_or_else(|| data_type.clone()),
            },
            Some(names) => Tail::Streams(
                names
                    .into_iter()
                    .zip(types)
                    .map(|(name, data_type)| Branch::open(name, done + 1, data_type))
                    .collect(),
            ),
        };
    }
}

impl BoundStep {
    /// The step as fitted, if it learns nothing.
    fn stateless(&self, stream: &str, data_type: &DataType) -> Option<FittedStep> {
        match &self.step {
            Step::Log1p => Some(FittedStep::Log1p),
            Step::Sqrt => Some(FittedStep::Sqrt),
            Step::Abs => Some(FittedStep::Abs),
            Step::Clip(clip) => Some(FittedStep::Clip(*clip)),
            Step::Sql(_) => {
                let bound = self
                    .expressions
                    .iter()
                    .find(|bound| bound.input_type == *data_type)?;
                Some(FittedStep::Sql(bound.clone()))
            }
            Step::DateParts(parts) => {
                let bound = parts
                    .bind(&Field::new(stream, data_type.clone(), true))
                    .ok()?;
                Some(FittedStep::DateParts(Arc::new(bound)))
            }
            _ => None,
        }
    }
}

/// Checks a step against a type and says what types it gives.
fn bind_step(
    step: &Step,
    column: &str,
    data_type: &DataType,
    compiler: &dyn ExpressionCompiler,
    expressions: &mut Vec<BoundSql>,
) -> Result<Vec<DataType>, PlanError> {
    let unsupported = |advice| PlanError::UnsupportedType {
        column: column.to_owned(),
        step: step.name(),
        data_type: data_type.clone(),
        advice,
    };
    let category = |source| PlanError::Category {
        column: column.to_owned(),
        step: step.name(),
        source,
    };
    let problem = match step {
        Step::SimpleImputer(imputer) => {
            let kind = fill_kind(data_type).ok_or_else(|| {
                unsupported("it fills numbers and strings; use date_parts first for dates, or sql")
            })?;
            imputer.problem(kind)
        }
        Step::MinMaxScaler(scaler) => scaler.problem(),
        Step::RobustScaler(scaler) => scaler.problem(),
        Step::Clip(clip) => clip.problem(),
        Step::Drop(drop) => drop.problem(),
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(PlanError::InvalidOptions {
            column: column.to_owned(),
            step: step.name(),
            problem,
        });
    }
    match step {
        Step::SimpleImputer(imputer) => {
            let filled = match (fill_kind(data_type), data_type) {
                (Some(FillKind::Number), _) => DataType::Float64,
                (_, DataType::Dictionary(_, value)) => value.as_ref().clone(),
                (_, other) => other.clone(),
            };
            Ok(std::iter::once(filled)
                .chain(imputer.add_indicator.then_some(DataType::Float64))
                .collect())
        }
        Step::StandardScaler(_)
        | Step::MinMaxScaler(_)
        | Step::MaxAbsScaler(_)
        | Step::RobustScaler(_)
        | Step::Log1p
        | Step::Clip(_)
        | Step::Sqrt
        | Step::Abs => {
            if numeric::is_readable(data_type) {
                Ok(vec![DataType::Float64])
            } else {
                Err(unsupported(NUMBERS_NEEDED))
            }
        }
        Step::Sql(sql) => {
            let field = Field::new(column, data_type.clone(), true);
            let expression = compiler
                .compile(&sql.expression, &field)
                .map_err(|source| PlanError::Expression {
                    column: column.to_owned(),
                    source,
                })?;
            let output = expression.output_type().clone();
            expressions.push(BoundSql {
                text: sql.expression.clone(),
                input_type: data_type.clone(),
                expression,
            });
            Ok(vec![output])
        }
        Step::OneHotEncoder(encoder) => {
            encoder.check(data_type).map_err(category)?;
            Ok(vec![DataType::UInt8])
        }
        Step::OrdinalEncoder(encoder) => {
            encoder.check(data_type).map_err(category)?;
            Ok(vec![DataType::Int32])
        }
        Step::DateParts(parts) => {
            let bound = parts
                .bind(&Field::new(column, data_type.clone(), true))
                .map_err(|source| PlanError::DateParts {
                    column: column.to_owned(),
                    source,
                })?;
            Ok(bound
                .output_fields()
                .iter()
                .map(|field| field.data_type().clone())
                .collect())
        }
        Step::Drop(drop) => Ok(if drop.null_fraction_above.is_some() {
            vec![data_type.clone()]
        } else {
            Vec::new()
        }),
    }
}

#[cfg(test)]
mod tests;
