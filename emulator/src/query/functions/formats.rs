//! FORMAT: texts of values by the elements of C's printf, and `%t` and `%T` for values of every type.

use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::{Call, Function, text};
use crate::wire;

mod floats;
mod printable;

const MOST: &[usize] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
];

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![Function::made("millpond_format", MOST, text, |call| {
        let patterns = call.texts(0)?;
        let written = patterns
            .iter()
            .enumerate()
            .map(|(row, pattern)| match pattern {
                Some(pattern) => Row { call, row, next: 1 }.written(pattern),
                None => Ok(None),
            });
        Ok(Arc::new(written.collect::<Result<StringArray>>()?))
    })]
}

/// How an element is to be written.
#[derive(Debug, Default, Clone)]
struct Spec {
    left: bool,
    plus: bool,
    space: bool,
    zeros: bool,
    marked: bool,
    grouped: bool,
    width: usize,
    precision: Option<usize>,
}

/// The values of one row, of which some have been written.
struct Row<'a> {
    call: &'a Call,
    row: usize,
    next: usize,
}

impl Row<'_> {
    fn written(mut self, pattern: &str) -> Result<Option<String>> {
        let invalid = || exec_err!("Invalid FORMAT string: {pattern:?}");
        let mut out = String::new();
        let mut characters = pattern.chars().peekable();
        while let Some(c) = characters.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut spec = Spec::default();
            while let Some(flag) = characters.next_if(|c| "-+ #0'".contains(*c)) {
                match flag {
                    '-' => spec.left = true,
                    '+' => spec.plus = true,
                    ' ' => spec.space = true,
                    '#' => spec.marked = true,
                    '0' => spec.zeros = true,
                    _ => spec.grouped = true,
                }
            }
            let Some(width) = self.number(&mut characters)? else {
                return Ok(None);
            };
            spec.left |= width < 0;
            spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
            if characters.next_if_eq(&'.').is_some() {
                let Some(precision) = self.number(&mut characters)? else {
                    return Ok(None);
                };
                spec.precision = usize::try_from(precision).ok();
            }
            if spec.width > 1 << 20 || spec.precision.is_some_and(|p| p > 1 << 20) {
                return exec_err!("the width of an element of FORMAT is too large: {pattern:?}");
            }
            let Some(element) = characters.next() else {
                return invalid();
            };
            if element == '%' {
                out.push('%');
                continue;
            }
            if self.next >= self.call.arrays.len() {
                return exec_err!("Too few arguments to FORMAT for pattern {pattern:?}");
            }
            match self.value(element, &spec)? {
                Some(value) => out.push_str(&value),
                // One missing value and there is no text at all.
                None => return Ok(None),
            }
        }
        if self.next < self.call.arrays.len() {
            return exec_err!("Too many arguments to FORMAT for pattern {pattern:?}");
        }
        Ok(Some(out))
    }

    /// A width or a precision, which may be an argument.
    fn number(&mut self, characters: &mut Peekable<Chars<'_>>) -> Result<Option<i64>> {
        if characters.next_if_eq(&'*').is_some() {
            return self.integer();
        }
        let mut digits = String::from("0");
        while let Some(digit) = characters.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        Ok(digits.parse().ok())
    }

    fn argument(&mut self) -> Result<(&ArrayRef, &Field)> {
        let at = self.next;
        self.next += 1;
        Ok((self.call.array(at)?, self.call.field(at)?.as_ref()))
    }

    /// A width that is an argument.
    fn integer(&mut self) -> Result<Option<i64>> {
        let row = self.row;
        let (array, _) = self.argument()?;
        match array.as_primitive_opt::<Int64Type>() {
            Some(numbers) => Ok(numbers.is_valid(row).then(|| numbers.value(row))),
            None => exec_err!(
                "the width * in FORMAT expects INT64, not {}",
                array.data_type()
            ),
        }
    }

    fn value(&mut self, element: char, spec: &Spec) -> Result<Option<String>> {
        let row = self.row;
        let place = self.next;
        let (array, field) = self.argument()?;
        if matches!(element, 't' | 'T') {
            let text = match element {
                't' => printable::text(array, field, row)?,
                _ => printable::literal(array, field, row)?,
            };
            return Ok(Some(padded(text, spec)));
        }
        if array.is_null(row) {
            return Ok(None);
        }
        let is_json = wire::sql_type(field) == Some("json");
        let written = match (element, array.data_type()) {
            ('d' | 'i', DataType::Int64) => {
                let value = array.as_primitive::<Int64Type>().value(row);
                number(&value.unsigned_abs().to_string(), value < 0, spec)
            }
            ('u', DataType::Int64) => {
                let value = array.as_primitive::<Int64Type>().value(row);
                number(&value.cast_unsigned().to_string(), false, spec)
            }
            ('o' | 'x' | 'X', DataType::Int64) => {
                let value = array.as_primitive::<Int64Type>().value(row);
                let size = value.unsigned_abs();
                let (digits, mark) = match element {
                    'o' => (format!("{size:o}"), "0"),
                    'x' => (format!("{size:x}"), "0x"),
                    _ => (format!("{size:X}"), "0X"),
                };
                let mark = if spec.marked && size != 0 { mark } else { "" };
                let digits = match (spec.grouped, element) {
                    (false, _) => digits,
                    (true, 'o') => in_groups(&digits, 4, ','),
                    (true, _) => in_groups(&digits, 4, ':'),
                };
                let spec = Spec {
                    grouped: false,
                    ..spec.clone()
                };
                number(&format!("{mark}{digits}"), value < 0, &spec)
            }
            ('s', DataType::Utf8) if !is_json => {
                let text = array.as_string::<i32>().value(row);
                let text = match spec.precision {
                    Some(most) => text.chars().take(most).collect(),
                    None => text.to_owned(),
                };
                padded(text, spec)
            }
            ('p', DataType::Utf8) if is_json => padded(printable::text(array, field, row)?, spec),
            ('P', DataType::Utf8) if is_json => {
                padded(printable::json(array, row, printable::Lines::Many)?, spec)
            }
            ('f' | 'F' | 'e' | 'E' | 'g' | 'G', DataType::Float64) => {
                let value = array.as_primitive::<Float64Type>().value(row);
                let digits = floats::digits(element, value, spec.precision, spec.marked);
                let spec = Spec {
                    zeros: spec.zeros && value.is_finite(),
                    grouped: spec.grouped && value.is_finite(),
                    precision: None,
                    ..spec.clone()
                };
                number(&digits, value.is_sign_negative() && !value.is_nan(), &spec)
            }
            (
                'f' | 'F' | 'e' | 'E' | 'g' | 'G',
                DataType::Decimal128(_, _) | DataType::Decimal256(_, _),
            ) => {
                let value = crate::value_text::scalar(array, row);
                let (negative, size) = match value.strip_prefix('-') {
                    Some(size) => (true, size),
                    None => (false, value.as_str()),
                };
                let digits = match element {
                    'f' | 'F' => floats::decimal(size, spec.precision.unwrap_or(6)),
                    _ => {
                        let near = size.parse().unwrap_or(0.0);
                        floats::digits(element, near, spec.precision, spec.marked)
                    }
                };
                let spec = Spec {
                    precision: None,
                    ..spec.clone()
                };
                number(&digits, negative, &spec)
            }
            (_, DataType::Null) => return Ok(None),
            (_, other) => {
                return exec_err!(
                    "Invalid type for argument {} to FORMAT; %{element} does not take {other}",
                    place + 1
                );
            }
        };
        Ok(Some(written))
    }
}

/// A number from its digits: with a sign, commas, zeros and blanks.
fn number(digits: &str, negative: bool, spec: &Spec) -> String {
    let (mark, digits) = match digits.get(..2) {
        Some(mark @ ("0x" | "0X")) => (mark, digits.get(2..).unwrap_or_default()),
        _ => ("", digits),
    };
    let mut digits = digits.to_owned();
    if let Some(least) = spec.precision {
        let missing = least.saturating_sub(digits.len());
        digits.insert_str(0, &"0".repeat(missing));
    }
    if spec.grouped {
        digits = grouped(&digits);
    }
    let sign = match (negative, spec.plus, spec.space) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    };
    let own = sign.len() + mark.len() + digits.len();
    let zeros = match spec.zeros && !spec.left && spec.precision.is_none() {
        true => spec.width.saturating_sub(own),
        false => 0,
    };
    padded(format!("{sign}{mark}{}{digits}", "0".repeat(zeros)), spec)
}

/// Digits before the point in groups of three.
fn grouped(digits: &str) -> String {
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    let (whole, rest) = digits.split_at(end);
    in_groups(whole, 3, ',') + rest
}

/// Digits in groups of a size, counted from the last one.
fn in_groups(digits: &str, size: usize, between: char) -> String {
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(size) {
            out.push(between);
        }
        out.push(digit);
    }
    out
}

fn padded(text: String, spec: &Spec) -> String {
    let missing = " ".repeat(spec.width.saturating_sub(text.chars().count()));
    match spec.left {
        true => text + &missing,
        false => missing + &text,
    }
}
