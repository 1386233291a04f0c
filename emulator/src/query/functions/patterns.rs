//! LIKE of what the planner does not compare: a text beside the elements of an array of patterns (`x LIKE ANY UNNEST(patterns)`), and bytes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::cast;
use arrow::compute::kernels::boolean::not;
use arrow::compute::kernels::comparison::like;
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::{Call, Function, nullable};

pub(super) fn functions() -> Vec<ScalarUDF> {
    let bytes = Function::made(
        "millpond_like_bytes",
        &[2],
        |_| nullable(DataType::Boolean),
        bytes_like,
    );
    // The text, the patterns, whether they are not to fit, and whether one of them is enough.
    let each = Function::made(
        "millpond_like_each",
        &[4],
        |_| nullable(DataType::Boolean),
        |call| {
            let (negated, one_is_enough) = (flag(call, 2)?, flag(call, 3)?);
            let texts = call.texts(0)?;
            let lists = call.array(1)?;
            let found = (0..call.rows).map(|row| {
                let patterns = match lists.as_list_opt::<i32>() {
                    Some(lists) if lists.is_valid(row) => lists.value(row),
                    _ if lists.data_type().is_null() || lists.is_null(row) => {
                        return Ok(Some(!one_is_enough));
                    }
                    _ => return exec_err!("LIKE compares with an array of patterns"),
                };
                if !matches!(patterns.data_type(), DataType::Utf8 | DataType::Null) {
                    return exec_err!(
                        "No matching signature for operator LIKE for an array of {}",
                        patterns.data_type()
                    );
                }
                let patterns = cast(&patterns, &DataType::Utf8)?;
                let text = texts.is_valid(row).then(|| texts.value(row));
                let own = StringArray::from(vec![text; patterns.len()]);
                let mut fits = like(&own, patterns.as_string::<i32>())?;
                if negated {
                    fits = not(&fits)?;
                }
                Ok(decided(&fits, one_is_enough))
            });
            Ok(Arc::new(found.collect::<Result<BooleanArray>>()?))
        },
    );
    vec![bytes, each]
}

/// Whether bytes are like a pattern of bytes.
fn bytes_like(call: &Call) -> Result<ArrayRef> {
    let binary = |at: usize| Ok::<_, DataFusionError>(cast(call.array(at)?, &DataType::Binary)?);
    let (values, patterns) = (binary(0)?, binary(1)?);
    let pairs = values.as_binary::<i32>().iter();
    let pairs = pairs.zip(patterns.as_binary::<i32>());
    let fits = pairs.map(|pair| match pair {
        (Some(value), Some(pattern)) => Ok(Some(is_like(value, &parts_of(pattern)?))),
        _ => Ok(None),
    });
    Ok(Arc::new(fits.collect::<Result<BooleanArray>>()?))
}

/// What stands in a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// `%`.
    Any,
    /// `_`.
    One,
    Byte(u8),
}

fn parts_of(pattern: &[u8]) -> Result<Vec<Part>> {
    let mut bytes = pattern.iter();
    let mut parts = Vec::with_capacity(pattern.len());
    while let Some(byte) = bytes.next() {
        parts.push(match byte {
            b'%' => Part::Any,
            b'_' => Part::One,
            b'\\' => match bytes.next() {
                Some(byte) => Part::Byte(*byte),
                None => return exec_err!("LIKE pattern ends with a backslash"),
            },
            byte => Part::Byte(*byte),
        });
    }
    Ok(parts)
}

/// Goes back to the last `%` only, which is enough: what stood before it has found its first place.
fn is_like(value: &[u8], parts: &[Part]) -> bool {
    let (mut at, mut part) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while let Some(byte) = value.get(at) {
        match parts.get(part) {
            Some(Part::Any) => {
                back = Some((at, part + 1));
                part += 1;
                continue;
            }
            Some(Part::One) => {}
            Some(Part::Byte(own)) if own == byte => {}
            _ => {
                let Some((from, behind)) = back else {
                    return false;
                };
                back = Some((from + 1, behind));
                (at, part) = (from + 1, behind);
                continue;
            }
        }
        at += 1;
        part += 1;
    }
    parts
        .get(part..)
        .is_none_or(|rest| rest.iter().all(|p| *p == Part::Any))
}

/// What several answers are together: one is enough, or all are needed. What is missing leaves it open.
fn decided(answers: &BooleanArray, one_is_enough: bool) -> Option<bool> {
    let deciding = answers.iter().any(|answer| answer == Some(one_is_enough));
    match deciding {
        true => Some(one_is_enough),
        false if answers.null_count() > 0 => None,
        false => Some(!one_is_enough),
    }
}

fn flag(call: &Call, at: usize) -> Result<bool> {
    let flags = call.array(at)?.as_boolean_opt();
    let flag = flags.and_then(|flags| flags.iter().next().flatten());
    flag.ok_or_else(|| exec_datafusion_err!("argument {} must be TRUE or FALSE", at + 1))
}
