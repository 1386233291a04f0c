//! Ending a job from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// A switch that ends a job between two batches. Clones share the switch.
///
/// The job then removes what it has written and returns the error of the kind given.
#[derive(Debug, Clone, Default)]
pub struct Cancellation {
    state: Arc<AtomicU8>,
}

const RUNNING: u8 = 0;
const INTERRUPTED: u8 = 1;
const TERMINATED: u8 = 2;

impl Cancellation {
    /// A switch that is off.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the job to end. [`ErrorKind::Terminated`] is reported as such, every other kind as [`ErrorKind::Interrupted`].
    /// Only the first call counts.
    pub fn cancel(&self, kind: ErrorKind) {
        let state = match kind {
            ErrorKind::Terminated => TERMINATED,
            _ => INTERRUPTED,
        };
        // Losing the race means that somebody else cancelled first, which is as good.
        let _ = self
            .state
            .compare_exchange(RUNNING, state, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Whether the job was asked to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state.load(Ordering::Relaxed) != RUNNING
    }

    /// Fails when the job was asked to end.
    pub(crate) fn check(&self) -> Result<()> {
        match self.state.load(Ordering::Relaxed) {
            RUNNING => Ok(()),
            TERMINATED => Err(Error::new(ErrorKind::Terminated, "terminated")),
            _ => Err(Error::new(ErrorKind::Interrupted, "interrupted")),
        }
    }
}
