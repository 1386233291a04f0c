//! Turning the statistics of a complete segment into fitted steps.
//!
//! Owns the closed forms that carry filled values and indicator columns through functions into a scaler.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::FitError;
use super::leaf::{ArraySegment, ArrayState, LeafProgress, NumericSegment, Use};
use super::tap::{Gathered, TapProgress, TapState};
use crate::category::runs::VocabularyRoom;
use crate::category::vocabulary::{LearnedVocabulary, category_at};
use crate::category::{Category, CategoryCounts, CategoryError};
use crate::chain::{Branch, DropReason, Tail};
use crate::extrema::Extrema;
use crate::fitted_step::{FittedStep, KeptColumn};
use crate::kernel::apply_all_to_one;
use crate::moments::Moments;
use crate::plan::{Chain, fill_kind};
use crate::quantiles::{Quantile, QuantileMethod};
use crate::simple_imputer::{FillKind, FillStatistic, ImputeStrategy};
use crate::step::Step;

/// Appends what was learned to every open branch; `leaves` come in the order of the branches.
pub(super) fn settle(
    chain: &Chain,
    branch: &mut Branch,
    leaves: &mut dyn Iterator<Item = LeafProgress>,
    room: Option<&VocabularyRoom>,
) -> Result<(), FitError> {
    match &mut branch.tail {
        Tail::Streams(branches) => branches
            .iter_mut()
            .try_for_each(|branch| settle(chain, branch, leaves, room)),
        Tail::Open { .. } => match leaves.next() {
            Some(LeafProgress::Numeric { segment, taps }) => {
                settle_numeric(chain, branch, &segment, &taps)
            }
            Some(LeafProgress::Array {
                segment,
                gathered: Some(state),
                ..
            }) => settle_array(chain, branch, &segment, state, room),
            _ => Ok(()),
        },
        Tail::Output | Tail::Dropped { .. } => Ok(()),
    }
}

/// Values of a stream that no tap has seen: so many copies of one constant.
#[derive(Clone, Copy, Debug)]
struct Copies {
    value: f64,
    count: u64,
}

/// A stream being settled: a branch, and where its values come from.
enum Source<'a> {
    /// From the taps, plus the filled values once there is an imputer.
    Taps {
        taps: &'a [TapProgress],
        filled: Option<Copies>,
    },
    /// An indicator column: zeros and ones, every one of them known.
    Indicator([Copies; 2]),
}

fn settle_numeric(
    chain: &Chain,
    branch: &mut Branch,
    segment: &NumericSegment,
    taps: &[TapProgress],
) -> Result<(), FitError> {
    settle_stream(
        chain,
        branch,
        &segment.uses,
        Source::Taps { taps, filled: None },
    )
}

fn settle_stream(
    chain: &Chain,
    branch: &mut Branch,
    uses: &[Use],
    mut source: Source<'_>,
) -> Result<(), FitError> {
    for (position, settled) in uses.iter().enumerate() {
        let (Some(bound), Tail::Open { done, data_type }) =
            (chain.steps.get(settled.step), &branch.tail)
        else {
            return Ok(());
        };
        let (done, data_type) = (*done, data_type.clone());
        let infinite = |count| FitError::Infinite {
            column: chain.column.clone(),
            step: bound.step.name(),
            count,
        };
        if !matches!(bound.step, Step::Drop(_)) {
            match source.infinite(settled.tap) {
                0 => {}
                count => return Err(infinite(count)),
            }
        }
        if bound.step.is_scaler() && source.is_empty(settled.tap) {
            return Err(FitError::NoValues {
                column: chain.column.clone(),
                step: bound.step.name(),
            });
        }
        let fitted = match &bound.step {
            Step::Log1p => FittedStep::Log1p,
            Step::Sqrt => FittedStep::Sqrt,
            Step::Abs => FittedStep::Abs,
            Step::Clip(clip) => FittedStep::Clip(*clip),
            Step::Drop(drop) => {
                let (rows, missing) = source.rows_and_missing(settled.tap);
                match drop_or_keep(drop.null_fraction_above.unwrap_or(1.0), rows, missing) {
                    Ok(kept) => FittedStep::Kept(kept),
                    Err(tail) => {
                        branch.tail = tail;
                        return Ok(());
                    }
                }
            }
            Step::SimpleImputer(imputer) => {
                let (rows, missing) = source.rows_and_missing(settled.tap);
                let (learned, interval) = source.fill(settled.tap, imputer.strategy);
                let interval =
                    interval.filter(|_| imputer.quantiles == QuantileMethod::Approximate);
                let learned = learned.map(|fill| FillStatistic::Number(fill.into()));
                let fitted = imputer.fit(FillKind::Number, rows, missing, learned, interval);
                let fill = match &fitted.statistics_ {
                    Some(FillStatistic::Number(fill)) => Some(fill.0),
                    _ => None,
                };
                let indicator = fitted.indicator_;
                if fill.is_none() && !indicator {
                    branch.tail = no_values(rows, missing);
                    return Ok(());
                }
                branch.push(FittedStep::SimpleImputer(fitted), done, &data_type);
                let rest = uses.get(position + 1..).unwrap_or_default();
                if let Tail::Streams(branches) = &mut branch.tail {
                    let mut branches = branches.iter_mut();
                    if let Some(value) = fill
                        && let Some(branch) = branches.next()
                    {
                        settle_stream(
                            chain,
                            branch,
                            rest,
                            source.filled(Copies {
                                value,
                                count: missing,
                            }),
                        )?;
                    }
                    if let Some(branch) = branches.next() {
                        let zeros = Copies {
                            value: 0.0,
                            count: rows - missing,
                        };
                        let ones = Copies {
                            value: 1.0,
                            count: missing,
                        };
                        settle_stream(chain, branch, rest, Source::Indicator([zeros, ones]))?;
                    }
                    return Ok(());
                }
                if let Some(value) = fill {
                    source = source.filled(Copies {
                        value,
                        count: missing,
                    });
                }
                continue;
            }
            Step::StandardScaler(scaler) => {
                FittedStep::StandardScaler(scaler.fit(&source.moments(settled.tap)))
            }
            Step::MinMaxScaler(scaler) => {
                FittedStep::MinMaxScaler(scaler.fit(&source.extrema(settled.tap)))
            }
            Step::MaxAbsScaler(scaler) => {
                FittedStep::MaxAbsScaler(scaler.fit(&source.extrema(settled.tap)))
            }
            Step::RobustScaler(scaler) => {
                let (rows, missing) = source.rows_and_missing(settled.tap);
                FittedStep::RobustScaler(scaler.fit(rows - missing, &source.quantiles(settled.tap)))
            }
            _ => return Ok(()),
        };
        if settled.tap.is_none()
            && let Some(kernels) = fitted.kernels()
        {
            source.map(|value| apply_all_to_one(&kernels, value));
        }
        branch.push(fitted, done, &data_type);
    }
    Ok(())
}

fn drop_or_keep(limit: f64, rows: u64, missing: u64) -> Result<KeptColumn, Tail> {
    let fraction = if rows == 0 {
        0.0
    } else {
        missing as f64 / rows as f64
    };
    if fraction > limit {
        Err(Tail::Dropped {
            reason: DropReason::NullFraction,
            null_fraction: Some(fraction),
        })
    } else {
        Ok(KeptColumn {
            null_fraction_above: limit,
            null_fraction_: fraction,
        })
    }
}

fn no_values(rows: u64, missing: u64) -> Tail {
    let fraction = if rows == 0 {
        0.0
    } else {
        missing as f64 / rows as f64
    };
    Tail::Dropped {
        reason: DropReason::NoValues,
        null_fraction: Some(fraction),
    }
}

impl Copies {
    fn moments(self) -> Moments {
        if self.value.is_nan() {
            Moments::default()
        } else {
            Moments::constant(self.value, self.count)
        }
    }
}

impl<'a> Source<'a> {
    fn tap(&self, tap: Option<usize>) -> Option<&'a TapProgress> {
        match self {
            Self::Taps { taps, .. } => tap.and_then(|index| taps.get(index)),
            Self::Indicator(_) => None,
        }
    }

    fn gathered(&self, tap: Option<usize>) -> Option<&'a Gathered> {
        match self.tap(tap)? {
            TapProgress::Complete(TapState { gathered, .. }) => Some(gathered),
            _ => None,
        }
    }

    fn copies(&self) -> Vec<Copies> {
        match self {
            Self::Taps { filled, .. } => filled.iter().copied().collect(),
            Self::Indicator(copies) => copies.to_vec(),
        }
    }

    /// The same stream, its missing values filled.
    fn filled(&self, copies: Copies) -> Self {
        match self {
            Self::Taps { taps, .. } => Self::Taps {
                taps,
                filled: Some(copies),
            },
            Self::Indicator(known) => Self::Indicator(*known),
        }
    }

    /// Sends the known values through a function; taps have been put behind it already.
    fn map(&mut self, function: impl Fn(f64) -> f64) {
        match self {
            Self::Taps { filled, .. } => filled
                .iter_mut()
                .for_each(|copies| copies.value = function(copies.value)),
            Self::Indicator(known) => known
                .iter_mut()
                .for_each(|copies| copies.value = function(copies.value)),
        }
    }

    fn infinite(&self, tap: Option<usize>) -> u64 {
        if tap.is_none() {
            return 0;
        }
        let known: u64 = self
            .copies()
            .iter()
            .filter(|copies| copies.value.is_infinite())
            .map(|copies| copies.count)
            .sum();
        known + self.tap(tap).map_or(0, TapProgress::infinite)
    }

    /// Whether a tap was set and neither it nor a fill gave a single value.
    fn is_empty(&self, tap: Option<usize>) -> bool {
        let (rows, missing) = self.rows_and_missing(tap);
        tap.is_some() && rows == missing && self.copies().iter().all(|copies| copies.count == 0)
    }

    fn rows_and_missing(&self, tap: Option<usize>) -> (u64, u64) {
        match self {
            Self::Taps { .. } => self.tap(tap).map_or((0, 0), TapProgress::rows_and_missing),
            Self::Indicator([zeros, ones]) => (zeros.count + ones.count, 0),
        }
    }

    fn moments(&self, tap: Option<usize>) -> Moments {
        let tapped = match self.gathered(tap) {
            Some(Gathered::Moments(moments)) => moments.total(),
            _ => Moments::default(),
        };
        self.copies()
            .into_iter()
            .fold(tapped, |all, copies| all.merge(copies.moments()))
    }

    fn extrema(&self, tap: Option<usize>) -> Extrema {
        let tapped = match self.gathered(tap) {
            Some(Gathered::Extrema(extrema)) => *extrema,
            _ => Extrema::new(),
        };
        self.copies().into_iter().fold(tapped, |all, copies| {
            all.with_constant(copies.value, copies.count)
        })
    }

    fn quantiles(&self, tap: Option<usize>) -> Vec<Quantile> {
        match self.tap(tap) {
            Some(TapProgress::Found { search, .. }) => search.results(),
            _ => Vec::new(),
        }
    }

    /// The statistic an imputer fills with, None without values, and the interval of an approximate median.
    fn fill(
        &self,
        tap: Option<usize>,
        strategy: ImputeStrategy,
    ) -> (Option<f64>, Option<[f64; 2]>) {
        match strategy {
            ImputeStrategy::Mean => {
                let moments = self.moments(tap);
                ((moments.count > 0).then_some(moments.mean), None)
            }
            ImputeStrategy::Median => {
                let median = self
                    .quantiles(tap)
                    .first()
                    .copied()
                    .filter(|median| !median.value.is_nan());
                (
                    median.map(|median| median.value),
                    median.map(|median| [median.low, median.high]),
                )
            }
            ImputeStrategy::MostFrequent => match self.gathered(tap) {
                Some(Gathered::Modes(counts)) => (counts.mode(), None),
                _ => (None, None),
            },
            ImputeStrategy::Constant => (None, None),
        }
    }
}

fn settle_array(
    chain: &Chain,
    branch: &mut Branch,
    segment: &ArraySegment,
    mut state: ArrayState,
    room: Option<&VocabularyRoom>,
) -> Result<(), FitError> {
    let refused = |source: CategoryError| FitError::Category {
        column: chain.column.clone(),
        source,
    };
    for &index in &segment.steps {
        let (Some(bound), Tail::Open { done, data_type }) = (chain.steps.get(index), &branch.tail)
        else {
            return Ok(());
        };
        let (done, data_type) = (*done, data_type.clone());
        let fitted = match &bound.step {
            Step::Drop(drop) => {
                match drop_or_keep(
                    drop.null_fraction_above.unwrap_or(1.0),
                    state.rows,
                    state.missing,
                ) {
                    Ok(kept) => FittedStep::Kept(kept),
                    Err(tail) => {
                        branch.tail = tail;
                        return Ok(());
                    }
                }
            }
            Step::OneHotEncoder(encoder) => {
                let counts = counts(&mut state, &data_type).map_err(refused)?;
                FittedStep::OneHotEncoder(Arc::new(encoder.fit(counts, room).map_err(refused)?))
            }
            Step::OrdinalEncoder(encoder) => {
                let counts = counts(&mut state, &data_type).map_err(refused)?;
                FittedStep::OrdinalEncoder(Arc::new(encoder.fit(counts, room).map_err(refused)?))
            }
            Step::SimpleImputer(imputer) => {
                let kind = fill_kind(&data_type).unwrap_or(FillKind::Text);
                let learned = match imputer.strategy {
                    ImputeStrategy::MostFrequent => {
                        let counts = counts(&mut state, &data_type).map_err(refused)?;
                        most_frequent(counts, room).map_err(refused)?
                    }
                    _ => None,
                };
                let fitted = imputer.fit(kind, state.rows, state.missing, learned, None);
                if fitted.statistics_.is_none() && !fitted.indicator_ {
                    branch.tail = no_values(state.rows, state.missing);
                    return Ok(());
                }
                FittedStep::SimpleImputer(fitted)
            }
            _ => return Ok(()),
        };
        branch.push(fitted, done, &data_type);
    }
    Ok(())
}

fn counts(state: &mut ArrayState, data_type: &DataType) -> Result<CategoryCounts, CategoryError> {
    match state.counts.take() {
        Some(counts) => Ok(*counts),
        None => CategoryCounts::try_new(data_type),
    }
}

/// The most frequent text, the smallest among equals.
fn most_frequent(
    counts: CategoryCounts,
    room: Option<&VocabularyRoom>,
) -> Result<Option<FillStatistic>, CategoryError> {
    let mut best: Option<(u64, String)> = None;
    let mut look = |kind, values: &ArrayRef, counts: &[u64]| {
        for (index, count) in counts.iter().enumerate() {
            if best.as_ref().is_none_or(|(most, _)| count > most)
                && let Category::Text(text) = category_at(kind, values, index)
            {
                best = Some((*count, text));
            }
        }
    };
    match counts.into_learned(room)? {
        LearnedVocabulary::InMemory(words) => look(words.kind(), words.values(), words.counts()),
        LearnedVocabulary::Stored(run) => {
            for part in run.read()? {
                let (values, counts) = part?;
                look(run.kind(), &values, counts.values());
            }
        }
    }
    Ok(best.map(|(_, text)| FillStatistic::Text(text)))
}
