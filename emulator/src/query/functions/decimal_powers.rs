//! Roots, powers and logarithms of NUMERIC, which are NUMERIC.
//!
//! They are computed as floats and rounded to nine digits, which is right as long as the value is not so large that a float has fewer
//! digits behind the point; beyond that they are exact or refused.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, FieldRef};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ReturnFieldArgs;

use super::{Call, float, nullable};

const UNIT: i128 = 1_000_000_000;

/// A float below this has more than nine digits behind its point.
const EXACT: f64 = 1e6;

/// NUMERIC where a number among the arguments is one and none is a float.
pub(super) fn float_or_numeric(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let types: Vec<&DataType> = args.arg_fields.iter().map(|f| f.data_type()).collect();
    let decimal =
        |t: &&&DataType| matches!(t, DataType::Decimal128(_, _) | DataType::Decimal256(_, _));
    match types.iter().find(decimal) {
        Some(kind) if !types.iter().any(|t| t.is_floating()) => match kind {
            DataType::Decimal128(_, _) => nullable(DataType::Decimal128(38, 9)),
            _ => exec_err!("this function of BIGNUMERIC is not supported by this emulator"),
        },
        _ => float(args),
    }
}

/// What a function gives for the arguments of a row as floats, or exactly.
pub(super) fn computed(
    call: &Call,
    name: &str,
    near: impl Fn(&[f64]) -> Option<f64>,
    exact: impl Fn(&[i128]) -> Option<i128>,
) -> Result<Option<ArrayRef>> {
    if !matches!(call.returns.data_type(), DataType::Decimal128(_, _)) {
        return Ok(None);
    }
    let kind = DataType::Decimal128(38, 9);
    let columns = call.arrays.iter().map(|array| cast(array, &kind));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let found = (0..call.rows).map(|row| {
        let given: Option<Vec<i128>> = columns
            .iter()
            .map(|c| {
                c.is_valid(row)
                    .then(|| c.as_primitive::<Decimal128Type>().value(row))
            })
            .collect();
        let Some(given) = given else { return Ok(None) };
        if let Some(value) = exact(&given) {
            return Ok(Some(value));
        }
        let floats: Vec<f64> = given.iter().map(|v| *v as f64 / UNIT as f64).collect();
        match near(&floats) {
            Some(value) if value.abs() < EXACT => Ok(Some((value * UNIT as f64).round() as i128)),
            Some(value) if value.is_finite() => {
                exec_err!("{name} of NUMERIC beyond {EXACT} is not supported by this emulator")
            }
            _ => Err(exec_datafusion_err!("numeric overflow in {name}")),
        }
    });
    let found = found.collect::<Result<Decimal128Array>>()?;
    Ok(Some(Arc::new(found.with_precision_and_scale(38, 9)?)))
}

/// The root of a value that is not too large to be taken of a whole number.
pub(super) fn root(given: &[i128]) -> Option<i128> {
    let value = u128::try_from(*given.first()?)
        .ok()?
        .checked_mul(UNIT.cast_unsigned())?;
    let root = value.isqrt();
    // Half away from zero: past the middle between two roots.
    let up = value - root * root > root;
    i128::try_from(root + u128::from(up)).ok()
}

/// A power of whole numbers.
pub(super) fn power(given: &[i128]) -> Option<i128> {
    let [base, exponent] = given else { return None };
    if base % UNIT != 0 || exponent % UNIT != 0 {
        return None;
    }
    let exponent = u32::try_from(exponent / UNIT).ok()?;
    let power = (base / UNIT).checked_pow(exponent)?.checked_mul(UNIT)?;
    (power.unsigned_abs() < 10_u128.pow(38)).then_some(power)
}

/// ROUND with its mode: halves to the even neighbour, or away from zero.
pub(super) fn round(call: &Call) -> Result<ArrayRef> {
    let mode = call.word(2)?;
    let even = match mode.as_str() {
        "ROUND_HALF_EVEN" => true,
        "ROUND_HALF_AWAY_FROM_ZERO" => false,
        _ => return exec_err!("Invalid rounding mode: {mode}"),
    };
    let Some(values) = call.array(0)?.as_primitive_opt::<Decimal128Type>() else {
        return exec_err!("ROUND with a rounding mode expects NUMERIC");
    };
    let places = call.integers(1)?;
    let rounded = (0..call.rows).map(|row| {
        if values.is_null(row) || places.is_null(row) {
            return None;
        }
        let value = values.value(row);
        let digits = 9_i64.saturating_sub(places.value(row));
        let Some(digits) = u32::try_from(digits).ok().filter(|d| *d > 0) else {
            return Some(value);
        };
        let Some(unit) = 10_i128.checked_pow(digits) else {
            return Some(0);
        };
        let (whole, rest) = (value / unit, value % unit);
        let twice = rest.unsigned_abs().saturating_mul(2);
        let half = unit.unsigned_abs();
        let up = twice > half || twice == half && (!even || whole % 2 != 0);
        Some((whole + if up { rest.signum() } else { 0 }) * unit)
    });
    let rounded: Decimal128Array = rounded.collect();
    Ok(Arc::new(rounded.with_precision_and_scale(38, 9)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_and_powers_are_exact() {
        assert_eq!(root(&[25 * UNIT]), Some(5 * UNIT));
        assert_eq!(root(&[2 * UNIT]), Some(1_414_213_562));
        assert_eq!(root(&[1]), Some(31_623));
        assert_eq!(power(&[2 * UNIT, 3 * UNIT]), Some(8 * UNIT));
        assert_eq!(power(&[10 * UNIT, 28 * UNIT]), Some(10_i128.pow(37)));
        assert_eq!(power(&[10 * UNIT, 29 * UNIT]), None);
        assert_eq!(power(&[UNIT / 2, UNIT]), None);
    }
}
