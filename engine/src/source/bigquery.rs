//! BigQuery tables, read through the Storage Read API: one session per scan, one work unit per read stream.
//!
//! Owns what a scan asks of the service and what it makes of the answer. Everything that names Google's client library
//! lives in this module and below. Must not know DataFusion plans or recipes beyond their BigQuery settings.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use google_cloud_auth::credentials::Credentials;
use google_cloud_bigquery::client::Read;
use google_cloud_wkt::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::clock::Clock;
use self::decode::{Decoder, schema_difference};
use self::endpoint::{Endpoint, Scope};
use self::failure::Place;
use self::ranges::{RangedScan, Reading};
use self::selection::{delivered, selected_fields};
use self::session::{Session, SessionRequest};
use self::stream_scan::BigQueryScan;
use self::table::TableName;
use super::{Appraisal, Billing, Predicate, Scan, ScanRequest, Snapshot, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::{BigQueryOptions, WorkUnits};
use crate::source::connect::EarlierScan;
use crate::source::nested::with_paths;

mod address;
mod appraisal;
mod chance;
mod clock;
mod decode;
mod endpoint;
mod failure;
mod field_schema;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::expect_used, clippy::panic)]
pub(crate) mod fuzzing;
mod json_rows;
mod limit_offset;
mod query_job;
mod query_source;
mod ranges;
mod rest;
mod restriction;
mod retry;
mod selection;
mod session;
mod settings;
mod sql_log;
mod stream;
mod stream_scan;
mod table;
mod temporary_table;

pub(crate) use self::address::{connect_address, connect_sql};
pub(crate) use self::retry::Timing;

/// Streams that share a TCP connection at most, as long as there are cores to feed.
const STREAMS_PER_CONNECTION: usize = 4;

/// What the process decides about BigQuery reads, as opposed to the recipe.
#[derive(Debug, Clone)]
pub(crate) struct BigQuerySettings {
    /// TCP connections at most.
    pub connections: NonZeroUsize,
    /// How long to wait for what; by default as fits the endpoint.
    pub timing: Option<Timing>,
    /// The file with the credentials to read with, in place of those found by default.
    pub credentials: Option<PathBuf>,
}

impl Default for BigQuerySettings {
    /// A connection per core at most.
    fn default() -> Self {
        Self {
            connections: available_parallelism().unwrap_or(NonZeroUsize::MIN),
            timing: None,
            credentials: None,
        }
    }
}

/// A BigQuery table.
#[derive(Debug)]
pub(crate) struct BigQuerySource {
    /// Its address.
    name: String,
    place: Arc<Place>,
    options: BigQueryOptions,
    snapshot_time: Option<Timestamp>,
    timing: Timing,
    connections: usize,
    credentials: Credentials,
    client: Read,
    schema: SchemaRef,
    /// The column that every read has to name in its restriction.
    filter_column: Option<String>,
    /// The scan of an earlier run to go on with.
    earlier: Option<Earlier>,
    clock: Clock,
}

/// A scan of an earlier run, with the sessions of its ranges.
#[derive(Debug, Clone)]
struct Earlier {
    scan: ScanToken,
    ranges: BTreeMap<usize, Session>,
}

/// What is remembered of a scan.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ScanToken {
    session: Session,
    columns: Vec<String>,
    row_restriction: String,
}

impl BigQuerySource {
    /// Connects to `table` (`bigquery://project.dataset.table` or without the scheme) and learns its schema from a first
    /// session, which costs nothing.
    ///
    /// # Errors
    /// Config for bad names, options and tables that cannot be read (views, say), Auth, NotFound, or Unavailable.
    pub async fn connect_with(
        table: &str,
        options: BigQueryOptions,
        settings: BigQuerySettings,
    ) -> Result<Self> {
        let parsed = TableName::parse(table)?;
        let billing_project = match &options.billing_project {
            Some(project) if !table::is_project(project) => {
                return Err(Error::config(format!(
                    "billing_project {project:?} is not a valid project name"
                )));
            }
            Some(project) => project.clone(),
            None => parsed.project().to_owned(),
        };
        let snapshot_time = options
            .snapshot_time
            .as_deref()
            .map(parse_snapshot_time)
            .transpose()?;
        check_stream_counts(&options)?;
        let endpoint = Endpoint::resolve(options.endpoint.as_deref())?;
        let timing = settings.timing.unwrap_or_else(|| endpoint.timing());
        let file = settings.credentials;
        let credentials = endpoint
            .credentials(&timing, Scope::Reading, file.as_deref())
            .await?;
        let client = endpoint.client(&credentials).await?;
        let place = Arc::new(Place {
            table: parsed,
            billing_project,
            endpoint,
            credentials: file,
        });
        let source = Self {
            name: format!("bigquery://{}", place.table),
            place,
            options,
            snapshot_time,
            timing,
            connections: settings.connections.get(),
            credentials,
            client,
            schema: Arc::new(Schema::empty()),
            filter_column: None,
            earlier: None,
            clock: Clock::SYSTEM,
        };
        source.learn_schema().await
    }

    /// The next scan goes on with that of an earlier process instead of beginning a session.
    ///
    /// # Errors
    /// Manifest when what is remembered is not a scan.
    pub fn going_on(mut self, earlier: EarlierScan) -> Result<Self> {
        let unusable = |e| {
            Error::with_source(
                ErrorKind::Manifest,
                format!(
                    "what is remembered of the session of table {} cannot be used",
                    self.place.table
                ),
                e,
            )
        };
        let scan: ScanToken = serde_json::from_value(earlier.token).map_err(unusable)?;
        let mut ranges = BTreeMap::new();
        for (index, token) in earlier.units {
            ranges.insert(index, serde_json::from_value(token).map_err(unusable)?);
        }
        self.earlier = Some(Earlier { scan, ranges });
        Ok(self)
    }

    /// The session a scan reads from: the earlier one, or a new one.
    async fn session(&self, wanted: &SessionRequest) -> Result<Session> {
        let Some(Earlier { scan: token, .. }) = &self.earlier else {
            return Session::create(&self.client, &self.place, wanted, &self.timing).await;
        };
        if token.columns != wanted.columns || token.row_restriction != wanted.row_restriction {
            return Err(Error::new(
                ErrorKind::Manifest,
                format!(
                    "the session of table {} that was begun earlier reads other columns or rows; add --restart to start over",
                    self.place.table
                ),
            ));
        }
        Ok(Session {
            schema: delivered(&self.schema, &wanted.columns),
            ..token.session.clone()
        })
    }

    /// Replaces the schema by that of a session over all columns, which is then forgotten.
    async fn learn_schema(mut self) -> Result<Self> {
        let mut request = SessionRequest {
            snapshot_time: self.snapshot_time,
            max_streams: 1,
            ..SessionRequest::default()
        };
        let first = Session::create(&self.client, &self.place, &request, &self.timing).await;
        let session = match first {
            Err(error) => match failure::filter_wanted_over(&error) {
                // No partition is wanted of a session that only tells columns.
                Some(column) => {
                    request.row_restriction = format!("{} IS NULL", table::quote_column(&column)?);
                    self.filter_column = Some(column);
                    Session::create(&self.client, &self.place, &request, &self.timing).await?
                }
                None => return Err(error),
            },
            Ok(session) => session,
        };
        self.schema = with_paths(&session.schema);
        Ok(self)
    }

    /// Refuses to read all partitions of a table that says it must not be.
    fn check_filter(&self, predicates: &[Predicate]) -> Result<()> {
        let Some(column) = &self.filter_column else {
            return Ok(());
        };
        if predicates.iter().any(|predicate| predicate.names(column)) {
            return Ok(());
        }
        let table = &self.place.table;
        Err(Error::config(match self.schema.field_with_name(column) {
            Ok(field) => format!(
                "table {table} requires a filter over its partition column {column:?}: compare it with literals of its own type in where, as in {}",
                example(column, field.data_type())
            ),
            Err(_) => format!(
                "table {table} requires a filter over {column:?}, which is none of its columns: ask it with bigquery_sql, which can name it"
            ),
        }))
    }

    /// The columns to select: those asked for, or the narrowest one when only the number of rows matters, because
    /// selecting none means all. What is inside of a column that is selected too comes with it.
    fn selected(&self, columns: &[String]) -> Result<Vec<String>> {
        for name in columns {
            if self.schema.field_with_name(name).is_err() {
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!("table {} has no column {name:?}", self.place.table),
                ));
            }
        }
        if columns.is_empty() {
            return Ok(narrowest(&self.schema).into_iter().collect());
        }
        Ok(selected_fields(&self.schema, columns))
    }

    /// What decodes the messages of `session`, which must deliver what the table promised when it was connected.
    fn decoder(
        &self,
        request: &ScanRequest,
        wanted: &SessionRequest,
        session: &Session,
    ) -> Result<Arc<Decoder>> {
        let expected = delivered(&self.schema, &wanted.columns);
        if let Some(difference) = schema_difference(&expected, &session.schema) {
            return Err(Error::new(
                ErrorKind::Schema,
                format!(
                    "table {} changed while it was planned: {difference}",
                    self.place.table
                ),
            ));
        }
        let decoder = Decoder::new(Arc::clone(&session.schema), &request.columns);
        decoder.map(Arc::new).ok_or_else(|| {
            Error::new(
                ErrorKind::Schema,
                format!("session of table {} lacks columns", self.place.table),
            )
        })
    }

    /// A scan in ranges. Its sessions are made when the ranges are read, all as of one time.
    async fn scan_ranges(
        &self,
        request: &ScanRequest,
        mut wanted: SessionRequest,
        units: &WorkUnits,
    ) -> Result<Arc<dyn Scan>> {
        let remembered = self.earlier.as_ref().map(|earlier| &earlier.scan.session);
        let before = match remembered.and_then(|session| session.snapshot_time.as_deref()) {
            Some(time) => Some(parse_snapshot_time(time)?),
            None => None,
        };
        wanted.snapshot_time = before.or(self.snapshot_time).or_else(|| self.clock.now());
        // Nothing is read from this session: it tells the columns and how much there is.
        let mut session = Session::create(&self.client, &self.place, &wanted, &self.timing).await?;
        session.snapshot_time = wanted.snapshot_time.map(String::from);
        let decoder = self.decoder(request, &wanted, &session)?;
        let token = ScanToken {
            columns: wanted.columns.clone(),
            row_restriction: wanted.row_restriction.clone(),
            session: session.clone(),
        };
        let totals = (session.estimated_rows, session.estimated_bytes);
        session.streams.clear();
        Ok(Arc::new(RangedScan::try_new(
            Reading {
                client: self.client.clone(),
                place: Arc::clone(&self.place),
                timing: self.timing,
                decoder,
                clock: self.clock,
            },
            &wanted,
            ranges::conditions(&self.schema, units)?,
            totals,
            |index| self.earlier.as_ref()?.ranges.get(&index).cloned(),
            (
                snapshot_of(self, &session, &wanted),
                serde_json::to_value(token).ok(),
            ),
        )?))
    }

    /// The first client is there already; more connections only when there are streams for them.
    async fn clients(&self, streams: usize) -> Result<Vec<Read>> {
        let count = streams
            .div_ceil(STREAMS_PER_CONNECTION)
            .clamp(1, self.connections);
        let mut clients = vec![self.client.clone()];
        while clients.len() < count {
            clients.push(self.place.endpoint.client(&self.credentials).await?);
        }
        Ok(clients)
    }
}

#[async_trait]
impl Source for BigQuerySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn billing(&self) -> Billing {
        Billing::StorageRead
    }

    async fn appraise(&self, columns: &[String], restriction: &str) -> Appraisal {
        appraisal::of_table(&self.place, &self.timing, columns, restriction).await
    }

    fn applies(&self, predicate: &Predicate) -> bool {
        restriction::applies(&self.schema, predicate)
    }

    async fn scan(&self, request: ScanRequest) -> Result<Arc<dyn Scan>> {
        self.check_filter(&request.predicates)?;
        let selected = self.selected(&request.columns)?;
        let wanted = SessionRequest {
            row_restriction: restriction::row_restriction(&request.predicates)?,
            snapshot_time: self.snapshot_time,
            max_streams: stream_count(self.options.max_stream_count),
            min_streams: stream_count(self.options.preferred_min_stream_count),
            compression: self.options.compression,
            columns: selected.clone(),
        };
        if let Some(units) = &self.options.work_units {
            return self.scan_ranges(&request, wanted, units).await;
        }
        let session = self.session(&wanted).await?;
        let decoder = self.decoder(&request, &wanted, &session)?;
        let clients = self.clients(session.streams.len()).await?;
        tracing::debug!(session = %session.name, streams = session.streams.len(), connections = clients.len(), "read session created");
        Ok(Arc::new(BigQueryScan::new(
            self, session, decoder, &clients, &wanted,
        )))
    }
}

/// The table as it was asked for. The time is in it only when the recipe fixed one.
fn snapshot_of(source: &BigQuerySource, session: &Session, wanted: &SessionRequest) -> Snapshot {
    let restriction = Some(&wanted.row_restriction).filter(|text| !text.is_empty());
    known([
        ("table", json!(source.place.table.to_string())),
        (
            "snapshot_time",
            json!(source.snapshot_time.map(String::from)),
        ),
        ("streams", json!(session.streams.len())),
        ("estimated_rows", json!(session.estimated_rows)),
        ("estimated_bytes", json!(session.estimated_bytes)),
        ("row_restriction", json!(restriction)),
    ])
}

/// The session, which is another one in every run.
fn about(session: &Session) -> Snapshot {
    known([
        ("session", json!(session.name)),
        ("read_time", json!(session.snapshot_time)),
        ("expire_time", json!(session.expire_time)),
    ])
}

fn known<const N: usize>(facts: [(&str, Value); N]) -> Snapshot {
    facts
        .into_iter()
        .filter(|(_, value)| *value != Value::Null)
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// The column that costs least to read.
fn narrowest(schema: &Schema) -> Option<String> {
    schema
        .fields()
        .iter()
        .min_by_key(|field| match field.data_type() {
            DataType::Boolean => 1,
            other if other.is_nested() => 1000,
            other => other.primitive_width().unwrap_or(100),
        })
        .map(|field| field.name().clone())
}

/// A condition on a column of this type, for people to copy.
fn example(column: &str, data_type: &DataType) -> String {
    let literal = match data_type {
        DataType::Date32 => "DATE '2026-01-31'",
        DataType::Timestamp(_, _) => "TIMESTAMP '2026-01-31T00:00:00Z'",
        _ => "1",
    };
    format!("`where: {column} >= {literal}`")
}

fn parse_snapshot_time(text: &str) -> Result<Timestamp> {
    Timestamp::try_from(text).map_err(|e| {
        Error::with_source(
            ErrorKind::Config,
            format!("snapshot_time {text:?} is not an RFC 3339 time like 2026-01-31T12:00:00Z"),
            e,
        )
    })
}

fn check_stream_counts(options: &BigQueryOptions) -> Result<()> {
    if options.max_stream_count == Some(0) {
        return Err(Error::config(
            "max_stream_count is 0: leave it out for the service's choice",
        ));
    }
    match (options.preferred_min_stream_count, options.max_stream_count) {
        (Some(min), Some(max)) if min > max => Err(Error::config(format!(
            "preferred_min_stream_count {min} is above max_stream_count {max}"
        ))),
        _ => Ok(()),
    }
}

fn stream_count(count: Option<u32>) -> i32 {
    count.map_or(0, |n| i32::try_from(n).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests;
