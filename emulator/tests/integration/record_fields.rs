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
    run(&emulator, "CREATE VIEW d.v AS SELECT * FROM d.t").await;
    let sql = "SELECT * FROM d.v FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()";
    let (code, answer) = ask(&emulator, json!({"query": sql})).await;
    assert_eq!(code, 400);
    assert!(answer.to_string().contains("not allowed on"), "{answer}");
    emulator.shutdown().await;
}
