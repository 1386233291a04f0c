//! What a plan accepts and how it names what it refuses.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::error::Error;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{Int64Type, TimeUnit};
use serde_json::json;

use super::*;
use crate::expression::{ColumnExpression, NoExpressions};
use crate::{Clip, Log1p, RobustScaler, Sql, StandardScaler, columns};

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("i1", DataType::Int64, true),
        Field::new("i2", DataType::Float32, true),
        Field::new("city", DataType::Utf8, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("label", DataType::Float64, true),
        Field::new("a[0]", DataType::Int32, true),
    ])
}

fn roles() -> Roles {
    Roles {
        label: vec!["label".to_owned()],
        ..Roles::default()
    }
}

fn bind(sets: &[FeatureSet]) -> Result<FeaturePlan, PlanError> {
    FeaturePlan::try_new(
        sets,
        &schema(),
        &roles(),
        OutputDtype::Float64,
        &NoExpressions,
    )
}

fn selected(selector: serde_json::Value) -> Result<Vec<String>, String> {
    let set: FeatureSet = serde_json::from_value(json!({ "columns": selector }))
        .map_err(|error| error.to_string())?;
    let plan = bind(&[set]).map_err(|error| error.to_string())?;
    Ok(plan
        .input_columns()
        .into_iter()
        .map(str::to_owned)
        .collect())
}

#[test]
fn selectors_take_names_globs_types_and_roles() {
    for (selector, expected) in [
        (json!("i*"), vec!["i1", "i2"]),
        (json!("*"), vec!["i1", "i2", "city", "ts", "a[0]"]),
        (json!(["city", "i*", "i1"]), vec!["city", "i1", "i2"]),
        (json!("label"), vec!["label"]),
        (json!("a[0]"), vec!["a[0]"]),
        (json!({ "type": "numeric" }), vec!["i1", "i2", "a[0]"]),
        (json!({ "type": "integer", "except": "a[0]" }), vec!["i1"]),
        (json!({ "type": "float" }), vec!["i2"]),
        (json!({ "type": "string" }), vec!["city"]),
        (json!({ "type": "temporal" }), vec!["ts"]),
        (json!({ "role": "label" }), vec!["label"]),
        (
            json!({ "name": ["i*", "label"], "type": "float" }),
            vec!["i2", "label"],
        ),
        (json!({}), vec!["i1", "i2", "city", "ts", "a[0]"]),
    ] {
        assert_eq!(selected(selector.clone()).unwrap(), expected, "{selector}");
    }
}

#[test]
fn selectors_that_find_nothing_say_so() {
    for (selector, expected) in [
        (
            json!("citty"),
            "features[0]: no column `citty`, did you mean `city`?",
        ),
        (json!("z*"), "features[0]: \"z*\" selects no column"),
        (json!(["i*", "z*"]), "\"z*\" selects no column"),
        (
            json!({ "type": "boolean" }),
            "{\"type\":\"boolean\"} selects no column",
        ),
        (json!({ "except": "labl" }), "did you mean `label`?"),
        (json!("i[1"), "glob `i[1` cannot be read"),
        (json!("lab*"), "selects no column"),
    ] {
        let error = selected(selector.clone()).unwrap_err();
        assert!(error.contains(expected), "{selector}: {error}");
    }
}

#[test]
fn what_is_wrong_without_data_is_found_without_data() {
    for (set, expected) in [
        (
            columns("city").then(StandardScaler::new()),
            "column `city`: step standard_scaler cannot work on type Utf8",
        ),
        (
            columns("ts").then(crate::SimpleImputer::mean()),
            "use date_parts first for dates",
        ),
        (
            columns("i1").then(Clip::default()),
            "give `min`, `max`, or both",
        ),
        (
            columns("i1").then(Clip::between(2.0, 1.0)),
            "`min` 2 is above `max` 1",
        ),
        (
            columns("i1").then(crate::SimpleImputer::constant("x")),
            "is a string, and the column holds numbers",
        ),
        (
            columns("city").then(crate::SimpleImputer::constant(0.0)),
            "write it in quotes",
        ),
        (
            columns("city").then(crate::SimpleImputer::median()),
            "strategy median needs numbers",
        ),
        (
            columns("i1").then(RobustScaler::new().quantile_range(75.0, 25.0)),
            "not a rising pair",
        ),
        (
            columns("i1").then(
                RobustScaler::new()
                    .quantile_range(0.0, 75.0)
                    .unit_variance(),
            ),
            "`unit_variance` needs",
        ),
        (
            columns("i1").then(crate::MinMaxScaler::new().feature_range(1.0, 1.0)),
            "not a finite rising pair",
        ),
        (
            columns("i1").then(crate::Drop::null_fraction_above(1.5)),
            "not a fraction",
        ),
        (
            columns("i1").then(Sql::new("x + 1")),
            "no sql engine is attached",
        ),
        (
            columns("i1").then(crate::DateParts::default()),
            "step date_parts",
        ),
    ] {
        let error = bind(&[set]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn outputs_of_one_name_are_refused_unless_renamed() {
    let twice = [
        columns("i*").then(Log1p),
        columns("i2").then(StandardScaler::new()),
    ];
    let error = bind(&twice).unwrap_err().to_string();
    assert!(
        error.contains("two features would be named `i2`"),
        "{error}"
    );
    let [first, second] = twice;
    assert!(bind(&[first, second.with_suffix("_z")]).is_ok());
}

/// `x + 1` over 64-bit integers.
#[derive(Debug)]
struct PlusOne;

impl ColumnExpression for PlusOne {
    fn output_type(&self) -> &DataType {
        &DataType::Int64
    }

    fn evaluate(&self, values: &ArrayRef) -> Result<ArrayRef, ExpressionError> {
        let values =
            values
                .as_primitive_opt::<Int64Type>()
                .ok_or_else(|| ExpressionError::Evaluate {
                    expression: "x + 1".to_owned(),
                    source: Box::<dyn Error + Send + Sync>::from("not integers"),
                })?;
        Ok(Arc::new(
            values
                .iter()
                .map(|x| x.map(|x| x + 1))
                .collect::<Int64Array>(),
        ))
    }
}

impl ExpressionCompiler for PlusOne {
    fn compile(
        &self,
        sql: &str,
        input: &Field,
    ) -> Result<Arc<dyn ColumnExpression>, ExpressionError> {
        if sql == "x + 1" && input.data_type() == &DataType::Int64 {
            return Ok(Arc::new(Self));
        }
        NoExpressions.compile(sql, input)
    }
}

#[test]
fn expressions_are_compiled_run_and_compiled_again_from_the_artefact() {
    let sets = [columns("i1")
        .then(Sql::new("x + 1"))
        .then(crate::MaxAbsScaler::new())];
    let plan =
        FeaturePlan::try_new(&sets, &schema(), &roles(), OutputDtype::Float64, &PlusOne).unwrap();
    let batch = arrow::array::RecordBatch::try_from_iter([
        (
            "i1",
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef,
        ),
        (
            "split",
            Arc::new(arrow::array::StringArray::from(vec!["train"; 3])) as ArrayRef,
        ),
    ])
    .unwrap();
    let mut fit = plan.fit();
    let mut state = fit.state();
    let split: crate::SplitSpec =
        serde_json::from_value(json!({ "column": { "column": "split" } })).unwrap();
    let assignment = split.bind(&batch.schema()).unwrap().assign(&batch).unwrap();
    state
        .update(0, &assignment.train_rows(&batch).unwrap())
        .unwrap();
    fit.finish_pass(vec![state]).unwrap();
    let fitted = fit.finish().unwrap();
    let artifact = fitted.to_artifact().unwrap();
    assert!(crate::FittedFeatures::from_artifact(&artifact, &NoExpressions).is_err());
    let reloaded = crate::FittedFeatures::from_artifact(&artifact, &PlusOne).unwrap();
    for fitted in [fitted, reloaded] {
        let out = fitted
            .transform(&batch, &mut crate::TransformCounts::default())
            .unwrap();
        let out = out[0].as_primitive::<arrow::datatypes::Float64Type>();
        assert_eq!(
            (out.value(0), out.is_null(1), out.value(2)),
            (0.5, true, 1.0)
        );
    }
}
