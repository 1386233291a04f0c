//! REST resources as JSON: tables, schemas, lists. Numbers of 64 bits are strings, as in every Google API.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::error::RestError;
use crate::catalog::{DatasetMetadata, Table};
use crate::schema;

pub(super) fn table(endpoint: &str, location: &str, table: &Table) -> Value {
    let name = &table.name;
    let mut value = table_head(table);
    let mut set = |key: &str, v: Value| value.insert(key.to_owned(), v);
    set("etag", json!(table_etag(table)));
    set(
        "selfLink",
        json!(format!("{endpoint}/bigquery/v2/{}", name.to_resource())),
    );
    let columns = match &table.metadata {
        Some(metadata) if !metadata.schema.is_empty() => metadata.schema.clone(),
        _ => schema::from_arrow(&table.schema),
    };
    if !columns.is_empty() {
        set("schema", json!({"fields": columns}));
    }
    // Nobody counts what lies elsewhere.
    let (rows, bytes) = match table.kind() {
        "EXTERNAL" => (0, 0),
        _ => (table.rows, table.logical_bytes()),
    };
    let bytes = json!(bytes.to_string());
    set("numBytes", bytes.clone());
    set("numTotalLogicalBytes", bytes.clone());
    set("numActiveLogicalBytes", bytes);
    set("numLongTermBytes", json!("0"));
    set("numLongTermLogicalBytes", json!("0"));
    set("numRows", json!(rows.to_string()));
    set("lastModifiedTime", json!(unix_millis(table.modified)));
    set("location", json!(location));
    if let Some(metadata) = &table.metadata {
        for (key, setting) in &metadata.resource {
            value.insert(key.clone(), setting.clone());
        }
    }
    tell_filter_twice(&mut value);
    Value::Object(value)
}

/// Whether rows may be read without saying of which partitions.
pub(super) const FILTER_REQUIRED: &str = "requirePartitionFilter";

/// What is said of the table in a change holds for its partitioning, too.
pub(super) fn require_filter(table: &mut Map<String, Value>, said: Option<Value>) {
    let Some(said) = said else { return };
    let partitioning = table
        .get_mut("timePartitioning")
        .and_then(Value::as_object_mut);
    if let Some(known) = partitioning.and_then(|p| p.get_mut(FILTER_REQUIRED)) {
        *known = said;
    }
}

/// Leaves out what is counted.
pub(super) fn without_statistics(table: &mut Value) {
    let counted =
        |key: &str| key == "lastModifiedTime" || key.ends_with("Bytes") || key.ends_with("Rows");
    if let Value::Object(members) = table {
        members.retain(|key, _| !counted(key));
    }
}

/// That a filter over partitions is required is said by the table and by its partitioning, whichever of them was told.
fn tell_filter_twice(table: &mut Map<String, Value>) {
    let by_table = table.get(FILTER_REQUIRED).cloned();
    let partitioning = table
        .get_mut("timePartitioning")
        .and_then(Value::as_object_mut);
    let Some(partitioning) = partitioning else {
        return;
    };
    let wanted = [by_table, partitioning.get(FILTER_REQUIRED).cloned()];
    if wanted.contains(&Some(json!(true))) {
        partitioning.insert(FILTER_REQUIRED.to_owned(), json!(true));
        table.insert(FILTER_REQUIRED.to_owned(), json!(true));
    }
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
        set("maxTimeTravelHours", json!("168"));
        fields.insert("access".to_owned(), usual_access());
        for (key, setting) in &metadata.resource {
            fields.insert(key.clone(), setting.clone());
        }
    }
    value
}

/// Who may use a dataset about which nobody said anything.
fn usual_access() -> Value {
    json!([
        {"role": "WRITER", "specialGroup": "projectWriters"},
        {"role": "OWNER", "specialGroup": "projectOwners"},
        {"role": "OWNER", "userByEmail": "anonymous@localhost"},
        {"role": "READER", "specialGroup": "projectReaders"},
    ])
}

/// Leaves those members of a dataset that a view of it has.
///
/// # Errors
/// [`RestError`] for a view that there is not.
pub(super) fn dataset_view(dataset: &mut Value, view: Option<&str>) -> Result<(), RestError> {
    const OF_LIST: [&str; 6] = [
        "kind",
        "etag",
        "id",
        "selfLink",
        "datasetReference",
        "access",
    ];
    let Value::Object(members) = dataset else {
        return Ok(());
    };
    match view.unwrap_or_default() {
        "" | "FULL" | "DATASET_VIEW_UNSPECIFIED" => {}
        "METADATA" => {
            members.remove("access");
        }
        "ACL" => members.retain(|key, _| OF_LIST.contains(&key.as_str())),
        other => {
            return Err(RestError::invalid(&format!(
                "Invalid value for datasetView: {other}"
            )));
        }
    }
    Ok(())
}

/// Leaves the columns of a schema that a client asks for, `a,b.c`.
pub(super) fn selected(fields: &mut Value, wanted: &[&str]) {
    let Value::Array(fields) = fields else {
        return;
    };
    fields.retain_mut(|field| {
        let name = field["name"].as_str().unwrap_or_default().to_owned();
        let mut whole = false;
        let mut within = Vec::new();
        for path in wanted {
            match path.split_once('.') {
                None => whole |= path.eq_ignore_ascii_case(&name),
                Some((first, rest)) if first.eq_ignore_ascii_case(&name) => within.push(rest),
                Some(_) => {}
            }
        }
        if !whole && !within.is_empty() {
            selected(&mut field["fields"], &within);
        }
        whole || !within.is_empty()
    });
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

pub(super) fn table_list(tables: &[Arc<Table>], total: usize, next: Option<String>) -> Value {
    let mut list = Map::new();
    list.insert("kind".to_owned(), json!("bigquery#tableList"));
    let ids: Vec<String> = tables.iter().map(|t| table_etag(t)).collect();
    list.insert("etag".to_owned(), json!(etag(&ids.join("/"))));
    if !tables.is_empty() {
        let entries = tables.iter().map(|table| table_entry(table)).collect();
        list.insert("tables".to_owned(), entries);
    }
    list.insert("totalItems".to_owned(), json!(total));
    with_next(list, next)
}

/// A table as lists have it.
fn table_entry(table: &Table) -> Value {
    let mut entry = table_head(table);
    if let Some(metadata) = &table.metadata {
        for key in [
            "friendlyName",
            "labels",
            "timePartitioning",
            "rangePartitioning",
            "clustering",
            "expirationTime",
        ] {
            if let Some(setting) = metadata.resource.get(key) {
                entry.insert(key.to_owned(), setting.clone());
            }
        }
        if let Some(view) = metadata.resource.get("view") {
            let legacy = view["useLegacySql"].as_bool().unwrap_or(true);
            entry.insert("view".to_owned(), json!({"useLegacySql": legacy}));
        }
    }
    Value::Object(entry)
}

/// What both a table and its entry in a list begin with.
fn table_head(table: &Table) -> Map<String, Value> {
    let name = &table.name;
    let mut value = Map::new();
    let mut set = |key: &str, v: Value| value.insert(key.to_owned(), v);
    set("kind", json!("bigquery#table"));
    set("id", json!(name.to_string()));
    set(
        "tableReference",
        json!({"projectId": name.project(), "datasetId": name.dataset(), "tableId": name.table()}),
    );
    set("type", json!(table.kind()));
    let created_ms = table.created_us() / 1000;
    set("creationTime", json!(created_ms.to_string()));
    value
}

fn table_etag(table: &Table) -> String {
    let modified = table.modified.duration_since(SystemTime::UNIX_EPOCH);
    let nanos = modified.map_or(0, |d| d.as_nanos());
    etag(&format!("{} {nanos} {}", table.name, table.rows))
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
    format!("{:016x}", number(content))
}

/// A number that goes with a text.
pub(super) fn number(content: &str) -> u64 {
    content
        .bytes()
        .fold(0, |h: u64, b| crate::faults::mix(h ^ u64::from(b)))
}
