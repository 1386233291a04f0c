//! `TABLE$__PARTITIONS_SUMMARY__`: the partitions of a table as rows of a table of its own.
//!
//! A partition is there when it has a row. Must not know how rows are stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::error::RestError;
use super::tabledata::RowsPage;
use crate::catalog::Table;
use crate::table_rows::TableRows;

/// What stands behind the table's name.
const DECORATOR: &str = "$__PARTITIONS_SUMMARY__";

/// The table whose partitions are asked for.
pub(super) fn asked_of(table: &str) -> Option<&str> {
    table.strip_suffix(DECORATOR)
}

/// The columns of the rows.
fn columns() -> Value {
    let column = |name: &str, kind: &str| json!({"name": name, "type": kind, "mode": "NULLABLE"});
    json!([
        column("project_id", "STRING"),
        column("dataset_id", "STRING"),
        column("table_id", "STRING"),
        column("partition_id", "STRING"),
        column("creation_time", "INTEGER"),
        column("last_modified_time", "INTEGER"),
    ])
}

/// The table of partitions in the REST form, made of that of the partitioned table.
pub(super) fn table(mut value: Value) -> Value {
    value["schema"] = json!({"fields": columns()});
    for id in ["/id", "/tableReference/tableId"] {
        if let Some(Value::String(id)) = value.pointer_mut(id) {
            id.push_str(DECORATOR);
        }
    }
    if let Some(members) = value.as_object_mut() {
        for key in [
            "timePartitioning",
            "rangePartitioning",
            "clustering",
            "numRows",
            "numBytes",
            "numTotalLogicalBytes",
            "numActiveLogicalBytes",
        ] {
            members.remove(key);
        }
    }
    value
}

/// The rows, with the columns named in `selected` or all. Blocks.
///
/// # Errors
/// [`RestError`] for a table without partitions, or when it cannot be read.
pub(super) fn rows(table: &Arc<Table>, selected: &[String]) -> Result<RowsPage, RestError> {
    let created = (table.created_us() / 1000).to_string();
    let modified = crate::catalog::micros(table.modified) / 1000;
    let name = &table.name;
    let fields = columns();
    let wanted = |column: &Value| {
        let name = column["name"].as_str().unwrap_or_default();
        selected.is_empty() || selected.iter().any(|s| s.eq_ignore_ascii_case(name))
    };
    let rows: Vec<Value> = ids(table)?
        .into_iter()
        .map(|id| {
            let cells = fields
                .as_array()
                .into_iter()
                .flatten()
                .filter(|c| wanted(c));
            let cells: Vec<Value> = cells
                .map(|column| match column["name"].as_str().unwrap_or_default() {
                    "project_id" => json!({"v": name.project()}),
                    "dataset_id" => json!({"v": name.dataset()}),
                    "table_id" => json!({"v": name.table()}),
                    "partition_id" => json!({"v": id}),
                    "creation_time" => json!({"v": created}),
                    _ => json!({"v": modified.to_string()}),
                })
                .collect();
            json!({"f": cells})
        })
        .collect();
    Ok(RowsPage {
        total: rows.len() as u64,
        rows,
        next: None,
    })
}

/// The ids of all partitions, ascending.
fn ids(table: &Arc<Table>) -> Result<BTreeSet<String>, RestError> {
    let settings = table.metadata.as_ref().map(|m| &m.resource);
    let get = |key: &str| settings.and_then(|s| s.get(key));
    let unpartitioned = || {
        let name = &table.name;
        RestError::invalid(&format!("Table {name} is not partitioned"))
    };
    if let Some(range) = get("rangePartitioning") {
        let bound = |key: &str| match &range["range"][key] {
            Value::String(text) => text.parse::<i64>().ok(),
            other => other.as_i64(),
        };
        let (start, end, step) = (bound("start"), bound("end"), bound("interval"));
        let (Some(start), Some(end), Some(step)) = (start, end, step.filter(|s| *s > 0)) else {
            return Err(unpartitioned());
        };
        return values(
            table,
            range["field"].as_str().unwrap_or_default(),
            |array, row| {
                let value = array.as_primitive_opt::<Int64Type>()?.value(row);
                Some(if (start..end).contains(&value) {
                    (start + (value - start) / step * step).to_string()
                } else {
                    "__UNPARTITIONED__".to_owned()
                })
            },
        );
    }
    let time = get("timePartitioning").ok_or_else(unpartitioned)?;
    let format = match time["type"].as_str() {
        Some("HOUR") => "%Y%m%d%H",
        Some("MONTH") => "%Y%m",
        Some("YEAR") => "%Y",
        _ => "%Y%m%d",
    };
    let shown = |micros: i64| {
        let time: DateTime<Utc> = DateTime::from_timestamp_micros(micros)?;
        Some(time.format(format).to_string())
    };
    match time["field"].as_str() {
        None => Ok(table
            .files
            .iter()
            .filter_map(|file| shown(file.partition_time?))
            .collect()),
        Some(field) => values(table, field, |array, row| {
            let micros = match array.data_type() {
                DataType::Date32 => {
                    let days = array.as_primitive::<Date32Type>().value(row);
                    i64::from(days) * 86_400_000_000
                }
                _ => array
                    .as_primitive_opt::<TimestampMicrosecondType>()?
                    .value(row),
            };
            shown(micros)
        }),
    }
}

/// The ids that the values of a column give.
fn values(
    table: &Arc<Table>,
    column: &str,
    id: impl Fn(&ArrayRef, usize) -> Option<String>,
) -> Result<BTreeSet<String>, RestError> {
    let mut ids = BTreeSet::new();
    let selected = [column.to_owned()];
    for batch in TableRows::try_new(Arc::clone(table), &selected, 0, u64::MAX)? {
        let batch = batch?;
        for array in batch.columns() {
            for row in 0..array.len() {
                ids.extend(if array.is_null(row) {
                    Some("__NULL__".to_owned())
                } else {
                    id(array, row)
                });
            }
        }
    }
    Ok(ids)
}
