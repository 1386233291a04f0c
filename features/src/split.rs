//! Splits: which rows are for training, which for validation, which for testing.
//!
//! Owns the split rules, their binding to a schema and the assignment of rows. A row's split depends on that row alone,
//! never on its neighbours, the batch it came in or the time of day, and can be reproduced in BigQuery SQL.
//! Must not know what is learned from the rows, or where they come from.

mod assignment;
mod column;
mod hash;
mod key_text;
mod one_or_many;
mod ratios;
mod sql;
mod time;

#[cfg(test)]
mod tests;

use std::fmt;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::assignment::{SplitAssignment, TrainRows};
use self::column::BoundColumn;
pub use self::column::ColumnSplit;
use self::hash::BoundHash;
pub use self::hash::HashSplit;
pub use self::one_or_many::OneOrMany;
pub use self::ratios::SplitRatios;
use self::time::BoundTime;
pub use self::time::TimeSplit;

/// One of the three splits.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Split {
    /// Rows to learn from.
    Train = 0,
    /// Rows to choose models by.
    Val = 1,
    /// Rows to judge the chosen model by.
    Test = 2,
}

impl Split {
    /// The three splits in their fixed order.
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    /// `"train"`, `"val"` or `"test"`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }

    /// A split by a hash of `columns`, with ratios 0.8, 0.1, 0.1 and no seed.
    #[must_use]
    pub fn hash(columns: impl Into<OneOrMany<String>>) -> HashSplit {
        HashSplit::new(columns)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// How rows are divided into train, validation and test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitSpec {
    /// By a hash of key columns: all rows with the same key go to the same split.
    Hash(HashSplit),
    /// By time: the past trains, the future tests.
    Time(TimeSplit),
    /// By a column that already says so.
    Column(ColumnSplit),
}

impl From<HashSplit> for SplitSpec {
    fn from(split: HashSplit) -> Self {
        SplitSpec::Hash(split)
    }
}

impl From<TimeSplit> for SplitSpec {
    fn from(split: TimeSplit) -> Self {
        SplitSpec::Time(split)
    }
}

impl From<ColumnSplit> for SplitSpec {
    fn from(split: ColumnSplit) -> Self {
        SplitSpec::Column(split)
    }
}

impl SplitSpec {
    /// Names of the columns the split reads, in the order in which they are used.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        match self {
            SplitSpec::Hash(split) => split.columns.iter().map(String::as_str).collect(),
            SplitSpec::Time(split) => vec![split.column.as_str()],
            SplitSpec::Column(split) => vec![split.column.as_str()],
        }
    }

    /// Checks the split against the columns it will read. Everything that can be wrong without data is found here.
    ///
    /// # Errors
    /// A column that does not exist or has an unsuitable type, ratios that do not add up, boundaries that cannot be read
    /// or are out of order, a value that names two splits.
    pub fn bind(&self, schema: &Schema) -> Result<Splitter, SplitError> {
        let rule = match self {
            SplitSpec::Hash(split) => Rule::Hash(split.bind(schema)?),
            SplitSpec::Time(split) => Rule::Time(split.bind(schema)?),
            SplitSpec::Column(split) => Rule::Column(split.bind(schema)?),
        };
        Ok(Splitter { rule })
    }
}

/// A split bound to a schema, ready to assign rows. Stateless: threads may share it.
#[derive(Debug, Clone)]
pub struct Splitter {
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    Hash(BoundHash),
    Time(BoundTime),
    Column(BoundColumn),
}

impl Splitter {
    /// Assigns every row of `batch`; columns are found by name.
    ///
    /// # Errors
    /// A column that is missing or has changed its type since binding, a null time, a value of a split column that names no split.
    pub fn assign(&self, batch: &RecordBatch) -> Result<SplitAssignment, SplitError> {
        match &self.rule {
            Rule::Hash(rule) => rule.assign(batch),
            Rule::Time(rule) => rule.assign(batch),
            Rule::Column(rule) => rule.assign(batch),
        }
    }

    /// A BigQuery expression that gives `'train'`, `'val'` or `'test'` for the same rows.
    #[must_use]
    pub fn bigquery_sql(&self) -> String {
        match &self.rule {
            Rule::Hash(rule) => rule.bigquery_sql(),
            Rule::Time(rule) => rule.bigquery_sql(),
            Rule::Column(rule) => rule.bigquery_sql(),
        }
    }
}

/// The type of `column` in `schema`, or an error with the nearest name.
fn column_type<'a>(schema: &'a Schema, column: &str) -> Result<&'a DataType, SplitError> {
    match schema.column_with_name(column) {
        Some((_, field)) => Ok(field.data_type()),
        None => Err(SplitError::UnknownColumn {
            column: column.to_owned(),
            hint: nearest(
                column,
                schema.fields().iter().map(|field| field.name().as_str()),
            ),
        }),
    }
}

/// The column of a batch that was promised at binding.
fn batch_column<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a ArrayRef, SplitError> {
    batch
        .column_by_name(column)
        .ok_or_else(|| SplitError::ColumnNotInBatch {
            column: column.to_owned(),
        })
}

fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| format!("; did you mean `{name}`"))
        .unwrap_or_default()
}

/// What can be wrong with a split.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// The split names a column that the input does not have.
    #[error("split column `{column}` is not in the input{hint}")]
    UnknownColumn {
        /// The missing column.
        column: String,
        /// A suggestion, or nothing.
        hint: String,
    },
    /// A column that was there at binding is not in the batch.
    #[error("split column `{column}` is not in the batch")]
    ColumnNotInBatch {
        /// The missing column.
        column: String,
    },
    /// A column has another type than at binding.
    #[error("split column `{column}` was bound as {expected} but the batch has {found}")]
    ColumnTypeChanged {
        /// The column.
        column: String,
        /// Type at binding.
        expected: DataType,
        /// Type in the batch.
        found: DataType,
    },
    /// A key column has values of another kind than at binding.
    #[error(
        "split column `{column}` was bound with values of another kind than {found}, which the batch has"
    )]
    KeyKindChanged {
        /// The column.
        column: String,
        /// Type in the batch.
        found: DataType,
    },
    /// A hash split without a key column.
    #[error("a hash split needs at least one column")]
    NoColumns,
    /// A hash split that names a key column twice.
    #[error("the hash split names column `{column}` twice")]
    RepeatedColumn {
        /// The column.
        column: String,
    },
    /// A column whose type has no agreed text form.
    #[error("column `{column}` of type {data_type} cannot be a split key: {reason}")]
    UnsupportedKey {
        /// The column.
        column: String,
        /// Its type.
        data_type: DataType,
        /// Why, and what to do instead.
        reason: &'static str,
    },
    /// A ratio outside [0, 1].
    #[error("the ratio of {split} is {ratio}, outside 0 to 1")]
    RatioOutOfRange {
        /// The split.
        split: Split,
        /// Its ratio.
        ratio: f64,
    },
    /// Ratios that do not add up to 1.
    #[error("split ratios must add up to 1, not {}", (sum * 1e9).round() / 1e9)]
    RatioSum {
        /// What they add up to.
        sum: f64,
    },
    /// A positive ratio too small to get a bucket.
    #[error("the ratio of {split} is {ratio}, below the resolution of {buckets} buckets")]
    RatioTooSmall {
        /// The split.
        split: Split,
        /// Its ratio.
        ratio: f64,
        /// Number of buckets.
        buckets: i64,
    },
    /// A time split on a column that holds no time.
    #[error(
        "column `{column}` of type {data_type} cannot carry a time split; it must be a date or a timestamp, so cast it under `derive` first"
    )]
    NotATime {
        /// The column.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// A boundary that cannot be read.
    #[error(
        "{boundary} `{text}` is neither a date such as 2026-01-31 nor a time such as 2026-01-31T12:00:00Z with at most 6 fractional digits"
    )]
    BoundaryUnreadable {
        /// `val_from` or `test_from`.
        boundary: &'static str,
        /// The text.
        text: String,
    },
    /// A boundary with a time of day on a column of dates.
    #[error("{boundary} `{text}` has a time of day but column `{column}` holds dates")]
    BoundaryNotADate {
        /// `val_from` or `test_from`.
        boundary: &'static str,
        /// The text.
        text: String,
        /// The column.
        column: String,
    },
    /// A boundary with an offset on a column without a time zone.
    #[error(
        "{boundary} `{text}` has an offset from UTC but column `{column}` has no time zone; write it without the offset"
    )]
    BoundaryHasOffset {
        /// `val_from` or `test_from`.
        boundary: &'static str,
        /// The text.
        text: String,
        /// The column.
        column: String,
    },
    /// Boundaries in the wrong order.
    #[error("val_from `{val_from}` must not be after test_from `{test_from}`")]
    BoundaryOrder {
        /// Start of validation.
        val_from: String,
        /// Start of test.
        test_from: String,
    },
    /// Rows without a time, which belong to no side of a boundary.
    #[error(
        "column `{column}` is null in {nulls} of {rows} rows, and a row without a time belongs to no split; remove such rows with `where: {column} IS NOT NULL`"
    )]
    NullTime {
        /// The column.
        column: String,
        /// Rows without a time in the batch.
        nulls: usize,
        /// Rows of the batch.
        rows: usize,
    },
    /// A value listed under two splits, or twice under one.
    #[error("the value `{value}` is listed under {first} and again under {second}")]
    RepeatedValue {
        /// The value.
        value: String,
        /// First split.
        first: Split,
        /// Second split.
        second: Split,
    },
    /// Rows whose split column names no split.
    #[error(
        "column `{column}` holds {value} in {value_rows} of {rows} rows, which names no split ({unknown_rows} such rows with any value); list it under train, val or test, or remove the rows with `where`"
    )]
    UnknownValue {
        /// The column.
        column: String,
        /// The first unknown value of the batch, quoted, or NULL.
        value: String,
        /// Rows of the batch with this value.
        value_rows: usize,
        /// Rows of the batch with any unknown value.
        unknown_rows: usize,
        /// Rows of the batch.
        rows: usize,
    },
    /// An assignment used on a batch it was not made for.
    #[error("the split was assigned to {assigned} rows but the batch has {rows}")]
    AssignmentLength {
        /// Rows of the assignment.
        assigned: usize,
        /// Rows of the batch.
        rows: usize,
    },
    /// An array that is not what its type says.
    #[error("column `{column}` of type {data_type} could not be read as such")]
    UnreadableColumn {
        /// The column.
        column: String,
        /// Its type.
        data_type: DataType,
    },
}
