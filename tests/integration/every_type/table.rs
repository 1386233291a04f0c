//! A table with a column of every BigQuery type, and the ends of each.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, Float64Array, Int64Array, Int64Builder, ListArray, ListBuilder,
    RecordBatch, StringArray, StringBuilder, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, i256};

use crate::rows::write_file;

/// Days of 0001-01-01 and 9999-12-31.
pub const DAYS: [i32; 2] = [-719_162, 2_932_896];
/// Microseconds of 0001-01-01T00:00:00 and 9999-12-31T23:59:59.999999.
pub const MICROS: [i64; 2] = [-62_135_596_800_000_000, 253_402_300_799_999_999];

/// Where the emulator finds the table.
pub const PLACE: &str = "proj/shop/every";
/// What recipes call it.
pub const ADDRESS: &str = "bigquery://proj.shop.every";

/// A column: its name, its type in the REST form without the name, its values, which may be null.
pub type Column = (&'static str, &'static str, ArrayRef);

fn nines(digits: usize) -> String {
    "9".repeat(digits)
}

fn small<T>(ends: [T; 2], others: [T; 3]) -> Vec<Option<T>> {
    let [a, b] = ends;
    let [c, d, e] = others;
    vec![Some(a), Some(b), None, Some(c), Some(d), Some(e)]
}

fn strukt(fields: Vec<(&str, ArrayRef, bool)>, valid: Vec<bool>) -> ArrayRef {
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = fields
        .into_iter()
        .map(|(name, column, nullable)| {
            (
                Field::new(name, column.data_type().clone(), nullable),
                column,
            )
        })
        .unzip();
    Arc::new(StructArray::new(
        fields.into(),
        columns,
        Some(NullBuffer::from(valid)),
    ))
}

/// Ranges: from the first end on, up to the second, all, none at all, both ends, both ends.
fn ranges(end: impl Fn(Vec<Option<usize>>) -> ArrayRef) -> ArrayRef {
    let start = end(vec![Some(0), None, None, None, Some(0), Some(0)]);
    let stop = end(vec![None, Some(1), None, None, Some(1), Some(1)]);
    let valid = vec![true, true, true, false, true, true];
    strukt(vec![("start", start, true), ("end", stop, true)], valid)
}

fn texts(lists: [&[&str]; 6]) -> ListArray {
    let mut made =
        ListBuilder::new(StringBuilder::new()).with_field(Field::new("item", DataType::Utf8, true));
    for list in lists {
        list.iter()
            .for_each(|text| made.values().append_value(text));
        made.append(true);
    }
    made.finish()
}

/// Columns of six rows. `id` counts them; `part` says 0 for all.
pub fn columns() -> Vec<Column> {
    let days = |picked: Vec<Option<usize>>| -> ArrayRef {
        Arc::new(Date32Array::from_iter(
            picked.into_iter().map(|p| p.map(|p| DAYS[p])),
        ))
    };
    let local = |picked: Vec<Option<usize>>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter(
            picked.into_iter().map(|p| p.map(|p| MICROS[p])),
        ))
    };
    let utc = |picked: Vec<Option<usize>>| -> ArrayRef {
        let times = picked.into_iter().map(|p| p.map(|p| MICROS[p]));
        Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC"))
    };
    let times = small(MICROS, [0, 1, -1]);
    let numeric = 10_i128.pow(38) - 1;
    let big = i256::from_string(&nines(76)).unwrap();
    let decimals = |ends: [i128; 2], precision, scale| -> ArrayRef {
        let values = Decimal128Array::from(small(ends, [1, 0, -25]));
        Arc::new(values.with_precision_and_scale(precision, scale).unwrap())
    };
    let one = i256::from_i128(1);
    let interval = |months: i32, days: i32, nanos: i64| {
        let mut bytes = [months.to_le_bytes(), days.to_le_bytes()].concat();
        bytes.extend(nanos.to_le_bytes());
        bytes
    };
    let longest = interval(120_000, 3_660_000, 316_224_000_000_000_000);
    let shortest = interval(-120_000, -3_660_000, -316_224_000_000_000_000);
    let intervals = small(
        [longest, shortest],
        [
            interval(1, -2, 3_000),
            interval(0, 0, 0),
            interval(14, 3, 4_000_000_000),
        ],
    );
    let geo = strukt(
        vec![
            (
                "country",
                Arc::new(StringArray::from(vec![
                    Some("de"),
                    None,
                    Some("fr"),
                    Some("us"),
                    None,
                    Some(""),
                ])),
                true,
            ),
            (
                "lat",
                Arc::new(Float64Array::from(vec![
                    Some(1.5),
                    Some(-90.0),
                    None,
                    Some(90.0),
                    Some(0.0),
                    None,
                ])),
                true,
            ),
        ],
        vec![true, true, true, false, true, true],
    );
    let user = strukt(
        vec![
            (
                "age",
                Arc::new(Int64Array::from(vec![5, 6, 7, 8, 9, 10])),
                false,
            ),
            ("geo", geo, true),
            (
                "tags",
                Arc::new(texts([&["x"], &[], &[], &["y", "z"], &[""], &["w"]])),
                false,
            ),
        ],
        vec![true, true, true, true, false, true],
    );
    let mut numbers =
        ListBuilder::new(Int64Builder::new()).with_field(Field::new("item", DataType::Int64, true));
    for list in [&[1, 2][..], &[], &[i64::MAX], &[i64::MIN, 0], &[], &[7]] {
        list.iter().for_each(|n| numbers.values().append_value(*n));
        numbers.append(true);
    }
    let prices = Decimal128Array::from(vec![
        Some(numeric),
        None,
        Some(1),
        Some(15),
        Some(0),
        Some(-1),
    ]);
    let item: ArrayRef = Arc::new(StructArray::from(vec![
        (
            Arc::new(Field::new("sku", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec![
                Some("a"),
                Some("b"),
                None,
                Some(""),
                Some("c"),
                Some("d"),
            ])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("price", DataType::Decimal128(38, 9), true)),
            Arc::new(prices.with_precision_and_scale(38, 9).unwrap()) as ArrayRef,
        ),
    ]));
    let items = ListArray::new(
        Arc::new(Field::new("item", item.data_type().clone(), true)),
        OffsetBuffer::from_lengths([2, 0, 1, 0, 0, 3]),
        item,
        None,
    );
    let bytes: Vec<Option<&[u8]>> = small([b"", b"\x00\xff"], [b"a", b"\xf0", b"zz"]);
    vec![
        (
            "id",
            r#""type": "INTEGER", "mode": "REQUIRED""#,
            Arc::new(Int64Array::from_iter_values(0..6)),
        ),
        (
            "part",
            r#""type": "INTEGER""#,
            Arc::new(Int64Array::from(vec![0; 6])),
        ),
        (
            "int64",
            r#""type": "INTEGER""#,
            Arc::new(Int64Array::from(small(
                [i64::MIN, i64::MAX],
                [0, -1, 9_007_199_254_740_993],
            ))),
        ),
        (
            "float64",
            r#""type": "FLOAT""#,
            Arc::new(Float64Array::from(small(
                [f64::MAX, -0.0],
                [f64::NAN, 5e-324, -1.5],
            ))),
        ),
        (
            "infinite",
            r#""type": "FLOAT""#,
            Arc::new(Float64Array::from(small(
                [f64::INFINITY, f64::NEG_INFINITY],
                [f64::NAN, 0.0, 1.0],
            ))),
        ),
        (
            "bool",
            r#""type": "BOOLEAN""#,
            Arc::new(BooleanArray::from(small(
                [true, false],
                [true, true, false],
            ))),
        ),
        (
            "string",
            r#""type": "STRING""#,
            Arc::new(StringArray::from(small(
                ["", "\u{0}\n\"'\\"],
                ["é\u{1f600}", "a", "a"],
            ))),
        ),
        (
            "bytes",
            r#""type": "BYTES""#,
            Arc::new(BinaryArray::from(bytes)),
        ),
        (
            "date",
            r#""type": "DATE""#,
            Arc::new(Date32Array::from(small(DAYS, [0, -1, 19_782]))),
        ),
        (
            "time",
            r#""type": "TIME""#,
            Arc::new(Time64MicrosecondArray::from(small(
                [0, 86_399_999_999],
                [1, 3_600_000_000, 45_000_000_000],
            ))),
        ),
        (
            "datetime",
            r#""type": "DATETIME""#,
            Arc::new(TimestampMicrosecondArray::from(times.clone())),
        ),
        (
            "timestamp",
            r#""type": "TIMESTAMP""#,
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        ),
        (
            "numeric",
            r#""type": "NUMERIC""#,
            decimals([numeric, -numeric], 38, 9),
        ),
        (
            "numeric_10_2",
            r#""type": "NUMERIC", "precision": "10", "scale": "2""#,
            decimals([9_999_999_999, -9_999_999_999], 10, 2),
        ),
        (
            "bignumeric",
            r#""type": "BIGNUMERIC""#,
            Arc::new(
                Decimal256Array::from(small(
                    [big, big.wrapping_neg()],
                    [one, i256::ZERO, one.wrapping_neg()],
                ))
                .with_precision_and_scale(76, 38)
                .unwrap(),
            ),
        ),
        (
            "json",
            r#""type": "JSON""#,
            Arc::new(StringArray::from(small(
                [r#"{"a":{"b":[1,2.5]},"n":"x"}"#, "[]"],
                ["\"s\"", r#"{"a":{"b":[7]}}"#, "null"],
            ))),
        ),
        (
            "geography",
            r#""type": "GEOGRAPHY""#,
            Arc::new(StringArray::from(small(
                ["POINT(-180 90)", "POINT EMPTY"],
                ["LINESTRING(0 0, 1 1)", "POINT(1.5 2)", "POINT(0 0)"],
            ))),
        ),
        (
            "wait",
            r#""type": "INTERVAL""#,
            Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(intervals.into_iter(), 16)
                    .unwrap(),
            ),
        ),
        (
            "range_date",
            r#""type": "RANGE", "rangeElementType": {"type": "DATE"}"#,
            ranges(days),
        ),
        (
            "range_datetime",
            r#""type": "RANGE", "rangeElementType": {"type": "DATETIME"}"#,
            ranges(local),
        ),
        (
            "range_timestamp",
            r#""type": "RANGE", "rangeElementType": {"type": "TIMESTAMP"}"#,
            ranges(utc),
        ),
        (
            "numbers",
            r#""type": "INTEGER", "mode": "REPEATED""#,
            Arc::new(numbers.finish()),
        ),
        (
            "user",
            r#""type": "RECORD", "fields": [{"name": "age", "type": "INTEGER", "mode": "REQUIRED"}, {"name": "geo", "type": "RECORD", "fields": [{"name": "country", "type": "STRING"}, {"name": "lat", "type": "FLOAT"}]}, {"name": "tags", "type": "STRING", "mode": "REPEATED"}]"#,
            user,
        ),
        (
            "items",
            r#""type": "RECORD", "mode": "REPEATED", "fields": [{"name": "sku", "type": "STRING"}, {"name": "price", "type": "NUMERIC"}]"#,
            Arc::new(items),
        ),
    ]
}

/// The columns as one batch.
pub fn batch() -> RecordBatch {
    let columns = columns();
    let columns = columns.into_iter().map(|(name, kind, values)| {
        let nullable = !kind.contains("REQUIRED") && !kind.contains("REPEATED");
        (name, values, nullable || name == "user")
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Writes the table below `data`, for the emulator.
pub fn write(data: &Path) {
    let place = data.join(PLACE);
    write_file(&place.join("part-0.parquet"), &batch());
    let fields: Vec<String> = columns()
        .iter()
        .map(|(name, kind, _)| format!("{{\"name\": \"{name}\", {kind}}}"))
        .collect();
    let table = format!(
        "{{\"schema\": [{}], \"createdUs\": 0, \"modifiedUs\": 0}}",
        fields.join(", ")
    );
    fs::write(place.join("table.json"), table).unwrap();
}
