//! Load jobs: files that came with the request, written into a table.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::destination::{self, Arrival, Destination, Dispositions};
use super::{Done, JobError, Work};
use crate::file_formats::{self, Columns, Decoded, FormatError};
use crate::query::column_defaults;
use crate::schema::{self, FieldSchema};
use crate::wire;

impl From<FormatError> for JobError {
    fn from(error: FormatError) -> Self {
        Self::invalid(error.to_string())
    }
}

/// Reads everything before anything is changed: a job that fails leaves its table alone.
pub(super) fn run(work: &mut Work<'_>) -> Result<Done, JobError> {
    let settings = work.configuration["load"].clone();
    let target = destination::reference(&settings["destinationTable"], work.project)?;
    let Some(data) = work.data.take() else {
        return Err(JobError::invalid(
            "loading from source URIs is not supported by this emulator, upload the data with the job",
        ));
    };
    let format = settings["sourceFormat"].as_str().unwrap_or("CSV");
    let columns = columns_of(work, &settings, &target, format)?;
    let decoded = file_formats::decode(format, &data, columns, &settings)?;
    let (rows, bytes) = write(work, &settings, &target, &decoded)?;
    let mut done = Done::at(work, &target);
    done.statistics.insert(
        "load".to_owned(),
        json!({
            "inputFiles": "1",
            "inputFileBytes": data.len().to_string(),
            "outputRows": rows.to_string(),
            "outputBytes": bytes.to_string(),
            "badRecords": decoded.bad.to_string(),
        }),
    );
    Ok(done)
}

/// The columns to load: those given, else those of the table, else what the data look like.
fn columns_of(
    work: &Work<'_>,
    settings: &Value,
    target: &Destination,
    format: &str,
) -> Result<Columns, JobError> {
    let given = &settings["schema"]["fields"];
    if given.is_array() {
        let fields: Vec<FieldSchema> = serde_json::from_value(given.clone())
            .map_err(|e| JobError::invalid(format!("Invalid schema: {e}")))?;
        let fields = schema::checked(&fields).map_err(|e| JobError::invalid(e.to_string()))?;
        return Ok(Columns::Given(fields));
    }
    let tells = file_formats::tells_its_columns(format);
    if tells && settings["writeDisposition"] == "WRITE_TRUNCATE" {
        return Ok(Columns::Detect);
    }
    let autodetect = settings["autodetect"].as_bool();
    if (tells || autodetect != Some(true))
        && let Some(existing) = destination::existing(work, target)?
        && !existing.is_empty()
    {
        return Ok(Columns::OfTable(existing));
    }
    if !tells && autodetect == Some(false) {
        return Err(JobError::invalid(format!(
            "No schema specified on job or table {}",
            target.table
        )));
    }
    Ok(Columns::Detect)
}

/// Writes what was read to the table, whose own columns may be in another order, and more. Returns rows and bytes.
fn write(
    work: &Work<'_>,
    settings: &Value,
    target: &Destination,
    decoded: &Decoded,
) -> Result<(u64, u64), JobError> {
    let dispositions = Dispositions::new(settings, "WRITE_APPEND");
    destination::prepare(work, target, &decoded.columns, &dispositions)?;
    let schema = Arc::clone(&work.catalog.table(&target.table)?.schema);
    let left_out: Vec<FieldSchema> = destination::existing(work, target)?
        .unwrap_or_default()
        .into_iter()
        .filter(|c| column_defaults::of(c).is_some())
        .filter(|c| {
            !decoded
                .columns
                .iter()
                .any(|d| d.name.eq_ignore_ascii_case(&c.name))
        })
        .collect();
    let mut writer = Arrival::begin(work, target)?;
    for batch in &decoded.batches {
        if left_out.is_empty() {
            writer.write(&arranged(batch, &schema)?)?;
            continue;
        }
        let handle =
            Handle::try_current().map_err(|e| JobError::new("internalError", e.to_string()))?;
        let whole = column_defaults::beside(work.catalog, batch, &left_out);
        writer.write(&arranged(&handle.block_on(whole)?, &schema)?)?;
    }
    let commit = writer.commit()?;
    Ok((commit.rows, commit.bytes))
}

/// The batch with the table's columns in the table's order.
pub(super) fn arranged(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, JobError> {
    let own = batch.schema_ref().fields();
    for field in schema.fields().iter().filter(|f| !f.is_nullable()) {
        let found = crate::projection::find(own, field.name());
        let column = found.and_then(|(index, _)| batch.columns().get(index));
        if column.is_some_and(|column| column.null_count() > 0) {
            return Err(JobError::invalid(format!(
                "Required field {} cannot be null",
                field.name()
            )));
        }
    }
    wire::arranged(batch, schema).map_err(|e| JobError::invalid(e.to_string()))
}
