//! How a running job is shown: a bar on a terminal, a line now and then elsewhere.
//!
//! Owns the choice and the wording. Must not know how a job works beyond its snapshots.

use std::io::IsTerminal;
use std::sync::Arc;

use millpond::{Phase, Progress, ProgressSnapshot};

use crate::args::Told;
use crate::numerals::{count, size, time};

mod bar;
mod lines;

pub(crate) use bar::Bar;
pub(crate) use lines::Lines;

/// The progress that `told` and stderr call for.
pub(crate) fn progress(told: &Told) -> Option<Arc<dyn Progress>> {
    if !told.wants_progress() {
        None
    } else if std::io::stderr().is_terminal() {
        Some(Arc::new(Bar::new()))
    } else {
        Some(Arc::new(Lines::new()))
    }
}

/// What the job does, in few words.
fn phase(phase: Phase) -> String {
    match phase {
        Phase::Connect => "connecting".to_owned(),
        Phase::Materialise => "running the query".to_owned(),
        Phase::Fit { pass, of } => format!("learning, pass {pass} of {of}"),
        Phase::Write => "writing".to_owned(),
    }
}

/// Rows so far, of how many when that is known.
fn rows(snapshot: &ProgressSnapshot) -> String {
    match snapshot.rows_total {
        Some(total) if total > 0 => format!("{} of {} rows", count(snapshot.rows), count(total)),
        _ => format!("{} rows", count(snapshot.rows)),
    }
}

/// Bytes so far, of how many when that is known.
fn bytes(snapshot: &ProgressSnapshot) -> String {
    match snapshot.bytes_total {
        Some(total) if total > 0 => format!("{} of {}", size(snapshot.bytes), size(total)),
        _ => size(snapshot.bytes),
    }
}

/// Memory of the process against its budget, and what waits on disk when anything does.
fn memory(snapshot: &ProgressSnapshot) -> String {
    let mut text = format!(
        "memory {} of {}",
        size(snapshot.rss_bytes),
        size(snapshot.memory_limit_bytes)
    );
    if snapshot.spilled_bytes > 0 {
        text.push_str(&format!(", {} on disk", size(snapshot.spilled_bytes)));
    }
    text
}

/// The speed within a phase, and from it the time that remains.
///
/// A snapshot knows the time since the job began; a rate must not count the phases before.
#[derive(Debug, Clone, Copy)]
struct Pace {
    phase: Phase,
    began: f64,
}

/// A pace is not believed before this many seconds.
const SETTLING_SECONDS: f64 = 0.5;

impl Pace {
    fn new() -> Self {
        Self {
            phase: Phase::Connect,
            began: 0.0,
        }
    }

    /// Notices the beginning of a phase; true when it is a new one.
    fn follow(&mut self, snapshot: &ProgressSnapshot) -> bool {
        let new = self.phase != snapshot.phase;
        if new {
            *self = Self {
                phase: snapshot.phase,
                began: snapshot.elapsed.as_secs_f64(),
            };
        }
        new
    }

    /// Rows per second and remaining time as text; nothing while too little is known.
    fn text(&self, snapshot: &ProgressSnapshot) -> String {
        let seconds = snapshot.elapsed.as_secs_f64() - self.began;
        if seconds < SETTLING_SECONDS || snapshot.rows == 0 {
            return String::new();
        }
        let rate = snapshot.rows as f64 / seconds;
        let mut text = format!("{} rows/s", count(rate as u64));
        let share = fraction(snapshot);
        if let Some(share) = share
            && share > 0.0
            && share < 1.0
        {
            text.push_str(&format!(", {} left", time(seconds * (1.0 - share) / share)));
        }
        text
    }
}

/// How much of the phase is done: by rows when their number is known, else by bytes.
fn fraction(snapshot: &ProgressSnapshot) -> Option<f64> {
    let of = |done: u64, total: Option<u64>| {
        total
            .filter(|t| *t > 0)
            .map(|t| (done as f64 / t as f64).min(1.0))
    };
    of(snapshot.rows, snapshot.rows_total).or_else(|| of(snapshot.bytes, snapshot.bytes_total))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    pub(super) fn snapshot(phase: Phase, rows: u64, millis: u64) -> ProgressSnapshot {
        ProgressSnapshot {
            phase,
            rows,
            rows_total: Some(1_000_000),
            bytes: rows * 100,
            bytes_total: None,
            memory_used_bytes: 0,
            memory_limit_bytes: 1 << 30,
            rss_bytes: 300 << 20,
            spilled_bytes: 0,
            elapsed: Duration::from_millis(millis),
        }
    }

    #[test]
    fn the_pace_is_that_of_the_phase() {
        let mut pace = Pace::new();
        let fit = Phase::Fit { pass: 1, of: 2 };
        assert!(pace.follow(&snapshot(fit, 0, 10_000)));
        assert_eq!(pace.text(&snapshot(fit, 1_000, 10_100)), "");
        let later = snapshot(fit, 250_000, 11_000);
        assert!(!pace.follow(&later));
        assert_eq!(pace.text(&later), "250,000 rows/s, 3.0 s left");
    }

    #[test]
    fn the_bytes_stand_in_for_unknown_rows() {
        let mut s = snapshot(Phase::Write, 10, 0);
        s.rows_total = None;
        s.bytes_total = Some(4_000);
        assert_eq!(fraction(&s), Some(0.25));
        s.bytes_total = Some(0);
        assert_eq!(fraction(&s), None);
    }

    #[test]
    fn memory_is_shown_against_the_budget() {
        let mut s = snapshot(Phase::Write, 10, 0);
        assert_eq!(memory(&s), "memory 300.0 MiB of 1.0 GiB");
        s.spilled_bytes = 5 << 20;
        assert_eq!(memory(&s), "memory 300.0 MiB of 1.0 GiB, 5.0 MiB on disk");
    }
}
