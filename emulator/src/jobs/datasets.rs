//! CREATE, ALTER and DROP SCHEMA: datasets made, changed and dropped by a statement.

use serde_json::{Map, json};

use super::JobError;
use super::query::Running;
use super::statements::options::{self, Of, Setting};
use super::statements::{Effect, check_collation, unsupported};
use crate::catalog::{CatalogError, Contents};
use crate::query;
use crate::query::ast::{ObjectName, SchemaName, Statement};
use crate::query::statements::alter::{Action, Alter};

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
    let mut resource = Map::new();
    for setting in options::settings(running, Of::Schema, &options)? {
        setting.apply(&mut resource);
    }
    let catalog = running.work.catalog;
    let made = match running.is_dry_run() {
        true => match catalog.dataset(&project, &dataset) {
            Ok(_) => Err(CatalogError::DatasetExists {
                project: project.clone(),
                dataset: dataset.clone(),
            }),
            Err(CatalogError::DatasetNotFound { .. }) => Ok(()),
            Err(e) => Err(e),
        },
        false => catalog
            .create_dataset(&project, &dataset, resource)
            .map(|_| ()),
    };
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
    let gone = match running.is_dry_run() {
        true => catalog.dataset(&project, &dataset).map(|_| ()),
        false => catalog.delete_dataset(&project, &dataset, contents),
    };
    let operation = match gone {
        Ok(()) => "DROP",
        Err(CatalogError::DatasetNotFound { .. }) if if_exists => "SKIP",
        Err(e) => return Err(e.into()),
    };
    Ok(effect("DROP_SCHEMA", operation, &project, &dataset))
}

/// Brings back the dataset that was last dropped under a name.
pub(super) fn undrop(
    running: &Running<'_, '_>,
    undrop: &query::Statement,
) -> Result<Effect, JobError> {
    let query::Statement::Undrop {
        if_not_exists,
        name,
    } = undrop
    else {
        return Err(unsupported(format!("the statement {undrop}")));
    };
    let (project, dataset) = parts(running, name)?;
    let operation = match running.work.catalog.undelete_dataset(&project, &dataset) {
        Ok(_) => "CREATE",
        Err(CatalogError::DatasetExists { .. }) if *if_not_exists => "SKIP",
        Err(e) => return Err(e.into()),
    };
    Ok(effect("UNDROP_SCHEMA", operation, &project, &dataset))
}

/// Project and dataset of a name.
pub(super) fn parts(
    running: &Running<'_, '_>,
    name: &ObjectName,
) -> Result<(String, String), JobError> {
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

/// Changes what a dataset is, as ALTER SCHEMA says.
pub(super) fn alter(running: &Running<'_, '_>, alter: &Alter) -> Result<Effect, JobError> {
    let (project, dataset) = parts(running, &alter.name)?;
    let catalog = running.work.catalog;
    match catalog.dataset(&project, &dataset) {
        Ok(_) => {}
        Err(CatalogError::DatasetNotFound { .. }) if alter.if_exists => {
            return Ok(effect("ALTER_SCHEMA", "SKIP", &project, &dataset));
        }
        Err(e) => return Err(e.into()),
    }
    let mut changes = Vec::new();
    for action in &alter.actions {
        match action {
            Action::SetOptions(options) => {
                changes.extend(options::settings(running, Of::Schema, options)?);
            }
            Action::SetDefaultCollate(collation) => {
                check_collation(collation)?;
                changes.push(Setting::collation(collation));
            }
            _ => return Err(unsupported(format!("the statement {alter}"))),
        }
    }
    if changes.iter().any(Setting::is_location) {
        return Err(JobError::new(
            "invalidQuery",
            "The location of a dataset cannot be changed",
        )
        .at("query"));
    }
    catalog.update_dataset(&project, &dataset, |resource| {
        changes.iter().for_each(|change| change.apply(resource));
    })?;
    Ok(effect("ALTER_SCHEMA", "ALTER", &project, &dataset))
}
