//! Makes finished things durable behind the back of the workers, in the order in which they were finished.
//!
//! Owns one thread, its queue and the journal. Waiting for a disk costs no processor time, so a worker that has finished a
//! shard should not wait for it; the run as a whole does, once, before it is committed. Because one thread does everything in
//! order, a record is written only after the files it speaks of are durable under their names.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Journal, Record};

use super::{sync_directory, write_failed};

/// Things that may wait. A file holds its descriptor; a worker that finds the queue full waits, so that dirty pages stay bounded.
const QUEUE: usize = 32;

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

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Put a finished file into place.
    File(Durable),
    /// Write down what is finished by now.
    Record {
        /// Files that are in place but perhaps not durable.
        files: Vec<PathBuf>,
        /// What to write.
        record: Box<Record>,
        /// Files that are of no use from then on.
        obsolete: Vec<PathBuf>,
    },
}

/// The thread that makes things durable, one after the other.
#[derive(Debug)]
pub(super) struct Syncer {
    queue: Queue,
    thread: JoinHandle<()>,
}

/// The way to the thread.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    sender: SyncSender<Work>,
    failure: Arc<OnceLock<Error>>,
}

impl Syncer {
    /// Starts the thread. It sets `worth_keeping` once a record of work is durable.
    pub(super) fn start(journal: Journal, worth_keeping: Arc<AtomicBool>) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let failure = Arc::new(OnceLock::new());
        let noted = Arc::clone(&failure);
        let thread = thread::Builder::new()
            .name("millpond-sync".to_owned())
            .spawn(move || {
                let mut bench = Bench {
                    journal,
                    worth_keeping,
                    touched: BTreeSet::new(),
                };
                bench.run(&receiver, &noted);
            })?;
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
    /// The first failure of anything.
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
    /// Hands something over.
    ///
    /// # Errors
    /// The first failure of anything so far.
    pub(super) fn push(&self, work: Work) -> Result<()> {
        if let Some(error) = self.failure.get() {
            clear_away(&work);
            return Err(error.clone());
        }
        self.sender.send(work).map_err(|unsent| {
            clear_away(&unsent.0);
            stopped()
        })
    }
}

/// Removes what will not be put into place any more.
fn clear_away(work: &Work) {
    if let Work::File(file) = work {
        let _ = fs::remove_file(&file.temporary);
    }
}

/// What the thread works with.
struct Bench {
    journal: Journal,
    worth_keeping: Arc<AtomicBool>,
    /// Directories whose names are not durable yet.
    touched: BTreeSet<PathBuf>,
}

impl Bench {
    fn run(&mut self, queue: &Receiver<Work>, failure: &OnceLock<Error>) {
        for work in queue {
            if failure.get().is_none() {
                if let Err(error) = self.carry_out(work) {
                    let _ = failure.set(error);
                }
            } else {
                // After a failure nothing more is committed.
                clear_away(&work);
            }
        }
    }

    fn carry_out(&mut self, work: Work) -> Result<()> {
        match work {
            Work::File(file) => {
                self.touch(&file.path);
                file.rename()
            }
            Work::Record {
                files,
                record,
                obsolete,
            } => {
                for path in &files {
                    self.touch(path);
                    File::open(path)
                        .and_then(|file| file.sync_all())
                        .map_err(|e| write_failed(path, "cannot make durable", e))?;
                }
                for directory in std::mem::take(&mut self.touched) {
                    sync_directory(&directory)?;
                }
                self.journal.append(&record)?;
                if record.is_work() {
                    self.worth_keeping.store(true, Ordering::Release);
                }
                for path in obsolete {
                    match fs::remove_file(&path) {
                        Err(e) if e.kind() != io::ErrorKind::NotFound => {
                            tracing::warn!(path = %path.display(), error = %e, "cannot remove rows that are of no use any more");
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
        }
    }

    fn touch(&mut self, path: &Path) {
        for directory in path.ancestors().skip(1).take(2) {
            self.touched.insert(directory.to_owned());
        }
    }
}

pub(super) fn stopped() -> Error {
    Error::new(
        ErrorKind::Sink,
        "the thread that makes files durable has stopped",
    )
}
