//! What a finished job says about itself.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::source::{ReadMetrics, Scan, Snapshot};

/// The account of a finished job, also written as `report.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobReport {
    /// Version of the engine that ran.
    pub millpond_version: String,
    /// The source as written.
    pub source: String,
    /// What is known of the state of the source that was read.
    pub snapshot: Snapshot,
    /// What is known of this very read, for example the read session of BigQuery.
    pub session: Snapshot,
    /// Output directory.
    pub output: String,
    /// Rows by fate.
    pub rows: RowCounts,
    /// Bytes read from the source, all passes together.
    pub bytes_read: u64,
    /// Wall-clock seconds from start to end, as in `seconds.total`.
    #[serde(default)]
    pub duration_seconds: f64,
    /// Bytes the service processed: those of query jobs as it counted them, else the read session's estimate. Unknown for files.
    #[serde(default)]
    pub bytes_processed: Option<u64>,
    /// Bytes that are billed: of query jobs as the service counted them, else the read session's estimate, which is what reading
    /// every row of it is billed by. Before any free tier. Unknown for files.
    #[serde(default)]
    pub bytes_billed: Option<u64>,
    /// Slot-milliseconds of query jobs, as the service counted them.
    #[serde(default)]
    pub slot_ms: Option<u64>,
    /// Query jobs that were run.
    #[serde(default)]
    pub query_jobs: u64,
    /// What this run read of each work unit (of BigQuery: of each read stream), in order; nothing of units that earlier runs had read.
    #[serde(default)]
    pub streams: Vec<StreamRead>,
    /// Passes over the data: those that learn, and the one that writes.
    pub passes: usize,
    /// Work units read.
    pub units: usize,
    /// Of these, units whose rows earlier runs on the same directory had read.
    #[serde(default)]
    pub resumed_units_read: usize,
    /// Units whose shards earlier runs on the same directory had written.
    #[serde(default)]
    pub resumed_units_written: usize,
    /// Shards written.
    pub shards: usize,
    /// Bytes of the shards.
    pub bytes_written: u64,
    /// Reconnections of read streams.
    pub retries: u64,
    /// Bytes written to temporary files.
    pub spilled_bytes: u64,
    /// Highest resident memory of the process.
    pub peak_rss_bytes: u64,
    /// Memory the process was allowed.
    pub memory_limit_bytes: u64,
    /// Time by phase.
    pub seconds: PhaseSeconds,
    /// By column, values never seen in training that were encoded as unknown.
    pub unknown_categories: BTreeMap<String, u64>,
    /// Columns the recipe dropped after seeing the training rows, and why.
    pub dropped_columns: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl JobReport {
    /// Reads the report of a finished run.
    ///
    /// # Errors
    /// NotFound when there is none, Manifest when it cannot be understood.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| crate::source::files::io_error(&e, path))?;
        serde_json::from_slice(&bytes).map_err(|e| {
            Error::with_source(
                ErrorKind::Manifest,
                format!("cannot read {}", path.display()),
                e,
            )
        })
    }

    /// Indented JSON with a final newline.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::with_source(ErrorKind::Sink, "report", e))?;
        json.push(b'\n');
        Ok(json)
    }
}

/// What was read of one work unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRead {
    /// Its name.
    pub name: String,
    /// Rows delivered, in all passes that read the source.
    pub rows: u64,
    /// Bytes on the wire, or of the files.
    pub bytes: u64,
}

/// The account of each unit.
pub(super) fn streams(scan: &dyn Scan, metrics: &ReadMetrics) -> Vec<StreamRead> {
    let counts = metrics.units();
    scan.units()
        .iter()
        .enumerate()
        .map(|(index, unit)| {
            let (rows, bytes) = counts.get(&index).copied().unwrap_or_default();
            StreamRead {
                name: unit.name.clone(),
                rows,
                bytes,
            }
        })
        .collect()
}

/// Where the rows went: `read = filtered + train + val + test`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows the source delivered.
    pub read: u64,
    /// Rows that `where` left out here. Rows a source left out itself were never read.
    pub filtered: u64,
    /// Training rows.
    pub train: u64,
    /// Validation rows.
    pub val: u64,
    /// Test rows.
    pub test: u64,
}

/// Wall-clock seconds by phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseSeconds {
    /// Connecting, planning, and materialising a query.
    pub connect: f64,
    /// Learning.
    pub fit: f64,
    /// Transforming and writing.
    pub write: f64,
    /// All.
    pub total: f64,
}
