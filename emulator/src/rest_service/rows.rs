//! Rows in the REST form: every value a string, nested in `f` and `v`.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Float64Type, Int64Type,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use serde_json::{Value, json};

use crate::{picoseconds, value_text, wire};

/// How points in time are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum TimestampForm {
    /// Seconds with a fraction, such as `1.5E9`.
    #[default]
    Seconds,
    /// Whole microseconds.
    Micros,
    /// A date and a time with twelve digits of a second, such as `2020-01-01T00:00:00.000000000000Z`.
    Iso,
}

/// The rows of a batch.
pub(super) fn rows(batch: &RecordBatch, timestamps: TimestampForm) -> Vec<Value> {
    let schema = batch.schema_ref();
    (0..batch.num_rows())
        .map(|row| {
            let cells: Vec<Value> = schema
                .fields()
                .iter()
                .zip(batch.columns())
                .map(|(field, column)| json!({"v": cell(field, column, row, timestamps)}))
                .collect();
            json!({"f": cells})
        })
        .collect()
}

fn cell(field: &Field, column: &ArrayRef, row: usize, timestamps: TimestampForm) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match field.data_type() {
        DataType::List(item) => {
            let element = Field::clone(item).with_metadata(field.metadata().clone());
            let values = column.as_list::<i32>().value(row);
            let cells: Vec<Value> = (0..values.len())
                .map(|at| json!({"v": cell(&element, &values, at, timestamps)}))
                .collect();
            Value::Array(cells)
        }
        DataType::Struct(fields) if wire::sql_type(field) == Some("range") => {
            let ends: Vec<String> = fields
                .iter()
                .zip(column.as_struct().columns())
                .map(|(f, c)| match cell(f, c, row, timestamps) {
                    Value::String(text) => text,
                    _ => "UNBOUNDED".to_owned(),
                })
                .collect();
            Value::String(format!("[{})", ends.join(", ")))
        }
        DataType::Struct(fields) => {
            let cells: Vec<Value> = fields
                .iter()
                .zip(column.as_struct().columns())
                .map(|(f, c)| json!({"v": cell(f, c, row, timestamps)}))
                .collect();
            json!({"f": cells})
        }
        DataType::Utf8 if picoseconds::is_here(field) => {
            let text = column.as_string::<i32>().value(row);
            let micros = || picoseconds::micros(text).unwrap_or_default();
            Value::String(match timestamps {
                TimestampForm::Iso => text.to_owned(),
                TimestampForm::Micros => micros().to_string(),
                TimestampForm::Seconds => seconds(micros()),
            })
        }
        _ => Value::String(scalar(column, row, timestamps)),
    }
}

fn scalar(column: &ArrayRef, row: usize, timestamps: TimestampForm) -> String {
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Binary => STANDARD.encode(column.as_binary::<i32>().value(row)),
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>().value(row);
            let date = DateTime::from_timestamp(i64::from(days) * 86_400, 0);
            date.map(|d| d.format("%Y-%m-%d").to_string())
                .unwrap_or_default()
        }
        DataType::Time64(_) => {
            value_text::time(column.as_primitive::<Time64MicrosecondType>().value(row))
        }
        DataType::Timestamp(_, zone) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            match (zone, timestamps) {
                (Some(_), TimestampForm::Micros) => micros.to_string(),
                (Some(_), TimestampForm::Seconds) => seconds(micros),
                (Some(_), TimestampForm::Iso) => iso(micros),
                (None, _) => value_text::datetime(micros),
            }
        }
        DataType::Decimal128(_, _) => {
            digits(&column.as_primitive::<Decimal128Type>().value_as_string(row))
        }
        DataType::Decimal256(_, _) => {
            digits(&column.as_primitive::<Decimal256Type>().value_as_string(row))
        }
        DataType::Interval(_) => {
            value_text::interval(column.as_primitive::<IntervalMonthDayNanoType>().value(row))
        }
        _ => column.as_string::<i32>().value(row).to_owned(),
    }
}

fn float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        format!("{value:?}")
    }
}

/// Seconds with all six digits of the microseconds, which a float would not always keep.
fn seconds(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn iso(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .map(|at| at.format("%Y-%m-%dT%H:%M:%S%.6f000000Z").to_string())
        .unwrap_or_default()
}

/// Without the zeros that the column's scale adds.
fn digits(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::cells::{self, JsonReading, UnknownFields, json_row};
    use crate::schema::{self, FieldSchema};

    #[test]
    fn values_are_written_as_they_were_read() {
        let fields: Vec<FieldSchema> = serde_json::from_value(json!([
            {"name": "f", "type": "FLOAT64"}, {"name": "by", "type": "BYTES"}, {"name": "d", "type": "DATE"},
            {"name": "t", "type": "TIME"}, {"name": "dt", "type": "DATETIME"}, {"name": "ts", "type": "TIMESTAMP"},
            {"name": "n", "type": "NUMERIC"}, {"name": "iv", "type": "INTERVAL"},
            {"name": "r", "type": "RANGE", "rangeElementType": {"type": "DATE"}},
            {"name": "a", "type": "INT64", "mode": "REPEATED"},
            {"name": "rec", "type": "RECORD", "fields": [{"name": "x", "type": "BOOL"}]},
        ]))
        .unwrap();
        let schema = Arc::new(schema::to_arrow(&schema::checked(&fields).unwrap()));
        let row = json!({"f": "-inf", "by": "AP8=", "d": "0001-01-01", "t": "01:02:03.5", "dt": "9999-12-31T23:59:59.999999",
            "ts": "1969-12-31 23:59:59.5 UTC", "n": "-1.50", "iv": "-1-2 -3 0:0:4.25", "r": "[UNBOUNDED, 2020-01-01)",
            "a": [1, 2], "rec": {"x": true}});
        let cell = json_row(
            schema.fields(),
            &row,
            JsonReading::of_file(UnknownFields::Refuse),
        )
        .unwrap();
        let batch = cells::batch(&schema, &[cell, cells::Cell::Record(Vec::new())]).unwrap();
        let form = |form| rows(&batch, form)[0]["f"][5]["v"].clone();
        assert_eq!(form(TimestampForm::Micros), json!("-500000"));
        assert_eq!(
            form(TimestampForm::Iso),
            json!("1969-12-31T23:59:59.500000000000Z")
        );
        let written = rows(&batch, TimestampForm::Seconds);
        assert_eq!(
            written,
            [
                json!({"f": [{"v": "-Infinity"}, {"v": "AP8="}, {"v": "0001-01-01"}, {"v": "01:02:03.500000"},
                    {"v": "9999-12-31T23:59:59.999999"}, {"v": "-0.500000"}, {"v": "-1.5"}, {"v": "-1-2 -3 0:0:4.250000"},
                    {"v": "[UNBOUNDED, 2020-01-01)"}, {"v": [{"v": "1"}, {"v": "2"}]}, {"v": {"f": [{"v": "true"}]}}]}),
                json!({"f": [{"v": null}, {"v": null}, {"v": null}, {"v": null}, {"v": null}, {"v": null}, {"v": null},
                    {"v": null}, {"v": null}, {"v": []}, {"v": null}]}),
            ]
        );
    }
}
