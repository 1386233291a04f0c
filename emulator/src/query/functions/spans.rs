//! Intervals: made, added, compared and taken apart.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int64Array, IntervalMonthDayNanoArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, FieldRef, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::dates::{DAY, in_range, micros_of, shifted};
use super::{Call, Function, argument, integer, nullable};
use crate::interval;

const HOUR: i64 = 3_600_000_000;

/// A month counts so many days where intervals are compared.
const MONTH: i64 = 30 * DAY;

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_interval_of", &[2], span, |call| {
            let part = call.word(1)?;
            let counts = call.integers(0)?;
            made(call.rows, |row| match counts.is_valid(row) {
                true => of_part(counts.value(row), &part).map(Some),
                false => Ok(None),
            })
        }),
        Function::made("millpond_interval_read", &[2], span, |call| {
            let (texts, parts) = (call.texts(0)?, call.word(1)?);
            made(call.rows, |row| match texts.is_valid(row) {
                true => read(texts.value(row), &parts).map(Some),
                false => Ok(None),
            })
        }),
        Function::made("millpond_make_interval", &[6], span, |call| {
            let parts = (0..6)
                .map(|at| call.integers(at))
                .collect::<Result<Vec<_>>>()?;
            made(call.rows, |row| {
                let numbers: Option<Vec<i64>> = parts
                    .iter()
                    .map(|p| p.is_valid(row).then(|| p.value(row)))
                    .collect();
                let Some([years, months, days, hours, minutes, seconds]) = numbers.as_deref()
                else {
                    return Ok(None);
                };
                let months = years.checked_mul(12).and_then(|y| y.checked_add(*months));
                let minutes = hours.checked_mul(60).and_then(|h| h.checked_add(*minutes));
                let seconds = minutes
                    .and_then(|m| m.checked_mul(60))
                    .and_then(|m| m.checked_add(*seconds));
                let micros = seconds.and_then(|s| s.checked_mul(1_000_000));
                checked(months, Some(*days), micros).map(Some)
            })
        }),
        Function::made("millpond_interval_key", &[1], integer, keys),
        Function::made("millpond_interval_add", &[2], span, |call| {
            two(call, |a, b| {
                Some((
                    a.0.checked_add(b.0)?,
                    a.1.checked_add(b.1)?,
                    a.2.checked_add(b.2)?,
                ))
            })
        }),
        Function::made("millpond_interval_subtract", &[2], span, |call| {
            two(call, |a, b| {
                Some((
                    a.0.checked_sub(b.0)?,
                    a.1.checked_sub(b.1)?,
                    a.2.checked_sub(b.2)?,
                ))
            })
        }),
        Function::made("millpond_interval_multiply", &[2], span, |call| {
            let (spans, counts) = (spans(call, 0)?, call.integers(1)?);
            made(call.rows, |row| {
                if spans.is_null(row) || counts.is_null(row) {
                    return Ok(None);
                }
                let ((months, days, micros), by) = (parts(spans.value(row)), counts.value(row));
                let times = |n: i64| n.checked_mul(by);
                checked(times(months), times(days), times(micros)).map(Some)
            })
        }),
        // What months leave over is counted as days, thirty to a month, and what days leave over as time.
        Function::made("millpond_interval_divide", &[2], span, |call| {
            let (spans, counts) = (spans(call, 0)?, call.integers(1)?);
            made(call.rows, |row| {
                if spans.is_null(row) || counts.is_null(row) {
                    return Ok(None);
                }
                let ((months, days, micros), by) = (parts(spans.value(row)), counts.value(row));
                if by == 0 {
                    return exec_err!("division by zero: INTERVAL / 0");
                }
                let days = days + months % by * 30;
                let micros = micros + days % by * DAY;
                checked(Some(months / by), Some(days / by), Some(micros / by)).map(Some)
            })
        }),
        Function::made("millpond_justify_hours", &[1], span, |call| {
            one(call, hours)
        }),
        Function::made("millpond_justify_days", &[1], span, |call| one(call, days)),
        Function::made("millpond_justify_interval", &[1], span, |call| {
            one(call, |months, own, micros| {
                let (months, own, micros) = hours(months, own, micros);
                days(months, own, micros)
            })
        }),
        // Points in time and an interval; what is added to a date is a date and a time.
        Function::made("millpond_time_plus", &[2], with_time, |call| moved(call, 1)),
        Function::made("millpond_time_minus", &[2], with_time, |call| {
            moved(call, -1)
        }),
        Function::made("millpond_bucket", &[2, 3], of_time, bucket),
        Function::made("millpond_time_between", &[2], span, |call| {
            let dates = *call.array(0)?.data_type() == DataType::Date32;
            let (ends, starts) = (micros_of(call.array(0)?)?, micros_of(call.array(1)?)?);
            made(call.rows, |row| {
                if ends.is_null(row) || starts.is_null(row) {
                    return Ok(None);
                }
                let micros = ends.value(row) - starts.value(row);
                match dates {
                    true => checked(Some(0), Some(micros / DAY), Some(0)).map(Some),
                    false => checked(Some(0), Some(0), Some(micros)).map(Some),
                }
            })
        }),
    ]
}

/// Numbers in the order of the intervals.
pub(super) fn keys(call: &Call) -> Result<ArrayRef> {
    let keys: Int64Array = spans(call, 0)?.iter().map(|s| s.map(key)).collect();
    Ok(Arc::new(keys))
}

/// Intervals of the other sign.
pub(super) fn negated(call: &Call) -> Result<ArrayRef> {
    one(call, |months, days, micros| (-months, -days, -micros))
}

fn span(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Interval(IntervalUnit::MonthDayNano))
}

fn with_time(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    match argument(args, 0)?.data_type() {
        DataType::Date32 => nullable(DataType::Timestamp(TimeUnit::Microsecond, None)),
        DataType::Timestamp(_, zone) => {
            nullable(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        other => plan_err!("No matching signature for {other} and INTERVAL"),
    }
}

/// The type of the first argument, which must be a date or a point in time.
fn of_time(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    match argument(args, 0)?.data_type() {
        DataType::Date32 => nullable(DataType::Date32),
        _ => with_time(args),
    }
}

/// Where buckets begin if nothing else is said: 1950.
const ORIGIN: i64 = -7305 * DAY;

/// The beginning of the bucket of a width that a time is in.
fn bucket(call: &Call) -> Result<ArrayRef> {
    let dates = *call.returns.data_type() == DataType::Date32;
    let (times, widths) = (micros_of(call.array(0)?)?, spans(call, 1)?);
    let origins = match call.arrays.len() {
        3 => Some(micros_of(call.array(2)?)?),
        _ => None,
    };
    let found = (0..call.rows).map(|row| {
        let no_origin = origins.as_ref().is_some_and(|o| o.is_null(row));
        if times.is_null(row) || widths.is_null(row) || no_origin {
            return Ok(None);
        }
        let origin = origins.as_ref().map_or(ORIGIN, |o| o.value(row));
        let (months, days, micros) = parts(widths.value(row));
        let width = days * DAY + micros;
        let time = times.value(row);
        let found = match (months, width) {
            (0, 1..) if !dates || micros == 0 => {
                Some(origin + (time - origin).div_euclid(width) * width)
            }
            (1.., 0) if !matches!(call.returns.data_type(), DataType::Timestamp(_, Some(_))) => {
                // A month is no longer than thirty-one days, so this is not behind the right one.
                let mut count = (time - origin).div_euclid(31 * DAY * months);
                while shifted(origin, (count + 1) * months).is_some_and(|next| next <= time) {
                    count += 1;
                }
                while shifted(origin, count * months).is_some_and(|start| start > time) {
                    count -= 1;
                }
                shifted(origin, count * months)
            }
            _ => return exec_err!("this INTERVAL is no bucket width for a value of this type"),
        };
        let found = found.and_then(in_range);
        found
            .map(Some)
            .ok_or_else(|| exec_datafusion_err!("the bucket is out of range"))
    });
    let found = found.collect::<Result<Vec<Option<i64>>>>()?;
    if dates {
        let days = found.into_iter();
        let days = days.map(|m| m.and_then(|m| i32::try_from(m.div_euclid(DAY)).ok()));
        return Ok(Arc::new(days.collect::<Date32Array>()));
    }
    let zone = match call.returns.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    Ok(Arc::new(
        TimestampMicrosecondArray::from(found).with_timezone_opt(zone),
    ))
}

fn spans(call: &Call, at: usize) -> Result<IntervalMonthDayNanoArray> {
    let array = call.array(at)?;
    match array.as_primitive_opt::<IntervalMonthDayNanoType>() {
        Some(spans) => Ok(spans.clone()),
        None if array.data_type().is_null() => Ok(IntervalMonthDayNanoArray::new_null(array.len())),
        None => exec_err!("INTERVAL is expected, not {}", array.data_type()),
    }
}

/// Months, days and microseconds.
fn parts(span: IntervalMonthDayNano) -> (i64, i64, i64) {
    (
        i64::from(span.months),
        i64::from(span.days),
        interval::micros(span),
    )
}

fn key(span: IntervalMonthDayNano) -> i64 {
    let (months, days, micros) = parts(span);
    months * MONTH + days * DAY + micros
}

fn checked(
    months: Option<i64>,
    days: Option<i64>,
    micros: Option<i64>,
) -> Result<IntervalMonthDayNano> {
    let whole = |n: Option<i64>| n.and_then(|n| i32::try_from(n).ok());
    let span = whole(months)
        .zip(whole(days))
        .zip(micros)
        .and_then(|((months, days), micros)| interval::of_micros(months, days, micros));
    span.ok_or_else(|| exec_datafusion_err!("Interval value is out of range"))
}

fn made(
    rows: usize,
    one: impl Fn(usize) -> Result<Option<IntervalMonthDayNano>>,
) -> Result<ArrayRef> {
    let spans = (0..rows)
        .map(one)
        .collect::<Result<IntervalMonthDayNanoArray>>()?;
    Ok(Arc::new(spans))
}

fn one(call: &Call, change: impl Fn(i64, i64, i64) -> (i64, i64, i64)) -> Result<ArrayRef> {
    let spans = spans(call, 0)?;
    made(call.rows, |row| {
        if spans.is_null(row) {
            return Ok(None);
        }
        let (months, days, micros) = parts(spans.value(row));
        let (months, days, micros) = change(months, days, micros);
        checked(Some(months), Some(days), Some(micros)).map(Some)
    })
}

type Parts = (i64, i64, i64);

fn two(call: &Call, both: impl Fn(Parts, Parts) -> Option<Parts>) -> Result<ArrayRef> {
    let (left, right) = (spans(call, 0)?, spans(call, 1)?);
    made(call.rows, |row| {
        if left.is_null(row) || right.is_null(row) {
            return Ok(None);
        }
        let all = both(parts(left.value(row)), parts(right.value(row)));
        checked(all.map(|a| a.0), all.map(|a| a.1), all.map(|a| a.2)).map(Some)
    })
}

fn of_part(count: i64, part: &str) -> Result<IntervalMonthDayNano> {
    let times = |unit: i64| count.checked_mul(unit);
    match part {
        "YEAR" => checked(times(12), Some(0), Some(0)),
        "QUARTER" => checked(times(3), Some(0), Some(0)),
        "MONTH" => checked(Some(count), Some(0), Some(0)),
        "WEEK" => checked(Some(0), times(7), Some(0)),
        "DAY" => checked(Some(0), Some(count), Some(0)),
        "HOUR" => checked(Some(0), Some(0), times(HOUR)),
        "MINUTE" => checked(Some(0), Some(0), times(HOUR / 60)),
        "SECOND" => checked(Some(0), Some(0), times(1_000_000)),
        "MILLISECOND" => checked(Some(0), Some(0), times(1000)),
        "MICROSECOND" => checked(Some(0), Some(0), Some(count)),
        _ => exec_err!("INTERVAL of {part} is not supported by this emulator"),
    }
}

/// `1-2 3 4:5:6.7` and the parts of that from one to another.
fn read(text: &str, names: &str) -> Result<IntervalMonthDayNano> {
    const ALL: [&str; 6] = ["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"];
    const UNITS: [i64; 6] = [12, 1, 1, HOUR, HOUR / 60, 1_000_000];
    let invalid = || exec_datafusion_err!("Invalid INTERVAL literal '{text}'");
    let (first, last) = names.split_once(" TO ").ok_or_else(invalid)?;
    let place = |name: &str| ALL.iter().position(|n| *n == name).ok_or_else(invalid);
    let (first, last) = (place(first)?, place(last)?);
    let mut sums = [0_i64; 3];
    let mut at = first;
    for group in text.split_whitespace() {
        // The sign is that of all numbers up to the next blank.
        let (sign, numbers) = match group.strip_prefix('-') {
            Some(numbers) => (-1, numbers),
            None => (1, group.strip_prefix('+').unwrap_or(group)),
        };
        for number in numbers.split(['-', ':']) {
            let (unit, sum) = match at {
                0 | 1 => (UNITS.get(at), sums.get_mut(0)),
                2 => (UNITS.get(at), sums.get_mut(1)),
                _ => (UNITS.get(at), sums.get_mut(2)),
            };
            let (Some(unit), Some(sum), true) = (unit, sum, at <= last) else {
                return Err(invalid());
            };
            let (whole, fraction) = match number.split_once('.') {
                Some((whole, fraction)) if at == 5 && fraction.len() <= 6 => (whole, fraction),
                Some(_) => return Err(invalid()),
                None => (number, ""),
            };
            let digits = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
                true => text.parse::<i64>().map_err(|_| invalid()),
                false => Err(invalid()),
            };
            let mut value = digits(whole)?.checked_mul(*unit).ok_or_else(invalid)?;
            if !fraction.is_empty() {
                value += digits(&format!("{fraction:0<6}"))?;
            }
            *sum = sum.checked_add(sign * value).ok_or_else(invalid)?;
            at += 1;
        }
    }
    if at != last + 1 {
        return Err(invalid());
    }
    let [months, days, micros] = sums;
    checked(Some(months), Some(days), Some(micros))
}

/// Days of twenty-four hours, all of one sign.
fn hours(months: i64, days: i64, micros: i64) -> Parts {
    let (mut days, mut rest) = (days + micros / DAY, micros % DAY);
    if days > 0 && rest < 0 {
        (days, rest) = (days - 1, rest + DAY);
    } else if days < 0 && rest > 0 {
        (days, rest) = (days + 1, rest - DAY);
    }
    (months, days, rest)
}

/// Months of thirty days, all of one sign.
fn days(months: i64, days: i64, micros: i64) -> Parts {
    let (mut months, mut rest) = (months + days / 30, days % 30);
    if months > 0 && rest < 0 {
        (months, rest) = (months - 1, rest + 30);
    } else if months < 0 && rest > 0 {
        (months, rest) = (months + 1, rest - 30);
    }
    (months, rest, micros)
}

pub(super) fn part(call: &Call) -> Result<ArrayRef> {
    let name = call.word(1)?;
    let spans = spans(call, 0)?;
    let found = spans.iter().map(|span| {
        let Some(span) = span else { return Ok(None) };
        let (months, days, micros) = parts(span);
        Ok(Some(match name.as_str() {
            "YEAR" => months / 12,
            "MONTH" => months % 12,
            "DAY" => days,
            "HOUR" => micros / HOUR,
            "MINUTE" => micros / (HOUR / 60) % 60,
            "SECOND" => micros / 1_000_000 % 60,
            "MILLISECOND" => micros / 1000 % 1000,
            "MICROSECOND" => micros % 1_000_000,
            _ => return exec_err!("EXTRACT of {name} from INTERVAL is not supported"),
        }))
    });
    Ok(Arc::new(found.collect::<Result<Int64Array>>()?))
}

fn moved(call: &Call, sign: i64) -> Result<ArrayRef> {
    let (times, spans) = (micros_of(call.array(0)?)?, spans(call, 1)?);
    let DataType::Timestamp(_, zone) = call.returns.data_type() else {
        return exec_err!("a date or time is expected");
    };
    let moved = (0..call.rows).map(|row| {
        if times.is_null(row) || spans.is_null(row) {
            return Ok(None);
        }
        let (months, days, micros) = parts(spans.value(row));
        if months != 0 && zone.is_some() {
            return exec_err!("TIMESTAMP +/- INTERVAL is not supported for intervals with non-zero MONTH or YEAR part.");
        }
        let time = shifted(times.value(row), sign * months);
        let time = time.and_then(|t| t.checked_add(sign * (days * DAY + micros)));
        let time = time.and_then(in_range);
        time.map(Some)
            .ok_or_else(|| exec_datafusion_err!("a date or time and INTERVAL is out of range"))
    });
    let moved = moved.collect::<Result<TimestampMicrosecondArray>>()?;
    Ok(Arc::new(moved.with_timezone_opt(zone.clone())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn literals_have_the_parts_they_name() {
        for (text, names, wanted) in [
            ("1-2 3 4:5:6.7", "YEAR TO SECOND", "1-2 3 4:5:6.700"),
            ("1-2", "YEAR TO MONTH", "1-2 0 0:0:0"),
            ("-1-2 3", "YEAR TO DAY", "-1-2 3 0:0:0"),
            ("5:30", "HOUR TO MINUTE", "0-0 0 5:30:0"),
            ("29 49:00:00", "DAY TO SECOND", "0-0 29 49:0:0"),
            ("8 -20:17", "DAY TO MINUTE", "0-0 8 -20:17:0"),
            ("10:20.5", "MINUTE TO SECOND", "0-0 0 0:10:20.500"),
        ] {
            let span = read(text, names).unwrap();
            assert_eq!(crate::value_text::interval(span), wanted, "{text}");
        }
        for (text, names) in [
            ("1", "YEAR TO MONTH"),
            ("1-2-3", "YEAR TO MONTH"),
            ("x", "DAY TO HOUR"),
        ] {
            assert!(read(text, names).is_err(), "{text}");
        }
    }

    #[test]
    fn justified_parts_have_one_sign() {
        assert_eq!(hours(0, 0, 49 * HOUR), (0, 2, HOUR));
        assert_eq!(hours(0, 1, -HOUR), (0, 0, 23 * HOUR));
        assert_eq!(days(0, 31, 0), (1, 1, 0));
        assert_eq!(days(1, -1, 0), (0, 29, 0));
    }
}
