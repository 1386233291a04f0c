//! Rows in the REST form: every value a string, nested in `f` and `v`. They are written as text from where they are in arrays: as
//! values of JSON first they would take ten times the memory of it.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Fields, Float64Type, Int64Type,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use serde::ser::{Serialize, SerializeMap, Serializer};

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

/// Rows as JSON text, one after the other.
#[derive(Debug, Default)]
pub(super) struct RowsText {
    text: Vec<u8>,
    count: u64,
}

impl RowsText {
    /// Adds the rows of a batch.
    pub fn push_batch(
        &mut self,
        batch: &RecordBatch,
        timestamps: TimestampForm,
    ) -> serde_json::Result<()> {
        let schema = batch.schema_ref();
        (0..batch.num_rows()).try_for_each(|row| {
            self.push(&Record {
                fields: schema.fields(),
                columns: batch.columns(),
                row,
                timestamps,
            })
        })
    }

    /// Adds one row, which must be in the REST form.
    pub fn push(&mut self, row: &impl Serialize) -> serde_json::Result<()> {
        if self.count > 0 {
            self.text.push(b',');
        }
        self.count += 1;
        serde_json::to_writer(&mut self.text, row)
    }

    /// How many rows there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The rows, with commas between them.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

/// Cells side by side: `{"f": [...]}`.
struct Record<'a> {
    fields: &'a Fields,
    columns: &'a [ArrayRef],
    row: usize,
    timestamps: TimestampForm,
}

impl Record<'_> {
    fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        let columns = self.fields.iter().zip(self.columns);
        columns.map(|(field, column)| Cell {
            field,
            column,
            row: self.row,
            timestamps: self.timestamps,
        })
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_map(Some(1))?;
        record.serialize_entry("f", &Cells(self))?;
        record.end()
    }
}

struct Cells<'a>(&'a Record<'a>);

impl Serialize for Cells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.cells().map(Valued))
    }
}

/// A cell in its place: `{"v": ...}`.
struct Valued<'a>(Cell<'a>);

impl Serialize for Valued<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut cell = serializer.serialize_map(Some(1))?;
        cell.serialize_entry("v", &self.0)?;
        cell.end()
    }
}

struct Cell<'a> {
    field: &'a Field,
    column: &'a ArrayRef,
    row: usize,
    timestamps: TimestampForm,
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            field,
            column,
            row,
            timestamps,
        } = *self;
        if column.is_null(row) {
            return serializer.serialize_none();
        }
        match field.data_type() {
            DataType::List(item) => {
                let element = Field::clone(item).with_metadata(field.metadata().clone());
                let values = column.as_list::<i32>().value(row);
                serializer.collect_seq((0..values.len()).map(|row| {
                    Valued(Cell {
                        field: &element,
                        column: &values,
                        row,
                        timestamps,
                    })
                }))
            }
            DataType::Struct(fields) => {
                let record = Record {
                    fields,
                    columns: column.as_struct().columns(),
                    row,
                    timestamps,
                };
                if wire::sql_type(field) == Some("range") {
                    serializer.serialize_str(&range(&record))
                } else {
                    record.serialize(serializer)
                }
            }
            DataType::Utf8 if picoseconds::is_here(field) => {
                let text = column.as_string::<i32>().value(row);
                let micros = || picoseconds::micros(text).unwrap_or_default();
                match timestamps {
                    TimestampForm::Iso => serializer.serialize_str(text),
                    TimestampForm::Micros => serializer.collect_str(&micros()),
                    TimestampForm::Seconds => serializer.serialize_str(&seconds(micros())),
                }
            }
            DataType::Utf8 => serializer.serialize_str(column.as_string::<i32>().value(row)),
            DataType::Int64 => {
                serializer.collect_str(&column.as_primitive::<Int64Type>().value(row))
            }
            _ => serializer.serialize_str(&scalar(column, row, timestamps)),
        }
    }
}

/// The two ends of a range.
fn range(ends: &Record<'_>) -> String {
    let ends: Vec<String> = ends
        .cells()
        .map(|end| match end.column.is_null(end.row) {
            true => "UNBOUNDED".to_owned(),
            false => scalar(end.column, end.row, end.timestamps),
        })
        .collect();
    format!("[{})", ends.join(", "))
}

/// The text of a value that is neither a text nor a whole number, and has no others in it.
fn scalar(column: &ArrayRef, row: usize, timestamps: TimestampForm) -> String {
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).to_string(),
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

    use serde_json::{Value, json};

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
        let rows = |form| {
            let mut rows = RowsText::default();
            rows.push_batch(&batch, form).unwrap();
            assert_eq!(rows.count(), 2);
            let text = String::from_utf8(rows.text().to_vec()).unwrap();
            serde_json::from_str::<Vec<Value>>(&format!("[{text}]")).unwrap()
        };
        let form = |form| rows(form)[0]["f"][5]["v"].clone();
        assert_eq!(form(TimestampForm::Micros), json!("-500000"));
        assert_eq!(
            form(TimestampForm::Iso),
            json!("1969-12-31T23:59:59.500000000000Z")
        );
        let written = rows(TimestampForm::Seconds);
        assert_eq!(
            written,
            [
                json!({"f": [{"v": "-Infinity"}, {"v": "AP8="}, {"v": "0001-01-01"}, {"v": "01:02:03.500000"},
                    {"v": "9999-12-31T23:59:59.999999"}, {"v": "-0.500000"}, {"v": "-1.5"}, {"v": "-1-2 -3 0:0:4.250"},
                    {"v": "[UNBOUNDED, 2020-01-01)"}, {"v": [{"v": "1"}, {"v": "2"}]}, {"v": {"f": [{"v": "true"}]}}]}),
                json!({"f": [{"v": null}, {"v": null}, {"v": null}, {"v": null}, {"v": null}, {"v": null}, {"v": null},
                    {"v": null}, {"v": null}, {"v": []}, {"v": null}]}),
            ]
        );
    }
}
