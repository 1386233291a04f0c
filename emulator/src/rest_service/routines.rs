//! Routines: made, listed, described, changed, dropped.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::RestError;
use super::incoming::{Body, Params};
use super::{Answer, Page, RestState, Shared, blocking, object, precondition, resource};
use crate::catalog::{Catalog, CatalogError, Existing};
use crate::name::TableName;

/// Set by the server.
const OUTPUT_ONLY: [&str; 5] = [
    "etag",
    "creationTime",
    "lastModifiedTime",
    "routineReference",
    "policy",
];

/// What routines there are.
const KINDS: [&str; 4] = [
    "SCALAR_FUNCTION",
    "AGGREGATE_FUNCTION",
    "PROCEDURE",
    "TABLE_VALUED_FUNCTION",
];

fn described(name: &TableName, routine: Map<String, Value>) -> Value {
    let mut value = Map::new();
    let text = Value::Object(routine.clone()).to_string();
    value.insert("etag".to_owned(), json!(resource::etag(&text)));
    value.insert(
        "routineReference".to_owned(),
        json!({"projectId": name.project(), "datasetId": name.dataset(), "routineId": name.table()}),
    );
    value.extend(routine);
    Value::Object(value)
}

fn found(catalog: &Catalog, name: &TableName) -> Result<Value, CatalogError> {
    Ok(described(name, catalog.routine(name)?))
}

fn settings(mut body: Map<String, Value>) -> Map<String, Value> {
    for key in OUTPUT_ONLY {
        body.remove(key);
    }
    body.retain(|_, value| !value.is_null());
    body
}

pub(super) async fn insert(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    Body(body): Body,
) -> Answer {
    let id = body["routineReference"]["routineId"].as_str();
    let id = id.ok_or_else(|| {
        RestError::invalid("Required parameter is missing: routineReference.routineId")
    })?;
    let path = (project, dataset, id.to_owned());
    put(&state, path, HeaderMap::new(), body, Existing::Keep).await
}

pub(super) async fn update(
    State(state): Shared,
    Path(path): Path<(String, String, String)>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    put(&state, path, headers, body, Existing::Update).await
}

/// Refuses what no routine can be.
fn check(settings: &Map<String, Value>) -> Result<(), RestError> {
    let kind = settings.get("routineType").and_then(Value::as_str);
    match kind {
        None | Some("" | "ROUTINE_TYPE_UNSPECIFIED") => Err(RestError::invalid(
            "Required parameter is missing: routineType",
        )),
        Some(kind) if !KINDS.contains(&kind) => Err(RestError::invalid(&format!(
            "Invalid value for routineType: {kind}"
        ))),
        Some(_) => Ok(()),
    }
}

async fn put(
    state: &Arc<RestState>,
    (project, dataset, id): (String, String, String),
    headers: HeaderMap,
    body: Value,
    existing: Existing,
) -> Answer {
    let settings = settings(object(body)?);
    check(&settings)?;
    let made = blocking(state, move |catalog| {
        let name = TableName::try_new(&project, &dataset, &id).map_err(CatalogError::from)?;
        if existing == Existing::Update {
            precondition::check(&headers, &found(catalog, &name)?)?;
        }
        let made = catalog.put_routine(&name, settings, existing)?;
        Ok::<_, RestError>(described(&name, made))
    })
    .await?;
    Ok(Json(made))
}

/// What of routines is told, and of which.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    read_mask: Option<String>,
    filter: Option<String>,
}

/// What lists tell of a routine unless a client asks for something else.
const LISTED: [&str; 7] = [
    "etag",
    "routineReference",
    "routineType",
    "creationTime",
    "lastModifiedTime",
    "language",
    "remoteFunctionOptions",
];

impl Asked {
    /// Leaves the members that a client asks for, `unasked` where it asks for none; its mask may name members of members.
    fn mask(&self, routine: &mut Value, unasked: Option<&[&str]>) {
        let wanted = self.read_mask.as_deref().filter(|mask| !mask.is_empty());
        let wanted: Option<Vec<&str>> = match wanted {
            Some("*") => None,
            Some(mask) => Some(
                mask.split(',')
                    .filter_map(|path| path.trim().split('.').next())
                    .collect(),
            ),
            None => unasked.map(<[&str]>::to_vec),
        };
        if let (Value::Object(members), Some(wanted)) = (routine, wanted) {
            members.retain(|key, _| wanted.contains(&key.as_str()));
        }
    }

    /// The type that listed routines have, `routineType:TYPE`.
    fn kind(&self) -> Result<Option<&str>, RestError> {
        let Some(filter) = self.filter.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let kind = filter.split_once(':').or_else(|| filter.split_once('='));
        match kind {
            Some((key, kind)) if key.trim() == "routineType" => Ok(Some(kind.trim())),
            _ => Err(RestError::invalid(&format!("Invalid filter \"{filter}\""))),
        }
    }
}

pub(super) async fn get(
    State(state): Shared,
    Path((project, dataset, id)): Path<(String, String, String)>,
    Params(asked): Params<Asked>,
    headers: HeaderMap,
) -> Answer {
    let mut found = blocking(&state, move |catalog| {
        found(catalog, &TableName::try_new(&project, &dataset, &id)?)
    })
    .await?;
    precondition::check_news(&headers, &found)?;
    asked.mask(&mut found, None);
    Ok(Json(found))
}

pub(super) async fn delete(
    State(state): Shared,
    Path((project, dataset, id)): Path<(String, String, String)>,
) -> Result<StatusCode, RestError> {
    blocking(&state, move |catalog| {
        catalog.delete_routine(&TableName::try_new(&project, &dataset, &id)?)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn list(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    Params(page): Params<Page>,
    Params(asked): Params<Asked>,
) -> Answer {
    let mut all = blocking(&state, move |catalog| {
        let routines = catalog.routines(&project, &dataset)?;
        let described = routines.into_iter().map(|(id, routine)| {
            Ok(described(
                &TableName::try_new(&project, &dataset, &id)?,
                routine,
            ))
        });
        described.collect::<Result<Vec<_>, CatalogError>>()
    })
    .await?;
    if let Some(kind) = asked.kind()? {
        all.retain(|routine| routine["routineType"].as_str() == Some(kind));
    }
    let (mut routines, next) = page.take(all)?;
    for routine in &mut routines {
        asked.mask(routine, Some(&LISTED));
    }
    let mut body = Map::new();
    if !routines.is_empty() {
        body.insert("routines".to_owned(), Value::Array(routines));
    }
    if let Some(next) = next {
        body.insert("nextPageToken".to_owned(), json!(next));
    }
    Ok(Json(Value::Object(body)))
}
