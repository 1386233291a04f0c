//! Running statistics of a date or timestamp column, and where to cut it into past, present and future.
//!
//! Owns the choice of boundaries and their text. Must not know Arrow.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

const DAY: i64 = 86_400_000_000;

/// A sample shorter than this is cut at a time of day; a longer one at midnight, which reads better.
const DAYS_FOR_DATES: i64 = 20;

/// What a time column holds, for writing its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Dates.
    Calendar,
    /// Timestamps without a time zone.
    Local,
    /// Timestamps in UTC.
    Utc,
}

/// How often each time was seen, in microseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Times {
    counts: BTreeMap<i64, u64>,
    /// Values seen.
    pub count: u64,
}

/// Boundaries of a split by time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// First time of the validation rows, as the recipe writes it.
    pub val_from: String,
    /// First time of the test rows.
    pub test_from: String,
}

impl Times {
    pub fn push(&mut self, micros: i64) {
        *self.counts.entry(micros).or_default() += 1;
        self.count += 1;
    }

    /// Distinct values, exact.
    pub fn distinct(&self) -> usize {
        self.counts.len()
    }

    /// First and last time.
    pub fn range(&self) -> Option<(i64, i64)> {
        Some((
            *self.counts.first_key_value()?.0,
            *self.counts.last_key_value()?.0,
        ))
    }

    /// Boundaries that leave about 80 % of the sample before the first and 10 % between the two; none when fewer than
    /// three different times were seen.
    pub fn cut(&self, clock: Clock) -> Option<Cut> {
        let (first, last) = self.range()?;
        let by_day = clock == Clock::Calendar || (last - first) / DAY >= DAYS_FOR_DATES;
        if by_day && let Some(cut) = self.cut_at(DAY, clock) {
            return Some(cut);
        }
        self.cut_at(1_000_000, clock)
            .or_else(|| self.cut_at(1, clock))
    }

    /// Boundaries among the times rounded down to whole `grain`s.
    fn cut_at(&self, grain: i64, clock: Clock) -> Option<Cut> {
        let mut rounded: BTreeMap<i64, u64> = BTreeMap::new();
        for (time, count) in &self.counts {
            *rounded.entry(time.div_euclid(grain) * grain).or_default() += count;
        }
        let total: u64 = rounded.values().sum();
        let mut before = 0;
        // Candidate boundaries with the share of rows before each; nothing comes before the first.
        let candidates: Vec<(i64, f64)> = rounded
            .iter()
            .map(|(time, count)| {
                let share = before as f64 / total as f64;
                before += count;
                (*time, share)
            })
            .skip(1)
            .collect();
        let (all_but_last, _) = candidates.split_at(candidates.len().saturating_sub(1));
        let val = nearest(all_but_last.iter(), 0.8)?;
        let test = nearest(candidates.iter().filter(|(time, _)| *time > val), 0.9)?;
        Some(Cut {
            val_from: text(val, clock)?,
            test_from: text(test, clock)?,
        })
    }
}

fn nearest<'a>(candidates: impl Iterator<Item = &'a (i64, f64)>, share: f64) -> Option<i64> {
    candidates
        .min_by(|a, b| (a.1 - share).abs().total_cmp(&(b.1 - share).abs()))
        .map(|(time, _)| *time)
}

/// A time as a recipe writes it: a date when it is midnight, RFC 3339 otherwise, without offset where the column has no zone.
pub(super) fn text(micros: i64, clock: Clock) -> Option<String> {
    let time: DateTime<Utc> = DateTime::from_timestamp_micros(micros)?;
    if clock == Clock::Calendar || micros.rem_euclid(DAY) == 0 {
        return Some(time.format("%Y-%m-%d").to_string());
    }
    let zone = if clock == Clock::Utc { "Z" } else { "" };
    Some(format!("{}{zone}", time.format("%Y-%m-%dT%H:%M:%S%.f")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn every(step: i64, n: i64) -> Times {
        let mut times = Times::default();
        for i in 0..n {
            times.push(1_700_000_000_000_000 + i * step);
        }
        times
    }

    #[test]
    fn a_long_range_is_cut_at_midnight() {
        // A hundred days from 2023-11-14T22:13:20Z: 80 of them end at 2024-02-02T22:13:20Z, and the next midnight is nearest.
        let cut = every(DAY / 10, 1000).cut(Clock::Utc).unwrap();
        assert_eq!(
            cut,
            Cut {
                val_from: "2024-02-03".into(),
                test_from: "2024-02-13".into()
            }
        );
    }

    #[test]
    fn a_short_range_is_cut_at_a_second() {
        let cut = every(137_000, 100_000).cut(Clock::Utc).unwrap();
        assert_eq!(
            cut,
            Cut {
                val_from: "2023-11-15T01:16:00Z".into(),
                test_from: "2023-11-15T01:38:50Z".into()
            }
        );
        let local = every(137_000, 100_000).cut(Clock::Local).unwrap();
        assert_eq!(local.val_from, "2023-11-15T01:16:00");
    }

    #[test]
    fn few_dates_are_cut_between_dates() {
        let mut months = Times::default();
        for month in 0..3 {
            for _ in 0..10 {
                months.push(month * 31 * DAY);
            }
        }
        let cut = months.cut(Clock::Calendar).unwrap();
        assert_eq!(
            cut,
            Cut {
                val_from: "1970-02-01".into(),
                test_from: "1970-03-04".into()
            }
        );
        assert_eq!(every(DAY, 2).cut(Clock::Calendar), None);
        assert_eq!(Times::default().cut(Clock::Utc), None);
    }

    #[test]
    fn times_before_1970_are_written_in_order() {
        assert_eq!(text(-1, Clock::Utc).unwrap(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(text(-DAY, Clock::Local).unwrap(), "1969-12-31");
        assert_eq!(text(i64::MAX, Clock::Utc), None);
    }
}
