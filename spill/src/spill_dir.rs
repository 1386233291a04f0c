//! The private directory that holds spilled rows. Owns its name, modes, lock, marker, quota and removal; knows nothing of
//! what the files contain.
//!
//! There are two kinds. A passing directory is made under a root, named at random, and gone with the process that made it.
//! A [lasting](SpillDir::lasting) one has a place of the caller's choosing and outlives the process with the files that
//! were declared kept.
//!
//! A live passing directory holds a locked file and a marker. The lock is taken before the marker is written and ends with the
//! process, so a marker beside a free lock means that the owner is dead; [`sweep`](crate::sweep) relies on that.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::SpillError;
use crate::root_check::{own_uid, trusted_root};

/// The setting named in [`SpillError::QuotaExceeded`].
pub const QUOTA_SETTING: &str = "spill_quota";

/// How the name of every spill directory begins.
pub(crate) const PREFIX: &str = "millpond-spill-";
/// Present in a directory that was set up completely.
pub(crate) const MARKER: &str = "MILLPOND_SPILL";
/// Locked as long as the owner lives.
pub(crate) const LOCK: &str = "lock";

const RANDOM_CHARACTERS: usize = 16;
/// Directories made in a row, when sweeps take them away.
const MOST_ATTEMPTS: usize = 100;
const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// A directory with a random name that only this user can enter, removed on drop with everything in it.
#[derive(Debug)]
pub struct SpillDir {
    path: PathBuf,
    /// Holds the lock of a passing directory.
    lock: Option<File>,
    quota_bytes: Option<u64>,
    live_bytes: AtomicU64,
    peak_bytes: AtomicU64,
    written_bytes: AtomicU64,
    next_file: AtomicU64,
}

impl SpillDir {
    /// Makes a new directory under `root`, mode 0700 whatever the umask. `root` must exist. `quota_bytes` limits what is on
    /// disk at one time; `None` is no limit.
    ///
    /// # Errors
    /// [`SpillError::InsecureRoot`] when `root` is a link (other than one that root made for all users), is owned by another
    /// user who is not root, or may be written to by everybody without the sticky bit; [`SpillError::Io`] when the directory
    /// cannot be made.
    pub fn create(root: &Path, quota_bytes: Option<u64>) -> Result<Self, SpillError> {
        let uid = own_uid().map_err(SpillError::io(root, "find the owner of"))?;
        let root = trusted_root(root, uid)?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let made = tempfile::Builder::new()
                .prefix(PREFIX)
                .rand_bytes(RANDOM_CHARACTERS)
                .permissions(Permissions::from_mode(PRIVATE_DIR))
                .tempdir_in(&root)
                .map_err(SpillError::io(&root, "create a spill directory in"))?;
            match set_up(made.path()) {
                // From here on removal is in the order that a sweep can take over.
                Ok(lock) => return Ok(Self::with_lock(made.keep(), Some(lock), quota_bytes)),
                // A sweep took it for an empty one whose owner died.
                Err(_) if attempts < MOST_ATTEMPTS && !made.path().exists() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Uses `path` for rows that outlive the process. It is made, mode 0700 whatever the umask, when absent; whoever owns
    /// the directory above guards it against other processes. Neither it nor a file that was
    /// [kept](crate::Segment::keep) is removed on drop.
    ///
    /// # Errors
    /// [`SpillError::Io`] when it cannot be made, or is there and is not a directory of its own (a link, say).
    pub fn lasting(path: &Path, quota_bytes: Option<u64>) -> Result<Self, SpillError> {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                let error = io::Error::from(io::ErrorKind::NotADirectory);
                return Err(SpillError::io(path, "use")(error));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new()
                    .mode(PRIVATE_DIR)
                    .create(path)
                    .map_err(SpillError::io(path, "create"))?;
            }
            Err(error) => return Err(SpillError::io(path, "inspect")(error)),
        }
        fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIR))
            .map_err(SpillError::io(path, "set the mode of"))?;
        Ok(Self::with_lock(path.to_owned(), None, quota_bytes))
    }

    fn with_lock(path: PathBuf, lock: Option<File>, quota_bytes: Option<u64>) -> Self {
        Self {
            path,
            lock,
            quota_bytes,
            live_bytes: AtomicU64::new(0),
            peak_bytes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            next_file: AtomicU64::new(0),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All bytes ever written to spill files here.
    pub fn bytes_written(&self) -> u64 {
        self.written_bytes.load(Ordering::Relaxed)
    }

    /// Bytes in spill files now.
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes.load(Ordering::Relaxed)
    }

    /// The most bytes that were in spill files at one time.
    pub fn peak_bytes(&self) -> u64 {
        self.peak_bytes.load(Ordering::Relaxed)
    }

    /// Makes a private subdirectory for another writer, such as a query engine's own spill files. What is written there
    /// is removed with this directory but does not count towards the quota.
    ///
    /// # Errors
    /// [`SpillError::Io`], also when it exists already.
    pub fn create_subdirectory(&self, name: &'static str) -> Result<PathBuf, SpillError> {
        let path = self.path.join(name);
        DirBuilder::new()
            .mode(PRIVATE_DIR)
            .create(&path)
            .map_err(SpillError::io(&path, "create"))?;
        fs::set_permissions(&path, Permissions::from_mode(PRIVATE_DIR))
            .map_err(SpillError::io(&path, "set the mode of"))?;
        Ok(path)
    }

    /// Creates the next spill file, mode 0600 whatever the umask. It is removed when the last clone of the slot is gone.
    pub(crate) fn create_file(self: &Arc<Self>) -> Result<(File, Arc<FileSlot>), SpillError> {
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        self.create_named(&format!("rows-{number:06}.parquet"))
    }

    /// Creates the file `name`, mode 0600 whatever the umask. Unless it is kept, it is removed when the last clone of the
    /// slot is gone.
    pub(crate) fn create_named(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<(File, Arc<FileSlot>), SpillError> {
        let path = self.path.join(name);
        let file = create_private(&path)?;
        Ok((file, Arc::new(FileSlot::new(self, path))))
    }

    /// The slot of the file `name` that an earlier process kept here; its `bytes` count as live.
    pub(crate) fn adopt_named(self: &Arc<Self>, name: &str, bytes: u64) -> Arc<FileSlot> {
        let slot = FileSlot::new(self, self.path.join(name));
        slot.bytes.store(bytes, Ordering::Relaxed);
        slot.keep();
        let live = self.live_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.peak_bytes.fetch_max(live + bytes, Ordering::Relaxed);
        Arc::new(slot)
    }

    fn charge(&self, path: &Path, bytes: u64) -> Result<(), SpillError> {
        let quota = self.quota_bytes.unwrap_or(u64::MAX);
        let add = |live: u64| live.checked_add(bytes).filter(|sum| *sum <= quota);
        match self
            .live_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
        {
            Ok(before) => {
                self.peak_bytes.fetch_max(before + bytes, Ordering::Relaxed);
                self.written_bytes.fetch_add(bytes, Ordering::Relaxed);
                Ok(())
            }
            Err(live_bytes) => Err(SpillError::QuotaExceeded {
                setting: QUOTA_SETTING,
                quota_bytes: quota,
                live_bytes,
                requested_bytes: bytes,
                path: path.to_owned(),
            }),
        }
    }
}

impl Drop for SpillDir {
    fn drop(&mut self) {
        if self.lock.is_none() {
            return;
        }
        if let Err(error) = remove_spill_tree(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the spill directory");
        }
    }
}

/// Creates a file that only this user can read. Fails when the name exists, be it a link.
/// Makes an empty directory one that a sweep knows, and takes its lock.
fn set_up(path: &Path) -> Result<File, SpillError> {
    // The umask may have taken bits away from the owner.
    fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIR))
        .map_err(SpillError::io(path, "set the mode of"))?;
    let lock = create_private(&path.join(LOCK))?;
    lock.lock().map_err(SpillError::io(path, "lock"))?;
    create_private(&path.join(MARKER))?;
    Ok(lock)
}

fn create_private(path: &Path) -> Result<File, SpillError> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(path)
        .map_err(SpillError::io(path, "create"))?;
    file.set_permissions(Permissions::from_mode(PRIVATE_FILE))
        .map_err(SpillError::io(path, "set the mode of"))?;
    Ok(file)
}

/// Removes a spill directory, the marker last: who is stopped half-way leaves a directory that a sweep still recognises.
/// Links inside are removed, never followed.
pub(crate) fn remove_spill_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() == MARKER || entry.file_name() == LOCK {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    // A sweep may be faster with what is left: an empty directory is anybody's.
    let gone = |removed: io::Result<()>| match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    gone(fs::remove_file(path.join(LOCK)))?;
    gone(fs::remove_file(path.join(MARKER)))?;
    gone(fs::remove_dir(path))
}

/// One file of the directory: its name, its bytes of the quota, and its removal. Keeps the directory alive.
#[derive(Debug)]
pub(crate) struct FileSlot {
    dir: Arc<SpillDir>,
    path: PathBuf,
    bytes: AtomicU64,
    kept: AtomicBool,
}

impl FileSlot {
    fn new(dir: &Arc<SpillDir>, path: PathBuf) -> Self {
        Self {
            dir: Arc::clone(dir),
            path,
            bytes: AtomicU64::new(0),
            kept: AtomicBool::new(false),
        }
    }

    /// From now on the file outlives the slot.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Counts bytes about to be written, unless they exceed the quota.
    pub(crate) fn charge(&self, bytes: u64) -> Result<(), SpillError> {
        self.dir.charge(&self.path, bytes)?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Takes back what was charged and not written.
    pub(crate) fn refund(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.dir.live_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.dir.written_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for FileSlot {
    fn drop(&mut self) {
        if !*self.kept.get_mut() {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %self.path.display(), %error, "cannot remove a spill file");
                }
                _ => {}
            }
        }
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.dir.live_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
