//! Intervals whose time of day is longer than Arrow's nanoseconds can count.
//!
//! BigQuery counts microseconds, up to 87,840,000 hours; Arrow's 64-bit nanoseconds end at 2,562,047 hours. What is within is kept
//! as Arrow means it, always a multiple of a thousand. What is beyond is kept as an odd number, sixteen times the microseconds
//! and one. Such a value can be written out as text, but not be sent as Arrow or computed with.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, IntervalMonthDayNanoArray, ListArray, StructArray};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit};
use arrow::error::ArrowError;

const MOST_MONTHS: u32 = 10_000 * 12;

const MOST_DAYS: u32 = 3_660_000;

const MOST_MICROS: u64 = 87_840_000 * 3_600_000_000;

/// An interval; `None` outside of BigQuery's range.
pub(crate) fn of_micros(months: i32, days: i32, micros: i64) -> Option<IntervalMonthDayNano> {
    let fits = months.unsigned_abs() <= MOST_MONTHS
        && days.unsigned_abs() <= MOST_DAYS
        && micros.unsigned_abs() <= MOST_MICROS;
    // Sixteen times the most still fits.
    let nanoseconds = micros.checked_mul(1000).unwrap_or(micros * 16 + 1);
    fits.then_some(IntervalMonthDayNano {
        months,
        days,
        nanoseconds,
    })
}

/// Whether the value is one that Arrow has no number for.
fn is_beyond(value: IntervalMonthDayNano) -> bool {
    value.nanoseconds & 1 == 1
}

/// The time of day in microseconds.
pub(crate) fn micros(value: IntervalMonthDayNano) -> i64 {
    if is_beyond(value) {
        value.nanoseconds >> 4
    } else {
        value.nanoseconds / 1000
    }
}

/// A column of somebody else's, its intervals cut off at microseconds wherever they are.
pub(crate) fn from_arrow(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let cut = |value: IntervalMonthDayNano| IntervalMonthDayNano {
                nanoseconds: value.nanoseconds / 1000 * 1000,
                ..value
            };
            let values = array.as_primitive::<IntervalMonthDayNanoType>().iter();
            let values: IntervalMonthDayNanoArray = values.map(|v| v.map(cut)).collect();
            Arc::new(values)
        }
        DataType::Struct(fields) => {
            let record = array.as_struct();
            let columns = record.columns().iter().map(from_arrow);
            Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                columns.collect::<Result<_, _>>()?,
                record.nulls().cloned(),
                record.len(),
            )?)
        }
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            Arc::new(ListArray::try_new(
                Arc::clone(item),
                list.offsets().clone(),
                from_arrow(list.values())?,
                list.nulls().cloned(),
            )?)
        }
        _ => Arc::clone(array),
    })
}

/// Checks that all intervals of a column can be sent as Arrow.
///
/// # Errors
/// With the service's text for one that cannot.
pub(crate) fn check_arrow(array: &ArrayRef) -> Result<(), ArrowError> {
    match array.data_type() {
        DataType::Interval(_) => {
            let values = array.as_primitive::<IntervalMonthDayNanoType>();
            match values.iter().flatten().find(|v| is_beyond(*v)) {
                None => Ok(()),
                Some(value) => Err(ArrowError::CastError(format!(
                    "Out of range conversion for microseconds value {}",
                    micros(value)
                ))),
            }
        }
        DataType::Struct(_) => array.as_struct().columns().iter().try_for_each(check_arrow),
        DataType::List(_) => check_arrow(array.as_list::<i32>().values()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn all_of_bigquerys_range_is_kept_and_only_arrows_is_sent() {
        let most = i64::try_from(MOST_MICROS).unwrap();
        let arrow = i64::MAX / 1000;
        for given in [0, 1, -1, arrow, -arrow, arrow + 1, -arrow - 1, most, -most] {
            let value = of_micros(1, -2, given).unwrap();
            assert_eq!(micros(value), given);
            let column: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![value]));
            assert_eq!(
                check_arrow(&column).is_ok(),
                given.abs() <= arrow,
                "{given}"
            );
        }
        assert!(of_micros(0, 0, most + 1).is_none());
        assert!(of_micros(120_001, 0, 0).is_none() && of_micros(0, -3_660_001, 0).is_none());
        let foreign = IntervalMonthDayNano::new(0, 0, -1999);
        let column: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![foreign]));
        let own = from_arrow(&column).unwrap();
        assert_eq!(
            micros(own.as_primitive::<IntervalMonthDayNanoType>().value(0)),
            -1
        );
    }
}
