//! The small files beside the data: what a table or a dataset is, apart from its rows.
//!
//! Written whole and renamed into place, so that a crash leaves the old state or the new one. Must not know about requests.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{CatalogError, io_error};
use crate::row_access::RowAccessPolicy;
use crate::schema::FieldSchema;

/// Name of the metadata file in a table's directory.
pub(super) const TABLE_FILE: &str = "table.json";

/// Name of the metadata file in a dataset's directory.
pub(super) const DATASET_FILE: &str = "dataset.json";

/// What a table is. A directory of Parquet files without this file is a table, too; its schema is that of its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TableMetadata {
    /// Columns, checked. A view has those of its query when they are known.
    #[serde(default)]
    pub schema: Vec<FieldSchema>,
    /// Microseconds since 1970.
    pub created_us: i64,
    /// Microseconds since 1970.
    pub modified_us: i64,
    /// Data files that are no longer part of the table, and since when, in microseconds since 1970.
    #[serde(default)]
    pub removed: BTreeMap<String, i64>,
    /// Who may do what, as the client set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Value>,
    /// Who sees which rows; everybody sees all where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_access: Vec<RowAccessPolicy>,
    /// What the client set beside the schema, in the REST form: description, timePartitioning, clustering, view and so on.
    #[serde(default)]
    pub resource: Map<String, Value>,
}

impl TableMetadata {
    /// The kind of table, in the REST form.
    pub fn kind(&self) -> &'static str {
        let has = |key| self.resource.contains_key(key);
        if has("view") {
            "VIEW"
        } else if has("materializedView") {
            "MATERIALIZED_VIEW"
        } else if has("externalDataConfiguration") {
            "EXTERNAL"
        } else if has("snapshotDefinition") {
            "SNAPSHOT"
        } else {
            "TABLE"
        }
    }

    /// Whether rows are partitioned by the time of their arrival, so that `_PARTITIONTIME` exists.
    pub fn has_partition_time(&self) -> bool {
        self.resource
            .get("timePartitioning")
            .is_some_and(|p| p.get("field").is_none_or(Value::is_null))
    }

    /// When the table ceases to exist, in milliseconds since 1970.
    pub fn expiration_ms(&self) -> Option<i64> {
        whole_number(self.resource.get("expirationTime")?)
    }
}

/// A number of 64 bits, which comes as a text as a rule.
fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}

/// What a dataset is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DatasetMetadata {
    /// Microseconds since 1970.
    pub created_us: i64,
    /// Microseconds since 1970.
    pub modified_us: i64,
    /// What the client set, in the REST form.
    #[serde(default)]
    pub resource: Map<String, Value>,
}

impl DatasetMetadata {
    /// Where the dataset is, `US` unless it was said.
    pub fn location(&self) -> &str {
        self.resource
            .get("location")
            .and_then(Value::as_str)
            .unwrap_or("US")
    }

    /// How long a table lives that does not say so itself, in milliseconds.
    pub fn table_lifetime_ms(&self) -> Option<i64> {
        whole_number(self.resource.get("defaultTableExpirationMs")?)
    }
}

/// Reads a metadata file; `None` when there is none.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, CatalogError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error(path)(source)),
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|source| CatalogError::Metadata {
            path: path.to_owned(),
            source,
        })
}

/// Writes a metadata file in place of the one there was.
pub(super) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), CatalogError> {
    let text = serde_json::to_vec_pretty(value).map_err(|source| CatalogError::Metadata {
        path: path.to_owned(),
        source,
    })?;
    let part = path.with_extension("json.part");
    let mut file = File::create(&part).map_err(io_error(&part))?;
    file.write_all(&text).map_err(io_error(&part))?;
    file.sync_all().map_err(io_error(&part))?;
    fs::rename(&part, path).map_err(io_error(path))?;
    if let Some(parent) = path.parent() {
        sync_directory(parent)?;
    }
    Ok(())
}

/// Makes renames and removals in a directory last.
pub(super) fn sync_directory(path: &Path) -> Result<(), CatalogError> {
    File::open(path)
        .and_then(|d| d.sync_all())
        .map_err(io_error(path))
}
