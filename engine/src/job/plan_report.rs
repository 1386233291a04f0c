//! What a job would do, without doing it.

use std::collections::HashSet;
use std::fmt;

use arrow::datatypes::SchemaRef;
use bytesize::ByteSize;
use serde::Serialize;

use super::Job;
use super::bound::Bound;
use super::checkpoints::Checkpoints;
use super::cost::CostEstimate;
use super::resources::Resources;
use crate::error::Result;
use crate::price_list::PriceList;
use crate::recipe::Recipe;
use crate::source::connect::Intent;
use crate::source::nested::{root_of, without_paths};
use crate::source::pseudo::without_pseudo;
use crate::source::{Rescan, Scan, Snapshot};

/// The plan of a job: what is read, how often, in how much memory, and what comes out.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct JobPlan {
    /// The source as written.
    pub source: String,
    /// What is known of its state.
    pub snapshot: Snapshot,
    /// Work units; each becomes one shard per split.
    pub units: usize,
    /// Rows of the source, when known.
    pub rows_estimated: Option<u64>,
    /// Bytes of the columns read, when known. For BigQuery these are the bytes billed.
    pub bytes_estimated: Option<u64>,
    /// Columns read from the source.
    pub columns_read: Vec<String>,
    /// Columns of the source that are not read.
    pub columns_not_read: usize,
    /// Fewest and most passes that learn.
    pub fit_passes: (usize, usize),
    /// Why there may be more than one.
    pub pass_reasons: Vec<String>,
    /// Whether later passes read the source again or the reservoir.
    pub rows_between_passes: &'static str,
    /// What a run that is interrupted can go on with, and for how long.
    pub resume: String,
    /// Whether (part of) `where` is evaluated by the source: its own filter text.
    pub row_restriction: Option<String>,
    /// Whether (part of) `where` is evaluated here.
    pub filters_locally: bool,
    /// Memory the process may use.
    pub memory_limit_bytes: u64,
    /// Units worked on at a time.
    pub slots: usize,
    /// Rows per batch.
    pub batch_rows: usize,
    /// The split as a BigQuery SQL expression.
    pub split_sql: String,
    /// The physical plan of the rows.
    pub physical_plan: String,
    /// What kind of table it is and how it is laid out, as far as the service tells.
    pub table: Snapshot,
    /// Bytes that a query of the same columns and rows would process, by a dry run; unknown for files and without the REST API.
    pub dry_run_bytes: Option<u64>,
    /// What reading would cost; nothing for files.
    pub cost: Option<CostEstimate>,
    /// What the user should know before running.
    pub notes: Vec<String>,
}

pub(super) async fn plan(job: &Job) -> Result<JobPlan> {
    let resources = Resources::open(&job.settings, job.recipe.memory)?;
    let bound = Bound::connect(
        job.recipe.clone(),
        job.settings.connecting(Intent::Plan),
        &resources,
        &Checkpoints::none(&resources),
    )
    .await?;
    let (inputs, source, slots) = (&bound.inputs, &bound.source, bound.slots);
    let rows = bound.plan(&resources, inputs.all_columns()).await?;
    let scan = rows.scan();
    let passes = inputs.features.passes();
    let columns_read: Vec<String> = scan
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    let snapshot = scan.snapshot();
    let restriction = snapshot
        .get("row_restriction")
        .and_then(|v| v.as_str())
        .unwrap_or_default();
    let appraisal = source.appraise(&columns_read, restriction).await;
    let built_in = PriceList::built_in();
    let prices = job.settings.prices.as_ref().unwrap_or(&built_in);
    let cost = CostEstimate::of(source.billing(), scan.as_ref(), &appraisal, prices);
    let mut notes = source.notes();
    notes.extend(appraisal.notes);
    Ok(JobPlan {
        source: source.name().to_owned(),
        units: scan.units().len(),
        rows_estimated: scan.units().iter().map(|u| u.rows).sum(),
        bytes_estimated: scan.units().iter().map(|u| u.bytes).sum(),
        columns_not_read: columns_not_read(&without_pseudo(&source.schema()), &columns_read),
        columns_read,
        fit_passes: (passes.min, passes.max),
        pass_reasons: passes.reasons,
        rows_between_passes: match scan.rescan() {
            Rescan::Free => "the source is read again",
            Rescan::Paid => {
                "kept in memory, beyond the budget in Parquet spill files; the source is read once"
            }
        },
        resume: resume(&job.recipe, scan.as_ref()),
        row_restriction: snapshot
            .get("row_restriction")
            .and_then(|v| v.as_str())
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
        filters_locally: rows.filters_locally(),
        snapshot,
        memory_limit_bytes: resources.memory_limit_bytes,
        slots,
        batch_rows: bound.read.batch_rows,
        split_sql: inputs.splitter.bigquery_sql(),
        physical_plan: rows.explain(),
        table: appraisal.table,
        dry_run_bytes: appraisal.dry_run_bytes,
        cost,
        notes,
    })
}

/// How many columns of the table nothing is read of.
fn columns_not_read(schema: &SchemaRef, read: &[String]) -> usize {
    let read: HashSet<&str> = read.iter().map(String::as_str).collect();
    let fields = schema.fields().iter();
    let roots: HashSet<&str> = fields
        .filter(|f| read.contains(f.name().as_str()))
        .map(|f| root_of(f).unwrap_or(f.name()))
        .collect();
    let whole = without_paths(schema);
    let columns = whole.fields().iter();
    columns
        .filter(|f| !roots.contains(f.name().as_str()))
        .count()
}

/// What an interrupted run can go on with.
fn resume(recipe: &Recipe, scan: &dyn Scan) -> String {
    if recipe.limit.is_some() {
        return "none: which rows a limit takes depends on all units before".to_owned();
    }
    if let Some(own) = scan.resume() {
        return own;
    }
    match (scan.rescan(), scan.starts_over()) {
        (Rescan::Free, _) => "written shards, at any time; other rows are read again".to_owned(),
        (Rescan::Paid, true) => format!(
            "rows read and shards; across the end of a read session (6 hours) the {} ranges that are not finished, at the same snapshot",
            scan.units().len()
        ),
        (Rescan::Paid, false) => "rows read and shards, as long as the read session lives (6 hours); across its end: none (bigquery.work_units cuts the read into ranges that outlive it)".to_owned(),
    }
}

impl fmt::Display for JobPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = || "not known beforehand".to_owned();
        let bytes = |n: u64| ByteSize::b(n).display().iec().to_string();
        writeln!(f, "source      {}", self.source)?;
        writeln!(
            f,
            "rows        {} in {} unit{}",
            self.rows_estimated.map_or_else(unknown, |n| n.to_string()),
            self.units,
            if self.units == 1 { "" } else { "s" }
        )?;
        writeln!(
            f,
            "bytes       {} of the columns read",
            self.bytes_estimated.map_or_else(unknown, bytes)
        )?;
        if let Some(dry_run) = self.dry_run_bytes {
            writeln!(
                f,
                "dry run     {} that a query of them would process",
                bytes(dry_run)
            )?;
        }
        if let Some(cost) = &self.cost {
            writeln!(f, "cost        {cost}")?;
        }
        for (key, value) in &self.table {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            writeln!(f, "{:<11} {text}", key.replace('_', " "))?;
        }
        writeln!(
            f,
            "columns     {} read, {} not needed: {}",
            self.columns_read.len(),
            self.columns_not_read,
            self.columns_read.join(", ")
        )?;
        let (min, max) = self.fit_passes;
        let fit = if min == max {
            min.to_string()
        } else {
            format!("{min} to {max}")
        };
        writeln!(f, "passes      {fit} to learn, 1 to write")?;
        for reason in &self.pass_reasons {
            writeln!(f, "            - {reason}")?;
        }
        writeln!(f, "between     {}", self.rows_between_passes)?;
        writeln!(f, "resume      {}", self.resume)?;
        match (&self.row_restriction, self.filters_locally) {
            (Some(text), true) => {
                writeln!(f, "where       partly by the source: {text}; the rest here")?
            }
            (Some(text), false) => writeln!(f, "where       by the source: {text}")?,
            (None, true) => writeln!(f, "where       evaluated here")?,
            (None, false) => {}
        }
        writeln!(
            f,
            "memory      {} for {} unit{} at a time, batches of {} rows",
            bytes(self.memory_limit_bytes),
            self.slots,
            if self.slots == 1 { "" } else { "s" },
            self.batch_rows
        )?;
        writeln!(f, "split       as BigQuery SQL:")?;
        for line in self.split_sql.lines() {
            writeln!(f, "            {line}")?;
        }
        for note in &self.notes {
            writeln!(f, "note        {note}")?;
        }
        Ok(())
    }
}
