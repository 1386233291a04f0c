//! Whether a directory may be trusted with spilled rows. Owns the rules on owners, links and modes; creates nothing.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{RootFault, SpillError};

const STICKY: u32 = 0o1000;
const WORLD_WRITE: u32 = 0o002;
const ROOT_UID: u32 = 0;

/// The user whose files this process makes.
pub(crate) fn own_uid() -> io::Result<u32> {
    // The kernel gives a new pipe the same owner as a new file, and a pipe touches no disk.
    let (reader, _writer) = io::pipe()?;
    Ok(File::from(OwnedFd::from(reader)).metadata()?.uid())
}

/// Resolves `root` and checks that nobody but this user and root can interfere with what is put there. A link is refused,
/// unless it is one that root made for other users, as `/tmp` is on some systems. The check is of `root` itself, not of the
/// directories above.
pub(crate) fn trusted_root(root: &Path, uid: u32) -> Result<PathBuf, SpillError> {
    let refuse = |fault| SpillError::InsecureRoot {
        path: root.to_owned(),
        fault,
    };
    let named = fs::symlink_metadata(root).map_err(SpillError::io(root, "inspect"))?;
    let resolved = fs::canonicalize(root).map_err(SpillError::io(root, "resolve"))?;
    if named.is_symlink() && !is_of_the_system(named.uid(), uid) {
        return Err(refuse(RootFault::Link {
            owner: named.uid(),
            target: resolved,
        }));
    }
    let target = fs::symlink_metadata(&resolved).map_err(SpillError::io(root, "inspect"))?;
    match fault_of(&target, uid) {
        Some(fault) => Err(refuse(fault)),
        None => Ok(resolved),
    }
}

fn fault_of(directory: &Metadata, uid: u32) -> Option<RootFault> {
    let mode = directory.permissions().mode() & 0o7777;
    if !directory.is_dir() {
        Some(RootFault::NotADirectory)
    } else if !is_trusted(directory.uid(), uid) {
        Some(RootFault::ForeignOwner {
            owner: directory.uid(),
        })
    } else if mode & WORLD_WRITE != 0 && mode & STICKY == 0 {
        Some(RootFault::WorldWritable { mode })
    } else {
        None
    }
}

/// Whether a link was made by root for everybody, rather than by root for a purpose of its own.
fn is_of_the_system(owner: u32, uid: u32) -> bool {
    owner == ROOT_UID && uid != ROOT_UID
}

fn is_trusted(owner: u32, uid: u32) -> bool {
    owner == uid || owner == ROOT_UID
}

#[cfg(test)]
mod tests;
