//! Uploads of load jobs and objects: a body in two parts, or a session that takes the data piece by piece.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use super::error::RestError;
use super::incoming::{Params, json};
use super::members::{Nulls, settle};
use super::{RestState, Shared, jobs};

/// Tells clients of the younger upload protocol whether an upload goes on.
const UPLOAD_STATUS: &str = "x-goog-upload-status";

/// Uploads under way, each a file that grows.
#[derive(Debug)]
pub(crate) struct Uploads {
    directory: PathBuf,
    open: Mutex<HashMap<String, Upload>>,
    made: Mutex<u64>,
}

/// What becomes of the data once they are all here.
#[derive(Debug, Clone)]
pub(super) enum Purpose {
    /// A job reads them.
    Job {
        project: String,
        configuration: Value,
    },
    /// They are an object of a bucket.
    Object { bucket: String, name: String },
}

/// What came of a piece.
pub(super) enum Piece {
    /// There is more to come, which the answer says.
    More(Response),
    /// It was the last one, and these are the data.
    Last(Purpose, Bytes),
}

#[derive(Debug, Clone)]
struct Upload {
    purpose: Purpose,
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

    fn begin(&self, purpose: Purpose) -> Result<String, RestError> {
        let id = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            *made += 1;
            format!("upload{made}")
        };
        let path = self.directory.join(format!(".{id}.part"));
        File::create(&path).map_err(|e| broken(&e))?;
        let upload = Upload {
            purpose,
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
    RestError::internal(format!("upload failed: {error}"))
}

#[derive(Debug, Deserialize)]
pub(super) struct UploadOptions {
    #[serde(rename = "uploadType", default)]
    upload_type: String,
    #[serde(default)]
    upload_id: String,
}

/// The whole upload at once, the beginning of one in pieces, or a piece of one that was begun.
pub(super) async fn begin(
    State(state): Shared,
    Path(project): Path<String>,
    Params(options): Params<UploadOptions>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RestError> {
    if !options.upload_id.is_empty() {
        return job_piece(&state, &options.upload_id, &headers, body).await;
    }
    let kind = protocol(&headers).unwrap_or(options.upload_type.as_str());
    match kind {
        "multipart" => {
            let (configuration, data) = parts(&headers, &body)?;
            let job = jobs::run(&state, &project, configuration, Some(data)).await?;
            Ok(job.into_response())
        }
        "resumable" => {
            let configuration = described(&body)?;
            let path = format!("/upload/bigquery/v2/projects/{project}/jobs");
            let purpose = Purpose::Job {
                project,
                configuration,
            };
            begun(&state, purpose, &path)
        }
        other => Err(RestError::invalid(&format!(
            "Unknown upload type {other:?}"
        ))),
    }
}

/// The upload protocol that headers name.
pub(super) fn protocol(headers: &HeaderMap) -> Option<&str> {
    header_text(headers, "x-goog-upload-protocol")
}

/// Begins an upload in pieces, and says where these are sent.
pub(super) fn begun(
    state: &RestState,
    purpose: Purpose,
    path: &str,
) -> Result<Response, RestError> {
    let id = state.uploads.begin(purpose)?;
    let endpoint = &state.endpoint;
    let location = format!("{endpoint}{path}?uploadType=resumable&upload_id={id}");
    let mut response = StatusCode::OK.into_response();
    for name in ["location", "x-goog-upload-url", "x-goog-upload-control-url"] {
        set_header(&mut response, name, &location);
    }
    set_header(&mut response, "x-guploader-uploadid", &id);
    set_header(&mut response, UPLOAD_STATUS, "active");
    set_header(&mut response, "x-goog-upload-chunk-granularity", "262144");
    Ok(response)
}

/// Says that an upload has come to its end.
pub(super) fn ended(response: &mut Response) {
    set_header(response, UPLOAD_STATUS, "final");
}

/// One piece of an upload: appended when it begins where the last one ended. The last piece runs the job.
pub(super) async fn receive(
    State(state): Shared,
    Params(options): Params<UploadOptions>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, RestError> {
    job_piece(&state, &options.upload_id, &headers, body).await
}

/// Forgets an upload and what has arrived of it.
pub(super) async fn cancel(
    State(state): Shared,
    Params(options): Params<UploadOptions>,
) -> Result<Response, RestError> {
    let upload = state.uploads.lock().remove(&options.upload_id);
    let upload = upload.ok_or_else(|| unknown(&options.upload_id))?;
    let removed = tokio::fs::remove_file(&upload.path).await;
    removed.map_err(|e| broken(&e))?;
    // What the service's upload servers say to a cancelled upload.
    let gone = StatusCode::from_u16(499).unwrap_or(StatusCode::GONE);
    let mut response = gone.into_response();
    set_header(&mut response, UPLOAD_STATUS, "cancelled");
    Ok(response)
}

async fn job_piece(
    state: &Arc<RestState>,
    id: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response, RestError> {
    match piece(state, id, headers, body).await? {
        Piece::More(response) => Ok(response),
        Piece::Last(
            Purpose::Job {
                project,
                configuration,
            },
            data,
        ) => {
            let ran = jobs::run(state, &project, configuration, Some(data));
            let mut response = ran.await.into_response();
            ended(&mut response);
            Ok(response)
        }
        Piece::Last(Purpose::Object { .. }, _) => {
            Err(RestError::invalid("The upload is not one of a job"))
        }
    }
}

/// Takes a piece; what is already here is not taken again.
pub(super) async fn piece(
    state: &Arc<RestState>,
    id: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Piece, RestError> {
    let Some(mut upload) = state.uploads.lock().get(id).cloned() else {
        return Err(unknown(id));
    };
    let command = header_text(headers, "x-goog-upload-command");
    let (start, total) = match command {
        Some(command) => commanded(command, headers, upload.received, body.len() as u64),
        None => {
            let range = header_text(headers, "content-range").unwrap_or_default();
            content_range(range, body.len() as u64)
                .ok_or_else(|| RestError::invalid(&format!("Invalid content range {range:?}")))?
        }
    };
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
        state.uploads.lock().insert(id.to_owned(), upload.clone());
    }
    if total != Some(upload.received) {
        let response = incomplete(headers, command.is_some(), upload.received);
        return Ok(Piece::More(response));
    }
    state.uploads.lock().remove(id);
    let data = tokio::fs::read(&upload.path)
        .await
        .map_err(|e| broken(&e))?;
    let removed = tokio::fs::remove_file(&upload.path).await;
    removed.map_err(|e| broken(&e))?;
    Ok(Piece::Last(upload.purpose, Bytes::from(data)))
}

/// Where a piece of the younger upload protocol begins, and the whole length when it is the last one.
fn commanded(
    command: &str,
    headers: &HeaderMap,
    received: u64,
    len: u64,
) -> (Option<u64>, Option<u64>) {
    let has = |wanted: &str| command.split(',').any(|word| word.trim() == wanted);
    let offset = header_text(headers, "x-goog-upload-offset").and_then(|v| v.parse().ok());
    let start = has("upload").then(|| offset.unwrap_or(received));
    let total = has("finalize").then(|| start.map_or(received, |start| start + len));
    (start, total)
}

/// How far an upload has come, said as its client understands it.
fn incomplete(headers: &HeaderMap, commanded: bool, received: u64) -> Response {
    let mut response = if commanded {
        StatusCode::OK.into_response()
    } else if header_text(headers, "x-guploader-no-308") == Some("yes") {
        let mut response = StatusCode::OK.into_response();
        set_header(&mut response, "x-http-status-code-override", "308");
        response
    } else {
        StatusCode::PERMANENT_REDIRECT.into_response()
    };
    if received > 0 {
        set_header(&mut response, "range", &format!("bytes=0-{}", received - 1));
    }
    let size = received.to_string();
    set_header(&mut response, "x-goog-upload-size-received", &size);
    set_header(&mut response, UPLOAD_STATUS, "active");
    response
}

fn unknown(id: &str) -> RestError {
    RestError::not_found(&format!("upload {id}"))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn set_header(response: &mut Response, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
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
    if span == "*" {
        return Some((None, total));
    }
    let (start, end) = span.split_once('-')?;
    let start: u64 = start.parse().ok()?;
    // A body whose length nobody knew beforehand is all there is.
    let total = match end {
        "*" => total.or_else(|| start.checked_add(len)),
        _ => total,
    };
    Some((Some(start), total))
}

/// The job's description and the data of a body in two parts, whatever the second one's type.
pub(super) fn parts(headers: &HeaderMap, body: &Bytes) -> Result<(Value, Bytes), RestError> {
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
    Ok((described(&description)?, data))
}

/// What goes with the data, without members that are null.
fn described(text: &[u8]) -> Result<Value, RestError> {
    let mut value = json(text)?;
    settle(&mut value, Nulls::Absent);
    Ok(value)
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
    fn commands_say_where_a_piece_belongs_and_which_is_the_last() {
        let mut headers = HeaderMap::new();
        let read = |headers: &HeaderMap, command| commanded(command, headers, 8, 5);
        assert_eq!(read(&headers, "upload"), (Some(8), None));
        assert_eq!(read(&headers, "query"), (None, None));
        assert_eq!(read(&headers, "finalize"), (None, Some(8)));
        headers.insert("x-goog-upload-offset", HeaderValue::from_static("3"));
        assert_eq!(read(&headers, "upload, finalize"), (Some(3), Some(8)));
    }

    #[test]
    fn ranges_say_where_a_piece_belongs() {
        assert_eq!(content_range("bytes 0-7/8", 8), Some((Some(0), Some(8))));
        assert_eq!(content_range("bytes 8-15/*", 8), Some((Some(8), None)));
        assert_eq!(content_range("bytes 8-*/*", 5), Some((Some(8), Some(13))));
        assert_eq!(content_range("bytes 8-*/20", 5), Some((Some(8), Some(20))));
        assert_eq!(content_range("bytes */8", 0), Some((None, Some(8))));
        assert_eq!(content_range("", 5), Some((Some(0), Some(5))));
        assert_eq!(content_range("bytes x", 5), None);
    }
}
