//! Partitions of tables and what they hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::{Columns, QueryError, Row, head, time, with};
use crate::catalog::{Table, micros};
use crate::partition_ids;

pub(super) const PARTITIONS: Columns = &[
    ("table_catalog", "STRING"),
    ("table_schema", "STRING"),
    ("table_name", "STRING"),
    ("partition_id", "STRING"),
    ("total_rows", "INTEGER"),
    ("total_logical_bytes", "INTEGER"),
    ("last_modified_time", "TIMESTAMP"),
    ("storage_tier", "STRING"),
];

/// The columns of `table$__PARTITIONS_SUMMARY__`.
pub(super) const SUMMARY: Columns = &[
    ("project_id", "STRING"),
    ("dataset_id", "STRING"),
    ("table_id", "STRING"),
    ("partition_id", "STRING"),
    ("creation_time", "INTEGER"),
    ("last_modified_time", "INTEGER"),
];

/// One row for each partition that has rows; times are in milliseconds.
///
/// # Errors
/// [`QueryError::Invalid`] for a table without partitions.
pub(super) fn summary(table: &Arc<Table>) -> Result<Vec<Row>, QueryError> {
    let name = &table.name;
    let broken = |e: crate::table_rows::RowsError| {
        datafusion::common::DataFusionError::External(Box::new(e))
    };
    let counts = partition_ids::counts(table).map_err(broken)?;
    let counts = counts.ok_or_else(|| QueryError::Invalid {
        message: format!("Table {name} is not partitioned"),
    })?;
    let rows = counts.into_keys().map(|id| {
        super::row(json!({
            "project_id": name.project(),
            "dataset_id": name.dataset(),
            "table_id": name.table(),
            "partition_id": id,
            "creation_time": table.created_us() / 1000,
            "last_modified_time": micros(table.modified) / 1000,
        }))
    });
    Ok(rows.collect())
}

pub(super) fn rows(table: &Arc<Table>) -> Result<Vec<Row>, QueryError> {
    if table.kind() != "TABLE" {
        return Ok(Vec::new());
    }
    let broken = |e: crate::table_rows::RowsError| {
        datafusion::common::DataFusionError::External(Box::new(e))
    };
    let counts: BTreeMap<Option<String>, u64> =
        match partition_ids::counts(table).map_err(broken)? {
            Some(counts) => counts
                .into_iter()
                .map(|(id, rows)| (Some(id), rows))
                .collect(),
            None => BTreeMap::from([(None, table.rows)]),
        };
    let bytes = table.logical_bytes();
    let modified = time(micros(table.modified));
    Ok(counts
        .into_iter()
        .map(|(id, rows)| {
            let share = u128::from(bytes) * u128::from(rows) / u128::from(table.rows.max(1));
            with(
                head(table),
                json!({
                    "partition_id": id,
                    "total_rows": rows,
                    "total_logical_bytes": u64::try_from(share).unwrap_or(bytes),
                    "last_modified_time": modified,
                    "storage_tier": "ACTIVE",
                }),
            )
        })
        .collect())
}
