//! How a command fails: a kind, one line, an exit code.
//!
//! Owns the form in which errors are told. Must not decide what is an error.

use std::path::Path;
use std::process::ExitCode;

use millpond::{Error, ErrorKind};
use serde_json::json;

use crate::args::Format;
use crate::console;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: ErrorKind,
    message: String,
}

impl Failure {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// A failure to write a file of the command's own.
    pub fn writing(path: &Path, error: &std::io::Error) -> Self {
        Self::new(
            ErrorKind::Sink,
            format!("cannot write {}: {error}", path.display()),
        )
    }

    /// Tells the failure on stderr and gives the process's exit code.
    pub fn report(&self, format: Format) -> ExitCode {
        console::note(&self.line(format));
        ExitCode::from(self.kind.exit_code())
    }

    /// One line whatever the message holds.
    fn line(&self, format: Format) -> String {
        match format {
            Format::Text => format!("error: {}", self.message.replace(['\n', '\r'], " ")),
            Format::Json => json!({
                "error": {
                    "kind": self.kind.name(),
                    "exit_code": self.kind.exit_code(),
                    "message": self.message,
                }
            })
            .to_string(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        let failure = Failure::new(ErrorKind::Data, "row 3\nis wrong");
        assert_eq!(failure.line(Format::Text), "error: row 3 is wrong");
        let line = failure.line(Format::Json);
        assert!(!line.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["error"]["kind"], "data");
        assert_eq!(value["error"]["exit_code"], 8);
        assert_eq!(value["error"]["message"], "row 3\nis wrong");
    }
}
