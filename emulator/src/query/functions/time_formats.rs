//! Dates and times as texts by patterns, `%Y-%m-%d`, and back.

use chrono::format::{Parsed, StrftimeItems, parse};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::common::{Result, exec_datafusion_err, exec_err};

use super::dates::{in_range, moment};

const SECOND: i64 = 1_000_000;

/// Elements that chrono writes as BigQuery does.
const WRITTEN: &str = "YymdHIMSFTjbBaAepuUWVGgDRn%htwklPC";

/// Elements that stand for several others.
fn composed(element: char) -> Option<&'static str> {
    Some(match element {
        'c' => "%a %b %e %H:%M:%S %Y",
        'x' | 'D' => "%m/%d/%y",
        'X' | 'T' => "%H:%M:%S",
        'r' => "%I:%M:%S %p",
        'R' => "%H:%M",
        'F' => "%Y-%m-%d",
        'h' => "%b",
        _ => return None,
    })
}

/// A time in a zone that is so many microseconds ahead of UTC, by a pattern.
///
/// # Errors
/// A pattern with an element that is not known.
pub(super) fn write(pattern: &str, utc: i64, ahead: i64) -> Result<String> {
    let local = utc + ahead;
    let time = moment(local)?;
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern.chars();
    let refused = || exec_err!("the format {pattern:?} is not supported by this emulator");
    let minutes = ahead / SECOND / 60;
    let (sign, hours, odd) = (
        if minutes < 0 { '-' } else { '+' },
        minutes.abs() / 60,
        minutes.abs() % 60,
    );
    let fraction = local.rem_euclid(SECOND);
    let second = time.format("%S").to_string();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('Q') => out.push_str(&(time.month0() / 3 + 1).to_string()),
            Some('s') => out.push_str(&utc.div_euclid(SECOND).to_string()),
            Some('z') => out.push_str(&format!("{sign}{hours:02}{odd:02}")),
            Some('Z') => {
                out.push_str("UTC");
                if minutes != 0 {
                    out.push_str(&format!("{sign}{hours}"));
                    if odd != 0 {
                        out.push_str(&format!(":{odd:02}"));
                    }
                }
            }
            Some('P') => out.push_str(&time.format("%P").to_string()),
            Some('E') => match rest.next() {
                Some('z') => out.push_str(&format!("{sign}{hours:02}:{odd:02}")),
                Some('4') if rest.clone().next() == Some('Y') => {
                    rest.next();
                    out.push_str(&format!("{:04}", time.year()));
                }
                Some('*') if rest.next() == Some('S') => {
                    let digits = format!("{fraction:06}");
                    let digits = digits.trim_end_matches('0');
                    let point = if digits.is_empty() { "" } else { "." };
                    out.push_str(&format!("{second}{point}{digits}"));
                }
                Some(count @ '0'..='9') if rest.next() == Some('S') => {
                    let count = count.to_digit(10).unwrap_or(0) as usize;
                    let digits = format!("{fraction:06}000");
                    let digits = digits.get(..count).unwrap_or_default();
                    let point = if digits.is_empty() { "" } else { "." };
                    out.push_str(&format!("{second}{point}{digits}"));
                }
                // Local forms are those of any other place.
                Some(other @ ('c' | 'x' | 'X' | 'Y' | 'y' | 'C')) => {
                    out.push_str(&write(&format!("%{other}"), utc, ahead)?);
                }
                _ => return refused(),
            },
            Some('O') => match rest.next() {
                Some(
                    other @ ('d' | 'e' | 'H' | 'I' | 'm' | 'M' | 'S' | 'u' | 'U' | 'V' | 'w' | 'W'
                    | 'y'),
                ) => {
                    out.push_str(&write(&format!("%{other}"), utc, ahead)?);
                }
                _ => return refused(),
            },
            Some(other) => match composed(other) {
                Some(pattern) => out.push_str(&write(pattern, utc, ahead)?),
                None if WRITTEN.contains(other) => {
                    out.push_str(&time.format(&format!("%{other}")).to_string());
                }
                None => {
                    return exec_err!(
                        "the format element %{other} is not supported by this emulator"
                    );
                }
            },
            None => return refused(),
        }
    }
    Ok(out)
}

/// Elements of a pattern that are read as the service reads them.
const READ: &str = "YymdHIMSjbBaAepsnt%zkluwUWGgVCP";

/// Kinds of times, and the elements that mean nothing for them.
pub(super) const DATE: (&str, &str) = ("DATE", "cHIklMPpRrSsTXZz");
pub(super) const TIME: (&str, &str) = ("TIME", "AaBbhCcDdeFGgjmsUuVWwxYyZz");
pub(super) const DATETIME: (&str, &str) = ("DATETIME", "Zz");

/// Refuses elements of a pattern that mean nothing for a kind of times.
///
/// # Errors
/// The service's about the first of them.
pub(super) fn check(pattern: &str, (kind, without): (&str, &str)) -> Result<()> {
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            continue;
        }
        let Some(element) = rest.next() else {
            return Ok(());
        };
        let mut whole = element.to_string();
        // Behind `E` and `O` the element comes after digits or a star.
        while matches!(whole.chars().next(), Some('E' | 'O'))
            && whole.chars().last().is_some_and(|c| {
                matches!(c, 'E' | 'O' | '*') && whole.len() < 3 || c.is_ascii_digit()
            })
        {
            match rest.next() {
                Some(next) => whole.push(next),
                None => return Ok(()),
            }
        }
        let last = whole.chars().last().unwrap_or(element);
        if without.contains(last) {
            return exec_err!("Invalid format: %{whole} is not allowed for the {kind} type.");
        }
    }
    Ok(())
}

/// What a text said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// In UTC where a zone was said.
    pub time: NaiveDateTime,
    /// Whether the text said how far it is from UTC, or when it is without any zone.
    pub zoned: bool,
    /// The name of a zone in which the time is meant.
    pub zone: Option<String>,
}

/// A pattern in chrono's elements.
fn own(pattern: &str, all: &str) -> Result<String> {
    let mut out = String::new();
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match characters.next() {
            Some('E') => match characters.next() {
                Some('z') => out.push_str("%z"),
                // Seconds with as many digits behind the point as there are.
                Some('*' | '0'..='9') if characters.clone().next() == Some('S') => {
                    characters.next();
                    out.push_str("%S%.f");
                }
                Some('4') if characters.next() == Some('Y') => out.push_str("%Y"),
                _ => return exec_err!("the format {all:?} is not supported by this emulator"),
            },
            Some(element) if composed(element).is_some() => {
                out.push_str(&own(composed(element).unwrap_or_default(), all)?);
            }
            Some('P') => out.push_str("%p"),
            Some(element) if READ.contains(element) => {
                out.push('%');
                out.push(element);
            }
            element => {
                let element = element.map(String::from).unwrap_or_default();
                return exec_err!(
                    "the format element %{element} is not supported by this emulator"
                );
            }
        }
    }
    Ok(out)
}

/// What a text says in a pattern; what it does not say is as at the beginning of 1970.
///
/// # Errors
/// A text that does not fit, or an element that is not known.
pub(super) fn read(pattern: &str, text: &str) -> Result<Said> {
    let failed = || exec_datafusion_err!("Failed to parse input string {text:?}");
    let (mut pattern, mut text_left) = (pattern.trim(), text.trim());
    let mut zone = None;
    if let Some(before) = pattern.strip_suffix("%Z") {
        let name = |c: char| !(c.is_ascii_alphanumeric() || "_/+-:".contains(c));
        let at = match before.ends_with(char::is_whitespace) {
            true => text_left.rfind(name).map_or(0, |at| at + 1),
            false => text_left
                .rfind(|c: char| !c.is_ascii_alphabetic())
                .map_or(0, |at| at + 1),
        };
        let (rest, named) = text_left.split_at(at);
        if named.is_empty() {
            return Err(failed());
        }
        zone = Some(named.to_owned());
        (pattern, text_left) = (before.trim_end(), rest.trim_end());
    }
    let own = own(pattern, pattern)?;
    let mut parsed = Parsed::new();
    parse(&mut parsed, text_left, StrftimeItems::new(&own)).map_err(|_| failed())?;
    // Years of two digits begin with 1969.
    if let (None, None, Some(short)) = (parsed.year(), parsed.year_div_100(), parsed.year_mod_100())
    {
        let century = if short < 69 { 20 } else { 19 };
        parsed.set_year_div_100(century).map_err(|_| failed())?;
    }
    if let Some(seconds) = parsed.timestamp() {
        let time = DateTime::from_timestamp(seconds, 0).ok_or_else(failed)?;
        return Ok(Said {
            time: time.naive_utc(),
            zoned: true,
            zone: None,
        });
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
    let offset = parsed.offset();
    let time = time - chrono::TimeDelta::seconds(i64::from(offset.unwrap_or(0)));
    match in_range(time.and_utc().timestamp_micros()) {
        Some(_) => Ok(Said {
            time,
            zoned: offset.is_some(),
            zone,
        }),
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
            ("%x", "12/25/08", "2008-12-25 00:00:00"),
            ("%c", "Thu Dec 25 07:30:00 2008", "2008-12-25 07:30:00"),
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
            (
                "%FT%T%Ez",
                "2020-01-01T01:00:00-01:30",
                "2020-01-01 02:30:00",
            ),
            ("%Y", "2020", "2020-01-01 00:00:00"),
            ("%s", "86400", "1970-01-02 00:00:00"),
            ("%H:%M", "12:34", "1970-01-01 12:34:00"),
        ] {
            let read = read(pattern, text).unwrap().time;
            assert_eq!(read.to_string(), wanted, "{pattern} {text}");
        }
        for (pattern, text) in [("%Y-%m-%d", "2020-13-01"), ("%Y", "x"), ("%Q", "1")] {
            assert!(read(pattern, text).is_err(), "{pattern} {text}");
        }
        let zoned = read("%F %T %Z", "2020-01-01 00:00:00 America/New_York").unwrap();
        assert_eq!(zoned.zone.as_deref(), Some("America/New_York"));
    }

    #[test]
    fn elements_of_other_kinds_are_refused() {
        for (pattern, kind, wanted) in [
            ("%Y-%m-%d %j %% %E4Y", DATE, None),
            ("%F %H", DATE, Some("%H is not allowed for the DATE")),
            ("%E*S", DATE, Some("%E*S is not allowed for the DATE")),
            ("%E3S", DATE, Some("%E3S is not allowed for the DATE")),
            ("%Ez", DATETIME, Some("%Ez is not allowed for the DATETIME")),
            ("%F %T", DATETIME, None),
            ("%T %E*S %OH %p", TIME, None),
            ("%Om", TIME, Some("%Om is not allowed for the TIME")),
            ("%E4Y", TIME, Some("%E4Y is not allowed for the TIME")),
            ("%%Y", TIME, None),
            ("%E", TIME, None),
        ] {
            let found = check(pattern, kind).map_err(|e| e.to_string());
            match (found, wanted) {
                (Ok(()), None) => {}
                (Err(text), Some(part)) => assert!(text.contains(part), "{pattern}: {text}"),
                (found, _) => unreachable!("{pattern}: {found:?}"),
            }
        }
    }

    #[test]
    fn every_element_is_written() {
        let at = |text: &str| {
            let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").unwrap();
            time.and_utc().timestamp_micros()
        };
        let hour = 3_600_000_000;
        for (pattern, ahead, wanted) in [
            ("%A %a %B %b %h", 0, "Tuesday Tue February Feb Feb"),
            ("%C %D %d %e %F", 0, "20 02/05/08 05  5 2008-02-05"),
            ("%G %g %j %m %Q %u %w", 0, "2008 08 036 02 1 2 2"),
            ("%U %V %W %Y %y %%", 0, "05 06 05 2008 08 %"),
            ("%H %I %k %l %M %S %p %P", 0, "03 03  3  3 04 05 AM am"),
            ("%R %T %X %r", 0, "03:04 03:04:05 03:04:05 03:04:05 AM"),
            ("%c|%x", 0, "Tue Feb  5 03:04:05 2008|02/05/08"),
            ("%E3S %E*S %E0S %E4Y", 0, "05.678 05.678 05 2008"),
            (
                "%F %T %Z %z %Ez",
                -5 * hour,
                "2008-02-04 22:04:05 UTC-5 -0500 -05:00",
            ),
            ("%Z %z %s", 0, "UTC +0000 1202180645"),
        ] {
            let time = at("2008-02-05 03:04:05.678");
            assert_eq!(write(pattern, time, ahead).unwrap(), wanted, "{pattern}");
        }
        assert!(write("%q", 0, 0).is_err());
        assert!(write("%", 0, 0).is_err());
    }
}
