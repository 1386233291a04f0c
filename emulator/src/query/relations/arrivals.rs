//! Tables partitioned by the arrival of their rows: `_PARTITIONTIME` and `_PARTITIONDATE` are columns of them that no star stands for.
//!
//! Conditions on these alone choose files before anything is read. Must not know how queries are written.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray,
};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::logical_expr::Expr;

use crate::catalog::{PARTITION_DATE, PARTITION_TIME, Table};
use crate::query::relations::pruned::{Batches, Parts, left_by, rows_of};

const DAY_US: i64 = 86_400_000_000;

/// Whether a column is one of the two.
pub(in crate::query) fn is_pseudo(name: &str) -> bool {
    name == PARTITION_TIME || name == PARTITION_DATE
}

/// A table with its pseudo columns.
#[derive(Debug)]
pub(in crate::query) struct Arrivals {
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

    /// The table with all its files.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The table without the files that conditions on the pseudo columns rule out; conditions on anything else leave all.
    pub fn chosen(&self, state: &dyn Session, conditions: &[Expr]) -> Result<Arc<Table>> {
        let times = self.table.files.iter().map(|f| f.partition_time);
        let batch = pseudo_columns(&self.schema, times.collect())?;
        let left = left_by::<Self>(state, conditions, &batch)?;
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

impl Parts for Arrivals {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn chooses(condition: &Expr) -> bool {
        let columns = condition.column_refs();
        !columns.is_empty() && columns.iter().all(|c| is_pseudo(&c.name))
    }

    fn rows(&self, state: &dyn Session, conditions: &[Expr]) -> Result<Batches> {
        let table = self.chosen(state, conditions)?;
        let schema = Arc::clone(&self.schema);
        Ok(Box::new(move || {
            let (schema, table) = (Arc::clone(&schema), Arc::clone(&table));
            let files = table.files.clone();
            Box::new(files.into_iter().flat_map(move |file| {
                let schema = Arc::clone(&schema);
                let count = file.end_row() - file.first_row;
                rows_of(Arc::clone(&table), file.first_row, count)
                    .map(move |batch| placed(&batch?, &schema, file.partition_time))
            }))
        }))
    }
}

/// Rows of one file with the pseudo columns.
fn placed(batch: &RecordBatch, schema: &SchemaRef, time: Option<i64>) -> Result<RecordBatch> {
    let pseudo = pseudo_columns(schema, vec![time; batch.num_rows()])?;
    let columns = batch.columns().iter().chain(pseudo.columns());
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns.cloned().collect(),
        &options,
    )?)
}
