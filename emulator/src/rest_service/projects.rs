//! Projects: listed, and the account that would encrypt their tables.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::incoming::Params;
use super::{Answer, Page, Shared, blocking, resource};

/// Every directory of the data is a project that everybody is a member of.
pub(super) async fn list(State(state): Shared, Params(page): Params<Page>) -> Answer {
    let all = blocking(&state, |catalog| catalog.projects()).await?;
    let total = all.len();
    let (ids, next) = page.take(all)?;
    let entries: Vec<Value> = ids
        .iter()
        .map(|id| {
            json!({
                "kind": "bigquery#project",
                "id": id,
                "numericId": resource::number(id).to_string(),
                "projectReference": {"projectId": id},
                "friendlyName": id,
            })
        })
        .collect();
    let mut body = json!({
        "kind": "bigquery#projectList",
        "etag": resource::etag(&ids.join("/")),
        "totalItems": total,
    });
    if !entries.is_empty() {
        body["projects"] = Value::Array(entries);
    }
    if let Some(next) = next {
        body["nextPageToken"] = json!(next);
    }
    Ok(Json(body))
}

pub(super) async fn service_account(Path(project): Path<String>) -> Json<Value> {
    Json(json!({
        "kind": "bigquery#getServiceAccountResponse",
        "email": format!("bq-{project}@bigquery-encryption.iam.gserviceaccount.com"),
    }))
}
