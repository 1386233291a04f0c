//! More functions on texts: letters, codes, and where something stands.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Int64Array, ListArray, StringArray,
};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::normal_forms::compatible as folded;
use super::{Call, Function, each, integer, nullable, text};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_initcap", &[1, 2], text, initcap),
        Function::made("millpond_translate", &[3], text, translate),
        Function::made("millpond_chr", &[1], text, |call| {
            let values = each(&call.integers(0)?, |code| match character(code)? {
                Some(c) => Ok(c.to_string()),
                None => Ok(String::new()),
            })?;
            Ok(Arc::new(StringArray::from(values)))
        }),
        Function::made("millpond_ascii", &[1], integer, |call| {
            let values = each(&call.texts(0)?, |text| match text.chars().next() {
                None => Ok(0),
                Some(c) if c.is_ascii() => Ok(i64::from(u32::from(c))),
                Some(_) => exec_err!("Non-ASCII character found in ASCII: {text}"),
            })?;
            Ok(Arc::new(Int64Array::from(values)))
        }),
        Function::made("millpond_unicode", &[1], integer, |call| {
            let first = |text: &str| Ok(text.chars().next().map_or(0, code));
            let values = each(&call.texts(0)?, first)?;
            Ok(Arc::new(Int64Array::from(values)))
        }),
        Function::made(
            "millpond_code_points",
            &[1],
            |_| nullable(DataType::new_list(DataType::Int64, true)),
            code_points,
        ),
        Function::made("millpond_of_code_points", &[1], text, |call| {
            let lists = call.array(0)?.as_list::<i32>();
            let texts = (0..lists.len()).map(|row| {
                if lists.is_null(row) {
                    return Ok(None);
                }
                let codes = lists.value(row);
                let codes = arrow::compute::cast(&codes, &DataType::Int64)?;
                let mut text = String::new();
                for code in codes.as_primitive::<Int64Type>() {
                    let Some(code) = code else { return Ok(None) };
                    text.extend(character(code)?);
                }
                Ok(Some(text))
            });
            Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
        }),
        Function::made("millpond_contains_substr", &[2], truth, |call| {
            let (values, searched) = (call.array(0)?, call.texts(1)?);
            let is_json = crate::wire::sql_type(call.field(0)?) == Some("json");
            let found = searched.iter().enumerate().map(|(row, part)| match part {
                None | Some("") => exec_err!(
                    "The second argument of CONTAINS_SUBSTR must be a STRING that is neither NULL nor empty"
                ),
                Some(part) if is_json => {
                    let documents = call.texts(0)?;
                    let document = documents.is_valid(row).then(|| documents.value(row));
                    let read = |text: &str| {
                        let value = serde_json::from_str(text);
                        value.map_err(|e| exec_datafusion_err!("invalid JSON: {e}"))
                    };
                    let document = document.map(read).transpose()?;
                    Ok(document.map(|document| within_values(&document, &folded(part))))
                }
                Some(part) => holds(values, row, &folded(part)),
            });
            Ok(Arc::new(found.collect::<Result<BooleanArray>>()?))
        }),
        Function::made("millpond_instr", &[2, 3, 4], integer, instr),
        Function::made("millpond_bytes_to_text", &[1], text, |call| {
            let Some(values) = call.array(0)?.as_binary_opt::<i32>() else {
                return exec_err!("BYTES are expected, not {}", call.array(0)?.data_type());
            };
            let texts: StringArray = values
                .iter()
                .map(|v| v.map(|v| String::from_utf8_lossy(v).into_owned()))
                .collect();
            Ok(Arc::new(texts))
        }),
        Function::made(
            "millpond_code_points_to_bytes",
            &[1],
            |_| nullable(DataType::Binary),
            |call| {
                let lists = call.array(0)?.as_list::<i32>();
                let all = (0..lists.len()).map(|row| {
                    if lists.is_null(row) {
                        return Ok(None);
                    }
                    let codes = arrow::compute::cast(&lists.value(row), &DataType::Int64)?;
                    let mut bytes = Vec::new();
                    for code in codes.as_primitive::<Int64Type>() {
                        let Some(code) = code else { return Ok(None) };
                        let byte = u8::try_from(code).map_err(|_| {
                            exec_datafusion_err!("Invalid extended ASCII code points {code}")
                        })?;
                        bytes.push(byte);
                    }
                    Ok(Some(bytes))
                });
                let all = all.collect::<Result<Vec<_>>>()?;
                Ok(Arc::new(BinaryArray::from_iter(all)))
            },
        ),
    ]
}

fn truth(_: &datafusion::logical_expr::ReturnFieldArgs<'_>) -> Result<arrow::datatypes::FieldRef> {
    nullable(DataType::Boolean)
}

fn code(c: char) -> i64 {
    i64::from(u32::from(c))
}

/// The character of a code; none for zero.
fn character(code: i64) -> Result<Option<char>> {
    if code == 0 {
        return Ok(None);
    }
    let character = u32::try_from(code).ok().and_then(char::from_u32);
    match character {
        Some(c) => Ok(Some(c)),
        None => exec_err!("Invalid codepoint {code}"),
    }
}

/// Whether a value of a document, which is not the name of one, has a text in it.
fn within_values(document: &serde_json::Value, part: &str) -> bool {
    match document {
        serde_json::Value::Object(members) => members.values().any(|v| within_values(v, part)),
        serde_json::Value::Array(all) => all.iter().any(|v| within_values(v, part)),
        serde_json::Value::String(text) => folded(text).contains(part),
        other => folded(&other.to_string()).contains(part),
    }
}

/// Whether a value, or one within it, has a part; that is not known where one is missing and none of the others has it.
fn holds(array: &ArrayRef, row: usize, part: &str) -> Result<Option<bool>> {
    if array.is_null(row) || array.data_type().is_null() {
        return Ok(None);
    }
    let within: Vec<(ArrayRef, usize)> = match array.data_type() {
        DataType::List(_) => {
            let values = array.as_list::<i32>().value(row);
            (0..values.len())
                .map(|at| (Arc::clone(&values), at))
                .collect()
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns().iter();
            columns.map(|column| (Arc::clone(column), row)).collect()
        }
        DataType::Binary => {
            return exec_err!("CONTAINS_SUBSTR of BYTES is not supported by this emulator");
        }
        _ => {
            return Ok(Some(
                folded(&crate::value_text::scalar(array, row)).contains(part),
            ));
        }
    };
    let mut missing = false;
    for (array, row) in &within {
        match holds(array, *row, part)? {
            Some(true) => return Ok(Some(true)),
            Some(false) => {}
            None => missing = true,
        }
    }
    Ok((!missing).then_some(false))
}

/// What separates words where nothing else is said.
const DELIMITERS: &str = " \t\n\r\u{b}\u{c}[](){}/|<>!?@\"^#$&~_,.:;*%+-";

fn initcap(call: &Call) -> Result<ArrayRef> {
    let values = call.texts(0)?;
    let delimiters = match call.arrays.len() {
        2 => Some(call.texts(1)?),
        _ => None,
    };
    let texts: StringArray = values
        .iter()
        .enumerate()
        .map(|(row, value)| {
            let between = match &delimiters {
                None => DELIMITERS,
                Some(own) => own.is_valid(row).then(|| own.value(row))?,
            };
            let mut first = true;
            let mut out = String::new();
            for c in value?.chars() {
                if between.contains(c) {
                    first = true;
                    out.push(c);
                } else if first {
                    first = false;
                    out.extend(c.to_uppercase());
                } else {
                    out.extend(c.to_lowercase());
                }
            }
            Some(out)
        })
        .collect();
    Ok(Arc::new(texts))
}

fn translate(call: &Call) -> Result<ArrayRef> {
    let (values, from, to) = (call.texts(0)?, call.texts(1)?, call.texts(2)?);
    let texts = (0..call.rows).map(|row| {
        if values.is_null(row) || from.is_null(row) || to.is_null(row) {
            return Ok(None);
        }
        let from: Vec<char> = from.value(row).chars().collect();
        let to: Vec<char> = to.value(row).chars().collect();
        for (at, c) in from.iter().enumerate() {
            if from.iter().take(at).any(|before| before == c) {
                return exec_err!("Duplicate character \"{c}\" in TRANSLATE source characters");
            }
        }
        let one = |c: char| match from.iter().position(|f| *f == c) {
            None => Some(c),
            Some(at) => to.get(at).copied(),
        };
        Ok(Some(
            values
                .value(row)
                .chars()
                .filter_map(one)
                .collect::<String>(),
        ))
    });
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}

fn code_points(call: &Call) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let lists: Vec<Option<Vec<Option<i64>>>> = match array.as_binary_opt::<i32>() {
        Some(bytes) => bytes
            .iter()
            .map(|v| v.map(|v| v.iter().map(|b| Some(i64::from(*b))).collect()))
            .collect(),
        None => call
            .texts(0)?
            .iter()
            .map(|v| v.map(|v| v.chars().map(|c| Some(code(c))).collect()))
            .collect(),
    };
    Ok(Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
        lists,
    )))
}

/// The position, counted from one, where a text stands for the n-th time, from a position on that counts from the end if negative.
fn instr(call: &Call) -> Result<ArrayRef> {
    let (values, parts) = (call.texts(0)?, call.texts(1)?);
    let number = |at: usize| match call.arrays.len() > at {
        true => call.integers(at).map(Some),
        false => Ok(None),
    };
    let (starts, nths) = (number(2)?, number(3)?);
    let of = |numbers: &Option<Int64Array>, row: usize| match numbers {
        None => Some(1),
        Some(numbers) => numbers.is_valid(row).then(|| numbers.value(row)),
    };
    let found = (0..call.rows).map(|row| {
        let (start, nth) = (of(&starts, row), of(&nths, row));
        let (Some(start), Some(nth)) = (start, nth) else {
            return Ok(None);
        };
        if values.is_null(row) || parts.is_null(row) {
            return Ok(None);
        }
        if start == 0 || nth < 1 {
            return exec_err!("INSTR expects a position other than 0 and an occurrence above 0");
        }
        let value: Vec<char> = values.value(row).chars().collect();
        let part: Vec<char> = parts.value(row).chars().collect();
        let is_at = |at: &usize| value.get(*at..).is_some_and(|rest| rest.starts_with(&part));
        let count = i64::try_from(value.len()).unwrap_or(i64::MAX);
        let nth = usize::try_from(nth - 1).unwrap_or(usize::MAX);
        let at = if start > 0 {
            let first = usize::try_from(start - 1).unwrap_or(usize::MAX);
            (first..value.len()).filter(is_at).nth(nth)
        } else {
            usize::try_from(count + start)
                .ok()
                .and_then(|last| (0..=last).rev().filter(is_at).nth(nth))
        };
        Ok(Some(at.map_or(0, |at| i64::try_from(at + 1).unwrap_or(0))))
    });
    Ok(Arc::new(found.collect::<Result<Int64Array>>()?))
}
