//! The place below the root where a run works until everything is finished.
//!
//! Owns the layout of that place, its lock, what it keeps between runs, and the last step, in which what is finished moves up
//! into the root. Everything in it is the engine's own, so it can be cleared without asking what is whose.
//!
//! ```text
//! OUT/.millpond/lock       held by the run
//! OUT/.millpond/journal    what is finished for good
//! OUT/.millpond/rows/      rows of a paid source, by unit and segment
//! OUT/.millpond/query/     rows of a query
//! OUT/.millpond/out/       files that move up when the run is committed
//! ```

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::journal::Record;

use super::failure::{create_failed, write_failed};
use super::name::is_plain;
use super::{SUCCESS, sync_directory};

/// Name of the workshop in the root.
pub(super) const WORKSHOP: &str = ".millpond";
/// Held locked by the run that writes.
const LOCK: &str = "lock";
/// The journal's file name.
const JOURNAL: &str = "journal";
/// What is finished and waits to move up.
const STAGED: &str = "out";
/// Rows of a paid source.
const ROWS: &str = "rows";
/// Rows of a query.
const QUERY: &str = "query";

/// The paths of a workshop.
#[derive(Debug, Clone)]
pub(super) struct Workshop {
    root: PathBuf,
    path: PathBuf,
}

impl Workshop {
    /// The workshop of `root`, which need not exist.
    pub(super) fn of(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            path: root.join(WORKSHOP),
        }
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    pub(super) fn staged(&self) -> PathBuf {
        self.path.join(STAGED)
    }

    pub(super) fn rows(&self) -> PathBuf {
        self.path.join(ROWS)
    }

    pub(super) fn query(&self) -> PathBuf {
        self.path.join(QUERY)
    }

    /// Whether there is one. A link or a file of that name is refused.
    pub(super) fn exists(&self) -> Result<bool> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_dir() => Ok(true),
            Ok(_) => Err(Error::config(format!(
                "{} is not a directory",
                self.path.display()
            ))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(create_failed(&self.path, e)),
        }
    }

    /// Makes the workshop, for this user only whatever the umask, and locks it.
    ///
    /// # Errors
    /// Config when another run holds it.
    pub(super) fn lock(&self) -> Result<File> {
        make_private(&self.path).map_err(|e| create_failed(&self.root, e))?;
        let path = self.path.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let lock = options
            .open(&path)
            .map_err(|e| write_failed(&path, "cannot open", e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(another_run(&self.root)),
            Err(TryLockError::Error(e)) => return Err(write_failed(&path, "cannot lock", e)),
        }
        if !is_still_at(&lock, &path) {
            return Err(another_run(&self.root));
        }
        Ok(lock)
    }

    /// Removes every file that no record speaks of, and the rows of units whose shards are in place.
    pub(super) fn sweep(&self, records: &[Record]) -> Result<()> {
        let mut listed: BTreeSet<PathBuf> = [LOCK, JOURNAL].map(|f| self.path.join(f)).into();
        let written: BTreeSet<usize> = records
            .iter()
            .filter_map(|record| match record {
                Record::Written(written) => Some(written.unit),
                _ => None,
            })
            .collect();
        for record in records {
            match record {
                Record::Rows(rows) if !written.contains(&rows.unit) => {
                    listed.insert(self.rows().join(segment_name(rows.unit, rows.segment)));
                }
                Record::Forgotten(forgotten) => {
                    let prefix = segment_prefix(forgotten.unit);
                    let rows = self.rows();
                    listed.retain(|path| {
                        let name = path.file_name().and_then(|name| name.to_str());
                        path.parent() != Some(&rows)
                            || !name.is_some_and(|name| name.starts_with(&prefix))
                    });
                }
                Record::Query(query) => {
                    listed.extend(query.files.iter().map(|f| self.query().join(&f.name)));
                }
                Record::Learned(learned) => {
                    listed.extend(learned.files.iter().map(|f| self.staged().join(&f.name)));
                }
                Record::Written(written) => {
                    listed.extend(written.shards.iter().map(|s| self.staged().join(&s.path)));
                }
                _ => {}
            }
        }
        remove_unlisted(&self.path, &listed)
            .map_err(|e| write_failed(&self.path, "cannot clear", e))
    }

    /// Removes the workshop; the journal, and the lock that guards it, go last.
    pub(super) fn remove(&self) -> io::Result<()> {
        let last = [JOURNAL, LOCK].map(|f| self.path.join(f));
        remove_unlisted(&self.path, &last.iter().cloned().collect())?;
        for path in last {
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        fs::remove_dir(&self.path)
    }

    /// Moves everything that is finished up into the root and says so with `_SUCCESS`. Can be repeated after a crash.
    pub(super) fn move_up(&self) -> Result<()> {
        let staged = self.staged();
        let failed = |e| write_failed(&staged, "cannot move", e);
        let entries = match fs::read_dir(&staged) {
            // Everything had moved, and clearing up had begun.
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            found => Some(found.map_err(failed)?),
        };
        for entry in entries.into_iter().flatten() {
            let entry = entry.map_err(failed)?;
            let target = self.root.join(entry.file_name());
            // A rename would replace a file that somebody put there meanwhile.
            if fs::symlink_metadata(&target).is_ok() {
                let error = io::Error::from(io::ErrorKind::AlreadyExists);
                return Err(write_failed(&target, "cannot move into place", error));
            }
            fs::rename(entry.path(), &target)
                .map_err(|e| write_failed(&target, "cannot move into place", e))?;
        }
        sync_directory(&self.root)?;
        let success = self.root.join(SUCCESS);
        File::create(&success)
            .and_then(|file| file.sync_all())
            .map_err(|e| write_failed(&success, "cannot make", e))?;
        sync_directory(&self.root)
    }

    /// Entries of the root besides the workshop.
    pub(super) fn strangers(&self) -> Result<usize> {
        let mut entries = 0;
        for entry in fs::read_dir(&self.root).map_err(|e| create_failed(&self.root, e))? {
            let entry = entry.map_err(|e| create_failed(&self.root, e))?;
            entries += usize::from(entry.file_name() != WORKSHOP);
        }
        Ok(entries)
    }
}

/// The file of a unit's segment.
pub(crate) fn segment_name(unit: usize, segment: usize) -> String {
    format!("{}{segment:05}.parquet", segment_prefix(unit))
}

fn segment_prefix(unit: usize) -> String {
    format!("unit-{unit:05}-")
}

/// Removes files and empty directories below `directory` that are not `listed`. Links are removed, never followed.
fn remove_unlisted(directory: &Path, listed: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_unlisted(&path, listed)?;
            match fs::remove_dir(&path) {
                Err(e) if e.kind() != io::ErrorKind::DirectoryNotEmpty => return Err(e),
                _ => {}
            }
        } else if !listed.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Makes a directory that only this user can enter, whatever the umask; one that is there already becomes private.
fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    match builder.create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Whether a name in a record can be one of ours: a plain file name, or one plain directory and a plain file name.
pub(super) fn is_own_name(name: &str) -> bool {
    match name.split_once('/') {
        Some((directory, file)) => is_plain(directory) && is_plain(file),
        None => is_plain(name),
    }
}

pub(super) fn another_run(root: &Path) -> Error {
    Error::config(format!("another run is writing to {}", root.display()))
}

/// Whether `path` still names the open file: a run that ended between our opening and our locking has removed it, and the
/// lock on a removed file excludes nobody.
#[cfg(unix)]
pub(super) fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
pub(super) fn is_still_at(_file: &File, path: &Path) -> bool {
    path.exists()
}
