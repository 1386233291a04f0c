#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::compute::{cast, concat_batches};
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
        let mut writer = self.writer(dir, name);
        let mut settled = Vec::new();
        for at in (from..from + rows).step_by(100) {
            settled.extend(writer.push(&batch(at, 100)).unwrap());
        }
        let (segment, last) = writer.finish().unwrap();
        settled.extend(last);
        assert_eq!(joined(settled), batch(from, rows));
        assert_eq!(segment.rows(), rows as u64);
        segment
    }

    fn writer(&self, dir: &Arc<SpillDir>, name: &str) -> SegmentWriter {
        SegmentWriter::create(dir, name, &schema(), &self.budget, &SeenTexts::default()).unwrap()
    }
}

fn rows(replay: Replay) -> RecordBatch {
    joined(replay.map(Result::unwrap))
}

/// One batch with plain texts.
fn joined(batches: impl IntoIterator<Item = RecordBatch>) -> RecordBatch {
    let plain = batches.into_iter().map(|batch| {
        let names = cast(batch.column(1), &DataType::Utf8).unwrap();
        RecordBatch::try_new(schema(), vec![batch.column(0).clone(), names]).unwrap()
    });
    concat_batches(&schema(), &plain.collect::<Vec<_>>()).unwrap()
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
    let unfinished = place.writer(&dir, "a.parquet");
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

fn texts(segment: &Segment) -> Vec<DataType> {
    let replay = segment.replay(None, 1000).unwrap();
    let mut types: Vec<_> = replay
        .map(|b| b.unwrap().column(1).data_type().clone())
        .collect();
    types.dedup();
    types
}

fn named(rows: usize, name: impl Fn(usize) -> String) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(name)));
    RecordBatch::try_new(schema(), vec![ids, names]).unwrap()
}

#[test]
fn texts_that_repeat_are_dictionaries_and_others_are_not() {
    let place = fixture(64 << 20);
    let dir = place.dir();
    let seen = SeenTexts::default();
    let segment = |name: &str, batches: &[RecordBatch]| {
        let mut writer =
            SegmentWriter::create(&dir, name, &schema(), &place.budget, &seen).unwrap();
        let mut settled = Vec::new();
        for batch in batches {
            settled.extend(writer.push(batch).unwrap());
        }
        let (segment, last) = writer.finish().unwrap();
        settled.extend(last);
        let whole = concat_batches(&schema(), batches).unwrap();
        assert_eq!(joined(settled), whole);
        let mut pond =
            Pond::of_segments(schema(), [segment], place.budget.clone(), Arc::clone(&dir));
        assert_eq!(rows(pond.replay(None, 700).unwrap()), whole);
        pond.shed().unwrap();
        assert_eq!(rows(pond.replay(None, 700).unwrap()), whole);
        let one = pond.replay(Some(&[1, 1]), 5000).unwrap();
        assert_eq!(
            one.map(|b| b.unwrap().num_rows()).sum::<usize>(),
            whole.num_rows()
        );
        pond
    };
    let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
    let types = |pond: &Pond| {
        let replay = pond.replay(None, 1000).unwrap();
        let mut types: Vec<_> = replay
            .map(|b| b.unwrap().column(1).data_type().clone())
            .collect();
        types.dedup();
        types
    };
    let repeating = named(6000, |i| format!("{}", i % 500));
    let long = named(6000, |i| {
        format!("a text that is longer than a view {}", i % 500)
    });
    assert_eq!(
        types(&segment("a", &[repeating.clone(), long])),
        std::slice::from_ref(&dictionary)
    );
    // So few rows tell nothing of columns that come in groups of twice as many.
    let few = named(5000, |i| format!("{}", i % 4200));
    assert_eq!(
        types(&segment("b", &[few])),
        std::slice::from_ref(&dictionary)
    );
    assert!(!seen.are_rare(1));
    // More than three of four texts are new: this segment has them in a dictionary that is read as plain texts, the next does without.
    let most = named(12_000, |i| format!("{}", i % 9500));
    assert_eq!(types(&segment("c", &[most])), [DataType::Utf8]);
    assert!(seen.are_rare(1));
    // Among twice as many rows they may repeat, as the one after next finds out.
    let more = vec![repeating; 4];
    assert_eq!(types(&segment("d", &more)), [DataType::Utf8]);
    assert!(!seen.are_rare(1));
    assert_eq!(types(&segment("e", &more)), [dictionary]);
}

#[test]
fn copies_in_memory_leave_writers_half_of_what_leases_may_have() {
    let place = fixture(64 << 20);
    let dir = place.dir();
    let most = place.budget.shares().leased_bytes / 2;
    let is_copied = |name: &str| {
        let mut writer = place.writer(&dir, name);
        writer.push(&named(1000, |i| format!("{}", i % 9))).unwrap();
        writer.finish().unwrap().0.memory.is_some()
    };
    assert!(is_copied("a"));
    // There would be room for more.
    let _others = place.budget.try_lease("others", most).unwrap();
    assert!(place.budget.try_lease("more", most / 2).is_ok());
    assert!(!is_copied("b"));
}

#[test]
fn a_column_of_keys_is_given_up_at_once() {
    let place = fixture(64 << 20);
    let dir = place.dir();
    let mut writer = place.writer(&dir, "a");
    let few = named(3000, |i| format!("key {i}"));
    let more = named(3000, |i| format!("other key {i}"));
    assert!(writer.push(&few).unwrap().is_empty());
    assert!(writer.push(&more).unwrap().is_empty());
    let (segment, settled) = writer.finish().unwrap();
    let whole = concat_batches(&schema(), &[few, more]).unwrap();
    assert_eq!(joined(settled), whole);
    assert_eq!(texts(&segment), [DataType::Utf8]);
    assert_eq!(rows(segment.replay(None, 4000).unwrap()), whole);
}

#[test]
fn what_is_interned_does_not_keep_the_batch() {
    let place = fixture(64 << 20);
    let dir = place.dir();
    let mut writer = place.writer(&dir, "a");
    let batch = named(5000, |i| {
        format!("one of few texts of some length {}", i % 3)
    });
    writer.push(&batch).unwrap();
    let texts = batch.column(1).get_buffer_memory_size();
    let held = place.budget.used();
    assert!(held < texts, "{held} bytes held for texts of {texts}");
}
