//! Functions on texts, and texts made of values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF, Volatility};

use super::{Call, Function, nullable, text};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_substr", &[2, 3], text, substring),
        Function::made("millpond_split", &[1, 2], texts, split),
        Function::made("millpond_format", &[1, 2, 3, 4, 5, 6, 7, 8], text, format),
        // It fails when a row comes by, so nobody may call it beforehand.
        Function::with_volatility(
            "millpond_error",
            &[1],
            |_| nullable(DataType::Null),
            |call| match call.texts(0)?.iter().next() {
                None => Ok(arrow::array::new_null_array(&DataType::Null, call.rows)),
                Some(message) => exec_err!("{}", message.unwrap_or_default()),
            },
            Volatility::Volatile,
        ),
        Function::made("millpond_from_hex", &[1], bytes, from_hex),
        Function::made("millpond_to_hex", &[1], text, to_hex),
    ]
}

fn texts(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let item = Field::new("item", DataType::Utf8, true);
    nullable(DataType::List(Arc::new(item)))
}

fn bytes(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Binary)
}

/// Characters from a position that counts from 1, or from the end when it is negative.
fn substring(call: &Call) -> Result<ArrayRef> {
    let (values, starts) = (call.texts(0)?, call.integers(1)?);
    let lengths = match call.arrays.len() {
        3 => Some(call.integers(2)?),
        _ => None,
    };
    let cut = (0..call.rows)
        .map(|row| {
            let no_length = lengths.as_ref().is_some_and(|l| l.is_null(row));
            if values.is_null(row) || starts.is_null(row) || no_length {
                return Ok(None);
            }
            let length = lengths.as_ref().map_or(i64::MAX, |l| l.value(row));
            if length < 0 {
                return exec_err!("Third argument in SUBSTR() cannot be negative");
            }
            let (value, start) = (values.value(row), starts.value(row));
            let count = i64::try_from(value.chars().count()).unwrap_or(i64::MAX);
            let skip = match start {
                0 => 0,
                1.. => start - 1,
                _ => (count + start).max(0),
            };
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            let take = usize::try_from(length).unwrap_or(usize::MAX);
            Ok(Some(
                value.chars().skip(skip).take(take).collect::<String>(),
            ))
        })
        .collect::<Result<StringArray>>()?;
    Ok(Arc::new(cut))
}

fn split(call: &Call) -> Result<ArrayRef> {
    let values = call.texts(0)?;
    let delimiters = match call.arrays.len() {
        2 => Some(call.texts(1)?),
        _ => None,
    };
    let mut lists = ListBuilder::new(StringBuilder::new());
    for (row, value) in values.iter().enumerate() {
        let delimiter = delimiters
            .as_ref()
            .map_or(Some(","), |d| d.is_valid(row).then(|| d.value(row)));
        let (Some(value), Some(delimiter)) = (value, delimiter) else {
            lists.append_null();
            continue;
        };
        if delimiter.is_empty() && !value.is_empty() {
            value
                .chars()
                .for_each(|c| lists.values().append_value(c.to_string()));
        } else if delimiter.is_empty() {
            lists.values().append_value("");
        } else {
            value
                .split(delimiter)
                .for_each(|part| lists.values().append_value(part));
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

/// FORMAT with the elements `%d`, `%i`, `%s`, `%f` and `%%`, with zeros or blanks to a width, and digits after the point.
fn format(call: &Call) -> Result<ArrayRef> {
    let patterns = call.texts(0)?;
    let written = patterns
        .iter()
        .enumerate()
        .map(|(row, pattern)| match pattern {
            Some(pattern) => one(call, pattern, row),
            None => Ok(None),
        })
        .collect::<Result<StringArray>>()?;
    Ok(Arc::new(written))
}

fn one(call: &Call, pattern: &str, row: usize) -> Result<Option<String>> {
    let mut out = String::new();
    let mut characters = pattern.chars();
    let mut next = 1;
    while let Some(c) = characters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = String::new();
        let element = loop {
            match characters.next() {
                Some(flag @ ('0'..='9' | '.')) => flags.push(flag),
                Some(element) => break element,
                None => return exec_err!("Invalid FORMAT string: {pattern:?}"),
            }
        };
        if element == '%' {
            out.push('%');
            continue;
        }
        let array = call.array(next)?;
        next += 1;
        if array.is_null(row) {
            // One missing value and there is no text at all.
            return Ok(None);
        }
        let (width, digits) = match flags.split_once('.') {
            Some((width, digits)) => (width, digits.parse().unwrap_or(0)),
            None => (flags.as_str(), 6_usize),
        };
        let value = match (element, array.data_type()) {
            ('d' | 'i', DataType::Int64) => crate::value_text::scalar(array, row),
            ('s', DataType::Utf8) => crate::value_text::scalar(array, row),
            ('f', DataType::Float64) => {
                format!(
                    "{:.digits$}",
                    array.as_primitive::<Float64Type>().value(row)
                )
            }
            (element, data_type) => {
                return exec_err!(
                    "the element %{element} for {data_type} in FORMAT is not supported by this emulator"
                );
            }
        };
        let zeros = width.starts_with('0') && element != 's';
        let width = width.parse().unwrap_or(0);
        let missing = usize::saturating_sub(width, value.chars().count());
        match value.strip_prefix('-').filter(|_| zeros) {
            Some(digits) => out.push_str(&format!("-{}{digits}", "0".repeat(missing))),
            None => {
                out.push_str(&if zeros { "0" } else { " " }.repeat(missing));
                out.push_str(&value);
            }
        }
    }
    if next < call.arrays.len() {
        return exec_err!("Too many arguments to FORMAT for pattern {pattern:?}");
    }
    Ok(Some(out))
}

fn from_hex(call: &Call) -> Result<ArrayRef> {
    let decoded = super::each(&call.texts(0)?, |text| {
        let digits = if text.len() % 2 == 0 {
            text.to_owned()
        } else {
            format!("0{text}")
        };
        let byte = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).unwrap_or("?");
            u8::from_str_radix(pair, 16).map_err(|_| {
                super::external(format!(
                    "Failed to decode invalid hexadecimal string: {text}"
                ))
            })
        };
        digits
            .as_bytes()
            .chunks(2)
            .map(byte)
            .collect::<Result<Vec<u8>>>()
    })?;
    Ok(Arc::new(arrow::array::BinaryArray::from_iter(decoded)))
}

fn to_hex(call: &Call) -> Result<ArrayRef> {
    let Some(values) = call.array(0)?.as_binary_opt::<i32>() else {
        return exec_err!("TO_HEX expects BYTES, not {}", call.array(0)?.data_type());
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let texts: StringArray = values.iter().map(|v| v.map(hex)).collect();
    Ok(Arc::new(texts))
}
