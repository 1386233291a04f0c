//! Query jobs: planned, counted, run into a table.

use std::cell::Cell;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use crate::query::ast::Query;
use futures::StreamExt;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use super::destination::{self, Arrival, Destination, Dispositions};
use super::load::arranged;
use super::own_tables::OwnTables;
use super::scripts::{Script, Transaction};
use super::statements::Effect;
use super::{Done, JobError, QueryResult, Work, refused_members};
use crate::catalog::{CatalogError, micros};
use crate::name::TableName;
use crate::query::script::Step;
use crate::query::script::variables::SYSTEM;
use crate::query::{self, Defaults, Parameter, Planned, QueryError};
use crate::schema;
use crate::table_rows::TableRows;

/// Where results are that the client gave no table for.
const ANONYMOUS_DATASET: &str = "_anonymous";

/// Where those are that nobody wants elsewhere.
const USUAL_PLACE: &str = "US";

/// How long such a result is kept.
const ANONYMOUS_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What a query is billed for at least, for each table.
const LEAST_BILLED: u64 = 10 << 20;

/// Functions that give another value every time, so that their results are not used again.
const CHANGING: [&str; 4] = ["rand(", "generate_uuid(", "current_", "session_user("];

impl From<QueryError> for JobError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Catalog(e) => e.into(),
            no_match @ QueryError::NoMatch { .. } => Self::new("notFound", no_match.to_string()),
            QueryError::NoDataset { ref name } => Self::invalid(error.to_string()).at(name),
            other => Self::new("invalidQuery", other.to_string()).at("query"),
        }
    }
}

/// A query job under way.
pub(super) struct Running<'w, 'a> {
    pub work: &'w mut Work<'a>,
    pub settings: Value,
    pub defaults: Defaults,
    pub parameters: Vec<Parameter>,
    pub handle: Handle,
    pub transaction: Option<Transaction>,
    pub script: Script,
    /// How many procedures are being called, one in the other.
    pub procedures: usize,
    /// The session that it is part of, until that ends.
    pub session: Option<String>,
    /// Bytes that everything reads which has been planned.
    pub processed: Cell<u64>,
}

pub(super) fn run(work: &mut Work<'_>) -> Result<Done, JobError> {
    let settings = work.configuration["query"].clone();
    let sql = settings["query"].as_str().unwrap_or_default();
    if sql.trim().is_empty() {
        return Err(JobError::invalid("Required parameter is missing: query").at("query"));
    }
    let sql = if settings["useLegacySql"].as_bool().unwrap_or(true)
        && !sql.to_ascii_lowercase().contains("#standardsql")
    {
        query::to_standard(sql)?
    } else {
        sql.to_owned()
    };
    refused_members::refuse(&settings)?;
    let parameters = Parameter::read(&settings["queryParameters"])?;
    let steps = query::script::script(&sql)?;
    let positional = parameters.iter().any(|p| p.name.is_empty());
    if Step::single(&steps).is_none() && positional {
        return Err(QueryError::Unsupported {
            construct: "a positional parameter in a script".to_owned(),
        }
        .into());
    }
    let session = session(work, &settings)?;
    let temporary = session.as_ref().and_then(|id| work.past.sessions.get(id));
    // Names of two parts are of the default dataset's project, where there is one.
    let project = settings["defaultDataset"]["projectId"].as_str();
    let defaults = Defaults {
        project: project.unwrap_or(work.project).to_owned(),
        dataset: settings["defaultDataset"]["datasetId"].as_str().map(|d| {
            let project = settings["defaultDataset"]["projectId"].as_str();
            (project.unwrap_or(work.project).to_owned(), d.to_owned())
        }),
        temporary: temporary.unwrap_or_default(),
        jobs: Some(Arc::new(work.past.clone())),
        ..Defaults::default()
    };
    let handle =
        Handle::try_current().map_err(|e| JobError::new("internalError", e.to_string()))?;
    let own = OwnTables::make(work, &settings["tableDefinitions"])?;
    let catalog = Arc::clone(work.catalog);
    let mut running = Running {
        work,
        settings,
        defaults,
        parameters,
        handle,
        transaction: None,
        script: Script::default(),
        procedures: 0,
        session: session.clone(),
        processed: Cell::new(0),
    };
    running.make_system(session.as_deref());
    own.show(&mut running.defaults);
    let done = running.all(&steps);
    own.remove(&catalog, &mut running.defaults)?;
    let mut done = done?;
    if let Some(id) = &running.session {
        let temporary = running.defaults.temporary.clone();
        running.work.past.sessions.keep(id, temporary);
    }
    if let Some(id) = session {
        done.statistics
            .insert("sessionInfo".to_owned(), json!({"sessionId": id}));
    }
    Ok(done)
}

/// The session a query makes or is part of.
fn session(work: &Work<'_>, settings: &Value) -> Result<Option<String>, JobError> {
    if settings["createSession"].as_bool() == Some(true) {
        let id = crate::faults::mix(micros(work.now).unsigned_abs());
        return Ok(Some(format!("Cg{id:016x}{}", work.id)));
    }
    let properties = settings["connectionProperties"].as_array();
    let mut properties = properties.into_iter().flatten();
    let id = properties.find(|p| p["key"] == "session_id");
    match id.and_then(|id| id["value"].as_str()) {
        Some(id) if work.past.sessions.get(id).is_some() => Ok(Some(id.to_owned())),
        Some(id) => Err(unknown_session(id)),
        None => Ok(None),
    }
}

/// A session that has ended or never was.
pub(super) fn unknown_session(id: &str) -> JobError {
    JobError::new("notFound", format!("Not found: Session {id}"))
}

impl Running<'_, '_> {
    pub fn is_dry_run(&self) -> bool {
        self.work.configuration["dryRun"].as_bool().unwrap_or(false)
    }

    pub fn plan(&self, query: Query) -> Result<Planned, JobError> {
        let planned = query::plan(self.work.catalog, query, &self.defaults, &self.parameters);
        let planned = self.handle.block_on(planned)?;
        self.processed
            .set(self.processed.get().saturating_add(planned.read.bytes));
        Ok(planned)
    }

    /// Plans a query that is to read as its tables ask to be read.
    pub fn reading(&self, query: Query) -> Result<Planned, JobError> {
        let planned = self.plan(query)?;
        planned.check_filters()?;
        Ok(planned)
    }

    pub fn select(&mut self, query: Query) -> Result<Done, JobError> {
        let text = query.to_string();
        let planned = self.reading(query)?;
        for table in &planned.read.tables {
            self.work.check_place(table)?;
        }
        let explicit = self.settings["destinationTable"].is_object();
        if !planned.duplicates.is_empty() {
            return Err(QueryError::DuplicateColumns {
                names: planned.duplicates,
                present: if explicit {
                    " when a destination table is present"
                } else {
                    ""
                },
            }
            .into());
        }
        let columns = columns(&planned)?;
        let mut done = Done {
            statistics: statistics(&planned, &json!({"fields": columns})),
            location: self.location(&planned),
            ..Done::default()
        };
        limit_bytes(&self.settings, billed(&planned))?;
        if self.is_dry_run() {
            return Ok(done);
        }
        if self.settings["priority"].is_null() {
            self.work.configuration["query"]["priority"] = json!("INTERACTIVE");
        }
        plan_statistics(&mut done.statistics, &planned, micros(self.work.now) / 1000);
        let key = self.cache_key(&text, &planned);
        let cached = key.as_ref().and_then(|key| self.cached(key));
        let table = match cached {
            Some(table) => {
                hit(&mut done.statistics);
                table
            }
            None => {
                let made = self.gather(planned)?;
                if let Some(key) = key {
                    let results = self.work.memory.results.lock();
                    let mut results = results.unwrap_or_else(PoisonError::into_inner);
                    results.insert(key, made.clone());
                }
                made
            }
        };
        let table = if explicit {
            let reference = &self.settings["destinationTable"];
            let target = destination::reference(reference, self.work.project)?;
            move_rows(self.work, &self.settings, &table, &target, &columns)?;
            target.table
        } else {
            self.work.configuration["query"]["destinationTable"] = reference(&table);
            table
        };
        done.result = Some(QueryResult { table, explicit });
        Ok(done)
    }

    /// Where the dataset of the first table is.
    fn location(&self, planned: &Planned) -> Option<String> {
        let table = planned.read.tables.first()?;
        let dataset = self.work.catalog.dataset(table.project(), table.dataset());
        dataset.ok().map(|d| d.location().to_owned())
    }

    /// Everything a result follows from; `None` when it is not to be used again.
    fn cache_key(&self, text: &str, planned: &Planned) -> Option<String> {
        let wanted = self.settings["useQueryCache"].as_bool().unwrap_or(true)
            && !self.settings["destinationTable"].is_object()
            && self.defaults.temporary.is_empty()
            && self.defaults.functions.is_empty()
            && !text.contains(SYSTEM)
            && self
                .defaults
                .variables
                .iter()
                .all(|v| v.name.starts_with(SYSTEM))
            && !planned.read.changing;
        let lower = text.to_ascii_lowercase();
        if !wanted || CHANGING.iter().any(|word| lower.contains(word)) {
            return None;
        }
        let mut key = format!(
            "{}\n{text}\n{}\n{}\n{}",
            self.work.project,
            self.settings["queryParameters"],
            self.settings["defaultDataset"],
            self.settings[destination::ENCRYPTION]
        );
        for name in &planned.read.tables {
            let table = self.work.catalog.table(name).ok()?;
            let modified = table.modified.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            key.push_str(&format!("\n{name} {} {}", modified.as_nanos(), table.rows));
        }
        Some(key)
    }

    fn cached(&self, key: &str) -> Option<TableName> {
        let results = self.work.memory.results.lock();
        let results = results.unwrap_or_else(PoisonError::into_inner);
        let table = results.get(key)?;
        self.work.catalog.table(table).ok()?;
        Some(table.clone())
    }

    /// Runs a query into a table that goes away by itself.
    pub fn gather(&mut self, planned: Planned) -> Result<TableName, JobError> {
        let encryption = destination::encryption(&self.settings);
        let anonymous = anonymous_with(self.work, columns(&planned)?, encryption)?;
        let mut writer = self.work.catalog.writer(&anonymous, None)?;
        self.handle.block_on(async {
            let rows = planned.run().await?;
            let mut rows = std::pin::pin!(rows);
            while let Some(batch) = rows.next().await {
                writer.write(&batch?)?;
            }
            Ok::<_, JobError>(())
        })?;
        writer.commit()?;
        Ok(anonymous)
    }
}

/// A table's name in the REST form.
pub(super) fn reference(table: &TableName) -> Value {
    json!({
        "projectId": table.project(),
        "datasetId": table.dataset(),
        "tableId": table.table(),
    })
}

/// The columns of a result.
pub(super) fn columns(planned: &Planned) -> Result<Vec<schema::FieldSchema>, JobError> {
    let columns = schema::from_arrow(&planned.schema);
    schema::checked(&columns).map_err(|e| JobError::new("invalidQuery", e.to_string()).at("query"))
}

/// The dataset for results of jobs that want to run there: one for each place that is not the usual one.
fn anonymous_dataset(place: Option<&str>) -> (String, Map<String, Value>) {
    match place.filter(|place| !place.eq_ignore_ascii_case(USUAL_PLACE)) {
        None => (ANONYMOUS_DATASET.to_owned(), Map::new()),
        Some(place) => {
            let id = place.to_ascii_lowercase().replace('-', "_");
            let settings = Map::from_iter([("location".to_owned(), json!(place))]);
            (format!("{ANONYMOUS_DATASET}_{id}"), settings)
        }
    }
}

/// A table for results, which goes away by itself.
pub(super) fn anonymous_table(
    work: &Work<'_>,
    columns: Vec<schema::FieldSchema>,
) -> Result<TableName, JobError> {
    anonymous_with(work, columns, Map::new())
}

/// Such a table with settings of its own.
pub(super) fn anonymous_with(
    work: &Work<'_>,
    columns: Vec<schema::FieldSchema>,
    mut resource: Map<String, Value>,
) -> Result<TableName, JobError> {
    let (dataset, settings) = anonymous_dataset(work.place);
    match work
        .catalog
        .create_dataset(work.project, &dataset, settings)
    {
        Ok(_) | Err(CatalogError::DatasetExists { .. }) => {}
        Err(e) => return Err(e.into()),
    }
    // A script makes several tables under one id.
    let made = work.catalog.tables(work.project, &dataset)?.len() as u64;
    let id = crate::faults::mix(micros(work.now).unsigned_abs() ^ made);
    let table = TableName::try_new(
        work.project,
        &dataset,
        &format!("anon{id:016x}_{}", work.id),
    )
    .map_err(|e| JobError::invalid(e.to_string()))?;
    let expires = micros(work.now + ANONYMOUS_LIFETIME) / 1000;
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
    let turn = work.memory.turn(&target.table);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    destination::prepare(work, target, columns, &dispositions)?;
    append(work, from, target)?;
    Ok(work.catalog.delete_table(from)?)
}

/// Adds the rows of one table to another with its columns; returns how many.
pub(super) fn append(
    work: &Work<'_>,
    from: &TableName,
    target: &Destination,
) -> Result<u64, JobError> {
    let schema = work.catalog.table(&target.table)?.schema.clone();
    let broken = |e: String| JobError::new("internalError", e);
    let rows = TableRows::try_new(work.catalog.table(from)?, &[], 0, u64::MAX)
        .map_err(|e| broken(e.to_string()))?;
    let mut writer = Arrival::begin(work, target)?;
    for batch in rows {
        let batch = batch.map_err(|e| broken(e.to_string()))?;
        writer.write(&arranged(&batch, &schema)?)?;
    }
    Ok(writer.commit()?.rows)
}

fn billed(planned: &Planned) -> u64 {
    if planned.read.bytes == 0 {
        return 0;
    }
    let least = LEAST_BILLED * planned.read.tables.len().max(1) as u64;
    planned.read.bytes.next_multiple_of(1 << 20).max(least)
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

/// The stages of a query, as if each had taken a moment.
fn plan_statistics(statistics: &mut Map<String, Value>, planned: &Planned, now_ms: i64) {
    let stages = planned.read.stages.iter().enumerate().map(|(id, stage)| {
        let inputs: Vec<String> = stage.inputs.iter().map(usize::to_string).collect();
        let plus = if stage.inputs.is_empty() { "" } else { "+" };
        let (start, end) = (now_ms.to_string(), (now_ms + 1).to_string());
        json!({
            "id": id.to_string(),
            "name": format!("S{id:02}: {}{plus}", stage.kind),
            "status": "COMPLETE",
            "startMs": start,
            "endMs": end,
            "inputStages": inputs,
            "parallelInputs": "1",
            "completedParallelInputs": "1",
            "slotMs": "1",
            "shuffleOutputBytes": stage.bytes.to_string(),
            "shuffleOutputBytesSpilled": "0",
            "steps": [],
        })
    });
    let stages: Vec<Value> = stages.collect();
    let timeline = json!([{
        "elapsedMs": "1",
        "totalSlotMs": "2",
        "pendingUnits": "0",
        "completedUnits": stages.len().to_string(),
    }]);
    if let Some(Value::Object(query)) = statistics.get_mut("query") {
        query.insert("queryPlan".to_owned(), Value::Array(stages));
        query.insert("timeline".to_owned(), timeline);
    }
}

/// What a result that was there already costs.
fn hit(statistics: &mut Map<String, Value>) {
    statistics.insert("totalBytesProcessed".to_owned(), json!("0"));
    if let Some(Value::Object(query)) = statistics.get_mut("query") {
        query.insert("cacheHit".to_owned(), json!(true));
        query.insert("totalBytesProcessed".to_owned(), json!("0"));
        query.insert("totalBytesBilled".to_owned(), json!("0"));
    }
}

pub(super) fn statistics(planned: &Planned, schema: &Value) -> Map<String, Value> {
    let tables: Vec<Value> = planned.read.tables.iter().map(reference).collect();
    let bytes = planned.read.bytes.to_string();
    let accuracy = if planned.read.external {
        "LOWER_BOUND"
    } else {
        "PRECISE"
    };
    let mut all = Map::new();
    all.insert("totalBytesProcessed".to_owned(), json!(bytes));
    all.insert("totalSlotMs".to_owned(), json!("2"));
    if planned.read.row_access {
        let applied = json!({"rowLevelSecurityApplied": true});
        all.insert("rowLevelSecurityStatistics".to_owned(), applied);
    }
    all.insert(
        "query".to_owned(),
        json!({
            "totalBytesProcessed": bytes,
            "totalBytesProcessedAccuracy": accuracy,
            "totalBytesBilled": billed(planned).to_string(),
            "totalSlotMs": "2",
            "billingTier": 1,
            "cacheHit": false,
            "statementType": "SELECT",
            "schema": schema,
            "referencedTables": tables,
        }),
    );
    all
}

/// Statistics of a statement that gives no rows.
impl Effect {
    /// The statement as a job that has ended.
    pub(super) fn done(&self) -> Done {
        Done {
            statistics: self.statistics(),
            ..Done::default()
        }
    }

    fn statistics(&self) -> Map<String, Value> {
        let mut query = json!({
            "totalBytesProcessed": "0",
            "totalBytesBilled": "0",
            "totalSlotMs": "2",
            "cacheHit": false,
            "statementType": self.statement,
        });
        if let Some(members) = query.as_object_mut() {
            members.extend(self.members.clone());
        }
        let bytes = query["totalBytesProcessed"].clone();
        let all = [
            ("totalBytesProcessed", bytes),
            ("totalSlotMs", json!("2")),
            ("query", query),
        ];
        all.into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}
