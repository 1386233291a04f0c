//! Values of every type as texts for people (`%t`) and as literals of SQL (`%T`).

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, Float64Type, TimestampMicrosecondType};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use serde_json::Value;

use crate::json_text::{self, Floats};
use crate::{value_text, wire};

/// Whether JSON is written on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    One,
    Many,
}

/// A value as `%t` writes it.
pub(super) fn text(array: &ArrayRef, field: &Field, row: usize) -> Result<String> {
    written(array, field, row, Form::Text)
}

/// A value as `%T` writes it.
pub(super) fn literal(array: &ArrayRef, field: &Field, row: usize) -> Result<String> {
    written(array, field, row, Form::Literal)
}

/// A document, its members in the order of their names.
pub(super) fn json(array: &ArrayRef, row: usize, lines: Lines) -> Result<String> {
    let text = array.as_string::<i32>().value(row);
    let value: Value =
        serde_json::from_str(text).map_err(|e| exec_datafusion_err!("invalid JSON: {e}"))?;
    let text = match lines {
        Lines::One => json_text::write(&value, Floats::OfJson),
        Lines::Many => json_text::write_lines(&value, Floats::OfJson),
    };
    text.map_err(|e| exec_datafusion_err!("invalid JSON: {e}"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Literal,
}

fn written(array: &ArrayRef, field: &Field, row: usize, form: Form) -> Result<String> {
    if array.is_null(row) || array.data_type().is_null() {
        return Ok("NULL".to_owned());
    }
    let named = |kind: &str, text: String| match form {
        Form::Text => text,
        Form::Literal => format!("{kind} \"{text}\""),
    };
    Ok(match array.data_type() {
        DataType::Utf8 => match wire::sql_type(field) {
            Some("json") => {
                let text = json(array, row, Lines::One)?;
                match form {
                    Form::Text => text,
                    Form::Literal => format!("JSON {}", quoted(text.chars(), "")),
                }
            }
            Some(other) => return exec_err!("FORMAT of {other} is not supported by this emulator"),
            None => {
                let text = array.as_string::<i32>().value(row);
                match form {
                    Form::Text => text.to_owned(),
                    Form::Literal => quoted(text.chars(), ""),
                }
            }
        },
        DataType::Binary => {
            let bytes = array.as_binary::<i32>().value(row);
            match form {
                Form::Literal => quoted(bytes.iter().map(|b| char::from(*b)), "b"),
                Form::Text => bytes
                    .iter()
                    .map(|b| escaped(char::from(*b), '\0', true))
                    .collect(),
            }
        }
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row), form),
        DataType::Date32 => named("DATE", value_text::scalar(array, row)),
        DataType::Time64(_) => named("TIME", value_text::scalar(array, row)),
        DataType::Timestamp(_, zone) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let text = value_text::short_datetime(micros);
            match zone {
                Some(_) => named("TIMESTAMP", format!("{text}+00")),
                None => named("DATETIME", text),
            }
        }
        DataType::Decimal128(_, _) => named("NUMERIC", value_text::scalar(array, row)),
        DataType::Decimal256(_, _) => named("BIGNUMERIC", value_text::scalar(array, row)),
        DataType::Interval(_) => {
            let text = value_text::scalar(array, row);
            match form {
                Form::Text => text,
                Form::Literal => format!("INTERVAL \"{text}\" YEAR TO SECOND"),
            }
        }
        DataType::List(item) => {
            let item = Field::clone(item).with_metadata(field.metadata().clone());
            let values = array.as_list::<i32>().value(row);
            let all = (0..values.len()).map(|at| written(&values, &item, at, form));
            format!("[{}]", all.collect::<Result<Vec<_>>>()?.join(", "))
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter().zip(fields);
            let range = wire::sql_type(field) == Some("range");
            let form_within = if range { Form::Text } else { form };
            let all: Vec<String> = columns
                .map(|(column, field)| written(column, field, row, form_within))
                .collect::<Result<_>>()?;
            if !range {
                return Ok(format!("({})", all.join(", ")));
            }
            let kind = match fields.first().map(|f| f.data_type()) {
                Some(DataType::Date32) => "DATE",
                Some(DataType::Timestamp(_, None)) => "DATETIME",
                _ => "TIMESTAMP",
            };
            let ends: Vec<&str> = all
                .iter()
                .map(|end| if end == "NULL" { "UNBOUNDED" } else { end })
                .collect();
            named(&format!("RANGE<{kind}>"), format!("[{})", ends.join(", ")))
        }
        _ => value_text::scalar(array, row),
    })
}

/// A float with a point or an exponent, so that it is no integer.
fn float(value: f64, form: Form) -> String {
    let text = value_text::float(value);
    match form {
        Form::Literal if !value.is_finite() => format!("CAST(\"{text}\" AS FLOAT64)"),
        _ if value.is_finite() && !text.contains(['.', 'e']) => format!("{text}.0"),
        _ => text,
    }
}

/// A text in quotes: double ones, unless it has these and no single ones.
fn quoted(characters: impl Iterator<Item = char> + Clone, prefix: &str) -> String {
    let has = |quote: char| characters.clone().any(|c| c == quote);
    let quote = if has('"') && !has('\'') { '\'' } else { '"' };
    let inner: String = characters
        .clone()
        .map(|c| escaped(c, quote, prefix == "b"))
        .collect();
    format!("{prefix}{quote}{inner}{quote}")
}

fn escaped(c: char, quote: char, bytes: bool) -> String {
    match c {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\\' => "\\\\".to_owned(),
        c if c == quote => format!("\\{c}"),
        c if bytes && !(' '..='~').contains(&c) => format!("\\x{:02x}", u32::from(c)),
        c if c.is_control() => format!("\\x{:02x}", u32::from(c)),
        c => c.to_string(),
    }
}
