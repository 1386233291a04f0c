#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, ListArray, StringArray, StringViewArray,
    StructArray, TimestampMillisecondArray, UInt64Array,
};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::ArrowSchemaConverter;

fn wire_of(fields: Vec<Field>) -> Result<Schema, UnsupportedColumn> {
    let stored = Schema::new(fields);
    let parquet = ArrowSchemaConverter::new().convert(&stored).unwrap();
    wire_schema(&stored, &parquet)
}

#[test]
fn every_type_has_the_service_s_form() {
    let utc = || Some("UTC".into());
    let cases = [
        (DataType::Int8, DataType::Int64, None),
        (DataType::UInt32, DataType::Int64, None),
        (DataType::Float32, DataType::Float64, None),
        (DataType::Utf8View, DataType::Utf8, None),
        (DataType::LargeBinary, DataType::Binary, None),
        (
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            DataType::Utf8,
            None,
        ),
        (DataType::Date64, DataType::Date32, None),
        (
            DataType::Time32(TimeUnit::Millisecond),
            DataType::Time64(TimeUnit::Microsecond),
            None,
        ),
        (
            DataType::Timestamp(TimeUnit::Nanosecond, Some("Europe/Berlin".into())),
            DataType::Timestamp(TimeUnit::Microsecond, utc()),
            None,
        ),
        (
            DataType::Timestamp(TimeUnit::Millisecond, None),
            DataType::Timestamp(TimeUnit::Microsecond, None),
            Some("datetime"),
        ),
        (
            DataType::Decimal128(12, 2),
            DataType::Decimal128(38, 9),
            None,
        ),
        (
            DataType::Decimal128(38, 9),
            DataType::Decimal128(38, 9),
            None,
        ),
        (
            DataType::Decimal128(38, 10),
            DataType::Decimal256(76, 38),
            None,
        ),
        (
            DataType::Decimal128(38, 0),
            DataType::Decimal256(76, 38),
            None,
        ),
    ];
    for (stored, wire, extension) in cases {
        let schema = wire_of(vec![Field::new("c", stored.clone(), false)]).unwrap();
        let field = schema.field(0);
        assert_eq!(field.data_type(), &wire, "{stored}");
        assert_eq!(sql_type(field), extension, "{stored}");
        assert!(!field.is_nullable());
    }
}

#[test]
fn repeated_columns_are_never_null_and_arrays_of_arrays_are_refused() {
    let list = |item| DataType::List(Arc::new(Field::new_list_field(item, true)));
    let schema = wire_of(vec![Field::new("tags", list(DataType::Int32), true)]).unwrap();
    assert_eq!(
        schema.field(0),
        &Field::new("tags", list(DataType::Int64), false)
    );
    let refused = wire_of(vec![Field::new("m", list(list(DataType::Int32)), true)]).unwrap_err();
    assert_eq!(refused.column, "m");
}

#[test]
fn values_survive_the_conversion() {
    let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("b"), Some("a")]
        .into_iter()
        .collect();
    let text = to_wire(
        &(Arc::new(dictionary) as ArrayRef),
        &Field::new("c", DataType::Utf8, true),
    )
    .unwrap();
    assert_eq!(
        text.as_string::<i32>(),
        &StringArray::from(vec![Some("a"), None, Some("b"), Some("a")])
    );

    let views: ArrayRef = Arc::new(StringViewArray::from(vec![
        "x",
        "a longer text than twelve bytes",
    ]));
    let text = to_wire(&views, &Field::new("c", DataType::Utf8, true)).unwrap();
    assert_eq!(
        text.as_string::<i32>().value(1),
        "a longer text than twelve bytes"
    );

    let millis: ArrayRef =
        Arc::new(TimestampMillisecondArray::from(vec![1, -1]).with_timezone("Europe/Berlin"));
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let micros = to_wire(&millis, &Field::new("c", utc, true)).unwrap();
    assert_eq!(
        micros.as_primitive::<TimestampMicrosecondType>().values(),
        &[1000, -1000]
    );

    let large: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    assert!(to_wire(&large, &Field::new("c", DataType::Int64, true)).is_err());
}

#[test]
fn a_pruned_target_prunes_the_struct_and_null_lists_become_empty() {
    let a: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let b: ArrayRef = Arc::new(StringArray::from(vec!["x", "y", "z"]));
    let stored = StructArray::from(vec![
        (Arc::new(Field::new("a", DataType::Int32, false)), a),
        (Arc::new(Field::new("b", DataType::Utf8, false)), b),
    ]);
    let target = Field::new(
        "s",
        DataType::Struct(vec![Field::new("a", DataType::Int64, false)].into()),
        false,
    );
    let pruned = to_wire(&(Arc::new(stored) as ArrayRef), &target).unwrap();
    assert_eq!(pruned.data_type(), target.data_type());
    assert_eq!(
        pruned
            .as_struct()
            .column(0)
            .as_primitive::<Int64Type>()
            .values(),
        &[1, 2, 3]
    );

    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), Some(2)]),
        None,
        Some(vec![]),
    ]);
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    let wire = to_wire(
        &(Arc::new(lists) as ArrayRef),
        &Field::new("l", DataType::List(item), false),
    )
    .unwrap();
    assert_eq!(wire.null_count(), 0);
    let lengths: Vec<usize> = wire.as_list::<i32>().offsets().lengths().collect();
    assert_eq!(lengths, [2, 0, 0]);
}
