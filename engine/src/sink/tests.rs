#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use arrow::array::{
    ArrayRef, AsArray, BinaryViewArray, BooleanArray, Decimal128Array, DictionaryArray,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int32Array, Int64Array, ListArray,
    StringArray, StringViewArray, TimestampMicrosecondArray, UInt8Array,
};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::manifest::{Manifest, SplitRows, UnitEntry};

/// The assignment of rows to `splits`, through the only public way there is.
pub(crate) fn assign(splits: &[Split]) -> SplitAssignment {
    let names: StringArray = splits.iter().map(|split| Some(split.as_str())).collect();
    let batch = RecordBatch::try_from_iter([("split", Arc::new(names) as ArrayRef)]).unwrap();
    let spec: millpond_features::SplitSpec =
        serde_json::from_value(serde_json::json!({"column": {"column": "split"}})).unwrap();
    spec.bind(&batch.schema()).unwrap().assign(&batch).unwrap()
}

/// Numbers that look random and are always the same.
fn noise(row: usize, salt: u64) -> u64 {
    let z = (row as u64 ^ (salt << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 32)
}

pub(crate) fn splits(rows: usize) -> Vec<Split> {
    (0..rows)
        .map(|row| match noise(row, 0) % 10 {
            0 => Split::Val,
            1 => Split::Test,
            _ => Split::Train,
        })
        .collect()
}

/// A row of every kind of column, nulls only in the second half.
fn table(rows: usize) -> RecordBatch {
    let null = |row: usize, salt: u64| row > rows / 2 && noise(row, salt).is_multiple_of(7);
    let dictionary: DictionaryArray<Int32Type> = (0..rows)
        .map(|row| (!null(row, 5)).then(|| ["red", "green", "blue"][(noise(row, 6) % 3) as usize]))
        .collect();
    let texts = |salt| {
        (0..rows).map(move |row| {
            (!null(row, salt)).then(|| "x".repeat((noise(row, salt) % 40) as usize))
        })
    };
    let binary: BinaryViewArray = texts(12).map(|text| text.map(String::into_bytes)).collect();
    let fixed =
        FixedSizeBinaryArray::try_from_iter((0..rows).map(|row| noise(row, 13).to_le_bytes()))
            .unwrap();
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>((0..rows).map(|row| {
        (!null(row, 14)).then(|| {
            (0..noise(row, 15) % 4)
                .map(|i| Some(i as i64))
                .collect::<Vec<_>>()
        })
    }));
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        (
            "row",
            Arc::new(Int64Array::from_iter_values(0..rows as i64)),
            false,
        ),
        (
            "float32",
            Arc::new(Float32Array::from_iter(
                (0..rows).map(|r| (!null(r, 1)).then_some(noise(r, 2) as f32)),
            )),
            true,
        ),
        (
            "float64",
            Arc::new(Float64Array::from_iter_values((0..rows).map(|r| {
                match noise(r, 3) % 9 {
                    0 => f64::NAN,
                    1 => -0.0,
                    n => n as f64,
                }
            }))),
            true,
        ),
        (
            "id",
            Arc::new(Int32Array::from_iter_values(
                (0..rows).map(|r| (noise(r, 4) % 1000) as i32),
            )),
            true,
        ),
        ("colour", Arc::new(dictionary), true),
        ("text", Arc::new(texts(7).collect::<StringArray>()), true),
        (
            "view",
            Arc::new(texts(8).collect::<StringViewArray>()),
            true,
        ),
        (
            "flag",
            Arc::new(BooleanArray::from_iter((0..rows).map(|r| {
                (!null(r, 9)).then_some(noise(r, 10).is_multiple_of(2))
            }))),
            true,
        ),
        (
            "small",
            Arc::new(UInt8Array::from_iter_values(
                (0..rows).map(|r| noise(r, 11) as u8),
            )),
            false,
        ),
        ("binary", Arc::new(binary), true),
        ("fixed", Arc::new(fixed), true),
        ("list", Arc::new(lists), true),
        (
            "time",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(
                    (0..rows).map(|r| noise(r, 16) as i64 / 1000),
                )
                .with_timezone("UTC"),
            ),
            true,
        ),
        (
            "price",
            Arc::new(
                Decimal128Array::from_iter_values(
                    (0..rows).map(|r| i128::from(noise(r, 17) % 100_000)),
                )
                .with_precision_and_scale(12, 2)
                .unwrap(),
            ),
            true,
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Pushes `table` in pieces of the given lengths (repeated until it ends); returns the entries and each shard's bytes.
fn write(
    table: &RecordBatch,
    splits: &[Split],
    pieces: &[usize],
) -> (Vec<ShardEntry>, HashMap<String, Vec<u8>>) {
    let place = tempfile::tempdir().unwrap();
    let out = OutputDir::create(place.path()).unwrap();
    let settings = SinkSettings::try_new("uncompressed").unwrap();
    let mut sink = SplitSink::try_new(&out, &table.schema(), &settings, 3).unwrap();
    let mut at = 0;
    for &piece in pieces.iter().cycle() {
        let piece = piece.min(table.num_rows() - at);
        sink.push(&table.slice(at, piece), &assign(&splits[at..at + piece]))
            .unwrap();
        at += piece;
        if at == table.num_rows() {
            break;
        }
    }
    let entries = sink.finish().unwrap();
    out.commit().unwrap();
    let bytes = entries
        .iter()
        .map(|entry| {
            (
                entry.path.clone(),
                fs::read(place.path().join(&entry.path)).unwrap(),
            )
        })
        .collect();
    (entries, bytes)
}

fn read(bytes: &[u8]) -> RecordBatch {
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::copy_from_slice(bytes)).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

#[test]
fn rows_come_out_as_they_went_in_each_in_its_split() {
    let table = table(50_000);
    let splits = splits(table.num_rows());
    let (entries, files) = write(&table, &splits, &[8192]);
    assert_eq!(entries.len(), 3);
    for entry in &entries {
        let bytes = &files[&entry.path];
        assert_eq!(entry.unit, 3);
        assert_eq!(entry.bytes, bytes.len() as u64);
        assert_eq!(entry.crc32c, crc32c::crc32c(bytes));
        let mask: BooleanArray = splits
            .iter()
            .map(|&split| Some(split == entry.split))
            .collect();
        let expected = filter_record_batch(&table, &mask).unwrap();
        let found = read(bytes);
        assert_eq!(entry.rows, found.num_rows() as u64);
        assert_eq!(found.schema().fields(), expected.schema().fields());
        for (found, expected) in found.columns().iter().zip(expected.columns()) {
            let plain = |array: &ArrayRef| match array.data_type() {
                DataType::Dictionary(_, values) => cast(array, values).unwrap(),
                _ => Arc::clone(array),
            };
            assert_eq!(&plain(found), &plain(expected));
        }
    }
    assert_eq!(entries.iter().map(|entry| entry.rows).sum::<u64>(), 50_000);
}

#[test]
fn bytes_do_not_tell_the_batch_boundaries() {
    // Enough for several pages and row groups: only there can a boundary show.
    let rows = 210_000;
    let table = table(rows);
    let splits = splits(rows);
    let (whole_entries, whole_files) = write(&table, &splits, &[rows]);
    let train = bytes::Bytes::from(whole_files["train/part-00003.parquet"].clone());
    let builder = ParquetRecordBatchReaderBuilder::try_new(train).unwrap();
    assert!(builder.metadata().num_row_groups() > 1);
    for case in 0..5 {
        let random = |salt, bound: u64| (noise(case, salt) % bound) as usize;
        // Lengths of batches: nothing, a few rows, or up to more than a chunk.
        let mut pieces: Vec<usize> = (0..1 + random(21, 8) as u64)
            .map(|i| random(30 + i, 20_000) >> (random(50 + i, 4) * 4))
            .collect();
        pieces.push(2_000 + random(22, 9_000));
        let (entries, files) = write(&table, &splits, &pieces);
        assert!(
            files == whole_files,
            "shards differ in batches of {pieces:?}"
        );
        assert_eq!(entries, whole_entries, "batches of {pieces:?}");
    }
}

#[test]
fn bytes_do_not_tell_how_texts_are_held() {
    let rows = 20_000;
    let values: Vec<Option<String>> = (0..rows)
        .map(|row| (!noise(row, 1).is_multiple_of(5)).then(|| format!("v{}", noise(row, 2) % 50)))
        .collect();
    let plain: StringArray = values.iter().collect();
    let dictionary: DictionaryArray<Int32Type> = values.iter().map(Option::as_deref).collect();
    // The same with a null among the values instead of among the keys, and values in another order.
    let order: Vec<Option<String>> = std::iter::once(None)
        .chain((0..50).rev().map(|i| Some(format!("v{i}"))))
        .collect();
    let keys: Int32Array = values
        .iter()
        .map(|value| {
            order
                .iter()
                .position(|known| known == value)
                .map(|at| at as i32)
        })
        .collect();
    let other = DictionaryArray::new(keys, Arc::new(order.iter().collect::<StringArray>()));
    let schema = Arc::new(Schema::new(vec![Field::new(
        "c",
        dictionary.data_type().clone(),
        true,
    )]));
    let splits = splits(rows);
    let bytes = |column: ArrayRef| {
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
        write(&batch, &splits, &[5_000]).1
    };
    let first = bytes(Arc::new(dictionary));
    assert!(first == bytes(Arc::new(other)));
    let found = read(&first["train/part-00003.parquet"]);
    let found = cast(found.column(0), &DataType::Utf8).unwrap();
    let expected: StringArray = plain
        .iter()
        .zip(&splits)
        .filter_map(|(value, split)| (*split == Split::Train).then_some(value))
        .collect();
    assert_eq!(found.as_string::<i32>(), &expected);
}

#[test]
fn row_groups_have_a_fixed_length_and_files_a_fixed_maker() {
    let rows = 300_000;
    let columns: Vec<(String, ArrayRef)> = (0..41)
        .map(|i| {
            let column = Float32Array::from_iter_values((0..rows).map(|row| (row * i) as f32));
            (format!("c{i}"), Arc::new(column) as ArrayRef)
        })
        .collect();
    let table = RecordBatch::try_from_iter(columns).unwrap();
    let (entries, files) = write(&table, &vec![Split::Val; rows], &[10_000]);
    assert_eq!(entries.len(), 1, "no shard for a split without rows");
    let bytes = bytes::Bytes::from(files["val/part-00003.parquet"].clone());
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let groups: Vec<_> = builder
        .metadata()
        .row_groups()
        .iter()
        .map(|group| group.num_rows())
        .collect();
    assert_eq!(groups, [98_304, 98_304, 98_304, 5_088]);
    let file = builder.metadata().file_metadata();
    assert_eq!(
        file.created_by(),
        Some(concat!("millpond version ", env!("CARGO_PKG_VERSION")))
    );
    let keys: Vec<_> = file
        .key_value_metadata()
        .unwrap()
        .iter()
        .map(|pair| pair.key.as_str())
        .collect();
    assert_eq!(keys, ["ARROW:schema"]);
}

#[test]
fn huge_texts_end_chunks_early_and_alike() {
    let rows = 600;
    let texts: StringArray = (0..rows)
        .map(|row| {
            Some(
                char::from(b'a' + (row % 26) as u8)
                    .to_string()
                    .repeat((noise(row, 1) % 300_000) as usize),
            )
        })
        .collect();
    let table = RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap();
    let splits = vec![Split::Train; rows];
    let (_, one) = write(&table, &splits, &[rows]);
    let (_, other) = write(&table, &splits, &[7, 90, 1]);
    assert!(one == other);
    assert_eq!(&read(&one["train/part-00003.parquet"]), &table);

    let place = tempfile::tempdir().unwrap();
    let out = OutputDir::create(place.path()).unwrap();
    let settings = SinkSettings::try_new("zstd(1)").unwrap();
    let mut sink = SplitSink::try_new(&out, &table.schema(), &settings, 0).unwrap();
    sink.push(&table, &assign(&splits)).unwrap();
    let held = sink.memory_bytes();
    assert!(
        held < 48 << 20,
        "{held} bytes held of {}",
        table.get_array_memory_size()
    );
}

#[test]
fn splits_without_rows_get_an_empty_shard_with_the_schema() {
    let place = tempfile::tempdir().unwrap();
    let out = OutputDir::create(place.path()).unwrap();
    let settings = SinkSettings::try_new("snappy").unwrap();
    let schema = table(1).schema();
    let sink = SplitSink::try_new(&out, &schema, &settings, 0).unwrap();
    assert_eq!(sink.finish().unwrap(), vec![]);
    let shards: Vec<_> = Split::ALL
        .iter()
        .map(|&split| SplitSink::write_empty_shard(&out, &schema, &settings, split).unwrap())
        .collect();
    out.commit().unwrap();
    for shard in &shards {
        let found = read(&fs::read(place.path().join(&shard.path)).unwrap());
        assert_eq!((found.num_rows(), shard.rows), (0, 0));
        assert_eq!(found.schema().fields(), schema.fields());
    }
    Manifest::new(&schema, vec![], shards)
        .verify(place.path())
        .unwrap();
}

#[test]
fn manifest_of_a_run_is_verified() {
    let place = tempfile::tempdir().unwrap();
    let out = OutputDir::create(place.path()).unwrap();
    let settings = SinkSettings::try_new("lz4").unwrap();
    let table = table(3_000);
    let splits = splits(3_000);
    let mut shards = Vec::new();
    let mut units = Vec::new();
    for unit in 0..2 {
        let mut sink = SplitSink::try_new(&out, &table.schema(), &settings, unit).unwrap();
        sink.push(&table, &assign(&splits)).unwrap();
        let entries = sink.finish().unwrap();
        let mut rows = SplitRows::default();
        entries
            .iter()
            .for_each(|entry| rows.add(entry.split, entry.rows));
        assert_eq!(rows.total(), 3_000);
        units.push(UnitEntry {
            index: unit,
            name: format!("u{unit}"),
            rows,
            filtered: 0,
        });
        shards.extend(entries);
    }
    let manifest = Manifest::new(&table.schema(), units, shards);
    out.commit().unwrap();
    manifest.verify(place.path()).unwrap();
    let path = place.path().join("test/part-00001.parquet");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = manifest.verify(place.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("test/part-00001.parquet has checksum"),
        "{error}"
    );
}

fn files_below(root: &Path) -> usize {
    Split::ALL
        .iter()
        .filter_map(|split| fs::read_dir(root.join(split.as_str())).ok())
        .map(Iterator::count)
        .sum()
}

#[test]
fn dropped_sink_removes_its_shards() {
    let place = tempfile::tempdir().unwrap();
    let out = OutputDir::create(place.path()).unwrap();
    let settings = SinkSettings::try_new("uncompressed").unwrap();
    let table = table(60_000);
    let mut sink = SplitSink::try_new(&out, &table.schema(), &settings, 0).unwrap();
    let empty = sink.memory_bytes();
    assert!(empty < 4096, "{empty} bytes held by an empty sink");
    sink.push(&table, &assign(&vec![Split::Test; 60_000]))
        .unwrap();
    assert!(sink.memory_bytes() > 60_000 * 8);
    assert_eq!(files_below(out.staged()), 1);
    drop(sink);
    assert_eq!(files_below(out.staged()), 0);
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let out = OutputDir::create(place.path()).unwrap();
    let settings = SinkSettings::try_new("zstd(1)").unwrap();
    let batch = |columns: Vec<(&str, ArrayRef)>| RecordBatch::try_from_iter(columns).unwrap();
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![1.0, 2.0]));
    let nulls: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
    let good = batch(vec![("a", Arc::clone(&ints))]);
    let mut sink = SplitSink::try_new(&out, &good.schema(), &settings, 0).unwrap();
    let two = assign(&[Split::Train, Split::Val]);
    let cases = [
        (
            sink.push(&good, &assign(&[Split::Train])),
            ErrorKind::Sink,
            "1 rows but the batch has 2",
        ),
        (
            sink.push(&batch(vec![("a", floats)]), &two),
            ErrorKind::Schema,
            "\"a\" is Float32",
        ),
        (
            sink.push(&batch(vec![("a", nulls)]), &two),
            ErrorKind::Schema,
            "has 1 nulls but allows none",
        ),
        (
            sink.push(&batch(vec![("a", ints.clone()), ("b", ints)]), &two),
            ErrorKind::Schema,
            "2 columns, the output 1",
        ),
    ];
    for (result, kind, text) in cases {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

/// A disk that is full after so many bytes.
struct SmallDisk {
    room: usize,
}

impl Write for SmallDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = bytes.len().min(self.room);
        self.room -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_shard<W: Write + Send>(file: W, table: &RecordBatch) -> Result<shard::Digest> {
    let schema = table.schema();
    let layout = Arc::new(Layout::try_new(&schema, Compression::UNCOMPRESSED)?);
    let mut writer = ShardWriter::try_new(file, "train/part-00000.parquet".to_owned(), &layout)?;
    writer.write(table.clone(), 0)?;
    writer.close().map(|(_, digest)| digest)
}

#[test]
fn full_disk_is_a_disk_error_wherever_it_strikes() {
    let column = Int64Array::from_iter_values(0..2_000);
    let table = RecordBatch::try_from_iter([("a", Arc::new(column) as ArrayRef)]).unwrap();
    let whole = write_shard(SmallDisk { room: usize::MAX }, &table).unwrap();
    let length = usize::try_from(whole.bytes).unwrap();
    assert_eq!(
        write_shard(SmallDisk { room: length }, &table).unwrap(),
        whole
    );
    for room in (0..length).step_by(97).chain([length - 1]) {
        let error = write_shard(SmallDisk { room }, &table).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disk, "after {room} bytes: {error}");
        assert!(
            error.to_string().contains("train/part-00000.parquet"),
            "{error}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn full_device_is_a_disk_error() {
    let column = Int64Array::from_iter_values(0..2_000);
    let table = RecordBatch::try_from_iter([("a", Arc::new(column) as ArrayRef)]).unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(
        write_shard(full, &table).unwrap_err().kind(),
        ErrorKind::Disk
    );
}
