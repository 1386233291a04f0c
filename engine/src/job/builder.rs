//! Building a job in Rust, with the recipe file's own words.

use std::path::PathBuf;
use std::sync::Arc;

use bytesize::ByteSize;
use millpond_features::{FeatureSet, OutputDtype, SplitSpec};

use super::{Cancellation, EarlierWork, Job, JobSettings, Progress};
use crate::error::{Error, Result};
use crate::price_list::PriceList;
use crate::recipe::{
    BigQueryOptions, BigQuerySqlSpec, Names, OutputSpec, QuerySpec, Recipe, SourceSpec, TableSpec,
};

/// Where rows come from, for [`JobBuilder::source`].
#[derive(Debug, Clone)]
pub struct Source(SourceSpec);

impl Source {
    /// A BigQuery table, `project.dataset.table`.
    #[must_use]
    pub fn bigquery(table: impl AsRef<str>) -> Self {
        Self::bigquery_with(table, BigQueryOptions::default())
    }

    /// A BigQuery table read with settings.
    #[must_use]
    pub fn bigquery_with(table: impl AsRef<str>, options: BigQueryOptions) -> Self {
        let name = table.as_ref();
        let name = name
            .strip_prefix(crate::source::connect::BIGQUERY_SCHEME)
            .unwrap_or(name);
        Self(SourceSpec::Table(TableSpec {
            table: format!("{}{name}", crate::source::connect::BIGQUERY_SCHEME),
            bigquery: options,
            csv: Default::default(),
        }))
    }

    /// Parquet or CSV files: a path, a directory, a glob, or an object store URL.
    #[must_use]
    pub fn files(address: impl Into<String>) -> Self {
        Self(SourceSpec::Address(address.into()))
    }

    /// DataFusion SQL over named tables, each an address.
    #[must_use]
    pub fn query<N: Into<String>, A: Into<String>>(
        sql: impl Into<String>,
        tables: impl IntoIterator<Item = (N, A)>,
    ) -> Self {
        Self(SourceSpec::Query(QuerySpec {
            query: sql.into(),
            tables: tables
                .into_iter()
                .map(|(n, a)| (n.into(), a.into()))
                .collect(),
        }))
    }
}

impl Source {
    /// SQL that BigQuery runs in `project`, which pays: one SELECT, whose result is read and removed.
    #[must_use]
    pub fn bigquery_sql(project: impl Into<String>, sql: impl Into<String>) -> Self {
        Self::bigquery_sql_with(BigQuerySqlSpec {
            project: Some(project.into()),
            ..BigQuerySqlSpec::new(sql)
        })
    }

    /// SQL that BigQuery runs, with settings.
    #[must_use]
    pub fn bigquery_sql_with(spec: BigQuerySqlSpec) -> Self {
        Self(SourceSpec::Sql(spec))
    }

    /// The source as recipes have it.
    pub(crate) fn into_spec(self) -> SourceSpec {
        self.0
    }
}

impl From<SourceSpec> for Source {
    fn from(spec: SourceSpec) -> Self {
        Self(spec)
    }
}

/// Builds a [`Job`]. Every method is a key of the recipe file or a [`JobSettings`] field of the same name.
#[derive(Default)]
pub struct JobBuilder {
    source: Option<SourceSpec>,
    filter: Option<String>,
    derive: Vec<(String, String)>,
    key: Vec<String>,
    label: Option<String>,
    weight: Option<String>,
    pass_through: Vec<String>,
    drop: Vec<String>,
    split: Option<SplitSpec>,
    features: Vec<FeatureSet>,
    dtype: OutputDtype,
    limit: Option<u64>,
    output: OutputSpec,
    settings: JobSettings,
}

impl JobBuilder {
    /// Where rows come from.
    #[must_use]
    pub fn source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into().0);
        self
    }

    /// Keeps the rows for which this SQL condition is true.
    #[must_use]
    pub fn filter(mut self, sql: impl Into<String>) -> Self {
        self.filter = Some(sql.into());
        self
    }

    /// Adds a column computed by a SQL expression.
    #[must_use]
    pub fn derive(mut self, name: impl Into<String>, sql: impl Into<String>) -> Self {
        self.derive.push((name.into(), sql.into()));
        self
    }

    /// Adds a key column, written through unchanged.
    #[must_use]
    pub fn key(mut self, column: impl Into<String>) -> Self {
        self.key.push(column.into());
        self
    }

    /// The column to be predicted, written through unchanged.
    #[must_use]
    pub fn label(mut self, column: impl Into<String>) -> Self {
        self.label = Some(column.into());
        self
    }

    /// A column of row weights, written through unchanged.
    #[must_use]
    pub fn weight(mut self, column: impl Into<String>) -> Self {
        self.weight = Some(column.into());
        self
    }

    /// Adds a column written through unchanged.
    #[must_use]
    pub fn pass_through(mut self, column: impl Into<String>) -> Self {
        self.pass_through.push(column.into());
        self
    }

    /// Adds a column, or glob, that is never read.
    #[must_use]
    pub fn drop(mut self, column: impl Into<String>) -> Self {
        self.drop.push(column.into());
        self
    }

    /// How rows are divided.
    #[must_use]
    pub fn split(mut self, split: impl Into<SplitSpec>) -> Self {
        self.split = Some(split.into());
        self
    }

    /// Adds a set of columns and its chain of steps.
    #[must_use]
    pub fn features(mut self, set: FeatureSet) -> Self {
        self.features.push(set);
        self
    }

    /// Number type of the numeric features.
    #[must_use]
    pub fn dtype(mut self, dtype: OutputDtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// Reads exactly this many rows.
    #[must_use]
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Directory of the result; must be empty or absent.
    #[must_use]
    pub fn output(mut self, path: impl Into<PathBuf>) -> Self {
        self.output.path = Some(path.into());
        self
    }

    /// Parquet compression of the result, for example `zstd(1)`.
    #[must_use]
    pub fn compression(mut self, compression: impl Into<String>) -> Self {
        self.output.compression = compression.into();
        self
    }

    /// Memory the process may use.
    #[must_use]
    pub fn memory(mut self, bytes: ByteSize) -> Self {
        self.settings.memory = Some(bytes);
        self
    }

    /// Units worked on at a time.
    #[must_use]
    pub fn slots(mut self, slots: usize) -> Self {
        self.settings.slots = Some(slots);
        self
    }

    /// Rows per batch.
    #[must_use]
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.settings.batch_rows = Some(rows);
        self
    }

    /// Where temporary files go.
    #[must_use]
    pub fn temp_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.temp_dir = Some(path.into());
        self
    }

    /// What to do with the finished work of an earlier run that the output directory keeps. Default: go on from it.
    #[must_use]
    pub fn earlier_work(mut self, earlier_work: EarlierWork) -> Self {
        self.settings.earlier_work = earlier_work;
        self
    }

    /// Bytes read of a unit of a paid source after which its rows so far are made durable. Default: 64 MiB.
    #[must_use]
    pub fn checkpoint(mut self, bytes: ByteSize) -> Self {
        self.settings.checkpoint = Some(bytes);
        self
    }

    /// Most bytes of temporary files.
    #[must_use]
    pub fn spill_quota(mut self, bytes: ByteSize) -> Self {
        self.settings.spill_quota = Some(bytes);
        self
    }

    /// Endpoint of a BigQuery emulator, for example `http://127.0.0.1:9050`.
    #[must_use]
    pub fn emulator(mut self, url: impl Into<String>) -> Self {
        self.settings.emulator = Some(url.into());
        self
    }

    /// File with the credentials for BigQuery, in place of Application Default Credentials.
    #[must_use]
    pub fn credentials(mut self, file: impl Into<PathBuf>) -> Self {
        self.settings.credentials = Some(file.into());
        self
    }

    /// Project that pays for BigQuery reads and queries.
    #[must_use]
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.settings.project = Some(project.into());
        self
    }

    /// Refuses to read more bytes than this, before a row is read.
    #[must_use]
    pub fn max_bytes(mut self, bytes: ByteSize) -> Self {
        self.settings.max_bytes = Some(bytes);
        self
    }

    /// What bytes cost, for [`Job::plan`].
    #[must_use]
    pub fn prices(mut self, prices: PriceList) -> Self {
        self.settings.prices = Some(prices);
        self
    }

    /// Who is told how the job gets on.
    #[must_use]
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.settings.progress = Some(progress);
        self
    }

    /// The switch that ends the job.
    #[must_use]
    pub fn cancellation(mut self, cancellation: Cancellation) -> Self {
        self.settings.cancellation = cancellation;
        self
    }

    /// The job, if nothing is wrong that can be seen without data.
    ///
    /// # Errors
    /// Config when source, split or features are missing or contradict each other.
    pub fn build(self) -> Result<Job> {
        let split = self.split.ok_or_else(|| {
            Error::config("no split; say for example .split(Split::hash([\"user_id\"]))")
        })?;
        let recipe = Recipe {
            source: self.source,
            filter: self.filter,
            derive: crate::recipe::Derivations(self.derive),
            key: Names(self.key),
            label: self.label,
            weight: self.weight,
            pass_through: Names(self.pass_through),
            drop: Names(self.drop),
            split,
            features: self.features,
            dtype: self.dtype,
            limit: self.limit,
            output: self.output,
            memory: None,
        };
        Job::from_recipe(recipe, self.settings)
    }
}
