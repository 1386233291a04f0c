//! The recipe as text, with the reasons beside the choices.
//!
//! Owns wording and layout. Must not decide anything: what is written was decided in the advice.

use std::fmt::Write as _;

use super::ProfileOptions;
use super::advice::{Advice, MAX_ONE_HOT, Role, SplitAdvice, Treatment};
use super::column::{ColumnProfile, Values};
use super::sample::Sample;
use super::times;
use super::words::{count, in_comment, number, percent, quoted, scalar, sql_name};
use crate::recipe::{Names, TableSpec};

/// The recipe for `sample` as YAML.
pub(super) fn recipe_text(
    table: &TableSpec,
    sample: &Sample,
    advice: &Advice,
    options: &ProfileOptions,
) -> String {
    let mut out = Text::default();
    head(&mut out, table, sample);
    source(&mut out, table);
    rows(&mut out, sample, advice, options);
    dropped(&mut out, sample, advice);
    roles(&mut out, sample, advice, options);
    split(&mut out, advice);
    features(&mut out, sample, advice, options);
    out.line("output: {compression: zstd(1)}");
    out.0
}

/// Lines of text.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: impl AsRef<str>) {
        self.0.push_str(line.as_ref());
        self.0.push('\n');
    }

    fn blank(&mut self) {
        self.0.push('\n');
    }
}

fn head(out: &mut Text, table: &TableSpec, sample: &Sample) {
    let of = match sample.table_rows {
        Some(_) if sample.is_whole() => "all of them".to_owned(),
        Some(rows) => format!("of {}", count(rows)),
        None => "a sample".to_owned(),
    };
    out.line(format!(
        "# Written by `millpond init` for {}.",
        in_comment(&table.table)
    ));
    out.line(format!(
        "# Looked at {} rows ({of}) and {} columns; shares, counts and ranges in comments are those of these rows.",
        count(sample.rows),
        count(sample.columns.len() as u64)
    ));
    out.line("# Means, medians and categories are not in here: they are learned from the training rows when the recipe runs.");
    out.line("#");
    out.line("#   millpond plan RECIPE             what will be read and in how many passes");
    out.line(
        "#   millpond run RECIPE --out out    train, val and test as Parquet, and fitted.json",
    );
    out.blank();
}

fn source(out: &mut Text, table: &TableSpec) {
    if table.bigquery == crate::recipe::BigQueryOptions::default()
        && table.csv == crate::recipe::CsvOptions::default()
    {
        out.line(format!("source: {}", quoted(&table.table)));
    } else {
        // Settings are few and flat; JSON is YAML.
        let settings = serde_json::to_string(table).unwrap_or_default();
        out.line(format!("source: {settings}"));
    }
    out.blank();
}

/// Rows that must go for label and split to make sense, and the limit.
fn rows(out: &mut Text, sample: &Sample, advice: &Advice, options: &ProfileOptions) {
    let mut conditions = Vec::new();
    if let Some(label) = sample.column(&options.label)
        && label.nulls > 0
    {
        out.line(format!(
            "# {} of the rows have no label and teach nothing.",
            percent(label.null_share())
        ));
        conditions.push(format!("{} IS NOT NULL", sql_name(&label.name)));
    }
    if let SplitAdvice::Time(name, _) = &advice.split
        && let Some(column) = sample.column(name)
        && column.nulls > 0
    {
        out.line(format!(
            "# {} of the rows have no time and belong to no side of a split by time.",
            percent(column.null_share())
        ));
        conditions.push(format!("{} IS NOT NULL", sql_name(name)));
    }
    if !conditions.is_empty() {
        out.line(format!("where: {}", quoted(&conditions.join(" AND "))));
        out.blank();
    }
    if let Some(limit) = options.limit {
        out.line("# Exactly this many rows, the same ones in every run.");
        out.line(format!("limit: {limit}"));
        out.blank();
    }
}

fn dropped(out: &mut Text, sample: &Sample, advice: &Advice) {
    let all: Vec<(&ColumnProfile, &String)> = sample
        .columns
        .iter()
        .zip(&advice.roles)
        .filter_map(|(column, role)| match role {
            Role::Dropped(why) => Some((column, why)),
            _ => None,
        })
        .collect();
    if all.is_empty() {
        return;
    }
    out.line("# Columns that are never read, each with the reason.");
    out.line("drop:");
    for (column, why) in all {
        out.line(format!("  - {} # {why}", name_pattern(&column.name)));
    }
    out.blank();
}

/// A name where globs are allowed, too: characters of globs stand for themselves only inside brackets.
fn name_pattern(name: &str) -> String {
    if name.contains(['*', '?', '[', '{']) {
        quoted(&globset::escape(name))
    } else {
        scalar(name)
    }
}

fn roles(out: &mut Text, sample: &Sample, advice: &Advice, options: &ProfileOptions) {
    if let Some(label) = sample.column(&options.label) {
        out.line(format!("# {}", label_words(label)));
        out.line(format!("label: {}", scalar(&label.name)));
    }
    if !advice.key.is_empty() {
        out.line(format!("# {}", key_words(sample, &advice.key)));
        out.line(format!("key: {}", name_list(&advice.key)));
    }
    if let SplitAdvice::Time(name, _) = &advice.split
        && !advice.key.iter().any(|k| k == name)
    {
        out.line("# Kept beside the features, so that results can be followed over time.");
        out.line(format!("pass_through: {}", scalar(name)));
    }
    out.blank();
}

fn label_words(label: &ColumnProfile) -> String {
    let mut words = format!("To be predicted: {}", facts(label));
    match (&label.values, label.distinct()) {
        (_, Some(1)) => {
            words.push_str(". The same in every row looked at: there is nothing to predict")
        }
        (Values::Integers(_) | Values::Flags(..) | Values::Texts(_), Some(distinct))
            if distinct <= MAX_ONE_HOT =>
        {
            let _ = write!(
                words,
                ". Few different values: a classification of {distinct} classes"
            );
        }
        (Values::Integers(_) | Values::Reals(_), _) => words.push_str(". Numbers: a regression"),
        _ => {}
    }
    words.push('.');
    words
}

fn key_words(sample: &Sample, key: &Names) -> String {
    let columns: Vec<&ColumnProfile> = key.iter().filter_map(|k| sample.column(k)).collect();
    let mut words = "Identifies a row; written through, never a feature".to_owned();
    if let [one] = columns.as_slice() {
        if one.is_unique() {
            words.push_str(". Different in every row looked at");
        } else if let Some(distinct) = one.distinct() {
            let _ = write!(
                words,
                ". {} different values: rows with the same one stay in one split",
                count(distinct as u64)
            );
        }
        if one.nulls > 0 {
            let _ = write!(
                words,
                ". {} null: those rows share one split",
                percent(one.null_share())
            );
        }
    }
    words.push('.');
    words
}

fn name_list(names: &Names) -> String {
    match names.0.as_slice() {
        [one] => scalar(one),
        many => format!(
            "[{}]",
            many.iter()
                .map(|n| scalar(n))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

fn split(out: &mut Text, advice: &Advice) {
    match &advice.split {
        SplitAdvice::Hash => {
            out.line("# By a hash of the key: the same row lands in the same split in every run, and new rows never move old ones.");
            out.line("split:");
            out.line(format!(
                "  hash: {{columns: {}, ratios: {{train: 0.8, val: 0.1, test: 0.1}}}}",
                name_list(&advice.key)
            ));
        }
        SplitAdvice::Time(name, cut) => {
            out.line("# By time: learn from the past, judge on the future. Cut so that about 80, 10 and 10 % of the rows looked at fall to");
            out.line("# train, val and test.");
            out.line("split:");
            out.line(format!(
                "  time: {{column: {}, val_from: {}, test_from: {}}}",
                scalar(name),
                quoted(&cut.val_from),
                quoted(&cut.test_from)
            ));
        }
    }
    out.blank();
}

/// Columns that share a chain share a set, in the order in which they first occur.
fn features(out: &mut Text, sample: &Sample, advice: &Advice, options: &ProfileOptions) {
    let mut sets: Vec<(Treatment, bool, Vec<&ColumnProfile>)> = Vec::new();
    let mut identifiers: Vec<(Treatment, Vec<&ColumnProfile>)> = Vec::new();
    for (column, role) in sample.columns.iter().zip(&advice.roles) {
        match role {
            Role::Feature {
                treatment,
                mostly_null,
            } => {
                match sets
                    .iter_mut()
                    .find(|(t, m, _)| t == treatment && m == mostly_null)
                {
                    Some((_, _, columns)) => columns.push(column),
                    None => sets.push((*treatment, *mostly_null, vec![column])),
                }
            }
            Role::Identifier(treatment) => {
                match identifiers.iter_mut().find(|(t, _)| t == treatment) {
                    Some((_, columns)) => columns.push(column),
                    None => identifiers.push((*treatment, vec![column])),
                }
            }
            Role::Named | Role::Dropped(_) => {}
        }
    }
    out.line("features:");
    for (treatment, mostly_null, columns) in &sets {
        for line in reason(*treatment) {
            out.line(format!("  # {line}"));
        }
        if *mostly_null {
            out.line(format!(
                "  # Hardly ever filled in: dropped if more than {} of the training rows have no value.",
                percent(options.null_threshold)
            ));
        }
        set(
            out,
            "",
            *treatment,
            mostly_null.then_some(options.null_threshold),
            columns,
        );
    }
    if !identifiers.is_empty() {
        out.line("  # Identifiers: (nearly) every row has another value, so there is nothing to learn from them that holds for new rows.");
        out.line("  # One of them may be the key (--key). To use one as a feature all the same, remove the `#`.");
        for (treatment, columns) in &identifiers {
            set(out, "# ", *treatment, None, columns);
        }
    }
    out.blank();
}

fn set(
    out: &mut Text,
    mark: &str,
    treatment: Treatment,
    null_threshold: Option<f64>,
    columns: &[&ColumnProfile],
) {
    out.line(format!("  {mark}- columns:"));
    let width = columns
        .iter()
        .map(|c| scalar(&c.name).chars().count())
        .max()
        .unwrap_or(0)
        .min(32);
    for column in columns {
        out.line(format!(
            "  {mark}    - {:width$} # {}",
            scalar(&column.name),
            facts(column)
        ));
    }
    let has_nulls = columns.iter().any(|c| c.nulls > 0);
    let mut steps = steps(treatment, has_nulls);
    if let Some(threshold) = null_threshold {
        steps.insert(0, format!("{{drop: {{null_fraction_above: {threshold}}}}}"));
    }
    out.line(format!("  {mark}  steps: [{}]", steps.join(", ")));
}

/// The chain as YAML.
fn steps(treatment: Treatment, has_nulls: bool) -> Vec<String> {
    let chain = |steps: &[&str]| steps.iter().map(|s| (*s).to_owned()).collect();
    match treatment {
        Treatment::Skewed => chain(&[
            "{clip: {min: 0}}",
            "log1p",
            "{simple_imputer: median}",
            "standard_scaler",
        ]),
        Treatment::Number => chain(&["{simple_imputer: median}", "standard_scaler"]),
        Treatment::Infinite(low, high) => vec![
            format!("{{clip: {{min: {}, max: {}}}}}", exact(low), exact(high)),
            "{simple_imputer: median}".to_owned(),
            "standard_scaler".to_owned(),
        ],
        Treatment::Flag => chain(&["{simple_imputer: most_frequent}"]),
        Treatment::OneHot => chain(&[
            "{one_hot_encoder: {handle_unknown: infrequent_if_exist, min_frequency: 0.001}}",
        ]),
        Treatment::Ordinal => {
            chain(&["{ordinal_encoder: {order: frequency, min_frequency: 10, missing: category}}"])
        }
        Treatment::DateParts | Treatment::TimeParts => {
            let parts = if treatment == Treatment::DateParts {
                "[month, day_of_week]"
            } else {
                "[month, day_of_week, hour]"
            };
            let mut steps = vec![format!(
                "{{date_parts: {{parts: {parts}, encoding: cyclic, timezone: UTC}}}}"
            )];
            if has_nulls {
                steps.push("{simple_imputer: {strategy: constant, fill_value: 0}}".to_owned());
            }
            steps
        }
    }
}

fn reason(treatment: Treatment) -> &'static [&'static str] {
    match treatment {
        Treatment::Skewed => &[
            "Skewed: never negative, many small values and few very large ones (skewness above 1). The logarithm draws the",
            "large ones in; what is missing becomes the median; then mean 0 and variance 1. The clip keeps a negative value",
            "that was not among the rows looked at from having no logarithm.",
        ],
        Treatment::Number => &[
            "Numbers: what is missing becomes the median, which large values do not move; then mean 0 and variance 1.",
        ],
        Treatment::Infinite(..) => &[
            "Numbers with infinities, which have no mean: clipped to the largest finite values seen before anything is learned.",
        ],
        Treatment::Flag => {
            &["Yes or no: as 1 and 0; what is missing becomes the more frequent one."]
        }
        Treatment::OneHot => &[
            "Few categories (at most 30): one column of 0 and 1 for each. Those in under 0.1 % of the training rows share a",
            "column, as do those that first turn up later.",
        ],
        Treatment::Ordinal => &[
            "Many categories: one id for each, by falling frequency. Those seen fewer than 10 times in the training rows share",
            "id 0, as do those that first turn up later. Missing is a category.",
        ],
        Treatment::DateParts => &[
            "Dates: sine and cosine of each part, so that December is next to January. A null becomes 0, the middle of the circle.",
        ],
        Treatment::TimeParts => &[
            "Times: sine and cosine of each part, so that 23 h is next to 0 h. Parts are those of UTC where times have a zone (set",
            "`timezone` to where people are), and of the times as they stand where they have none. A null becomes 0, the middle",
            "of the circle.",
        ],
    }
}

/// A number as YAML that reads back as the same bits.
fn exact(value: f64) -> String {
    let text = format!("{value:?}");
    // YAML wants a point before an exponent and a sign in it.
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let point = if digits.contains('.') { "" } else { ".0" };
            let sign = if exponent.starts_with('-') { "" } else { "+" };
            format!("{digits}{point}e{sign}{exponent}")
        }
        None => text,
    }
}

/// Type, nulls, distinct values and range of a column, on one line.
fn facts(column: &ColumnProfile) -> String {
    let mut words = in_comment(&column.data_type.to_string());
    let _ = write!(words, ", {} null", percent(column.null_share()));
    if let Some(distinct) = column.distinct() {
        let _ = write!(words, ", {} distinct", count(distinct as u64));
    }
    match &column.values {
        Values::Integers(numbers) | Values::Reals(numbers) => {
            if let Some((low, high)) = numbers.range {
                let _ = write!(words, ", {} to {}", number(low), number(high));
            }
            if numbers.skewness() > 1.0 {
                let _ = write!(words, ", skewness {:.1}", numbers.skewness());
            }
            if numbers.infinite > 0 {
                let _ = write!(words, ", {} infinite", count(numbers.infinite));
            }
            let few = column
                .distinct()
                .is_some_and(|d| (3..=MAX_ONE_HOT).contains(&d));
            if few && matches!(column.values, Values::Integers(_)) && column.present() >= 1_000 {
                words.push_str("; codes rather than amounts? then --force-categorical");
            }
        }
        Values::Flags(no, yes) if no + yes > 0 => {
            let _ = write!(words, ", {} true", percent(*yes as f64 / (no + yes) as f64));
        }
        Values::Texts(outline) => {
            if let Some((short, long)) = outline.lengths {
                if short == long {
                    let _ = write!(words, ", {long} bytes");
                } else {
                    let _ = write!(words, ", {short} to {long} bytes");
                }
            }
            if let Some(share) = outline.largest_share() {
                let _ = write!(words, ", most frequent {}", percent(share));
            }
        }
        Values::Times(times, clock) => {
            if let Some((first, last)) = times.range()
                && let (Some(first), Some(last)) =
                    (times::text(first, *clock), times::text(last, *clock))
            {
                let _ = write!(words, ", {first} to {last}");
            }
        }
        Values::Flags(..) | Values::Other => {}
    }
    words
}
