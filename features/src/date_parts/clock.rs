//! From stored dates and timestamps to readings of calendar and clock in a time zone.
//!
//! Owns units, offsets from UTC and their changes; knows nothing of parts.

use std::str::FromStr;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::DatePartsError;
use super::civil::Civil;
use super::part::{DatePart, Moment};

const DAY_SECONDS: i64 = 86_400;
/// About 200 000 years; well inside what the time zone library can represent.
const MAX_SECONDS: i64 = 200_000 * 31_556_952;

/// Reads the clock of one column.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    column: String,
    data_type: DataType,
    /// None for UTC, and for values that are taken as they stand.
    zone: Option<Tz>,
}

/// Calendar and clock of every row of a batch, 1970-01-01 where the value is missing.
pub(super) struct Instants {
    /// Day number and second of the day.
    local: Vec<(i64, i32)>,
}

impl Instants {
    /// The reading of every row, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = Moment> + '_ {
        self.local.iter().map(|&(days, second_of_day)| Moment {
            days,
            second_of_day,
            date: Civil::from_days(days),
        })
    }
}

impl Clock {
    pub(super) fn try_new(
        column: &str,
        data_type: &DataType,
        timezone: &str,
    ) -> Result<Self, DatePartsError> {
        let zone = match timezone {
            "UTC" | "Etc/UTC" | "Z" => None,
            name => Some(Tz::from_str(name).map_err(|_| unknown_zone(name))?),
        };
        match data_type {
            DataType::Timestamp(_, Some(_)) => {}
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None)
                if zone.is_none() => {}
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None) => {
                return Err(DatePartsError::ZoneWithoutInstant {
                    column: column.to_owned(),
                    data_type: data_type.clone(),
                    timezone: timezone.to_owned(),
                });
            }
            _ => {
                return Err(DatePartsError::NotADate {
                    column: column.to_owned(),
                    data_type: data_type.clone(),
                });
            }
        }
        Ok(Self {
            column: column.to_owned(),
            data_type: data_type.clone(),
            zone,
        })
    }

    pub(super) fn has_time_of_day(&self) -> bool {
        matches!(self.data_type, DataType::Timestamp(..))
    }

    pub(super) fn default_parts(&self) -> Vec<DatePart> {
        let mut parts = vec![
            DatePart::Year,
            DatePart::Month,
            DatePart::Day,
            DatePart::DayOfWeek,
        ];
        if self.has_time_of_day() {
            parts.push(DatePart::Hour);
        }
        parts
    }

    pub(super) fn read(&self, values: &ArrayRef) -> Result<Instants, DatePartsError> {
        let changed = || DatePartsError::TypeChanged {
            column: self.column.clone(),
            expected: self.data_type.clone(),
            found: values.data_type().clone(),
        };
        // The text of a timestamp's own zone does not matter: it is an instant whatever the zone is called.
        let same = match (&self.data_type, values.data_type()) {
            (DataType::Timestamp(bound, zone), DataType::Timestamp(found, other)) => {
                bound == found && zone.is_some() == other.is_some()
            }
            (bound, found) => bound == found,
        };
        if !same {
            return Err(changed());
        }
        let local = match values.data_type() {
            DataType::Date32 => {
                let days = values
                    .as_primitive_opt::<Date32Type>()
                    .ok_or_else(changed)?
                    .values();
                days.iter().map(|&days| (i64::from(days), 0)).collect()
            }
            DataType::Date64 => self.seconds(
                values,
                values
                    .as_primitive_opt::<Date64Type>()
                    .ok_or_else(changed)?
                    .values(),
                1_000,
            )?,
            DataType::Timestamp(TimeUnit::Second, _) => self.seconds(
                values,
                values
                    .as_primitive_opt::<TimestampSecondType>()
                    .ok_or_else(changed)?
                    .values(),
                1,
            )?,
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                let stored = values
                    .as_primitive_opt::<TimestampMillisecondType>()
                    .ok_or_else(changed)?
                    .values();
                self.seconds(values, stored, 1_000)?
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let stored = values
                    .as_primitive_opt::<TimestampMicrosecondType>()
                    .ok_or_else(changed)?
                    .values();
                self.seconds(values, stored, 1_000_000)?
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                let stored = values
                    .as_primitive_opt::<TimestampNanosecondType>()
                    .ok_or_else(changed)?
                    .values();
                self.seconds(values, stored, 1_000_000_000)?
            }
            _ => return Err(changed()),
        };
        Ok(Instants { local })
    }

    /// Day and second of the day of stored values, `per_second` of which make a second.
    fn seconds(
        &self,
        values: &ArrayRef,
        stored: &[i64],
        per_second: i64,
    ) -> Result<Vec<(i64, i32)>, DatePartsError> {
        let mut offsets = self.zone.map(Offsets::new);
        let mut out_of_range = 0;
        let mut first_out_of_range = 0;
        let local = stored.iter().enumerate().map(|(row, &value)| {
            if values.is_null(row) {
                return (0, 0);
            }
            let seconds = value.div_euclid(per_second);
            if !(-MAX_SECONDS..=MAX_SECONDS).contains(&seconds) {
                if out_of_range == 0 {
                    first_out_of_range = value;
                }
                out_of_range += 1;
                return (0, 0);
            }
            let local = seconds + offsets.as_mut().map_or(0, |offsets| offsets.at(seconds));
            // The remainder is below a day.
            (
                local.div_euclid(DAY_SECONDS),
                local.rem_euclid(DAY_SECONDS) as i32,
            )
        });
        let local = local.collect();
        if out_of_range > 0 {
            return Err(DatePartsError::OutOfRange {
                column: self.column.clone(),
                value: first_out_of_range,
                rows: out_of_range,
            });
        }
        Ok(local)
    }
}

/// Offsets from UTC of one zone, remembering the day asked for last: rows are often in order of time.
struct Offsets {
    zone: Tz,
    known_from: i64,
    known_until: i64,
    offset: i64,
}

impl Offsets {
    const SPAN: i64 = DAY_SECONDS;

    fn new(zone: Tz) -> Self {
        Self {
            zone,
            known_from: 0,
            known_until: 0,
            offset: 0,
        }
    }

    fn at(&mut self, seconds: i64) -> i64 {
        if (self.known_from..self.known_until).contains(&seconds) {
            return self.offset;
        }
        let offset = self.look_up(seconds);
        let from = seconds.div_euclid(Self::SPAN) * Self::SPAN;
        let until = from + Self::SPAN;
        // No zone has ever changed its offset twice within less than three days, so equal ends mean that the whole day
        // has one offset.
        if self.look_up(from) == offset && self.look_up(until - 1) == offset {
            (self.known_from, self.known_until, self.offset) = (from, until, offset);
        }
        offset
    }

    fn look_up(&self, seconds: i64) -> i64 {
        DateTime::from_timestamp(seconds, 0).map_or(0, |instant| {
            let offset = self.zone.offset_from_utc_datetime(&instant.naive_utc());
            i64::from(offset.fix().local_minus_utc())
        })
    }
}

fn unknown_zone(name: &str) -> DatePartsError {
    let hint = chrono_tz::TZ_VARIANTS
        .iter()
        .map(|zone| {
            (
                strsim::jaro_winkler(&name.to_lowercase(), &zone.name().to_lowercase()),
                zone.name(),
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.85)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, zone)| format!("; did you mean `{zone}`"))
        .unwrap_or_default();
    DatePartsError::UnknownZone {
        timezone: name.to_owned(),
        hint,
    }
}
