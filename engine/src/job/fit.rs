//! The learning phase: passes over the training rows, one fit state per slot.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::StreamExt;
use millpond_features::{CategoryError, Fit, FitError, FitState, Split, SplitError, Splitter};
use millpond_spill::{Claim, Pond, Reservoir, SegmentWriter};

use super::cancellation::Cancellation;
use super::checkpoints::{UnitRows, adopt};
use super::drive::UnitWorker;
use super::keep::{Keeper, LastingRows};
use super::rows::{RowLimit, Rows};
use crate::error::{Error, ErrorKind, Result};
use crate::output_dir::segment_name;
use crate::source::Leg;

/// Categories of a state that are not worth a file when other memory is short.
const LEAST_SPILL_BYTES: usize = 1 << 20;

/// Learns from the training rows of the units it is given.
pub(super) struct FitWorker {
    pub rows: Rows,
    pub splitter: Arc<Splitter>,
    pub state: FitState,
    pub claim: Claim,
    /// Bytes of categories in memory above which they go to the store.
    pub counting_bytes: usize,
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
        match self.keeper.clone() {
            Some(Keeper::Lasting(rows)) => self.read_for_good(index, unit, &rows).await?,
            Some(Keeper::Passing {
                schema,
                budget,
                spill,
            }) => {
                let mut reservoir = Reservoir::new(schema, budget, spill);
                self.read(index, unit, |batch| Ok(reservoir.push(batch)?))
                    .await?;
                self.ponds.push((index, reservoir.finish()?));
            }
            None => self.read(index, unit, |_| Ok(())).await?,
        }
        self.state.end_unit(unit);
        Ok(())
    }
}

impl FitWorker {
    /// Learns from all rows of a unit and hands each batch on.
    async fn read(
        &mut self,
        index: usize,
        unit: u32,
        mut keep: impl FnMut(RecordBatch) -> Result<()> + Send,
    ) -> Result<()> {
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
            self.learn(unit, &batch)?;
            keep(batch)?;
            if self.limit.is_reached() {
                break;
            }
        }
        if let Some(filtered) = self.rows.filtered(index, produced) {
            self.filtered.push((index, filtered));
        }
        Ok(())
    }

    /// Learns from the rows of a unit that an earlier run kept, reads the others, and keeps them too, segment by segment. A unit
    /// whose session has ended is read from its start, if not in this attempt then in the next.
    async fn read_for_good(&mut self, index: usize, unit: u32, rows: &LastingRows) -> Result<()> {
        let scan = rows.plan.scan();
        let mut earlier = rows.checkpoints.unit_rows(index);
        if !earlier.complete && !earlier.segments.is_empty() && !scan.goes_on(index) {
            rows.checkpoints.forget_unit(index, earlier.next)?;
            earlier.segments.clear();
        }
        let mut number = earlier.next;
        let read = self.read_on(index, unit, rows, earlier, &mut number).await;
        match read {
            Err(error) if error.is_expired_session() && scan.starts_over() => {
                rows.checkpoints.forget_unit(index, number + 1)?;
                Err(error)
            }
            Err(error) if error.is_expired_session() => Err(error.noting(
                "no other session can continue it: add --restart to read again, and bigquery.work_units to read in ranges that can be continued",
            )),
            other => other,
        }
    }

    async fn read_on(
        &mut self,
        index: usize,
        unit: u32,
        rows: &LastingRows,
        earlier: UnitRows,
        number: &mut usize,
    ) -> Result<()> {
        let schema = rows.plan.schema();
        let mut segments = Vec::new();
        let (mut delivered, mut produced) = (0, 0);
        for record in &earlier.segments {
            delivered += record.delivered;
            produced += record.rows;
            let Some(segment) = adopt(&rows.dir, schema, &rows.budget, record)? else {
                continue;
            };
            for batch in segment.replay(Some(&rows.learning), rows.batch_rows)? {
                self.cancellation.check()?;
                self.learn(unit, &batch?)?;
            }
            segments.push(segment);
        }
        let mut complete = earlier.complete;
        while !complete {
            let leg = Leg {
                from_row: delivered,
                most_bytes: rows.segment_bytes,
            };
            let mut stream = rows.plan.execute_leg(index, leg)?;
            let mut writer = None;
            while let Some(batch) = stream.next().await {
                self.cancellation.check()?;
                let batch = batch?;
                if batch.num_rows() == 0 {
                    continue;
                }
                let writer = match &mut writer {
                    Some(writer) => writer,
                    None => {
                        let name = segment_name(index, *number);
                        writer.insert(SegmentWriter::create(
                            &rows.dir,
                            &name,
                            schema,
                            &rows.budget,
                            &rows.seen_texts,
                        )?)
                    }
                };
                // Learned from as they are kept: texts that were interned need not be looked at one by one.
                self.learn_all(unit, writer.push(&batch)?)?;
            }
            let mut segment = None;
            if let Some(writer) = writer {
                let (finished, last) = writer.finish()?;
                self.learn_all(unit, last)?;
                segment = Some(finished);
            }
            let more = rows.plan.delivered(index);
            if more == 0 {
                rows.checkpoints.unit_read(index, *number)?;
                complete = true;
                continue;
            }
            delivered += more;
            produced += segment.as_ref().map_or(0, |s| s.rows());
            rows.checkpoints
                .unit_begun(index, rows.plan.scan().as_ref())?;
            rows.checkpoints
                .rows_done(index, *number, more, segment.as_ref())?;
            segments.extend(segment);
            *number += 1;
        }
        self.filtered
            .push((index, delivered.saturating_sub(produced)));
        let pond = Pond::of_segments(
            Arc::clone(schema),
            segments,
            rows.budget.clone(),
            Arc::clone(&rows.dir),
        );
        self.ponds.push((index, pond));
        Ok(())
    }

    fn learn_all(&mut self, unit: u32, batches: Vec<RecordBatch>) -> Result<()> {
        for batch in batches {
            self.cancellation.check()?;
            self.learn(unit, &batch)?;
        }
        Ok(())
    }

    /// Takes in the training rows of a batch.
    fn learn(&mut self, unit: u32, batch: &RecordBatch) -> Result<()> {
        let splits = self.splitter.assign(batch).map_err(split_failed)?;
        self.train_rows += splits.rows(Split::Train) as u64;
        let train = splits.train_rows(batch).map_err(split_failed)?;
        self.state
            .update(unit, &train)
            .map_err(|e| fit_failed(&e))?;
        self.keep_statistics()
    }

    /// Counts what was gathered, after handing categories to the store if they have outgrown their share or the budget.
    fn keep_statistics(&mut self) -> Result<()> {
        let most = self.counting_bytes;
        if self.state.category_bytes() > most {
            // Half the share stays for vocabularies that would only come back as so many small runs.
            self.state.spill(most / 2).map_err(|e| fit_failed(&e))?;
        }
        if self.claim.resize(self.state.memory_bytes()).is_ok() {
            return Ok(());
        }
        self.state
            .spill(LEAST_SPILL_BYTES)
            .map_err(|e| fit_failed(&e))?;
        self.claim.resize(self.state.memory_bytes()).map_err(|e| {
            Error::with_source(
                ErrorKind::MemoryBudget,
                "the statistics being learned do not fit; raise --memory, or use fewer columns",
                e,
            )
        })
    }
}

/// The engine error of a failed split.
pub(super) fn split_failed(error: SplitError) -> Error {
    Error::with_source(ErrorKind::Data, "split", error)
}

/// The engine error of a failed fit.
pub(super) fn fit_failed(error: &FitError) -> Error {
    let kind = match (Error::find_in(error), error) {
        // Being asked to end is no fault of the column that happened to be at work.
        (Some(ended), _)
            if matches!(ended.kind(), ErrorKind::Interrupted | ErrorKind::Terminated) =>
        {
            return ended;
        }
        (Some(found), _) => found.kind(),
        (
            None,
            FitError::Category {
                source: CategoryError::IndexMemory { .. },
                ..
            },
        ) => ErrorKind::MemoryBudget,
        _ => ErrorKind::Data,
    };
    Error::new(kind, error.to_string())
}

/// One state per slot for the pass at hand.
pub(super) fn states(fit: &Fit, slots: usize) -> Vec<FitState> {
    (0..slots).map(|_| fit.state()).collect()
}
