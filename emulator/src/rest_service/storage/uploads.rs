//! Objects that arrive: as a whole, with a description before them, or piece by piece.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use super::objects::{self, put};
use super::{no_bucket, on_buckets};
use crate::rest_service::error::RestError;
use crate::rest_service::incoming::{Params, json};
use crate::rest_service::uploads::{self, Piece, Purpose};
use crate::rest_service::{RestState, Shared};

#[derive(Debug, Deserialize)]
pub(super) struct UploadOptions {
    #[serde(rename = "uploadType", default)]
    upload_type: String,
    #[serde(default)]
    upload_id: String,
    name: Option<String>,
    #[serde(rename = "ifGenerationMatch")]
    if_generation_match: Option<String>,
}

/// The name of an object, by the query or by its description.
fn name_of(options: &UploadOptions, description: &Value) -> Result<String, RestError> {
    let name = options.name.as_deref().or(description["name"].as_str());
    let name = name.filter(|name| !name.is_empty());
    name.map(str::to_owned)
        .ok_or_else(|| RestError::invalid("Required parameter is missing: name"))
}

/// Refuses to write over an object that must not be there.
async fn check(
    state: &Arc<RestState>,
    options: &UploadOptions,
    bucket: &str,
    name: &str,
) -> Result<(), RestError> {
    if options.if_generation_match.as_deref() != Some("0") {
        return Ok(());
    }
    let found = super::downloads::found(state, bucket.to_owned(), name.to_owned()).await;
    if found.is_err() {
        return Ok(());
    }
    Err(RestError::new(
        axum::http::StatusCode::PRECONDITION_FAILED,
        "conditionNotMet",
        "FAILED_PRECONDITION",
        "At least one of the pre-conditions you specified did not hold.".to_owned(),
    ))
}

/// A whole object, or the beginning of one in pieces.
pub(super) async fn begin(
    State(state): Shared,
    Path(bucket): Path<String>,
    Params(options): Params<UploadOptions>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RestError> {
    if !options.upload_id.is_empty() {
        return piece(&state, &options.upload_id, &headers, body).await;
    }
    let known = bucket.clone();
    if !on_buckets(&state, move |buckets| Ok(buckets.has(&known))).await? {
        return Err(no_bucket(&bucket));
    }
    match uploads::protocol(&headers).unwrap_or(options.upload_type.as_str()) {
        "multipart" => {
            let (description, data) = uploads::parts(&headers, &body)?;
            let name = name_of(&options, &description)?;
            check(&state, &options, &bucket, &name).await?;
            store(&state, bucket, name, data).await
        }
        "media" | "" => {
            let name = name_of(&options, &Value::Null)?;
            check(&state, &options, &bucket, &name).await?;
            store(&state, bucket, name, body).await
        }
        "resumable" => {
            let description = if body.is_empty() {
                Value::Null
            } else {
                json(&body)?
            };
            let name = name_of(&options, &description)?;
            check(&state, &options, &bucket, &name).await?;
            let path = format!("/upload/storage/v1/b/{bucket}/o");
            let purpose = Purpose::Object { bucket, name };
            uploads::begun(&state, purpose, &path)
        }
        other => Err(RestError::invalid(&format!(
            "Unknown upload type {other:?}"
        ))),
    }
}

pub(super) async fn receive(
    State(state): Shared,
    Params(options): Params<UploadOptions>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RestError> {
    piece(&state, &options.upload_id, &headers, body).await
}

async fn piece(
    state: &Arc<RestState>,
    id: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response, RestError> {
    match uploads::piece(state, id, headers, body).await? {
        Piece::More(response) => Ok(response),
        Piece::Last(Purpose::Object { bucket, name }, data) => {
            let mut response = store(state, bucket, name, data).await?;
            uploads::ended(&mut response);
            Ok(response)
        }
        Piece::Last(Purpose::Job { .. }, _) => {
            Err(RestError::invalid("The upload is not one of an object"))
        }
    }
}

async fn store(
    state: &Arc<RestState>,
    bucket: String,
    name: String,
    data: Bytes,
) -> Result<Response, RestError> {
    let place = (bucket.clone(), name.clone());
    on_buckets(state, move |buckets| put(buckets, &bucket, &name, &data)).await?;
    let described = objects::whole(state, &place.0, &place.1).await?;
    Ok(described.into_response())
}
