//! What a failure of the service means for the user.
//!
//! Owns the translation of service errors into the engine's kinds and words. Must not know when to try again.

use std::path::PathBuf;

use google_cloud_bigquery::Error as ServiceError;
use google_cloud_gax::error::rpc::{Code, Status};

use super::endpoint::{CREDENTIAL_PLACES, Endpoint};
use super::retry::is_untrusted;
use super::table::TableName;
use crate::error::{Error, ErrorKind};

/// What was being read when something failed.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The table.
    pub table: TableName,
    /// The project that pays.
    pub billing_project: String,
    /// The service.
    pub endpoint: Endpoint,
    /// The credentials file it is asked with, when one is named.
    pub credentials: Option<PathBuf>,
}

/// What was being done when something failed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doing<'a> {
    /// Creating a session.
    CreatingSession,
    /// Reading a stream at a row offset.
    Reading {
        /// Which stream, for people.
        stream: &'a str,
        /// Rows of the stream received before.
        offset: i64,
    },
}

impl Place {
    /// The error for `error`, after `failures` attempts without progress.
    pub fn error(&self, doing: Doing<'_>, error: ServiceError, failures: u32) -> Error {
        let what = self.describe(doing);
        if is_untrusted(&error) {
            return Error::with_source(
                ErrorKind::Auth,
                format!("refused to trust {} while {what}", self.endpoint),
                error,
            );
        }
        if error.is_authentication() {
            return Error::with_source(
                ErrorKind::Auth,
                format!("no usable credentials while {what}; looked at {CREDENTIAL_PLACES}"),
                error,
            );
        }
        if let Some(status) = error.status() {
            let (kind, text) = self.judge(doing, &what, status, failures);
            let error = Error::new(kind, text);
            let reading = matches!(doing, Doing::Reading { .. });
            return if reading && has_ended(status) {
                error.of_expired_session()
            } else {
                error
            };
        }
        if error.is_deserialization() {
            return Error::with_source(
                ErrorKind::Data,
                format!("message cannot be understood while {what}"),
                error,
            );
        }
        Error::with_source(
            ErrorKind::Unavailable,
            format!(
                "{} does not answer while {what}{}",
                self.endpoint,
                tried(failures)
            ),
            error,
        )
    }

    /// The error for `seconds` of silence, after `failures` attempts without progress.
    pub fn silence(&self, doing: Doing<'_>, seconds: u64, failures: u32) -> Error {
        Error::new(
            ErrorKind::Unavailable,
            format!(
                "{} was silent for {seconds} s while {}{}",
                self.endpoint,
                self.describe(doing),
                tried(failures)
            ),
        )
    }

    /// What was being done, naming table, stream and offset.
    pub fn describe(&self, doing: Doing<'_>) -> String {
        match doing {
            Doing::CreatingSession => format!("creating a read session for table {}", self.table),
            Doing::Reading { stream, offset } => {
                format!("reading table {}, {stream} at row {offset}", self.table)
            }
        }
    }

    fn judge(
        &self,
        doing: Doing<'_>,
        what: &str,
        status: &Status,
        failures: u32,
    ) -> (ErrorKind, String) {
        let said = one_line(&status.message);
        let table = &self.table;
        match (status.code, doing) {
            (Code::NotFound, Doing::Reading { .. }) if has_ended(status) => (
                ErrorKind::Unavailable,
                format!("read session is gone while {what}: {said} (a session lives 6 hours)"),
            ),
            (Code::NotFound, Doing::Reading { .. }) => (
                ErrorKind::NotFound,
                format!(
                    "the service no longer finds what is read, the table or the read session, while {what}: {said}"
                ),
            ),
            (Code::NotFound, Doing::CreatingSession) => (
                ErrorKind::NotFound,
                format!("table {table} not found while {what}: {said}"),
            ),
            (Code::PermissionDenied, Doing::CreatingSession) => (
                ErrorKind::Auth,
                format!(
                    "permission denied while {what}: {said} (needed: bigquery.readsessions.create in project {} and bigquery.tables.getData on the table)",
                    self.billing_project
                ),
            ),
            (Code::PermissionDenied, Doing::Reading { .. }) => (
                ErrorKind::Auth,
                format!(
                    "permission denied while {what}: {said} (needed: bigquery.readsessions.getData in project {} and bigquery.tables.getData on the table)",
                    self.billing_project
                ),
            ),
            (Code::Unauthenticated, _) => (
                ErrorKind::Auth,
                format!(
                    "credentials refused while {what}: {said} (found by looking at {CREDENTIAL_PLACES}; needed: bigquery.readsessions.create and bigquery.tables.getData)"
                ),
            ),
            (Code::ResourceExhausted, _) => (
                ErrorKind::Unavailable,
                format!("quota exceeded while {what}{}: {said}", tried(failures)),
            ),
            (Code::FailedPrecondition, Doing::Reading { .. }) if is_expired(&said) => (
                ErrorKind::Unavailable,
                format!("read session expired while {what}: {said} (a session lives 6 hours)"),
            ),
            (
                Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange,
                Doing::CreatingSession,
            ) => (
                ErrorKind::Config,
                format!("BigQuery refused {what}: {said}"),
            ),
            (
                Code::InvalidArgument
                | Code::FailedPrecondition
                | Code::OutOfRange
                | Code::DataLoss,
                Doing::Reading { .. },
            ) => (ErrorKind::Data, format!("BigQuery failed {what}: {said}")),
            (Code::Unimplemented, _) => (
                ErrorKind::Config,
                format!(
                    "{} does not offer what is needed for {what}: {said}",
                    self.endpoint
                ),
            ),
            (Code::Internal, Doing::Reading { .. }) if said.contains("Out of range conversion") => {
                (ErrorKind::Data, format!("BigQuery failed {what}: {said}"))
            }
            (code, _) => (
                ErrorKind::Unavailable,
                format!(
                    "{} failed with {} while {what}{}: {said}",
                    self.endpoint,
                    code.name(),
                    tried(failures)
                ),
            ),
        }
    }
}

/// Whether a session was refused because it was asked for something that only a query can read.
pub(super) fn is_of_no_table(error: &Error) -> bool {
    let said = error.context();
    error.kind() == ErrorKind::Config
        && (said.contains("non-table entities cannot be read")
            || said.contains("Only external tables with connections can be read"))
}

/// The column that a session was refused for want of a filter over: the first one named that is a column at all.
pub(super) fn filter_wanted_over(error: &Error) -> Option<String> {
    let (_, rest) = error
        .context()
        .split_once("without a filter over column(s) ")?;
    let (names, _) = rest.split_once(" that can be used for partition elimination")?;
    let name = names.split(',').next()?.trim().trim_matches('\'');
    (error.kind() == ErrorKind::Config && !name.is_empty()).then(|| name.to_owned())
}

fn is_expired(said: &str) -> bool {
    let said = said.to_lowercase();
    said.contains("session") && said.contains("expired")
}

/// Whether the service says that the session is over: in words, or because it does not know the session, which is named
/// in full (`projects/p/locations/l/sessions/s/streams/t`).
fn has_ended(status: &Status) -> bool {
    let said = one_line(&status.message);
    match status.code {
        Code::FailedPrecondition => is_expired(&said),
        Code::NotFound => said.contains("/sessions/"),
        _ => false,
    }
}

fn tried(failures: u32) -> String {
    match failures {
        0 | 1 => String::new(),
        n => format!(" after {n} attempts"),
    }
}

fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        "no reason given".to_owned()
    } else {
        line
    }
}

#[cfg(test)]
mod tests;
