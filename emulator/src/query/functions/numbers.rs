//! Arithmetic that fails where BigQuery's fails: overflow, division by zero, roots of negative numbers.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::{Call, Function, argument, each, float, integer, nullable};
use crate::value_text;

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_add", &[2], integer, |call| {
            whole(call, "+", i64::checked_add)
        }),
        Function::made("millpond_subtract", &[2], integer, |call| {
            whole(call, "-", i64::checked_sub)
        }),
        Function::made("millpond_multiply", &[2], integer, |call| {
            whole(call, "*", i64::checked_mul)
        }),
        Function::made("millpond_div", &[2], integer, |call| {
            whole(call, "/", i64::checked_div)
        }),
        Function::made("millpond_divide", &[2], float, |call| {
            pairs(call, |a, b| {
                if b == 0.0 {
                    let (a, b) = (value_text::float(a), value_text::float(b));
                    return exec_err!("division by zero: {a} / {b}");
                }
                Ok(Some(a / b))
            })
        }),
        Function::made("millpond_float_add", &[2], float, |call| {
            finite(call, "+", |a, b| a + b)
        }),
        Function::made("millpond_float_subtract", &[2], float, |call| {
            finite(call, "-", |a, b| a - b)
        }),
        Function::made("millpond_float_multiply", &[2], float, |call| {
            finite(call, "*", |a, b| a * b)
        }),
        Function::made("millpond_float_eq", &[2], truth, |call| {
            compared(call, |a, b| a == b)
        }),
        Function::made("millpond_float_not_eq", &[2], truth, |call| {
            compared(call, |a, b| a != b)
        }),
        Function::made("millpond_float_less", &[2], truth, |call| {
            compared(call, |a, b| a < b)
        }),
        Function::made("millpond_float_less_eq", &[2], truth, |call| {
            compared(call, |a, b| a <= b)
        }),
        Function::made("millpond_float_greater", &[2], truth, |call| {
            compared(call, |a, b| a > b)
        }),
        Function::made("millpond_float_greater_eq", &[2], truth, |call| {
            compared(call, |a, b| a >= b)
        }),
        Function::made("millpond_negate", &[1], same, negate),
        Function::made("millpond_order", &[1], ordered, order),
        Function::made("millpond_exp", &[1], float, |call| {
            checked(call, "EXP", |x| {
                let power = x.exp();
                (power.is_finite() || x.is_infinite()).then_some(power)
            })
        }),
        Function::made("millpond_safe_divide", &[2], float, |call| {
            pairs(call, |a, b| Ok((b != 0.0).then_some(a / b)))
        }),
        Function::made("millpond_ieee_divide", &[2], float, |call| {
            pairs(call, |a, b| Ok(Some(a / b)))
        }),
        Function::made("millpond_pow", &[2], float, |call| {
            pairs(call, |a, b| {
                let power = a.powf(b);
                if power.is_nan() && !a.is_nan() && !b.is_nan() {
                    return exec_err!("Floating point error in function: POW");
                }
                Ok(Some(power))
            })
        }),
        Function::made("millpond_sqrt", &[1], float, |call| {
            checked(call, "SQRT", |x| (x >= 0.0).then(|| x.sqrt()))
        }),
        Function::made("millpond_ln", &[1], float, |call| {
            checked(call, "LN", |x| (x > 0.0).then(|| x.ln()))
        }),
        Function::made("millpond_log10", &[1], float, |call| {
            checked(call, "LOG10", |x| (x > 0.0).then(|| x.log10()))
        }),
    ]
}

fn truth(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Boolean)
}

fn same(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let own = argument(args, 0)?;
    Ok(Arc::new(Field::clone(own).with_nullable(true)))
}

/// Floats are put in order by a number, everything else by itself.
fn ordered(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    if argument(args, 0)?.data_type().is_floating() {
        return integer(args);
    }
    same(args)
}

fn negate(call: &Call) -> Result<ArrayRef> {
    let array = call.array(0)?;
    match array.data_type() {
        kind if kind.is_integer() => {
            let values = each(&call.integers(0)?, |x| match x.checked_neg() {
                Some(negative) => Ok(negative),
                None => exec_err!("int64 overflow: -({x})"),
            })?;
            Ok(Arc::new(Int64Array::from(values)))
        }
        kind if kind.is_floating() || kind.is_null() || is_decimal(kind) => {
            Ok(arrow::compute::kernels::numeric::neg(array)?)
        }
        other => exec_err!("the operator - for {other} is not supported by this emulator"),
    }
}

fn is_decimal(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _)
    )
}

/// Numbers in BigQuery's order of floats: NaN, then from minus to plus infinity, with one zero.
fn order(call: &Call) -> Result<ArrayRef> {
    let array = call.array(0)?;
    if !array.data_type().is_floating() {
        return Ok(Arc::clone(array));
    }
    let values = each(&floats(call, 0)?, |x| {
        if x.is_nan() {
            return Ok(i64::MIN);
        }
        // The bits of a float that is not negative are in its order; those of a negative one in the opposite.
        let bits = (if x == 0.0 { 0.0 } else { x }).to_bits().cast_signed();
        Ok(if bits < 0 { bits ^ i64::MAX } else { bits })
    })?;
    Ok(Arc::new(Int64Array::from(values)))
}

/// Arithmetic that fails where a result is too large for a float.
fn finite(call: &Call, sign: &str, one: impl Fn(f64, f64) -> f64) -> Result<ArrayRef> {
    pairs(call, |a, b| {
        let value = one(a, b);
        if value.is_finite() || !a.is_finite() || !b.is_finite() {
            return Ok(Some(value));
        }
        let (a, b) = (value_text::float(a), value_text::float(b));
        exec_err!("double overflow: {a} {sign} {b}")
    })
}

fn compared(call: &Call, one: impl Fn(&f64, &f64) -> bool) -> Result<ArrayRef> {
    let (left, right) = (floats(call, 0)?, floats(call, 1)?);
    let values: BooleanArray = left
        .iter()
        .zip(right.iter())
        .map(|(a, b)| Some(one(&a?, &b?)))
        .collect();
    Ok(Arc::new(values))
}

fn whole(call: &Call, sign: &str, one: fn(i64, i64) -> Option<i64>) -> Result<ArrayRef> {
    let (left, right) = (call.integers(0)?, call.integers(1)?);
    let values = left
        .iter()
        .zip(right.iter())
        .map(|pair| match pair {
            (Some(a), Some(b)) => match one(a, b) {
                Some(value) => Ok(Some(value)),
                None if sign == "/" && b == 0 => exec_err!("division by zero: {a} / {b}"),
                None => exec_err!("int64 overflow: {a} {sign} {b}"),
            },
            _ => Ok(None),
        })
        .collect::<Result<Int64Array>>()?;
    Ok(Arc::new(values))
}

fn floats(call: &Call, at: usize) -> Result<Float64Array> {
    let array = call.array(at)?;
    if array.data_type().is_numeric() || array.data_type().is_null() {
        let array = cast(array, &DataType::Float64)?;
        return Ok(array.as_primitive::<Float64Type>().clone());
    }
    exec_err!(
        "argument {} must be a number, not {}",
        at + 1,
        array.data_type()
    )
}

fn pairs(call: &Call, one: impl Fn(f64, f64) -> Result<Option<f64>>) -> Result<ArrayRef> {
    let (left, right) = (floats(call, 0)?, floats(call, 1)?);
    let values = left
        .iter()
        .zip(right.iter())
        .map(|pair| match pair {
            (Some(a), Some(b)) => one(a, b),
            _ => Ok(None),
        })
        .collect::<Result<Float64Array>>()?;
    Ok(Arc::new(values))
}

/// A function that not every number has a value of.
fn checked(call: &Call, name: &str, one: impl Fn(f64) -> Option<f64>) -> Result<ArrayRef> {
    let values = each(&floats(call, 0)?, |x| match one(x) {
        Some(value) => Ok(value),
        None if x.is_nan() => Ok(x),
        None => {
            let x = value_text::float(x);
            exec_err!("Floating point error in function: {name}({x})")
        }
    })?;
    Ok(Arc::new(Float64Array::from(values)))
}
