//! Parts of values: fields of structs and of JSON, elements of arrays.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};
use serde_json::Value;

use super::{Call, Function, argument, constant, nullable};
use crate::{projection, wire};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_field", &[2], field_type, field),
        Function::made("millpond_at", &[3], element_type, element),
        // What is gathered of no rows is an array without elements.
        Function::made(
            "millpond_some",
            &[1],
            |args| Ok(Arc::clone(argument(args, 0)?)),
            |call| {
                let lists = call.array(0)?.as_list::<i32>();
                let (item, offsets, values, _) = lists.clone().into_parts();
                Ok(Arc::new(ListArray::try_new(item, offsets, values, None)?))
            },
        ),
        Function::made(
            "millpond_offsets",
            &[1],
            |_| nullable(DataType::new_list(DataType::Int64, true)),
            offsets,
        ),
    ]
}

fn is_json(field: &Field) -> bool {
    field.data_type() == &DataType::Utf8 && wire::sql_type(field) == Some("json")
}

/// The field of a struct, by its name in any case.
fn field_type(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let (value, name) = (argument(args, 0)?, constant(args, 1)?);
    match value.data_type() {
        DataType::Struct(fields) => match projection::find(fields, &name) {
            Some((_, field)) => Ok(Arc::new(Field::clone(field).with_nullable(true))),
            None => plan_err!("Field name {name} does not exist in the struct"),
        },
        _ if is_json(value) => Ok(Arc::new(Field::clone(value).with_nullable(true))),
        other => plan_err!("Cannot access field {name} on a value with type {other}"),
    }
}

fn field(call: &Call) -> Result<ArrayRef> {
    let names = call.texts(1)?;
    let name = names.iter().next().flatten().unwrap_or_default();
    if is_json(call.field(0)?) {
        return json(call, |_, value| value.get(name));
    }
    let record = call.array(0)?;
    let Some(record) = record.as_struct_opt() else {
        return exec_err!("field {name} of a value that is no struct");
    };
    let Some((index, _)) = projection::find(record.fields(), name) else {
        return exec_err!("there is no field {name}");
    };
    let column = record.column(index);
    let nulls = NullBuffer::union(record.nulls(), column.nulls());
    let data = column.to_data().into_builder().nulls(nulls).build()?;
    Ok(arrow::array::make_array(data))
}

/// A part of JSON, null where there is none.
fn json(
    call: &Call,
    part: impl for<'v> Fn(usize, &'v Value) -> Option<&'v Value>,
) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    let found: StringArray = texts
        .iter()
        .enumerate()
        .map(|(row, text)| {
            let value: Value = serde_json::from_str(text?).ok()?;
            part(row, &value).map(Value::to_string)
        })
        .collect();
    Ok(Arc::new(found))
}

fn element_type(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let (value, index) = (argument(args, 0)?, argument(args, 1)?);
    let whole = index.data_type().is_integer() || index.data_type().is_null();
    match value.data_type() {
        DataType::List(item) if whole => {
            let mut metadata = value.metadata().clone();
            metadata.extend(item.metadata().clone());
            let field = Field::new("value", item.data_type().clone(), true);
            Ok(Arc::new(field.with_metadata(metadata)))
        }
        DataType::List(_) => plan_err!(
            "Array position in [] must be coercible to INT64 type, but has type {}",
            index.data_type()
        ),
        _ if is_json(value) => Ok(Arc::new(Field::clone(value).with_nullable(true))),
        other => plan_err!("Subscript access using [] is not supported on values of type {other}"),
    }
}

fn element(call: &Call) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let Some(lists) = array.as_list_opt::<i32>() else {
        return json_element(call);
    };
    let kind = call.word(2)?;
    let (safe, first) = (
        kind.starts_with("SAFE"),
        i64::from(kind.ends_with("ORDINAL")),
    );
    let positions = call.integers(1)?;
    let mut chosen = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        if lists.is_null(row) || positions.is_null(row) {
            chosen.push(None);
            continue;
        }
        let position = positions.value(row);
        let length = i64::from(lists.value_length(row));
        let at = position
            .checked_sub(first)
            .filter(|at| (0..length).contains(at));
        let Some(at) = at else {
            if safe {
                chosen.push(None);
                continue;
            }
            let side = if position < first {
                "underflow"
            } else {
                "overflow"
            };
            return exec_err!("Array index {position} is out of bounds ({side})");
        };
        let start = lists.value_offsets().get(row).copied().unwrap_or(0);
        let at = u32::try_from(i64::from(start) + at);
        chosen.push(Some(at.map_err(|e| exec_datafusion_err!("{e}"))?));
    }
    Ok(take(lists.values(), &UInt32Array::from(chosen), None)?)
}

fn json_element(call: &Call) -> Result<ArrayRef> {
    let index = call.array(1)?;
    if index.data_type().is_integer() {
        let positions = call.integers(1)?;
        return json(call, |row, value| {
            let at = positions.is_valid(row).then(|| positions.value(row))?;
            value.as_array()?.get(usize::try_from(at).ok()?)
        });
    }
    let names = call.texts(1)?;
    json(call, |row, value| {
        let name = names.is_valid(row).then(|| names.value(row))?;
        value.as_object()?.get(name)
    })
}

/// The positions of an array's elements.
fn offsets(call: &Call) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let Some(lists) = array.as_list_opt::<i32>() else {
        return exec_err!("positions in a value that is no array");
    };
    let lengths = (0..lists.len()).map(|row| {
        let length = i64::from(lists.value_length(row));
        lists
            .is_valid(row)
            .then(|| (0..length).map(Some).collect::<Vec<_>>())
    });
    Ok(Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
        lengths,
    )))
}
