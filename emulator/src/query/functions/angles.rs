//! Angles that the planner has no functions for, and distances between vectors.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::numbers::checked;
use super::{Call, Function, float};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_acos", &[1], float, |call| {
            checked(call, "ACOS", |x| (x.abs() <= 1.0).then(|| x.acos()))
        }),
        Function::made("millpond_asin", &[1], float, |call| {
            checked(call, "ASIN", |x| (x.abs() <= 1.0).then(|| x.asin()))
        }),
        Function::made("millpond_acosh", &[1], float, |call| {
            checked(call, "ACOSH", |x| (x >= 1.0).then(|| x.acosh()))
        }),
        Function::made("millpond_asinh", &[1], float, |call| {
            checked(call, "ASINH", |x| Some(x.asinh()))
        }),
        Function::made("millpond_atanh", &[1], float, |call| {
            checked(call, "ATANH", |x| (x.abs() < 1.0).then(|| x.atanh()))
        }),
        Function::made("millpond_cosh", &[1], float, |call| {
            checked(call, "COSH", |x| finite(x, x.cosh()))
        }),
        Function::made("millpond_sinh", &[1], float, |call| {
            checked(call, "SINH", |x| finite(x, x.sinh()))
        }),
        Function::made("millpond_cot", &[1], float, |call| {
            checked(call, "COT", |x| (x != 0.0).then(|| 1.0 / x.tan()))
        }),
        Function::made("millpond_coth", &[1], float, |call| {
            checked(call, "COTH", |x| (x != 0.0).then(|| 1.0 / x.tanh()))
        }),
        Function::made("millpond_csc", &[1], float, |call| {
            checked(call, "CSC", |x| (x != 0.0).then(|| 1.0 / x.sin()))
        }),
        Function::made("millpond_csch", &[1], float, |call| {
            checked(call, "CSCH", |x| (x != 0.0).then(|| 1.0 / x.sinh()))
        }),
        Function::made("millpond_sec", &[1], float, |call| {
            checked(call, "SEC", |x| Some(1.0 / x.cos()))
        }),
        Function::made("millpond_sech", &[1], float, |call| {
            checked(call, "SECH", |x| Some(1.0 / x.cosh()))
        }),
        Function::made("millpond_cosine_distance", &[2], float, |call| {
            vectors(call, "COSINE_DISTANCE", |a, b| {
                let dot: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                let length = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
                let lengths = length(a) * length(b);
                if lengths == 0.0 {
                    return exec_err!("Cannot compute cosine distance against zero vector.");
                }
                Ok(1.0 - dot / lengths)
            })
        }),
        Function::made("millpond_euclidean_distance", &[2], float, |call| {
            vectors(call, "EUCLIDEAN_DISTANCE", |a, b| {
                let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
                Ok(squares.sum::<f64>().sqrt())
            })
        }),
    ]
}

/// A value that is only infinite where the argument is.
fn finite(of: f64, value: f64) -> Option<f64> {
    (value.is_finite() || of.is_infinite()).then_some(value)
}

/// Applies `one` to two vectors of one length.
fn vectors(
    call: &Call,
    name: &str,
    one: impl Fn(&[f64], &[f64]) -> Result<f64>,
) -> Result<ArrayRef> {
    let lists = |at: usize| match call.array(at)?.as_list_opt::<i32>() {
        Some(lists) => Ok(lists),
        None => exec_err!("{name} expects arrays of FLOAT64"),
    };
    let (left, right) = (lists(0)?, lists(1)?);
    let numbers = |array: ArrayRef| -> Result<Vec<f64>> {
        if array.null_count() > 0 {
            return exec_err!("{name} does not accept NULL in an array");
        }
        let floats = cast(&array, &DataType::Float64)?;
        Ok(floats.as_primitive::<Float64Type>().values().to_vec())
    };
    let found = (0..call.rows).map(|row| {
        if left.is_null(row) || right.is_null(row) {
            return Ok(None);
        }
        let (a, b) = (numbers(left.value(row))?, numbers(right.value(row))?);
        if a.len() != b.len() {
            return exec_err!(
                "Array length mismatch: {} and {} in {name}",
                a.len(),
                b.len()
            );
        }
        one(&a, &b).map(Some)
    });
    Ok(Arc::new(found.collect::<Result<Float64Array>>()?))
}
