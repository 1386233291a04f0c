//! Running a job from connecting to `_SUCCESS`.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use millpond_features::{DropReason, DroppedColumn, Split, side_by_side};

use super::bound::Bound;
use super::checkpoints::{Checkpoints, kept_table};
use super::cost::Charged;
use super::learn::{Learned, learn};
use super::report::{JobReport, PhaseSeconds, RowCounts, streams};
use super::resources::Resources;
use super::write::{Written, write};
use super::{EarlierWork, Job, JobSettings};
use crate::error::{Error, ErrorKind, Result};
use crate::fitted::{FITTED_FILE, FittedContext, FittedRecipe};
use crate::journal::LearnedRecord;
use crate::manifest::{Manifest, UnitEntry};
use crate::output_dir::{Opened, OutputDir};
use crate::recipe::Recipe;
use crate::sink::{SinkSettings, SplitSink};
use crate::source::connect::Intent;

/// The name of the report in the output directory.
const REPORT_FILE: &str = "report.json";

pub(super) async fn run(job: Job) -> Result<JobReport> {
    let output = job.output()?;
    let Job { recipe, settings } = job;
    let resources = Resources::open(&settings, recipe.memory)?;
    let sink = SinkSettings::try_new(&recipe.output.compression)?;
    let mut earlier_work = settings.earlier_work;
    let mut units_before = None;
    loop {
        // The directory is taken before the source is touched: nothing is paid for that cannot be written.
        let (output_dir, records) = match OutputDir::open(&output, earlier_work)? {
            Opened::Ready(directory, records) => (Arc::new(directory), records),
            Opened::Finished => return JobReport::read(&output.join(REPORT_FILE)),
        };
        // Work of another recipe is not this run's to remove: an error here leaves it.
        let wanted = portable(&recipe);
        let checkpoints = Checkpoints::open(&output_dir, records, &wanted, &resources)?;
        let checkpoints = Arc::new(checkpoints);
        let run = Run {
            settings: &settings,
            resources: &resources,
            sink: &sink,
            place: &output,
            output: &output_dir,
            checkpoints: &checkpoints,
        };
        let error = match run.carry_out(recipe.clone()).await {
            Ok(report) => {
                drop(checkpoints);
                commit(output_dir)?;
                return Ok(report);
            }
            Err(error) => error,
        };
        // What a unit was learned from cannot be taken back, so a unit that has to be read from its start needs a run that
        // goes on from the units that are finished, as after a crash.
        let (units, _) = checkpoints.finished();
        if checkpoints.have_forgotten() && units_before != Some(units) {
            tracing::warn!(%error, units, "going on with new sessions");
            units_before = Some(units);
            earlier_work = EarlierWork::Continue;
            output_dir.settle();
            continue;
        }
        return Err(leave(&output, &output_dir, &checkpoints, error));
    }
}

/// Ends a run that failed: what it has finished is kept when it may be of use to a later run.
fn leave(place: &Path, output: &OutputDir, checkpoints: &Checkpoints, error: Error) -> Error {
    output.settle();
    let may_go_on = matches!(
        error.kind(),
        ErrorKind::Unavailable
            | ErrorKind::Auth
            | ErrorKind::MemoryBudget
            | ErrorKind::Disk
            | ErrorKind::Sink
            | ErrorKind::Interrupted
            | ErrorKind::Terminated
    );
    if error.is_expired_session() && !checkpoints.have_forgotten() {
        // Nothing can be gone on with, and nothing is thrown away before the user says so.
        return error;
    }
    if checkpoints.are_forsaken() {
        output.discard();
        return error.noting("nothing was kept: the temporary table with the result of the query is removed, and the next run asks again");
    }
    if output.keeps_work() && (may_go_on || checkpoints.are_paid()) {
        return error.noting(format!(
            "what is finished is kept in {}: run the same again to go on, or add --restart to start over",
            place.display()
        ));
    }
    output.discard();
    match error.kind() {
        ErrorKind::Interrupted | ErrorKind::Terminated => error.noting("nothing was kept"),
        _ => error,
    }
}

/// What a run works with.
struct Run<'a> {
    settings: &'a JobSettings,
    resources: &'a Resources,
    sink: &'a SinkSettings,
    /// The output directory as the user wrote it.
    place: &'a Path,
    output: &'a Arc<OutputDir>,
    checkpoints: &'a Arc<Checkpoints>,
}

impl Run<'_> {
    /// Everything but the last step, after which the result is seen.
    async fn carry_out(&self, recipe: Recipe) -> Result<JobReport> {
        let (resources, checkpoints) = (self.resources, self.checkpoints);
        let cancellation = &self.settings.cancellation;
        let connecting = self.settings.connecting(Intent::Read);
        let bound = Bound::connect(recipe, connecting, resources, checkpoints).await?;
        let connected = Instant::now();
        let learned = learn(&bound, resources, self.output, checkpoints, cancellation).await;
        // All rows that will be read have been, or none will be any more. Rows of a free source are read again, and nothing was made
        // for those.
        if bound.source.ends_when_closed() {
            checkpoints.forsake();
        }
        let left_behind = bound.source.close().await;
        for left in &left_behind {
            tracing::warn!("{left}");
        }
        let learned = learned?;
        let artefact = self.artefact(&bound, &learned)?;
        let fitted = Instant::now();
        let written = write(
            &bound,
            &learned,
            resources,
            self.output,
            self.sink,
            checkpoints,
            cancellation,
        )
        .await?;
        let seconds = |from: Instant, to: Instant| (to - from).as_secs_f64();
        let mut artefact = artefact;
        artefact.warnings.extend(left_behind);
        let report = self.account(&bound, &learned, artefact, written, |now| PhaseSeconds {
            connect: seconds(resources.started, connected),
            fit: seconds(connected, fitted),
            write: seconds(fitted, now),
            total: seconds(resources.started, now),
        })?;
        cancellation.check()?;
        Ok(report)
    }

    /// Writes the artefact down, unless an earlier run did.
    fn artefact(&self, bound: &Bound, learned: &Learned) -> Result<Artefact> {
        if let Some(before) = self.checkpoints.learned() {
            return Ok(Artefact {
                schema: FittedRecipe::output_schema_at(&self.output.staged().join(FITTED_FILE))?,
                warnings: before.warnings.clone(),
                dropped: before.dropped.clone(),
            });
        }
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
                input_schema: bound.input_schema(self.resources)?,
                required_columns: bound.required_columns(self.resources)?,
                recipe: portable(&bound.recipe),
            },
            learned.features.clone(),
        )?;
        let staged = self.output.staged();
        let files = side_by_side(bound.slots, fitted.to_files()?, |file| {
            let name = &file.name;
            self.output.write_with(name, |out| file.write_to(out))?;
            kept_table(staged, &staged.join(name))
        })?;
        self.checkpoints.learning_done(LearnedRecord {
            passes: learned.passes,
            train_rows: learned.train_rows,
            filtered: learned.filtered.clone().into_iter().collect(),
            files,
            warnings: warnings.clone(),
            dropped: dropped.clone(),
        })?;
        Ok(Artefact {
            schema: fitted.output_schema()?,
            warnings,
            dropped,
        })
    }

    /// Counts what was done, and writes manifest and report.
    fn account(
        &self,
        bound: &Bound,
        learned: &Learned,
        artefact: Artefact,
        written: Written,
        seconds: impl FnOnce(Instant) -> PhaseSeconds,
    ) -> Result<JobReport> {
        let resources = self.resources;
        let scan = learned.full_plan.scan();
        let units = scan.units();
        let mut warnings = bound.source.notes();
        warnings.extend(artefact.warnings);
        let mut rows = RowCounts::default();
        let mut entries = Vec::with_capacity(units.len());
        let mut shards = Vec::new();
        for unit in &written.units {
            let filtered = unit
                .filtered
                .or_else(|| learned.filtered.get(&unit.unit).copied())
                .unwrap_or(0);
            rows.train += unit.rows.train;
            rows.val += unit.rows.val;
            rows.test += unit.rows.test;
            rows.filtered += filtered;
            entries.push(UnitEntry {
                index: unit.unit,
                name: units
                    .get(unit.unit)
                    .map(|u| u.name.clone())
                    .unwrap_or_default(),
                rows: unit.rows,
                filtered,
            });
            shards.extend(unit.shards.iter().cloned());
        }
        rows.read = rows.filtered + rows.train + rows.val + rows.test;
        for split in Split::ALL {
            if !shards.iter().any(|s| s.split == split) {
                warnings.push(format!("the {split} split is empty"));
                shards.push(SplitSink::write_empty_shard(
                    self.output,
                    &artefact.schema,
                    self.sink,
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
        let manifest = Manifest::new(&artefact.schema, entries, shards);
        self.output
            .write_file(crate::manifest::MANIFEST, manifest.to_json()?.as_bytes())?;
        let (resumed_units_read, resumed_units_written) = self.checkpoints.finished();
        let seconds = seconds(Instant::now());
        let charged = Charged::of(bound.source.billing(), scan.as_ref());
        let report = JobReport {
            millpond_version: env!("CARGO_PKG_VERSION").to_owned(),
            source: bound.source.name().to_owned(),
            snapshot: scan.snapshot(),
            session: scan.session(),
            output: self.place.display().to_string(),
            rows,
            bytes_read: resources.metrics.bytes(),
            duration_seconds: seconds.total,
            bytes_processed: charged.bytes_processed,
            bytes_billed: charged.bytes_billed,
            slot_ms: charged.slot_ms,
            query_jobs: charged.query_jobs,
            streams: streams(scan.as_ref(), &resources.metrics),
            passes: learned.passes + 1,
            units: units.len(),
            resumed_units_read,
            resumed_units_written,
            shards: shard_count,
            bytes_written,
            retries: resources.metrics.retries(),
            spilled_bytes: resources.spill.bytes_written() + learned.lasting_bytes(),
            peak_rss_bytes: resources.monitor.peak_rss_bytes(),
            memory_limit_bytes: resources.memory_limit_bytes,
            seconds,
            unknown_categories: written.unknown,
            dropped_columns: artefact.dropped,
            warnings,
        };
        self.output.write_file(REPORT_FILE, &report.to_json()?)?;
        Ok(report)
    }
}

/// What the artefact tells the rest of the run.
struct Artefact {
    /// Columns of the output.
    schema: SchemaRef,
    warnings: Vec<String>,
    dropped: Vec<String>,
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
