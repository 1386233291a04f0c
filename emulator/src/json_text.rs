//! JSON as the service reads it: of members with one name the first counts, and numbers are those that can be written again.

use std::fmt;
use std::io;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use serde_json::{Map, Number, Serializer, Value};

use crate::value_text;

/// Reads a document, whose members come in the order of their names.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn read(text: &str) -> Result<Value, serde_json::Error> {
    let First(mut value) = serde_json::from_str(text)?;
    value.sort_all_objects();
    Ok(value)
}

/// Whose floats those of a document are: JSON has as few digits as tell them apart, SQL has fifteen or seventeen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floats {
    OfJson,
    OfSql,
}

/// A document in one line; floats are written as the service writes them.
///
/// # Errors
/// As serde_json's writer.
pub(crate) fn write(value: &Value, floats: Floats) -> Result<String, serde_json::Error> {
    written(value, CompactFormatter, floats)
}

/// The same, where nothing can go wrong: a value that is in memory can be written.
pub(crate) fn text(value: &Value) -> String {
    write(value, Floats::OfJson).unwrap_or_else(|_| value.to_string())
}

/// A document in several lines.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_lines(value: &Value, floats: Floats) -> Result<String, serde_json::Error> {
    written(value, PrettyFormatter::new(), floats)
}

fn written(
    value: &Value,
    form: impl Formatter,
    floats: Floats,
) -> Result<String, serde_json::Error> {
    let mut text = Vec::new();
    let mut writer = Serializer::with_formatter(&mut text, Written(form, floats));
    value.serialize(&mut writer)?;
    String::from_utf8(text).map_err(serde::ser::Error::custom)
}

/// The shortest text of a float, with an exponent of two digits where it is large or small.
fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..15 => format!("{value:?}"),
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
    }
}

/// A form of documents in which large and small floats have an exponent of two digits.
struct Written<F>(F, Floats);

impl<F: Formatter> Formatter for Written<F> {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let whole = value.fract() == 0.0 && value.abs() < 1e15;
        let text = match self.1 {
            Floats::OfSql if !whole => value_text::float(value),
            Floats::OfSql | Floats::OfJson => float(value),
        };
        writer.write_all(text.as_bytes())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

/// A value whose members are the first ones of their names.
struct First(Value);

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = First;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<First, E> {
        Ok(First(Value::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<First, E> {
        Ok(First(Value::Bool(flag)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<First, E> {
        Ok(First(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<First, E> {
        Ok(First(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<First, E> {
        Ok(First(
            Number::from_f64(number).map_or(Value::Null, Value::Number),
        ))
    }

    fn visit_str<E>(self, text: &str) -> Result<First, E> {
        Ok(First(Value::String(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<First, A::Error> {
        let mut all = Vec::new();
        while let Some(First(element)) = elements.next_element()? {
            all.push(element);
        }
        Ok(First(Value::Array(all)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<First, A::Error> {
        let mut all = Map::new();
        while let Some((name, First(member))) = members.next_entry::<String, First>()? {
            all.entry(name).or_insert(member);
        }
        Ok(First(Value::Object(all)))
    }
}

/// The first number of a text of JSON that no integer and no float is, and which therefore could not be written again.
pub(crate) fn wide_number(text: &str) -> Option<&str> {
    let mut rest = text;
    let mut within = false;
    while let Some(c) = rest.chars().next() {
        let width = c.len_utf8();
        let after = rest.get(width..).unwrap_or_default();
        if within {
            within = c != '"';
            let skipped = usize::from(c == '\\');
            let mut chars = after.chars();
            chars.by_ref().take(skipped).for_each(drop);
            rest = chars.as_str();
            continue;
        }
        if c == '"' {
            within = true;
        } else if c == '-' || c.is_ascii_digit() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit() && !matches!(c, '+' | '-' | '.' | 'e' | 'E'))
                .unwrap_or(rest.len());
            let (number, behind) = rest.split_at(end);
            if !is_kept(number) {
                return Some(number);
            }
            rest = behind;
            continue;
        }
        rest = after;
    }
    None
}

/// Whether a number is an integer of 64 bits, or has the digits of a float.
fn is_kept(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    let Ok(float) = number.parse::<f64>() else {
        // No number at all, which is told elsewhere.
        return true;
    };
    let own = digits(number);
    float.is_finite()
        && (own == digits(&format!("{float:e}")) || own == digits(&format!("{float:.16e}")))
}

/// The digits of a number without zeros around them, and the power of ten of the first.
fn digits(number: &str) -> Option<(String, i64)> {
    let number = number.trim_start_matches('-');
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: i64 = exponent.trim_start_matches('+').parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let kept = all.trim_start_matches('0');
    let first = i64::try_from(whole.len()).ok()? - i64::try_from(all.len() - kept.len()).ok()?;
    let kept = kept.trim_end_matches('0');
    if kept.is_empty() {
        return Some((String::new(), 0));
    }
    Some((kept.to_owned(), first + exponent))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn floats_have_exponents_of_two_digits() {
        for (float, text) in [
            (1.0, "1.0"),
            (1e14, "100000000000000.0"),
            (1e15, "1e+15"),
            (-1.5e300, "-1.5e+300"),
            (1e-5, "1e-05"),
            (0.1, "0.1"),
            (0.0, "0.0"),
        ] {
            let value = serde_json::json!({"a": [float], "b": {}});
            let lines = format!("{{\n  \"a\": [\n    {text}\n  ],\n  \"b\": {{}}\n}}");
            for floats in [Floats::OfJson, Floats::OfSql] {
                assert_eq!(
                    write(&value, floats).unwrap(),
                    format!("{{\"a\":[{text}],\"b\":{{}}}}")
                );
                assert_eq!(write_lines(&value, floats).unwrap(), lines);
            }
        }
    }

    #[test]
    fn floats_of_json_are_as_short_as_they_can_be() {
        for (value, json, sql) in [
            (
                922_337_203_685_477_580_701.0,
                "9.223372036854776e+20",
                "9.2233720368547758e+20",
            ),
            (
                9_007_199_254_740_992.0,
                "9.007199254740992e+15",
                "9007199254740992",
            ),
            (1.0 / 3.0, "0.3333333333333333", "0.33333333333333331"),
            (-1e-4, "-0.0001", "-0.0001"),
        ] {
            let value = serde_json::json!(value);
            assert_eq!(write(&value, Floats::OfJson).unwrap(), json);
            assert_eq!(write(&value, Floats::OfSql).unwrap(), sql);
        }
    }

    #[test]
    fn the_first_of_two_members_counts() {
        let text = r#"{"b": [{"x": 1, "x": 2}], "a": null, "b": 3}"#;
        assert_eq!(
            read(text).unwrap().to_string(),
            r#"{"a":null,"b":[{"x":1}]}"#
        );
        assert!(read("{").is_err());
        assert!(read("1 2").is_err());
    }

    #[test]
    fn numbers_that_could_not_be_written_again_are_found() {
        for kept in [
            "1",
            "-0",
            "18446744073709551615",
            "1.10",
            "1e3",
            "100000000000000000000",
            "0.1",
            r#"{"123456789012345678901": "12345678901234567890.5\" 1"}"#,
        ] {
            assert_eq!(wide_number(kept), None, "{kept}");
        }
        for wide in ["123456789012345678901", "1e400", "0.12345678901234567891"] {
            assert_eq!(wide_number(wide), Some(wide));
            assert_eq!(wide_number(&format!("[\"a\\\"\", {wide}]")), Some(wide));
        }
    }
}
