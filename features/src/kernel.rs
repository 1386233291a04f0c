//! Numeric functions over slices, in which a missing value is NaN.
//!
//! Every loop is branch-free and inlined into its caller, so that it can be vectorised; what was learned arrives here as plain
//! numbers.

use crate::logarithm::log1p_slice;

/// One in-place function of 64-bit floats. NaN (missing) stays NaN except where said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kernel {
    /// `ln(1 + x)`; below −1 missing.
    Log1p,
    /// Square root; below 0 missing.
    Sqrt,
    /// Absolute value.
    Abs,
    /// Limits to `[min, max]`.
    Clip { min: f64, max: f64 },
    /// Missing becomes the value.
    Fill(f64),
    /// `(x - center) / scale`, in this order, as scikit-learn computes it.
    CenterScale { center: f64, scale: f64 },
    /// `x - center`.
    Center(f64),
    /// `x / scale`.
    Scale(f64),
    /// `x * factor + offset`.
    Affine { factor: f64, offset: f64 },
    /// 1 where missing, 0 elsewhere.
    IsMissing,
}

impl Kernel {
    /// Whether its numbers come from training rows, which were finite.
    pub(crate) fn is_learned(&self) -> bool {
        match self {
            Self::Log1p | Self::Sqrt | Self::Abs | Self::Clip { .. } | Self::IsMissing => false,
            Self::Fill(_)
            | Self::CenterScale { .. }
            | Self::Center(_)
            | Self::Scale(_)
            | Self::Affine { .. } => true,
        }
    }

    /// Applies the function to every value.
    #[inline(always)]
    pub(crate) fn apply(&self, values: &mut [f64]) {
        match *self {
            Self::Log1p => log1p_slice(values),
            Self::Sqrt => values.iter_mut().for_each(|x| *x = x.sqrt()),
            Self::Abs => values.iter_mut().for_each(|x| *x = x.abs()),
            Self::Clip { min, max } => values.iter_mut().for_each(|x| {
                let low = if *x < min { min } else { *x };
                *x = if low > max { max } else { low };
            }),
            Self::Fill(fill) => values
                .iter_mut()
                .for_each(|x| *x = if x.is_nan() { fill } else { *x }),
            Self::CenterScale { center, scale } => {
                values.iter_mut().for_each(|x| *x = (*x - center) / scale)
            }
            Self::Center(center) => values.iter_mut().for_each(|x| *x -= center),
            Self::Scale(scale) => values.iter_mut().for_each(|x| *x /= scale),
            Self::Affine { factor, offset } => {
                values.iter_mut().for_each(|x| *x = *x * factor + offset)
            }
            Self::IsMissing => values
                .iter_mut()
                .for_each(|x| *x = f64::from(u8::from(x.is_nan()))),
        }
    }

    /// The function of one value.
    pub(crate) fn apply_one(&self, value: f64) -> f64 {
        let mut one = [value];
        self.apply(&mut one);
        one[0]
    }
}

/// Applies kernels in order.
#[inline(always)]
pub(crate) fn apply_all(kernels: &[Kernel], values: &mut [f64]) {
    for kernel in kernels {
        kernel.apply(values);
    }
}

/// Applies kernels in order to one value.
pub(crate) fn apply_all_to_one(kernels: &[Kernel], value: f64) -> f64 {
    kernels
        .iter()
        .fold(value, |value, kernel| kernel.apply_one(value))
}
