//! Rows of a table without a job: the engine's reading alone, for programs that do the rest themselves.
//!
//! Owns the public face of a scan. Must not know recipes' steps, splits or outputs.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytesize::ByteSize;
use futures::Stream;
use millpond_spill::{MemoryBudget, default_memory_limit};

use crate::error::{Error, Result};
use crate::job::Source;
use crate::recipe::{BigQueryOptions, CsvOptions, SourceSpec, TableSpec};
use crate::source::connect::{Connecting, connect_table};
use crate::source::pseudo::without_pseudo;
use crate::source::{ReadContext, ReadMetrics, Scan, ScanRequest, Unit};

/// How a table is scanned.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ScanOptions {
    /// Columns to be read, in this order; all when empty. Only these are read, and billed.
    pub columns: Vec<String>,
    /// Bytes that may be in flight between the source and the caller, all units together. Default: 70 % of the smaller of
    /// host and cgroup limit. A reader waits for its turn when they are used up.
    pub memory: Option<ByteSize>,
    /// Most rows of a batch, for sources that can choose; BigQuery cannot. Default 8192.
    pub batch_rows: Option<usize>,
    /// Endpoint of a BigQuery emulator. Default: the environment's `BIGQUERY_EMULATOR_HOST`, else Google's.
    pub emulator: Option<String>,
    /// File with the credentials for BigQuery: a service account's key, or those of a user, of workload identity, or of an
    /// impersonated account. Default: Application Default Credentials.
    pub credentials: Option<PathBuf>,
}

impl ScanOptions {
    /// Reads these columns only.
    #[must_use]
    pub fn columns<N: Into<String>>(mut self, columns: impl IntoIterator<Item = N>) -> Self {
        self.columns = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Bounds the bytes in flight.
    #[must_use]
    pub fn memory(mut self, memory: ByteSize) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Reads from an emulator.
    #[must_use]
    pub fn emulator(mut self, endpoint: impl Into<String>) -> Self {
        self.emulator = Some(endpoint.into());
        self
    }

    /// Reads with the credentials of a file.
    #[must_use]
    pub fn credentials(mut self, file: impl Into<PathBuf>) -> Self {
        self.credentials = Some(file.into());
        self
    }
}

/// A table cut into work units, each to be read once, in any order and side by side.
///
/// For BigQuery this is one ReadSession at one snapshot: every unit is a stream of it, interrupted reads go on at the row they
/// had come to, and every row arrives exactly once. It is what `LIMIT`/`OFFSET` is used for, without its costs.
///
/// ```no_run
/// # use futures::TryStreamExt;
/// # use millpond::{ScanOptions, Source, TableScan};
/// # async fn example() -> Result<(), millpond::Error> {
/// let scan = TableScan::open(Source::bigquery("my-project.shop.clicks"), ScanOptions::default().columns(["user_id", "price"])).await?;
/// for unit in 0..scan.units().len() {
///     let mut batches = scan.read(unit)?; // may be given to a task of its own
///     while let Some(batch) = batches.try_next().await? {
///         println!("{} rows", batch.num_rows());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TableScan {
    scan: Arc<dyn Scan>,
    context: ReadContext,
}

impl TableScan {
    /// Connects to a source and fixes its work units.
    ///
    /// # Errors
    /// Config for a `query:` or `bigquery_sql:` source, which has to be run by a job, and for a memory of zero; Schema for a column that is not
    /// there; otherwise what connecting fails with (Auth, NotFound, Unavailable).
    pub async fn open(source: impl Into<Source>, options: ScanOptions) -> Result<Self> {
        let table = match source.into().into_spec() {
            SourceSpec::Address(table) => TableSpec {
                table,
                bigquery: BigQueryOptions::default(),
                csv: CsvOptions::default(),
            },
            SourceSpec::Table(table) => table,
            SourceSpec::Query(_) | SourceSpec::Sql(_) => {
                return Err(Error::config(
                    "a query cannot be scanned; run it in a job".to_owned(),
                ));
            }
        };
        let limit = options
            .memory
            .map_or_else(default_memory_limit, |memory| memory.as_u64());
        if limit == 0 || options.batch_rows == Some(0) {
            return Err(Error::config(
                "a scan needs memory and batches of more than zero".to_owned(),
            ));
        }
        let connecting = Connecting {
            emulator: options.emulator,
            credentials: options.credentials,
            ..Connecting::default()
        };
        let source = connect_table(&table, connecting).await?;
        let columns = match options.columns.is_empty() {
            false => options.columns,
            true => {
                let schema = without_pseudo(&source.schema());
                schema.fields().iter().map(|f| f.name().clone()).collect()
            }
        };
        let request = ScanRequest {
            columns,
            predicates: Vec::new(),
        };
        Ok(Self {
            scan: source.scan(request).await?,
            context: ReadContext {
                budget: MemoryBudget::new(usize::try_from(limit).unwrap_or(usize::MAX)),
                batch_rows: options.batch_rows.unwrap_or(8192),
                metrics: Arc::<ReadMetrics>::default(),
            },
        })
    }

    /// The columns, in the order asked for.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.scan.schema()
    }

    /// The work units, possibly none. They depend on the data alone.
    #[must_use]
    pub fn units(&self) -> &[Unit] {
        self.scan.units()
    }

    /// The rows of unit `unit`, in order. Nothing is read before the first poll, and dropping the stream ends the read.
    ///
    /// # Errors
    /// Config when there is no such unit. Errors of reading arrive in the stream, which ends with them.
    pub fn read(
        &self,
        unit: usize,
    ) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + Unpin + 'static> {
        self.scan.open(unit, &self.context)
    }

    /// Times that interrupted reads were taken up again so far.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.context.metrics.retries()
    }
}
