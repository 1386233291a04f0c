//! A job: one recipe carried out on one source, from connecting to `_SUCCESS`.
//!
//! Owns the order of phases and what each needs. How rows are read, learned from, kept and written belongs to the modules
//! it composes.

use std::path::PathBuf;
use std::sync::Arc;

use bytesize::ByteSize;

use crate::error::{Error, Result};
pub use crate::output_dir::EarlierWork;
use crate::price_list::PriceList;
use crate::recipe::{Recipe, SourceSpec};
use crate::source::connect::{Connecting, Intent};

mod apply;
mod bound;
mod builder;
mod cancellation;
mod checkpoints;
mod cost;
mod drive;
mod fit;
mod inputs;
mod keep;
mod learn;
mod materialise;
mod memory_need;
mod plan_report;
mod progress;
mod report;
mod resources;
mod rows;
mod run;
mod vocabulary_store;
mod write;

pub use apply::{ApplyJob, ApplyReport, ApplySettings};
pub use builder::{JobBuilder, Source};
pub use cancellation::Cancellation;
pub use cost::CostEstimate;
pub use plan_report::JobPlan;
pub use progress::{Phase, Progress, ProgressSnapshot};
pub use report::{JobReport, PhaseSeconds, RowCounts, StreamRead};

/// How a job is run, apart from what its recipe says. None of it changes a byte of the result.
#[derive(Clone, Default)]
pub struct JobSettings {
    /// Replaces the recipe's source.
    pub source: Option<SourceSpec>,
    /// Replaces the recipe's output directory.
    pub output: Option<PathBuf>,
    /// Memory the process may use. Default: the recipe's, else 70 % of the smaller of host and cgroup limit.
    pub memory: Option<ByteSize>,
    /// Units worked on at a time. Default: the number of cores. More slots are faster up to that number and need more memory.
    pub slots: Option<usize>,
    /// Rows per batch. Default: chosen by the width of a row, at most 8192.
    pub batch_rows: Option<usize>,
    /// Where temporary files go. Default: the system's temporary directory.
    pub temp_dir: Option<PathBuf>,
    /// Most bytes of temporary files. Default: no bound.
    pub spill_quota: Option<ByteSize>,
    /// What to do with the finished work of an earlier run that the output directory keeps. Default: go on from it.
    pub earlier_work: EarlierWork,
    /// Bytes read of a work unit of a paid source after which its rows so far are made durable, so that a later run need not
    /// read them again. Less repeats less after a crash and makes more files. Default: 64 MiB.
    pub checkpoint: Option<ByteSize>,
    /// Endpoint of a BigQuery emulator for tables that name none.
    pub emulator: Option<String>,
    /// File with the credentials for BigQuery: a service account's key, or those of a user, of workload identity, or of an
    /// impersonated account. Default: Application Default Credentials.
    pub credentials: Option<PathBuf>,
    /// Project that pays for BigQuery reads and queries, whatever the recipe says.
    pub project: Option<String>,
    /// Project that pays where neither `project` nor the recipe names one. Default: that of the table.
    pub default_project: Option<String>,
    /// Refuses to read more bytes than this, by the source's own estimate, before a row is read. Default: the recipe's, else no bound.
    pub max_bytes: Option<ByteSize>,
    /// What bytes cost, for `plan`. Default: the built-in list.
    pub prices: Option<PriceList>,
    /// Who is told how the job gets on.
    pub progress: Option<Arc<dyn Progress>>,
    /// The switch that ends the job.
    pub cancellation: Cancellation,
}

impl JobSettings {
    /// What sources are told of the job.
    pub(crate) fn connecting(&self, intent: Intent) -> Connecting {
        Connecting {
            emulator: self.emulator.clone(),
            credentials: self.credentials.clone(),
            project: self.project.clone(),
            default_project: self.default_project.clone(),
            earlier: None,
            intent,
            max_bytes: self.max_bytes,
            cancellation: self.cancellation.clone(),
        }
    }
}

/// A recipe with everything needed to run it. Whatever can be wrong without data is wrong when it is built.
pub struct Job {
    pub(crate) recipe: Recipe,
    pub(crate) settings: JobSettings,
}

impl Job {
    /// Starts building a job step by step.
    #[must_use]
    pub fn builder() -> JobBuilder {
        JobBuilder::default()
    }

    /// A job for `recipe`.
    ///
    /// # Errors
    /// Config when the recipe contradicts itself, or names no source.
    pub fn from_recipe(mut recipe: Recipe, settings: JobSettings) -> Result<Self> {
        if let Some(source) = &settings.source {
            recipe.source = Some(source.clone());
        }
        if recipe.source.is_none() {
            return Err(Error::config(
                "the recipe names no source; add `source:` or give --source",
            ));
        }
        if settings.slots == Some(0) {
            return Err(Error::config("slots must be at least 1, not 0"));
        }
        if settings.batch_rows == Some(0) {
            return Err(Error::config("batch rows must be at least 1, not 0"));
        }
        if settings.checkpoint.is_some_and(|bytes| bytes.as_u64() == 0) {
            return Err(Error::config("checkpoint must be at least 1 byte, not 0"));
        }
        recipe.check()?;
        Ok(Self { recipe, settings })
    }

    /// Where the result goes.
    pub(crate) fn output(&self) -> Result<PathBuf> {
        self.settings
            .output
            .clone()
            .or_else(|| self.recipe.output.path.clone())
            .ok_or_else(|| {
                Error::config("no output directory; add `output: {path: DIR}` or give --out")
            })
    }

    /// Reads, learns, transforms and writes.
    ///
    /// A job that ends early, by an error, by dropping the future or by the death of the process, shows no part of a result.
    /// What it had finished for good (rows of a paid source, shards) is kept in the output directory, and the next
    /// run of the same recipe goes on from it, with the same bytes as if nothing had happened. When it had finished nothing
    /// worth keeping, it leaves nothing behind.
    ///
    /// # Errors
    /// Of every kind. Config when the output directory keeps the work of another recipe or of a source that has changed.
    pub async fn run(self) -> Result<JobReport> {
        run::run(self).await
    }

    /// Says what [`run`](Self::run) would do: connects to the source and plans, but reads no row.
    ///
    /// # Errors
    /// As `run` before the first row.
    pub async fn plan(&self) -> Result<JobPlan> {
        plan_report::plan(self).await
    }
}
