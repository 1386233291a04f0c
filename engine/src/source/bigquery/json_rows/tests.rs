#![allow(clippy::unwrap_used)]
use arrow::array::AsArray;
use arrow::datatypes::{Date32Type, Decimal128Type, Decimal256Type, IntervalUnit, Schema};
use serde_json::json;

use super::*;

fn read(data_type: DataType, values: &[Value]) -> Result<ArrayRef> {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("c", data_type, true)]));
    let rows: Vec<JsonRow> = values
        .iter()
        .map(|value| json!({"f": [{"v": value}]}).as_object().unwrap().clone())
        .collect();
    Ok(Arc::clone(batch(&rows, &schema)?.column(0)))
}

#[test]
fn every_type_has_its_text() {
    let floats = ["1.5", "-0.0", "NaN", "Infinity", "-Infinity", "1e300"].map(|t| json!(t));
    let floats = read(DataType::Float64, &floats).unwrap();
    let floats = floats.as_primitive::<arrow::datatypes::Float64Type>();
    assert_eq!(floats.value(0), 1.5);
    assert!(floats.value(1).is_sign_negative() && floats.value(2).is_nan());
    assert_eq!(
        (floats.value(3), floats.value(4)),
        (f64::INFINITY, f64::NEG_INFINITY)
    );

    let dates = read(
        DataType::Date32,
        &[json!("0001-01-01"), json!("1969-12-31"), json!(null)],
    );
    let dates = dates.unwrap();
    assert_eq!(dates.as_primitive::<Date32Type>().value(1), -1);
    assert!(dates.is_null(2));

    let numeric = read(
        DataType::Decimal128(38, 9),
        &[
            json!("-1.5"),
            json!("99999999999999999999999999999.999999999"),
            json!(null),
        ],
    )
    .unwrap();
    let numeric = numeric.as_primitive::<Decimal128Type>();
    assert_eq!(numeric.value(0), -1_500_000_000);
    assert_eq!(
        numeric.value_as_string(1),
        "99999999999999999999999999999.999999999"
    );
    let big = "-57896044618658097711785492504343953926.634992332820282019728792003956564819968";
    let large = read(
        DataType::Decimal256(76, 38),
        &[json!("1"), json!(&big[..40])],
    )
    .unwrap();
    assert_eq!(
        large.as_primitive::<Decimal256Type>().value_as_string(0),
        format!("1.{}", "0".repeat(38))
    );

    let interval = |text: &str| super::interval(text).unwrap();
    assert_eq!(
        interval("1-2 3 4:5:6"),
        IntervalMonthDayNano::new(14, 3, 14_706_000_000_000)
    );
    assert_eq!(
        interval("-1-2 -3 -0:0:4.250000"),
        IntervalMonthDayNano::new(-14, -3, -4_250_000_000)
    );
    assert!(
        read(
            DataType::Interval(IntervalUnit::MonthDayNano),
            &[json!("1-2 3")]
        )
        .is_err()
    );

    assert_eq!(time("01:02:03.500000"), Some(3_723_500_000));
    assert_eq!(datetime("1970-01-01T00:00:01"), Some(1_000_000));
    assert_eq!(datetime("1969-12-31T23:59:59.999999"), Some(-1));
    let bytes = read(DataType::Binary, &[json!("AP8="), json!("")]).unwrap();
    assert_eq!(bytes.as_binary::<i32>().value(0), [0, 255]);
    assert_eq!(bytes.as_binary::<i32>().value(1), [] as [u8; 0]);
}

#[test]
fn what_is_no_value_is_refused_without_repeating_it() {
    let secret = "canary-value";
    for data_type in [
        DataType::Int64,
        DataType::Float64,
        DataType::Boolean,
        DataType::Binary,
        DataType::Date32,
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Decimal128(38, 9),
        DataType::Interval(IntervalUnit::MonthDayNano),
    ] {
        let error = read(data_type.clone(), &[json!(secret)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{data_type}");
        let text = error.to_string();
        assert!(text.contains("\"c\"") && !text.contains(secret), "{text}");
    }
    assert!(read(DataType::Utf8, &[json!(1)]).is_err());
    assert!(read(DataType::Utf8, &[json!({"f": []})]).is_err());
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("c", DataType::Utf8, true)]));
    let row = json!({"f": []}).as_object().unwrap().clone();
    let error = batch(&[row], &schema).unwrap_err();
    assert!(error.to_string().contains("no cell"), "{error}");
}
