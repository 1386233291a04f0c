//! Streams and messages of any size, and tables that the service no longer has as they were asked for.

use std::num::NonZeroU32;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

use crate::bench::Bench;
use crate::rows::{ADDRESS, TABLE, ids, orders, read_sorted, write_file, write_table};
use crate::served::Served;

const SPLITS: [&str; 3] = ["train", "val", "test"];

/// Equal, numbers to the last few bits: sums over other units are added up in another order.
fn assert_close(left: &RecordBatch, right: &RecordBatch, what: &str) {
    assert_eq!(left.schema(), right.schema(), "{what}");
    for (field, (a, b)) in left
        .schema()
        .fields()
        .iter()
        .zip(left.columns().iter().zip(right.columns()))
    {
        if !field.data_type().is_floating() {
            assert!(a == b, "{what}: {} differs", field.name());
            continue;
        }
        let numbers = |column: &ArrayRef| -> Vec<Option<f64>> {
            cast(column, &DataType::Float64)
                .unwrap()
                .as_primitive::<Float64Type>()
                .iter()
                .collect()
        };
        for (row, (a, b)) in numbers(a).into_iter().zip(numbers(b)).enumerate() {
            let close = match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * a.abs().max(1.0),
                _ => a == b,
            };
            assert!(
                close,
                "{what}: row {row} of {} is {a:?} and {b:?}",
                field.name()
            );
        }
    }
}

/// However the service cuts a table, the same rows come out with the same features.
#[test]
fn streams_of_any_size() {
    let bench = Bench::new();
    write_table(&bench.path("data").join(TABLE), &orders(9_000, 41, 20));
    let place = bench.path("data");
    let streams = |n| NonZeroU32::new(n).unwrap();
    let served = [
        (
            "one stream",
            Served::start_as(&place, |e| e.streams(streams(1))),
        ),
        (
            "seven streams",
            Served::start_as(&place, |e| e.streams(streams(7))),
        ),
        (
            "more streams than messages",
            Served::start_as(&place, |e| e.streams(streams(40))),
        ),
        (
            "nearly all in one stream",
            Served::start_as(&place, |e| e.streams(streams(5)).skew_percent(99)),
        ),
    ];
    let mut expected: Option<Vec<RecordBatch>> = None;
    for (what, served) in &served {
        let ended = Bench {
            place: tempfile::tempdir().unwrap(),
            source: ADDRESS.to_owned(),
            ..Bench::new()
        };
        std::fs::create_dir(ended.path("temp")).unwrap();
        let bench = ended.more(&["--emulator", &served.url, "--slots", "3"]);
        let ended = bench.run();
        assert_eq!(ended.code, Some(0), "{what}: {}", ended.stderr);
        let found: Vec<RecordBatch> = SPLITS
            .iter()
            .map(|split| read_sorted(&bench.out().join(split)))
            .collect();
        let Some(expected) = &expected else {
            assert!(found.iter().all(|split| split.num_rows() > 500));
            expected = Some(found);
            continue;
        };
        for (split, (a, b)) in SPLITS.iter().zip(expected.iter().zip(&found)) {
            assert_eq!(ids(a), ids(b), "{what}: {split}");
            assert_close(a, b, &format!("{what}: {split}"));
        }
    }
}

/// A hundred rows that fill one message: of 10 MB, and of 100 MB, far above what gRPC accepts unless told otherwise.
#[test]
fn messages_of_any_size() {
    for megabytes in [10, 100] {
        let mut bench = Bench::new();
        let long = "x".repeat(megabytes * 10_000);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int64Array::from_iter_values(0..100))),
            (
                "long",
                Arc::new(StringArray::from_iter_values(
                    (0..100).map(|i| format!("{i:03}{long}")),
                )),
            ),
        ];
        write_file(
            &bench.path("data").join(TABLE).join("0.parquet"),
            &RecordBatch::try_from_iter(columns).unwrap(),
        );
        let place = bench.path("data");
        let served = Served::start_as(&place, |e| {
            e.streams(NonZeroU32::MIN).message_bytes(200 << 20)
        });
        bench.recipe = "{key: id, split: {hash: {columns: id}}, features: [{columns: long, steps: [{sql: \"char_length(x)\"}]}]}".to_owned();
        bench.source = ADDRESS.to_owned();
        let bench = bench.more(&["--emulator", &served.url, "--slots", "1"]);
        let little = Bench {
            more: [
                bench.more.clone(),
                ["--memory", "160MiB"].map(str::to_owned).to_vec(),
            ]
            .concat(),
            ..bench
        };
        if megabytes == 100 {
            let ended = little.run();
            assert_eq!(ended.code, Some(6), "{}", ended.stderr);
            for word in ["message of", "stream 0", "bytes"] {
                assert!(ended.stderr.contains(word), "no {word} in {}", ended.stderr);
            }
        }
        let enough = Bench {
            more: [&little.more[..little.more.len() - 1], &["3GiB".to_owned()]].concat(),
            ..little
        };
        let ended = enough.run();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let rows: usize = SPLITS
            .iter()
            .map(|split| read_sorted(&enough.out().join(split)).num_rows())
            .sum();
        assert_eq!(rows, 100);
    }
}

#[test]
fn a_snapshot_that_is_gone() {
    let mut bench = Bench::new();
    write_table(&bench.path("data").join(TABLE), &orders(600, 43, 5));
    let served = Served::start(&bench.path("data"));
    // Nine days before the time on the emulator's clock; the service keeps seven.
    bench.recipe = format!(
        "source: {{table: \"{ADDRESS}\", bigquery: {{snapshot_time: \"2026-02-20T12:00:00Z\"}}}}\n{}",
        bench.recipe
    );
    bench.source.clear();
    let bench = bench.more(&["--emulator", &served.url]);
    bench.refuses(2, &["time travel", "proj.shop.orders"]);
}
