//! Where a pass finds its rows: in the source, or where the first pass kept them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt, stream};
use millpond_spill::Pond;

use super::checkpoints::{UnitRows, adopt};
use super::keep::LastingRows;
use crate::error::Result;
use crate::output_dir::segment_name;
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
pub(super) struct Ponds(Vec<Mutex<Place>>);

/// Where the rows of one unit are.
enum Place {
    /// Nowhere, or given up.
    Empty,
    /// Here.
    Pond(Arc<Pond>),
    /// In the files of an earlier run, which are looked at when the rows are wanted.
    Earlier(LastingRows, UnitRows),
}

impl Ponds {
    /// Places for `units` ponds, filled with those given.
    pub fn new(units: usize, ponds: impl IntoIterator<Item = (usize, Pond)>) -> Self {
        let mut places: Vec<Place> = (0..units).map(|_| Place::Empty).collect();
        for (index, pond) in ponds {
            if let Some(place) = places.get_mut(index) {
                *place = Place::Pond(Arc::new(pond));
            }
        }
        Self(places.into_iter().map(Mutex::new).collect())
    }

    /// Places for `units` units whose rows an earlier run kept in full.
    pub fn of_earlier(units: usize, rows: &LastingRows) -> Self {
        let places = (0..units).map(|index| {
            let kept = rows.checkpoints.unit_rows(index);
            Mutex::new(Place::Earlier(rows.clone(), kept))
        });
        Self(places.collect())
    }

    /// Rows of all ponds.
    pub fn rows(&self) -> u64 {
        self.0
            .iter()
            .map(
                |place| match &*place.lock().unwrap_or_else(PoisonError::into_inner) {
                    Place::Empty => 0,
                    Place::Pond(pond) => pond.rows(),
                    Place::Earlier(_, kept) => kept.segments.iter().map(|s| s.rows).sum(),
                },
            )
            .sum()
    }

    /// Gives copies in memory up until `bytes` are free or none are left, those first that are read last. Rows stay on disk.
    ///
    /// # Errors
    /// Disk when rows that are in memory alone cannot be written.
    pub fn shed(&self, bytes: u64) -> Result<()> {
        let mut freed = 0;
        for place in self.0.iter().rev() {
            if freed >= bytes {
                break;
            }
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            // One that is being read keeps its rows.
            if let Place::Pond(pond) = &mut *place
                && let Some(pond) = Arc::get_mut(pond)
            {
                freed += pond.shed()? as u64;
            }
        }
        Ok(())
    }

    fn pond(&self, index: usize, after: AfterReading) -> Result<Option<Arc<Pond>>> {
        let Some(place) = self.0.get(index) else {
            return Ok(None);
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let pond = match &*place {
            Place::Empty => return Ok(None),
            Place::Pond(pond) => Arc::clone(pond),
            Place::Earlier(rows, kept) => Arc::new(kept_pond(rows, kept)?),
        };
        *place = match after {
            AfterReading::Stay => Place::Pond(Arc::clone(&pond)),
            AfterReading::GiveUp => Place::Empty,
        };
        Ok(Some(pond))
    }

    /// The files that hold rows of unit `index` and outlive the run.
    fn lasting_files(&self, index: usize) -> Vec<PathBuf> {
        let Some(place) = self.0.get(index) else {
            return Vec::new();
        };
        match &*place.lock().unwrap_or_else(PoisonError::into_inner) {
            Place::Empty => Vec::new(),
            Place::Pond(pond) => pond.files().map(Path::to_owned).collect(),
            Place::Earlier(rows, kept) => kept
                .segments
                .iter()
                .map(|s| rows.dir.path().join(segment_name(s.unit, s.segment)))
                .collect(),
        }
    }
}

fn kept_pond(rows: &LastingRows, kept: &UnitRows) -> Result<Pond> {
    let schema = rows.plan.schema();
    let mut segments = Vec::with_capacity(kept.segments.len());
    for record in &kept.segments {
        segments.extend(adopt(&rows.dir, schema, &rows.budget, record)?);
    }
    Ok(Pond::of_segments(
        Arc::clone(schema),
        segments,
        rows.budget.clone(),
        Arc::clone(&rows.dir),
    ))
}

impl KeptRows {
    fn open(&self, index: usize) -> Result<BatchStream> {
        let Some(pond) = self.ponds.pond(index, self.after)? else {
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

    /// Files that hold rows of unit `index` and are of no use once its shards are in place.
    pub fn lasting_files(&self, index: usize) -> Vec<PathBuf> {
        match self {
            Self::Scan(_) => Vec::new(),
            Self::Kept(kept) => kept.ponds.lasting_files(index),
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
