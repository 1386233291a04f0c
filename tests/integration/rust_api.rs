//! A program does what a recipe file does, and reads the results as batches and mini-batches.

use std::fs;
use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, Int64Type};
use millpond::{
    ByteSize, Clip, Dataset, Job, JobSettings, LastBatch, Log1p, MiniBatchOptions, OneHotEncoder,
    OneHotUnknown, OrdinalEncoder, OutputDtype, Recipe, Shuffle, SimpleImputer, Source, SourceSpec,
    Split, StandardScaler, columns,
};
use tokio::runtime::Runtime;

use crate::rows::{ids, orders, write_table};
use crate::tree::{assert_same, results};

const RECIPE: &str = "
where: id >= 10
derive: {per_item: \"amount / NULLIF(items, 0)\"}
key: id
label: returned
pass_through: note
drop: born
split: {hash: {columns: id, seed: 3, ratios: {train: 0.6, val: 0.2, test: 0.2}}}
features:
  - columns: [amount, per_item]
    steps: [{clip: {min: 0}}, log1p, {simple_imputer: mean}, standard_scaler]
  - columns: country
    steps: [{one_hot_encoder: {handle_unknown: infrequent_if_exist, min_frequency: 30}}]
    prefix: is_
  - columns: sku
    steps: [{ordinal_encoder: {order: frequency, min_frequency: 3}}]
dtype: float32
limit: 2900
output: {compression: snappy}
";

fn built(source: &str, out: &Path) -> Job {
    Job::builder()
        .source(Source::files(source))
        .filter("id >= 10")
        .derive("per_item", "amount / NULLIF(items, 0)")
        .key("id")
        .label("returned")
        .pass_through("note")
        .drop("born")
        .split(Split::hash("id").seed(3).ratios(0.6, 0.2, 0.2))
        .features(
            columns(["amount", "per_item"])
                .then(Clip::min(0.0))
                .then(Log1p)
                .then(SimpleImputer::mean())
                .then(StandardScaler::new()),
        )
        .features(
            columns("country")
                .then(
                    OneHotEncoder::new()
                        .handle_unknown(OneHotUnknown::InfrequentIfExist)
                        .min_frequency(30),
                )
                .with_prefix("is_"),
        )
        .features(columns("sku").then(OrdinalEncoder::by_frequency().min_frequency(3)))
        .dtype(OutputDtype::Float32)
        .limit(2_900)
        .compression("snappy")
        .memory(ByteSize::gib(1))
        .slots(2)
        .output(out)
        .build()
        .unwrap()
}

fn from_recipe(source: &str, out: &Path) -> Job {
    let settings = JobSettings {
        source: Some(SourceSpec::Address(source.to_owned())),
        output: Some(out.to_owned()),
        memory: Some(ByteSize::gib(1)),
        ..JobSettings::default()
    };
    Job::from_recipe(Recipe::from_yaml(RECIPE).unwrap(), settings).unwrap()
}

struct Ran {
    place: tempfile::TempDir,
    dataset: Dataset,
}

fn ran() -> Ran {
    let place = tempfile::tempdir().unwrap();
    let source = write_table(&place.path().join("rows"), &orders(3_000, 33, 10));
    let out = place.path().join("out");
    let report = Runtime::new()
        .unwrap()
        .block_on(built(&source, &out).run())
        .unwrap();
    assert_eq!(
        report.rows.train + report.rows.val + report.rows.test,
        2_900
    );
    Ran {
        dataset: Dataset::open(out).unwrap(),
        place,
    }
}

#[test]
fn the_builder_is_the_recipe() {
    let place = tempfile::tempdir().unwrap();
    let source = write_table(&place.path().join("rows"), &orders(3_000, 33, 10));
    let (first, second) = (place.path().join("built"), place.path().join("read"));
    let runtime = Runtime::new().unwrap();
    runtime.block_on(built(&source, &first).run()).unwrap();
    runtime
        .block_on(from_recipe(&source, &second).run())
        .unwrap();
    assert_same(&results(&first), &results(&second), "builder and recipe");
}

#[test]
fn a_recipe_survives_being_written() {
    let recipe = Recipe::from_yaml(RECIPE).unwrap();
    let again = Recipe::from_yaml(&recipe.to_yaml().unwrap()).unwrap();
    assert_eq!(
        serde_json::to_value(&recipe).unwrap(),
        serde_json::to_value(&again).unwrap()
    );
}

#[test]
fn a_plan_reads_no_row_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let source = write_table(&place.path().join("rows"), &orders(300, 33, 10));
    let out = place.path().join("out");
    let plan = Runtime::new()
        .unwrap()
        .block_on(built(&source, &out).plan())
        .unwrap();
    assert!(!out.exists());
    assert_eq!(plan.rows_estimated, Some(300));
    assert!(
        !plan.columns_read.contains(&"born".to_owned()),
        "{:?}",
        plan.columns_read
    );
    let text = plan.to_string();
    for word in [&plan.split_sql, "passes", "FARM_FINGERPRINT"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn batches_are_all_rows_of_a_split_once() {
    let ran = ran();
    ran.dataset.verify().unwrap();
    let mut seen = Vec::new();
    for split in Split::ALL {
        let reader = ran.dataset.split(split).unwrap();
        let mut rows = 0;
        for batch in reader.batches() {
            let batch = batch.unwrap();
            assert_eq!(&batch.schema(), reader.schema());
            rows += batch.num_rows() as u64;
            seen.extend(ids(&batch));
        }
        assert_eq!(rows, reader.rows());
        assert_eq!(rows, ran.dataset.manifest().rows(split));
    }
    seen.sort_unstable();
    assert_eq!(seen, (10..2_910).collect::<Vec<_>>());
}

#[test]
fn mini_batches_are_the_stored_rows() {
    let ran = ran();
    let reader = ran.dataset.split(Split::Train).unwrap();
    let features = ["amount", "per_item", "sku"];
    let mut expected: Vec<(Vec<f32>, f32)> = Vec::new();
    for batch in reader.batches() {
        let batch = batch.unwrap();
        let floats = |name: &str| {
            batch
                .column_by_name(name)
                .unwrap()
                .as_primitive::<Float32Type>()
                .clone()
        };
        let (amount, per_item) = (floats("amount"), floats("per_item"));
        let sku = batch
            .column_by_name("sku")
            .unwrap()
            .as_primitive::<arrow::datatypes::Int32Type>();
        let label = batch
            .column_by_name("returned")
            .unwrap()
            .as_primitive::<Int64Type>();
        assert_eq!(sku.null_count() + label.null_count(), 0);
        for row in 0..batch.num_rows() {
            expected.push((
                vec![
                    amount.value(row),
                    per_item.value(row),
                    sku.value(row) as f32,
                ],
                label.value(row) as f32,
            ));
        }
    }
    let options = MiniBatchOptions::new(64, features).with_label("returned");
    let mut found = Vec::new();
    for batch in reader.mini_batches(&options).unwrap() {
        let batch = batch.unwrap();
        let labels = batch.label.unwrap();
        assert_eq!(batch.features.ncols(), 3);
        assert!(batch.features.nrows() <= 64 && batch.features.nrows() == labels.len());
        for (row, label) in batch.features.rows().into_iter().zip(labels) {
            found.push((row.to_vec(), label));
        }
    }
    assert_eq!(found, expected);

    // Shuffled: the same rows, each once, in another order that comes again with the same seed and epoch.
    let shuffled = |seed, epoch| -> Vec<Vec<f32>> {
        let options = options.clone().with_shuffle(Shuffle {
            seed,
            epoch,
            buffer_rows: 500,
        });
        let batches = reader.mini_batches(&options).unwrap().map(Result::unwrap);
        batches
            .flat_map(|b| {
                b.features
                    .rows()
                    .into_iter()
                    .map(|r| r.to_vec())
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let (first, again, other, next) = (
        shuffled(1, 0),
        shuffled(1, 0),
        shuffled(2, 0),
        shuffled(1, 1),
    );
    assert_eq!(first, again);
    assert!(first != other && first != next);
    let sorted = |rows: &[Vec<f32>]| {
        let mut rows: Vec<Vec<u32>> = rows
            .iter()
            .map(|r| r.iter().map(|v| v.to_bits()).collect())
            .collect();
        rows.sort_unstable();
        rows
    };
    let stored: Vec<Vec<f32>> = expected.into_iter().map(|(row, _)| row).collect();
    assert_ne!(first, stored);
    assert_eq!(sorted(&first), sorted(&stored));

    let full = options.with_last(LastBatch::Drop);
    let rows: usize = reader
        .mini_batches(&full)
        .unwrap()
        .map(|b| b.unwrap().features.nrows())
        .sum();
    assert_eq!(rows, stored.len() / 64 * 64);
}

#[test]
fn an_unfinished_dataset_is_refused() {
    let ran = ran();
    let out = ran.place.path().join("out");
    fs::remove_file(out.join("_SUCCESS")).unwrap();
    let error = Dataset::open(&out).unwrap_err();
    assert!(error.to_string().contains("_SUCCESS"), "{error}");
    assert_eq!(error.kind(), millpond::ErrorKind::Manifest);
}
