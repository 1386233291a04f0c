//! Changes to the catalog: datasets and tables made, changed and dropped, and rows added to tables.
//!
//! Rows become part of a table when their file gets its final name, all at once, and last from then on: the file and its
//! directory are on disk before the call returns. Must not know where rows come from.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use serde_json::{Map, Value, json};

use super::data_name::DataName;
use super::metadata::{self, DATASET_FILE, DatasetMetadata, TABLE_FILE, TableMetadata};
use super::stream_files::Part;
use super::{Catalog, CatalogError, TIME_TRAVEL_US, io_error};
use crate::name::{self, NamePart, TableName};
use crate::wire;

/// Rows of a row group, about what BigQuery's own exports have.
const GROUP_ROWS: usize = 128 * 1024;

/// What happens to the tables of a dataset that is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// They are dropped with it.
    Delete,
    /// There must be none.
    Refuse,
}

/// Rows that have become part of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Since when, in microseconds since 1970.
    pub at_us: i64,
    /// How many.
    pub rows: u64,
    /// Bytes of their file.
    pub bytes: u64,
}

impl Catalog {
    /// Makes a dataset.
    ///
    /// # Errors
    /// [`CatalogError::DatasetExists`], or what the name or the file system says.
    pub fn create_dataset(
        &self,
        project: &str,
        dataset: &str,
        resource: Map<String, Value>,
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
        fs::create_dir_all(&directory).map_err(io_error(&directory))?;
        let now = self.tick();
        let made = DatasetMetadata {
            created_us: now,
            modified_us: now,
            resource,
        };
        metadata::write(&directory.join(DATASET_FILE), &made)?;
        Ok(made)
    }

    /// Changes a dataset's description.
    pub fn update_dataset(
        &self,
        project: &str,
        dataset: &str,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<DatasetMetadata, CatalogError> {
        let _changing = self.changing();
        let mut now = self.dataset(project, dataset)?;
        change(&mut now.resource);
        now.modified_us = self.tick();
        metadata::write(
            &self.root().join(project).join(dataset).join(DATASET_FILE),
            &now,
        )?;
        Ok(now)
    }

    /// Makes a table, a view or an external table without rows.
    pub fn create_table(
        &self,
        table: &TableName,
        schema: Vec<crate::schema::FieldSchema>,
        resource: Map<String, Value>,
    ) -> Result<(), CatalogError> {
        let dataset = self.dataset(table.project(), table.dataset())?;
        let _changing = self.changing();
        if self.exists(table)? {
            return Err(CatalogError::TableExists {
                table: table.clone(),
            });
        }
        let directory = self.directory(table);
        fs::create_dir_all(&directory).map_err(io_error(&directory))?;
        let now = self.tick();
        let mut resource = resource;
        if let Some(lifetime) = dataset.table_lifetime_ms() {
            let expires = json!((now / 1000).saturating_add(lifetime).to_string());
            resource.entry("expirationTime").or_insert(expires);
        }
        let made = TableMetadata {
            schema,
            created_us: now,
            modified_us: now,
            removed: Default::default(),
            policy: None,
            row_access: Vec::new(),
            resource,
        };
        metadata::write(&directory.join(TABLE_FILE), &made)
    }

    /// Changes a table's metadata; one that had none gets its files' schema first.
    pub fn update_table(
        &self,
        table: &TableName,
        change: impl FnOnce(&mut TableMetadata) -> Result<(), CatalogError>,
    ) -> Result<(), CatalogError> {
        let _changing = self.changing();
        let mut now = self.managed(table)?;
        change(&mut now)?;
        now.modified_us = self.tick();
        metadata::write(&self.directory(table).join(TABLE_FILE), &now)
    }

    /// Drops a table and its files.
    pub fn delete_table(&self, table: &TableName) -> Result<(), CatalogError> {
        let _changing = self.changing();
        if !self.exists(table)? {
            return Err(CatalogError::TableNotFound {
                table: table.clone(),
            });
        }
        remove_directory(&self.directory(table))
    }

    /// Takes all rows out of a table; snapshots of the time before still have them.
    pub fn truncate(&self, table: &TableName) -> Result<(), CatalogError> {
        let files = self.listing(table, None)?.files;
        let names = files
            .iter()
            .filter_map(|(path, _, _)| path.file_name()?.to_str());
        let names: Vec<String> = names.map(str::to_owned).collect();
        self.update_table(table, |metadata| {
            self.take_out(table, &names, metadata);
            Ok(())
        })
    }

    /// Writes down that files are no part of a table from now on; what no snapshot can reach any more is deleted for good.
    pub(super) fn take_out(
        &self,
        table: &TableName,
        names: &[String],
        metadata: &mut TableMetadata,
    ) {
        let now = self.tick();
        for name in names {
            metadata.removed.entry(name.clone()).or_insert(now);
        }
        let directory = self.directory(table);
        metadata.removed.retain(|name, at| {
            let reachable = now.saturating_sub(*at) <= TIME_TRAVEL_US;
            reachable || fs::remove_file(directory.join(name)).is_err()
        });
    }

    /// Gives a table another name within its dataset or another one of the same project, with its rows and write streams.
    ///
    /// # Errors
    /// [`CatalogError::TableExists`] when the name is taken.
    pub fn rename_table(&self, from: &TableName, to: &TableName) -> Result<(), CatalogError> {
        self.require_dataset(to.project(), to.dataset())?;
        self.update_table(from, |_| Ok(()))?;
        let _changing = self.changing();
        if self.exists(to)? {
            return Err(CatalogError::TableExists { table: to.clone() });
        }
        let (old, new) = (self.directory(from), self.directory(to));
        // What is left of an expired table stands in the way.
        if new.is_dir() {
            remove_directory(&new)?;
        }
        fs::rename(&old, &new).map_err(io_error(&new))?;
        match new.parent() {
            Some(dataset) => metadata::sync_directory(dataset),
            None => Ok(()),
        }
    }

    /// Undoes all changes of a table's rows after `at_us`, microseconds since 1970.
    pub fn restore(&self, table: &TableName, at_us: i64) -> Result<(), CatalogError> {
        let directory = self.directory(table);
        self.update_table(table, |metadata| {
            for entry in fs::read_dir(&directory).map_err(io_error(&directory))? {
                let path = entry.map_err(io_error(&directory))?.path();
                let name = path.file_name().and_then(|n| n.to_str());
                let later = name.is_some_and(|n| DataName::parse(n).committed_us > at_us);
                if later {
                    fs::remove_file(&path).map_err(io_error(&path))?;
                }
            }
            metadata.removed.retain(|_, removed| *removed <= at_us);
            Ok(())
        })
    }

    /// Begins to add rows to a table; `partition` is a decorator without its dollar sign.
    ///
    /// # Errors
    /// What opening the table says, or the file system.
    pub fn writer(
        self: &Arc<Self>,
        table: &TableName,
        partition: Option<&str>,
    ) -> Result<TableWriter, CatalogError> {
        let opened = self.table(table)?;
        if opened.kind() != "TABLE" {
            return Err(CatalogError::NotWritable {
                table: table.clone(),
                kind: opened.kind(),
            });
        }
        let partition = match partition {
            Some(partition) => Some(partition.to_owned()),
            None if opened.has_partition_time() => Some(self.partition_now(&opened)),
            None => None,
        };
        self.begin(table, opened.schema.clone(), partition)
    }

    /// Begins a file of rows of `schema`.
    pub(super) fn begin(
        self: &Arc<Self>,
        table: &TableName,
        schema: SchemaRef,
        partition: Option<String>,
    ) -> Result<TableWriter, CatalogError> {
        let directory = self.directory(table);
        let part = directory.join(format!("_part-{:020}.parquet", self.tick()));
        TableWriter::begin(Arc::clone(self), directory, part, schema, partition)
    }

    /// The decorator of rows that arrive now.
    pub(super) fn partition_now(&self, table: &super::Table) -> String {
        let now = chrono::DateTime::<chrono::Utc>::from(self.clock.now());
        now.format(table.partition_format()).to_string()
    }

    /// The metadata of a table, made from its files when it has none.
    fn managed(&self, table: &TableName) -> Result<TableMetadata, CatalogError> {
        let opened = self.table(table)?;
        if let Some(metadata) = &opened.metadata {
            return Ok(metadata.clone());
        }
        let now = self.tick();
        Ok(TableMetadata {
            schema: crate::schema::from_arrow(&opened.schema),
            created_us: now,
            modified_us: now,
            removed: Default::default(),
            policy: None,
            row_access: Vec::new(),
            resource: Map::new(),
        })
    }
}

pub(super) fn remove_directory(path: &Path) -> Result<(), CatalogError> {
    // A name that is gone first cannot be found half removed.
    let mut gone = path.as_os_str().to_owned();
    gone.push(".dropped");
    let gone = PathBuf::from(gone);
    match fs::remove_dir_all(&gone) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io_error(&gone)(e)),
        _ => {}
    }
    fs::rename(path, &gone).map_err(io_error(path))?;
    fs::remove_dir_all(&gone).map_err(io_error(&gone))
}

/// Rows on their way into a table; dropped before [`TableWriter::commit`] they leave nothing.
#[derive(Debug)]
pub(crate) struct TableWriter {
    catalog: Arc<Catalog>,
    directory: PathBuf,
    part: PathBuf,
    partition: Option<String>,
    schema: SchemaRef,
    storage: SchemaRef,
    writer: Option<ArrowWriter<File>>,
    rows: u64,
    bytes: u64,
}

/// How rows are stored. Floats hardly repeat; without a dictionary they are read without being decoded.
fn properties(storage: &Schema) -> WriterProperties {
    let floats = storage
        .fields()
        .iter()
        .filter(|field| field.data_type().is_floating());
    floats
        .fold(WriterProperties::builder(), |properties, field| {
            let column = ColumnPath::from(field.name().as_str());
            properties.set_column_dictionary_enabled(column, false)
        })
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build()
}

impl TableWriter {
    fn begin(
        catalog: Arc<Catalog>,
        directory: PathBuf,
        part: PathBuf,
        schema: SchemaRef,
        partition: Option<String>,
    ) -> Result<Self, CatalogError> {
        let storage = wire::storage_schema(&schema);
        let file = File::create(&part).map_err(io_error(&part))?;
        let writer = ArrowWriter::try_new(file, storage.clone(), Some(properties(&storage)));
        let writer = writer.map_err(|source| CatalogError::Write {
            path: part.clone(),
            source,
        })?;
        Ok(Self {
            catalog,
            directory,
            part,
            partition,
            schema,
            storage,
            writer: Some(writer),
            rows: 0,
            bytes: 0,
        })
    }

    /// Adds rows that have the table's wire schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), CatalogError> {
        let stored =
            wire::to_storage(batch, &self.storage).map_err(|source| self.failed(source.into()))?;
        if let Some(writer) = &mut self.writer {
            writer
                .write(&stored)
                .map_err(|source| CatalogError::Write {
                    path: self.part.clone(),
                    source,
                })?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// The wire schema that rows must have.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Makes the rows part of the table. No rows leave no file.
    pub fn commit(mut self) -> Result<Commit, CatalogError> {
        self.finish()?;
        self.publish()
    }

    /// Ends the file, which is on disk then but no part of the table yet. No rows can be added any more.
    pub fn finish(&mut self) -> Result<(), CatalogError> {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        let file = writer.into_inner().map_err(|source| self.failed(source))?;
        file.sync_all().map_err(io_error(&self.part))?;
        self.bytes = file.metadata().map_err(io_error(&self.part))?.len();
        Ok(())
    }

    /// The finished file under the name it has until it is part of the table; `None` without rows, which make no file.
    pub fn part(&self) -> Option<Part> {
        let file = self.part.file_name()?.to_str()?.to_owned();
        (self.rows > 0).then(|| Part {
            file,
            partition: self.partition.clone(),
        })
    }

    /// Makes a finished file part of the table.
    pub fn publish(self) -> Result<Commit, CatalogError> {
        let _changing = self.catalog.changing();
        let name = DataName {
            committed_us: self.catalog.tick(),
            partition: self.partition.clone(),
        };
        if self.rows > 0 {
            let target = self.directory.join(name.to_file_name());
            fs::rename(&self.part, &target).map_err(io_error(&target))?;
            metadata::sync_directory(&self.directory)?;
        }
        Ok(Commit {
            at_us: name.committed_us,
            rows: self.rows,
            bytes: self.bytes,
        })
    }

    fn failed(&self, source: parquet::errors::ParquetError) -> CatalogError {
        CatalogError::Write {
            path: self.part.clone(),
            source,
        }
    }
}

impl Drop for TableWriter {
    fn drop(&mut self) {
        // After a commit there is nothing under this name any more.
        let _ = fs::remove_file(&self.part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};

    #[test]
    fn only_floats_are_stored_without_a_dictionary() {
        let field = |name, data_type| Field::new(name, data_type, true);
        let schema = Schema::new(vec![
            field("x.y", DataType::Float64),
            field("n", DataType::Int64),
            field("t", DataType::Utf8),
        ]);
        let properties = properties(&schema);
        let has = |name| properties.dictionary_enabled(&ColumnPath::from(name));
        assert_eq!(["x.y", "n", "t"].map(has), [false, true, true]);
    }
}
