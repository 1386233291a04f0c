#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::compute::concat_batches;

use super::*;
use crate::test_rows::{every_type, schema_of};

fn rows_of(columns: usize, rows: usize, seed: u64) -> RecordBatch {
    let columns = (0..columns).map(|c| {
        let number =
            move |r: usize| (r as u64 + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15 + c as u64);
        let array: ArrayRef = match c % 3 {
            0 => Arc::new(Int64Array::from_iter_values(
                (0..rows).map(|r| number(r) as i64),
            )),
            1 => Arc::new(Float64Array::from_iter_values(
                (0..rows).map(|r| number(r) as f64),
            )),
            _ => Arc::new(StringArray::from_iter_values(
                (0..rows).map(|r| format!("text {}", number(r) % 1000)),
            )),
        };
        (format!("c{c}"), array)
    });
    RecordBatch::try_from_iter(columns).unwrap()
}

struct Fixture {
    root: tempfile::TempDir,
    budget: MemoryBudget,
}

impl Fixture {
    fn new(limit: usize) -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            budget: MemoryBudget::new(limit),
        }
    }

    fn dir(&self, quota: Option<u64>) -> Arc<SpillDir> {
        Arc::new(SpillDir::create(self.root.path(), quota).unwrap())
    }

    /// A writer of large pages.
    fn writer(
        &self,
        dir: &Arc<SpillDir>,
        schema: &SchemaRef,
        compression: SpillCompression,
    ) -> SpillWriter {
        SpillWriter::create(dir, schema, &self.budget, compression, SpillPages::Large).unwrap()
    }
}

fn read_all(file: &SpillFile) -> RecordBatch {
    let batches: Vec<_> = file.read(None, 1000).unwrap().map(Result::unwrap).collect();
    concat_batches(&batches.first().unwrap().schema(), &batches).unwrap()
}

#[test]
fn what_is_written_reads_back_with_either_compression() {
    let f = Fixture::new(64 << 20);
    let dir = f.dir(None);
    for compression in [SpillCompression::Lz4, SpillCompression::Zstd1] {
        let batches = [rows_of(4, 3000, 1), rows_of(4, 1, 2), rows_of(4, 2000, 3)];
        let schema = rows_of(4, 0, 0).schema();
        let mut writer = f.writer(&dir, &schema, compression);
        for batch in &batches {
            writer.write(batch).unwrap();
        }
        let file = writer.finish().unwrap();
        assert_eq!((file.rows(), file.batches()), (5001, 3));
        assert_eq!(file.bytes(), fs::metadata(file.path()).unwrap().len());
        assert_eq!(file.bytes(), dir.live_bytes());
        assert_eq!(read_all(&file), concat_batches(&schema, &batches).unwrap());
        let path = file.path().to_owned();
        drop(file);
        assert!(!path.exists());
        assert_eq!((dir.live_bytes(), f.budget.used()), (0, 0));
    }
}

#[test]
fn integers_are_packed_without_the_library() {
    let f = Fixture::new(64 << 20);
    let schema = schema_of(&every_type());
    for compression in [SpillCompression::Lz4, SpillCompression::Zstd1] {
        let writer = f.writer(&f.dir(None), &schema, compression);
        let fields = writer.carrier.file_schema().fields().iter();
        let integers = fields.filter(|field| packs_well(field.data_type()));
        let names: Vec<_> = integers.map(|field| field.name().as_str()).collect();
        assert!(names.len() > 16, "{names:?}");
        assert_eq!(writer.encoder.packed_columns().collect::<Vec<_>>(), names);
    }
}

#[test]
fn the_encoder_stays_within_its_room() {
    let run = |crowded: bool| {
        let f = Fixture::new(64 << 20);
        let shares = f.budget.shares();
        let room = Room::of(&shares);
        let others = if crowded { shares.leased_bytes } else { 0 };
        let _others = f.budget.try_lease("test", others).unwrap();
        let schema = rows_of(9, 0, 0).schema();
        let mut writer = f.writer(&f.dir(None), &schema, SpillCompression::Lz4);
        for seed in 0..30 {
            writer.write(&rows_of(9, 8192, seed)).unwrap();
        }
        let most = if crowded {
            room.assured_bytes
        } else {
            room.most_bytes
        };
        let peak = f.budget.peak() - others;
        assert!(
            (most / 2..most + most / 2).contains(&peak),
            "{peak} of {most}"
        );
        let groups = writer.file.flushed_row_groups().len();
        (groups, read_all(&writer.finish().unwrap()))
    };
    let (free_groups, free) = run(false);
    let (tight_groups, tight) = run(true);
    assert!(
        free_groups < tight_groups,
        "{free_groups} and {tight_groups} row groups"
    );
    assert_eq!(free, tight);
}

#[test]
fn a_very_wide_table_gets_row_groups_of_many_rows() {
    let f = Fixture::new(256 << 20);
    let dir = f.dir(None);
    let _everything = f
        .budget
        .try_lease("test", f.budget.shares().leased_bytes)
        .unwrap();
    let batch = rows_of(1000, 500, 7);
    let mut writer = f.writer(&dir, &batch.schema(), SpillCompression::Lz4);
    writer.write(&batch).unwrap();
    assert!(writer.file.flushed_row_groups().len() <= 5);
    assert_eq!(read_all(&writer.finish().unwrap()), batch);
}

#[test]
fn a_reached_quota_is_named_and_the_file_goes() {
    let f = Fixture::new(64 << 20);
    let dir = f.dir(Some(50_000));
    let batch = rows_of(3, 100_000, 1);
    let mut writer = f.writer(&dir, &batch.schema(), SpillCompression::Lz4);
    let path = writer.slot.path().to_owned();
    let error = loop {
        if let Err(error) = writer.write(&batch) {
            break error;
        }
    };
    assert!(
        matches!(&error, SpillError::QuotaExceeded { quota_bytes: 50_000, path: p, .. } if *p == path),
        "{error}"
    );
    assert!(matches!(
        writer.write(&batch),
        Err(SpillError::Abandoned { .. })
    ));
    assert!(matches!(writer.finish(), Err(SpillError::Abandoned { .. })));
    assert!(!path.exists());
    assert_eq!((dir.live_bytes(), f.budget.used()), (0, 0));
    assert!(dir.peak_bytes() <= 50_000);
}

#[test]
fn a_quota_reached_by_the_last_bytes_is_found_too() {
    let f = Fixture::new(64 << 20);
    let batch = rows_of(3, 2000, 1);
    let size = {
        let dir = f.dir(None);
        let mut writer = f.writer(&dir, &batch.schema(), SpillCompression::Lz4);
        writer.write(&batch).unwrap();
        writer.finish().unwrap().bytes()
    };
    for (quota, fits) in [
        (size, true),
        (size - 1, false),
        (size / 2, false),
        (3, false),
    ] {
        let dir = f.dir(Some(quota));
        let mut writer = f.writer(&dir, &batch.schema(), SpillCompression::Lz4);
        let result = writer.write(&batch).and_then(|()| writer.finish());
        match result {
            Ok(file) => assert!(fits && file.bytes() == size),
            Err(error) => assert!(
                !fits && matches!(error, SpillError::QuotaExceeded { .. }),
                "{quota} of {size}: {error}"
            ),
        }
        assert_eq!(dir.live_bytes(), 0);
    }
}

/// Needs the right to mount; says so when it has not.
#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let f = Fixture::new(64 << 20);
    let disk = f.root.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&disk)
        .output();
    if !mount.is_ok_and(|m| m.status.success()) {
        eprintln!("skipped: cannot mount a small tmpfs here; /dev/full stands in for it");
        return;
    }
    let dir = Arc::new(SpillDir::create(&disk, None).unwrap());
    let batch = rows_of(3, 20_000, 1);
    let mut writer = f.writer(&dir, &batch.schema(), SpillCompression::Lz4);
    let error = loop {
        if let Err(error) = writer.write(&batch) {
            break error;
        }
    };
    let named = matches!(&error, SpillError::Io { path, source, .. }
        if path == writer.slot.path() && source.kind() == std::io::ErrorKind::StorageFull);
    drop(writer);
    let left = fs::read_dir(dir.path()).unwrap().count();
    drop(dir);
    let empty = fs::read_dir(&disk).unwrap().count() == 0;
    let unmounted = Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    assert!(named, "{error}");
    assert_eq!(left, 2, "lock and marker only");
    assert!(empty);
}

#[test]
fn files_with_small_pages_are_read_side_by_side_in_little_memory() {
    use parquet::column::page::Page;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    let f = Fixture::new(256 << 20);
    let dir = f.dir(None);
    let texts = (0..60_000).map(|n| format!("{n:012}"));
    let run = RecordBatch::try_from_iter([
        (
            "category",
            Arc::new(StringArray::from_iter_values(texts)) as ArrayRef,
        ),
        (
            "count",
            Arc::new(Int64Array::from_iter_values((0..60_000).map(|n| n * n))),
        ),
    ])
    .unwrap();
    let mut leased = Vec::new();
    for pages in [SpillPages::Small, SpillPages::Large] {
        let lz4 = SpillCompression::Lz4;
        let mut writer = SpillWriter::create(&dir, &run.schema(), &f.budget, lz4, pages).unwrap();
        writer.write(&run).unwrap();
        let file = writer.finish().unwrap();
        assert_eq!(read_all(&file), run);

        let reader = file.read(None, 1000).unwrap();
        leased.push(f.budget.usage().leased_bytes);
        drop(reader);

        let parquet = SerializedFileReader::new(fs::File::open(file.path()).unwrap()).unwrap();
        let group = parquet.get_row_group(0).unwrap();
        for column in 0..2 {
            let mut found = group.get_column_page_reader(column).unwrap();
            let mut count = 0;
            while let Some(page) = found.get_next_page().unwrap() {
                if let Page::DictionaryPage { .. } = page {
                    assert_eq!(pages, SpillPages::Large);
                    continue;
                }
                assert!(
                    page.buffer().len() <= 2 * pages.bytes(),
                    "{pages:?}: {}",
                    page.buffer().len()
                );
                count += 1;
            }
            assert!(count > 1, "{pages:?}, column {column}");
        }
    }
    let [small, large] = leased.try_into().unwrap();
    assert!(small <= 2 * 4 * SpillPages::Small.bytes());
    assert!(small * 4 < large, "{small} {large}");
}
