//! The first rows of a query's result as one Arrow message, for clients that ask for it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::error::RestError;
use crate::arrow_message::{BufferCompression, MessageEncoder, schema_message};
use crate::catalog::Catalog;
use crate::name::TableName;
use crate::picoseconds::{self, Precision};
use crate::table_rows::TableRows;

/// About as much Arrow data as is sent with the answer; what is more comes from the job's stream.
const PAGE_BYTES: usize = 8 << 20;

/// A page, its messages in base64.
#[derive(Debug)]
pub(super) struct ArrowPage {
    pub schema: String,
    /// `None` when there are no rows.
    pub batch: Option<String>,
    pub rows: u64,
    pub total: u64,
}

/// Reads at most `max` rows. Blocks.
///
/// # Errors
/// [`RestError`] for a codec that is none, or what reading says.
pub(super) fn first(
    catalog: &Catalog,
    table: &TableName,
    max: Option<u64>,
    options: &Value,
) -> Result<ArrowPage, RestError> {
    let precision = match options["picosTimestampPrecision"]
        .as_str()
        .unwrap_or_default()
    {
        "TIMESTAMP_PRECISION_NANOS" => Precision::Nanos,
        "TIMESTAMP_PRECISION_PICOS" => Precision::Text,
        "" | "PICOS_TIMESTAMP_PRECISION_UNSPECIFIED" | "TIMESTAMP_PRECISION_MICROS" => {
            Precision::Micros
        }
        other => {
            return Err(RestError::invalid(&format!(
                "Invalid value for picosTimestampPrecision: {other}"
            )));
        }
    };
    let compression = match options["bufferCompression"].as_str().unwrap_or_default() {
        "" | "COMPRESSION_UNSPECIFIED" => BufferCompression::None,
        "LZ4_FRAME" => BufferCompression::Lz4Frame,
        "ZSTD" => BufferCompression::Zstd,
        other => {
            return Err(RestError::invalid(&format!(
                "Invalid value for bufferCompression: {other}"
            )));
        }
    };
    let table = catalog.table(table)?;
    let schema: SchemaRef = Arc::new(picoseconds::sent_schema(&table.schema, precision));
    let total = table.rows;
    let broken = |e: arrow::error::ArrowError| RestError::invalid(&e.to_string());
    let mut batches: Vec<RecordBatch> = Vec::new();
    let mut bytes = 0;
    for batch in TableRows::try_new(table, &[], 0, max.unwrap_or(u64::MAX))? {
        let batch = picoseconds::sent(batch?, &schema).map_err(broken)?;
        bytes += batch.get_array_memory_size();
        batches.push(batch);
        if bytes > PAGE_BYTES {
            break;
        }
    }
    let rows = batches.iter().map(|b| b.num_rows() as u64).sum();
    let batch = if rows == 0 {
        None
    } else {
        let whole = concat_batches(&schema, &batches).map_err(broken)?;
        let mut encoder = MessageEncoder::try_new(&schema, compression).map_err(broken)?;
        Some(STANDARD.encode(encoder.encode(&whole).map_err(broken)?.into_bytes()))
    };
    Ok(ArrowPage {
        schema: STANDARD.encode(schema_message(&schema).map_err(broken)?),
        batch,
        rows,
        total,
    })
}
