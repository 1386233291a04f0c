//! `CAST(... FORMAT 'YYYY-MM-DD')`: dates and times by models of SQL, and back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::DataType;
use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::calendar::{offset_at, offset_of_local, utc};
use super::dates::{DAY, in_range, micros_of, moment};
use super::{Call, Function, nullable, number_models, text};

mod elements;

use elements::{Case, Element, elements};

pub(super) fn functions() -> Vec<ScalarUDF> {
    let date = |_: &ReturnFieldArgs<'_>| nullable(DataType::Date32);
    let time = |_: &ReturnFieldArgs<'_>| {
        nullable(DataType::Time64(arrow::datatypes::TimeUnit::Microsecond))
    };
    let datetime = |_: &ReturnFieldArgs<'_>| {
        let unit = arrow::datatypes::TimeUnit::Microsecond;
        nullable(DataType::Timestamp(unit, None))
    };
    let timestamp = |_: &ReturnFieldArgs<'_>| nullable(utc());
    vec![
        Function::made("millpond_model_written", &[2, 3], text, written),
        Function::made("millpond_model_date", &[2, 3], date, |call| {
            let days = points(call)?.into_iter();
            let days = days.map(|t| t.and_then(|m| i32::try_from(m.div_euclid(DAY)).ok()));
            Ok(Arc::new(days.collect::<Date32Array>()))
        }),
        Function::made("millpond_model_time", &[2, 3], time, |call| {
            let times = points(call)?.into_iter();
            let times = times.map(|t| t.map(|micros| micros.rem_euclid(DAY)));
            Ok(Arc::new(times.collect::<Time64MicrosecondArray>()))
        }),
        Function::made("millpond_model_datetime", &[2, 3], datetime, |call| {
            Ok(Arc::new(TimestampMicrosecondArray::from(points(call)?)))
        }),
        Function::made("millpond_model_timestamp", &[2, 3], timestamp, |call| {
            let points = TimestampMicrosecondArray::from(points(call)?);
            Ok(Arc::new(points.with_timezone("UTC")))
        }),
    ]
}

/// The value, the model, and the time zone.
fn zone(call: &Call, row: usize) -> Result<Option<String>> {
    if call.arrays.len() < 3 {
        return Ok(Some("UTC".to_owned()));
    }
    let zones = call.texts(2)?;
    Ok(zones.is_valid(row).then(|| zones.value(row).to_owned()))
}

fn written(call: &Call) -> Result<ArrayRef> {
    let kind = call.array(0)?.data_type().clone();
    if number_models::is_number(&kind) {
        return number_models::written(call);
    }
    if !matches!(
        kind,
        DataType::Date32 | DataType::Time64(_) | DataType::Timestamp(_, _)
    ) {
        return exec_err!("CAST of {kind} with FORMAT is not supported by this emulator");
    }
    let (times, models) = (micros_of(call.array(0)?)?, call.texts(1)?);
    let texts = (0..call.rows).map(|row| {
        let Some(zone) = zone(call, row)? else {
            return Ok(None);
        };
        if times.is_null(row) || models.is_null(row) {
            return Ok(None);
        }
        let micros = times.value(row);
        let ahead = match &kind {
            DataType::Timestamp(_, Some(_)) => offset_at(&zone, micros)?,
            _ => 0,
        };
        let time = moment(micros + ahead)?;
        let mut out = String::new();
        for (element, case) in elements(models.value(row))? {
            let dated = matches!(kind, DataType::Date32 | DataType::Timestamp(_, _));
            let timed = !matches!(kind, DataType::Date32);
            let zoned = matches!(kind, DataType::Timestamp(_, Some(_)));
            if element.is_of_date() && !dated
                || element.is_of_time() && !timed
                || element.is_of_zone() && !zoned
            {
                return exec_err!(
                    "{element:?} in the format {:?} is not supported for a value of {kind}",
                    models.value(row)
                );
            }
            out.push_str(&case.of(write(&element, time, ahead)));
        }
        Ok(Some(out))
    });
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}

fn write(element: &Element, time: NaiveDateTime, ahead: i64) -> String {
    let year = time.year();
    let fraction = format!("{:09}", time.nanosecond() % 1_000_000_000);
    let minutes = ahead / 60_000_000;
    match element {
        Element::Text(text) => text.clone(),
        Element::Year(digits) => {
            let all = format!("{year:04}");
            all.get(all.len().saturating_sub(*digits)..)
                .unwrap_or(&all)
                .to_owned()
        }
        Element::RoundYear(digits) => match digits {
            2 => format!("{:02}", year % 100),
            _ => format!("{year:04}"),
        },
        Element::Month => time.format("%m").to_string(),
        Element::MonthName => time.format("%B").to_string(),
        Element::ShortMonth => time.format("%b").to_string(),
        Element::Day => time.format("%d").to_string(),
        Element::DayOfYear => time.format("%j").to_string(),
        Element::DayOfWeek => (time.weekday().num_days_from_sunday() + 1).to_string(),
        Element::DayName => time.format("%A").to_string(),
        Element::ShortDay => time.format("%a").to_string(),
        Element::Hour => time.format("%H").to_string(),
        Element::HalfHour => time.format("%I").to_string(),
        Element::Half(points) => match (time.hour() < 12, points) {
            (true, false) => "AM".to_owned(),
            (true, true) => "A.M.".to_owned(),
            (false, false) => "PM".to_owned(),
            (false, true) => "P.M.".to_owned(),
        },
        Element::Minute => time.format("%M").to_string(),
        Element::Second => time.format("%S").to_string(),
        Element::SecondOfDay => format!("{:05}", time.num_seconds_from_midnight()),
        Element::Fraction(digits) => fraction.get(..*digits).unwrap_or(&fraction).to_owned(),
        Element::ZoneHour => {
            let sign = if minutes < 0 { '-' } else { '+' };
            format!("{sign}{:02}", minutes.abs() / 60)
        }
        Element::ZoneMinute => format!("{:02}", minutes.abs() % 60),
    }
}

/// What texts say, in microseconds; in UTC where the call gives points in time.
fn points(call: &Call) -> Result<Vec<Option<i64>>> {
    let (texts, models) = (call.texts(0)?, call.texts(1)?);
    let is_point = *call.returns.data_type() == utc();
    let kind = call.returns.data_type();
    (0..call.rows)
        .map(|row| {
            let Some(zone) = zone(call, row)? else {
                return Ok(None);
            };
            if texts.is_null(row) || models.is_null(row) {
                return Ok(None);
            }
            let (local, ahead) = read(texts.value(row), models.value(row), kind)?;
            Ok(Some(match (is_point, ahead) {
                (true, Some(ahead)) => local - ahead,
                (true, None) => local - offset_of_local(&zone, local)?,
                (false, _) => local,
            }))
        })
        .collect()
}

/// A text by a model: what its clock shows, and how far that is from UTC if it says so.
fn read(text: &str, model: &str, kind: &DataType) -> Result<(i64, Option<i64>)> {
    let dated = !matches!(kind, DataType::Time64(_));
    let timed = !matches!(kind, DataType::Date32);
    let zoned = matches!(kind, DataType::Timestamp(_, Some(_)));
    let failed =
        || exec_datafusion_err!("Failed to parse input string {text:?} with the format {model:?}");
    let mut rest = text.trim_start();
    let mut said = Said::default();
    for (element, _) in &elements(model)? {
        if element.is_of_date() && !dated
            || element.is_of_time() && !timed
            || element.is_of_zone() && !zoned
        {
            return exec_err!(
                "{element:?} in the format {model:?} is not allowed for a value of {kind}"
            );
        }
        let digits = |rest: &mut &str, most: usize| -> Option<i64> {
            let end = rest
                .bytes()
                .take(most)
                .take_while(u8::is_ascii_digit)
                .count();
            let (number, after) = rest.split_at(end);
            *rest = after;
            number.parse().ok()
        };
        let word = |rest: &mut &str, names: &[String]| -> Option<usize> {
            let at = names.iter().position(|name| {
                rest.get(..name.len())
                    .is_some_and(|own| own.eq_ignore_ascii_case(name))
            })?;
            *rest = rest.get(names.get(at)?.len()..)?;
            Some(at)
        };
        let months = |pattern: &str| -> Vec<String> {
            let first = |month: u32| NaiveDate::from_ymd_opt(2000, month, 1);
            let dates = (1..=12).filter_map(first);
            dates.map(|d| d.format(pattern).to_string()).collect()
        };
        match element {
            Element::Text(own) if own.trim().is_empty() => rest = rest.trim_start(),
            Element::Text(own) => rest = rest.strip_prefix(own.as_str()).ok_or_else(failed)?,
            Element::Year(count) => {
                let number = digits(&mut rest, *count).ok_or_else(failed)?;
                said.year = Some(match count {
                    4.. => number,
                    // Of this century.
                    2 => 2000 + number,
                    _ => {
                        return exec_err!(
                            "the format {model:?} is not supported by this emulator to read texts"
                        );
                    }
                });
            }
            Element::RoundYear(count) => {
                let number = digits(&mut rest, *count).ok_or_else(failed)?;
                said.year = Some(match number {
                    0..=49 => 2000 + number,
                    50..=99 => 1900 + number,
                    _ => number,
                });
            }
            Element::Month => said.month = digits(&mut rest, 2),
            Element::MonthName => {
                let at = word(&mut rest, &months("%B")).ok_or_else(failed)?;
                said.month = i64::try_from(at + 1).ok();
            }
            Element::ShortMonth => {
                let at = word(&mut rest, &months("%b")).ok_or_else(failed)?;
                said.month = i64::try_from(at + 1).ok();
            }
            Element::Day => said.day = digits(&mut rest, 2),
            Element::Hour => said.hour = digits(&mut rest, 2).ok_or_else(failed)?,
            Element::HalfHour => said.hour = digits(&mut rest, 2).ok_or_else(failed)? % 12,
            Element::Half(points) => {
                let names = if *points {
                    ["A.M.", "P.M."]
                } else {
                    ["AM", "PM"]
                };
                let names = names.map(str::to_owned);
                let at = word(&mut rest, &names).ok_or_else(failed)?;
                said.half = i64::try_from(at).unwrap_or(0);
            }
            Element::Minute => said.minute = digits(&mut rest, 2).ok_or_else(failed)?,
            Element::Second => said.second = digits(&mut rest, 2).ok_or_else(failed)?,
            Element::SecondOfDay => {
                let number = digits(&mut rest, 5).ok_or_else(failed)?;
                (said.hour, said.minute, said.second) =
                    (number / 3600, number / 60 % 60, number % 60);
            }
            Element::Fraction(most) => {
                let before = rest.len();
                let number = digits(&mut rest, *most).ok_or_else(failed)?;
                let count = u32::try_from(before - rest.len()).unwrap_or(9);
                said.micros = number * 10_i64.pow(9_u32.saturating_sub(count)) / 1000;
            }
            Element::ZoneHour => {
                let negative = rest.starts_with('-');
                rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
                let hours = digits(&mut rest, 2).ok_or_else(failed)?;
                said.ahead = Some((hours * 60, negative));
            }
            Element::ZoneMinute => {
                let minutes = digits(&mut rest, 2).ok_or_else(failed)?;
                let (hours, negative) = said.ahead.unwrap_or_default();
                said.ahead = Some((hours + minutes, negative));
            }
            Element::DayOfYear | Element::DayOfWeek | Element::DayName | Element::ShortDay => {
                return exec_err!(
                    "the format {model:?} is not supported by this emulator to read texts"
                );
            }
        }
    }
    if !rest.trim_end().is_empty() {
        return Err(failed());
    }
    if dated && (said.year.is_none() || said.month.is_none()) {
        // The service takes those of today.
        return exec_err!(
            "the format {model:?} without a year or month is not supported by this emulator"
        );
    }
    said.micros().ok_or_else(failed)
}

/// The parts of a date and a time that a text said.
#[derive(Default)]
struct Said {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    hour: i64,
    half: i64,
    minute: i64,
    second: i64,
    micros: i64,
    /// Minutes, and whether they are before UTC.
    ahead: Option<(i64, bool)>,
}

impl Said {
    fn micros(&self) -> Option<(i64, Option<i64>)> {
        let part = |n: i64| u32::try_from(n).ok();
        let year = i32::try_from(self.year.unwrap_or(1970)).ok()?;
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        let date = NaiveDate::from_ymd_opt(year, part(month)?, part(day)?)?;
        let hour = part(self.hour + 12 * self.half)?;
        let time = NaiveTime::from_hms_opt(hour, part(self.minute)?, part(self.second)?)?;
        let micros = date.and_time(time).and_utc().timestamp_micros() + self.micros;
        let ahead = self.ahead.map(|(minutes, negative)| {
            let micros = minutes * 60_000_000;
            if negative { -micros } else { micros }
        });
        Some((in_range(micros)?, ahead))
    }
}

impl Case {
    fn of(self, text: String) -> String {
        match self {
            Self::AsIs => text,
            Self::Upper => text.to_uppercase(),
            Self::Lower => text.to_lowercase(),
        }
    }
}
