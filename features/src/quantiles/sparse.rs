//! Counts by a leading part of the image, as long a part as memory allows.

use hashbrown::HashMap;

use super::image;

/// Counts by the leading `bits` bits of the image. When more than `cap` slots would be needed, `bits` shrinks.
///
/// The final number of bits is the largest for which the whole set of values fits the cap, however it was divided: a part
/// of the values never needs fewer bits than the whole.
#[derive(Clone, Debug)]
pub(crate) struct SparseHistogram {
    bits: u32,
    cap: usize,
    counts: HashMap<u64, u64>,
}

impl SparseHistogram {
    pub(super) fn new(cap: usize) -> Self {
        Self {
            bits: 64,
            cap: cap.max(1),
            counts: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, image: u64) {
        *self
            .counts
            .entry(image::prefix(image, self.bits))
            .or_default() += 1;
        self.shrink();
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        let bits = self.bits.min(other.bits);
        self.coarsen(bits);
        other.coarsen(bits);
        for (prefix, count) in other.counts {
            *self.counts.entry(prefix).or_default() += count;
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.counts.len() > self.cap && self.bits > 1 {
            self.coarsen(self.bits - 1);
        }
    }

    fn coarsen(&mut self, bits: u32) {
        if bits == self.bits {
            return;
        }
        let mut coarse = HashMap::with_capacity(self.counts.len() / 2);
        for (prefix, count) in self.counts.drain() {
            *coarse.entry(prefix >> (self.bits - bits)).or_default() += count;
        }
        self.counts = coarse;
        self.bits = bits;
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// For each zero-based rank: the estimate and the interval that holds the true value.
    pub(super) fn locate(
        &self,
        ranks: &[u64],
        least: f64,
        most: f64,
    ) -> Vec<Option<(f64, f64, f64)>> {
        let mut slots: Vec<(u64, u64)> = self
            .counts
            .iter()
            .map(|(&prefix, &count)| (prefix, count))
            .collect();
        slots.sort_unstable();
        let shift = 64 - self.bits;
        let locate = |rank: u64| {
            let mut below = 0;
            for &(prefix, count) in &slots {
                if rank < below + count {
                    let first = prefix << shift;
                    let low = image::value(first).max(least);
                    let high = image::value(first | ((1_u64 << shift) - 1)).min(most);
                    let part = ((rank - below) as f64 + 0.5) / count as f64;
                    let estimate = if low == high {
                        low
                    } else {
                        (low + (high - low) * part).clamp_to(low, high)
                    };
                    return Some((estimate, low, high));
                }
                below += count;
            }
            None
        };
        ranks.iter().map(|&rank| locate(rank)).collect()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.counts.capacity() * (size_of::<(u64, u64)>() + 1)
    }
}

trait ClampTo {
    fn clamp_to(self, low: f64, high: f64) -> f64;
}

impl ClampTo for f64 {
    /// As `clamp`, but without its panic on ends out of order.
    fn clamp_to(self, low: f64, high: f64) -> f64 {
        self.max(low).min(high)
    }
}
