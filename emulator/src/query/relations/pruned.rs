//! Tables in parts, of which conditions on pseudo columns choose some before anything is read.
//!
//! Owns what DataFusion asks of such a table. Must not know what the parts are.

use std::fmt;
use std::future::ready;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::future::BoxFuture;

use crate::catalog::Table;
use crate::table_rows::TableRows;

/// A table in parts.
pub(in crate::query) trait Parts: fmt::Debug + Send + Sync + 'static {
    /// All columns, pseudo columns among them.
    fn schema(&self) -> &SchemaRef;

    /// Whether a condition is about pseudo columns alone.
    fn chooses(condition: &Expr) -> bool;

    /// The rows of the parts that `conditions` leave, at least those that meet them. Conditions on anything else leave all.
    fn rows(&self, state: &dyn Session, conditions: &[Expr]) -> Result<Batches>;
}

/// Begins to read rows, as often as it is asked.
pub(in crate::query) type Batches =
    Box<dyn Fn() -> Box<dyn Iterator<Item = Result<RecordBatch>> + Send> + Send + Sync>;

/// The rows of the parts that are left, one part after the other.
struct Left {
    schema: SchemaRef,
    batches: Batches,
}

impl fmt::Debug for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Left").finish_non_exhaustive()
    }
}

impl PartitionStream for Left {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            futures::stream::iter((self.batches)()),
        ))
    }
}

/// A table in parts, as DataFusion reads it.
#[derive(Debug)]
pub(in crate::query) struct Pruned<P>(pub Arc<P>);

impl<P: Parts> Pruned<P> {
    fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let left = Left {
            schema: Arc::clone(self.0.schema()),
            batches: self.0.rows(state, filters)?,
        };
        let schema = Arc::clone(&left.schema);
        let rows: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(left)];
        let exec = StreamingTableExec::try_new(schema, rows, projection, [], false, limit)?;
        Ok(Arc::new(exec))
    }
}

impl<P: Parts> TableProvider for Pruned<P> {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.0.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let kind = |filter: &&Expr| {
            if P::chooses(filter) {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(kind).collect())
    }

    // Written as the macro would, but without an async block: one that holds `filters` makes the compiler prove, for this method alone
    // and for a good part of the crate's time, that plans can be sent.
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        state: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> BoxFuture<'async_trait, Result<Arc<dyn ExecutionPlan>>>
    where
        Self: 'async_trait,
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
    {
        Box::pin(ready(self.plan(state, projection, filters, limit)))
    }
}

/// Which of the parts are left by those of `conditions` that choose; `values` holds a row of pseudo columns for each part.
pub(in crate::query) fn left_by<P: Parts>(
    state: &dyn Session,
    conditions: &[Expr],
    values: &RecordBatch,
) -> Result<Vec<bool>> {
    let named = DFSchema::try_from(values.schema())?;
    let mut left = vec![true; values.num_rows()];
    for condition in conditions.iter().filter(|c| P::chooses(c)) {
        let condition = condition.clone().transform(unqualified)?.data;
        let condition = state.create_physical_expr(condition, &named)?;
        // A condition that fails for a part fails when its rows are read, if there are any.
        let Ok(value) = condition.evaluate(values) else {
            continue;
        };
        let value = value.into_array(values.num_rows())?;
        let Some(mask) = value.as_any().downcast_ref::<BooleanArray>() else {
            continue;
        };
        for (left, row) in left.iter_mut().zip(mask) {
            *left &= row == Some(true);
        }
    }
    Ok(left)
}

/// Rows of a table from one on; that it cannot be opened is an error in their place.
pub(in crate::query) fn rows_of(
    table: Arc<Table>,
    start: u64,
    limit: u64,
) -> impl Iterator<Item = Result<RecordBatch>> {
    let (rows, failed) = match TableRows::try_new(table, &[], start, limit) {
        Ok(rows) => (Some(rows), None),
        Err(e) => (None, Some(Err(e))),
    };
    let rows = rows.into_iter().flatten().chain(failed);
    rows.map(|batch| batch.map_err(|e| DataFusionError::External(Box::new(e))))
}

fn unqualified(expr: Expr) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Column(column) => {
            Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))
        }
        other => Transformed::no(other),
    })
}
