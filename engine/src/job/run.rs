//! Running a job from connecting to `_SUCCESS`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use millpond_features::{DropReason, DroppedColumn, FittedFeatures, Split, TransformCounts};

use super::drive::drive;
use super::fit::{AfterReading, FitWorker, Keeper, KeptRows, Ponds, RowLimit, Rows, fit_failed, states};
use super::inputs::{Inputs, row_bytes};
use super::materialise::materialise;
use super::memory_need::MemoryNeed;
use super::progress::Phase;
use super::report::{JobReport, PhaseSeconds, RowCounts};
use super::resources::Resources;
use super::write::{WriteWorker, WrittenUnit};
use super::Job;
use crate::error::{Error, ErrorKind, Result};
use crate::fitted::{FittedContext, FittedRecipe};
use crate::manifest::{Manifest, SplitRows, UnitEntry};
use crate::output_dir::OutputDir;
use crate::plan::RowPlan;
use crate::recipe::{Recipe, SourceSpec, TableSpec};
use crate::sink::{SinkSettings, SplitSink};
use crate::source::connect::connect_table;
use crate::source::{ReadContext, Rescan, Source};

/// The name of the report in the output directory.
const REPORT_FILE: &str = "report.json";

/// Connects the source of `recipe`; a query is run and written down first.
pub(super) async fn connect(recipe: &Recipe, emulator: Option<&str>, resources: &Resources) -> Result<Arc<dyn Source>> {
    match &recipe.source {
        Some(SourceSpec::Address(address)) => {
            let table = TableSpec {
                table: address.clone(),
                bigquery: Default::default(),
                csv: Default::default(),
            };
            connect_table(&table, emulator).await
        }
        Some(SourceSpec::Table(table)) => connect_table(table, emulator).await,
        Some(SourceSpec::Query(query)) => {
            resources.gauge.enter(Phase::Materialise, None, None);
            let source = materialise(query, &recipe.key.0, resources, emulator).await;
            resources.gauge.enter(Phase::Connect, None, None);
            source
        }
        None => Err(Error::config("the recipe names no source")),
    }
}

/// A job bound to its source.
struct Bound {
    recipe: Recipe,
    source: Arc<dyn Source>,
    inputs: Inputs,
    read: ReadContext,
    slots: usize,
}

impl Bound {
    async fn plan(&self, resources: &Resources, columns: Vec<String>) -> Result<Arc<RowPlan>> {
        let query = self.inputs.query(&self.recipe, columns);
        Ok(Arc::new(
            RowPlan::try_new(&resources.session, &self.source, &self.read, &query).await?,
        ))
    }
}

/// What learning leaves for writing.
struct Learned {
    features: FittedFeatures,
    rows: Rows,
    full_plan: Arc<RowPlan>,
    passes: usize,
    train_rows: u64,
    filtered: BTreeMap<usize, u64>,
}

pub(super) async fn run(job: Job) -> Result<JobReport> {
    let output = job.output()?;
    let Job { recipe, settings } = job;
    let resources = Resources::open(&settings, recipe.memory)?;
    let sink = SinkSettings::try_new(&recipe.output.compression)?;
    // The directory is taken before the source is touched: nothing is paid for that cannot be written.
    let output_dir = Arc::new(OutputDir::create(&output)?);
    let source = connect(&recipe, settings.emulator.as_deref(), &resources).await?;
    let inputs = Inputs::bind(&recipe, &source, &resources.session)?;
    let columns = inputs.all_columns();
    let width = row_bytes(&inputs.schema, &columns);
    let read = resources.read_context(width);
    let need = MemoryNeed {
        batch_rows: read.batch_rows,
        row_bytes: width,
        columns: columns.len(),
    };
    let wanted = if recipe.limit.is_some() { 1 } else { resources.slots };
    let slots = need.slots(wanted, resources.memory_limit_bytes)?;
    let bound = Bound {
        recipe,
        source,
        inputs,
        read,
        slots,
    };
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
            input_schema: input_schema(&bound, &resources)?,
            required_columns: bound.inputs.source_columns(
                &bound.inputs.features.input_columns().iter().map(|c| (*c).to_owned()).collect::<Vec<_>>(),
                &bound.recipe,
                &bound.source,
                &resources.session,
            )?,
            recipe: portable(&bound.recipe),
        },
        learned.features.clone(),
    )?;
    let (written, counts, null_labels) = write(&bound, &learned, &resources, &output_dir, &sink, &settings.cancellation).await?;

    let units = learned.full_plan.scan().units();
    let mut rows = RowCounts::default();
    let mut entries = Vec::with_capacity(units.len());
    let mut shards = Vec::new();
    for unit in &written {
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
            name: units.get(unit.index).map(|u| u.name.clone()).unwrap_or_default(),
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
            shards.push(SplitSink::write_empty_shard(&output_dir, &schema, &sink, split)?);
        }
    }
    if null_labels > 0
        && let Some(label) = &bound.recipe.label
    {
        warnings.push(format!("label \"{label}\" is null in {null_labels} rows"));
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
        unknown_categories: counts.unknown,
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
        (_, Some(share)) => Ok(format!("\"{name}\": {:.1} % of its training rows are null", share * 100.0)),
        _ => Ok(format!("\"{name}\": as the recipe says")),
    }
}

/// Completes the directory, once nobody writes to it any more.
pub(super) fn commit(output: Arc<OutputDir>) -> Result<()> {
    match Arc::into_inner(output) {
        Some(output) => output.commit(),
        None => Err(Error::new(ErrorKind::Sink, "the output is still being written to")),
    }
}

/// The first pass, in which rows are kept when the source must not be read again, and the further ones.
async fn learn(bound: &Bound, resources: &Resources, cancellation: &super::Cancellation) -> Result<Learned> {
    let inputs = &bound.inputs;
    let full_plan = bound.plan(resources, inputs.all_columns()).await?;
    let rescan = full_plan.scan().rescan();
    let splitter = Arc::new(inputs.splitter.clone());
    let mut fit = inputs.features.fit();
    let most = inputs.features.passes().max;
    let units = full_plan.scan().units().len();
    let mut ponds: Option<Arc<Ponds>> = None;
    let mut filtered = BTreeMap::new();
    let mut train_rows = None;
    let mut passes = 0;
    // A paid source is read once even when there is nothing to learn, so that writing always finds its rows in one place.
    while fit.needs_pass() || (rescan == Rescan::Paid && ponds.is_none()) {
        passes += 1;
        let wanted: Vec<String> = fit.columns().into_iter().map(str::to_owned).collect();
        let columns = inputs.with_split(wanted);
        let rows = match (&ponds, rescan) {
            (Some(ponds), _) => Rows::Kept(KeptRows {
                ponds: Arc::clone(ponds),
                projection: Some(positions(full_plan.schema(), &columns)),
                batch_rows: bound.read.batch_rows,
                after: AfterReading::Stay,
                metrics: Arc::clone(&resources.metrics),
            }),
            (None, Rescan::Paid) => Rows::Scan(Arc::clone(&full_plan)),
            (None, Rescan::Free) => Rows::Scan(bound.plan(resources, columns).await?),
        };
        let keeps = rescan == Rescan::Paid && ponds.is_none();
        let known = known_totals(&rows);
        resources.gauge.enter(
            Phase::Fit {
                pass: passes,
                of: most.max(passes),
            },
            known.0,
            known.1,
        );
        let limit = RowLimit::new(if ponds.is_some() { None } else { bound.recipe.limit });
        let mut workers = Vec::with_capacity(bound.slots);
        for state in states(&fit, bound.slots) {
            workers.push(FitWorker {
                rows: rows.clone(),
                splitter: Arc::clone(&splitter),
                state,
                claim: resources.budget.claim("statistics"),
                limit: limit.clone(),
                keeper: keeps.then(|| Keeper {
                    schema: Arc::clone(full_plan.schema()),
                    budget: resources.budget.clone(),
                    spill: Arc::clone(&resources.spill),
                }),
                ponds: Vec::new(),
                train_rows: 0,
                filtered: Vec::new(),
                cancellation: cancellation.clone(),
            });
        }
        let done = drive(workers, units, cancellation).await?;
        let mut kept = Vec::new();
        let mut finished = Vec::with_capacity(done.len());
        let mut seen = 0;
        for worker in done {
            seen += worker.train_rows;
            filtered.extend(worker.filtered);
            kept.extend(worker.ponds);
            finished.push(worker.state);
        }
        train_rows.get_or_insert(seen);
        if keeps {
            ponds = Some(Arc::new(Ponds::new(units, kept)));
        }
        if seen == 0 {
            return Err(no_training_rows(bound, units));
        }
        if fit.needs_pass() {
            fit.finish_pass(finished).map_err(|e| fit_failed(&e))?;
        }
    }
    let features = fit.finish().map_err(|e| fit_failed(&e))?;
    let rows = match ponds {
        Some(ponds) => Rows::Kept(KeptRows {
            ponds,
            projection: None,
            batch_rows: bound.read.batch_rows,
            after: AfterReading::GiveUp,
            metrics: Arc::clone(&resources.metrics),
        }),
        None => Rows::Scan(Arc::clone(&full_plan)),
    };
    Ok(Learned {
        features,
        rows,
        full_plan,
        passes,
        train_rows: train_rows.unwrap_or(0),
        filtered,
    })
}

async fn write(
    bound: &Bound,
    learned: &Learned,
    resources: &Resources,
    output: &Arc<OutputDir>,
    sink: &SinkSettings,
    cancellation: &super::Cancellation,
) -> Result<(Vec<WrittenUnit>, TransformCounts, u64)> {
    let features = Arc::new(learned.features.clone());
    let layout = crate::layout::OutputLayout::try_new(&bound.inputs.carried, &bound.inputs.schema, &features)?;
    let splitter = Arc::new(bound.inputs.splitter.clone());
    let units = learned.full_plan.scan().units().len();
    let known = known_totals(&learned.rows);
    resources.gauge.enter(Phase::Write, known.0, known.1);
    let kept = matches!(learned.rows, Rows::Kept(_));
    let limit = RowLimit::new(if kept { None } else { bound.recipe.limit });
    let mut workers = Vec::with_capacity(bound.slots);
    for _ in 0..bound.slots {
        workers.push(WriteWorker {
            rows: learned.rows.clone(),
            splitter: Arc::clone(&splitter),
            features: Arc::clone(&features),
            layout: layout.clone(),
            output: Arc::clone(output),
            sink: sink.clone(),
            claim: resources.budget.claim("output files"),
            limit: limit.clone(),
            label: bound.recipe.label.clone(),
            null_labels: 0,
            counts: TransformCounts::default(),
            written: Vec::new(),
            cancellation: cancellation.clone(),
        });
    }
    let mut counts = TransformCounts::default();
    let mut null_labels = 0;
    let mut written = Vec::with_capacity(units);
    for worker in drive(workers, units, cancellation).await? {
        counts.merge(&worker.counts);
        null_labels += worker.null_labels;
        written.extend(worker.written);
    }
    written.sort_by_key(|u| u.index);
    if written.iter().all(|u| u.rows == SplitRows::default()) {
        return Err(no_training_rows(bound, units));
    }
    Ok((written, counts, null_labels))
}

/// The recipe as it goes into the artefact: without what only says how and where a run was made.
fn portable(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    recipe.memory = None;
    recipe.output.path = None;
    recipe
}

fn input_schema(bound: &Bound, resources: &Resources) -> Result<arrow::datatypes::SchemaRef> {
    let wanted: Vec<String> = bound
        .inputs
        .carried
        .iter()
        .cloned()
        .chain(bound.inputs.features.input_columns().into_iter().map(str::to_owned))
        .collect();
    let names = bound
        .inputs
        .source_columns(&wanted, &bound.recipe, &bound.source, &resources.session)?;
    let fields: Vec<_> = bound
        .source
        .schema()
        .fields()
        .iter()
        .filter(|f| names.contains(f.name()))
        .map(|f| {
            let plain = crate::layout::plain_type(f.data_type());
            Arc::new(arrow::datatypes::Field::new(f.name(), plain, f.is_nullable()))
        })
        .collect();
    Ok(Arc::new(arrow::datatypes::Schema::new(fields)))
}

fn positions(schema: &arrow::datatypes::Schema, columns: &[String]) -> Vec<usize> {
    columns
        .iter()
        .filter_map(|c| schema.index_of(c).ok())
        .collect()
}

fn known_totals(rows: &Rows) -> (Option<u64>, Option<u64>) {
    match rows {
        Rows::Scan(plan) => {
            let units = plan.scan().units();
            (units.iter().map(|u| u.rows).sum(), units.iter().map(|u| u.bytes).sum())
        }
        Rows::Kept(kept) => (Some(kept.ponds.rows()), None),
    }
}

fn no_training_rows(bound: &Bound, units: usize) -> Error {
    let name = bound.source.name();
    let why = match &bound.recipe.filter {
        _ if units == 0 => "it is empty".to_owned(),
        Some(filter) => format!("none of its rows is a training row; check `where: {filter}` and the split"),
        None => "none of its rows is a training row; it is empty, or the split leaves nothing to train on".to_owned(),
    };
    Error::new(ErrorKind::Data, format!("nothing can be learned from {name}: {why}"))
}
