//! Parts as points on the unit circle.
//!
//! Owns the length of each cycle and the tables of points; knows nothing of Arrow or time zones.

use std::f64::consts::TAU;

use super::clock::Instants;
use super::part::{DatePart, Moment, weeks_in_iso_year};

/// The points of every length the cycle of a part can have.
#[derive(Debug, Clone)]
pub(super) struct Cycles {
    /// Value at which the cycle starts: 0 or 1.
    first: i32,
    /// By length, ascending.
    tables: Vec<(i32, Vec<(f64, f64)>)>,
}

impl Cycles {
    /// The cycle of a part, or none if its values do not come round again.
    ///
    /// Lengths are the true ones: 24 hours, 7 days of the week, 12 months, the days of the very month or year, the weeks
    /// of the very ISO year. So the distance from the last value to the first is one step, as between any two neighbours.
    pub(super) fn of(part: DatePart) -> Option<Self> {
        let (first, lengths): (i32, &[i32]) = match part {
            DatePart::Quarter => (1, &[4]),
            DatePart::Month => (1, &[12]),
            DatePart::Day => (1, &[28, 29, 30, 31]),
            DatePart::DayOfWeek => (0, &[7]),
            DatePart::DayOfYear => (1, &[365, 366]),
            DatePart::Week => (1, &[52, 53]),
            DatePart::Hour => (0, &[24]),
            DatePart::Minute | DatePart::Second => (0, &[60]),
            DatePart::Year | DatePart::IsWeekend => return None,
        };
        let table = |&length: &i32| {
            let points =
                (0..length).map(|step| (TAU * f64::from(step) / f64::from(length)).sin_cos());
            (length, points.collect())
        };
        Some(Self {
            first,
            tables: lengths.iter().map(table).collect(),
        })
    }

    /// Sines and cosines of one part of every row.
    pub(super) fn points(&self, part: DatePart, instants: &Instants) -> (Vec<f64>, Vec<f64>) {
        instants
            .rows()
            .map(|moment| self.point(part.of(moment) - self.first, length(part, moment)))
            .unzip()
    }

    fn point(&self, step: i32, length: i32) -> (f64, f64) {
        // Rows without a value still ask for a point, of the day 1970-01-01; every real value has one.
        self.tables
            .iter()
            .find(|(candidate, _)| *candidate == length)
            .and_then(|(_, points)| points.get(usize::try_from(step).ok()?))
            .copied()
            .unwrap_or((f64::NAN, f64::NAN))
    }
}

/// Number of values in the cycle a moment lies in.
fn length(part: DatePart, moment: Moment) -> i32 {
    match part {
        DatePart::Quarter => 4,
        DatePart::Month => 12,
        DatePart::Day => moment.date.days_in_month(),
        DatePart::DayOfWeek => 7,
        DatePart::DayOfYear => moment.date.days_in_year(),
        DatePart::Week => weeks_in_iso_year(moment.days),
        DatePart::Hour => 24,
        DatePart::Minute | DatePart::Second => 60,
        DatePart::Year | DatePart::IsWeekend => 0,
    }
}
