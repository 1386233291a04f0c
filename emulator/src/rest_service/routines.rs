//! Routines: made, listed, described, changed, dropped.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::error::RestError;
use super::{Answer, Page, Shared, blocking, object, resource};
use crate::catalog::Existing;
use crate::name::TableName;

/// Set by the server.
const OUTPUT_ONLY: [&str; 4] = [
    "etag",
    "creationTime",
    "lastModifiedTime",
    "routineReference",
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
    Json(body): Json<Value>,
) -> Answer {
    let id = body["routineReference"]["routineId"].as_str();
    let id = id.ok_or_else(|| {
        RestError::invalid("Required parameter is missing: routineReference.routineId")
    })?;
    put(
        &state,
        (project, dataset, id.to_owned()),
        body.clone(),
        Existing::Keep,
    )
    .await
}

pub(super) async fn update(
    State(state): Shared,
    Path(path): Path<(String, String, String)>,
    Json(body): Json<Value>,
) -> Answer {
    put(&state, path, body, Existing::Update).await
}

async fn put(
    state: &std::sync::Arc<super::RestState>,
    (project, dataset, id): (String, String, String),
    body: Value,
    existing: Existing,
) -> Answer {
    let settings = settings(object(body)?);
    let made = blocking(state, move |catalog| {
        let name = TableName::try_new(&project, &dataset, &id)?;
        let made = catalog.put_routine(&name, settings, existing)?;
        Ok::<_, crate::catalog::CatalogError>(described(&name, made))
    })
    .await?;
    Ok(Json(made))
}

pub(super) async fn get(
    State(state): Shared,
    Path((project, dataset, id)): Path<(String, String, String)>,
) -> Answer {
    let found = blocking(&state, move |catalog| {
        let name = TableName::try_new(&project, &dataset, &id)?;
        let found = catalog.routine(&name)?;
        Ok::<_, crate::catalog::CatalogError>(described(&name, found))
    })
    .await?;
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
    Query(page): Query<Page>,
) -> Answer {
    let all = blocking(&state, move |catalog| {
        let routines = catalog.routines(&project, &dataset)?;
        let described = routines.into_iter().map(|(id, routine)| {
            Ok(described(
                &TableName::try_new(&project, &dataset, &id)?,
                routine,
            ))
        });
        described.collect::<Result<Vec<_>, crate::catalog::CatalogError>>()
    })
    .await?;
    let (routines, next) = page.take(all)?;
    let mut body = Map::new();
    if !routines.is_empty() {
        body.insert("routines".to_owned(), Value::Array(routines));
    }
    if let Some(next) = next {
        body.insert("nextPageToken".to_owned(), json!(next));
    }
    Ok(Json(Value::Object(body)))
}
