//! Statements that make or drop something: tables, views and functions.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Effect, invalid, unsupported};
use crate::catalog::{CatalogError, Existing};
use crate::jobs::JobError;
use crate::jobs::destination::Destination;
use crate::jobs::query::{Running, anonymous_table, append, columns, reference};
use crate::name::TableName;
use crate::query::ast::{
    self, ColumnOption, CreateFunction, CreateFunctionBody, CreateTable, CreateTableOptions,
    CreateView, Expr, FunctionReturnType, ObjectType, SqlOption, Value as SqlValue,
};
use crate::query::{self, routines, sql_types};
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
    let made = anonymous_table(running.work, Vec::new())?;
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

pub(super) fn create_view(
    running: &mut Running<'_, '_>,
    create: &CreateView,
) -> Result<Effect, JobError> {
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

/// `CREATE [TEMP] FUNCTION name(arguments) [RETURNS type] AS (expression)`; a function in another language is kept, not called.
pub(super) fn create_function(
    running: &mut Running<'_, '_>,
    create: &CreateFunction,
) -> Result<Effect, JobError> {
    if create.remote_connection.is_some() || create.options.is_some() {
        return Err(unsupported("CREATE FUNCTION with a connection or options"));
    }
    let body = match &create.function_body {
        Some(
            CreateFunctionBody::AsBeforeOptions { body, .. }
            | CreateFunctionBody::AsAfterOptions(body),
        ) => body,
        _ => return Err(unsupported("CREATE FUNCTION without a body")),
    };
    let language = create.language.as_ref().map(|l| l.value.to_uppercase());
    let (language, body) = match (language.as_deref(), body) {
        (None | Some("SQL"), Expr::Nested(body)) => ("SQL", body.to_string()),
        (None | Some("SQL"), body) => ("SQL", body.to_string()),
        (Some("JS"), Expr::Value(text)) => {
            let text = text.clone().into_string();
            ("JAVASCRIPT", text.unwrap_or_default())
        }
        (Some(other), _) => return Err(unsupported(format!("a function in {other}"))),
    };
    let mut arguments = Vec::new();
    for argument in create.args.iter().flatten() {
        let name = argument.name.as_ref().map(|n| n.value.clone());
        let any = argument
            .data_type
            .to_string()
            .eq_ignore_ascii_case("ANY TYPE");
        let mut described = json!({"name": name});
        if any {
            described["argumentKind"] = json!("ANY_TYPE");
        } else {
            let field = sql_types::column("value", &argument.data_type)?;
            described["dataType"] = routines::described(&field);
        }
        arguments.push(described);
    }
    let mut resource = Map::from_iter([
        ("routineType".to_owned(), json!("SCALAR_FUNCTION")),
        ("language".to_owned(), json!(language)),
        ("arguments".to_owned(), Value::Array(arguments)),
        ("definitionBody".to_owned(), json!(body)),
    ]);
    if let Some(FunctionReturnType::DataType(returns)) = &create.return_type {
        let field = sql_types::column("value", returns)?;
        resource.insert("returnType".to_owned(), routines::described(&field));
    }
    let parts = query::name_parts(&create.name)?;
    if create.temporary {
        let name = parts.join(".").to_ascii_lowercase();
        running.defaults.functions.insert(name, resource);
        return Ok(Effect::named("CREATE_FUNCTION"));
    }
    let name = routines::routine_name(&parts, &running.defaults)?;
    let catalog = running.work.catalog;
    let exists = match catalog.routine(&name) {
        Ok(_) => true,
        Err(CatalogError::RoutineNotFound { .. }) => false,
        Err(e) => return Err(e.into()),
    };
    if exists && create.if_not_exists {
        return Ok(of_routine("CREATE_FUNCTION", "SKIP", &name));
    }
    let existing = if create.or_replace {
        Existing::Replace
    } else {
        Existing::Keep
    };
    catalog.put_routine(&name, resource, existing)?;
    let operation = if exists { "REPLACE" } else { "CREATE" };
    Ok(of_routine("CREATE_FUNCTION", operation, &name))
}

/// `DROP FUNCTION name`.
pub(super) fn drop_function(
    running: &Running<'_, '_>,
    drop: &ast::DropFunction,
) -> Result<Effect, JobError> {
    let [function] = drop.func_desc.as_slice() else {
        return Err(unsupported("DROP of several things"));
    };
    let parts = query::name_parts(&function.name)?;
    let name = routines::routine_name(&parts, &running.defaults)?;
    match running.work.catalog.delete_routine(&name) {
        Ok(()) => Ok(of_routine("DROP_FUNCTION", "DROP", &name)),
        Err(CatalogError::RoutineNotFound { .. }) if drop.if_exists => {
            Ok(of_routine("DROP_FUNCTION", "SKIP", &name))
        }
        Err(e) => Err(e.into()),
    }
}

fn of_routine(statement: &'static str, operation: &str, name: &TableName) -> Effect {
    let target = json!({
        "projectId": name.project(),
        "datasetId": name.dataset(),
        "routineId": name.table(),
    });
    Effect {
        statement,
        members: Map::from_iter([
            ("ddlOperationPerformed".to_owned(), json!(operation)),
            ("ddlTargetRoutine".to_owned(), target),
        ]),
    }
}
