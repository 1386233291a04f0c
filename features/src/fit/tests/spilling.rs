//! With a store, and whatever is put there when, exactly the same is learned as without.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use super::kit::{Table, fit, fit_spilling, plan, set};
use crate::category::test_store::{TestStore, contents};
use crate::{FitError, FittedFeatures, NoExpressions, TransformCounts};

fn encoders() -> Vec<Value> {
    let unknown = json!("use_encoded_value");
    vec![
        json!({ "ordinal_encoder": {} }),
        json!({ "ordinal_encoder": { "handle_unknown": unknown, "unknown_value": -1 } }),
        json!({ "ordinal_encoder": { "order": "frequency" } }),
        json!({ "ordinal_encoder": { "order": "frequency", "min_frequency": 2 } }),
        json!({ "ordinal_encoder": { "order": "frequency", "max_categories": 40, "missing": "keep" } }),
        json!({ "ordinal_encoder": { "order": "frequency", "max_categories": 1500, "missing": { "encoded": -7 } } }),
        json!({ "ordinal_encoder": { "min_frequency": 2, "handle_unknown": "infrequent" } }),
        json!({ "ordinal_encoder": { "max_categories": 1100, "handle_unknown": "infrequent", "missing": "category" } }),
        json!({ "ordinal_encoder": { "min_frequency": 0.0008, "handle_unknown": unknown, "unknown_value": -1, "missing": { "encoded": -2 } } }),
        json!({ "one_hot_encoder": { "max_categories": 4, "handle_unknown": "ignore" } }),
        json!({ "one_hot_encoder": { "min_frequency": 3, "handle_unknown": "infrequent_if_exist", "drop": "first" } }),
        json!({ "one_hot_encoder": { "max_categories": 1, "handle_unknown": "infrequent_if_exist", "drop": "first" } }),
        json!({ "one_hot_encoder": { "max_categories": 2, "drop": "if_binary" } }),
        json!({ "one_hot_encoder": { "handle_unknown": "error", "max_categories": 30 } }),
        json!({ "simple_imputer": "most_frequent" }),
        json!({ "simple_imputer": { "strategy": "most_frequent", "add_indicator": true } }),
    ]
}

/// A column of numbers below `distinct`, some of them null, in one of the forms a column can have.
fn column(numbers: &[u32], form: usize) -> ArrayRef {
    let numbers = numbers.iter().map(|n| (n % 23 != 0).then_some(*n));
    let texts = || -> ArrayRef {
        let text = |n: u32| match n % 3 {
            // A prefix of others, a long one, and one above ASCII.
            0 => format!("{n}"),
            1 => format!("{n:040}"),
            _ => format!("é{n}"),
        };
        Arc::new(
            numbers
                .clone()
                .map(|n| n.map(text))
                .collect::<StringArray>(),
        )
    };
    match form {
        0 => texts(),
        1 => cast(&texts(), &DataType::Utf8View).unwrap(),
        2 => {
            let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
            cast(&texts(), &dictionary).unwrap()
        }
        3 => Arc::new(
            numbers
                .map(|n| n.map(|n| i64::from(n) * 7 - 9_000))
                .collect::<Int64Array>(),
        ),
        _ => Arc::new(
            numbers
                .map(|n| n.map(|n| f64::from(n) / 8.0 - 100.0))
                .collect::<Float64Array>(),
        ),
    }
}

type Transformed = Result<(Vec<ArrayRef>, TransformCounts), String>;

fn transformed(fitted: &FittedFeatures, batch: &RecordBatch) -> Transformed {
    let mut counts = TransformCounts::default();
    fitted
        .transform(batch, &mut counts)
        .map(|features| (features, counts))
        .map_err(|error| error.to_string())
}

#[test]
fn any_schedule_of_spilling_learns_the_same() {
    let input = (
        (
            prop::collection::vec(0_u32..4_000, 1..3_500),
            0_usize..5,
            0..encoders().len(),
        ),
        prop::collection::vec(0_usize..6_000, 0..4),
        prop::collection::vec(0_usize..6_000, 0..5),
        prop::collection::vec(
            prop_oneof![Just(0), 1_usize..200_000, Just(usize::MAX)],
            1..5,
        ),
        1_usize..4,
        prop_oneof![Just(0), 0_usize..300_000, Just(usize::MAX)],
    );
    let mut runner = TestRunner::new(Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    });
    let (stored, spilled) = (Cell::new(0), Cell::new(0));
    let outcome = runner.run(
        &input,
        |((numbers, form, step), mut units, mut cuts, schedule, workers, in_memory_bytes)| {
            units.sort_unstable();
            cuts.sort_unstable();
            let steps = &encoders()[step];
            let table = Table::new(column(&numbers, form), |row| row % 5 != 4);
            let plan = match plan(&set(json!([steps])), &table.batch) {
                Ok(plan) => plan,
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            };
            let unit = |rows: RecordBatch| Table { batch: rows }.cut(&cuts);
            let units: Vec<Vec<RecordBatch>> = table.cut(&units).into_iter().map(unit).collect();
            let store = Arc::new(TestStore::new());
            let with_store = plan
                .fit()
                .with_store(Arc::new(Arc::clone(&store)), in_memory_bytes);
            let most_bytes = |batch: usize| schedule[batch % schedule.len()];
            let worker = |unit| unit * 3;
            let plainly = fit(&plan, &units, workers, worker);
            let spilling = fit_spilling(with_store, &plan, &units, workers, worker, most_bytes);
            let (plainly, spilling) = match (plainly, spilling) {
                (Ok(plainly), Ok(spilling)) => (plainly, spilling),
                (plainly, spilling) => {
                    let text =
                        |fitted: Result<_, FitError>| fitted.map(|_| ()).map_err(|e| e.to_string());
                    prop_assert_eq!(text(plainly), text(spilling));
                    return Ok(());
                }
            };
            spilled.set(spilled.get() + usize::from(store.tables.load(Ordering::SeqCst) > 0));
            let artifact = spilling.to_artifact().unwrap();
            prop_assert_eq!(
                contents(&plainly.to_artifact().unwrap()),
                contents(&artifact)
            );
            prop_assert_eq!(plainly.output_fields(), spilling.output_fields());
            let again = FittedFeatures::from_artifact(&artifact, &NoExpressions).unwrap();
            prop_assert_eq!(contents(&again.to_artifact().unwrap()), contents(&artifact));
            let unseen: Vec<u32> = numbers.iter().map(|n| n * 2).collect();
            for batch in [
                table.batch.clone(),
                Table::new(column(&unseen, form), |_| true).batch,
            ] {
                let expected = transformed(&plainly, &batch);
                prop_assert_eq!(&transformed(&spilling, &batch), &expected);
                prop_assert_eq!(&transformed(&again, &batch), &expected);
            }
            let in_store = !artifact.tables.is_empty() && in_memory_bytes == 0;
            stored.set(stored.get() + usize::from(in_store));
            drop((spilling, artifact));
            prop_assert_eq!(store.reserved.load(Ordering::SeqCst), 0);
            Ok(())
        },
    );
    outcome.unwrap();
    let (spilled, stored) = (spilled.get(), stored.get());
    assert!(
        spilled > 20 && stored > 1,
        "{spilled} spilled, {stored} stayed in the store"
    );
}

fn many(rows: u32) -> Table {
    let numbers: Vec<u32> = (0..rows)
        .map(|n| n.wrapping_mul(2_654_435_761) >> 12)
        .collect();
    Table::new(column(&numbers, 0), |_| true)
}

#[test]
fn a_vocabulary_in_the_store_takes_sixteen_bytes_a_category() {
    let table = many(20_000);
    let plan = plan(&set(json!([{ "ordinal_encoder": {} }])), &table.batch).unwrap();
    let store = Arc::new(TestStore::new());
    let learn = |in_memory_bytes| {
        let fit = plan
            .fit()
            .with_store(Arc::new(Arc::clone(&store)), in_memory_bytes);
        let units = [vec![table.batch.clone()]];
        fit_spilling(fit, &plan, &units, 1, |_| 0, |_| usize::MAX).unwrap()
    };
    let whole = learn(usize::MAX);
    assert!(
        whole.memory_bytes() > 20_000 * 40,
        "{}",
        whole.memory_bytes()
    );
    drop(whole);
    let compact = learn(0);
    let bytes = compact.memory_bytes();
    assert!((20_000 * 16..20_000 * 20).contains(&bytes), "{bytes}");
    assert_eq!(store.reserved.load(Ordering::SeqCst), bytes);
    let copy = compact.clone();
    drop(compact);
    assert_eq!(store.reserved.load(Ordering::SeqCst), bytes);
    drop(copy);
    assert_eq!(store.reserved.load(Ordering::SeqCst), 0);
}

#[test]
fn a_store_that_fails_ends_the_fit_with_its_error() {
    let table = many(5_000);
    let plan = plan(&set(json!([{ "ordinal_encoder": {} }])), &table.batch).unwrap();
    let units = [table.cut(&[1_000, 2_000, 3_000])];
    let attempt = |store: TestStore| {
        let fit = plan.fit().with_store(Arc::new(Arc::new(store)), 0);
        fit_spilling(fit, &plan, &units, 1, |_| 0, |_| 0)
    };
    let mut failures = 0;
    for operations in 0.. {
        match attempt(TestStore::failing_after(operations)) {
            Ok(_) => break,
            Err(FitError::Category { column, source }) => {
                assert_eq!(column, "x");
                assert!(matches!(source, crate::CategoryError::Store(_)), "{source}");
                failures += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(failures > 20, "{failures}");
    let small = TestStore {
        most_bytes: 1000,
        ..TestStore::new()
    };
    let refused = attempt(small).unwrap_err();
    assert!(refused.to_string().contains("column `x`"), "{refused}");
}
