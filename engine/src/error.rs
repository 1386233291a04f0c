//! The engine's public error: what went wrong, to what, and what the user has to do about it.
//!
//! Owns the kinds and their exit codes. Must not know which module failed: every module brings its own context.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What the user has to do about an error. Each kind has one process exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The recipe, the command line or a setting is wrong: correct it.
    Config,
    /// Credentials are missing or lack a permission: obtain them.
    Auth,
    /// A table, file or directory does not exist: name another.
    NotFound,
    /// The source did not answer after the retries: try again later.
    Unavailable,
    /// The memory budget cannot hold the job: raise it.
    MemoryBudget,
    /// The disk is full, over quota or unreadable: make room.
    Disk,
    /// The data itself is wrong: correct the rows or the recipe's treatment of them.
    Data,
    /// The schema is not the one expected.
    Schema,
    /// A manifest or artefact cannot be used.
    Manifest,
    /// Writing the result failed.
    Sink,
    /// The user interrupted the run (SIGINT).
    Interrupted,
    /// The system asked the run to end (SIGTERM).
    Terminated,
}

impl ErrorKind {
    /// The process exit code of this kind.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Config => 2,
            Self::Auth => 3,
            Self::NotFound => 4,
            Self::Unavailable => 5,
            Self::MemoryBudget => 6,
            Self::Disk => 7,
            Self::Data => 8,
            Self::Schema => 9,
            Self::Manifest => 10,
            Self::Sink => 11,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// A stable lower-case name, used in JSON output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Auth => "auth",
            Self::NotFound => "not_found",
            Self::Unavailable => "unavailable",
            Self::MemoryBudget => "memory_budget",
            Self::Disk => "disk",
            Self::Data => "data",
            Self::Schema => "schema",
            Self::Manifest => "manifest",
            Self::Sink => "sink",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }
}

/// An error of the engine: a [kind](ErrorKind), one line of context naming the thing and the number, and its source.
///
/// Cloning is cheap, so that an error survives the trip through DataFusion's shared errors unchanged.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

struct Inner {
    kind: ErrorKind,
    context: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    note: Option<String>,
    expired_session: bool,
}

impl Inner {
    fn copy(&self) -> Self {
        Self {
            kind: self.kind,
            context: self.context.clone(),
            source: self.source.clone(),
            note: self.note.clone(),
            expired_session: self.expired_session,
        }
    }
}

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`; `context` is one lower-case line without a full stop.
    #[must_use]
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self {
            inner: Arc::new(Inner {
                kind,
                context: context.into(),
                source: None,
                note: None,
                expired_session: false,
            }),
        }
    }

    /// An error of `kind` caused by `source`, whose text follows the context after a colon.
    #[must_use]
    pub fn with_source(
        kind: ErrorKind,
        context: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                kind,
                context: context.into(),
                source: Some(Arc::from(source.into())),
                note: None,
                expired_session: false,
            }),
        }
    }

    pub(crate) fn config(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, context)
    }

    /// Whether a session of the source has come to its end.
    pub(crate) fn is_expired_session(&self) -> bool {
        self.inner.expired_session
    }

    /// The error, marked as the end of a session.
    pub(crate) fn of_expired_session(self) -> Self {
        Self {
            inner: Arc::new(Inner {
                expired_session: true,
                ..self.inner.copy()
            }),
        }
    }

    /// The error with a remark behind everything else.
    pub(crate) fn noting(self, note: impl Into<String>) -> Self {
        Self {
            inner: Arc::new(Inner {
                note: Some(note.into()),
                ..self.inner.copy()
            }),
        }
    }

    /// What the user has to do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The context without the source's text.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.inner.context
    }

    /// The engine error inside `error` or its sources, when there is one.
    pub(crate) fn find_in(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut current = Some(error);
        while let Some(e) = current {
            if let Some(found) = e.downcast_ref::<Self>() {
                return Some(found.clone());
            }
            current = e.source();
        }
        None
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = one_line(&self.inner.context);
        f.write_str(&written)?;
        let mut source = self
            .inner
            .source
            .as_deref()
            .map(|s| s as &(dyn StdError + 'static));
        while let Some(s) = source {
            let text = one_line(&s.to_string());
            // Many errors repeat their source in their own text; say it once.
            if !written.contains(&text) {
                write!(f, ": {text}")?;
                written.push_str(&text);
            }
            source = s.source();
        }
        if let Some(note) = &self.inner.note {
            write!(f, "; {note}")?;
        }
        Ok(())
    }
}

/// Texts quote what users and files say, which may hold line ends, or signs that a terminal takes for commands.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({}: {self})", self.inner.kind.name())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner
            .source
            .as_deref()
            .map(|s| s as &(dyn StdError + 'static))
    }
}

impl From<millpond_spill::SpillError> for Error {
    fn from(error: millpond_spill::SpillError) -> Self {
        Self::with_source(ErrorKind::Disk, "cannot keep rows for a later pass", error)
    }
}

impl From<millpond_spill::BudgetError> for Error {
    fn from(error: millpond_spill::BudgetError) -> Self {
        Self::with_source(ErrorKind::MemoryBudget, "memory budget", error)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn display_is_one_line_and_says_each_thing_once() {
        let io = std::io::Error::other("no\nroom");
        let e = Error::with_source(ErrorKind::Disk, "cannot write part-00001.parquet", io);
        assert_eq!(e.to_string(), "cannot write part-00001.parquet: no room");
        assert_eq!(e.kind().exit_code(), 7);
    }

    #[test]
    fn what_is_quoted_cannot_break_the_line_nor_command_the_terminal() {
        let source = std::io::Error::other("a\u{1b}[2Jb\u{9b}31mc");
        let e = Error::with_source(ErrorKind::Config, "unknown key \"x\ny\rz\"", source);
        assert_eq!(e.to_string(), "unknown key \"x y z\": a [2Jb 31mc");
    }

    #[test]
    fn a_note_comes_last() {
        let io = std::io::Error::other("no room");
        let e =
            Error::with_source(ErrorKind::Disk, "cannot write a", io).noting("3 units are kept");
        assert_eq!(e.to_string(), "cannot write a: no room; 3 units are kept");
    }

    #[test]
    fn is_found_again_behind_other_errors() {
        let e = Error::new(ErrorKind::Auth, "no credentials");
        let wrapped = std::io::Error::other(e);
        let found = Error::find_in(wrapped.get_ref().unwrap()).unwrap();
        assert_eq!(found.kind(), ErrorKind::Auth);
    }
}
