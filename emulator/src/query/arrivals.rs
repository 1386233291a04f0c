//! Tables partitioned by the arrival of their rows: `_PARTITIONTIME` and `_PARTITIONDATE` are columns of them that no star stands for.
//!
//! Conditions on these alone choose files before anything is read. Must not know how queries are written.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray,
};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};

use crate::catalog::{DataFile, PARTITION_DATE, PARTITION_TIME, Table};
use crate::table_rows::TableRows;

const DAY_US: i64 = 86_400_000_000;

/// Whether a column is one of the two.
pub(super) fn is_pseudo(name: &str) -> bool {
    name == PARTITION_TIME || name == PARTITION_DATE
}

/// A table with its pseudo columns.
#[derive(Debug)]
pub(super) struct Arrivals {
    table: Arc<Table>,
    /// The columns and the two pseudo columns.
    schema: SchemaRef,
}

impl Arrivals {
    pub fn new(table: Arc<Table>) -> Self {
        Self {
            schema: Arc::new(table.filter_schema()),
            table,
        }
    }

    /// The table without the files that conditions on the pseudo columns rule out; conditions on anything else leave all.
    pub fn chosen(&self, state: &dyn Session, conditions: &[Expr]) -> Result<Arc<Table>> {
        let times = self.table.files.iter().map(|f| f.partition_time);
        let batch = pseudo_columns(&self.schema, times.collect())?;
        let named = DFSchema::try_from(batch.schema())?;
        let mut left = vec![true; self.table.files.len()];
        for condition in conditions.iter().filter(|c| is_of_arrival(c)) {
            let condition = condition.clone().transform(unqualified)?.data;
            let condition = state.create_physical_expr(condition, &named)?;
            // A condition that fails for a partition fails when rows are read, if there are any.
            let Ok(value) = condition.evaluate(&batch) else {
                continue;
            };
            let value = value.into_array(batch.num_rows())?;
            let Some(mask) = value.as_any().downcast_ref::<BooleanArray>() else {
                continue;
            };
            for (left, row) in left.iter_mut().zip(mask) {
                *left &= row == Some(true);
            }
        }
        let mut left = left.into_iter();
        Ok(Arc::new(
            self.table.with_files(|_| left.next() == Some(true)),
        ))
    }
}

/// The pseudo columns of rows, by the times of their partitions.
fn pseudo_columns(schema: &Schema, times: Vec<Option<i64>>) -> Result<RecordBatch> {
    let fields = schema.fields().iter().filter(|f| is_pseudo(f.name()));
    let (fields, columns): (Vec<_>, Vec<ArrayRef>) = fields
        .map(|field| {
            let column: ArrayRef = if field.name() == PARTITION_TIME {
                let times = TimestampMicrosecondArray::from(times.clone());
                Arc::new(times.with_timezone("UTC"))
            } else {
                let day = |time: &Option<i64>| {
                    time.and_then(|t| i32::try_from(t.div_euclid(DAY_US)).ok())
                };
                Arc::new(times.iter().map(day).collect::<Date32Array>())
            };
            (Arc::clone(field), column)
        })
        .unzip();
    let options = RecordBatchOptions::new().with_row_count(Some(times.len()));
    let schema = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// Whether a condition is about the pseudo columns alone.
pub(super) fn is_of_arrival(condition: &Expr) -> bool {
    let columns = condition.column_refs();
    !columns.is_empty() && columns.iter().all(|c| is_pseudo(&c.name))
}

fn unqualified(expr: Expr) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Column(column) => {
            Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))
        }
        other => Transformed::no(other),
    })
}

#[async_trait]
impl TableProvider for Arrivals {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let kind = |filter: &&Expr| {
            if is_of_arrival(filter) {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(kind).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows: Arc<dyn PartitionStream> = Arc::new(Rows {
            table: self.chosen(state, filters)?,
            schema: Arc::clone(&self.schema),
        });
        let table = StreamingTable::try_new(Arc::clone(&self.schema), vec![rows])?;
        table.scan(state, projection, &[], limit).await
    }
}

/// The rows of one file after the other.
struct Rows {
    table: Arc<Table>,
    schema: SchemaRef,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("table", &self.table.name)
            .field("files", &self.table.files.len())
            .finish()
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let table = Arc::clone(&self.table);
        let files: Vec<DataFile> = table.files.clone();
        let rows = files.into_iter().flat_map(move |file| {
            let schema = Arc::clone(&schema);
            let count = file.end_row() - file.first_row;
            let opened = TableRows::try_new(Arc::clone(&table), &[], file.first_row, count);
            let (rows, failed) = match opened {
                Ok(rows) => (Some(rows), None),
                Err(e) => (None, Some(Err(e))),
            };
            rows.into_iter().flatten().chain(failed).map(move |batch| {
                let batch = batch.map_err(|e| DataFusionError::External(Box::new(e)))?;
                let times = vec![file.partition_time; batch.num_rows()];
                let pseudo = pseudo_columns(&schema, times)?;
                let columns = batch.columns().iter().chain(pseudo.columns());
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                Ok(RecordBatch::try_new_with_options(
                    Arc::clone(&schema),
                    columns.cloned().collect(),
                    &options,
                )?)
            })
        });
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            futures::stream::iter(rows),
        ))
    }
}
