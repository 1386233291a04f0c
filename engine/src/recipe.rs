//! The recipe: what to read, what to learn, how to split and where to write, as one value.
//!
//! Owns the model shared by the YAML file and the Rust builder. Must not know how any of it is carried out.
//! Reading a file, its suggestions and its JSON schema are in the submodules.

use std::path::PathBuf;

use bytesize::ByteSize;
use millpond_features::{FeatureSet, OutputDtype, SplitSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod check;
mod derivations;
mod names;
mod nearest;
mod yaml;

pub use names::Names;
pub(crate) use nearest::nearest_name;

use std::collections::BTreeMap;

/// A whole job as data. Every key of the YAML file is a field here, with the same name and default.
///
/// ```yaml
/// source: ./clicks/*.parquet
/// key: user_id
/// label: label
/// split: {hash: {columns: user_id}}
/// features:
///   - columns: i*
///     steps: [{simple_imputer: mean}, standard_scaler]
/// ```
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Where the rows come from. Can be left out and given on the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceSpec>,
    /// Keeps the rows for which this SQL condition is true. Rows it drops are counted as filtered.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// New columns, each a SQL expression over the source's columns; evaluated in the order written, a later one may use an earlier one.
    #[serde(default, skip_serializing_if = "Derivations::is_empty")]
    pub derive: Derivations,
    /// Columns that identify a row. Written through unchanged; never a feature unless named outright.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub key: Names,
    /// The column to be predicted. Written through unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// A column of row weights. Written through unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// Further columns written through unchanged.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub pass_through: Names,
    /// Columns (names or globs) that are never read, not even by a selector.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub drop: Names,
    /// How rows are divided into train, val and test.
    pub split: SplitSpec,
    /// Sets of columns, each with the chain of steps applied to every one of them.
    pub features: Vec<FeatureSet>,
    /// Number type of the numeric features written.
    #[serde(default)]
    pub dtype: OutputDtype,
    /// Reads exactly this many rows (after `where`), in unit order. Repeatable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Where and how results are written.
    #[serde(default)]
    pub output: OutputSpec,
    /// Memory the process may use, for example `1GiB`. Default: 70 % of the smaller of host and cgroup limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub memory: Option<ByteSize>,
}

/// Derived columns in the order written: name and SQL expression.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Derivations(pub Vec<(String, String)>);

/// A source in a recipe: one address, or a query over several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SourceSpec {
    /// `bigquery://project.dataset.table`, a local path or glob of Parquet or CSV files, or an object store URL (`gs://`, `s3://`, `file://`).
    Address(String),
    /// The same with settings.
    Table(TableSpec),
    /// DataFusion SQL over named tables.
    Query(QuerySpec),
    /// SQL that BigQuery runs.
    Sql(BigQuerySqlSpec),
}

/// An address with settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// As for a plain address.
    pub table: String,
    /// Settings of BigQuery sources.
    #[serde(default, skip_serializing_if = "BigQueryOptions::is_default")]
    pub bigquery: BigQueryOptions,
    /// Settings of CSV sources.
    #[serde(default, skip_serializing_if = "CsvOptions::is_default")]
    pub csv: CsvOptions,
}

/// A DataFusion query over registered tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuerySpec {
    /// SQL as DataFusion understands it: joins, windows, `DISTINCT ON`, common table expressions.
    pub query: String,
    /// The tables the query names, each an address.
    pub tables: BTreeMap<String, String>,
}

/// SQL that BigQuery runs: one query job into a temporary table, which is read through the Storage Read API and removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BigQuerySqlSpec {
    /// One SELECT in GoogleSQL.
    pub bigquery_sql: String,
    /// Values for `@name` in the query: texts, numbers, booleans, lists of one of them, or `{type: DATE, value: "2026-01-31"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// Project that runs the query and pays for it. Default: `--project`, else `GCP_PROJECT_ID` or `GOOGLE_CLOUD_PROJECT`.
    #[serde(
        default,
        alias = "billing_project",
        skip_serializing_if = "Option::is_none"
    )]
    pub project: Option<String>,
    /// Where the query runs, for example `EU`. Default: where the tables are that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Dataset (`dataset` or `project.dataset`) for the table with the result. Default: BigQuery's own anonymous table, which it
    /// removes after a day and which holds at most 10 GB compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporary_dataset: Option<String>,
    /// After this time BigQuery removes the table with the result by itself, for example `24h`, should the run not have been able
    /// to. Between `10m` and `7d`; default `24h`. Only with a `temporary_dataset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    /// Refuses to run the query when it would process more bytes, for example `10GiB`. Default: no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub maximum_bytes_billed: Option<ByteSize>,
    /// Most read streams of the result; each is one work unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_stream_count: Option<u32>,
    /// Fewest read streams wanted; the service need not comply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_min_stream_count: Option<u32>,
    /// Buffer compression on the wire. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<WireCompression>,
    /// Endpoint of an emulator. Default: the environment's `BIGQUERY_EMULATOR_HOST`, else Google's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

impl BigQuerySqlSpec {
    /// This query, with nothing else set.
    #[must_use]
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            bigquery_sql: sql.into(),
            parameters: BTreeMap::new(),
            project: None,
            location: None,
            temporary_dataset: None,
            expiration: None,
            maximum_bytes_billed: None,
            max_stream_count: None,
            preferred_min_stream_count: None,
            compression: None,
            endpoint: None,
        }
    }
}

/// Settings of a BigQuery read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BigQueryOptions {
    /// Project that pays for the read. Default: the table's project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_project: Option<String>,
    /// Reads the table as of this RFC 3339 time, at most seven days back. Default: the time the session is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_time: Option<String>,
    /// Most read streams the service may return (its own choice when absent). Each stream is one work unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_stream_count: Option<u32>,
    /// Fewest read streams wanted; the service need not comply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_min_stream_count: Option<u32>,
    /// Cuts the read into ranges of a column, each a work unit with a session of its own at one snapshot. A session lives six hours;
    /// ranges let a longer read, or one that is interrupted for longer, go on. Default: one session, a unit per stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_units: Option<WorkUnits>,
    /// Endpoint of an emulator, for example `http://127.0.0.1:9050`. Default: the environment's `BIGQUERY_EMULATOR_HOST`, else Google's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Buffer compression on the wire. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<WireCompression>,
    /// Refuses to read when more bytes than this would be, for example `10GiB`. Default: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub max_bytes: Option<ByteSize>,
    /// Where a query runs, for views, external and wildcard tables. Default: where the table is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Dataset for the result of a query over a view, an external or a wildcard table. Default: BigQuery's own anonymous table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temporary_dataset: Option<String>,
    /// After this time BigQuery removes the table with the result by itself. Between `10m` and `7d`; default `24h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    /// How rows come. Default: the Storage Read API.
    #[serde(skip_serializing_if = "ReadBy::is_default")]
    pub read: ReadBy,
    /// Rows of a chunk of `read: limit_offset`. Default: 100,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_rows: Option<u64>,
    /// Columns that order the chunks of `read: limit_offset`. Default: none, so that rows may be read twice or never.
    #[serde(skip_serializing_if = "Names::is_empty")]
    pub order_by: Names,
}

/// How the rows of a BigQuery table come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReadBy {
    /// Through the Storage Read API: one snapshot, billed once, in parallel.
    #[default]
    Storage,
    /// By queries with LIMIT and OFFSET, their rows as JSON, as people do it. For comparison only: slower, billed once per chunk, and
    /// not promised to see each row once.
    LimitOffset,
}

impl ReadBy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Ranges of a column that a BigQuery table is read in. Best is the column the table is partitioned by, with bounds
/// between partitions, so that each range scans its own partitions only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkUnits {
    /// A column of integers, texts, dates or times.
    pub column: String,
    /// Ascending bounds, as text. A range begins at its bound; the first one is everything below the first bound and rows
    /// without a value, so there is one range more than there are bounds.
    pub at: Vec<String>,
}

/// Compression of Arrow buffers between BigQuery and the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WireCompression {
    /// LZ4 frames: less traffic, some processor time.
    Lz4,
    /// ZSTD: least traffic, more processor time.
    Zstd,
}

/// Settings of a CSV read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CsvOptions {
    /// Whether the first line names the columns.
    pub header: CsvHeader,
    /// One ASCII character between fields.
    pub delimiter: char,
    /// Rows examined, from the start of the first file, to infer column types.
    pub infer_rows: usize,
}

/// What the first line of a CSV file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CsvHeader {
    /// Column names.
    Present,
    /// Data; columns are called `column_1`, `column_2`, ...
    Absent,
}

/// Where and how results are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutputSpec {
    /// Directory for `train/`, `val/`, `test/`, `fitted.json` and the report. It must be empty or absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Parquet compression: `uncompressed`, `snappy`, `lz4`, or `zstd(LEVEL)`.
    pub compression: String,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            header: CsvHeader::Present,
            delimiter: ',',
            infer_rows: 10_000,
        }
    }
}

impl Default for OutputSpec {
    fn default() -> Self {
        Self {
            path: None,
            compression: "zstd(1)".to_owned(),
        }
    }
}

impl CsvOptions {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl BigQueryOptions {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Derivations {
    /// Whether nothing is derived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
