//! Kinds of resources that no dataset here has: models, row access policies. Their lists are empty.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::json;

use super::error::RestError;
use super::incoming::Body;
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

/// Who may see which rows is not taken down, as nobody would be kept from the others.
pub(super) async fn new_row_access_policy(
    state: Shared,
    table: Path<(String, String, String)>,
) -> Answer {
    // A table that is missing is the first thing to be told.
    let Json(_) = row_access_policies(state, table).await?;
    Err(RestError::new(
        StatusCode::NOT_IMPLEMENTED,
        "notImplemented",
        "UNIMPLEMENTED",
        "row access policies are not supported by this emulator, where everybody sees all rows"
            .to_owned(),
    ))
}

/// `POLICY`, or `POLICY:getIamPolicy` and its kin.
pub(super) async fn row_access_policy(
    Path((project, dataset, table, policy)): Path<(String, String, String, String)>,
) -> RestError {
    let policy = policy.split(':').next().unwrap_or_default();
    RestError::not_found(&format!(
        "Row access policy {policy} on table {project}:{dataset}.{table}"
    ))
}

/// `rowAccessPolicies:batchDelete`.
pub(super) async fn row_access_policies_of(
    Path((project, dataset, table)): Path<(String, String, String)>,
    Body(body): Body,
) -> RestError {
    let policy = body["policyIds"][0].as_str().unwrap_or_default().to_owned();
    row_access_policy(Path((project, dataset, table, policy))).await
}

pub(super) async fn model(
    Path((project, dataset, id)): Path<(String, String, String)>,
) -> RestError {
    RestError::not_found(&format!("Model {project}:{dataset}.{id}"))
}
