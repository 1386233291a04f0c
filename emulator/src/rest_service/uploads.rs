//! Uploads of load jobs: a body in two parts, or a session that takes the data piece by piece.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use super::error::RestError;
use super::{Shared, jobs};

/// Uploads under way, each a file that grows.
#[derive(Debug)]
pub(crate) struct Uploads {
    directory: PathBuf,
    open: Mutex<HashMap<String, Upload>>,
    made: Mutex<u64>,
}

#[derive(Debug, Clone)]
struct Upload {
    project: String,
    configuration: Value,
    path: PathBuf,
    received: u64,
}

impl Uploads {
    /// Keeps what arrives below `directory` until its job has run.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            open: Mutex::default(),
            made: Mutex::default(),
        }
    }

    fn begin(&self, project: String, configuration: Value) -> Result<String, RestError> {
        let id = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            *made += 1;
            format!("upload{made}")
        };
        let path = self.directory.join(format!(".{id}.part"));
        File::create(&path).map_err(|e| broken(&e))?;
        let upload = Upload {
            project,
            configuration,
            path,
            received: 0,
        };
        self.lock().insert(id.clone(), upload);
        Ok(id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Upload>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn broken(error: &std::io::Error) -> RestError {
    RestError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internalError",
        "INTERNAL",
        format!("upload failed: {error}"),
    )
}

#[derive(Debug, Deserialize)]
pub(super) struct UploadOptions {
    #[serde(rename = "uploadType", default)]
    upload_type: String,
    #[serde(default)]
    upload_id: String,
}

/// The whole upload at once, or the beginning of one in pieces.
pub(super) async fn begin(
    State(state): Shared,
    Path(project): Path<String>,
    Query(options): Query<UploadOptions>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RestError> {
    match options.upload_type.as_str() {
        "multipart" => {
            let (configuration, data) = parts(&headers, &body)?;
            let job = jobs::run(&state, &project, configuration, Some(data)).await?;
            Ok(job.into_response())
        }
        "resumable" => {
            let configuration = json_of(&body)?;
            let id = state.uploads.begin(project.clone(), configuration)?;
            let location = format!(
                "{}/upload/bigquery/v2/projects/{project}/jobs?uploadType=resumable&upload_id={id}",
                state.endpoint
            );
            let mut response = StatusCode::OK.into_response();
            let value = HeaderValue::from_str(&location)
                .map_err(|_| RestError::invalid("the upload has no valid address"))?;
            response.headers_mut().insert(header::LOCATION, value);
            Ok(response)
        }
        other => Err(RestError::invalid(&format!(
            "Unknown upload type {other:?}"
        ))),
    }
}

/// One piece of an upload: appended when it begins where the last one ended. The last piece runs the job.
pub(super) async fn receive(
    State(state): Shared,
    Query(options): Query<UploadOptions>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RestError> {
    let id = options.upload_id;
    let Some(mut upload) = state.uploads.lock().get(&id).cloned() else {
        let text = format!("Not found: upload {id}");
        return Err(RestError::new(
            StatusCode::NOT_FOUND,
            "notFound",
            "NOT_FOUND",
            text,
        ));
    };
    let range = headers
        .get(header::CONTENT_RANGE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let (start, total) = content_range(range, body.len() as u64)
        .ok_or_else(|| RestError::invalid(&format!("Invalid content range {range:?}")))?;
    // A piece that was sent again after its answer got lost is taken once.
    if let Some(start) = start
        && start == upload.received
    {
        let (path, piece) = (upload.path.clone(), body.clone());
        let appended = tokio::task::spawn_blocking(move || {
            OpenOptions::new()
                .append(true)
                .open(path)
                .and_then(|mut file| file.write_all(&piece))
        });
        appended
            .await
            .map_err(|e| RestError::invalid(&e.to_string()))?
            .map_err(|e| broken(&e))?;
        upload.received += body.len() as u64;
        state.uploads.lock().insert(id.clone(), upload.clone());
    }
    if total != Some(upload.received) {
        let mut response = StatusCode::PERMANENT_REDIRECT.into_response();
        if upload.received > 0 {
            let range = format!("bytes=0-{}", upload.received - 1);
            if let Ok(value) = HeaderValue::from_str(&range) {
                response.headers_mut().insert(header::RANGE, value);
            }
        }
        return Ok(response);
    }
    state.uploads.lock().remove(&id);
    let data = tokio::fs::read(&upload.path)
        .await
        .map_err(|e| broken(&e))?;
    let removed = tokio::fs::remove_file(&upload.path).await;
    removed.map_err(|e| broken(&e))?;
    let job = jobs::run(
        &state,
        &upload.project,
        upload.configuration,
        Some(Bytes::from(data)),
    )
    .await?;
    Ok(job.into_response())
}

/// Where a piece begins, `None` for a mere question, and the whole length, `None` while it is unknown.
fn content_range(range: &str, len: u64) -> Option<(Option<u64>, Option<u64>)> {
    if range.is_empty() {
        return Some((Some(0), Some(len)));
    }
    let (span, total) = range.strip_prefix("bytes ")?.split_once('/')?;
    let total = match total {
        "*" => None,
        number => Some(number.parse().ok()?),
    };
    let start = match span {
        "*" => None,
        span => Some(span.split_once('-')?.0.parse().ok()?),
    };
    Some((start, total))
}

fn json_of(body: &[u8]) -> Result<Value, RestError> {
    serde_json::from_slice(body).map_err(|e| RestError::invalid(&format!("Parse Error: {e}")))
}

/// The job's description and the data of a body in two parts, whatever the second one's type.
fn parts(headers: &HeaderMap, body: &Bytes) -> Result<(Value, Bytes), RestError> {
    let malformed = || RestError::invalid("Malformed multipart body.");
    let boundary = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split("boundary=").nth(1))
        .map(|v| v.split(';').next().unwrap_or(v).trim().trim_matches('"'))
        .filter(|v| !v.is_empty())
        .ok_or_else(malformed)?;
    let delimiter = format!("--{boundary}");
    let first = find(body, delimiter.as_bytes(), 0).ok_or_else(malformed)?;
    let inner = format!("\r\n{delimiter}");
    let second = find(body, inner.as_bytes(), first + delimiter.len()).ok_or_else(malformed)?;
    // The data may hold anything, the boundary by chance excepted: the last one ends it.
    let third = rfind(body, inner.as_bytes()).filter(|at| *at > second);
    let third = third.ok_or_else(malformed)?;
    let description = content(body, first + delimiter.len(), second).ok_or_else(malformed)?;
    let data = content(body, second + inner.len(), third).ok_or_else(malformed)?;
    Ok((json_of(&description)?, data))
}

/// What follows the blank line after a part's headers.
fn content(body: &Bytes, from: usize, to: usize) -> Option<Bytes> {
    let head = find(body, b"\r\n\r\n", from)?;
    (head + 4 <= to).then(|| body.slice(head + 4..to))
}

fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = haystack.get(from..)?;
    rest.windows(needle.len())
        .position(|w| w == needle)
        .map(|at| from + at)
}

fn rfind(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).rposition(|w| w == needle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_multipart_body_is_taken_apart() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("multipart/related; boundary=\"==x==\""),
        );
        let body = Bytes::from_static(
            b"--==x==\r\ncontent-type: application/json\r\n\r\n{\"a\": 1}\r\n--==x==\r\ncontent-type: */*\r\n\r\nraw\r\n\r\ndata\r\n--==x==--",
        );
        let (description, data) = parts(&headers, &body).unwrap();
        assert_eq!(description, json!({"a": 1}));
        assert_eq!(data, "raw\r\n\r\ndata");
        assert!(parts(&headers, &body.slice(..60)).is_err());
        assert!(parts(&HeaderMap::new(), &body).is_err());
    }

    #[test]
    fn ranges_say_where_a_piece_belongs() {
        assert_eq!(content_range("bytes 0-7/8", 8), Some((Some(0), Some(8))));
        assert_eq!(content_range("bytes 8-15/*", 8), Some((Some(8), None)));
        assert_eq!(content_range("bytes */8", 0), Some((None, Some(8))));
        assert_eq!(content_range("", 5), Some((Some(0), Some(5))));
        assert_eq!(content_range("bytes x", 5), None);
    }
}
