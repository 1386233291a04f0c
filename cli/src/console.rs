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

/// Sends logs to stderr when `RUST_LOG` asks for them, and nowhere otherwise.
pub(crate) fn start_logging() {
    let Ok(filter) = EnvFilter::try_from_default_env() else {
        return;
    };
    // Somebody who has set another subscriber wants that one.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .try_init();
}
