//! Progress as plain lines, for logs and pipes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use millpond::{Progress, ProgressSnapshot};

use super::{Pace, bytes, memory, phase, rows};
use crate::console;

/// Time before the first line and between two. What is over sooner needs no progress.
const INTERVAL: Duration = Duration::from_secs(2);

/// One line at most every two seconds, the first after two.
pub(crate) struct Lines {
    state: Mutex<(Pace, Duration)>,
}

impl Lines {
    pub fn new() -> Self {
        Self {
            state: Mutex::new((Pace::new(), Duration::ZERO)),
        }
    }

    /// The line that is due now, if any.
    fn due(&self, snapshot: &ProgressSnapshot) -> Option<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (pace, last) = &mut *state;
        pace.follow(snapshot);
        if snapshot.elapsed.saturating_sub(*last) < INTERVAL {
            return None;
        }
        *last = snapshot.elapsed;
        let mut parts = vec![
            rows(snapshot),
            bytes(snapshot),
            pace.text(snapshot),
            memory(snapshot),
        ];
        parts.retain(|p| !p.is_empty());
        Some(format!("{}: {}", phase(snapshot.phase), parts.join(", ")))
    }
}

impl Progress for Lines {
    fn update(&self, snapshot: &ProgressSnapshot) {
        if let Some(line) = self.due(snapshot) {
            console::note(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use millpond::Phase;

    use super::super::tests::snapshot;
    use super::*;

    #[test]
    fn lines_keep_their_distance() {
        let lines = Lines::new();
        let due: Vec<u64> = (0..100)
            .map(|tick| tick * 100)
            .filter(|millis| {
                lines
                    .due(&snapshot(Phase::Write, *millis, *millis))
                    .is_some()
            })
            .collect();
        assert_eq!(due, [2_000, 4_000, 6_000, 8_000]);
    }

    #[test]
    fn a_line_says_it_all() {
        let lines = Lines::new();
        let fit = Phase::Fit { pass: 1, of: 2 };
        assert_eq!(lines.due(&snapshot(fit, 0, 100)), None);
        assert_eq!(
            lines.due(&snapshot(fit, 190_000, 2_000)).as_deref(),
            Some(
                "learning, pass 1 of 2: 190,000 of 1,000,000 rows, 18.1 MiB, 100,000 rows/s, 8.1 s left, memory 300.0 MiB of 1.0 GiB"
            )
        );
    }
}
