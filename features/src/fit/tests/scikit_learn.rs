//! Every step and option against numbers made by scikit-learn 1.9.1 (`scikit_learn.py` beside this file makes them).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use serde_json::Value;

use super::kit::{Table, fit, plan, set, transform};
use crate::FitError;

fn column(cases: &Value, name: &str) -> ArrayRef {
    if let Some(numbers) = cases["numbers"][name].as_array() {
        return Arc::new(numbers.iter().map(Value::as_f64).collect::<Float64Array>());
    }
    let texts = cases["texts"][name].as_array().unwrap();
    Arc::new(texts.iter().map(Value::as_str).collect::<StringArray>())
}

/// Equal to 1e-12 of the larger, or both missing.
fn same(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (Some(found), Some(expected)) => {
            (found - expected).abs() <= 1e-12 * expected.abs().max(1e-3)
        }
        (found, expected) => found.is_none() && expected.is_none(),
    }
}

#[test]
fn features_equal_scikit_learn() {
    let cases: Value = serde_json::from_str(include_str!("scikit_learn.json")).unwrap();
    let train = cases["train_rows"].as_u64().unwrap() as usize;
    let list = cases["cases"].as_array().unwrap();
    assert!(list.len() > 700);
    let mut failures = Vec::new();
    for case in list {
        let name = case["column"].as_str().unwrap();
        let table = Table::new(column(&cases, name), |row| row < train);
        let chain = set(case["steps"].clone());
        let plan = plan(&chain, &table.batch).unwrap();
        // Three units on two workers, so that merges are part of the comparison.
        let units: Vec<_> = table
            .cut(&[5, 11])
            .into_iter()
            .map(|batch| vec![batch])
            .collect();
        let fitted = match fit(&plan, &units, 2, |unit| unit) {
            Ok(fitted) => fitted,
            // A column without a training value, or one whose outcome scikit-learn gives as nothing but NaN, is an error here.
            Err(FitError::NoValues { .. }) => {
                let outputs = case["outputs"].as_object().unwrap().values();
                let nothing = outputs
                    .flat_map(|cells| cells.as_array().unwrap())
                    .all(Value::is_null);
                assert!(
                    nothing || ["empty", "late"].contains(&name),
                    "{name} {}",
                    case["steps"]
                );
                continue;
            }
            Err(error) => panic!("{name} {}: {error}", case["steps"]),
        };
        let out = transform(&fitted, &table.batch);
        let expected = case["outputs"].as_object().unwrap();
        let names: Vec<&String> = out
            .schema_ref()
            .fields()
            .iter()
            .map(|field| field.name())
            .collect();
        if names != expected.keys().collect::<Vec<_>>() {
            failures.push(format!(
                "{name} {}: {names:?} not {:?}",
                case["steps"],
                expected.keys()
            ));
            continue;
        }
        for (array, (output, cells)) in out.columns().iter().zip(expected) {
            let cells = cells.as_array().unwrap();
            let wrong = if array.data_type().is_string() {
                let found = cast(array, &DataType::Utf8).unwrap();
                let found = found.as_string::<i32>();
                (0..cells.len()).find(|&row| {
                    found.is_valid(row).then(|| found.value(row)) != cells[row].as_str()
                })
            } else {
                let found = cast(array, &DataType::Float64).unwrap();
                let found = found.as_primitive::<Float64Type>();
                (0..cells.len()).find(|&row| {
                    !same(
                        found.is_valid(row).then(|| found.value(row)),
                        cells[row].as_f64(),
                    )
                })
            };
            if let Some(row) = wrong {
                let found = arrow::util::display::array_value_to_string(array, row).unwrap();
                failures.push(format!(
                    "{name} {} {output} row {row}: {found} not {}",
                    case["steps"], cells[row]
                ));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        list.len(),
        failures.join("\n")
    );
}
