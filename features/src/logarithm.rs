//! `ln(1 + x)` over slices.

/// Replaces every value by `ln(1 + x)`: −1 gives −inf, less gives NaN, NaN stays.
pub(crate) fn log1p_slice(values: &mut [f64]) {
    values.iter_mut().for_each(|x| *x = x.ln_1p());
}
