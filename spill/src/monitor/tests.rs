#![allow(clippy::unwrap_used)]

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;

#[test]
fn levels_have_hysteresis() {
    use Pressure::{Calm, Critical, High};
    let sizes = [50, 81, 82, 76, 74, 81, 91, 85, 83, 76, 74, 100, 74];
    let mut level = Calm;
    let seen: Vec<_> = sizes
        .iter()
        .map(|rss| {
            level = next_pressure(level, *rss, 100);
            level
        })
        .collect();
    assert_eq!(
        seen,
        [
            Calm, Calm, High, High, Calm, Calm, Critical, Critical, High, High, Calm, Critical,
            Calm
        ]
    );
}

/// Answers what the test sends, one size per sample.
struct Scripted {
    sizes: Receiver<Option<u64>>,
    mark: u64,
}

impl RssSampler for Scripted {
    fn resident_bytes(&mut self) -> Option<u64> {
        self.sizes.try_recv().ok().flatten()
    }
    fn high_water_bytes(&mut self) -> Option<u64> {
        Some(self.mark)
    }
}

fn scripted(mark: u64) -> (SyncSender<Option<u64>>, Box<Scripted>) {
    let (send, sizes) = sync_channel(16);
    (send, Box::new(Scripted { sizes, mark }))
}

/// Waits until the monitor thread has reached the level; the harness ends a test that never does.
fn wait_for(budget: &MemoryBudget, level: Pressure) {
    while budget.pressure() != level {
        std::thread::yield_now();
    }
}

#[test]
fn a_large_process_lowers_the_limits_and_a_small_one_raises_them() {
    let limit = 64 << 20;
    let budget = MemoryBudget::new(limit);
    let (sizes, sampler) = scripted(0);
    let monitor = RssMonitor::start(budget.clone(), sampler, Duration::from_micros(200));
    let request = budget.shares().leased_bytes * 3 / 4;
    assert!(budget.try_lease("test", request).is_ok());
    sizes.send(Some(limit as u64)).unwrap();
    wait_for(&budget, Pressure::Critical);
    assert!(budget.try_lease("test", request).is_err());
    assert!(
        budget
            .try_lease("test", budget.shares().floor_bytes)
            .is_ok()
    );
    sizes.send(Some(limit as u64 * 80 / 100)).unwrap();
    wait_for(&budget, Pressure::High);
    assert!(budget.try_lease("test", request).is_err());
    sizes.send(Some(1)).unwrap();
    wait_for(&budget, Pressure::Calm);
    assert!(budget.try_lease("test", request).is_ok());
    assert_eq!(monitor.current_rss_bytes(), 1);
    assert_eq!(monitor.peak_rss_bytes(), limit as u64);
}

#[test]
fn the_mark_of_the_operating_system_counts_and_drop_ends_the_pressure() {
    let budget = MemoryBudget::new(100);
    let (sizes, sampler) = scripted(777);
    sizes.send(Some(99)).unwrap();
    let monitor = RssMonitor::start(budget.clone(), sampler, Duration::from_secs(3600));
    assert_eq!(monitor.current_rss_bytes(), 99);
    assert_eq!(budget.pressure(), Pressure::Critical);
    assert_eq!(monitor.peak_rss_bytes(), 777);
    drop(monitor);
    assert_eq!(budget.pressure(), Pressure::Calm);
    assert!(
        sizes.send(None).is_err(),
        "the thread and its sampler are gone"
    );
}
