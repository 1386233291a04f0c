//! The arguments of every command, with the help that teaches them.
//!
//! Owns names, defaults and texts. Must not act on anything.

use std::num::NonZeroU32;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand};

mod examples;
#[cfg(test)]
mod tests;

use examples as text;

use crate::console::Also;

/// Turns a table too large for memory into training data: one read, a hard memory budget, no leaks.
///
/// Millpond reads a BigQuery table, Parquet or CSV files, learns imputers, scalers and encoders from the training rows alone, and
/// writes train, val and test as Parquet beside `fitted.json`, which applies the same transformation to new rows.
#[derive(Debug, Parser)]
#[command(name = "millpond", version, after_help = text::MILLPOND, max_term_width = 100, propagate_version = false)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a recipe: read, learn, split, transform, write
    #[command(after_help = text::RUN)]
    Run(Box<RunArgs>),
    /// Show what a run would do: passes, columns, bytes, memory, the split as SQL
    #[command(after_help = text::PLAN)]
    Plan(Box<PlanArgs>),
    /// Look at a table and write a commented recipe for it
    #[command(after_help = text::INIT)]
    Init(Box<InitArgs>),
    /// Print the JSON schema of recipes, for editors that complete and check YAML
    #[command(after_help = text::SCHEMA)]
    Schema,
    /// Apply a run's fitted.json to new rows
    #[command(after_help = text::APPLY)]
    Apply(Box<ApplyArgs>),
    /// See it work in a few seconds: generate clicks, serve them as BigQuery would, run a recipe
    #[command(after_help = text::DEMO)]
    Demo(DemoArgs),
    /// Serve Parquet files as BigQuery tables on this machine, for tests and trials
    #[command(after_help = text::EMULATOR)]
    Emulator(EmulatorArgs),
}

/// How results and errors are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one JSON object.
    Json,
}

impl Command {
    /// What it logs beside what the environment asks for.
    pub fn logs(&self) -> Also {
        let changes = match self {
            Self::Run(args) => &args.changes,
            Self::Plan(args) => &args.changes,
            _ => return Also::Nothing,
        };
        if changes.bigquery.log_sql {
            Also::Sql
        } else {
            Also::Nothing
        }
    }

    /// How the command tells its results.
    pub fn format(&self) -> Format {
        match self {
            Self::Run(args) => args.told.format(),
            Self::Plan(args) => format_of(args.json),
            Self::Apply(args) => args.told.format(),
            Self::Init(_) | Self::Schema | Self::Demo(_) | Self::Emulator(_) => Format::Text,
        }
    }
}

fn format_of(json: bool) -> Format {
    if json { Format::Json } else { Format::Text }
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Recipe as a YAML file (see `millpond init` and `millpond schema`)
    #[arg(value_name = "RECIPE")]
    pub recipe: PathBuf,
    #[command(flatten)]
    pub changes: RecipeChanges,
    /// Directory for train/, val/, test/, fitted.json and report.json; absent, empty, or with the work of an unfinished run of the same recipe, which goes on [default: output.path of the recipe]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Start over instead of going on with the work of an unfinished run in the output directory, which is removed
    #[arg(long)]
    pub restart: bool,
    /// Bytes read of a BigQuery stream after which its rows so far are made durable and will not be read again; less repeats less after a crash [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    pub checkpoint: Option<ByteSize>,
    /// Most bytes of kept rows and temporary files on disk; a run that needs more ends with exit code 7 [default: no bound]
    #[arg(long, value_name = "SIZE")]
    pub spill_quota: Option<ByteSize>,
    /// Rows per batch; larger batches are a little faster and take more memory [default: by the width of a row, at most 8192]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub batch_rows: Option<usize>,
    /// Directory for temporary files; removed again at the end [default: the system's, $TMPDIR]
    #[arg(long, value_name = "DIR")]
    pub temp_dir: Option<PathBuf>,
    #[command(flatten)]
    pub told: Told,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Recipe as a YAML file
    #[arg(value_name = "RECIPE")]
    pub recipe: PathBuf,
    #[command(flatten)]
    pub changes: RecipeChanges,
    /// Prices as a YAML or JSON file, for the cost [default: $MILLPOND_PRICES, else a built-in list, which is dated]
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Show the physical plan of the query engine, too
    #[arg(long)]
    pub physical: bool,
    /// Print the plan as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What the command line changes in a recipe.
#[derive(Debug, Args)]
pub(crate) struct RecipeChanges {
    /// Source in place of the recipe's: bigquery://PROJECT.DATASET.TABLE, a path or glob of .parquet or .csv files, gs://..., s3://...
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// Memory the whole process may use, for example 512MiB or 4GiB [default: the recipe's, else 70 % of the smaller of host and cgroup limit]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory: Option<ByteSize>,
    /// Work units processed at a time; results do not depend on it [default: number of processors]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub slots: Option<usize>,
    /// Read exactly N rows (after `where`), the same ones in every run [default: the recipe's, else all]
    #[arg(long, value_name = "N", value_parser = positive_rows)]
    pub limit: Option<u64>,
    #[command(flatten)]
    pub bigquery: BigQueryArgs,
    #[command(flatten)]
    pub credentials: CredentialsFile,
    #[command(flatten)]
    pub emulator: EmulatorAddress,
}

/// Who pays for BigQuery, and how much at most.
#[derive(Debug, Args)]
pub(crate) struct BigQueryArgs {
    /// Project that pays for BigQuery reads and queries [default: the recipe's, else $GCP_PROJECT_ID or $GOOGLE_CLOUD_PROJECT, else the table's]
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Refuse to read more than this, by the source's estimate or a dry run, before any row is read, for example 10GiB [default: the recipe's, else no bound]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_bytes: Option<ByteSize>,
    /// Tell on stderr the SQL and row restrictions that are sent, with *** for the values in them
    #[arg(long)]
    pub log_sql: bool,
}

/// The project that the environment names for whoever names none.
pub(crate) fn project_of_environment() -> Option<String> {
    ["GCP_PROJECT_ID", "GOOGLE_CLOUD_PROJECT"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|project| !project.is_empty())
}

/// As whom BigQuery is asked.
#[derive(Debug, Args)]
pub(crate) struct CredentialsFile {
    /// Credentials for BigQuery: a service account's key, or those of a user, of workload identity or of an impersonated account [default: $GOOGLE_APPLICATION_CREDENTIALS, else gcloud's, else the machine's]
    #[arg(long = "credentials", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Where a BigQuery emulator listens.
#[derive(Debug, Args)]
pub(crate) struct EmulatorAddress {
    /// BigQuery emulator in place of Google, for example http://127.0.0.1:9050 [default: $BIGQUERY_EMULATOR_HOST, else Google]
    #[arg(long = "emulator", value_name = "URL")]
    pub url: Option<String>,
}

impl EmulatorAddress {
    /// The address given, else the one of the environment; a host without a scheme is taken for plain HTTP.
    pub fn or_environment(self, environment: Option<String>) -> Option<String> {
        self.url
            .or(environment)
            .filter(|address| !address.is_empty())
            .map(|address| {
                if address.contains("://") {
                    address
                } else {
                    format!("http://{address}")
                }
            })
    }
}

/// What the environment says about an emulator.
pub(crate) fn emulator_of_environment() -> Option<String> {
    std::env::var("BIGQUERY_EMULATOR_HOST").ok()
}

/// How much is told.
#[derive(Debug, Args)]
pub(crate) struct Told {
    /// Show no progress and no summary; errors are still shown
    #[arg(long, short)]
    pub quiet: bool,
    /// Print the report as one JSON object, and no progress; an error is one JSON object on stderr
    #[arg(long)]
    pub json: bool,
}

impl Told {
    /// How the command tells its results.
    pub fn format(&self) -> Format {
        format_of(self.json)
    }

    /// Whether progress is shown.
    pub fn wants_progress(&self) -> bool {
        !self.quiet && !self.json
    }
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Table to look at: bigquery://PROJECT.DATASET.TABLE, a path or glob of .parquet or .csv files, gs://..., s3://...
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// Column to be predicted
    #[arg(long, short, value_name = "COLUMN")]
    pub label: String,
    /// File for the recipe, which must not exist [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Column that identifies a row; rows with the same key stay in one split (repeat for several)
    #[arg(long, short, value_name = "COLUMN")]
    pub key: Vec<String>,
    /// Column that orders the table: dates or times give a split into past and future, anything else is taken as a key
    #[arg(long, value_name = "COLUMN")]
    pub index: Option<String>,
    /// Column (name or glob) to treat as categories, whatever its type (repeat for several)
    #[arg(long, value_name = "COLUMN")]
    pub force_categorical: Vec<String>,
    /// Column (name or glob) to leave out (repeat for several)
    #[arg(long, value_name = "COLUMN")]
    pub drop: Vec<String>,
    /// Drop columns with more than this share of nulls; measured again on the training rows when the recipe runs
    #[arg(long, value_name = "SHARE", default_value_t = 0.9, value_parser = share)]
    pub null_threshold: f64,
    /// Rows to look at; more find rarer values and take longer [default: 100000, fewer above 200 columns]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub sample_rows: Option<usize>,
    /// Write this limit into the recipe: it will read exactly N rows, the same ones in every run
    #[arg(long, value_name = "N", value_parser = positive_rows)]
    pub limit: Option<u64>,
    #[command(flatten)]
    pub credentials: CredentialsFile,
    #[command(flatten)]
    pub emulator: EmulatorAddress,
}

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// fitted.json of a run
    #[arg(long, value_name = "FILE")]
    pub fitted: PathBuf,
    /// New rows: a path or glob of .parquet or .csv files, gs://..., s3://..., bigquery://PROJECT.DATASET.TABLE
    #[arg(long, value_name = "SOURCE")]
    pub input: String,
    /// Directory for the transformed rows; absent or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Memory the whole process may use, for example 512MiB [default: 70 % of the smaller of host and cgroup limit]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory: Option<ByteSize>,
    /// Work units processed at a time; results do not depend on it [default: number of processors]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub slots: Option<usize>,
    #[command(flatten)]
    pub credentials: CredentialsFile,
    #[command(flatten)]
    pub emulator: EmulatorAddress,
    #[command(flatten)]
    pub told: Told,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Rows to generate; the same rows in every run
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = positive_rows)]
    pub rows: u64,
    /// Directory for the table, the recipe and the results; absent or empty
    #[arg(long, value_name = "DIR", default_value = "./millpond-demo")]
    pub out: PathBuf,
    /// Keep serving the table after the run, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
}

/// Arguments of `emulator`.
#[derive(Debug, Args)]
pub(crate) struct EmulatorArgs {
    /// Directory holding PROJECT/DATASET/TABLE/*.parquet
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Directory holding buckets, gs://BUCKET/FILE being BUCKET/FILE below it; made when something is written [default: .buckets below --data]
    #[arg(long, value_name = "DIR")]
    pub buckets: Option<PathBuf>,
    /// Port on 127.0.0.1; 0 takes a free one and prints it
    #[arg(long, value_name = "N", default_value_t = 9050)]
    pub port: u16,
    /// Read streams per session, whatever the size of the table; clients may ask for fewer [default: by size, as BigQuery]
    #[arg(long, value_name = "N")]
    pub streams: Option<NonZeroU32>,
    /// Give the first stream of every session this share of the rows, for example 99, and the others equal parts of the rest
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub skew: Option<u8>,
    /// Arrow data per message, at most 120MiB, whatever memory it takes [default: 1MiB, less with many streams]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub message_size: Option<ByteSize>,
    /// Keep up to so much of the messages sent in .kept-messages below --data, but no more than a quarter of what is free, so that
    /// reading the same again decodes nothing; 0 keeps none
    #[arg(long, value_name = "SIZE", default_value = "8GiB", value_parser = size_or_none)]
    pub keep_messages: ByteSize,
    /// Seconds after which a read session expires, as BigQuery's do after 6 hours
    #[arg(long, value_name = "SECONDS", default_value_t = 21_600)]
    pub session_life: u64,
    /// Play the faults of this script (YAML or JSON, see below)
    #[arg(long, value_name = "FILE", conflicts_with = "faults_seed")]
    pub faults: Option<PathBuf>,
    /// Play a script drawn from this seed, and print it; the same seed gives the same script
    #[arg(long, value_name = "N")]
    pub faults_seed: Option<u64>,
}

fn size(text: &str) -> Result<ByteSize, String> {
    match size_or_none(text)? {
        ByteSize(0) => Err("must be more than 0 bytes".to_owned()),
        size => Ok(size),
    }
}

fn size_or_none(text: &str) -> Result<ByteSize, String> {
    let unknown = |_| "expected a size such as 512MiB or 1GiB".to_owned();
    text.parse().map_err(unknown)
}

fn positive(text: &str) -> Result<usize, String> {
    positive_rows(text).and_then(|n| usize::try_from(n).map_err(|e| e.to_string()))
}

fn positive_rows(text: &str) -> Result<u64, String> {
    match text.replace('_', "").parse::<u64>() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(n) => Ok(n),
        Err(_) => Err("expected a whole number of at least 1".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a share between 0 and 1, such as 0.9".to_owned()),
    }
}
