//! Values whose text has one canonical form in BigQuery, wherever it is sent.

use std::fmt::Write as _;

use arrow::datatypes::IntervalMonthDayNano;
use chrono::{DateTime, NaiveDateTime};

/// `YYYY-MM-DDTHH:MM:SS`, with six digits of a second where there are any. Empty outside of what a calendar holds.
pub(crate) fn datetime(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .map(|t| with_fraction(t.naive_utc(), "%Y-%m-%dT%H:%M:%S"))
        .unwrap_or_default()
}

/// `HH:MM:SS`, with six digits of a second where there are any.
pub(crate) fn time(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .map(|t| with_fraction(t.naive_utc(), "%H:%M:%S"))
        .unwrap_or_default()
}

fn with_fraction(time: NaiveDateTime, format: &str) -> String {
    let mut text = time.format(format).to_string();
    let micros = time.and_utc().timestamp_subsec_micros();
    if micros > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, ".{micros:06}");
    }
    text
}

/// `Y-M D H:M:S`, with six digits of a second where there are any.
pub(crate) fn interval(value: IntervalMonthDayNano) -> String {
    let sign = |negative| if negative { "-" } else { "" };
    let months = value.months.unsigned_abs();
    let nanos = value.nanoseconds.unsigned_abs();
    let seconds = nanos / 1_000_000_000;
    let micros = nanos % 1_000_000_000 / 1000;
    let mut text = format!(
        "{}{}-{} {} {}{}:{}:{}",
        sign(value.months < 0),
        months / 12,
        months % 12,
        value.days,
        sign(value.nanoseconds < 0),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
    );
    if micros > 0 {
        let _ = write!(text, ".{micros:06}");
    }
    text
}
