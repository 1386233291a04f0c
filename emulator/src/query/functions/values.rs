//! Arrays, ranges, places and JSON.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::{Call, Function, argument, each, external, integer, nullable, text};
use crate::geography as places;
use crate::{value_text, wire};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_array_length", &[1], integer, |call| {
            let array = call.array(0)?;
            let Some(lists) = array.as_list_opt::<i32>() else {
                return exec_err!("ARRAY_LENGTH expects an array, not {}", array.data_type());
            };
            let lengths: Int64Array = (0..lists.len())
                .map(|row| {
                    let length = i64::from(lists.value_length(row));
                    lists.is_valid(row).then_some(length)
                })
                .collect();
            Ok(Arc::new(lengths))
        }),
        Function::made("millpond_range", &[2], range_field, range),
        Function::made("millpond_range_start", &[1], range_end, |call| {
            end_of(call, 0)
        }),
        Function::made("millpond_range_end", &[1], range_end, |call| {
            end_of(call, 1)
        }),
        Function::made("millpond_point", &[2], geography, point),
        Function::made("millpond_geography", &[1], geography, |call| {
            let read = |text: &str| places::from_text(text).map_err(external);
            Ok(Arc::new(StringArray::from(each(&call.texts(0)?, read)?)))
        }),
        Function::made("millpond_geography_text", &[1], text, |call| {
            Ok(Arc::new(call.texts(0)?))
        }),
        // The value itself; that it may be another one every time keeps the planner from knowing anything about it.
        Function::with_volatility(
            "millpond_hidden",
            &[1],
            |args| Ok(Arc::clone(argument(args, 0)?)),
            |call| Ok(Arc::clone(call.array(0)?)),
            datafusion::logical_expr::Volatility::Volatile,
        ),
        // A text of JSON is the text, of anything else what CAST writes.
        Function::made("millpond_string", &[1], text, |call| {
            if wire::sql_type(call.field(0)?) == Some("json") {
                return super::members::texts_of(call);
            }
            super::casts::written(call.array(0)?, call.field(0)?)
        }),
        // Both branches have one type, and what a CASE forgets about it is said again.
        Function::made(
            "millpond_like",
            &[2],
            |args| {
                let (value, model) = (argument(args, 0)?, argument(args, 1)?);
                let metadata = model.metadata().clone();
                Ok(Arc::new(Field::clone(value).with_metadata(metadata)))
            },
            |call| Ok(Arc::clone(call.array(0)?)),
        ),
    ]
}

fn tagged(data_type: DataType, sql_type: &str) -> Result<FieldRef> {
    let metadata = wire::extension_metadata(sql_type);
    let field = Field::new("value", data_type, true).with_metadata(metadata);
    Ok(Arc::new(field))
}

pub(super) fn json_field(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    tagged(DataType::Utf8, "json")
}

pub(super) fn geography(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    tagged(DataType::Utf8, "geography")
}

fn range_field(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let (start, end) = (argument(args, 0)?, argument(args, 1)?);
    let element = if start.data_type().is_null() {
        end
    } else {
        start
    };
    match element.data_type() {
        DataType::Date32 | DataType::Timestamp(_, _) => {
            let end = |name| Field::new(name, element.data_type().clone(), true);
            tagged(
                DataType::Struct(vec![end("start"), end("end")].into()),
                "range",
            )
        }
        other => exec_err!("RANGE expects DATE, DATETIME or TIMESTAMP, not {other}"),
    }
}

fn range(call: &Call) -> Result<ArrayRef> {
    let DataType::Struct(ends) = call.returns.data_type() else {
        return exec_err!("a range has two ends");
    };
    let columns = ends
        .iter()
        .zip(&call.arrays)
        .map(|(end, array)| Ok(cast(array, end.data_type())?))
        .collect::<Result<Vec<_>>>()?;
    let made = StructArray::try_new_with_length(ends.clone(), columns, None, call.rows)?;
    let micros = |at: usize| super::dates::micros_of(made.column(at));
    let (starts, stops) = (micros(0)?, micros(1)?);
    for (start, end) in starts.iter().zip(&stops) {
        if start.zip(end).is_some_and(|(start, end)| start >= end) {
            return exec_err!("Range start element must be less than range end element");
        }
    }
    Ok(Arc::new(made))
}

fn range_end(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let field = argument(args, 0)?;
    match field.data_type() {
        DataType::Struct(ends) if wire::sql_type(field) == Some("range") => {
            let end = ends.first().map(|e| e.data_type().clone());
            nullable(end.unwrap_or(DataType::Null))
        }
        other => exec_err!("a RANGE is expected, not {other}"),
    }
}

fn end_of(call: &Call, at: usize) -> Result<ArrayRef> {
    let ranges = call.array(0)?.as_struct();
    let Some(end) = ranges.columns().get(at) else {
        return exec_err!("a range has two ends");
    };
    let nulls = NullBuffer::union(ranges.nulls(), end.nulls());
    let data = end.to_data().into_builder().nulls(nulls).build()?;
    Ok(arrow::array::make_array(data))
}

fn numbers(call: &Call, at: usize) -> Result<Float64Array> {
    let array = cast(call.array(at)?, &DataType::Float64)?;
    Ok(array.as_primitive::<Float64Type>().clone())
}

fn point(call: &Call) -> Result<ArrayRef> {
    let (longitudes, latitudes) = (numbers(call, 0)?, numbers(call, 1)?);
    let points = longitudes
        .iter()
        .zip(latitudes.iter())
        .map(|pair| match pair {
            (Some(x), Some(y)) if (-90.0..=90.0).contains(&y) => {
                let (x, y) = (value_text::float(x), value_text::float(y));
                Ok(Some(format!("POINT({x} {y})")))
            }
            (Some(_), Some(y)) => exec_err!("Latitude must be between -90 and 90 degrees, got {y}"),
            _ => Ok(None),
        })
        .collect::<Result<StringArray>>()?;
    Ok(Arc::new(points))
}
