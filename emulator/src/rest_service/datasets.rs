//! Datasets: made, listed, described, changed, dropped.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::RestError;
use super::{Answer, Page, Shared, blocking, object, resource};
use crate::catalog::{CatalogError, Contents};

/// Set by the server, so a client's word for it is not kept.
const OUTPUT_ONLY: [&str; 8] = [
    "kind",
    "etag",
    "id",
    "selfLink",
    "creationTime",
    "lastModifiedTime",
    "datasetReference",
    "type",
];

fn settings(mut body: Map<String, Value>) -> Map<String, Value> {
    for key in OUTPUT_ONLY {
        body.remove(key);
    }
    body.retain(|_, value| !value.is_null());
    body
}

pub(super) async fn insert(
    State(state): Shared,
    Path(project): Path<String>,
    Json(body): Json<Value>,
) -> Answer {
    let body = object(body)?;
    let dataset = body
        .get("datasetReference")
        .and_then(|r| r.get("datasetId"))
        .and_then(Value::as_str)
        .ok_or_else(|| {
            RestError::invalid("Required parameter is missing: datasetReference.datasetId")
        })?
        .to_owned();
    let (p, d) = (project.clone(), dataset.clone());
    let made = blocking(&state, move |catalog| {
        catalog.create_dataset(&p, &d, settings(body))
    })
    .await?;
    Ok(Json(resource::dataset(
        &state.endpoint,
        &project,
        &dataset,
        &made,
    )))
}

pub(super) async fn get(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
) -> Answer {
    let (p, d) = (project.clone(), dataset.clone());
    let found = blocking(&state, move |catalog| catalog.dataset(&p, &d)).await?;
    Ok(Json(resource::dataset(
        &state.endpoint,
        &project,
        &dataset,
        &found,
    )))
}

/// Keys given are set, keys given as null are removed, others stay.
pub(super) async fn patch(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Answer {
    let mut body = object(body)?;
    for key in OUTPUT_ONLY {
        body.remove(key);
    }
    let (p, d) = (project.clone(), dataset.clone());
    let changed = blocking(&state, move |catalog| {
        catalog.update_dataset(&p, &d, |settings| super::merge(settings, body))
    })
    .await?;
    Ok(Json(resource::dataset(
        &state.endpoint,
        &project,
        &dataset,
        &changed,
    )))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeleteOptions {
    #[serde(default)]
    delete_contents: Option<String>,
}

pub(super) async fn delete(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    Query(options): Query<DeleteOptions>,
) -> Result<StatusCode, RestError> {
    let contents = match options.delete_contents.as_deref() {
        Some("true" | "True") => Contents::Delete,
        _ => Contents::Refuse,
    };
    blocking(&state, move |catalog| {
        catalog.delete_dataset(&project, &dataset, contents)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn list(
    State(state): Shared,
    Path(project): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    let p = project.clone();
    let all = blocking(&state, move |catalog| {
        let ids = catalog.datasets(&p)?;
        // Names that begin with an underscore are hidden, such as those of query results.
        ids.into_iter()
            .filter(|id| !id.starts_with('_'))
            .map(|id| Ok((catalog.dataset(&p, &id)?, id)))
            .collect::<Result<Vec<_>, CatalogError>>()
    })
    .await?;
    let (datasets, next) = page.take(all)?;
    Ok(Json(resource::dataset_list(&project, &datasets, next)))
}
