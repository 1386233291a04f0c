//! Columns, and the fields of records in them.

use serde_json::{Value, json};

use super::{Columns, Row, fields, head, setting, with, yes};
use crate::catalog::{PARTITION_TIME, Table};
use crate::query::sql_types;
use crate::query::statements::column_defaults;
use crate::schema::FieldSchema;

pub(super) const COLUMNS: Columns = &[
    ("table_catalog", "STRING"),
    ("table_schema", "STRING"),
    ("table_name", "STRING"),
    ("column_name", "STRING"),
    ("ordinal_position", "INTEGER"),
    ("is_nullable", "STRING"),
    ("data_type", "STRING"),
    ("is_generated", "STRING"),
    ("generation_expression", "STRING"),
    ("is_stored", "STRING"),
    ("is_hidden", "STRING"),
    ("is_updatable", "STRING"),
    ("is_system_defined", "STRING"),
    ("is_partitioning_column", "STRING"),
    ("clustering_ordinal_position", "INTEGER"),
    ("collation_name", "STRING"),
    ("column_default", "STRING"),
    ("rounding_mode", "STRING"),
];

pub(super) const COLUMN_FIELD_PATHS: Columns = &[
    ("table_catalog", "STRING"),
    ("table_schema", "STRING"),
    ("table_name", "STRING"),
    ("column_name", "STRING"),
    ("field_path", "STRING"),
    ("data_type", "STRING"),
    ("description", "STRING"),
    ("collation_name", "STRING"),
    ("rounding_mode", "STRING"),
];

pub(super) fn columns(table: &Table) -> Vec<Row> {
    let partitioned = ["timePartitioning", "rangePartitioning"]
        .iter()
        .find_map(|key| setting(table, key)?.get("field")?.as_str());
    let clustered = setting(table, "clustering").and_then(|c| c["fields"].as_array());
    let mut rows: Vec<Row> = fields(table)
        .iter()
        .zip(1_i64..)
        .map(|(field, position)| {
            let is = |name: &str| name.eq_ignore_ascii_case(&field.name);
            let cluster = clustered
                .and_then(|all| all.iter().position(|c| c.as_str().is_some_and(is)))
                .map(|at| at + 1);
            with(
                head(table),
                json!({
                    "column_name": field.name,
                    "ordinal_position": position,
                    "is_nullable": yes(field.mode != "REQUIRED"),
                    "data_type": sql_types::shown(field),
                    "is_generated": "NEVER",
                    "is_hidden": "NO",
                    "is_system_defined": "NO",
                    "is_partitioning_column": yes(partitioned.is_some_and(is)),
                    "clustering_ordinal_position": cluster,
                    "collation_name": "NULL",
                    "column_default": column_defaults::of(field).unwrap_or("NULL"),
                    "rounding_mode": field.other.get("roundingMode"),
                }),
            )
        })
        .collect();
    if table.has_partition_time() {
        rows.push(with(
            head(table),
            json!({
                "column_name": PARTITION_TIME,
                "is_nullable": "YES",
                "data_type": "TIMESTAMP",
                "is_generated": "NEVER",
                "is_hidden": "YES",
                "is_system_defined": "YES",
                "is_partitioning_column": "YES",
                "collation_name": "NULL",
                "column_default": "NULL",
            }),
        ));
    }
    rows
}

pub(super) fn field_paths(table: &Table) -> Vec<Row> {
    let mut rows = Vec::new();
    for field in fields(table) {
        below(table, &field, &field.name, &field.name, &mut rows);
    }
    rows
}

fn below(table: &Table, field: &FieldSchema, column: &str, path: &str, rows: &mut Vec<Row>) {
    let other = |key: &str| field.other.get(key).cloned().unwrap_or(Value::Null);
    rows.push(with(
        head(table),
        json!({
            "column_name": column,
            "field_path": path,
            "data_type": sql_types::shown(field),
            "description": other("description"),
            "collation_name": "NULL",
            "rounding_mode": other("roundingMode"),
        }),
    ));
    for child in &field.fields {
        let path = format!("{path}.{}", child.name);
        below(table, child, column, &path, rows);
    }
}
