//! `FOR SYSTEM_TIME AS OF`: the points in time that a query names for its tables.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use datafusion::sql::sqlparser::ast::{Query, TableFactor, TableVersion, Visitor};
use futures::TryStreamExt;

use crate::catalog::{Catalog, Table, micros};
use crate::name::TableName;
use crate::query::{Defaults, Parameter, QueryError, select, unsupported};
use crate::syntax_walk;

/// Points in time by the text of the expressions that they are given by.
pub(in crate::query) type Times = BTreeMap<String, SystemTime>;

/// Computes the points in time of a query's tables.
///
/// # Errors
/// [`QueryError`] for other versions of tables, and expressions that are no constants.
pub(in crate::query) async fn times(
    catalog: &Catalog,
    query: &Query,
    defaults: &Defaults,
    parameters: &[Parameter],
) -> Result<Times, QueryError> {
    let mut named = Named(Vec::new());
    syntax_walk::visit(query, &mut named)?;
    let mut times = Times::new();
    for text in named.0 {
        if times.contains_key(&text) {
            continue;
        }
        let query = select(&format!("SELECT CAST({text} AS TIMESTAMP)"))?;
        let planned = Box::pin(crate::query::plan(catalog, query, defaults, parameters)).await?;
        let rows = planned.run().await?;
        let rows: Vec<arrow::array::RecordBatch> = Box::pin(rows.try_collect()).await?;
        let batch = rows.iter().find(|batch| batch.num_rows() > 0);
        let column = batch.and_then(|batch| batch.columns().first());
        let points = column.and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        let micros = points.and_then(|p| p.is_valid(0).then(|| p.value(0)));
        let age = micros.and_then(|m| u64::try_from(m).ok());
        let at = age.and_then(|m| SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(m)));
        let Some(at) = at else {
            return Err(QueryError::Invalid {
                message: format!("Invalid time in FOR SYSTEM_TIME AS OF: {text}"),
            });
        };
        times.insert(text, at);
    }
    Ok(times)
}

/// How far back one can travel.
const LONGEST: Duration = Duration::from_secs(168 * 3600);

/// A table as it was at a point in time.
///
/// # Errors
/// [`QueryError::Invalid`] for a time that has not come yet, or before anything is known of the table.
pub(in crate::query) fn snapshot(
    catalog: &Catalog,
    name: &TableName,
    at: SystemTime,
) -> Result<Arc<Table>, QueryError> {
    let refused = |beyond: &str, bound: i64| {
        let (at, bound) = (micros(at) / 1000, bound / 1000);
        QueryError::Invalid {
            message: format!(
                "Invalid snapshot time {at} for table {name}@{at}. Cannot read {beyond} {bound}."
            ),
        }
    };
    let now = catalog.now();
    if at > now {
        return Err(refused("after", micros(now)));
    }
    let made = catalog.table(name)?.metadata.as_ref().map(|m| m.created_us);
    let earliest = micros(now.checked_sub(LONGEST).unwrap_or(SystemTime::UNIX_EPOCH));
    let earliest = made.map_or(earliest, |made| made.max(earliest));
    if micros(at) < earliest {
        return Err(refused("before", earliest));
    }
    Ok(catalog.table_at(name, at)?)
}

/// The expressions that tables have their times by.
struct Named(Vec<String>);

impl Visitor for Named {
    type Break = QueryError;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<QueryError> {
        match factor {
            TableFactor::Table {
                version: Some(TableVersion::ForSystemTimeAsOf(at)),
                ..
            } => self.0.push(at.to_string()),
            TableFactor::Table {
                version: Some(_), ..
            } => return ControlFlow::Break(unsupported(format!("the version of {factor}"))),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
