//! What single fits learn, refuse and drop.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type};
use serde_json::json;

use super::kit::{Table, fit, fit_whole, plan, set, transform, update};
use crate::{
    DropReason, FeaturePlan, FitError, NoExpressions, OutputDtype, Roles, TransformCounts,
    TransformError,
};

fn example() -> Table {
    let values = vec![Some(1.0), Some(2.0), Some(3.0), Some(4.0), None, Some(10.0)];
    Table::new(Arc::new(Float64Array::from(values)), |_| true)
}

fn learned(steps: serde_json::Value) -> serde_json::Value {
    fit_whole(&set(steps), &example())
        .unwrap()
        .to_artifact()
        .unwrap()
        .json["columns"][0]["steps"][0]
        .clone()
}

#[test]
fn documented_example_of_scikit_learn() {
    let standard = learned(json!(["standard_scaler"]));
    assert_eq!(standard["mean_"], 4.0);
    assert_eq!(standard["var_"], 10.0);
    assert_eq!(standard["scale_"], 3.162_277_660_168_379_5);
    assert_eq!(standard["n_samples_seen_"], 5);
    let range = learned(json!(["min_max_scaler"]));
    assert_eq!(range["scale_"], 1.0 / 9.0);
    assert_eq!(range["min_"], -1.0 / 9.0);
    let robust = learned(json!([{ "robust_scaler": { "unit_variance": true } }]));
    assert_eq!(robust["center_"], 3.0);
    assert!((robust["scale_"].as_f64().unwrap() - 1.482_602_218_505_602).abs() < 1e-15);
    let median = learned(json!([{ "simple_imputer": "median" }]));
    assert_eq!(median["statistics_"], 3.0);
}

#[test]
fn infinite_values_are_refused_by_name() {
    let values = vec![
        Some(1.0),
        Some(f64::INFINITY),
        Some(f64::NEG_INFINITY),
        None,
    ];
    let table = Table::new(Arc::new(Float64Array::from(values)), |_| true);
    for (step, name) in [
        (json!("standard_scaler"), "standard_scaler"),
        (json!("min_max_scaler"), "min_max_scaler"),
        (json!("max_abs_scaler"), "max_abs_scaler"),
        (json!("robust_scaler"), "robust_scaler"),
        (json!({ "simple_imputer": "mean" }), "simple_imputer"),
        (json!({ "simple_imputer": "median" }), "simple_imputer"),
        (
            json!({ "simple_imputer": "most_frequent" }),
            "simple_imputer",
        ),
        (json!({ "simple_imputer": "constant" }), "simple_imputer"),
    ] {
        match fit_whole(&set(json!([step])), &table) {
            Err(FitError::Infinite {
                column,
                step,
                count,
            }) => {
                assert_eq!((column.as_str(), step, count), ("x", name, 2));
            }
            other => panic!("{name}: {other:?}"),
        }
        assert!(
            fit_whole(
                &set(json!([{ "clip": { "min": 0, "max": 9 } }, step])),
                &table
            )
            .is_ok()
        );
    }
}

#[test]
fn columns_without_values_are_dropped_and_reported() {
    let table = Table::new(
        Arc::new(Float64Array::from(vec![None, None, Some(3.0)])),
        |row| row < 2,
    );
    let fitted = fit_whole(
        &set(json!([{ "simple_imputer": "mean" }, "standard_scaler"])),
        &table,
    )
    .unwrap();
    assert!(fitted.output_fields().is_empty());
    assert!(fitted.input_columns().is_empty());
    assert_eq!(fitted.dropped()[0].reason, DropReason::NoValues);
    assert_eq!(fitted.dropped()[0].null_fraction, Some(1.0));

    let half = Table::new(
        Arc::new(Float64Array::from(vec![None, Some(3.0), None, None])),
        |_| true,
    );
    let drop = |limit: f64| {
        fit_whole(
            &set(json!([{ "drop": { "null_fraction_above": limit } }])),
            &half,
        )
        .unwrap()
    };
    assert_eq!(drop(0.7).dropped()[0].null_fraction, Some(0.75));
    assert_eq!(drop(0.7).dropped()[0].reason, DropReason::NullFraction);
    assert!(drop(0.75).dropped().is_empty());
    assert_eq!(drop(0.75).output_fields().len(), 1);
}

#[test]
fn the_cast_comes_last() {
    let table = Table::new(
        Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(4), None])),
        |_| true,
    );
    let schema = table.batch.schema();
    let sets = [
        set(json!([{ "simple_imputer": "mean" }, "standard_scaler"]))
            .with_prefix("f_")
            .with_suffix("_z"),
    ];
    let plan = FeaturePlan::try_new(
        &sets,
        &schema,
        &Roles::default(),
        OutputDtype::Float32,
        &NoExpressions,
    )
    .unwrap();
    let fitted = super::kit::fit(&plan, &[vec![table.batch.clone()]], 1, |_| 0).unwrap();
    assert_eq!(fitted.output_fields()[0].name(), "f_x_z");
    let out = transform(&fitted, &table.batch);
    let mean = 7.0 / 3.0_f64;
    let var = [1.0, 2.0, 4.0, mean]
        .iter()
        .map(|x| (x - mean) * (x - mean))
        .sum::<f64>()
        / 4.0;
    let expected: Vec<f32> = [1.0, 2.0, 4.0, mean]
        .iter()
        .map(|x| ((x - mean) / var.sqrt()) as f32)
        .collect();
    assert_eq!(
        out.column(0)
            .as_primitive::<Float32Type>()
            .values()
            .as_ref(),
        expected.as_slice()
    );
}

#[test]
fn closed_forms_take_one_pass_and_the_rest_says_why() {
    let passes = |steps| plan(&set(steps), &example().batch).unwrap().passes();
    let clicks = passes(
        json!([{ "clip": { "min": 0 } }, "log1p", { "simple_imputer": "mean" }, "standard_scaler"]),
    );
    assert_eq!((clicks.min, clicks.max, clicks.reasons.len()), (1, 1, 0));
    let robust = passes(json!(["robust_scaler"]));
    assert_eq!((robust.min, robust.max), (1, 4));
    assert!(
        robust.reasons[0].contains("x: robust_scaler needs one more pass above 65536 rows"),
        "{:?}",
        robust.reasons
    );
    let two = passes(json!(["standard_scaler", "min_max_scaler"]));
    assert_eq!((two.min, two.max), (2, 2));
    assert_eq!(passes(json!(["log1p", "drop"])).max, 0);
}

#[test]
fn unknown_categories_are_counted_or_refused() {
    let table = Table::new(
        Arc::new(StringArray::from(vec!["a", "b", "zzz", "zzz"])),
        |row| row < 2,
    );
    let ignoring = fit_whole(
        &set(json!([{ "one_hot_encoder": { "handle_unknown": "ignore" } }])),
        &table,
    )
    .unwrap();
    let mut counts = TransformCounts::default();
    ignoring.transform(&table.batch, &mut counts).unwrap();
    let mut more = TransformCounts::default();
    ignoring.transform(&table.batch, &mut more).unwrap();
    counts.merge(&more);
    assert_eq!((counts.rows, counts.unknown["x"]), (8, 4));
    let strict = fit_whole(&set(json!(["ordinal_encoder"])), &table).unwrap();
    let error = strict.transform(&table.batch, &mut counts).unwrap_err();
    assert!(
        matches!(&error, TransformError::Step { column, .. } if column == "x"),
        "{error}"
    );
    assert!(error.to_string().contains("zzz"), "{error}");
}

#[test]
fn a_refusing_encoder_before_a_scaler_sees_training_rows_only() {
    let table = Table::new(Arc::new(StringArray::from(vec!["a", "zzz", "b"])), |row| {
        row != 1
    });
    let fitted = fit_whole(&set(json!(["ordinal_encoder", "standard_scaler"])), &table).unwrap();
    assert_eq!(fitted.training_rows(), 2);
}

#[test]
fn decimals_are_read_as_written() {
    let decimals: ArrayRef = Arc::new(
        Decimal128Array::from(vec![Some(123), Some(12_345_678_901_234_567_890_123), None])
            .with_precision_and_scale(38, 2)
            .unwrap(),
    );
    let table = Table::new(decimals, |_| true);
    let fitted = fit_whole(&set(json!(["abs"])), &table).unwrap();
    let out = transform(&fitted, &table.batch);
    let out = out
        .column(0)
        .as_primitive::<arrow::datatypes::Float64Type>();
    assert_eq!(
        (out.value(0), out.value(1), out.is_null(2)),
        (1.23, 123_456_789_012_345_678_901.23, true)
    );
}

#[test]
fn states_of_another_pass_are_refused() {
    let table = example();
    let plan = plan(
        &set(json!(["standard_scaler", "min_max_scaler"])),
        &table.batch,
    )
    .unwrap();
    let mut fit = plan.fit();
    assert!(matches!(
        plan.fit().finish(),
        Err(FitError::Unfinished { pass: 0 })
    ));
    assert!(matches!(
        plan.fit().finish_pass(vec![]),
        Err(FitError::NoTrainingRows)
    ));
    let (mut state, mut stale) = (fit.state(), fit.state());
    update(&mut state, 0, &table.batch).unwrap();
    update(&mut stale, 1, &table.batch).unwrap();
    fit.finish_pass(vec![state]).unwrap();
    assert_eq!(
        (fit.pass(), fit.needs_pass(), fit.columns()),
        (1, true, vec!["x"])
    );
    assert!(matches!(
        fit.finish_pass(vec![stale]),
        Err(FitError::ForeignState {
            expected: 1,
            found: 0
        })
    ));
    let mut last = fit.state();
    update(&mut last, 0, &table.batch).unwrap();
    fit.finish_pass(vec![last]).unwrap();
    assert!(matches!(
        fit.finish_pass(vec![]),
        Err(FitError::NoPassNeeded)
    ));
    assert_eq!(fit.finish().unwrap().training_rows(), 6);
}

#[test]
fn one_hot_names_that_collide_are_refused() {
    let sets = [
        crate::columns("x").then(crate::OneHotEncoder::default()),
        crate::columns("x").then(crate::OneHotEncoder::default()),
    ];
    let table = Table::new(Arc::new(StringArray::from(vec!["a", "b"])), |_| true);
    let schema = table.batch.schema();
    let plan = FeaturePlan::try_new(
        &sets,
        &schema,
        &Roles::default(),
        OutputDtype::Float64,
        &NoExpressions,
    )
    .unwrap();
    let outcome = super::kit::fit(&plan, &[vec![table.batch.clone()]], 1, |_| 0);
    assert!(
        matches!(outcome, Err(FitError::DuplicateOutput { .. })),
        "{outcome:?}"
    );
}

/// The engine interns texts where they repeat, in some batches of a column and not in others.
#[test]
fn texts_in_dictionaries_are_the_same_texts() {
    let texts: StringArray = (0..400)
        .map(|i| (i % 9 != 0).then(|| format!("text {}", i * i % 23)))
        .collect();
    let plain = Table::new(Arc::new(texts), |row| row % 5 != 0);
    let interned = |batch: &RecordBatch| {
        let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
        let x = cast(batch.column(0), &dictionary).unwrap();
        Table::new(x, |row| {
            batch.column(1).as_string::<i32>().value(row) == "train"
        })
        .batch
    };
    for steps in [
        json!([{ "ordinal_encoder": { "order": "value", "missing": "category" } }]),
        json!([{ "ordinal_encoder": { "order": "frequency", "min_frequency": 10 } }]),
        json!(["one_hot_encoder"]),
        json!([{ "simple_imputer": "most_frequent" }]),
        json!([{ "simple_imputer": { "strategy": "constant", "add_indicator": true } }, "one_hot_encoder"]),
        json!([{ "drop": { "null_fraction_above": 0.9 } }]),
    ] {
        let set = set(steps.clone());
        let plan = plan(&set, &plain.batch).unwrap();
        let parts = plain.cut(&[100, 101, 250]);
        let mixed = parts
            .iter()
            .enumerate()
            .map(|(number, part)| match number % 2 {
                0 => interned(part),
                _ => part.clone(),
            });
        let mixed: Vec<_> = mixed.collect();
        let expected = fit(&plan, &[parts], 1, |_| 0).unwrap();
        let found = fit(&plan, &[mixed], 1, |_| 0).unwrap();
        let json = |fitted: &crate::FittedFeatures| fitted.to_artifact().unwrap().json;
        assert_eq!(json(&found), json(&expected), "{steps}");
        let rows = transform(&expected, &plain.batch);
        assert_eq!(transform(&found, &interned(&plain.batch)), rows, "{steps}");
    }
}
