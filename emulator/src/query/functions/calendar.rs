//! Dates and times read from texts, counted, listed, and moved between time zones.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int64Array, ListBuilder, StringArray,
    TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use arrow::array::{Date32Builder, Time64MicrosecondArray};
use arrow::datatypes::{DataType, Date32Type, FieldRef, TimeUnit, TimestampMicrosecondType};
use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::dates::{DAY, in_range, micros_of, moment, shifted, step, truncated};
use super::time_formats::{DATE, DATETIME, TIME, check, read, write};
use super::{Call, Function, each, integer, nullable, text};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_parse_date", &[2], date, |call| {
            let days = parsed(call, DATE)?
                .into_iter()
                .map(|t| t.map(|t| i32::try_from(t.and_utc().timestamp_micros().div_euclid(DAY))));
            let days = days.map(|d| d.transpose().map_err(|e| exec_datafusion_err!("{e}")));
            Ok(Arc::new(days.collect::<Result<Date32Array>>()?))
        }),
        Function::made("millpond_parse_time", &[2], time, |call| {
            let times: Time64MicrosecondArray = parsed(call, TIME)?
                .into_iter()
                .map(|t| t.map(|t| t.and_utc().timestamp_micros().rem_euclid(DAY)))
                .collect();
            Ok(Arc::new(times))
        }),
        Function::made("millpond_parse_datetime", &[2], datetime, |call| {
            Ok(Arc::new(parsed_micros(call)?))
        }),
        Function::made("millpond_parse_timestamp", &[2, 3], timestamp, |call| {
            Ok(Arc::new(parsed_points(call)?))
        }),
        // As the clocks of a zone show it.
        Function::made("millpond_trunc_in_zone", &[3], timestamp, |call| {
            let (part, zones) = (call.word(1)?, call.texts(2)?);
            let micros = micros_of(call.array(0)?)?;
            let cut = micros.iter().zip(&zones).map(|pair| {
                let (Some(micros), Some(zone)) = pair else {
                    return Ok(None);
                };
                let local = truncated(micros + offset_at(zone, micros)?, &part)?;
                Ok(Some(local - offset_of_local(zone, local)?))
            });
            let cut = cut.collect::<Result<TimestampMicrosecondArray>>()?;
            Ok(Arc::new(cut.with_timezone("UTC")))
        }),
        Function::made("millpond_time_format", &[2, 3], text, |call| {
            let (patterns, times) = (call.texts(0)?, micros_of(call.array(1)?)?);
            let zones = match call.arrays.len() {
                3 => Some(call.texts(2)?),
                _ => None,
            };
            let texts = (0..call.rows).map(|row| {
                let no_zone = zones.as_ref().is_some_and(|z| z.is_null(row));
                if patterns.is_null(row) || times.is_null(row) || no_zone {
                    return Ok(None);
                }
                let micros = times.value(row);
                let ahead = match &zones {
                    Some(zones) => offset_at(zones.value(row), micros)?,
                    None => 0,
                };
                write(patterns.value(row), micros, ahead).map(Some)
            });
            Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
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

pub(super) fn utc() -> DataType {
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
pub(super) fn offset_at(zone: &str, micros: i64) -> Result<i64> {
    if let Some(offset) = fixed_offset(zone) {
        return Ok(offset);
    }
    let time = moment(micros)?;
    let offset = zone_of(zone)?.offset_from_utc_datetime(&time).fix();
    Ok(i64::from(offset.local_minus_utc()) * 1_000_000)
}

/// How far a zone is from UTC where its clocks show a time; of two such points in time the earlier one is meant.
pub(super) fn offset_of_local(zone: &str, micros: i64) -> Result<i64> {
    if let Some(offset) = fixed_offset(zone) {
        return Ok(offset);
    }
    let local = moment(micros)?;
    match crate::zones::offset_of_local(zone_of(zone)?, local) {
        Some(offset) => Ok(i64::from(offset.local_minus_utc()) * 1_000_000),
        None => exec_err!("{local} does not exist in {zone}"),
    }
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
    let times = parsed(call, DATETIME)?.into_iter();
    Ok(times
        .map(|t| t.map(|t| t.and_utc().timestamp_micros()))
        .collect())
}

fn parsed(call: &Call, kind: (&str, &str)) -> Result<Vec<Option<NaiveDateTime>>> {
    let (patterns, texts) = (call.texts(0)?, call.texts(1)?);
    let pairs = patterns.iter().zip(&texts);
    pairs
        .map(|pair| match pair {
            (Some(pattern), Some(text)) => {
                check(pattern, kind)?;
                Ok(Some(read(pattern, text)?.time))
            }
            _ => Ok(None),
        })
        .collect()
}

/// Points in time of texts that say them in UTC, in a zone of their own, or in the one that is the third argument.
fn parsed_points(call: &Call) -> Result<TimestampMicrosecondArray> {
    let (patterns, texts) = (call.texts(0)?, call.texts(1)?);
    let zones = match call.arrays.len() {
        3 => Some(call.texts(2)?),
        _ => None,
    };
    let points = (0..call.rows).map(|row| {
        let no_zone = zones.as_ref().is_some_and(|z| z.is_null(row));
        if patterns.is_null(row) || texts.is_null(row) || no_zone {
            return Ok(None);
        }
        let said = read(patterns.value(row), texts.value(row))?;
        let micros = said.time.and_utc().timestamp_micros();
        let given = zones.as_ref().map(|zones| zones.value(row));
        let zone = said.zone.as_deref().or(given);
        Ok(Some(match zone.filter(|_| !said.zoned) {
            Some(zone) => micros - offset_of_local(zone, micros)?,
            None => micros,
        }))
    });
    Ok(points
        .collect::<Result<TimestampMicrosecondArray>>()?
        .with_timezone("UTC"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn zones_are_names_or_offsets() {
        let hours = |zone: &str, at: i64| offset_at(zone, at).map(|o| o / 3_600_000_000);
        assert_eq!(hours("America/New_York", 0).unwrap(), -5);
        assert_eq!(hours("+02:00", 0).unwrap(), 2);
        assert_eq!(hours("UTC-8", 0).unwrap(), -8);
        assert!(hours("Nowhere", 0).is_err());
    }
}
