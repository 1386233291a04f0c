//! Datasets that were dropped, kept for the time that they may be brought back: `DATA/<project>/.dropped/<dataset>/<microseconds>`.
//!
//! No request can name a directory that begins with a dot. Must not know about requests.

use std::fs;
use std::path::{Path, PathBuf};

use super::metadata::{self, DATASET_FILE, DatasetMetadata};
use super::writing::{Contents, remove_directory};
use super::{Catalog, CatalogError, TIME_TRAVEL_US, io_error};
use crate::name::{self, NamePart};

const DIRECTORY: &str = ".dropped";

impl Catalog {
    /// Drops a dataset. One with tables can be brought back for a while.
    pub fn delete_dataset(
        &self,
        project: &str,
        dataset: &str,
        contents: Contents,
    ) -> Result<(), CatalogError> {
        let _changing = self.changing();
        let tables = self.tables(project, dataset)?;
        if contents == Contents::Refuse && !tables.is_empty() {
            return Err(CatalogError::DatasetInUse {
                project: project.to_owned(),
                dataset: dataset.to_owned(),
            });
        }
        let directory = self.root().join(project).join(dataset);
        let now = self.tick();
        let kept = self.dropped(project, dataset);
        fs::create_dir_all(&kept).map_err(io_error(&kept))?;
        // Names of one length, so that they sort by time.
        let target = kept.join(format!("{now:020}"));
        fs::rename(&directory, &target).map_err(io_error(&directory))?;
        self.forget(project, now)
    }

    /// Brings the dataset back that was last dropped under a name.
    ///
    /// # Errors
    /// [`CatalogError::DatasetExists`] when there is one of that name, [`CatalogError::DatasetNotFound`] when none is kept.
    pub fn undelete_dataset(
        &self,
        project: &str,
        dataset: &str,
    ) -> Result<DatasetMetadata, CatalogError> {
        name::check(NamePart::Project, project)?;
        name::check(NamePart::Dataset, dataset)?;
        let _changing = self.changing();
        let directory = self.root().join(project).join(dataset);
        if directory.is_dir() {
            return Err(CatalogError::DatasetExists {
                project: project.to_owned(),
                dataset: dataset.to_owned(),
            });
        }
        self.forget(project, self.tick())?;
        let kept = self.dropped(project, dataset);
        let latest = entries(&kept)?.pop();
        let latest = latest.ok_or_else(|| CatalogError::DatasetNotFound {
            project: project.to_owned(),
            dataset: dataset.to_owned(),
        })?;
        fs::rename(&latest, &directory).map_err(io_error(&latest))?;
        let mut known = self.dataset(project, dataset)?;
        known.modified_us = self.tick();
        metadata::write(&directory.join(DATASET_FILE), &known)?;
        Ok(known)
    }

    fn dropped(&self, project: &str, dataset: &str) -> PathBuf {
        self.root().join(project).join(DIRECTORY).join(dataset)
    }

    /// Deletes for good what was dropped too long ago.
    fn forget(&self, project: &str, now: i64) -> Result<(), CatalogError> {
        for dataset in entries(&self.root().join(project).join(DIRECTORY))? {
            let mut left = 0;
            for version in entries(&dataset)? {
                let at = version.file_name().and_then(|n| n.to_str()?.parse().ok());
                // A name that is no time is what a removal has left behind.
                if at.is_some_and(|at: i64| now.saturating_sub(at) <= TIME_TRAVEL_US) {
                    left += 1;
                } else if version.is_dir() {
                    remove_directory(&version)?;
                }
            }
            if left == 0 {
                remove_directory(&dataset)?;
            }
        }
        Ok(())
    }
}

/// What is in a directory, by name; nothing when it is not there.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    let found = match fs::read_dir(directory) {
        Ok(found) => found,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(io_error(directory)(source)),
    };
    let mut paths = Vec::new();
    for entry in found {
        paths.push(entry.map_err(io_error(directory))?.path());
    }
    paths.sort();
    Ok(paths)
}
