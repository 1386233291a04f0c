//! Exact counts of the distinct values of a numeric stream; order-free. Memory grows with the number of distinct values.

use hashbrown::HashMap;

/// Counts by value.
#[derive(Clone, Debug, Default)]
pub(crate) struct ValueCounts {
    counts: HashMap<u64, u64>,
    infinite: u64,
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

    pub(crate) fn merge(&mut self, other: Self) {
        for (bits, count) in other.counts {
            *self.counts.entry(bits).or_default() += count;
        }
        self.infinite += other.infinite;
    }

    /// The most frequent value, the smallest among equals; None when empty.
    pub(crate) fn mode(&self) -> Option<f64> {
        let mut best: Option<(u64, f64)> = None;
        for (&bits, &count) in &self.counts {
            let value = f64::from_bits(bits);
            let better =
                best.is_none_or(|(most, mode)| count > most || (count == most && value < mode));
            if better {
                best = Some((count, value));
            }
        }
        best.map(|(_, mode)| mode)
    }

    /// Infinite values met.
    pub(crate) fn infinite(&self) -> u64 {
        self.infinite
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.counts.capacity() * (size_of::<(u64, u64)>() + 1)
    }
}
