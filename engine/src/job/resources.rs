//! What a job holds while it runs: ledger, monitor, temporary directory, query session, counters.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use millpond_spill::{
    MemoryBudget, ProcessSampler, RssMonitor, SeenTexts, SpillDir, default_memory_limit, sweep,
};

use super::JobSettings;
use super::checkpoints::Checkpoints;
use super::keep::LastingRows;
use super::memory_need::MemoryNeed;
use super::progress::{Gauge, Ticker};
use crate::error::{Error, Result};
use crate::output_dir::OutputDir;
use crate::plan::{RowPlan, Session};
use crate::source::{ReadContext, ReadMetrics};

/// How often resident memory is looked at.
const RSS_INTERVAL: Duration = Duration::from_millis(50);

/// Mode of a temporary directory that did not exist.
const PRIVATE_DIR: u32 = 0o700;

pub(super) struct Resources {
    pub budget: MemoryBudget,
    pub memory_limit_bytes: u64,
    pub monitor: Arc<RssMonitor>,
    pub spill: Arc<SpillDir>,
    pub session: Session,
    pub metrics: Arc<ReadMetrics>,
    pub gauge: Arc<Gauge>,
    pub slots: usize,
    pub started: Instant,
    settings: JobSettings,
    // Last, so that the watcher sees the end of everything else.
    _ticker: Ticker,
}

impl Resources {
    /// Opens the ledger and the temporary directory, and starts watching.
    ///
    /// # Errors
    /// Disk when the temporary directory cannot be made.
    pub fn open(settings: &JobSettings, memory: Option<ByteSize>) -> Result<Self> {
        let started = Instant::now();
        let memory_limit_bytes = settings
            .memory
            .or(memory)
            .map_or_else(default_memory_limit, |m| m.as_u64());
        let limit = usize::try_from(memory_limit_bytes).unwrap_or(usize::MAX);
        let budget = MemoryBudget::new(limit);
        let monitor = Arc::new(RssMonitor::start(
            budget.clone(),
            Box::new(ProcessSampler::new()),
            RSS_INTERVAL,
        ));
        let root = settings.temp_dir.clone().unwrap_or_else(default_temp_dir);
        // Private from the start: whatever the umask, nobody else may put anything into it.
        let made = DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_DIR)
            .create(&root);
        made.map_err(|e| {
            Error::with_source(
                crate::ErrorKind::Disk,
                format!("cannot use temporary directory \"{}\"", root.display()),
                e,
            )
        })?;
        // What dead runs left behind is of no use to anybody; failing to remove it is no reason not to run.
        if let Err(e) = sweep(&root) {
            tracing::warn!("cannot sweep \"{}\": {e}", root.display());
        }
        let spill = Arc::new(SpillDir::create(
            &root,
            settings.spill_quota.map(|q| q.as_u64()),
        )?);
        let slots = settings.slots.unwrap_or_else(default_slots);
        let metrics = Arc::<ReadMetrics>::default();
        let session = Session::try_new(
            &budget,
            Some(spill.path()),
            settings.batch_rows.unwrap_or(MAX_BATCH_ROWS),
        )?;
        let spilled = {
            let spill = Arc::clone(&spill);
            Arc::new(move || spill.bytes_written())
        };
        let gauge = Arc::new(Gauge::new(
            Arc::clone(&metrics),
            budget.clone(),
            memory_limit_bytes,
            Arc::clone(&monitor),
            spilled,
            started,
        ));
        let ticker = Ticker::start(Arc::clone(&gauge), settings.progress.clone());
        Ok(Self {
            budget,
            memory_limit_bytes,
            monitor,
            spill,
            session,
            metrics,
            gauge,
            slots,
            started,
            settings: settings.clone(),
            _ticker: ticker,
        })
    }

    /// How rows of a paid source are kept in `output` for a later run to go on from.
    ///
    /// # Errors
    /// Disk when the directory cannot be made.
    pub fn lasting_rows(
        &self,
        output: &OutputDir,
        plan: &Arc<RowPlan>,
        batch_rows: usize,
        checkpoints: &Arc<Checkpoints>,
    ) -> Result<LastingRows> {
        let quota = self.settings.spill_quota.map(|q| q.as_u64());
        Ok(LastingRows {
            plan: Arc::clone(plan),
            budget: self.budget.clone(),
            dir: Arc::new(SpillDir::lasting(&output.rows_dir(), quota)?),
            checkpoints: Arc::clone(checkpoints),
            learning: Vec::new(),
            batch_rows,
            seen_texts: SeenTexts::default(),
            segment_bytes: self
                .settings
                .checkpoint
                .map_or(SEGMENT_BYTES, |bytes| bytes.as_u64()),
        })
    }

    /// Memory that is free, counting kept rows as free because they are given up while they are written.
    pub fn free_bytes(&self) -> u64 {
        let kept = self.budget.usage().leased_bytes as u64;
        let taken = self.monitor.current_rss_bytes().saturating_sub(kept);
        self.memory_limit_bytes.saturating_sub(taken)
    }

    /// Memory that has to be given up before `slots` slots can write with ease.
    pub fn missing_bytes(&self, need: &MemoryNeed, slots: usize) -> u64 {
        let comfortable = self.memory_limit_bytes / 100 * COMFORTABLE_PERCENT;
        let free = comfortable.saturating_sub(self.monitor.current_rss_bytes());
        need.writing_bytes(slots).saturating_sub(free)
    }

    /// What readers of rows of `row_bytes` are given.
    pub fn read_context(&self, row_bytes: usize) -> ReadContext {
        ReadContext {
            budget: self.budget.clone(),
            batch_rows: self
                .settings
                .batch_rows
                .unwrap_or_else(|| batch_rows(row_bytes)),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

/// Bytes read of a unit after which its rows so far are made durable: a second or so of reading.
const SEGMENT_BYTES: u64 = 64 << 20;
/// Up to this part of the limit the process may grow without anybody having to hurry.
const COMFORTABLE_PERCENT: u64 = 85;
/// Most rows of a batch: enough to amortise per-batch work, few enough to stay in the caches column by column.
const MAX_BATCH_ROWS: usize = 8192;
/// Bytes a batch should not exceed by much.
const BATCH_BYTES: usize = 16 << 20;

fn batch_rows(row_bytes: usize) -> usize {
    (BATCH_BYTES / row_bytes.max(1)).clamp(256, MAX_BATCH_ROWS)
}

fn default_slots() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn default_temp_dir() -> PathBuf {
    std::env::temp_dir()
}
