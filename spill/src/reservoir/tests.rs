#![allow(clippy::unwrap_used)]

use std::fs;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use proptest::prelude::*;

use super::*;
use crate::test_rows::{Dice, every_type, random_batch, schema_of};

struct Fixture {
    root: tempfile::TempDir,
    budget: MemoryBudget,
    dir: Arc<SpillDir>,
}

fn fixture(limit: usize) -> Fixture {
    let root = tempfile::tempdir().unwrap();
    let dir = Arc::new(SpillDir::create(root.path(), None).unwrap());
    Fixture {
        root,
        budget: MemoryBudget::new(limit),
        dir,
    }
}

impl Fixture {
    fn reservoir(&self, schema: &SchemaRef) -> Reservoir {
        Reservoir::new(schema.clone(), self.budget.clone(), Arc::clone(&self.dir))
    }

    fn files(&self) -> usize {
        // Lock and marker do not count.
        fs::read_dir(self.dir.path()).unwrap().count() - 2
    }
}

/// All rows in one batch, dictionaries as plain values: an entry can be null in two ways, and one batch may have more
/// values than a narrow key can tell apart.
fn joined(schema: &SchemaRef, batches: &[RecordBatch]) -> RecordBatch {
    let fields = schema.fields().iter().map(|f| {
        let plain = plain_type(f.data_type());
        f.as_ref().clone().with_data_type(plain)
    });
    let plain: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batches: Vec<_> = batches
        .iter()
        .map(|batch| {
            let columns = batch.columns().iter().zip(plain.fields());
            let columns = columns.map(|(c, f)| cast(c, f.data_type()).unwrap());
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(plain.clone(), columns.collect(), &options).unwrap()
        })
        .collect();
    concat_batches(&plain, &batches).unwrap()
}

fn plain_type(data_type: &DataType) -> DataType {
    let inner = |f: &Arc<Field>| {
        let plain = plain_type(f.data_type());
        Arc::new(f.as_ref().clone().with_data_type(plain))
    };
    match data_type {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        DataType::List(f) => DataType::List(inner(f)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}

fn replayed(pond: &Pond, projection: Option<&[usize]>, batch_rows: usize) -> Vec<RecordBatch> {
    let replay = pond.replay(projection, batch_rows).unwrap();
    let schema = replay.schema().clone();
    let batches: Vec<_> = replay.map(Result::unwrap).collect();
    for batch in &batches {
        assert_eq!(batch.schema(), schema);
        assert!((1..=batch_rows).contains(&batch.num_rows()));
    }
    batches
}

fn numbers(from: i64, rows: i64) -> RecordBatch {
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + rows));
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(
        (from..from + rows).map(|i| format!("row {i}")),
    ));
    RecordBatch::try_from_iter([("id", id), ("text", text)]).unwrap()
}

fn ids(batches: &[RecordBatch]) -> Vec<i64> {
    let column = |b: &RecordBatch| {
        b.column(0).to_data().buffers()[0].typed_data::<i64>()[b.column(0).to_data().offset()..]
            [..b.num_rows()]
            .to_vec()
    };
    batches.iter().flat_map(column).collect()
}

/// What happens between two batches.
#[derive(Debug, Clone, Copy)]
enum Between {
    Nothing,
    Shed,
    Crowd,
}

fn between() -> impl Strategy<Value = Between> {
    prop_oneof![
        6 => Just(Between::Nothing),
        1 => Just(Between::Shed),
        1 => Just(Between::Crowd),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_goes_in_comes_out(
        seed: u64,
        kinds in prop::collection::vec(0..every_type().len(), 1..6),
        steps in prop::collection::vec((0usize..400, between()), 0..8),
        batch_rows in prop_oneof![1usize..40, 100usize..1000],
        shed_pond: bool,
    ) {
        let mut dice = Dice::new(seed);
        let types: Vec<_> = kinds.iter().map(|k| every_type()[*k].clone()).collect();
        let schema = schema_of(&types);
        let f = fixture(8 << 20);
        let mut reservoir = f.reservoir(&schema);
        let mut batches = Vec::new();
        let mut crowd = None;
        for (rows, between) in steps {
            let batch = random_batch(&schema, rows, &mut dice);
            reservoir.push(batch.clone()).unwrap();
            batches.push(batch);
            match between {
                Between::Nothing => {}
                Between::Shed => { reservoir.shed().unwrap(); }
                Between::Crowd => {
                    let taken = f.budget.usage().leased_bytes;
                    let free = f.budget.shares().leased_bytes.saturating_sub(taken);
                    crowd = f.budget.try_lease("crowd", free).ok().or(crowd);
                }
            }
        }
        let mut pond = reservoir.finish().unwrap();
        if shed_pond {
            pond.shed().unwrap();
            prop_assert_eq!(pond.memory_bytes(), 0);
        }
        let expected = joined(&schema, &batches);
        prop_assert_eq!(pond.rows(), expected.num_rows() as u64);
        prop_assert_eq!(&joined(&schema, &replayed(&pond, None, batch_rows)), &expected);

        // Some columns, in another order, one of them twice.
        let projection: Vec<usize> = (0..kinds.len() + 1).map(|_| dice.below(kinds.len())).collect();
        let some: SchemaRef = schema.project(&projection).unwrap().into();
        let back = joined(&some, &replayed(&pond, Some(&projection), batch_rows));
        prop_assert_eq!(back, expected.project(&projection).unwrap());

        let none: usize = replayed(&pond, Some(&[]), batch_rows).iter().map(RecordBatch::num_rows).sum();
        prop_assert_eq!(none, expected.num_rows());
        drop((pond, crowd));
        prop_assert_eq!((f.files(), f.budget.used()), (0, 0));
    }
}

#[test]
fn every_type_survives_the_file() {
    let types = every_type();
    let schema = schema_of(&types);
    let f = fixture(64 << 20);
    let mut dice = Dice::new(7);
    let mut reservoir = f.reservoir(&schema);
    let batches: Vec<_> = (0..3)
        .map(|_| random_batch(&schema, 700, &mut dice))
        .collect();
    for batch in &batches {
        reservoir.push(batch.clone()).unwrap();
        reservoir.shed().unwrap();
    }
    let pond = reservoir.finish().unwrap();
    assert_eq!((pond.memory_bytes(), f.files()), (0, 1));
    let (back, sent) = (
        joined(&schema, &replayed(&pond, None, 512)),
        joined(&schema, &batches),
    );
    for (i, data_type) in types.iter().enumerate() {
        assert_eq!(
            back.column(i).to_data(),
            sent.column(i).to_data(),
            "{data_type}"
        );
    }
}

#[test]
fn what_was_in_memory_stays_there_when_the_budget_says_no() {
    let f = fixture(4 << 20);
    let schema = numbers(0, 0).schema();
    let mut reservoir = f.reservoir(&schema);
    let mut pushed = 0;
    while f.files() == 0 {
        reservoir.push(numbers(pushed, 2000)).unwrap();
        pushed += 2000;
    }
    let kept = reservoir.memory_bytes();
    assert!(kept > f.budget.shares().leased_bytes / 2);
    for _ in 0..5 {
        reservoir.push(numbers(pushed, 2000)).unwrap();
        pushed += 2000;
    }
    assert_eq!(reservoir.memory_bytes(), kept);
    assert!(f.budget.used() <= f.budget.shares().counted_bytes);
    let pond = reservoir.finish().unwrap();
    assert!(pond.spilled_bytes() > 0 && pond.memory_bytes() == kept);
    assert_eq!(
        ids(&replayed(&pond, Some(&[0]), 777)),
        (0..pushed).collect::<Vec<_>>()
    );
}

#[test]
fn shedding_after_the_tail_began_keeps_the_order() {
    let f = fixture(4 << 20);
    let mut reservoir = f.reservoir(&numbers(0, 0).schema());
    let mut pushed = 0;
    while f.files() == 0 {
        reservoir.push(numbers(pushed, 2000)).unwrap();
        pushed += 2000;
    }
    assert!(reservoir.shed().unwrap() > 0);
    assert_eq!(reservoir.shed().unwrap(), 0);
    assert_eq!((reservoir.memory_bytes(), f.files()), (0, 2));
    reservoir.push(numbers(pushed, 10)).unwrap();
    pushed += 10;
    let pond = reservoir.finish().unwrap();
    assert_eq!(
        ids(&replayed(&pond, None, 999)),
        (0..pushed).collect::<Vec<_>>()
    );
}

#[test]
fn critical_pressure_moves_rows_to_disk() {
    let f = fixture(16 << 20);
    let mut reservoir = f.reservoir(&numbers(0, 0).schema());
    let mut pushed = 0;
    while reservoir.memory_bytes() <= f.budget.shares().floor_bytes {
        reservoir.push(numbers(pushed, 2000)).unwrap();
        pushed += 2000;
    }
    f.budget.set_pressure(Pressure::Critical);
    reservoir.push(numbers(pushed, 2000)).unwrap();
    pushed += 2000;
    assert_eq!(reservoir.memory_bytes(), 0);
    let pond = reservoir.finish().unwrap();
    assert_eq!(
        ids(&replayed(&pond, None, 5000)),
        (0..pushed).collect::<Vec<_>>()
    );
}

#[test]
fn a_projected_message_is_leased_at_its_own_size() {
    let f = fixture(64 << 20);
    let mut bytes = Vec::new();
    let whole = numbers(0, 50_000);
    let mut writer = StreamWriter::try_new(&mut bytes, &whole.schema()).unwrap();
    writer.write(&whole).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let message = StreamReader::try_new(bytes.as_slice(), None)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let one = message.project(&[0]).unwrap().slice(0, 5000);
    let mut reservoir = f.reservoir(&one.schema());
    reservoir.push(one).unwrap();
    assert!(
        (40_000..42_000).contains(&reservoir.memory_bytes()),
        "{}",
        reservoir.memory_bytes()
    );
}

#[test]
fn batches_that_share_memory_are_leased_once() {
    let f = fixture(64 << 20);
    let whole = numbers(0, 10_000);
    let mut reservoir = f.reservoir(&whole.schema());
    reservoir.push(whole.clone()).unwrap();
    reservoir.push(whole.slice(100, 9900)).unwrap();
    let alone = crate::batch_size::batch_memory_bytes(&whole);
    assert_eq!(reservoir.memory_bytes(), alone + 4 * COLUMN_OVERHEAD_BYTES);
}

#[test]
fn replays_are_independent_and_outlive_the_pond() {
    let f = fixture(4 << 20);
    let mut reservoir = f.reservoir(&numbers(0, 0).schema());
    let mut pushed = 0;
    while f.files() == 0 {
        reservoir.push(numbers(pushed, 3000)).unwrap();
        pushed += 3000;
    }
    let mut pond = reservoir.finish().unwrap();
    let mut first = pond.replay(None, 1000).unwrap();
    let second = pond.replay(Some(&[0]), 4000).unwrap();
    let head = first.next().unwrap().unwrap();
    pond.shed().unwrap();
    drop(pond);
    let mut batches = vec![head];
    batches.extend(first.map(Result::unwrap));
    assert_eq!(ids(&batches), (0..pushed).collect::<Vec<_>>());
    let second = std::thread::spawn(move || second.map(Result::unwrap).collect::<Vec<_>>());
    assert_eq!(
        ids(&second.join().unwrap()),
        (0..pushed).collect::<Vec<_>>()
    );
    assert_eq!((f.files(), f.budget.used()), (0, 0));
}

#[test]
fn any_flipped_bit_is_an_error_and_never_a_wrong_row() {
    let f = fixture(4 << 20);
    let mut reservoir = f.reservoir(&numbers(0, 0).schema());
    reservoir.push(numbers(0, 3000)).unwrap();
    reservoir.shed().unwrap();
    let pond = reservoir.finish().unwrap();
    let path = fs::read_dir(f.dir.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some())
        .unwrap();
    let good = fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(good.len() / 150 + 1) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&path, bad).unwrap();
        let results: Result<Vec<_>, _> = match pond.replay(None, 500) {
            Ok(replay) => replay.collect(),
            Err(error) => Err(error),
        };
        let error = results.unwrap_err();
        assert!(
            matches!(&error, SpillError::Corrupt { path: p, .. } if *p == path),
            "byte {at}: {error}"
        );
        assert!(error.to_string().contains("rows-000000.parquet"));
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(
        ids(&replayed(&pond, None, 500)),
        (0..3000).collect::<Vec<_>>()
    );
    fs::remove_file(&path).unwrap();
    let mut replay = pond.replay(None, 500).unwrap();
    assert!(matches!(
        replay.next(),
        Some(Err(SpillError::Missing { .. }))
    ));
    assert!(replay.next().is_none());
}

#[test]
fn a_batch_of_another_schema_is_refused_and_harms_nothing() {
    let f = fixture(4 << 20);
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("text", DataType::Utf8, true),
    ]));
    let mut reservoir = f.reservoir(&schema);
    let odd: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let odd = RecordBatch::try_from_iter([("id", odd)]).unwrap();
    let error = reservoir.push(odd).unwrap_err();
    assert_eq!(
        error.to_string(),
        "batch has columns [id Int32 not null] but the reservoir holds [id Int64 not null, text Utf8]"
    );
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![None])),
        Arc::new(StringArray::from(vec!["x"])),
    ];
    let null = RecordBatch::try_from_iter_with_nullable([
        ("id", columns[0].clone(), true),
        ("text", columns[1].clone(), true),
    ]);
    assert!(matches!(
        reservoir.push(null.unwrap()),
        Err(SpillError::SchemaMismatch { .. })
    ));
    // Nullability alone does not matter.
    reservoir.push(numbers(5, 2)).unwrap();
    let pond = reservoir.finish().unwrap();
    let back = replayed(&pond, None, 10);
    assert_eq!((ids(&back), back[0].schema()), (vec![5, 6], schema));
}

#[test]
fn rows_without_columns_are_counted() {
    let f = fixture(4 << 20);
    let none = numbers(0, 7).project(&[]).unwrap();
    let mut reservoir = f.reservoir(&none.schema());
    reservoir.push(none.clone()).unwrap();
    reservoir.shed().unwrap();
    reservoir.push(none).unwrap();
    let pond = reservoir.finish().unwrap();
    let rows: Vec<_> = replayed(&pond, None, 5)
        .iter()
        .map(RecordBatch::num_rows)
        .collect();
    assert_eq!((pond.rows(), rows), (14, vec![5, 5, 4]));
}

#[test]
fn an_empty_reservoir_and_wrong_requests() {
    let f = fixture(4 << 20);
    let mut reservoir = f.reservoir(&numbers(0, 0).schema());
    reservoir.push(numbers(0, 0)).unwrap();
    let pond = reservoir.finish().unwrap();
    assert_eq!(pond.replay(None, 10).unwrap().count(), 0);
    assert!(matches!(
        pond.replay(Some(&[2]), 10),
        Err(SpillError::ProjectionOutOfRange {
            index: 2,
            columns: 2
        })
    ));
    assert!(matches!(
        pond.replay(None, 0),
        Err(SpillError::ZeroBatchRows)
    ));
    drop(pond);
    let dir = f.dir.path().to_owned();
    drop(f.dir);
    assert!(!dir.exists() && f.root.path().exists());
}

#[test]
fn a_failed_spill_leaves_no_hole() {
    let f = fixture(4 << 20);
    let small = Arc::new(SpillDir::create(f.root.path(), Some(1000)).unwrap());
    let schema = numbers(0, 0).schema();
    let mut reservoir = Reservoir::new(schema, f.budget.clone(), small);
    let mut failed = false;
    for i in 0..60 {
        match reservoir.push(numbers(i * 5000, 5000)) {
            Ok(()) => assert!(!failed, "a batch after a lost one"),
            Err(SpillError::QuotaExceeded { .. }) => failed = true,
            Err(SpillError::Abandoned { .. }) => assert!(failed),
            Err(other) => unreachable!("{other}"),
        }
    }
    assert!(failed);
    assert!(reservoir.finish().is_err());
    assert_eq!(f.budget.used(), 0);
}

#[test]
fn a_batch_that_found_no_place_is_counted_in_full_when_it_comes_again() {
    let f = fixture(4 << 20);
    let batch = numbers(0, 5000);
    let mut reservoir = f.reservoir(&batch.schema());
    let crowd = f
        .budget
        .try_lease("crowd", f.budget.shares().leased_bytes)
        .unwrap();
    fs::remove_dir_all(f.dir.path()).unwrap();
    assert!(matches!(
        reservoir.push(batch.clone()),
        Err(SpillError::Io { .. })
    ));
    drop(crowd);
    reservoir.push(batch.clone()).unwrap();
    assert!(reservoir.memory_bytes() >= crate::batch_size::batch_logical_bytes(&batch));
    assert_eq!(reservoir.finish().unwrap().rows(), 5000);
}
