//! From a source as written in a recipe to a connected [`Source`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytesize::ByteSize;
use futures::FutureExt;
use serde_json::Value;

use super::csv::CsvSource;
use super::files::{FileFormat, FileSet};
use super::parquet::ParquetSource;
use super::{Source, bigquery};
use crate::error::{Error, Result};
use crate::job::Cancellation;
use crate::recipe::{BigQueryOptions, BigQuerySqlSpec, TableSpec};

/// The scheme of BigQuery addresses.
pub(crate) const BIGQUERY_SCHEME: &str = "bigquery://";

/// What is remembered of the scan of an earlier process.
#[derive(Debug, Clone)]
pub(crate) struct EarlierScan {
    /// Its [token](super::Scan::token).
    pub token: Value,
    /// [Tokens](super::Scan::unit_token) of units.
    pub units: BTreeMap<usize, Value>,
}

/// What a source is connected for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Its rows are read.
    #[default]
    Read,
    /// It is only looked at: nothing that costs or leaves anything behind is done.
    Plan,
}

/// What a source needs to know of the job that connects it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connecting {
    /// Replaces Google's endpoint for BigQuery sources that name none.
    pub emulator: Option<String>,
    /// The file with the credentials for BigQuery, in place of those found by default.
    pub credentials: Option<PathBuf>,
    /// Pays for BigQuery sources, whatever they name.
    pub project: Option<String>,
    /// Pays for BigQuery sources that name no project for that.
    pub default_project: Option<String>,
    /// The next scan goes on with this one.
    pub earlier: Option<EarlierScan>,
    /// Whether anything will be read.
    pub intent: Intent,
    /// Replaces the recipe's bound of the bytes that may be read.
    pub max_bytes: Option<ByteSize>,
    /// Ends the work of connecting and scanning.
    pub cancellation: Cancellation,
}

impl Connecting {
    /// Who pays, when the recipe says `written`; nothing when nobody is named.
    pub fn payer(&self, written: Option<&String>) -> Option<String> {
        let named = self.project.as_ref().or(written);
        named.or(self.default_project.as_ref()).cloned()
    }
}

/// Connects one table or set of files.
///
/// # Errors
/// When the address is malformed, or what it names cannot be reached or read.
pub(crate) async fn connect_table(
    table: &TableSpec,
    connecting: Connecting,
) -> Result<Arc<dyn Source>> {
    if let Some(name) = table.table.strip_prefix(BIGQUERY_SCHEME) {
        let options = table.bigquery.clone();
        // Whoever spawns a job need not look through all the types of the client.
        return bigquery::connect_address(name, options, connecting)
            .boxed()
            .await;
    }
    if table.bigquery != BigQueryOptions::default() {
        return Err(Error::config(format!(
            "source \"{}\" has bigquery settings but is not a bigquery:// address",
            table.table
        )));
    }
    let set = FileSet::resolve(&table.table).await?;
    Ok(match set.format {
        FileFormat::Parquet => Arc::new(ParquetSource::connect(set).await?),
        FileFormat::Csv => Arc::new(CsvSource::connect(set, table.csv.clone()).await?),
    })
}

/// Connects BigQuery SQL. Nothing is run before the source is scanned.
///
/// # Errors
/// When the query is refused, or the service cannot be reached.
pub(crate) async fn connect_sql(
    sql: &BigQuerySqlSpec,
    connecting: Connecting,
) -> Result<Arc<dyn Source>> {
    bigquery::connect_sql(sql, connecting).boxed().await
}
