//! Reading saved features, whole and broken.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::Schema;
use proptest::prelude::*;

use super::*;
use crate::category::store::MemoryTable;
use crate::category::test_store::{all_rows, contents};
use crate::{
    Clip, DateParts, Drop, FeaturePlan, Log1p, MaxAbsScaler, MinMaxScaler, NoExpressions,
    OneHotEncoder, OrdinalEncoder, RobustScaler, Roles, SimpleImputer, SplitSpec, StandardScaler,
    TransformCounts, columns,
};

fn batch() -> RecordBatch {
    let words: Vec<String> = (0..3000).map(|i| format!("word {}", i % 1500)).collect();
    let number = |i: usize| (!i.is_multiple_of(5)).then_some(i as f64 / 3.0);
    RecordBatch::try_from_iter([
        (
            "n",
            Arc::new((0..3000).map(number).collect::<Float64Array>()) as ArrayRef,
        ),
        (
            "m",
            Arc::new(
                (0..3000)
                    .map(|i| (i % 7 != 0).then_some(i))
                    .collect::<Int64Array>(),
            ) as ArrayRef,
        ),
        (
            "e",
            Arc::new(Float64Array::from(vec![None; 3000])) as ArrayRef,
        ),
        ("w", Arc::new(StringArray::from(words)) as ArrayRef),
        (
            "s",
            Arc::new(StringArray::from_iter(
                (0..3000).map(|i| ["a", "b", "c"].get(i % 4)),
            )) as ArrayRef,
        ),
        (
            "t",
            Arc::new(
                TimestampMillisecondArray::from_iter((0..3000).map(|i| Some(i * 9_999_999)))
                    .with_timezone("UTC"),
            ) as ArrayRef,
        ),
        (
            "split",
            Arc::new(StringArray::from(vec!["train"; 3000])) as ArrayRef,
        ),
    ])
    .unwrap()
}

fn fitted() -> FittedFeatures {
    let batch = batch();
    let sets = [
        columns("n")
            .then(Clip::min(0.0))
            .then(Log1p)
            .then(SimpleImputer::mean().add_indicator())
            .then(StandardScaler::new()),
        columns("m")
            .then(RobustScaler::new())
            .then(MinMaxScaler::new().clipped())
            .then(MaxAbsScaler::new()),
        columns("e").then(SimpleImputer::median()).with_prefix("p_"),
        columns("w").then(OrdinalEncoder::by_frequency()),
        columns("s")
            .then(Drop::null_fraction_above(0.9))
            .then(SimpleImputer::most_frequent())
            .then(OneHotEncoder::default()),
        columns("t").then(DateParts::default()),
    ];
    let plan = FeaturePlan::try_new(
        &sets,
        &batch.schema(),
        &Roles::default(),
        OutputDtype::Float32,
        &NoExpressions,
    )
    .unwrap();
    let split: SplitSpec =
        serde_json::from_value(serde_json::json!({ "column": { "column": "split" } })).unwrap();
    let assignment = split.bind(&batch.schema()).unwrap().assign(&batch).unwrap();
    let mut fit = plan.fit();
    while fit.needs_pass() {
        let mut state = fit.state();
        state
            .update(0, &assignment.train_rows(&batch).unwrap())
            .unwrap();
        fit.finish_pass(vec![state]).unwrap();
    }
    fit.finish().unwrap()
}

#[test]
fn every_step_is_read_back() {
    let fitted = fitted();
    let artifact = fitted.to_artifact().unwrap();
    assert_eq!(artifact.tables.keys().collect::<Vec<_>>(), ["vocabulary-0"]);
    let text = serde_json::to_string_pretty(&artifact.json).unwrap();
    for word in [
        "mean_",
        "var_",
        "scale_",
        "statistics_",
        "n_samples_seen_",
        "Timestamp",
        "center_",
    ] {
        assert!(text.contains(word), "{word}");
    }
    let reread = FeaturesArtifact {
        json: serde_json::from_str(&text).unwrap(),
        tables: artifact.tables.clone(),
    };
    let reloaded = FittedFeatures::from_artifact(&reread, &NoExpressions).unwrap();
    assert_eq!(
        contents(&reloaded.to_artifact().unwrap()),
        contents(&artifact)
    );
    assert_eq!(reloaded.output_fields(), fitted.output_fields());
    let counts = &mut TransformCounts::default();
    assert_eq!(
        reloaded.transform(&batch(), counts).unwrap(),
        fitted.transform(&batch(), counts).unwrap()
    );
    let schema = Schema::new(fitted.output_fields().clone());
    RecordBatch::try_new(
        Arc::new(schema),
        fitted.transform(&batch(), counts).unwrap(),
    )
    .unwrap();
}

#[test]
fn foreign_and_future_files_are_refused() {
    let read = |json| {
        FittedFeatures::from_artifact(
            &FeaturesArtifact {
                json,
                tables: BTreeMap::new(),
            },
            &NoExpressions,
        )
    };
    assert!(matches!(read(json!({})), Err(ArtifactError::Format { .. })));
    assert!(matches!(
        read(json!({ "format": FORMAT, "version": 2 })),
        Err(ArtifactError::Version { .. })
    ));
    let mut artifact = fitted().to_artifact().unwrap();
    artifact.tables.clear();
    assert!(matches!(
        FittedFeatures::from_artifact(&artifact, &NoExpressions),
        Err(ArtifactError::MissingTable { .. })
    ));
}

/// Replaces, removes or doubles one node of a JSON tree, the `place`-th in order.
fn damage(json: &mut Value, place: &mut usize, with: &Value) -> bool {
    if *place == 0 {
        *json = with.clone();
        return true;
    }
    *place -= 1;
    match json {
        Value::Array(items) => {
            if *place == 0 && !items.is_empty() {
                let first = items[0].clone();
                items.push(first);
                return true;
            }
            items.iter_mut().any(|item| damage(item, place, with))
        }
        Value::Object(map) => {
            if *place == 0 {
                let key = map.keys().next().cloned();
                return key.is_some_and(|key| map.shift_remove(&key).is_some());
            }
            map.values_mut().any(|item| damage(item, place, with))
        }
        _ => false,
    }
}

#[test]
fn damaged_files_give_an_error_or_features_but_never_a_panic() {
    let artifact = fitted().to_artifact().unwrap();
    let batch = batch().slice(0, 50);
    let values = [
        Value::Null,
        json!(-1),
        json!(1e300),
        json!("nan"),
        json!("Utf8"),
        json!("Int64"),
        json!([]),
        json!({}),
        json!(true),
        json!("step"),
        json!(["inf", 3]),
        json!(u64::MAX),
    ];
    let mut read = 0;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let input = (0_usize..400, 0..values.len(), any::<bool>());
    let outcome = runner.run(&input, |(place, value, drop_tables)| {
        let mut damaged = artifact.clone();
        if drop_tables {
            damaged.tables.values_mut().for_each(|table| {
                *table = Arc::new(MemoryTable::new(all_rows(table.as_ref()).slice(0, 7)))
            });
        }
        damage(&mut damaged.json, &mut { place }, &values[value]);
        if let Ok(fitted) = FittedFeatures::from_artifact(&damaged, &NoExpressions) {
            let _ = fitted.transform(&batch, &mut TransformCounts::default());
        }
        Ok(())
    });
    outcome.unwrap();
    for place in 0..400 {
        let mut damaged = artifact.clone();
        damage(&mut damaged.json, &mut { place }, &json!(2.5));
        read += usize::from(FittedFeatures::from_artifact(&damaged, &NoExpressions).is_ok());
    }
    assert!(
        read > 0 && read < 400,
        "{read} of 400 damaged files are read"
    );
}
