//! Several calls in one request: `POST /batch/bigquery/v2` with a part of `multipart/mixed` for each, answered by a part for each.
//!
//! A part is an HTTP request in text. Calls are made in their order, one after the other, and one that fails leaves the others alone.
//! Must not know about any resource.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tonic::codegen::Service;

use super::MAX_BODY_BYTES;
use super::error::RestError;

/// Calls in one request, at most.
const MOST_CALLS: usize = 1000;

/// Between the parts of an answer, unless an answer holds it.
const BOUNDARY: &str = "batch_millpond";

/// One call of a batch.
#[derive(Debug)]
struct Call {
    /// What the client calls it.
    id: Option<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

/// Makes all calls of a batch; `routes` are where they go.
pub(super) async fn batch(mut routes: Router, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let calls = match to_bytes(body, MAX_BODY_BYTES).await {
        Ok(body) => calls(&parts.headers, &body),
        Err(e) => Err(RestError::invalid(&format!(
            "The request body cannot be read: {e}"
        ))),
    };
    let calls = match calls {
        Ok(calls) => calls,
        Err(e) => return e.into_response(),
    };
    let mut answers = Vec::new();
    for call in calls {
        let id = call.id.clone();
        let mut request = Request::new(Body::from(call.body));
        *request.method_mut() = call.method;
        *request.uri_mut() = call.uri;
        *request.headers_mut() = call.headers;
        let response = match routes.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (head, body) = response.into_parts();
        let body = match to_bytes(body, MAX_BODY_BYTES).await {
            Ok(body) => body,
            Err(e) => return RestError::invalid(&e.to_string()).into_response(),
        };
        answers.push((id, head.status, head.headers, body));
    }
    let mut boundary = BOUNDARY.to_owned();
    while answers
        .iter()
        .any(|(.., body)| holds(body, boundary.as_bytes()))
    {
        boundary.push('_');
    }
    let mut out: Vec<u8> = Vec::new();
    for (id, status, headers, body) in answers {
        let mut head = format!("--{boundary}\r\nContent-Type: application/http\r\n");
        if let Some(id) = id {
            head.push_str(&format!("Content-ID: {}\r\n", answered(&id)));
        }
        let reason = status.canonical_reason().unwrap_or_default();
        head.push_str(&format!("\r\nHTTP/1.1 {} {reason}\r\n", status.as_u16()));
        for (name, value) in &headers {
            if name != header::CONTENT_LENGTH
                && let Ok(value) = value.to_str()
            {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&body);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let kind = format!("multipart/mixed; boundary={boundary}");
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], out).into_response()
}

/// The name of an answer: that of its call behind `response-`, within the brackets if there are any.
fn answered(id: &str) -> String {
    match id.strip_prefix('<') {
        Some(inner) => format!("<response-{inner}"),
        None => format!("response-{id}"),
    }
}

fn holds(body: &[u8], word: &[u8]) -> bool {
    body.windows(word.len()).any(|window| window == word)
}

/// The calls of a body.
fn calls(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Call>, RestError> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let boundary = kind.and_then(boundary).ok_or_else(|| {
        RestError::invalid("A batch must be of the content type multipart/mixed, with a boundary")
    })?;
    let calls = parts(body, &boundary)
        .into_iter()
        .map(read)
        .collect::<Result<Vec<_>, _>>()?;
    match calls.len() {
        0 => Err(RestError::invalid("The batch request is empty")),
        count if count > MOST_CALLS => Err(RestError::invalid(&format!(
            "The batch request holds {count} calls, of {MOST_CALLS} at most"
        ))),
        _ => Ok(calls),
    }
}

fn boundary(kind: &str) -> Option<String> {
    let (media, parameters) = kind.split_once(';')?;
    media
        .trim()
        .eq_ignore_ascii_case("multipart/mixed")
        .then_some(())?;
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty())
            .then(|| value.to_owned())
    })
}

/// What stands between the lines of the boundary, up to its last one.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let line = format!("--{boundary}");
    let last = format!("--{boundary}--");
    let mut parts = Vec::new();
    let mut begin = None;
    let mut at = 0;
    for whole in body.split_inclusive(|b| *b == b'\n') {
        let text = whole.trim_ascii_end();
        if text == line.as_bytes() || text == last.as_bytes() {
            if let Some(begin) = begin.take() {
                parts.extend(body.get(begin..at));
            }
            if text == last.as_bytes() {
                break;
            }
            begin = Some(at + whole.len());
        }
        at += whole.len();
    }
    parts
}

/// The lines before the first empty one, and what is behind that.
fn head_and_rest(text: &[u8]) -> (Vec<String>, &[u8]) {
    let mut lines = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive(|b| *b == b'\n') {
        at += line.len();
        let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    (lines, text.get(at..).unwrap_or_default())
}

fn read(part: &[u8]) -> Result<Call, RestError> {
    let malformed = || RestError::invalid("A part of the batch request is no HTTP request");
    let (about, request) = head_and_rest(part);
    let id = about.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-id")
            .then(|| value.trim().to_owned())
    });
    let start = request.iter().position(|b| !b.is_ascii_whitespace());
    let request = request.get(start.unwrap_or(0)..).unwrap_or_default();
    let (head, body) = head_and_rest(request);
    let (first, fields) = head.split_first().ok_or_else(malformed)?;
    let mut words = first.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(malformed());
    };
    let mut headers = HeaderMap::new();
    for field in fields {
        let (name, value) = field.split_once(':').ok_or_else(malformed)?;
        let name = header::HeaderName::from_bytes(name.trim().as_bytes());
        let value = header::HeaderValue::from_str(value.trim());
        headers.insert(
            name.map_err(|_| malformed())?,
            value.map_err(|_| malformed())?,
        );
    }
    // As long as it says, or up to the boundary, without the end of line that belongs to that.
    let said = headers.remove(header::CONTENT_LENGTH);
    let said = said.and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    let body = match said.and_then(|length| body.get(..length)) {
        Some(body) => body,
        None => body
            .strip_suffix(b"\n")
            .map_or(body, |b| b.strip_suffix(b"\r").unwrap_or(b)),
    };
    // A whole address means its path.
    let uri: Uri = target.parse().map_err(|_| malformed())?;
    let path = uri.path_and_query().ok_or_else(malformed)?;
    Ok(Call {
        id,
        method: Method::from_bytes(method.as_bytes()).map_err(|_| malformed())?,
        uri: Uri::from(path.clone()),
        headers,
        body: Bytes::copy_from_slice(body),
    })
}
