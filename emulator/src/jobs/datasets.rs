//! CREATE SCHEMA and DROP SCHEMA: datasets made and dropped by a statement.

use serde_json::{Map, Value, json};

use super::JobError;
use super::query::Running;
use super::statements::{Effect, unsupported};
use crate::catalog::{CatalogError, Contents};
use crate::query::ast::{Expr, ObjectName, SchemaName, SqlOption, Statement, Value as SqlValue};

/// What is to be dropped with a dataset, or stands against it.
pub(super) fn contents(cascade: bool) -> Contents {
    if cascade {
        Contents::Delete
    } else {
        Contents::Refuse
    }
}

/// Makes a dataset as CREATE SCHEMA says.
pub(super) fn create(running: &Running<'_, '_>, create: Statement) -> Result<Effect, JobError> {
    let text = create.to_string();
    let Statement::CreateSchema {
        schema_name: SchemaName::Simple(name),
        if_not_exists,
        options,
        with: None,
        default_collate_spec: None,
        clone: None,
    } = create
    else {
        return Err(unsupported(format!("the statement {text}")));
    };
    let options = options.unwrap_or_default();
    let (project, dataset) = parts(running, &name)?;
    let settings = settings(&options)?;
    let made = running
        .work
        .catalog
        .create_dataset(&project, &dataset, settings);
    let operation = match made {
        Ok(_) => "CREATE",
        Err(CatalogError::DatasetExists { .. }) if if_not_exists => "SKIP",
        Err(e) => return Err(e.into()),
    };
    Ok(effect("CREATE_SCHEMA", operation, &project, &dataset))
}

/// Drops a dataset.
pub(super) fn drop(
    running: &Running<'_, '_>,
    name: &ObjectName,
    if_exists: bool,
    contents: Contents,
) -> Result<Effect, JobError> {
    let (project, dataset) = parts(running, name)?;
    let catalog = running.work.catalog;
    let operation = match catalog.delete_dataset(&project, &dataset, contents) {
        Ok(()) => "DROP",
        Err(CatalogError::DatasetNotFound { .. }) if if_exists => "SKIP",
        Err(e) => return Err(e.into()),
    };
    Ok(effect("DROP_SCHEMA", operation, &project, &dataset))
}

/// Project and dataset of a name.
fn parts(running: &Running<'_, '_>, name: &ObjectName) -> Result<(String, String), JobError> {
    let text = name.to_string().replace('`', "");
    let parts: Vec<&str> = text.split('.').collect();
    match parts.as_slice() {
        [dataset] => Ok((running.defaults.project.clone(), (*dataset).to_owned())),
        [project, dataset] => Ok(((*project).to_owned(), (*dataset).to_owned())),
        _ => Err(JobError::new("invalidQuery", format!("Invalid dataset name {text}")).at("query")),
    }
}

fn effect(statement: &'static str, operation: &str, project: &str, dataset: &str) -> Effect {
    let mut members = Map::new();
    members.insert("ddlOperationPerformed".to_owned(), json!(operation));
    let target = json!({"projectId": project, "datasetId": dataset});
    members.insert("ddlTargetDataset".to_owned(), target);
    Effect { statement, members }
}

/// What a dataset is told by OPTIONS.
fn settings(options: &[SqlOption]) -> Result<Map<String, Value>, JobError> {
    options
        .iter()
        .map(|option| {
            let unknown = || unsupported(format!("the option {option}"));
            let SqlOption::KeyValue { key, value } = option else {
                return Err(unknown());
            };
            let Expr::Value(value) = value else {
                return Err(unknown());
            };
            let (key, value) = match (key.value.to_ascii_lowercase().as_str(), &value.value) {
                (
                    key @ ("location" | "description" | "friendly_name"),
                    SqlValue::SingleQuotedString(text) | SqlValue::DoubleQuotedString(text),
                ) => {
                    let key = key.replace("friendly_name", "friendlyName");
                    (key, json!(text))
                }
                ("default_table_expiration_days", SqlValue::Number(days, _)) => {
                    let days: i64 = days.parse().map_err(|_| unknown())?;
                    let lifetime = days.checked_mul(86_400_000).ok_or_else(unknown)?;
                    let key = "defaultTableExpirationMs".to_owned();
                    (key, json!(lifetime.to_string()))
                }
                _ => return Err(unknown()),
            };
            Ok((key, value))
        })
        .collect()
}
