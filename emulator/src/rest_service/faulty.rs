//! What stands before every REST call: the log of calls, and the faults of the script.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tonic::Code;

use super::RestState;
use super::error::RestError;
use crate::connection::ConnectionHandle;
use crate::faults::{FaultAction, code_name};
use crate::request_log::LoggedCall;

/// Plays the script's fault for this call, lets it through where the fault allows, and logs the answer.
pub(super) async fn play(
    State(state): State<Arc<RestState>>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let fault = state.faults.on_rest(&path);
    if let Some(action) = &fault {
        state.log.record(LoggedCall::Fault {
            method: "Rest".to_owned(),
            subject: path.clone(),
            after_responses: 0,
            fault: action.to_string(),
        });
    }
    let response = match fault {
        Some(FaultAction::Http {
            status,
            reason,
            message,
        }) => http_error(status, reason, message),
        Some(FaultAction::Abort {
            code,
            message,
            retry_delay,
        }) => aborted(code, message, retry_delay),
        Some(FaultAction::Stall(time) | FaultAction::Slow(time)) => {
            tokio::time::sleep(time).await;
            next.run(request).await
        }
        Some(FaultAction::Cut { after_bytes }) => {
            if let Some(connection) = request.extensions().get::<ConnectionHandle>() {
                connection.cut_after(after_bytes);
            }
            next.run(request).await
        }
        _ => next.run(request).await,
    };
    state.log.record(LoggedCall::Rest {
        method,
        path,
        status: response.status().as_u16(),
    });
    response
}

fn http_error(status: u16, reason: String, message: String) -> Response {
    let http = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    RestError::new(http, reason, status_of(http), message).into_response()
}

fn aborted(code: Code, message: String, retry_delay: Option<Duration>) -> Response {
    let (http, reason) = match code {
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => (400, "invalid"),
        Code::Unauthenticated => (401, "authError"),
        Code::PermissionDenied => (403, "accessDenied"),
        Code::NotFound => (404, "notFound"),
        Code::AlreadyExists => (409, "duplicate"),
        Code::Aborted => (409, "aborted"),
        Code::ResourceExhausted => (429, "rateLimitExceeded"),
        Code::Unimplemented => (501, "notImplemented"),
        Code::Unavailable => (503, "backendError"),
        Code::DeadlineExceeded => (504, "timeout"),
        _ => (500, "internalError"),
    };
    let http = StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = RestError::new(http, reason, code_name(code), message).into_response();
    if let Some(delay) = retry_delay {
        // The header knows whole seconds only; waiting too long is what a server may ask for.
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The canonical status that goes with an HTTP one.
fn status_of(http: StatusCode) -> &'static str {
    match http.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ALREADY_EXISTS",
        429 => "RESOURCE_EXHAUSTED",
        501 => "UNIMPLEMENTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        400..=499 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}
