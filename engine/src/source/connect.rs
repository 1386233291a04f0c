//! From a source as written in a recipe to a connected [`Source`].

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

/// Connects one table or set of files. `emulator` replaces Google's endpoint for BigQuery tables that name none. With the
/// `token` of a scan, the next scan goes on with that one.
///
/// # Errors
/// When the address is malformed, or what it names cannot be reached or read.
pub(crate) async fn connect_table(
    table: &TableSpec,
    emulator: Option<&str>,
    token: Option<Value>,
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
        return Ok(Arc::new(match token {
            Some(token) => source.going_on(token)?,
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
