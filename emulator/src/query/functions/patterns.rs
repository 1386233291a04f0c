//! `x LIKE ANY UNNEST(patterns)` and its like: a text beside the elements of an array of patterns.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, StringArray};
use arrow::compute::cast;
use arrow::compute::kernels::boolean::not;
use arrow::compute::kernels::comparison::like;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::{Call, Function, nullable};

pub(super) fn functions() -> Vec<ScalarUDF> {
    // The text, the patterns, whether they are not to fit, and whether one of them is enough.
    vec![Function::made(
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
    )]
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
