//! JSON records as cells, by the fields of a schema.

use arrow::datatypes::{DataType, Field, Fields};
use serde_json::{Map, Value};

use super::Cell;
use crate::{json_text, picoseconds, wire};

/// What becomes of fields that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnknownFields {
    Refuse,
    Ignore,
}

/// What stands for a value of the type JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JsonValues {
    /// The value itself, as in files.
    Plain,
    /// Its text, as in requests that insert rows.
    Encoded,
}

/// How JSON is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonReading {
    unknown: UnknownFields,
    values: JsonValues,
}

impl JsonReading {
    /// As files of a load job have it.
    pub fn of_file(unknown: UnknownFields) -> Self {
        let values = JsonValues::Plain;
        Self { unknown, values }
    }

    /// As requests that insert rows have it.
    pub fn of_request(unknown: UnknownFields) -> Self {
        let values = JsonValues::Encoded;
        Self { unknown, values }
    }
}

/// A record of JSON as a row of `fields`.
///
/// # Errors
/// A message when it is no record, or when it has a field that the table does not.
pub(crate) fn json_row(
    fields: &Fields,
    value: &Value,
    reading: JsonReading,
) -> Result<Cell, String> {
    let Value::Object(object) = value else {
        return Err("JSON parsing error: a row must be an object.".to_owned());
    };
    record(fields, object, "", reading)
}

fn record(
    fields: &Fields,
    object: &Map<String, Value>,
    parent: &str,
    reading: JsonReading,
) -> Result<Cell, String> {
    let path = |name: &str| {
        if parent.is_empty() {
            name.to_owned()
        } else {
            format!("{parent}.{name}")
        }
    };
    let mut cells = vec![Cell::Null; fields.len()];
    for (name, value) in object {
        let found = crate::projection::find(fields, name);
        let slot = found.and_then(|(index, field)| Some((cells.get_mut(index)?, field)));
        match slot {
            Some((_, field))
                if value.is_null()
                    && !field.is_nullable()
                    && !matches!(field.data_type(), DataType::List(_))
                    && reading.values == JsonValues::Plain =>
            {
                return Err(format!(
                    "Only optional fields can be set to NULL. Field: {}; Value: NULL",
                    path(name)
                ));
            }
            Some((cell, field)) => *cell = cell_of(field, value, &path(name), reading)?,
            None if reading.unknown == UnknownFields::Ignore => {}
            None => return Err(format!("No such field: {}.", path(name))),
        }
    }
    Ok(Cell::Record(cells))
}

fn cell_of(field: &Field, value: &Value, path: &str, reading: JsonReading) -> Result<Cell, String> {
    match (field.data_type(), value) {
        (DataType::List(item), Value::Array(values)) => {
            let element = Field::clone(item).with_metadata(field.metadata().clone());
            let cells = values
                .iter()
                .map(|v| cell_of(&element, v, path, reading))
                .collect::<Result<Vec<Cell>, String>>()?;
            Ok(Cell::List(cells))
        }
        (DataType::List(_), Value::Null) => Ok(Cell::Null),
        (_, Value::Null) if wire::sql_type(field) != Some("json") => Ok(Cell::Null),
        (_, value) if wire::sql_type(field) == Some("json") => Ok(match value {
            Value::Null => Cell::Null,
            Value::String(text) if reading.values == JsonValues::Encoded => {
                let parsed = json_text::read(text)
                    .map_err(|e| format!("Invalid JSON in field {path}: {e}"))?;
                Cell::Text(json_text::text(&parsed))
            }
            other => Cell::Text(json_text::text(other)),
        }),
        (DataType::Struct(fields), Value::Object(object)) => record(fields, object, path, reading),
        // GeoJSON may come as an object.
        (DataType::Utf8, Value::Object(_)) if wire::sql_type(field) == Some("geography") => {
            Ok(Cell::Text(value.to_string()))
        }
        (DataType::Utf8, Value::Number(number)) if picoseconds::is_here(field) => {
            Ok(Cell::Seconds(number.as_f64().unwrap_or(f64::NAN)))
        }
        (data_type, Value::Number(number)) => Ok(number_of(data_type, number)),
        (DataType::Utf8, Value::Bool(_)) if reading.values == JsonValues::Encoded => {
            Err("Conversion from bool to std::string is unsupported.".to_owned())
        }
        (_, Value::Bool(value)) => Ok(Cell::Bool(*value)),
        (_, Value::String(text)) => Ok(Cell::Text(text.clone())),
        (_, Value::Array(_)) => Err(format!("Array specified for non-repeated field: {path}.")),
        (_, Value::Object(_)) => Err(format!("This field: {path} is not a record.")),
        (_, Value::Null) => Ok(Cell::Null),
    }
}

/// A number means seconds where a point in time is expected, and text where digits count.
fn number_of(data_type: &DataType, number: &serde_json::Number) -> Cell {
    match data_type {
        DataType::Timestamp(_, _) => Cell::Seconds(number.as_f64().unwrap_or(f64::NAN)),
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _) | DataType::Utf8 => {
            Cell::Text(number.to_string())
        }
        _ => number.as_i64().map_or_else(
            || Cell::Float(number.as_f64().unwrap_or(f64::NAN)),
            Cell::Int,
        ),
    }
}

/// Newline-delimited JSON, line after line.
pub(crate) struct JsonRows<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    fields: &'a Fields,
    reading: JsonReading,
}

impl<'a> JsonRows<'a> {
    pub fn new(text: &'a str, fields: &'a Fields, reading: JsonReading) -> Self {
        Self {
            lines: text.lines().enumerate(),
            fields,
            reading,
        }
    }
}

impl Iterator for JsonRows<'_> {
    /// A row, or the line's number and what is wrong with it.
    type Item = Result<Cell, (usize, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (number, line) = self.lines.find(|(_, line)| !line.trim().is_empty())?;
        let parsed = serde_json::from_str::<Value>(line)
            .map_err(|e| format!("JSON parsing error in row {}: {e}", number + 1))
            .and_then(|value| json_row(self.fields, &value, self.reading));
        Some(parsed.map_err(|message| (number, message)))
    }
}
