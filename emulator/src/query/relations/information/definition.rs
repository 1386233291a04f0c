//! The statement that would make a table or view as it is.

use serde_json::Value;

use super::options::{quoted, set_of_table};
use super::{fields, setting};
use crate::catalog::Table;
use crate::query::{sql_types, statements::column_defaults};
use crate::schema::FieldSchema;

pub(super) fn of(table: &Table) -> String {
    let kind = match table.kind() {
        "VIEW" => "VIEW",
        "MATERIALIZED_VIEW" => "MATERIALIZED VIEW",
        "EXTERNAL" => "EXTERNAL TABLE",
        _ => "TABLE",
    };
    let name = &table.name;
    let name = format!("{}.{}.{}", name.project(), name.dataset(), name.table());
    let mut text = format!("CREATE {kind} `{name}`");
    if matches!(table.kind(), "TABLE" | "EXTERNAL") {
        let columns: Vec<String> = fields(table)
            .iter()
            .map(|f| format!("  {}", column(f)))
            .collect();
        text.push_str(&format!("\n(\n{}\n)", columns.join(",\n")));
    }
    if let Some(by) = partition_by(table) {
        text.push_str(&format!("\nPARTITION BY {by}"));
    }
    if let Some(names) = setting(table, "clustering").and_then(|c| c["fields"].as_array()) {
        let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
        text.push_str(&format!("\nCLUSTER BY {}", names.join(", ")));
    }
    let options: Vec<String> = set_of_table(table)
        .iter()
        .map(|(name, _, value)| format!("  {name}={value}"))
        .collect();
    if !options.is_empty() {
        text.push_str(&format!("\nOPTIONS(\n{}\n)", options.join(",\n")));
    }
    let view = setting(table, "view").or_else(|| setting(table, "materializedView"));
    if let Some(query) = view.and_then(|v| v["query"].as_str()) {
        text.push_str(&format!("\nAS {query}"));
    }
    text.push(';');
    text
}

fn column(field: &FieldSchema) -> String {
    let mut text = format!("{} {}", field.name, sql_types::defined(field));
    if let Some(default) = column_defaults::of(field) {
        text.push_str(&format!(" DEFAULT {default}"));
    }
    if field.mode == "REQUIRED" {
        text.push_str(" NOT NULL");
    }
    if let Some(description) = field.other.get("description").and_then(Value::as_str) {
        text.push_str(&format!(" OPTIONS(description={})", quoted(description)));
    }
    text
}

fn partition_by(table: &Table) -> Option<String> {
    if let Some(range) = setting(table, "rangePartitioning") {
        let bound = |key: &str| match &range["range"][key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        return Some(format!(
            "RANGE_BUCKET({}, GENERATE_ARRAY({}, {}, {}))",
            range["field"].as_str()?,
            bound("start"),
            bound("end"),
            bound("interval")
        ));
    }
    let time = setting(table, "timePartitioning")?;
    let grain = time["type"].as_str().unwrap_or("DAY");
    let Some(name) = time["field"].as_str() else {
        return Some(match grain {
            "DAY" => "_PARTITIONDATE".to_owned(),
            _ => format!("TIMESTAMP_TRUNC(_PARTITIONTIME, {grain})"),
        });
    };
    let fields = fields(table);
    let kind = fields.iter().find(|f| f.name.eq_ignore_ascii_case(name));
    Some(match (kind.map(|f| f.kind.as_str()), grain) {
        (Some("DATE"), "DAY") => name.to_owned(),
        (Some("DATE"), _) => format!("DATE_TRUNC({name}, {grain})"),
        (_, "DAY") => format!("DATE({name})"),
        (Some("DATETIME"), _) => format!("DATETIME_TRUNC({name}, {grain})"),
        _ => format!("TIMESTAMP_TRUNC({name}, {grain})"),
    })
}
