//! Makes finished files durable behind the back of the workers.
//!
//! Owns one thread and its queue. Waiting for a disk costs no processor time, so a worker that has finished a shard should
//! not wait for it; the run as a whole does, once, before it is committed.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use crate::error::{Error, ErrorKind, Result};

use super::write_failed;

/// Files that may wait. Each holds one open file; a worker that finds the queue full waits, so that dirty pages stay bounded.
const QUEUE_FILES: usize = 32;

/// A finished file that is neither durable nor in place.
#[derive(Debug)]
pub(super) struct Durable {
    pub(super) open: File,
    pub(super) temporary: PathBuf,
    pub(super) path: PathBuf,
}

impl Durable {
    /// Makes the content durable, then renames it into place.
    pub(super) fn rename(self) -> Result<()> {
        let done = self
            .open
            .sync_all()
            .map_err(|e| write_failed(&self.path, "cannot make durable", e))
            .and_then(|()| {
                fs::rename(&self.temporary, &self.path)
                    .map_err(|e| write_failed(&self.path, "cannot rename into place", e))
            });
        if done.is_err() {
            let _ = fs::remove_file(&self.temporary);
        }
        done
    }
}

/// The thread that makes files durable, one after the other.
#[derive(Debug)]
pub(super) struct Syncer {
    queue: Queue,
    thread: JoinHandle<()>,
}

/// The way to the thread.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    sender: SyncSender<Durable>,
    failure: Arc<OnceLock<Error>>,
}

impl Syncer {
    pub(super) fn start() -> io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE_FILES);
        let failure = Arc::new(OnceLock::new());
        let noted = Arc::clone(&failure);
        let thread = thread::Builder::new()
            .name("millpond-sync".to_owned())
            .spawn(move || run(&receiver, &noted))?;
        Ok(Self {
            queue: Queue { sender, failure },
            thread,
        })
    }

    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Waits for everything in the queue.
    ///
    /// # Errors
    /// The first failure of any file.
    pub(super) fn finish(self) -> Result<()> {
        let Queue { sender, failure } = self.queue;
        drop(sender);
        if self.thread.join().is_err() {
            return Err(stopped());
        }
        failure.get().map_or(Ok(()), |error| Err(error.clone()))
    }
}

impl Queue {
    /// Hands one file over.
    ///
    /// # Errors
    /// The first failure of any file so far.
    pub(super) fn push(&self, file: Durable) -> Result<()> {
        if let Some(error) = self.failure.get() {
            return Err(error.clone());
        }
        self.sender.send(file).map_err(|_| stopped())
    }
}

fn run(files: &Receiver<Durable>, failure: &OnceLock<Error>) {
    for file in files {
        // After a failure the run is lost; what still comes is only cleared away.
        if failure.get().is_some() {
            let _ = fs::remove_file(&file.temporary);
        } else if let Err(error) = file.rename() {
            let _ = failure.set(error);
        }
    }
}

fn stopped() -> Error {
    Error::new(
        ErrorKind::Sink,
        "the thread that makes files durable has stopped",
    )
}
