use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use google_cloud_auth::credentials::anonymous;
use google_cloud_bigquery::model::{ArrowSchema, ReadSession, ReadStream};
use google_cloud_gax::error::rpc::Code;
use google_cloud_wkt::Timestamp;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::super::failure::Place;
use super::super::{
    BigQueryOptions, BigQuerySettings, BigQuerySource, Endpoint, Predicate, ScanRequest, Source,
    TableName, Timing, parse_snapshot_time,
};
use super::fake::{Fake, schema_message};
use crate::error::{Error, ErrorKind};
use crate::recipe::WireCompression;
use crate::source::{Comparison, Literal, Rescan, Scan};

fn table_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("name", DataType::Utf8, true),
        Field::new("id", DataType::Int64, true),
        Field::new("flag", DataType::Boolean, true),
    ]))
}

fn session(schema: &Schema, streams: usize) -> ReadSession {
    ReadSession::new()
        .set_name("projects/p/locations/us/sessions/s")
        .set_arrow_schema(
            ArrowSchema::new().set_serialized_schema(schema_message(&Arc::new(schema.clone()))),
        )
        .set_streams((0..streams).map(|i| ReadStream::new().set_name(format!("streams/{i}"))))
        .set_expire_time(Timestamp::try_from("2026-02-01T06:00:00Z").unwrap())
        .set_estimated_row_count(100)
        .set_estimated_total_bytes_scanned(1001)
}

async fn source(fake: &Fake, options: BigQueryOptions) -> Result<BigQuerySource, Error> {
    let snapshot_time = options.snapshot_time.as_deref().map(parse_snapshot_time);
    BigQuerySource {
        filter_column: None,
        earlier: None,
        clock: super::super::Clock::SYSTEM,
        name: "bigquery://p.d.t".to_owned(),
        place: Arc::new(Place {
            table: TableName::parse("p.d.t").unwrap(),
            billing_project: "payer".to_owned(),
            endpoint: Endpoint::Google,
            credentials: None,
        }),
        snapshot_time: snapshot_time.transpose()?,
        options,
        timing: Timing::REMOTE,
        connections: 1,
        credentials: anonymous::Builder::new().build(),
        client: fake.client(),
        schema: Arc::new(Schema::empty()),
    }
    .learn_schema()
    .await
}

async fn scan(
    fake: &Fake,
    options: BigQueryOptions,
    columns: &[&str],
    predicates: Vec<Predicate>,
) -> Result<Arc<dyn Scan>, Error> {
    let source = source(fake, options).await?;
    assert_eq!(source.schema(), table_schema());
    let columns = columns.iter().map(|c| (*c).to_owned()).collect();
    source
        .scan(ScanRequest {
            columns,
            predicates,
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn a_scan_asks_for_what_is_needed() {
    let fake = Fake::default();
    fake.answer(Ok(session(&table_schema(), 1)));
    fake.answer(Ok(session(&table_schema().project(&[0, 1]).unwrap(), 3)));
    let options = BigQueryOptions {
        snapshot_time: Some("2026-02-01T00:00:00Z".to_owned()),
        max_stream_count: Some(7),
        preferred_min_stream_count: Some(2),
        compression: Some(WireCompression::Lz4),
        ..BigQueryOptions::default()
    };
    let predicate = Predicate::Compare {
        column: "id".to_owned(),
        comparison: Comparison::Greater,
        literal: Literal::Int(5),
    };
    let scan = scan(&fake, options, &["id", "name"], vec![predicate])
        .await
        .unwrap();

    let [first, second] = &fake.sessions()[..] else {
        panic!("two sessions");
    };
    assert_eq!(first.max_stream_count, 1);
    assert_eq!(second.parent, "projects/payer");
    assert_eq!(
        (second.max_stream_count, second.preferred_min_stream_count),
        (7, 2)
    );
    for request in [first, second] {
        let asked = request.read_session.as_ref().unwrap();
        assert_eq!(asked.table, "projects/p/datasets/d/tables/t");
        let modifiers = asked.table_modifiers.as_ref().unwrap();
        assert_eq!(
            String::from(modifiers.snapshot_time.unwrap()),
            "2026-02-01T00:00:00Z"
        );
    }
    let asked = second
        .read_session
        .as_ref()
        .unwrap()
        .read_options
        .as_ref()
        .unwrap();
    assert_eq!(asked.selected_fields, ["id", "name"]);
    assert_eq!(asked.row_restriction, "(`id` > 5)");
    assert!(asked.arrow_serialization_options().is_some());

    let names: Vec<String> = scan
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(names, ["id", "name"]);
    assert_eq!(scan.rescan(), Rescan::Paid);
    let rows: Vec<_> = scan.units().iter().map(|u| u.rows.unwrap()).collect();
    assert_eq!(rows, [34, 33, 33]);
    let bytes: u64 = scan.units().iter().map(|u| u.bytes.unwrap()).sum();
    assert_eq!(bytes, 1001);
    assert_eq!(scan.units()[2].name, "p.d.t stream 2");
    assert_eq!(
        serde_json::Value::Object(scan.snapshot()),
        serde_json::json!({
            "table": "p.d.t",
            "snapshot_time": "2026-02-01T00:00:00Z",
            "streams": 3,
            "estimated_rows": 100,
            "estimated_bytes": 1001,
            "row_restriction": "(`id` > 5)",
        })
    );
    assert_eq!(
        serde_json::Value::Object(scan.session()),
        serde_json::json!({
            "session": "projects/p/locations/us/sessions/s",
            "expire_time": "2026-02-01T06:00:00Z",
        })
    );
}

#[tokio::test(start_paused = true)]
async fn counting_rows_reads_the_narrowest_column() {
    let fake = Fake::default();
    fake.answer(Ok(session(&table_schema(), 1)));
    fake.answer(Ok(session(&table_schema().project(&[2]).unwrap(), 0)));
    let scan = scan(&fake, BigQueryOptions::default(), &[], vec![])
        .await
        .unwrap();
    let asked = fake.sessions()[1]
        .read_session
        .clone()
        .unwrap()
        .read_options
        .unwrap();
    assert_eq!(asked.selected_fields, ["flag"]);
    assert_eq!(scan.schema().fields().len(), 0);
    assert!(scan.units().is_empty());
}

#[tokio::test(start_paused = true)]
async fn sessions_are_asked_for_again_when_that_may_help() {
    let fake = Fake::default();
    fake.answer(Err((Code::Unavailable, "")));
    fake.answer(Err((Code::DeadlineExceeded, "")));
    fake.answer(Ok(session(&table_schema(), 1)));
    assert!(source(&fake, BigQueryOptions::default()).await.is_ok());
    assert_eq!(fake.sessions().len(), 3);

    for (code, text, kind) in [
        (
            Code::NotFound,
            "Not found: Table p:d.t",
            ErrorKind::NotFound,
        ),
        (Code::PermissionDenied, "Permission denied", ErrorKind::Auth),
        (
            Code::InvalidArgument,
            "request failed: non-table entities cannot be read with the storage API",
            ErrorKind::Config,
        ),
    ] {
        let fake = Fake::default();
        fake.answer(Err((code, text)));
        let error = source(&fake, BigQueryOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        let shown = error.to_string();
        assert!(shown.contains("p.d.t") && shown.contains(text), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_changes_meanwhile_is_refused() {
    let fake = Fake::default();
    fake.answer(Ok(session(&table_schema(), 1)));
    let changed = Schema::new(vec![Field::new("id", DataType::Utf8, true)]);
    fake.answer(Ok(session(&changed, 1)));
    let error = scan(&fake, BigQueryOptions::default(), &["id"], vec![])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert!(
        error.to_string().contains("~ id Int64 became Utf8"),
        "{error}"
    );

    let fake = Fake::default();
    fake.answer(Ok(session(&table_schema(), 1)));
    let error = scan(&fake, BigQueryOptions::default(), &["ID"], vec![])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert_eq!(fake.sessions().len(), 1);
}

#[tokio::test]
async fn nobody_at_the_endpoint_is_known_within_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let start = Instant::now();
    let options = BigQueryOptions {
        endpoint: Some(endpoint.clone()),
        ..BigQueryOptions::default()
    };
    let error = BigQuerySource::connect_with("p.d.t", options, BigQuerySettings::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&endpoint), "{error}");
    assert!(start.elapsed().as_secs() < 5);
}

#[tokio::test]
async fn settings_are_checked_before_the_network() {
    let refused = |table: &'static str, options| async move {
        let error = BigQuerySource::connect_with(table, options, BigQuerySettings::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        error.to_string()
    };
    let options = BigQueryOptions::default;
    assert!(refused("nonsense", options()).await.contains("nonsense"));
    let bad = BigQueryOptions {
        snapshot_time: Some("yesterday".to_owned()),
        ..options()
    };
    assert!(refused("p.d.t", bad).await.contains("yesterday"));
    let bad = BigQueryOptions {
        billing_project: Some("a/b".to_owned()),
        ..options()
    };
    assert!(refused("p.d.t", bad).await.contains("a/b"));
    let bad = BigQueryOptions {
        max_stream_count: Some(2),
        preferred_min_stream_count: Some(3),
        ..options()
    };
    assert!(
        refused("p.d.t", bad)
            .await
            .contains("above max_stream_count 2")
    );
}
