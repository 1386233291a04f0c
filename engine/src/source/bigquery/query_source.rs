//! The result of a query as a source: BigQuery's SQL, and what only a query can read (views, external and wildcard tables).
//!
//! Owns the way from a query to a scan: a dry run when it is connected, a job into a table when it is scanned, the Storage Read
//! API over that table, and the table's end. Must not know how sessions and streams are read.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::query_scan::{PlannedScan, QueryScan, Rows};
use super::chance::Chance;
use super::clock::Clock;
use super::query_job::{DryRun, Query};
use super::rest::Rest;
use super::settings::{QuerySettings, check_bytes};
use super::table::{TableName, quote_column};
use super::temporary_table::TemporaryTable;
use super::{BigQuerySettings, BigQuerySource, field_schema, known, narrowest, restriction};
use crate::error::{Error, ErrorKind, Result};
use crate::job::Cancellation;
use crate::source::connect::{Connecting, EarlierScan, Intent};
use crate::source::nested::{root_of, with_paths, without_paths};
use crate::source::pseudo::{self, without_pseudo};
use crate::source::{
    Appraisal, Billing, Predicate, QueryUsage, Scan, ScanRequest, Snapshot, Source, Unit,
};

mod query_scan;

/// What is asked.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// A query as the user wrote it; columns and rows are chosen from its result.
    Sql(Query),
    /// Columns and rows of something that SQL can name; they are chosen by the query itself.
    From {
        /// What stands behind FROM.
        quoted: String,
        /// What it is, for people.
        kind: String,
        /// A column of text that rows can be chosen by although no star stands for it.
        pseudo: Option<&'static str>,
    },
}

/// What the star of a wildcard stands for, in each row.
pub(super) const TABLE_SUFFIX: &str = "_TABLE_SUFFIX";

/// What a pseudo column is called in a result, which cannot have its own name.
const PSEUDO_RESULT: &str = "millpond_pseudo";

/// A query.
#[derive(Debug)]
pub(super) struct QuerySource {
    name: String,
    asked: Asked,
    rest: Rest,
    settings: QuerySettings,
    /// All columns.
    schema: SchemaRef,
    /// Of all columns and rows.
    dry_run: DryRun,
    intent: Intent,
    cancellation: Cancellation,
    /// The scan of an earlier run to go on with.
    earlier: Option<EarlierScan>,
    chance: Chance,
    clock: Clock,
    /// The table with the result, when it is ours to remove.
    table: Mutex<Option<Arc<TemporaryTable>>>,
}

/// What is remembered of a scan.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct QueryToken {
    /// The query as it was sent, with its parameters.
    sql: String,
    /// Where its result is.
    table: (String, String, String),
    /// Whether that table is ours.
    ours: bool,
    job: String,
    usage: QueryUsage,
    units: Vec<Unit>,
    snapshot: Snapshot,
    session: Snapshot,
    /// The scan of the table.
    scan: Option<Value>,
}

impl QuerySource {
    /// Learns what the query would read and which columns it has.
    ///
    /// # Errors
    /// As [`Query::dry_run`]; Manifest when what is remembered is not a scan of a query.
    pub async fn connect(
        name: String,
        asked: Asked,
        (settings, rest): (QuerySettings, Rest),
        connecting: Connecting,
    ) -> Result<Self> {
        let whole = match &asked {
            Asked::Sql(query) => query.clone(),
            Asked::From { quoted, .. } => Query {
                sql: format!("SELECT * FROM {quoted}"),
                location: settings.location.clone(),
                ..Query::default()
            },
        };
        let dry_run = whole.dry_run(&rest).await?;
        let mut schema = with_paths(&field_schema::to_arrow(&dry_run.columns)?);
        if let Asked::From {
            pseudo: Some(name), ..
        } = asked
        {
            let own = Arc::new(pseudo::text(name));
            let fields: Vec<_> = schema.fields().iter().cloned().chain([own]).collect();
            schema = Arc::new(Schema::new(fields));
        }
        Ok(Self {
            schema,
            name,
            asked,
            rest,
            settings,
            dry_run,
            intent: connecting.intent,
            cancellation: connecting.cancellation,
            earlier: connecting.earlier,
            chance: Chance::SYSTEM,
            clock: Clock::SYSTEM,
            table: Mutex::default(),
        })
    }

    /// The query for these columns and rows.
    fn query(&self, columns: &[String], restriction: &str) -> Result<Query> {
        let sql = match &self.asked {
            Asked::Sql(query) => {
                return Ok(Query {
                    maximum_bytes_billed: self.settings.max_bytes,
                    ..query.clone()
                });
            }
            Asked::From { quoted, .. } => {
                let columns = if columns.is_empty() {
                    narrowest(&without_paths(&without_pseudo(&self.schema)))
                        .into_iter()
                        .collect()
                } else {
                    self.roots(columns)
                };
                let columns = columns
                    .iter()
                    .map(|column| match self.in_result(column) {
                        same if same == column => quote_column(column),
                        other => Ok(format!("{column} AS `{other}`")),
                    })
                    .collect::<Result<Vec<_>>>()?;
                let filter = if restriction.is_empty() {
                    String::new()
                } else {
                    format!(" WHERE {restriction}")
                };
                format!("SELECT {} FROM {quoted}{filter}", columns.join(", "))
            }
        };
        Ok(Query {
            sql,
            parameters: Vec::new(),
            location: self.settings.location.clone(),
            maximum_bytes_billed: self.settings.max_bytes,
        })
    }

    /// What a column is called in the result.
    fn in_result<'c>(&self, column: &'c str) -> &'c str {
        match self.asked {
            Asked::From {
                pseudo: Some(name), ..
            } if name == column => PSEUDO_RESULT,
            _ => column,
        }
    }

    /// The columns as a query can select them: whole ones, each once. What is inside of them is chosen from the result.
    fn roots(&self, columns: &[String]) -> Vec<String> {
        let mut roots: Vec<String> = Vec::with_capacity(columns.len());
        for column in columns {
            let field = self.schema.field_with_name(column).ok();
            let root = field.and_then(root_of).unwrap_or(column);
            if !roots.iter().any(|known| known == root) {
                roots.push(root.to_owned());
            }
        }
        roots
    }

    /// What tells this query from another one.
    fn identity(query: &Query) -> String {
        if query.parameters.is_empty() {
            query.sql.clone()
        } else {
            format!("{} -- {:?}", query.sql, query.parameters)
        }
    }

    /// Runs the query and scans its result.
    async fn ask(&self, query: &Query, request: &ScanRequest) -> Result<Arc<dyn Scan>> {
        let dry_run = query.dry_run(&self.rest).await?;
        check_bytes(&self.name, dry_run.bytes_processed, self.settings.max_bytes)?;
        let ours = match &self.settings.temporary_dataset {
            Some((project, dataset)) => {
                let name = format!("millpond_{}", self.chance.name());
                let name = TableName::from_parts(project, dataset, &name).ok_or_else(|| {
                    Error::config(format!("{project}.{dataset}.{name} is no table name"))
                })?;
                let columns = field_schema::for_table(&dry_run.columns);
                let expiration = self.settings.expiration;
                let table =
                    TemporaryTable::create(&self.rest, name, &columns, expiration, self.clock)
                        .await?;
                Some(self.hold(table))
            }
            None => None,
        };
        let destination = ours.as_ref().map(|table| table.name());
        let ended = query
            .run(&self.rest, destination, self.chance, &self.cancellation)
            .await?;
        tracing::debug!(job = ended.reference.job_id, table = %ended.destination, "query has ended");
        let inner = self.table_source(&ended.destination, None).await?;
        let scan = inner.scan(self.of_result(request)).await?;
        let table = &ended.destination;
        let session = known([
            ("query_job", json!(ended.reference.job_id)),
            ("result_table", json!(table.to_string())),
            (
                "location",
                json!(ended.reference.location.clone().unwrap_or_default()),
            ),
        ]);
        let token = QueryToken {
            sql: Self::identity(query),
            table: (
                table.project().to_owned(),
                table.dataset().to_owned(),
                table.table().to_owned(),
            ),
            ours: ours.is_some(),
            job: ended.reference.job_id.clone(),
            usage: ended.usage,
            units: self.units_of(&scan, table),
            snapshot: self.snapshot_of(&scan, query),
            session: scan.session().into_iter().chain(session).collect(),
            scan: scan.token(),
        };
        Ok(Arc::new(self.scan_of(Rows::Of(scan), token, request)?))
    }

    /// Goes on with the scan of an earlier run, which this very query began.
    async fn go_on(
        &self,
        earlier: &EarlierScan,
        query: &Query,
        request: &ScanRequest,
    ) -> Result<Arc<dyn Scan>> {
        let token: QueryToken = serde_json::from_value(earlier.token.clone()).map_err(|e| {
            Error::with_source(
                ErrorKind::Manifest,
                format!("what is remembered of {} cannot be used", self.name),
                e,
            )
        })?;
        if token.sql != Self::identity(query) {
            return Err(Error::new(
                ErrorKind::Manifest,
                format!(
                    "the earlier run asked {} for other columns or rows; add --restart to start over",
                    self.name
                ),
            ));
        }
        let (project, dataset, table) = &token.table;
        let table = TableName::from_parts(project, dataset, table).ok_or_else(|| {
            Error::new(
                ErrorKind::Manifest,
                format!("the table remembered for {} has no valid name", self.name),
            )
        })?;
        if token.ours {
            self.hold(TemporaryTable::of_earlier(&self.rest, table.clone()));
        }
        let rest = token.scan.clone().map(|scan| EarlierScan {
            token: scan,
            units: earlier.units.clone(),
        });
        let rows = match self.table_source(&table, rest).await {
            Ok(inner) => Rows::Of(inner.scan(self.of_result(request)).await?),
            // Nothing is lost when all its rows were kept; whoever asks for others is told.
            Err(error) if error.kind() == ErrorKind::NotFound => Rows::Gone {
                table: table.to_string(),
            },
            Err(error) => return Err(error),
        };
        Ok(Arc::new(self.scan_of(rows, token, request)?))
    }

    /// The table with the result, to be removed at the end.
    fn hold(&self, table: TemporaryTable) -> Arc<TemporaryTable> {
        let table = Arc::new(table);
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&table));
        table
    }

    async fn table_source(
        &self,
        table: &TableName,
        earlier: Option<EarlierScan>,
    ) -> Result<BigQuerySource> {
        let name = table.to_string();
        let settings = BigQuerySettings {
            credentials: self.settings.credentials.clone(),
            ..BigQuerySettings::default()
        };
        let source = BigQuerySource::connect_with(&name, self.settings.read.clone(), settings);
        let source = Box::pin(source).await?;
        match earlier {
            Some(earlier) => source.going_on(earlier),
            None => Ok(source),
        }
    }

    /// What is left to ask of the result.
    fn of_result(&self, request: &ScanRequest) -> ScanRequest {
        match self.asked {
            Asked::Sql(_) => request.clone(),
            Asked::From { .. } => {
                let columns = request.columns.iter().map(|c| self.in_result(c).to_owned());
                ScanRequest {
                    columns: columns.collect(),
                    predicates: Vec::new(),
                }
            }
        }
    }

    fn scan_of(&self, rows: Rows, token: QueryToken, request: &ScanRequest) -> Result<QueryScan> {
        let (_, schema) = request.project(&self.schema, &self.name)?;
        QueryScan::try_new(rows, schema, token, &self.name)
    }

    /// The units under the name of this source: that of the table is another one in every run.
    fn units_of(&self, scan: &Arc<dyn Scan>, table: &TableName) -> Vec<Unit> {
        let table = table.to_string();
        scan.units()
            .iter()
            .map(|unit| Unit {
                name: unit.name.replacen(&table, &self.name, 1),
                ..unit.clone()
            })
            .collect()
    }

    /// What is the same in every run with the same result.
    fn snapshot_of(&self, scan: &Arc<dyn Scan>, query: &Query) -> Snapshot {
        let of_table = scan.snapshot();
        let pick = |key: &str| of_table.get(key).cloned().unwrap_or(Value::Null);
        known([
            ("source", json!(self.name)),
            ("sql", json!(query.sql)),
            ("streams", pick("streams")),
            ("estimated_rows", pick("estimated_rows")),
            ("estimated_bytes", pick("estimated_bytes")),
            ("row_restriction", pick("row_restriction")),
        ])
    }
}

#[async_trait]
impl Source for QuerySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn applies(&self, predicate: &Predicate) -> bool {
        restriction::applies(&self.schema, predicate)
    }

    fn billing(&self) -> Billing {
        Billing::Query
    }

    fn notes(&self) -> Vec<String> {
        match &self.asked {
            Asked::Sql(_) => Vec::new(),
            Asked::From { kind, .. } => vec![format!(
                "{} is {kind}, which the Storage Read API cannot read: a query into a temporary table reads it, and that query is billed",
                self.name
            )],
        }
    }

    async fn appraise(&self, columns: &[String], restriction: &str) -> Appraisal {
        let mut notes = Vec::new();
        let bytes = match self.query(columns, restriction) {
            Ok(query) => match query.dry_run(&self.rest).await {
                Ok(dry_run) => dry_run.bytes_processed,
                Err(error) => {
                    notes.push(format!("no dry run: {error}"));
                    None
                }
            },
            Err(error) => {
                notes.push(format!("no dry run: {error}"));
                None
            }
        };
        if self.settings.temporary_dataset.is_none() {
            notes.push(
                "no temporary_dataset: the result stays in BigQuery's anonymous table, which it removes after 24 hours".to_owned(),
            );
        }
        notes.push("units and rows are known once the query has run".to_owned());
        let kind = match &self.asked {
            Asked::Sql(_) => "query",
            Asked::From { kind, .. } => kind,
        };
        Appraisal {
            dry_run_bytes: bytes.or(self.dry_run.bytes_processed),
            table: known([("kind", json!(kind))]),
            notes,
        }
    }

    fn ends_when_closed(&self) -> bool {
        self.table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    async fn close(&self) -> Vec<String> {
        let table = self
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(table) = table else {
            return Vec::new();
        };
        match table.remove().await {
            Ok(()) => Vec::new(),
            Err(error) => vec![format!(
                "the temporary table {} could not be removed and expires by itself: {error}",
                table.name()
            )],
        }
    }

    async fn scan(&self, request: ScanRequest) -> Result<Arc<dyn Scan>> {
        let restriction = match self.asked {
            // Of the result, not of the query.
            Asked::Sql(_) => String::new(),
            Asked::From { .. } => restriction::row_restriction(&request.predicates)?,
        };
        let query = self.query(&request.columns, &restriction)?;
        if self.intent == Intent::Plan {
            let (_, schema) = request.project(&self.schema, &self.name)?;
            let told = restriction::row_restriction(&request.predicates)?;
            let dry_run = query.dry_run(&self.rest).await?;
            check_bytes(&self.name, dry_run.bytes_processed, self.settings.max_bytes)?;
            let snapshot = known([
                ("source", json!(self.name)),
                ("sql", json!(query.sql)),
                (
                    "row_restriction",
                    json!(Some(told).filter(|text| !text.is_empty())),
                ),
            ]);
            let bytes = dry_run.bytes_processed;
            return Ok(Arc::new(PlannedScan::new(
                schema, &self.name, bytes, snapshot,
            )));
        }
        match &self.earlier {
            Some(earlier) => Box::pin(self.go_on(earlier, &query, &request)).await,
            None => Box::pin(self.ask(&query, &request)).await,
        }
    }
}
