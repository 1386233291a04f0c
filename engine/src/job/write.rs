//! The writing phase: rows again, transformed, into the shards of their splits.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use millpond_features::{FittedFeatures, Split, Splitter, TransformCounts};
use millpond_spill::Claim;

use super::bound::Bound;
use super::cancellation::Cancellation;
use super::checkpoints::Checkpoints;
use super::drive::{UnitWorker, drive};
use super::fit::split_failed;
use super::learn::Learned;
use super::progress::Phase;
use super::resources::Resources;
use super::rows::{RowLimit, Rows};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::WrittenRecord;
use crate::layout::OutputLayout;
use crate::manifest::SplitRows;
use crate::output_dir::OutputDir;
use crate::sink::{SinkSettings, SplitSink};

/// Transforms and writes the units it is given.
pub(super) struct WriteWorker {
    pub rows: Rows,
    pub splitter: Arc<Splitter>,
    pub features: Arc<FittedFeatures>,
    pub layout: OutputLayout,
    pub output: Arc<OutputDir>,
    pub sink: SinkSettings,
    pub claim: Claim,
    pub limit: RowLimit,
    pub label: Option<String>,
    pub checkpoints: Arc<Checkpoints>,
    pub written: Vec<WrittenRecord>,
    pub cancellation: Cancellation,
}

#[async_trait]
impl UnitWorker for WriteWorker {
    async fn run(&mut self, index: usize) -> Result<()> {
        let mut rows = SplitRows::default();
        let mut counts = TransformCounts::default();
        let mut null_labels = 0;
        let obsolete = self.rows.lasting_files(index);
        let mut sink = SplitSink::try_new(&self.output, self.layout.schema(), &self.sink, index)?;
        let mut stream = self.rows.open(index)?;
        let mut produced = 0;
        while !self.limit.is_reached()
            && let Some(batch) = stream.next().await
        {
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
            rows.train += splits.rows(Split::Train) as u64;
            rows.val += splits.rows(Split::Val) as u64;
            rows.test += splits.rows(Split::Test) as u64;
            if let Some(label) = self.label.as_deref().and_then(|l| batch.column_by_name(l)) {
                null_labels += label.null_count() as u64;
            }
            let transformed = self.layout.transform(&batch, &self.features, &mut counts)?;
            sink.push(&transformed, &splits)?;
            self.claim.resize(sink.memory_bytes()).map_err(|e| {
                Error::with_source(
                    ErrorKind::MemoryBudget,
                    "the open output files do not fit; raise --memory or lower --slots",
                    e,
                )
            })?;
        }
        let shards = sink.finish()?;
        self.claim.resize(0)?;
        let written = WrittenRecord {
            unit: index,
            rows,
            filtered: self.rows.filtered(index, produced),
            shards,
            null_labels,
            unknown: counts.unknown,
        };
        self.checkpoints.unit_written(&written, obsolete)?;
        self.written.push(written);
        Ok(())
    }
}

/// What writing leaves for the report.
pub(super) struct Written {
    /// Units in order.
    pub units: Vec<WrittenRecord>,
    /// By column, values never seen in training.
    pub unknown: BTreeMap<String, u64>,
    pub null_labels: u64,
}

/// Transforms and writes all units that an earlier run has not written.
pub(super) async fn write(
    bound: &Bound,
    learned: &Learned,
    resources: &Resources,
    output: &Arc<OutputDir>,
    sink: &SinkSettings,
    checkpoints: &Arc<Checkpoints>,
    cancellation: &Cancellation,
) -> Result<Written> {
    let features = Arc::new(learned.features.clone());
    let layout = OutputLayout::try_new(&bound.inputs.carried, &bound.inputs.schema, &features)?;
    let splitter = Arc::new(bound.inputs.splitter.clone());
    let units = learned.full_plan.scan().units().len();
    let known = learned.rows.totals();
    resources.gauge.enter(Phase::Write, known.0, known.1);
    checkpoints.check_written()?;
    let done = checkpoints.written();
    for unit in done.values() {
        let filtered = unit.filtered.unwrap_or(0);
        resources.metrics.add(unit.rows.total() + filtered, 0);
    }
    let kept = matches!(learned.rows, Rows::Kept(_));
    let limit = RowLimit::new(if kept { None } else { bound.recipe.limit });
    let slots = bound.need.slots_in(bound.slots, resources.free_bytes());
    if let Rows::Kept(kept) = &learned.rows {
        kept.ponds
            .shed(resources.missing_bytes(&bound.need, slots))?;
    }
    let mut workers = Vec::with_capacity(slots);
    for _ in 0..slots {
        workers.push(WriteWorker {
            rows: learned.rows.clone(),
            splitter: Arc::clone(&splitter),
            features: Arc::clone(&features),
            layout: layout.clone(),
            output: Arc::clone(output),
            sink: sink.clone(),
            claim: resources.budget.claim("output files"),
            limit: limit.clone(),
            label: bound.recipe.label.clone(),
            checkpoints: Arc::clone(checkpoints),
            written: Vec::new(),
            cancellation: cancellation.clone(),
        });
    }
    let todo = (0..units).filter(|unit| !done.contains_key(unit));
    let mut written: Vec<WrittenRecord> = done.values().cloned().collect();
    for worker in drive(workers, todo, cancellation).await? {
        written.extend(worker.written);
    }
    written.sort_by_key(|u| u.unit);
    let mut unknown = BTreeMap::new();
    for (column, count) in written.iter().flat_map(|u| &u.unknown) {
        *unknown.entry(column.clone()).or_default() += count;
    }
    let null_labels = written.iter().map(|u| u.null_labels).sum();
    if written.iter().all(|u| u.rows == SplitRows::default()) {
        return Err(bound.no_training_rows(units));
    }
    Ok(Written {
        units: written,
        unknown,
        null_labels,
    })
}
