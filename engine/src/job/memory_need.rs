//! Whether a budget can work at all, and with how many slots.

use bytesize::ByteSize;

use crate::error::{Error, ErrorKind, Result};

/// What the process needs whatever it does: code, runtime, plans, the client's buffers.
const BASE_BYTES: u64 = 96 << 20;
/// Copies of a batch alive at a time while it is decoded, transformed and divided among the splits.
const BATCH_COPIES: u64 = 4;
/// Bytes an open unit's three Parquet writers hold per column: pages being filled and compressed.
const WRITER_COLUMN_BYTES: u64 = 256 << 10;
/// Encoded row groups waiting to be closed, for the three splits of a unit together.
const WRITER_BYTES: u64 = 48 << 20;

/// What one job needs per slot.
pub(super) struct MemoryNeed {
    /// Rows of a batch.
    pub batch_rows: usize,
    /// Bytes of a row while it is in memory, in and out.
    pub row_bytes: usize,
    /// Output columns known beforehand.
    pub columns: usize,
}

impl MemoryNeed {
    fn slot_bytes(&self) -> u64 {
        let batch = (self.batch_rows as u64).saturating_mul(self.row_bytes as u64);
        let writers =
            WRITER_BYTES.min((self.columns as u64).saturating_mul(3 * WRITER_COLUMN_BYTES));
        batch.saturating_mul(BATCH_COPIES).saturating_add(writers)
    }

    /// As many of the wanted slots as fit `limit`.
    ///
    /// # Errors
    /// MemoryBudget, naming the bytes needed, when not even one fits.
    pub fn slots(&self, wanted: usize, limit: u64) -> Result<usize> {
        let slot = self.slot_bytes().max(1);
        let least = BASE_BYTES.saturating_add(slot);
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
        let fitting = (limit - BASE_BYTES) / slot;
        Ok(wanted
            .min(usize::try_from(fitting).unwrap_or(wanted))
            .max(1))
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
        assert_eq!(NARROW.slots(8, 256 << 20).unwrap(), 3);
        let e = NARROW.slots(8, 64 << 20).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::MemoryBudget);
        assert!(e.to_string().contains("67108864"), "{e}");
    }
}
