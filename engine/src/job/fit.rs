//! The learning phase: passes over the training rows, one fit state per slot.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use millpond_features::{Fit, FitError, FitState, Split, SplitError, Splitter};
use millpond_spill::{Claim, MemoryBudget, Pond, Reservoir, SpillDir};

use super::cancellation::Cancellation;
use super::drive::UnitWorker;
use super::rows::{RowLimit, Rows};
use crate::error::{Error, ErrorKind, Result};

/// Keeps the rows of a first pass that must not be read twice.
pub(super) struct Keeper {
    pub schema: arrow::datatypes::SchemaRef,
    pub budget: MemoryBudget,
    pub spill: Arc<SpillDir>,
}

/// Learns from the training rows of the units it is given.
pub(super) struct FitWorker {
    pub rows: Rows,
    pub splitter: Arc<Splitter>,
    pub state: FitState,
    pub claim: Claim,
    pub limit: RowLimit,
    pub keeper: Option<Keeper>,
    pub ponds: Vec<(usize, Pond)>,
    pub train_rows: u64,
    pub filtered: Vec<(usize, u64)>,
    pub cancellation: Cancellation,
}

#[async_trait]
impl UnitWorker for FitWorker {
    async fn run(&mut self, index: usize) -> Result<()> {
        if self.limit.is_reached() {
            return Ok(());
        }
        let unit = u32::try_from(index).map_err(|_| {
            Error::config(format!(
                "unit {index} is beyond the most units a job can have"
            ))
        })?;
        let mut reservoir = self.keeper.as_ref().map(|k| {
            Reservoir::new(
                Arc::clone(&k.schema),
                k.budget.clone(),
                Arc::clone(&k.spill),
            )
        });
        let mut stream = self.rows.open(index)?;
        let mut produced = 0;
        while let Some(batch) = stream.next().await {
            self.cancellation.check()?;
            let batch = batch?;
            produced += batch.num_rows() as u64;
            let taken = self.limit.take(batch.num_rows());
            let batch = if taken < batch.num_rows() {
                batch.slice(0, taken)
            } else {
                batch
            };
            let splits = self.splitter.assign(&batch).map_err(split_failed)?;
            self.train_rows += splits.rows(Split::Train) as u64;
            let train = splits.train_rows(&batch).map_err(split_failed)?;
            self.state
                .update(unit, &train)
                .map_err(|e| fit_failed(&e))?;
            self.claim.resize(self.state.memory_bytes()).map_err(|e| {
                Error::with_source(
                    ErrorKind::MemoryBudget,
                    "the statistics being learned do not fit; raise --memory, or use min_frequency on fewer or less diverse columns",
                    e,
                )
            })?;
            if let Some(reservoir) = &mut reservoir {
                reservoir.push(batch)?;
            }
            if self.limit.is_reached() {
                break;
            }
        }
        self.state.end_unit(unit);
        if let Some(filtered) = self.rows.filtered(index, produced) {
            self.filtered.push((index, filtered));
        }
        if let Some(reservoir) = reservoir {
            self.ponds.push((index, reservoir.finish()?));
        }
        Ok(())
    }
}

/// The engine error of a failed split.
pub(super) fn split_failed(error: SplitError) -> Error {
    Error::with_source(ErrorKind::Data, "split", error)
}

/// The engine error of a failed fit.
pub(super) fn fit_failed(error: &FitError) -> Error {
    Error::new(ErrorKind::Data, error.to_string())
}

/// One state per slot for the pass at hand.
pub(super) fn states(fit: &Fit, slots: usize) -> Vec<FitState> {
    (0..slots).map(|_| fit.state()).collect()
}
