//! What may be wrapped around any call: another method than the one sent, a compressed body, a part of the answer only.
//!
//! Clients for Java and .NET compress what they send, and send PATCH as POST. Must not know about any resource.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tonic::codegen::Service;

use super::MAX_BODY_BYTES;
use super::error::RestError;
use super::field_mask::FieldMask;
use crate::connection::ConnectionHandle;
use crate::gzip::{self, GzipError};

/// Bodies up to this size are read before they are routed.
const SMALL_BODY_BYTES: usize = 1 << 20;

/// Names the method that is meant.
static METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// Plays a POST that means another method as that one; `routes` has no such layer.
pub(super) async fn override_method(
    mut routes: Router,
    mut request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let Some(meant) = request.headers_mut().remove(&METHOD_OVERRIDE) else {
        return next.run(request).await;
    };
    match Method::from_bytes(meant.as_bytes()) {
        Ok(Method::POST) => next.run(request).await,
        Ok(method) => {
            let (mut parts, body) = request.into_parts();
            parts.method = method;
            // What the first routing has left, such as the parts of the path, would be there twice.
            let connection = parts.extensions.remove::<ConnectionHandle>();
            parts.extensions.clear();
            connection.map(|handle| parts.extensions.insert(handle));
            let meant = Request::from_parts(parts, body);
            match routes.call(meant).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
        Err(_) => RestError::invalid(&format!("Invalid method {meant:?}")).into_response(),
    }
}

/// Hands on the body as it was before it was compressed.
pub(super) async fn unpack(request: Request, next: Next) -> Response {
    let Some(encoding) = request.headers().get(header::CONTENT_ENCODING) else {
        return next.run(request).await;
    };
    let encoding = encoding.to_str().unwrap_or_default().to_ascii_lowercase();
    if encoding == "identity" {
        return next.run(request).await;
    }
    if encoding != "gzip" && encoding != "x-gzip" {
        let text = format!("Content encoding {encoding:?} is not supported, gzip is");
        let error = RestError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "badRequest",
            "INVALID_ARGUMENT",
            text,
        );
        return error.into_response();
    }
    let (mut parts, body) = request.into_parts();
    let unpacked = match to_bytes(body, MAX_BODY_BYTES).await {
        Ok(packed) => {
            tokio::task::spawn_blocking(move || gzip::unpack(&packed, MAX_BODY_BYTES)).await
        }
        Err(e) => return too_large(&e.to_string()).into_response(),
    };
    let bytes = match unpacked {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(e @ GzipError::TooLarge { .. })) => {
            return too_large(&e.to_string()).into_response();
        }
        Ok(Err(e)) => {
            return RestError::invalid(&format!("The request body is {e}")).into_response();
        }
        Err(e) => return RestError::invalid(&e.to_string()).into_response(),
    };
    parts.headers.remove(header::CONTENT_ENCODING);
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    next.run(Request::from_parts(parts, Body::from(bytes)))
        .await
}

/// Takes a small body from the connection before anybody answers: an answer that leaves it there ends the connection, which
/// the client finds broken with its next call.
pub(super) async fn take(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if !length.is_some_and(|length| length > 0 && length <= SMALL_BODY_BYTES) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    match to_bytes(body, SMALL_BODY_BYTES).await {
        Ok(bytes) => {
            next.run(Request::from_parts(parts, Body::from(bytes)))
                .await
        }
        Err(e) => RestError::invalid(&format!("The request body ended early: {e}")).into_response(),
    }
}

fn too_large(detail: &str) -> RestError {
    RestError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "uploadTooLarge",
        "INVALID_ARGUMENT",
        format!("The request body is larger than {MAX_BODY_BYTES} bytes: {detail}"),
    )
}

/// Leaves in a good answer only what the parameter `fields` asks for.
pub(super) async fn select_fields(request: Request, next: Next) -> Response {
    let Some(text) = fields_parameter(request.uri().query().unwrap_or_default()) else {
        return next.run(request).await;
    };
    let Some(mask) = FieldMask::parse(&text) else {
        return RestError::invalid(&format!("Invalid field selection {text}")).into_response();
    };
    let response = next.run(request).await;
    if !response.status().is_success() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if bytes.is_empty() {
        return Response::from_parts(parts, Body::empty());
    }
    let masked = serde_json::from_slice(&bytes).map(|mut value: Value| {
        mask.apply(&mut value);
        Bytes::from(value.to_string())
    });
    // What is no JSON stays as it is.
    let bytes = masked.unwrap_or(bytes);
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Response::from_parts(parts, Body::from(bytes))
}

/// The mask of a query string, under either of its names. Empty means that everything is wanted.
fn fields_parameter(query: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Fields {
        fields: Option<String>,
        #[serde(rename = "$fields")]
        system: Option<String>,
    }
    let uri = format!("/?{query}").parse().ok()?;
    let found = axum::extract::Query::<Fields>::try_from_uri(&uri).ok()?.0;
    found
        .fields
        .or(found.system)
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_has_two_names() {
        let read = |query: &str| fields_parameter(query);
        assert_eq!(read("fields=a%2Cb%2Fc&x=1").as_deref(), Some("a,b/c"));
        assert_eq!(read("x=1&%24fields=a").as_deref(), Some("a"));
        assert_eq!(read("fields="), None);
        assert_eq!(read(""), None);
    }
}
