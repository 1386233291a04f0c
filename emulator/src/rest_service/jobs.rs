//! Jobs: inserted, described, listed, cancelled, and the rows of queries.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::RestError;
use super::tabledata::{self, PageOptions, RowsPage};
use super::{Answer, Page, RestState, Shared, arrow_page, blocking, resource};
use crate::jobs::{Job, JobError};
use crate::schema;

impl From<JobError> for RestError {
    fn from(error: JobError) -> Self {
        let (http, status) = match error.reason {
            "notFound" => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            "duplicate" => (StatusCode::CONFLICT, "ALREADY_EXISTS"),
            "accessDenied" => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
            "internalError" => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
            "notImplemented" => (StatusCode::NOT_IMPLEMENTED, "UNIMPLEMENTED"),
            _ => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        };
        Self::new(http, error.reason, status, error.message).at(error.location)
    }
}

/// Runs a job off the async threads.
async fn run_job(
    state: &Arc<RestState>,
    project: &str,
    request: Value,
    data: Option<Bytes>,
) -> Result<Arc<Job>, RestError> {
    let (jobs, project) = (Arc::clone(&state.jobs), project.to_owned());
    let run = move || jobs.run(&project, &request, data);
    match tokio::task::spawn_blocking(run).await {
        Ok(result) => result.map_err(RestError::from),
        Err(e) => Err(RestError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internalError",
            "INTERNAL",
            format!("the job failed: {e}"),
        )),
    }
}

/// Runs a job and answers with it. A query that cannot even be planned is refused as a request.
pub(super) async fn run(
    state: &Arc<RestState>,
    project: &str,
    request: Value,
    data: Option<Bytes>,
) -> Answer {
    let job = run_job(state, project, request, data).await?;
    if let Some(error) = &job.error
        && (job.is_dry_run() || matches!(error.reason, "invalidQuery"))
    {
        return Err(error.clone().into());
    }
    Ok(Json(job.to_json(&state.endpoint)))
}

pub(super) async fn insert(
    State(state): Shared,
    Path(project): Path<String>,
    Json(body): Json<Value>,
) -> Answer {
    run(&state, &project, body, None).await
}

fn find(state: &RestState, project: &str, id: &str) -> Result<Arc<Job>, RestError> {
    state.jobs.get(project, id).ok_or_else(|| {
        let text = format!("Not found: Job {project}:{id}");
        RestError::new(StatusCode::NOT_FOUND, "notFound", "NOT_FOUND", text)
    })
}

pub(super) async fn get(
    State(state): Shared,
    Path((project, id)): Path<(String, String)>,
) -> Answer {
    let job = find(&state, &project, &id)?;
    Ok(Json(job.to_json(&state.endpoint)))
}

/// A job has always ended, so there is nothing left to cancel.
pub(super) async fn cancel(
    State(state): Shared,
    Path((project, id)): Path<(String, String)>,
) -> Answer {
    let job = find(&state, &project, &id)?;
    Ok(Json(json!({
        "kind": "bigquery#jobCancelResponse",
        "job": job.to_json(&state.endpoint),
    })))
}

pub(super) async fn delete(
    State(state): Shared,
    Path((project, id)): Path<(String, String)>,
) -> Result<StatusCode, RestError> {
    find(&state, &project, &id)?;
    state.jobs.delete(&project, &id);
    Ok(StatusCode::NO_CONTENT)
}

/// Whose statements are asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parent {
    parent_job_id: Option<String>,
}

pub(super) async fn list(
    State(state): Shared,
    Path(project): Path<String>,
    Query(page): Query<Page>,
    Query(parent): Query<Parent>,
) -> Answer {
    let parent = parent.parent_job_id.as_deref().filter(|id| !id.is_empty());
    let (jobs, next) = page.take(state.jobs.list(&project, parent))?;
    let entries: Vec<Value> = jobs
        .iter()
        .map(|job| {
            let mut entry = job.to_json(&state.endpoint);
            entry["state"] = json!("DONE");
            entry
        })
        .collect();
    let mut body = json!({"kind": "bigquery#jobList", "etag": resource::etag(&entries.len().to_string()), "jobs": entries});
    if let Some(next) = next {
        body["nextPageToken"] = json!(next);
    }
    Ok(Json(body))
}

/// A query and its first page of rows in one call.
pub(super) async fn query(
    State(state): Shared,
    Path(project): Path<String>,
    Json(body): Json<Value>,
) -> Answer {
    let mut query = json!({"query": body["query"], "useLegacySql": body["useLegacySql"].as_bool().unwrap_or(true)});
    for key in [
        "defaultDataset",
        "parameterMode",
        "queryParameters",
        "maximumBytesBilled",
        "destinationEncryptionConfiguration",
        "createSession",
        "connectionProperties",
        "useQueryCache",
    ] {
        if !body[key].is_null() {
            query[key] = body[key].clone();
        }
    }
    let mut configuration =
        json!({"query": query, "dryRun": body["dryRun"].as_bool().unwrap_or(false)});
    if !body["labels"].is_null() {
        configuration["labels"] = body["labels"].clone();
    }
    let request =
        json!({"configuration": configuration, "jobReference": {"location": body["location"]}});
    let job = run_job(&state, &project, request, None).await?;
    let max = match &body["maxResults"] {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    let int64 = body["formatOptions"]["useInt64Timestamp"].as_bool();
    if body["queryResultsFormat"].as_str() == Some("ARROW") && job.error.is_none() {
        return arrow_answer(&state, &job, max, &body["arrowSerializationOptions"]).await;
    }
    answer(
        &state,
        &job,
        PageOptions::of_body(max, int64),
        "bigquery#queryResponse",
    )
    .await
}

pub(super) async fn results(
    State(state): Shared,
    Path((project, id)): Path<(String, String)>,
    Query(options): Query<PageOptions>,
) -> Answer {
    let job = find(&state, &project, &id)?;
    answer(&state, &job, options, "bigquery#getQueryResultsResponse").await
}

async fn answer(
    state: &Arc<RestState>,
    job: &Arc<Job>,
    options: PageOptions,
    kind: &str,
) -> Answer {
    if let Some(error) = &job.error {
        return Err(error.clone().into());
    }
    let mut body = described(job, kind);
    let Some(result) = job.result.clone() else {
        without_rows(job, &mut body);
        return Ok(Json(body));
    };
    let (page, columns) = blocking(state, move |catalog| {
        let table = catalog.table(&result.table)?;
        let columns = schema::from_arrow(&table.schema);
        let page: RowsPage = tabledata::page(catalog, &result.table, &options)?;
        Ok::<_, RestError>((page, columns))
    })
    .await?;
    body["schema"] = json!({"fields": columns});
    body["totalRows"] = json!(page.total.to_string());
    if !page.rows.is_empty() {
        body["rows"] = Value::Array(page.rows);
    }
    if let Some(next) = page.next {
        body["pageToken"] = json!(next);
    }
    Ok(Json(body))
}

/// What an answer says about its job.
fn described(job: &Job, kind: &str) -> Value {
    let mut reference = json!({"projectId": job.project, "location": job.location});
    if !job.is_dry_run() {
        reference["jobId"] = json!(job.id);
    }
    let query = job.statistics.get("query");
    let bytes = job.bytes_processed().to_string();
    let mut body = json!({
        "kind": kind,
        "etag": resource::etag(&job.id),
        "jobReference": reference,
        "jobComplete": true,
        "cacheHit": query.is_some_and(|q| q["cacheHit"] == true),
        "totalBytesProcessed": bytes,
        "location": job.location,
        "queryId": job.id,
        "creationTime": job.created_ms.to_string(),
        "startTime": job.created_ms.to_string(),
        "endTime": job.ended_ms.to_string(),
    });
    for key in ["totalBytesBilled", "numDmlAffectedRows", "dmlStats"] {
        if let Some(value) = query.map(|q| &q[key]).filter(|v| !v.is_null()) {
            body[key] = value.clone();
        }
    }
    if let Some(session) = job.statistics.get("sessionInfo") {
        body["sessionInfo"] = session.clone();
    }
    body
}

/// A dry run has columns and no rows, a statement that gives no rows has neither.
fn without_rows(job: &Job, body: &mut Value) {
    let schema = job.statistics.get("query").map(|q| q["schema"].clone());
    if let Some(schema) = schema.filter(|s| !s.is_null()) {
        body["schema"] = schema;
        body["totalRows"] = json!("0");
    }
}

/// A query's first rows as Arrow; the others are read from the job's own stream.
async fn arrow_answer(
    state: &Arc<RestState>,
    job: &Arc<Job>,
    max: Option<u64>,
    options: &Value,
) -> Answer {
    let mut body = described(job, "bigquery#queryResponse");
    let Some(result) = job.result.clone() else {
        without_rows(job, &mut body);
        return Ok(Json(body));
    };
    let codec = options["bufferCompression"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let (page, columns) = blocking(state, move |catalog| {
        let columns = schema::from_arrow(&catalog.table(&result.table)?.schema);
        let page = arrow_page::first(catalog, &result.table, max, &codec)?;
        Ok::<_, RestError>((page, columns))
    })
    .await?;
    body["schema"] = json!({"fields": columns});
    body["totalRows"] = json!(page.total.to_string());
    body["pageRowCount"] = json!(page.rows.to_string());
    body["arrowSchema"] = json!({"serializedSchema": page.schema});
    if let Some(batch) = page.batch {
        body["arrowRecordBatch"] = json!({"serializedRecordBatch": batch});
    }
    if page.rows < page.total {
        body["pageToken"] = json!(page.rows.to_string());
    }
    Ok(Json(body))
}
