//! Rows in the place of those that a table has: all of it, or some of its files, under the same schema or another one.
//!
//! Rows of tables partitioned by their arrival stay in the partitions they are in. Must not know why rows change.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, Scalar, TimestampMicrosecondArray};
use arrow::compute::filter_record_batch;
use arrow::compute::kernels::cmp::not_distinct;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};

use super::data_name::DataName;
use super::metadata::TableMetadata;
use super::table::{DataFile, Table};
use super::{Catalog, CatalogError, TableWriter};
use crate::name::TableName;

/// Rows on their way into the place of others; dropped before [`Replacement::commit`] they leave nothing.
#[derive(Debug)]
pub(crate) struct Replacement {
    catalog: Arc<Catalog>,
    /// As it was when the replacement began: rows that are added in the meantime stay.
    old: Arc<Table>,
    /// File names whose rows go.
    gone: Vec<String>,
    schema: SchemaRef,
    /// By the partition of their rows.
    writers: BTreeMap<Option<String>, TableWriter>,
}

impl Catalog {
    /// Begins to replace all rows of a table by rows of `schema`, which is to become the table's.
    ///
    /// # Errors
    /// [`CatalogError::NotWritable`] for what has no rows of its own.
    pub fn replace_all(
        self: &Arc<Self>,
        old: &Arc<Table>,
        schema: SchemaRef,
    ) -> Result<Replacement, CatalogError> {
        let all = |_: &DataFile| true;
        self.replace_files(old, schema, all)
    }

    /// Begins to replace the rows of those files of a table that `goes` chooses.
    ///
    /// # Errors
    /// [`CatalogError::NotWritable`] for what has no rows of its own.
    pub fn replace_files(
        self: &Arc<Self>,
        old: &Arc<Table>,
        schema: SchemaRef,
        goes: impl Fn(&DataFile) -> bool,
    ) -> Result<Replacement, CatalogError> {
        if old.kind() != "TABLE" {
            return Err(CatalogError::NotWritable {
                table: old.name.clone(),
                kind: old.kind(),
            });
        }
        let gone = old.files.iter().filter(|file| goes(file));
        Ok(Replacement {
            catalog: Arc::clone(self),
            gone: gone.map(|file| file.file_name().to_owned()).collect(),
            old: Arc::clone(old),
            schema,
            writers: BTreeMap::new(),
        })
    }
}

impl DataFile {
    fn file_name(&self) -> &str {
        let name = self.path.file_name();
        name.and_then(|n| n.to_str()).unwrap_or_default()
    }

    /// The decorator of the partition its rows are in, of tables partitioned by arrival.
    pub fn partition(&self) -> Option<String> {
        DataName::parse(self.file_name()).partition
    }
}

impl Replacement {
    /// Adds rows of one partition, or of a table without partitions by arrival.
    pub fn write(
        &mut self,
        partition: Option<&str>,
        batch: &RecordBatch,
    ) -> Result<(), CatalogError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let key = partition.map(str::to_owned);
        if let Some(writer) = self.writers.get_mut(&key) {
            return writer.write(batch);
        }
        let (table, schema) = (&self.old.name, Arc::clone(&self.schema));
        let mut writer = self.catalog.begin(table, schema, key.clone())?;
        writer.write(batch)?;
        self.writers.insert(key, writer);
        Ok(())
    }

    /// Lets the old rows stay; what is written comes to them.
    pub fn keep_old(&mut self) {
        self.gone.clear();
    }

    /// Adds rows that arrive now.
    pub fn write_now(&mut self, batch: &RecordBatch) -> Result<(), CatalogError> {
        if !self.old.has_partition_time() {
            return self.write(None, batch);
        }
        let partition = self.catalog.partition_now(&self.old);
        self.write(Some(&partition), batch)
    }

    /// Adds rows each to the partition that its time names; without a time they are in none.
    pub fn write_by_time(
        &mut self,
        times: &TimestampMicrosecondArray,
        batch: &RecordBatch,
    ) -> Result<(), CatalogError> {
        let mut distinct: Vec<Option<i64>> = times.iter().collect();
        distinct.sort_unstable();
        distinct.dedup();
        for time in distinct {
            let partition = time.and_then(|time| self.old.partition_at(time));
            let one: TimestampMicrosecondArray = std::iter::once(time).collect();
            let one = Scalar::new(one.with_timezone_opt(times.timezone()));
            let rows = not_distinct(times, &one)
                .and_then(|mask| filter_record_batch(batch, &mask))
                .map_err(|source| CatalogError::Write {
                    path: self.catalog.directory(&self.old.name),
                    source: source.into(),
                })?;
            self.write(partition.as_deref(), &rows)?;
        }
        Ok(())
    }

    /// Takes the old rows out and makes the new ones part of the table. Snapshots of the time before still have the old rows.
    pub fn commit(self) -> Result<(), CatalogError> {
        let change: Option<fn(&mut TableMetadata)> = None;
        self.end(change)
    }

    /// The same, and changes what else the table is.
    pub fn commit_with(self, change: impl FnOnce(&mut TableMetadata)) -> Result<(), CatalogError> {
        self.end(Some(change))
    }

    fn end(mut self, change: Option<impl FnOnce(&mut TableMetadata)>) -> Result<(), CatalogError> {
        for writer in self.writers.values_mut() {
            writer.finish()?;
        }
        let table: &TableName = &self.old.name;
        // Rows that only come leave the metadata alone.
        if !self.gone.is_empty() || change.is_some() {
            self.catalog.update_table(table, |metadata| {
                self.catalog.take_out(table, &self.gone, metadata);
                if let Some(change) = change {
                    change(metadata);
                }
                Ok(())
            })?;
        }
        for writer in self.writers.into_values() {
            writer.publish()?;
        }
        Ok(())
    }
}

impl Table {
    /// The decorator of the partition that a time is in; `None` for a time beyond the calendar.
    pub fn partition_at(&self, micros: i64) -> Option<String> {
        let time = chrono::DateTime::from_timestamp_micros(micros)?;
        Some(time.format(self.partition_format()).to_string())
    }

    /// How decorators of its partitions are written.
    pub fn partition_format(&self) -> &'static str {
        let settings = self.metadata.as_ref().map(|m| &m.resource);
        let grain = settings.and_then(|r| r.get("timePartitioning")?.get("type")?.as_str());
        match grain {
            Some("HOUR") => "%Y%m%d%H",
            Some("MONTH") => "%Y%m",
            Some("YEAR") => "%Y",
            _ => "%Y%m%d",
        }
    }
}

/// A column of times as one of microseconds, if it is that.
pub(crate) fn times(column: &dyn Array) -> Option<&TimestampMicrosecondArray> {
    column.as_primitive_opt::<TimestampMicrosecondType>()
}
