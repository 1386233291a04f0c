//! The values of each BigQuery type, as text, numbers or bytes write them.

use arrow::compute::kernels::cast_utils::{Parser, parse_decimal, parse_interval_month_day_nano};
use arrow::datatypes::{
    Decimal128Type, Decimal256Type, DecimalType, Float64Type, IntervalMonthDayNano, i256,
};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::{Cell, moments};
use crate::{geography, interval, json_text, picoseconds};

/// Both ends of a range.
pub(super) type Scalar = [Cell; 2];

type Converted<T> = Result<T, String>;

/// Longest piece of a value shown in a message.
const SHOWN_CHARS: usize = 60;

/// A value as a message shows it.
pub(super) fn shown(cell: &Cell) -> String {
    let text = match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Bool(value) => value.to_string(),
        Cell::Int(value) => value.to_string(),
        Cell::Float(value) | Cell::Seconds(value) => value.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Cell::List(_) => "an array".to_owned(),
        Cell::Record(_) => "a record".to_owned(),
    };
    text.chars().take(SHOWN_CHARS).collect()
}

fn cannot<T>(kind: &str) -> Converted<T> {
    Err(format!("Cannot convert value to {kind} (bad value)."))
}

pub(super) fn boolean(cell: &Cell) -> Converted<bool> {
    match cell {
        Cell::Bool(value) => Ok(*value),
        Cell::Int(0) => Ok(false),
        Cell::Int(1) => Ok(true),
        Cell::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" => Ok(true),
            "false" | "f" | "no" | "n" | "0" => Ok(false),
            _ => cannot("boolean"),
        },
        _ => cannot("boolean"),
    }
}

// A float is taken only when it is a whole number in range, and then the cast is exact.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn integer(cell: &Cell) -> Converted<i64> {
    match cell {
        Cell::Int(value) => Ok(*value),
        Cell::Float(value) | Cell::Seconds(value)
            if value.fract() == 0.0 && value.abs() < 9.2e18 =>
        {
            Ok(*value as i64)
        }
        Cell::Text(text) => text.trim().parse().or_else(|_| cannot("integer")),
        _ => cannot("integer"),
    }
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn float(cell: &Cell) -> Converted<f64> {
    match cell {
        Cell::Float(value) | Cell::Seconds(value) => Ok(*value),
        Cell::Int(value) => Ok(*value as f64),
        Cell::Text(text) => {
            let text = text.trim();
            let text = match text.to_ascii_lowercase().as_str() {
                "+inf" | "inf" | "+infinity" | "infinity" => return Ok(f64::INFINITY),
                "-inf" | "-infinity" => return Ok(f64::NEG_INFINITY),
                "nan" => return Ok(f64::NAN),
                _ => text,
            };
            Float64Type::parse(text).map_or_else(|| cannot("float"), Ok)
        }
        _ => cannot("float"),
    }
}

/// Text, or a scalar written out.
pub(super) fn string(cell: &Cell) -> Converted<String> {
    match cell {
        Cell::Text(text) => Ok(text.clone()),
        Cell::Bool(_) | Cell::Int(_) | Cell::Float(_) => Ok(shown(cell)),
        Cell::Bytes(bytes) => match String::from_utf8(bytes.clone()) {
            Ok(text) => Ok(text),
            Err(_) => cannot("string"),
        },
        _ => cannot("string"),
    }
}

/// Base64 with or without padding, in the plain or the URL alphabet.
pub(super) fn bytes(cell: &Cell) -> Converted<Vec<u8>> {
    match cell {
        Cell::Bytes(bytes) => Ok(bytes.clone()),
        Cell::Text(text) => {
            let config = GeneralPurposeConfig::new()
                .with_decode_padding_mode(DecodePaddingMode::Indifferent)
                .with_decode_allow_trailing_bits(true);
            let plain = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
            let text = text.replace('-', "+").replace('_', "/");
            plain
                .decode(text.trim())
                .map_err(|_| "Could not decode base64 string to bytes.".to_owned())
        }
        _ => cannot("bytes"),
    }
}

/// The years 1 to 9999, in days since 1970.
const DAYS: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;

/// Days since 1970.
pub(super) fn date(cell: &Cell) -> Converted<i32> {
    let days = match cell {
        Cell::Int(days) => i32::try_from(*days).or_else(|_| cannot("date")),
        Cell::Text(text) => {
            let date = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d");
            let days = date.map(|d| {
                d.signed_duration_since(chrono::DateTime::UNIX_EPOCH.date_naive())
                    .num_days()
            });
            match days.map(i32::try_from) {
                Ok(Ok(days)) => Ok(days),
                _ => Err("Could not convert value to date (bad format).".to_owned()),
            }
        }
        _ => cannot("date"),
    }?;
    if DAYS.contains(&days) {
        Ok(days)
    } else {
        Err(format!("Date value out of range: {days} days since 1970"))
    }
}

/// What has a year of four digits, as microseconds since 1970.
fn of_four_digits(micros: i64) -> Converted<i64> {
    let day = micros.div_euclid(86_400_000_000);
    if i32::try_from(day).is_ok_and(|day| DAYS.contains(&day)) {
        Ok(micros)
    } else {
        Err(format!(
            "Timestamp value out of range: {micros} microseconds since 1970"
        ))
    }
}

/// Microseconds since midnight; an integer is the packed form of CivilTimeEncoder, bit fields of hour, minute, second and
/// microsecond.
pub(super) fn time(cell: &Cell) -> Converted<i64> {
    match cell {
        Cell::Int(packed) => packed_time(*packed).map_or_else(|| cannot("time"), Ok),
        Cell::Text(text) => {
            let parsed = NaiveTime::parse_from_str(text.trim(), "%H:%M:%S%.f");
            parsed
                .map(micros_of)
                .map_err(|_| "Could not convert value to time (bad format).".to_owned())
        }
        _ => cannot("time"),
    }
}

fn micros_of(time: NaiveTime) -> i64 {
    i64::from(time.num_seconds_from_midnight()) * 1_000_000 + i64::from(time.nanosecond() / 1000)
}

fn packed_time(packed: i64) -> Option<i64> {
    let micros = packed & 0xf_ffff;
    let second = (packed >> 20) & 0x3f;
    let minute = (packed >> 26) & 0x3f;
    let hour = (packed >> 32) & 0x1f;
    let fits = packed >> 37 == 0 && micros < 1_000_000 && second < 60 && minute < 60 && hour < 24;
    fits.then_some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

/// Microseconds since 1970 without a zone; an integer is the packed form of CivilTimeEncoder.
pub(super) fn datetime(cell: &Cell) -> Converted<i64> {
    let micros = match cell {
        Cell::Int(packed) => packed_datetime(*packed).map_or_else(|| cannot("datetime"), Ok),
        Cell::Text(text) => {
            let text = text.trim().replace(['T', 't'], " ");
            NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f")
                .or_else(|_| NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M"))
                .or_else(|_| {
                    NaiveDate::parse_from_str(&text, "%Y-%m-%d").map(|d| d.and_time(NaiveTime::MIN))
                })
                .map(|d| d.and_utc().timestamp_micros())
                .map_err(|_| "Could not convert value to datetime (bad format).".to_owned())
        }
        _ => cannot("datetime"),
    }?;
    of_four_digits(micros)
}

fn packed_datetime(packed: i64) -> Option<i64> {
    let time = packed_time(packed & 0x1f_ffff_ffff)?;
    let day = u32::try_from((packed >> 37) & 0x1f).ok()?;
    let month = u32::try_from((packed >> 42) & 0xf).ok()?;
    let year = i32::try_from(packed >> 46).ok()?;
    let date = NaiveDate::from_ymd_opt(year, month, day)?;
    Some(date.and_time(NaiveTime::MIN).and_utc().timestamp_micros() + time)
}

/// Microseconds since 1970.
// Microseconds of every year BigQuery has are far below the limit of the conversion.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn timestamp(cell: &Cell) -> Converted<i64> {
    let micros = match cell {
        Cell::Int(micros) => Ok(*micros),
        Cell::Float(seconds) | Cell::Seconds(seconds) if seconds.abs() < 2.6e11 => {
            // Split first: a product would lose the last digits.
            let whole = seconds.trunc();
            Ok(whole as i64 * 1_000_000 + ((seconds - whole) * 1e6).round() as i64)
        }
        Cell::Text(text) => parse_timestamp(text.trim()).map_or_else(
            || {
                Err(format!(
                    "Could not parse '{}' as a timestamp. Required format is YYYY-MM-DD HH:MM[:SS[.SSSSSS]] or YYYY/MM/DD HH:MM[:SS[.SSSSSS]]",
                    shown(cell)
                ))
            },
            Ok,
        ),
        _ => cannot("timestamp"),
    }?;
    of_four_digits(micros)
}

/// A point in time with up to twelve digits of a second, in the one form that it is kept in.
pub(super) fn picoseconds(cell: &Cell) -> Converted<String> {
    let whole = |cell: &Cell| {
        let text = picoseconds::text_of_micros(timestamp(cell)?);
        text.ok_or_else(|| "Timestamp value out of range".to_owned())
    };
    let Cell::Text(text) = cell else {
        return whole(cell);
    };
    let text = text.trim();
    let digits = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count();
    match text.split_once('.') {
        Some((begin, rest)) if text.parse::<f64>().is_err() && digits(rest) > 0 => {
            let (fraction, zone) = rest.split_at(digits(rest));
            let micros = timestamp(&Cell::Text(format!("{begin}{zone}")))?;
            let made = picoseconds::text_of(micros.div_euclid(1_000_000), fraction);
            made.ok_or_else(|| "Timestamp value has more than 12 digits of a second.".to_owned())
        }
        _ => whole(cell),
    }
}

fn parse_timestamp(text: &str) -> Option<i64> {
    match text.parse::<f64>() {
        Ok(seconds) => timestamp(&Cell::Seconds(seconds)).ok(),
        Err(_) => moments::micros(text),
    }
}

fn decimal_text(cell: &Cell) -> Converted<String> {
    match cell {
        Cell::Text(text) => Ok(text.trim().to_owned()),
        Cell::Int(value) => Ok(value.to_string()),
        Cell::Float(value) | Cell::Seconds(value) if value.is_finite() => Ok(value.to_string()),
        _ => cannot("numeric"),
    }
}

/// The bytes of a protobuf numeric: the scaled number, little endian, in two's complement, as short as it can be.
fn little_endian<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) {
        0xff
    } else {
        0
    };
    let mut all = [fill; N];
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(all)
}

pub(super) fn decimal128(cell: &Cell, precision: u8, scale: i8) -> Converted<i128> {
    if let Cell::Bytes(bytes) = cell {
        // On the wire a numeric has nine digits after the point, whatever its column declares.
        let number = little_endian::<16>(bytes).map(i128::from_le_bytes);
        let shift = 10_i128.pow(u32::try_from(9 - scale).unwrap_or(0));
        return match number.map(|n| (n / shift, n % shift)) {
            Some((number, 0)) if Decimal128Type::is_valid_decimal_precision(number, precision) => {
                Ok(number)
            }
            _ => cannot("numeric"),
        };
    }
    let text = decimal_text(cell)?;
    exact_digits(&text, scale)?;
    parse_decimal::<Decimal128Type>(&text, precision, scale)
        .map_err(|_| format!("Invalid NUMERIC value: {text}"))
}

pub(super) fn decimal256(cell: &Cell, precision: u8, scale: i8) -> Converted<i256> {
    if let Cell::Bytes(bytes) = cell {
        let number = little_endian::<32>(bytes).map(i256::from_le_bytes);
        let shift = i256::from_i128(10).wrapping_pow(u32::try_from(38 - scale).unwrap_or(0));
        return match number.map(|n| (n.wrapping_div(shift), n.wrapping_rem(shift))) {
            Some((number, rest))
                if rest == i256::ZERO
                    && Decimal256Type::is_valid_decimal_precision(number, precision) =>
            {
                Ok(number)
            }
            _ => cannot("bignumeric"),
        };
    }
    let text = decimal_text(cell)?;
    exact_digits(&text, scale)?;
    parse_decimal::<Decimal256Type>(&text, precision, scale)
        .map_err(|_| format!("Invalid BIGNUMERIC value: {text}"))
}

/// Digits after the point beyond the scale would be cut off in silence.
fn exact_digits(text: &str, scale: i8) -> Converted<()> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    let digits = mantissa
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.trim_end_matches('0').len());
    if mantissa.len() == text.len() && digits > usize::try_from(scale).unwrap_or(0) {
        let kind = if scale > 9 { "BIGNUMERIC" } else { "NUMERIC" };
        return Err(format!("Invalid {kind} value: {text}"));
    }
    Ok(())
}

/// BigQuery's canonical form `Y-M D H:M:S.F`, an ISO 8601 duration, or words.
pub(super) fn interval(cell: &Cell) -> Converted<IntervalMonthDayNano> {
    let bad = || Err("Could not convert value to interval (bad format).".to_owned());
    let Cell::Text(text) = cell else {
        return cannot("interval");
    };
    let text = text.trim();
    if let Some(interval) = canonical_interval(text).or_else(|| iso_interval(text)) {
        return Ok(interval);
    }
    // A number alone has no unit.
    let named = text.contains(|c: char| c.is_ascii_alphabetic());
    let words = named
        .then(|| parse_interval_month_day_nano(text).ok())
        .flatten();
    let own = words.and_then(|w| interval::of_micros(w.months, w.days, w.nanoseconds / 1000));
    own.map_or_else(bad, Ok)
}

/// `Y-M D H:M:S.F`, of which the first or the last parts may be left out.
fn canonical_interval(text: &str) -> Option<IntervalMonthDayNano> {
    let dashed = |text: &str| text.get(1..).is_some_and(|rest| rest.contains('-'));
    let parts: Vec<&str> = text.split(' ').collect();
    let (months, days, time) = match parts.as_slice() {
        [months, days, time] => (*months, *days, *time),
        [months, days] if dashed(months) => (*months, *days, "0:0:0"),
        [days, time] => ("0-0", *days, *time),
        [months] if dashed(months) => (*months, "0", "0:0:0"),
        [time] => ("0-0", "0", *time),
        _ => return None,
    };
    let signed = |text: &str| match text.strip_prefix('-') {
        Some(rest) => (-1_i32, rest.to_owned()),
        None => (1_i32, text.to_owned()),
    };
    let (sign, months) = signed(months);
    let (years, months) = months.split_once('-')?;
    let years = years.parse::<i32>().ok()?.checked_mul(12)?;
    let months: i32 = sign * years.checked_add(months.parse::<i32>().ok()?)?;
    let days: i32 = days.parse().ok()?;
    let (sign, time) = signed(time);
    let clock: Vec<&str> = time.split(':').collect();
    let [hours, minutes, seconds] = clock.as_slice() else {
        return None;
    };
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let rest: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let hours = hours.parse::<i64>().ok()?.checked_mul(60)?;
    let minutes = hours.checked_add(minutes.parse().ok()?)?;
    let seconds = minutes.checked_mul(60)?.checked_add(whole.parse().ok()?)?;
    let micros = seconds
        .checked_mul(1_000_000)?
        .checked_add(rest)?
        .checked_mul(i64::from(sign))?;
    interval::of_micros(months, days, micros)
}

/// An ISO 8601 duration such as `P1Y2M-3DT4H5M6.5S`, each part with its own sign.
fn iso_interval(text: &str) -> Option<IntervalMonthDayNano> {
    let (dates, times) = match text.strip_prefix('P')?.split_once('T') {
        Some((dates, times)) => (dates, times),
        None => (text.strip_prefix('P')?, ""),
    };
    let (mut months, mut days, mut micros) = (0_i32, 0_i32, 0_i64);
    for (number, unit) in iso_parts(dates)? {
        let number: i32 = number.parse().ok()?;
        match unit {
            'Y' => months = months.checked_add(number.checked_mul(12)?)?,
            'M' => months = months.checked_add(number)?,
            'W' => days = days.checked_add(number.checked_mul(7)?)?,
            'D' => days = days.checked_add(number)?,
            _ => return None,
        }
    }
    for (number, unit) in iso_parts(times)? {
        let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, ""));
        let factor: i64 = match unit {
            'H' => 3600,
            'M' => 60,
            'S' => 1,
            _ => return None,
        };
        let rest: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
        let rest = if number.starts_with('-') { -rest } else { rest };
        if !fraction.is_empty() && unit != 'S' {
            return None;
        }
        let part = whole.parse::<i64>().ok()?.checked_mul(factor)?;
        let part = part.checked_mul(1_000_000)?.checked_add(rest)?;
        micros = micros.checked_add(part)?;
    }
    interval::of_micros(months, days, micros)
}

/// Numbers with the letter after each.
fn iso_parts(text: &str) -> Option<Vec<(&str, char)>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let at = rest.find(|c: char| c.is_ascii_uppercase())?;
        let (number, tail) = rest.split_at(at);
        let unit = tail.chars().next()?;
        parts.push((number, unit));
        rest = tail.get(1..)?;
    }
    Some(parts)
}

/// Both ends of `[start, end)`; UNBOUNDED or NULL is an end that does not exist.
pub(super) fn range(cell: &Cell) -> Converted<Scalar> {
    match cell {
        Cell::Record(ends) => {
            let end = |index: usize| ends.get(index).cloned().unwrap_or(Cell::Null);
            Ok([end(0), end(1)])
        }
        Cell::Text(text) => {
            let inner = text
                .trim()
                .strip_prefix('[')
                .and_then(|t| t.strip_suffix(')'))
                .and_then(|t| t.split_once(','));
            let Some((start, end)) = inner else {
                return Err("Could not convert value to range (bad format).".to_owned());
            };
            let end_of = |text: &str| match text.trim() {
                "UNBOUNDED" | "NULL" => Cell::Null,
                text => Cell::Text(text.to_owned()),
            };
            Ok([end_of(start), end_of(end)])
        }
        _ => cannot("range"),
    }
}

/// JSON text in its shortest form, members in the order of their names.
pub(super) fn json(cell: &Cell) -> Converted<String> {
    match cell {
        Cell::Text(text) => json_text::read(text)
            .map(|value| json_text::text(&value))
            .map_err(|_| "Invalid JSON value.".to_owned()),
        _ => cannot("json"),
    }
}

/// A place in any form it can be written in.
pub(super) fn geography(cell: &Cell) -> Converted<String> {
    match cell {
        Cell::Text(text) => geography::from_text(text),
        Cell::Bytes(bytes) => geography::from_binary(bytes),
        _ => cannot("geography"),
    }
}
