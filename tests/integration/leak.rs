//! Nothing that is learned can see a validation or test row.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use serde_json::Value;

use crate::command::{succeed, text};
use crate::rows::{RECIPE, ids, orders, read_sorted, with, write_table};

/// What was learned: the whole artefact with its vocabularies, but for what tells file lengths of the source.
fn learned(place: &Path, batch: &RecordBatch, name: &str, recipe: &str) -> (Value, Vec<Vec<u8>>) {
    let rows = place.join("rows");
    let _ = fs::remove_dir_all(&rows);
    let source = write_table(&rows, batch);
    let path = place.join("recipe.yaml");
    fs::write(&path, recipe).unwrap();
    let out = place.join(name);
    succeed([
        "run",
        text(&path),
        "--source",
        &source,
        "--out",
        text(&out),
        "--quiet",
    ]);
    let mut fitted: Value =
        serde_json::from_slice(&fs::read(out.join("fitted.json")).unwrap()).unwrap();
    fitted
        .as_object_mut()
        .unwrap()
        .remove("snapshot")
        .expect("an artefact tells its snapshot");
    let tables = crate::tree::files(&out.join("fitted"), "parquet")
        .iter()
        .map(|p| fs::read(p).unwrap())
        .collect();
    (fitted, tables)
}

/// Other values, of every kind that could move a statistic, in the rows chosen; keys stay.
fn spoil(batch: &RecordBatch, chosen: &BTreeSet<i64>) -> RecordBatch {
    let hit: Vec<bool> = ids(batch).iter().map(|id| chosen.contains(id)).collect();
    let floats = |name: &str, value: Option<f64>| -> ArrayRef {
        let old = batch
            .column_by_name(name)
            .unwrap()
            .as_primitive::<Float64Type>();
        Arc::new(
            old.iter()
                .zip(&hit)
                .map(|(v, hit)| if *hit { value } else { v })
                .collect::<Float64Array>(),
        )
    };
    let items = batch
        .column_by_name("items")
        .unwrap()
        .as_primitive::<Int64Type>();
    let items: Int64Array = items
        .iter()
        .zip(&hit)
        .map(|(v, hit)| if *hit { Some(41) } else { v })
        .collect();
    let vip = batch.column_by_name("vip").unwrap().as_boolean();
    let vip: BooleanArray = vip
        .iter()
        .zip(&hit)
        .map(|(v, hit)| if *hit { None } else { v })
        .collect();
    let texts = |name: &str| -> ArrayRef {
        let old = batch.column_by_name(name).unwrap().as_string::<i32>();
        Arc::new(
            old.iter()
                .zip(&hit)
                .map(|(v, hit)| if *hit { Some("never seen before") } else { v })
                .collect::<StringArray>(),
        )
    };
    let times = batch
        .column_by_name("ordered_at")
        .unwrap()
        .as_primitive::<TimestampMicrosecondType>();
    let times: TimestampMicrosecondArray = times
        .iter()
        .zip(&hit)
        .map(|(v, hit)| if *hit { Some(1) } else { v })
        .collect();
    let born = batch
        .column_by_name("born")
        .unwrap()
        .as_primitive::<Date32Type>();
    let born: Date32Array = born
        .iter()
        .zip(&hit)
        .map(|(v, hit)| if *hit { None } else { v })
        .collect();
    let mut spoiled = batch.clone();
    for (name, values) in [
        ("amount", floats("amount", Some(1e12))),
        ("score", floats("score", None)),
        ("items", Arc::new(items) as ArrayRef),
        ("vip", Arc::new(vip)),
        ("country", texts("country")),
        ("sku", texts("sku")),
        ("ordered_at", Arc::new(times.with_timezone("UTC"))),
        ("born", Arc::new(born)),
    ] {
        assert_eq!(values.len(), batch.num_rows());
        spoiled = with(&spoiled, name, values);
    }
    spoiled
}

#[test]
fn held_out_rows_change_nothing_and_training_rows_do() {
    let place = tempfile::tempdir().unwrap();
    // Every row is kept, so that spoiling a row cannot move it out of the table.
    let recipe = RECIPE.replace("where: items IS NULL OR items < 60\n", "");
    let batch = orders(6_000, 8, 4);
    let first = learned(place.path(), &batch, "first", &recipe);
    let rows = |split: &str| ids(&read_sorted(&place.path().join("first").join(split)));
    let (train, val, test) = (rows("train"), rows("val"), rows("test"));
    assert_eq!(train.len() + val.len() + test.len(), 6_000);
    assert!(val.len() > 500 && test.len() > 500);

    let held_out: BTreeSet<i64> = val.iter().chain(&test).copied().collect();
    let second = learned(place.path(), &spoil(&batch, &held_out), "second", &recipe);
    assert_eq!(first.0, second.0);
    assert_eq!(first.1, second.1);

    let one = BTreeSet::from([train[17]]);
    let third = learned(place.path(), &spoil(&batch, &one), "third", &recipe);
    assert_ne!(
        first.0["features"], third.0["features"],
        "one spoiled training row changed nothing"
    );
    // Every learned set of columns reacts, or the test would not notice a leak there.
    let columns = |fitted: &Value| fitted["features"]["columns"].as_array().unwrap().clone();
    for (a, b) in columns(&first.0).iter().zip(&columns(&third.0)) {
        let learns = !["born", "ordered_at"].contains(&a["column"].as_str().unwrap());
        let moves = !["vip", "score"].contains(&a["column"].as_str().unwrap());
        if learns && moves && a["steps"] == b["steps"] {
            assert_ne!(first.1, third.1, "{} did not react", a["column"]);
        }
    }
}

#[test]
fn the_number_of_training_rows_is_that_of_the_split() {
    let place = tempfile::tempdir().unwrap();
    let (fitted, _) = learned(place.path(), &orders(3_000, 9, 4), "out", RECIPE);
    let train = read_sorted(&place.path().join("out").join("train")).num_rows();
    assert_eq!(fitted["train_rows"], train);
    assert_eq!(fitted["features"]["training_rows"], train);
}
