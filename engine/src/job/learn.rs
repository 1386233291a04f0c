//! The learning phase: as many passes over the training rows as the features need, all units in each.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_features::FittedFeatures;
use millpond_spill::Claim;

use super::bound::Bound;
use super::cancellation::Cancellation;
use super::checkpoints::Checkpoints;
use super::drive::drive;
use super::fit::{FitWorker, fit_failed, states};
use super::keep::{Keeper, LastingRows};
use super::progress::Phase;
use super::resources::Resources;
use super::rows::{AfterReading, KeptRows, Ponds, RowLimit, Rows};
use super::vocabulary_store::{VocabularyShares, VocabularyStore, claim_vocabularies};
use crate::error::Result;
use crate::fitted::{FITTED_FILE, FittedRecipe};
use crate::journal::LearnedRecord;
use crate::output_dir::OutputDir;
use crate::plan::RowPlan;
use crate::source::Rescan;

/// What learning leaves for writing.
pub(super) struct Learned {
    pub features: FittedFeatures,
    pub rows: Rows,
    pub full_plan: Arc<RowPlan>,
    pub passes: usize,
    pub train_rows: u64,
    pub filtered: BTreeMap<usize, u64>,
    /// Where rows are kept for a later run to go on from.
    lasting: Option<LastingRows>,
    /// Memory of vocabularies that an earlier run learned. Those of this run hold their own.
    _vocabularies: Option<Claim>,
}

impl Learned {
    /// Bytes of rows written for a later run to go on from.
    pub fn lasting_bytes(&self) -> u64 {
        self.lasting
            .as_ref()
            .map_or(0, |rows| rows.dir.bytes_written())
    }
}

/// The first pass, in which rows are kept when the source must not be read again, and the further ones.
pub(super) async fn learn(
    bound: &Bound,
    resources: &Resources,
    output: &OutputDir,
    checkpoints: &Arc<Checkpoints>,
    cancellation: &Cancellation,
) -> Result<Learned> {
    let inputs = &bound.inputs;
    let full_plan = bound.plan(resources, inputs.all_columns()).await?;
    checkpoints.scan_done(&bound.source, &full_plan)?;
    let rescan = full_plan.scan().rescan();
    let lasting = match rescan {
        Rescan::Paid if checkpoints.are_kept() && !full_plan.schema().fields().is_empty() => {
            Some(resources.lasting_rows(output, &full_plan, bound.read.batch_rows, checkpoints)?)
        }
        _ => None,
    };
    if let Some(before) = checkpoints.learned() {
        return learned_before(
            bound,
            resources,
            output,
            checkpoints,
            before,
            full_plan,
            lasting,
        );
    }
    let splitter = Arc::new(inputs.splitter.clone());
    let shares = VocabularyShares::of(&resources.budget, bound.slots);
    let store = Arc::new(VocabularyStore {
        spill: Arc::clone(&resources.spill),
        budget: resources.budget.clone(),
        cancellation: cancellation.clone(),
    });
    let mut fit = inputs.features.fit().with_store(store, shares.fitted_bytes);
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
            (None, Rescan::Free) => Rows::Scan(bound.plan(resources, columns.clone()).await?),
        };
        let keeps = rescan == Rescan::Paid && ponds.is_none();
        let known = rows.totals();
        resources.gauge.enter(
            Phase::Fit {
                pass: passes,
                of: most.max(passes),
            },
            known.0,
            known.1,
        );
        let limit = RowLimit::new(if ponds.is_some() {
            None
        } else {
            bound.recipe.limit
        });
        let keeper = keeps.then(|| match &lasting {
            Some(rows) => Keeper::Lasting(LastingRows {
                learning: positions(full_plan.schema(), &columns),
                ..rows.clone()
            }),
            None => Keeper::Passing {
                schema: Arc::clone(full_plan.schema()),
                budget: resources.budget.clone(),
                spill: Arc::clone(&resources.spill),
            },
        });
        let mut workers = Vec::with_capacity(bound.slots);
        for state in states(&fit, bound.slots) {
            workers.push(FitWorker {
                rows: rows.clone(),
                splitter: Arc::clone(&splitter),
                state,
                claim: resources.budget.claim("statistics"),
                counting_bytes: shares.counting_bytes,
                limit: limit.clone(),
                keeper: keeper.clone(),
                ponds: Vec::new(),
                train_rows: 0,
                filtered: Vec::new(),
                cancellation: cancellation.clone(),
            });
        }
        // What has to be read comes first: it is what a crash would cost, and what lies here already can wait.
        let (kept, unread): (Vec<usize>, Vec<usize>) =
            (0..units).partition(|unit| keeps && checkpoints.unit_rows(*unit).complete);
        let done = drive(workers, unread.into_iter().chain(kept), cancellation).await?;
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
            return Err(bound.no_training_rows(units));
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
        lasting,
        _vocabularies: None,
    })
}

/// What an earlier run learned.
fn learned_before(
    bound: &Bound,
    resources: &Resources,
    output: &OutputDir,
    checkpoints: &Checkpoints,
    before: &LearnedRecord,
    full_plan: Arc<RowPlan>,
    lasting: Option<LastingRows>,
) -> Result<Learned> {
    checkpoints.check_learned(output)?;
    let fitted = FittedRecipe::open(output.staged().join(FITTED_FILE))?;
    let vocabularies = claim_vocabularies(fitted.features(), &resources.budget)?;
    let rows = match &lasting {
        Some(rows) => Rows::Kept(KeptRows {
            ponds: Arc::new(Ponds::of_earlier(full_plan.scan().units().len(), rows)),
            projection: None,
            batch_rows: bound.read.batch_rows,
            after: AfterReading::GiveUp,
            metrics: Arc::clone(&resources.metrics),
        }),
        None => Rows::Scan(Arc::clone(&full_plan)),
    };
    Ok(Learned {
        features: fitted.features().clone(),
        rows,
        full_plan,
        passes: before.passes,
        train_rows: before.train_rows,
        filtered: before.filtered.iter().copied().collect(),
        lasting,
        _vocabularies: Some(vocabularies),
    })
}

fn positions(schema: &arrow::datatypes::Schema, columns: &[String]) -> Vec<usize> {
    columns
        .iter()
        .filter_map(|c| schema.index_of(c).ok())
        .collect()
}
