//! Fields of records: set one by one, required within records that are missing, and shown in definitions; and tables as they were.

use serde_json::json;
use tempfile::TempDir;

use crate::statements::{ask, run, start_with_dataset, values};

#[tokio::test]
async fn fields_of_records_are_set_and_missing_with_them() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t (id INT64, home STRUCT<city STRING NOT NULL, at STRUCT<x INT64, y INT64>>)",
    )
    .await;
    run(&emulator, "INSERT d.t VALUES (1, ('a', (1, 2))), (2, NULL)").await;
    let cities = run(&emulator, "SELECT t.home.city FROM d.t AS t ORDER BY id").await;
    assert_eq!(values(&cities), [[json!("a")], [json!(null)]]);
    run(
        &emulator,
        "UPDATE d.t AS u SET u.home.at.y = 7, id = 3 WHERE home.city = 'a'",
    )
    .await;
    let rows = run(
        &emulator,
        "SELECT id, home.city, home.at.x, home.at.y FROM d.t ORDER BY id DESC LIMIT 1",
    )
    .await;
    let row = ["3", "a", "1", "7"].map(|value| json!(value));
    assert_eq!(values(&rows), [row]);
    for (sql, wanted) in [
        (
            "UPDATE d.t SET home.at.x = 1, home.at = NULL WHERE TRUE",
            "assigned more than once",
        ),
        (
            "UPDATE d.t SET home.zip = 1 WHERE TRUE",
            "Field name zip does not exist",
        ),
    ] {
        let (code, answer) = ask(&emulator, json!({"query": sql})).await;
        assert_eq!(code, 400, "{sql}");
        assert!(answer.to_string().contains(wanted), "{sql}: {answer}");
    }
    let ddl = run(
        &emulator,
        "SELECT ddl FROM d.INFORMATION_SCHEMA.TABLES WHERE table_name = 't'",
    )
    .await;
    let text = values(&ddl)[0][0].to_string();
    assert!(text.contains("STRUCT<city STRING NOT NULL, at"), "{text}");
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_table_is_read_as_it_was() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(&emulator, "CREATE TABLE d.t (id INT64)").await;
    run(&emulator, "INSERT d.t VALUES (1)").await;
    let now = run(&emulator, "SELECT CAST(CURRENT_TIMESTAMP() AS STRING)").await;
    let before = values(&now)[0][0].as_str().unwrap().to_owned();
    run(&emulator, "INSERT d.t VALUES (2)").await;
    let sql = format!(
        "SELECT (SELECT COUNT(*) FROM d.t), COUNT(*) FROM d.t FOR SYSTEM_TIME AS OF TIMESTAMP '{before}'"
    );
    let counts = run(&emulator, &sql).await;
    assert_eq!(values(&counts), [["2", "1"].map(|count| json!(count))]);
    let sql = format!(
        "SELECT COUNT(a.id), MAX(b.id) FROM d.t AS a FOR SYSTEM_TIME AS OF TIMESTAMP '{before}' CROSS JOIN d.t b"
    );
    let counts = run(&emulator, &sql).await;
    assert_eq!(values(&counts), [["2", "2"].map(|count| json!(count))]);
    run(&emulator, "CREATE VIEW d.v AS SELECT * FROM d.t").await;
    let sql = "SELECT * FROM d.v FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()";
    let (code, answer) = ask(&emulator, json!({"query": sql})).await;
    assert_eq!(code, 400);
    assert!(answer.to_string().contains("not allowed on"), "{answer}");
    emulator.shutdown().await;
}

#[tokio::test]
async fn times_that_nothing_is_known_of_are_refused() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(&emulator, "CREATE TABLE d.t AS SELECT 1 AS id").await;
    for (at, beyond) in [
        (
            "TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)",
            "after",
        ),
        (
            "TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 DAY)",
            "before",
        ),
        ("TIMESTAMP '2001-01-01'", "before"),
    ] {
        let sql = format!("SELECT * FROM d.t FOR SYSTEM_TIME AS OF {at}");
        let (code, answer) = ask(&emulator, json!({"query": sql})).await;
        assert_eq!(code, 400, "{sql}");
        let text = answer["error"]["message"].as_str().unwrap();
        assert!(text.starts_with("Invalid snapshot time "), "{text}");
        assert!(text.contains(" for table p:d.t@"), "{text}");
        assert!(text.contains(&format!("Cannot read {beyond} ")), "{text}");
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn values_longer_than_their_columns_are_refused() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t (id INT64, s STRING(3), r STRUCT<b BYTES(2)>, l ARRAY<STRING(1)>)",
    )
    .await;
    run(
        &emulator,
        "INSERT d.t VALUES (1, 'äöü', STRUCT(b'ab'), ['x'])",
    )
    .await;
    for (sql, named) in [
        ("INSERT d.t (s) VALUES ('abcd')", "STRING(3)"),
        ("INSERT d.t (r) VALUES (STRUCT(b'abc'))", "BYTES(2)"),
        ("INSERT d.t (l) VALUES (['x', 'xy'])", "STRING(1)"),
        ("UPDATE d.t SET s = 'abcd' WHERE TRUE", "STRING(3)"),
        (
            "MERGE d.t USING (SELECT 'abcd' AS s) AS n ON FALSE WHEN NOT MATCHED THEN INSERT (s) VALUES (n.s)",
            "STRING(3)",
        ),
        (
            "CREATE TABLE d.u (s STRING(2)) AS SELECT s FROM d.t",
            "STRING(2)",
        ),
    ] {
        let (code, answer) = ask(&emulator, json!({"query": sql})).await;
        assert_eq!(code, 400, "{sql}: {answer}");
        let wanted = format!("{named} has maximum length");
        assert!(answer.to_string().contains(&wanted), "{sql}: {answer}");
    }
    let rows = run(&emulator, "SELECT s FROM d.t").await;
    assert_eq!(values(&rows), [[json!("äöü")]]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn ranges_that_meet_are_one_session() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t AS SELECT * FROM UNNEST([
            STRUCT(10 AS id, RANGE<DATE> '[2010-01-10, 2010-03-10)' AS r),
            (10, RANGE<DATE> '[2010-03-10, 2010-07-15)'), (10, RANGE<DATE> '[2010-06-15, 2010-08-18)'),
            (20, RANGE<DATE> '[2010-03-10, 2010-07-20)'), (20, RANGE<DATE> '[2020-05-10, UNBOUNDED)'), (20, NULL)])",
    )
    .await;
    let sessions = async |given: &str| {
        let sql = format!(
            "SELECT id, CAST(session_range AS STRING) FROM RANGE_SESSIONIZE({given}) GROUP BY id, session_range ORDER BY 1, 2"
        );
        values(&run(&emulator, &sql).await)
    };
    let row = |id: &str, range: &str| [json!(id), json!(range)];
    let later = [
        [json!("20"), json!(null)],
        row("20", "[2010-03-10, 2010-07-20)"),
        row("20", "[2020-05-10, UNBOUNDED)"),
    ];
    let mut meeting = vec![row("10", "[2010-01-10, 2010-08-18)")];
    meeting.extend(later.clone());
    assert_eq!(sessions("TABLE d.t, 'r', ['id']").await, meeting);
    let mut overlapping = vec![
        row("10", "[2010-01-10, 2010-03-10)"),
        row("10", "[2010-03-10, 2010-08-18)"),
    ];
    overlapping.extend(later);
    assert_eq!(
        sessions("TABLE d.t, 'r', ['id'], 'OVERLAPS'").await,
        overlapping
    );
    for (given, named) in [
        (
            "TABLE d.t, 'r', ['id'], 'OTHER'",
            "Invalid sessionize option",
        ),
        ("TABLE d.t, 'r', 'id'", "partitioning columns"),
        ("TABLE d.t", "RANGE_SESSIONIZE"),
    ] {
        let sql = format!("SELECT * FROM RANGE_SESSIONIZE({given})");
        let (code, answer) = ask(&emulator, json!({"query": sql})).await;
        assert_eq!(code, 400, "{sql}");
        assert!(answer.to_string().contains(named), "{sql}: {answer}");
    }
    emulator.shutdown().await;
}
