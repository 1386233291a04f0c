//! Values of columns that rows do not name: `DEFAULT` expressions, computed anew for every row.
//!
//! Must not know where the rows come from.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::DataFusionError;
use futures::TryStreamExt;
use serde_json::Value;

use crate::catalog::Catalog;
use crate::query::{Defaults, QueryError, functions, plan, select};
use crate::schema::{self, FieldSchema};

/// Where a column's default is kept.
pub(crate) const DEFAULT: &str = "defaultValueExpression";

/// The expression that gives a column its value where a row has none.
pub(crate) fn of(column: &FieldSchema) -> Option<&str> {
    column.other.get(DEFAULT).and_then(Value::as_str)
}

/// `rows` rows with the defaults of these columns, all of which must have one.
///
/// # Errors
/// [`QueryError`] for an expression that cannot be computed, or whose value does not fit its column.
pub(crate) async fn values(
    catalog: &Catalog,
    columns: &[FieldSchema],
    rows: usize,
) -> Result<RecordBatch, QueryError> {
    let items: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| format!("({}) AS `f{index}_`", of(column).unwrap_or("NULL")))
        .collect();
    let sql = format!(
        "SELECT {} FROM UNNEST(GENERATE_ARRAY(1, {rows})) AS `millpond_row`",
        items.join(", ")
    );
    let planned = plan(catalog, select(&sql)?, &Defaults::default(), &[]).await?;
    let own = Arc::clone(&planned.schema);
    let batches: Vec<RecordBatch> = planned.run().await?.try_collect().await?;
    let whole = concat_batches(&own, &batches).map_err(DataFusionError::from)?;
    let schema: SchemaRef = Arc::new(schema::to_arrow(columns));
    let values = whole
        .columns()
        .iter()
        .zip(own.fields())
        .zip(schema.fields())
        .map(|((values, from), to)| functions::assign(values, from, to))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(schema, values).map_err(DataFusionError::from)?)
}

/// Rows with the defaults of further columns behind their own.
///
/// # Errors
/// As [`values`].
pub(crate) async fn beside(
    catalog: &Catalog,
    batch: &RecordBatch,
    columns: &[FieldSchema],
) -> Result<RecordBatch, QueryError> {
    let values = values(catalog, columns, batch.num_rows()).await?;
    let schemas = [batch.schema(), values.schema()];
    let fields: Vec<_> = schemas
        .iter()
        .flat_map(|s| s.fields().iter().cloned())
        .collect();
    let columns = batch.columns().iter().chain(values.columns()).cloned();
    Ok(
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.collect())
            .map_err(DataFusionError::from)?,
    )
}
