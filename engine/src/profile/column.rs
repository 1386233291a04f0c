//! The profile of one column, batch by batch.
//!
//! Owns the way from Arrow arrays to running statistics. Must not know what is concluded from them.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type,
};

use super::numbers::Numbers;
use super::outline::Outline;
use super::times::{Clock, Times};
use crate::error::{Error, ErrorKind, Result};

/// What is known of one column of the sample.
#[derive(Debug)]
pub(super) struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Rows seen.
    pub rows: u64,
    /// Rows without a value; NaN is one.
    pub nulls: u64,
    /// What the values are like.
    pub values: Values,
}

/// Statistics by kind of type.
#[derive(Debug)]
pub(super) enum Values {
    /// Integers; told apart exactly.
    Integers(Numbers),
    /// Floats and decimals.
    Reals(Numbers),
    /// Booleans: how many are false, how many true.
    Flags(u64, u64),
    /// Strings.
    Texts(Outline),
    /// Dates and timestamps.
    Times(Times, Clock),
    /// Types that no step takes.
    Other,
}

impl ColumnProfile {
    pub fn new(field: &Field) -> Self {
        let plain = match field.data_type() {
            DataType::Dictionary(_, value) => value.as_ref(),
            other => other,
        };
        let values = match plain {
            t if t.is_integer() => Values::Integers(Numbers::new()),
            t if t.is_floating() || t.is_decimal() => Values::Reals(Numbers::new()),
            DataType::Boolean => Values::Flags(0, 0),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Values::Texts(Outline::default())
            }
            DataType::Date32 | DataType::Date64 => Values::Times(Times::default(), Clock::Calendar),
            DataType::Timestamp(_, None) => Values::Times(Times::default(), Clock::Local),
            DataType::Timestamp(_, Some(_)) => Values::Times(Times::default(), Clock::Utc),
            _ => Values::Other,
        };
        Self {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
            rows: 0,
            nulls: 0,
            values,
        }
    }

    /// Takes in the next values.
    ///
    /// # Errors
    /// Of kind [`Data`](ErrorKind::Data) when the array is not of the column's type.
    pub fn update(&mut self, array: &ArrayRef) -> Result<()> {
        self.rows += array.len() as u64;
        self.nulls += array.logical_null_count() as u64;
        let to = |target: &DataType| {
            cast(array, target).map_err(|e| {
                Error::with_source(
                    ErrorKind::Data,
                    format!("cannot profile column \"{}\"", self.name),
                    e,
                )
            })
        };
        match &mut self.values {
            Values::Integers(numbers) => {
                if matches!(self.data_type, DataType::UInt64) {
                    for v in to(&DataType::UInt64)?
                        .as_primitive::<UInt64Type>()
                        .iter()
                        .flatten()
                    {
                        numbers.push(v as f64, v);
                    }
                } else {
                    for v in to(&DataType::Int64)?
                        .as_primitive::<Int64Type>()
                        .iter()
                        .flatten()
                    {
                        numbers.push(v as f64, v.cast_unsigned());
                    }
                }
            }
            Values::Reals(numbers) => {
                for v in to(&DataType::Float64)?
                    .as_primitive::<Float64Type>()
                    .iter()
                    .flatten()
                {
                    if v.is_nan() {
                        self.nulls += 1;
                    } else {
                        // Adding 0 turns -0 into 0, which is the same value.
                        numbers.push(v, (v + 0.0).to_bits());
                    }
                }
            }
            Values::Flags(no, yes) => {
                let flags = to(&DataType::Boolean)?;
                let flags = flags.as_boolean();
                *yes += flags.true_count() as u64;
                *no += flags.false_count() as u64;
            }
            Values::Texts(outline) => {
                for text in to(&DataType::Utf8)?.as_string::<i32>().iter().flatten() {
                    outline.push(text);
                }
            }
            Values::Times(times, _) => {
                let zone = match &self.data_type {
                    DataType::Timestamp(_, zone) => zone.clone(),
                    _ => None,
                };
                let micros = to(&DataType::Timestamp(TimeUnit::Microsecond, zone))?;
                for t in micros
                    .as_primitive::<TimestampMicrosecondType>()
                    .iter()
                    .flatten()
                {
                    times.push(t);
                }
            }
            Values::Other => {}
        }
        Ok(())
    }

    /// Share of rows without a value.
    pub fn null_share(&self) -> f64 {
        if self.rows == 0 {
            0.0
        } else {
            self.nulls as f64 / self.rows as f64
        }
    }

    /// Rows with a value.
    pub fn present(&self) -> u64 {
        self.rows.saturating_sub(self.nulls)
    }

    /// Distinct values in the sample; none for types that cannot be compared.
    pub fn distinct(&self) -> Option<usize> {
        match &self.values {
            Values::Integers(numbers) | Values::Reals(numbers) => Some(numbers.distinct()),
            Values::Flags(no, yes) => Some(usize::from(*no > 0) + usize::from(*yes > 0)),
            Values::Texts(outline) => Some(outline.distinct()),
            Values::Times(times, _) => Some(times.distinct()),
            Values::Other => None,
        }
    }

    /// Whether no two rows have the same value and none lacks one.
    pub fn is_unique(&self) -> bool {
        self.nulls == 0 && self.distinct().is_some_and(|d| d as u64 == self.rows)
    }

    /// Whether the column holds dates or timestamps.
    pub fn is_temporal(&self) -> bool {
        matches!(self.values, Values::Times(..))
    }
}
