//! What a failed file operation on the output means to the user. Owns the mapping from system errors to error kinds.

use std::io;
use std::path::Path;

use crate::error::{Error, ErrorKind};

/// An error of writing: no room is [`Disk`](ErrorKind::Disk), all else is [`Sink`](ErrorKind::Sink).
pub(crate) fn write_failed(path: &Path, action: &str, error: io::Error) -> Error {
    let kind = kind_of(error.kind());
    Error::with_source(kind, format!("{action} {}", path.display()), error)
}

/// An error of making or opening the directory itself. A path that leads through a file is a mistake of the recipe.
pub(super) fn create_failed(path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotADirectory
        | io::ErrorKind::AlreadyExists
        | io::ErrorKind::InvalidInput => ErrorKind::Config,
        other => kind_of(other),
    };
    Error::with_source(kind, format!("cannot use output {}", path.display()), error)
}

/// The error kind of a failed write.
pub(crate) fn kind_of(error: io::ErrorKind) -> ErrorKind {
    match error {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ErrorKind::Disk
        }
        _ => ErrorKind::Sink,
    }
}
