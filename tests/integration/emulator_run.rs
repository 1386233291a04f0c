//! The same recipe from Parquet and from BigQuery learns the same numbers and splits rows alike.

use std::fs;
use std::path::{Path, PathBuf};

use millpond_emulator::{Code, FaultAction, FaultScript, FaultTarget, RandomFaults};
use serde_json::Value;

use crate::command::{succeed, text};
use crate::rows::{ADDRESS, RECIPE, TABLE, ids, orders, read_sorted, write_table};
use crate::served::Served;
use crate::tree::{assert_same, results};

const SPLITS: [&str; 3] = ["train", "val", "test"];

fn run(place: &Path, name: &str, source: &str, more: &[&str]) -> PathBuf {
    let recipe = place.join("recipe.yaml");
    fs::write(&recipe, RECIPE).unwrap();
    let out = place.join(name);
    let mut arguments = vec![
        "run",
        text(&recipe),
        "--source",
        source,
        "--out",
        text(&out),
        "--quiet",
    ];
    arguments.extend(more);
    succeed(arguments);
    out
}

fn fitted(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("fitted.json")).unwrap()).unwrap()
}

/// Equal, floats within 1e-12 of their size.
fn assert_close(left: &Value, right: &Value, path: &str) -> usize {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            assert_eq!(
                a.keys().collect::<Vec<_>>(),
                b.keys().collect::<Vec<_>>(),
                "{path}"
            );
            a.iter()
                .map(|(key, value)| assert_close(value, &b[key], &format!("{path}.{key}")))
                .sum()
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{path}");
            a.iter()
                .zip(b)
                .enumerate()
                .map(|(i, (a, b))| assert_close(a, b, &format!("{path}[{i}]")))
                .sum()
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!(
                (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
                "{path}: {a:e} and {b:e}"
            );
            1
        }
        _ => {
            assert_eq!(left, right, "{path}");
            0
        }
    }
}

#[test]
fn parquet_and_bigquery_agree() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let source = write_table(&data.join(TABLE), &orders(8_000, 12, 12));
    let served = Served::start(&data);
    let from_files = run(place.path(), "files", &source, &[]);
    let from_bigquery = run(
        place.path(),
        "bigquery",
        ADDRESS,
        &["--emulator", &served.url],
    );

    let (files, bigquery) = (fitted(&from_files), fitted(&from_bigquery));
    assert_ne!(files["source"], bigquery["source"]);
    assert_eq!(files["split_sql"], bigquery["split_sql"]);
    let floats: usize = files["features"]["columns"]
        .as_array()
        .unwrap()
        .iter()
        .zip(bigquery["features"]["columns"].as_array().unwrap())
        .map(|(a, b)| assert_close(&a["steps"], &b["steps"], a["column"].as_str().unwrap()))
        .sum();
    assert!(floats >= 10, "only {floats} floats were compared");
    for split in SPLITS {
        let (a, b) = (
            read_sorted(&from_files.join(split)),
            read_sorted(&from_bigquery.join(split)),
        );
        assert_eq!(ids(&a), ids(&b), "{split}");
        assert_eq!(a.schema(), b.schema());
        assert!(a.num_rows() > 500);
    }
}

#[test]
fn faults_of_the_network_change_nothing() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    write_table(&data.join(TABLE), &orders(8_000, 13, 200));
    let calm = Served::start(&data);
    let clean = run(place.path(), "calm", ADDRESS, &["--emulator", &calm.url]);
    let faults = FaultScript::new()
        .fault(
            FaultTarget::Stream(0),
            1,
            2,
            FaultAction::abort(Code::Unavailable, "the server is going away"),
        )
        .random(RandomFaults {
            seed: 99,
            percent: 60,
            attempts: 3,
            within_responses: 6,
        });
    let stormy = Served::start_with(&data, faults);
    let faulty = run(
        place.path(),
        "stormy",
        ADDRESS,
        &["--emulator", &stormy.url],
    );
    let report: Value =
        serde_json::from_slice(&fs::read(faulty.join("report.json")).unwrap()).unwrap();
    assert!(report["retries"].as_u64().unwrap() >= 2, "{report}");
    assert_same(&comparable(&clean), &comparable(&faulty), "faults");
}

/// The results, without what names the session that was read.
fn comparable(out: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = results(out);
    let mut fitted: Value = serde_json::from_slice(&found["fitted.json"]).unwrap();
    fitted.as_object_mut().unwrap().remove("snapshot");
    found.insert(
        "fitted.json".to_owned(),
        serde_json::to_vec(&fitted).unwrap(),
    );
    found
}
