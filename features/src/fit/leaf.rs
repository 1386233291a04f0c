//! What is gathered at the open end of a branch during one pass, and which steps it settles.
//!
//! Closed forms keep the number of passes low: an imputer, stateless functions, and a moment or range scaler are settled
//! together. The scaler gathers the function of the values that are there, and the filled ones are added afterwards as so
//! many copies of the function of one constant.

use arrow::array::{Array, ArrayRef};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;

use super::tap::{TapKind, TapProgress, TapState};
use crate::category::runs::Spillable;
use crate::category::store::CategoryStore;
use crate::category::{CategoryCounts, CategoryError};
use crate::fitted_step::StepError;
use crate::kernel::{Kernel, apply_all};
use crate::numeric::{self, CHUNK, NumericColumn, compact};
use crate::output_dtype::OutputDtype;
use crate::plan::BoundStep;
use crate::quantiles::{QuantileMethod, Wanted};
use crate::simple_imputer::{ImputeStrategy, SimpleImputer};
use crate::step::Step;
use crate::vector::vectorised;

/// One pass worth of a chain.
#[derive(Clone, Debug)]
pub(crate) enum Segment {
    /// A stream of numbers.
    Numeric(NumericSegment),
    /// A stream of anything: categories are counted, or only missing values.
    Array(ArraySegment),
}

/// Functions and taps in chain order.
#[derive(Clone, Debug, Default)]
pub(crate) struct NumericSegment {
    pub(crate) ops: Vec<Op>,
    pub(crate) taps: Vec<TapKind>,
    /// Steps settled, in order.
    pub(crate) uses: Vec<Use>,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Kernel(Kernel),
    Tap(usize),
}

/// A step of the segment: a function, or a step that learns from a tap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) step: usize,
    pub(crate) tap: Option<usize>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ArraySegment {
    /// Steps settled: conditional drops, then at most one other.
    pub(crate) steps: Vec<usize>,
    /// Whether categories are counted.
    pub(crate) counts: bool,
}

impl Step {
    /// Whether the step learns from training rows.
    pub(crate) fn learns(&self) -> bool {
        match self {
            Self::Log1p
            | Self::Clip(_)
            | Self::Sqrt
            | Self::Abs
            | Self::Sql(_)
            | Self::DateParts(_) => false,
            Self::Drop(drop) => drop.null_fraction_above.is_some(),
            _ => true,
        }
    }

    fn function(&self) -> Option<Kernel> {
        match self {
            Self::Log1p => Some(Kernel::Log1p),
            Self::Sqrt => Some(Kernel::Sqrt),
            Self::Abs => Some(Kernel::Abs),
            Self::Clip(clip) => Some(clip.kernel()),
            _ => None,
        }
    }
}

fn imputer_tap(imputer: &SimpleImputer) -> TapKind {
    match imputer.strategy {
        ImputeStrategy::Mean => TapKind::Moments,
        ImputeStrategy::Median => TapKind::Quantiles {
            wanted: vec![Wanted::Median],
            method: imputer.quantiles,
        },
        ImputeStrategy::MostFrequent => TapKind::Modes,
        ImputeStrategy::Constant => TapKind::Missing,
    }
}

/// What the next pass gathers for a stream of the given type whose steps before `done` are settled.
pub(crate) fn segment(steps: &[BoundStep], done: usize, data_type: &DataType) -> Segment {
    let rest = || steps.iter().enumerate().skip(done);
    let main = rest()
        .find(|(_, bound)| !matches!(bound.step, Step::Drop(_)))
        .map(|(_, bound)| &bound.step);
    let encodes = matches!(main, Some(Step::OneHotEncoder(_) | Step::OrdinalEncoder(_)));
    if encodes || !numeric::is_readable(data_type) {
        return Segment::Array(array_segment(steps, done));
    }
    Segment::Numeric(numeric_segment(steps, done))
}

fn array_segment(steps: &[BoundStep], done: usize) -> ArraySegment {
    let mut segment = ArraySegment::default();
    for (index, bound) in steps.iter().enumerate().skip(done) {
        match &bound.step {
            Step::Drop(drop) if drop.null_fraction_above.is_some() => segment.steps.push(index),
            Step::OneHotEncoder(_) | Step::OrdinalEncoder(_) => {
                segment.steps.push(index);
                segment.counts = true;
                break;
            }
            Step::SimpleImputer(imputer) => {
                segment.steps.push(index);
                segment.counts = imputer.strategy == ImputeStrategy::MostFrequent;
                break;
            }
            _ => break,
        }
    }
    segment
}

fn numeric_segment(steps: &[BoundStep], done: usize) -> NumericSegment {
    let mut segment = NumericSegment::default();
    let mut imputed = false;
    for (index, bound) in steps.iter().enumerate().skip(done) {
        let tap = match &bound.step {
            Step::SimpleImputer(imputer) if !imputed => {
                imputed = true;
                Some((imputer_tap(imputer), false))
            }
            Step::Drop(drop) if drop.null_fraction_above.is_some() && !imputed => {
                Some((TapKind::Missing, false))
            }
            Step::StandardScaler(_) => Some((TapKind::Moments, true)),
            Step::MinMaxScaler(_) | Step::MaxAbsScaler(_) => Some((TapKind::Extrema, true)),
            Step::RobustScaler(scaler) if !imputed => Some((
                TapKind::Quantiles {
                    wanted: scaler.wanted(),
                    method: scaler.quantiles,
                },
                true,
            )),
            _ => None,
        };
        match (tap, bound.step.function()) {
            (Some((kind, last)), _) => {
                let tap = segment.tap(kind);
                segment.uses.push(Use {
                    step: index,
                    tap: Some(tap),
                });
                if last {
                    break;
                }
            }
            (None, Some(kernel)) => {
                segment.ops.push(Op::Kernel(kernel));
                segment.uses.push(Use {
                    step: index,
                    tap: None,
                });
            }
            (None, None) => break,
        }
    }
    // Functions after the last tap have nobody to work for.
    while matches!(segment.ops.last(), Some(Op::Kernel(_))) {
        segment.ops.pop();
        segment.uses.pop();
    }
    segment
}

impl NumericSegment {
    /// The tap of a kind at the present end of the segment, shared with a step that wants the same there.
    fn tap(&mut self, kind: TapKind) -> usize {
        let here = self.ops.iter().rev().map_while(|op| match op {
            Op::Tap(index) => Some(*index),
            Op::Kernel(_) => None,
        });
        if let Some(shared) = here
            .into_iter()
            .find(|&index| self.taps.get(index) == Some(&kind))
        {
            return shared;
        }
        self.taps.push(kind);
        self.ops.push(Op::Tap(self.taps.len() - 1));
        self.taps.len() - 1
    }
}

impl Segment {
    /// The steps settled by this pass, functions between them included.
    pub(crate) fn steps(&self) -> Vec<usize> {
        match self {
            Self::Numeric(segment) => segment.uses.iter().map(|settled| settled.step).collect(),
            Self::Array(segment) => segment.steps.clone(),
        }
    }

    /// Whether the pass may have to be repeated to find exact quantiles.
    pub(crate) fn searches_quantiles(&self) -> bool {
        let exact = |kind: &TapKind| {
            matches!(
                kind,
                TapKind::Quantiles {
                    method: QuantileMethod::Exact,
                    ..
                }
            )
        };
        matches!(self, Self::Numeric(segment) if segment.taps.iter().any(exact))
    }
}

/// A segment and how far it has come.
#[derive(Debug)]
pub(crate) enum LeafProgress {
    Numeric {
        segment: NumericSegment,
        taps: Vec<TapProgress>,
    },
    Array {
        segment: ArraySegment,
        data_type: DataType,
        gathered: Option<ArrayState>,
    },
}

/// What one worker gathers at one leaf.
#[derive(Debug)]
pub(crate) enum LeafState {
    Numeric { ops: Vec<Op>, taps: Vec<TapState> },
    Array(ArrayState),
}

#[derive(Debug)]
pub(crate) struct ArrayState {
    pub(crate) rows: u64,
    pub(crate) missing: u64,
    pub(crate) counts: Option<Box<CategoryCounts>>,
}

impl LeafProgress {
    pub(crate) fn new(segment: Segment, data_type: &DataType) -> Self {
        match segment {
            Segment::Numeric(segment) => {
                let taps = segment
                    .taps
                    .iter()
                    .cloned()
                    .map(TapProgress::Fresh)
                    .collect();
                Self::Numeric { segment, taps }
            }
            Segment::Array(segment) => Self::Array {
                segment,
                data_type: data_type.clone(),
                gathered: None,
            },
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        match self {
            Self::Numeric { taps, .. } => taps.iter().all(TapProgress::is_complete),
            Self::Array { gathered, .. } => gathered.is_some(),
        }
    }

    pub(crate) fn state(&self, kept_values: usize) -> Result<LeafState, CategoryError> {
        Ok(match self {
            Self::Numeric { segment, taps } => LeafState::Numeric {
                ops: needed(&segment.ops, taps),
                taps: taps.iter().map(|tap| tap.state(kept_values)).collect(),
            },
            Self::Array {
                segment, data_type, ..
            } => {
                let counts = if segment.counts {
                    Some(Box::new(CategoryCounts::try_new(data_type)?))
                } else {
                    None
                };
                LeafState::Array(ArrayState {
                    rows: 0,
                    missing: 0,
                    counts,
                })
            }
        })
    }

    pub(crate) fn advance(&mut self, state: LeafState, kept_values: usize) {
        match (self, state) {
            (Self::Numeric { taps, .. }, LeafState::Numeric { taps: states, .. }) => {
                *taps = std::mem::take(taps)
                    .into_iter()
                    .zip(states)
                    .map(|(tap, state)| tap.advance(state, kept_values))
                    .collect();
            }
            (Self::Array { gathered, .. }, LeafState::Array(state)) => *gathered = Some(state),
            _ => {}
        }
    }
}

/// The operations up to the last tap that still gathers.
fn needed(ops: &[Op], taps: &[TapProgress]) -> Vec<Op> {
    let waits = |op: &Op| matches!(op, Op::Tap(index) if taps.get(*index).is_some_and(|tap| !tap.is_complete()));
    let end = ops.iter().rposition(waits).map_or(0, |last| last + 1);
    let kept = ops
        .iter()
        .take(end)
        .filter(|op| matches!(op, Op::Kernel(_)) || waits(op));
    kept.cloned().collect()
}

impl LeafState {
    /// Adds the selected rows of a column, after the kernels that lead here.
    pub(crate) fn add(
        &mut self,
        values: &ArrayRef,
        selected: &BooleanBuffer,
        before: &[Kernel],
    ) -> Result<(), StepError> {
        match self {
            Self::Numeric { ops, taps } => add_numbers(values, selected, before, ops, taps),
            Self::Array(state) => {
                if before.is_empty() {
                    return state.add(values, selected);
                }
                let numbers = numeric::transform(values, before, OutputDtype::Float64);
                let numbers = numbers.ok_or_else(|| not_numeric(values))?;
                state.add(&numbers.array, selected)
            }
        }
    }

    pub(crate) fn end_unit(&mut self, unit: u32) {
        if let Self::Numeric { taps, .. } = self {
            taps.iter_mut().for_each(|tap| tap.end_unit(unit));
        }
    }

    pub(crate) fn merge(&mut self, other: Self) -> Result<(), CategoryError> {
        match (self, other) {
            (Self::Numeric { taps, .. }, Self::Numeric { taps: others, .. }) => {
                taps.iter_mut()
                    .zip(others)
                    .for_each(|(tap, other)| tap.merge(other));
            }
            (Self::Array(state), Self::Array(other)) => {
                state.rows += other.rows;
                state.missing += other.missing;
                if let (Some(counts), Some(other)) = (&mut state.counts, other.counts) {
                    counts.merge(*other)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The categories counted here, if that is what is gathered.
    pub(crate) fn counts(&self) -> Option<&CategoryCounts> {
        match self {
            Self::Numeric { .. } => None,
            Self::Array(state) => state.counts.as_deref(),
        }
    }

    /// Everything that can leave memory.
    pub(crate) fn spillable(&self) -> Vec<&dyn Spillable> {
        match self {
            Self::Numeric { taps, .. } => taps.iter().filter_map(TapState::spillable).collect(),
            Self::Array(state) => {
                let counts = state.counts.as_deref().into_iter();
                counts.map(|counts| counts as &dyn Spillable).collect()
            }
        }
    }

    /// As [`spillable`](Self::spillable), in the same order.
    pub(crate) fn spillable_mut(&mut self) -> Vec<&mut dyn Spillable> {
        match self {
            Self::Numeric { taps, .. } => taps
                .iter_mut()
                .filter_map(|tap| Some(tap.modes_mut()? as &mut dyn Spillable))
                .collect(),
            Self::Array(state) => {
                let counts = state.counts.as_deref_mut().into_iter();
                counts.map(|counts| counts as &mut dyn Spillable).collect()
            }
        }
    }

    /// Brings back what is needed of numbers that have spilled; categories stay where they are.
    pub(crate) fn gather(&mut self, store: &dyn CategoryStore) -> Result<(), CategoryError> {
        match self {
            Self::Numeric { taps, .. } => taps
                .iter_mut()
                .filter_map(TapState::modes_mut)
                .try_for_each(|modes| modes.gather(store)),
            Self::Array(_) => Ok(()),
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            Self::Numeric { taps, .. } => taps.iter().map(TapState::memory_bytes).sum(),
            Self::Array(state) => state
                .counts
                .as_ref()
                .map_or(0, |counts| counts.memory_bytes()),
        }
    }
}

impl ArrayState {
    fn add(&mut self, values: &ArrayRef, selected: &BooleanBuffer) -> Result<(), StepError> {
        let rows = selected.count_set_bits();
        // NaN is missing too.
        let plain = values
            .data_type()
            .is_floating()
            .then(|| numeric::transform(values, &[], OutputDtype::Float64))
            .flatten()
            .map(|numbers| numbers.array);
        let present = match plain.as_ref().unwrap_or(values).logical_nulls() {
            Some(nulls) => (nulls.inner() & selected).count_set_bits(),
            None => rows,
        };
        self.rows += rows as u64;
        self.missing += (rows - present) as u64;
        if let Some(counts) = &mut self.counts {
            counts.update(values, selected)?;
        }
        Ok(())
    }
}

fn not_numeric(values: &ArrayRef) -> StepError {
    StepError::NotNumeric {
        step: "a numeric step",
        data_type: values.data_type().clone(),
    }
}

fn add_numbers(
    values: &ArrayRef,
    selected: &BooleanBuffer,
    before: &[Kernel],
    ops: &[Op],
    taps: &mut [TapState],
) -> Result<(), StepError> {
    let column = NumericColumn::read(values.as_ref()).ok_or_else(|| not_numeric(values))?;
    let mut scratch = [0.0; CHUNK];
    let mut offset = 0;
    while offset < column.len() {
        let len = CHUNK.min(column.len() - offset);
        let chunk = &mut scratch[..len];
        vectorised(
            #[inline(always)]
            || {
                column.load(offset, chunk);
                let kept = compact(chunk, &selected.slice(offset, len));
                let chunk = &mut chunk[..kept];
                apply_all(before, chunk);
                for op in ops {
                    match op {
                        Op::Kernel(kernel) => kernel.apply(chunk),
                        Op::Tap(index) => {
                            if let Some(tap) = taps.get_mut(*index) {
                                tap.add(chunk);
                            }
                        }
                    }
                }
            },
        );
        offset += len;
    }
    Ok(())
}
