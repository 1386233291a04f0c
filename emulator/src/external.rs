//! External tables: rows that lie in files outside of the catalog.
//!
//! Files are objects in buckets, local (`file://`), or below the data directory. Parquet is streamed like a table's own files,
//! unless directories are columns, too; everything else is read whole. Must not know about requests or queries.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde_json::{Map, Value};

use crate::catalog::Table;
use crate::file_formats::{self, Columns};
use crate::places::Places;
use crate::schema::{self, FieldSchema, SchemaError};
use crate::source_files::{self, SourceFiles};

/// Where the client's description of the data is, among a table's settings.
pub(crate) const CONFIGURATION: &str = "externalDataConfiguration";

/// Why the rows of an external table cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExternalError {
    /// The address is not one of a local file.
    #[error(
        "external data at {uri} cannot be read by this emulator, which reads local files: write gs://bucket/file.parquet, file:///directory/file.parquet or a path below its data directory"
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
    /// There is not even the bucket.
    #[error("Not found: Files {uri}")]
    NoBucket {
        /// As the client wrote it.
        uri: String,
    },
    /// Directories that should be columns tell none.
    #[error("{message}")]
    Directories {
        /// What is wrong with them.
        message: String,
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
    places: &'a Places,
}

/// The rows of an external table.
pub(crate) enum Rows {
    /// They are read like those of any table.
    OfTable,
    /// All of them.
    Here(SchemaRef, Vec<RecordBatch>),
}

impl<'a> External<'a> {
    /// The description among a table's settings, if it is an external table.
    pub fn of(settings: &'a Map<String, Value>, places: &'a Places) -> Option<Self> {
        let configuration = settings.get(CONFIGURATION)?;
        Some(Self {
            configuration,
            places,
        })
    }

    pub fn format(&self) -> &'a str {
        self.configuration["sourceFormat"].as_str().unwrap_or("CSV")
    }

    /// Whether a table's own reader can read the files.
    pub fn is_parquet(&self) -> bool {
        self.format() == "PARQUET" && !self.configuration["hivePartitioningOptions"].is_object()
    }

    /// The files, in the order of their addresses and then of their names.
    ///
    /// # Errors
    /// [`ExternalError`] for an address that leads nowhere, or behind which there is nothing.
    pub fn files(&self) -> Result<SourceFiles, ExternalError> {
        SourceFiles::find(self.places, self.format(), self.settings())
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
        let reference = source_files::of_reference(self.places, self.format(), &self.settings())?;
        match reference {
            Some(columns) => self.with_directories(columns),
            None => self.files()?.columns(),
        }
    }

    /// The columns: those that the description names, else those that the files show. What lies in a bucket that is not there is
    /// taken down and read by nobody, so it need not show any.
    ///
    /// # Errors
    /// [`ExternalError`] when there are none, or the files do not tell.
    pub fn columns_of_table(&self) -> Result<Vec<FieldSchema>, ExternalError> {
        if let Some(declared) = self.declared()? {
            return Ok(declared);
        }
        match self.columns() {
            Err(ExternalError::NotLocal { .. } | ExternalError::NoBucket { .. }) => Ok(Vec::new()),
            other => other,
        }
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
        self.with_directories(schema::checked(&fields)?).map(Some)
    }

    /// Columns of files, and behind them those of the directories they are in.
    ///
    /// # Errors
    /// [`ExternalError`] when directories should be columns and tell none.
    pub fn with_directories(
        &self,
        mut columns: Vec<FieldSchema>,
    ) -> Result<Vec<FieldSchema>, ExternalError> {
        if self.configuration["hivePartitioningOptions"].is_object() {
            let files = self.files()?;
            let own = files.of_directories().iter();
            let own = own.filter(|own| {
                let mut names = columns.iter().map(|c| &c.name);
                !names.any(|name| name.eq_ignore_ascii_case(&own.name))
            });
            let own: Vec<FieldSchema> = own.cloned().collect();
            columns.extend(own);
        }
        Ok(columns)
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
pub(crate) fn open(places: &Places, table: &Table) -> Result<Rows, ExternalError> {
    let settings = table.metadata.as_ref().map(|m| &m.resource);
    let Some(external) = settings.and_then(|settings| External::of(settings, places)) else {
        return Ok(Rows::OfTable);
    };
    let files = external.files()?;
    if external.is_parquet() {
        return Ok(Rows::OfTable);
    }
    let name = table.name.to_string();
    let wrong = |message: String| ExternalError::Format {
        table: name.clone(),
        message,
    };
    let columns = Columns::OfTable(schema::from_arrow(&table.schema));
    let gathered = files.read(columns).map_err(|error| match error {
        ExternalError::Format { message, .. } => wrong(message),
        other => other,
    })?;
    let mut batches = Vec::new();
    for batch in gathered.decoded.batches {
        let batch = crate::wire::arranged(&batch, &table.schema);
        batches.push(batch.map_err(|e| wrong(e.to_string()))?);
    }
    Ok(Rows::Here(Arc::clone(&table.schema), batches))
}
