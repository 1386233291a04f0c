//! The bytes of objects, whole or a range of them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::checksums::Checksums;
use super::{failed, no_object, on_buckets};
use crate::buckets::Object;
use crate::rest_service::error::RestError;
use crate::rest_service::{RestState, unknown_path};

/// An object, which must be there.
pub(super) async fn found(
    state: &Arc<RestState>,
    bucket: String,
    name: String,
) -> Result<Object, RestError> {
    on_buckets(state, move |buckets| {
        let object = buckets.object(&bucket, &name);
        let object = object.map_err(|e| failed(&e, &name))?;
        object.ok_or_else(|| no_object(&bucket, &name))
    })
    .await
}

/// All bytes of an object.
pub(super) async fn bytes(state: &Arc<RestState>, object: Object) -> Result<Bytes, RestError> {
    on_buckets(state, move |_| {
        let bytes = std::fs::read(&object.path);
        bytes.map(Bytes::from).map_err(|e| failed(&e, &object.name))
    })
    .await
}

/// The answer with the bytes of an object, or those that a range asks for.
pub(super) async fn answer(
    state: &Arc<RestState>,
    object: Object,
    headers: &HeaderMap,
) -> Result<Response, RestError> {
    let generation = super::objects::generation(&object);
    let bytes = bytes(state, object).await?;
    let sums = Checksums::of(&bytes);
    let len = bytes.len();
    let range = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let mut response = match range.map(|range| span(range, len)) {
        None => bytes.into_response(),
        Some(Some((from, to))) => {
            let mut response = (StatusCode::PARTIAL_CONTENT, bytes.slice(from..to)).into_response();
            let text = format!("bytes {from}-{}/{len}", to - 1);
            set(&mut response, header::CONTENT_RANGE.as_str(), &text);
            response
        }
        Some(None) => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            let text = format!("bytes */{len}");
            set(&mut response, header::CONTENT_RANGE.as_str(), &text);
            return Ok(response);
        }
    };
    let hashes = format!("crc32c={},md5={}", sums.crc32c, sums.md5);
    set(&mut response, "x-goog-hash", &hashes);
    set(&mut response, "x-goog-generation", &generation);
    set(&mut response, "x-goog-metageneration", "1");
    set(
        &mut response,
        "x-goog-stored-content-length",
        &len.to_string(),
    );
    set(&mut response, "x-goog-stored-content-encoding", "identity");
    set(&mut response, "accept-ranges", "bytes");
    Ok(response)
}

fn set(response: &mut Response, name: &str, value: &str) {
    let name = axum::http::HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        response.headers_mut().insert(name, value);
    }
}

/// The bytes that a header asks for; `None` when there are none of them.
fn span(range: &str, len: usize) -> Option<(usize, usize)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = match (from.parse::<usize>().ok(), to.parse::<usize>().ok()) {
        (Some(from), Some(to)) => (from, to.saturating_add(1).min(len)),
        (Some(from), None) => (from, len),
        (None, Some(last)) => (len.saturating_sub(last), len),
        (None, None) => return None,
    };
    (from < to).then_some((from, to))
}

/// `GET /bucket/object`, as clients for Go read objects; what is none is an unknown path.
pub(in crate::rest_service) async fn by_path(
    State(state): State<Arc<RestState>>,
    request: Request,
) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let named = path.split_once('/').map(|(bucket, name)| {
        let name = super::objects::decoded(name);
        (bucket.to_owned(), name)
    });
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if let (Some((bucket, name)), true) = (named, reads)
        && let Ok(object) = found(&state, bucket, name).await
    {
        let answer = answer(&state, object, request.headers()).await;
        return answer.unwrap_or_else(IntoResponse::into_response);
    }
    unknown_path(request.headers().clone(), request.uri().clone()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        assert_eq!(span("bytes=0-4", 10), Some((0, 5)));
        assert_eq!(span("bytes=4-99", 10), Some((4, 10)));
        assert_eq!(span("bytes=4-", 10), Some((4, 10)));
        assert_eq!(span("bytes=-3", 10), Some((7, 10)));
        assert_eq!(span("bytes=10-", 10), None);
        assert_eq!(span("bytes=-", 10), None);
        assert_eq!(span("lines=1-2", 10), None);
    }
}
