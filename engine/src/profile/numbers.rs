//! Running statistics of a numeric column.
//!
//! Owns range, skewness, and the count of distinct values. Must not know Arrow or what is concluded from the numbers.

use std::collections::HashSet;

/// Statistics of the finite values seen; infinities are counted apart, NaN is the caller's to count as missing.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Finite values.
    pub count: u64,
    /// Infinite values.
    pub infinite: u64,
    /// Smallest and largest finite value.
    pub range: Option<(f64, f64)>,
    /// Whether every value so far was greater than the one before.
    pub ascending: bool,
    mean: f64,
    m2: f64,
    m3: f64,
    last: Option<f64>,
    distinct: HashSet<u64>,
}

impl Numbers {
    pub fn new() -> Self {
        Self {
            ascending: true,
            ..Self::default()
        }
    }

    /// Takes in a value that is not NaN. `identity` tells values apart exactly where `f64` cannot: the bits of a 64-bit integer.
    pub fn push(&mut self, value: f64, identity: u64) {
        self.distinct.insert(identity);
        if self.last.is_some_and(|last| value <= last) {
            self.ascending = false;
        }
        self.last = Some(value);
        if value.is_infinite() {
            self.infinite += 1;
            return;
        }
        let (low, high) = self.range.unwrap_or((value, value));
        self.range = Some((low.min(value), high.max(value)));
        // One-pass central moments (Pébay 2008, equations 1.1 to 1.3 with one new value).
        let before = self.count as f64;
        self.count += 1;
        let n = self.count as f64;
        let delta = value - self.mean;
        let step = delta / n;
        let term = delta * step * before;
        self.mean += step;
        self.m3 += term * step * (n - 2.0) - 3.0 * step * self.m2;
        self.m2 += term;
    }

    /// Distinct values, exact.
    pub fn distinct(&self) -> usize {
        self.distinct.len()
    }

    /// The population skewness `m3 / m2^1.5` of the finite values; 0 when they do not vary.
    pub fn skewness(&self) -> f64 {
        if self.count < 3 || self.m2 <= 0.0 {
            return 0.0;
        }
        let skewness = (self.count as f64).sqrt() * self.m3 / self.m2.powf(1.5);
        if skewness.is_finite() { skewness } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Numbers {
        let mut numbers = Numbers::new();
        for v in values {
            numbers.push(*v, v.to_bits());
        }
        numbers
    }

    #[test]
    fn skewness_follows_its_definition() {
        let values = [1.0, 2.0, 2.0, 3.0, 50.0, 4.0, 1.0];
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let central = |p: i32| values.iter().map(|v| (v - mean).powi(p)).sum::<f64>() / n;
        let expected = central(3) / central(2).powf(1.5);
        assert!((of(&values).skewness() - expected).abs() < 1e-12);
        assert_eq!(of(&[5.0, 5.0, 5.0]).skewness(), 0.0);
        assert!(of(&[-1.0, 0.0, 1.0]).skewness().abs() < 1e-12);
    }

    #[test]
    fn infinities_stay_out_of_the_range() {
        let numbers = of(&[1.0, f64::INFINITY, -3.0]);
        assert_eq!(numbers.range, Some((-3.0, 1.0)));
        assert_eq!(
            (numbers.count, numbers.infinite, numbers.distinct()),
            (2, 1, 3)
        );
    }

    #[test]
    fn ascending_means_strictly() {
        assert!(of(&[1.0, 2.0, 9.0]).ascending);
        assert!(!of(&[1.0, 1.0]).ascending);
        assert!(!of(&[2.0, 1.0, 3.0]).ascending);
    }

    #[test]
    fn integers_beyond_f64_are_told_apart() {
        let mut numbers = Numbers::new();
        for v in [i64::MAX, i64::MAX - 1] {
            numbers.push(v as f64, v as u64);
        }
        assert_eq!(numbers.distinct(), 2);
    }
}
