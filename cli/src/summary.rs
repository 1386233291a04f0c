//! What is printed at the end of a command.
//!
//! Owns layout and wording. Must not compute anything the report does not say.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use millpond::{ApplyReport, ErrorKind, JobReport};
use serde::Serialize;

use crate::failure::Failure;
use crate::numerals::{count, of, percent, size, time};

#[cfg(test)]
mod tests;

/// Columns listed before "and N more".
const LISTED: usize = 5;

/// A value as JSON text with a final line end.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|e| {
            Failure::new(
                ErrorKind::Sink,
                format!("cannot write the result as JSON: {e}"),
            )
        })
}

/// The summary of a run.
pub(crate) fn of_run(report: &JobReport) -> String {
    let mut out = String::new();
    let rows = &report.rows;
    let _ = writeln!(
        out,
        "{} from {} in {}, {} over {} in {}",
        of(rows.read, "row"),
        report.source,
        time(report.seconds.total),
        passes(report.passes),
        size(report.bytes_read),
        of(report.units as u64, "unit"),
    );
    out.push('\n');
    let kept = rows.train + rows.val + rows.test;
    for (split, n) in [
        ("train", rows.train),
        ("val", rows.val),
        ("test", rows.test),
    ] {
        let _ = writeln!(
            out,
            "  {split:9} {:>13} rows  {:>7}  {}/{split}",
            count(n),
            percent(n, kept),
            report.output
        );
    }
    if rows.filtered > 0 {
        let _ = writeln!(
            out,
            "  filtered  {:>13} rows           left out by `where`",
            count(rows.filtered)
        );
    }
    let _ = writeln!(out, "  learned   {}/fitted.json", report.output);
    let _ = writeln!(out, "  report    {}/report.json", report.output);
    out.push('\n');
    let _ = writeln!(
        out,
        "  memory    {} at most, of {}",
        size(report.peak_rss_bytes),
        size(report.memory_limit_bytes)
    );
    if report.spilled_bytes > 0 {
        let _ = writeln!(
            out,
            "  disk      {} kept in temporary files, removed again",
            size(report.spilled_bytes)
        );
    }
    if report.resumed_units_read + report.resumed_units_written > 0 {
        let _ = writeln!(
            out,
            "  resumed   {} of {} were read and {} written by earlier runs",
            report.resumed_units_read,
            of(report.units as u64, "unit"),
            report.resumed_units_written
        );
    }
    if report.retries > 0 {
        let _ = writeln!(
            out,
            "  retries   {}",
            of(report.retries, "read stream reconnection")
        );
    }
    let _ = writeln!(
        out,
        "  time      connect {}, learn {}, write {}",
        time(report.seconds.connect),
        time(report.seconds.fit),
        time(report.seconds.write)
    );
    let remarks = remarks(report);
    if !remarks.is_empty() {
        out.push('\n');
    }
    for line in remarks {
        let _ = writeln!(out, "{line}");
    }
    out
}

/// The summary of an application to new rows.
pub(crate) fn of_apply(report: &ApplyReport) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} from {} in {}",
        of(report.rows, "row"),
        report.source,
        time(report.seconds)
    );
    let _ = writeln!(
        out,
        "  {:9} {}",
        of(report.files as u64, "file"),
        report.output
    );
    let _ = writeln!(
        out,
        "  memory    {} at most, of {}",
        size(report.peak_rss_bytes),
        size(report.memory_limit_bytes)
    );
    if let Some(line) = unknown(&report.unknown_categories) {
        let _ = writeln!(out, "\n{line}");
    }
    out
}

/// Dropped columns, unknown categories and warnings, each a line.
fn remarks(report: &JobReport) -> Vec<String> {
    let mut lines = Vec::new();
    if !report.dropped_columns.is_empty() {
        lines.push(format!(
            "note: {} dropped after a look at the training rows: {}",
            of(report.dropped_columns.len() as u64, "column"),
            some_of(report.dropped_columns.iter().cloned())
        ));
    }
    lines.extend(unknown(&report.unknown_categories));
    lines.extend(report.warnings.iter().map(|w| format!("warning: {w}")));
    lines
}

/// Columns with categories that training had not seen.
fn unknown(counts: &BTreeMap<String, u64>) -> Option<String> {
    let met: Vec<(&String, &u64)> = counts.iter().filter(|(_, n)| **n > 0).collect();
    if met.is_empty() {
        return None;
    }
    Some(format!(
        "note: categories never seen in training, encoded as unknown: {}",
        some_of(
            met.iter()
                .map(|(column, n)| format!("{column} in {}", of(**n, "row")))
        )
    ))
}

/// "1 pass", "2 passes".
fn passes(n: usize) -> String {
    if n == 1 {
        "1 pass".to_owned()
    } else {
        format!("{n} passes")
    }
}

fn some_of(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let shown = names.take(LISTED).collect::<Vec<_>>().join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}
