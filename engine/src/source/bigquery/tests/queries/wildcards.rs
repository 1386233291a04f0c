//! Wildcards and external tables: what SQL alone can read, read to the last row.

use google_cloud_bigquery_v2::model::ExternalDataConfiguration;

use super::*;

/// Daily tables of ten rows each: 0..10, 10..20, 20..30.
async fn days() -> Setup {
    let data = tempfile::tempdir().unwrap();
    for day in 0..3 {
        let rows = table().slice(day * 10, 10);
        write(data.path(), &format!("day_202601{:02}", day + 1), &rows);
    }
    write(data.path(), "other", &table());
    start_in(data, |emulator| emulator).await
}

fn suffix(comparison: Comparison, value: &str) -> Predicate {
    Predicate::Compare {
        column: "_TABLE_SUFFIX".to_owned(),
        comparison,
        literal: Literal::Text(value.to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_is_read_by_its_suffixes() {
    let setup = days().await;
    let source = connect_at(&setup, "p.d.day_*").await.unwrap();
    assert_eq!(source.name(), "bigquery://p.d.day_*");
    assert_eq!(source.billing(), Billing::Query);
    let notes = source.notes().concat();
    assert!(notes.contains("a wildcard over tables"), "{notes}");
    let all = source.scan(request(&["id"], vec![])).await.unwrap();
    assert_eq!(ids(&all).await, (0..30).collect::<Vec<_>>());

    let middle = vec![
        suffix(Comparison::GreaterOrEqual, "20260102"),
        suffix(Comparison::Less, "20260103"),
    ];
    assert!(middle.iter().all(|p| source.applies(p)));
    let scan = source.scan(request(&["id"], middle)).await.unwrap();
    let sql = scan.snapshot()["sql"].as_str().unwrap().to_owned();
    assert!(
        sql.starts_with("SELECT `id` FROM `p.d.day_*` WHERE") && sql.contains("`_TABLE_SUFFIX`"),
        "{sql}"
    );
    assert_eq!(ids(&scan).await, (10..20).collect::<Vec<_>>());

    // As a column of its own, under its own name.
    let columns = request(&["_TABLE_SUFFIX", "id"], vec![below("id", 12)]);
    let scan = source.scan(columns).await.unwrap();
    let batches = read_all(&scan, &context()).await.unwrap();
    let mut pairs: Vec<(String, i64)> = batches
        .iter()
        .flat_map(|b| {
            assert_eq!(b.schema().field(0).name(), "_TABLE_SUFFIX");
            let suffixes = b.column(0).as_string::<i32>();
            let ids = b.column(1).as_primitive::<Int64Type>();
            let pairs = suffixes.iter().zip(ids.values());
            pairs
                .map(|(s, id)| (s.unwrap().to_owned(), *id))
                .collect::<Vec<_>>()
        })
        .collect();
    pairs.sort();
    assert_eq!(pairs.len(), 12);
    assert_eq!(pairs.last().unwrap(), &("20260102".to_owned(), 11));

    // What is billed is what the suffixes leave.
    let one = source
        .appraise(&["id".to_owned()], "(`_TABLE_SUFFIX` = '20260101')")
        .await;
    let three = source.appraise(&["id".to_owned()], "").await;
    assert_eq!(one.dry_run_bytes, Some(80));
    assert_eq!(three.dry_run_bytes, Some(240));
    source.close().await;
    assert!(left_behind(&setup).is_empty());
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_that_matches_nothing_or_is_none_is_refused() {
    let setup = days().await;
    let error = connect_at(&setup, "p.d.night_*").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.to_string().contains("p:d.night_* does not match"),
        "{error}"
    );
    for wrong in ["p.d.*", "p.d.a*b*", "p.*", "p.d.t`*"] {
        let error = connect_at(&setup, wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{wrong}: {error}");
    }
    setup.emulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_table_is_read_by_a_query() {
    let setup = days().await;
    let file = setup.data.path().join("rows.csv");
    std::fs::write(&file, "id,text\n7,x\n8,y\n").unwrap();
    let uri = format!("file://{}", file.display());
    for (name, uri) in [("files", uri.as_str()), ("bucket", "gs://b/rows.csv")] {
        let data = ExternalDataConfiguration::new()
            .set_source_format("CSV")
            .set_source_uris([uri])
            .set_autodetect(true);
        make(&setup, name, |t| t.set_external_data_configuration(data)).await;
    }
    let source = connect_at(&setup, "p.d.files").await.unwrap();
    let notes = source.notes().concat();
    assert!(notes.contains("an external table"), "{notes}");
    let scan = source
        .scan(request(&["id"], vec![below("id", 8)]))
        .await
        .unwrap();
    assert_eq!(ids(&scan).await, [7]);
    source.close().await;
    assert!(left_behind(&setup).is_empty());
    let error = connect_at(&setup, "p.d.bucket").await.unwrap_err();
    assert!(error.to_string().contains("gs://b/rows.csv"), "{error}");
    setup.emulator.shutdown().await;
}
