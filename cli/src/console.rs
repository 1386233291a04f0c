//! Writing to stdout and stderr, and logging.
//!
//! Owns the streams. Must not know what is written.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;

/// Writes to stdout. A reader that has gone away (`| head`) is no error: nobody is left to be told.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line to stderr.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// What is logged beside what `RUST_LOG` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Also {
    /// Nothing.
    Nothing,
    /// The SQL that is sent, without the values in it.
    Sql,
}

/// The engine's name for logs of the SQL that is sent.
const SQL: &str = "millpond::sql=info";

/// Sends logs to stderr when `RUST_LOG` or an argument asks for them, and nowhere otherwise.
pub(crate) fn start_logging(also: Also) {
    let filter = match (EnvFilter::try_from_default_env(), also) {
        (Ok(filter), Also::Nothing) => filter,
        (Ok(filter), Also::Sql) => match SQL.parse() {
            Ok(directive) => filter.add_directive(directive),
            Err(_) => filter,
        },
        (Err(_), Also::Nothing) => return,
        (Err(_), Also::Sql) => EnvFilter::new(SQL),
    };
    // Somebody who has set another subscriber wants that one.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .try_init();
}
