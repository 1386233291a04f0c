//! The search for order statistics: what is known after each pass, and what one worker gathers during a pass.

use std::collections::BTreeMap;

use super::histogram::Histogram;
use super::image::{image, prefix, value};
use super::sparse::SparseHistogram;
use super::{Quantile, QuantileMethod, Wanted};

/// Bits resolved per pass.
const STEP_BITS: u32 = 16;

/// A search over passes. Within a pass it is read only; workers hold [`QuantileAccumulator`]s made by it.
#[derive(Clone, Debug)]
pub(crate) struct QuantileSearch {
    wanted: Vec<Wanted>,
    method: QuantileMethod,
    cap: usize,
    count: u64,
    infinite: u64,
    first: bool,
    /// Order statistics found so far: estimate and interval, by rank.
    known: BTreeMap<u64, (f64, f64, f64)>,
    /// Parts of the value range still searched.
    open: Vec<Range>,
}

/// The images with a given prefix, and the ranks wanted within them.
#[derive(Clone, Debug)]
struct Range {
    bits: u32,
    prefix: u64,
    count: u64,
    /// Rank in the whole, rank within the range.
    ranks: Vec<(u64, u64)>,
    collect: bool,
}

/// What one worker gathers for one stream in one pass.
#[derive(Clone, Debug)]
pub(crate) struct QuantileAccumulator {
    infinite: u64,
    least: f64,
    most: f64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Kept { values: Vec<u64>, cap: usize },
    Counted { count: u64, histogram: Histogram },
    Sparse(SparseHistogram),
    Ranges(Vec<RangeState>),
}

#[derive(Clone, Debug)]
struct RangeState {
    bits: u32,
    prefix: u64,
    found: Found,
}

#[derive(Clone, Debug)]
enum Found {
    Values(Vec<u64>),
    Histogram(Histogram),
}

impl QuantileSearch {
    /// A search for the wanted points that keeps at most `cap` values per stream and worker.
    pub(crate) fn new(wanted: Vec<Wanted>, method: QuantileMethod, cap: usize) -> Self {
        Self {
            wanted,
            method,
            cap,
            count: 0,
            infinite: 0,
            first: true,
            known: BTreeMap::new(),
            open: Vec::new(),
        }
    }

    /// An empty state for the pass to come.
    pub(crate) fn accumulator(&self) -> QuantileAccumulator {
        let state = match (self.first, self.method) {
            (true, QuantileMethod::Exact) => State::Kept {
                values: Vec::new(),
                cap: self.cap,
            },
            (true, QuantileMethod::Approximate) => State::Sparse(SparseHistogram::new(self.cap)),
            (false, _) => State::Ranges(
                self.open
                    .iter()
                    .map(|range| RangeState {
                        bits: range.bits,
                        prefix: range.prefix,
                        found: if range.collect {
                            Found::Values(Vec::new())
                        } else {
                            Found::Histogram(Histogram::new())
                        },
                    })
                    .collect(),
            ),
        };
        QuantileAccumulator {
            infinite: 0,
            least: f64::INFINITY,
            most: f64::NEG_INFINITY,
            state,
        }
    }

    /// Whether another pass is needed.
    pub(crate) fn needs_pass(&self) -> bool {
        self.first || !self.open.is_empty()
    }

    /// Infinite values met.
    pub(crate) fn infinite(&self) -> u64 {
        self.infinite
    }

    /// Takes in what all workers together gathered in a pass.
    pub(crate) fn finish_pass(&mut self, merged: QuantileAccumulator) {
        if self.first {
            self.infinite = merged.infinite;
            self.first = false;
        }
        match merged.state {
            State::Kept { mut values, .. } => {
                self.count = values.len() as u64;
                values.sort_unstable();
                for rank in self.ranks() {
                    self.settle(rank, &values, rank);
                }
            }
            State::Sparse(sparse) => {
                self.count = sparse.count();
                let ranks = self.ranks();
                for (rank, found) in
                    ranks
                        .iter()
                        .zip(sparse.locate(&ranks, merged.least, merged.most))
                {
                    if let Some(found) = found {
                        self.known.insert(*rank, found);
                    }
                }
            }
            State::Counted { count, histogram } => {
                self.count = count;
                let ranks = self
                    .ranks()
                    .into_iter()
                    .map(|rank| (rank, rank))
                    .collect::<Vec<_>>();
                self.refine(&histogram, 0, 0, &ranks);
            }
            State::Ranges(states) => {
                let open = std::mem::take(&mut self.open);
                for (range, state) in open.iter().zip(states) {
                    match state.found {
                        Found::Values(mut values) => {
                            values.sort_unstable();
                            for &(rank, within) in &range.ranks {
                                self.settle(rank, &values, within);
                            }
                        }
                        Found::Histogram(histogram) => {
                            self.refine(&histogram, range.bits, range.prefix, &range.ranks)
                        }
                    }
                }
            }
        }
        self.choose_collected();
    }

    fn ranks(&self) -> Vec<u64> {
        if self.count == 0 {
            return Vec::new();
        }
        let mut ranks: Vec<u64> = self
            .wanted
            .iter()
            .flat_map(|wanted| {
                let (low, high, _) = wanted.ranks(self.count);
                [low, high]
            })
            .collect();
        ranks.sort_unstable();
        ranks.dedup();
        ranks
    }

    fn settle(&mut self, rank: u64, sorted: &[u64], within: u64) {
        let found = usize::try_from(within)
            .ok()
            .and_then(|within| sorted.get(within));
        if let Some(&image) = found {
            let exact = value(image);
            self.known.insert(rank, (exact, exact, exact));
        }
    }

    /// Narrows ranks of a range by a histogram of its next bits.
    fn refine(&mut self, histogram: &Histogram, bits: u32, prefix: u64, ranks: &[(u64, u64)]) {
        for &(rank, within) in ranks {
            let Some((slot, found, inner)) = histogram.locate(within) else {
                continue;
            };
            if found.min == found.max {
                let exact = value(found.min);
                self.known.insert(rank, (exact, exact, exact));
                continue;
            }
            let narrowed = (prefix << STEP_BITS) | slot;
            match self.open.iter_mut().find(|range| range.prefix == narrowed) {
                Some(range) => range.ranks.push((rank, inner)),
                None => self.open.push(Range {
                    bits: bits + STEP_BITS,
                    prefix: narrowed,
                    count: found.count,
                    ranks: vec![(rank, inner)],
                    collect: false,
                }),
            }
        }
    }

    /// Ranges that together fit the cap are collected outright, the smallest first.
    fn choose_collected(&mut self) {
        self.open.sort_by_key(|range| (range.count, range.prefix));
        let mut room = self.cap as u64;
        for range in &mut self.open {
            range.collect = range.count <= room;
            if range.collect {
                room -= range.count;
            }
        }
    }

    /// The wanted points in the order asked for; NaN without values.
    pub(crate) fn results(&self) -> Vec<Quantile> {
        let empty = Quantile {
            value: f64::NAN,
            low: f64::NAN,
            high: f64::NAN,
        };
        let point = |wanted: &Wanted| {
            if self.count == 0 {
                return Some(empty);
            }
            let (low, high, weight) = wanted.ranks(self.count);
            let (low, high) = (self.known.get(&low)?, self.known.get(&high)?);
            Some(Quantile {
                value: wanted.interpolate(low.0, high.0, weight),
                low: wanted.interpolate(low.1, high.1, weight),
                high: wanted.interpolate(low.2, high.2, weight),
            })
        };
        self.wanted
            .iter()
            .map(|wanted| point(wanted).unwrap_or(empty))
            .collect()
    }
}

impl QuantileAccumulator {
    /// Adds values, passing over NaN.
    pub(crate) fn add(&mut self, values: &[f64]) {
        for &x in values {
            if !x.is_nan() {
                self.infinite += u64::from(x.is_infinite());
                self.least = if x < self.least { x } else { self.least };
                self.most = if x > self.most { x } else { self.most };
                self.state.add(image(x));
            }
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.infinite += other.infinite;
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
        self.state.merge(other.state);
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        match &self.state {
            State::Kept { values, .. } => values.capacity() * size_of::<u64>(),
            State::Counted { histogram, .. } => histogram.memory_bytes(),
            State::Sparse(sparse) => sparse.memory_bytes(),
            State::Ranges(ranges) => ranges
                .iter()
                .map(|range| match &range.found {
                    Found::Values(values) => values.capacity() * size_of::<u64>(),
                    Found::Histogram(histogram) => histogram.memory_bytes(),
                })
                .sum(),
        }
    }
}

impl State {
    fn add(&mut self, image: u64) {
        match self {
            Self::Kept { values, cap } => {
                values.push(image);
                if values.len() > *cap {
                    self.count();
                }
            }
            Self::Counted { count, histogram } => {
                *count += 1;
                histogram.add(prefix(image, STEP_BITS), image);
            }
            Self::Sparse(sparse) => sparse.add(image),
            Self::Ranges(ranges) => {
                for range in ranges {
                    if prefix(image, range.bits) == range.prefix {
                        match &mut range.found {
                            Found::Values(values) => values.push(image),
                            Found::Histogram(histogram) => {
                                histogram.add(prefix(image, range.bits + STEP_BITS), image);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Gives up the values kept for a histogram of them.
    fn count(&mut self) {
        if let Self::Kept { values, .. } = self {
            let mut histogram = Histogram::new();
            for &image in values.iter() {
                histogram.add(prefix(image, STEP_BITS), image);
            }
            *self = Self::Counted {
                count: values.len() as u64,
                histogram,
            };
        }
    }

    fn merge(&mut self, mut other: Self) {
        if let (Self::Kept { values, cap }, Self::Kept { values: others, .. }) =
            (&mut *self, &other)
            && values.len() + others.len() <= *cap
        {
            values.extend_from_slice(others);
            return;
        }
        self.count();
        other.count();
        match (self, other) {
            (
                Self::Counted { count, histogram },
                Self::Counted {
                    count: more,
                    histogram: other,
                },
            ) => {
                *count += more;
                histogram.merge(&other);
            }
            (Self::Sparse(sparse), Self::Sparse(other)) => sparse.merge(other),
            (Self::Ranges(ranges), Self::Ranges(others)) => {
                for (range, other) in ranges.iter_mut().zip(others) {
                    match (&mut range.found, other.found) {
                        (Found::Values(values), Found::Values(others)) => values.extend(others),
                        (Found::Histogram(histogram), Found::Histogram(other)) => {
                            histogram.merge(&other)
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}
