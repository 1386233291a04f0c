//! Count, mean and sum of squared deviations, with the same bits whatever the batches and threads.
//!
//! Values are gathered into fixed blocks; a block is reduced in two passes over fixed lanes, blocks are merged in row order
//! within a unit, and units in the order of their index (Chan, Golub and LeVeque 1979 for the merge).

use crate::vector::vectorised;

/// Values per block. Changing it changes low bits of every mean and variance.
const BLOCK: usize = 1024;
const LANES: usize = 8;

/// Moments of a set of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Moments {
    /// Numbers seen.
    pub(crate) count: u64,
    /// Arithmetic mean, rounded; 0 when empty.
    pub(crate) mean: f64,
    /// What rounding took from the mean. Without it, blocks far from zero would merge with the error of their means.
    low: f64,
    /// Sum of squared deviations from the mean.
    pub(crate) m2: f64,
}

impl Moments {
    /// Moments of `count` copies of one value.
    pub(crate) fn constant(value: f64, count: u64) -> Self {
        if count == 0 {
            Self::default()
        } else {
            Self {
                count,
                mean: value,
                low: 0.0,
                m2: 0.0,
            }
        }
    }

    /// Moments of a block, by two passes.
    fn of_block(block: &[f64]) -> Self {
        if block.is_empty() {
            return Self::default();
        }
        let count = block.len() as f64;
        let (mean, drift, squares) = vectorised(
            #[inline(always)]
            || {
                let mean = lane_sum(block, |x| x) / count;
                let drift = lane_sum(block, |x| x - mean);
                let squares = lane_sum(block, |x| (x - mean) * (x - mean));
                (mean, drift, squares)
            },
        );
        let (mean, low) = two_sum(mean, drift / count);
        Self {
            count: block.len() as u64,
            mean,
            low,
            m2: (squares - drift * drift / count).max(0.0),
        }
    }

    /// Moments of the union. Not commutative in the last bits: merge in a fixed order.
    pub(crate) fn merge(self, other: Self) -> Self {
        if self.count == 0 {
            return other;
        }
        if other.count == 0 {
            return self;
        }
        let count = self.count + other.count;
        let (left, right, both) = (self.count as f64, other.count as f64, count as f64);
        let delta = (other.mean - self.mean) + (other.low - self.low);
        let (mean, rounded) = two_sum(self.mean, delta * (right / both));
        let (mean, low) = two_sum(mean, rounded + self.low);
        Self {
            count,
            mean,
            low,
            m2: self.m2 + other.m2 + delta * delta * (left * (right / both)),
        }
    }

    /// Population variance; NaN when empty.
    pub(crate) fn variance(&self) -> f64 {
        if self.count == 0 {
            f64::NAN
        } else {
            self.m2 / self.count as f64
        }
    }

    /// Mean; NaN when empty.
    pub(crate) fn mean_or_nan(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.mean }
    }
}

/// The sum as its rounded value and what rounding took from it (Knuth).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

#[inline(always)]
fn lane_sum(block: &[f64], term: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let mut chunks = block.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += term(*x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane += term(*x);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Gathers values of one stream into blocks, and blocks into one [`Moments`] per unit.
#[derive(Debug)]
pub(crate) struct MomentAccumulator {
    /// The open block, followed by room for one more chunk.
    block: Vec<f64>,
    filled: usize,
    open: Moments,
    units: Vec<(u32, Moments)>,
    infinite: u64,
}

impl MomentAccumulator {
    pub(crate) fn new() -> Self {
        Self {
            block: vec![0.0; 2 * BLOCK],
            filled: 0,
            open: Moments::default(),
            units: Vec::new(),
            infinite: 0,
        }
    }

    /// Adds values in row order, passing over NaN.
    pub(crate) fn add(&mut self, values: &[f64]) {
        for values in values.chunks(BLOCK) {
            let mut filled = self.filled;
            for &x in values {
                // Written first and kept only if it counts: no branch to mispredict.
                if let Some(slot) = self.block.get_mut(filled) {
                    *slot = x;
                }
                filled += usize::from(!x.is_nan());
            }
            self.filled = filled;
            if filled >= BLOCK {
                self.reduce(BLOCK);
                self.block.copy_within(BLOCK..filled, 0);
                self.filled = filled - BLOCK;
            }
        }
    }

    fn reduce(&mut self, len: usize) {
        let block = self.block.get(..len).unwrap_or_default();
        let moments = Moments::of_block(block);
        if !moments.mean.is_finite() {
            self.infinite += block.iter().filter(|x| x.is_infinite()).count() as u64;
        }
        self.open = self.open.merge(moments);
    }

    /// Closes the unit: its last, shorter block is reduced too.
    pub(crate) fn end_unit(&mut self, unit: u32) {
        self.reduce(self.filled);
        self.filled = 0;
        if self.open.count > 0 {
            self.units.push((unit, self.open));
        }
        self.open = Moments::default();
    }

    /// Takes over the closed units of another accumulator.
    pub(crate) fn merge(&mut self, other: Self) {
        self.units.extend(other.units);
        self.infinite += other.infinite;
    }

    /// Moments of everything, units merged in the order of their index.
    pub(crate) fn total(&self) -> Moments {
        let mut units = self.units.clone();
        units.sort_by_key(|(unit, _)| *unit);
        units
            .iter()
            .fold(Moments::default(), |total, (_, unit)| total.merge(*unit))
    }

    /// Infinite values met in closed units.
    pub(crate) fn infinite(&self) -> u64 {
        self.infinite
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.block.capacity() * size_of::<f64>()
            + self.units.capacity() * size_of::<(u32, Moments)>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn moments(units: &[Vec<f64>], batch: usize, workers: usize) -> Moments {
        let mut states: Vec<_> = (0..workers).map(|_| MomentAccumulator::new()).collect();
        for (unit, values) in units.iter().enumerate() {
            let state = &mut states[unit % workers];
            values.chunks(batch).for_each(|values| state.add(values));
            state.end_unit(unit as u32);
        }
        let mut merged = states.pop().unwrap();
        while let Some(state) = states.pop() {
            merged.merge(state);
        }
        merged.total()
    }

    proptest! {
        #[test]
        fn bits_do_not_depend_on_batches_or_workers(
            units in prop::collection::vec(prop::collection::vec(-1e6..1e6_f64, 0..5000), 1..5),
            batch in 1_usize..3000,
            workers in 1_usize..4,
        ) {
            let one = moments(&units, usize::MAX, 1);
            let other = moments(&units, batch, workers);
            prop_assert_eq!(one.mean.to_bits(), other.mean.to_bits());
            prop_assert_eq!(one.m2.to_bits(), other.m2.to_bits());
            let all: Vec<f64> = units.concat();
            if !all.is_empty() {
                let n = all.len() as f64;
                let mean = all.iter().sum::<f64>() / n;
                let var = all.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
                prop_assert!((one.mean - mean).abs() <= 1e-9, "{} {}", one.mean, mean);
                prop_assert!((one.variance() - var).abs() <= 1e-12 * var.max(1.0), "{} {}", one.variance(), var);
            }
        }
    }

    #[test]
    fn a_large_offset_keeps_the_variance() {
        let values: Vec<f64> = (0..10_000).map(|i| 1e9 + f64::from(i % 2)).collect();
        let moments = moments(&[values], 999, 1);
        assert!(
            (moments.variance() - 0.25).abs() < 1e-9,
            "{}",
            moments.variance()
        );
    }

    #[test]
    fn a_tiny_spread_far_from_zero_keeps_its_variance() {
        // Multiples of 2^-20 around 1e9 are exact, so the true variance is known.
        let step = 1.0 / f64::from(1 << 20);
        let values: Vec<f64> = (0..9_999).map(|i| 1e9 + step * f64::from(i % 3)).collect();
        let moments = moments(&[values], 777, 1);
        let expected = step * step * 2.0 / 3.0;
        assert!(
            (moments.variance() / expected - 1.0).abs() < 1e-12,
            "{}",
            moments.variance() / expected
        );
        assert_eq!(moments.mean, 1e9 + step);
    }

    #[test]
    fn infinite_values_are_counted() {
        let mut state = MomentAccumulator::new();
        state.add(&[1.0, f64::INFINITY, f64::NAN, f64::NEG_INFINITY]);
        state.end_unit(0);
        assert_eq!(state.infinite(), 2);
    }
}
