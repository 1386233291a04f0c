//! JSON made of values, and values out of JSON.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, StringArray,
    StringBuilder,
};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};
use serde_json::{Map, Value};

use super::json_parts::Part;
use super::{Call, Function, float, integer, json_paths, jsons, nullable, text};
use crate::{json_text, wire};

const MANY: &[usize] = &[
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 27, 28, 29, 30, 31, 32,
];
const PAIRS: &[usize] = &[
    0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42, 44, 46, 48,
];

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_json_array", MANY, json, |call| {
            let texts = (0..call.rows).map(|row| {
                let values = (0..call.arrays.len()).map(|at| value(call, at, row));
                Ok(in_order(Value::Array(values.collect::<Result<_>>()?)))
            });
            Ok(Arc::new(StringArray::from(
                texts.collect::<Result<Vec<_>>>()?,
            )))
        }),
        Function::made("millpond_json_object", PAIRS, json, object),
        Function::made("millpond_json_type", &[1], text, |call| {
            let kinds = each(call, |value| {
                let kind = match value {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Number(_) => "number",
                    Value::String(_) => "string",
                    Value::Array(_) => "array",
                    Value::Object(_) => "object",
                };
                Ok(Some(kind.to_owned()))
            })?;
            Ok(Arc::new(StringArray::from(kinds)))
        }),
        Function::made("millpond_json_keys", &[1, 2], texts, |call| {
            let mut lists = ListBuilder::new(StringBuilder::new());
            let most = match call.arrays.len() {
                2 => call.integers(1)?.iter().next().flatten(),
                _ => Some(i64::MAX),
            };
            let most = most.unwrap_or(i64::MAX);
            if most < 1 {
                return exec_err!("max_depth must be positive, not {most}");
            }
            for keys in each(call, |value| Ok(Some(keys(value, most))))? {
                match keys {
                    None => lists.append_null(),
                    Some(keys) => {
                        keys.iter().for_each(|key| lists.values().append_value(key));
                        lists.append(true);
                    }
                }
            }
            Ok(Arc::new(lists.finish()))
        }),
        Function::made("millpond_json_query_array", &[1, 2], texts_like, |call| {
            let mut lists = ListBuilder::new(StringBuilder::new());
            if let DataType::List(item) = call.returns.data_type() {
                lists = lists.with_field(Arc::clone(item));
            }
            json_paths::each(call, |part| match part.and_then(Part::elements) {
                None => lists.append_null(),
                Some(all) => {
                    all.iter()
                        .for_each(|v| lists.values().append_value(v.compact()));
                    lists.append(true);
                }
            })?;
            Ok(Arc::new(lists.finish()))
        }),
        Function::made("millpond_json_bool", &[1], truth, |call| {
            let found = each(call, |value| strict(value, "BOOL", Value::as_bool))?;
            Ok(Arc::new(BooleanArray::from(found)))
        }),
        Function::made("millpond_json_integer", &[1], integer, |call| {
            let found = each(call, |value| strict(value, "INT64", whole))?;
            Ok(Arc::new(Int64Array::from(found)))
        }),
        Function::made("millpond_json_float", &[1], float, |call| {
            let found = each(call, |value| strict(value, "FLOAT64", Value::as_f64))?;
            Ok(Arc::new(Float64Array::from(found)))
        }),
        Function::made("millpond_json_lax_bool", &[1], truth, |call| {
            let found = each(call, |value| Ok(lax_bool(value)))?;
            Ok(Arc::new(BooleanArray::from(found)))
        }),
        Function::made("millpond_json_lax_integer", &[1], integer, |call| {
            let found = each(call, |value| Ok(lax_integer(value)))?;
            Ok(Arc::new(Int64Array::from(found)))
        }),
        Function::made("millpond_json_lax_float", &[1], float, |call| {
            let found = each(call, |value| Ok(lax_float(value)))?;
            Ok(Arc::new(Float64Array::from(found)))
        }),
        Function::made("millpond_json_lax_text", &[1], text, |call| {
            let found = each(call, |value| Ok(lax_text(value)))?;
            Ok(Arc::new(StringArray::from(found)))
        }),
    ]
}

fn json(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let metadata = wire::extension_metadata("json");
    let field = Field::new("value", DataType::Utf8, true);
    Ok(Arc::new(field.with_metadata(metadata)))
}

fn truth(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Boolean)
}

fn texts(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::new_list(DataType::Utf8, true))
}

/// Arrays of what the argument is: of texts, or of JSON.
fn texts_like(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let metadata = super::argument(args, 0)?.metadata().clone();
    let list = DataType::new_list(DataType::Utf8, true);
    let field = Field::new("value", list, true);
    Ok(Arc::new(field.with_metadata(metadata)))
}

/// A document as a text, its members in the order of their names.
fn in_order(mut value: Value) -> String {
    value.sort_all_objects();
    json_text::text(&value)
}

fn value(call: &Call, at: usize, row: usize) -> Result<Value> {
    jsons::json(call.array(at)?, call.field(at)?, row)
}

/// Members by their names, the first of each, in the order of the names.
fn object(call: &Call) -> Result<ArrayRef> {
    let lists = matches!(call.arrays.as_slice(), [names, _] if matches!(names.data_type(), DataType::List(_)));
    let made = (0..call.rows).map(|row| {
        let mut members = std::collections::BTreeMap::new();
        if lists {
            let (names, values) = (value(call, 0, row)?, value(call, 1, row)?);
            let (Value::Array(names), Value::Array(values)) = (names, values) else {
                return exec_err!("JSON_OBJECT does not accept NULL as an array");
            };
            if names.len() != values.len() {
                return exec_err!("The number of keys and values in JSON_OBJECT must match");
            }
            for (name, member) in names.iter().zip(values) {
                let Some(name) = name.as_str() else {
                    return exec_err!("JSON_OBJECT does not accept NULL as a name");
                };
                members.entry(name.to_owned()).or_insert(member);
            }
            let members: Map<String, Value> = members.into_iter().collect();
            return Ok(in_order(Value::Object(members)));
        }
        for at in (0..call.arrays.len()).step_by(2) {
            let names = call.texts(at)?;
            if names.is_null(row) {
                return exec_err!("JSON_OBJECT does not accept NULL as a name");
            }
            let member = value(call, at + 1, row)?;
            members.entry(names.value(row).to_owned()).or_insert(member);
        }
        let members: Map<String, Value> = members.into_iter().collect();
        Ok(in_order(Value::Object(members)))
    });
    Ok(Arc::new(StringArray::from(
        made.collect::<Result<Vec<_>>>()?,
    )))
}

fn each<T>(call: &Call, one: impl Fn(&Value) -> Result<Option<T>>) -> Result<Vec<Option<T>>> {
    call.texts(0)?
        .iter()
        .map(|text| {
            let Some(text) = text else { return Ok(None) };
            let value: Value = serde_json::from_str(text)
                .map_err(|e| exec_datafusion_err!("invalid JSON: {e}"))?;
            one(&value)
        })
        .collect()
}

/// The texts that documents are.
pub(super) fn texts_of(call: &Call) -> Result<ArrayRef> {
    let own = |value: &Value| value.as_str().map(str::to_owned);
    let found = each(call, |value| strict(value, "STRING", own))?;
    Ok(Arc::new(StringArray::from(found)))
}

pub(super) fn lax_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => number.as_f64().map(|n| n != 0.0),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn lax_integer(value: &Value) -> Option<i64> {
    let rounded = |float: f64| {
        let rounded = float.round();
        (rounded.abs() < 9.2e18).then_some(rounded as i64)
    };
    match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::Number(number) => number.as_i64().or(number.as_f64().and_then(rounded)),
        Value::String(text) => {
            let text = text.trim();
            let float = || text.parse::<f64>().ok().and_then(rounded);
            text.parse().ok().or_else(float)
        }
        _ => None,
    }
}

pub(super) fn lax_float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub(super) fn lax_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        // Whole numbers have no point, whatever they were written with.
        Value::Number(number) => Some(match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                float.to_string()
            }
            _ => number.to_string(),
        }),
        Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

pub(super) fn whole(value: &Value) -> Option<i64> {
    let float = || {
        value
            .as_f64()
            .filter(|f| f.fract() == 0.0 && f.abs() < 9.2e18)
    };
    value.as_i64().or_else(|| float().map(|f| f as i64))
}

fn strict<T>(value: &Value, kind: &str, one: impl Fn(&Value) -> Option<T>) -> Result<Option<T>> {
    match one(value) {
        Some(found) => Ok(Some(found)),
        None => exec_err!("The provided JSON input is not {kind}: {value}"),
    }
}

/// The names of all members, those of members included, in order.
fn keys(value: &Value, most: i64) -> Vec<String> {
    fn walk(value: &Value, before: &str, most: i64, all: &mut std::collections::BTreeSet<String>) {
        let Value::Object(members) = value else {
            return;
        };
        if most == 0 {
            return;
        }
        for (name, member) in members {
            let name = if name.chars().all(|c| c.is_alphanumeric() || c == '_') {
                name.clone()
            } else {
                format!("\"{name}\"")
            };
            let path = if before.is_empty() {
                name
            } else {
                format!("{before}.{name}")
            };
            walk(member, &path, most - 1, all);
            all.insert(path);
        }
    }
    let mut all = std::collections::BTreeSet::new();
    walk(value, "", most, &mut all);
    all.into_iter().collect()
}
