//! Rows as lines of text: CSV and newline-delimited JSON.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, TimestampMicrosecondType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::{value_text, wire};

/// The line with the names of the columns.
pub(super) fn header(schema: &Schema, delimiter: char) -> String {
    let names = schema
        .fields()
        .iter()
        .map(|field| quoted(field.name(), delimiter));
    line(names, delimiter)
}

/// A line for each row: nothing is null, and an empty text stands in quotes.
pub(super) fn csv(batch: &RecordBatch, delimiter: char) -> String {
    let mut out = String::new();
    for row in 0..batch.num_rows() {
        let values = batch.columns().iter().map(|column| {
            if column.is_null(row) {
                String::new()
            } else {
                quoted(&text(column, row), delimiter)
            }
        });
        out.push_str(&line(values, delimiter));
    }
    out
}

fn line(values: impl Iterator<Item = String>, delimiter: char) -> String {
    let mut line = String::new();
    for (index, value) in values.enumerate() {
        if index > 0 {
            line.push(delimiter);
        }
        line.push_str(&value);
    }
    line.push('\n');
    line
}

fn quoted(text: &str, delimiter: char) -> String {
    let plain = !text.is_empty()
        && !text.contains([delimiter, '"', '\n', '\r'])
        && !text.starts_with(' ')
        && !text.ends_with(' ');
    if plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('"', "\"\""))
    }
}

/// An object for each row, on a line of its own. Members that are null are left out, integers and decimals are texts.
pub(super) fn json(batch: &RecordBatch) -> String {
    let mut out = String::new();
    for row in 0..batch.num_rows() {
        let members = batch.schema_ref().fields().iter().zip(batch.columns());
        object(
            members.map(|(field, column)| (field.as_ref(), column)),
            row,
            &mut out,
        );
        out.push('\n');
    }
    out
}

fn object<'a>(
    members: impl Iterator<Item = (&'a Field, &'a ArrayRef)>,
    row: usize,
    out: &mut String,
) {
    out.push('{');
    let mut first = true;
    for (field, column) in members.filter(|(_, column)| !column.is_null(row)) {
        if !first {
            out.push(',');
        }
        first = false;
        out.push_str(&Value::from(field.name().as_str()).to_string());
        out.push(':');
        value(field, column, row, out);
    }
    out.push('}');
}

fn value(field: &Field, column: &ArrayRef, row: usize, out: &mut String) {
    match column.data_type() {
        DataType::List(item) => {
            let element = Field::clone(item).with_metadata(field.metadata().clone());
            let values = column.as_list::<i32>().value(row);
            out.push('[');
            for at in 0..values.len() {
                if at > 0 {
                    out.push(',');
                }
                value(&element, &values, at, out);
            }
            out.push(']');
        }
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns();
            let members = fields.iter().map(AsRef::as_ref).zip(columns);
            object(members, row, out);
        }
        DataType::Boolean => out.push_str(&text(column, row)),
        DataType::Float64 => {
            let float = column.as_primitive::<Float64Type>().value(row);
            let text = text(column, row);
            if float.is_finite() {
                out.push_str(&text);
            } else {
                out.push_str(&Value::from(text).to_string());
            }
        }
        DataType::Utf8 if wire::sql_type(field) == Some("json") => {
            out.push_str(column.as_string::<i32>().value(row));
        }
        _ => out.push_str(&Value::from(text(column, row)).to_string()),
    }
}

/// A value that has no children, as load jobs read it back.
fn text(column: &ArrayRef, row: usize) -> String {
    match column.data_type() {
        DataType::Binary => STANDARD.encode(column.as_binary::<i32>().value(row)),
        DataType::Float64 => {
            let float = column.as_primitive::<Float64Type>().value(row);
            if float.is_nan() {
                "NaN".to_owned()
            } else if float.is_infinite() {
                if float > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
            } else {
                format!("{float:?}")
            }
        }
        DataType::Timestamp(_, Some(_)) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            format!("{} UTC", value_text::short_datetime(micros))
        }
        _ => value_text::scalar(column, row),
    }
}
