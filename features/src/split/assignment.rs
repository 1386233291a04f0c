//! Which split each row of one batch belongs to, and the proof that rows are training rows.
//!
//! Owns the row-to-split table and the only way to make [`TrainRows`]; knows nothing of how splits are chosen.

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;

use super::{Split, SplitError};

/// The split of every row of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitAssignment {
    rows: Vec<u8>,
    counts: [usize; 3],
    null_keys: usize,
}

impl SplitAssignment {
    /// Wraps one split number per row ([`Split::ALL`] order).
    pub(super) fn new(rows: Vec<u8>, null_keys: usize) -> Self {
        let train = count(&rows, Split::Train);
        let val = count(&rows, Split::Val);
        let test = rows.len() - train - val;
        Self {
            rows,
            counts: [train, val, test],
            null_keys,
        }
    }

    /// Number of rows of the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the batch had no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Number of rows that belong to `split`; the three numbers add up to [`len`](Self::len).
    #[must_use]
    pub fn rows(&self, split: Split) -> usize {
        let [train, val, test] = self.counts;
        match split {
            Split::Train => train,
            Split::Val => val,
            Split::Test => test,
        }
    }

    /// Number of rows in which at least one key column of a hash split is null. All rows with the same nulls and the
    /// same other keys share one split, so a large number here unbalances the ratios.
    #[must_use]
    pub fn null_keys(&self) -> usize {
        self.null_keys
    }

    /// One bit per row: set where the row belongs to `split`.
    #[must_use]
    pub fn mask(&self, split: Split) -> BooleanBuffer {
        let wanted = split as u8;
        let mut rows = self.rows.iter();
        BooleanBuffer::collect_bool(self.rows.len(), |_| {
            rows.next().is_some_and(|&row| row == wanted)
        })
    }

    /// The split of one row; `None` beyond the end of the batch.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<Split> {
        self.rows.get(row).map(|&row| match row {
            0 => Split::Train,
            1 => Split::Val,
            _ => Split::Test,
        })
    }

    /// The training rows of `batch`, which must be the batch this assignment was made from (or have the same rows in
    /// the same order, such as a projection of it).
    ///
    /// # Errors
    /// [`SplitError::AssignmentLength`] if `batch` has another number of rows.
    pub fn train_rows<'a>(&self, batch: &'a RecordBatch) -> Result<TrainRows<'a>, SplitError> {
        if batch.num_rows() != self.rows.len() {
            return Err(SplitError::AssignmentLength {
                assigned: self.rows.len(),
                rows: batch.num_rows(),
            });
        }
        Ok(TrainRows {
            batch,
            mask: self.mask(Split::Train),
            rows: self.rows(Split::Train),
        })
    }
}

fn count(rows: &[u8], split: Split) -> usize {
    rows.iter().filter(|&&row| row == split as u8).count()
}

/// The training rows of one batch: the only thing a fit accepts.
///
/// It can be made only by [`SplitAssignment::train_rows`], so no statistic can be learned from a validation or test row.
#[derive(Debug, Clone)]
pub struct TrainRows<'a> {
    batch: &'a RecordBatch,
    mask: BooleanBuffer,
    rows: usize,
}

impl<'a> TrainRows<'a> {
    /// The whole batch; only the rows set in [`mask`](Self::mask) may be looked at.
    pub(crate) fn batch(&self) -> &'a RecordBatch {
        self.batch
    }

    /// One bit per row of the batch: set for training rows.
    pub(crate) fn mask(&self) -> &BooleanBuffer {
        &self.mask
    }

    /// Number of training rows, the number of bits set in the mask.
    #[must_use]
    pub fn num_rows(&self) -> usize {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn counts_and_masks_agree() {
        let assignment = SplitAssignment::new(vec![0, 2, 1, 0, 0], 1);
        assert_eq!(Split::ALL.map(|split| assignment.rows(split)), [3, 1, 1]);
        assert_eq!(
            assignment
                .mask(Split::Train)
                .set_indices()
                .collect::<Vec<_>>(),
            [0, 3, 4]
        );
        assert_eq!(
            assignment
                .mask(Split::Test)
                .set_indices()
                .collect::<Vec<_>>(),
            [1]
        );
        assert_eq!(assignment.get(2), Some(Split::Val));
        assert_eq!(assignment.get(5), None);
        assert_eq!(assignment.null_keys(), 1);
    }

    #[test]
    fn refuses_another_batch() {
        let assignment = SplitAssignment::new(vec![0, 2], 0);
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let batch = RecordBatch::try_from_iter([("x", column)]).unwrap();
        let error = assignment.train_rows(&batch).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the split was assigned to 2 rows but the batch has 3"
        );
        let rows = assignment
            .train_rows(&batch.slice(0, 2))
            .map(|rows| rows.num_rows())
            .unwrap();
        assert_eq!(rows, 1);
    }
}
