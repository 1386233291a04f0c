//! External tables: rows that lie in files outside of the catalog.
//!
//! Files are local: `file://` addresses, or paths below the data directory. Parquet is streamed like a table's own files, and
//! everything else is read whole. Must not know about requests or queries.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde_json::{Map, Value};

use crate::catalog::Table;
use crate::file_formats::{self, Columns, FormatError};
use crate::schema::{self, FieldSchema, SchemaError};

/// Where the client's description of the data is, among a table's settings.
pub(crate) const CONFIGURATION: &str = "externalDataConfiguration";

/// Why the rows of an external table cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExternalError {
    /// The address is not one of a local file.
    #[error(
        "external data at {uri} cannot be read by this emulator, which reads local files: write file:///directory/file.parquet or a path below its data directory"
    )]
    NotLocal {
        /// As the client wrote it.
        uri: String,
    },
    /// Nothing is there.
    #[error("Not found: Files {uri}")]
    NotFound {
        /// As the client wrote it.
        uri: String,
    },
    /// A setting that would change which rows or columns there are.
    #[error("the setting {setting} of external data is not supported by this emulator")]
    Setting {
        /// Its name.
        setting: &'static str,
    },
    /// A description without what it needs.
    #[error("Required parameter is missing: {setting}")]
    Missing {
        /// Its name.
        setting: &'static str,
    },
    /// The file system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("Error while reading table: {table}, error message: {message}")]
    Format {
        /// The table, or the file while there is none.
        table: String,
        /// What is wrong with it.
        message: String,
    },
    /// Columns that BigQuery does not have.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// What a client says about external data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct External<'a> {
    configuration: &'a Value,
    root: &'a Path,
}

/// The rows of an external table.
pub(crate) enum Rows {
    /// They are read like those of any table.
    OfTable,
    /// All of them.
    Here(SchemaRef, Vec<RecordBatch>),
}

impl<'a> External<'a> {
    /// The description among a table's settings, if it is an external table. Relative paths begin at `root`.
    pub fn of(settings: &'a Map<String, Value>, root: &'a Path) -> Option<Self> {
        let configuration = settings.get(CONFIGURATION)?;
        Some(Self {
            configuration,
            root,
        })
    }

    pub fn format(&self) -> &'a str {
        self.configuration["sourceFormat"].as_str().unwrap_or("CSV")
    }

    /// Whether a table's own reader can read the files.
    pub fn is_parquet(&self) -> bool {
        self.format() == "PARQUET"
    }

    /// The files, in the order of their addresses and then of their names.
    ///
    /// # Errors
    /// [`ExternalError`] for an address that is not local, or behind which there is nothing.
    pub fn files(&self) -> Result<Vec<PathBuf>, ExternalError> {
        for setting in ["hivePartitioningOptions", "metadataCacheMode"] {
            if !self.configuration[setting].is_null() {
                return Err(ExternalError::Setting { setting });
            }
        }
        let mut files = Vec::new();
        let uris = self.configuration["sourceUris"].as_array();
        for uri in uris.into_iter().flatten().filter_map(Value::as_str) {
            let before = files.len();
            files.extend(self.matching(uri)?);
            if files.len() == before {
                let uri = uri.to_owned();
                return Err(ExternalError::NotFound { uri });
            }
        }
        if files.is_empty() {
            let setting = "sourceUris";
            return Err(ExternalError::Missing { setting });
        }
        Ok(files)
    }

    /// The files of one address, whose name may hold one star.
    fn matching(&self, uri: &str) -> Result<Vec<PathBuf>, ExternalError> {
        let path = self.local(uri).ok_or_else(|| ExternalError::NotLocal {
            uri: uri.to_owned(),
        })?;
        let name = path.file_name().and_then(|n| n.to_str());
        let Some((before, after)) = name.and_then(|n| n.split_once('*')) else {
            return Ok(if path.is_file() {
                vec![path]
            } else {
                Vec::new()
            });
        };
        let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
        let failed = |source| ExternalError::Io {
            path: directory.clone(),
            source,
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let matches = entry.file_name().to_str().is_some_and(|name| {
                name.len() >= before.len() + after.len()
                    && name.starts_with(before)
                    && name.ends_with(after)
            });
            if matches && entry.path().is_file() {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    fn local(&self, uri: &str) -> Option<PathBuf> {
        if let Some(path) = uri.strip_prefix("file://") {
            return path.starts_with('/').then(|| PathBuf::from(path));
        }
        let relative = Path::new(uri);
        let inside = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        (inside && !uri.contains("://")).then(|| self.root.join(relative))
    }

    /// The columns that the files have, for a table that was given none.
    ///
    /// # Errors
    /// [`ExternalError`] when the files cannot be read, or do not tell.
    pub fn columns(&self) -> Result<Vec<FieldSchema>, ExternalError> {
        let tells = file_formats::tells_its_columns(self.format());
        if !tells && self.configuration["autodetect"].as_bool() != Some(true) {
            let setting = "externalDataConfiguration.schema";
            return Err(ExternalError::Missing { setting });
        }
        let files = self.files()?;
        let first = files.first().ok_or(ExternalError::Missing {
            setting: "sourceUris",
        })?;
        let decoded = self.decode(first, Columns::Detect, &first.display().to_string())?;
        Ok(decoded.columns)
    }

    /// The columns that the description itself names.
    ///
    /// # Errors
    /// [`ExternalError::Schema`] when they are none.
    pub fn declared(&self) -> Result<Option<Vec<FieldSchema>>, ExternalError> {
        let fields = &self.configuration["schema"]["fields"];
        if !fields.is_array() {
            return Ok(None);
        }
        let fields: Vec<FieldSchema> =
            serde_json::from_value(fields.clone()).map_err(|e| ExternalError::Format {
                table: "the schema".to_owned(),
                message: e.to_string(),
            })?;
        Ok(Some(schema::checked(&fields)?))
    }

    fn decode(
        &self,
        path: &Path,
        columns: Columns,
        table: &str,
    ) -> Result<file_formats::Decoded, ExternalError> {
        let data = fs::read(path).map_err(|source| ExternalError::Io {
            path: path.to_owned(),
            source,
        })?;
        let decoded = file_formats::decode(self.format(), &data.into(), columns, &self.settings());
        decoded.map_err(|error: FormatError| ExternalError::Format {
            table: table.to_owned(),
            message: error.to_string(),
        })
    }

    /// The description as a load job would have it.
    fn settings(&self) -> Value {
        let mut settings = self.configuration.clone();
        for key in ["csvOptions", "avroOptions", "parquetOptions"] {
            let options = self.configuration[key].as_object().cloned();
            if let (Some(options), Value::Object(all)) = (options, &mut settings) {
                all.extend(options);
            }
        }
        settings
    }
}

/// The rows of an external table as they are now.
///
/// # Errors
/// [`ExternalError`] when they cannot be read.
pub(crate) fn open(root: &Path, table: &Table) -> Result<Rows, ExternalError> {
    let settings = table.metadata.as_ref().map(|m| &m.resource);
    let Some(external) = settings.and_then(|settings| External::of(settings, root)) else {
        return Ok(Rows::OfTable);
    };
    let files = external.files()?;
    if external.is_parquet() {
        return Ok(Rows::OfTable);
    }
    let columns = schema::from_arrow(&table.schema);
    let name = table.name.to_string();
    let mut batches = Vec::new();
    for path in files {
        let columns = Columns::OfTable(columns.clone());
        let decoded = external.decode(&path, columns, &name)?;
        for batch in decoded.batches {
            let batch = crate::wire::arranged(&batch, &table.schema);
            batches.push(batch.map_err(|e| ExternalError::Format {
                table: name.clone(),
                message: e.to_string(),
            })?);
        }
    }
    Ok(Rows::Here(Arc::clone(&table.schema), batches))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn files(root: &Path, uris: &[&str]) -> Result<Vec<String>, String> {
        let settings = Map::from_iter([(
            CONFIGURATION.to_owned(),
            json!({"sourceFormat": "CSV", "sourceUris": uris}),
        )]);
        let files = External::of(&settings, root).unwrap().files();
        files
            .map(|all| {
                let names = all.iter().map(|p| p.file_name().unwrap());
                names.map(|n| n.to_str().unwrap().to_owned()).collect()
            })
            .map_err(|e| e.to_string())
    }

    #[test]
    fn only_local_files_below_the_root_or_named_in_full_are_read() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("in")).unwrap();
        for name in ["b.csv", "a.csv", "a.json", "c.csv.part"] {
            fs::write(root.path().join("in").join(name), "1\n").unwrap();
        }
        let inside = files(root.path(), &["in/*.csv"]).unwrap();
        assert_eq!(inside, ["a.csv", "b.csv"]);
        let full = format!("file://{}/in/a*", root.path().display());
        assert_eq!(files(root.path(), &[&full]).unwrap(), ["a.csv", "a.json"]);
        let both = files(root.path(), &["in/b.csv", "in/a.csv"]).unwrap();
        assert_eq!(both, ["b.csv", "a.csv"]);
        for elsewhere in [
            "gs://b/a.csv",
            "s3://b/a",
            "../a.csv",
            "in/../../a",
            "/etc/passwd",
            "file://host/a",
        ] {
            let refused = files(root.path(), &[elsewhere]).unwrap_err();
            assert!(
                refused.contains(elsewhere) && refused.contains("local files"),
                "{refused}"
            );
        }
        for nothing in ["in/d.csv", "in/*.parquet", "in"] {
            let refused = files(root.path(), &["in/a.csv", nothing]).unwrap_err();
            assert_eq!(refused, format!("Not found: Files {nothing}"));
        }
        assert!(files(root.path(), &[]).unwrap_err().contains("sourceUris"));
    }
}
