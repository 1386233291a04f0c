//! Applying a fitted recipe to new rows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use bytesize::ByteSize;
use futures::StreamExt;
use millpond_features::TransformCounts;
use millpond_spill::Claim;
use serde::Serialize;

use super::bound::connect;
use super::checkpoints::Checkpoints;
use super::cost::check_bytes;
use super::drive::{UnitWorker, drive};
use super::inputs::row_bytes;
use super::memory_need::MemoryNeed;
use super::progress::Phase;
use super::resources::Resources;
use super::run::commit;
use super::vocabulary_store::claim_vocabularies;
use super::{Cancellation, JobSettings, Progress};
use crate::error::{Error, ErrorKind, Result};
use crate::fitted::FittedRecipe;
use crate::layout::carried_columns;
use crate::output_dir::OutputDir;
use crate::plan::{RowPlan, RowQuery};
use crate::recipe::SourceSpec;
use crate::sink::{PartSink, SinkSettings};
use crate::source::connect::Intent;

/// What to apply to what.
#[derive(Clone)]
pub struct ApplySettings {
    /// The fitted recipe: the path of `fitted.json`.
    pub fitted: PathBuf,
    /// The new rows.
    pub input: SourceSpec,
    /// Directory for `part-00000.parquet`, ...; must be empty or absent.
    pub output: PathBuf,
    /// Memory the process may use. Default: 70 % of the smaller of host and cgroup limit.
    pub memory: Option<ByteSize>,
    /// Units worked on at a time. Default: the number of cores.
    pub slots: Option<usize>,
    /// Endpoint of a BigQuery emulator.
    pub emulator: Option<String>,
    /// File with the credentials for BigQuery: a service account's key, or those of a user, of workload identity, or of an
    /// impersonated account. Default: Application Default Credentials.
    pub credentials: Option<PathBuf>,
    /// Project that pays for BigQuery sources that name none.
    pub project: Option<String>,
    /// Refuses to read more bytes than this. Default: no bound.
    pub max_bytes: Option<ByteSize>,
    /// Where temporary files go.
    pub temp_dir: Option<PathBuf>,
    /// Who is told how the job gets on.
    pub progress: Option<Arc<dyn Progress>>,
    /// The switch that ends the job.
    pub cancellation: Cancellation,
}

impl ApplySettings {
    /// Applies `fitted` to `input` and writes to `output`, with defaults for everything else.
    #[must_use]
    pub fn new(fitted: impl Into<PathBuf>, input: SourceSpec, output: impl Into<PathBuf>) -> Self {
        Self {
            fitted: fitted.into(),
            input,
            output: output.into(),
            memory: None,
            slots: None,
            emulator: None,
            credentials: None,
            project: None,
            max_bytes: None,
            temp_dir: None,
            progress: None,
            cancellation: Cancellation::new(),
        }
    }
}

/// What an application of a fitted recipe did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ApplyReport {
    /// The source as written.
    pub source: String,
    /// Output directory.
    pub output: String,
    /// Rows transformed.
    pub rows: u64,
    /// Files written.
    pub files: usize,
    /// Values never seen in training, by column.
    pub unknown_categories: BTreeMap<String, u64>,
    /// Highest resident memory of the process.
    pub peak_rss_bytes: u64,
    /// Memory the process was allowed.
    pub memory_limit_bytes: u64,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// Transforms new rows with what an earlier run learned.
///
/// Derived columns are computed as in the recipe; `where` and the split are not applied, so every row comes out, in the
/// order of its unit. Carried columns that the input lacks (a label at serving time) are left out.
pub struct ApplyJob {
    settings: ApplySettings,
}

impl ApplyJob {
    /// A job with these settings.
    #[must_use]
    pub fn new(settings: ApplySettings) -> Self {
        Self { settings }
    }

    /// Reads, transforms and writes.
    ///
    /// # Errors
    /// Manifest for an artefact that cannot be used, Schema for an input that lacks a column, and the kinds of reading and writing.
    pub async fn run(self) -> Result<ApplyReport> {
        let settings = self.settings;
        let fitted = Arc::new(FittedRecipe::open(&settings.fitted)?);
        let job = JobSettings {
            memory: settings.memory,
            slots: settings.slots,
            temp_dir: settings.temp_dir,
            progress: settings.progress,
            cancellation: settings.cancellation.clone(),
            emulator: settings.emulator,
            credentials: settings.credentials,
            default_project: settings.project,
            max_bytes: settings.max_bytes,
            ..JobSettings::default()
        };
        let resources = Resources::open(&job, None)?;
        let _vocabularies = claim_vocabularies(fitted.features(), &resources.budget)?;
        let output = Arc::new(OutputDir::create(&settings.output)?);
        let mut recipe = fitted.recipe().clone();
        recipe.source = Some(settings.input);
        let source = connect(
            &recipe,
            job.connecting(Intent::Read),
            &resources,
            &Checkpoints::none(&resources),
        )
        .await?;

        let schema = source.schema();
        let has = |name: &str| schema.field_with_name(name).is_ok();
        for field in fitted.input_schema().fields() {
            if fitted.requires(field.name()) && !has(field.name()) {
                return Err(crate::plan::unknown_column(
                    field.name(),
                    &schema,
                    source.name(),
                ));
            }
        }
        let derive = fitted.derivations_for(&schema)?;
        let columns = fitted.columns_in(&schema, &derive, &carried_columns(fitted.roles()));
        let width = row_bytes(&schema, &columns);
        let read = resources.read_context(width);
        let need = MemoryNeed::within(resources.memory_limit_bytes, |limit_bytes| MemoryNeed {
            batch_rows: read.batch_rows,
            row_bytes: width,
            columns: columns.len(),
            shards: 1,
            reader_bytes: source.reader_bytes(&columns, limit_bytes),
        })?;
        let slots = need.slots(resources.slots, resources.memory_limit_bytes);
        resources.budget.reserve(need.uncounted_bytes(slots));
        let query = RowQuery {
            filter: None,
            derive,
            columns,
        };
        let rows = Arc::new(RowPlan::try_new(&resources.session, &source, &read, &query).await?);
        let bytes = rows.scan().units().iter().map(|u| u.bytes).sum();
        check_bytes(source.name(), bytes, job.max_bytes)?;
        let layout = fitted.layout(rows.schema())?;
        let sink = SinkSettings::try_new(&recipe.output.compression)?;
        let units = rows.scan().units().len();
        resources.gauge.enter(
            Phase::Write,
            rows.scan().units().iter().map(|u| u.rows).sum(),
            rows.scan().units().iter().map(|u| u.bytes).sum(),
        );
        let mut workers = Vec::with_capacity(slots);
        for _ in 0..slots {
            workers.push(ApplyWorker {
                rows: Arc::clone(&rows),
                fitted: Arc::clone(&fitted),
                layout: layout.clone(),
                output: Arc::clone(&output),
                sink: sink.clone(),
                claim: resources.budget.claim("output files"),
                counts: TransformCounts::default(),
                files: 0,
                cancellation: settings.cancellation.clone(),
            });
        }
        let mut counts = TransformCounts::default();
        let mut files = 0;
        let done = drive(workers, 0..units, &settings.cancellation).await;
        for left in source.close().await {
            tracing::warn!("{left}");
        }
        for worker in done? {
            counts.merge(&worker.counts);
            files += worker.files;
        }
        if files == 0 {
            let empty = PartSink::try_new(&output, layout.schema(), &sink, 0)?;
            empty.finish()?;
            files = 1;
        }
        settings.cancellation.check()?;
        commit(output)?;
        Ok(ApplyReport {
            source: source.name().to_owned(),
            output: settings.output.display().to_string(),
            rows: counts.rows,
            files,
            unknown_categories: counts.unknown,
            peak_rss_bytes: resources.monitor.peak_rss_bytes(),
            memory_limit_bytes: resources.memory_limit_bytes,
            seconds: resources.started.elapsed().as_secs_f64(),
        })
    }
}

/// Transforms the units it is given, one file each.
struct ApplyWorker {
    rows: Arc<RowPlan>,
    fitted: Arc<FittedRecipe>,
    layout: crate::layout::OutputLayout,
    output: Arc<OutputDir>,
    sink: SinkSettings,
    claim: Claim,
    counts: TransformCounts,
    files: usize,
    cancellation: Cancellation,
}

#[async_trait]
impl UnitWorker for ApplyWorker {
    async fn run(&mut self, index: usize) -> Result<()> {
        let mut sink = PartSink::try_new(&self.output, self.layout.schema(), &self.sink, index)?;
        let mut stream = self.rows.execute(index)?;
        while let Some(batch) = stream.next().await {
            self.cancellation.check()?;
            let batch: RecordBatch = batch?;
            let transformed =
                self.layout
                    .transform(&batch, self.fitted.features(), &mut self.counts)?;
            sink.push(&transformed)?;
            self.claim.resize(sink.memory_bytes()).map_err(|e| {
                Error::with_source(
                    ErrorKind::MemoryBudget,
                    "the open output files do not fit; raise --memory or lower --slots",
                    e,
                )
            })?;
        }
        sink.finish()?;
        self.claim.resize(0)?;
        self.files += 1;
        Ok(())
    }
}
