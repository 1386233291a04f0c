//! The parts of a date or time, and how each follows from day number and second of the day.
//!
//! Owns the definitions; knows nothing of Arrow, time zones or circles.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::civil::{Civil, iso_weekday};

/// One part of a date or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatePart {
    /// Calendar year.
    Year,
    /// 1 to 4.
    Quarter,
    /// 1 to 12.
    Month,
    /// Day of the month, 1 to 31.
    Day,
    /// 0 = Monday to 6 = Sunday.
    DayOfWeek,
    /// 1 to 366.
    DayOfYear,
    /// Week of the ISO 8601 calendar, 1 to 53. The first days of January can lie in week 52 or 53 of the year before, the
    /// last of December in week 1 of the next.
    Week,
    /// 0 to 23.
    Hour,
    /// 0 to 59.
    Minute,
    /// 0 to 59.
    Second,
    /// 1 on Saturday and Sunday, otherwise 0.
    IsWeekend,
}

/// A reading of calendar and clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Days since 1970-01-01.
    pub(super) days: i64,
    /// 0 to 86399.
    pub(super) second_of_day: i32,
    pub(super) date: Civil,
}

impl DatePart {
    /// The name used in recipes and column names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DatePart::Year => "year",
            DatePart::Quarter => "quarter",
            DatePart::Month => "month",
            DatePart::Day => "day",
            DatePart::DayOfWeek => "day_of_week",
            DatePart::DayOfYear => "day_of_year",
            DatePart::Week => "week",
            DatePart::Hour => "hour",
            DatePart::Minute => "minute",
            DatePart::Second => "second",
            DatePart::IsWeekend => "is_weekend",
        }
    }

    /// Whether the part is of the day, which dates do not have.
    pub(super) fn is_of_day(self) -> bool {
        matches!(self, DatePart::Hour | DatePart::Minute | DatePart::Second)
    }

    /// The value of this part.
    pub(super) fn of(self, moment: Moment) -> i32 {
        let Moment {
            days,
            second_of_day,
            date,
        } = moment;
        match self {
            // The clock has refused years that do not fit.
            DatePart::Year => date.year as i32,
            DatePart::Quarter => (i32::from(date.month) + 2) / 3,
            DatePart::Month => i32::from(date.month),
            DatePart::Day => i32::from(date.day),
            DatePart::DayOfWeek => iso_weekday(days) - 1,
            DatePart::DayOfYear => date.day_of_year(),
            DatePart::Week => iso_week(days),
            DatePart::Hour => second_of_day / 3_600,
            DatePart::Minute => second_of_day / 60 % 60,
            DatePart::Second => second_of_day % 60,
            DatePart::IsWeekend => i32::from(iso_weekday(days) >= 6),
        }
    }
}

/// The day that decides to which ISO year a week belongs: its Thursday.
fn thursday(days: i64) -> Civil {
    Civil::from_days(days + 4 - i64::from(iso_weekday(days)))
}

fn iso_week(days: i64) -> i32 {
    (thursday(days).day_of_year() - 1) / 7 + 1
}

/// Number of weeks, 52 or 53, in the ISO year of a day. A year has 53 if it has 53 Thursdays.
pub(super) fn weeks_in_iso_year(days: i64) -> i32 {
    let thursday = thursday(days);
    let first_thursday = (thursday.day_of_year() - 1) % 7;
    (thursday.days_in_year() - 1 - first_thursday) / 7 + 1
}

impl fmt::Display for DatePart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use chrono::{Datelike, NaiveDate};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn iso_weeks_agree_with_chrono(days in -719_162_i32..2_932_896) {
            let date = NaiveDate::from_epoch_days(days).unwrap();
            prop_assert_eq!(iso_week(i64::from(days)) as u32, date.iso_week().week());
            let last = (25..=31).filter_map(|day| NaiveDate::from_ymd_opt(date.iso_week().year(), 12, day));
            let weeks = last.map(|day| day.iso_week().week()).max().unwrap();
            prop_assert_eq!(weeks_in_iso_year(i64::from(days)) as u32, weeks);
        }
    }
}
