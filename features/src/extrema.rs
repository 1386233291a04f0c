//! Smallest and largest value; order-free.

/// Range of a set of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Extrema {
    /// Numbers seen.
    pub(crate) count: u64,
    /// Infinite values among them.
    pub(crate) infinite: u64,
    min: f64,
    max: f64,
}

const LANES: usize = 8;

impl Extrema {
    pub(crate) fn new() -> Self {
        Self {
            count: 0,
            infinite: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }

    /// Adds values, passing over NaN.
    pub(crate) fn add(&mut self, values: &[f64]) {
        let mut low = [f64::INFINITY; LANES];
        let mut high = [f64::NEG_INFINITY; LANES];
        let mut valid = 0;
        for chunk in values.chunks(LANES) {
            for ((low, high), &x) in low.iter_mut().zip(&mut high).zip(chunk) {
                *low = if x < *low { x } else { *low };
                *high = if x > *high { x } else { *high };
                valid += u64::from(!x.is_nan());
            }
        }
        self.count += valid;
        if low.iter().chain(&high).any(|x| x.is_infinite()) {
            // Untouched lanes are infinite too: count exactly.
            self.infinite += values.iter().filter(|x| x.is_infinite()).count() as u64;
        }
        self.min = low
            .iter()
            .fold(self.min, |min, &x| if x < min { x } else { min });
        self.max = high
            .iter()
            .fold(self.max, |max, &x| if x > max { x } else { max });
    }

    pub(crate) fn merge(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            infinite: self.infinite + other.infinite,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    /// Adds copies of one value; NaN counts for nothing.
    pub(crate) fn with_constant(mut self, value: f64, count: u64) -> Self {
        if count > 0 {
            self.add(&[value]);
            self.count += if value.is_nan() { 0 } else { count - 1 };
        }
        self
    }

    /// Smallest value; NaN when empty. Never −0, whose sign would depend on the order.
    pub(crate) fn min(&self) -> f64 {
        if self.count == 0 {
            f64::NAN
        } else {
            self.min + 0.0
        }
    }

    /// Largest value; NaN when empty. Never −0.
    pub(crate) fn max(&self) -> f64 {
        if self.count == 0 {
            f64::NAN
        } else {
            self.max + 0.0
        }
    }
}
