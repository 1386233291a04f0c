//! What a refusal of the REST API means: whether to ask again, and what the user has to do.
//!
//! Owns the service's short words for errors. Must not send anything.

use std::fmt;
use std::time::Duration;

use google_cloud_bigquery::Error as ServiceError;
use google_cloud_bigquery_v2::model::ErrorProto;
use google_cloud_gax::error::rpc::StatusDetails;

use super::Rest;
use crate::error::{Error, ErrorKind};
use crate::source::bigquery::endpoint::CREDENTIAL_PLACES;
use crate::source::bigquery::retry::{Cause, cause_of as cause_of_connection, is_untrusted};
use crate::source::bigquery::table::TableName;

/// What was being done when something failed.
#[derive(Debug, Clone, Copy)]
pub(in crate::source::bigquery) enum Doing<'a> {
    /// Asking what a table is.
    Describing(&'a TableName),
    /// Making a temporary table.
    Creating(&'a TableName),
    /// Removing a temporary table.
    Removing(&'a TableName),
    /// Asking what a query would read.
    DryRun,
    /// Running a query.
    Querying,
    /// Fetching rows of a query as JSON.
    Fetching,
}

impl Doing<'_> {
    /// The permissions it takes.
    fn permissions(&self, project: &str) -> String {
        match self {
            Self::Describing(table) => format!("bigquery.tables.get on table {table}"),
            Self::Creating(table) => format!(
                "bigquery.tables.create on dataset {}.{}",
                table.project(),
                table.dataset()
            ),
            Self::Removing(table) => format!("bigquery.tables.delete on table {table}"),
            Self::DryRun | Self::Querying => format!(
                "bigquery.jobs.create in project {project}, bigquery.tables.getData on the tables that are read, and bigquery.tables.updateData on a temporary dataset"
            ),
            Self::Fetching => format!("bigquery.jobs.get in project {project}"),
        }
    }
}

impl fmt::Display for Doing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Describing(table) => write!(f, "asking what table {table} is"),
            Self::Creating(table) => write!(f, "making the temporary table {table}"),
            Self::Removing(table) => write!(f, "removing the temporary table {table}"),
            Self::DryRun => f.write_str("asking what the query would read"),
            Self::Querying => f.write_str("running the query"),
            Self::Fetching => f.write_str("fetching rows of the query"),
        }
    }
}

/// What the service says about an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::source::bigquery) struct Said {
    /// Its short word, such as `invalidQuery`.
    pub reason: String,
    /// What it is about, such as `query`.
    pub location: String,
    /// Its text.
    pub message: String,
    /// The HTTP status, when it was the answer to a request.
    pub status: Option<u16>,
}

impl Said {
    /// What is said of a job that failed.
    pub fn of_job(error: &ErrorProto) -> Self {
        Self {
            reason: error.reason.clone(),
            location: error.location.clone(),
            message: error.message.clone(),
            status: None,
        }
    }

    /// What an answer says; nothing when there was no answer of the service's.
    fn of_answer(error: &ServiceError) -> Option<Self> {
        let status = error.http_status_code();
        let Some(known) = error.status() else {
            return status.map(|_| Self {
                status,
                message: "no reason given".to_owned(),
                ..Self::default()
            });
        };
        let info = known.details.iter().find_map(|detail| match detail {
            StatusDetails::ErrorInfo(info) => Some(info),
            _ => None,
        });
        Some(Self {
            reason: info.map(|i| i.reason.clone()).unwrap_or_default(),
            location: info
                .and_then(|i| i.metadata.get("location").cloned())
                .unwrap_or_default(),
            message: known.message.clone(),
            status,
        })
    }

    /// Whether the very same job may succeed when it is run again.
    pub fn is_passing_for_jobs(&self) -> bool {
        matches!(
            self.reason.as_str(),
            "jobBackendError"
                | "jobInternalError"
                | "jobRateLimitExceeded"
                | "backendError"
                | "internalError"
                | "rateLimitExceeded"
                | "tableUnavailable"
        )
    }

    /// Whether the very same request may succeed later.
    fn is_passing(&self) -> bool {
        match self.reason.as_str() {
            "rateLimitExceeded"
            | "jobRateLimitExceeded"
            | "backendError"
            | "internalError"
            | "badGateway" => true,
            // Without a word of the service's, from something that stands before it.
            "" => matches!(self.status, Some(429 | 500 | 502 | 503 | 504)),
            _ => false,
        }
    }
}

/// Why to ask again after `error`; nothing when asking again cannot help.
pub(super) fn cause_of(error: &ServiceError) -> Option<Cause> {
    let Some(said) = Said::of_answer(error) else {
        return cause_of_connection(error);
    };
    if !said.is_passing() {
        return None;
    }
    let told = error
        .http_headers()
        .and_then(|headers| headers.get("retry-after"))
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Some(told.map_or(Cause::Interrupted, |seconds| {
        Cause::Told(Duration::from_secs(seconds))
    }))
}

/// The error for `error`, after so many attempts.
pub(super) fn explain(rest: &Rest, doing: &Doing<'_>, error: ServiceError, attempts: u32) -> Error {
    let endpoint = rest.endpoint();
    if is_untrusted(&error) {
        return Error::with_source(
            ErrorKind::Auth,
            format!("refused to trust {endpoint} while {doing}"),
            error,
        );
    }
    if error.is_authentication() {
        return Error::with_source(
            ErrorKind::Auth,
            format!("no usable credentials while {doing}; looked at {CREDENTIAL_PLACES}"),
            error,
        );
    }
    if error.is_deserialization() {
        return Error::with_source(
            ErrorKind::Data,
            format!("answer of {endpoint} cannot be understood while {doing}"),
            error,
        );
    }
    match Said::of_answer(&error) {
        Some(said) => judge(rest, doing, &said, attempts),
        None => Error::with_source(
            ErrorKind::Unavailable,
            format!(
                "{endpoint} does not answer while {doing}{}",
                tried(attempts)
            ),
            error,
        ),
    }
}

/// The error for what the service said.
pub(super) fn judge(rest: &Rest, doing: &Doing<'_>, said: &Said, attempts: u32) -> Error {
    let words = said
        .message
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let place = match said.location.as_str() {
        "" => String::new(),
        location => format!(" (location {location})"),
    };
    let text = |what: &str| format!("{what} while {doing}{place}: {words}");
    let status = said.status.unwrap_or(400);
    let (kind, text) = match said.reason.as_str() {
        "invalidQuery" => (
            ErrorKind::Config,
            format!("BigQuery refused the query{place}: {words}"),
        ),
        "notFound" => (ErrorKind::NotFound, text("not found")),
        "accessDenied" => (
            ErrorKind::Auth,
            format!(
                "{} (needed: {})",
                text("permission denied"),
                doing.permissions(rest.billing_project())
            ),
        ),
        "authError" => (
            ErrorKind::Auth,
            format!(
                "{} (found by looking at {CREDENTIAL_PLACES})",
                text("credentials refused")
            ),
        ),
        "quotaExceeded" | "rateLimitExceeded" | "jobRateLimitExceeded" => (
            ErrorKind::Unavailable,
            format!("{}{}", text("quota exceeded"), tried(attempts)),
        ),
        "responseTooLarge" => (
            ErrorKind::Config,
            format!(
                "{}; name a temporary_dataset, whose tables hold results of any size",
                text("result too large")
            ),
        ),
        "bytesBilledLimitExceeded" => (
            ErrorKind::Config,
            format!(
                "{}; raise the bound or read less",
                text("more bytes than allowed")
            ),
        ),
        "" if status == 401 => (
            ErrorKind::Auth,
            format!(
                "{} (found by looking at {CREDENTIAL_PLACES})",
                text("credentials refused")
            ),
        ),
        "" if status == 403 => (
            ErrorKind::Auth,
            format!(
                "{} (needed: {})",
                text("permission denied"),
                doing.permissions(rest.billing_project())
            ),
        ),
        "" if status == 404 => (ErrorKind::NotFound, text("not found")),
        "backendError" | "internalError" | "jobBackendError" | "jobInternalError"
        | "badGateway" | "tableUnavailable" | "timeout" | "stopped" => (
            ErrorKind::Unavailable,
            format!("{}{}", text("BigQuery failed"), tried(attempts)),
        ),
        _ if status >= 500 || status == 429 => (
            ErrorKind::Unavailable,
            format!(
                "{} answered {status} while {doing}{}: {words}",
                rest.endpoint(),
                tried(attempts)
            ),
        ),
        reason => (
            ErrorKind::Config,
            format!(
                "BigQuery refused {doing}{place}{}: {words}",
                if reason.is_empty() {
                    String::new()
                } else {
                    format!(" as {reason}")
                }
            ),
        ),
    };
    Error::new(kind, text)
}

fn tried(attempts: u32) -> String {
    match attempts {
        0 | 1 => String::new(),
        n => format!(" after {n} attempts"),
    }
}

#[cfg(test)]
mod tests;
