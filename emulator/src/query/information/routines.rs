//! Routines.

use serde_json::{Value, json};

use super::{Columns, QueryError, Row, Seen, row, time, yes};
use crate::catalog::Catalog;

pub(super) const ROUTINES: Columns = &[
    ("specific_catalog", "STRING"),
    ("specific_schema", "STRING"),
    ("specific_name", "STRING"),
    ("routine_catalog", "STRING"),
    ("routine_schema", "STRING"),
    ("routine_name", "STRING"),
    ("routine_type", "STRING"),
    ("data_type", "STRING"),
    ("routine_body", "STRING"),
    ("routine_definition", "STRING"),
    ("external_language", "STRING"),
    ("is_deterministic", "STRING"),
    ("security_type", "STRING"),
    ("created", "TIMESTAMP"),
    ("last_altered", "TIMESTAMP"),
];

pub(super) fn rows(catalog: &Catalog, seen: &Seen<'_>) -> Result<Vec<Row>, QueryError> {
    let Seen { project, dataset } = seen;
    let routines = catalog.routines(project, dataset)?;
    Ok(routines
        .iter()
        .map(|(id, routine)| {
            let of = |key: &str| routine.get(key).cloned().unwrap_or(Value::Null);
            let at = |key: &str| match routine.get(key).and_then(Value::as_str) {
                Some(text) => text
                    .parse::<i64>()
                    .map_or(Value::Null, |ms| time(ms * 1000)),
                None => Value::Null,
            };
            let kind = match routine.get("routineType").and_then(Value::as_str) {
                Some("TABLE_VALUED_FUNCTION") => "TABLE FUNCTION",
                Some("PROCEDURE") => "PROCEDURE",
                _ => "FUNCTION",
            };
            let language = routine
                .get("language")
                .and_then(Value::as_str)
                .unwrap_or("SQL");
            let external = language != "SQL";
            let returns = routine
                .get("returnType")
                .and_then(|r| r["typeKind"].as_str());
            row(json!({
                "specific_catalog": project,
                "specific_schema": dataset,
                "specific_name": id,
                "routine_catalog": project,
                "routine_schema": dataset,
                "routine_name": id,
                "routine_type": kind,
                "data_type": returns,
                "routine_body": if external { "EXTERNAL" } else { "SQL" },
                "routine_definition": of("definitionBody"),
                "external_language": external.then_some(language),
                "is_deterministic": yes(false),
                "security_type": Value::Null,
                "created": at("creationTime"),
                "last_altered": at("lastModifiedTime"),
            }))
        })
        .collect())
}
