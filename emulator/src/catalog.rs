//! The tables on disk: `DATA/<project>/<dataset>/<table>/*.parquet`.
//!
//! Owns the listing of directories and the opening of tables; a table stays opened until its files change.
//! Must not know about sessions, requests or the wire protocol.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use parquet::errors::ParquetError;

use crate::name::{self, NameError, NamePart, TableName};
use crate::wire::UnsupportedColumn;

mod table;

pub(crate) use table::{DataFile, Table};

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
    /// A column has no BigQuery type.
    #[error("table {table}: {source}")]
    UnsupportedColumn {
        /// The table.
        table: TableName,
        /// The column.
        source: Box<UnsupportedColumn>,
    },
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

/// The tables below one directory. All methods block on the file system.
#[derive(Debug)]
pub(crate) struct Catalog {
    root: PathBuf,
    opened: Mutex<HashMap<TableName, (Fingerprint, Arc<Table>)>>,
}

impl Catalog {
    /// A catalog of `root`, which need not exist yet.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            opened: Mutex::default(),
        }
    }

    /// Opens a table, or returns it as opened before when none of its files has changed.
    pub fn table(&self, table: &TableName) -> Result<Arc<Table>, CatalogError> {
        let files = self.fingerprint(table)?;
        let known = self.lock().get(table).cloned();
        if let Some((seen, opened)) = known
            && seen == files
        {
            return Ok(opened);
        }
        // Opened without the lock: footers of a large table take a while, and doing it twice does no harm.
        let opened = Arc::new(Table::open(table.clone(), &files)?);
        self.lock()
            .insert(table.clone(), (files, Arc::clone(&opened)));
        Ok(opened)
    }

    /// The ids of a project's datasets, ascending. A project without a directory has none.
    pub fn datasets(&self, project: &str) -> Result<Vec<String>, CatalogError> {
        name::check(NamePart::Project, project)?;
        directories(&self.root.join(project), NamePart::Dataset)
    }

    /// Whether the dataset exists.
    pub fn require_dataset(&self, project: &str, dataset: &str) -> Result<(), CatalogError> {
        name::check(NamePart::Project, project)?;
        name::check(NamePart::Dataset, dataset)?;
        if self.root.join(project).join(dataset).is_dir() {
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
        directories(&self.root.join(project).join(dataset), NamePart::Table)
    }

    fn fingerprint(&self, table: &TableName) -> Result<Fingerprint, CatalogError> {
        self.require_dataset(table.project(), table.dataset())?;
        let directory = self
            .root
            .join(table.project())
            .join(table.dataset())
            .join(table.table());
        let not_found = || CatalogError::TableNotFound {
            table: table.clone(),
        };
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(not_found()),
            Err(source) => return Err(io_error(&directory)(source)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(io_error(&directory))?.path();
            if !is_data_file(&path) {
                continue;
            }
            let metadata = fs::metadata(&path).map_err(io_error(&path))?;
            let modified = metadata.modified().map_err(io_error(&path))?;
            files.push((path, metadata.len(), modified));
        }
        if files.is_empty() {
            return Err(not_found());
        }
        // Storage order is the order of file names.
        files.sort();
        Ok(files)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TableName, (Fingerprint, Arc<Table>)>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
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
