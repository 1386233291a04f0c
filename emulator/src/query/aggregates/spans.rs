//! Sums of intervals, part by part, and their means.

use arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::{Result, exec_datafusion_err};

use crate::interval;

const DAYS_OF_MONTH: i128 = 30;

const MICROS_OF_DAY: i128 = 86_400_000_000;

/// What intervals have been added up to. Months are no days yet, and days no hours.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Spans {
    months: i64,
    days: i64,
    micros: i128,
}

impl Spans {
    /// Adds an interval so many times.
    pub fn add(&mut self, value: IntervalMonthDayNano, times: i64) {
        self.months += i64::from(value.months) * times;
        self.days += i64::from(value.days) * times;
        self.micros += i128::from(interval::micros(value)) * i128::from(times);
    }

    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let parts = self.months.to_le_bytes().into_iter();
        let parts = parts
            .chain(self.days.to_le_bytes())
            .chain(self.micros.to_le_bytes());
        for (slot, byte) in bytes.iter_mut().zip(parts) {
            *slot = byte;
        }
        bytes
    }

    pub fn merge(&mut self, part: [u8; 32]) {
        let mut halves = part.chunks_exact(8).filter_map(|half| half.try_into().ok());
        let mut number = || halves.next().map_or(0, i64::from_le_bytes);
        self.months += number();
        self.days += number();
        let low = i128::from(number().cast_unsigned());
        self.micros += (i128::from(number()) << 64) | low;
    }

    /// One of so many parts: months that are left over are thirty days each, and days twenty-four hours. Microseconds are cut off.
    ///
    /// # Errors
    /// Where that is no interval.
    pub fn divided(self, parts: i64) -> Result<IntervalMonthDayNano> {
        let parts = i128::from(parts);
        let months = i128::from(self.months);
        let days = i128::from(self.days) + months % parts * DAYS_OF_MONTH;
        let micros = self.micros + days % parts * MICROS_OF_DAY;
        let (months, days) = (
            i32::try_from(months / parts).ok(),
            i32::try_from(days / parts).ok(),
        );
        let micros = i64::try_from(micros / parts).ok();
        let value = months.zip(days).zip(micros);
        let value =
            value.and_then(|((months, days), micros)| interval::of_micros(months, days, micros));
        value.ok_or_else(|| exec_datafusion_err!("interval overflow in SUM or AVG"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parts_survive_being_merged() {
        let mut one = Spans::default();
        one.add(interval::of_micros(-3, 5, -7).unwrap(), 2);
        let mut other = Spans::default();
        other.merge(one.to_bytes());
        other.add(interval::of_micros(1, 0, 1).unwrap(), 1);
        let sum = other.divided(1).unwrap();
        assert_eq!((sum.months, sum.days, sum.nanoseconds), (-5, 10, -13_000));
    }
}
