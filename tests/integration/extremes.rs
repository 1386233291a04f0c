//! Values at the ends of their types: what comes out is right, or the column is refused by name.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Decimal256Array, Float64Array,
    Int64Array, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, i256};

use crate::bench::Bench;
use crate::rows::{ids, read_sorted};

/// Every row is a training row.
const ALL_TRAIN: &str = "key: id\nsplit: {time: {column: at, val_from: \"2100-01-01\", test_from: \"2101-01-01\"}}\ndtype: float64\n";

/// A table with the columns `id` and `at` before the ones given.
fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let rows = columns[0].1.len();
    let mut all: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(vec![0; rows]).with_timezone("UTC")),
        ),
    ];
    all.extend(columns);
    RecordBatch::try_from_iter(all).unwrap()
}

/// The training rows after a run that must succeed.
fn train(columns: Vec<(&str, ArrayRef)>, features: &str) -> RecordBatch {
    let mut bench = Bench::with_table(&table(columns));
    bench.recipe = format!("{ALL_TRAIN}{features}");
    let ended = bench.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for split in ["val", "test"] {
        assert_eq!(read_sorted(&bench.out().join(split)).num_rows(), 0);
    }
    read_sorted(&bench.out().join("train"))
}

fn floats(batch: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    let column = batch
        .column_by_name(name)
        .unwrap_or_else(|| panic!("no {name} in {:?}", batch.schema()));
    cast(column, &DataType::Float64)
        .unwrap()
        .as_primitive::<Float64Type>()
        .iter()
        .collect()
}

#[test]
fn one_row_is_enough() {
    let x: ArrayRef = Arc::new(Float64Array::from(vec![4.5]));
    let features = "features: [{columns: x, steps: [standard_scaler], suffix: _std}, {columns: x, steps: [min_max_scaler], suffix: _mm}, \
                    {columns: x, steps: [robust_scaler], suffix: _rob}, {columns: x, steps: [max_abs_scaler], suffix: _abs}, \
                    {columns: c, steps: [ordinal_encoder]}, {columns: c, steps: [one_hot_encoder], suffix: _hot}]";
    let c: ArrayRef = Arc::new(StringArray::from(vec!["only"]));
    let found = train(vec![("x", x), ("c", c)], features);
    assert_eq!(found.num_rows(), 1);
    // Scale 1 where there is no spread, as scikit-learn has it.
    for (name, value) in [
        ("x_std", 0.0),
        ("x_mm", 0.0),
        ("x_rob", 0.0),
        ("x_abs", 1.0),
        ("c", 0.0),
    ] {
        assert_eq!(floats(&found, name), [Some(value)], "{name}");
    }
}

/// As in NumPy; a step that learns does not take the infinity.
#[test]
fn the_logarithm_of_nothing_is_infinite() {
    let values: ArrayRef = Arc::new(Float64Array::from(vec![-1.0, -1.5, 0.0]));
    let found = train(
        vec![("x", Arc::clone(&values))],
        "features: [{columns: x, steps: [log1p]}]",
    );
    let expected = [Some(f64::NEG_INFINITY), None, Some(0.0)];
    assert_eq!(floats(&found, "x"), expected);
    let mut bench = Bench::with_table(&table(vec![("x", values)]));
    bench.recipe =
        format!("{ALL_TRAIN}features: [{{columns: x, steps: [log1p, standard_scaler]}}]");
    let ended = bench.run();
    assert_eq!(ended.code, Some(8), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("\"x\"") || ended.stderr.contains("`x`"),
        "{}",
        ended.stderr
    );
}

#[test]
fn floats_at_their_ends() {
    let values = [
        f64::NAN,
        -0.0,
        5e-324,
        -5e-324,
        f64::MIN_POSITIVE,
        f64::EPSILON,
        1.0,
        -0.5,
        1e150,
        -1e150,
    ];
    let steps = [
        "standard_scaler",
        "min_max_scaler",
        "max_abs_scaler",
        "robust_scaler",
        "log1p",
        "sqrt",
        "abs",
    ];
    let sets: Vec<_> = steps
        .iter()
        .map(|step| format!("{{columns: x, steps: [{step}], suffix: _{step}}}"))
        .collect();
    let features = format!("features: [{}]", sets.join(", "));
    let found = train(
        vec![(
            "x",
            Arc::new(Float64Array::from(values.to_vec())) as ArrayRef,
        )],
        &features,
    );
    for step in steps {
        let column = floats(&found, &format!("x_{step}"));
        assert_eq!(column[0], None, "{step}: NaN is missing");
        let finite = column.iter().flatten().all(|v| v.is_finite());
        assert!(finite, "{step}: {column:?}");
        let outside = |v: &f64| (step == "sqrt" && *v < 0.0) || (step == "log1p" && *v < -1.0);
        for (value, output) in values.iter().zip(&column).skip(1) {
            assert_eq!(
                output.is_none(),
                outside(value),
                "{step} of {value:e} is {output:?}"
            );
        }
    }
    // Beyond what a square can hold there is no variance to be had: refused by name, or finite all the same.
    let values: ArrayRef = Arc::new(Float64Array::from(vec![f64::MAX, f64::MIN, 1.0]));
    for step in steps {
        let mut bench = Bench::with_table(&table(vec![("x", Arc::clone(&values))]));
        bench.recipe = format!("{ALL_TRAIN}features: [{{columns: x, steps: [{step}]}}]");
        let ended = bench.run();
        match ended.code {
            Some(0) => {
                let found = floats(&read_sorted(&bench.out().join("train")), "x");
                assert!(
                    found.iter().flatten().all(|v| v.is_finite()),
                    "{step}: {found:?}"
                );
            }
            code => {
                assert_eq!(code, Some(8), "{step}: {}", ended.stderr);
                assert!(
                    ended.stderr.contains("\"x\"") || ended.stderr.contains("`x`"),
                    "{step}: {}",
                    ended.stderr
                );
            }
        }
    }
}

#[test]
fn integers_and_decimals_at_their_ends() {
    let integers = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    // The largest NUMERIC(38, 9), and the largest BIGNUMERIC, which has a 77th digit.
    let numeric = 99_999_999_999_999_999_999_999_999_999_999_999_999_i128;
    let bignumeric = i256::from_string(
        "57896044618658097711785492504343953926634992332820282019728792003956564819967",
    )
    .unwrap();
    let numerics = [-numeric, -1, 0, 1, 2, numeric - 1, numeric];
    let bignumerics = [
        bignumeric.wrapping_neg(),
        i256::from(-1),
        i256::ZERO,
        i256::ONE,
        i256::from(2),
        i256::from(3),
        bignumeric,
    ];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(Int64Array::from(integers.to_vec()))),
        (
            "n",
            Arc::new(
                Decimal128Array::from(numerics.to_vec())
                    .with_precision_and_scale(38, 9)
                    .unwrap(),
            ),
        ),
        (
            "b",
            Arc::new(
                Decimal256Array::from(bignumerics.to_vec())
                    .with_precision_and_scale(76, 38)
                    .unwrap(),
            ),
        ),
    ];
    let features = "pass_through: [i, n]\nfeatures: [{columns: [i, n, b], steps: [standard_scaler], suffix: _std}, \
                    {columns: [i, n, b], steps: [min_max_scaler], suffix: _mm}, {columns: i, steps: [ordinal_encoder], suffix: _code}]";
    let found = train(columns, features);
    assert_eq!(
        found
            .column_by_name("i")
            .unwrap()
            .as_primitive::<Int64Type>()
            .values(),
        &integers
    );
    let carried = found
        .column_by_name("n")
        .unwrap()
        .as_primitive::<arrow::datatypes::Decimal128Type>();
    assert_eq!(carried.values(), &numerics);
    // Neighbours that are one number as floats are different categories.
    assert_eq!(
        floats(&found, "i_code"),
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(Some)
    );
    for name in ["i", "n", "b"] {
        let scaled: Vec<f64> = floats(&found, &format!("{name}_mm"))
            .into_iter()
            .flatten()
            .collect();
        assert_eq!((scaled[0], scaled[6]), (0.0, 1.0), "{name}: {scaled:?}");
        assert!(
            scaled.windows(2).all(|w| w[0] <= w[1]) && (scaled[3] - 0.5).abs() < 1e-9,
            "{name}: {scaled:?}"
        );
        let standard: Vec<f64> = floats(&found, &format!("{name}_std"))
            .into_iter()
            .flatten()
            .collect();
        let mean = standard.iter().sum::<f64>() / 7.0;
        let variance = standard
            .iter()
            .map(|z| (z - mean) * (z - mean))
            .sum::<f64>()
            / 7.0;
        assert!(
            mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-9,
            "{name}: {standard:?}"
        );
    }
}

#[test]
fn times_at_their_ends() {
    const DAY: i64 = 86_400_000_000;
    // 0001-01-01, the second before 1970, 1970, a leap day, 9999-12-31.
    let days = [-719_162, -1, 0, 11_016, 2_932_896];
    let micros = [
        -719_162 * DAY,
        -1,
        0,
        11_016 * DAY + DAY - 1,
        2_932_896 * DAY + DAY - 1,
    ];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("day", Arc::new(Date32Array::from(days.to_vec()))),
        (
            "ts",
            Arc::new(TimestampMicrosecondArray::from(micros.to_vec()).with_timezone("UTC")),
        ),
        (
            "dt",
            Arc::new(TimestampMicrosecondArray::from(micros.to_vec())),
        ),
    ];
    let features = "features: [{columns: [day, ts, dt], steps: [{date_parts: {parts: [year, month, day]}}]}, \
                    {columns: [ts, dt], steps: [{date_parts: {parts: [hour, minute, second]}}]}]";
    let found = train(columns, features);
    for (name, years) in [
        ("day", [1.0, 1969.0, 1970.0, 2000.0, 9999.0]),
        ("ts", [1.0, 1969.0, 1970.0, 2000.0, 9999.0]),
    ] {
        assert_eq!(
            floats(&found, &format!("{name}_year")),
            years.map(Some),
            "{name}"
        );
        assert_eq!(
            floats(&found, &format!("{name}_month")),
            [1.0, 12.0, 1.0, 2.0, 12.0].map(Some),
            "{name}"
        );
        assert_eq!(
            floats(&found, &format!("{name}_day")),
            [1.0, 31.0, 1.0, 29.0, 31.0].map(Some),
            "{name}"
        );
    }
    for name in ["ts", "dt"] {
        for (part, last) in [("hour", 23.0), ("minute", 59.0), ("second", 59.0)] {
            assert_eq!(
                floats(&found, &format!("{name}_{part}")),
                [0.0, last, 0.0, last, last].map(Some),
                "{name} {part}"
            );
        }
    }
}

#[test]
fn types_that_no_step_reads() {
    let a: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let record: ArrayRef = Arc::new(StructArray::from(vec![(
        Arc::new(Field::new("a", DataType::Int64, true)),
        Arc::clone(&a),
    )]));
    let batch = table(vec![("rec", record), ("a", a)]);
    let mut bench = Bench::with_table(&batch);
    bench.recipe =
        format!("{ALL_TRAIN}features: [{{columns: [a, rec], steps: [standard_scaler]}}]");
    bench.refuses(9, &["rec", "Struct"]);
    bench.recipe = format!(
        "{ALL_TRAIN}drop: rec\nfeatures: [{{columns: {{type: numeric}}, steps: [standard_scaler]}}]"
    );
    assert_eq!(bench.run().code, Some(0));
    let found = read_sorted(&bench.out().join("train"));
    assert_eq!(ids(&found), [0, 1, 2]);
    assert!(found.column_by_name("rec").is_none());
}
