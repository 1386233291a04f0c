//! Arithmetic of NUMERIC and BIGNUMERIC: results keep the type, round half away from zero, and fail where they do not fit.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, Decimal256Array, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, DecimalType, FieldRef, i256};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::{Call, Function, argument, nullable};

mod wide;

/// Which of the two decimal types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::query) enum Kind {
    Numeric,
    BigNumeric,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Numeric => "numeric",
            Self::BigNumeric => "bignumeric",
        }
    }

    pub fn data_type(self) -> DataType {
        match self {
            Self::Numeric => DataType::Decimal128(38, 9),
            Self::BigNumeric => DataType::Decimal256(76, 38),
        }
    }

    /// The type of a result of two operands: the wider one.
    fn of(left: &DataType, right: &DataType) -> Self {
        let big = |t: &DataType| matches!(t, DataType::Decimal256(_, _));
        if big(left) || big(right) {
            Self::BigNumeric
        } else {
            Self::Numeric
        }
    }

    /// A value from its unscaled number.
    ///
    /// # Errors
    /// When it has more digits than the type.
    pub fn scalar(self, value: Option<i256>) -> Result<ScalarValue> {
        Ok(match self {
            Self::Numeric => {
                let value = value.map(numeric).transpose()?;
                ScalarValue::Decimal128(value, 38, 9)
            }
            Self::BigNumeric => ScalarValue::Decimal256(value, 76, 38),
        })
    }
}

/// The largest unscaled number of 38 digits.
const MOST_NUMERIC: i128 = 99_999_999_999_999_999_999_999_999_999_999_999_999;

fn numeric(value: i256) -> Result<i128> {
    match value.to_i128() {
        Some(value) if (-MOST_NUMERIC..=MOST_NUMERIC).contains(&value) => Ok(value),
        _ => {
            let value = Decimal256Type::format_decimal(value, 76, 9);
            exec_err!("numeric overflow: {value}")
        }
    }
}

/// The service's BIGNUMERIC has a little more than 76 digits, Arrow's has 76.
fn bignumeric(value: i256) -> Result<i256> {
    let most = i256::from_i128(10_i128.pow(38));
    let most = most.wrapping_mul(most);
    if value.wrapping_abs() < most && value != i256::MIN {
        return Ok(value);
    }
    let value = Decimal256Type::format_decimal(value, 76, 38);
    exec_err!("bignumeric overflow: {value}")
}

/// `left / right`, rounded half away from zero.
///
/// # Errors
/// For a division by zero.
pub(in crate::query) fn quotient(left: i256, right: i256) -> Result<i256> {
    let failed = || exec_datafusion_err!("division by zero");
    let whole = left.checked_div(right).ok_or_else(failed)?;
    let rest = left.checked_rem(right).ok_or_else(failed)?;
    // The rest is smaller than the divisor, so what is missing to it does not overflow.
    let (rest, size) = (rest.wrapping_abs(), right.wrapping_abs());
    if rest < size.wrapping_sub(rest) {
        return Ok(whole);
    }
    let away = if (left < i256::ZERO) == (right < i256::ZERO) {
        i256::ONE
    } else {
        i256::MINUS_ONE
    };
    Ok(whole.wrapping_add(away))
}

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made("millpond_decimal_add", &[2], wider, |call| {
            each(call, "+", i256::checked_add)
        }),
        Function::made("millpond_decimal_subtract", &[2], wider, |call| {
            each(call, "-", i256::checked_sub)
        }),
        Function::made("millpond_decimal_multiply", &[2], wider, |call| {
            let unit = unit(kind_of(call)?);
            each(call, "*", move |a, b| wide::scaled(a, b, unit))
        }),
        Function::made("millpond_decimal_divide", &[2], wider, |call| {
            let unit = unit(kind_of(call)?);
            each(call, "/", move |a, b| wide::scaled(a, unit, b))
        }),
        Function::made("millpond_decimal_div", &[2], wider, |call| {
            let unit = unit(kind_of(call)?);
            each(call, "/", move |a, b| a.checked_div(b)?.checked_mul(unit))
        }),
        Function::made("millpond_decimal_mod", &[2], wider, |call| {
            each(call, "/", i256::checked_rem)
        }),
    ]
}

/// One, in units of the last digit.
fn unit(kind: Kind) -> i256 {
    match kind {
        Kind::Numeric => i256::from_i128(1_000_000_000),
        Kind::BigNumeric => i256::from_i128(10_i128.pow(38)),
    }
}

fn kind_of(call: &Call) -> Result<Kind> {
    Ok(Kind::of(
        call.array(0)?.data_type(),
        call.array(1)?.data_type(),
    ))
}

fn wider(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let (left, right) = (argument(args, 0)?, argument(args, 1)?);
    nullable(Kind::of(left.data_type(), right.data_type()).data_type())
}

/// The type of arithmetic of two numbers of which one is decimal and none a float.
pub(super) fn wider_of(args: &ReturnFieldArgs<'_>) -> Result<Option<FieldRef>> {
    let types = [
        argument(args, 0)?.data_type(),
        argument(args, 1)?.data_type(),
    ];
    let decimal =
        |t: &DataType| matches!(t, DataType::Decimal128(_, _) | DataType::Decimal256(_, _));
    if !types.iter().any(|t| decimal(t)) || types.iter().any(|t| t.is_floating()) {
        return Ok(None);
    }
    wider(args).map(Some)
}

fn each(call: &Call, sign: &str, one: impl Fn(i256, i256) -> Option<i256>) -> Result<ArrayRef> {
    let (left, right) = (call.array(0)?, call.array(1)?);
    let kind = Kind::of(left.data_type(), right.data_type());
    let scale = match kind {
        Kind::Numeric => 9,
        Kind::BigNumeric => 38,
    };
    let (left, right) = (unscaled(left, kind)?, unscaled(right, kind)?);
    let results = left.into_iter().zip(right).map(|pair| {
        let (Some(a), Some(b)) = pair else {
            return Ok(None);
        };
        let shown = |v| Decimal256Type::format_decimal(v, 76, scale);
        if sign == "/" && b == i256::ZERO {
            return exec_err!("division by zero: {} / {}", shown(a), shown(b));
        }
        match one(a, b) {
            Some(value) => Ok(Some(value)),
            None => exec_err!("{} overflow: {} {sign} {}", kind.name(), shown(a), shown(b)),
        }
    });
    array_of(results.collect::<Result<Vec<_>>>()?, kind)
}

/// A column of a kind from numbers of its last digit.
fn array_of(results: Vec<Option<i256>>, kind: Kind) -> Result<ArrayRef> {
    Ok(match kind {
        Kind::Numeric => {
            let narrow = results.into_iter().map(|v| v.map(numeric).transpose());
            let narrow = narrow.collect::<Result<Decimal128Array>>()?;
            Arc::new(narrow.with_precision_and_scale(38, 9)?)
        }
        Kind::BigNumeric => {
            let bounded = results.into_iter().map(|v| v.map(bignumeric).transpose());
            let wide = bounded.collect::<Result<Decimal256Array>>()?;
            Arc::new(wide.with_precision_and_scale(76, 38)?)
        }
    })
}

/// Floats as decimals of a kind, exact but for what lies behind the last digit, which is rounded half away from zero.
///
/// # Errors
/// For a float that is no decimal of the kind, unless null is to stand for it.
pub(super) fn of_floats(
    floats: &Float64Array,
    to: &DataType,
    null_for_others: bool,
) -> Result<ArrayRef> {
    let kind = Kind::of(to, to);
    let values = floats.iter().map(|float| {
        let Some(float) = float else {
            return Ok(None);
        };
        let value = of_float(float, kind).filter(|v| kind.scalar(Some(*v)).is_ok());
        if value.is_none() && !null_for_others {
            return exec_err!(
                "Illegal conversion of floating point number to {}: {float:?}",
                kind.name()
            );
        }
        Ok(value)
    });
    array_of(values.collect::<Result<Vec<_>>>()?, kind)
}

/// A float in units of the last digit of a kind.
fn of_float(float: f64, kind: Kind) -> Option<i256> {
    if !float.is_finite() {
        return None;
    }
    let bits = float.to_bits();
    let exponent = i32::try_from(bits >> 52 & 0x7ff).ok()?;
    let fraction = i128::from(bits & ((1 << 52) - 1));
    let mantissa = if exponent == 0 {
        fraction
    } else {
        fraction | 1 << 52
    };
    let mantissa = if float.is_sign_negative() {
        -mantissa
    } else {
        mantissa
    };
    let power = exponent.max(1) - 1075;
    let digits = match kind {
        Kind::Numeric => i256::from_i128(1_000_000_000),
        Kind::BigNumeric => i256::from_i128(10_i128.pow(38)),
    };
    let scaled = i256::from_i128(mantissa).checked_mul(digits)?;
    let two = |power: i32| {
        let power = u8::try_from(power).ok().filter(|p| *p < 255)?;
        Some(i256::ONE << power)
    };
    if power >= 0 {
        scaled.checked_mul(two(power)?)
    } else {
        // What is divided by more is nothing.
        two(-power).map_or(Some(i256::ZERO), |divisor| quotient(scaled, divisor).ok())
    }
}

/// Values as numbers of the last digit of a kind.
fn unscaled(array: &ArrayRef, kind: Kind) -> Result<Vec<Option<i256>>> {
    let array = cast(array, &kind.data_type())?;
    Ok(match kind {
        Kind::Numeric => array
            .as_primitive::<Decimal128Type>()
            .iter()
            .map(|v| v.map(i256::from_i128))
            .collect(),
        Kind::BigNumeric => array.as_primitive::<Decimal256Type>().iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn quotients_round_half_away_from_zero() {
        let of = |a: i128, b: i128| {
            quotient(i256::from_i128(a), i256::from_i128(b)).map(|q| q.to_i128().unwrap())
        };
        for (a, b, wanted) in [
            (5, 2, 3),
            (-5, 2, -3),
            (5, -2, -3),
            (-5, -2, 3),
            (4, 3, 1),
            (-4, 3, -1),
            (0, -7, 0),
            (-1, 2, -1),
            (7, 7, 1),
        ] {
            assert_eq!(of(a, b).unwrap(), wanted, "{a} / {b}");
        }
        assert!(of(1, 0).is_err());
    }

    #[test]
    fn floats_become_the_nearest_decimal() {
        let of = |float: f64| of_float(float, Kind::Numeric).map(|v| v.to_i128().unwrap());
        for (float, wanted) in [
            (0.0, Some(0)),
            (-1.5, Some(-1_500_000_000)),
            // Just between two decimals.
            (0.000_976_562_5, Some(976_563)),
            (-0.000_976_562_5, Some(-976_563)),
            (0.1, Some(100_000_000)),
            (5e-324, Some(0)),
            (1e20, Some(100_000_000_000_000_000_000_000_000_000)),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (f64::MAX, None),
        ] {
            assert_eq!(of(float), wanted, "{float}");
        }
        let big = of_float(0.1, Kind::BigNumeric).unwrap();
        let text = Decimal256Type::format_decimal(big, 76, 38);
        assert_eq!(text, "0.10000000000000000555111512312578270212");
    }
}
