//! A table of the catalog as DataFusion reads it: one partition, in storage order, in wire types.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use crate::catalog::Table;
use crate::table_rows::{RowsError, TableRows};

/// Rows of a block, the smallest part of a table that a sample takes.
const BLOCK_ROWS: u64 = 16 << 10;

/// A provider of the rows the table has now.
pub(in crate::query) fn provider(
    table: Arc<Table>,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let all = std::iter::once(0..table.rows);
    of_ranges(table, all.collect())
}

/// A provider of about `percent` of the table's blocks, always the same ones. A table of one block is taken as a whole.
pub(in crate::query) fn sample(
    table: Arc<Table>,
    percent: f64,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let blocks = table.rows.div_ceil(BLOCK_ROWS);
    // A number below one for each block, spread evenly.
    let chance = |block: u64| {
        let number = u32::try_from(crate::faults::mix(block) >> 32).unwrap_or(0);
        f64::from(number) / 2_f64.powi(32)
    };
    let taken = (0..blocks).filter(|block| blocks == 1 || chance(*block) * 100.0 < percent);
    let ranges = taken
        .map(|block| block * BLOCK_ROWS..((block + 1) * BLOCK_ROWS).min(table.rows))
        .collect();
    of_ranges(table, ranges)
}

fn of_ranges(
    table: Arc<Table>,
    ranges: Vec<Range<u64>>,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let schema = Arc::clone(&table.schema);
    let rows: Arc<dyn PartitionStream> = Arc::new(Rows { table, ranges });
    Ok(Arc::new(StreamingTable::try_new(schema, vec![rows])?))
}

struct Rows {
    table: Arc<Table>,
    /// Row numbers, ascending.
    ranges: Vec<Range<u64>>,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("table", &self.table.name)
            .finish()
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.table.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let table = Arc::clone(&self.table);
        let schema = Arc::clone(&self.table.schema);
        let external = |e: RowsError| DataFusionError::External(Box::new(e));
        let rows = self.ranges.clone().into_iter().flat_map(move |range| {
            let count = range.end - range.start;
            let opened = TableRows::try_new(Arc::clone(&table), &[], range.start, count);
            let (rows, failed) = match opened {
                Ok(rows) => (Some(rows), None),
                Err(e) => (None, Some(Err(e))),
            };
            let rows = rows.into_iter().flatten().chain(failed);
            rows.map(move |batch| batch.map_err(external))
        });
        let rows = futures::stream::iter(rows);
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}
