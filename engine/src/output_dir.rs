//! The directory a run writes to: locked, filled out of sight, and either completed as a whole, kept for a later run to go
//! on with, or emptied again.
//!
//! Owns the lock, every path below the root, and the order in which things become durable. Must not know what the files hold.
//!
//! A run works in `.millpond` below the root. A reader sees nothing of it; when everything is durable the files move up and
//! `_SUCCESS` is written last. What a run has finished is in its [journal](crate::journal): a run that dies, by whatever cause,
//! leaves its journal and the files it speaks of, and a later run on the same directory goes on from there.

mod failure;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::panic)]
mod fuzzing;
mod name;
mod pending;
mod syncer;
#[cfg(test)]
mod tests;
mod workshop;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millpond_features::Split;

use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Journal, KeptTable, Record};

use self::failure::create_failed;
pub(crate) use self::failure::{kind_of, write_failed};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::fuzzing::names as fuzz_names;
use self::name::FileName;
pub(crate) use self::name::shard_path;
pub(crate) use self::pending::PendingFile;
use self::syncer::{Syncer, Work};
pub(crate) use self::workshop::segment_name;
use self::workshop::{Workshop, is_own_name};

/// Written last; its presence says that the directory is complete.
pub(crate) const SUCCESS: &str = "_SUCCESS";
/// Start of the name of every file that is not finished.
const TEMPORARY: &str = ".tmp-";

/// What becomes of the work of an earlier run that did not get to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EarlierWork {
    /// The run goes on from it.
    #[default]
    Continue,
    /// It is removed, and the run starts over.
    Discard,
    /// The run is refused.
    Refuse,
}

/// A directory as a run finds it.
#[derive(Debug)]
pub(crate) enum Opened {
    /// It can be written to; the records tell what is finished already.
    Ready(OutputDir, Vec<Record>),
    /// An earlier run had finished everything but its own clean-up, which is done now.
    Finished,
}

/// An output directory that this run, and no other, is writing to.
///
/// Dropped without [`commit`](Self::commit), it keeps the work that its journal speaks of, if there is any; otherwise, or
/// after [`discard`](Self::discard), it removes everything the run made, and the directory itself (with its parents) where
/// the run made them too.
#[derive(Debug)]
pub struct OutputDir {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    workshop: Workshop,
    staged: PathBuf,
    /// Whether there is finished work in the journal.
    worth_keeping: Arc<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Locked for as long as it is open.
    _lock: File,
    /// Root and parents that did not exist, outermost first.
    made_above: Vec<PathBuf>,
    /// Final paths of the files being written.
    open: BTreeSet<PathBuf>,
    syncer: Option<Syncer>,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Open,
    Discarded,
    Committed,
}

impl OutputDir {
    /// Takes `path` for a run that neither goes on from earlier work nor leaves any.
    ///
    /// # Errors
    /// As for [`open`](Self::open); also [`Config`](ErrorKind::Config) when the directory keeps the work of an unfinished run.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match Self::open(path, EarlierWork::Refuse)? {
            Opened::Ready(directory, _) => Ok(directory),
            Opened::Finished => Err(not_empty(path, Workshop::of(path).strangers()?)),
        }
    }

    /// Takes `path` for this run. It is made, with its parents, when absent.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if the path is not a directory, holds anything that is not from an unfinished run, or
    /// another run is writing to it; [`Manifest`](ErrorKind::Manifest) if the journal is damaged;
    /// [`Sink`](ErrorKind::Sink) if it cannot be made or written to; [`Disk`](ErrorKind::Disk) if there is no room.
    pub(crate) fn open(path: &Path, earlier: EarlierWork) -> Result<Opened> {
        let made_above = make_root(path)?;
        let taken = Self::take(path, earlier, &made_above);
        if taken.is_err() {
            remove_directories(&made_above);
        }
        taken
    }

    fn take(path: &Path, earlier: EarlierWork, made_above: &[PathBuf]) -> Result<Opened> {
        // Later steps must mean the same directory whatever happens to the working directory or to a link above it.
        let root = fs::canonicalize(path).map_err(|e| create_failed(path, e))?;
        let workshop = Workshop::of(&root);
        let was_there = workshop.exists()?;
        if !was_there {
            refuse_strangers(&workshop, &root)?;
        }
        let lock = workshop.lock()?;
        let taken = Self::take_over(&workshop, &root, earlier);
        if taken.is_err() && !was_there {
            // Made by this call a moment ago; a failure to remove it changes nothing about the error.
            let _ = workshop.remove();
        }
        let Some((journal, records)) = taken? else {
            return Ok(Opened::Finished);
        };
        let worth_keeping = Arc::new(AtomicBool::new(records.iter().any(Record::is_work)));
        let syncer = Syncer::start(journal, Arc::clone(&worth_keeping))
            .map_err(|e| write_failed(&root, "cannot start making durable", e))?;
        let directory = Self {
            inner: Arc::new(Inner {
                staged: workshop.staged(),
                root,
                workshop,
                worth_keeping,
                state: Mutex::new(State {
                    _lock: lock,
                    made_above: made_above.to_vec(),
                    open: BTreeSet::new(),
                    syncer: Some(syncer),
                    outcome: Outcome::Open,
                }),
            }),
        };
        Ok(Opened::Ready(directory, records))
    }

    /// Under the lock: reads what an earlier run left, completes it if only its names are missing, and clears away what
    /// no record speaks of. Nothing when the directory was completed.
    fn take_over(
        workshop: &Workshop,
        root: &Path,
        earlier: EarlierWork,
    ) -> Result<Option<(Journal, Vec<Record>)>> {
        let opened = Journal::open(&workshop.journal());
        let (mut journal, mut records) = match (opened, earlier) {
            (Ok(opened), _) => opened,
            (Err(_), EarlierWork::Discard) => {
                workshop.sweep(&[])?;
                let path = workshop.journal();
                fs::remove_file(&path).map_err(|e| write_failed(&path, "cannot remove", e))?;
                Journal::open(&path)?
            }
            (Err(error), _) => return Err(error),
        };
        // Clearing up removes the journal before the rest of the workshop, and may have ended there.
        let is_complete = match records.last() {
            Some(last) => *last == Record::Committing,
            None => fs::symlink_metadata(root.join(SUCCESS)).is_ok(),
        };
        if is_complete {
            workshop.move_up()?;
            // The directory is complete; a workshop that stays behind is untidy and harms nobody.
            let _ = workshop.remove();
            return match earlier {
                EarlierWork::Continue => Ok(None),
                _ => Err(not_empty(root, workshop.strangers()?)),
            };
        }
        refuse_strangers(workshop, root)?;
        let work = records.iter().filter(|record| record.is_work()).count();
        if work > 0 && earlier == EarlierWork::Refuse {
            return Err(Error::config(format!(
                "output directory {} keeps the work of an unfinished run: finish it, or name another directory",
                root.display()
            )));
        }
        if work == 0 || earlier == EarlierWork::Discard {
            records.clear();
            journal.clear()?;
        }
        workshop.sweep(&records)?;
        // The sweep takes empty directories away.
        let staged = workshop.staged();
        fs::create_dir_all(&staged).map_err(|e| write_failed(&staged, "cannot make", e))?;
        Ok(Some((journal, records)))
    }

    /// Writes a whole file at once: either all of `bytes` appear under `name`, durably, or nothing does.
    ///
    /// `name` is a file name, or one directory and a file name, of ASCII letters, digits, `.`, `_` and `-`.
    ///
    /// # Errors
    /// [`Sink`](ErrorKind::Sink) for a name that is not of that form or that the directory keeps for itself, and if writing
    /// fails; [`Disk`](ErrorKind::Disk) if there is no room.
    pub fn write_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let name = FileName::parse(name)?;
        self.inner.write(&name, bytes)
    }

    /// As [`write_file`](Self::write_file), for content that is not in memory as a whole: `write` is given the open file.
    ///
    /// # Errors
    /// As for `write_file`, and what `write` fails with; nothing appears then.
    pub(crate) fn write_with(
        &self,
        name: &str,
        write: impl FnOnce(&mut PendingFile) -> Result<()>,
    ) -> Result<()> {
        let mut pending = PendingFile::create(&self.inner, &FileName::parse(name)?)?;
        write(&mut pending)?;
        let directory = pending.publish_now()?;
        sync_directory(&directory)
    }

    /// Waits until everything that was handed over is durable or has failed; nothing can be handed over afterwards.
    pub(crate) fn settle(&self) {
        // The run has failed already; a further failure adds nothing for the user to act on.
        let _ = self.inner.finish_syncing();
    }

    /// Where finished files wait for the run to be committed.
    pub(crate) fn staged(&self) -> &Path {
        &self.inner.staged
    }

    /// Where rows of a paid source are kept; not made yet.
    pub(crate) fn rows_dir(&self) -> PathBuf {
        self.inner.workshop.rows()
    }

    /// Where rows of a query are kept; not made yet.
    pub(crate) fn query_dir(&self) -> PathBuf {
        self.inner.workshop.query()
    }

    /// Whether finished work is in the journal.
    pub(crate) fn keeps_work(&self) -> bool {
        self.inner.worth_keeping.load(Ordering::Acquire)
    }

    /// Nothing is kept when the directory is dropped.
    pub(crate) fn discard(&self) {
        self.inner.state().outcome = Outcome::Discarded;
    }

    /// Writes `record` down in the background, after everything published before and `files` are durable. Files that are
    /// `obsolete` from then on are removed.
    ///
    /// # Errors
    /// Whatever has gone wrong in the background so far.
    pub(crate) fn record(
        &self,
        record: Record,
        files: Vec<PathBuf>,
        obsolete: Vec<PathBuf>,
    ) -> Result<()> {
        self.inner.push(Work::Record {
            files,
            record: Box::new(record),
            obsolete,
        })
    }

    /// Whether a finished file is as its record says.
    ///
    /// # Errors
    /// [`Manifest`](ErrorKind::Manifest) naming the file that is missing or differs.
    pub(crate) fn check_kept(&self, directory: &Path, file: &KeptTable) -> Result<PathBuf> {
        let path = directory.join(&file.name);
        let unusable = |why: String| {
            Error::new(
                ErrorKind::Manifest,
                format!("{} {why}; add --restart to start over", path.display()),
            )
        };
        if !is_own_name(&file.name) {
            return Err(unusable("cannot be a name in the journal".to_owned()));
        }
        let bytes = fs::metadata(&path)
            .map_err(|e| unusable(format!("cannot be read: {e}")))?
            .len();
        if bytes != file.bytes {
            return Err(unusable(format!(
                "has {bytes} bytes, the journal says {}",
                file.bytes
            )));
        }
        let found = crate::manifest::checksum(&path)
            .map_err(|e| unusable(format!("cannot be read: {e}")))?;
        if found != file.crc32c {
            return Err(unusable(format!(
                "has checksum {found:08x}, the journal says {:08x}",
                file.crc32c
            )));
        }
        Ok(path)
    }

    /// Opens the shard of `unit` and `split` under a temporary name.
    pub(crate) fn shard(&self, split: Split, unit: usize) -> Result<PendingFile> {
        PendingFile::create(&self.inner, &FileName::shard(split, unit))
    }

    /// Opens the file of `unit` of an output without splits under a temporary name.
    pub(crate) fn part(&self, unit: usize) -> Result<PendingFile> {
        PendingFile::create(&self.inner, &FileName::part(unit))
    }

    /// Waits until every file is durable, moves them into the root, writes `_SUCCESS`, and lets go of the directory.
    ///
    /// # Errors
    /// [`Sink`](ErrorKind::Sink) or [`Disk`](ErrorKind::Disk) if any file could not be made durable. Also if a shard is still
    /// being written.
    pub fn commit(self) -> Result<()> {
        let inner = &self.inner;
        let unfinished = inner.state().open.len();
        if unfinished > 0 {
            return Err(Error::new(
                ErrorKind::Sink,
                format!(
                    "cannot commit {}: {unfinished} files are unfinished",
                    inner.root.display()
                ),
            ));
        }
        self.record(Record::Committing, Vec::new(), Vec::new())?;
        inner.finish_syncing()?;
        inner.workshop.move_up()?;
        let mut state = inner.state();
        for made in &state.made_above {
            if let Some(parent) = made.parent() {
                sync_directory(parent)?;
            }
        }
        state.outcome = Outcome::Committed;
        // The directory is complete; a workshop that stays behind is untidy and harms nobody.
        let _ = inner.workshop.remove();
        Ok(())
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change to the state is a single push: a panic elsewhere cannot leave it half made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(self: &Arc<Self>, name: &FileName, bytes: &[u8]) -> Result<()> {
        let mut pending = PendingFile::create(self, name)?;
        let written = pending.write_all(bytes);
        written.map_err(|e| {
            write_failed(
                pending.path(),
                &format!("cannot write {} bytes to", bytes.len()),
                e,
            )
        })?;
        let directory = pending.publish_now()?;
        sync_directory(&directory)
    }

    /// The directory `name` for finished files, made if need be. Never a link.
    fn make_directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.staged.join(name);
        match fs::create_dir(&path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(write_failed(&path, "cannot make", e));
            }
            _ => {}
        }
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => Ok(path),
            Ok(_) => Err(Error::new(
                ErrorKind::Sink,
                format!("{} is not a directory", path.display()),
            )),
            Err(e) => Err(write_failed(&path, "cannot make", e)),
        }
    }

    fn push(&self, work: Work) -> Result<()> {
        let queue = self.state().syncer.as_ref().map(Syncer::queue);
        // The queue may be full; the others must be able to go on meanwhile.
        queue.map_or_else(|| Err(syncer::stopped()), |queue| queue.push(work))
    }

    fn finish_syncing(&self) -> Result<()> {
        let syncer = self.state().syncer.take();
        syncer.map_or(Ok(()), Syncer::finish)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nothing may be renamed into place behind the removal.
        let _ = self.finish_syncing();
        let keeps_work = self.worth_keeping.load(Ordering::Acquire);
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.outcome == Outcome::Committed || (state.outcome == Outcome::Open && keeps_work) {
            return;
        }
        // There is nobody left to tell when something cannot be removed.
        let _ = self.workshop.remove();
        remove_directories(&state.made_above);
    }
}

/// Makes `path` and its parents; returns those that were made, outermost first.
fn make_root(path: &Path) -> Result<Vec<PathBuf>> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(Vec::new()),
        Ok(_) => {
            return Err(Error::config(format!(
                "output {} is a file, not a directory",
                path.display()
            )));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(create_failed(path, e)),
    }
    let absolute = std::path::absolute(path).map_err(|e| create_failed(path, e))?;
    let mut missing: Vec<&Path> = absolute
        .ancestors()
        .take_while(|directory| !directory.exists())
        .collect();
    missing.reverse();
    let mut made = Vec::with_capacity(missing.len());
    for directory in missing {
        match fs::create_dir(directory) {
            Ok(()) => made.push(directory.to_path_buf()),
            // Made by somebody else just now: theirs to keep.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
            Err(e) => {
                remove_directories(&made);
                return Err(create_failed(path, e));
            }
        }
    }
    Ok(made)
}

/// Removes directories, innermost first, as long as they are empty.
fn remove_directories(outermost_first: &[PathBuf]) {
    for directory in outermost_first.iter().rev() {
        let _ = fs::remove_dir(directory);
    }
}

/// Fails when the root holds anything but the workshop.
fn refuse_strangers(workshop: &Workshop, root: &Path) -> Result<()> {
    match workshop.strangers()? {
        0 => Ok(()),
        entries => Err(not_empty(root, entries)),
    }
}

fn not_empty(root: &Path, entries: usize) -> Error {
    let noun = if entries == 1 { "entry" } else { "entries" };
    Error::config(format!(
        "output directory {} is not empty: it has {entries} {noun}",
        root.display()
    ))
}

/// Makes the names in `directory` durable.
fn sync_directory(directory: &Path) -> Result<()> {
    let opened = OpenOptions::new().read(true).open(directory);
    // Some systems cannot open a directory; there a rename is as durable as it will get.
    if cfg!(not(unix)) && opened.is_err() {
        return Ok(());
    }
    opened
        .and_then(|directory| directory.sync_all())
        .map_err(|e| write_failed(directory, "cannot make durable", e))
}
