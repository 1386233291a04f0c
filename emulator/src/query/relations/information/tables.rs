//! Tables and views, and what they take.

use serde_json::{Value, json};

use super::{Columns, Row, definition, head, row, setting, time, with, yes};
use crate::catalog::{Table, micros};

pub(super) const TABLES: Columns = &[
    ("table_catalog", "STRING"),
    ("table_schema", "STRING"),
    ("table_name", "STRING"),
    ("table_type", "STRING"),
    ("managed_table_type", "STRING"),
    ("is_insertable_into", "STRING"),
    ("is_fine_grained_mutations_enabled", "STRING"),
    ("is_typed", "STRING"),
    ("is_change_history_enabled", "STRING"),
    ("creation_time", "TIMESTAMP"),
    ("base_table_catalog", "STRING"),
    ("base_table_schema", "STRING"),
    ("base_table_name", "STRING"),
    ("snapshot_time_ms", "TIMESTAMP"),
    ("default_collation_name", "STRING"),
    ("upsert_stream_apply_watermark", "TIMESTAMP"),
    ("ddl", "STRING"),
];

pub(super) const TABLE_STORAGE: Columns = &[
    ("project_id", "STRING"),
    ("project_number", "INTEGER"),
    ("table_catalog", "STRING"),
    ("table_schema", "STRING"),
    ("table_name", "STRING"),
    ("creation_time", "TIMESTAMP"),
    ("deleted", "BOOLEAN"),
    ("storage_last_modified_time", "TIMESTAMP"),
    ("total_rows", "INTEGER"),
    ("total_partitions", "INTEGER"),
    ("total_logical_bytes", "INTEGER"),
    ("active_logical_bytes", "INTEGER"),
    ("long_term_logical_bytes", "INTEGER"),
    ("table_type", "STRING"),
];

pub(super) const SIZES: Columns = &[
    ("project_id", "STRING"),
    ("dataset_id", "STRING"),
    ("table_id", "STRING"),
    ("creation_time", "INTEGER"),
    ("last_modified_time", "INTEGER"),
    ("row_count", "INTEGER"),
    ("size_bytes", "INTEGER"),
    ("type", "INTEGER"),
];

pub(super) const VIEWS: Columns = &[
    ("table_catalog", "STRING"),
    ("table_schema", "STRING"),
    ("table_name", "STRING"),
    ("view_definition", "STRING"),
    ("check_option", "STRING"),
    ("use_standard_sql", "STRING"),
];

pub(super) const MATERIALIZED_VIEWS: Columns = &[
    ("table_catalog", "STRING"),
    ("table_schema", "STRING"),
    ("table_name", "STRING"),
    ("last_refresh_time", "TIMESTAMP"),
    ("refresh_watermark", "TIMESTAMP"),
];

/// The service's words for a kind of table.
fn kind(table: &Table) -> &'static str {
    match table.kind() {
        "VIEW" => "VIEW",
        "MATERIALIZED_VIEW" => "MATERIALIZED VIEW",
        "EXTERNAL" => "EXTERNAL",
        _ => "BASE TABLE",
    }
}

pub(super) fn table(table: &Table) -> Row {
    with(
        head(table),
        json!({
            "table_type": kind(table),
            "is_insertable_into": yes(table.kind() == "TABLE"),
            "is_fine_grained_mutations_enabled": "NO",
            "is_typed": "NO",
            "is_change_history_enabled": "NO",
            "creation_time": time(table.created_us()),
            "default_collation_name": setting(table, "defaultCollation").cloned().unwrap_or(json!("NULL")),
            "ddl": definition::of(table),
        }),
    )
}

pub(super) fn storage(table: &Table) -> Option<Row> {
    let own = matches!(table.kind(), "TABLE" | "MATERIALIZED_VIEW");
    let bytes = table.logical_bytes();
    own.then(|| {
        with(
            head(table),
            json!({
                "project_id": table.name.project(),
                "project_number": 0,
                "creation_time": time(table.created_us()),
                "deleted": false,
                "storage_last_modified_time": time(micros(table.modified)),
                "total_rows": table.rows,
                "total_partitions": 0,
                "total_logical_bytes": bytes,
                "active_logical_bytes": bytes,
                "long_term_logical_bytes": 0,
                "table_type": kind(table),
            }),
        )
    })
}

pub(super) fn sizes(table: &Table) -> Row {
    let number = match table.kind() {
        "VIEW" => 2,
        "EXTERNAL" => 3,
        _ => 1,
    };
    let name = &table.name;
    row(json!({
        "project_id": name.project(),
        "dataset_id": name.dataset(),
        "table_id": name.table(),
        "creation_time": table.created_us() / 1000,
        "last_modified_time": micros(table.modified) / 1000,
        "row_count": table.rows,
        "size_bytes": table.logical_bytes(),
        "type": number,
    }))
}

pub(super) fn view(table: &Table) -> Option<Row> {
    let view = setting(table, "view").or_else(|| setting(table, "materializedView"))?;
    let legacy = view["useLegacySql"].as_bool().unwrap_or(false);
    Some(with(
        head(table),
        json!({
            "view_definition": view["query"],
            "check_option": Value::Null,
            "use_standard_sql": yes(!legacy),
        }),
    ))
}

pub(super) fn materialized_view(table: &Table) -> Option<Row> {
    setting(table, "materializedView")?;
    let now = time(micros(table.modified));
    Some(with(
        head(table),
        json!({"last_refresh_time": now, "refresh_watermark": now}),
    ))
}
