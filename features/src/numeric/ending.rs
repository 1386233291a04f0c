//! The end of a chain of kernels: one loop from what is read to what is written.
//!
//! Owns which ends there are. A division keeps the processor's divider busy for longer than reading, filling, counting and
//! narrowing take beside it; in loops of their own they would take as long again.

use arrow::buffer::BooleanBuffer;

use crate::kernel::Kernel;

/// Values that share a word of validity.
const WORD: usize = 64;

/// A float that columns of features have.
pub(super) trait Float: Copy + Default {
    /// The nearest one.
    fn nearest(x: f64) -> Self;

    /// Whether it is missing.
    fn is_nan(self) -> bool;
}

impl Float for f32 {
    #[inline(always)]
    fn nearest(x: f64) -> Self {
        x as f32
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }
}

impl Float for f64 {
    #[inline(always)]
    fn nearest(x: f64) -> Self {
        x
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }
}

/// The last that is done to a value. A value that is missing is filled first; filled with NaN it stays missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ending {
    /// `x`.
    Fill(f64),
    /// `(x - center) / scale`.
    Divide { fill: f64, center: f64, scale: f64 },
    /// `x * factor + offset`.
    Affine { fill: f64, factor: f64, offset: f64 },
}

/// What came by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Infinite values read.
    pub(super) infinite: u64,
    /// Missing values written.
    pub(super) missing: u64,
}

impl Counts {
    #[inline(always)]
    fn add(&mut self, other: Self) {
        self.infinite += other.infinite;
        self.missing += other.missing;
    }
}

impl Ending {
    /// Leaves values as they are.
    pub(super) const KEEP: Self = Self::Fill(f64::NAN);

    /// The end that does the same as `kernels`, to the bit, if there is one.
    pub(super) fn of(kernels: &[Kernel]) -> Option<Self> {
        let (fill, rest) = match kernels {
            [Kernel::Fill(fill), rest @ ..] => (*fill, rest),
            rest => (f64::NAN, rest),
        };
        Some(match *rest {
            [] => Self::Fill(fill),
            [Kernel::CenterScale { center, scale }] => Self::Divide {
                fill,
                center,
                scale,
            },
            // Subtracting zero and dividing by one change nothing, not even the sign of a zero.
            [Kernel::Center(center)] => Self::Divide {
                fill,
                center,
                scale: 1.0,
            },
            [Kernel::Scale(scale)] => Self::Divide {
                fill,
                center: 0.0,
                scale,
            },
            [Kernel::Affine { factor, offset }] => Self::Affine {
                fill,
                factor,
                offset,
            },
            _ => return None,
        })
    }

    /// Appends what becomes of `values`, of which those without a set bit in `valid` are missing.
    #[inline(always)]
    pub(super) fn append<T: Copy, O: Float>(
        self,
        values: &[T],
        valid: Option<&BooleanBuffer>,
        to_float: impl Fn(T) -> f64,
        out: &mut Vec<O>,
    ) -> Counts {
        match self {
            Self::Fill(fill) => each(values, valid, to_float, fill, |x| x, out),
            Self::Divide {
                fill,
                center,
                scale,
            } => each(values, valid, to_float, fill, |x| (x - center) / scale, out),
            Self::Affine {
                fill,
                factor,
                offset,
            } => each(values, valid, to_float, fill, |x| x * factor + offset, out),
        }
    }
}

#[inline(always)]
fn each<T: Copy, O: Float>(
    values: &[T],
    valid: Option<&BooleanBuffer>,
    to_float: impl Fn(T) -> f64,
    fill: f64,
    last: impl Fn(f64) -> f64,
    out: &mut Vec<O>,
) -> Counts {
    let filled = |x: f64| if x.is_nan() { fill } else { x };
    let last = |x| last(filled(x));
    let mut counts = Counts::default();
    let (words, rest) = values.as_chunks::<WORD>();
    match valid {
        None => {
            for values in words {
                counts.add(append_word(values, u64::MAX, &to_float, &last, out));
            }
            counts.add(append_word(rest, u64::MAX, &to_float, &last, out));
        }
        Some(valid) => {
            let bits = valid.bit_chunks();
            for (values, valid) in words.iter().zip(bits.iter()) {
                counts.add(append_word(values, valid, &to_float, &last, out));
            }
            let valid = bits.remainder_bits();
            counts.add(append_word(rest, valid, &to_float, &last, out));
        }
    }
    counts
}

/// Appends what becomes of at most a word's values.
#[inline(always)]
fn append_word<T: Copy, O: Float>(
    values: &[T],
    valid: u64,
    to_float: &impl Fn(T) -> f64,
    last: &impl Fn(f64) -> f64,
    out: &mut Vec<O>,
) -> Counts {
    let mut counts = Counts::default();
    let mut slots = [O::default(); WORD];
    for (index, (slot, value)) in slots.iter_mut().zip(values).enumerate() {
        let x = match (valid >> index) & 1 {
            1 => to_float(*value),
            _ => f64::NAN,
        };
        let y = last(x);
        counts.infinite += u64::from(x.is_infinite());
        counts.missing += u64::from(y.is_nan());
        *slot = O::nearest(y);
    }
    out.extend_from_slice(slots.get(..values.len()).unwrap_or_default());
    counts
}
