//! Who has which roles.

use serde_json::{Value, json};

use super::{Columns, QueryError, Row, Seen, row};
use crate::catalog::{Catalog, Table};
use crate::query::statements::grants::{DATASET_MEMBERS, DATASET_ROLES};

pub(super) const OBJECT_PRIVILEGES: Columns = &[
    ("object_catalog", "STRING"),
    ("object_schema", "STRING"),
    ("object_name", "STRING"),
    ("object_type", "STRING"),
    ("privilege_type", "STRING"),
    ("grantee", "STRING"),
];

/// The roles that are given on a dataset itself.
pub(super) fn of_dataset(catalog: &Catalog, seen: &Seen<'_>) -> Result<Vec<Row>, QueryError> {
    let found = catalog.dataset(seen.project, seen.dataset)?;
    let entries = found.resource.get("access").and_then(Value::as_array);
    let mut rows = Vec::new();
    for entry in entries.into_iter().flatten() {
        let Some(role) = entry["role"].as_str() else {
            continue;
        };
        let known = DATASET_ROLES.iter().find(|(short, _)| *short == role);
        let role = known.map_or(role, |(_, id)| id);
        let member = DATASET_MEMBERS
            .iter()
            .find_map(|(kind, key)| Some(format!("{kind}:{}", entry[*key].as_str()?)));
        let Some(member) = member else { continue };
        rows.push(row(json!({
            "object_catalog": seen.project,
            "object_name": seen.dataset,
            "object_type": "SCHEMA",
            "privilege_type": role,
            "grantee": member,
        })));
    }
    Ok(rows)
}

/// The roles that are given on a table.
pub(super) fn of_table(table: &Table) -> Vec<Row> {
    let policy = table.metadata.as_ref().and_then(|m| m.policy.as_ref());
    let bindings = policy.and_then(|p| p["bindings"].as_array());
    let kind = match table.kind() {
        "VIEW" | "MATERIALIZED_VIEW" => "VIEW",
        "EXTERNAL" => "EXTERNAL",
        _ => "TABLE",
    };
    let mut rows = Vec::new();
    for binding in bindings.into_iter().flatten() {
        for member in binding["members"].as_array().into_iter().flatten() {
            rows.push(row(json!({
                "object_catalog": table.name.project(),
                "object_schema": table.name.dataset(),
                "object_name": table.name.table(),
                "object_type": kind,
                "privilege_type": binding["role"],
                "grantee": member,
            })));
        }
    }
    rows
}
