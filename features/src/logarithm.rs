//! `ln(1 + x)` over slices, from plain arithmetic alone.
//!
//! Without a library call the loop is vectorised, and every machine gives the same bits. The error is at most two units in
//! the last place (measured against the C library in the tests).

use std::f64::consts::LN_2;

/// Leading bits of ln 2, few enough for its product with an exponent to be exact.
const LN_2_HIGH: f64 = f64::from_bits(LN_2.to_bits() & !0xffff_ffff);
const LN_2_LOW: f64 = LN_2 - LN_2_HIGH;
/// √½, the least mantissa; the greatest is just below √2.
const ROOT_HALF_BITS: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
const ONE_BITS: u64 = 1.0_f64.to_bits();
/// 2⁵²: an integer put in its low bits and the constant taken away again is that integer as a float.
const INTEGER_BITS: u64 = 0x4330_0000_0000_0000;
const EXPONENT_BIAS: f64 = 4_503_599_627_370_496.0 + 1023.0;

/// Replaces every value by `ln(1 + x)`: −1 gives −inf, less gives NaN, NaN stays.
#[inline(always)]
pub(crate) fn log1p_slice(values: &mut [f64]) {
    for x in values {
        *x = log1p(*x);
    }
}

#[inline(always)]
fn log1p(x: f64) -> f64 {
    // 1 + x = u + lost, and to first order ln(u + lost) = ln u + lost / u.
    let u = 1.0 + x;
    let lost = if x > 1.0 {
        1.0 - (u - x)
    } else {
        x - (u - 1.0)
    };
    // u = 2^exponent · (1 + f) with √½ ≤ 1 + f < √2.
    let shifted = u.to_bits().wrapping_add(ONE_BITS - ROOT_HALF_BITS);
    let exponent = f64::from_bits(INTEGER_BITS | (shifted >> 52)) - EXPONENT_BIAS;
    let f = f64::from_bits((shifted & 0x000f_ffff_ffff_ffff) + ROOT_HALF_BITS) - 1.0;
    // ln(1 + f) = 2 artanh s with s = f / (2 + f); as 2s = f - s·f, that is f - s·(f - r), whose leading term is exact.
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let odd = 1.0 / 3.0 + w * (1.0 / 7.0 + w * (1.0 / 11.0 + w * (1.0 / 15.0 + w * (1.0 / 19.0))));
    let even = 1.0 / 5.0 + w * (1.0 / 9.0 + w * (1.0 / 13.0 + w * (1.0 / 17.0 + w * (1.0 / 21.0))));
    let r = 2.0 * z * (odd + z * even);
    // lost is at most half a unit of u, so 1 / u = 2^-exponent / (1 + f) is needed to a few bits only: no second division.
    let power = 0.5 * f64::from_bits(2047_u64.wrapping_sub(shifted >> 52) << 52);
    let low = exponent * LN_2_LOW + lost * power * (1.0 - f * (1.0 - 0.7 * f));
    let ln = exponent * LN_2_HIGH + (f - (s * (f - r) - low));
    // The ends of the range have no mantissa to speak of.
    let ln = if x == f64::INFINITY { x } else { ln };
    let ln = if x == -1.0 { f64::NEG_INFINITY } else { ln };
    if x >= -1.0 { ln } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_close(x: f64) {
        let (found, expected) = (log1p(x), x.ln_1p());
        let apart = found.to_bits().abs_diff(expected.to_bits());
        assert!(
            apart <= 2 || found == expected,
            "{x:e}: {found:e} instead of {expected:e}"
        );
    }

    proptest! {
        #[test]
        fn equals_the_c_library_to_two_units_in_the_last_place(
            mantissa in 1.0..2.0_f64,
            exponent in -1074..1024_i32,
            near in -1.0..4.0_f64,
        ) {
            let x = mantissa * 2.0_f64.powi(exponent);
            assert_close(x);
            assert_close(near);
            if x < 1.0 {
                assert_close(-x);
                assert_close(x - 1.0);
            }
        }
    }

    #[test]
    fn ends_of_the_range() {
        for x in [
            0.0,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            -5e-324,
            f64::EPSILON,
            -f64::EPSILON,
            1e15,
            9e15,
            1e16,
        ] {
            assert_close(x);
        }
        let mut ends = [-1.0, f64::INFINITY, -1.5, f64::NEG_INFINITY, f64::NAN];
        log1p_slice(&mut ends);
        assert_eq!((ends[0], ends[1]), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(ends.iter().skip(2).all(|x| x.is_nan()));
    }
}
