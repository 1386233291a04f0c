//! Files as clients bring them: newline-delimited JSON, CSV, Parquet and Avro, read into columns and batches of wire types.
//!
//! Settings have the names of a load job's. Must not know about jobs, tables or requests.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use serde_json::Value;

use crate::cells::{self, Cell, JsonReading, JsonRows, UnknownFields};
use crate::gzip;
use crate::schema::{self, FieldSchema};

mod avro;
mod csv;
mod detect;
mod parquet;
mod refused_options;

pub(crate) use refused_options::refuse;

/// What compressed rows may unpack to.
const MAX_ROW_BYTES: usize = 1 << 30;

/// Rows turned into Arrow at a time.
const BATCH_ROWS: usize = 8192;

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct FormatError {
    message: String,
}

impl FormatError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }

    fn reading(message: impl std::fmt::Display) -> Self {
        Self::new(format!(
            "Error while reading data, error message: {message}"
        ))
    }
}

/// What is known of the columns before a file is read.
#[derive(Debug, Clone)]
pub(crate) enum Columns {
    /// The client named them.
    Given(Vec<FieldSchema>),
    /// They are those of a table, which a file need not have all of.
    OfTable(Vec<FieldSchema>),
    /// The file has to tell.
    Detect,
}

impl Columns {
    fn or_detect(
        self,
        detect: impl FnOnce() -> Result<Vec<FieldSchema>, FormatError>,
    ) -> Result<Vec<FieldSchema>, FormatError> {
        match self {
            Self::Given(columns) | Self::OfTable(columns) => Ok(columns),
            Self::Detect => detect(),
        }
    }

    /// The columns of a file that tells what it has: its own, with the types that are known.
    fn or_own(self, own: Vec<FieldSchema>) -> Vec<FieldSchema> {
        match self {
            Self::Given(columns) => columns,
            Self::Detect => own,
            // Text can become a date so, but no column appears unasked.
            Self::OfTable(existing) => own
                .into_iter()
                .map(|column| {
                    let known = existing
                        .iter()
                        .find(|k| k.name.eq_ignore_ascii_case(&column.name));
                    known.cloned().unwrap_or(column)
                })
                .collect(),
        }
    }
}

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub columns: Vec<FieldSchema>,
    /// Rows with the wire types of `columns`.
    pub batches: Vec<RecordBatch>,
    /// Rows that did not fit and were passed over.
    pub bad: u64,
}

/// Whether files of a format tell which columns they have, so that nobody has to guess.
pub(crate) fn tells_its_columns(format: &str) -> bool {
    matches!(format, "PARQUET" | "AVRO")
}

/// Reads a whole file. Rows of text may be compressed by gzip.
///
/// # Errors
/// [`FormatError`] for a format that is not read, for what is damaged, and for more bad rows than are allowed.
pub(crate) fn decode(
    format: &str,
    data: &Bytes,
    columns: Columns,
    settings: &Value,
) -> Result<Decoded, FormatError> {
    refuse(settings)?;
    let unpacked = if !tells_its_columns(format) && gzip::is_packed(data) {
        Some(gzip::unpack(data, MAX_ROW_BYTES).map_err(FormatError::reading)?)
    } else {
        None
    };
    let data = unpacked.as_ref().unwrap_or(data);
    match format {
        "NEWLINE_DELIMITED_JSON" => json(data, columns, settings),
        "CSV" => csv::decode(data, columns, settings),
        "PARQUET" => parquet::decode(data, columns, settings),
        "AVRO" => avro::decode(data, columns, settings),
        other => Err(FormatError::new(format!(
            "source format {other} is not supported by this emulator; it reads NEWLINE_DELIMITED_JSON, CSV, PARQUET and AVRO"
        ))),
    }
}

fn json(data: &[u8], columns: Columns, settings: &Value) -> Result<Decoded, FormatError> {
    let text = text_of(data)?;
    let columns = columns.or_detect(|| detect::json_columns(text))?;
    let schema: SchemaRef = Arc::new(schema::to_arrow(&columns));
    let reading = JsonReading::of_file(unknown_fields(settings));
    let rows = JsonRows::new(text, schema.fields(), reading);
    of_cells(settings, columns, rows)
}

fn unknown_fields(settings: &Value) -> UnknownFields {
    if settings["ignoreUnknownValues"].as_bool() == Some(true) {
        UnknownFields::Ignore
    } else {
        UnknownFields::Refuse
    }
}

fn text_of(data: &[u8]) -> Result<&str, FormatError> {
    std::str::from_utf8(data)
        .map(|text| text.strip_prefix('\u{feff}').unwrap_or(text))
        .map_err(|e| {
            let at = e.valid_up_to();
            FormatError::reading(format!("byte {at} is not valid UTF-8"))
        })
}

/// Rows that do not fit, and how many of them may be.
struct BadRows {
    allowed: u64,
    seen: u64,
    first: Option<String>,
}

impl BadRows {
    fn new(settings: &Value) -> Self {
        let allowed = match &settings["maxBadRecords"] {
            Value::String(text) => text.parse().unwrap_or(0),
            other => other.as_u64().unwrap_or(0),
        };
        Self {
            allowed,
            seen: 0,
            first: None,
        }
    }

    /// Counts a row; fails once there are too many.
    fn count(&mut self, row: usize, message: &str) -> Result<(), FormatError> {
        self.seen += 1;
        let text = format!(
            "Error while reading data, error message: row {}: {message}",
            row + 1
        );
        self.first.get_or_insert(text);
        if self.seen <= self.allowed {
            return Ok(());
        }
        Err(FormatError::new(self.first.clone().unwrap_or_default()))
    }
}

/// Turns rows into batches.
fn of_cells(
    settings: &Value,
    columns: Vec<FieldSchema>,
    rows: impl Iterator<Item = Result<Cell, (usize, String)>>,
) -> Result<Decoded, FormatError> {
    let schema: SchemaRef = Arc::new(schema::to_arrow(&columns));
    let mut bad = BadRows::new(settings);
    let mut batches = Vec::new();
    let mut waiting: Vec<Cell> = Vec::new();
    let mut before = 0;
    for row in rows {
        match row {
            Ok(cell) => waiting.push(cell),
            Err((row, message)) => bad.count(row, &message)?,
        }
        if waiting.len() == BATCH_ROWS {
            let full = std::mem::take(&mut waiting);
            batches.push(fit(&schema, full, before, &mut bad)?);
            before += BATCH_ROWS;
        }
    }
    batches.push(fit(&schema, waiting, before, &mut bad)?);
    Ok(Decoded {
        columns,
        batches,
        bad: bad.seen,
    })
}

/// A batch of the rows that fit; those that do not are counted.
fn fit(
    schema: &SchemaRef,
    rows: Vec<Cell>,
    before: usize,
    bad: &mut BadRows,
) -> Result<RecordBatch, FormatError> {
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
        FormatError::new(errors.into_iter().map(|e| e.message).collect::<String>())
    })
}
