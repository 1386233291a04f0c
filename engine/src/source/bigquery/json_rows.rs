//! Rows as the REST API writes them: every value a text, to Arrow.
//!
//! Owns the texts of the types. Must not know where rows come from.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder,
    IntervalMonthDayNanoBuilder, RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano, SchemaRef, TimeUnit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

/// A row as it arrives: `{"f": [{"v": "1"}, {"v": null}]}`.
pub(super) type JsonRow = Map<String, Value>;

/// Why a row was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum RowFault {
    /// The row has no list of cells, or too few.
    #[error("row {row} has no cell for column {column:?}")]
    Missing {
        /// Position in the page.
        row: usize,
        /// The column.
        column: String,
    },
    /// The cell is no text of its type. The value itself is not repeated.
    #[error("row {row} has no {expected} in column {column:?}")]
    Text {
        /// Position in the page.
        row: usize,
        /// The column.
        column: String,
        /// What it should be.
        expected: DataType,
    },
    /// A type this way of reading does not know.
    #[error("column {column:?} has type {data_type}")]
    Type {
        /// The column.
        column: String,
        /// Its type.
        data_type: DataType,
    },
}

/// Whether values of this type can be read from texts.
pub(super) fn reads(field: &Field) -> bool {
    !field.data_type().is_nested()
}

/// The rows of a page as a batch; points in time are whole microseconds.
///
/// # Errors
/// [`RowFault`] naming row and column, never the value.
pub(super) fn batch(rows: &[JsonRow], schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| column(rows, index, field))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|fault| Error::with_source(ErrorKind::Data, "rows of a query as JSON", fault))?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|e| Error::with_source(ErrorKind::Data, "rows of a query as JSON", e))
}

/// The texts of one column; none for null.
fn cells<'a>(
    rows: &'a [JsonRow],
    index: usize,
    field: &'a Field,
) -> impl Iterator<Item = Result<Option<&'a str>, RowFault>> {
    rows.iter().enumerate().map(move |(row, cells)| {
        let missing = || RowFault::Missing {
            row,
            column: field.name().clone(),
        };
        let cell = cells
            .get("f")
            .and_then(|f| f.get(index))
            .and_then(|cell| cell.get("v"))
            .ok_or_else(missing)?;
        match cell {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.as_str())),
            _ => Err(RowFault::Text {
                row,
                column: field.name().clone(),
                expected: field.data_type().clone(),
            }),
        }
    })
}

fn column(rows: &[JsonRow], index: usize, field: &Field) -> Result<ArrayRef, RowFault> {
    /// Appends each text as `$read` understands it.
    macro_rules! built {
        ($builder:expr, $read:expr) => {{
            let mut builder = $builder;
            for (row, cell) in cells(rows, index, field).enumerate() {
                match cell? {
                    None => builder.append_null(),
                    Some(text) => {
                        let value = $read(text).ok_or_else(|| RowFault::Text {
                            row,
                            column: field.name().clone(),
                            expected: field.data_type().clone(),
                        })?;
                        builder.append_value(value);
                    }
                }
            }
            Ok(Arc::new(builder.finish()))
        }};
    }
    match field.data_type() {
        DataType::Int64 => built!(Int64Builder::new(), |t: &str| t.parse().ok()),
        DataType::Float64 => built!(Float64Builder::new(), float),
        DataType::Boolean => built!(BooleanBuilder::new(), |t: &str| t.parse().ok()),
        DataType::Utf8 => built!(StringBuilder::new(), Some),
        DataType::Binary => built!(BinaryBuilder::new(), |t: &str| STANDARD.decode(t).ok()),
        DataType::Date32 => built!(Date32Builder::new(), date),
        DataType::Time64(TimeUnit::Microsecond) => built!(Time64MicrosecondBuilder::new(), time),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => built!(
            TimestampMicrosecondBuilder::new().with_timezone(Arc::clone(zone)),
            |t: &str| t.parse().ok()
        ),
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            built!(TimestampMicrosecondBuilder::new(), datetime)
        }
        DataType::Interval(_) => built!(IntervalMonthDayNanoBuilder::new(), interval),
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => {
            let texts: StringArray = cells(rows, index, field).collect::<Result<_, _>>()?;
            let strict = CastOptions {
                safe: false,
                ..CastOptions::default()
            };
            cast_with_options(&texts, field.data_type(), &strict).map_err(|_| RowFault::Text {
                row: 0,
                column: field.name().clone(),
                expected: field.data_type().clone(),
            })
        }
        other => Err(RowFault::Type {
            column: field.name().clone(),
            data_type: other.clone(),
        }),
    }
}

fn float(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" | "Inf" | "+Infinity" => Some(f64::INFINITY),
        "-Infinity" | "-Inf" => Some(f64::NEG_INFINITY),
        number => number.parse().ok().filter(|n: &f64| n.is_finite()),
    }
}

fn date(text: &str) -> Option<i32> {
    let date: NaiveDate = text.parse().ok()?;
    let days = date.signed_duration_since(NaiveDate::default()).num_days();
    i32::try_from(days).ok()
}

fn time(text: &str) -> Option<i64> {
    let time: NaiveTime = text.parse().ok()?;
    Some(
        i64::from(time.num_seconds_from_midnight()) * 1_000_000
            + i64::from(time.nanosecond() / 1000),
    )
}

fn datetime(text: &str) -> Option<i64> {
    let time: NaiveDateTime = text.replacen(' ', "T", 1).parse().ok()?;
    Some(time.and_utc().timestamp_micros())
}

/// `Y-M D H:M:S`, each with a sign of its own.
fn interval(text: &str) -> Option<IntervalMonthDayNano> {
    let mut parts = text.split(' ');
    let (months, days, time) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let signed = |text: &str| match text.strip_prefix('-') {
        Some(rest) => (-1, rest.to_owned()),
        None => (1, text.to_owned()),
    };
    let (sign, rest) = signed(months);
    let (years, months) = rest.split_once('-')?;
    let months = years
        .parse::<i32>()
        .ok()?
        .checked_mul(12)?
        .checked_add(months.parse().ok()?)?;
    let (time_sign, rest) = signed(time);
    let mut parts = rest.splitn(3, ':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next()?.parse().ok()?;
    let (seconds, fraction) = match parts.next()?.split_once('.') {
        Some((seconds, fraction)) => (seconds.to_owned(), format!("{fraction:0<9}")),
        None => (rest.rsplit(':').next()?.to_owned(), "0".to_owned()),
    };
    let nanos = hours
        .checked_mul(3600)?
        .checked_add(minutes.checked_mul(60)?)?
        .checked_add(seconds.parse().ok()?)?
        .checked_mul(1_000_000_000)?
        .checked_add(fraction.get(..9).unwrap_or(&fraction).parse().ok()?)?;
    Some(IntervalMonthDayNano::new(
        sign * months,
        days.parse().ok()?,
        i64::from(time_sign) * nanos,
    ))
}

#[cfg(test)]
mod tests;
