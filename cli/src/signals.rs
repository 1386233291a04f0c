//! SIGINT and SIGTERM: the first asks the command to end and clean up, the second ends the process at once.
//!
//! Owns the handlers. Must not know what is cleaned up.

use millpond::{Cancellation, ErrorKind};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::console;
use crate::failure::Failure;

/// The two signals of a polite end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let open = |kind| {
            signal(kind).map_err(|e| {
                Failure::new(
                    ErrorKind::Unavailable,
                    format!("cannot listen for signals: {e}"),
                )
            })
        };
        Ok(Self {
            interrupt: open(SignalKind::interrupt())?,
            terminate: open(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> ErrorKind {
        tokio::select! {
            _ = self.interrupt.recv() => ErrorKind::Interrupted,
            _ = self.terminate.recv() => ErrorKind::Terminated,
        }
    }
}

/// Listens until it is dropped.
pub(crate) struct Watch {
    _task: JoinSet<()>,
}

/// Passes the first signal to `cancellation` and ends the process with the code of the second.
///
/// Must be called inside the runtime.
pub(crate) fn watch(cancellation: Cancellation) -> Result<Watch, Failure> {
    let mut signals = Signals::listen()?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        let kind = signals.next().await;
        cancellation.cancel(kind);
        console::note(&format!(
            "{}: removing what was written; once more ends at once",
            kind.name()
        ));
        let kind = signals.next().await;
        std::process::exit(i32::from(kind.exit_code()));
    });
    Ok(Watch { _task: task })
}

/// Runs `work`, which leaves nothing behind when dropped, until its end or a signal.
///
/// Must be called inside the runtime.
pub(crate) async fn unless_signalled<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut signals = Signals::listen()?;
    tokio::select! {
        result = work => result,
        kind = signals.next() => Err(Failure::new(kind, kind.name())),
    }
}

/// Waits for a signal. Must be called inside the runtime.
pub(crate) async fn received() -> Result<ErrorKind, Failure> {
    Ok(Signals::listen()?.next().await)
}
