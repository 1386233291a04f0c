//! How steps are written.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::{FillValue, ImputeStrategy, QuantileMethod};

fn read(value: Value) -> Result<Step, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[test]
fn a_step_is_a_name_or_a_map_with_one_key() {
    assert_eq!(read(json!("log1p")).unwrap(), Step::Log1p);
    assert_eq!(
        read(json!({"clip": {"min": 0}})).unwrap(),
        Clip::min(0.0).into()
    );
    assert_eq!(
        read(json!({"simple_imputer": "median"})).unwrap(),
        SimpleImputer::median().into()
    );
    assert_eq!(
        read(json!({"simple_imputer": {"strategy": "constant", "fill_value": 0, "add_indicator": true}})).unwrap(),
        SimpleImputer::constant(0.0).add_indicator().into()
    );
    assert_eq!(
        read(json!("standard_scaler")).unwrap(),
        StandardScaler::new().into()
    );
    assert_eq!(
        read(json!({"standard_scaler": null})).unwrap(),
        StandardScaler::new().into()
    );
    assert_eq!(
        read(json!({"standard_scaler": {"with_mean": false}})).unwrap(),
        StandardScaler::new().without_mean().into()
    );
    assert_eq!(read(json!("drop")).unwrap(), Drop::always().into());
    assert_eq!(
        read(json!({"drop": {"null_fraction_above": 0.9}})).unwrap(),
        Drop::null_fraction_above(0.9).into()
    );
    assert_eq!(
        read(json!({"sql": "x * 2"})).unwrap(),
        Sql::new("x * 2").into()
    );
    assert_eq!(
        read(json!({"min_max_scaler": {"feature_range": [-1, 1], "clip": true}})).unwrap(),
        MinMaxScaler::new()
            .feature_range(-1.0, 1.0)
            .clipped()
            .into()
    );
}

#[test]
fn mistakes_are_named() {
    for (written, expected) in [
        (json!("standard_scalar"), "did you mean `standard_scaler`?"),
        (
            json!({"standard_scaler": {"with_men": true}}),
            "unknown option `with_men`, did you mean `with_mean`?",
        ),
        (
            json!({"clip": {"min": 0}, "log1p": null}),
            "this map has 2 keys",
        ),
        (json!(3), "not `3`"),
        (json!({"log1p": {"base": 2}}), "takes no options"),
        (
            json!({"simple_imputer": "average"}),
            "unknown variant `average`",
        ),
        (json!("quux"), "the steps are"),
    ] {
        let error = read(written.clone()).unwrap_err();
        assert!(error.contains(expected), "{written}: {error}");
    }
}

#[test]
fn every_step_reads_what_it_writes() {
    let steps: Vec<Step> = vec![
        SimpleImputer::mean().into(),
        SimpleImputer {
            strategy: ImputeStrategy::Constant,
            fill_value: Some(FillValue::from("none")),
            add_indicator: true,
            keep_empty_features: true,
            quantiles: QuantileMethod::Approximate,
        }
        .into(),
        StandardScaler::new().without_std().into(),
        MinMaxScaler::new().feature_range(0.1, 0.7).into(),
        MaxAbsScaler::new().clipped().into(),
        RobustScaler::new()
            .unit_variance()
            .quantile_range(5.0, 95.0)
            .into(),
        Step::Log1p,
        Clip::between(-1.0, 1.5).into(),
        Step::Sqrt,
        Step::Abs,
        Sql::new("x + 1").into(),
        OneHotEncoder::default().into(),
        OrdinalEncoder::by_frequency().min_frequency(10).into(),
        DateParts::default().into(),
        Drop::null_fraction_above(0.5).into(),
    ];
    for step in steps {
        let written = serde_json::to_value(&step).unwrap();
        assert_eq!(read(written.clone()).unwrap(), step, "{written}");
    }
    assert_eq!(
        serde_json::to_value(Step::from(StandardScaler::new())).unwrap(),
        json!("standard_scaler")
    );
}

#[test]
fn the_schema_names_every_step_and_option() {
    let schema = serde_json::to_value(schemars::schema_for!(crate::FeatureSet))
        .unwrap()
        .to_string();
    for word in [
        "simple_imputer",
        "null_fraction_above",
        "quantile_range",
        "with_mean",
        "min_frequency",
        "log1p",
        "sql",
    ] {
        assert!(schema.contains(word), "{word}");
    }
}
