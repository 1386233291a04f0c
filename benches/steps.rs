//! Steps alone, learned from and applied to one batch in memory: `cargo bench -p millpond-benches`.
//!
//! Throughput is of the column's values as they come in.

#![allow(clippy::unwrap_used, missing_docs)]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use millpond_benches::{ROWS, batch};
use millpond_features::{
    Clip, FeaturePlan, FeatureSet, FittedFeatures, Log1p, NoExpressions, OrdinalEncoder,
    OutputDtype, Roles, SimpleImputer, Split, SplitAssignment, SplitSpec, StandardScaler,
    TransformCounts, columns,
};

fn main() {
    divan::main();
}

fn numbers() -> FeatureSet {
    columns("number")
        .then(Clip::min(0.0))
        .then(Log1p)
        .then(SimpleImputer::mean())
        .then(StandardScaler::new())
}

fn words() -> FeatureSet {
    columns("word").then(OrdinalEncoder::by_frequency().min_frequency(10))
}

struct Bench {
    table: arrow::array::RecordBatch,
    splits: SplitAssignment,
    plan: FeaturePlan,
}

impl Bench {
    fn new(set: FeatureSet, distinct: i32) -> Self {
        let table = batch(distinct).unwrap();
        let split = SplitSpec::from(Split::hash("id"));
        let splits = split.bind(&table.schema()).unwrap().assign(&table).unwrap();
        let plan = FeaturePlan::try_new(
            &[set],
            &table.schema(),
            &Roles::default(),
            OutputDtype::Float32,
            &NoExpressions,
        )
        .unwrap();
        Self {
            table,
            splits,
            plan,
        }
    }

    fn fit(&self) -> FittedFeatures {
        let mut fit = self.plan.fit();
        while fit.needs_pass() {
            let mut state = fit.state();
            state
                .update(0, &self.splits.train_rows(&self.table).unwrap())
                .unwrap();
            state.end_unit(0);
            fit.finish_pass(vec![state]).unwrap();
        }
        fit.finish().unwrap()
    }
}

#[divan::bench]
fn split_by_hash(bencher: Bencher) {
    let table = batch(100).unwrap();
    let splitter = SplitSpec::from(Split::hash("id"))
        .bind(&table.schema())
        .unwrap();
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench(|| splitter.assign(black_box(&table)).unwrap());
}

#[divan::bench]
fn fit_numbers(bencher: Bencher) {
    let bench = Bench::new(numbers(), 100);
    bencher.counter(ItemsCount::new(ROWS)).bench(|| bench.fit());
}

#[divan::bench]
fn transform_numbers(bencher: Bencher) {
    let bench = Bench::new(numbers(), 100);
    let fitted = bench.fit();
    bencher.counter(ItemsCount::new(ROWS)).bench(|| {
        fitted
            .transform(black_box(&bench.table), &mut TransformCounts::default())
            .unwrap()
    });
}

#[divan::bench(args = [100, 10_000, 1_000_000])]
fn fit_words(bencher: Bencher, distinct: i32) {
    let bench = Bench::new(words(), distinct);
    bencher.counter(ItemsCount::new(ROWS)).bench(|| bench.fit());
}

#[divan::bench(args = [100, 10_000, 1_000_000])]
fn transform_words(bencher: Bencher, distinct: i32) {
    let bench = Bench::new(words(), distinct);
    let fitted = bench.fit();
    bencher.counter(ItemsCount::new(ROWS)).bench(|| {
        fitted
            .transform(black_box(&bench.table), &mut TransformCounts::default())
            .unwrap()
    });
}
