//! Statements that make, change or drop something instead of giving rows.

use crate::query::ast::{
    self, ColumnOption, CreateTable, CreateTableOptions, CreateView, Expr, Insert, ObjectType,
    SqlOption, Statement, TableObject, Value as SqlValue,
};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::{Field, SchemaRef};
use futures::StreamExt;
use serde_json::{Map, Value, json};

use super::datasets;
use super::destination::{self, Destination};
use super::query::{Running, append, columns, reference};
use super::{JobError, Work};
use crate::catalog::{CatalogError, TableWriter};
use crate::name::TableName;
use crate::query::change::{self, CHANGED};
use crate::query::{self, Planned, QueryError, sql_types};
use crate::schema::{self, FieldSchema};

/// What a statement has done.
pub(super) struct Effect {
    /// The service's word for the kind of statement.
    pub statement: &'static str,
    /// What the statistics of the query say beside that.
    pub members: Map<String, Value>,
}

impl Effect {
    fn ddl(statement: &'static str, operation: &str, table: &TableName) -> Self {
        let mut members = Map::new();
        members.insert("ddlOperationPerformed".to_owned(), json!(operation));
        members.insert("ddlTargetTable".to_owned(), reference(table));
        Self { statement, members }
    }

    fn dml(statement: &'static str, counted: &str, rows: u64) -> Self {
        let mut counts = Map::new();
        for key in ["insertedRowCount", "deletedRowCount", "updatedRowCount"] {
            let count = if key == counted { rows } else { 0 };
            counts.insert(key.to_owned(), json!(count.to_string()));
        }
        let mut members = Map::new();
        members.insert("numDmlAffectedRows".to_owned(), json!(rows.to_string()));
        members.insert("dmlStats".to_owned(), Value::Object(counts));
        Self { statement, members }
    }
}

pub(super) fn unsupported(construct: impl Into<String>) -> JobError {
    QueryError::Unsupported {
        construct: construct.into(),
    }
    .into()
}

fn invalid(message: String) -> JobError {
    JobError::new("invalidQuery", message).at("query")
}

/// Runs a statement whose parameters have been put in.
pub(super) fn run(running: &mut Running<'_, '_>, statement: Statement) -> Result<Effect, JobError> {
    let known = matches!(
        statement,
        Statement::CreateTable(_)
            | Statement::CreateView(_)
            | Statement::CreateSchema { .. }
            | Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Drop { .. }
            | Statement::Truncate(_)
    );
    if !known {
        return Err(query::unsupported_statement(&statement).into());
    }
    if running.is_dry_run() {
        return Err(unsupported(format!(
            "a dry run of the statement {}",
            query::kind(&statement)
        )));
    }
    match statement {
        Statement::CreateTable(create) => create_table(running, create),
        Statement::CreateView(create) => create_view(running, &create),
        create @ Statement::CreateSchema { .. } => datasets::create(running, create),
        Statement::Insert(insert) => insert_rows(running, insert),
        Statement::Update(update) => {
            let target = change::target(std::slice::from_ref(&update.table), &running.defaults)?;
            let columns = columns_of(running.work, &target.table)?;
            let query = change::after_update(&update, &target, &columns)?;
            let planned = running.plan(query)?;
            let changed = rewrite(running, planned, &target.table, Keep::All)?;
            Ok(Effect::dml("UPDATE", "updatedRowCount", changed))
        }
        Statement::Delete(delete) => {
            let target = change::target(change::deleted_from(&delete), &running.defaults)?;
            let query = change::after_delete(&delete, &target)?;
            let planned = running.plan(query)?;
            let gone = rewrite(running, planned, &target.table, Keep::Unchanged)?;
            Ok(Effect::dml("DELETE", "deletedRowCount", gone))
        }
        Statement::Truncate(truncate) => {
            let [name] = truncate.table_names.as_slice() else {
                return Err(unsupported("TRUNCATE of several tables"));
            };
            let table = query::table_of(&name.name, &running.defaults)?;
            let rows = running.work.catalog.table(&table)?.rows;
            columns_of(running.work, &table)?;
            running.work.catalog.truncate(&table)?;
            Ok(Effect::dml("TRUNCATE_TABLE", "deletedRowCount", rows))
        }
        Statement::Drop {
            object_type,
            if_exists,
            names,
            cascade,
            ..
        } => match (object_type, names.as_slice()) {
            (ObjectType::Schema, [name]) => {
                datasets::drop(running, name, if_exists, datasets::contents(cascade))
            }
            _ => drop_object(running, object_type, if_exists, &names),
        },
        other => Err(query::unsupported_statement(&other).into()),
    }
}

fn drop_object(
    running: &mut Running<'_, '_>,
    kind: ObjectType,
    if_exists: bool,
    names: &[ast::ObjectName],
) -> Result<Effect, JobError> {
    let [name] = names else {
        return Err(unsupported("DROP of several things"));
    };
    let statement = match kind {
        ObjectType::Table => "DROP_TABLE",
        ObjectType::View => "DROP_VIEW",
        ObjectType::MaterializedView => "DROP_MATERIALIZED_VIEW",
        other => return Err(unsupported(format!("the statement DROP {other}"))),
    };
    let table = query::table_of(name, &running.defaults)?;
    let catalog = running.work.catalog;
    match catalog.table(&table) {
        Ok(found) => {
            let wanted = match statement {
                "DROP_TABLE" => "TABLE",
                "DROP_VIEW" => "VIEW",
                _ => "MATERIALIZED_VIEW",
            };
            if found.kind() != wanted {
                return Err(invalid(format!(
                    "Cannot drop {table} which has type {}. {wanted} is expected.",
                    found.kind()
                )));
            }
            catalog.delete_table(&table)?;
            running.defaults.temporary.retain(|_, t| *t != table);
            Ok(Effect::ddl(statement, "DROP", &table))
        }
        Err(CatalogError::TableNotFound { .. }) if if_exists => {
            Ok(Effect::ddl(statement, "SKIP", &table))
        }
        Err(e) => Err(e.into()),
    }
}

/// The columns of a table that rows can be written to.
fn columns_of(work: &Work<'_>, table: &TableName) -> Result<Vec<FieldSchema>, JobError> {
    let destination = Destination {
        table: table.clone(),
        partition: None,
    };
    destination::existing(work, &destination)?.ok_or_else(|| {
        CatalogError::TableNotFound {
            table: table.clone(),
        }
        .into()
    })
}

fn create_table(running: &mut Running<'_, '_>, create: CreateTable) -> Result<Effect, JobError> {
    let odd = create.external
        || create.snapshot
        || create.transient
        || create.iceberg
        || create.like.is_some()
        || create.clone.is_some()
        || create.version.is_some()
        || !create.constraints.is_empty();
    if odd {
        return Err(unsupported(format!("the statement {create}")));
    }
    let as_select = create.query.is_some();
    let statement = if as_select {
        "CREATE_TABLE_AS_SELECT"
    } else {
        "CREATE_TABLE"
    };
    let table = if create.temporary {
        temporary_table(running, &create)?
    } else {
        query::table_of(&create.name, &running.defaults)?
    };
    let catalog = std::sync::Arc::clone(running.work.catalog);
    let exists = match catalog.table(&table) {
        Ok(_) => true,
        Err(CatalogError::TableNotFound { .. }) => false,
        Err(e) => return Err(e.into()),
    };
    if exists && create.if_not_exists {
        return Ok(Effect::ddl(statement, "SKIP", &table));
    }
    if exists && !create.or_replace {
        return Err(CatalogError::TableExists { table }.into());
    }
    let declared = create
        .columns
        .iter()
        .map(declared)
        .collect::<Result<Vec<_>, JobError>>()?;
    let resource = resource(&create)?;
    let gathered = match create.query {
        Some(query) => {
            let planned = running.plan(*query)?;
            let own = columns(&planned)?;
            Some((running.gather(planned)?, own))
        }
        None => None,
    };
    let wanted = match &gathered {
        Some((_, own)) if declared.is_empty() => own.clone(),
        _ => declared,
    };
    let wanted = schema::checked(&wanted).map_err(|e| invalid(e.to_string()))?;
    if exists {
        catalog.delete_table(&table)?;
    }
    catalog.create_table(&table, wanted, resource)?;
    if create.temporary {
        let name = create.name.to_string().replace('`', "");
        running.defaults.temporary.insert(name, table.clone());
    }
    if let Some((from, _)) = gathered {
        let target = Destination {
            table: table.clone(),
            partition: None,
        };
        append(running.work, &from, &target)?;
        catalog.delete_table(&from)?;
        running.work.configuration["query"]["destinationTable"] = reference(&table);
    }
    let operation = if exists { "REPLACE" } else { "CREATE" };
    Ok(Effect::ddl(statement, operation, &table))
}

/// A name nobody else uses, for a table that only this script or session knows.
fn temporary_table(running: &Running<'_, '_>, create: &CreateTable) -> Result<TableName, JobError> {
    let name = create.name.to_string().replace('`', "");
    if let Some(known) = running.defaults.temporary.get(&name) {
        return Ok(known.clone());
    }
    // Beside the results of queries, under a name that none of them has.
    let made = super::query::anonymous_table(running.work, Vec::new())?;
    running.work.catalog.delete_table(&made)?;
    let own = format!("temp_{}", made.table());
    TableName::try_new(made.project(), made.dataset(), &own)
        .map_err(|e| JobError::invalid(e.to_string()))
}

/// A column as CREATE TABLE writes it.
fn declared(column: &ast::ColumnDef) -> Result<FieldSchema, JobError> {
    let mut field = sql_types::column(&column.name.value, &column.data_type)?;
    for option in &column.options {
        match &option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => "REQUIRED".clone_into(&mut field.mode),
            ColumnOption::Default(expr) => {
                let text = json!(expr.to_string());
                field
                    .other
                    .insert("defaultValueExpression".to_owned(), text);
            }
            ColumnOption::Options(options) => {
                for (key, value) in texts(options)? {
                    field.other.insert(key, value);
                }
            }
            other => return Err(unsupported(format!("the column option {other}"))),
        }
    }
    Ok(field)
}

/// Options whose values are texts or numbers.
fn texts(options: &[SqlOption]) -> Result<Vec<(String, Value)>, JobError> {
    options
        .iter()
        .map(|option| {
            let SqlOption::KeyValue { key, value } = option else {
                return Err(unsupported(format!("the option {option}")));
            };
            let value = match value {
                Expr::Value(value) => match &value.value {
                    SqlValue::SingleQuotedString(text) | SqlValue::DoubleQuotedString(text) => {
                        json!(text)
                    }
                    SqlValue::Boolean(flag) => json!(flag),
                    _ => return Err(unsupported(format!("the option {option}"))),
                },
                _ => return Err(unsupported(format!("the option {option}"))),
            };
            let key = match key.value.to_ascii_lowercase().as_str() {
                "description" => "description",
                "friendly_name" => "friendlyName",
                "require_partition_filter" => "requirePartitionFilter",
                _ => return Err(unsupported(format!("the option {option}"))),
            };
            Ok((key.to_owned(), value))
        })
        .collect()
}

/// What a table is beside its columns.
fn resource(create: &CreateTable) -> Result<Map<String, Value>, JobError> {
    let mut resource = Map::new();
    match &create.table_options {
        CreateTableOptions::None => {}
        CreateTableOptions::Options(options) => resource.extend(texts(options)?),
        other => return Err(unsupported(format!("the options {other}"))),
    }
    if let Some(by) = &create.partition_by {
        resource.insert("timePartitioning".to_owned(), partitioning(by)?);
    }
    if let Some(by) = &create.cluster_by {
        let (ast::WrappedCollection::NoWrapping(names)
        | ast::WrappedCollection::Parentheses(names)) = by;
        let names: Vec<String> = names
            .iter()
            .map(|n| n.to_string().replace('`', ""))
            .collect();
        resource.insert("clustering".to_owned(), json!({"fields": names}));
    }
    Ok(resource)
}

/// `PARTITION BY day`, `DATE(time)` or `TIMESTAMP_TRUNC(time, HOUR)`.
fn partitioning(by: &Expr) -> Result<Value, JobError> {
    let unknown = || unsupported(format!("PARTITION BY {by}"));
    match by {
        Expr::Identifier(name) if name.value.eq_ignore_ascii_case("_PARTITIONDATE") => {
            Ok(json!({"type": "DAY"}))
        }
        Expr::Identifier(name) => Ok(json!({"type": "DAY", "field": name.value})),
        Expr::Function(function) => {
            let name = function.name.to_string().to_ascii_uppercase();
            let arguments = crate::row_restriction::arguments(function).ok_or_else(unknown)?;
            match (name.as_str(), arguments.as_slice()) {
                ("DATE", [Expr::Identifier(column)]) => {
                    Ok(json!({"type": "DAY", "field": column.value}))
                }
                (
                    "DATE_TRUNC" | "TIMESTAMP_TRUNC" | "DATETIME_TRUNC",
                    [Expr::Identifier(column), Expr::Identifier(part)],
                ) => Ok(json!({"type": part.value.to_ascii_uppercase(), "field": column.value})),
                _ => Err(unknown()),
            }
        }
        _ => Err(unknown()),
    }
}

fn create_view(running: &mut Running<'_, '_>, create: &CreateView) -> Result<Effect, JobError> {
    if create.materialized || create.temporary || !create.columns.is_empty() {
        return Err(unsupported(
            "a materialized or temporary view, or one with columns",
        ));
    }
    let table = query::table_of(&create.name, &running.defaults)?;
    let planned = running.plan(*create.query.clone())?;
    let columns = columns(&planned)?;
    let catalog = running.work.catalog;
    let exists = match catalog.table(&table) {
        Ok(_) => true,
        Err(CatalogError::TableNotFound { .. }) => false,
        Err(e) => return Err(e.into()),
    };
    if exists && create.if_not_exists {
        return Ok(Effect::ddl("CREATE_VIEW", "SKIP", &table));
    }
    if exists && !create.or_replace {
        return Err(CatalogError::TableExists { table }.into());
    }
    if exists {
        catalog.delete_table(&table)?;
    }
    let view = json!({"query": create.query.to_string(), "useLegacySql": false});
    let resource = Map::from_iter([("view".to_owned(), view)]);
    catalog.create_table(&table, columns, resource)?;
    let operation = if exists { "REPLACE" } else { "CREATE" };
    Ok(Effect::ddl("CREATE_VIEW", operation, &table))
}

fn insert_rows(running: &mut Running<'_, '_>, insert: Insert) -> Result<Effect, JobError> {
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
    let left_out = own
        .iter()
        .filter(|c| !listed.iter().any(|l| l.eq_ignore_ascii_case(&c.name)));
    for column in left_out {
        if column.other.contains_key("defaultValueExpression") {
            return Err(unsupported(format!(
                "the default value of column {}",
                column.name
            )));
        }
    }
    let mut writer = running.work.catalog.writer(&table, None)?;
    write(running, planned, |batch| {
        let batch = placed(batch, &listed, &schema)?;
        Ok(writer.write(&batch)?)
    })?;
    let rows = writer.commit()?.rows;
    Ok(Effect::dml("INSERT", "insertedRowCount", rows))
}

/// One row of VALUES as a SELECT, because rows of VALUES forget what kind of text their texts are.
fn rows_of(source: ast::Query) -> Result<ast::Query, JobError> {
    let ast::SetExpr::Values(values) = source.body.as_ref() else {
        return Ok(source);
    };
    let [row] = values.rows.as_slice() else {
        return Ok(source);
    };
    let columns: Vec<String> = row
        .iter()
        .enumerate()
        .map(|(index, value)| format!("{value} AS `f{index}_`"))
        .collect();
    Ok(query::select(&format!("SELECT {}", columns.join(", ")))?)
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
enum Keep {
    All,
    Unchanged,
}

/// Puts the rows of a query, which say in their last column whether they were meant, in the place of a table's.
fn rewrite(
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
