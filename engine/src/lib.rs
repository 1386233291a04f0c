//! Millpond turns tables that do not fit in memory into training data.
//!
//! It reads BigQuery tables through parallel Storage Read streams, or Parquet and CSV files, splits every row into train,
//! validation or test by a hash of its key, learns imputers, scalers and encoders from the training rows alone, and writes
//! the transformed rows of all three splits as Parquet, within a memory budget it does not exceed.
//!
//! # The life of a batch
//!
//! ```text
//!  source ──► unit ──► rows ──► split ──► fit ──► fitted recipe ──► transform ──► shard
//!  BigQuery   one      where,   hash of   train   one readable      the same      one per
//!  Parquet    stream   derive   the key   rows    file              loops for     unit and
//!  CSV, SQL   or file                     only                      every split   split
//!                                │                                      ▲
//!                                └──► reservoir: memory, then Parquet ──┘
//!                                     (or the source again, when that is free)
//! ```
//!
//! 1. A [`Recipe`], read from YAML or built with [`Job::builder`], is checked against the schema of its source before the
//!    first row is read. [`Job::plan`] says what would be read, how often, and in how much memory.
//! 2. The source is cut into *work units* by the data alone: one read stream, or a run of row groups of one file. A unit is
//!    what one thread reads, what one shard holds, and what results are merged by.
//! 3. Every batch of a unit passes `where` and `derive` (SQL, run by DataFusion), and each row is given its split.
//! 4. Accumulators see the training rows, and nothing else: [`Split`] assignments are the only way to make what they accept.
//! 5. Rows of a source that must not be read twice wait in the reservoir, in memory while the budget allows it, then in
//!    Parquet files. Other sources are read again.
//! 6. The fitted recipe transforms all rows; each split of each unit becomes one Parquet shard. `_SUCCESS` comes last.
//!
//! Nothing written depends on the number of threads, the batch size or the memory given: the same table and recipe give the
//! same bytes.
//!
//! # A job
//!
//! ```no_run
//! use bytesize::ByteSize;
//! use millpond::{Clip, Job, Log1p, OrdinalEncoder, SimpleImputer, Source, Split, StandardScaler, columns};
//!
//! # async fn train() -> Result<(), millpond::Error> {
//! let report = Job::builder()
//!     .source(Source::bigquery("my-project.shop.clicks"))
//!     .key("row_id")
//!     .label("label")
//!     .split(Split::hash("user_id"))
//!     .features(columns("i*").then(Clip::min(0.0)).then(Log1p).then(SimpleImputer::mean()).then(StandardScaler::new()))
//!     .features(columns("c*").then(OrdinalEncoder::by_frequency().min_frequency(10)))
//!     .memory(ByteSize::gib(1))
//!     .output("out")
//!     .build()?          // everything that can be wrong without data is wrong here
//!     .run()
//!     .await?;
//! println!("{} training rows", report.rows.train);
//! # Ok(())
//! # }
//! ```
//!
//! Afterwards [`Dataset`] iterates over a split, as record batches or as shuffled mini-batches, and [`FittedRecipe`]
//! transforms new rows with the same bits, one batch at a time or, with [`ApplyJob`], a whole table.

mod dataset;
mod error;
mod fitted;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::expect_used, clippy::panic)]
mod fuzzing;
mod job;
mod journal;
mod layout;
mod manifest;
mod output_dir;
mod plan;
mod price_list;
mod profile;
mod recipe;
mod sink;
mod source;
mod table_scan;
mod type_advice;

pub use bytesize::ByteSize;
pub use dataset::{
    Batches, Dataset, LastBatch, MiniBatch, MiniBatchOptions, MiniBatches, RowOrder, Shuffle,
    SplitReader,
};
pub use error::{Error, ErrorKind, Result};
pub use fitted::FittedRecipe;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use fuzzing::{
    fitted as fuzz_fitted, ipc as fuzz_ipc, manifest as fuzz_manifest, names as fuzz_names,
    recipe as fuzz_recipe,
};
pub use job::{
    ApplyJob, ApplyReport, ApplySettings, Cancellation, CostEstimate, EarlierWork, Job, JobBuilder,
    JobPlan, JobReport, JobSettings, Phase, PhaseSeconds, Progress, ProgressSnapshot, RowCounts,
    Source, StreamRead,
};
pub use manifest::{Manifest, ManifestField, ShardEntry, SplitRows, UnitEntry};
pub use millpond_features::{
    Abs, CategoryOrder, Clip, ColumnFilter, ColumnKind, ColumnSplit, DateEncoding, DatePart,
    DateParts, Drop, FeatureSet, FillValue, HashSplit, ImputeStrategy, Log1p, MaxAbsScaler,
    MinFrequency, MinMaxScaler, NameList, OneHotDrop, OneHotEncoder, OneHotUnknown, OneOrMany,
    OrdinalEncoder, OrdinalMissing, OrdinalUnknown, OutputDtype, QuantileMethod, RobustScaler,
    Role, Selector, SimpleImputer, Split, SplitRatios, SplitSpec, Sql, Sqrt, StandardScaler, Step,
    TimeSplit, columns,
};
pub use price_list::PriceList;
pub use profile::{ProfileOptions, init};
pub use recipe::{
    BigQueryOptions, BigQuerySqlSpec, CsvHeader, CsvOptions, Derivations, Names, OutputSpec,
    QuerySpec, ReadBy, Recipe, SourceSpec, TableSpec, WireCompression, WorkUnits,
};
pub use source::{Billing, QueryUsage, Unit};
pub use table_scan::{ScanOptions, TableScan};

/// The README's programs are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
