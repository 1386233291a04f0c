//! Arithmetic that fails where BigQuery's fails: overflow, division by zero, roots of negative numbers.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray, new_null_array,
};
use arrow::compute::{CastOptions, cast, cast_with_options, concat};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};

use super::decimal_powers::{self, computed, float_or_numeric, power, root};
use super::{Call, Function, argument, decimals, each, float, integer, nullable, text};
use crate::value_text;

/// A value and what it was chosen from.
const MANY: &[usize] = &[
    2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27,
    28, 29, 30, 31, 32,
];

fn of_first(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    Ok(Arc::new(
        Field::clone(argument(args, 0)?).with_nullable(true),
    ))
}

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
        Function::made(
            "millpond_div",
            &[2],
            whole_or_decimal,
            |call| match of_decimals(call, "millpond_decimal_div")? {
                Some(values) => Ok(values),
                None => whole(call, "/", i64::checked_div),
            },
        ),
        Function::made(
            "millpond_mod",
            &[2],
            whole_or_decimal,
            |call| match of_decimals(call, "millpond_decimal_mod")? {
                Some(values) => Ok(values),
                None => whole(call, "%", |a, b| match b {
                    0 => None,
                    b => Some(a.wrapping_rem(b)),
                }),
            },
        ),
        Function::made("millpond_divide", &[2], float, |call| {
            pairs(call, |a, b| {
                if b == 0.0 {
                    let (a, b) = (value_text::float(a), value_text::float(b));
                    return exec_err!("division by zero: {a} / {b}");
                }
                fits(a / b, "/", a, b)
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
        Function::made("millpond_exp", &[1], float_or_numeric, |call| {
            if let Some(all) = of_one(call, "EXP", |x| Some(x.exp()), |_| None)? {
                return Ok(all);
            }
            checked(call, "EXP", |x| {
                let power = x.exp();
                (power.is_finite() || x.is_infinite()).then_some(power)
            })
        }),
        Function::made("millpond_safe_divide", &[2], float_or_decimal, |call| {
            if let Some(values) = safely(call, "millpond_decimal_divide")? {
                return Ok(values);
            }
            pairs(call, |a, b| {
                let value = Some(a / b).filter(|_| b != 0.0);
                Ok(value.filter(|v| !v.is_infinite() || a.is_infinite()))
            })
        }),
        Function::made("millpond_safe_add", &[2], number, |call| {
            safe_of(call, i64::checked_add, "millpond_decimal_add", |a, b| a + b)
        }),
        Function::made("millpond_safe_subtract", &[2], number, |call| {
            let one = "millpond_decimal_subtract";
            safe_of(call, i64::checked_sub, one, |a, b| a - b)
        }),
        Function::made("millpond_safe_multiply", &[2], number, |call| {
            let one = "millpond_decimal_multiply";
            safe_of(call, i64::checked_mul, one, |a, b| a * b)
        }),
        Function::made("millpond_safe_negate", &[1], same, |call| {
            if !call.array(0)?.data_type().is_integer() {
                return negate(call);
            }
            let values: Int64Array = call
                .integers(0)?
                .iter()
                .map(|x| x.and_then(i64::checked_neg))
                .collect();
            Ok(Arc::new(values))
        }),
        // What is rounded has the type of what was to be rounded; whole numbers are floats then.
        Function::made("millpond_rounded", &[2], of_second, |call| {
            Ok(cast_with_options(
                call.array(0)?,
                call.returns.data_type(),
                &CastOptions {
                    safe: false,
                    ..CastOptions::default()
                },
            )?)
        }),
        Function::made("millpond_sign", &[1], same, |call| {
            let array = call.array(0)?;
            let kind = array.data_type();
            if kind.is_integer() || kind.is_null() {
                let values: Int64Array = call.integers(0)?.unary(i64::signum);
                return Ok(Arc::new(values));
            }
            let signs = floats(call, 0)?.unary::<_, Float64Type>(|x| {
                if x == 0.0 || x.is_nan() {
                    x
                } else {
                    x.signum()
                }
            });
            let signs: ArrayRef = Arc::new(signs);
            Ok(cast(&signs, kind)?)
        }),
        Function::made("millpond_round", &[3], same, decimal_powers::round),
        Function::made("millpond_is_inf", &[1], truth, |call| {
            let values: BooleanArray = floats(call, 0)?
                .iter()
                .map(|x| x.map(f64::is_infinite))
                .collect();
            Ok(Arc::new(values))
        }),
        Function::made("millpond_cbrt", &[1], float, |call| {
            checked(call, "CBRT", |x| Some(x.cbrt()))
        }),
        Function::made("millpond_log", &[2], float_or_numeric, |call| {
            let near = |given: &[f64]| match given {
                [x, base] if *x > 0.0 && *base > 0.0 && *base != 1.0 => Some(x.ln() / base.ln()),
                _ => None,
            };
            if let Some(all) = computed(call, "LOG", near, |_| None)? {
                return Ok(all);
            }
            pairs(call, |x, base| {
                if x <= 0.0 || base <= 0.0 || base == 1.0 {
                    let (x, base) = (value_text::float(x), value_text::float(base));
                    return exec_err!("Floating point error in function: LOG({x}, {base})");
                }
                Ok(Some(match base {
                    2.0 => x.log2(),
                    10.0 => x.log10(),
                    _ => x.ln() / base.ln(),
                }))
            })
        }),
        // A value, unless one of those behind it is no number.
        Function::made("millpond_unless_nan", MANY, of_first, |call| {
            let value = call.array(0)?;
            if !value.data_type().is_floating() {
                return Ok(Arc::clone(value));
            }
            let others = (1..call.arrays.len())
                .filter(|at| call.array(*at).is_ok_and(|a| a.data_type().is_floating()))
                .map(|at| floats(call, at))
                .collect::<Result<Vec<_>>>()?;
            let values = floats(call, 0)?;
            let nan = |row: usize| {
                let mut at_row = others.iter().map(|o| o.is_valid(row).then(|| o.value(row)));
                at_row.any(|x| x.is_some_and(f64::is_nan))
            };
            let values = values
                .iter()
                .enumerate()
                .map(|(row, value)| match nan(row) {
                    true => value.map(|_| f64::NAN),
                    false => value,
                });
            Ok(Arc::new(values.collect::<Float64Array>()))
        }),
        Function::made("millpond_ieee_divide", &[2], float, |call| {
            pairs(call, |a, b| Ok(Some(a / b)))
        }),
        Function::made("millpond_pow", &[2], float_or_numeric, |call| {
            let near = |given: &[f64]| match given {
                [base, exponent] => Some(base.powf(*exponent)).filter(|p| !p.is_nan()),
                _ => None,
            };
            if let Some(all) = computed(call, "POW", near, power)? {
                return Ok(all);
            }
            pairs(call, |a, b| {
                let power = a.powf(b);
                if !power.is_finite() && a.is_finite() && b.is_finite() {
                    return exec_err!("Floating point error in function: POW");
                }
                Ok(Some(power))
            })
        }),
        Function::made("millpond_sqrt", &[1], float_or_numeric, |call| {
            if let Some(all) = of_one(call, "SQRT", |x| (x >= 0.0).then(|| x.sqrt()), root)? {
                return Ok(all);
            }
            checked(call, "SQRT", |x| (x >= 0.0).then(|| x.sqrt()))
        }),
        Function::made("millpond_ln", &[1], float_or_numeric, |call| {
            if let Some(all) = of_one(call, "LN", |x| (x > 0.0).then(|| x.ln()), |_| None)? {
                return Ok(all);
            }
            checked(call, "LN", |x| (x > 0.0).then(|| x.ln()))
        }),
        Function::made("millpond_log10", &[1], float_or_numeric, |call| {
            if let Some(all) = of_one(call, "LOG10", |x| (x > 0.0).then(|| x.log10()), |_| None)? {
                return Ok(all);
            }
            checked(call, "LOG10", |x| (x > 0.0).then(|| x.log10()))
        }),
    ]
}

/// A function of one NUMERIC, if the call is of one.
fn of_one(
    call: &Call,
    name: &str,
    near: fn(f64) -> Option<f64>,
    exact: fn(&[i128]) -> Option<i128>,
) -> Result<Option<ArrayRef>> {
    let near = |given: &[f64]| match given {
        [x] => near(*x).filter(|value| value.is_finite()),
        _ => None,
    };
    computed(call, name, near, exact)
}

/// INT64 of integers, or the wider of two decimals.
fn whole_or_decimal(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    Ok(decimals::wider_of(args)?.unwrap_or(integer(args)?))
}

fn float_or_decimal(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    Ok(decimals::wider_of(args)?.unwrap_or(float(args)?))
}

/// The type of arithmetic of two numbers.
fn number(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let floats = [argument(args, 0)?, argument(args, 1)?];
    if floats.iter().any(|f| f.data_type().is_floating()) {
        return float(args);
    }
    whole_or_decimal(args)
}

/// The values of a function of decimals, if the call returns decimals.
fn of_decimals(call: &Call, name: &str) -> Result<Option<ArrayRef>> {
    if !is_decimal(call.returns.data_type()) {
        return Ok(None);
    }
    let function = decimals::functions();
    let Some(function) = function.into_iter().find(|f| f.name() == name) else {
        return exec_err!("there is no function {name}");
    };
    let values = function.invoke_with_args(ScalarFunctionArgs {
        args: call
            .arrays
            .iter()
            .cloned()
            .map(ColumnarValue::Array)
            .collect(),
        arg_fields: call.fields.clone(),
        number_rows: call.rows,
        return_field: Arc::clone(&call.returns),
        config_options: Arc::default(),
    })?;
    Ok(Some(values.to_array(call.rows)?))
}

/// The same, with a null where there is no value.
fn safely(call: &Call, name: &str) -> Result<Option<ArrayRef>> {
    if let Ok(all) = of_decimals(call, name) {
        return Ok(all);
    }
    let rows = (0..call.rows).map(|row| {
        let one = call.row(row);
        let value = of_decimals(&one, name);
        match value {
            Ok(Some(value)) => value,
            _ => new_null_array(call.returns.data_type(), 1),
        }
    });
    let rows: Vec<ArrayRef> = rows.collect();
    let rows: Vec<&dyn Array> = rows.iter().map(AsRef::as_ref).collect();
    Ok(Some(concat(&rows)?))
}

fn safe_of(
    call: &Call,
    integers: fn(i64, i64) -> Option<i64>,
    of_decimal: &str,
    of_floats: fn(f64, f64) -> f64,
) -> Result<ArrayRef> {
    if let Some(values) = safely(call, of_decimal)? {
        return Ok(values);
    }
    if call.returns.data_type().is_floating() {
        return pairs(call, |a, b| {
            let value = of_floats(a, b);
            let fits = value.is_finite() || !a.is_finite() || !b.is_finite();
            Ok(fits.then_some(value))
        });
    }
    let (left, right) = (call.integers(0)?, call.integers(1)?);
    let values: Int64Array = left
        .iter()
        .zip(right.iter())
        .map(|(a, b)| integers(a?, b?))
        .collect();
    Ok(Arc::new(values))
}

fn truth(_: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(DataType::Boolean)
}

fn same(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let own = argument(args, 0)?;
    Ok(Arc::new(Field::clone(own).with_nullable(true)))
}

fn of_second(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    nullable(match argument(args, 1)?.data_type() {
        DataType::Decimal128(_, _) => DataType::Decimal128(38, 9),
        DataType::Decimal256(_, _) => DataType::Decimal256(76, 38),
        _ => DataType::Float64,
    })
}

/// Floats are put in order by a number, times of day by their microseconds and bytes by their hexadecimal digits, because the planner
/// makes no windows of them, everything else by itself.
fn ordered(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    match argument(args, 0)?.data_type() {
        DataType::Interval(_) | DataType::Time64(_) => integer(args),
        DataType::Binary => text(args),
        kind if kind.is_floating() => integer(args),
        _ => same(args),
    }
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
        DataType::Interval(_) => super::spans::negated(call),
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
    if matches!(array.data_type(), DataType::Interval(_)) {
        return super::spans::keys(call);
    }
    if let Some(bytes) = array.as_binary_opt::<i32>() {
        let digits = |b: &[u8]| b.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let keys = bytes.iter().map(|value| value.map(digits));
        return Ok(Arc::new(keys.collect::<StringArray>()));
    }
    if matches!(array.data_type(), DataType::Time64(_)) {
        return Ok(arrow::compute::cast(array, &DataType::Int64)?);
    }
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
    pairs(call, |a, b| fits(one(a, b), sign, a, b))
}

/// What two floats have become, unless that is too large.
fn fits(value: f64, sign: &str, a: f64, b: f64) -> Result<Option<f64>> {
    if value.is_finite() || !a.is_finite() || !b.is_finite() {
        return Ok(Some(value));
    }
    let (a, b) = (value_text::float(a), value_text::float(b));
    exec_err!("double overflow: {a} {sign} {b}")
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
                None if matches!(sign, "/" | "%") && b == 0 => {
                    exec_err!("division by zero: {a} / {b}")
                }
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
pub(super) fn checked(
    call: &Call,
    name: &str,
    one: impl Fn(f64) -> Option<f64>,
) -> Result<ArrayRef> {
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
