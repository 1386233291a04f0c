//! Watches how large the process really is. Owns the sampling thread, the peak and the rule that turns a size into a
//! [`Pressure`]; knows nothing of how the size is read or of who gives way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::budget::MemoryBudget;
use crate::ledger::Pressure;

/// Where the size of the process comes from.
pub trait RssSampler: Send {
    /// Resident bytes of this process now, `None` when they cannot be read this time. Called once per interval; must be
    /// quick and must not allocate much.
    fn resident_bytes(&mut self) -> Option<u64>;

    /// The largest resident size since the process began, in bytes, when the operating system keeps that number.
    fn high_water_bytes(&mut self) -> Option<u64> {
        None
    }
}

/// Samples the resident size in a thread of its own and sets the pressure of a budget by it. Stops on drop.
///
/// The size lags behind what is freed because allocators keep pages, so it only scales the byte-exact budget and never
/// replaces it. Each level is left at a lower size than it is entered at, so that the level does not flutter.
pub struct RssMonitor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    budget: MemoryBudget,
    sampler: Mutex<Box<dyn RssSampler>>,
    current: AtomicU64,
    peak: AtomicU64,
    stopped: Mutex<bool>,
    stop: Condvar,
}

impl RssMonitor {
    /// Starts sampling every `interval` (50 to 100 ms suits: shorter costs time, longer lets more bytes arrive unseen).
    /// The first sample is taken before this returns. When no thread can be had, sizes are sampled whenever one of the
    /// methods is called, and a warning is logged.
    pub fn start(budget: MemoryBudget, sampler: Box<dyn RssSampler>, interval: Duration) -> Self {
        let shared = Arc::new(Shared {
            budget,
            sampler: Mutex::new(sampler),
            current: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            stopped: Mutex::new(false),
            stop: Condvar::new(),
        });
        shared.sample();
        let watched = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("millpond-rss".to_owned())
            .spawn(move || watched.run(interval))
            .inspect_err(|error| tracing::warn!(%error, "cannot start the memory monitor thread"))
            .ok();
        Self { shared, thread }
    }

    /// Resident bytes of the process at the last sample, 0 when they cannot be read.
    pub fn current_rss_bytes(&self) -> u64 {
        if self.thread.is_none() {
            self.shared.sample();
        }
        self.shared.current.load(Ordering::Relaxed)
    }

    /// The largest resident size seen, in bytes: of all samples and of the operating system's own high-water mark,
    /// which also knows the peaks between samples and before this monitor began.
    pub fn peak_rss_bytes(&self) -> u64 {
        self.shared.sample();
        let mark = lock(&self.shared.sampler).high_water_bytes().unwrap_or(0);
        self.shared.peak.load(Ordering::Relaxed).max(mark)
    }
}

impl Drop for RssMonitor {
    fn drop(&mut self) {
        *lock(&self.shared.stopped) = true;
        self.shared.stop.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the sampler has been reported by the panic hook already.
            let _ = thread.join();
        }
        self.shared.budget.set_pressure(Pressure::Calm);
    }
}

impl Shared {
    fn run(&self, interval: Duration) {
        let mut stopped = lock(&self.stopped);
        while !*stopped {
            let (guard, _) = self
                .stop
                .wait_timeout(stopped, interval)
                .unwrap_or_else(PoisonError::into_inner);
            stopped = guard;
            if !*stopped {
                drop(stopped);
                self.sample();
                stopped = lock(&self.stopped);
            }
        }
    }

    fn sample(&self) {
        // The lock is held until the pressure is set: two samples must not set it in the wrong order.
        let mut sampler = lock(&self.sampler);
        let Some(rss) = sampler.resident_bytes() else {
            return;
        };
        self.current.store(rss, Ordering::Relaxed);
        self.peak.fetch_max(rss, Ordering::Relaxed);
        let limit = u64::try_from(self.budget.limit()).unwrap_or(u64::MAX);
        let before = self.budget.pressure();
        let after = next_pressure(before, rss, limit);
        if after != before {
            tracing::debug!(?before, ?after, rss, limit, "memory pressure changed");
            self.budget.set_pressure(after);
        }
    }
}

/// Entry and exit sizes of the levels, in percent of the limit.
const HIGH_FROM: u64 = 82;
const HIGH_UNTIL: u64 = 75;
const CRITICAL_FROM: u64 = 90;
const CRITICAL_UNTIL: u64 = 84;

/// The level after `level` for a process of `rss` bytes under `limit`.
fn next_pressure(level: Pressure, rss: u64, limit: u64) -> Pressure {
    let at_least = |percent: u64| u128::from(rss) * 100 >= u128::from(limit) * u128::from(percent);
    let critical_from = match level {
        Pressure::Critical => CRITICAL_UNTIL,
        Pressure::Calm | Pressure::High => CRITICAL_FROM,
    };
    let high_from = match level {
        Pressure::Calm => HIGH_FROM,
        Pressure::High | Pressure::Critical => HIGH_UNTIL,
    };
    if at_least(critical_from) {
        Pressure::Critical
    } else if at_least(high_from) {
        Pressure::High
    } else {
        Pressure::Calm
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
