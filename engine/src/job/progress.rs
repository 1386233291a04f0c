//! What a running job tells whoever watches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use millpond_spill::{MemoryBudget, RssMonitor};

use crate::source::ReadMetrics;

/// Receives the state of a running job, about ten times a second, on a thread of its own.
pub trait Progress: Send + Sync {
    /// Called with the newest state; should return quickly.
    fn update(&self, snapshot: &ProgressSnapshot);
}

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connecting to the source and planning.
    Connect,
    /// Writing the rows of a query down, so that they can be read in units.
    Materialise,
    /// Learning from the training rows: pass `pass` of at most `of`.
    Fit {
        /// This pass, from 1.
        pass: usize,
        /// Passes at most.
        of: usize,
    },
    /// Transforming and writing.
    Write,
}

/// The state of a job at one moment.
#[derive(Debug, Clone)]
pub struct ProgressSnapshot {
    /// What it is doing.
    pub phase: Phase,
    /// Rows read in this phase.
    pub rows: u64,
    /// Rows of this phase in all, when known.
    pub rows_total: Option<u64>,
    /// Bytes read from the source in this phase.
    pub bytes: u64,
    /// Bytes of this phase in all, when known.
    pub bytes_total: Option<u64>,
    /// Bytes the ledger has given out.
    pub memory_used_bytes: u64,
    /// Memory the process may use.
    pub memory_limit_bytes: u64,
    /// Resident memory of the process.
    pub rss_bytes: u64,
    /// Bytes waiting on disk.
    pub spilled_bytes: u64,
    /// Time since the job began.
    pub elapsed: Duration,
}

/// Where a job keeps what its progress is made of.
pub(crate) struct Gauge {
    state: Mutex<State>,
    pub metrics: Arc<ReadMetrics>,
    budget: MemoryBudget,
    memory_limit_bytes: u64,
    monitor: Arc<RssMonitor>,
    spilled: Arc<dyn Fn() -> u64 + Send + Sync>,
    started: Instant,
}

#[derive(Clone, Copy)]
struct State {
    phase: Phase,
    rows_total: Option<u64>,
    bytes_total: Option<u64>,
    rows_before: u64,
    bytes_before: u64,
}

impl Gauge {
    pub fn new(
        metrics: Arc<ReadMetrics>,
        budget: MemoryBudget,
        memory_limit_bytes: u64,
        monitor: Arc<RssMonitor>,
        spilled: Arc<dyn Fn() -> u64 + Send + Sync>,
        started: Instant,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Connect,
                rows_total: None,
                bytes_total: None,
                rows_before: 0,
                bytes_before: 0,
            }),
            metrics,
            budget,
            memory_limit_bytes,
            monitor,
            spilled,
            started,
        }
    }

    /// Begins a phase; rows and bytes are counted from here.
    pub fn enter(&self, phase: Phase, rows_total: Option<u64>, bytes_total: Option<u64>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State {
            phase,
            rows_total,
            bytes_total,
            rows_before: self.metrics.rows(),
            bytes_before: self.metrics.bytes(),
        };
    }

    pub fn snapshot(&self) -> ProgressSnapshot {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        ProgressSnapshot {
            phase: state.phase,
            rows: self.metrics.rows().saturating_sub(state.rows_before),
            rows_total: state.rows_total,
            bytes: self.metrics.bytes().saturating_sub(state.bytes_before),
            bytes_total: state.bytes_total,
            memory_used_bytes: self.budget.used() as u64,
            memory_limit_bytes: self.memory_limit_bytes,
            rss_bytes: self.monitor.current_rss_bytes(),
            spilled_bytes: (self.spilled)(),
            elapsed: self.started.elapsed(),
        }
    }
}

/// Calls a [`Progress`] from a thread of its own, because the job's own threads are busy computing. Stops on drop.
pub(crate) struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

const TICK: Duration = Duration::from_millis(100);

impl Ticker {
    /// Starts ticking; without a watcher nothing runs.
    pub fn start(gauge: Arc<Gauge>, progress: Option<Arc<dyn Progress>>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = progress.and_then(|progress| {
            let stop = Arc::clone(&stop);
            std::thread::Builder::new()
                .name("millpond-progress".into())
                .spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        progress.update(&gauge.snapshot());
                        std::thread::park_timeout(TICK);
                    }
                    progress.update(&gauge.snapshot());
                })
                .ok()
        });
        Self { stop, thread }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
