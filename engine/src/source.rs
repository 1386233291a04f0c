//! Where rows come from: sources, and the work units they are cut into.
//!
//! Owns the contract between a source and the engine. Must not know DataFusion plans, features or sinks.
//! A source is connected once, then asked for a [`Scan`]: a fixed list of work units over some of its columns. The unit is
//! the grain of parallelism, of output shards and of merge order, so it depends on the data alone, never on threads or memory.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use futures::stream::BoxStream;
use millpond_spill::MemoryBudget;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

pub(crate) mod bigquery;
pub(crate) mod connect;
pub(crate) mod csv;
pub(crate) mod files;
pub(crate) mod nested;
mod object_reader;
pub(crate) mod parquet;
pub(crate) mod predicate;
pub(crate) mod pseudo;

#[cfg(any(test, feature = "fuzzing"))]
pub use bigquery::fuzzing::ipc as fuzz_ipc;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use bigquery::fuzzing::names as fuzz_names;
pub(crate) use predicate::{Comparison, Literal, Predicate};

/// The batches of one work unit, in the unit's row order.
pub(crate) type BatchStream = BoxStream<'static, Result<RecordBatch>>;

/// One piece of a scan that one worker reads from start to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// What it is, for people: a file and its row groups, or a read stream.
    pub name: String,
    /// Rows before any local filter, when known beforehand.
    pub rows: Option<u64>,
    /// Bytes to be read (compressed for files, estimated for read streams), when known beforehand.
    pub bytes: Option<u64>,
}

/// What query jobs took, as the service counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryUsage {
    /// Query jobs that were run to their end.
    pub jobs: u64,
    /// Bytes they processed, when the service said.
    pub bytes_processed: Option<u64>,
    /// Bytes that are billed for them, when the service said.
    pub bytes_billed: Option<u64>,
    /// Their slot-milliseconds, when the service said.
    pub slot_ms: Option<u64>,
}

impl QueryUsage {
    /// What both took together.
    pub(crate) fn and(self, other: Self) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
        };
        Self {
            jobs: self.jobs + other.jobs,
            bytes_processed: sum(self.bytes_processed, other.bytes_processed),
            bytes_billed: sum(self.bytes_billed, other.bytes_billed),
            slot_ms: sum(self.slot_ms, other.slot_ms),
        }
    }
}

/// How reading is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Billing {
    /// Nobody asks money for it, as far as the engine knows: files.
    None,
    /// By the bytes that the Storage Read API reads.
    StorageRead,
    /// By the bytes that query jobs process.
    Query,
}

/// What can be said of reading a source before it is done, beyond what its units tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Appraisal {
    /// Bytes that a query of the same columns and rows would process, by a dry run.
    pub dry_run_bytes: Option<u64>,
    /// What kind of table it is, and how it is laid out.
    pub table: Snapshot,
    /// What the user should know before running.
    pub notes: Vec<String>,
}

/// What reading a unit a second time costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rescan {
    /// Nothing but time: later passes read the source again.
    Free,
    /// Money or a changed answer: the rows of the first pass are kept in the reservoir.
    Paid,
}

/// What a scan is asked for.
#[derive(Debug, Clone)]
pub(crate) struct ScanRequest {
    /// Columns by name; the scan's schema holds them in this order.
    pub columns: Vec<String>,
    /// Conjuncts the source said it applies exactly.
    pub predicates: Vec<Predicate>,
}

impl ScanRequest {
    /// Positions of the requested columns in `schema`, and the schema of those columns; `source` names it in errors.
    ///
    /// # Errors
    /// Schema for a column that is not there.
    pub fn project(&self, schema: &Schema, source: &str) -> Result<(Vec<usize>, SchemaRef)> {
        let missing = |e| Error::with_source(ErrorKind::Schema, format!("source {source}"), e);
        let positions = self
            .columns
            .iter()
            .map(|column| schema.index_of(column).map_err(missing))
            .collect::<Result<Vec<_>>>()?;
        let projected = schema.project(&positions).map_err(missing)?;
        Ok((positions, Arc::new(projected)))
    }
}

/// What is known of the state of the source that was read, for the artefact and the report.
pub(crate) type Snapshot = serde_json::Map<String, serde_json::Value>;

/// A table that can be scanned.
#[async_trait]
pub(crate) trait Source: Debug + Send + Sync {
    /// The source as the user wrote it.
    fn name(&self) -> &str;

    /// All columns of the table, then those inside of structs under their [paths](nested). A scan may ask for either.
    fn schema(&self) -> SchemaRef;

    /// Whether the source applies `predicate` with exactly DataFusion's meaning, so that no local filter is needed.
    fn applies(&self, predicate: &Predicate) -> bool {
        let _ = predicate;
        false
    }

    /// What must not have changed when a later run goes on with work on this source, as far as it can be told without
    /// reading. Null when the source itself keeps every run apart.
    fn state(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Memory that reading `columns` of a unit takes besides the batch handed out and what is permitted in flight, in bytes, as
    /// far as it is known before anything is read, when the process may take `limit_bytes`.
    fn reader_bytes(&self, columns: &[String], limit_bytes: usize) -> usize {
        let _ = (columns, limit_bytes);
        0
    }

    /// How reading it is paid for.
    fn billing(&self) -> Billing {
        Billing::None
    }

    /// What the user should know of the way this source is read, in every plan and report.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// What can be found out of reading `columns` under `restriction`, the source's own filter text, without reading them. What
    /// cannot be found out is said in the notes and is no error.
    async fn appraise(&self, columns: &[String], restriction: &str) -> Appraisal {
        let _ = (columns, restriction);
        Appraisal::default()
    }

    /// Whether what is read ceases to be when the source is [closed](Self::close), so that rows kept of units that have not been
    /// read to their end are of no use to a later run.
    fn ends_when_closed(&self) -> bool {
        false
    }

    /// Removes what the source has made at the service for this job. Nothing is read from it afterwards. Returns what could not
    /// be removed, in words.
    async fn close(&self) -> Vec<String> {
        Vec::new()
    }

    /// Fixes the work units of a scan. The same source state and request give the same units.
    ///
    /// # Errors
    /// When the source cannot be reached or refuses the request.
    async fn scan(&self, request: ScanRequest) -> Result<Arc<dyn Scan>>;
}

/// A fixed list of work units over chosen columns. Units may be opened in any order, several at once, and again.
pub(crate) trait Scan: Debug + Send + Sync {
    /// The columns delivered, in the order asked for.
    fn schema(&self) -> SchemaRef;

    /// The work units, possibly none.
    fn units(&self) -> &[Unit];

    /// What opening a unit again costs.
    fn rescan(&self) -> Rescan;

    /// What is known of the data that are read, the same for every read of the same data: it goes into the artefact, whose
    /// bytes must not change from run to run.
    fn snapshot(&self) -> Snapshot;

    /// What is known of this very read, for the report alone.
    fn session(&self) -> Snapshot {
        Snapshot::new()
    }

    /// What query jobs have taken for it so far.
    fn usage(&self) -> QueryUsage {
        QueryUsage::default()
    }

    /// What [`connect_table`](connect::connect_table) needs to go on with this very scan in a later process. Nothing when a new
    /// scan is as good.
    fn token(&self) -> Option<serde_json::Value> {
        None
    }

    /// What [`connect_table`](connect::connect_table) needs to go on with this very unit in a later process, when units are
    /// remembered one by one and this one has been begun.
    fn unit_token(&self, index: usize) -> Option<serde_json::Value> {
        let _ = index;
        None
    }

    /// Whether the rows of a unit that was begun by an earlier process can be had from the row on where it stopped, as far
    /// as it can be told without asking. If not after all, reading it says that the session has expired.
    fn goes_on(&self, index: usize) -> bool {
        let _ = index;
        true
    }

    /// Whether a unit that does not [go on](Self::goes_on) can be read from its start, with the same rows.
    fn starts_over(&self) -> bool {
        false
    }

    /// What an interrupted run can go on with, where that is not what reading a table once gives.
    fn resume(&self) -> Option<String> {
        None
    }

    /// The rows of unit `index` in order. Lazy: nothing is read before the first poll; dropping the stream ends the read.
    /// At most one batch is alive between two polls besides what the context's budget permits in flight.
    ///
    /// # Errors
    /// When there is no such unit. Errors of reading arrive in the stream.
    fn open(&self, index: usize, context: &ReadContext) -> Result<BatchStream>;

    /// A part of the rows of unit `index`: from row `leg.from_row` of the unit on, until `leg.most_bytes` have come or the unit
    /// ends. A leg without rows is the end of the unit. Legs of a unit are read one after the other, each beginning where the
    /// one before ended; a later process may begin where an earlier one ended.
    ///
    /// # Errors
    /// As [`open`](Self::open); Config for scans that know no legs, which are those whose rescan is free.
    fn open_leg(&self, index: usize, leg: Leg, context: &ReadContext) -> Result<BatchStream> {
        let _ = (leg, context);
        Err(Error::config(format!(
            "unit {index} cannot be read in parts"
        )))
    }
}

/// Which part of a unit to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leg {
    /// The first row, counted in rows the source delivers.
    pub from_row: u64,
    /// After so many bytes on the wire the leg ends, at the end of a message.
    pub most_bytes: u64,
}

impl Leg {
    /// The whole unit.
    pub const WHOLE: Self = Self {
        from_row: 0,
        most_bytes: u64::MAX,
    };
}

/// What a reader needs from its job.
#[derive(Debug, Clone)]
pub(crate) struct ReadContext {
    /// The ledger in-flight bytes are permitted by.
    pub budget: MemoryBudget,
    /// Rows per batch wanted from readers that can choose.
    pub batch_rows: usize,
    /// Where readers count.
    pub metrics: Arc<ReadMetrics>,
}

impl ReadContext {
    /// The context for reading one unit, whose rows and bytes are counted beside the totals.
    pub fn of_unit(&self, unit: usize) -> Self {
        Self {
            metrics: Arc::new(ReadMetrics {
                all: Some((Arc::clone(&self.metrics), unit)),
                ..ReadMetrics::default()
            }),
            ..self.clone()
        }
    }
}

/// Running totals of all readers of a job, and of each unit.
#[derive(Debug, Default)]
pub(crate) struct ReadMetrics {
    rows: AtomicU64,
    bytes: AtomicU64,
    retries: AtomicU64,
    units: Mutex<BTreeMap<usize, (u64, u64)>>,
    /// The totals, and the unit, that these counts belong to.
    all: Option<(Arc<ReadMetrics>, usize)>,
}

impl ReadMetrics {
    /// Counts a decoded batch and the bytes it was read from.
    pub fn add(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some((all, unit)) = &self.all {
            all.add(rows, bytes);
            let mut units = all.units.lock().unwrap_or_else(PoisonError::into_inner);
            let counts = units.entry(*unit).or_default();
            *counts = (counts.0 + rows, counts.1 + bytes);
        }
    }

    /// Counts a reconnection.
    pub fn add_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        if let Some((all, _)) = &self.all {
            all.add_retry();
        }
    }

    /// Rows delivered so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Reconnections so far.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Rows and bytes read of each unit so far, of those that were read at all.
    pub fn units(&self) -> BTreeMap<usize, (u64, u64)> {
        self.units
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
