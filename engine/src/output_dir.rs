//! The directory a run writes to: locked, filled under temporary names, and either committed as a whole or emptied again.
//!
//! Owns the lock, every path below the root, and the order in which things become durable. Must not know what the files hold.
//!
//! A reader that looks for `_SUCCESS` never sees half a run: it is the last thing written. A run that fails, or is dropped,
//! removes what it made. A run that is killed leaves its lock file behind; the file lists what the run made, so the next
//! run on the same directory can remove exactly that and nothing of the user's.

mod failure;
mod leftovers;
mod name;
mod pending;
mod syncer;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millpond_features::Split;

use crate::error::{Error, ErrorKind, Result};

use self::failure::create_failed;
pub(crate) use self::failure::{kind_of, write_failed};
use self::leftovers::Leftovers;
use self::name::FileName;
pub(crate) use self::name::shard_path;
pub(crate) use self::pending::PendingFile;
use self::syncer::Syncer;

/// Written last; its presence says that the directory is complete.
pub(crate) const SUCCESS: &str = "_SUCCESS";
/// Held locked by the run that writes; lists what the run has made.
const LOCK: &str = ".millpond.lock";
/// Start of the name of every file that is not finished.
const TEMPORARY: &str = ".tmp-";

/// An output directory that this run, and no other, is writing to.
///
/// Dropped without [`commit`](Self::commit), and once no shard is being written any more, it removes everything the run
/// made, and the directory itself (with its parents) where the run made them too.
#[derive(Debug)]
pub struct OutputDir {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Locked for as long as it is open.
    lock: File,
    /// Root and parents that did not exist, outermost first.
    made_above: Vec<PathBuf>,
    /// Directories made below the root.
    directories: Vec<PathBuf>,
    /// Files made below the root, by their final and temporary paths.
    files: Vec<(PathBuf, PathBuf)>,
    syncer: Option<Syncer>,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Open,
    Committed,
}

impl OutputDir {
    /// Takes `path` for this run. It is made, with its parents, when absent.
    ///
    /// What a killed run left behind (its lock file is there, nobody holds it, and there is no `_SUCCESS`) is removed first.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if the path is not a directory, holds anything, or another run is writing to it;
    /// [`Sink`](ErrorKind::Sink) if it cannot be made or written to; [`Disk`](ErrorKind::Disk) if there is no room.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let made_above = make_root(path)?;
        match Self::take(path) {
            Ok((root, lock)) => Ok(Self {
                inner: Arc::new(Inner {
                    root,
                    state: Mutex::new(State {
                        lock,
                        made_above,
                        directories: Vec::new(),
                        files: Vec::new(),
                        syncer: None,
                        outcome: Outcome::Open,
                    }),
                }),
            }),
            Err(error) => {
                remove_directories(&made_above);
                Err(error)
            }
        }
    }

    /// Checks and locks a directory that exists.
    fn take(path: &Path) -> Result<(PathBuf, File)> {
        // Later steps must mean the same directory whatever happens to the working directory or to a link above it.
        let root = fs::canonicalize(path).map_err(|e| create_failed(path, e))?;
        let leftovers = Leftovers::look(&root)?;
        let lock_path = root.join(LOCK);
        let lock = leftovers.open_lock(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(another_run(&root)),
            Err(TryLockError::Error(e)) => return Err(write_failed(&lock_path, "cannot lock", e)),
        }
        if !is_still_at(&lock, &lock_path) {
            return Err(another_run(&root));
        }
        match leftovers.sweep(&root, &lock) {
            Ok(()) => Ok((root, lock)),
            Err(error) => {
                if leftovers == Leftovers::Nothing {
                    // Made by this call a moment ago; a failure to remove it changes nothing about the error.
                    let _ = fs::remove_file(&lock_path);
                }
                Err(error)
            }
        }
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

    /// Opens the shard of `unit` and `split` under a temporary name.
    pub(crate) fn shard(&self, split: Split, unit: usize) -> Result<PendingFile> {
        PendingFile::create(&self.inner, &FileName::shard(split, unit))
    }

    /// Opens the file of `unit` of an output without splits under a temporary name.
    pub(crate) fn part(&self, unit: usize) -> Result<PendingFile> {
        PendingFile::create(&self.inner, &FileName::part(unit))
    }

    /// Waits until every file is durable, writes `_SUCCESS`, and lets go of the directory.
    ///
    /// # Errors
    /// [`Sink`](ErrorKind::Sink) or [`Disk`](ErrorKind::Disk) if any file could not be made durable; everything is then removed.
    /// Also if a shard is still being written.
    pub fn commit(self) -> Result<()> {
        self.inner.finish_syncing()?;
        let (unfinished, directories) = {
            let state = self.inner.state();
            let unfinished = state
                .files
                .iter()
                .filter(|(path, _)| !path.exists())
                .count();
            (unfinished, state.directories.clone())
        };
        if unfinished > 0 {
            return Err(Error::new(
                ErrorKind::Sink,
                format!(
                    "cannot commit {}: {unfinished} files are unfinished",
                    self.inner.root.display()
                ),
            ));
        }
        for directory in &directories {
            sync_directory(directory)?;
        }
        self.inner.write(&FileName::reserved(SUCCESS), b"")?;
        let mut state = self.inner.state();
        for made in &state.made_above {
            if let Some(parent) = made.parent() {
                sync_directory(parent)?;
            }
        }
        state.outcome = Outcome::Committed;
        // `_SUCCESS` is durable: a lock file that stays behind is untidy and harms nobody.
        let _ = fs::remove_file(self.inner.root.join(LOCK));
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

    /// The directory `name` below the root, made if need be. Never a link.
    fn make_directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => return Ok(path),
            Ok(_) => {
                return Err(Error::new(
                    ErrorKind::Sink,
                    format!("{} is not a directory", path.display()),
                ));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(write_failed(&path, "cannot make", e)),
        }
        let mut state = self.state();
        state.note(&format!("{name}/"), &self.root)?;
        match fs::create_dir(&path) {
            Ok(()) => state.directories.push(path.clone()),
            // Another unit of this run was faster.
            Err(e)
                if e.kind() == io::ErrorKind::AlreadyExists
                    && state.directories.contains(&path) => {}
            Err(e) => return Err(write_failed(&path, "cannot make", e)),
        }
        Ok(path)
    }

    fn finish_syncing(&self) -> Result<()> {
        let syncer = self.state().syncer.take();
        syncer.map_or(Ok(()), Syncer::finish)
    }
}

impl State {
    /// Records in the lock file that `name` is about to be made, for the run that may have to clean up after a kill.
    fn note(&mut self, name: &str, root: &Path) -> Result<()> {
        self.lock
            .write_all(format!("{name}\n").as_bytes())
            .map_err(|e| write_failed(&root.join(LOCK), "cannot write to", e))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nothing may be renamed into place behind the removal.
        let _ = self.finish_syncing();
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.outcome == Outcome::Committed {
            return;
        }
        // `_SUCCESS` was made last and goes first. There is nobody left to tell when something cannot be removed.
        for (path, temporary) in state.files.iter().rev() {
            let _ = fs::remove_file(path);
            let _ = fs::remove_file(temporary);
        }
        remove_directories(&state.directories);
        let _ = fs::remove_file(self.root.join(LOCK));
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

fn another_run(root: &Path) -> Error {
    Error::config(format!("another run is writing to {}", root.display()))
}

/// Whether `path` still names the open file: a run that ended between our opening and our locking has removed it, and the
/// lock on a removed file excludes nobody.
#[cfg(unix)]
fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_still_at(_file: &File, path: &Path) -> bool {
    path.exists()
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
