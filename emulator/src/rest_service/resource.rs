//! REST resources as JSON: tables, schemas, lists. Numbers of 64 bits are strings, as in every Google API.

use std::time::SystemTime;

use arrow::datatypes::{DataType, Field};
use serde_json::{Map, Value, json};

use super::Table;
use crate::wire;

const LOCATION: &str = "US";

pub(super) fn table(endpoint: &str, table: &Table) -> Value {
    let name = &table.name;
    let fields: Vec<Value> = table.schema.fields().iter().map(|f| field(f)).collect();
    let modified = unix_millis(table.modified);
    let bytes = table.logical_bytes().to_string();
    json!({
        "kind": "bigquery#table",
        "etag": etag(&format!("{name}{modified}{bytes}")),
        "id": name.to_string(),
        "selfLink": format!("{endpoint}/bigquery/v2/{}", name.to_resource()),
        "tableReference": {
            "projectId": name.project(),
            "datasetId": name.dataset(),
            "tableId": name.table(),
        },
        "schema": {"fields": fields},
        "numBytes": bytes,
        "numLongTermBytes": "0",
        "numRows": table.rows.to_string(),
        "creationTime": modified,
        "lastModifiedTime": modified,
        "type": "TABLE",
        "location": LOCATION,
    })
}

pub(super) fn dataset(endpoint: &str, project: &str, dataset: &str) -> Value {
    let mut value = dataset_entry(project, dataset);
    if let Value::Object(fields) = &mut value {
        let link = format!("{endpoint}/bigquery/v2/projects/{project}/datasets/{dataset}");
        fields.insert("etag".to_owned(), json!(etag(&link)));
        fields.insert("selfLink".to_owned(), json!(link));
    }
    value
}

pub(super) fn dataset_list(project: &str, ids: &[String], next: Option<String>) -> Value {
    let mut list = Map::new();
    list.insert("kind".to_owned(), json!("bigquery#datasetList"));
    list.insert("etag".to_owned(), json!(etag(&ids.join("/"))));
    if !ids.is_empty() {
        let entries: Vec<Value> = ids.iter().map(|id| dataset_entry(project, id)).collect();
        list.insert("datasets".to_owned(), Value::Array(entries));
    }
    with_next(list, next)
}

pub(super) fn table_list(
    project: &str,
    dataset: &str,
    ids: &[String],
    total: usize,
    next: Option<String>,
) -> Value {
    let mut list = Map::new();
    list.insert("kind".to_owned(), json!("bigquery#tableList"));
    list.insert("etag".to_owned(), json!(etag(&ids.join("/"))));
    if !ids.is_empty() {
        let entry = |id: &String| {
            json!({
                "kind": "bigquery#table",
                "id": format!("{project}:{dataset}.{id}"),
                "tableReference": {"projectId": project, "datasetId": dataset, "tableId": id},
                "type": "TABLE",
            })
        };
        list.insert("tables".to_owned(), ids.iter().map(entry).collect());
    }
    list.insert("totalItems".to_owned(), json!(total));
    with_next(list, next)
}

fn with_next(mut list: Map<String, Value>, next: Option<String>) -> Value {
    if let Some(next) = next {
        list.insert("nextPageToken".to_owned(), json!(next));
    }
    Value::Object(list)
}

fn dataset_entry(project: &str, dataset: &str) -> Value {
    json!({
        "kind": "bigquery#dataset",
        "id": format!("{project}:{dataset}"),
        "datasetReference": {"datasetId": dataset, "projectId": project},
        "location": LOCATION,
    })
}

/// A column in the REST form: the old type names, and a mode in place of nullability.
fn field(wire: &Field) -> Value {
    let (mode, element) = match wire.data_type() {
        DataType::List(item) => ("REPEATED", item.data_type()),
        other if wire.is_nullable() => ("NULLABLE", other),
        other => ("REQUIRED", other),
    };
    let mut value = json!({
        "name": wire.name(),
        "type": type_name(element, wire::sql_type(wire)),
        "mode": mode,
    });
    if let (DataType::Struct(children), Value::Object(entries)) = (element, &mut value) {
        entries.insert(
            "fields".to_owned(),
            children.iter().map(|c| field(c)).collect(),
        );
    }
    value
}

fn type_name(wire: &DataType, sql_type: Option<&str>) -> String {
    if let Some(sql_type) = sql_type {
        return sql_type.to_ascii_uppercase();
    }
    match wire {
        DataType::Boolean => "BOOLEAN",
        DataType::Int64 => "INTEGER",
        DataType::Float64 => "FLOAT",
        DataType::Binary => "BYTES",
        DataType::Date32 => "DATE",
        DataType::Time64(_) => "TIME",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP",
        DataType::Timestamp(_, None) => "DATETIME",
        DataType::Decimal128(_, _) => "NUMERIC",
        DataType::Decimal256(_, _) => "BIGNUMERIC",
        DataType::Interval(_) => "INTERVAL",
        DataType::Struct(_) => "RECORD",
        _ => "STRING",
    }
    .to_owned()
}

fn unix_millis(at: SystemTime) -> String {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_millis())
        .to_string()
}

/// Changes when the content does; opaque to clients.
fn etag(content: &str) -> String {
    let hash = content
        .bytes()
        .fold(0, |h: u64, b| crate::faults::mix(h ^ u64::from(b)));
    format!("{hash:016x}")
}
