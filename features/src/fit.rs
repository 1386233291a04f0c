//! The driver of a fit: which columns to read, what workers gather, and what is learned after each pass.
//!
//! Owns phases and merging. What a step learns from its statistics is the step's own affair.

pub(crate) mod leaf;
mod settle;
mod spilling;
pub(crate) mod tap;

use std::sync::Arc;

use arrow::array::Array;
use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter;
use arrow::error::ArrowError;
use thiserror::Error;

use crate::category::CategoryError;
use crate::category::runs::VocabularyRoom;
use crate::category::store::CategoryStore;
use crate::chain::{Branch, Route, Tail};
use crate::fit::leaf::{LeafProgress, LeafState, segment};
use crate::fit::spilling::{StoredFit, gather, spill_together};
use crate::fitted_features::{FittedChain, FittedFeatures};
use crate::fitted_step::StepError;
use crate::output_dtype::OutputDtype;
use crate::plan::{Chain, FeaturePlan};
use crate::side_by_side::side_by_side;
use crate::split::TrainRows;

/// A fit in progress.
///
/// While [`Fit::needs_pass`] says so: make one [`Fit::state`] per worker, give each work unit's training rows in row order
/// to one of them, call [`FitState::end_unit`] after each unit, and hand all states to [`Fit::finish_pass`]. Every pass must
/// see the same rows in the same units; which worker sees which unit, and how rows are cut into batches, does not matter
/// and does not change a bit of the result.
#[derive(Debug)]
pub struct Fit {
    chains: Vec<ChainFit>,
    dtype: OutputDtype,
    store: Option<StoredFit>,
    kept_values: usize,
    pass: usize,
    rows: u64,
    program: Arc<Program>,
}

#[derive(Debug)]
struct ChainFit {
    chain: Chain,
    branch: Branch,
    /// One per open branch, in order.
    leaves: Vec<LeafProgress>,
}

/// What workers do in one pass.
#[derive(Debug)]
struct Program {
    pass: usize,
    /// Open chains: index, column, and the way of a value to each open branch.
    routes: Vec<(usize, String, Route)>,
    store: Option<Arc<dyn CategoryStore>>,
}

/// What one worker has gathered in one pass.
#[derive(Debug)]
pub struct FitState {
    program: Arc<Program>,
    leaves: Vec<Vec<LeafState>>,
    /// Set when a statistic could not even be started.
    broken: Option<CategoryError>,
    rows: u64,
    unit: Option<u32>,
}

/// Why a fit fails.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FitError {
    /// Not a single training row.
    #[error("there are no training rows to learn from")]
    NoTrainingRows,
    /// A batch without a column the plan needs.
    #[error("the batch has no column `{column}`")]
    MissingColumn {
        /// The column.
        column: String,
    },
    /// Infinite values reached a step that learns numbers, as scikit-learn refuses them too.
    #[error(
        "column `{column}`: {count} infinite values reach step {step}; put a clip step before it"
    )]
    Infinite {
        /// The column.
        column: String,
        /// The step.
        step: &'static str,
        /// How many values; of filled values all.
        count: u64,
    },
    /// A step that learns numbers found none.
    #[error(
        "column `{column}` has no value in the training rows, so {step} has nothing to learn; drop it, impute it first with keep_empty_features, or put {{drop: {{null_fraction_above: 0.9}}}} before it"
    )]
    NoValues {
        /// The column.
        column: String,
        /// The step.
        step: &'static str,
    },
    /// Categories cannot be counted or encoded.
    #[error("column `{column}`: {source}")]
    Category {
        /// The column.
        column: String,
        /// Why.
        source: CategoryError,
    },
    /// A step already fitted cannot transform the training rows for the next.
    #[error("column `{column}`: {source}")]
    Step {
        /// The column.
        column: String,
        /// Why.
        source: StepError,
    },
    /// Rows could not be selected.
    #[error("column `{column}`: training rows cannot be selected")]
    Select {
        /// The column.
        column: String,
        /// Why.
        source: ArrowError,
    },
    /// Two features of one name, found when the categories were known.
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
    /// A state made in another pass.
    #[error("a state of pass {found} was handed in at the end of pass {expected}")]
    ForeignState {
        /// Pass at hand.
        expected: usize,
        /// Pass of the state.
        found: usize,
    },
    /// Asked to finish while a pass is still needed.
    #[error("pass {pass} is still needed")]
    Unfinished {
        /// The pass.
        pass: usize,
    },
    /// A pass was handed in that was not asked for.
    #[error("no further pass is needed")]
    NoPassNeeded,
}

impl Fit {
    pub(crate) fn new(plan: &FeaturePlan) -> Self {
        let chains = plan
            .chains
            .iter()
            .map(|chain| {
                let mut chain = ChainFit {
                    branch: chain.start(),
                    chain: chain.clone(),
                    leaves: Vec::new(),
                };
                chain.open_leaves();
                chain
            })
            .collect();
        let mut fit = Self {
            chains,
            dtype: plan.dtype,
            store: None,
            kept_values: plan.kept_values,
            pass: 0,
            rows: 0,
            program: Arc::new(Program {
                pass: 0,
                routes: Vec::new(),
                store: None,
            }),
        };
        fit.prepare();
        fit
    }

    /// Whether another pass over the training rows is needed.
    pub fn needs_pass(&self) -> bool {
        self.chains.iter().any(|chain| !chain.leaves.is_empty())
    }

    /// Zero-based number of the pass at hand.
    pub fn pass(&self) -> usize {
        self.pass
    }

    /// Columns to read in this pass, each once.
    pub fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for (_, column, _) in &self.program.routes {
            if !columns.contains(&column.as_str()) {
                columns.push(column);
            }
        }
        columns
    }

    /// An empty state for one worker.
    pub fn state(&self) -> FitState {
        let mut broken = None;
        let mut leaves = Vec::with_capacity(self.program.routes.len());
        for (index, _, _) in &self.program.routes {
            let progress = self
                .chains
                .get(*index)
                .map(|chain| chain.leaves.as_slice())
                .unwrap_or_default();
            let states: Result<Vec<_>, _> = progress
                .iter()
                .map(|leaf| leaf.state(self.kept_values))
                .collect();
            leaves.push(states.unwrap_or_else(|error| {
                broken = Some(error);
                Vec::new()
            }));
        }
        FitState {
            program: Arc::clone(&self.program),
            leaves,
            broken,
            rows: 0,
            unit: None,
        }
    }

    /// Ends a pass with the states of all its workers, in any order. Columns are settled side by side, on as many threads.
    ///
    /// # Errors
    /// No training rows; infinite values; states of another pass; everything an encoder refuses.
    pub fn finish_pass(&mut self, mut states: Vec<FitState>) -> Result<(), FitError> {
        if !self.needs_pass() {
            return Err(FitError::NoPassNeeded);
        }
        let program = Arc::clone(&self.program);
        for state in &mut states {
            if state.program.pass != self.pass {
                return Err(FitError::ForeignState {
                    expected: self.pass,
                    found: state.program.pass,
                });
            }
            state.close_unit();
        }
        spill_together(&program, &mut states)?;
        let workers = states.len();
        let rows = states.iter().map(|state| state.rows).sum();
        if rows == 0 {
            return Err(FitError::NoTrainingRows);
        }
        let mut by_route: Vec<Vec<Vec<LeafState>>> = Vec::new();
        by_route.resize_with(program.routes.len(), Vec::new);
        for state in states {
            for (of_route, leaves) in by_route.iter_mut().zip(state.leaves) {
                of_route.push(leaves);
            }
        }
        let by_route = program.routes.iter().zip(by_route);
        let mut merged = side_by_side(workers, by_route, |((_, column, _), states)| {
            merge(states).map_err(|source| FitError::Category {
                column: column.clone(),
                source,
            })
        })?;
        self.rows = rows;
        gather(&program, &mut merged)?;
        let room = self.room(&merged);
        let kept_values = self.kept_values;
        let open = self.chains.iter_mut().filter(|fit| !fit.leaves.is_empty());
        side_by_side(workers, open.zip(merged), |(chain, states)| {
            chain.advance(states, kept_values, room.as_ref())
        })?;
        self.pass += 1;
        self.prepare();
        Ok(())
    }

    /// Gives what was learned.
    ///
    /// # Errors
    /// [`FitError::Unfinished`] while a pass is needed; features of the same name.
    pub fn finish(self) -> Result<FittedFeatures, FitError> {
        if self.needs_pass() {
            return Err(FitError::Unfinished { pass: self.pass });
        }
        let chains = self.chains.into_iter().map(|fit| FittedChain {
            column: fit.chain.column,
            data_type: fit.chain.data_type,
            prefix: fit.chain.set.prefix.clone().unwrap_or_default(),
            suffix: fit.chain.set.suffix.clone().unwrap_or_default(),
            branch: fit.branch,
        });
        FittedFeatures::assemble(chains.collect(), self.dtype, self.rows).map_err(|duplicate| {
            FitError::DuplicateOutput {
                name: duplicate.name,
                first: duplicate.first,
                second: duplicate.second,
            }
        })
    }

    fn prepare(&mut self) {
        let open = self
            .chains
            .iter()
            .enumerate()
            .filter(|(_, fit)| !fit.leaves.is_empty());
        let routes = open.map(|(index, fit)| {
            (
                index,
                fit.chain.column.clone(),
                open_only(&fit.branch).compile(&mut 0),
            )
        });
        self.program = Arc::new(Program {
            pass: self.pass,
            routes: routes.collect(),
            store: self.store.as_ref().map(|stored| Arc::clone(&stored.store)),
        });
    }
}

/// The branch with outputs that are already settled left out, so that only open ends are fed.
fn open_only(branch: &Branch) -> Branch {
    let mut branch = branch.clone();
    fn close(branch: &mut Branch) {
        match &mut branch.tail {
            Tail::Streams(branches) => branches.iter_mut().for_each(close),
            Tail::Output => {
                branch.tail = Tail::Dropped {
                    reason: crate::chain::DropReason::DropStep,
                    null_fraction: None,
                };
            }
            Tail::Open { .. } | Tail::Dropped { .. } => {}
        }
    }
    close(&mut branch);
    branch
}

impl ChainFit {
    /// Starts a segment at every open branch.
    fn open_leaves(&mut self) {
        let mut leaves = Vec::new();
        let steps = &self.chain.steps;
        self.branch.visit(&mut |branch| {
            if let Tail::Open { done, data_type } = &branch.tail {
                leaves.push(LeafProgress::new(
                    segment(steps, *done, data_type),
                    data_type,
                ));
            }
        });
        self.leaves = leaves;
    }

    /// Takes in a pass; settles the segment when it is complete.
    fn advance(
        &mut self,
        states: Vec<LeafState>,
        kept_values: usize,
        room: Option<&VocabularyRoom>,
    ) -> Result<(), FitError> {
        for (leaf, state) in self.leaves.iter_mut().zip(states) {
            leaf.advance(state, kept_values);
        }
        if self.leaves.iter().all(LeafProgress::is_complete) {
            let leaves = std::mem::take(&mut self.leaves);
            let mut leaves = leaves.into_iter();
            settle::settle(&self.chain, &mut self.branch, &mut leaves, room)?;
            self.chain.advance(&mut self.branch);
            self.open_leaves();
        }
        Ok(())
    }
}

impl FitState {
    /// Adds the training rows of a batch of a unit. A unit's batches come in row order and to one state.
    ///
    /// # Errors
    /// A missing column; values of a type the plan was not made for.
    pub fn update(&mut self, unit: u32, rows: &TrainRows<'_>) -> Result<(), FitError> {
        if self.unit.is_some_and(|open| open != unit) {
            self.close_unit();
        }
        self.unit = Some(unit);
        self.rows += rows.num_rows() as u64;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let program = Arc::clone(&self.program);
        for ((_, column, route), leaves) in program.routes.iter().zip(&mut self.leaves) {
            if let Some(source) = &self.broken {
                return Err(FitError::Category {
                    column: column.clone(),
                    source: source.clone(),
                });
            }
            let values =
                rows.batch()
                    .column_by_name(column)
                    .ok_or_else(|| FitError::MissingColumn {
                        column: column.clone(),
                    })?;
            let failed = |source| FitError::Step {
                column: column.clone(),
                source,
            };
            if route.is_direct() {
                feed(route, values, rows.mask(), leaves).map_err(failed)?;
            } else {
                // A fitted encoder may refuse rows outside the training set: they must not reach it.
                let mask = BooleanArray::new(rows.mask().clone(), None);
                let train = filter(values.as_ref(), &mask).map_err(|source| FitError::Select {
                    column: column.clone(),
                    source,
                })?;
                feed(route, &train, &BooleanBuffer::new_set(train.len()), leaves)
                    .map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Says that a unit is complete. A unit that is not the open one is complete already.
    pub fn end_unit(&mut self, unit: u32) {
        if self.unit == Some(unit) {
            self.close_unit();
        }
    }

    /// Bytes held. Grows with the number of columns and of distinct categories, never with that of rows.
    pub fn memory_bytes(&self) -> usize {
        self.leaves
            .iter()
            .flatten()
            .map(LeafState::memory_bytes)
            .sum()
    }

    fn close_unit(&mut self) {
        if let Some(unit) = self.unit.take() {
            self.leaves
                .iter_mut()
                .flatten()
                .for_each(|leaf| leaf.end_unit(unit));
        }
    }
}

/// What all workers have gathered of one column.
fn merge(states: Vec<Vec<LeafState>>) -> Result<Vec<LeafState>, CategoryError> {
    let mut states = states.into_iter();
    let mut merged = states.next().unwrap_or_default();
    for state in states {
        for (into, from) in merged.iter_mut().zip(state) {
            into.merge(from)?;
        }
    }
    Ok(merged)
}

fn feed(
    route: &Route,
    values: &arrow::array::ArrayRef,
    selected: &BooleanBuffer,
    leaves: &mut [LeafState],
) -> Result<(), StepError> {
    route.send(
        values,
        &mut 0,
        &mut |index, values, kernels| match leaves.get_mut(index) {
            Some(leaf) => leaf.add(values, selected, kernels),
            None => Ok(()),
        },
    )
}

#[cfg(test)]
mod tests;
