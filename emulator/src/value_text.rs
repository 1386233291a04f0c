//! Values whose text has one canonical form in BigQuery, wherever it is sent.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int64Type,
    IntervalMonthDayNano, IntervalMonthDayNanoType, Time64MicrosecondType,
    TimestampMicrosecondType,
};
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

/// `Y-M D H:M:S`, with three or six digits of a second, or none.
pub(crate) fn interval(value: IntervalMonthDayNano) -> String {
    let sign = |negative| if negative { "-" } else { "" };
    let months = value.months.unsigned_abs();
    let total = crate::interval::micros(value);
    let (seconds, micros) = (
        total.unsigned_abs() / 1_000_000,
        total.unsigned_abs() % 1_000_000,
    );
    let mut text = format!(
        "{}{}-{} {} {}{}:{}:{}",
        sign(value.months < 0),
        months / 12,
        months % 12,
        value.days,
        sign(total < 0),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
    );
    text.push_str(&short_fraction(u32::try_from(micros).unwrap_or(0)));
    text
}

/// An interval as ISO 8601 writes it: `P1Y2M3DT4H5M6.5S`.
pub(crate) fn iso_interval(value: IntervalMonthDayNano) -> String {
    let total = crate::interval::micros(value);
    let (seconds, micros) = (total / 1_000_000, total % 1_000_000);
    let mut text = String::from("P");
    let part = |text: &mut String, count: i64, unit: char| {
        if count != 0 {
            let _ = write!(text, "{count}{unit}");
        }
    };
    part(&mut text, i64::from(value.months / 12), 'Y');
    part(&mut text, i64::from(value.months % 12), 'M');
    part(&mut text, i64::from(value.days), 'D');
    let mut clock = String::new();
    part(&mut clock, seconds / 3600, 'H');
    part(&mut clock, seconds / 60 % 60, 'M');
    if micros != 0 {
        let sign = if total < 0 { "-" } else { "" };
        let fraction = format!("{:06}", micros.abs());
        let fraction = fraction.trim_end_matches('0');
        let _ = write!(clock, "{sign}{}.{fraction}S", (seconds % 60).abs());
    } else {
        part(&mut clock, seconds % 60, 'S');
    }
    if !clock.is_empty() {
        text.push('T');
        text.push_str(&clock);
    }
    match text.as_str() {
        "P" => "P0Y".to_owned(),
        _ => text,
    }
}

/// `YYYY-MM-DD HH:MM:SS` as SQL's CAST writes it: three or six digits of a second, or none.
pub(crate) fn short_datetime(micros: i64) -> String {
    let Some(time) = DateTime::from_timestamp_micros(micros) else {
        return String::new();
    };
    let mut text = time.format("%Y-%m-%d %H:%M:%S").to_string();
    text.push_str(&short_fraction(time.timestamp_subsec_micros()));
    text
}

fn short_fraction(micros: u32) -> String {
    if micros == 0 {
        String::new()
    } else if micros.is_multiple_of(1000) {
        format!(".{:03}", micros / 1000)
    } else {
        format!(".{micros:06}")
    }
}

/// A float as SQL's CAST writes it: as short as C's `%.15g` where that is exact, else with seventeen digits.
pub(crate) fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let short = general(value, 15);
    if short.parse::<f64>() == Ok(value) {
        short
    } else {
        general(value, 17)
    }
}

/// C's `%.{digits}g`.
fn general(value: f64, digits: usize) -> String {
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let last = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= last {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs());
    }
    let places = usize::try_from(last - 1 - exponent).unwrap_or(0);
    without_zeros(&format!("{value:.places$}")).to_owned()
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// A value of a wire type that has no children, which must not be null.
pub(crate) fn scalar(array: &ArrayRef, row: usize) -> String {
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().value(row);
            let date = DateTime::from_timestamp(i64::from(days) * 86_400, 0);
            date.map(|d| d.format("%Y-%m-%d").to_string())
                .unwrap_or_default()
        }
        DataType::Time64(_) => {
            let micros = array.as_primitive::<Time64MicrosecondType>().value(row);
            let text = DateTime::from_timestamp_micros(micros).map(|t| {
                let fraction = short_fraction(t.timestamp_subsec_micros());
                format!("{}{fraction}", t.format("%H:%M:%S"))
            });
            text.unwrap_or_default()
        }
        DataType::Timestamp(_, _) => {
            datetime(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Decimal128(_, _) => {
            without_zeros(&array.as_primitive::<Decimal128Type>().value_as_string(row)).to_owned()
        }
        DataType::Decimal256(_, _) => {
            without_zeros(&array.as_primitive::<Decimal256Type>().value_as_string(row)).to_owned()
        }
        DataType::Interval(_) => {
            let interval = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            self::interval(interval)
        }
        _ => array
            .as_string_opt::<i32>()
            .map_or_else(String::new, |a| a.value(row).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_as_short_as_they_can_be() {
        for (value, text) in [
            (1.0, "1"),
            (-0.0, "0"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.33333333333333331"),
            (1e20, "1e+20"),
            (1.5e-7, "1.5e-07"),
            (123_456.789, "123456.789"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn times_have_three_or_six_digits_or_none() {
        assert_eq!(short_datetime(0), "1970-01-01 00:00:00");
        assert_eq!(short_datetime(1_500_000), "1970-01-01 00:00:01.500");
        assert_eq!(short_datetime(-1), "1969-12-31 23:59:59.999999");
    }
}
