//! Functions on texts, and texts made of values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF, Volatility};

use super::{Call, Function, nullable, text};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
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
        Function::made("millpond_plain_number", &[1], text, |call| {
            let texts = super::each(&call.texts(0)?, plain_number)?;
            Ok(Arc::new(StringArray::from(texts)))
        }),
        Function::made("millpond_from_hex", &[1], bytes, from_hex),
        Function::made("millpond_to_hex", &[1], text, to_hex),
    ]
}

fn bytes(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Binary)
}

/// A number without what only people write in it: blanks, commas, and a sign behind it.
fn plain_number(text: &str) -> Result<String> {
    let invalid = || exec_err!("Invalid input to PARSE_NUMERIC: {text}");
    let mut number = text.trim();
    let mut sign = "";
    for mark in ["-", "+"] {
        let before = number.strip_prefix(mark);
        let found = before.or_else(|| number.strip_suffix(mark));
        if let Some(rest) = found {
            (sign, number) = (mark.trim_start_matches('+'), rest.trim());
            break;
        }
    }
    let whole = number.find(['.', 'e', 'E']).unwrap_or(number.len());
    let (whole, rest) = number.split_at(whole);
    let digits = whole.replace(',', "");
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !plain(&digits) || rest.contains(',') || digits.is_empty() && rest.is_empty() {
        return invalid();
    }
    Ok(format!("{sign}{digits}{rest}"))
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
