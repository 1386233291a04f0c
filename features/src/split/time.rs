//! The split by time.
//!
//! Owns the boundaries and their comparison with dates and timestamps of any unit.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Schema, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sql::quoted_name;
use super::{Split, SplitAssignment, SplitError, batch_column, column_type};

const DAY_MICROS: i64 = 86_400_000_000;

/// Splits by time: rows before `val_from` train, rows from there and before `test_from` validate, later rows test.
///
/// A row without a time is refused with an error that names the column and the number of rows, because it belongs to
/// neither side of a boundary; remove such rows with `where`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeSplit {
    /// A column of dates or timestamps.
    pub column: String,
    /// First instant of validation: a date such as `2026-01-31` or an RFC 3339 time such as `2026-01-31T12:00:00Z`, in UTC
    /// unless it has an offset, with at most 6 fractional digits. Without a time zone in the column, it is compared as it
    /// stands and may have no offset; with a column of dates it must be a date.
    pub val_from: String,
    /// First instant of test, written in the same way; not before `val_from`.
    pub test_from: String,
}

impl TimeSplit {
    /// A split of `column` at the two boundaries, which are checked when the split is bound.
    #[must_use]
    pub fn new(
        column: impl Into<String>,
        val_from: impl Into<String>,
        test_from: impl Into<String>,
    ) -> Self {
        Self {
            column: column.into(),
            val_from: val_from.into(),
            test_from: test_from.into(),
        }
    }

    pub(super) fn bind(&self, schema: &Schema) -> Result<BoundTime, SplitError> {
        let data_type = column_type(schema, &self.column)?;
        let kind = match data_type {
            DataType::Date32 | DataType::Date64 => TimeKind::Date,
            DataType::Timestamp(_, None) => TimeKind::DateTime,
            DataType::Timestamp(_, Some(_)) => TimeKind::Timestamp,
            _ => {
                return Err(SplitError::NotATime {
                    column: self.column.clone(),
                    data_type: data_type.clone(),
                });
            }
        };
        let val_from = self.boundary("val_from", &self.val_from, kind)?;
        let test_from = self.boundary("test_from", &self.test_from, kind)?;
        if val_from > test_from {
            return Err(SplitError::BoundaryOrder {
                val_from: self.val_from.clone(),
                test_from: self.test_from.clone(),
            });
        }
        Ok(BoundTime {
            column: self.column.clone(),
            data_type: data_type.clone(),
            kind,
            val_from,
            test_from,
        })
    }

    /// Microseconds since 1970-01-01 UTC.
    fn boundary(
        &self,
        boundary: &'static str,
        text: &str,
        kind: TimeKind,
    ) -> Result<i64, SplitError> {
        let unreadable = || SplitError::BoundaryUnreadable {
            boundary,
            text: text.to_owned(),
        };
        let (instant, has_offset) = read_instant(text.trim()).ok_or_else(unreadable)?;
        if instant.and_utc().timestamp_subsec_nanos() % 1_000 != 0 {
            return Err(unreadable());
        }
        let micros = instant.and_utc().timestamp_micros();
        if kind != TimeKind::Timestamp && has_offset {
            return Err(SplitError::BoundaryHasOffset {
                boundary,
                text: text.to_owned(),
                column: self.column.clone(),
            });
        }
        if kind == TimeKind::Date && micros % DAY_MICROS != 0 {
            return Err(SplitError::BoundaryNotADate {
                boundary,
                text: text.to_owned(),
                column: self.column.clone(),
            });
        }
        Ok(micros)
    }
}

/// The instant in UTC, and whether the text moved it there from another offset.
fn read_instant(text: &str) -> Option<(NaiveDateTime, bool)> {
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return date.and_hms_opt(0, 0, 0).map(|instant| (instant, false));
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some((instant.naive_utc(), instant.offset().local_minus_utc() != 0));
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|instant| (instant, false))
}

/// What the column holds, in BigQuery's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeKind {
    Date,
    DateTime,
    Timestamp,
}

#[derive(Debug, Clone)]
pub(super) struct BoundTime {
    column: String,
    data_type: DataType,
    kind: TimeKind,
    /// Microseconds since 1970-01-01 UTC.
    val_from: i64,
    test_from: i64,
}

impl BoundTime {
    pub(super) fn assign(&self, batch: &RecordBatch) -> Result<SplitAssignment, SplitError> {
        let values = batch_column(batch, &self.column)?;
        // The text of a timestamp's own zone does not matter: it is an instant whatever the zone is called.
        let same = match (&self.data_type, values.data_type()) {
            (DataType::Timestamp(_, bound), DataType::Timestamp(_, found)) => {
                bound.is_some() == found.is_some()
            }
            (bound, found) => bound == found,
        };
        if !same {
            return Err(SplitError::ColumnTypeChanged {
                column: self.column.clone(),
                expected: self.data_type.clone(),
                found: values.data_type().clone(),
            });
        }
        if values.null_count() > 0 {
            return Err(SplitError::NullTime {
                column: self.column.clone(),
                nulls: values.null_count(),
                rows: values.len(),
            });
        }
        let rows = self
            .rows(values)
            .ok_or_else(|| SplitError::UnreadableColumn {
                column: self.column.clone(),
                data_type: values.data_type().clone(),
            })?;
        Ok(SplitAssignment::new(rows, 0))
    }

    fn rows(&self, values: &ArrayRef) -> Option<Vec<u8>> {
        match values.data_type() {
            DataType::Date32 => {
                let days = values.as_primitive_opt::<Date32Type>()?.values();
                let (val, test) = (
                    first_tick(self.val_from, DAY_MICROS),
                    first_tick(self.test_from, DAY_MICROS),
                );
                Some(
                    days.iter()
                        .map(|&days| side(i64::from(days), val, test))
                        .collect(),
                )
            }
            DataType::Date64 => {
                Some(self.compare(values.as_primitive_opt::<Date64Type>()?.values(), 1_000))
            }
            DataType::Timestamp(TimeUnit::Second, _) => Some(self.compare(
                values.as_primitive_opt::<TimestampSecondType>()?.values(),
                1_000_000,
            )),
            DataType::Timestamp(TimeUnit::Millisecond, _) => Some(
                self.compare(
                    values
                        .as_primitive_opt::<TimestampMillisecondType>()?
                        .values(),
                    1_000,
                ),
            ),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Some(
                self.compare(
                    values
                        .as_primitive_opt::<TimestampMicrosecondType>()?
                        .values(),
                    1,
                ),
            ),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                let values = values
                    .as_primitive_opt::<TimestampNanosecondType>()?
                    .values();
                // Boundaries beyond the range of nanoseconds are on the same side of every value.
                let (val, test) = (
                    self.val_from.saturating_mul(1_000),
                    self.test_from.saturating_mul(1_000),
                );
                Some(values.iter().map(|&value| side(value, val, test)).collect())
            }
            _ => None,
        }
    }

    /// Compares ticks of so many microseconds with the boundaries.
    fn compare(&self, values: &[i64], tick_micros: i64) -> Vec<u8> {
        let (val, test) = (
            first_tick(self.val_from, tick_micros),
            first_tick(self.test_from, tick_micros),
        );
        values.iter().map(|&value| side(value, val, test)).collect()
    }

    pub(super) fn bigquery_sql(&self) -> String {
        let column = quoted_name(&self.column);
        let literal = |micros: i64| {
            let (name, format) = match self.kind {
                TimeKind::Date => ("DATE", "%Y-%m-%d"),
                TimeKind::DateTime => ("DATETIME", "%Y-%m-%d %H:%M:%S%.6f"),
                TimeKind::Timestamp => ("TIMESTAMP", "%Y-%m-%d %H:%M:%S%.6f+00"),
            };
            // Boundaries came from the same calendar, so they have a place in it.
            let text = DateTime::from_timestamp_micros(micros)
                .unwrap_or_default()
                .format(format)
                .to_string();
            format!("{name} '{}'", text.replace(".000000", ""))
        };
        format!(
            "CASE WHEN {column} IS NULL THEN ERROR('a row without a time belongs to no split') WHEN {column} < {} THEN 'train' WHEN {column} < {} THEN 'val' ELSE 'test' END",
            literal(self.val_from),
            literal(self.test_from)
        )
    }
}

/// The first tick that is not before an instant.
fn first_tick(micros: i64, tick_micros: i64) -> i64 {
    micros.div_euclid(tick_micros) + i64::from(micros.rem_euclid(tick_micros) > 0)
}

fn side(value: i64, val_from: i64, test_from: i64) -> u8 {
    let split = if value < val_from {
        Split::Train
    } else if value < test_from {
        Split::Val
    } else {
        Split::Test
    };
    split as u8
}
