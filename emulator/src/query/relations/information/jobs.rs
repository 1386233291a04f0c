//! Jobs that have ended, with the statements of scripts.

use std::fmt;

use serde_json::{Value, json};

use super::{Columns, Row, row, time};

/// What knows the jobs there have been.
pub(crate) trait JobsBefore: fmt::Debug + Send + Sync {
    /// Those of a project in the REST form, in no particular order.
    fn of(&self, project: &str) -> Vec<Value>;

    /// The sessions that have not been ended.
    fn open_sessions(&self) -> Vec<String>;
}

const TABLE: &str = "STRUCT<project_id STRING, dataset_id STRING, table_id STRING>";

pub(super) const JOBS: Columns = &[
    ("creation_time", "TIMESTAMP"),
    ("project_id", "STRING"),
    ("project_number", "INTEGER"),
    ("user_email", "STRING"),
    ("job_id", "STRING"),
    ("job_type", "STRING"),
    ("statement_type", "STRING"),
    ("priority", "STRING"),
    ("start_time", "TIMESTAMP"),
    ("end_time", "TIMESTAMP"),
    ("query", "STRING"),
    ("state", "STRING"),
    ("reservation_id", "STRING"),
    ("total_bytes_processed", "INTEGER"),
    ("total_slot_ms", "INTEGER"),
    (
        "error_result",
        "STRUCT<reason STRING, location STRING, debug_info STRING, message STRING>",
    ),
    ("cache_hit", "BOOLEAN"),
    ("destination_table", TABLE),
    (
        "referenced_tables",
        "ARRAY<STRUCT<project_id STRING, dataset_id STRING, table_id STRING>>",
    ),
    ("labels", "ARRAY<STRUCT<key STRING, value STRING>>"),
    ("total_bytes_billed", "INTEGER"),
    ("transaction_id", "STRING"),
    ("parent_job_id", "STRING"),
    ("session_info", "STRUCT<session_id STRING>"),
    (
        "dml_statistics",
        "STRUCT<inserted_row_count INT64, deleted_row_count INT64, updated_row_count INT64>",
    ),
];

/// Whether a job ran in a region, or was asked about whatever its region.
pub(super) fn ran_in(job: &Value, region: Option<&str>) -> bool {
    let location = job["jobReference"]["location"].as_str();
    region.is_none_or(|region| location.is_some_and(|own| own.eq_ignore_ascii_case(region)))
}

/// One job, from its REST form.
pub(super) fn job(job: &Value) -> Row {
    let (statistics, configuration) = (&job["statistics"], &job["configuration"]);
    let query = &statistics["query"];
    let at = |key: &str| {
        let ms = statistics[key].as_str().and_then(|ms| ms.parse().ok());
        ms.map_or(Value::Null, |ms: i64| time(ms.saturating_mul(1000)))
    };
    let kinds = ["query", "load", "copy"].iter();
    let mut targets = kinds.map(|kind| &configuration[*kind]["destinationTable"]);
    let target = targets.find(|target| target.is_object());
    let referenced = query["referencedTables"].as_array().into_iter().flatten();
    let labels = configuration["labels"].as_object().into_iter().flatten();
    let labels = labels.map(|(key, value)| json!({"key": key, "value": value}));
    let error = &job["status"]["errorResult"];
    let session = &statistics["sessionInfo"]["sessionId"];
    let changed = &query["dmlStats"];
    let there = |value: &Value, told: Value| match value.is_null() {
        true => Value::Null,
        false => told,
    };
    row(json!({
        "creation_time": at("creationTime"),
        "project_id": job["jobReference"]["projectId"],
        "user_email": job["user_email"],
        "job_id": job["jobReference"]["jobId"],
        "job_type": configuration["jobType"],
        "statement_type": query["statementType"],
        "priority": configuration["query"]["priority"],
        "start_time": at("startTime"),
        "end_time": at("endTime"),
        "query": configuration["query"]["query"],
        "state": job["status"]["state"],
        "total_bytes_processed": statistics["totalBytesProcessed"],
        "total_slot_ms": statistics["totalSlotMs"],
        "error_result": there(error, json!({
            "reason": error["reason"], "location": error["location"], "message": error["message"],
        })),
        "cache_hit": query["cacheHit"],
        "destination_table": target.map(table),
        "referenced_tables": referenced.map(table).collect::<Vec<Value>>(),
        "labels": labels.collect::<Vec<Value>>(),
        "total_bytes_billed": query["totalBytesBilled"],
        "transaction_id": statistics["transactionInfo"]["transactionId"],
        "parent_job_id": statistics["parentJobId"],
        "session_info": there(session, json!({"session_id": session})),
        "dml_statistics": there(changed, json!({
            "inserted_row_count": changed["insertedRowCount"],
            "deleted_row_count": changed["deletedRowCount"],
            "updated_row_count": changed["updatedRowCount"],
        })),
    }))
}

/// A reference to a table.
fn table(reference: &Value) -> Value {
    json!({
        "project_id": reference["projectId"],
        "dataset_id": reference["datasetId"],
        "table_id": reference["tableId"],
    })
}
