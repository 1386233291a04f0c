//! The same table and recipe give the same bytes, whatever the threads, batch size and memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::command::{succeed, text};
use crate::rows::{ADDRESS, RECIPE, TABLE, orders, write_table};
use crate::served::Served;
use crate::tree::{assert_same, results};

/// Slots, rows per batch, memory.
const SETTINGS: [(&str, &str, &str); 6] = [
    ("1", "100", "256MiB"),
    ("2", "100", "8GiB"),
    ("7", "100", "256MiB"),
    ("1", "10000", "8GiB"),
    ("2", "10000", "256MiB"),
    ("7", "10000", "8GiB"),
];

/// An hour before [`served::NOW`](crate::served::NOW).
const SNAPSHOT: &str = "2026-03-01T11:00:00Z";

/// The results and the report of one run.
fn run(
    place: &Path,
    source: Option<&str>,
    more: &[&str],
    name: &str,
) -> (BTreeMap<String, Vec<u8>>, Value) {
    let recipe = place.join("recipe.yaml");
    // The same state of the table in every run: without this, BigQuery reads it as of the moment.
    let pinned = format!(
        "source: {{table: \"{ADDRESS}\", bigquery: {{snapshot_time: \"{SNAPSHOT}\"}}}}\n{RECIPE}"
    );
    fs::write(&recipe, if source.is_some() { RECIPE } else { &pinned }).unwrap();
    let (out, temp) = (place.join(name), place.join("temp"));
    fs::create_dir_all(&temp).unwrap();
    let mut arguments = vec![
        "run",
        text(&recipe),
        "--out",
        text(&out),
        "--temp-dir",
        text(&temp),
        "--quiet",
    ];
    arguments.extend(source.iter().flat_map(|source| ["--source", source]));
    arguments.extend(more);
    succeed(arguments);
    let report = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert!(
        fs::read_dir(&temp).unwrap().next().is_none(),
        "temporary files are left"
    );
    let found = results(&out);
    // Left in place they would be as many copies of the table as there are settings.
    fs::remove_dir_all(&out).unwrap();
    (found, report)
}

fn compare(place: &Path, source: Option<&str>, more: &[&str]) {
    let mut first: Option<BTreeMap<String, Vec<u8>>> = None;
    for (number, (slots, batch_rows, memory)) in SETTINGS.into_iter().enumerate() {
        let mut settings = vec![
            "--slots",
            slots,
            "--batch-rows",
            batch_rows,
            "--memory",
            memory,
        ];
        settings.extend(more);
        let (found, report) = run(place, source, &settings, &format!("out-{number}"));
        assert!(
            found.keys().any(|name| name.starts_with("fitted/")),
            "no vocabulary beside fitted.json"
        );
        assert!(
            report["units"].as_u64().unwrap() >= 3,
            "one unit tests nothing: {report}"
        );
        assert!(
            report["passes"].as_u64().unwrap() >= 3,
            "a single pass tests little: {report}"
        );
        match &first {
            None => first = Some(found),
            Some(first) => assert_same(
                first,
                &found,
                &format!("{slots} slots, {batch_rows} rows, {memory}"),
            ),
        }
    }
}

#[test]
fn parquet_gives_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    let source = write_table(&place.path().join("rows"), &orders(9_000, 3, 20));
    compare(place.path(), Some(&source), &[]);
}

#[test]
fn the_emulator_gives_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    write_table(
        &place.path().join("data").join(TABLE),
        &orders(9_000, 4, 20),
    );
    let served = Served::start(&place.path().join("data"));
    compare(place.path(), None, &["--emulator", &served.url]);
}

#[test]
fn rows_that_wait_on_disk_give_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    // Notes make the rows too large for the small budget, and a paid source is read once.
    write_table(
        &place.path().join("data").join(TABLE),
        &orders(24_000, 5, 6_000),
    );
    let served = Served::start(&place.path().join("data"));
    let emulator = ["--emulator", served.url.as_str()];
    let (in_memory, report) = run(
        place.path(),
        None,
        &[&["--memory", "8GiB", "--slots", "1"], &emulator[..]].concat(),
        "large",
    );
    // A paid source's rows are on disk for good in any case; a large budget replays its copy in memory.
    assert!(
        report["peak_rss_bytes"].as_u64().unwrap() > 200 << 20,
        "{report}"
    );
    let (on_disk, report) = run(
        place.path(),
        None,
        &[&["--memory", "200MiB", "--slots", "2"], &emulator[..]].concat(),
        "small",
    );
    assert!(
        report["spilled_bytes"].as_u64().unwrap() > 1 << 20,
        "nothing was spilled: {report}"
    );
    assert_same(&in_memory, &on_disk, "200 MiB");
}
