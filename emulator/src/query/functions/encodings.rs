//! Bytes as texts of few letters: Base64 and Base32.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray, StringArray};
use arrow::datatypes::DataType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::exec_err;
use datafusion::logical_expr::ScalarUDF;

use super::{Function, argument, external, nullable, text};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_to_base64", &[1], text, |call| {
            let Some(values) = call.array(0)?.as_binary_opt::<i32>() else {
                return exec_err!(
                    "TO_BASE64 expects BYTES, not {}",
                    call.array(0)?.data_type()
                );
            };
            let texts = values.iter().map(|v| v.map(|v| STANDARD.encode(v)));
            Ok(Arc::new(texts.collect::<StringArray>()))
        }),
        Function::made(
            "millpond_from_base64",
            &[1],
            |_| nullable(DataType::Binary),
            |call| {
                let decode = |text: &str| {
                    STANDARD.decode(text).map_err(|_| {
                        external(format!("Failed to decode invalid base64 string: {text}"))
                    })
                };
                let bytes = super::each(&call.texts(0)?, decode)?;
                Ok(Arc::new(BinaryArray::from_iter(bytes)))
            },
        ),
        Function::made(
            "millpond_only_ascii",
            &[1],
            |args| Ok(Arc::clone(argument(args, 0)?)),
            |call| {
                let values = call.array(0)?;
                let ascii = match values.as_binary_opt::<i32>() {
                    Some(all) => all.iter().flatten().all(<[u8]>::is_ascii),
                    None => call.texts(0)?.iter().flatten().all(str::is_ascii),
                };
                match ascii {
                    true => Ok(Arc::clone(values)),
                    false => exec_err!("Failed to decode invalid ASCII string"),
                }
            },
        ),
        Function::made("millpond_to_base32", &[1], text, |call| {
            let Some(values) = call.array(0)?.as_binary_opt::<i32>() else {
                return exec_err!(
                    "TO_BASE32 expects BYTES, not {}",
                    call.array(0)?.data_type()
                );
            };
            let texts = values.iter().map(|v| v.map(base32));
            Ok(Arc::new(texts.collect::<StringArray>()))
        }),
        Function::made(
            "millpond_from_base32",
            &[1],
            |_| nullable(DataType::Binary),
            |call| {
                let decode = |text: &str| {
                    of_base32(text).ok_or_else(|| {
                        external(format!("Failed to decode invalid base32 string: {text}"))
                    })
                };
                let bytes = super::each(&call.texts(0)?, decode)?;
                Ok(Arc::new(BinaryArray::from_iter(bytes)))
            },
        ),
    ]
}

/// The letters of Base32 in the order of what they stand for.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(5) {
        let mut all = [0_u8; 8];
        for (to, from) in all.iter_mut().skip(3).zip(chunk) {
            *to = *from;
        }
        let bits = u64::from_be_bytes(all);
        let used = (chunk.len() * 8).div_ceil(5);
        for at in 0..8 {
            let letter = LETTERS.get((bits >> (35 - 5 * at) & 31) as usize);
            out.push(match at < used {
                true => letter.map_or('=', |l| char::from(*l)),
                false => '=',
            });
        }
    }
    out
}

fn of_base32(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(8) {
        return None;
    }
    let mut out = Vec::new();
    let mut chunks = text.as_bytes().chunks(8).peekable();
    while let Some(chunk) = chunks.next() {
        let letters = chunk.iter().position(|b| *b == b'=').unwrap_or(8);
        let padded = chunk.iter().skip(letters).all(|b| *b == b'=');
        let whole = letters == 8 || chunks.peek().is_none();
        if !padded || !whole || !matches!(letters, 2 | 4 | 5 | 7 | 8) {
            return None;
        }
        let mut bits = 0_u64;
        for letter in chunk.iter().take(letters) {
            let value = LETTERS.iter().position(|l| l == letter)?;
            bits = bits << 5 | value as u64;
        }
        bits <<= 5 * (8 - letters);
        out.extend(bits.to_be_bytes().iter().skip(3).take(letters * 5 / 8));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn base32_is_read_as_it_is_written() {
        assert_eq!(base32(b"abcde\xff"), "MFRGGZDF74======");
        for length in 0..12_u8 {
            let bytes: Vec<u8> = (0..length).map(|b| b.wrapping_mul(77)).collect();
            assert_eq!(of_base32(&base32(&bytes)).unwrap(), bytes);
        }
        for wrong in ["A", "MFRGGZD1", "A=======", "MF======MFRGGZDF"] {
            assert_eq!(of_base32(wrong), None, "{wrong}");
        }
    }
}
