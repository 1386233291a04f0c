//! The tables on disk: `DATA/<project>/<dataset>/<table>/*.parquet`.
//!
//! Owns the listing of directories and the opening of tables; a table stays opened until its files change.
//! Must not know about sessions, requests or the wire protocol.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use parquet::errors::ParquetError;

use crate::clock::Clock;
use crate::external::{External, ExternalError};
use crate::name::{self, NameError, NamePart, TableName, TablePrefix};
use crate::places::Places;
use crate::row_access::RowAccessError;
use crate::schema::{SchemaChangeError, SchemaError};
use crate::wire::UnsupportedColumn;

mod data_name;
mod dropped;
mod metadata;
mod replacement;
mod routines;
mod row_access;
mod sampling;
mod stream_files;
mod table;
mod writing;

pub(crate) use data_name::partition_time;
pub(crate) use metadata::{DatasetMetadata, TableMetadata};
pub(crate) use replacement::{Replacement, times};
pub(crate) use routines::Existing;
pub(crate) use row_access::{LastOne, Put};
pub(crate) use stream_files::{Part, Publishing, StreamFiles, StreamKind, StreamRecord, Waiting};
pub(crate) use table::{DataFile, PARTITION_DATE, PARTITION_TIME, Table};
pub(crate) use writing::{Commit, Contents, TableWriter};

use data_name::DataName;

/// How far back a table may be read, in microseconds.
pub(crate) const TIME_TRAVEL_US: i64 = 168 * 3_600_000_000;

/// Why a table could not be opened or a directory not be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// A project or dataset id did not pass the allow-list.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no directory for the dataset.
    #[error("Not found: Dataset {project}:{dataset}")]
    DatasetNotFound {
        /// Project id.
        project: String,
        /// Dataset id.
        dataset: String,
    },
    /// No table's name begins so.
    #[error("Not found: Table {pattern}")]
    NoMatch {
        /// The whole name, with a star.
        pattern: String,
    },
    /// There is no directory with Parquet files for the table.
    #[error("Not found: Table {table}")]
    TableNotFound {
        /// The table asked for.
        table: TableName,
    },
    /// The file system refused.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not Parquet or is damaged.
    #[error("cannot read the footer of {}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: ParquetError,
    },
    /// Rows cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the writer said.
        source: ParquetError,
    },
    /// A column has no BigQuery type.
    #[error("table {table}: {source}")]
    UnsupportedColumn {
        /// The table.
        table: TableName,
        /// The column.
        source: Box<UnsupportedColumn>,
    },
    /// There is such a dataset already.
    #[error("Already Exists: Dataset {project}:{dataset}")]
    DatasetExists {
        /// Project id.
        project: String,
        /// Dataset id.
        dataset: String,
    },
    /// There is such a table already.
    #[error("Already Exists: Table {table}")]
    TableExists {
        /// The table.
        table: TableName,
    },
    /// A dataset that is to be dropped has tables.
    #[error("Dataset {project}:{dataset} is still in use")]
    DatasetInUse {
        /// Project id.
        project: String,
        /// Dataset id.
        dataset: String,
    },
    /// A metadata file cannot be understood or written.
    #[error("cannot use the metadata file {}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A schema is not one of BigQuery's.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A table's schema cannot become another one.
    #[error(transparent)]
    SchemaChange(#[from] SchemaChangeError),
    /// There is no such routine.
    #[error("Not found: Routine {routine}")]
    RoutineNotFound {
        /// The routine asked for.
        routine: TableName,
    },
    /// There is such a routine already.
    #[error("Already Exists: Routine {routine}")]
    RoutineExists {
        /// The routine.
        routine: TableName,
    },
    /// What has no rows of its own takes none.
    #[error("{table} is not allowed for this operation because it is currently a {kind}.")]
    NotWritable {
        /// The table.
        table: TableName,
        /// What it is.
        kind: &'static str,
    },
    /// Row access policies stand against it, or are not what was asked for.
    #[error(transparent)]
    RowAccess(#[from] RowAccessError),
    /// Files outside of the catalog cannot be read.
    #[error(transparent)]
    External(#[from] ExternalError),
    /// Two files of one table do not hold the same columns.
    #[error("table {table}: the columns of {} differ from those of the first file", path.display())]
    FilesDisagree {
        /// The table.
        table: TableName,
        /// The file that differs.
        path: PathBuf,
    },
}

/// What tells one state of a table's files from another.
type Fingerprint = Vec<(PathBuf, u64, SystemTime)>;

/// A table's state on disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listing {
    metadata: Option<TableMetadata>,
    /// In storage order.
    files: Fingerprint,
}

/// The tables below one directory. All methods block on the file system.
#[derive(Debug)]
pub(crate) struct Catalog {
    places: Places,
    clock: Arc<dyn Clock>,
    opened: Mutex<HashMap<TableName, (Listing, Arc<Table>)>>,
    /// Held while directories or metadata change.
    changes: Mutex<()>,
    /// The latest commit time given away.
    latest_us: Mutex<i64>,
}

impl Catalog {
    /// A catalog of `root`, which need not exist yet.
    #[cfg(test)]
    pub fn new(root: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self::with_places(Places::new(root, None), clock)
    }

    /// A catalog of the root of `places`, which need not exist yet.
    pub fn with_places(places: Places, clock: Arc<dyn Clock>) -> Self {
        Self {
            places,
            clock,
            opened: Mutex::default(),
            changes: Mutex::default(),
            latest_us: Mutex::default(),
        }
    }

    /// The directory that relative paths begin at.
    pub fn root(&self) -> &Path {
        self.places.root()
    }

    /// Where addresses of files lead.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Opens a table, or returns it as opened before when nothing about it has changed.
    pub fn table(&self, table: &TableName) -> Result<Arc<Table>, CatalogError> {
        let listing = self.listing(table, None)?;
        let known = self.lock().get(table).cloned();
        if let Some((seen, opened)) = known
            && seen == listing
        {
            return Ok(opened);
        }
        // Opened without the lock: footers of a large table take a while, and doing it twice does no harm.
        let opened = Arc::new(Table::open(table.clone(), &listing)?);
        self.lock()
            .insert(table.clone(), (listing, Arc::clone(&opened)));
        Ok(opened)
    }

    /// What time it is.
    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Opens a table with the rows it had at `at`.
    pub fn table_at(&self, table: &TableName, at: SystemTime) -> Result<Arc<Table>, CatalogError> {
        let listing = self.listing(table, Some(micros(at)))?;
        Ok(Arc::new(Table::open(table.clone(), &listing)?))
    }

    /// What a dataset is; one without a metadata file is as old as its directory.
    pub fn dataset(&self, project: &str, dataset: &str) -> Result<DatasetMetadata, CatalogError> {
        self.require_dataset(project, dataset)?;
        let directory = self.root().join(project).join(dataset);
        if let Some(known) = metadata::read(&directory.join(metadata::DATASET_FILE))? {
            return Ok(known);
        }
        let modified = fs::metadata(&directory)
            .and_then(|m| m.modified())
            .map_err(io_error(&directory))?;
        Ok(DatasetMetadata {
            created_us: micros(modified),
            modified_us: micros(modified),
            resource: serde_json::Map::new(),
        })
    }

    /// The ids of all projects, ascending.
    pub fn projects(&self) -> Result<Vec<String>, CatalogError> {
        directories(self.root(), NamePart::Project)
    }

    /// The ids of a project's datasets, ascending. A project without a directory has none.
    pub fn datasets(&self, project: &str) -> Result<Vec<String>, CatalogError> {
        name::check(NamePart::Project, project)?;
        directories(&self.root().join(project), NamePart::Dataset)
    }

    /// Whether the dataset exists.
    pub fn require_dataset(&self, project: &str, dataset: &str) -> Result<(), CatalogError> {
        name::check(NamePart::Project, project)?;
        name::check(NamePart::Dataset, dataset)?;
        if self.root().join(project).join(dataset).is_dir() {
            Ok(())
        } else {
            Err(CatalogError::DatasetNotFound {
                project: project.to_owned(),
                dataset: dataset.to_owned(),
            })
        }
    }

    /// The ids of a dataset's tables, ascending.
    pub fn tables(&self, project: &str, dataset: &str) -> Result<Vec<String>, CatalogError> {
        self.require_dataset(project, dataset)?;
        directories(&self.root().join(project).join(dataset), NamePart::Table)
    }

    /// The tables of a dataset whose names begin alike, by name, each with the rest of its name.
    pub fn tables_of(
        &self,
        prefix: &TablePrefix,
    ) -> Result<Vec<(String, Arc<Table>)>, CatalogError> {
        let mut found = Vec::new();
        for id in self.tables(prefix.project(), prefix.dataset())? {
            let Some(suffix) = prefix.suffix(&id) else {
                continue;
            };
            match self.table(&TableName::try_new(
                prefix.project(),
                prefix.dataset(),
                &id,
            )?) {
                Ok(table) => found.push((suffix.to_owned(), table)),
                // Expired, or a directory that holds no table.
                Err(CatalogError::TableNotFound { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(found)
    }

    /// The directory of a table. Its name has passed the allow-list.
    fn directory(&self, table: &TableName) -> PathBuf {
        let dataset = self.root().join(table.project()).join(table.dataset());
        let directory = dataset.join(table.table());
        if directory.is_dir() || !self.ignores_case(&dataset) {
            return directory;
        }
        let ids = directories(&dataset, NamePart::Table).unwrap_or_default();
        let other = ids
            .into_iter()
            .find(|id| id.to_lowercase() == table.table().to_lowercase());
        other.map_or(directory, |id| dataset.join(id))
    }

    /// Whether names of tables in a dataset's directory mean the same in upper and lower case.
    fn ignores_case(&self, dataset: &Path) -> bool {
        let known: Result<Option<DatasetMetadata>, _> =
            metadata::read(&dataset.join(metadata::DATASET_FILE));
        let known = known.ok().flatten();
        known.is_some_and(|d| d.resource.get("isCaseInsensitive") == Some(&true.into()))
    }

    fn exists(&self, table: &TableName) -> Result<bool, CatalogError> {
        match self.listing(table, None) {
            Ok(_) => Ok(true),
            Err(CatalogError::TableNotFound { .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// The files of a table now, or at a time in microseconds since 1970.
    fn listing(&self, table: &TableName, at: Option<i64>) -> Result<Listing, CatalogError> {
        self.require_dataset(table.project(), table.dataset())?;
        self.listing_in(&self.directory(table), table, at)
    }

    /// The files of a table that lies in a directory.
    fn listing_in(
        &self,
        directory: &Path,
        table: &TableName,
        at: Option<i64>,
    ) -> Result<Listing, CatalogError> {
        let not_found = || CatalogError::TableNotFound {
            table: table.clone(),
        };
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(not_found()),
            Err(source) => return Err(io_error(directory)(source)),
        };
        let metadata: Option<TableMetadata> =
            metadata::read(&directory.join(metadata::TABLE_FILE))?;
        let expired = metadata
            .as_ref()
            .and_then(TableMetadata::expiration_ms)
            .is_some_and(|at| at <= micros(self.clock.now()) / 1000);
        if expired {
            return Err(not_found());
        }
        if let Some(metadata) = metadata.clone()
            && let Some(external) = External::of(&metadata.resource, &self.places)
        {
            return self.external_listing(&external, metadata.clone());
        }
        let removed = metadata.as_ref().map(|m| &m.removed);
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(io_error(directory))?.path();
            if !is_data_file(&path) {
                continue;
            }
            let name = path
                .file_name()
                .and_then(|n| n.to_str())
                .unwrap_or_default();
            let removed_at = removed.and_then(|r| r.get(name)).copied();
            let part_of_it = match at {
                None => removed_at.is_none(),
                Some(at) => {
                    DataName::parse(name).committed_us <= at && removed_at.is_none_or(|r| r > at)
                }
            };
            if !part_of_it {
                continue;
            }
            let facts = fs::metadata(&path).map_err(io_error(&path))?;
            let modified = facts.modified().map_err(io_error(&path))?;
            files.push((path, facts.len(), modified));
        }
        if files.is_empty() && metadata.is_none() {
            return Err(not_found());
        }
        // Storage order is the order of file names.
        files.sort();
        Ok(Listing { metadata, files })
    }

    /// The files of an external table, where they can be read like a table's own. One whose files are gone is still a table.
    fn external_listing(
        &self,
        external: &External<'_>,
        metadata: TableMetadata,
    ) -> Result<Listing, CatalogError> {
        let mut files = Vec::new();
        if external.is_parquet() {
            let found = external.files().map(|found| found.files);
            for path in found.unwrap_or_default().into_iter().map(|file| file.path) {
                let facts = fs::metadata(&path).map_err(io_error(&path))?;
                let modified = facts.modified().map_err(io_error(&path))?;
                files.push((path, facts.len(), modified));
            }
        }
        let metadata = Some(metadata);
        Ok(Listing { metadata, files })
    }

    /// A time for a commit, later than every one before.
    pub fn tick(&self) -> i64 {
        let mut latest = self
            .latest_us
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *latest = micros(self.clock.now()).max(*latest + 1);
        *latest
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TableName, (Listing, Arc<Table>)>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Microseconds since 1970.
pub(crate) fn micros(at: SystemTime) -> i64 {
    match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
    }
}

pub(crate) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> CatalogError + use<> {
    let path = path.to_owned();
    move |source| CatalogError::Io { path, source }
}

/// Writers leave unfinished files under names that start with a dot or an underscore.
fn is_data_file(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
        return false;
    };
    name.ends_with(".parquet") && !name.starts_with(['.', '_']) && path.is_file()
}

fn directories(parent: &Path, part: NamePart) -> Result<Vec<String>, CatalogError> {
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(io_error(parent)(source)),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error(parent))?;
        if !entry.path().is_dir() {
            continue;
        }
        // A directory whose name no request could name is not a table.
        if let Ok(id) = entry.file_name().into_string()
            && name::check(part, &id).is_ok()
        {
            ids.push(id);
        }
    }
    ids.sort();
    Ok(ids)
}
