//! Driving a fit over given units, batches and workers.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};
use serde_json::json;

use crate::{
    FeaturePlan, FeatureSet, Fit, FitError, FitState, FittedFeatures, NoExpressions, OutputDtype,
    PlanError, Roles, SplitSpec, TransformCounts,
};

/// One column `x`, and which rows are for training.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) batch: RecordBatch,
}

impl Table {
    pub(super) fn new(x: ArrayRef, train: impl Fn(usize) -> bool) -> Self {
        let split: StringArray = (0..x.len())
            .map(|row| Some(if train(row) { "train" } else { "test" }))
            .collect();
        let schema = Schema::new(vec![
            Field::new("x", x.data_type().clone(), true),
            Field::new("split", arrow::datatypes::DataType::Utf8, true),
        ]);
        Self {
            batch: RecordBatch::try_new(Arc::new(schema), vec![x, Arc::new(split)]).unwrap(),
        }
    }

    /// The rows cut at the given places, which must rise.
    pub(super) fn cut(&self, places: &[usize]) -> Vec<RecordBatch> {
        let mut start = 0;
        let mut parts = Vec::new();
        for &place in places.iter().chain([&self.batch.num_rows()]) {
            let end = place.clamp(start, self.batch.num_rows());
            parts.push(self.batch.slice(start, end - start));
            start = end;
        }
        parts
    }

    /// The same rows in memory of their own, so that offsets and buffers differ.
    pub(super) fn copied(&self) -> Self {
        let empty = self.batch.slice(0, 0);
        Self {
            batch: concat_batches(&self.batch.schema(), [&empty, &self.batch, &empty]).unwrap(),
        }
    }
}

pub(super) fn set(steps: serde_json::Value) -> FeatureSet {
    serde_json::from_value(json!({ "columns": "x", "steps": steps })).unwrap()
}

pub(super) fn plan(set: &FeatureSet, batch: &RecordBatch) -> Result<FeaturePlan, PlanError> {
    let sets = std::slice::from_ref(set);
    FeaturePlan::try_new(
        sets,
        &batch.schema(),
        &Roles::default(),
        OutputDtype::Float64,
        &NoExpressions,
    )
}

/// Fits over units of batches; `worker` says which of `workers` gets which unit.
pub(super) fn fit(
    plan: &FeaturePlan,
    units: &[Vec<RecordBatch>],
    workers: usize,
    worker: impl Fn(usize) -> usize,
) -> Result<FittedFeatures, FitError> {
    fit_spilling(plan.fit(), plan, units, workers, worker, |_| usize::MAX)
}

/// The same with a fit that may have a store: before every batch a state is told to keep at most `most_bytes` of
/// categories, which is given the number of batches so far.
pub(super) fn fit_spilling(
    mut fit: Fit,
    plan: &FeaturePlan,
    units: &[Vec<RecordBatch>],
    workers: usize,
    worker: impl Fn(usize) -> usize,
    most_bytes: impl Fn(usize) -> usize,
) -> Result<FittedFeatures, FitError> {
    let mut met = 0;
    let estimate = plan.passes();
    while fit.needs_pass() {
        let mut states: Vec<_> = (0..workers).map(|_| fit.state()).collect();
        for (unit, batches) in units.iter().enumerate() {
            let state = &mut states[worker(unit) % workers];
            for batch in batches {
                state.spill(most_bytes(met))?;
                met += 1;
                update(state, unit as u32, batch)?;
            }
            state.end_unit(unit as u32);
        }
        states.reverse();
        fit.finish_pass(states)?;
    }
    let passes = fit.pass();
    let fitted = fit.finish()?;
    let enough = passes >= estimate.min || !fitted.dropped().is_empty();
    assert!(
        enough && passes <= estimate.max,
        "{passes} passes, {estimate:?}"
    );
    Ok(fitted)
}

/// Adds the training rows of a batch.
pub(super) fn update(state: &mut FitState, unit: u32, batch: &RecordBatch) -> Result<(), FitError> {
    let split: SplitSpec =
        serde_json::from_value(json!({ "column": { "column": "split" } })).unwrap();
    let assignment = split.bind(&batch.schema()).unwrap().assign(batch).unwrap();
    state.update(unit, &assignment.train_rows(batch).unwrap())
}

pub(super) fn fit_whole(set: &FeatureSet, table: &Table) -> Result<FittedFeatures, FitError> {
    fit(
        &plan(set, &table.batch).unwrap(),
        &[vec![table.batch.clone()]],
        1,
        |_| 0,
    )
}

pub(super) fn transform(fitted: &FittedFeatures, batch: &RecordBatch) -> RecordBatch {
    let arrays = fitted
        .transform(batch, &mut TransformCounts::default())
        .unwrap();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    // Checks names, types and lengths against what was promised.
    RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fitted.output_fields().clone())),
        arrays,
        &options,
    )
    .unwrap()
}
