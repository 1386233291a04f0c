//! The standard normal distribution, as far as the robust scaler needs it.

use std::f64::consts::PI;

/// Φ⁻¹: the value below which a standard normal variable lies with the given probability.
///
/// −inf at 0, +inf at 1, NaN outside. Accurate to about one unit in the last place of the probability.
pub(crate) fn quantile(probability: f64) -> f64 {
    if !(0.0..=1.0).contains(&probability) {
        return f64::NAN;
    }
    if probability == 0.5 {
        return 0.0;
    }
    if probability > 0.5 {
        // 1 - p is exact here, and the lower tail keeps its relative precision.
        return -lower_quantile(1.0 - probability);
    }
    lower_quantile(probability)
}

fn lower_quantile(probability: f64) -> f64 {
    if probability == 0.0 {
        return f64::NEG_INFINITY;
    }
    // Start from the leading terms of the tail expansion and polish with Halley's method on ln Φ, which is concave.
    let tail = (-2.0 * probability.ln()).sqrt();
    let mut z = if probability > 0.1 {
        (probability - 0.5) * (2.0 * PI).sqrt()
    } else {
        -(tail * tail - (2.0 * PI * tail * tail).ln())
            .max(0.0)
            .sqrt()
    };
    for _ in 0..50 {
        let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
        let error = (lower_cdf(z) - probability) / density;
        let step = error / (1.0 + 0.5 * z * error).max(0.5);
        z -= step;
        if step.abs() <= f64::EPSILON * z.abs() {
            break;
        }
    }
    z
}

/// Φ(z) for z ≤ 0.
fn lower_cdf(z: f64) -> f64 {
    let density = (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
    let x = z.abs();
    if x < 1.0 {
        // Further out the difference below would cancel.
        // Φ(−x) = 1/2 − φ(x)·(x + x³/3 + x⁵/(3·5) + …)
        let mut term = x;
        let mut sum = x;
        let mut odd = 1.0;
        while term > sum * 1e-18 {
            odd += 2.0;
            term *= x * x / odd;
            sum += term;
        }
        return 0.5 - density * sum;
    }
    // Φ(−x) = φ(x) / (x + 1/(x + 2/(x + 3/(x + …)))), evaluated from the far end.
    let mut fraction = x;
    for k in (1..=200).rev() {
        fraction = x + f64::from(k) / fraction;
    }
    density / fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_scipy() {
        // scipy.stats.norm.ppf
        for (probability, expected) in [
            (0.75, 0.674_489_750_196_081_7),
            (0.25, -0.674_489_750_196_081_7),
            (0.9, 1.281_551_565_544_600_4),
            (0.975, 1.959_963_984_540_054),
            (0.01, -2.326_347_874_040_840_8),
            (1e-10, -6.361_340_902_404_056),
            (1e-300, -37.047_096_299_361_2),
            (0.5, 0.0),
        ] {
            let found = quantile(probability);
            assert!(
                (found - expected).abs() <= 4e-16 * expected.abs() * 4.0,
                "{probability}: {found} not {expected}"
            );
        }
        assert_eq!(quantile(0.0), f64::NEG_INFINITY);
        assert!(quantile(1.5).is_nan());
    }
}
