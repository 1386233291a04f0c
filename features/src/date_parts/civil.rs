//! Days and calendar dates of the proleptic Gregorian calendar.
//!
//! Owns the arithmetic between day numbers and year, month, day; knows nothing of Arrow or time zones.

/// Days in a cycle of 400 years.
const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_OFFSET: i64 = 719_468;

/// A calendar date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    /// Astronomical year: 0 is 1 BC.
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: u8,
    /// 1 to 31.
    pub(crate) day: u8,
}

impl Civil {
    /// The date of a day number, counted from 1970-01-01.
    ///
    /// Years are taken to begin in March, so that the leap day is the last of the year and month lengths repeat in a
    /// pattern of 153 days per five months.
    pub(crate) fn from_days(days: i64) -> Self {
        let days = days.saturating_add(EPOCH_OFFSET);
        let era = days.div_euclid(ERA_DAYS);
        let day_of_era = days.rem_euclid(ERA_DAYS);
        // Leap days lengthen every 4th year but not every 100th, the last day of the era being a leap day too.
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Self {
            year,
            month: month as u8,
            day: day as u8,
        }
    }

    /// Whether the year of this date has 366 days.
    pub(crate) fn is_leap(self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    /// Days in the year of this date: 365 or 366.
    pub(crate) fn days_in_year(self) -> i32 {
        if self.is_leap() { 366 } else { 365 }
    }

    /// Days in the month of this date: 28 to 31.
    pub(crate) fn days_in_month(self) -> i32 {
        match self.month {
            2 if self.is_leap() => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// 1 on January 1st.
    pub(crate) fn day_of_year(self) -> i32 {
        const BEFORE: [i32; 13] = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let before = BEFORE
            .get(usize::from(self.month))
            .copied()
            .unwrap_or_default();
        before + i32::from(self.day) + i32::from(self.month > 2 && self.is_leap())
    }
}

/// Day of the week of a day number: 1 = Monday to 7 = Sunday (ISO 8601).
pub(crate) fn iso_weekday(days: i64) -> i32 {
    // 1970-01-01 was a Thursday.
    (days.rem_euclid(7) + 3) as i32 % 7 + 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use chrono::{Datelike, NaiveDate};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn knows_the_epoch_and_the_ends() {
        assert_eq!(
            Civil::from_days(0),
            Civil {
                year: 1970,
                month: 1,
                day: 1
            }
        );
        assert_eq!(
            Civil::from_days(-1),
            Civil {
                year: 1969,
                month: 12,
                day: 31
            }
        );
        assert_eq!(
            Civil::from_days(-719_162),
            Civil {
                year: 1,
                month: 1,
                day: 1
            }
        );
        assert_eq!(
            Civil::from_days(2_932_896),
            Civil {
                year: 9999,
                month: 12,
                day: 31
            }
        );
        assert_eq!(
            Civil::from_days(11_016),
            Civil {
                year: 2000,
                month: 2,
                day: 29
            }
        );
    }

    proptest! {
        #[test]
        fn agrees_with_chrono(days in -800_000_i32..3_000_000) {
            let date = NaiveDate::from_epoch_days(days).unwrap();
            let civil = Civil::from_days(i64::from(days));
            prop_assert_eq!(civil.year, i64::from(date.year()));
            prop_assert_eq!(u32::from(civil.month), date.month());
            prop_assert_eq!(u32::from(civil.day), date.day());
            prop_assert_eq!(civil.day_of_year() as u32, date.ordinal());
            prop_assert_eq!(civil.is_leap(), date.leap_year());
            prop_assert_eq!(civil.days_in_month() as u8, date.num_days_in_month());
            prop_assert_eq!(iso_weekday(i64::from(days)) as u32, date.weekday().number_from_monday());
        }
    }
}
