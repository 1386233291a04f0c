//! What a journal can say. Owns the shape of the records and nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::manifest::{ShardEntry, SplitRows};
use crate::source::{Snapshot, Unit};

/// One thing that is finished for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(crate) enum Record {
    /// A run began: what it was asked for.
    Begun(Begun),
    /// The rows of a query are on disk.
    Query(QueryRecord),
    /// The source was cut into units.
    Scan(ScanRecord),
    /// A unit was begun that is remembered by itself.
    Unit(UnitRecord),
    /// What was kept of an unfinished unit is of no use: it will be read from its start.
    Forgotten(ForgottenRecord),
    /// Some rows of a unit are on disk.
    Rows(RowsRecord),
    /// All rows of a unit are on disk.
    Read(ReadRecord),
    /// Learning is over, and the artefact is in place.
    Learned(LearnedRecord),
    /// The shards of a unit are in place.
    Written(WrittenRecord),
    /// Everything is in place; only names change from here on.
    Committing,
}

impl Record {
    /// Whether something was done that is worth keeping.
    pub fn is_work(&self) -> bool {
        matches!(
            self,
            Self::Query(_) | Self::Rows(_) | Self::Written(_) | Self::Committing
        )
    }
}

/// What a run was asked for. Another run goes on only when it is asked for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// Version of these records.
    pub format_version: u32,
    /// Version of the engine: another one might compute other bytes.
    pub engine_version: String,
    /// The recipe without what does not change a byte of the result.
    pub recipe: Value,
}

/// A file that is not one of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptTable {
    /// Its name where it lies.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-32C of its content.
    pub crc32c: u32,
}

/// A query that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueryRecord {
    /// The files with its rows, in order.
    pub files: Vec<KeptTable>,
}

/// A scan that was begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScanRecord {
    /// What was read, as the artefact says it.
    pub snapshot: Snapshot,
    /// The units in order.
    pub units: Vec<Unit>,
    /// What the source needs to go on with this very scan; nothing for sources that are simply read again.
    pub token: Option<Value>,
    /// What must not have changed in the source until then.
    pub state: Value,
}

/// How to go on with a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct UnitRecord {
    /// The unit.
    pub unit: usize,
    /// What the source needs.
    pub token: Value,
}

/// A unit to be read from its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ForgottenRecord {
    /// The unit.
    pub unit: usize,
    /// Segments it had; numbers below are not used again.
    pub segments: usize,
}

/// Rows that need not be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowsRecord {
    /// The unit.
    pub unit: usize,
    /// Which of its segments, from 0.
    pub segment: usize,
    /// Rows the source delivered for it, before any local filter.
    pub delivered: u64,
    /// Rows in the file; none: no file.
    pub rows: u64,
    /// Length of the file.
    pub bytes: u64,
    /// Checksum of the file.
    pub digest: u32,
}

/// The end of a unit was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadRecord {
    /// The unit.
    pub unit: usize,
    /// Segments it has.
    pub segments: usize,
}

/// What learning left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LearnedRecord {
    /// Passes it took.
    pub passes: usize,
    /// Training rows.
    pub train_rows: u64,
    /// Rows left out by `where`, by unit, as far as learning counted them.
    pub filtered: Vec<(usize, u64)>,
    /// The artefact's files.
    pub files: Vec<KeptTable>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Columns dropped and why.
    pub dropped: Vec<String>,
}

/// What became of one unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WrittenRecord {
    /// The unit.
    pub unit: usize,
    /// Rows written per split.
    pub rows: SplitRows,
    /// Rows left out by `where`, when writing read the source itself.
    pub filtered: Option<u64>,
    /// Its shards.
    pub shards: Vec<ShardEntry>,
    /// Null labels among its rows.
    pub null_labels: u64,
    /// By column, values never seen in training.
    pub unknown: BTreeMap<String, u64>,
}
