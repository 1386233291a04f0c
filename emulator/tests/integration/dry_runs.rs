//! Dry runs of statements that would change something.

use serde_json::{Value, json};
use tempfile::TempDir;

use millpond_emulator::RunningEmulator;

use crate::rest::send_json;
use crate::statements::{run, start_with_dataset, values};

async fn try_out(emulator: &RunningEmulator, sql: &str) -> (u16, Value) {
    let body =
        json!({"configuration": {"dryRun": true, "query": {"query": sql, "useLegacySql": false}}});
    send_json(emulator, "POST", "/projects/p/jobs", &body).await
}

#[tokio::test]
async fn statements_are_tried_and_nothing_happens() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(&emulator, "CREATE TABLE d.t AS SELECT 1 AS x, 'a' AS y").await;
    run(&emulator, "CREATE VIEW d.v AS SELECT x FROM d.t").await;
    let bucket = root.path().join(".buckets/b");
    std::fs::create_dir_all(&bucket).unwrap();
    std::fs::write(bucket.join("x.csv"), "1\n").unwrap();
    for (sql, kind, operation, bytes) in [
        (
            "INSERT INTO d.t SELECT x, 'b' FROM d.t",
            "INSERT",
            Value::Null,
            "8",
        ),
        (
            "UPDATE d.t SET x = 2 WHERE TRUE",
            "UPDATE",
            Value::Null,
            "3",
        ),
        ("DELETE FROM d.t WHERE x = 1", "DELETE", Value::Null, "11"),
        ("TRUNCATE TABLE d.t", "TRUNCATE_TABLE", Value::Null, "0"),
        (
            "MERGE d.t USING (SELECT 1 AS x) AS s ON t.x = s.x WHEN MATCHED THEN DELETE",
            "MERGE",
            Value::Null,
            "11",
        ),
        (
            "CREATE TABLE d.u (z INT64)",
            "CREATE_TABLE",
            json!("CREATE"),
            "0",
        ),
        (
            "CREATE OR REPLACE TABLE d.t AS SELECT x AS z FROM d.t",
            "CREATE_TABLE_AS_SELECT",
            json!("REPLACE"),
            "8",
        ),
        (
            "CREATE VIEW d.w AS SELECT x AS z FROM d.t",
            "CREATE_VIEW",
            json!("CREATE"),
            "8",
        ),
        ("DROP TABLE d.t", "DROP_TABLE", json!("DROP"), "0"),
        (
            "DROP TABLE IF EXISTS d.none",
            "DROP_TABLE",
            json!("SKIP"),
            "0",
        ),
        (
            "CREATE FUNCTION d.f(x INT64) AS (x)",
            "CREATE_FUNCTION",
            json!("CREATE"),
            "0",
        ),
        ("CREATE SCHEMA e", "CREATE_SCHEMA", json!("CREATE"), "0"),
        (
            "CREATE TABLE d.u COPY d.t",
            "CREATE_TABLE",
            json!("CREATE"),
            "0",
        ),
        (
            "CREATE SNAPSHOT TABLE d.u CLONE d.t",
            "CREATE_SNAPSHOT_TABLE",
            json!("CREATE"),
            "0",
        ),
        (
            "CREATE EXTERNAL TABLE d.u (x INT64) OPTIONS (format = 'CSV', uris = ['gs://b/x.csv'])",
            "CREATE_EXTERNAL_TABLE",
            json!("CREATE"),
            "0",
        ),
        (
            "LOAD DATA INTO d.t FROM FILES (format = 'CSV', uris = ['gs://b/x.csv'])",
            "LOAD_DATA",
            Value::Null,
            "0",
        ),
        ("DROP SCHEMA d CASCADE", "DROP_SCHEMA", json!("DROP"), "0"),
        (
            "DECLARE x INT64; DROP TABLE d.t",
            "SCRIPT",
            Value::Null,
            "0",
        ),
    ] {
        let (code, job) = try_out(&emulator, sql).await;
        assert_eq!(code, 200, "{sql}: {job}");
        let query = &job["statistics"]["query"];
        assert_eq!(query["statementType"], kind, "{sql}: {job}");
        assert_eq!(query["ddlOperationPerformed"], operation, "{sql}");
        let processed = &job["statistics"]["totalBytesProcessed"];
        assert!(bytes == "0" || processed == bytes, "{sql}: {processed}");
        if sql.contains(" z ") || sql.contains("(z ") {
            assert_eq!(query["schema"]["fields"][0]["name"], "z", "{sql}");
        }
    }
    for (sql, wanted) in [
        ("INSERT INTO d.t VALUES (1)", "wrong column count"),
        (
            "UPDATE d.t SET none = 2 WHERE TRUE",
            "Unrecognized name: none",
        ),
        ("DELETE FROM d.none WHERE TRUE", "Not found"),
        ("CREATE TABLE d.t (z INT64)", "Already Exists"),
        ("CREATE SCHEMA d", "Already Exists"),
        (
            "CREATE TABLE d.u AS SELECT 1 AS a, 2 AS A",
            "duplicate name A",
        ),
        (
            "CREATE VIEW d.u AS SELECT 1 AS a, 2 AS A",
            "duplicate name A",
        ),
        ("ALTER TABLE d.t ADD COLUMN z INT64", "dry run"),
        (
            "LOAD DATA INTO d.t FROM FILES (format = 'CSV', uris = ['gs://b/none.csv'])",
            "Not found",
        ),
        ("CREATE TABLE d.u CLONE d.none", "Not found"),
        ("CREATE TABLE d.t COPY d.t", "Already Exists"),
        (
            "CREATE EXTERNAL TABLE d.t (x INT64) OPTIONS (format = 'CSV', uris = ['gs://b/x.csv'])",
            "Already Exists",
        ),
    ] {
        let (code, answer) = try_out(&emulator, sql).await;
        assert!(
            code >= 400 && answer.to_string().contains(wanted),
            "{sql}: {answer}"
        );
    }
    let rows = values(&run(&emulator, "SELECT x, y FROM d.v JOIN d.t USING (x)").await);
    assert_eq!(rows, [[json!("1"), json!("a")]]);
    emulator.shutdown().await;
}
