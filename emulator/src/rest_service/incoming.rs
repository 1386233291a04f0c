//! What requests bring: a body of JSON whatever it calls itself, and query parameters.
//!
//! What cannot be read is answered with the service's error body. Must not know what any method does with it.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::RestError;
use super::members::{Nulls, settle};

/// The body of a request; an empty one is an object without members.
#[derive(Debug)]
pub(super) struct Body(pub Value);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &S) -> Result<Self, RestError> {
        let nulls = if request.method() == Method::PATCH {
            Nulls::Kept
        } else {
            Nulls::Absent
        };
        let bytes = Bytes::from_request(request, state).await.map_err(|e| {
            let http = e.status();
            let reason = if http == StatusCode::PAYLOAD_TOO_LARGE {
                "uploadTooLarge"
            } else {
                "badRequest"
            };
            RestError::new(http, reason, "INVALID_ARGUMENT", e.body_text())
        })?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Value::Object(Map::new())));
        }
        let mut body = json(&bytes)?;
        settle(&mut body, nulls);
        Ok(Self(body))
    }
}

/// A body of JSON.
pub(super) fn json(bytes: &[u8]) -> Result<Value, RestError> {
    serde_json::from_slice(bytes).map_err(|e| {
        RestError::new(
            StatusCode::BAD_REQUEST,
            "parseError",
            "INVALID_ARGUMENT",
            format!("Invalid JSON payload received. {e}"),
        )
    })
}

/// The query parameters that a method knows; others mean nothing to it.
#[derive(Debug)]
pub(super) struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, RestError> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(values)| Self(values))
            .map_err(|e| RestError::invalid(&format!("Invalid query parameter: {}", e.body_text())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::response::IntoResponse;
    use serde::Deserialize;
    use serde_json::json;

    async fn body(text: &'static str) -> Result<Value, RestError> {
        let request = Request::builder()
            .header("content-type", "text/plain")
            .body(axum::body::Body::from(text))
            .unwrap();
        Body::from_request(request, &()).await.map(|b| b.0)
    }

    #[tokio::test]
    async fn a_body_is_json_whatever_it_is_called() {
        assert_eq!(body("{\"a\": 1}").await.unwrap(), json!({"a": 1}));
        assert_eq!(body(" \n").await.unwrap(), json!({}));
        let refused = body("{\"a\"").await.unwrap_err().into_response();
        assert_eq!(refused.status(), 400);
    }

    #[tokio::test]
    async fn nulls_of_a_patch_are_kept() {
        let text = r#"{"a": null}"#;
        for method in [Method::POST, Method::PUT] {
            assert_eq!(sent(method, text).await, json!({}));
        }
        assert_eq!(sent(Method::PATCH, text).await, json!({"a": null}));
    }

    async fn sent(method: Method, text: &'static str) -> Value {
        let request = Request::builder().method(method);
        let request = request.body(axum::body::Body::from(text)).unwrap();
        Body::from_request(request, &()).await.unwrap().0
    }

    #[derive(Debug, Deserialize)]
    struct Known {
        max: Option<u64>,
    }

    #[tokio::test]
    async fn unknown_parameters_are_ignored_and_wrong_ones_refused() {
        let read = async |query: &str| {
            let request = Request::builder()
                .uri(format!("/x?{query}"))
                .body(())
                .unwrap();
            let (mut parts, ()) = request.into_parts();
            Params::<Known>::from_request_parts(&mut parts, &()).await
        };
        let known = read("max=3&other=x&other=y").await.unwrap();
        assert_eq!(known.0.max, Some(3));
        assert!(read("").await.unwrap().0.max.is_none());
        assert_eq!(
            read("max=x").await.unwrap_err().into_response().status(),
            400
        );
    }
}
