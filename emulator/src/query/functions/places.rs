//! Functions of places: `ST_X`, `ST_DISTANCE` and others.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::values::geography;
use super::{Call, Function, argument, each, external, nullable};
use crate::geography::{self as shapes, Place, distance};
use crate::wire;

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_longitude", &[1], float, |call| {
            let found = measured(call, |place| Ok(point(place, "ST_X")?.map(|(x, _)| x)))?;
            Ok(Arc::new(Float64Array::from(found)))
        }),
        Function::made("millpond_latitude", &[1], float, |call| {
            let found = measured(call, |place| Ok(point(place, "ST_Y")?.map(|(_, y)| y)))?;
            Ok(Arc::new(Float64Array::from(found)))
        }),
        Function::made("millpond_is_empty_place", &[1], truth, |call| {
            let found = measured(call, |place| Ok(Some(place.is_empty())))?;
            Ok(Arc::new(BooleanArray::from(found)))
        }),
        Function::made("millpond_points", &[1], integer, |call| {
            let found = measured(call, |place| Ok(i64::try_from(place.points()).ok()))?;
            Ok(Arc::new(Int64Array::from(found)))
        }),
        Function::made("millpond_dimension", &[1], integer, |call| {
            let found = measured(call, |place| Ok(Some(place.dimension())))?;
            Ok(Arc::new(Int64Array::from(found)))
        }),
        Function::made("millpond_place_kind", &[1], text, |call| {
            let found = measured(call, |place| Ok(Some(place.kind().to_owned())))?;
            Ok(Arc::new(StringArray::from(found)))
        }),
        Function::made("millpond_place_json", &[1], text, |call| {
            let found = measured(call, |place| place.json().map(Some))?;
            Ok(Arc::new(StringArray::from(found)))
        }),
        Function::made("millpond_place_of_json", &[1], geography, |call| {
            let read = |text: &str| match text.trim_start().starts_with('{') {
                true => shapes::from_text(text).map_err(external),
                false => exec_err!("Invalid GeoJSON: {text:?}"),
            };
            Ok(Arc::new(StringArray::from(each(&call.texts(0)?, read)?)))
        }),
        Function::made("millpond_place_of_bytes", &[1], geography, |call| {
            let array = call.array(0)?;
            let Some(all) = array.as_binary_opt::<i32>() else {
                let read = |text: &str| shapes::from_text(text).map_err(external);
                return Ok(Arc::new(StringArray::from(each(&call.texts(0)?, read)?)));
            };
            let read = |bytes: &[u8]| shapes::from_binary(bytes).map_err(external);
            Ok(Arc::new(StringArray::from(each(all.iter(), read)?)))
        }),
        Function::made("millpond_distance", &[2], float, |call| {
            Ok(Arc::new(Float64Array::from(distances(call)?)))
        }),
        Function::made("millpond_within_distance", &[3], truth, |call| {
            let most = cast(call.array(2)?, &DataType::Float64)?;
            let most = most.as_primitive::<Float64Type>();
            let found = distances(call)?.into_iter().zip(most);
            let found: BooleanArray = found.map(|(meters, most)| Some(meters? <= most?)).collect();
            Ok(Arc::new(found))
        }),
    ]
}

/// The point that a place is, for a function that needs one.
fn point(place: &Place, function: &str) -> Result<Option<(f64, f64)>, String> {
    place.point().map_err(|e| format!("{function}: {e}"))
}

/// Refuses what is no place.
fn check(args: &ReturnFieldArgs<'_>, at: usize) -> Result<()> {
    let field = argument(args, at)?;
    match wire::sql_type(field) {
        Some("geography") => Ok(()),
        _ if field.data_type().is_null() => Ok(()),
        _ => plan_err!("a GEOGRAPHY is expected as argument {}", at + 1),
    }
}

fn float(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    check(args, 0)?;
    if args.arg_fields.len() > 1 {
        check(args, 1)?;
    }
    nullable(DataType::Float64)
}

fn integer(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    check(args, 0)?;
    nullable(DataType::Int64)
}

fn text(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    check(args, 0)?;
    nullable(DataType::Utf8)
}

fn truth(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    check(args, 0)?;
    if args.arg_fields.len() > 1 {
        check(args, 1)?;
    }
    nullable(DataType::Boolean)
}

/// What `one` tells of every place that is there.
fn measured<T>(
    call: &Call,
    one: impl Fn(&Place) -> Result<Option<T>, String>,
) -> Result<Vec<Option<T>>> {
    let texts = call.texts(0)?;
    texts
        .iter()
        .map(|text| match text {
            None => Ok(None),
            Some(text) => Place::read(text)
                .and_then(|place| one(&place))
                .map_err(external),
        })
        .collect()
}

/// Meters between points; nothing where a place is empty.
fn distances(call: &Call) -> Result<Vec<Option<f64>>> {
    let (ones, others) = (call.texts(0)?, call.texts(1)?);
    let point = |text: &str| -> Result<Option<(f64, f64)>> {
        let place = Place::read(text).map_err(external)?;
        match place.point() {
            Ok(point) => Ok(point),
            Err(_) => exec_err!(
                "distances of {} are not supported by this emulator",
                place.kind()
            ),
        }
    };
    (0..call.rows)
        .map(|row| {
            if ones.is_null(row) || others.is_null(row) {
                return Ok(None);
            }
            let (one, other) = (point(ones.value(row))?, point(others.value(row))?);
            Ok(one.zip(other).map(|(one, other)| distance(one, other)))
        })
        .collect()
}
