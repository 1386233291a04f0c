//! Running a job from connecting to `_SUCCESS`.

use std::sync::Arc;
use std::time::Instant;

use millpond_features::{DropReason, DroppedColumn, Split};

use super::Job;
use super::bound::Bound;
use super::learn::learn;
use super::report::{JobReport, PhaseSeconds, RowCounts};
use super::resources::Resources;
use super::write::write;
use crate::error::{Error, ErrorKind, Result};
use crate::fitted::{FittedContext, FittedRecipe};
use crate::manifest::{Manifest, UnitEntry};
use crate::output_dir::OutputDir;
use crate::recipe::Recipe;
use crate::sink::{SinkSettings, SplitSink};

/// The name of the report in the output directory.
const REPORT_FILE: &str = "report.json";

pub(super) async fn run(job: Job) -> Result<JobReport> {
    let output = job.output()?;
    let Job { recipe, settings } = job;
    let resources = Resources::open(&settings, recipe.memory)?;
    let sink = SinkSettings::try_new(&recipe.output.compression)?;
    // The directory is taken before the source is touched: nothing is paid for that cannot be written.
    let output_dir = Arc::new(OutputDir::create(&output)?);
    let bound = Bound::connect(recipe, settings.emulator.as_deref(), &resources).await?;
    let connected = Instant::now();

    let learned = learn(&bound, &resources, &settings.cancellation).await?;
    let fitted_at = Instant::now();

    let mut warnings = Vec::new();
    let mut dropped = Vec::new();
    for column in learned.features.dropped() {
        let said = describe_dropped(column)?;
        if column.reason != DropReason::DropStep {
            warnings.push(format!("dropped {said}"));
        }
        dropped.push(said);
    }
    let fitted = FittedRecipe::new(
        FittedContext {
            source: bound.source.name().to_owned(),
            snapshot: learned.full_plan.scan().snapshot(),
            train_rows: learned.train_rows,
            split_sql: bound.inputs.splitter.bigquery_sql(),
            roles: bound.inputs.roles.clone(),
            input_schema: bound.input_schema(&resources)?,
            required_columns: bound.required_columns(&resources)?,
            recipe: portable(&bound.recipe),
        },
        learned.features.clone(),
    )?;
    let written = write(
        &bound,
        &learned,
        &resources,
        &output_dir,
        &sink,
        &settings.cancellation,
    )
    .await?;

    let units = learned.full_plan.scan().units();
    let mut rows = RowCounts::default();
    let mut entries = Vec::with_capacity(units.len());
    let mut shards = Vec::new();
    for unit in &written.units {
        let filtered = unit
            .filtered
            .or_else(|| learned.filtered.get(&unit.index).copied())
            .unwrap_or(0);
        rows.train += unit.rows.train;
        rows.val += unit.rows.val;
        rows.test += unit.rows.test;
        rows.filtered += filtered;
        entries.push(UnitEntry {
            index: unit.index,
            name: units
                .get(unit.index)
                .map(|u| u.name.clone())
                .unwrap_or_default(),
            rows: unit.rows,
            filtered,
        });
        shards.extend(unit.shards.iter().cloned());
    }
    rows.read = rows.filtered + rows.train + rows.val + rows.test;
    let schema = fitted.output_schema()?;
    for split in Split::ALL {
        if !shards.iter().any(|s| s.split == split) {
            warnings.push(format!("the {split} split is empty"));
            shards.push(SplitSink::write_empty_shard(
                &output_dir,
                &schema,
                &sink,
                split,
            )?);
        }
    }
    if written.null_labels > 0
        && let Some(label) = &bound.recipe.label
    {
        warnings.push(format!(
            "label \"{label}\" is null in {} rows",
            written.null_labels
        ));
    }
    let bytes_written = shards.iter().map(|s| s.bytes).sum();
    let shard_count = shards.len();
    let manifest = Manifest::new(&schema, entries, shards);
    for (name, bytes) in fitted.to_files()? {
        output_dir.write_file(&name, &bytes)?;
    }
    output_dir.write_file(crate::manifest::MANIFEST, manifest.to_json()?.as_bytes())?;
    let seconds = |from: Instant, to: Instant| (to - from).as_secs_f64();
    let now = Instant::now();
    let report = JobReport {
        millpond_version: env!("CARGO_PKG_VERSION").to_owned(),
        source: bound.source.name().to_owned(),
        snapshot: learned.full_plan.scan().snapshot(),
        session: learned.full_plan.scan().session(),
        output: output.display().to_string(),
        rows,
        bytes_read: resources.metrics.bytes(),
        passes: learned.passes + 1,
        units: units.len(),
        shards: shard_count,
        bytes_written,
        retries: resources.metrics.retries(),
        spilled_bytes: resources.spill.bytes_written(),
        peak_rss_bytes: resources.monitor.peak_rss_bytes(),
        memory_limit_bytes: resources.memory_limit_bytes,
        seconds: PhaseSeconds {
            connect: seconds(resources.started, connected),
            fit: seconds(connected, fitted_at),
            write: seconds(fitted_at, now),
            total: seconds(resources.started, now),
        },
        unknown_categories: written.counts.unknown,
        dropped_columns: dropped,
        warnings,
    };
    let mut json = serde_json::to_vec_pretty(&report)
        .map_err(|e| Error::with_source(ErrorKind::Sink, REPORT_FILE, e))?;
    json.push(b'\n');
    output_dir.write_file(REPORT_FILE, &json)?;
    settings.cancellation.check()?;
    commit(output_dir)?;
    Ok(report)
}

/// What a report says of a column the recipe dropped. A column that was dropped only because nothing could be learned
/// from it is an error: the width of the output must not change in silence.
fn describe_dropped(column: &DroppedColumn) -> Result<String> {
    let name = &column.name;
    match (column.reason, column.null_fraction) {
        (DropReason::NoValues, _) => Err(Error::new(
            ErrorKind::Data,
            format!(
                "column \"{name}\" has no value in the training rows, so there is nothing to impute; drop it, set keep_empty_features, or put {{drop: {{null_fraction_above: 0.9}}}} before the imputer"
            ),
        )),
        (_, Some(share)) => Ok(format!(
            "\"{name}\": {:.1} % of its training rows are null",
            share * 100.0
        )),
        _ => Ok(format!("\"{name}\": as the recipe says")),
    }
}

/// Completes the directory, once nobody writes to it any more.
pub(super) fn commit(output: Arc<OutputDir>) -> Result<()> {
    match Arc::into_inner(output) {
        Some(output) => output.commit(),
        None => Err(Error::new(
            ErrorKind::Sink,
            "the output is still being written to",
        )),
    }
}

/// The recipe as it goes into the artefact: without what only says how and where a run was made.
fn portable(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    recipe.memory = None;
    recipe.output.path = None;
    recipe
}
