//! REST resources as JSON: tables, schemas, lists. Numbers of 64 bits are strings, as in every Google API.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::catalog::{DatasetMetadata, Table};
use crate::schema;

const LOCATION: &str = "US";

pub(super) fn table(endpoint: &str, table: &Table) -> Value {
    let name = &table.name;
    let modified = unix_millis(table.modified);
    // Nobody counts what lies elsewhere.
    let external = table.kind() == "EXTERNAL";
    let (rows, bytes) = if external {
        (0, 0)
    } else {
        (table.rows, table.logical_bytes())
    };
    let bytes = bytes.to_string();
    let mut value = Map::new();
    let mut set = |key: &str, v: Value| value.insert(key.to_owned(), v);
    set("kind", json!("bigquery#table"));
    set("etag", json!(etag(&format!("{name}{modified}{bytes}"))));
    set("id", json!(name.to_string()));
    set(
        "selfLink",
        json!(format!("{endpoint}/bigquery/v2/{}", name.to_resource())),
    );
    set(
        "tableReference",
        json!({"projectId": name.project(), "datasetId": name.dataset(), "tableId": name.table()}),
    );
    let columns = match &table.metadata {
        Some(metadata) if !metadata.schema.is_empty() => metadata.schema.clone(),
        _ => schema::from_arrow(&table.schema),
    };
    if !columns.is_empty() {
        set("schema", json!({"fields": columns}));
    }
    set("numBytes", json!(bytes));
    set("numLongTermBytes", json!("0"));
    set("numRows", json!(rows.to_string()));
    let created = table
        .metadata
        .as_ref()
        .map_or_else(|| modified.clone(), |m| (m.created_us / 1000).to_string());
    set("creationTime", json!(created));
    set("lastModifiedTime", json!(modified));
    set("type", json!(table.kind()));
    set("location", json!(LOCATION));
    if let Some(metadata) = &table.metadata {
        for (key, setting) in &metadata.resource {
            value.insert(key.clone(), setting.clone());
        }
    }
    Value::Object(value)
}

pub(super) fn dataset(
    endpoint: &str,
    project: &str,
    dataset: &str,
    metadata: &DatasetMetadata,
) -> Value {
    let mut value = dataset_entry(project, dataset, metadata);
    if let Value::Object(fields) = &mut value {
        let link = format!("{endpoint}/bigquery/v2/projects/{project}/datasets/{dataset}");
        let mut set = |key: &str, v: Value| fields.insert(key.to_owned(), v);
        set(
            "etag",
            json!(etag(&format!("{link}{}", metadata.modified_us))),
        );
        set("selfLink", json!(link));
        set(
            "creationTime",
            json!((metadata.created_us / 1000).to_string()),
        );
        set(
            "lastModifiedTime",
            json!((metadata.modified_us / 1000).to_string()),
        );
        set("type", json!("DEFAULT"));
        set("isCaseInsensitive", json!(false));
        for (key, setting) in &metadata.resource {
            fields.insert(key.clone(), setting.clone());
        }
    }
    value
}

pub(super) fn dataset_list(
    project: &str,
    datasets: &[(DatasetMetadata, String)],
    next: Option<String>,
) -> Value {
    let mut list = Map::new();
    let ids: Vec<&str> = datasets.iter().map(|(_, id)| id.as_str()).collect();
    list.insert("kind".to_owned(), json!("bigquery#datasetList"));
    list.insert("etag".to_owned(), json!(etag(&ids.join("/"))));
    if !datasets.is_empty() {
        let entries: Vec<Value> = datasets
            .iter()
            .map(|(metadata, id)| dataset_entry(project, id, metadata))
            .collect();
        list.insert("datasets".to_owned(), Value::Array(entries));
    }
    with_next(list, next)
}

pub(super) fn table_list(
    project: &str,
    dataset: &str,
    tables: &[(String, &'static str)],
    total: usize,
    next: Option<String>,
) -> Value {
    let mut list = Map::new();
    list.insert("kind".to_owned(), json!("bigquery#tableList"));
    let ids: Vec<&str> = tables.iter().map(|(id, _)| id.as_str()).collect();
    list.insert("etag".to_owned(), json!(etag(&ids.join("/"))));
    if !tables.is_empty() {
        let entry = |(id, kind): &(String, &'static str)| {
            json!({
                "kind": "bigquery#table",
                "id": format!("{project}:{dataset}.{id}"),
                "tableReference": {"projectId": project, "datasetId": dataset, "tableId": id},
                "type": kind,
            })
        };
        list.insert("tables".to_owned(), tables.iter().map(entry).collect());
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

fn dataset_entry(project: &str, dataset: &str, metadata: &DatasetMetadata) -> Value {
    let mut entry = json!({
        "kind": "bigquery#dataset",
        "id": format!("{project}:{dataset}"),
        "datasetReference": {"datasetId": dataset, "projectId": project},
        "location": metadata.location(),
    });
    for key in ["labels", "friendlyName"] {
        if let (Some(setting), Value::Object(fields)) = (metadata.resource.get(key), &mut entry) {
            fields.insert(key.to_owned(), setting.clone());
        }
    }
    entry
}

fn unix_millis(at: SystemTime) -> String {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_millis())
        .to_string()
}

/// Changes when the content does; opaque to clients.
pub(super) fn etag(content: &str) -> String {
    let hash = content
        .bytes()
        .fold(0, |h: u64, b| crate::faults::mix(h ^ u64::from(b)));
    format!("{hash:016x}")
}
