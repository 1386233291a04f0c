//! Statements that make or drop tables and views.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::options::{self, Of, Setting};
use super::{Effect, invalid, unsupported};
use crate::catalog::CatalogError;
use crate::jobs::JobError;
use crate::jobs::destination::Destination;
use crate::jobs::query::{Running, anonymous_table, append, columns, reference};
use crate::name::TableName;
use crate::query::ast::{
    self, ColumnOption, CreateTable, CreateTableOptions, Expr, ObjectType, TableConstraint,
};
use crate::query::{self, Planned, sql_types};
use crate::schema::{self, FieldSchema};

pub(super) fn drop_object(
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
    let wanted = match statement {
        "DROP_TABLE" => "TABLE",
        "DROP_VIEW" => "VIEW",
        _ => "MATERIALIZED_VIEW",
    };
    drop_kind(running, (statement, wanted), if_exists, name)
}

/// Drops what must be of a kind.
pub(super) fn drop_kind(
    running: &mut Running<'_, '_>,
    (statement, wanted): (&'static str, &str),
    if_exists: bool,
    name: &ast::ObjectName,
) -> Result<Effect, JobError> {
    let table = query::table_of(name, &running.defaults)?;
    let catalog = running.work.catalog;
    match catalog.table(&table) {
        Ok(found) => {
            if found.kind() != wanted {
                return Err(invalid(format!(
                    "Cannot drop {table} which has type {}. {wanted} is expected.",
                    found.kind()
                )));
            }
            if running.is_dry_run() {
                return Ok(Effect::ddl(statement, "DROP", &table));
            }
            catalog.drop_table(&table)?;
            running.defaults.temporary.retain(|_, t| *t != table);
            Ok(Effect::ddl(statement, "DROP", &table))
        }
        Err(CatalogError::TableNotFound { .. }) if if_exists => {
            Ok(Effect::ddl(statement, "SKIP", &table))
        }
        Err(e) => Err(e.into()),
    }
}

pub(super) fn create_table(
    running: &mut Running<'_, '_>,
    create: CreateTable,
) -> Result<Effect, JobError> {
    let odd = create.external
        || create.snapshot
        || create.transient
        || create.iceberg
        || create.like.is_some()
        || create.clone.is_some()
        || create.version.is_some();
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
    let catalog = Arc::clone(running.work.catalog);
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
        .map(|column| declared(running, column))
        .collect::<Result<Vec<_>, JobError>>()?;
    let resource = resource(running, &create)?;
    let operation = if exists { "REPLACE" } else { "CREATE" };
    if running.is_dry_run() {
        let mut effect = Effect::ddl(statement, operation, &table);
        let mut wanted = declared;
        if let Some(query) = create.query {
            let planned = running.reading(*query)?;
            refuse_duplicates(&planned, "CREATE TABLE")?;
            if wanted.is_empty() {
                wanted = columns(&planned)?;
            }
            let read = Effect::tried(statement, &[&planned], None);
            effect.members.extend(read.members);
        }
        let wanted = schema::checked(&wanted).map_err(|e| invalid(e.to_string()))?;
        return Ok(effect.with_schema(&wanted));
    }
    let gathered = match create.query {
        Some(query) => {
            let planned = running.reading(*query)?;
            refuse_duplicates(&planned, "CREATE TABLE")?;
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
    match gathered {
        None => {
            if exists {
                catalog.delete_table(&table)?;
            }
            catalog.create_table(&table, wanted, resource)?;
        }
        Some((from, _)) => {
            fill(running, &table, wanted, resource, &from)?;
            running.work.configuration["query"]["destinationTable"] = reference(&table);
        }
    }
    if create.temporary {
        running.defaults.remember(&create.name, table.clone());
        running.work.configuration["query"]["destinationTable"] = reference(&table);
    }
    Ok(Effect::ddl(statement, operation, &table))
}

/// Refuses columns of one name.
pub(super) fn refuse_duplicates(planned: &Planned, statement: &str) -> Result<(), JobError> {
    match planned.duplicates.first() {
        Some(name) => Err(invalid(format!(
            "{statement} has columns with duplicate name {name}"
        ))),
        None => Ok(()),
    }
}

/// Makes a table with the rows of another one, which goes; a table there was is replaced once all rows are in the new one.
fn fill(
    running: &Running<'_, '_>,
    table: &TableName,
    columns: Vec<FieldSchema>,
    resource: Map<String, Value>,
    from: &TableName,
) -> Result<(), JobError> {
    let catalog = running.work.catalog;
    let beside = format!("millpond_new_{}", from.table());
    let beside = TableName::try_new(table.project(), table.dataset(), &beside)
        .map_err(|e| JobError::invalid(e.to_string()))?;
    let target = Destination {
        table: beside.clone(),
        partition: None,
    };
    let filled = catalog
        .create_table(&beside, columns, resource)
        .map_err(JobError::from)
        .and_then(|()| append(running.work, from, &target));
    catalog.delete_table(from)?;
    if let Err(e) = filled {
        // It may not even have been made.
        let _ = catalog.delete_table(&beside);
        return Err(e);
    }
    match catalog.delete_table(table) {
        Ok(()) | Err(CatalogError::TableNotFound { .. }) => {}
        Err(e) => return Err(e.into()),
    }
    Ok(catalog.rename_table(&beside, table)?)
}

/// A name nobody else uses, for a table that only this script or session knows.
pub(super) fn temporary_table(
    running: &Running<'_, '_>,
    create: &CreateTable,
) -> Result<TableName, JobError> {
    let name = query::temporary_name(&create.name);
    if let Some(known) = running.defaults.temporary.get(&name) {
        return Ok(known.clone());
    }
    // Beside the results of queries, under a name that none of them has.
    let made = anonymous_table(running.work, Vec::new())?;
    running.work.catalog.delete_table(&made)?;
    let own = format!("temp_{}", made.table());
    TableName::try_new(made.project(), made.dataset(), &own)
        .map_err(|e| JobError::invalid(e.to_string()))
}

/// A column as CREATE TABLE writes it.
pub(super) fn declared(
    running: &Running<'_, '_>,
    column: &ast::ColumnDef,
) -> Result<FieldSchema, JobError> {
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
                for setting in options::settings(running, Of::Column, options)? {
                    setting.apply(&mut field.other);
                }
            }
            // Keys are the table's.
            ColumnOption::PrimaryKey(_) | ColumnOption::ForeignKey(_) => {}
            other => return Err(unsupported(format!("the column option {other}"))),
        }
    }
    Ok(field)
}

/// What a table is beside its columns.
pub(super) fn resource(
    running: &Running<'_, '_>,
    create: &CreateTable,
) -> Result<Map<String, Value>, JobError> {
    let mut resource = Map::new();
    if let Some(by) = &create.partition_by {
        let (key, partitioning) = partitioning(by)?;
        resource.insert(key.to_owned(), partitioning);
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
    let constraints = constraints(create);
    if !constraints.is_empty() {
        let keys = keys(running, &constraints)?;
        resource.insert("tableConstraints".to_owned(), keys);
    }
    let settings = table_settings(running, Of::Table, &create.table_options)?;
    if create.partition_by.is_none() && settings.iter().any(Setting::needs_partitions) {
        return Err(invalid(format!(
            "Options of partitions cannot be set on table {}, which is not partitioned",
            create.name
        )));
    }
    settings.iter().for_each(|s| s.apply(&mut resource));
    Ok(resource)
}

/// The keys of a table, those that stand behind a column included.
fn constraints(create: &CreateTable) -> Vec<TableConstraint> {
    let mut all = create.constraints.clone();
    for column in &create.columns {
        for option in &column.options {
            match &option.option {
                ColumnOption::PrimaryKey(key) => {
                    let mut key = key.clone();
                    if key.columns.is_empty() {
                        key.columns.push(column.name.clone().into());
                    }
                    all.push(TableConstraint::PrimaryKey(key));
                }
                ColumnOption::ForeignKey(key) => {
                    let mut key = key.clone();
                    if key.columns.is_empty() {
                        key.columns.push(column.name.clone());
                    }
                    key.name = key.name.or(option.name.clone());
                    all.push(TableConstraint::ForeignKey(key));
                }
                _ => {}
            }
        }
    }
    all
}

/// What OPTIONS say.
pub(super) fn table_settings(
    running: &Running<'_, '_>,
    of: Of,
    options: &CreateTableOptions,
) -> Result<Vec<Setting>, JobError> {
    match options {
        CreateTableOptions::None => Ok(Vec::new()),
        CreateTableOptions::Options(options) => options::settings(running, of, options),
        other => Err(unsupported(format!("the options {other}"))),
    }
}

/// Keys, which the service takes down and enforces as little.
fn keys(running: &Running<'_, '_>, all: &[TableConstraint]) -> Result<Value, JobError> {
    let mut keys = json!({});
    for constraint in all {
        let refused = || unsupported(format!("the constraint {constraint}"));
        let enforced = match constraint {
            TableConstraint::PrimaryKey(key) => key.characteristics.as_ref(),
            TableConstraint::ForeignKey(key) => key.characteristics.as_ref(),
            _ => return Err(refused()),
        };
        if enforced.and_then(|c| c.enforced) != Some(false) {
            return Err(invalid(format!(
                "Enforcement of primary and foreign keys is not supported: {constraint}. Use NOT ENFORCED."
            )));
        }
        match constraint {
            TableConstraint::PrimaryKey(key) => {
                let columns: Option<Vec<String>> = key
                    .columns
                    .iter()
                    .map(|c| match &c.column.expr {
                        Expr::Identifier(name) => Some(name.value.clone()),
                        _ => None,
                    })
                    .collect();
                keys["primaryKey"] = json!({"columns": columns.ok_or_else(refused)?});
            }
            TableConstraint::ForeignKey(key) => {
                let referenced = query::table_of(&key.foreign_table, &running.defaults)?;
                let pairs = key.columns.iter().zip(&key.referred_columns);
                let pairs: Vec<Value> = pairs
                    .map(|(own, other)| {
                        json!({"referencingColumn": own.value, "referencedColumn": other.value})
                    })
                    .collect();
                let mut one =
                    json!({"referencedTable": reference(&referenced), "columnReferences": pairs});
                if let Some(name) = &key.name {
                    one["name"] = json!(name.value);
                }
                match &mut keys["foreignKeys"] {
                    Value::Array(all) => all.push(one),
                    none => *none = json!([one]),
                }
            }
            _ => return Err(refused()),
        }
    }
    Ok(keys)
}

/// `PARTITION BY day`, `DATE(time)`, `TIMESTAMP_TRUNC(time, HOUR)` or `RANGE_BUCKET(number, GENERATE_ARRAY(start, end, step))`, and
/// where REST has it.
fn partitioning(by: &Expr) -> Result<(&'static str, Value), JobError> {
    const TIME: &str = "timePartitioning";
    let unknown = || unsupported(format!("PARTITION BY {by}"));
    let by_time = |grain: &str, column: &str| {
        // The pseudo columns of arrival are no fields.
        let arrival = column.eq_ignore_ascii_case("_PARTITIONDATE")
            || column.eq_ignore_ascii_case("_PARTITIONTIME");
        let partitioning = if arrival {
            json!({"type": grain})
        } else {
            json!({"type": grain, "field": column})
        };
        Ok((TIME, partitioning))
    };
    let function = match by {
        Expr::Identifier(name) => return by_time("DAY", &name.value),
        Expr::Function(function) => function,
        _ => return Err(unknown()),
    };
    let name = function.name.to_string().to_ascii_uppercase();
    let arguments = crate::row_restriction::arguments(function).ok_or_else(unknown)?;
    match (name.as_str(), arguments.as_slice()) {
        ("DATE", [Expr::Identifier(column)]) => by_time("DAY", &column.value),
        (
            "DATE_TRUNC" | "TIMESTAMP_TRUNC" | "DATETIME_TRUNC",
            [Expr::Identifier(column), Expr::Identifier(part)],
        ) => by_time(&part.value.to_ascii_uppercase(), &column.value),
        ("RANGE_BUCKET", [Expr::Identifier(column), Expr::Function(array)])
            if array
                .name
                .to_string()
                .eq_ignore_ascii_case("GENERATE_ARRAY") =>
        {
            let bounds = crate::row_restriction::arguments(array).ok_or_else(unknown)?;
            let bounds: Option<Vec<i64>> = bounds
                .into_iter()
                .map(|bound| bound.to_string().replace(' ', "").parse().ok())
                .collect();
            let (start, end, step) = match bounds.as_deref() {
                Some([start, end]) => (*start, *end, 1),
                Some([start, end, step]) => (*start, *end, *step),
                _ => return Err(unknown()),
            };
            let range = json!({
                "start": start.to_string(), "end": end.to_string(), "interval": step.to_string(),
            });
            Ok((
                "rangePartitioning",
                json!({"field": column.value, "range": range}),
            ))
        }
        _ => Err(unknown()),
    }
}
