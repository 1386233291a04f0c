//! Progress as a bar on a terminal.

use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use millpond::{Progress, ProgressSnapshot};

use super::{Pace, bytes, fraction, memory, phase, rows};

/// Steps of the bar; finer than any terminal is wide.
const STEPS: u64 = 1_000;

/// One bar per phase, in place of each other; gone when the job is.
pub(crate) struct Bar {
    bar: ProgressBar,
    pace: Mutex<Pace>,
}

impl Bar {
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
        bar.set_style(style("{spinner} {prefix}"));
        Self {
            bar,
            pace: Mutex::new(Pace::new()),
        }
    }
}

impl Progress for Bar {
    fn update(&self, snapshot: &ProgressSnapshot) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let fraction = fraction(snapshot);
        if pace.follow(snapshot) {
            self.bar.set_style(style(if fraction.is_some() {
                "{prefix} {bar:24} {percent:>3} %  {msg}"
            } else {
                "{spinner} {prefix}  {msg}"
            }));
        }
        self.bar.set_prefix(phase(snapshot.phase));
        self.bar
            .set_position((fraction.unwrap_or(0.0) * STEPS as f64) as u64);
        if snapshot.rows > 0 {
            let mut parts = vec![
                rows(snapshot),
                bytes(snapshot),
                pace.text(snapshot),
                memory(snapshot),
            ];
            parts.retain(|p| !p.is_empty());
            self.bar.set_message(parts.join(", "));
        } else {
            self.bar.set_message(String::new());
        }
        self.bar.tick();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The templates are constants; should one be refused, the plain bar does.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_understood() {
        for template in [
            "{spinner} {prefix}",
            "{prefix} {bar:24} {percent:>3} %  {msg}",
            "{spinner} {prefix}  {msg}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
