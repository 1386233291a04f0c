//! Query jobs: planned, counted, run into a table.

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use super::destination::{self, Destination, Dispositions};
use super::load::arranged;
use super::{Done, JobError, QueryResult, Work};
use crate::catalog::{CatalogError, micros};
use crate::name::TableName;
use crate::query::{self, Defaults, Parameter, Planned, QueryError};
use crate::schema;
use crate::table_rows::TableRows;

/// Where results are that the client gave no table for.
const ANONYMOUS_DATASET: &str = "_anonymous";

/// How long such a result is kept.
const ANONYMOUS_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What a query is billed for at least, for each table.
const LEAST_BILLED: u64 = 10 << 20;

impl From<QueryError> for JobError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Catalog(e) => e.into(),
            other => Self::new("invalidQuery", other.to_string()).at("query"),
        }
    }
}

pub(super) fn run(work: &mut Work<'_>) -> Result<Done, JobError> {
    let settings = work.configuration["query"].clone();
    let sql = settings["query"].as_str().unwrap_or_default();
    if sql.trim().is_empty() {
        return Err(JobError::invalid("Required parameter is missing: query").at("query"));
    }
    if settings["useLegacySql"].as_bool().unwrap_or(true) && !sql.contains("#standardSQL") {
        return Err(JobError::new(
            "invalidQuery",
            "legacy SQL is not supported by this emulator",
        )
        .at("query"));
    }
    let defaults = Defaults {
        project: work.project.to_owned(),
        dataset: settings["defaultDataset"]["datasetId"].as_str().map(|d| {
            let project = settings["defaultDataset"]["projectId"].as_str();
            (project.unwrap_or(work.project).to_owned(), d.to_owned())
        }),
    };
    let parameters = Parameter::read(&settings["queryParameters"])?;
    let handle =
        Handle::try_current().map_err(|e| JobError::new("internalError", e.to_string()))?;
    let planned = handle.block_on(query::plan(work.catalog, sql, &defaults, &parameters))?;
    let columns = schema::from_arrow(&planned.schema);
    let columns = schema::checked(&columns)
        .map_err(|e| JobError::new("invalidQuery", e.to_string()).at("query"))?;
    let mut done = Done {
        statistics: statistics(&planned, &json!({"fields": columns})),
        result: None,
    };
    limit_bytes(&settings, billed(&planned))?;
    if work.configuration["dryRun"].as_bool().unwrap_or(false) {
        return Ok(done);
    }
    let anonymous = anonymous_table(work, columns.clone())?;
    let mut writer = work.catalog.writer(&anonymous, None)?;
    handle.block_on(async {
        let rows = planned.run().await?;
        let mut rows = std::pin::pin!(rows);
        while let Some(batch) = rows.next().await {
            writer.write(&batch?)?;
        }
        Ok::<_, JobError>(())
    })?;
    writer.commit()?;
    let table = if settings["destinationTable"].is_object() {
        let target = destination::reference(&settings["destinationTable"], work.project)?;
        move_rows(work, &settings, &anonymous, &target, &columns)?;
        target.table
    } else {
        work.configuration["query"]["destinationTable"] = json!({
            "projectId": anonymous.project(),
            "datasetId": anonymous.dataset(),
            "tableId": anonymous.table(),
        });
        anonymous
    };
    done.result = Some(QueryResult {
        table,
        explicit: settings["destinationTable"].is_object(),
    });
    Ok(done)
}

/// A table for results, which goes away by itself.
fn anonymous_table(
    work: &Work<'_>,
    columns: Vec<schema::FieldSchema>,
) -> Result<TableName, JobError> {
    match work
        .catalog
        .create_dataset(work.project, ANONYMOUS_DATASET, Map::new())
    {
        Ok(_) | Err(CatalogError::DatasetExists { .. }) => {}
        Err(e) => return Err(e.into()),
    }
    let id = crate::faults::mix(micros(work.now).unsigned_abs());
    let table = TableName::try_new(
        work.project,
        ANONYMOUS_DATASET,
        &format!("anon{id:016x}_{}", work.id),
    )
    .map_err(|e| JobError::invalid(e.to_string()))?;
    let expires = micros(work.now + ANONYMOUS_LIFETIME) / 1000;
    let mut resource = Map::new();
    resource.insert("expirationTime".to_owned(), json!(expires.to_string()));
    work.catalog.create_table(&table, columns, resource)?;
    Ok(table)
}

/// Only once the query has run to its end is the destination touched.
fn move_rows(
    work: &Work<'_>,
    settings: &Value,
    from: &TableName,
    target: &Destination,
    columns: &[schema::FieldSchema],
) -> Result<(), JobError> {
    let dispositions = Dispositions::new(settings, "WRITE_EMPTY");
    destination::prepare(work, target, columns, &dispositions)?;
    let schema = work.catalog.table(&target.table)?.schema.clone();
    let broken = |e: String| JobError::new("internalError", e);
    let rows = TableRows::try_new(work.catalog.table(from)?, &[], 0, u64::MAX)
        .map_err(|e| broken(e.to_string()))?;
    let mut writer = work
        .catalog
        .writer(&target.table, target.partition.as_deref())?;
    for batch in rows {
        let batch = batch.map_err(|e| broken(e.to_string()))?;
        writer.write(&arranged(&batch, &schema)?)?;
    }
    writer.commit()?;
    Ok(work.catalog.delete_table(from)?)
}

fn billed(planned: &Planned) -> u64 {
    if planned.bytes == 0 {
        return 0;
    }
    let least = LEAST_BILLED * planned.tables.len().max(1) as u64;
    planned.bytes.next_multiple_of(1 << 20).max(least)
}

fn limit_bytes(settings: &Value, billed: u64) -> Result<(), JobError> {
    let limit = match &settings["maximumBytesBilled"] {
        Value::String(text) => text.parse::<u64>().ok(),
        other => other.as_u64(),
    };
    match limit {
        Some(limit) if billed > limit => Err(JobError::new(
            "bytesBilledLimitExceeded",
            format!("Query exceeded limit for bytes billed: {limit}. {billed} or higher required."),
        )),
        _ => Ok(()),
    }
}

fn statistics(planned: &Planned, schema: &Value) -> Map<String, Value> {
    let tables: Vec<Value> = planned
        .tables
        .iter()
        .map(|t| json!({"projectId": t.project(), "datasetId": t.dataset(), "tableId": t.table()}))
        .collect();
    let bytes = planned.bytes.to_string();
    let mut all = Map::new();
    all.insert("totalBytesProcessed".to_owned(), json!(bytes));
    all.insert(
        "query".to_owned(),
        json!({
            "totalBytesProcessed": bytes,
            "totalBytesProcessedAccuracy": "PRECISE",
            "totalBytesBilled": billed(planned).to_string(),
            "totalSlotMs": "1",
            "billingTier": 1,
            "cacheHit": false,
            "statementType": "SELECT",
            "schema": schema,
            "referencedTables": tables,
        }),
    );
    all
}
