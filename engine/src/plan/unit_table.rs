//! A source as a DataFusion table.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;

use super::predicate::to_predicate;
use super::unit_scan_exec::UnitScanExec;
use crate::source::nested::without_paths;
use crate::source::{ReadContext, ScanRequest, Source};

/// Offers a [`Source`] to DataFusion: projections always go down to the source, conjuncts go down when it applies them exactly.
pub(crate) struct UnitTable {
    source: Arc<dyn Source>,
    read: ReadContext,
    schema: SchemaRef,
}

impl UnitTable {
    /// A table over `source` whose readers use `read`, with the columns inside of structs.
    pub fn new(source: Arc<dyn Source>, read: ReadContext) -> Self {
        Self {
            schema: source.schema(),
            source,
            read,
        }
    }

    /// A table for queries, in which `*` means what the table has: whole columns.
    pub fn of_whole_columns(source: Arc<dyn Source>, read: ReadContext) -> Self {
        Self {
            schema: without_paths(&source.schema()),
            source,
            read,
        }
    }
}

impl fmt::Debug for UnitTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnitTable({})", self.source.name())
    }
}

impl TableProvider for UnitTable {
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
        let schema = &self.schema;
        Ok(filters
            .iter()
            .map(|filter| match to_predicate(filter, schema) {
                Some(predicate) if self.source.applies(&predicate) => {
                    TableProviderFilterPushDown::Exact
                }
                _ => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    // Written as the macro would, but with an async block that holds nothing of DataFusion's: one that holds `filters` makes the compiler
    // prove, for this method alone and for a good part of the crate's time, that plans can be sent.
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        _: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        filters: &'life3 [Expr],
        _: Option<usize>,
    ) -> BoxFuture<'async_trait, Result<Arc<dyn ExecutionPlan>>>
    where
        Self: 'async_trait,
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
    {
        let schema = &self.schema;
        let columns = match projection {
            Some(indices) => indices
                .iter()
                .map(|&i| schema.field(i).name().clone())
                .collect(),
            None => schema.fields().iter().map(|f| f.name().clone()).collect(),
        };
        let predicates = filters
            .iter()
            .filter_map(|f| to_predicate(f, schema))
            .collect();
        let scan = self.source.scan(ScanRequest {
            columns,
            predicates,
        });
        let (read, name) = (self.read.clone(), self.source.name().to_owned());
        Box::pin(async move {
            let scan = scan
                .await
                .map_err(|e| DataFusionError::External(Box::new(e)))?;
            let exec: Arc<dyn ExecutionPlan> = Arc::new(UnitScanExec::new(scan, read, name));
            Ok(exec)
        })
    }
}
