//! Arithmetic on dates and times: adding, cutting off, counting and taking apart. Points in time are in UTC.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int64Array, Time64MicrosecondArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, FieldRef, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, Timelike};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::{Call, Function, argument, each, external, integer, nullable};

const SECOND: i64 = 1_000_000;
pub(super) const DAY: i64 = 86_400 * SECOND;

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_time_add", &[3], of_first, add),
        Function::made("millpond_time_trunc", &[2], of_first, |call| {
            let part = call.word(1)?;
            match call.returns.data_type() {
                DataType::Date32 if fixed(&part).is_some_and(|f| f < DAY) => return unknown(&part),
                DataType::Time64(_) if fixed(&part).is_none_or(|f| f >= DAY) => {
                    return unknown(&part);
                }
                _ => {}
            }
            by_micros(call, |micros| truncated(micros, &part))
        }),
        Function::made("millpond_time_diff", &[3], integer, difference),
        Function::made("millpond_extract", &[2], integer, extract),
        Function::made("millpond_date_of", &[3], date, date_of_parts),
        Function::made("millpond_from_unix", &[2], timestamp, |call| {
            let unit = call.integers(1)?.iter().flatten().next().unwrap_or(1);
            let values = each(&call.integers(0)?, |n| {
                let micros = n.checked_mul(unit).and_then(in_range);
                micros.ok_or_else(|| {
                    exec_datafusion_err!("TIMESTAMP value is out of allowed range: {n}")
                })
            })?;
            Ok(Arc::new(
                TimestampMicrosecondArray::from(values).with_timezone("UTC"),
            ))
        }),
        Function::made("millpond_to_unix", &[2], integer, |call| {
            let unit = call.integers(1)?.iter().flatten().next().unwrap_or(1);
            let micros = micros_of(call.array(0)?)?;
            let values: Int64Array = micros
                .iter()
                .map(|m| m.map(|m| m.div_euclid(unit)))
                .collect();
            Ok(Arc::new(values))
        }),
    ]
}

fn date(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Date32)
}

fn timestamp(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Timestamp(
        TimeUnit::Microsecond,
        Some("UTC".into()),
    ))
}

/// The wire type of the first argument, which must be a date or a time.
fn of_first(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let field = argument(args, 0)?;
    match field.data_type() {
        DataType::Date32 | DataType::Time64(_) | DataType::Null => {
            nullable(field.data_type().clone())
        }
        DataType::Timestamp(_, zone) => {
            nullable(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        other => exec_err!("a date or time is expected, not {other}"),
    }
}

/// Microseconds since 1970, or since midnight.
pub(super) fn micros_of(array: &ArrayRef) -> Result<Int64Array> {
    Ok(match array.data_type() {
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>();
            days.unary(|d| i64::from(d) * DAY)
        }
        DataType::Time64(_) => {
            let times = cast(array, &DataType::Time64(TimeUnit::Microsecond))?;
            times.as_primitive::<Time64MicrosecondType>().unary(|t| t)
        }
        DataType::Timestamp(_, zone) => {
            let times = cast(
                array,
                &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
            )?;
            times
                .as_primitive::<TimestampMicrosecondType>()
                .unary(|t| t)
        }
        DataType::Null => Int64Array::new_null(array.len()),
        other => return exec_err!("a date or time is expected, not {other}"),
    })
}

/// Applies `one` to microseconds and gives the values the type that the call returns.
fn by_micros(call: &Call, one: impl Fn(i64) -> Result<i64>) -> Result<ArrayRef> {
    let values = each(&micros_of(call.array(0)?)?, one)?;
    typed(values, call.returns.data_type())
}

/// Microseconds as values of a type.
pub(super) fn typed(values: Vec<Option<i64>>, data_type: &DataType) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Date32 => {
            let days = each(values, |m| {
                i32::try_from(m.div_euclid(DAY)).map_err(|e| external(e.to_string()))
            })?;
            Arc::new(Date32Array::from(days))
        }
        DataType::Time64(_) => {
            let times = values.into_iter().map(|m| m.map(|m| m.rem_euclid(DAY)));
            Arc::new(times.collect::<Time64MicrosecondArray>())
        }
        DataType::Timestamp(_, zone) => {
            Arc::new(TimestampMicrosecondArray::from(values).with_timezone_opt(zone.clone()))
        }
        DataType::Null => new_null_array(data_type, values.len()),
        other => return exec_err!("a date or time is expected, not {other}"),
    })
}

pub(super) fn moment(micros: i64) -> Result<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros)
        .map(|t| t.naive_utc())
        .ok_or_else(|| exec_datafusion_err!("{micros} microseconds are no date"))
}

/// Only the years 1 to 9999 exist.
pub(super) fn in_range(micros: i64) -> Option<i64> {
    const FIRST: i64 = -62_135_596_800 * SECOND;
    const AFTER: i64 = 253_402_300_800 * SECOND;
    (FIRST..AFTER).contains(&micros).then_some(micros)
}

/// A part that always has the same length, in microseconds.
fn fixed(part: &str) -> Option<i64> {
    Some(match part {
        "MICROSECOND" => 1,
        "MILLISECOND" => 1000,
        "SECOND" => SECOND,
        "MINUTE" => 60 * SECOND,
        "HOUR" => 3600 * SECOND,
        "DAY" => DAY,
        "WEEK" => 7 * DAY,
        _ => return None,
    })
}

fn months(part: &str) -> Option<i64> {
    Some(match part {
        "MONTH" => 1,
        "QUARTER" => 3,
        "YEAR" => 12,
        _ => return None,
    })
}

fn unknown<T>(part: &str) -> Result<T> {
    exec_err!("the date part {part} is not supported here by this emulator")
}

fn add(call: &Call) -> Result<ArrayRef> {
    let part = call.word(2)?;
    let counts = call.integers(1)?;
    let times = micros_of(call.array(0)?)?;
    let data_type = call.returns.data_type();
    let is_time = matches!(data_type, DataType::Time64(_));
    match data_type {
        DataType::Timestamp(_, Some(_)) if months(&part).is_some() || part == "WEEK" => {
            return exec_err!("TIMESTAMP_ADD does not support the {part} date part");
        }
        DataType::Date32 if fixed(&part).is_some_and(|f| f < DAY) => return unknown(&part),
        DataType::Time64(_) if fixed(&part).is_none_or(|f| f >= DAY) => return unknown(&part),
        _ => {}
    }
    let overflow = || exec_datafusion_err!("the result of adding {part}s is out of range");
    let values = times
        .iter()
        .zip(counts.iter())
        .map(|pair| match pair {
            (Some(time), Some(count)) => {
                let sum = if let Some(unit) = fixed(&part) {
                    count.checked_mul(unit).and_then(|m| time.checked_add(m))
                } else if let Some(unit) = months(&part) {
                    let count = count.checked_mul(unit);
                    count.and_then(|n| shifted(time, n))
                } else {
                    return unknown(&part);
                };
                let sum = if is_time { sum } else { sum.and_then(in_range) };
                sum.map(Some).ok_or_else(overflow)
            }
            _ => Ok(None),
        })
        .collect::<Result<Vec<_>>>()?;
    typed(values, data_type)
}

/// So many parts later.
pub(super) fn step(micros: i64, count: i64, part: &str) -> Option<i64> {
    match (fixed(part), months(part)) {
        (Some(unit), _) => micros.checked_add(count.checked_mul(unit)?),
        (None, Some(unit)) => shifted(micros, count.checked_mul(unit)?),
        (None, None) => None,
    }
}

/// Days on which a week may begin.
pub(in crate::query) const DAYS_OF_WEEK: [&str; 7] = [
    "SUNDAY",
    "MONDAY",
    "TUESDAY",
    "WEDNESDAY",
    "THURSDAY",
    "FRIDAY",
    "SATURDAY",
];

/// The day that a week begins with, as days after Sunday, where a part says so: `WEEK(MONDAY)`.
fn first_of_week(part: &str) -> Option<u32> {
    let day = part.strip_prefix("WEEK(")?.strip_suffix(')')?;
    let at = DAYS_OF_WEEK.iter().position(|d| *d == day)?;
    u32::try_from(at).ok()
}

/// Some months later, on the last day of the month where it has no such day.
pub(super) fn shifted(micros: i64, count: i64) -> Option<i64> {
    let months = Months::new(u32::try_from(count.unsigned_abs()).ok()?);
    let time = DateTime::from_timestamp_micros(micros)?.naive_utc();
    let moved = if count < 0 {
        time.checked_sub_months(months)
    } else {
        time.checked_add_months(months)
    };
    Some(moved?.and_utc().timestamp_micros())
}

/// The beginning of the part that a moment is in.
pub(super) fn truncated(micros: i64, part: &str) -> Result<i64> {
    if let Some(unit) = fixed(part).filter(|_| part != "WEEK") {
        return Ok(micros.div_euclid(unit) * unit);
    }
    let day = moment(micros)?.date();
    let back = |days: u32| day.checked_sub_days(Days::new(u64::from(days)));
    let first = match part {
        "WEEK" => back(day.weekday().num_days_from_sunday()),
        "ISOWEEK" => back(day.weekday().num_days_from_monday()),
        "MONTH" => day.with_day(1),
        "QUARTER" => NaiveDate::from_ymd_opt(day.year(), day.month0() / 3 * 3 + 1, 1),
        "YEAR" => NaiveDate::from_ymd_opt(day.year(), 1, 1),
        "ISOYEAR" => NaiveDate::from_isoywd_opt(day.iso_week().year(), 1, chrono::Weekday::Mon),
        part => match first_of_week(part) {
            Some(first) => back((day.weekday().num_days_from_sunday() + 7 - first) % 7),
            None => return unknown(part),
        },
    };
    let first = first.ok_or_else(|| exec_datafusion_err!("{day} is out of range"))?;
    Ok(first
        .and_time(chrono::NaiveTime::MIN)
        .and_utc()
        .timestamp_micros())
}

/// Whole parts between two points in time; boundaries passed between two dates.
fn difference(call: &Call) -> Result<ArrayRef> {
    let part = call.word(2)?;
    let (left, right) = (micros_of(call.array(0)?)?, micros_of(call.array(1)?)?);
    let exact = matches!(
        call.array(0)?.data_type(),
        DataType::Timestamp(_, Some(_)) | DataType::Time64(_)
    );
    let values: Int64Array = left
        .iter()
        .zip(right.iter())
        .map(|pair| match pair {
            (Some(a), Some(b)) if exact => match fixed(&part) {
                Some(unit) if unit <= DAY => Ok(Some((a - b) / unit)),
                _ => unknown(&part),
            },
            (Some(a), Some(b)) => boundaries(a, b, &part).map(Some),
            _ => Ok(None),
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(values))
}

fn boundaries(a: i64, b: i64, part: &str) -> Result<i64> {
    if let Some(unit) = months(part) {
        let count = |micros: i64| -> Result<i64> {
            let day = moment(micros)?;
            Ok((i64::from(day.year()) * 12 + i64::from(day.month0())).div_euclid(unit))
        };
        return Ok(count(a)? - count(b)?);
    }
    if part == "ISOYEAR" {
        let year = |micros: i64| Ok::<_, DataFusionError>(moment(micros)?.iso_week().year());
        return Ok(i64::from(year(a)? - year(b)?));
    }
    let (a, b) = (truncated(a, part)?, truncated(b, part)?);
    match part {
        "ISOWEEK" => Ok((a - b) / (7 * DAY)),
        part if part.starts_with("WEEK(") => Ok((a - b) / (7 * DAY)),
        _ => match fixed(part) {
            Some(unit) => Ok((a - b) / unit),
            None => unknown(part),
        },
    }
}

fn extract(call: &Call) -> Result<ArrayRef> {
    let part = call.word(1)?;
    if matches!(call.array(0)?.data_type(), DataType::Interval(_)) {
        return super::spans::part(call);
    }
    let is_date = *call.array(0)?.data_type() == DataType::Date32;
    let is_time = matches!(call.array(0)?.data_type(), DataType::Time64(_));
    if is_time && fixed(&part).is_none_or(|f| f >= DAY) {
        return unknown(&part);
    }
    let values = each(&micros_of(call.array(0)?)?, |micros| {
        let time = moment(micros)?;
        Ok(match part.as_str() {
            "YEAR" => i64::from(time.year()),
            "QUARTER" => i64::from(time.month0() / 3 + 1),
            "MONTH" => i64::from(time.month()),
            "DAY" => i64::from(time.day()),
            "DAYOFWEEK" => i64::from(time.weekday().num_days_from_sunday() + 1),
            "DAYOFYEAR" => i64::from(time.ordinal()),
            "ISOWEEK" => i64::from(time.iso_week().week()),
            "ISOYEAR" => i64::from(time.iso_week().year()),
            // Weeks begin on Sunday; days before the first one are in week 0.
            "WEEK" => i64::from((time.ordinal() + 6 - time.weekday().num_days_from_sunday()) / 7),
            part if first_of_week(part).is_some() => {
                let first = first_of_week(part).unwrap_or(0);
                let day = (time.weekday().num_days_from_sunday() + 7 - first) % 7;
                i64::from((time.ordinal() + 6 - day) / 7)
            }
            _ if is_date => return unknown(&part),
            "HOUR" => i64::from(time.hour()),
            "MINUTE" => i64::from(time.minute()),
            "SECOND" => i64::from(time.second()),
            "MILLISECOND" => micros.rem_euclid(SECOND) / 1000,
            "MICROSECOND" => micros.rem_euclid(SECOND),
            _ => return unknown(&part),
        })
    })?;
    Ok(Arc::new(Int64Array::from(values)))
}

fn date_of_parts(call: &Call) -> Result<ArrayRef> {
    let (years, months, days) = (call.integers(0)?, call.integers(1)?, call.integers(2)?);
    let part = |array: &Int64Array, row: usize| array.is_valid(row).then(|| array.value(row));
    let values = (0..call.rows)
        .map(|row| {
            let (Some(y), Some(m), Some(d)) =
                (part(&years, row), part(&months, row), part(&days, row))
            else {
                return Ok(None);
            };
            let date = i32::try_from(y)
                .ok()
                .zip(u32::try_from(m).ok().zip(u32::try_from(d).ok()))
                .and_then(|(y, (m, d))| NaiveDate::from_ymd_opt(y, m, d));
            match date {
                Some(date) => {
                    let midnight = date.and_time(chrono::NaiveTime::MIN).and_utc();
                    Ok(Some(midnight.timestamp_micros()))
                }
                None => exec_err!("Input calculates to invalid date: {y}-{m}-{d}"),
            }
        })
        .collect::<Result<Vec<_>>>()?;
    typed(values, &DataType::Date32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> i64 {
        let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        time.and_utc().timestamp_micros()
    }

    #[test]
    fn parts_begin_where_the_calendar_says() {
        let time = at("2024-05-15 13:14:15");
        for (part, start) in [
            ("HOUR", "2024-05-15 13:00:00"),
            ("WEEK", "2024-05-12 00:00:00"),
            ("ISOWEEK", "2024-05-13 00:00:00"),
            ("MONTH", "2024-05-01 00:00:00"),
            ("QUARTER", "2024-04-01 00:00:00"),
            ("YEAR", "2024-01-01 00:00:00"),
            ("ISOYEAR", "2024-01-01 00:00:00"),
        ] {
            assert_eq!(truncated(time, part).unwrap(), at(start), "{part}");
        }
        assert!(truncated(time, "DECADE").is_err());
    }

    #[test]
    fn months_end_on_their_last_day() {
        let shift = |from, months| shifted(at(from), months).unwrap();
        assert_eq!(shift("2024-01-31 00:00:00", 1), at("2024-02-29 00:00:00"));
        assert_eq!(shift("2024-02-29 01:00:00", -12), at("2023-02-28 01:00:00"));
    }

    #[test]
    fn dates_count_boundaries() {
        let (a, b) = (at("2018-01-01 00:00:00"), at("2017-12-31 23:00:00"));
        for part in ["DAY", "MONTH", "YEAR", "HOUR", "ISOWEEK"] {
            assert_eq!(boundaries(a, b, part).unwrap(), 1, "{part}");
        }
        assert_eq!(boundaries(a, b, "WEEK").unwrap(), 0);
    }
}
