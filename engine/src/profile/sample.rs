//! The sample: some rows of every column, read once.
//!
//! Owns which rows are read. Must not know what is looked for in them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use millpond_spill::MemoryBudget;

use super::column::ColumnProfile;
use crate::error::Result;
use crate::source::nested::without_paths;
use crate::source::{ReadContext, ReadMetrics, Scan, ScanRequest, Source};

/// Work units the sample is spread over.
const SPREAD_UNITS: usize = 16;

/// Rows per batch: small, since a sample seldom needs the whole of one.
const BATCH_ROWS: usize = 4_096;

/// The profiles of all columns.
#[derive(Debug)]
pub(super) struct Sample {
    /// Rows read.
    pub rows: u64,
    /// Rows of the table, when the source knows.
    pub table_rows: Option<u64>,
    /// One profile per column, in schema order.
    pub columns: Vec<ColumnProfile>,
}

impl Sample {
    /// Reads up to `rows` rows: an equal share from the start of each of up to 16 units evenly spread over the table, then what
    /// is still wanted from the other units in order. The same table gives the same sample.
    ///
    /// # Errors
    /// Errors of the source.
    pub async fn read(source: &dyn Source, rows: usize, budget: MemoryBudget) -> Result<Self> {
        let schema = without_paths(&source.schema());
        let columns = schema.fields().iter().map(|f| f.name().clone()).collect();
        let scan = source
            .scan(ScanRequest {
                columns,
                predicates: Vec::new(),
            })
            .await?;
        let table_rows = scan.units().iter().map(|u| u.rows).sum::<Option<u64>>();
        let mut sample = Self {
            rows: 0,
            table_rows,
            columns: scan
                .schema()
                .fields()
                .iter()
                .map(|f| ColumnProfile::new(f))
                .collect(),
        };
        let context = ReadContext {
            budget,
            batch_rows: BATCH_ROWS,
            metrics: Arc::new(ReadMetrics::default()),
        };
        let mut wanted = rows;
        for (index, share) in shares(scan.units().len(), rows) {
            if wanted == 0 {
                break;
            }
            let read = sample
                .read_unit(
                    scan.as_ref(),
                    index,
                    share.unwrap_or(wanted).min(wanted),
                    &context,
                )
                .await?;
            wanted -= read;
        }
        Ok(sample)
    }

    /// Reads at most `rows` rows of one unit and tells how many there were.
    async fn read_unit(
        &mut self,
        scan: &dyn Scan,
        index: usize,
        rows: usize,
        context: &ReadContext,
    ) -> Result<usize> {
        let mut stream = scan.open(index, context)?;
        let mut left = rows;
        while left > 0 {
            let Some(batch) = stream.try_next().await? else {
                break;
            };
            let batch = batch.slice(0, batch.num_rows().min(left));
            left -= batch.num_rows();
            self.update(&batch)?;
        }
        Ok(rows - left)
    }

    fn update(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        for (profile, array) in self.columns.iter_mut().zip(batch.columns()) {
            profile.update(array)?;
        }
        Ok(())
    }

    /// The profile of a column.
    pub fn column(&self, name: &str) -> Option<&ColumnProfile> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Whether the sample is the whole table.
    pub fn is_whole(&self) -> bool {
        self.table_rows == Some(self.rows)
    }
}

/// Units in the order they are read, each with the rows wanted of it: first the spread ones with their share, then the
/// others with whatever is left.
fn shares(units: usize, rows: usize) -> Vec<(usize, Option<usize>)> {
    let spread = units.min(SPREAD_UNITS);
    let share = rows.div_ceil(spread.max(1));
    let first: Vec<usize> = (0..spread).map(|i| i * units / spread).collect();
    let others = (0..units).filter(|u| !first.contains(u));
    let spread = if units == 1 { None } else { Some(share) };
    first
        .iter()
        .map(|u| (*u, spread))
        .chain(others.map(|u| (u, None)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_once_and_the_spread_ones_first() {
        let order = shares(40, 1_600);
        let mut units: Vec<_> = order.iter().map(|(u, _)| *u).collect();
        assert_eq!(units.get(..4), Some(&[0, 2, 5, 7][..]));
        assert!(order.iter().take(16).all(|(_, share)| *share == Some(100)));
        assert!(order.iter().skip(16).all(|(_, share)| share.is_none()));
        units.sort_unstable();
        assert_eq!(units, (0..40).collect::<Vec<_>>());
        assert_eq!(shares(1, 10), [(0, None)]);
        assert_eq!(shares(0, 10), []);
    }
}
