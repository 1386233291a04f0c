//! Values inside of JSON, found by a path: `$.a[0]['b c']`.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;
use serde_json::Value;

use super::{Call, Function, argument, nullable, text};
use crate::{json_text, wire};

pub(super) fn functions() -> Vec<ScalarUDF> {
    let strings = |_: &datafusion::logical_expr::ReturnFieldArgs<'_>| {
        nullable(DataType::new_list(DataType::Utf8, true))
    };
    vec![
        Function::made("millpond_json_value", &[1, 2], text, |call| {
            Ok(Arc::new(found(call, scalar)?))
        }),
        // JSON of JSON is JSON, that of a text is a text.
        Function::made(
            "millpond_json_query",
            &[1, 2],
            |args| {
                Ok(Arc::new(
                    Field::clone(argument(args, 0)?)
                        .with_nullable(true)
                        .with_name("value"),
                ))
            },
            |call| {
                // Where there is JSON, there is a null of JSON.
                let is_json = wire::sql_type(call.field(0)?) == Some("json");
                Ok(Arc::new(found(call, |value| {
                    Some(json_text::text(value)).filter(|_| !value.is_null() || is_json)
                })?))
            },
        ),
        Function::made("millpond_json_value_array", &[1, 2], strings, |call| {
            let mut lists = ListBuilder::new(StringBuilder::new());
            each(call, |value| match value.and_then(Value::as_array) {
                Some(all) if all.iter().all(|v| v.is_null() || scalar(v).is_some()) => {
                    all.iter()
                        .for_each(|v| lists.values().append_option(scalar(v)));
                    lists.append(true);
                }
                _ => lists.append_null(),
            })?;
            Ok(Arc::new(lists.finish()))
        }),
        Function::made(
            "millpond_json_exists",
            &[1, 2],
            |_| nullable(DataType::Boolean),
            |call| {
                let mut exist = Vec::new();
                each(call, |value| exist.push(value.is_some()))?;
                Ok(Arc::new(BooleanArray::from(exist)))
            },
        ),
    ]
}

/// A value that is no object and no array, as a text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        number @ Value::Number(_) => Some(json_text::text(number)),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn found(call: &Call, shown: impl Fn(&Value) -> Option<String>) -> Result<StringArray> {
    let mut texts: Vec<Option<String>> = Vec::new();
    each(call, |value| texts.push(value.and_then(&shown)))?;
    Ok(StringArray::from(texts))
}

/// Hands what is at the path of every row to `take`; nothing for a missing row, what is no JSON, and a path that leads nowhere.
pub(super) fn each(call: &Call, mut take: impl FnMut(Option<&Value>)) -> Result<()> {
    let texts = call.texts(0)?;
    let paths = match call.arrays.len() {
        2 => Some(call.texts(1)?),
        _ => None,
    };
    for (row, text) in texts.iter().enumerate() {
        let path = match &paths {
            None => Some("$"),
            Some(paths) => paths.is_valid(row).then(|| paths.value(row)),
        };
        let (Some(text), Some(path)) = (text, path) else {
            take(None);
            continue;
        };
        let steps = steps(path)?;
        let parsed: Option<Value> = json_text::read(text).ok();
        let value = parsed.as_ref().and_then(|value| {
            steps
                .iter()
                .try_fold(value, |value, step| match (value, step) {
                    (Value::Object(members), Step::Name(name)) => members.get(name.as_str()),
                    (Value::Array(all), Step::At(at)) => all.get(*at),
                    _ => None,
                })
        });
        take(value);
    }
    Ok(())
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    At(usize),
}

/// The names and positions of a path.
pub(super) fn steps(path: &str) -> Result<Vec<Step>> {
    let invalid = || exec_err!("Invalid JSONPath: {path}");
    let Some(mut rest) = path.strip_prefix('$') else {
        return invalid();
    };
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = if let Some(name) = rest.strip_prefix('.') {
            if name.starts_with('"') {
                match name.get(1..).and_then(|name| name.split_once('"')) {
                    Some((step, after)) => (step, after),
                    None => return invalid(),
                }
            } else {
                name.split_at(name.find(['.', '[']).unwrap_or(name.len()))
            }
        } else if let Some(inner) = rest.strip_prefix('[') {
            let quote = inner.chars().next().filter(|c| matches!(c, '\'' | '"'));
            match quote {
                Some(quote) => {
                    let split = inner.get(1..).and_then(|inner| inner.split_once(quote));
                    match split.and_then(|(step, after)| Some((step, after.strip_prefix(']')?))) {
                        Some(split) => split,
                        None => return invalid(),
                    }
                }
                None => match inner.split_once(']') {
                    Some((step, after)) => match step.trim().parse::<usize>() {
                        Ok(at) => {
                            steps.push(Step::At(at));
                            rest = after;
                            continue;
                        }
                        Err(_) => return invalid(),
                    },
                    None => return invalid(),
                },
            }
        } else {
            return invalid();
        };
        if step.is_empty() {
            return invalid();
        }
        steps.push(Step::Name(step.to_owned()));
        rest = after;
    }
    Ok(steps)
}
