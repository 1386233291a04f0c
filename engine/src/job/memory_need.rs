//! Whether a budget can work at all, and with how many slots.

use bytesize::ByteSize;

use crate::error::{Error, ErrorKind, Result};
use crate::sink::shards_memory_bytes;

/// What the process needs whatever it does: code, runtime, plans, the client's buffers.
const BASE_BYTES: u64 = 96 << 20;
/// Copies of a batch alive at a time while it is decoded, transformed and divided among the splits.
const BATCH_COPIES: u64 = 4;

/// Bytes with which the writers of a slot can begin. Few rows never need more; many are refused by the ledger when they do.
const LEAST_WRITER_BYTES: u64 = 16 << 20;

/// What one job needs per slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryNeed {
    /// Rows of a batch.
    pub batch_rows: usize,
    /// Bytes of a row while it is in memory, in and out.
    pub row_bytes: usize,
    /// Output columns known beforehand.
    pub columns: usize,
    /// Files a unit is written to side by side.
    pub shards: usize,
    /// Bytes a reader holds besides the batch it hands out.
    pub reader_bytes: usize,
}

impl MemoryNeed {
    /// Bytes of one slot that nobody counts: the reader's and those of the batch at hand.
    fn uncounted_slot_bytes(&self) -> u64 {
        (self.batch_rows as u64)
            .saturating_mul(self.row_bytes as u64)
            .saturating_mul(BATCH_COPIES)
            .saturating_add(self.reader_bytes as u64)
    }

    fn writer_bytes(&self) -> u64 {
        shards_memory_bytes(self.columns, self.shards) as u64
    }

    fn slot_bytes(&self) -> u64 {
        self.uncounted_slot_bytes()
            .saturating_add(self.writer_bytes())
            .max(1)
    }

    /// Bytes that `slots` slots take while they write.
    pub fn writing_bytes(&self, slots: usize) -> u64 {
        self.slot_bytes().saturating_mul(slots as u64)
    }

    /// Bytes of a job of `slots` slots that nobody counts, so that they must not be handed out.
    pub fn uncounted_bytes(&self, slots: usize) -> usize {
        let bytes = self
            .uncounted_slot_bytes()
            .saturating_mul(slots as u64)
            .saturating_add(BASE_BYTES);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Bytes without which not even one slot can work.
    fn least_bytes(&self) -> u64 {
        self.uncounted_slot_bytes()
            .saturating_add(self.writer_bytes().min(LEAST_WRITER_BYTES))
            .saturating_add(BASE_BYTES)
    }

    /// What `need_at` says for a limit of `limit` bytes, which may depend on it: a reader with more memory takes more.
    ///
    /// # Errors
    /// MemoryBudget, naming a number of bytes that works, when not even one slot fits.
    pub fn within(limit: u64, need_at: impl Fn(usize) -> Self) -> Result<Self> {
        let at = |limit: u64| need_at(usize::try_from(limit).unwrap_or(usize::MAX));
        let need = at(limit);
        let mut least = need.least_bytes();
        if least <= limit {
            return Ok(need);
        }
        for _ in 0..64 {
            let next = at(least).least_bytes();
            if next <= least {
                break;
            }
            least = next.saturating_add(next / 32);
        }
        Err(Error::new(
            ErrorKind::MemoryBudget,
            format!(
                "memory of {} ({limit} bytes) cannot hold this job, which needs at least {} ({least} bytes); raise --memory",
                ByteSize::b(limit).display().iec(),
                ByteSize::b(least).display().iec(),
            ),
        ))
    }

    /// As many of the wanted slots as `limit` lets work with ease, at least one.
    pub fn slots(&self, wanted: usize, limit: u64) -> usize {
        self.slots_in(wanted, limit.saturating_sub(BASE_BYTES))
    }

    /// As many of the wanted slots as find room to write in `free` bytes, at least one. Writing takes more than learning, and
    /// what was learned is in memory by then, so slots may have to be given up between the phases.
    pub fn slots_in(&self, wanted: usize, free: u64) -> usize {
        let fitting = free / self.slot_bytes();
        wanted
            .min(usize::try_from(fitting).unwrap_or(wanted))
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NARROW: MemoryNeed = MemoryNeed {
        batch_rows: 8192,
        row_bytes: 500,
        columns: 41,
        shards: 3,
        reader_bytes: 32 << 20,
    };

    #[test]
    fn slots_are_given_up_before_the_job_is() {
        assert_eq!(NARROW.slots(8, 8 << 30), 8);
        assert_eq!(NARROW.slots(16, 1 << 30), 9);
        assert_eq!(NARROW.slots(8, 256 << 20), 1);
        assert_eq!(NARROW.slots_in(2, 0), 1);
        let e = MemoryNeed::within(64 << 20, |_| NARROW).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::MemoryBudget);
        assert!(e.to_string().contains("67108864"), "{e}");
    }

    #[test]
    fn the_number_in_the_refusal_is_accepted() {
        let greedy = |limit: usize| MemoryNeed {
            columns: 2_000,
            reader_bytes: limit / 4,
            ..NARROW
        };
        let text = MemoryNeed::within(1 << 20, greedy).unwrap_err().to_string();
        let bytes = text.split(['(', ')']).nth(3).unwrap();
        let least: u64 = bytes.trim_end_matches(" bytes").parse().unwrap();
        let need = MemoryNeed::within(least, greedy).unwrap();
        assert_eq!(need.slots(4, least), 1);
        assert!(MemoryNeed::within(least / 10 * 9, greedy).is_err());
    }

    #[test]
    fn what_nobody_counts_grows_with_the_slots() {
        let one = NARROW.uncounted_bytes(1);
        let batch = 4 * 8192 * 500;
        assert_eq!(one, (96 << 20) + (32 << 20) + batch);
        assert_eq!(NARROW.uncounted_bytes(3) - one, 2 * ((32 << 20) + batch));
    }
}
