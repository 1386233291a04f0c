//! Names of files below the root. Owns what a name may be, so that no name can lead out of the root.

use std::path::{Path, PathBuf};

use millpond_features::Split;

use crate::error::{Error, ErrorKind, Result};

use super::{SUCCESS, TEMPORARY};

/// A checked name: a file in the root, or in one directory of the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileName {
    directory: Option<String>,
    file: String,
}

impl FileName {
    /// Checks a name chosen by another module.
    pub(super) fn parse(name: &str) -> Result<Self> {
        let (directory, file) = match name.split_once('/') {
            Some((directory, file)) => (Some(directory), file),
            None => (None, name),
        };
        let split_directory = directory.is_some_and(|d| Split::ALL.iter().any(|s| s.as_str() == d));
        let good =
            is_plain(file) && directory.is_none_or(is_plain) && name != SUCCESS && !split_directory;
        if !good {
            return Err(Error::new(
                ErrorKind::Sink,
                format!("{name:?} cannot be the name of an output file"),
            ));
        }
        Ok(Self {
            directory: directory.map(str::to_owned),
            file: file.to_owned(),
        })
    }

    /// The shard of one unit and split.
    pub(super) fn shard(split: Split, unit: usize) -> Self {
        Self {
            directory: Some(split.as_str().to_owned()),
            file: shard_file(unit),
        }
    }

    /// The file of one unit of an output without splits.
    pub(super) fn part(unit: usize) -> Self {
        Self {
            directory: None,
            file: shard_file(unit),
        }
    }

    pub(super) fn directory(&self) -> Option<&str> {
        self.directory.as_deref()
    }

    /// As written in the lock file and the manifest, with `/` between the parts.
    pub(super) fn text(&self) -> String {
        match &self.directory {
            Some(directory) => format!("{directory}/{}", self.file),
            None => self.file.clone(),
        }
    }

    /// Final and temporary path in `directory`.
    pub(super) fn paths_in(&self, directory: &Path) -> (PathBuf, PathBuf) {
        (
            directory.join(&self.file),
            directory.join(format!("{TEMPORARY}{}", self.file)),
        )
    }
}

fn shard_file(unit: usize) -> String {
    format!("part-{unit:05}.parquet")
}

/// Path of a shard relative to the root, as the manifest lists it.
pub(crate) fn shard_path(split: Split, unit: usize) -> String {
    format!("{split}/{}", shard_file(unit))
}

/// Whether `part` is a visible name of harmless characters.
pub(super) fn is_plain(part: &str) -> bool {
    !part.is_empty()
        && part.len() <= 200
        && !part.starts_with('.')
        && part
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
