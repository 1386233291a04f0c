//! Load jobs: files that came with the request or lie at addresses, written into a table.

use std::sync::{Arc, PoisonError};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::destination::{self, Arrival, Destination, Dispositions};
use super::{Done, JobError, Work};
use crate::external::ExternalError;
use crate::file_formats::{self, Columns, Decoded, FormatError};
use crate::query::statements::column_defaults;
use crate::schema::{self, FieldSchema};
use crate::source_files::{self, Gathered, SourceFiles};
use crate::wire;

impl From<FormatError> for JobError {
    fn from(error: FormatError) -> Self {
        Self::invalid(error.to_string())
    }
}

pub(super) fn run(work: &mut Work<'_>) -> Result<Done, JobError> {
    let settings = settings(&work.configuration["load"]);
    let data = work.data.take();
    let loaded = load(work, &settings, data)?;
    let mut done = Done::at(work, &loaded.target);
    let statistics = loaded.statistics();
    done.statistics.insert("load".to_owned(), statistics);
    Ok(done)
}

/// What has been loaded.
pub(super) struct Loaded {
    target: Destination,
    files: usize,
    file_bytes: u64,
    rows: u64,
    bytes: u64,
    bad: u64,
}

impl Loaded {
    /// As statistics tell it.
    pub fn statistics(&self) -> Value {
        json!({
            "inputFiles": self.files.to_string(),
            "inputFileBytes": self.file_bytes.to_string(),
            "outputRows": self.rows.to_string(),
            "outputBytes": self.bytes.to_string(),
            "badRecords": self.bad.to_string(),
        })
    }
}

/// Loads the data, or what lies at `sourceUris`. Reads everything before anything is changed: a job that fails leaves its table alone.
///
/// # Errors
/// [`JobError`] for what cannot be read, and for a table that cannot take it.
pub(super) fn load(
    work: &Work<'_>,
    settings: &Value,
    data: Option<Bytes>,
) -> Result<Loaded, JobError> {
    let target = destination::reference(&settings["destinationTable"], work.project)?;
    work.check_place(&target.table)?;
    let format = settings["sourceFormat"].as_str().unwrap_or("CSV");
    let (files, read) = match data {
        Some(data) => {
            let columns = columns_of(work, settings, &target, format)?;
            let bytes = data.len() as u64;
            let decoded = file_formats::decode(format, &data, columns, settings)?;
            (1, Gathered { decoded, bytes })
        }
        None => {
            let files = SourceFiles::find(work.catalog.places(), format, settings.clone())?;
            let columns = columns_of(work, settings, &target, format)?;
            (files.files.len(), files.read(columns)?)
        }
    };
    let (rows, bytes) = write(work, settings, &target, &read.decoded)?;
    Ok(Loaded {
        target,
        files,
        file_bytes: read.bytes,
        rows,
        bytes,
        bad: read.decoded.bad,
    })
}

/// What a job says, with the options of Parquet among the others.
fn settings(load: &Value) -> Value {
    let mut settings = load.clone();
    let options = load["parquetOptions"].as_object().cloned();
    if let (Some(options), Value::Object(all)) = (options, &mut settings) {
        all.extend(options);
    }
    settings
}

impl From<ExternalError> for JobError {
    fn from(error: ExternalError) -> Self {
        match error {
            ExternalError::NotFound { uri } | ExternalError::NoBucket { uri } => {
                Self::new("notFound", format!("Not found: URI {uri}"))
            }
            ExternalError::Format { table, message } => Self::invalid(message).at(&table),
            ExternalError::Io { .. } => Self::new("internalError", error.to_string()),
            other => Self::invalid(other.to_string()),
        }
    }
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
    let places = work.catalog.places();
    if let Some(fields) = source_files::of_reference(places, format, settings)? {
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
    let turn = work.memory.turn(&target.table);
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
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
