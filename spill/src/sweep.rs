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
/// links) of this user, with our marker, and with a lock that nobody holds. A directory whose owner died before its
/// marker was written is left alone, because it cannot be told from one being made.
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
    if !private || !is_own_file(&path.join(MARKER), uid)? {
        return Ok(Found::NotOurs);
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
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::{DirBuilderExt, symlink};

    use super::*;
    use crate::spill_dir::SpillDir;

    fn orphan(root: &Path, name: &str) -> PathBuf {
        let path = root.join(format!("{PREFIX}{name}"));
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        fs::write(path.join(LOCK), "").unwrap();
        fs::write(path.join(MARKER), "").unwrap();
        fs::write(path.join("rows-000000.parquet"), "rows").unwrap();
        fs::create_dir(path.join("operators")).unwrap();
        fs::write(path.join("operators/x"), "rows").unwrap();
        path
    }

    #[test]
    fn orphans_go_and_everything_else_stays() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let live = SpillDir::create(&root, None).unwrap();
        let dead = orphan(&root, "dead");
        let half = orphan(&root, "half-removed");
        fs::remove_file(half.join(LOCK)).unwrap();
        // Not ours: another name, no marker, a file, a mode that others could have written to.
        let other = root.join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join(MARKER), "").unwrap();
        let unmarked = orphan(&root, "unmarked");
        fs::remove_file(unmarked.join(MARKER)).unwrap();
        let file = root.join(format!("{PREFIX}file"));
        fs::write(&file, "").unwrap();
        let open = orphan(&root, "open");
        fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o770)).unwrap();

        let report = sweep(&root).unwrap();
        assert_eq!(report.removed, [dead.clone(), half.clone()]);
        assert_eq!((report.failed.len(), report.live), (0, 1));
        assert!(!dead.exists() && !half.exists());
        for kept in [live.path(), &other, &unmarked, &file, &open] {
            assert!(kept.exists(), "{}", kept.display());
        }
    }

    #[test]
    fn links_are_never_followed() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = orphan(elsewhere.path(), "target");
        symlink(&target, root.path().join(format!("{PREFIX}link"))).unwrap();
        // A link inside an orphan is removed, what it points to is not.
        let dead = orphan(root.path(), "dead");
        symlink(&target, dead.join("inner")).unwrap();
        // A marker that is a link does not count.
        let odd = orphan(root.path(), "odd");
        fs::remove_file(odd.join(MARKER)).unwrap();
        symlink(target.join(MARKER), odd.join(MARKER)).unwrap();
        let report = sweep(root.path()).unwrap();
        assert_eq!(report.removed.len(), 1);
        assert!(!dead.exists());
        assert!(odd.exists());
        assert!(target.join("operators/x").exists());
    }

    #[test]
    fn directories_of_other_users_stay() {
        let root = tempfile::tempdir().unwrap();
        let dead = orphan(root.path(), "dead");
        let uid = own_uid().unwrap();
        assert!(matches!(
            remove_if_orphan(&dead, uid + 1).unwrap(),
            Found::NotOurs
        ));
        assert!(dead.exists());
        assert!(matches!(
            remove_if_orphan(&dead, uid).unwrap(),
            Found::Removed
        ));
    }
}
