#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
    UInt8Array,
};
use arrow::datatypes::Int64Type;
use tempfile::TempDir;

use super::*;
use crate::manifest::{SplitRows, UnitEntry};
use crate::output_dir::OutputDir;
use crate::sink::tests::{assign, splits};
use crate::sink::{SinkSettings, SplitSink};

const COLUMNS: usize = 300;

/// Rows numbered from `first`, wide enough for several row groups per shard.
fn unit_rows(first: i64, rows: usize) -> RecordBatch {
    let numbers = || (first..).take(rows);
    let mut columns: Vec<(String, ArrayRef, bool)> = vec![
        (
            "row".to_owned(),
            Arc::new(Int64Array::from_iter_values(numbers())),
            false,
        ),
        (
            "half".to_owned(),
            Arc::new(Float64Array::from_iter(
                numbers().map(|n| (n % 3 != 0).then_some(n as f64 / 2.0)),
            )),
            true,
        ),
        (
            "odd".to_owned(),
            Arc::new(BooleanArray::from_iter(numbers().map(|n| Some(n % 2 == 1)))),
            true,
        ),
        (
            "label".to_owned(),
            Arc::new(Int64Array::from_iter_values(numbers().map(|n| -n))),
            true,
        ),
        (
            "name".to_owned(),
            Arc::new(StringArray::from_iter_values(
                numbers().map(|n| n.to_string()),
            )),
            true,
        ),
        (
            "price".to_owned(),
            Arc::new(
                Decimal128Array::from_iter_values(numbers().map(i128::from))
                    .with_precision_and_scale(12, 1)
                    .unwrap(),
            ),
            true,
        ),
    ];
    let wide: ArrayRef = Arc::new(UInt8Array::from_iter_values(
        numbers().map(|n| (n % 251) as u8),
    ));
    columns.extend((0..COLUMNS).map(|i| (format!("w{i}"), Arc::clone(&wide), true)));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// A dataset of the given units, all rows numbered through.
fn dataset(units: &[usize]) -> (TempDir, Dataset) {
    let place = tempfile::tempdir().unwrap();
    let out = OutputDir::create(place.path()).unwrap();
    let settings = SinkSettings::try_new("zstd(1)").unwrap();
    let schema = unit_rows(0, 0).schema();
    let (mut entries, mut shards, mut first) = (Vec::new(), Vec::new(), 0);
    for (index, &rows) in units.iter().enumerate() {
        let mut sink = SplitSink::try_new(&out, &schema, &settings, index).unwrap();
        let batch = unit_rows(first, rows);
        sink.push(&batch, &assign(&splits(rows))).unwrap();
        first += rows as i64;
        let written = sink.finish().unwrap();
        let mut counts = SplitRows::default();
        written
            .iter()
            .for_each(|shard| counts.add(shard.split, shard.rows));
        entries.push(UnitEntry {
            index,
            name: index.to_string(),
            rows: counts,
            filtered: 0,
        });
        shards.extend(written);
    }
    for split in Split::ALL {
        if !shards.iter().any(|shard| shard.split == split) {
            shards.push(SplitSink::write_empty_shard(&out, &schema, &settings, split).unwrap());
        }
    }
    let manifest = Manifest::new(&schema, entries, shards);
    out.write_file(MANIFEST, manifest.to_json().unwrap().as_bytes())
        .unwrap();
    out.commit().unwrap();
    let dataset = Dataset::open(place.path()).unwrap();
    (place, dataset)
}

fn stored_rows(split: &SplitReader) -> Vec<i64> {
    split
        .batches()
        .flat_map(|batch| {
            batch
                .unwrap()
                .column(0)
                .as_primitive::<Int64Type>()
                .values()
                .to_vec()
        })
        .collect()
}

fn options(rows: usize) -> MiniBatchOptions {
    MiniBatchOptions::new(rows, ["row", "half", "odd", "price"]).with_label("label")
}

/// The `row` column of an epoch, with every other value checked against it.
fn epoch(split: &SplitReader, options: &MiniBatchOptions) -> Vec<i64> {
    let mut rows = Vec::new();
    for batch in split.mini_batches(options).unwrap() {
        let batch = batch.unwrap();
        let label = batch.label.unwrap();
        for (features, label) in batch.features.outer_iter().zip(label) {
            let row = features[0] as i64;
            if row % 3 == 0 {
                assert!(features[1].is_nan(), "a null is NaN");
            } else {
                assert_eq!(features[1], row as f32 / 2.0);
            }
            assert_eq!(features[2], (row % 2) as f32);
            assert_eq!(features[3], row as f32 / 10.0);
            assert_eq!(label, -row as f32);
            rows.push(row);
        }
    }
    rows
}

#[test]
fn batches_come_in_shard_order_and_complete() {
    let (_place, dataset) = dataset(&[5_000, 0, 9_000]);
    dataset.verify().unwrap();
    let mut all = BTreeSet::new();
    for split in Split::ALL {
        let reader = dataset.split(split).unwrap();
        let rows = stored_rows(&reader);
        assert_eq!(rows.len() as u64, reader.rows());
        assert!(rows.is_sorted());
        assert_eq!(reader.schema().fields().len(), COLUMNS + 6);
        all.extend(rows);
    }
    assert_eq!(all.len(), 14_000);
}

#[test]
fn stored_mini_batches_follow_the_batches() {
    let (_place, dataset) = dataset(&[5_000, 3_000]);
    let reader = dataset.split(Split::Train).unwrap();
    let stored = stored_rows(&reader);
    for rows in [1, 7, 256, 100_000] {
        assert_eq!(epoch(&reader, &options(rows)), stored);
    }
    let sizes = |last| {
        let all = reader
            .mini_batches(&options(1_000).with_last(last))
            .unwrap();
        all.map(|batch| batch.unwrap().features.nrows())
            .collect::<Vec<_>>()
    };
    let kept = sizes(LastBatch::Keep);
    assert_eq!(kept.iter().sum::<usize>(), stored.len());
    assert!(
        kept.split_last()
            .unwrap()
            .1
            .iter()
            .all(|&rows| rows == 1_000)
    );
    assert!(*kept.last().unwrap() < 1_000, "this needs rows left over");
    assert_eq!(sizes(LastBatch::Drop), kept[..kept.len() - 1]);
    let plain = MiniBatchOptions::new(10, ["w7"]);
    let first = reader
        .mini_batches(&plain)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!((first.features.dim(), first.label), ((10, 1), None));
}

#[test]
fn every_row_comes_exactly_once_per_epoch_in_another_order() {
    // Some 300 bytes a row make row groups of about 100,000 rows.
    let (_place, dataset) = dataset(&[130_000, 20_000]);
    let reader = dataset.split(Split::Train).unwrap();
    let stored = stored_rows(&reader);
    let order = |seed, epoch_number, buffer_rows| {
        let shuffle = Shuffle {
            seed,
            epoch: epoch_number,
            buffer_rows,
        };
        epoch(&reader, &options(512).with_shuffle(shuffle))
    };
    let mut seen = BTreeSet::new();
    for (seed, epoch_number, buffer_rows) in [
        (1, 0, 1),
        (1, 1, 1_000),
        (1, 2, 1_000),
        (2, 1, 1_000),
        (1, 1, 1 << 20),
    ] {
        let rows = order(seed, epoch_number, buffer_rows);
        assert!(rows == order(seed, epoch_number, buffer_rows), "repeatable");
        let mut sorted = rows.clone();
        sorted.sort_unstable();
        assert!(
            sorted == stored,
            "each row once (seed {seed}, epoch {epoch_number}, buffer {buffer_rows})"
        );
        if buffer_rows > 1 {
            assert!(rows != stored);
            assert!(
                seen.insert(rows),
                "seed, epoch and buffer give orders of their own"
            );
        }
    }
}

#[test]
fn full_buffer_shuffles_evenly() {
    let (_place, dataset) = dataset(&[12]);
    let reader = dataset.split(Split::Train).unwrap();
    let stored = stored_rows(&reader);
    let mut first = vec![0_u32; stored.len()];
    for epoch_number in 0..1_000 {
        let shuffle = Shuffle {
            seed: 9,
            epoch: epoch_number,
            buffer_rows: 100,
        };
        let rows = epoch(&reader, &options(4).with_shuffle(shuffle));
        first[stored.iter().position(|row| *row == rows[0]).unwrap()] += 1;
    }
    let expected = 1_000 / stored.len() as u32;
    assert!(
        first
            .iter()
            .all(|&n| n > expected * 6 / 10 && n < expected * 14 / 10),
        "{first:?}"
    );
}

#[test]
fn empty_splits_are_readable() {
    let (_place, dataset) = dataset(&[]);
    let reader = dataset.split(Split::Test).unwrap();
    assert_eq!((reader.rows(), reader.batches().count()), (0, 0));
    assert_eq!(reader.mini_batches(&options(8)).unwrap().count(), 0);
    assert_eq!(reader.schema().field(0).name(), "row");
}

#[test]
fn columns_that_are_no_numbers_are_refused_by_name() {
    let (_place, dataset) = dataset(&[10]);
    let reader = dataset.split(Split::Train).unwrap();
    let refused = |options: MiniBatchOptions| {
        let error = reader.mini_batches(&options).unwrap_err();
        (error.kind(), error.to_string())
    };
    let (kind, text) = refused(MiniBatchOptions::new(4, ["row", "name"]));
    assert_eq!(kind, ErrorKind::Schema);
    assert!(text.contains("\"name\" is Utf8"), "{text}");
    let (kind, text) = refused(MiniBatchOptions::new(4, ["row"]).with_label("lable"));
    assert_eq!(kind, ErrorKind::Schema);
    assert!(text.contains("no column \"lable\""), "{text}");
    assert_eq!(
        refused(MiniBatchOptions::new(0, ["row"])).0,
        ErrorKind::Config
    );
    assert_eq!(
        refused(MiniBatchOptions::new(4, Vec::<String>::new())).0,
        ErrorKind::Config
    );
    let shuffle = Shuffle {
        seed: 0,
        epoch: 0,
        buffer_rows: 0,
    };
    assert_eq!(
        refused(options(4).with_shuffle(shuffle)).0,
        ErrorKind::Config
    );
}

#[test]
fn unfinished_missing_and_damaged_datasets_are_refused() {
    let (place, dataset) = dataset(&[5_000]);
    let kind = |result: Result<Dataset>| result.unwrap_err().kind();
    assert_eq!(
        kind(Dataset::open(place.path().join("nowhere"))),
        ErrorKind::NotFound
    );
    let shard = place.path().join("train/part-00000.parquet");
    let good = fs::read(&shard).unwrap();
    fs::write(&shard, &good[..good.len() - 1]).unwrap();
    let error = dataset.split(Split::Train).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Manifest);
    assert!(error.to_string().contains("part-00000.parquet"), "{error}");

    // Every damage is an error or, unnoticed by the format, other values; never a panic, never more rows.
    let reader_before = {
        fs::write(&shard, &good).unwrap();
        dataset.split(Split::Train).unwrap()
    };
    for at in (0..good.len()).step_by(good.len() / 40 + 1) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        fs::write(&shard, bad).unwrap();
        assert_eq!(dataset.verify().unwrap_err().kind(), ErrorKind::Manifest);
        let read: Result<Vec<_>> = reader_before.batches().collect();
        if let Ok(batches) = read {
            assert_eq!(
                batches.iter().map(RecordBatch::num_rows).sum::<usize>() as u64,
                reader_before.rows()
            );
        }
    }
    fs::remove_file(&shard).unwrap();
    let mut batches = reader_before.batches();
    assert_eq!(
        batches.next().unwrap().unwrap_err().kind(),
        ErrorKind::Manifest
    );
    assert!(batches.next().is_none());

    fs::write(place.path().join(MANIFEST), "{}").unwrap();
    assert_eq!(kind(Dataset::open(place.path())), ErrorKind::Manifest);
    fs::remove_file(place.path().join(SUCCESS)).unwrap();
    let error = Dataset::open(place.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Manifest);
    assert!(error.to_string().contains("did not finish"), "{error}");
}
