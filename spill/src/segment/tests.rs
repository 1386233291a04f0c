#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema};

use super::*;
use crate::Pond;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
    ]))
}

fn batch(from: i64, rows: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + rows));
    let names: ArrayRef = Arc::new(StringArray::from_iter(
        (from..from + rows).map(|i| (i % 7 != 0).then(|| format!("name {i}"))),
    ));
    RecordBatch::try_new(schema(), vec![ids, names]).unwrap()
}

struct Fixture {
    root: tempfile::TempDir,
    budget: MemoryBudget,
}

fn fixture(limit: usize) -> Fixture {
    Fixture {
        root: tempfile::tempdir().unwrap(),
        budget: MemoryBudget::new(limit),
    }
}

impl Fixture {
    fn dir(&self) -> Arc<SpillDir> {
        Arc::new(SpillDir::lasting(&self.root.path().join("rows"), None).unwrap())
    }

    fn segment(&self, dir: &Arc<SpillDir>, name: &str, from: i64, rows: i64) -> Segment {
        let mut writer = SegmentWriter::create(dir, name, &schema(), &self.budget).unwrap();
        for at in (from..from + rows).step_by(100) {
            writer.push(&batch(at, 100)).unwrap();
        }
        assert_eq!(writer.rows(), rows as u64);
        writer.finish().unwrap()
    }
}

fn rows(replay: Replay) -> RecordBatch {
    let batches: Vec<_> = replay.map(Result::unwrap).collect();
    concat_batches(&schema(), &batches).unwrap()
}

#[test]
fn a_later_process_finds_the_rows() {
    let place = fixture(64 << 20);
    let dir = place.dir();
    let first = place.segment(&dir, "a.parquet", 0, 1000);
    let second = place.segment(&dir, "b.parquet", 1000, 500);
    let known = [first.known(), second.known()];
    first.keep();
    second.keep();
    drop((first, second, dir));

    let dir = place.dir();
    let adopted = ["a.parquet", "b.parquet"]
        .into_iter()
        .zip(known)
        .map(|(name, known)| Segment::adopt(&dir, name, &schema(), known, &place.budget).unwrap());
    let pond = Pond::of_segments(schema(), adopted, place.budget.clone(), Arc::clone(&dir));
    assert_eq!(pond.rows(), 1500);
    assert_eq!(pond.memory_bytes(), 0);
    assert_eq!(pond.spilled_bytes(), dir.live_bytes());
    assert_eq!(rows(pond.replay(None, 333).unwrap()), batch(0, 1500));
    drop(pond);
    assert!(place.root.path().join("rows/a.parquet").exists());
}

#[test]
fn a_segment_nobody_kept_leaves_nothing() {
    let place = fixture(64 << 20);
    let dir = place.dir();
    let unfinished = SegmentWriter::create(&dir, "a.parquet", &schema(), &place.budget).unwrap();
    let finished = place.segment(&dir, "b.parquet", 0, 100);
    drop((unfinished, finished));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert_eq!(dir.live_bytes(), 0);
}

#[test]
fn rows_stay_in_memory_only_while_there_is_room() {
    for (limit, expected) in [(64 << 20, true), (16 << 10, false)] {
        let place = fixture(limit);
        let dir = place.dir();
        let segment = place.segment(&dir, "a.parquet", 0, 2000);
        assert_eq!(rows(segment.replay(None, 500).unwrap()), batch(0, 2000));
        let mut pond = Pond::of_segments(schema(), [segment], place.budget.clone(), dir);
        assert_eq!(pond.memory_bytes() > 0, expected, "limit {limit}");
        let held = pond.memory_bytes();
        assert_eq!(pond.shed().unwrap(), held);
        assert_eq!(pond.memory_bytes(), 0);
        assert_eq!(rows(pond.replay(None, 500).unwrap()), batch(0, 2000));
    }
}

#[test]
fn a_changed_file_is_not_adopted() {
    let place = fixture(64 << 20);
    let dir = place.dir();
    let segment = place.segment(&dir, "a.parquet", 0, 1000);
    let known = segment.known();
    segment.keep();
    drop(segment);
    let path = dir.path().join("a.parquet");
    let adopt = || Segment::adopt(&dir, "a.parquet", &schema(), known, &place.budget).map(|_| ());

    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&path, flipped).unwrap();
    assert!(matches!(adopt(), Err(SpillError::Corrupt { .. })));
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(adopt(), Err(SpillError::Corrupt { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(adopt(), Err(SpillError::Missing { .. })));
    fs::write(&path, whole).unwrap();
    adopt().unwrap();
}

#[test]
fn lasting_directories_are_private_and_never_links() {
    let place = fixture(1 << 20);
    let dir = place.dir();
    let mode = fs::metadata(dir.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let link = place.root.path().join("link");
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    assert!(matches!(
        SpillDir::lasting(&link, None),
        Err(SpillError::Io { .. })
    ));
}
