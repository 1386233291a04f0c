//! Points in time as texts: `2016-1-8 2:5:4.5 America/New_York`, with one digit or two wherever two are usual.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use crate::zones::offset_of_local;

/// Offsets go up to so many minutes.
const MOST_MINUTES: u32 = 14 * 60;

/// Microseconds since 1970; `None` for what is no date, with a time or a zone or without. Without a zone it is UTC. Digits of a second
/// beyond six are cut off.
pub(super) fn micros(text: &str) -> Option<i64> {
    let (date, rest) = date(text)?;
    let (time, rest) = time(rest)?;
    let local = date.and_time(time);
    local
        .and_utc()
        .timestamp_micros()
        .checked_sub(offset(rest, local)?)
}

fn date(text: &str) -> Option<(NaiveDate, &str)> {
    let (year, rest) = number(text, 4)?;
    if rest.len() + 4 != text.len() {
        return None;
    }
    let (month, rest) = number(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2)?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    Some((date, rest))
}

/// The time of day that a text begins with, midnight if there is none, and the rest.
fn time(text: &str) -> Option<(NaiveTime, &str)> {
    let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let clock = match text.strip_prefix(['T', 't']) {
        Some(clock) => clock,
        None => text.trim_start(),
    };
    if clock.len() == text.len() || !digit(clock) {
        return Some((NaiveTime::MIN, text));
    }
    let (hour, rest) = number(clock, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let Some(seconds) = rest.strip_prefix(':') else {
        return Some((NaiveTime::from_hms_opt(hour, minute, 0)?, rest));
    };
    let (second, rest) = number(seconds, 2)?;
    let (micros, rest) = match rest.strip_prefix('.') {
        Some(fraction) => {
            let (_, rest) = number(fraction, 9)?;
            let digits = fraction.strip_suffix(rest)?;
            let six = format!("{digits:0<6}");
            (six.get(..6)?.parse().ok()?, rest)
        }
        None => (0, rest),
    };
    let time = NaiveTime::from_hms_micro_opt(hour, minute, second, micros)?;
    Some((time, rest))
}

/// How many microseconds a zone's clocks are ahead of UTC: `Z`, `UTC`, `+8`, `-08:30`, `+0530` or a name behind a blank.
fn offset(text: &str, local: NaiveDateTime) -> Option<i64> {
    let zone = text.trim_start();
    if zone.is_empty() || zone.eq_ignore_ascii_case("Z") || zone.eq_ignore_ascii_case("UTC") {
        return Some(0);
    }
    let seconds = if let Some(digits) = zone.strip_prefix(['+', '-']) {
        let (hours, rest) = number(digits, 2)?;
        let (minutes, rest) = match rest.strip_prefix(':').unwrap_or(rest) {
            "" if rest.is_empty() => (0, ""),
            minutes => number(minutes, 2)?,
        };
        let all = hours * 60 + minutes;
        if !rest.is_empty() || minutes > 59 || all > MOST_MINUTES {
            return None;
        }
        let seconds = i64::from(all) * 60;
        if zone.starts_with('-') {
            -seconds
        } else {
            seconds
        }
    } else if zone.len() < text.len() {
        i64::from(offset_of_local(zone.parse().ok()?, local)?.local_minus_utc())
    } else {
        return None;
    };
    Some(seconds * 1_000_000)
}

/// The number of at most so many digits that a text begins with, and the rest.
fn number(text: &str, most: usize) -> Option<(u32, &str)> {
    let digits = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    let (digits, rest) = text.split_at_checked(digits)?;
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_may_be_left_out_and_zones_come_in_many_forms() {
        let noon = 1_452_254_400_000_000; // 2016-01-08 12:00:00 UTC
        for text in [
            "2016-01-08 12:00:00",
            "2016-1-8 12:0:0",
            "2016-01-08T12:00:00Z",
            "2016-01-08t12:00z",
            "2016-01-08 12:00:00.000000 UTC",
            "2016-1-8 4:0:0-8",
            "2016-1-8 4:0:0 -08:00",
            "2016-01-08 17:30:00+0530",
            "2016-01-08-12",
            "2016-01-08  7:00:00 America/New_York",
        ] {
            assert_eq!(micros(text), Some(noon), "{text}");
        }
        assert_eq!(micros("2016-01-08 12:00:00.1234567"), Some(noon + 123_456));
        // The first of two, and an hour that clocks jump over.
        let told = |text| micros(text).map(|m| m / 1_000_000);
        assert_eq!(
            told("2024-11-03 01:30:00 America/Los_Angeles"),
            Some(1_730_622_600)
        );
        assert_eq!(
            told("2024-03-10 02:30:00 America/Los_Angeles"),
            Some(1_710_066_600)
        );
    }

    #[test]
    fn what_is_no_point_in_time_is_none() {
        for text in [
            "",
            "2016-01",
            "16-01-08",
            "2016-13-08",
            "2016-02-30",
            "2016-01-08 24:00:00",
            "2016-01-08 12",
            "2016-01-08 12:00:60",
            "2016-01-08 12:00:00.",
            "2016-01-08 12:00:00+15",
            "2016-01-08 12:00:00+1:60",
            "2016-01-08 12:00:00 Nowhere/Here",
            "2016-01-08 12:00:00America/New_York",
            "2016-01-08x",
            "2016-01-08T",
            "2016/01/08",
        ] {
            assert_eq!(micros(text), None, "{text}");
        }
    }
}
