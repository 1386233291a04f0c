//! The whole process stays within its memory, however many rows and columns there are, and does not touch a result by it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use serde_json::Value;

use crate::command::{call, millpond, text};
use crate::rows::{ADDRESS, Draws, TABLE, write_table};
use crate::served::Served;
use crate::tree::{assert_same, results};

const MIB: u64 = 1 << 20;

const RECIPE: &str = "
key: id
split: {hash: {columns: id, seed: 3, ratios: {train: 0.8, val: 0.1, test: 0.1}}}
features:
  - columns: x*
    steps: [{simple_imputer: mean}, standard_scaler]
";

/// `columns` numbers beside an id, one in eight missing.
fn numbers(rows: usize, columns: usize) -> RecordBatch {
    let mut draws = Draws::new(11);
    let ids = Arc::new(Int64Array::from_iter_values(0..rows as i64)) as ArrayRef;
    let values = (0..columns).map(|column| {
        let values = (0..rows).map(|_| {
            let bits = draws.bits();
            (!bits.is_multiple_of(8)).then_some(bits as f64)
        });
        let values = Arc::new(Float64Array::from_iter(values)) as ArrayRef;
        (format!("x{column}"), values)
    });
    RecordBatch::try_from_iter([("id".to_owned(), ids)].into_iter().chain(values)).unwrap()
}

/// Runs the recipe in a process of its own. Returns the most memory that process ever had, in bytes, as its own kernel counted,
/// and the report.
fn run(place: &Path, source: &str, name: &str, more: &[&str]) -> (u64, Value) {
    let recipe = place.join("recipe.yaml");
    fs::write(&recipe, RECIPE).unwrap();
    let out = place.join(name);
    let mut command = millpond();
    command.args(["run", text(&recipe), "--source", source, "--quiet"]);
    command.args(["--out", text(&out), "--temp-dir", text(place)]);
    command.args(more);
    let child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let waiting = std::thread::spawn(move || child.wait_with_output());
    let mut peak = 0;
    while !waiting.is_finished() {
        let high_water = fs::read_to_string(&status).ok().and_then(|status| {
            let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
            line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
        });
        peak = peak.max(high_water.unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(2));
    }
    let ended = waiting.join().unwrap().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    let report: Value =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    (peak.max(report["peak_rss_bytes"].as_u64().unwrap()), report)
}

/// The limit of these tests in bytes and as a setting. A debug build is three times as large as one for users.
const LIMIT: (u64, &str) = (384 * MIB, "384MiB");

#[test]
fn ten_times_the_rows_take_no_more_memory() {
    let place = tempfile::tempdir().unwrap();
    let (few, many) = (numbers(40_000, 40), numbers(400_000, 40));
    let more = (many.get_array_memory_size() - few.get_array_memory_size()) as u64;
    let few = write_table(&place.path().join("few"), &few);
    let many = write_table(&place.path().join("many"), &many);
    // One slot: the shorter table is one unit, and a second slot is memory of its own.
    let settings = ["--memory", LIMIT.1, "--slots", "1"];
    let (small, _) = run(place.path(), &few, "out-few", &settings);
    let (large, report) = run(place.path(), &many, "out-many", &settings);
    assert_eq!(report["rows"]["read"], 400_000);
    assert!(large < LIMIT.0, "{} MiB", large / MIB);
    assert!(
        large < small + more / 2,
        "{} MiB grew to {} MiB, the rows by {} MiB",
        small / MIB,
        large / MIB,
        more / MIB
    );
}

#[test]
fn rows_of_a_paid_source_wait_without_taking_memory() {
    let place = tempfile::tempdir().unwrap();
    let rows = numbers(60_000, 40);
    write_table(&place.path().join("data").join(TABLE), &rows);
    let served = Served::start(&place.path().join("data"));
    let settings = [
        "--memory",
        LIMIT.1,
        "--slots",
        "2",
        "--emulator",
        &served.url,
    ];
    let (peak, report) = run(place.path(), ADDRESS, "out", &settings);
    assert_eq!(report["rows"]["read"], 60_000);
    assert!(peak < LIMIT.0, "{} MiB", peak / MIB);
}

#[test]
fn columns_are_read_in_strips_when_all_at_once_would_not_fit() {
    let place = tempfile::tempdir().unwrap();
    // Every column has a page, a dictionary and a decompressor of its own.
    let source = write_table(&place.path().join("wide"), &numbers(1_000, 2_000));
    let one = ["--slots", "1"];
    run(
        place.path(),
        &source,
        "large",
        &[&["--memory", "16GiB"], &one[..]].concat(),
    );
    let (peak, _) = run(
        place.path(),
        &source,
        "small",
        &[&["--memory", LIMIT.1], &one[..]].concat(),
    );
    assert!(peak < LIMIT.0, "{} MiB", peak / MIB);
    let [large, small] = ["large", "small"].map(|name| results(&place.path().join(name)));
    assert_same(&large, &small, LIMIT.1);
}

#[test]
fn what_cannot_work_is_refused_before_reading_with_what_is_needed() {
    let place = tempfile::tempdir().unwrap();
    let source = write_table(&place.path().join("rows"), &numbers(100, 400));
    let recipe = place.path().join("recipe.yaml");
    fs::write(&recipe, RECIPE).unwrap();
    let out = place.path().join("out");
    let run = |memory: &str| {
        let out = ["--out", text(&out), "--slots", "1"];
        let source = ["--source", &source, "--memory", memory];
        call([&["run", text(&recipe), "--quiet"], &source[..], &out[..]].concat())
    };
    let ended = run("64MiB");
    assert_eq!(ended.code, Some(6), "{}", ended.stderr);
    assert!(!out.exists(), "something was written");
    let needed: u64 = ended
        .stderr
        .split(['(', ')'])
        .filter_map(|part| part.strip_suffix(" bytes")?.parse().ok())
        .max()
        .unwrap();
    assert!(needed > 64 * MIB, "{}", ended.stderr);
    let ended = run(&format!("{needed}B"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
