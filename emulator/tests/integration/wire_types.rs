//! Types, nesting and filters from a Parquet file to a decoded batch.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
    Time32MillisecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use google_cloud_bigquery::model::read_session::TableReadOptions;
use millpond_emulator::Emulator;
use tempfile::TempDir;

use crate::harness::*;

/// Three rows with a column of every kind.
fn stored() -> RecordBatch {
    let lat: ArrayRef = Arc::new(Float32Array::from(vec![1.5, 2.5, 3.5]));
    let tag: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]));
    let point = StructArray::from(vec![
        (Arc::new(Field::new("Lat", DataType::Float32, false)), lat),
        (Arc::new(Field::new("tag", DataType::Utf8, true)), tag),
    ]);
    let colours: DictionaryArray<Int32Type> = vec!["red", "blue", "red"].into_iter().collect();
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), Some(2)]),
        None,
        Some(vec![]),
    ]);
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("id", Arc::new(Int32Array::from(vec![1, 2, 3])), false),
        (
            "ratio",
            Arc::new(Float32Array::from(vec![Some(0.5), None, Some(-1.0)])),
            true,
        ),
        ("Colour", Arc::new(colours), false),
        ("day", Arc::new(Date32Array::from(vec![0, 1, 20_000])), true),
        (
            "at",
            Arc::new(TimestampMillisecondArray::from(vec![0, 1, 2])),
            true,
        ),
        (
            "ts",
            Arc::new(
                TimestampNanosecondArray::from(vec![0, 1000, 86_400_000_000_000])
                    .with_timezone("Europe/Berlin"),
            ),
            true,
        ),
        (
            "clock",
            Arc::new(Time32MillisecondArray::from(vec![0, 1, 86_399_999])),
            true,
        ),
        (
            "price",
            Arc::new(
                Decimal128Array::from(vec![100, 250, -1])
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
            true,
        ),
        ("lists", Arc::new(lists), true),
        ("point", Arc::new(point), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

async fn read(options: TableReadOptions) -> RecordBatch {
    let root = TempDir::new().unwrap();
    write_file(root.path(), "t", "a.parquet", &[stored()], 2);
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let session = open(&client, arrow_session().set_read_options(options))
        .await
        .unwrap();
    let batches = read_all(&client, &session).await;
    let schema = session_schema(&session);
    emulator.shutdown().await;
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

#[tokio::test]
async fn every_column_arrives_in_the_service_s_type() {
    let batch = read(TableReadOptions::new()).await;
    let datetime = [(
        "ARROW:extension:name".to_owned(),
        "google:sqlType:datetime".to_owned(),
    )];
    let point = vec![
        Field::new("Lat", DataType::Float64, false),
        Field::new("tag", DataType::Utf8, true),
    ];
    let expected = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("ratio", DataType::Float64, true),
        Field::new("Colour", DataType::Utf8, false),
        Field::new("day", DataType::Date32, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true)
            .with_metadata(datetime.into()),
        Field::new(
            "ts",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true,
        ),
        Field::new("clock", DataType::Time64(TimeUnit::Microsecond), true),
        Field::new("price", DataType::Decimal128(38, 9), true),
        Field::new_list("lists", Field::new("item", DataType::Int64, true), false),
        Field::new("point", DataType::Struct(point.into()), true),
    ]);
    assert_eq!(batch.schema().as_ref(), &expected);
    assert_eq!(
        batch["id"].as_ref(),
        &Int64Array::from(vec![1, 2, 3]) as &dyn Array
    );
    assert_eq!(
        batch["Colour"].as_ref(),
        &StringArray::from(vec!["red", "blue", "red"]) as &dyn Array
    );
    assert_eq!(
        batch["at"]
            .as_primitive::<TimestampMicrosecondType>()
            .values(),
        &[0, 1000, 2000]
    );
    assert_eq!(
        batch["ts"]
            .as_primitive::<TimestampMicrosecondType>()
            .values(),
        &[0, 1, 86_400_000_000]
    );
    let price = Decimal128Array::from(vec![1_000_000_000, 2_500_000_000, -10_000_000])
        .with_precision_and_scale(38, 9)
        .unwrap();
    assert_eq!(batch["price"].as_ref(), &price as &dyn Array);
    let lengths: Vec<usize> = batch["lists"]
        .as_list::<i32>()
        .offsets()
        .lengths()
        .collect();
    assert_eq!(lengths, [2, 0, 0]);
    assert_eq!(
        batch["lists"]
            .as_list::<i32>()
            .values()
            .as_primitive::<Int64Type>()
            .values(),
        &[1, 2]
    );
}

#[tokio::test]
async fn nested_selection_and_a_filter_on_other_columns_work_together() {
    let options = TableReadOptions::new()
        .set_selected_fields(["point.lat", "id"])
        .set_row_restriction("colour = 'red' AND point.tag = \"c\"");
    let batch = read(options).await;
    let names: Vec<&str> = batch
        .schema_ref()
        .fields()
        .iter()
        .map(|f| f.name().as_str())
        .collect();
    assert_eq!(names, ["id", "point"]);
    assert_eq!(ids(std::slice::from_ref(&batch)), [3]);
    let point = batch["point"].as_struct();
    assert_eq!(point.column_names(), ["Lat"]);
    assert_eq!(
        point.column(0).as_primitive::<Float64Type>().values(),
        &[3.5]
    );
}
