//! The part of BigQuery's REST API that describes tables.
//!
//! Served with and without the prefix `/bigquery/v2`, because clients differ. Everything else is answered with the
//! service's error body. Must not know about the gRPC API.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde_json::Value;

use crate::catalog::{Catalog, CatalogError, Table};
use crate::faults::Faults;
use crate::name::TableName;
use crate::request_log::RequestLog;

mod error;
mod faulty;
mod resource;

use error::RestError;

/// Entries on a page when the client does not say.
const DEFAULT_PAGE: usize = 50;

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct RestState {
    pub catalog: Arc<Catalog>,
    pub faults: Arc<Faults>,
    pub log: Arc<RequestLog>,
    /// `http://127.0.0.1:PORT`, for self links.
    pub endpoint: String,
}

/// All routes, with the error body as the answer to everything unknown.
pub(crate) fn router(state: Arc<RestState>) -> Router {
    let api = Router::new()
        .route("/projects/{project}/datasets", get(list_datasets))
        .route("/projects/{project}/datasets/{dataset}", get(get_dataset))
        .route(
            "/projects/{project}/datasets/{dataset}/tables",
            get(list_tables),
        )
        .route(
            "/projects/{project}/datasets/{dataset}/tables/{table}",
            get(get_table),
        )
        .method_not_allowed_fallback(not_implemented);
    Router::new()
        .nest("/bigquery/v2", api.clone())
        .merge(api)
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            faulty::play,
        ))
        // Not a call of BigQuery's, so it is neither logged nor failed.
        .route("/emulator/requests", get(requests))
        .with_state(state)
}

/// What clients asked for so far, oldest first, one JSON object each.
async fn requests(State(state): Shared) -> Json<Value> {
    Json(serde_json::to_value(state.log.snapshot()).unwrap_or_default())
}

/// The answer to a path nobody serves; gRPC clients get a status instead of JSON.
pub(crate) async fn unknown_path(headers: HeaderMap, uri: Uri) -> Response {
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

async fn get_table(
    State(state): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
) -> Answer {
    let opened = blocking(&state, move |catalog| {
        let name = TableName::try_new(&project, &dataset, &table)?;
        catalog.table(&name)
    })
    .await?;
    Ok(Json(resource::table(&state.endpoint, &opened)))
}

async fn get_dataset(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
) -> Answer {
    let (p, d) = (project.clone(), dataset.clone());
    blocking(&state, move |catalog| catalog.require_dataset(&p, &d)).await?;
    Ok(Json(resource::dataset(&state.endpoint, &project, &dataset)))
}

async fn list_datasets(
    State(state): Shared,
    Path(project): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    let p = project.clone();
    let all = blocking(&state, move |catalog| catalog.datasets(&p)).await?;
    let (ids, next) = page.take(all)?;
    Ok(Json(resource::dataset_list(&project, &ids, next)))
}

async fn list_tables(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    Query(page): Query<Page>,
) -> Answer {
    let (p, d) = (project.clone(), dataset.clone());
    let all = blocking(&state, move |catalog| catalog.tables(&p, &d)).await?;
    let total = all.len();
    let (ids, next) = page.take(all)?;
    Ok(Json(resource::table_list(
        &project, &dataset, &ids, total, next,
    )))
}

async fn blocking<T: Send + 'static>(
    state: &Arc<RestState>,
    work: impl FnOnce(&Catalog) -> Result<T, CatalogError> + Send + 'static,
) -> Result<T, RestError> {
    let catalog = Arc::clone(&state.catalog);
    match tokio::task::spawn_blocking(move || work(&catalog)).await {
        Ok(result) => result.map_err(RestError::from),
        Err(e) => Err(RestError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internalError",
            "INTERNAL",
            format!("reading the catalog failed: {e}"),
        )),
    }
}
