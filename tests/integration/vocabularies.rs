//! Vocabularies that do not fit in memory go to disk and change nothing: neither a byte of the output nor what is applied
//! afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use serde_json::Value;

use crate::command::{succeed, text};
use crate::rows::{Draws, assert_same_bits, read_sorted, write_table};
use crate::tree::{assert_same, results};

const ROWS: i64 = 300_000;

/// Every way of numbering and grouping, over columns in which nearly every value is another one.
const RECIPE: &str = "
key: id
split:
  hash: {columns: id, seed: 3, ratios: {train: 0.9, val: 0.05, test: 0.05}}
features:
  - columns: user
    steps: [{ordinal_encoder: {handle_unknown: use_encoded_value, unknown_value: -1, missing: {encoded: -2}}}]
  - columns: user
    steps: [{ordinal_encoder: {order: frequency, min_frequency: 2}}]
    suffix: _rank
  - columns: item
    steps: [{ordinal_encoder: {order: frequency, max_categories: 200000, missing: keep}}]
  - columns: price
    steps: [{ordinal_encoder: {handle_unknown: infrequent}}]
  - columns: user
    steps: [{one_hot_encoder: {max_categories: 3, handle_unknown: infrequent_if_exist}}]
    suffix: _is
";

/// Some users come twice, two of them very often, and some are missing.
fn table() -> RecordBatch {
    let mut draws = Draws::new(11);
    let mut user = Vec::new();
    let mut item = Vec::new();
    let mut price = Vec::new();
    for row in 0..ROWS {
        let number = match draws.below(50) {
            0 => draws.below(2),
            1 => draws.below(1_000),
            _ => row.unsigned_abs() * 0x9E37_79B9,
        };
        user.push(draws.unless(0.01, format!("user-{number:024x}")));
        item.push(draws.unless(0.02, row / 2 * 977 - 1_000_000));
        price.push(draws.unless(0.03, draws.clone().unit() * 1e6));
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..ROWS))),
        ("user", Arc::new(StringArray::from(user))),
        ("item", Arc::new(Int64Array::from(item))),
        ("price", Arc::new(Float64Array::from(price))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// The results and the report of a run.
fn run(place: &Path, source: &str, memory: &str, name: &str) -> (BTreeMap<String, Vec<u8>>, Value) {
    let (recipe, out, temp) = (
        place.join("recipe.yaml"),
        place.join(name),
        place.join("temp"),
    );
    fs::write(&recipe, RECIPE).unwrap();
    fs::create_dir_all(&temp).unwrap();
    succeed([
        "run",
        text(&recipe),
        "--source",
        source,
        "--out",
        text(&out),
        "--temp-dir",
        text(&temp),
        "--memory",
        memory,
        "--slots",
        "2",
        "--quiet",
    ]);
    assert!(
        fs::read_dir(&temp).unwrap().next().is_none(),
        "temporary files are left"
    );
    let report = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    (results(&out), report)
}

#[test]
fn a_budget_too_small_for_the_categories_changes_no_byte() {
    let place = tempfile::tempdir().unwrap();
    let source = write_table(&place.path().join("rows"), &table());
    let (large, report) = run(place.path(), &source, "8GiB", "large");
    assert_eq!(report["spilled_bytes"], 0);
    let (small, report) = run(place.path(), &source, "160MiB", "small");
    let spilled = report["spilled_bytes"].as_u64().unwrap();
    assert!(spilled > 5_000_000, "{spilled} bytes were spilled");
    assert!(large.keys().filter(|k| k.starts_with("fitted/")).count() >= 5);
    assert_same(&large, &small, "with and without spilling");

    // The fitted recipe gives every row what the run gave it, again with little memory.
    let applied = place.path().join("applied");
    succeed([
        "apply",
        "--fitted",
        text(&place.path().join("small/fitted.json")),
        "--input",
        &source,
        "--out",
        text(&applied),
        "--memory",
        "256MiB",
        "--quiet",
    ]);
    let parts: Vec<RecordBatch> = ["train", "val", "test"]
        .iter()
        .map(|split| read_sorted(&place.path().join("large").join(split)))
        .collect();
    let written = arrow::compute::concat_batches(&parts[0].schema(), &parts).unwrap();
    assert_same_bits(
        &crate::rows::sort(&written),
        &read_sorted(&applied),
        "run and apply",
    );
}
