//! `TABLE$__PARTITIONS_SUMMARY__`: the partitions of a table as rows of a table of its own.
//!
//! A partition is there when it has a row. Must not know how rows are stored.

use std::sync::Arc;

use serde_json::{Value, json};

use super::error::RestError;
use super::rows::RowsText;
use super::tabledata::RowsPage;
use crate::catalog::Table;
use crate::partition_ids;

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
    let mut rows = RowsText::default();
    for id in ids(table)? {
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
        rows.push(&json!({"f": cells}))?;
    }
    Ok(RowsPage {
        total: rows.count(),
        rows,
        next: None,
    })
}

/// The ids of a table's partitions.
fn ids(table: &Arc<Table>) -> Result<Vec<String>, RestError> {
    let counts = partition_ids::counts(table)?.ok_or_else(|| {
        let name = &table.name;
        RestError::invalid(&format!("Table {name} is not partitioned"))
    })?;
    Ok(counts.into_keys().collect())
}
