//! What to do with each column, and why.
//!
//! Owns the rules and their thresholds. Must not know YAML.

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::ProfileOptions;
use super::column::{ColumnProfile, Values};
use super::sample::Sample;
use super::times::Cut;
use super::words::some_of;
use crate::error::{Error, Result};
use crate::recipe::Names;

/// Most categories that get a column each.
pub(super) const MAX_ONE_HOT: usize = 30;

/// Share of different values from which strings are identifiers.
const UNIQUE_SHARE: f64 = 0.9;

/// Values from which a column can be judged to be an identifier at all.
const MIN_JUDGED: u64 = 100;

/// Skewness from which the logarithm is taken: the usual mark of a highly skewed distribution.
const SKEWED: f64 = 1.0;

/// Below this the logarithm hardly changes the shape.
const MIN_SKEWED_MAXIMUM: f64 = 10.0;

/// Different values below which a number is rather a code or a flag.
const MIN_SKEWED_DISTINCT: usize = 10;

/// A sampled null share this much below the threshold may turn out above it in the training rows.
const NULL_MARGIN: f64 = 0.05;

/// The chain of steps a column gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Treatment {
    /// Logarithm, median, scale.
    Skewed,
    /// Median, scale.
    Number,
    /// Clip to the finite range, median, scale.
    Infinite(f64, f64),
    /// Most frequent value.
    Flag,
    /// One column per category.
    OneHot,
    /// Ids by frequency.
    Ordinal,
    /// Cyclic parts of a date.
    DateParts,
    /// Cyclic parts of a date and the hour.
    TimeParts,
}

/// What a column is to the recipe.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Role {
    /// Label, key or index: handled by name.
    Named,
    /// A feature; `mostly_null` adds the step that drops it if the training rows agree.
    Feature {
        treatment: Treatment,
        mostly_null: bool,
    },
    /// Commented out, with the treatment it would get.
    Identifier(Treatment),
    /// Not read, and why.
    Dropped(String),
}

/// How rows are split.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SplitAdvice {
    /// By a hash of the keys.
    Hash,
    /// By time, with the column and its boundaries.
    Time(String, Cut),
}

/// The whole of the advice.
#[derive(Debug)]
pub(super) struct Advice {
    /// Columns that identify a row.
    pub key: Names,
    /// How rows are split.
    pub split: SplitAdvice,
    /// One role per column of the sample, in its order.
    pub roles: Vec<Role>,
}

impl Advice {
    /// Looks at every column.
    ///
    /// # Errors
    /// Of kind Config when a glob cannot be read, there is nothing to split by, or nothing to learn from.
    pub fn on(sample: &Sample, options: &ProfileOptions) -> Result<Self> {
        let forced = globs("force-categorical", &options.force_categorical, sample)?;
        let dropped = globs("drop", &options.drop, sample)?;
        let mut key = options.key.clone();
        let mut index = None;
        if let Some(column) = options
            .index
            .as_deref()
            .and_then(|name| sample.column(name))
        {
            if column.is_temporal() {
                index = Some(column);
            } else if !key.iter().any(|k| k == column.name) {
                key.0.push(column.name.clone());
            }
        }
        if key.iter().any(|k| k == options.label) {
            return Err(Error::config(format!(
                "column \"{}\" cannot be both the label and a key",
                options.label
            )));
        }
        if options.index.as_deref() == Some(options.label.as_str()) {
            return Err(Error::config(format!(
                "column \"{}\" cannot be both the label and the index",
                options.label
            )));
        }
        let split = split_advice(sample, index, &key, options)?;
        let named = |name: &str| name == options.label || key.iter().any(|k| k == name);
        let roles: Vec<Role> = sample
            .columns
            .iter()
            .map(|column| {
                if named(&column.name) {
                    Role::Named
                } else if dropped.is_match(&column.name) {
                    Role::Dropped("asked for".to_owned())
                } else {
                    judge(column, forced.is_match(&column.name), options)
                }
            })
            .collect();
        if let Some(index) = index
            && dropped.is_match(&index.name)
        {
            return Err(Error::config(format!(
                "column \"{}\" cannot be both the index and dropped",
                index.name
            )));
        }
        if let Some(named) = sample
            .columns
            .iter()
            .find(|c| named(&c.name) && dropped.is_match(&c.name))
        {
            return Err(Error::config(format!(
                "column \"{}\" is the label or a key and cannot be dropped",
                named.name
            )));
        }
        if !roles.iter().any(|r| matches!(r, Role::Feature { .. })) {
            return Err(Error::config(format!(
                "none of the table's {} columns can be learned from: besides label and keys there are only identifiers, constants and dropped columns",
                sample.columns.len()
            )));
        }
        Ok(Self { key, split, roles })
    }
}

fn split_advice(
    sample: &Sample,
    index: Option<&ColumnProfile>,
    key: &Names,
    options: &ProfileOptions,
) -> Result<SplitAdvice> {
    if let Some(column) = index
        && let Values::Times(times, clock) = &column.values
    {
        return times.cut(*clock).map(|cut| SplitAdvice::Time(column.name.clone(), cut)).ok_or_else(|| {
            Error::config(format!(
                "index column \"{}\" has {} different times in {} rows, too few to split by time; give --key COLUMN for a split by hash",
                column.name,
                times.distinct(),
                sample.rows
            ))
        });
    }
    if !key.is_empty() {
        return Ok(SplitAdvice::Hash);
    }
    let others = || sample.columns.iter().filter(|c| c.name != options.label);
    let unique: Vec<&str> = others()
        .filter(|c| c.is_unique() && !matches!(c.values, Values::Reals(_) | Values::Times(..)))
        .map(|c| c.name.as_str())
        .collect();
    let times: Vec<&str> = others()
        .filter(|c| c.is_temporal())
        .map(|c| c.name.as_str())
        .collect();
    let mut message = "rows cannot be split without a key: give --key COLUMN".to_owned();
    if !unique.is_empty() {
        message.push_str(&format!(
            " (different in every row of the sample: {})",
            some_of(&unique)
        ));
    }
    if !times.is_empty() {
        message.push_str(&format!(
            ", or --index COLUMN to split by time ({})",
            some_of(&times)
        ));
    }
    Err(Error::config(message))
}

/// The role of a column that was not named for one.
fn judge(column: &ColumnProfile, forced: bool, options: &ProfileOptions) -> Role {
    let distinct = match column.distinct() {
        None => {
            return Role::Dropped(format!(
                "no step takes {}, derive a number or a string from it with `derive`",
                super::words::in_comment(&column.data_type.to_string())
            ));
        }
        Some(distinct) => distinct,
    };
    let mostly_null = column.null_share() > options.null_threshold - NULL_MARGIN;
    // A column without any value in the sample may have some elsewhere: that is for the training rows to tell.
    if distinct == 1 && column.nulls == 0 {
        return Role::Dropped(format!(
            "the same value in all {} rows of the sample",
            column.rows
        ));
    }
    if forced {
        return Role::Feature {
            treatment: category(distinct),
            mostly_null,
        };
    }
    let treatment = match &column.values {
        Values::Integers(numbers) if is_serial(column, numbers.ascending) => {
            return Role::Identifier(Treatment::Number);
        }
        Values::Integers(numbers) | Values::Reals(numbers) => match numbers.range {
            Some((low, high)) if numbers.infinite > 0 => Treatment::Infinite(low, high),
            Some((low, high))
                if low >= 0.0
                    && high >= MIN_SKEWED_MAXIMUM
                    && distinct >= MIN_SKEWED_DISTINCT
                    && numbers.skewness() > SKEWED =>
            {
                Treatment::Skewed
            }
            None if numbers.infinite > 0 => {
                return Role::Dropped("only infinite values in the sample".to_owned());
            }
            _ => Treatment::Number,
        },
        Values::Flags(..) => Treatment::Flag,
        Values::Texts(outline) => {
            let treatment = category(distinct);
            if outline.count >= MIN_JUDGED && distinct as f64 >= UNIQUE_SHARE * outline.count as f64
            {
                return Role::Identifier(treatment);
            }
            treatment
        }
        Values::Times(_, super::times::Clock::Calendar) => Treatment::DateParts,
        Values::Times(..) => Treatment::TimeParts,
        // Types without distinct values were dropped above.
        Values::Other => return Role::Dropped("no step takes its type".to_owned()),
    };
    Role::Feature {
        treatment,
        mostly_null,
    }
}

fn category(distinct: usize) -> Treatment {
    if distinct <= MAX_ONE_HOT {
        Treatment::OneHot
    } else {
        Treatment::Ordinal
    }
}

/// A whole number that only tells rows apart: different in every row, and counting up or called like an identifier.
fn is_serial(column: &ColumnProfile, ascending: bool) -> bool {
    let name = column.name.to_ascii_lowercase();
    let called = name == "id"
        || name.ends_with("_id")
        || name == "key"
        || name.ends_with("_key")
        || name.contains("uuid");
    column.rows >= MIN_JUDGED && column.is_unique() && (ascending || called)
}

/// The columns meant by names or globs; each must mean at least one.
fn globs(option: &str, names: &Names, sample: &Sample) -> Result<GlobSet> {
    let fail = |name: &str, e: globset::Error| {
        Error::with_source(
            crate::ErrorKind::Config,
            format!("--{option} \"{name}\""),
            e,
        )
    };
    let mut set = GlobSetBuilder::new();
    for name in names.iter() {
        // An existing name is never taken for a glob.
        let glob = if sample.column(name).is_some() {
            Glob::new(&globset::escape(name))
        } else {
            Glob::new(name)
        }
        .map_err(|e| fail(name, e))?;
        if !sample
            .columns
            .iter()
            .any(|c| glob.compile_matcher().is_match(&c.name))
        {
            let known: Vec<&str> = sample.columns.iter().map(|c| c.name.as_str()).collect();
            super::check_named(&known, &format!("--{option}"), [name])?;
        }
        set.add(glob);
    }
    set.build()
        .map_err(|e| Error::with_source(crate::ErrorKind::Config, format!("--{option}"), e))
}
