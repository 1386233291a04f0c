//! Primary and foreign keys, which nobody enforces.

use serde_json::{Value, json};

use super::{Columns, Row, head, row, setting, with};
use crate::catalog::Table;

pub(super) const TABLE_CONSTRAINTS: Columns = &[
    ("constraint_catalog", "STRING"),
    ("constraint_schema", "STRING"),
    ("constraint_name", "STRING"),
    ("table_catalog", "STRING"),
    ("table_schema", "STRING"),
    ("table_name", "STRING"),
    ("constraint_type", "STRING"),
    ("is_deferrable", "STRING"),
    ("initially_deferred", "STRING"),
    ("enforced", "STRING"),
];

pub(super) const KEY_COLUMN_USAGE: Columns = &[
    ("constraint_catalog", "STRING"),
    ("constraint_schema", "STRING"),
    ("constraint_name", "STRING"),
    ("table_catalog", "STRING"),
    ("table_schema", "STRING"),
    ("table_name", "STRING"),
    ("column_name", "STRING"),
    ("ordinal_position", "INTEGER"),
    ("position_in_unique_constraint", "INTEGER"),
];

pub(super) const CONSTRAINT_COLUMN_USAGE: Columns = &[
    ("table_catalog", "STRING"),
    ("table_schema", "STRING"),
    ("table_name", "STRING"),
    ("column_name", "STRING"),
    ("constraint_catalog", "STRING"),
    ("constraint_schema", "STRING"),
    ("constraint_name", "STRING"),
];

/// A key of a table.
struct Key<'a> {
    name: String,
    kind: &'static str,
    columns: Vec<&'a str>,
    /// The table and columns it refers to.
    refers: Option<(&'a Value, Vec<&'a str>)>,
}

fn keys(table: &Table) -> Vec<Key<'_>> {
    let Some(constraints) = setting(table, "tableConstraints") else {
        return Vec::new();
    };
    let id = table.name.table();
    let primary = constraints["primaryKey"]["columns"]
        .as_array()
        .map(|names| Key {
            name: format!("{id}.pk$"),
            kind: "PRIMARY KEY",
            columns: names.iter().filter_map(Value::as_str).collect(),
            refers: None,
        });
    let foreign = constraints["foreignKeys"].as_array().into_iter().flatten();
    let foreign = foreign.zip(1..).map(|(key, number)| {
        let pairs = key["columnReferences"].as_array();
        let column = |which: &'static str| {
            let pairs = pairs.into_iter().flatten();
            pairs.filter_map(move |pair| pair[which].as_str()).collect()
        };
        let name = key["name"].as_str().map(|name| format!("{id}.{name}"));
        Key {
            name: name.unwrap_or_else(|| format!("{id}.fk${number}")),
            kind: "FOREIGN KEY",
            columns: column("referencingColumn"),
            refers: Some((&key["referencedTable"], column("referencedColumn"))),
        }
    });
    primary.into_iter().chain(foreign).collect()
}

fn name(table: &Table, key: &Key<'_>) -> Row {
    row(json!({
        "constraint_catalog": table.name.project(),
        "constraint_schema": table.name.dataset(),
        "constraint_name": key.name,
    }))
}

pub(super) fn constraints(table: &Table) -> Vec<Row> {
    let keys = keys(table).into_iter().map(|key| {
        let mut named = with(name(table, &key), json!({"constraint_type": key.kind}));
        named.extend(head(table));
        with(
            named,
            json!({"is_deferrable": "NO", "initially_deferred": "NO", "enforced": "NO"}),
        )
    });
    keys.collect()
}

pub(super) fn key_columns(table: &Table) -> Vec<Row> {
    let mut rows = Vec::new();
    for key in keys(table) {
        for (column, position) in key.columns.iter().zip(1_i64..) {
            let mut named = name(table, &key);
            named.extend(head(table));
            let other = key.refers.as_ref().map(|_| position);
            rows.push(with(
                named,
                json!({
                    "column_name": column,
                    "ordinal_position": position,
                    "position_in_unique_constraint": other,
                }),
            ));
        }
    }
    rows
}

/// The columns that keys use: a primary key its own, a foreign key those it refers to.
pub(super) fn used_columns(table: &Table) -> Vec<Row> {
    let mut rows = Vec::new();
    for key in keys(table) {
        let (of, columns) = match &key.refers {
            None => (head(table), &key.columns),
            Some((other, columns)) => {
                let other = row(json!({
                    "table_catalog": other["projectId"],
                    "table_schema": other["datasetId"],
                    "table_name": other["tableId"],
                }));
                (other, columns)
            }
        };
        for column in columns {
            let mut named = with(of.clone(), json!({"column_name": column}));
            named.extend(name(table, &key));
            rows.push(named);
        }
    }
    rows
}
