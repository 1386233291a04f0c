//! Ids of partitions: the decorators that name them, what rows are in them, and how many.
//!
//! Tables are partitioned by the arrival of their rows, by the time in a column, or by ranges of a column's integers. A partition is
//! there when it has a row. Must not know how rows are stored.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::catalog::{CatalogError, Table};
use crate::table_rows::{RowsError, TableRows};

const DAY_US: i64 = 86_400_000_000;

/// How the rows of a table are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Partitioning {
    /// By when they came; the file says.
    Arrival { format: &'static str },
    Time {
        column: String,
        format: &'static str,
    },
    Range {
        column: String,
        start: i64,
        end: i64,
        step: i64,
    },
}

impl Partitioning {
    /// How a table is partitioned, if it is.
    pub fn of(table: &Table) -> Option<Self> {
        let resource = &table.metadata.as_ref()?.resource;
        if let Some(range) = resource.get("rangePartitioning") {
            let bound = |key: &str| match &range["range"][key] {
                Value::String(text) => text.parse::<i64>().ok(),
                other => other.as_i64(),
            };
            return Some(Self::Range {
                column: range["field"].as_str()?.to_owned(),
                start: bound("start")?,
                end: bound("end")?,
                step: bound("interval").filter(|step| *step > 0)?,
            });
        }
        let time = resource.get("timePartitioning")?;
        let format = table.partition_format();
        Some(match time["field"].as_str() {
            None => Self::Arrival { format },
            Some(column) => Self::Time {
                column: column.to_owned(),
                format,
            },
        })
    }

    /// The column whose values say where rows are.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Arrival { .. } => None,
            Self::Time { column, .. } | Self::Range { column, .. } => Some(column),
        }
    }

    /// The partition of a row by its value of that column.
    fn id(&self, values: &ArrayRef, row: usize) -> Option<String> {
        if values.is_null(row) {
            return Some("__NULL__".to_owned());
        }
        match self {
            Self::Range {
                start, end, step, ..
            } => {
                let value = values.as_primitive_opt::<Int64Type>()?.value(row);
                Some(if (*start..*end).contains(&value) {
                    (start + (value - start) / step * step).to_string()
                } else {
                    "__UNPARTITIONED__".to_owned()
                })
            }
            Self::Arrival { format } | Self::Time { format, .. } => {
                let micros = match values.data_type() {
                    DataType::Date32 => {
                        i64::from(values.as_primitive::<Date32Type>().value(row)) * DAY_US
                    }
                    _ => values
                        .as_primitive_opt::<TimestampMicrosecondType>()?
                        .value(row),
                };
                shown(micros, format)
            }
        }
    }

    /// Whether all values of its column are in one partition.
    pub fn all_in(&self, values: &ArrayRef, id: &str) -> bool {
        (0..values.len()).all(|row| self.id(values, row).as_deref() == Some(id))
    }

    /// Whether an id is written like those of its partitions.
    pub fn takes(&self, id: &str) -> bool {
        if matches!(id, "__NULL__" | "__UNPARTITIONED__") {
            return true;
        }
        match self {
            Self::Range {
                start, end, step, ..
            } => id
                .parse::<i64>()
                .is_ok_and(|id| (*start..*end).contains(&id) && (id - start) % step == 0),
            Self::Arrival { format } | Self::Time { format, .. } => {
                let digits = match *format {
                    "%Y" => 4,
                    "%Y%m" => 6,
                    "%Y%m%d" => 8,
                    _ => 10,
                };
                id.len() == digits && crate::catalog::partition_time(id).is_some()
            }
        }
    }
}

fn shown(micros: i64, format: &str) -> Option<String> {
    let time: DateTime<Utc> = DateTime::from_timestamp_micros(micros)?;
    Some(time.format(format).to_string())
}

/// Rows of each partition of a table by its id; `None` when the table has no partitions. Blocks.
///
/// # Errors
/// [`RowsError`] when it cannot be read.
pub(crate) fn counts(table: &Arc<Table>) -> Result<Option<BTreeMap<String, u64>>, RowsError> {
    let Some(partitioning) = Partitioning::of(table) else {
        return Ok(None);
    };
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let Some(column) = partitioning.column() else {
        for file in &table.files {
            let id = match (file.partition_time, &partitioning) {
                (Some(time), Partitioning::Arrival { format }) => shown(time, format),
                _ => Some("__UNPARTITIONED__".to_owned()),
            };
            if let Some(id) = id {
                *counts.entry(id).or_default() += file.end_row() - file.first_row;
            }
        }
        return Ok(Some(counts));
    };
    let selected = [column.to_owned()];
    for batch in TableRows::try_new(Arc::clone(table), &selected, 0, u64::MAX)? {
        let batch = batch?;
        for values in batch.columns() {
            for row in 0..values.len() {
                if let Some(id) = partitioning.id(values, row) {
                    *counts.entry(id).or_default() += 1;
                }
            }
        }
    }
    Ok(Some(counts))
}

/// The rows of a partition and the others, each by their numbers, ascending. Blocks.
#[derive(Debug, Default)]
pub(crate) struct Division {
    pub inside: Vec<Range<u64>>,
    pub outside: Vec<Range<u64>>,
}

impl Division {
    /// Divides the rows of a table by a partition's id.
    ///
    /// # Errors
    /// [`RowsError`] when the column of its partitions cannot be read.
    pub fn of(
        table: &Arc<Table>,
        partitioning: &Partitioning,
        id: &str,
    ) -> Result<Self, RowsError> {
        let mut division = Self::default();
        let Some(column) = partitioning.column() else {
            for file in &table.files {
                let inside = file.partition().as_deref() == Some(id);
                division.add(file.first_row..file.end_row(), inside);
            }
            return Ok(division);
        };
        let mut row = 0;
        let selected = [column.to_owned()];
        for batch in TableRows::try_new(Arc::clone(table), &selected, 0, u64::MAX)? {
            for values in batch?.columns() {
                for at in 0..values.len() {
                    let inside = partitioning.id(values, at).as_deref() == Some(id);
                    division.add(row..row + 1, inside);
                    row += 1;
                }
            }
        }
        Ok(division)
    }

    fn add(&mut self, rows: Range<u64>, inside: bool) {
        let ranges = if inside {
            &mut self.inside
        } else {
            &mut self.outside
        };
        match ranges.last_mut().filter(|last| last.end == rows.start) {
            Some(last) => last.end = rows.end,
            None => ranges.push(rows),
        }
    }
}

/// Why a decorator names no partition of a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PartitionError {
    #[error("Table {table} is not partitioned, so that ${id} is no part of it")]
    Unpartitioned { table: String, id: String },
    #[error("Invalid partition id {id} of table {table}")]
    Id { table: String, id: String },
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// How a table is partitioned, for an id that must be one of its partitions'.
///
/// # Errors
/// [`PartitionError`] for a table without partitions, or whose partitions are called otherwise.
pub(crate) fn partitioning(table: &Table, id: &str) -> Result<Partitioning, PartitionError> {
    let (name, id) = (table.name.to_string(), id.to_owned());
    match Partitioning::of(table) {
        None => Err(PartitionError::Unpartitioned { table: name, id }),
        Some(partitioning) if partitioning.takes(&id) => Ok(partitioning),
        Some(_) => Err(PartitionError::Id { table: name, id }),
    }
}

/// A table with the rows of one partition alone. Blocks.
///
/// # Errors
/// [`PartitionError`] for an id of no partition, and when the table cannot be read.
pub(crate) fn partition(table: &Arc<Table>, id: &str) -> Result<Table, PartitionError> {
    let partitioning = partitioning(table, id)?;
    let division = Division::of(table, &partitioning, id)?;
    Ok(table.with_rows(&division.inside))
}
