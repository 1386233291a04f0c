//! Statements that add rows to a table, change or remove them.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::{Field, SchemaRef};
use futures::StreamExt;

use super::{Effect, columns_of, invalid, unsupported};
use crate::catalog::TableWriter;
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::name::TableName;
use crate::query::ast::{self, Insert, TableObject};
use crate::query::change::CHANGED;
use crate::query::{self, Planned, QueryError, column_defaults};
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
    let table = query::table_of(name, &running.defaults)?;
    let own = columns_of(running.work, &table)?;
    let schema = running.work.catalog.table(&table)?.schema.clone();
    let listed: Vec<String> = insert
        .columns
        .iter()
        .map(|c| c.to_string().replace('`', ""))
        .collect();
    let listed = if listed.is_empty() {
        own.iter().map(|c| c.name.clone()).collect()
    } else {
        listed
    };
    if let Some(unknown) = listed
        .iter()
        .find(|name| !own.iter().any(|c| c.name.eq_ignore_ascii_case(name)))
    {
        return Err(invalid(format!(
            "Column {unknown} is not present in table {table}"
        )));
    }
    let Some(source) = insert.source else {
        return Err(unsupported("INSERT without rows"));
    };
    let planned = running.plan(rows_of(*source)?)?;
    if planned.schema.fields().len() != listed.len() {
        return Err(invalid(format!(
            "Inserted row has wrong column count; Has {}, expected {}",
            planned.schema.fields().len(),
            listed.len()
        )));
    }
    let left_out: Vec<FieldSchema> = own
        .into_iter()
        .filter(|c| !listed.iter().any(|l| l.eq_ignore_ascii_case(&c.name)))
        .filter(|c| column_defaults::of(c).is_some())
        .collect();
    running.touch(&table);
    let mut writer = running.work.catalog.writer(&table, None)?;
    if left_out.is_empty() {
        write(running, planned, |batch| {
            let batch = placed(batch, &listed, &schema)?;
            Ok(writer.write(&batch)?)
        })?;
    } else {
        let mut batches = Vec::new();
        write(running, planned, |batch| {
            batches.push(batch.clone());
            Ok(())
        })?;
        let names = left_out.iter().map(|c| c.name.clone());
        let listed: Vec<String> = listed.iter().cloned().chain(names).collect();
        for batch in batches {
            let whole = column_defaults::beside(running.work.catalog, &batch, &left_out);
            let batch = running.handle.block_on(whole)?;
            writer.write(&placed(&batch, &listed, &schema)?)?;
        }
    }
    let rows = writer.commit()?.rows;
    Ok(Effect::dml("INSERT", "insertedRowCount", rows))
}

/// Rows of VALUES that would be turned into SELECTs, at most.
const MOST_SELECTED: usize = 100;

/// Rows of VALUES as SELECTs, because rows of VALUES forget what kind of text their texts are. Many plain rows stay as they are.
fn rows_of(source: ast::Query) -> Result<ast::Query, JobError> {
    let ast::SetExpr::Values(values) = source.body.as_ref() else {
        return Ok(source);
    };
    let computed = |value: &ast::Expr| !matches!(value, ast::Expr::Value(_));
    let some = values.rows.iter().any(|row| row.iter().any(computed));
    let single = values.rows.len() == 1;
    if !(single || some && values.rows.len() <= MOST_SELECTED) {
        return Ok(source);
    }
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

/// Hands the rows of a query to `take`, batch after batch.
fn write(
    running: &Running<'_, '_>,
    planned: Planned,
    mut take: impl FnMut(&RecordBatch) -> Result<(), JobError>,
) -> Result<(), JobError> {
    running.handle.block_on(async {
        let rows = planned.run().await?;
        let mut rows = std::pin::pin!(rows);
        while let Some(batch) = rows.next().await {
            take(&batch?)?;
        }
        Ok(())
    })
}

/// The batch's columns under the names of `listed`, in the table's order.
fn placed(
    batch: &RecordBatch,
    listed: &[String],
    schema: &SchemaRef,
) -> Result<RecordBatch, JobError> {
    let broken = |e: String| invalid(e);
    let own = batch.schema();
    let columns = schema
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
    RecordBatch::try_new(schema.clone(), columns).map_err(|e| broken(e.to_string()))
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
    table: &TableName,
    keep: Keep,
) -> Result<u64, JobError> {
    let opened = running.work.catalog.table(table)?;
    let names: Vec<String> = columns_of(running.work, table)?
        .into_iter()
        .map(|c| c.name)
        .collect();
    if opened.has_partition_time() {
        return Err(unsupported("a change of rows partitioned by their arrival"));
    }
    let schema = opened.schema.clone();
    running.touch(table);
    let mut writer: TableWriter = running.work.catalog.writer(table, None)?;
    let mut changed = 0;
    write(running, planned, |batch| {
        let last = batch.num_columns().saturating_sub(1);
        let told = batch.schema().field(last).name() == CHANGED;
        let mask = batch.column(last).as_boolean_opt().filter(|_| told);
        let Some(mask) = mask else {
            return Err(JobError::new(
                "internalError",
                "the changed rows are not marked",
            ));
        };
        changed += mask.true_count() as u64;
        let kept = match keep {
            Keep::All => batch.clone(),
            Keep::Unchanged => filtered(batch, mask)?,
        };
        let kept = placed(&kept, &names, &schema)?;
        Ok(writer.write(&kept)?)
    })?;
    if changed > 0 {
        running.work.catalog.replace(writer, table)?;
    }
    Ok(changed)
}

fn filtered(batch: &RecordBatch, gone: &BooleanArray) -> Result<RecordBatch, JobError> {
    not(gone)
        .and_then(|stay| filter_record_batch(batch, &stay))
        .map_err(|e| JobError::new("internalError", e.to_string()))
}
