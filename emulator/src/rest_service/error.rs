//! The service's error body.

use std::borrow::Cow;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::catalog::CatalogError;
use crate::external::ExternalError;
use crate::row_access::RowAccessError;

/// An error in the service's form.
#[derive(Debug)]
pub(super) struct RestError {
    http: StatusCode,
    reason: Cow<'static, str>,
    status: &'static str,
    location: Option<String>,
    location_type: &'static str,
    message: String,
}

impl RestError {
    pub fn new(
        http: StatusCode,
        reason: impl Into<Cow<'static, str>>,
        status: &'static str,
        message: String,
    ) -> Self {
        Self {
            http,
            reason: reason.into(),
            status,
            location: None,
            location_type: "parameter",
            message,
        }
    }

    /// Says what the error is about.
    pub fn at(mut self, location: Option<String>) -> Self {
        self.location = location;
        self
    }

    /// Says which header the error is about.
    pub fn at_header(mut self, name: &str) -> Self {
        self.location = Some(name.to_owned());
        self.location_type = "header";
        self
    }

    /// Says what the error is about, which is neither a part of the request nor a header.
    pub fn at_other(mut self, name: String) -> Self {
        self.location = Some(name);
        self.location_type = "other";
        self
    }

    /// A thing that is not there.
    pub fn not_found(what: &str) -> Self {
        let text = format!("Not found: {what}");
        Self::new(StatusCode::NOT_FOUND, "notFound", "NOT_FOUND", text)
    }

    /// Nothing new, which needs no words.
    pub fn not_modified() -> Self {
        Self::new(
            StatusCode::NOT_MODIFIED,
            "notModified",
            "OK",
            "Not Modified".to_owned(),
        )
    }

    /// What the emulator itself cannot do.
    pub fn internal(message: String) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internalError",
            "INTERNAL",
            message,
        )
    }

    /// SQL that is none.
    pub fn invalid_query(message: &str) -> Self {
        let text = message.to_owned();
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalidQuery",
            "INVALID_ARGUMENT",
            text,
        )
        .at(Some("query".to_owned()))
    }

    /// A request that makes no sense.
    pub fn invalid(message: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid",
            "INVALID_ARGUMENT",
            message.to_owned(),
        )
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        if self.http == StatusCode::NOT_MODIFIED {
            return self.http.into_response();
        }
        let mut error = json!({"message": self.message, "domain": "global", "reason": self.reason});
        if let Some(location) = &self.location {
            error["location"] = json!(location);
            error["locationType"] = json!(self.location_type);
        }
        let body = json!({"error": {
            "code": self.http.as_u16(),
            "message": self.message,
            "errors": [error],
            "status": self.status,
        }});
        (self.http, Json(body)).into_response()
    }
}

impl From<serde_json::Error> for RestError {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(format!("cannot write the answer: {error}"))
    }
}

impl From<CatalogError> for RestError {
    fn from(error: CatalogError) -> Self {
        let (http, reason, status) = match &error {
            CatalogError::Name(_) => (StatusCode::BAD_REQUEST, "invalid", "INVALID_ARGUMENT"),
            CatalogError::DatasetNotFound { .. }
            | CatalogError::TableNotFound { .. }
            | CatalogError::RoutineNotFound { .. }
            | CatalogError::NoMatch { .. } => (StatusCode::NOT_FOUND, "notFound", "NOT_FOUND"),
            CatalogError::DatasetExists { .. }
            | CatalogError::TableExists { .. }
            | CatalogError::RoutineExists { .. } => {
                (StatusCode::CONFLICT, "duplicate", "ALREADY_EXISTS")
            }
            CatalogError::RowAccess(RowAccessError::NotFound { .. }) => {
                (StatusCode::NOT_FOUND, "notFound", "NOT_FOUND")
            }
            CatalogError::RowAccess(RowAccessError::Exists { .. }) => {
                (StatusCode::CONFLICT, "duplicate", "ALREADY_EXISTS")
            }
            CatalogError::RowAccess(
                RowAccessError::NotAllRows { .. } | RowAccessError::TimeTravel { .. },
            ) => (StatusCode::FORBIDDEN, "accessDenied", "PERMISSION_DENIED"),
            CatalogError::RowAccess(_) => (StatusCode::BAD_REQUEST, "invalid", "INVALID_ARGUMENT"),
            CatalogError::DatasetInUse { .. } => (
                StatusCode::BAD_REQUEST,
                "resourceInUse",
                "FAILED_PRECONDITION",
            ),
            CatalogError::Schema(_) | CatalogError::SchemaChange(_) => {
                (StatusCode::BAD_REQUEST, "invalid", "INVALID_ARGUMENT")
            }
            CatalogError::External(
                ExternalError::NotFound { .. } | ExternalError::NoBucket { .. },
            ) => (StatusCode::NOT_FOUND, "notFound", "NOT_FOUND"),
            CatalogError::External(_) | CatalogError::NotWritable { .. } => {
                (StatusCode::BAD_REQUEST, "invalid", "INVALID_ARGUMENT")
            }
            CatalogError::UnsupportedColumn { .. } | CatalogError::FilesDisagree { .. } => {
                (StatusCode::BAD_REQUEST, "invalid", "FAILED_PRECONDITION")
            }
            CatalogError::Io { .. }
            | CatalogError::Parquet { .. }
            | CatalogError::Write { .. }
            | CatalogError::Metadata { .. } => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internalError",
                "INTERNAL",
            ),
        };
        Self::new(http, reason, status, error.to_string())
    }
}
