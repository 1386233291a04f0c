//! Values inside of JSON, found by a path: `$.a[0]['b c']`.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::json_parts::{Part, find};
use super::{Call, Function, argument, nullable, text};
use crate::wire;

pub(super) fn functions() -> Vec<ScalarUDF> {
    let strings = |_: &datafusion::logical_expr::ReturnFieldArgs<'_>| {
        nullable(DataType::new_list(DataType::Utf8, true))
    };
    vec![
        Function::made("millpond_json_value", &[1, 2], text, |call| {
            Ok(Arc::new(found(call, |part| part.scalar())?))
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
                Ok(Arc::new(found(call, |part| {
                    Some(part.compact()).filter(|_| !part.is_null() || is_json)
                })?))
            },
        ),
        Function::made("millpond_json_value_array", &[1, 2], strings, |call| {
            let mut lists = ListBuilder::new(StringBuilder::new());
            each(call, |part| match part.and_then(Part::elements) {
                Some(all) if all.iter().all(|v| v.is_null() || v.scalar().is_some()) => {
                    all.iter()
                        .for_each(|v| lists.values().append_option(v.scalar()));
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
                each(call, |part| exist.push(part.is_some()))?;
                Ok(Arc::new(BooleanArray::from(exist)))
            },
        ),
    ]
}

fn found(call: &Call, shown: impl Fn(Part<'_>) -> Option<String>) -> Result<StringArray> {
    let mut texts: Vec<Option<String>> = Vec::new();
    each(call, |part| texts.push(part.and_then(&shown)))?;
    Ok(StringArray::from(texts))
}

/// Hands what is at the path of every row to `take`; nothing for a missing row, what is no JSON, and a path that leads nowhere.
pub(super) fn each(call: &Call, mut take: impl FnMut(Option<Part<'_>>)) -> Result<()> {
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
        take(find(text, &steps(path)?));
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
                    Some((step, after)) => {
                        let step = step.trim();
                        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
                        steps.push(match step.parse::<usize>() {
                            Ok(at) => Step::At(at),
                            // As JSON_EXTRACT has always taken it.
                            Err(_) if !step.is_empty() && step.chars().all(plain) => {
                                Step::Name(step.to_owned())
                            }
                            Err(_) => return invalid(),
                        });
                        rest = after;
                        continue;
                    }
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
