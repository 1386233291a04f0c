//! What was dropped, kept for the time that it may be brought back: datasets in `DATA/<project>/.dropped/<dataset>/<microseconds>`,
//! tables in `DATA/<project>/<dataset>/.dropped/<table>/<microseconds>`.
//!
//! No request can name a directory that begins with a dot. Must not know about requests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::metadata::{self, DATASET_FILE, DatasetMetadata};
use super::writing::{Contents, remove_directory};
use super::{Catalog, CatalogError, TIME_TRAVEL_US, Table, io_error, micros};
use crate::name::{self, NamePart, TableName};

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
        keep(&directory, &self.dropped(project, dataset), now)?;
        forget(&self.root().join(project).join(DIRECTORY), now)
    }

    /// Drops a table. Of what it was it can be brought back for a while.
    pub fn drop_table(&self, table: &TableName) -> Result<(), CatalogError> {
        let _changing = self.changing();
        if !self.exists(table)? {
            return Err(CatalogError::TableNotFound {
                table: table.clone(),
            });
        }
        let now = self.tick();
        let kept = self.dropped_tables(table);
        keep(&self.directory(table), &kept.join(table.table()), now)?;
        forget(&kept, now)
    }

    /// A table with the rows that it had at `at`, even if it has been dropped since.
    ///
    /// # Errors
    /// [`CatalogError::TableNotFound`] when there was none then.
    pub fn table_then(
        &self,
        table: &TableName,
        at: SystemTime,
    ) -> Result<Arc<Table>, CatalogError> {
        let then = micros(at);
        match self.table_at(table, at) {
            Ok(found) if found.created_us() <= then => return Ok(found),
            Ok(_) | Err(CatalogError::TableNotFound { .. }) => {}
            Err(e) => return Err(e),
        }
        // The first that was dropped after that time.
        let versions = entries(&self.dropped_tables(table).join(table.table()))?;
        let version = versions
            .into_iter()
            .find(|version| time_of(version).is_some_and(|dropped| dropped > then));
        let missing = || CatalogError::TableNotFound {
            table: table.clone(),
        };
        let listing = self.listing_in(&version.ok_or_else(missing)?, table, Some(then))?;
        let found = Table::open(table.clone(), &listing)?;
        if found.created_us() > then {
            return Err(missing());
        }
        Ok(Arc::new(found))
    }

    fn dropped_tables(&self, table: &TableName) -> PathBuf {
        let dataset = self.root().join(table.project()).join(table.dataset());
        dataset.join(DIRECTORY)
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
        forget(&self.root().join(project).join(DIRECTORY), self.tick())?;
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
}

/// Puts a directory among those that were dropped under its name.
fn keep(directory: &Path, kept: &Path, now: i64) -> Result<(), CatalogError> {
    fs::create_dir_all(kept).map_err(io_error(kept))?;
    // Names of one length, so that they sort by time.
    let target = kept.join(format!("{now:020}"));
    fs::rename(directory, target).map_err(io_error(directory))
}

/// When a version was dropped. A name that is no time is what a removal has left behind.
fn time_of(version: &Path) -> Option<i64> {
    version.file_name()?.to_str()?.parse().ok()
}

/// Deletes for good what was dropped too long ago.
fn forget(dropped: &Path, now: i64) -> Result<(), CatalogError> {
    for name in entries(dropped)? {
        let mut left = 0;
        for version in entries(&name)? {
            let at = time_of(&version);
            if at.is_some_and(|at| now.saturating_sub(at) <= TIME_TRAVEL_US) {
                left += 1;
            } else if version.is_dir() {
                remove_directory(&version)?;
            }
        }
        if left == 0 {
            remove_directory(&name)?;
        }
    }
    Ok(())
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
