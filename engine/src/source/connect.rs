//! From a source as written in a recipe to a connected [`Source`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Source;
use super::bigquery::BigQuerySource;
use super::csv::CsvSource;
use super::files::{FileFormat, FileSet};
use super::parquet::ParquetSource;
use crate::error::{Error, Result};
use crate::recipe::{BigQueryOptions, TableSpec};

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

/// Connects one table or set of files. `emulator` replaces Google's endpoint for BigQuery tables that name none. With an
/// `earlier` scan, the next scan goes on with that one.
///
/// # Errors
/// When the address is malformed, or what it names cannot be reached or read.
pub(crate) async fn connect_table(
    table: &TableSpec,
    emulator: Option<&str>,
    earlier: Option<EarlierScan>,
) -> Result<Arc<dyn Source>> {
    if let Some(name) = table.table.strip_prefix(BIGQUERY_SCHEME) {
        let options = BigQueryOptions {
            endpoint: table
                .bigquery
                .endpoint
                .clone()
                .or_else(|| emulator.map(str::to_owned)),
            ..table.bigquery.clone()
        };
        let source = BigQuerySource::connect(name, options).await?;
        return Ok(Arc::new(match earlier {
            Some(earlier) => source.going_on(earlier)?,
            None => source,
        }));
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
