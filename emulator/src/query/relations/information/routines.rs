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

pub(super) const PARAMETERS: Columns = &[
    ("specific_catalog", "STRING"),
    ("specific_schema", "STRING"),
    ("specific_name", "STRING"),
    ("ordinal_position", "INT64"),
    ("parameter_mode", "STRING"),
    ("is_result", "STRING"),
    ("parameter_name", "STRING"),
    ("data_type", "STRING"),
    ("parameter_default", "STRING"),
    ("is_aggregate", "STRING"),
];

/// What routines take and give; what one gives comes first.
pub(super) fn parameters(catalog: &Catalog, seen: &Seen<'_>) -> Result<Vec<Row>, QueryError> {
    let Seen { project, dataset } = seen;
    let mut rows = Vec::new();
    for (id, routine) in catalog.routines(project, dataset)? {
        let given = routine.get("returnType").filter(|t| !t.is_null());
        let result = given.map(|kind| (0, None, kind, None));
        let arguments = routine.get("arguments").and_then(Value::as_array);
        let arguments = arguments.into_iter().flatten().zip(1_i64..);
        let arguments = arguments.map(|(argument, at)| {
            let mode = argument["mode"].as_str();
            (at, argument["name"].as_str(), &argument["dataType"], mode)
        });
        for (at, name, kind, mode) in result.into_iter().chain(arguments) {
            rows.push(row(json!({
                "specific_catalog": project,
                "specific_schema": dataset,
                "specific_name": id,
                "ordinal_position": at,
                "parameter_mode": mode,
                "is_result": yes(at == 0),
                "parameter_name": name,
                "data_type": written(kind),
            })));
        }
    }
    Ok(rows)
}

/// A type of a routine as SQL writes it; any type has none.
fn written(kind: &Value) -> Option<String> {
    let name = kind["typeKind"].as_str()?;
    Some(match name {
        "ARRAY" => format!("ARRAY<{}>", written(&kind["arrayElementType"])?),
        "RANGE" => format!("RANGE<{}>", written(&kind["rangeElementType"])?),
        "STRUCT" => {
            let fields = kind["structType"]["fields"].as_array()?;
            let fields = fields.iter().map(|field| {
                let kind = written(&field["type"])?;
                Some(match field["name"].as_str() {
                    Some(name) => format!("{name} {kind}"),
                    None => kind,
                })
            });
            format!("STRUCT<{}>", fields.collect::<Option<Vec<_>>>()?.join(", "))
        }
        other => other.to_owned(),
    })
}
