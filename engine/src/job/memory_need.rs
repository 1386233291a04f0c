//! Whether a budget can work at all, and with how many slots.

use bytesize::ByteSize;

use crate::error::{Error, ErrorKind, Result};

/// What the process needs whatever it does: code, runtime, plans, the client's buffers.
const BASE_BYTES: u64 = 96 << 20;
/// Copies of a batch alive at a time while it is decoded, transformed and divided among the splits.
const BATCH_COPIES: u64 = 4;
/// Bytes per output column that the three Parquet writers of a unit cannot do without.
const LEAST_COLUMN_BYTES: u64 = 768 << 10;
/// Bytes per output column that they grow to, as measured on whole row groups.
const USUAL_COLUMN_BYTES: u64 = 4 << 20;
/// Most bytes of the three writers, because wider rows make shorter row groups: least and usual.
const MOST_WRITER_BYTES: [u64; 2] = [48 << 20, 176 << 20];

/// What one job needs per slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemoryNeed {
    /// Rows of a batch.
    pub batch_rows: usize,
    /// Bytes of a row while it is in memory, in and out.
    pub row_bytes: usize,
    /// Output columns known beforehand.
    pub columns: usize,
}

impl MemoryNeed {
    fn slot_bytes(&self, column_bytes: u64, most_writer_bytes: u64) -> u64 {
        let batch = (self.batch_rows as u64).saturating_mul(self.row_bytes as u64);
        let writers = (self.columns as u64)
            .saturating_mul(column_bytes)
            .min(most_writer_bytes);
        batch
            .saturating_mul(BATCH_COPIES)
            .saturating_add(writers)
            .max(1)
    }

    /// As many of the wanted slots as `limit` lets work with ease, at least one.
    ///
    /// # Errors
    /// MemoryBudget, naming the bytes needed, when not even one can do with the least it needs.
    pub fn slots(&self, wanted: usize, limit: u64) -> Result<usize> {
        let [most, _] = MOST_WRITER_BYTES;
        let least = BASE_BYTES.saturating_add(self.slot_bytes(LEAST_COLUMN_BYTES, most));
        if limit < least {
            return Err(Error::new(
                ErrorKind::MemoryBudget,
                format!(
                    "memory of {} ({limit} bytes) cannot hold this job, which needs at least {} ({least} bytes); raise --memory",
                    ByteSize::b(limit).display().iec(),
                    ByteSize::b(least).display().iec(),
                ),
            ));
        }
        Ok(self.slots_in(wanted, limit - BASE_BYTES))
    }

    /// As many of the wanted slots as find room to write in `free` bytes, at least one. Writing takes more than learning, and
    /// what was learned is in memory by then, so slots may have to be given up between the phases.
    pub fn slots_in(&self, wanted: usize, free: u64) -> usize {
        let [_, most] = MOST_WRITER_BYTES;
        let fitting = free / self.slot_bytes(USUAL_COLUMN_BYTES, most);
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
    };

    #[test]
    fn slots_are_given_up_before_the_job_is() {
        assert_eq!(NARROW.slots(8, 8 << 30).unwrap(), 8);
        assert_eq!(NARROW.slots(8, 1 << 30).unwrap(), 5);
        assert_eq!(NARROW.slots(8, 256 << 20).unwrap(), 1);
        assert_eq!(NARROW.slots_in(2, 0), 1);
        let e = NARROW.slots(8, 64 << 20).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::MemoryBudget);
        assert!(e.to_string().contains("67108864"), "{e}");
    }
}
