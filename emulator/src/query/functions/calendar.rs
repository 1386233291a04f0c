//! Dates and times read from texts, counted, listed, and moved between time zones.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int64Array, ListBuilder, StringArray,
    TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use arrow::array::{Date32Builder, Time64MicrosecondArray};
use arrow::datatypes::{DataType, Date32Type, FieldRef, TimeUnit, TimestampMicrosecondType};
use chrono::{
    DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone,
};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::dates::{DAY, in_range, micros_of, moment, shifted, step, truncated};
use super::{Call, Function, each, integer, nullable, text};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_parse_date", &[2], date, |call| {
            let days = parsed(call)?
                .into_iter()
                .map(|t| t.map(|t| i32::try_from(t.and_utc().timestamp_micros().div_euclid(DAY))));
            let days = days.map(|d| d.transpose().map_err(|e| exec_datafusion_err!("{e}")));
            Ok(Arc::new(days.collect::<Result<Date32Array>>()?))
        }),
        Function::made("millpond_parse_time", &[2], time, |call| {
            let times: Time64MicrosecondArray = parsed(call)?
                .into_iter()
                .map(|t| t.map(|t| t.and_utc().timestamp_micros().rem_euclid(DAY)))
                .collect();
            Ok(Arc::new(times))
        }),
        Function::made("millpond_parse_datetime", &[2], datetime, |call| {
            Ok(Arc::new(parsed_micros(call)?))
        }),
        Function::made("millpond_parse_timestamp", &[2], timestamp, |call| {
            Ok(Arc::new(parsed_micros(call)?.with_timezone("UTC")))
        }),
        Function::made("millpond_last_day", &[2], date, |call| {
            let part = call.word(1)?;
            let days = each(&micros_of(call.array(0)?)?, |micros| {
                last_day(micros, &part)
            })?;
            Ok(Arc::new(Date32Array::from(days)))
        }),
        Function::made("millpond_unix_date", &[1], integer, |call| {
            let values: Int64Array = micros_of(call.array(0)?)?.unary(|m| m.div_euclid(DAY));
            Ok(Arc::new(values))
        }),
        Function::made("millpond_date_from_unix", &[1], date, |call| {
            let days = each(&call.integers(0)?, |days| {
                let micros = days.checked_mul(DAY).and_then(in_range);
                let fits = micros.and_then(|_| i32::try_from(days).ok());
                fits.ok_or_else(|| {
                    exec_datafusion_err!("DATE value is out of allowed range: {days}")
                })
            })?;
            Ok(Arc::new(Date32Array::from(days)))
        }),
        Function::made(
            "millpond_date_array",
            &[4],
            |_| nullable(DataType::new_list(DataType::Date32, true)),
            dates,
        ),
        Function::made(
            "millpond_timestamp_array",
            &[4],
            |_| nullable(DataType::new_list(utc(), true)),
            timestamps,
        ),
        Function::made("millpond_in_zone", &[2], datetime, |call| {
            let zones = call.texts(1)?;
            let micros = micros_of(call.array(0)?)?;
            let local = micros.iter().zip(&zones).map(|pair| {
                let (Some(micros), Some(zone)) = pair else {
                    return Ok(None);
                };
                let offset = offset_at(zone, micros)?;
                Ok(Some(micros + offset))
            });
            Ok(Arc::new(
                local.collect::<Result<TimestampMicrosecondArray>>()?,
            ))
        }),
        Function::made("millpond_from_zone", &[2], timestamp, |call| {
            let zones = call.texts(1)?;
            let micros = micros_of(call.array(0)?)?;
            let points = micros.iter().zip(&zones).map(|pair| {
                let (Some(micros), Some(zone)) = pair else {
                    return Ok(None);
                };
                Ok(Some(micros - offset_of_local(zone, micros)?))
            });
            let points = points.collect::<Result<TimestampMicrosecondArray>>()?;
            Ok(Arc::new(points.with_timezone("UTC")))
        }),
        Function::made("millpond_text_in_zone", &[2], text, |call| {
            let zones = call.texts(1)?;
            let micros = micros_of(call.array(0)?)?;
            let texts = micros.iter().zip(&zones).map(|pair| {
                let (Some(micros), Some(zone)) = pair else {
                    return Ok(None);
                };
                let offset = offset_at(zone, micros)?;
                let local = crate::value_text::short_datetime(micros + offset);
                let minutes = offset / 60_000_000;
                let sign = if minutes < 0 { '-' } else { '+' };
                let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
                let rest = match rest {
                    0 => String::new(),
                    rest => format!(":{rest:02}"),
                };
                Ok(Some(format!("{local}{sign}{hours:02}{rest}")))
            });
            Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
        }),
        Function::made("millpond_datetime_of", &[2, 6], datetime, datetime_of),
        Function::made("millpond_time_of", &[3], time, |call| {
            let (hours, minutes, seconds) =
                (call.integers(0)?, call.integers(1)?, call.integers(2)?);
            let times = (0..call.rows).map(|row| {
                if hours.is_null(row) || minutes.is_null(row) || seconds.is_null(row) {
                    return Ok(None);
                }
                let time = time_of(hours.value(row), minutes.value(row), seconds.value(row))?;
                Ok(Some(time))
            });
            Ok(Arc::new(times.collect::<Result<Time64MicrosecondArray>>()?))
        }),
    ]
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn date(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Date32)
}

fn time(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Time64(TimeUnit::Microsecond))
}

fn datetime(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Timestamp(TimeUnit::Microsecond, None))
}

fn timestamp(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(utc())
}

/// How far a zone is from UTC at a point in time, in microseconds.
fn offset_at(zone: &str, micros: i64) -> Result<i64> {
    if let Some(offset) = fixed_offset(zone) {
        return Ok(offset);
    }
    let time = moment(micros)?;
    let offset = zone_of(zone)?.offset_from_utc_datetime(&time).fix();
    Ok(i64::from(offset.local_minus_utc()) * 1_000_000)
}

/// How far a zone is from UTC where its clocks show a time; of two such points in time the earlier one is meant.
fn offset_of_local(zone: &str, micros: i64) -> Result<i64> {
    if let Some(offset) = fixed_offset(zone) {
        return Ok(offset);
    }
    let local = moment(micros)?;
    let zone = zone_of(zone)?;
    let offset = match zone.offset_from_local_datetime(&local) {
        LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => offset.fix(),
        // Clocks that jumped over it would have shown it an hour before.
        LocalResult::None => {
            let before = local - chrono::TimeDelta::hours(1);
            match zone.offset_from_local_datetime(&before) {
                LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => offset.fix(),
                LocalResult::None => return exec_err!("{local} does not exist in {zone}"),
            }
        }
    };
    Ok(i64::from(offset.local_minus_utc()) * 1_000_000)
}

fn zone_of(name: &str) -> Result<chrono_tz::Tz> {
    name.parse()
        .map_err(|_| exec_datafusion_err!("Invalid time zone: {name}"))
}

/// `+02:00`, `-8`, `UTC+1`.
fn fixed_offset(zone: &str) -> Option<i64> {
    let rest = zone.strip_prefix("UTC").unwrap_or(zone);
    let (sign, digits) = match rest.chars().next()? {
        '+' => (1, rest.get(1..)?),
        '-' => (-1, rest.get(1..)?),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..=14).contains(&hours) && (0..60).contains(&minutes))
        .then(|| sign * (hours * 60 + minutes) * 60_000_000)
}

fn time_of(hour: i64, minute: i64, second: i64) -> Result<i64> {
    let part = |n: i64| u32::try_from(n).ok();
    let time = part(hour)
        .zip(part(minute).zip(part(second)))
        .and_then(|(h, (m, s))| NaiveTime::from_hms_opt(h, m, s));
    match time {
        Some(_) => Ok(((hour * 60 + minute) * 60 + second) * 1_000_000),
        None => exec_err!("Input calculates to invalid time: {hour}:{minute}:{second}"),
    }
}

/// Of a date and a time, or of six numbers.
fn datetime_of(call: &Call) -> Result<ArrayRef> {
    if call.arrays.len() == 2 {
        let (days, times) = (micros_of(call.array(0)?)?, micros_of(call.array(1)?)?);
        let sums: TimestampMicrosecondArray = days
            .iter()
            .zip(&times)
            .map(|(day, time)| Some(day? + time?))
            .collect();
        return Ok(Arc::new(sums));
    }
    let parts = (0..6)
        .map(|at| call.integers(at))
        .collect::<Result<Vec<_>>>()?;
    let values = (0..call.rows).map(|row| {
        let numbers: Option<Vec<i64>> = parts
            .iter()
            .map(|p| p.is_valid(row).then(|| p.value(row)))
            .collect();
        let Some([year, month, day, hour, minute, second]) = numbers.as_deref() else {
            return Ok(None);
        };
        let date = i32::try_from(*year)
            .ok()
            .zip(u32::try_from(*month).ok().zip(u32::try_from(*day).ok()))
            .and_then(|(y, (m, d))| NaiveDate::from_ymd_opt(y, m, d));
        let Some(date) = date else {
            return exec_err!("Input calculates to invalid datetime: {year}-{month}-{day}");
        };
        let midnight = date.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
        Ok(Some(midnight + time_of(*hour, *minute, *second)?))
    });
    Ok(Arc::new(
        values.collect::<Result<TimestampMicrosecondArray>>()?,
    ))
}

fn last_day(micros: i64, part: &str) -> Result<i32> {
    let first = truncated(micros, part)?;
    let next = match part {
        "WEEK" | "ISOWEEK" => Some(first + 7 * DAY),
        part if part.starts_with("WEEK(") => Some(first + 7 * DAY),
        "MONTH" => shifted(first, 1),
        "QUARTER" => shifted(first, 3),
        "YEAR" => shifted(first, 12),
        "ISOYEAR" => {
            let year = moment(first)?.date().iso_week().year() + 1;
            let start = NaiveDate::from_isoywd_opt(year, 1, chrono::Weekday::Mon);
            start.map(|d| d.and_time(NaiveTime::MIN).and_utc().timestamp_micros())
        }
        _ => return exec_err!("LAST_DAY does not support the {part} date part"),
    };
    let next = next.ok_or_else(|| exec_datafusion_err!("the last day is out of range"))?;
    i32::try_from((next - DAY).div_euclid(DAY)).map_err(|e| exec_datafusion_err!("{e}"))
}

/// Points in time from one to another, both included where the step leads there.
fn points(call: &Call, row: usize, part: &str) -> Result<Option<Vec<i64>>> {
    let (from, to) = (micros_of(call.array(0)?)?, micros_of(call.array(1)?)?);
    let steps = call.integers(2)?;
    if from.is_null(row) || to.is_null(row) || steps.is_null(row) {
        return Ok(None);
    }
    let (from, to, by) = (from.value(row), to.value(row), steps.value(row));
    if by == 0 {
        return exec_err!("Sequence step cannot be 0.");
    }
    let mut all = Vec::new();
    let mut count = 0_i64;
    loop {
        let total = count.checked_mul(by);
        let next = total.and_then(|total| step(from, total, part));
        let next =
            next.ok_or_else(|| exec_datafusion_err!("the part {part} is not supported here"))?;
        if by > 0 && next > to || by < 0 && next < to {
            return Ok(Some(all));
        }
        all.push(next);
        if all.len() > 1_000_000 {
            return exec_err!("more than 1000000 elements in an array of dates or timestamps");
        }
        count += 1;
    }
}

fn dates(call: &Call) -> Result<ArrayRef> {
    let part = call.word(3)?;
    let mut lists = ListBuilder::new(Date32Builder::new());
    for row in 0..call.rows {
        match points(call, row, &part)? {
            None => lists.append_null(),
            Some(all) => {
                for micros in all {
                    let day = i32::try_from(micros.div_euclid(DAY));
                    lists.values().append_option(day.ok());
                }
                lists.append(true);
            }
        }
    }
    let list: ArrayRef = Arc::new(lists.finish());
    debug_assert!(
        list.as_list::<i32>()
            .values()
            .as_primitive_opt::<Date32Type>()
            .is_some()
    );
    Ok(list)
}

fn timestamps(call: &Call) -> Result<ArrayRef> {
    let part = call.word(3)?;
    let values = TimestampMicrosecondBuilder::new().with_data_type(utc());
    let mut lists = ListBuilder::new(values);
    for row in 0..call.rows {
        match points(call, row, &part)? {
            None => lists.append_null(),
            Some(all) => {
                all.into_iter()
                    .for_each(|micros| lists.values().append_value(micros));
                lists.append(true);
            }
        }
    }
    let list: ArrayRef = Arc::new(lists.finish());
    debug_assert!(
        list.as_list::<i32>()
            .values()
            .as_primitive_opt::<TimestampMicrosecondType>()
            .is_some()
    );
    Ok(list)
}

fn parsed_micros(call: &Call) -> Result<TimestampMicrosecondArray> {
    let times = parsed(call)?.into_iter();
    Ok(times
        .map(|t| t.map(|t| t.and_utc().timestamp_micros()))
        .collect())
}

fn parsed(call: &Call) -> Result<Vec<Option<NaiveDateTime>>> {
    let (patterns, texts) = (call.texts(0)?, call.texts(1)?);
    patterns
        .iter()
        .zip(&texts)
        .map(|pair| match pair {
            (Some(pattern), Some(text)) => read(pattern, text).map(Some),
            _ => Ok(None),
        })
        .collect()
}

/// Elements of a pattern that are read as the service reads them.
const ELEMENTS: &str = "YymdHIMSFTjbBaAepRDsnt%zk";

/// What a text says in a pattern; what it does not say is as at the beginning of 1970.
fn read(pattern: &str, text: &str) -> Result<NaiveDateTime> {
    use chrono::format::{Parsed, StrftimeItems, parse};
    let mut own = String::new();
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        own.push(c);
        if c != '%' {
            continue;
        }
        match characters.next() {
            // Seconds with as many digits behind the point as there are.
            Some('E') => match (characters.next(), characters.next()) {
                (Some('*' | '0'..='9'), Some('S')) => own.push_str("S%.f"),
                (Some('4'), Some('Y')) => own.push('Y'),
                _ => return exec_err!("the format {pattern:?} is not supported by this emulator"),
            },
            Some(element) if ELEMENTS.contains(element) => own.push(element),
            element => {
                let element = element.map(String::from).unwrap_or_default();
                return exec_err!(
                    "the format element %{element} is not supported by this emulator"
                );
            }
        }
    }
    let failed = || exec_datafusion_err!("Failed to parse input string {text:?}");
    let mut parsed = Parsed::new();
    parse(&mut parsed, text.trim(), StrftimeItems::new(own.trim())).map_err(|_| failed())?;
    // Years of two digits begin with 1969.
    if let (None, None, Some(short)) = (parsed.year(), parsed.year_div_100(), parsed.year_mod_100())
    {
        let century = if short < 69 { 20 } else { 19 };
        parsed.set_year_div_100(century).map_err(|_| failed())?;
    }
    if let Some(seconds) = parsed.timestamp() {
        let time = DateTime::from_timestamp(seconds, 0).ok_or_else(failed)?;
        return Ok(time.naive_utc());
    }
    let date = match parsed.to_naive_date() {
        Ok(date) => date,
        Err(_) => {
            let short = parsed.year_div_100().zip(parsed.year_mod_100());
            let year = short.map(|(century, short)| century * 100 + short);
            let year = parsed.year().or(year).unwrap_or(1970);
            let date = match parsed.ordinal() {
                Some(day) => NaiveDate::from_yo_opt(year, day),
                None => NaiveDate::from_ymd_opt(
                    year,
                    parsed.month().unwrap_or(1),
                    parsed.day().unwrap_or(1),
                ),
            };
            date.ok_or_else(failed)?
        }
    };
    let half = parsed.hour_div_12().unwrap_or(0);
    let hour = parsed
        .hour_mod_12()
        .map(|hour| half * 12 + hour)
        .unwrap_or(0);
    let nanos = parsed.nanosecond().unwrap_or(0);
    let time = NaiveTime::from_hms_nano_opt(
        hour,
        parsed.minute().unwrap_or(0),
        parsed.second().unwrap_or(0),
        nanos - nanos % 1000,
    );
    let time = date.and_time(time.ok_or_else(failed)?);
    let offset = i64::from(parsed.offset().unwrap_or(0));
    let time = time - chrono::TimeDelta::seconds(offset);
    match in_range(time.and_utc().timestamp_micros()) {
        Some(_) => Ok(time),
        None => Err(failed()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn texts_are_read_by_their_patterns() {
        for (pattern, text, wanted) in [
            ("%Y-%m-%d", "2020-02-29", "2020-02-29 00:00:00"),
            ("%d/%m/%y", "01/02/69", "1969-02-01 00:00:00"),
            (
                "%Y%m%d %H:%M:%E*S",
                "20200102 03:04:05.25",
                "2020-01-02 03:04:05.250",
            ),
            (
                "%b %d %Y %I:%M %p",
                "Jan 2 2020 1:30 PM",
                "2020-01-02 13:30:00",
            ),
            (
                "%Y-%m-%d %H:%M:%S%z",
                "2020-01-01 01:00:00+0200",
                "2019-12-31 23:00:00",
            ),
            ("%Y", "2020", "2020-01-01 00:00:00"),
            ("%s", "86400", "1970-01-02 00:00:00"),
            ("%H:%M", "12:34", "1970-01-01 12:34:00"),
        ] {
            let read = read(pattern, text).unwrap();
            assert_eq!(read.to_string(), wanted, "{pattern} {text}");
        }
        for (pattern, text) in [("%Y-%m-%d", "2020-13-01"), ("%Y", "x"), ("%Q", "1")] {
            assert!(read(pattern, text).is_err(), "{pattern} {text}");
        }
    }

    #[test]
    fn zones_are_names_or_offsets() {
        let hours = |zone: &str, at: i64| offset_at(zone, at).map(|o| o / 3_600_000_000);
        assert_eq!(hours("America/New_York", 0).unwrap(), -5);
        assert_eq!(hours("+02:00", 0).unwrap(), 2);
        assert_eq!(hours("UTC-8", 0).unwrap(), -8);
        assert!(hours("Nowhere", 0).is_err());
    }
}
