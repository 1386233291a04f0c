//! A kind of resources that no dataset here has: models. Their list is empty.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::json;

use super::error::RestError;
use super::{Answer, Shared, blocking};

pub(super) async fn models(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
) -> Answer {
    blocking(&state, move |catalog| {
        catalog.require_dataset(&project, &dataset)
    })
    .await?;
    Ok(Json(json!({})))
}

pub(super) async fn model(
    Path((project, dataset, id)): Path<(String, String, String)>,
) -> RestError {
    RestError::not_found(&format!("Model {project}:{dataset}.{id}"))
}
