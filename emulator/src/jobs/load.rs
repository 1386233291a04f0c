//! Load jobs: newline-delimited JSON, CSV and Parquet that came with the request.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::destination::{self, Destination, Dispositions};
use super::{Done, JobError, Work};
use crate::cells::{self, Cell, JsonRows, UnknownFields};
use crate::gzip;
use crate::schema::{self, FieldSchema};
use crate::wire;

mod csv;
mod detect;

/// What compressed rows may unpack to.
const MAX_ROW_BYTES: usize = 1 << 30;

/// Rows turned into Arrow at a time.
const BATCH_ROWS: usize = 8192;

/// Rows that do not fit, and how many of them may be.
struct BadRows {
    allowed: u64,
    seen: u64,
    first: Option<String>,
}

impl BadRows {
    /// Counts a row; fails once there are too many.
    fn count(&mut self, row: usize, message: &str) -> Result<(), JobError> {
        self.seen += 1;
        let text = format!(
            "Error while reading data, error message: row {}: {message}",
            row + 1
        );
        self.first.get_or_insert(text);
        if self.seen <= self.allowed {
            return Ok(());
        }
        Err(JobError::invalid(self.first.clone().unwrap_or_default()))
    }
}

pub(super) fn run(work: &mut Work<'_>) -> Result<Done, JobError> {
    let settings = work.configuration["load"].clone();
    let target = destination::reference(&settings["destinationTable"], work.project)?;
    let Some(mut data) = work.data.take() else {
        return Err(JobError::invalid(
            "loading from source URIs is not supported by this emulator, upload the data with the job",
        ));
    };
    let format = settings["sourceFormat"].as_str().unwrap_or("CSV");
    let sent = data.len();
    if format != "PARQUET" && gzip::is_packed(&data) {
        data = gzip::unpack(&data, MAX_ROW_BYTES).map_err(|e| {
            JobError::invalid(format!("Error while reading data, error message: {e}"))
        })?;
    }
    let rows = match format {
        "NEWLINE_DELIMITED_JSON" => load_json(work, &settings, &target, &data)?,
        "CSV" => csv::load(work, &settings, &target, &data)?,
        "PARQUET" => load_parquet(work, &settings, &target, &data)?,
        other => {
            return Err(JobError::invalid(format!(
                "source format {other} is not supported by this emulator; it loads NEWLINE_DELIMITED_JSON, CSV and PARQUET"
            )));
        }
    };
    let mut done = Done::default();
    done.statistics.insert(
        "load".to_owned(),
        json!({
            "inputFiles": "1",
            "inputFileBytes": sent.to_string(),
            "outputRows": rows.good.to_string(),
            "outputBytes": rows.bytes.to_string(),
            "badRecords": rows.bad.to_string(),
        }),
    );
    Ok(done)
}

/// What was loaded.
struct Loaded {
    good: u64,
    bad: u64,
    bytes: u64,
}

/// The columns to load: those given, else those of the table, else what the data look like.
fn columns_of(
    work: &Work<'_>,
    settings: &Value,
    target: &Destination,
    detect: impl FnOnce() -> Result<Vec<FieldSchema>, JobError>,
) -> Result<Vec<FieldSchema>, JobError> {
    let given = &settings["schema"]["fields"];
    if given.is_array() {
        let fields: Vec<FieldSchema> = serde_json::from_value(given.clone())
            .map_err(|e| JobError::invalid(format!("Invalid schema: {e}")))?;
        return schema::checked(&fields).map_err(|e| JobError::invalid(e.to_string()));
    }
    let autodetect = settings["autodetect"].as_bool();
    if autodetect != Some(true)
        && let Some(existing) = destination::existing(work, target)?
        && !existing.is_empty()
    {
        return Ok(existing);
    }
    if autodetect == Some(false) {
        return Err(JobError::invalid(format!(
            "No schema specified on job or table {}",
            target.table
        )));
    }
    detect()
}

fn text_of(data: &[u8]) -> Result<&str, JobError> {
    std::str::from_utf8(data)
        .map(|text| text.strip_prefix('\u{feff}').unwrap_or(text))
        .map_err(|e| {
            let at = e.valid_up_to();
            JobError::invalid(format!(
                "Error while reading data, error message: byte {at} is not valid UTF-8"
            ))
        })
}

fn bad_rows(settings: &Value) -> BadRows {
    let allowed = match &settings["maxBadRecords"] {
        Value::String(text) => text.parse().unwrap_or(0),
        other => other.as_u64().unwrap_or(0),
    };
    BadRows {
        allowed,
        seen: 0,
        first: None,
    }
}

fn unknown_fields(settings: &Value) -> UnknownFields {
    if settings["ignoreUnknownValues"].as_bool() == Some(true) {
        UnknownFields::Ignore
    } else {
        UnknownFields::Refuse
    }
}

fn load_json(
    work: &Work<'_>,
    settings: &Value,
    target: &Destination,
    data: &Bytes,
) -> Result<Loaded, JobError> {
    let text = text_of(data)?;
    let columns = columns_of(work, settings, target, || detect::json_columns(text))?;
    let schema: SchemaRef = Arc::new(schema::to_arrow(&columns));
    let rows = JsonRows::new(text, schema.fields(), unknown_fields(settings));
    load_cells(work, settings, target, &columns, rows)
}

/// Reads everything before anything is changed: a job that fails leaves its table alone.
fn load_cells(
    work: &Work<'_>,
    settings: &Value,
    target: &Destination,
    columns: &[FieldSchema],
    rows: impl Iterator<Item = Result<Cell, (usize, String)>>,
) -> Result<Loaded, JobError> {
    let schema: SchemaRef = Arc::new(schema::to_arrow(columns));
    let mut bad = bad_rows(settings);
    let mut batches = Vec::new();
    let mut waiting: Vec<Cell> = Vec::new();
    let mut before = 0;
    for row in rows {
        match row {
            Ok(cell) => waiting.push(cell),
            Err((row, message)) => bad.count(row, &message)?,
        }
        if waiting.len() == BATCH_ROWS {
            before += waiting.len();
            batches.push(fit(
                &schema,
                std::mem::take(&mut waiting),
                before - BATCH_ROWS,
                &mut bad,
            )?);
        }
    }
    batches.push(fit(&schema, waiting, before, &mut bad)?);
    write(work, settings, target, columns, &batches, bad.seen)
}

/// A batch of the rows that fit; those that do not are counted.
fn fit(
    schema: &SchemaRef,
    rows: Vec<Cell>,
    before: usize,
    bad: &mut BadRows,
) -> Result<RecordBatch, JobError> {
    let errors = match cells::batch(schema, &rows) {
        Ok(batch) => return Ok(batch),
        Err(errors) => errors,
    };
    for error in &errors {
        bad.count(before + error.row, &error.message)?;
    }
    let good: Vec<Cell> = rows
        .into_iter()
        .enumerate()
        .filter(|(row, _)| errors.iter().all(|e| e.row != *row))
        .map(|(_, cell)| cell)
        .collect();
    cells::batch(schema, &good).map_err(|errors| {
        JobError::invalid(errors.into_iter().map(|e| e.message).collect::<String>())
    })
}

/// Writes batches of `columns` to the table, whose own columns may be in another order, and more.
fn write(
    work: &Work<'_>,
    settings: &Value,
    target: &Destination,
    columns: &[FieldSchema],
    batches: &[RecordBatch],
    bad: u64,
) -> Result<Loaded, JobError> {
    let dispositions = Dispositions::new(settings, "WRITE_APPEND");
    destination::prepare(work, target, columns, &dispositions)?;
    let schema = Arc::clone(&work.catalog.table(&target.table)?.schema);
    let mut writer = work
        .catalog
        .writer(&target.table, target.partition.as_deref())?;
    for batch in batches {
        writer.write(&arranged(batch, &schema)?)?;
    }
    let commit = writer.commit()?;
    Ok(Loaded {
        good: commit.rows,
        bad,
        bytes: commit.bytes,
    })
}

/// The batch with the table's columns in the table's order.
pub(super) fn arranged(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, JobError> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let own = batch.schema_ref().fields();
            match crate::projection::find(own, field.name()) {
                Some((index, _)) => wire::to_wire(batch.column(index), field),
                None => wire::absent(field, batch.num_rows()),
            }
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| JobError::invalid(e.to_string()))?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|e| JobError::invalid(e.to_string()))
}

fn load_parquet(
    work: &Work<'_>,
    settings: &Value,
    target: &Destination,
    data: &Bytes,
) -> Result<Loaded, JobError> {
    let unreadable =
        |e: String| JobError::invalid(format!("Error while reading data, error message: {e}"));
    let builder = ParquetRecordBatchReaderBuilder::try_new(data.clone())
        .map_err(|e| unreadable(e.to_string()))?;
    let own = wire::wire_schema(builder.schema(), builder.parquet_schema())
        .map_err(|e| unreadable(e.to_string()))?;
    let columns = match destination::existing(work, target)? {
        Some(existing) if !existing.is_empty() && settings["schema"]["fields"].is_null() => {
            typed_by(&existing, schema::from_arrow(&own))
        }
        _ => columns_of(work, settings, target, || Ok(schema::from_arrow(&own)))?,
    };
    if let Some(json) = columns.iter().find(|c| c.kind == "JSON") {
        return Err(JobError::invalid(format!(
            "Unsupported field type: JSON. Field {} cannot be loaded from Parquet",
            json.name
        )));
    }
    let schema: SchemaRef = Arc::new(schema::to_arrow(&columns));
    let reader = builder
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(|e| unreadable(e.to_string()))?;
    let mut batches = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|e| unreadable(e.to_string()))?;
        batches.push(arranged(&batch, &schema)?);
    }
    write(work, settings, target, &columns, &batches, 0)
}

/// The file's columns with the table's types, so that text can become a date but no column appears unasked.
fn typed_by(existing: &[FieldSchema], own: Vec<FieldSchema>) -> Vec<FieldSchema> {
    own.into_iter()
        .map(|column| {
            let known = existing
                .iter()
                .find(|k| k.name.eq_ignore_ascii_case(&column.name));
            known.cloned().unwrap_or(column)
        })
        .collect()
}
