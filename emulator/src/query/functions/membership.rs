//! Whether a value is among the elements of an array, as IN UNNEST asks: it is not known where an element that is missing decides.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::{Call, Function, argument, nullable};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![Function::made("millpond_is_among", &[2], truth, is_among)]
}

fn truth(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let (value, array) = (argument(args, 0)?, argument(args, 1)?);
    let element = match array.data_type() {
        DataType::List(item) => item.data_type(),
        DataType::Null => return nullable(DataType::Boolean),
        other => {
            return plan_err!("Second argument of IN UNNEST must be an array but was {other}");
        }
    };
    match common(value.data_type(), element) {
        Some(_) => nullable(DataType::Boolean),
        None => plan_err!(
            "No matching signature for operator IN UNNEST for argument types: {}, ARRAY<{element}>",
            value.data_type()
        ),
    }
}

/// The type in which two values can be compared.
fn common(one: &DataType, other: &DataType) -> Option<DataType> {
    let rank = |kind: &DataType| match kind {
        DataType::Int64 => Some(0),
        DataType::Decimal128(_, _) => Some(1),
        DataType::Decimal256(_, _) => Some(2),
        DataType::Float64 => Some(3),
        _ => None,
    };
    match (one, other) {
        (one, other) if one == other || other.is_null() => Some(one.clone()),
        (DataType::Null, other) => Some(other.clone()),
        (DataType::Struct(own), DataType::Struct(theirs)) => {
            let pairs = own.iter().zip(theirs);
            let fits = |(own, theirs): (&FieldRef, &FieldRef)| {
                common(own.data_type(), theirs.data_type()).is_some()
            };
            let same = own.len() == theirs.len() && pairs.into_iter().all(fits);
            same.then(|| one.clone())
        }
        (one, other) => match (rank(one)?, rank(other)?) {
            (own, theirs) if own < theirs => Some(other.clone()),
            _ => Some(one.clone()),
        },
    }
}

fn is_among(call: &Call) -> Result<ArrayRef> {
    let (values, arrays) = (call.array(0)?, call.array(1)?);
    let Some(lists) = arrays.as_list_opt::<i32>() else {
        // No array has no elements.
        return Ok(Arc::new(BooleanArray::from(vec![false; call.rows])));
    };
    let found = (0..call.rows).map(|row| {
        let elements = lists.value(row);
        if lists.is_null(row) || elements.is_empty() {
            return Ok(Some(false));
        }
        let mut known = true;
        for at in 0..elements.len() {
            match equal(values, row, &elements, at)? {
                Some(true) => return Ok(Some(true)),
                Some(false) => {}
                None => known = false,
            }
        }
        Ok(known.then_some(false))
    });
    Ok(Arc::new(found.collect::<Result<BooleanArray>>()?))
}

/// Whether two values are equal, if that can be known.
fn equal(one: &ArrayRef, at: usize, other: &ArrayRef, there: usize) -> Result<Option<bool>> {
    if one.is_null(at)
        || other.is_null(there)
        || one.data_type().is_null()
        || other.data_type().is_null()
    {
        return Ok(None);
    }
    if let (Some(own), Some(theirs)) = (one.as_struct_opt(), other.as_struct_opt()) {
        let mut known = true;
        for (own, theirs) in own.columns().iter().zip(theirs.columns()) {
            match equal(own, at, theirs, there)? {
                Some(false) => return Ok(Some(false)),
                Some(true) => {}
                None => known = false,
            }
        }
        return Ok(known.then_some(true));
    }
    let Some(kind) = common(one.data_type(), other.data_type()) else {
        return exec_err!(
            "a value of {} is compared with one of {}",
            one.data_type(),
            other.data_type()
        );
    };
    let (one, other) = (
        cast(&one.slice(at, 1), &kind)?,
        cast(&other.slice(there, 1), &kind)?,
    );
    if kind == DataType::Float64 {
        let (one, other) = (
            one.as_primitive::<Float64Type>(),
            other.as_primitive::<Float64Type>(),
        );
        return Ok(Some(one.value(0) == other.value(0)));
    }
    let one = ScalarValue::try_from_array(&one, 0)?;
    Ok(Some(one == ScalarValue::try_from_array(&other, 0)?))
}
