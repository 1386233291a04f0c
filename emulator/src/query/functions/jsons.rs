//! JSON of values of every type: TO_JSON and TO_JSON_STRING.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, IntervalMonthDayNanoType, TimestampMicrosecondType,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;
use serde_json::{Map, Number, Value};

use super::values::json_field;
use super::{Call, Function, each, text};
use crate::json_text::{self, Floats};
use crate::{value_text, wire};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        // The value, and whether numbers that a float does not hold are texts.
        Function::made("millpond_to_json", &[1, 2], json_field, |call| {
            let wide = match call.arrays.len() {
                2 => call.array(1)?.as_boolean_opt().cloned(),
                _ => None,
            };
            texts(call, |array, field, row| {
                let as_text = wide
                    .as_ref()
                    .is_some_and(|w| w.is_valid(row) && w.value(row));
                let wide = if as_text { Wide::Texts } else { Wide::Numbers };
                let mut value = of(array, field, row, (wide, Floats::OfJson))?;
                value.sort_all_objects();
                Ok(json_text::text(&value))
            })
        }),
        Function::made("millpond_parse_json", &[1], json_field, |call| {
            let read = |text: &str| {
                if let Some(number) = json_text::wide_number(text) {
                    return exec_err!(
                        "Invalid input: Input number: {number} cannot round-trip through string representation; error in PARSE_JSON expression"
                    );
                }
                let value = json_text::read(text);
                let value = value.map_err(|e| {
                    exec_datafusion_err!(
                        "syntax error while parsing value: {e}; error in PARSE_JSON expression"
                    )
                })?;
                Ok(json_text::text(&value))
            };
            Ok(Arc::new(StringArray::from(each(&call.texts(0)?, read)?)))
        }),
        // The value, and whether the text has several lines.
        Function::made("millpond_to_json_string", &[1, 2], text, |call| {
            let pretty = match call.arrays.len() {
                2 => call.array(1)?.as_boolean_opt().cloned(),
                _ => None,
            };
            texts(call, |array, field, row| {
                let value = of(array, field, row, (Wide::Texts, Floats::OfSql))?;
                let pretty = pretty
                    .as_ref()
                    .is_some_and(|p| p.is_valid(row) && p.value(row));
                let floats = match wire::sql_type(field) {
                    Some("json") => Floats::OfJson,
                    _ => Floats::OfSql,
                };
                let text = match pretty {
                    true => json_text::write_lines(&value, floats),
                    false => json_text::write(&value, floats),
                };
                text.map_err(|e| exec_datafusion_err!("invalid JSON: {e}"))
            })
        }),
    ]
}

fn texts(
    call: &Call,
    one: impl Fn(&ArrayRef, &Field, usize) -> Result<String>,
) -> Result<ArrayRef> {
    let (array, field) = (call.array(0)?, call.field(0)?);
    let texts = (0..array.len()).map(|row| one(array, field, row).map(Some));
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}

/// What integers and decimals are that a float does not hold exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wide {
    Numbers,
    Texts,
}

/// A value as JSON, where numbers are numbers.
pub(super) fn json(array: &ArrayRef, field: &Field, row: usize) -> Result<Value> {
    of(array, field, row, (Wide::Numbers, Floats::OfJson))
}

fn of(array: &ArrayRef, field: &Field, row: usize, numbers: (Wide, Floats)) -> Result<Value> {
    let (wide, floats) = numbers;
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int64 => {
            let value = array.as_primitive::<Int64Type>().value(row);
            match wide == Wide::Texts && value.unsigned_abs() > 1 << 53 {
                true => Value::String(value.to_string()),
                false => Value::Number(value.into()),
            }
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            match Number::from_f64(value) {
                // SQL writes a whole number without a point, JSON with one.
                Some(_)
                    if floats == Floats::OfSql && value.fract() == 0.0 && value.abs() < 1e15 =>
                {
                    serde_json::from_str(&format!("{:.0}", value + 0.0)).unwrap_or(Value::Null)
                }
                Some(number) => Value::Number(number),
                None if value.is_nan() => Value::String("NaN".to_owned()),
                None if value > 0.0 => Value::String("Infinity".to_owned()),
                None => Value::String("-Infinity".to_owned()),
            }
        }
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => {
            decimal(value_text::scalar(array, row), wide)
        }
        DataType::List(item) => {
            let element = Field::clone(item).with_metadata(field.metadata().clone());
            let values = array.as_list::<i32>().value(row);
            (0..values.len())
                .map(|at| of(&values, &element, at, numbers))
                .collect::<Result<_>>()?
        }
        DataType::Struct(fields) if wire::sql_type(field).is_none() => {
            let mut object = Map::new();
            for (child, column) in fields.iter().zip(array.as_struct().columns()) {
                object.insert(child.name().clone(), of(column, child, row, numbers)?);
            }
            Value::Object(object)
        }
        DataType::Utf8 if wire::sql_type(field) == Some("json") => {
            serde_json::from_str(array.as_string::<i32>().value(row))
                .map_err(|e| exec_datafusion_err!("invalid JSON: {e}"))?
        }
        DataType::Utf8 if wire::sql_type(field).is_none() => {
            Value::String(array.as_string::<i32>().value(row).to_owned())
        }
        DataType::Binary => Value::String(STANDARD.encode(array.as_binary::<i32>().value(row))),
        DataType::Date32 | DataType::Time64(_) => Value::String(value_text::scalar(array, row)),
        DataType::Timestamp(_, zone) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let text = value_text::short_datetime(micros).replacen(' ', "T", 1);
            let zulu = if zone.is_some() { "Z" } else { "" };
            Value::String(format!("{text}{zulu}"))
        }
        DataType::Interval(_) => {
            let interval = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            Value::String(value_text::iso_interval(interval))
        }
        other => {
            return exec_err!("TO_JSON of {other} is not supported by this emulator");
        }
    })
}

/// A decimal is a number where it is a whole one that a float holds.
fn decimal(text: String, wide: Wide) -> Value {
    let float: f64 = text.parse().unwrap_or(f64::NAN);
    let same = float.abs() <= 9_007_199_254_740_992.0 && !text.contains('.');
    match serde_json::from_str(&text) {
        Ok(number) if same || wide == Wide::Numbers => number,
        _ => Value::String(text),
    }
}
