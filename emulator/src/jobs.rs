//! Jobs: load, query, copy and extract, each run to its end when it is inserted, and remembered afterwards.
//!
//! Owns job names, states and statistics. Must not know how requests are written.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::catalog::{Catalog, CatalogError, micros};
use crate::clock::Clock;
use crate::external::ExternalError;
use crate::name::TableName;
use crate::row_access::RowAccessError;

mod copy;
mod datasets;
mod destination;
mod extract;
mod load;
mod own_tables;
mod past;
mod query;
mod refused_members;
mod scripts;
mod sessions;
mod statements;

use past::Past;

/// Who everybody is that asks.
pub(crate) const USER: &str = "anonymous@localhost";

/// Jobs beyond this many are forgotten, oldest first.
const REMEMBERED: usize = 10_000;

/// Why a job failed, or could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JobError {
    /// The service's short word, such as `invalidQuery`.
    pub reason: &'static str,
    /// What it is about, such as `query`.
    pub location: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl JobError {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            location: None,
            message: message.into(),
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid", message)
    }

    pub(crate) fn at(mut self, location: &str) -> Self {
        self.location = Some(location.to_owned());
        self
    }

    /// The error in the REST form.
    pub fn to_json(&self) -> Value {
        let mut value = json!({"reason": self.reason, "message": self.message});
        if let Some(location) = &self.location {
            value["location"] = json!(location);
        }
        value
    }
}

impl From<CatalogError> for JobError {
    fn from(error: CatalogError) -> Self {
        let reason = match &error {
            CatalogError::DatasetNotFound { .. }
            | CatalogError::TableNotFound { .. }
            | CatalogError::RoutineNotFound { .. }
            | CatalogError::NoMatch { .. }
            | CatalogError::External(
                ExternalError::NotFound { .. } | ExternalError::NoBucket { .. },
            ) => "notFound",
            CatalogError::DatasetExists { .. }
            | CatalogError::TableExists { .. }
            | CatalogError::RoutineExists { .. } => "duplicate",
            CatalogError::RowAccess(RowAccessError::NotFound { .. }) => "notFound",
            CatalogError::RowAccess(RowAccessError::Exists { .. }) => "duplicate",
            CatalogError::RowAccess(
                RowAccessError::NotAllRows { .. } | RowAccessError::TimeTravel { .. },
            ) => "accessDenied",
            CatalogError::DatasetInUse { .. } => "resourceInUse",
            CatalogError::Io { .. }
            | CatalogError::Parquet { .. }
            | CatalogError::Write { .. }
            | CatalogError::Metadata { .. } => "internalError",
            _ => "invalid",
        };
        Self::new(reason, error.to_string())
    }
}

/// Where the rows of a query are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueryResult {
    pub table: TableName,
    /// Whether the client named the table.
    pub explicit: bool,
}

/// A job that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub project: String,
    pub id: String,
    pub location: String,
    /// As the client gave it, with what the server added.
    pub configuration: Value,
    pub created_ms: i64,
    pub ended_ms: i64,
    /// The part of the statistics that belongs to the kind of job.
    pub statistics: Map<String, Value>,
    pub error: Option<JobError>,
    pub result: Option<QueryResult>,
}

impl Job {
    /// Bytes that a query reads, or would.
    pub fn bytes_processed(&self) -> u64 {
        self.statistics
            .get("totalBytesProcessed")
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    }

    /// The script that the job is a statement of.
    pub fn parent(&self) -> Option<&str> {
        self.statistics.get("parentJobId").and_then(Value::as_str)
    }

    /// A statement of this script.
    fn child(&self, index: usize, child: scripts::Child) -> Self {
        let mut configuration = self.configuration.clone();
        configuration["query"]["query"] = json!(child.sql);
        let mut statistics = child.done.statistics;
        statistics.insert("parentJobId".to_owned(), json!(self.id));
        let frame = json!({
            "startLine": child.start.line,
            "startColumn": child.start.column,
            "endLine": child.end.line,
            "endColumn": child.end.column,
            "text": child.sql,
        });
        let script = json!({"evaluationKind": child.kind, "stackFrames": [frame]});
        statistics.insert("scriptStatistics".to_owned(), script);
        Self {
            id: Self::child_id(&self.id, index),
            configuration,
            statistics,
            error: child.done.error,
            result: child.done.result,
            ..self.clone()
        }
    }

    /// What the statement of a script is called as a job.
    fn child_id(script: &str, index: usize) -> String {
        format!("script_job_{script}_{index}")
    }

    /// Whether the job was only to be checked.
    pub fn is_dry_run(&self) -> bool {
        self.configuration["dryRun"].as_bool().unwrap_or(false)
    }

    /// The job in the REST form.
    pub fn to_json(&self, endpoint: &str) -> Value {
        let mut statistics = self.statistics.clone();
        let mut set = |key: &str, ms: i64| statistics.insert(key.to_owned(), json!(ms.to_string()));
        set("creationTime", self.created_ms);
        set("startTime", self.created_ms);
        set("endTime", self.ended_ms);
        let mut status = json!({"state": "DONE"});
        if let Some(error) = &self.error {
            status["errorResult"] = error.to_json();
            status["errors"] = json!([error.to_json()]);
        }
        let (project, location, id) = (&self.project, &self.location, &self.id);
        let mut reference = json!({"projectId": project, "location": location});
        let mut value = json!({
            "kind": "bigquery#job",
            "etag": format!("{:016x}", crate::faults::mix(self.ended_ms.unsigned_abs())),
            "id": format!("{project}:{location}.{id}"),
            "selfLink": format!("{endpoint}/bigquery/v2/projects/{project}/jobs/{id}?location={location}"),
            "user_email": USER,
            "configuration": self.configuration,
            "statistics": statistics,
            "status": status,
        });
        if !self.is_dry_run() {
            reference["jobId"] = json!(id);
        }
        value["jobReference"] = reference;
        value
    }
}

/// Makes texts of the numbers and booleans in the values of parameters, as the service keeps them.
fn texts(parameters: &mut Value) {
    match parameters {
        Value::Array(all) => all.iter_mut().for_each(texts),
        Value::Object(members) => members.values_mut().for_each(texts),
        Value::Number(_) | Value::Bool(_) => *parameters = json!(parameters.to_string()),
        Value::Null | Value::String(_) => {}
    }
}

/// What a job does, and what it needs for that.
struct Work<'a> {
    catalog: &'a Arc<Catalog>,
    project: &'a str,
    id: &'a str,
    /// Where the client wants it done.
    place: Option<&'a str>,
    now: SystemTime,
    configuration: &'a mut Value,
    data: Option<Bytes>,
    memory: &'a Memory,
    past: &'a Past,
}

impl Work<'_> {
    /// Refuses to work elsewhere than where a dataset is that has been put somewhere.
    fn check_place(&self, table: &TableName) -> Result<(), JobError> {
        let (project, dataset) = (table.project(), table.dataset());
        let Some(wanted) = self.place else {
            return Ok(());
        };
        let found = self.catalog.dataset(project, dataset);
        let place = found.as_ref().ok().and_then(|d| d.resource.get("location"));
        match place.and_then(Value::as_str) {
            Some(place) if !place.eq_ignore_ascii_case(wanted) => Err(JobError::new(
                "notFound",
                format!(
                    "Not found: Dataset {project}:{dataset} was not found in location {wanted}"
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// What query jobs leave for those after them.
#[derive(Debug, Default)]
struct Memory {
    /// Results by everything they follow from.
    results: Mutex<HashMap<String, TableName>>,
    /// Tables that jobs write to just now.
    written: Mutex<BTreeMap<TableName, Arc<Mutex<()>>>>,
}

impl Memory {
    /// What a job holds from where it empties a table until its rows are in it: another one that empties it at the same time would find
    /// the rows of both.
    fn turn(&self, table: &TableName) -> Arc<Mutex<()>> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(written.entry(table.clone()).or_default())
    }
}

/// What a job has done.
#[derive(Debug, Default)]
struct Done {
    statistics: Map<String, Value>,
    result: Option<QueryResult>,
    /// Where the data were, when that says where the job ran.
    location: Option<String>,
    /// What a script ended with, which has run statements before that.
    error: Option<JobError>,
    /// The statements of a script.
    children: Vec<scripts::Child>,
}

impl Done {
    /// What a job has done that ran where its destination is.
    fn at(work: &Work<'_>, target: &destination::Destination) -> Self {
        let table = &target.table;
        let dataset = work.catalog.dataset(table.project(), table.dataset());
        Self {
            location: dataset.ok().map(|d| d.location().to_owned()),
            ..Self::default()
        }
    }
}

/// Values of parameters as a job tells them: arrays without elements, and members of structs without a value, are left out.
fn without_nothing(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(without_nothing),
        Value::Object(members) => {
            members.values_mut().for_each(without_nothing);
            if members.get("arrayValues") == Some(&json!([])) {
                members.remove("arrayValues");
            }
            if let Some(Value::Object(fields)) = members.get_mut("structValues") {
                fields.retain(|_, value| *value != json!({}));
            }
        }
        _ => {}
    }
}

/// The jobs of a server.
#[derive(Debug)]
pub(crate) struct Jobs {
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    seed: u64,
    state: Past,
    memory: Memory,
}

#[derive(Debug, Default)]
struct State {
    made: u64,
    /// By serial number, so that the oldest come first.
    by_serial: BTreeMap<u64, Arc<Job>>,
}

impl Jobs {
    pub fn new(catalog: Arc<Catalog>, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self {
            catalog,
            clock,
            seed,
            state: Past::default(),
            memory: Memory::default(),
        }
    }

    /// Runs a job to its end. A job that fails is a job, too: its error is in its status. Blocks, on a thread of a runtime.
    ///
    /// # Errors
    /// [`JobError`] when the request is no job at all, or names one that exists.
    pub fn run(
        &self,
        project: &str,
        request: &Value,
        data: Option<Bytes>,
    ) -> Result<Arc<Job>, JobError> {
        let mut configuration = request["configuration"].clone();
        if let Some(parameters) = configuration.pointer_mut("/query/queryParameters") {
            texts(parameters);
        }
        let (serial, unique) = self.serial();
        let reference = &request["jobReference"];
        let id = reference["jobId"]
            .as_str()
            .map_or_else(|| format!("job_{unique}"), str::to_owned);
        if !id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        {
            return Err(JobError::invalid(format!("Invalid job ID \"{id}\"")));
        }
        let asked = reference["location"].is_string();
        let location = reference["location"].as_str().unwrap_or("US").to_owned();
        if self.get(project, &id).is_some() {
            return Err(JobError::new(
                "duplicate",
                format!("Already Exists: Job {project}:{location}.{id}"),
            ));
        }
        let created = self.clock.now();
        let mut work = Work {
            catalog: &self.catalog,
            project,
            id: &id,
            place: asked.then_some(location.as_str()),
            now: created,
            configuration: &mut configuration,
            data,
            memory: &self.memory,
            past: &self.state,
        };
        let mut kinds = ["query", "load", "copy", "extract"]
            .into_iter()
            .filter(|kind| work.configuration[*kind].is_object());
        let kind = kinds.next();
        let others = kinds.count();
        if kind == Some("extract") {
            extract::check_place(&work)?;
        }
        let outcome = match kind.filter(|_| others == 0) {
            Some("query") => query::run(&mut work),
            Some("load") => load::run(&mut work),
            Some("copy") => copy::run(&mut work),
            Some("extract") => extract::run(&mut work),
            _ => {
                let found = others + usize::from(kind.is_some());
                return Err(JobError::invalid(format!(
                    "Job configuration must contain exactly one job-specific configuration object (e.g., query, load, extract, spark), but there were {found}: "
                )));
            }
        };
        if let Some(parameters) = configuration.pointer_mut("/query/queryParameters") {
            without_nothing(parameters);
        }
        if let (Some(kind), Value::Object(members)) = (kind, &mut configuration) {
            members.insert("jobType".to_owned(), json!(kind.to_ascii_uppercase()));
        }
        let (done, error) = match outcome {
            Ok(mut done) => {
                let error = done.error.take();
                (done, error)
            }
            Err(e) => (Done::default(), Some(e)),
        };
        let job = Arc::new(Job {
            project: project.to_owned(),
            id,
            location: done.location.clone().filter(|_| !asked).unwrap_or(location),
            configuration,
            created_ms: micros(created) / 1000,
            ended_ms: micros(self.clock.now()).div_euclid(1000),
            statistics: done.statistics.clone(),
            error,
            result: done.result.clone(),
        });
        if !job.is_dry_run() {
            self.remember(serial, Arc::clone(&job));
            for (index, child) in done.children.into_iter().enumerate() {
                let serial = self.serial().0;
                self.remember(serial, Arc::new(job.child(index, child)));
            }
        }
        Ok(job)
    }

    pub fn get(&self, project: &str, id: &str) -> Option<Arc<Job>> {
        let state = self.lock();
        let is_it = |job: &&Arc<Job>| job.project == project && job.id == id;
        state.by_serial.values().find(is_it).cloned()
    }

    /// Forgets a job; whether there was one.
    pub fn delete(&self, project: &str, id: &str) -> bool {
        let mut state = self.lock();
        let before = state.by_serial.len();
        state
            .by_serial
            .retain(|_, job| job.project != project || job.id != id);
        state.by_serial.len() < before
    }

    /// The jobs of a project that have no parent, or those of one, latest first.
    pub fn list(&self, project: &str, parent: Option<&str>) -> Vec<Arc<Job>> {
        let state = self.lock();
        let jobs = state.by_serial.values().rev();
        jobs.filter(|job| job.project == project && job.parent() == parent)
            .cloned()
            .collect()
    }

    fn remember(&self, serial: u64, job: Arc<Job>) {
        let mut state = self.lock();
        state.by_serial.insert(serial, job);
        while state.by_serial.len() > REMEMBERED {
            state.by_serial.pop_first();
        }
    }

    /// The next number, and a name made from it that no other server gives.
    fn serial(&self) -> (u64, String) {
        let mut state = self.lock();
        state.made += 1;
        let unique = crate::faults::mix(self.seed ^ state.made);
        (state.made, format!("{unique:016x}"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
