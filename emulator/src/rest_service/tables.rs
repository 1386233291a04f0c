//! Tables and views: made, listed, described, changed, dropped.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::error::RestError;
use super::{Answer, Page, Shared, blocking, merge, object, partitions, resource};
use crate::catalog::CatalogError;
use crate::external::{self, External, ExternalError};
use crate::name::TableName;
use crate::schema::{self, FieldSchema};

/// Set by the server, or kept elsewhere.
const NOT_KEPT: [&str; 17] = [
    "kind",
    "etag",
    "id",
    "selfLink",
    "creationTime",
    "lastModifiedTime",
    "tableReference",
    "type",
    "schema",
    "numBytes",
    "numRows",
    "numLongTermBytes",
    "location",
    "streamingBuffer",
    "numTotalLogicalBytes",
    "numActiveLogicalBytes",
    // Accepted and forgotten, as the service does.
    "maxStaleness",
];

/// A table's name; the part after a dollar sign names a partition and no other table.
pub(super) fn table_name(
    project: &str,
    dataset: &str,
    table: &str,
) -> Result<TableName, CatalogError> {
    let table = table.split_once('$').map_or(table, |(table, _)| table);
    Ok(TableName::try_new(project, dataset, table)?)
}

/// The checked columns of a body's `schema`, if it has one.
pub(super) fn columns(body: &Map<String, Value>) -> Result<Option<Vec<FieldSchema>>, RestError> {
    let Some(fields) = body.get("schema").and_then(|s| s.get("fields")) else {
        return Ok(None);
    };
    let fields: Vec<FieldSchema> = serde_json::from_value(fields.clone())
        .map_err(|e| RestError::invalid(&format!("Invalid schema: {e}")))?;
    schema::checked(&fields)
        .map(Some)
        .map_err(|e| RestError::invalid(&e.to_string()))
}

fn settings(mut body: Map<String, Value>) -> Map<String, Value> {
    for key in NOT_KEPT {
        body.remove(key);
    }
    body
}

/// Columns of partitioning and clustering must exist.
fn check_layout(settings: &Map<String, Value>, columns: &[FieldSchema]) -> Result<(), RestError> {
    let partitioned = ["timePartitioning", "rangePartitioning"]
        .iter()
        .filter_map(|key| settings.get(*key)?.get("field")?.as_str());
    let clustered = settings
        .get("clustering")
        .and_then(|c| c.get("fields"))
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if clustered.len() > 4 {
        return Err(RestError::invalid(
            "The number of clustering columns must not exceed 4.",
        ));
    }
    for name in partitioned.chain(clustered.iter().filter_map(Value::as_str)) {
        if !columns.iter().any(|c| c.name.eq_ignore_ascii_case(name)) {
            return Err(RestError::invalid(&format!(
                "The field specified for partitioning or clustering cannot be found in the schema: {name}."
            )));
        }
    }
    Ok(())
}

pub(super) async fn insert(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Answer {
    let body = object(body)?;
    let table = body
        .get("tableReference")
        .and_then(|r| r.get("tableId"))
        .and_then(Value::as_str)
        .ok_or_else(|| RestError::invalid("Required parameter is missing: tableReference.tableId"))?
        .to_owned();
    let columns = columns(&body)?.unwrap_or_default();
    let mut settings = settings(body);
    settings.retain(|_, value| !value.is_null());
    let of_others = ["view", "materializedView", external::CONFIGURATION];
    if !of_others.iter().any(|key| settings.contains_key(*key)) {
        check_layout(&settings, &columns)?;
    }
    let opened = blocking(&state, move |catalog| {
        let name = TableName::try_new(&project, &dataset, &table)?;
        let columns = match External::of(&settings, catalog.root()) {
            Some(external) if columns.is_empty() => external_columns(&external)?,
            _ => columns,
        };
        catalog.create_table(&name, columns, settings)?;
        catalog.table(&name)
    })
    .await?;
    Ok(Json(resource::table(&state.endpoint, &opened)))
}

/// The columns of an external table: those of its description, else those that its files show. What lies in a bucket is taken
/// down and read by nobody, so it need not show any.
fn external_columns(external: &External<'_>) -> Result<Vec<FieldSchema>, CatalogError> {
    if let Some(declared) = external.declared()? {
        return Ok(declared);
    }
    match external.columns() {
        Err(ExternalError::NotLocal { .. }) => Ok(Vec::new()),
        other => Ok(other?),
    }
}

pub(super) async fn get(
    State(state): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
) -> Answer {
    let summary = partitions::asked_of(&table).is_some();
    let opened = blocking(&state, move |catalog| {
        catalog.table(&table_name(&project, &dataset, &table)?)
    })
    .await?;
    Ok(Json(if summary {
        partitions::table(&state.endpoint, &opened)
    } else {
        resource::table(&state.endpoint, &opened)
    }))
}

/// Keys given are set, keys given as null are removed, others stay. Columns can be added and relaxed.
pub(super) async fn patch(
    State(state): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
    Json(body): Json<Value>,
) -> Answer {
    let body = object(body)?;
    let columns = columns(&body)?;
    let settings = settings(body);
    let opened = blocking(&state, move |catalog| {
        let name = table_name(&project, &dataset, &table)?;
        catalog.update_table(&name, |metadata| {
            if let Some(columns) = columns {
                schema::check_change(&name.to_string(), &metadata.schema, &columns)?;
                metadata.schema = columns;
            }
            merge(&mut metadata.resource, settings);
            Ok(())
        })?;
        catalog.table(&name)
    })
    .await?;
    Ok(Json(resource::table(&state.endpoint, &opened)))
}

/// `TABLE:testIamPermissions`: everybody may do everything here. Policies cannot be read or set.
pub(super) async fn permissions(
    State(state): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
    Json(body): Json<Value>,
) -> Answer {
    let Some(table) = table.strip_suffix(":testIamPermissions").map(str::to_owned) else {
        return Err(RestError::new(
            StatusCode::NOT_IMPLEMENTED,
            "notImplemented",
            "UNIMPLEMENTED",
            format!("the method of {table} is not served by this emulator"),
        ));
    };
    blocking(&state, move |catalog| {
        catalog.table(&table_name(&project, &dataset, &table)?)
    })
    .await?;
    let asked = body["permissions"].as_array();
    // Some clients put the list into a list.
    let asked: Vec<&Value> = asked
        .into_iter()
        .flatten()
        .flat_map(|p| {
            p.as_array()
                .map_or_else(|| vec![p], |all| all.iter().collect())
        })
        .collect();
    Ok(Json(serde_json::json!({"permissions": asked})))
}

pub(super) async fn delete(
    State(state): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
) -> Result<StatusCode, RestError> {
    blocking(&state, move |catalog| {
        catalog.delete_table(&table_name(&project, &dataset, &table)?)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn list(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    Query(page): Query<Page>,
) -> Answer {
    let (p, d) = (project.clone(), dataset.clone());
    let all = blocking(&state, move |catalog| {
        let mut tables = Vec::new();
        for id in catalog.tables(&p, &d)? {
            match catalog.table(&TableName::try_new(&p, &d, &id)?) {
                Ok(table) => tables.push((id, table.kind())),
                // Expired, or a directory that holds no table.
                Err(CatalogError::TableNotFound { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(tables)
    })
    .await?;
    let total = all.len();
    let (tables, next) = page.take(all)?;
    Ok(Json(resource::table_list(
        &project, &dataset, &tables, total, next,
    )))
}
