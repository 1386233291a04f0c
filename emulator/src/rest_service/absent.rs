//! Kinds of resources that no dataset here has: models, row access policies. Their lists are empty.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::json;

use super::error::RestError;
use super::tables::table_name;
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

pub(super) async fn row_access_policies(
    State(state): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
) -> Answer {
    blocking(&state, move |catalog| {
        catalog.table(&table_name(&project, &dataset, &table)?)
    })
    .await?;
    Ok(Json(json!({})))
}

pub(super) async fn model(
    Path((project, dataset, id)): Path<(String, String, String)>,
) -> RestError {
    RestError::not_found(&format!("Model {project}:{dataset}.{id}"))
}
