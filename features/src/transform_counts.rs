//! What a transform met on its way: rows, and category values never seen in training.

use std::collections::BTreeMap;

/// Counters filled by [`FittedFeatures::transform`](crate::FittedFeatures::transform). Merging is order-free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransformCounts {
    /// Rows transformed.
    pub rows: u64,
    /// Values unknown to the fitted encoder, by input column; columns without any are absent.
    pub unknown: BTreeMap<String, u64>,
}

impl TransformCounts {
    /// Adds the counts of another worker.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        for (column, count) in &other.unknown {
            *self.unknown.entry(column.clone()).or_default() += count;
        }
    }

    pub(crate) fn add_unknown(&mut self, column: &str, count: u64) {
        if count == 0 {
            return;
        }
        if let Some(known) = self.unknown.get_mut(column) {
            *known += count;
        } else {
            self.unknown.insert(column.to_owned(), count);
        }
    }
}
