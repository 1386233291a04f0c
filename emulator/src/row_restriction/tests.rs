#![allow(clippy::unwrap_used)]

use super::*;
use arrow::array::{
    ArrayRef, Date32Array, Float64Array, Int64Array, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, TimeUnit};

fn batch() -> RecordBatch {
    let size: ArrayRef = Arc::new(Int64Array::from(vec![Some(10), Some(20), None]));
    let shape = StructArray::from(vec![(
        Arc::new(Field::new("Size", DataType::Int64, true)),
        size,
    )]);
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let day = 86_400_000_000;
    let columns: Vec<(Field, ArrayRef)> = vec![
        (
            Field::new("Id", DataType::Int64, false),
            Arc::new(Int64Array::from(vec![1, 2, 3])),
        ),
        (
            Field::new("name", DataType::Utf8, true),
            Arc::new(StringArray::from(vec![Some("ann"), None, Some("O'Neil")])),
        ),
        (
            Field::new("x", DataType::Float64, true),
            Arc::new(Float64Array::from(vec![Some(0.5), Some(-1.0), None])),
        ),
        (
            Field::new("ts", utc, true),
            Arc::new(TimestampMicrosecondArray::from(vec![0, day, 2 * day]).with_timezone("UTC")),
        ),
        (
            Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
            Arc::new(TimestampMicrosecondArray::from(vec![0, day, 2 * day])),
        ),
        (
            Field::new("day", DataType::Date32, true),
            Arc::new(Date32Array::from(vec![0, 1, 2])),
        ),
        (
            Field::new("shape", shape.data_type_owned(), true),
            Arc::new(shape),
        ),
    ];
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

trait DataTypeOwned {
    fn data_type_owned(&self) -> DataType;
}

impl DataTypeOwned for StructArray {
    fn data_type_owned(&self) -> DataType {
        arrow::array::Array::data_type(self).clone()
    }
}

fn plan(filter: &str) -> Result<Option<RowFilter>, RowRestrictionError> {
    let table = TableName::try_new("p", "d", "t").unwrap();
    RowFilter::plan(&table, &batch().schema(), filter)
}

fn ids(filter: &str) -> Vec<i64> {
    let planned = plan(filter).unwrap().unwrap();
    let batch = batch();
    let mask = planned
        .evaluate(&batch.project(&planned.columns).unwrap())
        .unwrap();
    let kept = RowFilter::apply(&batch, &mask).unwrap();
    kept.column(0)
        .as_primitive::<arrow::datatypes::Int64Type>()
        .values()
        .to_vec()
}

#[test]
fn bigquery_spellings_are_understood() {
    let cases: [(&str, &[i64]); 25] = [
        ("id >= 2", &[2, 3]),
        ("`ID` IN (1, 3)", &[1, 3]),
        ("id BETWEEN 2 AND 2", &[2]),
        ("name = \"ann\"", &[1]),
        ("name = 'O\\'Neil'", &[3]),
        ("name = '\\x61\\u006e\\156'", &[1]),
        ("name IS NOT NULL AND NOT name LIKE 'a%'", &[3]),
        ("x > 0 OR x IS NULL", &[1, 3]),
        ("x = -1", &[2]),
        ("ts >= TIMESTAMP '1970-01-02'", &[2, 3]),
        ("ts < TIMESTAMP('1970-01-02 00:00:00+00:00')", &[1]),
        ("ts < TIMESTAMP '9999-12-31 23:59:59'", &[1, 2, 3]),
        ("ts >= '1970-01-03'", &[3]),
        ("DATE(ts) = DATE '1970-01-02'", &[2]),
        ("DATE(ts) = '1970-01-02'", &[2]),
        ("at = DATETIME '1970-01-02 00:00:00'", &[2]),
        ("day > '1970-01-02'", &[3]),
        ("CAST(id AS STRING) = '2'", &[2]),
        ("CAST(x AS INT64) = 0", &[1]),
        ("SAFE_CAST(name AS FLOAT64) IS NULL", &[1, 2, 3]),
        ("shape.size = 20", &[2]),
        ("MOD(id + 1, 2 + 1) = 0", &[2]),
        ("STARTS_WITH(name, 'a') AND LENGTH(name) = 3", &[1]),
        ("TRUE", &[1, 2, 3]),
        ("NULL = 1", &[]),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(filter), expected, "{filter}");
    }
}

#[test]
fn what_is_no_row_filter_is_refused_with_the_service_s_text() {
    for filter in [
        "nope = 1",
        "id",
        "id +",
        "id > 1; DROP TABLE t",
        "COUNT(*) > 1",
        "id IN (SELECT 1)",
        "EXISTS (SELECT 1)",
        "ROW_NUMBER() OVER () = 1",
        "id = @p",
        "id > 1 AS x",
        "shape.nope = 1",
    ] {
        let refused = plan(filter).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!(
                "request failed: Row filter for table p:d.t is invalid. Filter is '({filter})'"
            )
        );
    }
    assert!(matches!(
        plan(&format!("id > {}", "1".repeat(MAX_BYTES))),
        Err(RowRestrictionError::TooLong)
    ));
    assert!(plan("  ").unwrap().is_none());
}

#[test]
fn a_filter_reads_only_the_columns_it_names() {
    assert_eq!(
        plan("day > '1970-01-02' OR ID = 1")
            .unwrap()
            .unwrap()
            .columns,
        [0, 5]
    );
    assert!(plan("TRUE").unwrap().unwrap().columns.is_empty());
}
