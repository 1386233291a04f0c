//! Rows out of files at addresses, as load jobs and external tables describe them: one after the other, all of one form.
//!
//! Must not know about jobs or tables.

use serde_json::Value;

use crate::external::ExternalError;
use crate::file_formats::{self, Columns, Decoded};
use crate::hive::Hive;
use crate::places::{FileAt, Places};
use crate::schema::FieldSchema;

/// Files and how they are read.
#[derive(Debug)]
pub(crate) struct SourceFiles {
    pub files: Vec<FileAt>,
    format: String,
    settings: Value,
    hive: Option<Hive>,
}

/// Rows, and the bytes of the files they were in.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub decoded: Decoded,
    pub bytes: u64,
}

fn unreadable(error: &impl std::fmt::Display) -> ExternalError {
    ExternalError::Directories {
        message: error.to_string(),
    }
}

impl SourceFiles {
    /// The files of all `sourceUris` of `settings`, which have the names of a load job's.
    ///
    /// # Errors
    /// [`ExternalError`] for an address behind which there is nothing, and for directories that tell no columns.
    pub fn find(places: &Places, format: &str, settings: Value) -> Result<Self, ExternalError> {
        file_formats::refuse(&settings).map_err(|e| unreadable(&e))?;
        let mut files = Vec::new();
        let uris = settings["sourceUris"].as_array();
        for uri in uris.into_iter().flatten().filter_map(Value::as_str) {
            files.extend(places.files(uri)?);
        }
        if files.is_empty() {
            let setting = "sourceUris";
            return Err(ExternalError::Missing { setting });
        }
        let uris: Vec<&str> = files.iter().map(|file| file.uri.as_str()).collect();
        let hive = Hive::read(&settings["hivePartitioningOptions"], &uris);
        let hive = hive.map_err(|e| unreadable(&e))?;
        Ok(Self {
            files,
            format: format.to_owned(),
            settings,
            hive,
        })
    }

    /// Columns that no file has: those of directories.
    pub fn of_directories(&self) -> &[FieldSchema] {
        self.hive.as_ref().map_or(&[], Hive::columns)
    }

    /// The file that shows what all have: of files that tell their columns the last by its address, else the first one.
    fn showing(&self) -> &[FileAt] {
        let last = self
            .files
            .iter()
            .enumerate()
            .max_by_key(|(_, file)| &file.uri);
        let at = match last {
            Some((at, _)) if file_formats::tells_its_columns(&self.format) => at,
            _ => 0,
        };
        self.files.get(at..at + 1).unwrap_or_default()
    }

    /// The columns that files show, and those of the directories.
    ///
    /// # Errors
    /// As for [`SourceFiles::read`].
    pub fn columns(&self) -> Result<Vec<FieldSchema>, ExternalError> {
        Ok(self
            .gather(self.showing(), Columns::Detect)?
            .decoded
            .columns)
    }

    /// The rows of all files. What one file shows of its columns, the others must have.
    ///
    /// # Errors
    /// [`ExternalError::Format`] for what is damaged, and for more bad rows than are allowed.
    pub fn read(&self, columns: Columns) -> Result<Gathered, ExternalError> {
        let several = self.files.len() > 1 && file_formats::tells_its_columns(&self.format);
        let columns = match columns {
            Columns::Detect if several => Columns::Given(self.columns()?),
            columns => columns,
        };
        self.gather(&self.files, columns)
    }

    fn gather(&self, files: &[FileAt], columns: Columns) -> Result<Gathered, ExternalError> {
        let mut columns = self.of_files(columns);
        let mut all: Option<Gathered> = None;
        for file in files {
            let data = file.read()?;
            let bytes = data.len() as u64;
            let decoded =
                file_formats::decode(&self.format, &data, columns.clone(), &self.settings);
            let decoded = decoded.map_err(|error| ExternalError::Format {
                table: file.uri.clone(),
                message: error.to_string(),
            })?;
            if matches!(columns, Columns::Detect) {
                columns = Columns::Given(decoded.columns.clone());
            }
            let decoded = match &self.hive {
                None => decoded,
                Some(hive) => {
                    let whole = hive.beside(&file.uri, decoded);
                    whole.map_err(|e| unreadable(&e))?
                }
            };
            match &mut all {
                None => all = Some(Gathered { decoded, bytes }),
                Some(all) => {
                    all.bytes += bytes;
                    all.decoded.bad += decoded.bad;
                    all.decoded.batches.extend(decoded.batches);
                }
            }
        }
        all.ok_or(ExternalError::Missing {
            setting: "sourceUris",
        })
    }

    /// Without the columns of directories.
    fn of_files(&self, columns: Columns) -> Columns {
        let Some(hive) = &self.hive else {
            return columns;
        };
        let own = |mut columns: Vec<FieldSchema>| {
            columns.retain(|column| !hive.has(column));
            columns
        };
        match columns {
            Columns::Given(columns) => Columns::Given(own(columns)),
            Columns::OfTable(columns) => Columns::OfTable(own(columns)),
            Columns::Detect => Columns::Detect,
        }
    }
}

/// The columns that another file, `referenceFileSchemaUri`, shows in their place; `None` where there is none.
///
/// # Errors
/// [`ExternalError`] when it is not there or cannot be read.
pub(crate) fn of_reference(
    places: &Places,
    format: &str,
    settings: &Value,
) -> Result<Option<Vec<FieldSchema>>, ExternalError> {
    let Some(uri) = settings["referenceFileSchemaUri"].as_str() else {
        return Ok(None);
    };
    if !file_formats::tells_its_columns(format) {
        return Ok(None);
    }
    let mut settings = settings.clone();
    settings["sourceUris"] = serde_json::json!([uri]);
    settings["hivePartitioningOptions"] = Value::Null;
    SourceFiles::find(places, format, settings)?
        .columns()
        .map(Some)
}
