//! Where a pass finds its rows: in the source, or where the first pass kept them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt, stream};
use millpond_spill::Pond;

use crate::error::Result;
use crate::plan::RowPlan;
use crate::source::{BatchStream, ReadMetrics};

/// Where a pass finds the rows of a unit.
#[derive(Clone)]
pub(super) enum Rows {
    /// In the source.
    Scan(Arc<RowPlan>),
    /// In the reservoir.
    Kept(KeptRows),
}

/// The rows of all units as the first pass left them.
#[derive(Clone)]
pub(super) struct KeptRows {
    pub ponds: Arc<Ponds>,
    /// Positions of the columns wanted; all when absent.
    pub projection: Option<Vec<usize>>,
    pub batch_rows: usize,
    pub after: AfterReading,
    /// Where reading is counted.
    pub metrics: Arc<ReadMetrics>,
}

/// What becomes of kept rows once they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterReading {
    /// They stay for a later pass.
    Stay,
    /// They are given up unit by unit, which makes room for what is being written.
    GiveUp,
}

/// One pond per unit that has been read and not been given up.
pub(super) struct Ponds(Vec<Mutex<Option<Arc<Pond>>>>);

impl Ponds {
    /// Places for `units` ponds, filled with those given.
    pub fn new(units: usize, ponds: impl IntoIterator<Item = (usize, Pond)>) -> Self {
        let mut places: Vec<Option<Arc<Pond>>> = (0..units).map(|_| None).collect();
        for (index, pond) in ponds {
            if let Some(place) = places.get_mut(index) {
                *place = Some(Arc::new(pond));
            }
        }
        Self(places.into_iter().map(Mutex::new).collect())
    }

    /// Rows of all ponds.
    pub fn rows(&self) -> u64 {
        self.0
            .iter()
            .filter_map(|place| {
                place
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .as_ref()
                    .map(|p| p.rows())
            })
            .sum()
    }

    fn pond(&self, index: usize, after: AfterReading) -> Option<Arc<Pond>> {
        let mut place = self
            .0
            .get(index)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match after {
            AfterReading::Stay => place.clone(),
            AfterReading::GiveUp => place.take(),
        }
    }
}

impl KeptRows {
    fn open(&self, index: usize) -> Result<BatchStream> {
        let Some(pond) = self.ponds.pond(index, self.after) else {
            return Ok(stream::empty().boxed());
        };
        let replay = pond.replay(self.projection.as_deref(), self.batch_rows)?;
        let metrics = Arc::clone(&self.metrics);
        let batches = replay.map(move |batch| {
            // The pond, and with it the right to its memory and its file, lives as long as it is being read.
            let _ = &pond;
            let batch = batch?;
            metrics.add(batch.num_rows() as u64, 0);
            Ok(batch)
        });
        Ok(stream::iter(batches).boxed())
    }
}

impl Rows {
    /// Rows and bytes of all units, as far as they are known beforehand.
    pub fn totals(&self) -> (Option<u64>, Option<u64>) {
        match self {
            Self::Scan(plan) => {
                let units = plan.scan().units();
                (
                    units.iter().map(|u| u.rows).sum(),
                    units.iter().map(|u| u.bytes).sum(),
                )
            }
            Self::Kept(kept) => (Some(kept.ponds.rows()), None),
        }
    }

    /// Rows of unit `index` that `where` left out, of those produced; unknown when the rows come from the reservoir.
    pub fn filtered(&self, index: usize, produced: u64) -> Option<u64> {
        match self {
            Self::Scan(plan) => Some(plan.delivered(index).saturating_sub(produced)),
            Self::Kept(_) => None,
        }
    }

    /// The rows of unit `index` in order.
    pub fn open(&self, index: usize) -> Result<BatchStream> {
        match self {
            Self::Scan(plan) => plan.execute(index),
            Self::Kept(kept) => kept.open(index),
        }
    }
}

/// How many rows may still be taken, when the recipe limits them. Units then run one after the other.
#[derive(Debug, Clone)]
pub(super) struct RowLimit(Option<Arc<AtomicU64>>);

impl RowLimit {
    pub fn new(limit: Option<u64>) -> Self {
        Self(limit.map(|n| Arc::new(AtomicU64::new(n))))
    }

    /// How many of `rows` may be taken; they count as taken.
    pub fn take(&self, rows: usize) -> usize {
        let Some(left) = &self.0 else { return rows };
        let now = left.load(Ordering::Relaxed);
        let taken = now.min(rows as u64);
        left.store(now - taken, Ordering::Relaxed);
        usize::try_from(taken).unwrap_or(rows)
    }

    pub fn is_reached(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|left| left.load(Ordering::Relaxed) == 0)
    }
}
