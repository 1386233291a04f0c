//! Reading by LIMIT and OFFSET.

use arrow::compute::concat_batches;
use google_cloud_bigquery_v2::model::{TableFieldSchema, TableSchema};

use super::*;
use crate::recipe::{Names, ReadBy};
use crate::source::Leg;

async fn in_chunks(setup: &Setup, rows: u64, order_by: &str) -> Arc<dyn Source> {
    let spec = TableSpec {
        table: "bigquery://p.d.t".to_owned(),
        bigquery: BigQueryOptions {
            endpoint: Some(setup.emulator.endpoint()),
            read: ReadBy::LimitOffset,
            chunk_rows: Some(rows),
            order_by: Names(vec![order_by.to_owned()]),
            ..BigQueryOptions::default()
        },
        csv: Default::default(),
    };
    connect_table(&spec, Connecting::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_deliver_what_the_storage_api_does_and_are_billed_each() {
    let setup = start(FaultScript::new()).await;
    let source = in_chunks(&setup, 7_000, "id").await;
    assert!(source.notes().concat().contains("billed"));
    let columns = ["text", "id", "flag", "day", "ts", "dt"];
    let scan = source
        .scan(request(&columns, vec![below("id", 18_000)]))
        .await
        .unwrap();
    assert_eq!(scan.units().len(), 1);
    let context = context();
    let batches = read_all(&scan, &context).await.unwrap();
    let whole = concat_batches(&scan.schema(), &batches).unwrap();
    let expected = table().slice(0, 18_000);
    for name in columns {
        assert_eq!(
            whole.column_by_name(name).unwrap().to_data(),
            expected.column_by_name(name).unwrap().to_data(),
            "{name}"
        );
    }
    // 7000, 7000, 4000.
    let usage = scan.usage();
    assert_eq!(usage.jobs, 3);
    assert_eq!(usage.bytes_billed, Some(3 * (10 << 20)));
    assert_eq!(context.metrics.rows(), 18_000);
    assert_eq!(context.budget.used(), 0);

    // Legs end between chunks and begin where the one before ended.
    let mut from_row = 0;
    let mut legs = Vec::new();
    loop {
        let leg = Leg {
            from_row,
            most_bytes: 1,
        };
        let batches: Vec<_> = scan.open_leg(0, leg, &context).unwrap().collect().await;
        let rows: usize = batches.iter().map(|b| b.as_ref().unwrap().num_rows()).sum();
        if rows == 0 {
            break;
        }
        from_row += rows as u64;
        legs.push(rows);
    }
    assert_eq!(legs, [7_000, 7_000, 4_000]);
    assert!(!scan.goes_on(0) && scan.starts_over());
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_nested_columns_are_refused_by_name() {
    let setup = start(FaultScript::new()).await;
    make(&setup, "nested", |t| {
        let inner = TableFieldSchema::new().set_name("x").set_type("INTEGER");
        t.set_schema(
            TableSchema::new().set_fields([
                TableFieldSchema::new().set_name("id").set_type("INTEGER"),
                TableFieldSchema::new()
                    .set_name("rec")
                    .set_type("RECORD")
                    .set_fields([inner]),
            ]),
        )
    })
    .await;
    let spec = TableSpec {
        table: "bigquery://p.d.nested".to_owned(),
        bigquery: BigQueryOptions {
            endpoint: Some(setup.emulator.endpoint()),
            read: ReadBy::LimitOffset,
            ..BigQueryOptions::default()
        },
        csv: Default::default(),
    };
    let source = connect_table(&spec, Connecting::default()).await.unwrap();
    assert!(source.notes().concat().contains("read twice"));
    let error = source.scan(request(&["rec"], vec![])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert!(error.to_string().contains("\"rec\""), "{error}");
    let scan = source.scan(request(&["id"], vec![])).await.unwrap();
    assert!(read_all(&scan, &context()).await.unwrap().is_empty());
    setup.emulator.shutdown().await;
}
