//! Steps alone, learned from and applied to one batch in memory, on one core: `cargo bench -p millpond-benches`.
//!
//! `copy` is what the machine can do at best: as many bytes from one place to another as the numbers of the batch have. Numbers are
//! measured in bytes as they come in (Float64), categories in bytes as they go out.

#![allow(clippy::unwrap_used, missing_docs)]

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use millpond_benches::{ROWS, batch};
use millpond_features::{
    Clip, FeaturePlan, FeatureSet, FittedFeatures, Log1p, NoExpressions, OneHotEncoder,
    OrdinalEncoder, OutputDtype, Roles, SimpleImputer, Split, SplitAssignment, SplitSpec,
    StandardScaler, TransformCounts, columns,
};

/// As in the command: the system's allocator gives columns back with each call, and every page of the next is made anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn scaled() -> FeatureSet {
    columns("number")
        .then(SimpleImputer::mean())
        .then(StandardScaler::new())
}

fn logarithms() -> FeatureSet {
    columns("number")
        .then(Clip::min(0.0))
        .then(Log1p)
        .then(SimpleImputer::mean())
        .then(StandardScaler::new())
}

fn ordinal() -> FeatureSet {
    columns("word").then(OrdinalEncoder::by_frequency().min_frequency(10))
}

fn one_hot() -> FeatureSet {
    columns("word").then(OneHotEncoder::new())
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
fn copy(bencher: Bencher) {
    let table = batch(100).unwrap();
    let numbers = table.column_by_name("number").unwrap().to_data();
    let from = numbers.buffers().first().unwrap().typed_data::<f64>();
    let mut to = from.to_vec();
    bencher
        .counter(BytesCount::of_slice(from))
        .bench_local(|| black_box(&mut to).copy_from_slice(black_box(from)));
}

#[divan::bench]
fn fit_logarithms(bencher: Bencher) {
    let bench = Bench::new(logarithms(), 100);
    bencher
        .counter(BytesCount::of_many::<f64>(ROWS))
        .bench(|| bench.fit());
}

#[divan::bench]
fn fit_scaled(bencher: Bencher) {
    let bench = Bench::new(scaled(), 100);
    bencher
        .counter(BytesCount::of_many::<f64>(ROWS))
        .bench(|| bench.fit());
}

#[divan::bench]
fn transform_logarithms(bencher: Bencher) {
    transform(bencher, logarithms(), 100, ROWS * size_of::<f64>());
}

#[divan::bench]
fn transform_scaled(bencher: Bencher) {
    transform(bencher, scaled(), 100, ROWS * size_of::<f64>());
}

#[divan::bench(args = [100, 10_000, 1_000_000])]
fn fit_ordinal(bencher: Bencher, distinct: i32) {
    let bench = Bench::new(ordinal(), distinct);
    bencher.counter(ItemsCount::new(ROWS)).bench(|| bench.fit());
}

#[divan::bench(args = [100, 10_000, 1_000_000])]
fn transform_ordinal(bencher: Bencher, distinct: i32) {
    transform(bencher, ordinal(), distinct, ROWS * size_of::<i32>());
}

#[divan::bench(args = [10, 100])]
fn transform_one_hot(bencher: Bencher, distinct: i32) {
    // One column more for the missing words.
    let columns = usize::try_from(distinct).unwrap() + 1;
    transform(bencher, one_hot(), distinct, ROWS * columns);
}

fn transform(bencher: Bencher, set: FeatureSet, distinct: i32, bytes: usize) {
    let bench = Bench::new(set, distinct);
    let fitted = bench.fit();
    bencher.counter(BytesCount::new(bytes)).bench(|| {
        fitted
            .transform(black_box(&bench.table), &mut TransformCounts::default())
            .unwrap()
    });
}
