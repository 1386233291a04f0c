//! The part of BigQuery's REST API that is served: projects, datasets, tables, rows, jobs and uploads.
//!
//! Served with and without the prefix `/bigquery/v2`, because clients differ. Everything else is answered with the
//! service's error body. Must not know about the gRPC API.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::catalog::Catalog;
use crate::faults::Faults;
use crate::jobs::Jobs;
use crate::request_log::RequestLog;

mod absent;
mod arrow_page;
mod batch;
mod datasets;
mod discovery;
mod envelope;
mod error;
mod faulty;
mod field_mask;
mod incoming;
mod jobs;
mod members;
mod partitions;
mod policies;
mod precondition;
mod projects;
mod resource;
mod routines;
mod row_access;
mod rows;
mod rows_answer;
mod storage;
mod table_layout;
mod tabledata;
mod tables;
mod uploads;

use error::RestError;
pub(crate) use uploads::Uploads;

/// Entries on a page when the client does not say.
const DEFAULT_PAGE: usize = 50;

/// Largest body of one request: a part of a resumable upload is 100 MiB.
const MAX_BODY_BYTES: usize = 512 << 20;

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct RestState {
    pub jobs: Arc<Jobs>,
    pub uploads: Uploads,
    pub catalog: Arc<Catalog>,
    pub faults: Arc<Faults>,
    pub log: Arc<RequestLog>,
    /// `http://127.0.0.1:PORT`, for self links.
    pub endpoint: String,
}

/// All routes, with the error body as the answer to everything unknown.
pub(crate) fn router(state: Arc<RestState>) -> Router {
    let upload = post(uploads::begin)
        .put(uploads::receive)
        .delete(uploads::cancel);
    let routes = Router::new()
        .nest("/bigquery/v2", methods())
        .merge(methods())
        .route(
            "/upload/bigquery/v2/projects/{project}/jobs",
            upload.clone(),
        )
        .route(
            "/resumable/upload/bigquery/v2/projects/{project}/jobs",
            upload,
        )
        .route("/$discovery/rest", get(discovery::document))
        .route(
            "/discovery/v1/apis/bigquery/v2/rest",
            get(discovery::document),
        )
        .merge(storage::routes())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(envelope::select_fields))
        .layer(middleware::from_fn(envelope::unpack))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            faulty::play,
        ))
        // Not a call of BigQuery's, so it is neither logged nor failed.
        .route("/emulator/requests", get(requests))
        .with_state(state);
    let meant = routes.clone();
    let routes = routes.layer(middleware::from_fn(move |request, next| {
        envelope::override_method(meant.clone(), request, next)
    }));
    let called = routes.clone();
    let batch = post(move |request| batch::batch(called, request));
    routes
        .route("/batch", batch.clone())
        .route("/batch/storage/v1", batch.clone())
        .route("/batch/bigquery/v2", batch)
        .layer(middleware::from_fn(envelope::take))
}

/// What answers where no route leads: objects by their path, and the error body.
pub(crate) fn elsewhere(state: Arc<RestState>) -> MethodRouter {
    any(storage::by_path)
        .layer(middleware::from_fn(envelope::take))
        .with_state(state)
}

/// The methods of the API, below whichever prefix.
fn methods() -> Router<Arc<RestState>> {
    Router::new()
        .route("/projects", get(projects::list))
        .route(
            "/projects/{project}/serviceAccount",
            get(projects::service_account),
        )
        .route(
            "/projects/{project}/datasets",
            get(datasets::list).post(datasets::insert),
        )
        .route(
            "/projects/{project}/datasets/{dataset}",
            get(datasets::get)
                .patch(datasets::patch)
                .put(datasets::update)
                .post(datasets::call)
                .delete(datasets::delete),
        )
        .route(
            "/projects/{project}/datasets/{dataset}/tables",
            get(tables::list).post(tables::insert),
        )
        .route(
            "/projects/{project}/datasets/{dataset}/tables/{table}",
            get(tables::get)
                .patch(tables::patch)
                .put(tables::update)
                .post(policies::call)
                .delete(tables::delete),
        )
        .route(
            "/projects/{project}/datasets/{dataset}/tables/{table}/data",
            get(tabledata::list),
        )
        .route(
            "/projects/{project}/datasets/{dataset}/tables/{table}/insertAll",
            post(tabledata::insert_all),
        )
        .route(
            "/projects/{project}/datasets/{dataset}/tables/{table}/rowAccessPolicies",
            get(row_access::list).post(row_access::insert),
        )
        .route(
            "/projects/{project}/datasets/{dataset}/tables/{table}/rowAccessPolicies:batchDelete",
            post(row_access::batch_delete),
        )
        .route(
            "/projects/{project}/datasets/{dataset}/tables/{table}/rowAccessPolicies/{policy}",
            get(row_access::get)
                .put(row_access::update)
                .delete(row_access::delete)
                .post(row_access::call),
        )
        .route(
            "/projects/{project}/datasets/{dataset}/tables/{table}/rowAccessPolicies/{policy}/{call}",
            post(row_access::call_apart),
        )
        .route(
            "/projects/{project}/datasets/{dataset}/models",
            get(absent::models),
        )
        .route(
            "/projects/{project}/datasets/{dataset}/models/{id}",
            get(absent::model)
                .patch(absent::model)
                .delete(absent::model),
        )
        .route(
            "/projects/{project}/datasets/{dataset}/routines",
            get(routines::list).post(routines::insert),
        )
        .route(
            "/projects/{project}/datasets/{dataset}/routines/{id}",
            get(routines::get)
                .put(routines::update)
                .post(policies::call_of_routine)
                .delete(routines::delete),
        )
        .route(
            "/projects/{project}/jobs",
            get(jobs::list).post(jobs::insert),
        )
        .route("/projects/{project}/jobs/{job}", get(jobs::get))
        .route(
            "/projects/{project}/jobs/{job}/delete",
            axum::routing::delete(jobs::delete),
        )
        .route("/projects/{project}/jobs/{job}/cancel", post(jobs::cancel))
        .route("/projects/{project}/queries", post(jobs::query))
        .route("/projects/{project}/queries/{job}", get(jobs::results))
        .method_not_allowed_fallback(not_implemented)
}

/// What clients asked for so far, oldest first, one JSON object each.
async fn requests(State(state): Shared) -> Json<Value> {
    Json(serde_json::to_value(state.log.snapshot()).unwrap_or_default())
}

/// The answer to a path nobody serves; gRPC clients get a status instead of JSON.
async fn unknown_path(headers: HeaderMap, uri: Uri) -> Response {
    let grpc = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|v| v.as_bytes().starts_with(b"application/grpc"));
    if grpc {
        let status =
            tonic::Status::unimplemented(format!("{} is not served by this emulator", uri.path()));
        return status.into_http::<axum::body::Body>().into_response();
    }
    RestError::new(
        StatusCode::NOT_FOUND,
        "notFound",
        "NOT_FOUND",
        format!("Not found: {}", uri.path()),
    )
    .into_response()
}

async fn not_implemented(uri: Uri) -> RestError {
    RestError::new(
        StatusCode::NOT_IMPLEMENTED,
        "notImplemented",
        "UNIMPLEMENTED",
        format!(
            "this method of {} is not served by this emulator",
            uri.path()
        ),
    )
}

/// The members of a body.
fn object(body: Value) -> Result<Map<String, Value>, RestError> {
    match body {
        Value::Object(members) => Ok(members),
        _ => Err(RestError::invalid("The request body must be an object")),
    }
}

/// Sets what is given and removes what is given as null, in objects within objects, too: a label given as null goes, and
/// the other labels stay. Without a label there are no labels.
fn merge(settings: &mut Map<String, Value>, changes: Map<String, Value>) {
    for (key, value) in changes {
        match (settings.get_mut(&key), value) {
            (_, Value::Null) => {
                settings.remove(&key);
            }
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (_, Value::Object(new)) => {
                let mut made = Map::new();
                merge(&mut made, new);
                settings.insert(key, Value::Object(made));
            }
            (_, value) => {
                settings.insert(key, value);
            }
        }
    }
    settings.retain(|key, value| key != "labels" || *value != json!({}));
}

/// Which of the values it may have a parameter has, by its name in any case, or by its number, as Google's client for Rust sends
/// it; `known` is in the order of the numbers.
fn one_of<'a>(
    name: &str,
    value: Option<&str>,
    known: &[&'a str],
) -> Result<Option<&'a str>, RestError> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let named = known.iter().find(|k| k.eq_ignore_ascii_case(value));
    let numbered = || known.get(value.parse::<usize>().ok()?);
    match named.or_else(numbered) {
        Some(found) => Ok(Some(found)),
        None => Err(RestError::invalid(&format!(
            "Invalid value for {name}: {value}"
        ))),
    }
}

type Shared = State<Arc<RestState>>;
type Answer = Result<Json<Value>, RestError>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    max_results: Option<usize>,
    page_token: Option<String>,
}

impl Page {
    /// The entries of this page and the token of the next one.
    fn take<T>(&self, all: Vec<T>) -> Result<(Vec<T>, Option<String>), RestError> {
        let start = match self.page_token.as_deref() {
            None | Some("") => 0,
            Some(token) => token.parse::<usize>().map_err(|_| {
                let message = format!("Invalid page token {token:?}");
                RestError::new(
                    StatusCode::BAD_REQUEST,
                    "invalid",
                    "INVALID_ARGUMENT",
                    message,
                )
            })?,
        };
        let end = start.saturating_add(self.max_results.unwrap_or(DEFAULT_PAGE).max(1));
        let next = (end < all.len()).then(|| end.to_string());
        Ok((all.into_iter().take(end).skip(start).collect(), next))
    }
}

async fn blocking<T: Send + 'static, E: Into<RestError> + Send + 'static>(
    state: &Arc<RestState>,
    work: impl FnOnce(&Arc<Catalog>) -> Result<T, E> + Send + 'static,
) -> Result<T, RestError> {
    let catalog = Arc::clone(&state.catalog);
    match tokio::task::spawn_blocking(move || work(&catalog)).await {
        Ok(result) => result.map_err(Into::into),
        Err(e) => Err(RestError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internalError",
            "INTERNAL",
            format!("working on the catalog failed: {e}"),
        )),
    }
}
