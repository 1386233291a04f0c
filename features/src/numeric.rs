//! The border between Arrow columns and slices of 64-bit floats in which missing is NaN.
//!
//! Owns reading, row selection and writing back; knows nothing of steps.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, BooleanBufferBuilder, Float32Array, Float64Array,
    PrimitiveArray, cast::AsArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use self::ending::{Counts, Ending, Float};
use crate::kernel::{Kernel, apply_all};
use crate::output_dtype::OutputDtype;
use crate::vector::vectorised;

mod ending;

/// Values handled at a time: small enough for the first-level cache, large enough to hide per-call costs.
pub(crate) const CHUNK: usize = 1024;

/// Whether columns of this type can be read as numbers.
pub(crate) fn is_readable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean => true,
        DataType::Dictionary(_, value) => value.is_numeric(),
        other => other.is_numeric(),
    }
}

enum Values<'a> {
    Bool(&'a BooleanArray),
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    U64(&'a [u64]),
    F32(&'a [f32]),
    F64(&'a [f64]),
    Converted(ScalarBuffer<f64>),
}

/// A column read as 64-bit floats without an intermediate copy for the common types.
///
/// Integers beyond 2⁵³ become the nearest float; decimals the float nearest to their exact decimal value.
pub(crate) struct NumericColumn<'a> {
    values: Values<'a>,
    nulls: Option<NullBuffer>,
    len: usize,
}

impl<'a> NumericColumn<'a> {
    /// None when the type is not a number.
    pub(crate) fn read(array: &'a dyn Array) -> Option<Self> {
        let mut nulls = array
            .nulls()
            .filter(|nulls| nulls.null_count() > 0)
            .cloned();
        let values = match array.data_type() {
            DataType::Boolean => Values::Bool(array.as_boolean_opt()?),
            DataType::Int8 => Values::I8(slice::<Int8Type>(array)?),
            DataType::Int16 => Values::I16(slice::<Int16Type>(array)?),
            DataType::Int32 => Values::I32(slice::<Int32Type>(array)?),
            DataType::Int64 => Values::I64(slice::<Int64Type>(array)?),
            DataType::UInt8 => Values::U8(slice::<UInt8Type>(array)?),
            DataType::UInt16 => Values::U16(slice::<UInt16Type>(array)?),
            DataType::UInt32 => Values::U32(slice::<UInt32Type>(array)?),
            DataType::UInt64 => Values::U64(slice::<UInt64Type>(array)?),
            DataType::Float32 => Values::F32(slice::<Float32Type>(array)?),
            DataType::Float64 => Values::F64(slice::<Float64Type>(array)?),
            DataType::Float16 => {
                let halves = slice::<Float16Type>(array)?;
                Values::Converted(halves.iter().map(|half| half.to_f64()).collect())
            }
            DataType::Decimal32(..) => Values::Converted(decimals::<Decimal32Type>(array)?),
            DataType::Decimal64(..) => Values::Converted(decimals::<Decimal64Type>(array)?),
            DataType::Decimal128(..) => Values::Converted(decimals::<Decimal128Type>(array)?),
            DataType::Decimal256(..) => Values::Converted(decimals::<Decimal256Type>(array)?),
            DataType::Dictionary(_, value) if value.is_numeric() => {
                let plain = cast(array, value).ok()?;
                let column = NumericColumn::read(plain.as_ref())?;
                nulls = plain
                    .nulls()
                    .filter(|nulls| nulls.null_count() > 0)
                    .cloned();
                Values::Converted(column.to_vec().into())
            }
            _ => return None,
        };
        Some(Self {
            values,
            nulls,
            len: array.len(),
        })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn to_vec(&self) -> Vec<f64> {
        let mut all = vec![0.0; self.len];
        let mut offset = 0;
        for chunk in all.chunks_mut(CHUNK) {
            self.load(offset, chunk);
            offset += chunk.len();
        }
        all
    }

    /// Copies rows `offset..offset + out.len()`, missing as NaN. Rows past the end are left as they were.
    #[inline(always)]
    pub(crate) fn load(&self, offset: usize, out: &mut [f64]) {
        let start = offset.min(self.len);
        let rows = start..self.len.min(start + out.len());
        let Some(out) = out.get_mut(..rows.len()) else {
            return;
        };
        let valid = self.nulls.as_ref();
        let valid = valid.map(|nulls| nulls.inner().slice(rows.start, rows.len()));
        let valid = valid.as_ref();
        match &self.values {
            Values::Bool(bits) => {
                for (x, bit) in out
                    .iter_mut()
                    .zip(&bits.values().slice(rows.start, rows.len()))
                {
                    *x = f64::from(u8::from(bit));
                }
                if let Some(valid) = valid {
                    for (x, valid) in out.iter_mut().zip(valid) {
                        *x = if valid { *x } else { f64::NAN };
                    }
                }
            }
            Values::I8(values) => convert(values.get(rows), valid, out, f64::from),
            Values::I16(values) => convert(values.get(rows), valid, out, f64::from),
            Values::I32(values) => convert(values.get(rows), valid, out, f64::from),
            Values::I64(values) => convert(values.get(rows), valid, out, |x| x as f64),
            Values::U8(values) => convert(values.get(rows), valid, out, f64::from),
            Values::U16(values) => convert(values.get(rows), valid, out, f64::from),
            Values::U32(values) => convert(values.get(rows), valid, out, f64::from),
            Values::U64(values) => convert(values.get(rows), valid, out, |x| x as f64),
            Values::F32(values) => convert(values.get(rows), valid, out, f64::from),
            Values::F64(values) => convert(values.get(rows), valid, out, |x| x),
            Values::Converted(values) => convert(values.get(rows), valid, out, |x| x),
        }
    }

    /// Appends what `ending` makes of the `len` rows from `offset` on, without a copy between. None for types that are rarely that large a part
    /// of a table: each has loops of its own.
    #[inline(always)]
    fn end<O: Float>(
        &self,
        offset: usize,
        len: usize,
        ending: Ending,
        out: &mut Vec<O>,
    ) -> Option<Counts> {
        let valid = self.nulls.as_ref();
        let valid = valid.map(|nulls| nulls.inner().slice(offset, len));
        let (valid, rows) = (valid.as_ref(), offset..offset + len);
        Some(match &self.values {
            Values::I32(values) => ending.append(values.get(rows)?, valid, f64::from, out),
            Values::I64(values) => ending.append(values.get(rows)?, valid, |x| x as f64, out),
            Values::F32(values) => ending.append(values.get(rows)?, valid, f64::from, out),
            Values::F64(values) => ending.append(values.get(rows)?, valid, |x| x, out),
            _ => return None,
        })
    }
}

fn slice<T: ArrowPrimitiveType>(array: &dyn Array) -> Option<&[T::Native]> {
    array
        .as_primitive_opt::<T>()
        .map(|array| array.values().as_ref())
}

/// Copies `values`, and puts NaN where the validity bit is unset, sixty-four values at a time.
#[inline(always)]
fn convert<T: Copy>(
    values: Option<&[T]>,
    valid: Option<&BooleanBuffer>,
    out: &mut [f64],
    to_float: impl Fn(T) -> f64,
) {
    let values = values.unwrap_or_default();
    let Some(valid) = valid else {
        for (x, value) in out.iter_mut().zip(values) {
            *x = to_float(*value);
        }
        return;
    };
    let words = valid.bit_chunks();
    let (whole, rest) = out.as_chunks_mut::<64>();
    let (whole_values, rest_values) = values.as_chunks::<64>();
    for ((out, values), word) in whole.iter_mut().zip(whole_values).zip(words.iter()) {
        convert_word(values, word, out, &to_float);
    }
    convert_word(rest_values, words.remainder_bits(), rest, &to_float);
}

#[inline(always)]
fn convert_word<T: Copy>(values: &[T], valid: u64, out: &mut [f64], to_float: &impl Fn(T) -> f64) {
    for (index, (x, value)) in out.iter_mut().zip(values).enumerate() {
        *x = if (valid >> index) & 1 == 1 {
            to_float(*value)
        } else {
            f64::NAN
        };
    }
}

/// Powers of ten that 64-bit floats hold exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

fn decimals<T: DecimalType>(array: &dyn Array) -> Option<ScalarBuffer<f64>> {
    let array: &PrimitiveArray<T> = array.as_primitive_opt::<T>()?;
    let scale = match array.data_type() {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => *scale,
        _ => return None,
    };
    let power = usize::try_from(scale)
        .ok()
        .and_then(|scale| EXACT_POWERS.get(scale).copied());
    let values = array.iter().map(|value| {
        let Some(value) = value else { return 0.0 };
        // Both parts exact: one correctly rounded division gives the nearest float. Otherwise parse the digits, because
        // dividing a rounded mantissa would round twice.
        let mantissa = small_mantissa::<T>(value);
        match (mantissa, power) {
            (Some(mantissa), Some(power)) => mantissa / power,
            _ => T::format_decimal(value, T::MAX_PRECISION, scale)
                .parse()
                .unwrap_or(f64::NAN),
        }
    });
    Some(values.collect())
}

fn small_mantissa<T: DecimalType>(value: T::Native) -> Option<f64> {
    use arrow::datatypes::ArrowNativeType;
    let small = value.to_i64()?;
    (small.unsigned_abs() <= 1 << 53).then_some(small as f64)
}

/// Moves the values of the selected rows to the front of `values` and returns how many there are.
///
/// `selected` has one bit per value.
pub(crate) fn compact(values: &mut [f64], selected: &BooleanBuffer) -> usize {
    let mut kept = 0;
    let mut start = 0;
    let words = selected.bit_chunks();
    for word in words.iter_padded() {
        let end = (start + 64).min(values.len());
        if word == u64::MAX && end - start == 64 {
            values.copy_within(start..end, kept);
            kept += 64;
        } else if word != 0 {
            let mut from = [0.0; 64];
            let Some(source) = values.get(start..end) else {
                break;
            };
            for (slot, value) in from.iter_mut().zip(source) {
                *slot = *value;
            }
            for (index, value) in from.iter().enumerate().take(end - start) {
                if let Some(slot) = values.get_mut(kept) {
                    *slot = *value;
                }
                kept += ((word >> index) & 1) as usize;
            }
        }
        start = end;
    }
    kept
}

/// A transformed column, and how many infinite values reached the first kernel that was learned.
pub(crate) struct Numbers {
    pub(crate) array: ArrayRef,
    pub(crate) infinite: u64,
}

/// Applies kernels to a whole column; the result has the given dtype, and null where the outcome is NaN.
///
/// None when the column is not a number.
pub(crate) fn transform(
    array: &dyn Array,
    kernels: &[Kernel],
    dtype: OutputDtype,
) -> Option<Numbers> {
    let column = NumericColumn::read(array)?;
    Some(match dtype {
        OutputDtype::Float64 => {
            let (values, nulls, infinite) = run(&column, kernels);
            let array = Arc::new(Float64Array::new(values.into(), nulls));
            Numbers { array, infinite }
        }
        OutputDtype::Float32 => {
            let (values, nulls, infinite) = run(&column, kernels);
            let array = Arc::new(Float32Array::new(values.into(), nulls));
            Numbers { array, infinite }
        }
    })
}

fn run<O: Float>(
    column: &NumericColumn<'_>,
    kernels: &[Kernel],
) -> (Vec<O>, Option<NullBuffer>, u64) {
    let mut out = Vec::with_capacity(column.len());
    let mut scratch = [0.0; CHUNK];
    let mut valid: Option<BooleanBufferBuilder> = None;
    let mut infinite = 0;
    let first_learned = kernels.iter().position(Kernel::is_learned);
    let (plain, learned) = kernels.split_at(first_learned.unwrap_or(kernels.len()));
    let whole = Ending::of(learned);
    let ending = whole.unwrap_or(Ending::KEEP);
    while out.len() < column.len() {
        let offset = out.len();
        let len = CHUNK.min(column.len() - offset);
        let chunk = &mut scratch[..len];
        let missing = vectorised(
            #[inline(always)]
            || {
                if plain.is_empty()
                    && whole.is_some()
                    && let Some(counts) = column.end(offset, len, ending, &mut out)
                {
                    infinite += counts.infinite;
                    return counts.missing;
                }
                column.load(offset, chunk);
                apply_all(plain, chunk);
                if whole.is_none() {
                    infinite += chunk
                        .iter()
                        .map(|x| u64::from(x.is_infinite()))
                        .sum::<u64>();
                    apply_all(learned, chunk);
                }
                let counts = ending.append(chunk, None, |x| x, &mut out);
                if whole.is_some() {
                    infinite += counts.infinite;
                }
                counts.missing
            },
        );
        if missing > 0 && valid.is_none() {
            let mut builder = BooleanBufferBuilder::new(column.len());
            builder.append_n(offset, true);
            valid = Some(builder);
        }
        if let Some(builder) = &mut valid {
            if missing > 0 {
                let written = out.get(offset..).unwrap_or_default();
                vectorised(
                    #[inline(always)]
                    || append_validity(builder, written),
                );
            } else {
                builder.append_n(len, true);
            }
        }
    }
    let nulls = valid.map(|mut builder| NullBuffer::new(builder.finish()));
    let infinite = if learned.is_empty() { 0 } else { infinite };
    (out, nulls, infinite)
}

#[inline(always)]
fn append_validity<O: Float>(builder: &mut BooleanBufferBuilder, written: &[O]) {
    for values in written.chunks(64) {
        let word = values.iter().enumerate().fold(0_u64, |word, (index, x)| {
            word | (u64::from(!x.is_nan()) << index)
        });
        builder.append_packed_range(0..values.len(), &word.to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
