//! A table of the catalog as DataFusion reads it: one partition, in storage order, in wire types.

use std::fmt;
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
use crate::table_rows::TableRows;

/// A provider of the rows the table has now.
pub(super) fn provider(table: Arc<Table>) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let schema = Arc::clone(&table.schema);
    let rows: Arc<dyn PartitionStream> = Arc::new(Rows { table });
    Ok(Arc::new(StreamingTable::try_new(schema, vec![rows])?))
}

struct Rows {
    table: Arc<Table>,
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
        let schema = Arc::clone(&self.table.schema);
        let external = |e: crate::table_rows::RowsError| DataFusionError::External(Box::new(e));
        match TableRows::try_new(Arc::clone(&self.table), &[], 0, u64::MAX) {
            Ok(rows) => {
                let rows = futures::stream::iter(rows.map(move |batch| batch.map_err(external)));
                Box::pin(RecordBatchStreamAdapter::new(schema, rows))
            }
            Err(e) => {
                let failed = futures::stream::iter([Err(external(e))]);
                Box::pin(RecordBatchStreamAdapter::new(schema, failed))
            }
        }
    }
}
