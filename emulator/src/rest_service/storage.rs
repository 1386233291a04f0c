//! As much of Cloud Storage's JSON API as clients need that load from buckets and extract into them: buckets and their objects.
//!
//! Kept are the bytes of objects and nothing else about them. Must not know about tables or jobs.

use std::io;
use std::sync::Arc;

use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::RestError;
use super::incoming::{Body, Params};
use super::{Answer, Page, RestState, Shared, blocking};
use crate::buckets::Buckets;

mod checksums;
mod downloads;
mod objects;
mod uploads;

pub(super) use downloads::by_path;

/// Entries on a page when the client does not say.
const DEFAULT_PAGE: usize = 1000;

/// All routes, below each of the prefixes that clients use.
pub(super) fn routes() -> Router<Arc<RestState>> {
    let methods = Router::new()
        .route("/b", get(list).post(insert))
        .route(
            "/b/{bucket}",
            get(describe).patch(describe).put(describe).delete(delete),
        )
        .route("/b/{bucket}/iam", get(policy).put(set_policy))
        .route("/b/{bucket}/iam/testPermissions", get(test_permissions))
        .route("/b/{bucket}/o", get(objects::list))
        .route(
            "/b/{bucket}/o/{*object}",
            get(objects::get)
                .patch(objects::describe)
                .put(objects::describe)
                .post(objects::call)
                .delete(objects::delete),
        );
    let upload = post(uploads::begin)
        .put(uploads::receive)
        .delete(super::uploads::cancel);
    Router::new()
        .nest("/storage/v1", methods.clone())
        .route(
            "/download/storage/v1/b/{bucket}/o/{*object}",
            get(objects::download),
        )
        .merge(methods)
        .route("/upload/storage/v1/b/{bucket}/o", upload.clone())
        .route("/resumable/upload/storage/v1/b/{bucket}/o", upload)
}

/// Works on the buckets off the async threads.
async fn on_buckets<T: Send + 'static>(
    state: &Arc<RestState>,
    work: impl FnOnce(&Buckets) -> Result<T, RestError> + Send + 'static,
) -> Result<T, RestError> {
    blocking(state, move |catalog| work(catalog.places().buckets())).await
}

fn no_bucket(bucket: &str) -> RestError {
    RestError::not_found(&format!("The specified bucket {bucket} does not exist."))
}

fn no_object(bucket: &str, name: &str) -> RestError {
    RestError::not_found(&format!("No such object: {bucket}/{name}"))
}

/// What the file system said, as the service would.
fn failed(error: &io::Error, what: &str) -> RestError {
    match error.kind() {
        io::ErrorKind::InvalidInput => {
            RestError::invalid(&format!("{what} has a name that this emulator cannot keep"))
        }
        io::ErrorKind::DirectoryNotEmpty => {
            let text = format!("The bucket you tried to delete is not empty: {what}");
            RestError::new(StatusCode::CONFLICT, "conflict", "ABORTED", text)
        }
        io::ErrorKind::NotFound => RestError::not_found(what),
        _ => RestError::internal(format!("{what}: {error}")),
    }
}

fn time(at: std::time::SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A bucket in the REST form.
fn bucket_json(endpoint: &str, bucket: &str) -> Value {
    json!({
        "kind": "storage#bucket",
        "id": bucket,
        "name": bucket,
        "selfLink": format!("{endpoint}/storage/v1/b/{bucket}"),
        "projectNumber": "0",
        "metageneration": "1",
        "etag": "CAE=",
        "location": "US",
        "locationType": "multi-region",
        "storageClass": "STANDARD",
        "timeCreated": "1970-01-01T00:00:00.000Z",
        "updated": "1970-01-01T00:00:00.000Z",
    })
}

async fn insert(axum::extract::State(state): Shared, Body(body): Body) -> Answer {
    let name = body["name"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(RestError::invalid("Required parameter is missing: name"));
    }
    let bucket = name.clone();
    let made = on_buckets(&state, move |buckets| {
        buckets.make(&bucket).map_err(|e| failed(&e, &bucket))
    })
    .await?;
    if !made {
        let text =
            "Your previous request to create the named bucket succeeded and you already own it.";
        return Err(RestError::new(
            StatusCode::CONFLICT,
            "conflict",
            "ALREADY_EXISTS",
            text.to_owned(),
        ));
    }
    Ok(Json(bucket_json(&state.endpoint, &name)))
}

async fn describe(axum::extract::State(state): Shared, Path(bucket): Path<String>) -> Answer {
    let name = bucket.clone();
    let found = on_buckets(&state, move |buckets| Ok(buckets.has(&name))).await?;
    if !found {
        return Err(no_bucket(&bucket));
    }
    Ok(Json(bucket_json(&state.endpoint, &bucket)))
}

async fn delete(
    axum::extract::State(state): Shared,
    Path(bucket): Path<String>,
) -> Result<StatusCode, RestError> {
    on_buckets(&state, move |buckets| {
        if !buckets.has(&bucket) {
            return Err(no_bucket(&bucket));
        }
        let removed = buckets.remove_bucket(&bucket);
        removed.map_err(|e| failed(&e, &bucket))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BucketList {
    prefix: Option<String>,
    max_results: Option<usize>,
    page_token: Option<String>,
}

async fn list(axum::extract::State(state): Shared, Params(options): Params<BucketList>) -> Answer {
    let mut names = on_buckets(&state, |buckets| {
        buckets.all().map_err(|e| failed(&e, "buckets"))
    })
    .await?;
    let prefix = options.prefix.unwrap_or_default();
    names.retain(|name| name.starts_with(&prefix));
    let page = Page {
        max_results: Some(options.max_results.unwrap_or(DEFAULT_PAGE)),
        page_token: options.page_token,
    };
    let (names, next) = page.take(names)?;
    let items = names.iter().map(|name| bucket_json(&state.endpoint, name));
    let mut body = json!({"kind": "storage#buckets", "items": items.collect::<Vec<_>>()});
    if let Some(next) = next {
        body["nextPageToken"] = json!(next);
    }
    Ok(Json(body))
}

/// Everybody may do everything.
async fn policy(Path(bucket): Path<String>) -> Json<Value> {
    let resource = format!("projects/_/buckets/{bucket}");
    Json(
        json!({"kind": "storage#policy", "resourceId": resource, "version": 1, "etag": "CAE=", "bindings": []}),
    )
}

async fn set_policy(Body(body): Body) -> Json<Value> {
    Json(body)
}

async fn test_permissions(request: Request) -> Response {
    let asked = request.uri().query().unwrap_or_default().split('&');
    let asked: Vec<&str> = asked
        .filter_map(|pair| pair.strip_prefix("permissions="))
        .collect();
    let body = json!({"kind": "storage#testIamPermissionsResponse", "permissions": asked});
    Json(body).into_response()
}
