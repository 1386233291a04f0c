//! A file on its way into the output. Owns its temporary name; until it is published it does not exist for a reader.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;

use super::name::FileName;
use super::syncer::{Durable, Work};
use super::{Inner, write_failed};

/// A file being written under a temporary name. Dropped unpublished, it is removed.
///
/// Keeps the directory locked for as long as it lives.
#[derive(Debug)]
pub(crate) struct PendingFile {
    /// Taken when the file is published.
    open: Option<File>,
    temporary: PathBuf,
    path: PathBuf,
    directory: PathBuf,
    name: String,
    // Last: the removal of the whole output must come after the removal of this file.
    inner: Arc<Inner>,
}

impl PendingFile {
    pub(super) fn create(inner: &Arc<Inner>, name: &FileName) -> Result<Self> {
        let directory = match name.directory() {
            Some(directory) => inner.make_directory(directory)?,
            None => inner.staged.clone(),
        };
        let (path, temporary) = name.paths_in(&directory);
        // Exclusive creation refuses whatever is there already, a link included.
        let open = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|e| write_failed(&path, "cannot make", e))?;
        inner.state().open.insert(path.clone());
        Ok(Self {
            open: Some(open),
            temporary,
            path,
            directory,
            name: name.text(),
            inner: Arc::clone(inner),
        })
    }

    /// The final path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The final path relative to the root, with `/` between its parts.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Hands the finished file over to be made durable and renamed in the background.
    ///
    /// # Errors
    /// Whatever has gone wrong there so far, with this file or with an earlier one.
    pub(crate) fn publish(mut self) -> Result<()> {
        let Some(durable) = self.take() else {
            return Ok(());
        };
        self.inner.push(Work::File(durable))
    }

    /// Makes the file durable and renames it at once. Returns its directory, whose names the caller makes durable.
    pub(super) fn publish_now(mut self) -> Result<PathBuf> {
        if let Some(durable) = self.take() {
            durable.rename()?;
        }
        Ok(self.directory.clone())
    }

    fn take(&mut self) -> Option<Durable> {
        let open = self.open.take()?;
        self.inner.state().open.remove(&self.path);
        Some(Durable {
            open,
            temporary: self.temporary.clone(),
            path: self.path.clone(),
        })
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.open {
            Some(open) => open.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), File::flush)
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if self.open.take().is_none() {
            return;
        }
        // Swept with the workshop should this fail.
        let _ = fs::remove_file(&self.temporary);
        self.inner.state().open.remove(&self.path);
    }
}
