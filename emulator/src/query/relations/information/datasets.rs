//! Datasets and their options.

use serde_json::{Value, json};

use super::options::{self, set_of_dataset};
use super::{Columns, QueryError, Row, Seen, row, time};
use crate::catalog::Catalog;

pub(super) const SCHEMATA: Columns = &[
    ("catalog_name", "STRING"),
    ("schema_name", "STRING"),
    ("schema_owner", "STRING"),
    ("creation_time", "TIMESTAMP"),
    ("last_modified_time", "TIMESTAMP"),
    ("location", "STRING"),
    ("ddl", "STRING"),
    ("default_collation_name", "STRING"),
];

pub(super) const SCHEMATA_OPTIONS: Columns = &[
    ("catalog_name", "STRING"),
    ("schema_name", "STRING"),
    ("option_name", "STRING"),
    ("option_type", "STRING"),
    ("option_value", "STRING"),
];

pub(super) fn schema(catalog: &Catalog, seen: &Seen<'_>) -> Result<Row, QueryError> {
    let Seen { project, dataset } = seen;
    let known = catalog.dataset(project, dataset)?;
    let location = known.location();
    let mut options: Vec<String> = set_of_dataset(&known.resource)
        .iter()
        .map(|(name, _, value)| format!("{name}={value}"))
        .collect();
    options.push(format!(
        "location={}",
        options::quoted(&location.to_lowercase())
    ));
    let ddl = format!(
        "CREATE SCHEMA `{project}.{dataset}`\nOPTIONS(\n  {}\n);",
        options.join(",\n  ")
    );
    Ok(row(json!({
        "catalog_name": project,
        "schema_name": dataset,
        "schema_owner": Value::Null,
        "creation_time": time(known.created_us),
        "last_modified_time": time(known.modified_us),
        "location": location,
        "ddl": ddl,
        "default_collation_name": known.resource.get("defaultCollation").cloned().unwrap_or(json!("NULL")),
    })))
}

pub(super) fn options(catalog: &Catalog, seen: &Seen<'_>) -> Result<Vec<Row>, QueryError> {
    let Seen { project, dataset } = seen;
    let known = catalog.dataset(project, dataset)?;
    let set = set_of_dataset(&known.resource).into_iter();
    Ok(set
        .map(|(name, kind, value)| {
            row(json!({
                "catalog_name": project,
                "schema_name": dataset,
                "option_name": name,
                "option_type": kind,
                "option_value": value,
            }))
        })
        .collect())
}
