//! What is behind an address: tables, views and what else BigQuery calls a table.

use google_cloud_bigquery_v2::model::{
    MaterializedViewDefinition, TableFieldSchema, TableSchema, TimePartitioning, ViewDefinition,
};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn views_are_read_by_a_query_of_the_columns_and_rows_wanted() {
    let setup = start(FaultScript::new()).await;
    let view = "SELECT id, text, day, id + 1 AS next FROM `p.d.t`";
    make(&setup, "v", |t| {
        t.set_view(ViewDefinition::new().set_query(view))
    })
    .await;
    make(&setup, "mv", |t| {
        t.set_materialized_view(MaterializedViewDefinition::new().set_query(view))
    })
    .await;
    for (name, kind) in [("v", "a view"), ("mv", "a materialized view")] {
        let source = connect_at(&setup, &format!("p.d.{name}")).await.unwrap();
        assert_eq!(source.name(), format!("bigquery://p.d.{name}"));
        assert_eq!(source.billing(), Billing::Query);
        let notes = source.notes().concat();
        assert!(notes.contains(kind) && notes.contains("billed"), "{notes}");
        let predicate = below("id", 50);
        assert!(source.applies(&predicate));
        let scan = source
            .scan(request(&["next", "id"], vec![predicate]))
            .await
            .unwrap();
        assert_eq!(
            scan.snapshot()["sql"],
            json!(format!(
                "SELECT `next`, `id` FROM `p.d.{name}` WHERE (`id` < 50)"
            ))
        );
        assert_eq!(ids(&scan).await, (0..50).collect::<Vec<_>>());
        source.close().await;
        assert!(left_behind(&setup).is_empty());
    }
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_table_needs_no_rest() {
    let script = FaultScript::new().fault(
        FaultTarget::Rest(String::new()),
        0,
        100,
        FaultAction::abort(Code::PermissionDenied, "no REST for you"),
    );
    let setup = start(script).await;
    let source = connect_at(&setup, "p.d.t").await.unwrap();
    assert_eq!(source.billing(), Billing::StorageRead);
    let scan = source.scan(request(&["id"], vec![])).await.unwrap();
    assert_eq!(ids(&scan).await.len(), 20_000);
    assert_eq!(calls(&setup, "GET", "/") + calls(&setup, "POST", "/"), 0);
    // And looking at it says that more is not known.
    let appraisal = source.appraise(&["id".to_owned()], "").await;
    assert_eq!(appraisal.dry_run_bytes, None);
    assert!(
        appraisal.notes.concat().contains("no REST for you"),
        "{:?}",
        appraisal.notes
    );
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_requires_a_partition_filter_says_over_which_column() {
    let data = tempfile::tempdir().unwrap();
    write(data.path(), "t", &table());
    let setup = start_in(data, |emulator| emulator).await;
    make(&setup, "parts", |t| {
        let columns = [("id", "INTEGER"), ("day", "DATE")]
            .map(|(column, kind)| TableFieldSchema::new().set_name(column).set_type(kind));
        t.set_schema(TableSchema::new().set_fields(columns))
            .set_time_partitioning(TimePartitioning::new().set_type("DAY").set_field("day"))
            .set_require_partition_filter(true)
    })
    .await;
    let source = connect_at(&setup, "p.d.parts").await.unwrap();
    assert_eq!(source.schema().fields().len(), 2);
    for predicates in [vec![], vec![below("id", 5)]] {
        let error = source.scan(request(&["id"], predicates)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        let text = error.to_string();
        assert!(
            text.contains("\"day\"") && text.contains("DATE '2026-01-31'"),
            "{text}"
        );
    }
    let of_day = Predicate::Compare {
        column: "day".to_owned(),
        comparison: Comparison::Less,
        literal: Literal::Date(5),
    };
    assert!(source.scan(request(&["id"], vec![of_day])).await.is_ok());

    let appraisal = source.appraise(&["id".to_owned()], "").await;
    assert_eq!(appraisal.table["kind"], json!("TABLE"));
    assert_eq!(appraisal.table["partitioned_by"], json!("day"));
    assert_eq!(appraisal.table["partition_filter"], json!("required"));
    assert!(
        appraisal.notes.concat().contains("partitioned by day"),
        "{:?}",
        appraisal.notes
    );
    let appraisal = source
        .appraise(&["id".to_owned()], "(`day` < DATE '1970-01-06')")
        .await;
    assert!(!appraisal.notes.concat().contains("partitioned by day"));
    setup.emulator.shutdown().await;
}
