//! Rows of a table, read page by page or inserted one by one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::RestError;
use super::incoming::{Body, Params};
use super::rows::{RowsText, TimestampForm};
use super::rows_answer::RowsAnswer;
use super::tables::table_name;
use super::{Answer, Shared, blocking, object, partitions, resource};
use crate::catalog::{Catalog, CatalogError, Table};
use crate::cells::{self, Cell, JsonReading, UnknownFields, json_row};
use crate::default_cells::DefaultCells;
use crate::name::TableName;
use crate::partition_ids::{self, PartitionError};
use crate::row_access::Visible;
use crate::table_rows::{RowsError, TableRows};

/// Rows of a page when the client does not say.
const DEFAULT_ROWS: u64 = 10_000;

/// A page ends once it has about this many bytes of Arrow data, as the service's end at some size.
const PAGE_BYTES: usize = 10 << 20;

/// Which rows, and how they are written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PageOptions {
    max_results: Option<u64>,
    start_index: Option<u64>,
    page_token: Option<String>,
    selected_fields: Option<String>,
    #[serde(rename = "formatOptions.useInt64Timestamp")]
    use_int64_timestamp: Option<String>,
    #[serde(rename = "formatOptions.timestampOutputFormat")]
    timestamp_output_format: Option<String>,
}

impl PageOptions {
    /// What the body of a query asks for.
    pub fn of_body(body: &Value) -> Self {
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        let format = &body["formatOptions"];
        Self {
            max_results: text(&body["maxResults"]).and_then(|max| max.parse().ok()),
            use_int64_timestamp: text(&format["useInt64Timestamp"]),
            timestamp_output_format: text(&format["timestampOutputFormat"]),
            ..Self::default()
        }
    }

    /// How many rows are wanted at most.
    pub fn max_results(&self) -> Option<u64> {
        self.max_results
    }

    fn timestamps(&self) -> Result<TimestampForm, RestError> {
        let micros = matches!(self.use_int64_timestamp.as_deref(), Some("true" | "True"));
        let form = match self.timestamp_output_format.as_deref() {
            None | Some("" | "TIMESTAMP_OUTPUT_FORMAT_UNSPECIFIED") if micros => {
                TimestampForm::Micros
            }
            None | Some("" | "TIMESTAMP_OUTPUT_FORMAT_UNSPECIFIED" | "FLOAT64") => {
                TimestampForm::Seconds
            }
            Some("INT64") => TimestampForm::Micros,
            Some("ISO8601_STRING") => TimestampForm::Iso,
            Some(other) => {
                return Err(RestError::invalid(&format!(
                    "Invalid value for formatOptions.timestampOutputFormat: {other}"
                )));
            }
        };
        if micros && form != TimestampForm::Micros {
            return Err(RestError::invalid(
                "Cannot specify both use_int64_timestamp and timestamp_output_format.",
            ));
        }
        Ok(form)
    }

    /// The columns that are asked for; none means all.
    fn selected(&self) -> Vec<String> {
        let names = self.selected_fields.as_deref().unwrap_or_default();
        let names = names.split(',').filter(|name| !name.is_empty());
        names.map(|name| name.trim().to_owned()).collect()
    }
}

/// Rows of a table and where the next ones begin.
#[derive(Debug, Default)]
pub(super) struct RowsPage {
    pub rows: RowsText,
    pub total: u64,
    pub next: Option<String>,
}

/// Reads one page. Blocks.
pub(super) fn page(
    catalog: &Catalog,
    table: &TableName,
    options: &PageOptions,
) -> Result<RowsPage, RestError> {
    page_of(catalog.table(table)?, options)
}

fn page_of(table: Arc<Table>, options: &PageOptions) -> Result<RowsPage, RestError> {
    if !matches!(table.kind(), "TABLE" | "SNAPSHOT") {
        let text = format!("Cannot list a table of type {}.", table.kind());
        return Err(RestError::invalid(&text));
    }
    let start = match options.page_token.as_deref() {
        None | Some("") => options.start_index.unwrap_or(0),
        Some(token) => token
            .parse::<u64>()
            .map_err(|_| RestError::invalid(&format!("Invalid page token {token:?}")))?,
    };
    let timestamps = options.timestamps()?;
    let selected = options.selected();
    let limit = options.max_results.unwrap_or(DEFAULT_ROWS);
    let total = table.rows;
    let mut found = RowsText::default();
    let mut bytes = 0;
    for batch in TableRows::try_new(table, &selected, start, limit)? {
        let batch = batch?;
        bytes += batch.get_array_memory_size();
        found.push_batch(&batch, timestamps)?;
        if bytes > PAGE_BYTES {
            break;
        }
    }
    let end = start + found.count();
    Ok(RowsPage {
        rows: found,
        total,
        next: (end < total && limit > 0).then(|| end.to_string()),
    })
}

impl From<PartitionError> for RestError {
    fn from(error: PartitionError) -> Self {
        match error {
            PartitionError::Rows(e) => e.into(),
            PartitionError::Catalog(e) => e.into(),
            other => Self::invalid(&other.to_string()),
        }
    }
}

impl From<RowsError> for RestError {
    fn from(error: RowsError) -> Self {
        match error {
            RowsError::UnknownField(e) => Self::invalid(&e.to_string()),
            other => Self::internal(other.to_string()),
        }
    }
}

pub(super) async fn list(
    State(state): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
    Params(options): Params<PageOptions>,
) -> Result<RowsAnswer, RestError> {
    let found = blocking(&state, move |catalog| {
        let name = table_name(&project, &dataset, &table)?;
        let whole = catalog.table(&name)?;
        Visible::check_all(&whole).map_err(CatalogError::from)?;
        match partitions::asked_of(&table) {
            Some(_) => partitions::rows(&whole, &options.selected()),
            None => match table.split_once('$') {
                None => page_of(whole, &options),
                Some((_, id)) => {
                    let partition = partition_ids::partition(&whole, id)?;
                    page_of(Arc::new(partition), &options)
                }
            },
        }
    })
    .await?;
    let mut body = json!({
        "kind": "bigquery#tableDataList",
        "etag": resource::etag(&found.total.to_string()),
        "totalRows": found.total.to_string(),
    });
    if let Some(next) = found.next {
        body["pageToken"] = json!(next);
    }
    RowsAnswer::try_new(&body, &found.rows)
}

/// Rows as `insertAll` brings them; rows that do not fit are named, and then none is inserted unless they may be skipped.
pub(super) async fn insert_all(
    State(state): Shared,
    Path((project, dataset, table)): Path<(String, String, String)>,
    Body(body): Body,
) -> Answer {
    let body = object(body)?;
    let flag = |key: &str| body.get(key).and_then(Value::as_bool).unwrap_or(false);
    let skip_invalid = flag("skipInvalidRows");
    let suffix = body.get("templateSuffix").and_then(Value::as_str);
    if suffix.is_some_and(|suffix| !suffix.is_empty()) {
        return Err(RestError::invalid(
            "templateSuffix is not supported by this emulator",
        ));
    }
    let unknown = if flag("ignoreUnknownValues") {
        UnknownFields::Ignore
    } else {
        UnknownFields::Refuse
    };
    let rows: Vec<Value> = body
        .get("rows")
        .and_then(Value::as_array)
        .map(|rows| rows.iter().map(|r| r["json"].clone()).collect())
        .unwrap_or_default();
    if rows.is_empty() {
        return Err(RestError::invalid("No rows present in the request."));
    }
    let errors = blocking(&state, move |catalog| {
        let name = table_name(&project, &dataset, &table)?;
        let partition = table.split_once('$').map(|(_, id)| id);
        if let Some(id) = partition {
            let partitioning = partition_ids::partitioning(&*catalog.table(&name)?, id)?;
            if let Some(column) = partitioning.column() {
                return Err(RestError::invalid(&format!(
                    "Streaming into a partition of {name}, which is partitioned by column {column}, is not supported by this emulator"
                )));
            }
        }
        insert_rows(catalog, (&name, partition), &rows, unknown, skip_invalid)
    })
    .await?;
    let mut answer = json!({"kind": "bigquery#tableDataInsertAllResponse"});
    if !errors.is_empty() {
        answer["insertErrors"] = Value::Array(errors);
    }
    Ok(Json(answer))
}

fn insert_rows(
    catalog: &Arc<Catalog>,
    (name, partition): (&TableName, Option<&str>),
    rows: &[Value],
    unknown: UnknownFields,
    skip_invalid: bool,
) -> Result<Vec<Value>, RestError> {
    let table = catalog.table(name)?;
    let kind = table.kind();
    if kind != "TABLE" {
        let refused = format!("Cannot add rows to a table of type {kind}.");
        return Err(RestError::invalid(&refused));
    }
    let known = table.metadata.as_ref().map(|m| m.schema.as_slice());
    let filling = DefaultCells::try_new(catalog, known.unwrap_or_default(), rows.len(), |_| true)
        .map_err(|e| RestError::invalid(&e.to_string()))?;
    let error = |row: usize, message: &str| json!({"index": row, "errors": [{"reason": "invalid", "location": "", "debugInfo": "", "message": message}]});
    let mut errors = Vec::new();
    let mut good: Vec<Cell> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let reading = JsonReading::of_request(unknown);
        let cell = json_row(table.schema.fields(), row, reading).and_then(|cell| {
            filling.filled(cell, index, |name, _| {
                let mut keys = row.as_object().into_iter().flat_map(Map::keys);
                !keys.any(|key| key.eq_ignore_ascii_case(name))
            })
        });
        let fits =
            cell.and_then(
                |cell| match cells::batch(&table.schema, std::slice::from_ref(&cell)) {
                    Ok(_) => Ok(cell),
                    Err(wrong) => Err(wrong.into_iter().map(|e| e.message).collect::<String>()),
                },
            );
        match fits {
            Ok(cell) => good.push(cell),
            Err(message) => errors.push(error(index, &message)),
        }
    }
    if !errors.is_empty() && !skip_invalid {
        let refused: Vec<usize> = errors
            .iter()
            .filter_map(|e: &Value| usize::try_from(e["index"].as_u64()?).ok())
            .collect();
        for index in (0..rows.len()).filter(|i| !refused.contains(i)) {
            errors.push(json!({"index": index, "errors": [{"reason": "stopped", "location": "", "debugInfo": "", "message": ""}]}));
        }
        return Ok(errors);
    }
    if let Ok(batch) = cells::batch(&table.schema, &good) {
        let mut writer = catalog.writer(name, partition)?;
        writer.write(&batch)?;
        writer.commit()?;
    }
    Ok(errors)
}
