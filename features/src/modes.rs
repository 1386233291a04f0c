//! Exact counts of the distinct values of a numeric stream; order-free. Memory grows with the number of distinct values,
//! unless they are spilled.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use hashbrown::HashMap;

use crate::category::runs::{MergedRun, RunWriter, Spillable};
use crate::category::store::{CategoryStore, CategoryTable};
use crate::category::{CategoryError, CategoryKind};

/// Counts by value.
#[derive(Clone, Debug, Default)]
pub(crate) struct ValueCounts {
    counts: HashMap<u64, u64>,
    infinite: u64,
    /// What was spilled, each value possibly in several of them.
    runs: Vec<Arc<dyn CategoryTable>>,
}

/// The more frequent of two values, the smaller one among equals.
fn better(best: Option<(u64, f64)>, count: u64, value: f64) -> Option<(u64, f64)> {
    match best {
        Some((most, mode)) if count < most || (count == most && value >= mode) => best,
        _ => Some((count, value)),
    }
}

impl ValueCounts {
    /// Adds values, passing over NaN; −0 counts as 0.
    pub(crate) fn add(&mut self, values: &[f64]) {
        for &x in values {
            if !x.is_nan() {
                self.infinite += u64::from(x.is_infinite());
                *self.counts.entry((x + 0.0).to_bits()).or_default() += 1;
            }
        }
    }

    pub(crate) fn merge(&mut self, mut other: Self) {
        for (bits, count) in other.counts {
            *self.counts.entry(bits).or_default() += count;
        }
        self.infinite += other.infinite;
        self.runs.append(&mut other.runs);
    }

    /// The most frequent value, the smallest among equals; None when empty. For counts in memory.
    pub(crate) fn mode(&self) -> Option<f64> {
        let counts = self.counts.iter();
        let best = counts.fold(None, |best, (&bits, &count)| {
            better(best, count, f64::from_bits(bits))
        });
        best.map(|(_, mode)| mode)
    }

    /// Brings back from the store what [`mode`](Self::mode) needs, and forgets the rest.
    ///
    /// # Errors
    /// What the store fails with.
    pub(crate) fn gather(&mut self, store: &dyn CategoryStore) -> Result<(), CategoryError> {
        if self.runs.is_empty() {
            return Ok(());
        }
        self.spill(store)?;
        let runs = std::mem::take(&mut self.runs);
        let run = MergedRun::try_new(store, CategoryKind::Float64, runs)?;
        let mut best = None;
        for part in run.read()? {
            let (values, counts) = part?;
            let unreadable = CategoryError::UnreadableValues {
                data_type: values.data_type().clone(),
            };
            let values = values.as_primitive_opt::<Float64Type>().ok_or(unreadable)?;
            for (value, count) in values.values().iter().zip(counts.values()) {
                best = better(best, *count, *value);
            }
        }
        let mode = best.map(|(count, mode)| (mode.to_bits(), count));
        self.counts = mode.into_iter().collect();
        Ok(())
    }

    /// Infinite values met.
    pub(crate) fn infinite(&self) -> u64 {
        self.infinite
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.counts.allocation_size()
    }
}

impl Spillable for ValueCounts {
    fn spill(&mut self, store: &dyn CategoryStore) -> Result<(), CategoryError> {
        if self.counts.is_empty() {
            return Ok(());
        }
        let counts = std::mem::take(&mut self.counts).into_iter();
        let mut pairs: Vec<(f64, u64)> = counts
            .map(|(bits, count)| (f64::from_bits(bits), count))
            .collect();
        pairs.sort_unstable_by(|left, right| left.0.total_cmp(&right.0));
        let mut run = RunWriter::begin(store, CategoryKind::Float64)?;
        run.floats(&pairs)?;
        self.runs.push(run.finish()?);
        Ok(())
    }

    fn has_spilled(&self) -> bool {
        !self.runs.is_empty()
    }

    fn spillable_bytes(&self) -> usize {
        self.memory_bytes()
    }
}
