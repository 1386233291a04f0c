//! Removes what dead processes left behind. Owns the rule when a spill directory is an orphan; touches nothing else.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::SpillError;
use crate::root_check::{own_uid, trusted_root};
use crate::spill_dir::{LOCK, MARKER, PREFIX, remove_spill_tree};

/// What a sweep did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SweepReport {
    /// Orphaned directories that are gone now.
    pub removed: Vec<PathBuf>,
    /// Orphaned directories that could not be removed; the reasons are logged.
    pub failed: Vec<PathBuf>,
    /// Number of spill directories that belong to living processes.
    pub live: usize,
}

/// Removes the spill directories directly under `root` whose owners are dead: named like ours, real directories (no
/// links) of this user, with our marker, and with a lock that nobody holds; and empty ones, whose owners died before they wrote
/// anything or after they removed everything. A directory whose owner died between its lock and its marker is left alone, because it
/// cannot be told from one being made.
///
/// # Errors
/// [`SpillError::InsecureRoot`] as for [`SpillDir::create`](crate::SpillDir::create); [`SpillError::Io`] when `root`
/// cannot be listed.
pub fn sweep(root: &Path) -> Result<SweepReport, SpillError> {
    let uid = own_uid().map_err(SpillError::io(root, "find the owner of"))?;
    let root = trusted_root(root, uid)?;
    let mut report = SweepReport::default();
    let entries = fs::read_dir(&root).map_err(SpillError::io(&root, "list"))?;
    for entry in entries {
        let entry = entry.map_err(SpillError::io(&root, "list"))?;
        let named = entry
            .file_name()
            .to_str()
            .is_some_and(|n| n.starts_with(PREFIX));
        if !named {
            continue;
        }
        let path = entry.path();
        match remove_if_orphan(&path, uid) {
            Ok(Found::Removed) => report.removed.push(path),
            Ok(Found::Live) => report.live += 1,
            Ok(Found::NotOurs) => {}
            // Another sweep was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot remove an orphaned spill directory");
                report.failed.push(path);
            }
        }
    }
    report.removed.sort();
    report.failed.sort();
    Ok(report)
}

enum Found {
    Removed,
    Live,
    NotOurs,
}

fn remove_if_orphan(path: &Path, uid: u32) -> io::Result<Found> {
    let directory = fs::symlink_metadata(path)?;
    // Only this user can put anything into a private directory of this user, so what is inside can be trusted.
    let private = directory.is_dir() && directory.uid() == uid && directory.mode() & 0o077 == 0;
    if !private {
        return Ok(Found::NotOurs);
    }
    if !is_own_file(&path.join(MARKER), uid)? {
        // Fails unless it is empty. Whoever is making it makes another one.
        return Ok(match fs::remove_dir(path) {
            Ok(()) => Found::Removed,
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Found::NotOurs,
            Err(error) => return Err(error),
        });
    }
    let lock_path = path.join(LOCK);
    // Held until the directory is gone, so that of two sweeps only one removes it.
    let _lock = if is_own_file(&lock_path, uid)? {
        let lock = File::open(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => Some(lock),
            Err(TryLockError::WouldBlock) => return Ok(Found::Live),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    } else {
        // The lock goes before the marker: its owner, or a sweep, died while removing.
        None
    };
    remove_spill_tree(path)?;
    Ok(Found::Removed)
}

/// Whether `path` is a regular file of this user; links are not followed.
fn is_own_file(path: &Path, uid: u32) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.is_file() && found.uid() == uid),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
