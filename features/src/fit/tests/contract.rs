//! What every step promises, whatever the data.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, NullArray, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt8Array,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::DataType;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::kit::{Table, fit, fit_whole, plan, set, transform};
use crate::category::test_store::contents;
use crate::{FittedFeatures, NoExpressions, TransformCounts};

/// Every step with every kind of option, alone and in chains.
fn numeric_chains() -> Vec<Value> {
    vec![
        json!([]),
        json!(["log1p"]),
        json!(["sqrt", "abs", { "clip": { "min": -1, "max": 2 } }]),
        json!([{ "simple_imputer": "mean" }]),
        json!([{ "simple_imputer": { "strategy": "median", "add_indicator": true } }]),
        json!([{ "simple_imputer": { "strategy": "median", "quantiles": "approximate", "keep_empty_features": true } }]),
        json!([{ "simple_imputer": "most_frequent" }]),
        json!([{ "simple_imputer": { "strategy": "constant", "fill_value": -3 } }]),
        json!(["standard_scaler"]),
        json!([{ "standard_scaler": { "with_mean": false, "with_std": false } }]),
        json!([{ "min_max_scaler": { "clip": true } }]),
        json!(["max_abs_scaler"]),
        json!(["robust_scaler"]),
        json!([{ "robust_scaler": { "quantiles": "approximate", "unit_variance": true } }]),
        json!([{ "clip": { "min": 0 } }, "log1p", { "simple_imputer": "mean" }, "standard_scaler"]),
        json!([{ "simple_imputer": { "add_indicator": true } }, "abs", "min_max_scaler", "robust_scaler", "standard_scaler"]),
        json!([{ "drop": { "null_fraction_above": 0.5 } }, { "simple_imputer": "median" }, "standard_scaler"]),
        json!(["drop"]),
        json!([{ "ordinal_encoder": { "order": "frequency", "min_frequency": 2 } }, "standard_scaler"]),
        json!([{ "one_hot_encoder": { "handle_unknown": "ignore", "max_categories": 3 } }]),
        json!([{ "one_hot_encoder": { "handle_unknown": "ignore" } }, "standard_scaler"]),
    ]
}

fn text_chains() -> Vec<Value> {
    vec![
        json!([]),
        json!([{ "simple_imputer": "most_frequent" }]),
        json!([{ "simple_imputer": { "strategy": "constant", "add_indicator": true } }]),
        json!([{ "drop": { "null_fraction_above": 0.3 } }, { "ordinal_encoder": { "order": "frequency" } }]),
        json!([{ "simple_imputer": "most_frequent" }, { "one_hot_encoder": { "handle_unknown": "ignore" } }, "standard_scaler"]),
        json!([{ "ordinal_encoder": { "handle_unknown": "use_encoded_value", "unknown_value": -1 } }, { "simple_imputer": "median" }]),
    ]
}

fn time_chains() -> Vec<Value> {
    vec![
        json!([{ "date_parts": { "parts": ["hour", "day_of_week"], "encoding": "cyclic" } }, { "simple_imputer": "mean" }]),
        json!([{ "date_parts": { "parts": ["year", "month"] } }, "standard_scaler", { "simple_imputer": { "add_indicator": true } }]),
    ]
}

fn assert_same(one: &RecordBatch, other: &RecordBatch, why: &str) {
    assert_eq!(one.schema(), other.schema(), "{why}");
    for (left, right) in one.columns().iter().zip(other.columns()) {
        let bits = |array: &ArrayRef| -> Vec<Option<u64>> {
            let floats = array.as_any().downcast_ref::<Float64Array>();
            floats
                .map(|floats| floats.iter().map(|x| x.map(f64::to_bits)).collect())
                .unwrap_or_default()
        };
        assert_eq!(left, right, "{why}");
        assert_eq!(bits(left), bits(right), "{why}");
    }
}

fn artifact(fitted: &FittedFeatures) -> String {
    serde_json::to_string(&fitted.to_artifact().unwrap().json).unwrap()
}

/// Fits whole, then in pieces and over workers, saves, reloads and transforms in pieces.
fn assert_step_contract(
    steps: &Value,
    table: &Table,
    units: &[usize],
    cuts: &[usize],
    workers: usize,
    turn: usize,
) {
    let set = set(steps.clone());
    let plan = plan(&set, &table.batch).unwrap();
    let of_units = |copy: bool, cuts: &[usize]| -> Vec<Vec<RecordBatch>> {
        let source = if copy { table.copied() } else { table.clone() };
        let unit = |rows: RecordBatch| Table { batch: rows }.cut(cuts);
        source.cut(units).into_iter().map(unit).collect()
    };
    let whole = fit(&plan, &of_units(true, &[]), 1, |_| 0);
    let pieces = fit(&plan, &of_units(false, cuts), workers, |unit| {
        unit * 7 + turn
    });
    let (whole, pieces) = match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => (whole, pieces),
        (Err(one), Err(other)) => {
            assert_eq!(one.to_string(), other.to_string(), "{steps}");
            return;
        }
        (one, other) => panic!("{steps}: {one:?} but {other:?}"),
    };
    assert_eq!(artifact(&whole), artifact(&pieces), "{steps}");

    let saved = whole.to_artifact().unwrap();
    let text = serde_json::to_string(&saved.json).unwrap();
    let reread = crate::FeaturesArtifact {
        json: serde_json::from_str(&text).unwrap(),
        tables: saved.tables.clone(),
    };
    let reloaded = FittedFeatures::from_artifact(&reread, &NoExpressions).unwrap();
    assert_eq!(
        contents(&reloaded.to_artifact().unwrap()),
        contents(&saved),
        "{steps}"
    );
    assert_eq!(reloaded.dropped(), whole.dropped());
    assert_eq!(reloaded.input_columns(), whole.input_columns());

    let expected = whole.transform(&table.batch, &mut TransformCounts::default());
    let Ok(_) = expected else { return };
    let expected = transform(&whole, &table.batch);
    assert_same(
        &expected,
        &transform(&reloaded, &table.copied().batch),
        &steps.to_string(),
    );
    let parts: Vec<RecordBatch> = table
        .cut(cuts)
        .iter()
        .map(|part| transform(&pieces, part))
        .collect();
    if expected.num_columns() > 0 {
        assert_same(
            &expected,
            &concat_batches(&expected.schema(), &parts).unwrap(),
            &steps.to_string(),
        );
    }
    assert!(
        expected.num_columns() > 0 || !whole.dropped().is_empty(),
        "{steps}: a column is gone without a word"
    );
}

fn floats(values: Vec<Option<f64>>) -> ArrayRef {
    Arc::new(Float64Array::from(values))
}

fn edge_columns() -> Vec<ArrayRef> {
    let many: Vec<Option<f64>> = (0..5000)
        .map(|i| (i % 7 != 0).then(|| f64::from(i * 37 % 1001) / 7.0 - 20.0))
        .collect();
    vec![
        floats(vec![]),
        floats(vec![Some(2.5)]),
        floats(vec![None]),
        floats(vec![None; 130]),
        floats(vec![Some(0.1); 130]),
        floats(vec![Some(f64::NAN); 3]),
        floats(
            (0..200)
                .map(|i| (i % 3 == 0).then_some(if i % 2 == 0 { f64::NAN } else { 4.0 }))
                .collect(),
        ),
        floats(many.clone()),
        floats(vec![
            Some(-0.0),
            Some(0.0),
            Some(f64::MIN_POSITIVE),
            Some(-0.0),
        ]),
        floats(vec![Some(1.0), Some(f64::INFINITY), None, Some(2.0)]),
        Arc::new(Int64Array::from_iter(
            many.iter().map(|x| x.map(|x| x as i64)),
        )),
        Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX, 0, 1])),
        Arc::new(Float32Array::from_iter(
            many.iter().map(|x| x.map(|x| x as f32)),
        )),
        Arc::new(UInt8Array::from_iter(
            many.iter().map(|x| x.map(|x| x.abs() as u8)),
        )),
        Arc::new(BooleanArray::from_iter(
            (0..100).map(|i| (i % 5 != 0).then_some(i % 3 == 0)),
        )),
    ]
}

fn text_columns() -> Vec<ArrayRef> {
    let words: Vec<Option<String>> = (0..3000)
        .map(|i| (i % 4 != 0).then(|| format!("w{}", i * i % 23)))
        .collect();
    let text: ArrayRef = Arc::new(StringArray::from(words));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    vec![
        Arc::new(StringArray::from(Vec::<Option<&str>>::new())),
        Arc::new(StringArray::from(vec![Some("one")])),
        Arc::new(StringArray::from(vec![None::<&str>; 70])),
        Arc::new(StringArray::from(vec![
            Some("b"),
            None,
            Some("a"),
            Some(""),
        ])),
        cast(&text, &dictionary).unwrap(),
        cast(&text, &DataType::Utf8View).unwrap(),
        cast(&text, &DataType::LargeUtf8).unwrap(),
        text,
    ]
}

fn time_columns() -> Vec<ArrayRef> {
    let times = (0..500).map(|i| (i % 9 != 0).then_some(i * 7_654_321_000_i64 - 1_000_000_000));
    let times = TimestampMicrosecondArray::from_iter(times);
    vec![
        Arc::new(TimestampMicrosecondArray::from(vec![None; 3])),
        Arc::new(times.clone().with_timezone("UTC")),
        Arc::new(times),
    ]
}

fn each_case(check: impl Fn(&Value, &Table)) {
    for (chains, columns) in [
        (numeric_chains(), edge_columns()),
        (text_chains(), text_columns()),
        (time_chains(), time_columns()),
    ] {
        for steps in &chains {
            for column in &columns {
                check(steps, &Table::new(Arc::clone(column), |row| row % 5 != 4));
            }
        }
    }
}

#[test]
fn every_step_keeps_the_contract_on_edge_columns() {
    each_case(|steps, table| {
        let rows = table.batch.num_rows();
        let split = [rows / 3, rows / 2];
        assert_step_contract(steps, table, &split, &[], 1, 0);
        assert_step_contract(steps, table, &split, &[0, 1, rows / 7, rows / 4], 3, 1);
    });
}

#[test]
fn without_training_rows_only_what_learns_nothing_is_fitted() {
    for steps in numeric_chains() {
        let table = Table::new(floats(vec![Some(1.0), None]), |_| false);
        let set = set(steps.clone());
        let learns = plan(&set, &table.batch).unwrap().passes().min > 0;
        let fitted = fit_whole(&set, &table);
        assert_eq!(
            matches!(fitted, Err(crate::FitError::NoTrainingRows)),
            learns,
            "{steps}"
        );
        assert_eq!(fitted.is_ok(), !learns, "{steps}");
    }
}

#[test]
fn rows_outside_training_teach_nothing() {
    for steps in numeric_chains() {
        let train: Vec<Option<f64>> = (0..300)
            .map(|i| (i % 6 != 0).then_some(f64::from(i % 17)))
            .collect();
        let mut mixed = Vec::new();
        for value in &train {
            mixed.push(*value);
            mixed.push(Some(1e9));
        }
        let set = set(steps.clone());
        let alone = fit_whole(&set, &Table::new(floats(train), |_| true)).unwrap();
        let among = fit_whole(&set, &Table::new(floats(mixed), |row| row % 2 == 0)).unwrap();
        assert_eq!(artifact(&alone), artifact(&among), "{steps}");
    }
}

#[test]
fn random_columns_cuts_and_workers_change_no_bit() {
    let cell = prop_oneof![
        4 => (-100.0..100.0_f64).prop_map(Some),
        2 => (-3..3_i32).prop_map(|x| Some(f64::from(x))),
        1 => Just(None),
        1 => Just(Some(f64::NAN)),
    ];
    let input = (
        prop::collection::vec(cell, 0..2500),
        prop::collection::vec(0_usize..2500, 0..4),
        prop::collection::vec(0_usize..2500, 0..6),
        1_usize..5,
        0_usize..4,
        0..numeric_chains().len(),
    );
    let mut runner = TestRunner::new(Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(
        &input,
        |(values, mut units, mut cuts, workers, turn, chain)| {
            units.sort_unstable();
            cuts.sort_unstable();
            let table = Table::new(floats(values), |row| row % 4 != 1);
            assert_step_contract(
                &numeric_chains()[chain],
                &table,
                &units,
                &cuts,
                workers,
                turn,
            );
            Ok(())
        },
    );
    outcome.unwrap();
}

#[test]
fn quantile_searches_of_several_passes_keep_the_contract() {
    let values = (0..4000_u32).map(|i| Some(f64::from(i.wrapping_mul(2_654_435_761) >> 8) / 1e3));
    let table = Table::new(floats(values.collect()), |_| true);
    for steps in [
        json!(["robust_scaler"]),
        json!([{ "simple_imputer": "median" }, "log1p", "standard_scaler"]),
    ] {
        let set = set(steps);
        let plan = plan(&set, &table.batch).unwrap();
        let one = fit(&plan, &[vec![table.batch.clone()]], 1, |_| 0).unwrap();
        let small = crate::FeaturePlan {
            kept_values: 50,
            ..plan
        };
        let cut = table
            .cut(&[700, 900, 3000])
            .into_iter()
            .map(|batch| vec![batch])
            .collect::<Vec<_>>();
        // Units differ, so only the order statistics can be compared to the bit.
        let several = fit(&small, &cut, 3, |unit| unit).unwrap();
        let statistic = |fitted: &FittedFeatures| {
            let step = fitted.to_artifact().unwrap().json["columns"][0]["steps"][0].clone();
            [
                step["center_"].clone(),
                step["scale_"].clone(),
                step["statistics_"].clone(),
            ]
        };
        assert_eq!(statistic(&one), statistic(&several));
    }
}

#[test]
fn types_that_cannot_be_read_are_refused_by_the_plan() {
    let table = Table::new(Arc::new(NullArray::new(3)), |_| true);
    for steps in [
        json!(["standard_scaler"]),
        json!(["log1p"]),
        json!([{ "simple_imputer": "mean" }]),
    ] {
        assert!(plan(&set(steps), &table.batch).is_err());
    }
    let text = Table::new(Arc::new(StringArray::from(vec!["a"])), |_| true);
    for steps in [
        json!(["standard_scaler"]),
        json!([{ "simple_imputer": "mean" }]),
    ] {
        let error = plan(&set(steps), &text.batch).unwrap_err().to_string();
        assert!(error.contains("needs numbers"), "{error}");
    }
}
