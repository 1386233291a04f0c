//! `CAST(number AS STRING FORMAT '999.99')`: numbers by models of SQL.
//!
//! A model gives every digit, separator and sign its place, so that numbers of one model stand below each other.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_err};

use super::Call;
use crate::value_text;

/// Whether values of a type are written by such models.
pub(super) fn is_number(kind: &DataType) -> bool {
    kind.is_numeric()
}

/// Numbers as the models beside them write them.
pub(super) fn written(call: &Call) -> Result<ArrayRef> {
    let (numbers, models) = (call.array(0)?, call.texts(1)?);
    let texts = (0..call.rows).map(|row| {
        if numbers.is_null(row) || models.is_null(row) {
            return Ok(None);
        }
        Model::read(models.value(row))?.of(numbers, row).map(Some)
    });
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}

/// What stands in one place before or behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A digit, or a space where there is none.
    Nine,
    /// A digit, or a zero where there is none.
    Zero,
    Comma,
}

/// How the sign is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// Before the number, where it is negative.
    Plain,
    First,
    Last,
    LastIfNegative,
    Brackets,
}

#[derive(Debug)]
struct Model {
    whole: Vec<Place>,
    point: bool,
    digits: usize,
    sign: Sign,
    currency: &'static str,
    compact: bool,
}

impl Model {
    fn read(text: &str) -> Result<Self> {
        let mut model = Self {
            whole: Vec::new(),
            point: false,
            digits: 0,
            sign: Sign::Plain,
            currency: "",
            compact: false,
        };
        let wrong = |what: &str| exec_err!("Unexpected '{what}' in the format {text:?}");
        let begins = |rest: &str, word: &str| {
            rest.get(..word.len())
                .is_some_and(|own| own.eq_ignore_ascii_case(word))
        };
        let (mut rest, mut digits_seen) = (text, false);
        while let Some(c) = rest.chars().next() {
            let length = if ["FM", "MI", "PR"].iter().any(|word| begins(rest, word)) {
                2
            } else {
                c.len_utf8()
            };
            let (element, after) = rest.split_at(length);
            let last = after.is_empty() || begins(after, "FM") && after.len() == 2;
            let signed = model.sign != Sign::Plain;
            match element.to_ascii_uppercase().as_str() {
                "9" | "0" if model.point => {
                    digits_seen = true;
                    model.digits += 1;
                }
                "9" | "0" => {
                    digits_seen = true;
                    let zero = element == "0";
                    model
                        .whole
                        .push(if zero { Place::Zero } else { Place::Nine });
                }
                "," | "G" if !model.point && digits_seen => model.whole.push(Place::Comma),
                "." | "D" if !model.point => model.point = true,
                "S" if !signed && !digits_seen && !model.point => model.sign = Sign::First,
                "S" if !signed && last => model.sign = Sign::Last,
                "MI" if !signed && last => model.sign = Sign::LastIfNegative,
                "PR" if !signed && last => model.sign = Sign::Brackets,
                "$" | "L" if model.currency.is_empty() => model.currency = "$",
                "C" if model.currency.is_empty() => {
                    model.currency = if element == "c" { "usd" } else { "USD" };
                }
                "FM" if !model.compact => model.compact = true,
                "S" | "MI" | "PR" | "$" | "L" | "C" | "FM" | "," | "G" | "." | "D" => {
                    return wrong(element);
                }
                "X" | "B" | "E" | "R" | "T" | "V" => {
                    return exec_err!(
                        "the element {element} of the format {text:?} of a number is not supported by this emulator"
                    );
                }
                _ => {
                    return exec_err!(
                        "Invalid format element '{element}' in the format {text:?} of a number"
                    );
                }
            }
            rest = after;
        }
        if !digits_seen {
            return exec_err!(
                "Format string must contain at least one of 'X', '0' or '9', it is {text:?}"
            );
        }
        Ok(model)
    }

    fn of(&self, numbers: &ArrayRef, row: usize) -> Result<String> {
        let (negative, whole, mut fraction) = match numbers.data_type() {
            DataType::Float64 => {
                let value = numbers.as_primitive::<Float64Type>().value(row);
                if !value.is_finite() {
                    return exec_err!(
                        "CAST of {value} with FORMAT is not supported by this emulator"
                    );
                }
                parts(&format!("{value:.*}", self.digits))
            }
            _ => rounded(&value_text::scalar(numbers, row), self.digits),
        };
        let whole = whole.trim_start_matches('0');
        if self.compact {
            fraction.truncate(fraction.trim_end_matches('0').len());
        }
        let places = self.whole.iter().filter(|p| **p != Place::Comma).count();
        let too_long = whole.len() > places;
        let (mut out, padding) = if self.shows_whole(whole, &fraction) {
            self.whole_part(whole, too_long)
        } else {
            (String::new(), self.whole.len())
        };
        if self.point {
            let digits = if too_long {
                "#".repeat(fraction.len())
            } else {
                fraction
            };
            // Writing to a string cannot fail.
            let _ = write!(out, ".{digits}");
        }
        if self.compact && out.ends_with('.') {
            out.pop();
        }
        let (before, behind) = match (self.sign, negative) {
            (Sign::Plain, true) => ("-", ""),
            (Sign::Plain, false) => (" ", ""),
            (Sign::First, true) => ("-", ""),
            (Sign::First, false) => ("+", ""),
            (Sign::Last, true) => ("", "-"),
            (Sign::Last, false) => ("", "+"),
            (Sign::LastIfNegative, true) => ("", "-"),
            (Sign::LastIfNegative, false) => ("", " "),
            (Sign::Brackets, true) => ("<", ">"),
            (Sign::Brackets, false) => (" ", " "),
        };
        let text = format!(
            "{}{before}{}{out}{behind}",
            " ".repeat(padding),
            self.currency
        );
        Ok(match self.compact {
            true => text.trim().to_owned(),
            false => text,
        })
    }

    /// Whether anything is before the point.
    fn shows_whole(&self, whole: &str, fraction: &str) -> bool {
        let zeros = self.whole.contains(&Place::Zero);
        !self.whole.is_empty() && (!whole.is_empty() || zeros || fraction.is_empty())
    }

    /// What is before the point, and how many places are left over.
    fn whole_part(&self, whole: &str, too_long: bool) -> (String, usize) {
        let digits = if whole.is_empty() { "0" } else { whole };
        let first_zero = self.whole.iter().position(|p| *p == Place::Zero);
        let mut digits = digits.chars().rev().peekable();
        let mut backwards = Vec::new();
        let mut left = self.whole.len();
        for (at, place) in self.whole.iter().enumerate().rev() {
            if digits.peek().is_none() && first_zero.is_none_or(|zero| at < zero) {
                break;
            }
            left = at;
            backwards.push(match place {
                Place::Comma => ',',
                _ if too_long => {
                    digits.next();
                    '#'
                }
                _ => digits.next().unwrap_or('0'),
            });
        }
        (backwards.into_iter().rev().collect(), left)
    }
}

/// The sign of a decimal, and what is before and behind its point.
fn parts(text: &str) -> (bool, String, String) {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    (negative, whole.to_owned(), fraction.to_owned())
}

/// The same of a decimal with so many digits behind its point; half is rounded away from zero.
fn rounded(text: &str, digits: usize) -> (bool, String, String) {
    let (negative, whole, fraction) = parts(text);
    if fraction.len() <= digits {
        let zeros = "0".repeat(digits - fraction.len());
        return (negative, whole, format!("{fraction}{zeros}"));
    }
    let (kept, rest) = fraction.split_at(digits);
    let mut number: Vec<u8> = format!("0{whole}{kept}").into_bytes();
    if rest.as_bytes().first().is_some_and(|d| *d >= b'5') {
        for digit in number.iter_mut().rev() {
            if *digit != b'9' {
                *digit += 1;
                break;
            }
            *digit = b'0';
        }
    }
    let number = String::from_utf8(number).unwrap_or_default();
    let (whole, kept) = number.split_at(number.len() - digits);
    (negative, whole.to_owned(), kept.to_owned())
}
