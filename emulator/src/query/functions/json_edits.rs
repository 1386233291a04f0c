//! Documents made of others: members set, removed and added, and what is null left out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;
use serde_json::{Map, Value};

use super::json_paths::{Step, steps};
use super::jsons::json;
use super::values::json_field;
use super::{Call, Function};
use crate::json_text;

/// A flag, a document, and up to ten pairs.
const PAIRS: &[usize] = &[4, 6, 8, 10, 12, 14, 16, 18, 20, 22];

const PATHS: &[usize] = &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_json_set", PAIRS, json_field, |call| {
            edited(call, |document, path, value, create| {
                set(document, path, value, create);
                Ok(())
            })
        }),
        Function::made("millpond_json_array_append", PAIRS, json_field, |call| {
            edited(call, append)
        }),
        Function::made("millpond_json_array_insert", PAIRS, json_field, |call| {
            edited(call, insert)
        }),
        Function::made("millpond_json_remove", PATHS, json_field, |call| {
            documents(call, 0, |document, row| {
                for at in 1..call.arrays.len() {
                    let paths = call.texts(at)?;
                    if paths.is_null(row) {
                        return Ok(false);
                    }
                    remove(document, &steps(paths.value(row))?)?;
                }
                Ok(true)
            })
        }),
        // The path, whether nulls of arrays go, and whether what is empty then goes.
        Function::made("millpond_json_strip_nulls", &[4], json_field, |call| {
            let (arrays, empty) = (flags(call, 2)?, flags(call, 3)?);
            documents(call, 0, |document, row| {
                let paths = call.texts(1)?;
                if paths.is_null(row) || arrays.is_null(row) || empty.is_null(row) {
                    return Ok(false);
                }
                let path = steps(paths.value(row))?;
                if let Some(part) = at_mut(document, &path) {
                    strip(part, arrays.value(row), empty.value(row));
                    let gone = match part {
                        Value::Object(members) => members.is_empty(),
                        Value::Array(all) => all.is_empty(),
                        _ => false,
                    };
                    if empty.value(row) && gone {
                        *part = Value::Null;
                    }
                }
                Ok(true)
            })
        }),
    ]
}

fn flags(call: &Call, at: usize) -> Result<BooleanArray> {
    let flags = call.array(at)?;
    match flags.as_boolean_opt() {
        Some(flags) => Ok(flags.clone()),
        None if flags.data_type().is_null() => Ok(BooleanArray::new_null(flags.len())),
        None => exec_err!("argument {} must be BOOL", at + 1),
    }
}

/// Changes the documents of an argument; `false` makes a null.
fn documents(
    call: &Call,
    at: usize,
    change: impl Fn(&mut Value, usize) -> Result<bool>,
) -> Result<ArrayRef> {
    let texts = call.texts(at)?;
    let changed = texts.iter().enumerate().map(|(row, text)| {
        let Some(text) = text else { return Ok(None) };
        let mut document: Value =
            serde_json::from_str(text).map_err(|e| exec_datafusion_err!("invalid JSON: {e}"))?;
        let there = change(&mut document, row)?;
        document.sort_all_objects();
        Ok(there.then(|| json_text::text(&document)))
    });
    Ok(Arc::new(changed.collect::<Result<StringArray>>()?))
}

/// Applies `edit` for every pair of a path and a value behind the flag and the document.
fn edited(
    call: &Call,
    edit: impl Fn(&mut Value, &[Step], Given, bool) -> Result<()>,
) -> Result<ArrayRef> {
    let flags = flags(call, 0)?;
    documents(call, 1, |document, row| {
        if flags.is_null(row) {
            return Ok(true);
        }
        for at in (2..call.arrays.len()).step_by(2) {
            let paths = call.texts(at)?;
            if paths.is_null(row) {
                continue;
            }
            let (array, field) = (call.array(at + 1)?, call.field(at + 1)?);
            let given = Given {
                value: json(array, field, row)?,
                is_array: matches!(array.data_type(), DataType::List(_)),
            };
            edit(document, &steps(paths.value(row))?, given, flags.value(row))?;
        }
        Ok(true)
    })
}

/// A value that is put into a document, and whether it was an array of SQL.
struct Given {
    value: Value,
    is_array: bool,
}

impl Given {
    /// The elements that are put in.
    fn elements(self, each: bool) -> Vec<Value> {
        match self.value {
            Value::Array(all) if self.is_array && each => all,
            other => vec![other],
        }
    }
}

/// The part of a document at a path, if it is there.
fn at_mut<'a>(document: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    path.iter()
        .try_fold(document, |value, step| match (value, step) {
            (Value::Object(members), Step::Name(name)) => members.get_mut(name.as_str()),
            (Value::Array(all), Step::At(at)) => all.get_mut(*at),
            _ => None,
        })
}

/// Sets what is at a path. What is missing on the way is made, unless something else stands there.
fn set(document: &mut Value, path: &[Step], given: Given, create: bool) {
    if !create {
        if let Some(part) = at_mut(document, path) {
            *part = given.value;
        }
        return;
    }
    // Whether all of it can be made is known before anything is.
    let mut part = Some(&*document);
    for step in path {
        part = match (part, step) {
            (Some(Value::Object(members)), Step::Name(name)) => members.get(name.as_str()),
            (Some(Value::Array(all)), Step::At(at)) => all.get(*at),
            (None | Some(Value::Null), _) => None,
            _ => return,
        };
    }
    let mut part = document;
    for step in path {
        part = match step {
            Step::Name(name) => {
                if part.is_null() {
                    *part = Value::Object(Map::new());
                }
                let Value::Object(members) = part else { return };
                members.entry(name.clone()).or_insert(Value::Null)
            }
            Step::At(at) => {
                if part.is_null() {
                    *part = Value::Array(Vec::new());
                }
                let Value::Array(all) = part else { return };
                if *at > MOST {
                    return;
                }
                if all.len() <= *at {
                    all.resize(at + 1, Value::Null);
                }
                let Some(element) = all.get_mut(*at) else {
                    return;
                };
                element
            }
        };
    }
    *part = given.value;
}

/// Arrays are not made longer than this by a position alone.
const MOST: usize = 1 << 20;

fn append(document: &mut Value, path: &[Step], given: Given, each: bool) -> Result<()> {
    match at_mut(document, path) {
        Some(Value::Array(all)) => all.extend(given.elements(each)),
        Some(part @ Value::Null) => *part = Value::Array(given.elements(each)),
        _ => {}
    }
    Ok(())
}

fn insert(document: &mut Value, path: &[Step], given: Given, each: bool) -> Result<()> {
    let Some((Step::At(at), before)) = path.split_last() else {
        return Ok(());
    };
    let Some(part) = at_mut(document, before) else {
        return Ok(());
    };
    if part.is_null() {
        *part = Value::Array(Vec::new());
    }
    if let Value::Array(all) = part {
        if *at > MOST {
            return exec_err!("the position {at} of an array in JSON is too large");
        }
        if all.len() < *at {
            all.resize(*at, Value::Null);
        }
        all.splice(at..at, given.elements(each));
    }
    Ok(())
}

fn remove(document: &mut Value, path: &[Step]) -> Result<()> {
    let Some((last, before)) = path.split_last() else {
        return exec_err!("The JSONPath cannot be '$'");
    };
    match (at_mut(document, before), last) {
        (Some(Value::Object(members)), Step::Name(name)) => {
            members.shift_remove(name.as_str());
        }
        (Some(Value::Array(all)), Step::At(at)) if *at < all.len() => {
            all.remove(*at);
        }
        _ => {}
    }
    Ok(())
}

/// Leaves out what is null in objects, in arrays as well if so wanted, and what is empty then.
fn strip(value: &mut Value, arrays: bool, empty: bool) {
    let goes = |value: &Value| match value {
        Value::Null => true,
        Value::Object(members) => empty && members.is_empty(),
        Value::Array(all) => empty && arrays && all.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(|v| strip(v, arrays, empty));
            members.retain(|_, v| !goes(v));
        }
        Value::Array(all) => {
            all.iter_mut().for_each(|v| strip(v, arrays, empty));
            if arrays {
                all.retain(|v| !goes(v));
            }
        }
        _ => {}
    }
}
