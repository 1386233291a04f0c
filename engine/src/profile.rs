//! Automatic mode: looks at a sample of a table and writes a recipe that explains itself.
//!
//! Owns the profile of columns, the rules that choose a treatment for each, and the recipe's text. Must not know how a
//! recipe is carried out. Nothing measured here ends up in the training data: the recipe names steps, and what those learn
//! they learn from the training rows when the recipe runs.
//!
//! The comments hold shares, counts and the ranges of numbers and times, never the text of a string column: a recipe is
//! kept in version control and passed around.

use std::path::PathBuf;

use bytesize::ByteSize;
use millpond_spill::MemoryBudget;

use crate::error::{Error, ErrorKind, Result};
use crate::recipe::{BigQueryOptions, CsvOptions, Names, SourceSpec, TableSpec, nearest_name};
use crate::source::Source;
use crate::source::connect::{Connecting, connect_table};
use crate::source::nested::without_paths;
use crate::source::pseudo::without_pseudo;

mod advice;
mod column;
mod numbers;
mod outline;
mod sample;
#[cfg(test)]
mod tests;
mod times;
mod words;
mod writing;

use advice::Advice;
use sample::Sample;

/// Rows read by default.
const DEFAULT_SAMPLE_ROWS: usize = 100_000;

/// Values (rows times columns) read by default at most: a table of thousands of columns gets a shorter sample.
const DEFAULT_SAMPLE_VALUES: usize = 20_000_000;

/// What [`init`] is asked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProfileOptions {
    /// The column to be predicted.
    pub label: String,
    /// Columns that identify a row; the split hashes them unless `index` holds times.
    pub key: Names,
    /// A column that orders the table. Dates or timestamps give a split by time; anything else is taken as a key.
    pub index: Option<String>,
    /// Rows read. Default: 100,000, fewer when the table has more than 200 columns. More rows find rarer values and take
    /// longer and more memory (up to some 50 bytes per value).
    pub sample_rows: Option<usize>,
    /// Columns (names or globs) to be treated as categories whatever their type.
    pub force_categorical: Names,
    /// Columns (names or globs) to leave out.
    pub drop: Names,
    /// Columns whose null share is above this are dropped; measured again on the training rows when the recipe runs. Default: 0.9.
    pub null_threshold: f64,
    /// Rows the recipe is to read; written into it.
    pub limit: Option<u64>,
    /// Endpoint of a BigQuery emulator, for addresses that name none.
    pub emulator: Option<String>,
    /// File with the credentials for BigQuery: a service account's key, or those of a user, of workload identity, or of an
    /// impersonated account. Default: Application Default Credentials.
    pub credentials: Option<PathBuf>,
    /// Memory for reading. Default: 512 MiB.
    pub memory: ByteSize,
}

impl ProfileOptions {
    /// The defaults, for a table whose column `label` is to be predicted.
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            key: Names::default(),
            index: None,
            sample_rows: None,
            force_categorical: Names::default(),
            drop: Names::default(),
            null_threshold: 0.9,
            limit: None,
            emulator: None,
            credentials: None,
            memory: ByteSize::mib(512),
        }
    }
}

/// Profiles `source` and returns a commented recipe as YAML text, which [`Recipe::from_yaml`](crate::Recipe::from_yaml) reads.
///
/// Treatments, by what the sample shows of a column:
///
/// | column | treatment |
/// |---|---|
/// | numbers | median for what is missing, then mean 0 and variance 1 |
/// | numbers, none negative, some at least 10, at least 10 different ones, skewness above 1 | `log1p` first |
/// | booleans | the more frequent value for what is missing |
/// | at most 30 different strings | one column per category, rare ones together |
/// | more | ids by falling frequency |
/// | at least 100 strings, nine in ten different | commented out: an identifier |
/// | whole numbers, all different, ascending or called like an identifier | commented out: an identifier |
/// | dates and times | sine and cosine of month, weekday and hour |
/// | one value only, or a type without steps | dropped |
///
/// Reads the first rows of up to 16 work units spread over the table, so that a table sorted by time is seen from end to end.
///
/// # Errors
/// [`Config`](ErrorKind::Config) when a column named does not exist, when there is neither a key nor a time column to split by, or when
/// nothing is left to learn from; [`Data`](ErrorKind::Data) when the table is empty; errors of connecting and reading.
pub async fn init(source: &SourceSpec, options: &ProfileOptions) -> Result<String> {
    if !(0.0..=1.0).contains(&options.null_threshold) {
        return Err(Error::config(format!(
            "null threshold {} is not between 0 and 1",
            options.null_threshold
        )));
    }
    let table = match source {
        SourceSpec::Address(address) => TableSpec {
            table: address.clone(),
            bigquery: BigQueryOptions::default(),
            csv: CsvOptions::default(),
        },
        SourceSpec::Table(table) => table.clone(),
        SourceSpec::Query(_) | SourceSpec::Sql(_) => {
            return Err(Error::config(
                "a query cannot be profiled, profile one of its tables and write the query into the recipe afterwards",
            ));
        }
    };
    let connecting = Connecting {
        emulator: options.emulator.clone(),
        credentials: options.credentials.clone(),
        ..Connecting::default()
    };
    let source = connect_table(&table, connecting).await?;
    let recipe = recipe_for(source.as_ref(), &table, options).await;
    for left in source.close().await {
        tracing::warn!("{left}");
    }
    recipe
}

/// The recipe for a connected source that `table` leads to.
async fn recipe_for(
    source: &dyn Source,
    table: &TableSpec,
    options: &ProfileOptions,
) -> Result<String> {
    let schema = without_paths(&without_pseudo(&source.schema()));
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    check_named(&names, "label", std::iter::once(options.label.as_str()))?;
    check_named(&names, "key", options.key.iter())?;
    check_named(&names, "index", options.index.as_deref())?;

    let rows = options.sample_rows.unwrap_or_else(|| {
        (DEFAULT_SAMPLE_VALUES / names.len().max(1)).clamp(1_000, DEFAULT_SAMPLE_ROWS)
    });
    let limit = usize::try_from(options.memory.as_u64()).unwrap_or(usize::MAX);
    let sample = Sample::read(source, rows, MemoryBudget::new(limit)).await?;
    if sample.rows == 0 {
        return Err(Error::new(
            ErrorKind::Data,
            format!("source \"{}\" has no rows to profile", table.table),
        ));
    }
    let advice = Advice::on(&sample, options)?;
    Ok(writing::recipe_text(table, &sample, &advice, options))
}

/// Refuses a column the table lacks, with the nearest one it has.
fn check_named<'a>(
    known: &[&str],
    role: &str,
    named: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    for name in named {
        if !known.contains(&name) {
            let hint = nearest_name(name, known.iter().copied()).map_or_else(
                || format!(", its columns are: {}", words::some_of(known)),
                |near| format!(", did you mean \"{near}\"?"),
            );
            return Err(Error::config(format!(
                "{role} column \"{name}\" is not in the table{hint}"
            )));
        }
    }
    Ok(())
}
