//! What a request meets first: ReadRows goes to its own body, everything else to the routes; and a call's own deadline holds.
//!
//! Must not know how either is answered.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Request, Response};
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Status;
use tonic::codegen::Service as _;

use crate::connection::ConnectionHandle;
use crate::grpc_service::{ReadService, RowsBody, read_rows};
use crate::message_body::MessageBody;

/// ReadRows, under both names of the API.
const READ_ROWS: [&str; 2] = [
    "/google.cloud.bigquery.storage.v1.BigQueryRead/ReadRows",
    "/google.cloud.bigquery.storage.v1beta2.BigQueryRead/ReadRows",
];

/// How long a client waits for the beginning of an answer.
const TIMEOUT: &str = "grpc-timeout";

/// Everything that is served.
#[derive(Clone)]
pub(super) struct Front {
    routes: Router,
    read: Arc<ReadService>,
}

impl Front {
    pub fn new(routes: Router, read: Arc<ReadService>) -> Self {
        Self { routes, read }
    }

    /// The same over one connection, which every request then carries.
    pub fn over(&self, connection: ConnectionHandle) -> OverConnection {
        OverConnection {
            front: self.clone(),
            connection,
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Response<FrontBody> {
        if READ_ROWS.contains(&request.uri().path()) {
            return read_rows(self.read, request).await.map(FrontBody::Rows);
        }
        let mut routes = self.routes;
        match routes.call(request).await {
            Ok(response) => response.map(FrontBody::Routed),
            Err(never) => match never {},
        }
    }
}

/// What is served over one connection.
pub(super) struct OverConnection {
    front: Front,
    connection: ConnectionHandle,
}

impl hyper::service::Service<Request<Incoming>> for OverConnection {
    type Response = Response<FrontBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<FrontBody>, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.connection.clone());
        let front = self.front.clone();
        Box::pin(async move {
            let Some(timeout) = timeout(request.headers()) else {
                return Ok(front.answer(request).await);
            };
            let answered = tokio::time::timeout(timeout, front.answer(request)).await;
            Ok(answered.unwrap_or_else(|_| {
                Status::deadline_exceeded("Timeout expired")
                    .into_http::<axum::body::Body>()
                    .map(FrontBody::Routed)
            }))
        })
    }
}

/// The client's patience: at most eight digits and a unit. What is written otherwise is no bound.
fn timeout(fields: &HeaderMap) -> Option<Duration> {
    let text = fields.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// The body of an answer.
pub(super) enum FrontBody {
    /// Of ReadRows.
    Rows(RowsBody),
    /// Of everything else.
    Routed(axum::body::Body),
}

impl Body for FrontBody {
    type Data = MessageBody;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<MessageBody>, axum::Error>>> {
        match self.get_mut() {
            Self::Rows(rows) => Pin::new(rows)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            Self::Routed(body) => Pin::new(body).poll_frame(cx).map(|frame| {
                frame.map(|frame| frame.map(|frame| frame.map_data(MessageBody::from)))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Rows(rows) => rows.is_end_stream(),
            Self::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Rows(rows) => rows.size_hint(),
            Self::Routed(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        let read = |text: &str| {
            let mut fields = HeaderMap::new();
            fields.insert(TIMEOUT, text.parse().unwrap());
            timeout(&fields)
        };
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("3M"), Some(Duration::from_secs(180)));
        assert_eq!(read("86500S"), Some(Duration::from_secs(86_500)));
        assert_eq!(read("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(read("5u"), Some(Duration::from_micros(5)));
        assert_eq!(read("5n"), Some(Duration::from_nanos(5)));
        for text in ["", "S", "5", "-5S", "+5S", "5s", "999999999S", "5 S"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
