//! What is in a directory before a run takes it, and how the remains of a killed run are removed.
//!
//! Owns the decision whether a directory may be used. Removes only what a lock file lists, never through a link.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::{Error, Result};

use super::failure::{create_failed, write_failed};
use super::name::{FileName, is_plain};
use super::{LOCK, SUCCESS};

/// First line of every lock file.
const MARK: &str = "millpond output 1\n";

/// Longest lock file that is read, in bytes.
const LONGEST_LIST: u64 = 256 << 20;

/// What a directory held when it was first looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftovers {
    /// Nothing at all.
    Nothing,
    /// A lock file and perhaps what it lists: a run is writing here, or was killed.
    OfARun,
}

impl Leftovers {
    /// Looks into `root`. Anything that is not from an unfinished run is a refusal.
    pub(super) fn look(root: &Path) -> Result<Self> {
        let (entries, locked) = count(root)?;
        if entries == 0 {
            return Ok(Self::Nothing);
        }
        if !locked || fs::symlink_metadata(root.join(SUCCESS)).is_ok() {
            return Err(not_empty(root, entries));
        }
        Ok(Self::OfARun)
    }

    /// Opens the lock file, made if the directory is empty.
    pub(super) fn open_lock(self, path: &Path) -> Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        if self == Self::Nothing {
            options.create(true).truncate(false);
        }
        options
            .open(path)
            .map_err(|e| write_failed(path, "cannot open", e))
    }

    /// Under the lock: removes what a killed run made, makes sure that nothing else is there, and starts a new list.
    pub(super) fn sweep(self, root: &Path, mut lock: &File) -> Result<()> {
        let path = root.join(LOCK);
        let failed = |e: io::Error| write_failed(&path, "cannot use lock file", e);
        let mut list = String::new();
        // A list torn by a crash in the middle of a line, or another program's file, is not text we wrote: leave it alone.
        if lock.take(LONGEST_LIST).read_to_string(&mut list).is_err() {
            list.clear();
        }
        if let Some(names) = list.strip_prefix(MARK) {
            remove_listed(root, names);
        }
        let (entries, _) = count(root)?;
        if entries > 1 {
            return Err(not_empty(root, entries.saturating_sub(1)));
        }
        lock.set_len(0).map_err(failed)?;
        lock.seek(SeekFrom::Start(0)).map_err(failed)?;
        lock.write_all(MARK.as_bytes()).map_err(failed)
    }
}

/// Removes listed files (under both names), then listed directories. What cannot be removed is found by the count that follows.
fn remove_listed(root: &Path, names: &str) {
    let mut directories = Vec::new();
    for line in names.lines() {
        if let Some(directory) = line.strip_suffix('/') {
            if is_plain(directory) {
                directories.push(root.join(directory));
            }
        } else if let Some(name) = FileName::noted(line) {
            let directory = name
                .directory()
                .map_or_else(|| root.to_path_buf(), |d| root.join(d));
            if fs::symlink_metadata(&directory).is_ok_and(|found| found.is_dir()) {
                let (path, temporary) = name.paths_in(&directory);
                let _ = fs::remove_file(path);
                let _ = fs::remove_file(temporary);
            }
        }
    }
    super::remove_directories(&directories);
}

/// Number of entries, and whether the lock file (not a link to one) is among them.
fn count(root: &Path) -> Result<(usize, bool)> {
    let mut entries = 0;
    let mut locked = false;
    for entry in fs::read_dir(root).map_err(|e| create_failed(root, e))? {
        let entry = entry.map_err(|e| create_failed(root, e))?;
        entries += 1;
        locked |= entry.file_name() == LOCK && entry.file_type().is_ok_and(|kind| kind.is_file());
    }
    Ok((entries, locked))
}

fn not_empty(root: &Path, entries: usize) -> Error {
    let noun = if entries == 1 { "entry" } else { "entries" };
    Error::config(format!(
        "output directory {} is not empty: it has {entries} {noun}",
        root.display()
    ))
}
