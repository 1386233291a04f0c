//! Rows of a table that are changed by their primary key: change data capture.
//!
//! The last change of a key is the one that counts; all of a request's changes are made at one moment.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;
use arrow::row::{OwnedRow, RowConverter, SortField};
use serde_json::Value;

use super::WriteError;
use super::stream::fit;
use crate::catalog::{Catalog, Table};
use crate::name::TableName;
use crate::projection;
use crate::table_rows::TableRows;

/// Rows and what becomes of those with their keys.
#[derive(Debug)]
pub(crate) struct Changes {
    /// Rows of the table's schema.
    pub rows: RecordBatch,
    /// For every row whether the one with its key goes, rather than getting its values.
    pub deleted: Vec<bool>,
}

impl Changes {
    /// Makes the changes.
    ///
    /// # Errors
    /// [`WriteError::NoPrimaryKey`], or what reading and writing the table says.
    pub(super) fn apply(&self, catalog: &Arc<Catalog>, name: &TableName) -> Result<(), WriteError> {
        let table = catalog.table(name)?;
        let keys = Keys::try_new(&table)?;
        let rows = fit(&self.rows, &table.schema)?;
        let changed: Vec<OwnedRow> = keys.of(&rows)?;
        let gone: HashSet<&OwnedRow> = changed.iter().collect();
        let mut seen = HashSet::new();
        let mut last: Vec<bool> = changed.iter().rev().map(|key| seen.insert(key)).collect();
        last.reverse();
        let stays = |(last, deleted): (&bool, &bool)| *last && !*deleted;
        let put: BooleanArray = last
            .iter()
            .zip(&self.deleted)
            .map(stays)
            .map(Some)
            .collect();

        let mut touched: HashSet<PathBuf> = HashSet::new();
        for file in &table.files {
            let rows = file.end_row() - file.first_row;
            let only_keys =
                TableRows::try_new(Arc::clone(&table), &keys.names, file.first_row, rows)?;
            for batch in only_keys {
                if keys.of(&batch?)?.iter().any(|key| gone.contains(key)) {
                    touched.insert(file.path.clone());
                    break;
                }
            }
        }
        let goes = |file: &crate::catalog::DataFile| touched.contains(&file.path);
        let mut into = catalog.replace_files(&table, Arc::clone(&table.schema), goes)?;
        for file in table.files.iter().filter(|file| goes(file)) {
            let rows = file.end_row() - file.first_row;
            for batch in TableRows::try_new(Arc::clone(&table), &[], file.first_row, rows)? {
                let batch = fit(&batch?, &table.schema)?;
                let stay: BooleanArray = keys
                    .of(&batch)?
                    .iter()
                    .map(|key| Some(!gone.contains(key)))
                    .collect();
                let left = filter_record_batch(&batch, &stay)?;
                into.write(file.partition().as_deref(), &left)?;
            }
        }
        into.write_now(&filter_record_batch(&rows, &put)?)?;
        Ok(into.commit()?)
    }
}

/// The primary key of a table.
struct Keys {
    names: Vec<String>,
    converter: RowConverter,
}

impl Keys {
    fn try_new(table: &Table) -> Result<Self, WriteError> {
        let settings = table.metadata.as_ref().map(|m| &m.resource);
        let columns = settings.and_then(|r| {
            r.get("tableConstraints")?
                .get("primaryKey")?
                .get("columns")?
                .as_array()
        });
        let names: Vec<String> = columns
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let missing = || WriteError::NoPrimaryKey {
            table: table.name.clone(),
        };
        let fields = names
            .iter()
            .map(|name| projection::find(table.schema.fields(), name))
            .map(|found| Some(SortField::new(found?.1.data_type().clone())))
            .collect::<Option<Vec<SortField>>>()
            .filter(|fields| !fields.is_empty());
        Ok(Self {
            names,
            converter: RowConverter::new(fields.ok_or_else(missing)?)?,
        })
    }

    /// The keys of rows, which have at least the key's columns.
    fn of(&self, rows: &RecordBatch) -> Result<Vec<OwnedRow>, ArrowError> {
        let own = rows.schema();
        let columns: Vec<ArrayRef> = self
            .names
            .iter()
            .filter_map(|name| projection::find(own.fields(), name))
            .map(|(index, _)| Arc::clone(rows.column(index)))
            .collect();
        let keys = self.converter.convert_columns(&columns)?;
        Ok(keys.iter().map(|key| key.owned()).collect())
    }
}
