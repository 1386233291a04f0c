//! A tap gathers one kind of statistic at one place of a stream of numbers.

use crate::category::runs::Spillable;
use crate::extrema::Extrema;
use crate::modes::ValueCounts;
use crate::moments::MomentAccumulator;
use crate::quantiles::{QuantileAccumulator, QuantileMethod, QuantileSearch, Wanted};

/// What to gather.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TapKind {
    /// How many values are missing.
    Missing,
    Moments,
    Extrema,
    Modes,
    Quantiles {
        wanted: Vec<Wanted>,
        method: QuantileMethod,
    },
}

/// What one worker has gathered.
#[derive(Debug)]
pub(crate) struct TapState {
    pub(crate) rows: u64,
    pub(crate) missing: u64,
    pub(crate) gathered: Gathered,
}

#[derive(Debug)]
pub(crate) enum Gathered {
    Missing {
        infinite: u64,
    },
    Moments(Box<MomentAccumulator>),
    Extrema(Extrema),
    Modes(ValueCounts),
    Quantiles(Box<QuantileAccumulator>),
    /// Nothing, because an earlier pass has seen to it.
    Nothing,
}

/// The state of a tap between passes.
#[derive(Debug)]
pub(crate) enum TapProgress {
    /// Not begun.
    Fresh(TapKind),
    /// Some quantiles are still searched.
    Searching {
        rows: u64,
        missing: u64,
        search: QuantileSearch,
    },
    /// Complete.
    Complete(TapState),
    /// Complete, quantiles found.
    Found {
        rows: u64,
        missing: u64,
        search: QuantileSearch,
    },
}

impl TapKind {
    pub(crate) fn search(&self, kept_values: usize) -> Option<QuantileSearch> {
        match self {
            Self::Quantiles { wanted, method } => {
                Some(QuantileSearch::new(wanted.clone(), *method, kept_values))
            }
            _ => None,
        }
    }
}

impl TapProgress {
    /// An empty state for the pass to come.
    pub(crate) fn state(&self, kept_values: usize) -> TapState {
        let gathered = match self {
            Self::Fresh(kind) => match kind {
                TapKind::Missing => Gathered::Missing { infinite: 0 },
                TapKind::Moments => Gathered::Moments(Box::new(MomentAccumulator::new())),
                TapKind::Extrema => Gathered::Extrema(Extrema::new()),
                TapKind::Modes => Gathered::Modes(ValueCounts::default()),
                TapKind::Quantiles { .. } => match kind.search(kept_values) {
                    Some(search) => Gathered::Quantiles(Box::new(search.accumulator())),
                    None => Gathered::Nothing,
                },
            },
            Self::Searching { search, .. } => Gathered::Quantiles(Box::new(search.accumulator())),
            Self::Complete(_) | Self::Found { .. } => Gathered::Nothing,
        };
        TapState {
            rows: 0,
            missing: 0,
            gathered,
        }
    }

    /// Moves on by what all workers gathered in a pass.
    pub(crate) fn advance(self, state: TapState, kept_values: usize) -> Self {
        match (self, state.gathered) {
            (Self::Fresh(kind), Gathered::Quantiles(gathered)) => match kind.search(kept_values) {
                Some(mut search) => {
                    search.finish_pass(*gathered);
                    Self::searched(state.rows, state.missing, search)
                }
                None => Self::Fresh(kind),
            },
            (Self::Fresh(_), gathered) => Self::Complete(TapState {
                rows: state.rows,
                missing: state.missing,
                gathered,
            }),
            (
                Self::Searching {
                    rows,
                    missing,
                    mut search,
                },
                Gathered::Quantiles(gathered),
            ) => {
                search.finish_pass(*gathered);
                Self::searched(rows, missing, search)
            }
            (progress, _) => progress,
        }
    }

    fn searched(rows: u64, missing: u64, search: QuantileSearch) -> Self {
        if search.needs_pass() {
            Self::Searching {
                rows,
                missing,
                search,
            }
        } else {
            Self::Found {
                rows,
                missing,
                search,
            }
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        matches!(self, Self::Complete(_) | Self::Found { .. })
    }

    /// Training rows and how many of them were missing at this place.
    pub(crate) fn rows_and_missing(&self) -> (u64, u64) {
        match self {
            Self::Fresh(_) => (0, 0),
            Self::Complete(TapState { rows, missing, .. })
            | Self::Searching { rows, missing, .. }
            | Self::Found { rows, missing, .. } => (*rows, *missing),
        }
    }

    /// Infinite values met.
    pub(crate) fn infinite(&self) -> u64 {
        match self {
            Self::Fresh(_) => 0,
            Self::Searching { search, .. } | Self::Found { search, .. } => search.infinite(),
            Self::Complete(state) => match &state.gathered {
                Gathered::Missing { infinite } => *infinite,
                Gathered::Moments(moments) => moments.infinite(),
                Gathered::Extrema(extrema) => extrema.infinite,
                Gathered::Modes(counts) => counts.infinite(),
                Gathered::Quantiles(_) | Gathered::Nothing => 0,
            },
        }
    }
}

impl TapState {
    /// Adds values in row order; NaN is missing.
    pub(crate) fn add(&mut self, values: &[f64]) {
        self.rows += values.len() as u64;
        self.missing += values.iter().map(|x| u64::from(x.is_nan())).sum::<u64>();
        match &mut self.gathered {
            Gathered::Missing { infinite } => {
                *infinite += values
                    .iter()
                    .map(|x| u64::from(x.is_infinite()))
                    .sum::<u64>()
            }
            Gathered::Moments(moments) => moments.add(values),
            Gathered::Extrema(extrema) => extrema.add(values),
            Gathered::Modes(counts) => counts.add(values),
            Gathered::Quantiles(quantiles) => quantiles.add(values),
            Gathered::Nothing => {}
        }
    }

    pub(crate) fn end_unit(&mut self, unit: u32) {
        if let Gathered::Moments(moments) = &mut self.gathered {
            moments.end_unit(unit);
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.missing += other.missing;
        match (&mut self.gathered, other.gathered) {
            (Gathered::Missing { infinite }, Gathered::Missing { infinite: more }) => {
                *infinite += more
            }
            (Gathered::Moments(moments), Gathered::Moments(other)) => moments.merge(*other),
            (Gathered::Extrema(extrema), Gathered::Extrema(other)) => {
                *extrema = extrema.merge(other)
            }
            (Gathered::Modes(counts), Gathered::Modes(other)) => counts.merge(other),
            (Gathered::Quantiles(quantiles), Gathered::Quantiles(other)) => quantiles.merge(*other),
            _ => {}
        }
    }

    /// What can leave memory, if anything.
    pub(crate) fn spillable(&self) -> Option<&dyn Spillable> {
        match &self.gathered {
            Gathered::Modes(counts) => Some(counts),
            _ => None,
        }
    }

    pub(crate) fn modes_mut(&mut self) -> Option<&mut ValueCounts> {
        match &mut self.gathered {
            Gathered::Modes(counts) => Some(counts),
            _ => None,
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + match &self.gathered {
                Gathered::Moments(moments) => moments.memory_bytes(),
                Gathered::Modes(counts) => counts.memory_bytes(),
                Gathered::Quantiles(quantiles) => quantiles.memory_bytes(),
                Gathered::Missing { .. } | Gathered::Extrema(_) | Gathered::Nothing => 0,
            }
    }
}
