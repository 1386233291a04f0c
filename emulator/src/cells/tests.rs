#![allow(clippy::unwrap_used)]

use super::*;
use crate::schema::{self, FieldSchema};
use serde_json::{Value, json};

fn schema_of(fields: Value) -> SchemaRef {
    let fields: Vec<FieldSchema> = serde_json::from_value(fields).unwrap();
    Arc::new(schema::to_arrow(&schema::checked(&fields).unwrap()))
}

fn rows(schema: &SchemaRef, rows: &[Value]) -> Result<RecordBatch, Vec<CellError>> {
    let cells: Vec<Cell> = rows
        .iter()
        .map(|row| {
            json_row(
                schema.fields(),
                row,
                JsonReading::of_file(UnknownFields::Refuse),
            )
            .unwrap()
        })
        .collect();
    batch(schema, &cells)
}

/// What the only row of a column of `kind` holds, in Arrow's own words.
fn shown(kind: &str, value: Value) -> Result<String, String> {
    let schema = schema_of(json!([{"name": "x", "type": kind}]));
    let batch = rows(&schema, &[json!({"x": value})])
        .map_err(|errors| errors.first().unwrap().message.clone())?;
    let column = batch.column(0);
    Ok(arrow::util::display::array_value_to_string(column, 0).unwrap())
}

#[test]
fn every_type_is_read_as_json_writes_it() {
    let is = |kind, value: Value, expected: &str| {
        assert_eq!(
            shown(kind, value.clone()).as_deref(),
            Ok(expected),
            "{kind} {value}"
        );
    };
    is("STRING", json!("é"), "é");
    is("STRING", json!(1.5), "1.5");
    is("BYTES", json!("Ynl0ZQ"), "62797465");
    is("INT64", json!("-7"), "-7");
    is(
        "INT64",
        json!(9_007_199_254_740_993_i64),
        "9007199254740993",
    );
    is("FLOAT64", json!("-inf"), "-inf");
    is("BOOL", json!("TRUE"), "true");
    is("NUMERIC", json!("1.4142"), "1.414200000");
    is("NUMERIC", json!(-0.5), "-0.500000000");
    is(
        "BIGNUMERIC",
        json!("0.00000000000000000000000000000000000001"),
        "0.00000000000000000000000000000000000001",
    );
    is("DATE", json!("0001-01-01"), "0001-01-01");
    is("TIME", json!("23:59:59.999999"), "23:59:59.999999");
    is(
        "DATETIME",
        json!("2005-10-26T19:49:41"),
        "2005-10-26T19:49:41",
    );
    is(
        "TIMESTAMP",
        json!(1_565_357_902.017_896),
        "2019-08-09T13:38:22.017896Z",
    );
    is(
        "TIMESTAMP",
        json!("2019-08-09 15:38:22.5+02:00"),
        "2019-08-09T13:38:22.500Z",
    );
    is(
        "TIMESTAMP",
        json!("9999-12-31 23:59:59.999999 UTC"),
        "9999-12-31T23:59:59.999999Z",
    );
    is("JSON", json!({"b": [1, null]}), r#"{"b":[1,null]}"#);
    is(
        "GEOGRAPHY",
        json!(r#"{"type": "Point", "coordinates": [-49.3028, 69.0622]}"#),
        "POINT(-49.3028 69.0622)",
    );
    is(
        "INTERVAL",
        json!("-1-2 3 -4:5:6.5"),
        "-14 mons 3 days -4 hours -5 mins -6.500000000 secs",
    );
}

#[test]
fn what_does_not_fit_is_refused_and_named() {
    let refused = |kind, value| shown(kind, value).unwrap_err();
    assert!(refused("INT64", json!("1.5")).contains("Field: x; Value: 1.5"));
    assert!(refused("INT64", json!("9223372036854775808")).contains("integer"));
    assert!(refused("BOOL", json!("maybe")).contains("boolean"));
    assert!(refused("DATE", json!("2019-02-30")).contains("date"));
    assert!(refused("NUMERIC", json!("1.0000000001")).contains("NUMERIC"));
    assert!(refused("NUMERIC", json!("100000000000000000000000000000")).contains("NUMERIC"));
    assert!(refused("BYTES", json!("*")).contains("base64"));
    assert!(refused("TIME", json!("25:00:00")).contains("time"));
}

#[test]
fn nested_rows_keep_their_shape_and_errors_their_row() {
    let schema = schema_of(json!([
        {"name": "id", "type": "INT64", "mode": "REQUIRED"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
        {"name": "who", "type": "RECORD", "fields": [{"name": "age", "type": "INT64", "mode": "REQUIRED"}]},
        {"name": "stops", "type": "RECORD", "mode": "REPEATED", "fields": [{"name": "at", "type": "DATE"}]},
    ]));
    let good = [
        json!({"id": 1, "tags": ["a", "b"], "who": {"age": 3}, "stops": [{"at": "2020-01-01"}, {}]}),
        json!({"id": 2, "who": null}),
    ];
    let batch = rows(&schema, &good).unwrap();
    assert_eq!(batch.schema(), schema);
    let text = arrow::util::pretty::pretty_format_batches(&[batch])
        .unwrap()
        .to_string();
    assert!(
        text.contains("[a, b]") && text.contains("{age: 3}"),
        "{text}"
    );
    assert!(text.contains("[{at: 2020-01-01}, {at: }]"), "{text}");
    let bad = [
        json!({"id": 1}),
        json!({"tags": ["x"]}),
        json!({"id": 3, "who": {}}),
        json!({"id": 4, "stops": [{"at": "x"}]}),
    ];
    let errors = rows(&schema, &bad).unwrap_err();
    let found: Vec<usize> = errors.iter().map(|e| e.row).collect();
    assert_eq!(found, [1, 2, 3], "{errors:?}");
    assert_eq!(
        errors.first().unwrap().message,
        "Missing required field: id."
    );
    let unknown = json_row(
        schema.fields(),
        &json!({"who": {"x": 1}}),
        JsonReading::of_file(UnknownFields::Refuse),
    );
    assert_eq!(unknown.unwrap_err(), "No such field: who.x.");
    json_row(
        schema.fields(),
        &json!({"x": 1}),
        JsonReading::of_file(UnknownFields::Ignore),
    )
    .unwrap();
}

#[test]
fn packed_times_and_numerics_are_protobuf_s() {
    let cell = |packed| Cell::Int(packed);
    let packed_time = (16 << 32) | (24 << 26) | (51 << 20) | 7;
    assert_eq!(
        text::time(&cell(packed_time)),
        Ok(((16 * 60 + 24) * 60 + 51) * 1_000_000 + 7)
    );
    let packed = (1970 << 46) | (1 << 42) | (2 << 37) | packed_time;
    assert_eq!(
        text::datetime(&cell(packed)),
        text::time(&cell(packed_time)).map(|t| t + 86_400_000_000)
    );
    assert!(text::time(&cell(24 << 32)).is_err());
    let minus_one = Cell::Bytes(vec![0x00, 0x36, 0x65, 0xc4]);
    assert_eq!(text::decimal128(&minus_one, 38, 9), Ok(-1_000_000_000));
    assert_eq!(text::decimal128(&minus_one, 10, 2), Ok(-100));
}

#[test]
fn years_have_four_digits_at_most() {
    let day = 86_400_000_000;
    for (days, fits) in [
        (-719_162, true),
        (-719_163, false),
        (2_932_896, true),
        (2_932_897, false),
        (99_999_999, false),
    ] {
        assert_eq!(text::date(&Cell::Int(days)).is_ok(), fits, "{days}");
        let first = text::timestamp(&Cell::Int(days * day));
        assert_eq!(first.is_ok(), fits, "{days}");
        let last = text::timestamp(&Cell::Int(days * day + day - 1));
        assert_eq!(last.is_ok(), fits, "{days}");
    }
    let written = |text: &str| Cell::Text(text.to_owned());
    for (year, fits) in [("0001", true), ("9999", true), ("0000", false)] {
        assert_eq!(text::date(&written(&format!("{year}-02-01"))).is_ok(), fits);
        let time = written(&format!("{year}-02-01 00:00:00"));
        assert_eq!(text::datetime(&time).is_ok(), fits, "{year}");
        assert_eq!(text::timestamp(&time).is_ok(), fits, "{year}");
    }
}
