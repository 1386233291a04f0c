//! The threads a command runs on.

use std::future::Future;

use millpond::ErrorKind;
use tokio::runtime::Builder;

use crate::failure::Failure;

/// Stack of a thread, of which memory is taken only as far as it is used: descriptions of jobs and tables are read by code that was made for
/// all their hundreds of fields, and queries stand in each other as deep as tools write them.
const STACK_BYTES: usize = 64 << 20;

/// Runs `work` to its end on `slots` threads that compute and two that keep connections, timers and signals going meanwhile.
pub(crate) fn block_on<T>(
    slots: Option<usize>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let slots = slots
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let runtime = Builder::new_multi_thread()
        .worker_threads(slots.saturating_add(2))
        .thread_name("millpond-worker")
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|e| {
            Failure::new(
                ErrorKind::Unavailable,
                format!("cannot start {slots} threads: {e}"),
            )
        })?;
    runtime.block_on(work)
}
