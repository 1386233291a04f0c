//! Jobs: inserted, described, listed, cancelled, and the rows of queries.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::RestError;
use super::incoming::{Body, Params};
use super::rows::RowsText;
use super::rows_answer::RowsAnswer;
use super::tabledata::{self, PageOptions, RowsPage};
use super::{Answer, Page, RestState, Shared, arrow_page, blocking, one_of, resource};
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
        let told = Self::new(http, error.reason, status, error.message);
        match error.location {
            // What a query names is no part of the request.
            Some(name) if name != "query" => told.at_other(name),
            location => told.at(location),
        }
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
        // It would break again. Clients ask again, for minutes, where they are told of an error of the server.
        Err(e) => Err(RestError::new(
            StatusCode::BAD_REQUEST,
            "invalidQuery",
            "INVALID_ARGUMENT",
            format!("this emulator broke at the job: {}", broke(e)),
        )),
    }
}

/// What a job broke at.
fn broke(error: tokio::task::JoinError) -> String {
    let panic = match error.try_into_panic() {
        Ok(panic) => panic,
        Err(cancelled) => return cancelled.to_string(),
    };
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Runs a job and answers with it. Only a dry run is refused as a request; other jobs that fail are jobs.
pub(super) async fn run(
    state: &Arc<RestState>,
    project: &str,
    request: Value,
    data: Option<Bytes>,
) -> Answer {
    let job = run_job(state, project, request, data).await?;
    match &job.error {
        Some(error) if job.is_dry_run() => Err(error.clone().into()),
        _ => Ok(Json(job.to_json(&state.endpoint))),
    }
}

pub(super) async fn insert(
    State(state): Shared,
    Path(project): Path<String>,
    Body(body): Body,
) -> Answer {
    run(&state, &project, body, None).await
}

/// Where a client believes a job to be.
#[derive(Debug, Deserialize)]
pub(super) struct Location {
    location: Option<String>,
}

/// Where a job is found by those who do not say where it is.
const KNOWN_PLACES: [&str; 2] = ["US", "EU"];

/// A job, which is found only where it is.
fn find(
    state: &RestState,
    project: &str,
    id: &str,
    place: &Location,
) -> Result<Arc<Job>, RestError> {
    let found = state.jobs.get(project, id).filter(|job| {
        let place = place.location.as_deref().filter(|place| !place.is_empty());
        match place {
            Some(place) => place.eq_ignore_ascii_case(&job.location),
            None => KNOWN_PLACES.contains(&job.location.as_str()),
        }
    });
    found.ok_or_else(|| {
        let place = place.location.as_deref().filter(|place| !place.is_empty());
        let place = place.map_or_else(String::new, |place| format!("{place}."));
        RestError::not_found(&format!("Job {project}:{place}{id}"))
    })
}

pub(super) async fn get(
    State(state): Shared,
    Path((project, id)): Path<(String, String)>,
    Params(place): Params<Location>,
) -> Answer {
    let job = find(&state, &project, &id, &place)?;
    Ok(Json(job.to_json(&state.endpoint)))
}

/// A job has always ended, so there is nothing left to cancel.
pub(super) async fn cancel(
    State(state): Shared,
    Path((project, id)): Path<(String, String)>,
    Params(place): Params<Location>,
) -> Answer {
    let job = find(&state, &project, &id, &place)?;
    Ok(Json(json!({
        "kind": "bigquery#jobCancelResponse",
        "job": job.to_json(&state.endpoint),
    })))
}

pub(super) async fn delete(
    State(state): Shared,
    Path((project, id)): Path<(String, String)>,
    Params(place): Params<Location>,
) -> Answer {
    find(&state, &project, &id, &place)?;
    state.jobs.delete(&project, &id);
    Ok(Json(json!({})))
}

/// Which jobs a list has.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListOptions {
    max_results: Option<usize>,
    page_token: Option<String>,
    min_creation_time: Option<i64>,
    max_creation_time: Option<i64>,
    parent_job_id: Option<String>,
    projection: Option<String>,
}

impl ListOptions {
    fn has(&self, job: &Job) -> bool {
        self.min_creation_time.is_none_or(|at| job.created_ms >= at)
            && self.max_creation_time.is_none_or(|at| job.created_ms <= at)
    }
}

/// The states a list is of; the parameter may come more than once.
fn wants_ended(query: &str) -> Result<bool, RestError> {
    let mut states = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("stateFilter="))
        .peekable();
    let mut wanted = states.peek().is_none();
    for state in states {
        let state = one_of("stateFilter", Some(state), &["done", "pending", "running"])?;
        wanted |= state == Some("done");
    }
    Ok(wanted)
}

pub(super) async fn list(
    State(state): Shared,
    Path(project): Path<String>,
    Params(options): Params<ListOptions>,
    uri: Uri,
) -> Answer {
    let projection = options.projection.as_deref();
    let full = one_of("projection", projection, &["minimal", "full"])? == Some("full");
    let parent = options.parent_job_id.as_deref();
    let parent = parent.filter(|id| !id.is_empty());
    let mut jobs = state.jobs.list(&project, parent);
    jobs.retain(|job| options.has(job));
    if !wants_ended(uri.query().unwrap_or_default())? {
        jobs.clear();
    }
    let page = Page {
        max_results: options.max_results,
        page_token: options.page_token,
    };
    let (jobs, next) = page.take(jobs)?;
    let entries: Vec<Value> = jobs
        .iter()
        .map(|job| {
            let mut entry = job.to_json(&state.endpoint);
            entry["state"] = json!("DONE");
            if let Some(error) = &job.error {
                entry["errorResult"] = error.to_json();
            }
            if let (Value::Object(members), false) = (&mut entry, full) {
                members.remove("configuration");
            }
            entry
        })
        .collect();
    let ids: Vec<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    let mut body = json!({"kind": "bigquery#jobList", "etag": resource::etag(&ids.join("/")), "jobs": entries});
    if let Some(next) = next {
        body["nextPageToken"] = json!(next);
    }
    Ok(Json(body))
}

/// The id of the job that a request with this id makes.
fn job_of_request(request_id: &Value) -> Option<String> {
    let text = request_id.as_str().filter(|text| !text.is_empty())?;
    let (one, two) = (
        resource::number(text),
        resource::number(&format!("{text} ")),
    );
    Some(format!("job_{one:016x}{two:016x}"))
}

/// A query and its first page of rows in one call.
pub(super) async fn query(
    State(state): Shared,
    Path(project): Path<String>,
    Body(body): Body,
) -> Result<RowsAnswer, RestError> {
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
        "continuous",
        "writeIncrementalResults",
    ] {
        if !body[key].is_null() {
            query[key] = body[key].clone();
        }
    }
    let mut configuration =
        json!({"query": query, "dryRun": body["dryRun"].as_bool().unwrap_or(false)});
    for key in ["labels", "jobTimeoutMs", "maxSlots", "reservation"] {
        if !body[key].is_null() {
            configuration[key] = body[key].clone();
        }
    }
    let mode = match &body["jobCreationMode"] {
        Value::Number(number) => Some(number.to_string()),
        mode => mode.as_str().map(str::to_owned),
    };
    let mode = one_of(
        "jobCreationMode",
        mode.as_deref(),
        &[
            "JOB_CREATION_MODE_UNSPECIFIED",
            "JOB_CREATION_REQUIRED",
            "JOB_CREATION_OPTIONAL",
        ],
    )?;
    let id = job_of_request(&body["requestId"]);
    let request = json!({
        "configuration": configuration,
        "jobReference": {"location": body["location"], "jobId": id},
    });
    // A request that was sent again after its answer got lost is answered from the job it made.
    let made = id.and_then(|id| state.jobs.get(&project, &id));
    let job = match made {
        Some(job) => job,
        None => run_job(&state, &project, request, None).await?,
    };
    let options = PageOptions::of_body(&body);
    if body["queryResultsFormat"].as_str() == Some("ARROW") && job.error.is_none() {
        let max = options.max_results();
        let members = arrow_answer(&state, &job, max, &body["arrowSerializationOptions"]).await?;
        return RowsAnswer::try_new(&members, &RowsText::default());
    }
    let optional = mode == Some("JOB_CREATION_OPTIONAL");
    let asked = if optional {
        Asked::ForRows
    } else {
        Asked::ForJob
    };
    answer(&state, &job, options, asked).await
}

/// What an answer with rows answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// A query that is to be a job.
    ForJob,
    /// A query that need not be one.
    ForRows,
    /// A job that has been.
    AboutJob,
}

pub(super) async fn results(
    State(state): Shared,
    Path((project, id)): Path<(String, String)>,
    Params(place): Params<Location>,
    Params(options): Params<PageOptions>,
) -> Result<RowsAnswer, RestError> {
    let job = find(&state, &project, &id, &place)?;
    answer(&state, &job, options, Asked::AboutJob).await
}

async fn answer(
    state: &Arc<RestState>,
    job: &Arc<Job>,
    options: PageOptions,
    asked: Asked,
) -> Result<RowsAnswer, RestError> {
    if let Some(error) = &job.error {
        return Err(error.clone().into());
    }
    let kind = match asked {
        Asked::AboutJob => "bigquery#getQueryResultsResponse",
        Asked::ForJob | Asked::ForRows => "bigquery#queryResponse",
    };
    let mut body = described(job, kind);
    if asked == Asked::ForRows {
        body["jobCreationReason"] = json!({"code": "OTHER"});
    }
    let Some(result) = job.result.clone() else {
        without_rows(job, &mut body);
        return RowsAnswer::try_new(&body, &RowsText::default());
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
    match (page.next, &mut body) {
        (Some(next), body) => body["pageToken"] = json!(next),
        // All rows are here, so that nobody has to ask a job for others.
        (None, Value::Object(members)) if asked == Asked::ForRows && is_select(job) => {
            members.remove("jobReference");
            members.remove("jobCreationReason");
        }
        _ => {}
    }
    RowsAnswer::try_new(&body, &page.rows)
}

/// Whether a job was one query that leaves nothing but its rows.
fn is_select(job: &Job) -> bool {
    let query = job.statistics.get("query");
    query.is_some_and(|query| query["statementType"] == "SELECT")
        && !job.statistics.contains_key("sessionInfo")
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
        "jobCreationReason": {"code": "REQUESTED"},
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
) -> Result<Value, RestError> {
    let mut body = described(job, "bigquery#queryResponse");
    let Some(result) = job.result.clone() else {
        without_rows(job, &mut body);
        return Ok(body);
    };
    let options = options.clone();
    let (page, columns) = blocking(state, move |catalog| {
        let columns = schema::from_arrow(&catalog.table(&result.table)?.schema);
        let page = arrow_page::first(catalog, &result.table, max, &options)?;
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
    Ok(body)
}
