//! Statements that add rows to a table, change or remove them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::Field;

use super::arriving_rows::{Arriving, each};
use super::{Effect, changeable, invalid, unsupported};
use crate::catalog::{Table, times};
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::lengths;
use crate::query::ast::{self, Insert, TableObject};
use crate::query::statements::change::{self, CHANGED, PARTITION};
use crate::query::{self, Planned, QueryError};
use crate::schema::FieldSchema;

pub(super) fn insert_rows(
    running: &mut Running<'_, '_>,
    insert: Insert,
) -> Result<Effect, JobError> {
    let TableObject::TableName(name) = &insert.table else {
        return Err(unsupported("INSERT into anything but a table"));
    };
    if insert.overwrite || insert.returning.is_some() || insert.on.is_some() {
        return Err(unsupported(format!("the statement {insert}")));
    }
    let name = query::table_of(name, &running.defaults)?;
    let (table, own) = changeable(running.work, &name)?;
    let listed = insert.columns.iter();
    let listed: Vec<String> = listed.map(|c| c.to_string().replace('`', "")).collect();
    let arriving = Arriving::try_new(&table, &own, listed.clone())?;
    let Some(mut source) = insert.source else {
        return Err(unsupported("INSERT without rows"));
    };
    put_defaults(&mut source, &own, &listed)?;
    let planned = running.reading(rows_of(*source)?)?;
    if running.is_dry_run() {
        arriving.check(&planned)?;
        return Ok(Effect::tried("INSERT", &[&planned], Some(&table)));
    }
    running.touch(&name);
    let catalog = running.work.catalog;
    let mut into = catalog.replace_all(&table, Arc::clone(&table.schema))?;
    into.keep_old();
    let rows = arriving.take(running, planned, &mut into)?;
    into.commit()?;
    Ok(Effect::rows(running, "INSERT", &name, (rows, 0, 0)))
}

/// Puts the defaults of their columns where rows of VALUES say DEFAULT.
fn put_defaults(
    source: &mut ast::Query,
    own: &[FieldSchema],
    listed: &[String],
) -> Result<(), JobError> {
    let ast::SetExpr::Values(values) = source.body.as_mut() else {
        return Ok(());
    };
    for row in &mut values.rows {
        for (at, value) in row.iter_mut().enumerate() {
            if !change::is_default(value) {
                continue;
            }
            let column = match listed.get(at) {
                Some(name) => own.iter().find(|c| c.name.eq_ignore_ascii_case(name)),
                None => own.get(at),
            };
            // A value too many is told of where they are counted.
            if let Some(column) = column {
                *value = change::default(column)?;
            }
        }
    }
    Ok(())
}

/// Rows of VALUES that would be turned into SELECTs, at most.
const MOST_SELECTED: usize = 100;

/// Rows of VALUES as SELECTs, because rows of VALUES forget what kind of text their texts are. Many plain rows stay as they are.
fn rows_of(mut source: ast::Query) -> Result<ast::Query, JobError> {
    let ast::SetExpr::Values(values) = source.body.as_mut() else {
        return Ok(source);
    };
    let computed = |value: &ast::Expr| !matches!(value, ast::Expr::Value(_));
    let some = values.rows.iter().any(|row| row.iter().any(computed));
    let single = values.rows.len() == 1;
    if !(single || some && values.rows.len() <= MOST_SELECTED) {
        return Ok(source);
    }
    query::text::literals::escape(values);
    let selects: Vec<String> = values
        .rows
        .iter()
        .map(|row| {
            let columns: Vec<String> = row
                .iter()
                .enumerate()
                .map(|(index, value)| format!("{value} AS `f{index}_`"))
                .collect();
            format!("SELECT {}", columns.join(", "))
        })
        .collect();
    Ok(query::select(&selects.join(" UNION ALL "))?)
}

/// The batch's columns under the names of `listed`, in the table's order.
pub(super) fn placed(
    batch: &RecordBatch,
    listed: &[String],
    table: &Table,
) -> Result<RecordBatch, JobError> {
    let broken = |e: String| invalid(e);
    let own = batch.schema();
    let columns = table
        .schema
        .fields()
        .iter()
        .map(|field| {
            let at = listed
                .iter()
                .position(|name| name.eq_ignore_ascii_case(field.name()));
            let column = match at {
                None => crate::wire::absent(&nullable(field), batch.num_rows()),
                Some(at) => {
                    let assigned = query::assign(batch.column(at), own.field(at), field);
                    let assigned = assigned.map_err(|e| broken(QueryError::Plan(e).to_string()))?;
                    crate::wire::to_wire(&assigned, field)
                }
            };
            let column: ArrayRef = column.map_err(|e| broken(e.to_string()))?;
            if !field.is_nullable() && column.null_count() > 0 {
                return Err(invalid(format!(
                    "Required field {} cannot be null",
                    field.name()
                )));
            }
            Ok(column)
        })
        .collect::<Result<Vec<_>, JobError>>()?;
    let schema = Arc::clone(&table.schema);
    let rows = RecordBatch::try_new(schema, columns).map_err(|e| broken(e.to_string()))?;
    if let Some(metadata) = &table.metadata {
        lengths::check(&metadata.schema, &rows).map_err(|e| broken(e.to_string()))?;
    }
    Ok(rows)
}

fn nullable(field: &Field) -> Field {
    field.clone().with_nullable(true)
}

/// Which rows of a rewritten table stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    All,
    Unchanged,
}

/// Puts the rows of a query, which say in their last column whether they were meant, in the place of a table's.
pub(super) fn rewrite(
    running: &mut Running<'_, '_>,
    planned: Planned,
    (table, columns): (&Arc<Table>, &[FieldSchema]),
    keep: Keep,
) -> Result<u64, JobError> {
    let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
    running.touch(&table.name);
    let catalog = running.work.catalog;
    let mut into = catalog.replace_all(table, Arc::clone(&table.schema))?;
    let unmarked = || JobError::new("internalError", "the changed rows are not marked");
    let mut changed = 0;
    each(running, planned, |batch| {
        let mask = batch.column_by_name(CHANGED);
        let mask = mask.and_then(|mask| mask.as_boolean_opt());
        let mask = mask.ok_or_else(unmarked)?;
        changed += mask.true_count() as u64;
        let kept = match keep {
            Keep::All => batch.clone(),
            Keep::Unchanged => filtered(batch, mask)?,
        };
        let rows = placed(&kept, &names, table)?;
        if !table.has_partition_time() {
            return Ok(into.write(None, &rows)?);
        }
        let times = kept.column_by_name(PARTITION).and_then(|c| times(c));
        Ok(into.write_by_time(times.ok_or_else(unmarked)?, &rows)?)
    })?;
    if changed > 0 {
        into.commit()?;
    }
    Ok(changed)
}

fn filtered(batch: &RecordBatch, gone: &BooleanArray) -> Result<RecordBatch, JobError> {
    not(gone)
        .and_then(|stay| filter_record_batch(batch, &stay))
        .map_err(|e| JobError::new("internalError", e.to_string()))
}
