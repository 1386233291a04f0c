//! The shuffle buffer. Owns which waiting row goes out when another comes in.

use super::random::Random;

/// Holds rows of `width` values and gives them out in random order.
#[derive(Debug)]
pub(super) struct ShuffleBuffer {
    random: Random,
    width: usize,
    capacity_rows: usize,
    rows: Vec<f32>,
}

impl ShuffleBuffer {
    pub(super) fn new(random: Random, width: usize, capacity_rows: usize) -> Self {
        Self {
            random,
            width,
            capacity_rows: capacity_rows.max(1),
            rows: Vec::new(),
        }
    }

    /// Takes rows in; appends to `out` the rows that had to make room for them.
    pub(super) fn pass(&mut self, rows: &[f32], out: &mut Vec<f32>) {
        for row in rows.chunks_exact(self.width.max(1)) {
            if self.rows.len() < self.capacity_rows * self.width {
                self.rows.extend_from_slice(row);
                continue;
            }
            let slot = self.random.below(self.capacity_rows) * self.width;
            if let Some(held) = self.rows.get_mut(slot..slot + self.width) {
                out.extend_from_slice(held);
                held.copy_from_slice(row);
            }
        }
    }

    /// Gives out up to `count` of the remaining rows, once no more come in.
    pub(super) fn drain(&mut self, count: usize, out: &mut Vec<f32>) {
        for _ in 0..count {
            let held = self.rows.len() / self.width.max(1);
            if held == 0 {
                return;
            }
            let slot = self.random.below(held) * self.width;
            let last = (held - 1) * self.width;
            out.extend_from_slice(self.rows.get(slot..slot + self.width).unwrap_or_default());
            self.rows.copy_within(last..last + self.width, slot);
            self.rows.truncate(last);
        }
    }
}
