//! The writing phase: rows again, transformed, into the shards of their splits.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use millpond_features::{FittedFeatures, Split, Splitter, TransformCounts};
use millpond_spill::Claim;

use super::cancellation::Cancellation;
use super::drive::UnitWorker;
use super::fit::{RowLimit, Rows, split_failed};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::OutputLayout;
use crate::manifest::{ShardEntry, SplitRows};
use crate::output_dir::OutputDir;
use crate::sink::{SinkSettings, SplitSink};

/// What became of one unit.
pub(super) struct WrittenUnit {
    pub index: usize,
    pub rows: SplitRows,
    /// Rows left out by `where`, when this phase read the source itself.
    pub filtered: Option<u64>,
    pub shards: Vec<ShardEntry>,
}

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
    pub null_labels: u64,
    pub counts: TransformCounts,
    pub written: Vec<WrittenUnit>,
    pub cancellation: Cancellation,
}

#[async_trait]
impl UnitWorker for WriteWorker {
    async fn run(&mut self, index: usize) -> Result<()> {
        let mut rows = SplitRows::default();
        let mut sink = SplitSink::new(&self.output, Arc::clone(self.layout.schema()), &self.sink, index);
        let mut stream = self.rows.open(index)?;
        let mut produced = 0;
        while !self.limit.is_reached()
            && let Some(batch) = stream.next().await
        {
            self.cancellation.check()?;
            let batch = batch?;
            produced += batch.num_rows() as u64;
            let taken = self.limit.take(batch.num_rows());
            let batch = if taken < batch.num_rows() { batch.slice(0, taken) } else { batch };
            let splits = self.splitter.assign(&batch).map_err(split_failed)?;
            rows.train += splits.rows(Split::Train) as u64;
            rows.val += splits.rows(Split::Val) as u64;
            rows.test += splits.rows(Split::Test) as u64;
            if let Some(label) = self.label.as_deref().and_then(|l| batch.column_by_name(l)) {
                self.null_labels += label.null_count() as u64;
            }
            let transformed = self
                .layout
                .transform(&batch, &self.features, &mut self.counts)?;
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
        self.written.push(WrittenUnit {
            index,
            rows,
            filtered: self.rows.filtered(index, produced),
            shards,
        });
        Ok(())
    }
}
