//! LOAD DATA, EXPORT DATA, external tables by SQL, and tables made of others.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use millpond_emulator::RunningEmulator;

use crate::rest::{call, send_json};
use crate::statements::{ask, run, start_with_dataset, values};

fn object(root: &TempDir, name: &str, text: &str) {
    let path = root.path().join(".buckets/b").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// What a query said that failed.
async fn refused(emulator: &RunningEmulator, sql: &str) -> String {
    let (code, answer) = ask(emulator, json!({"query": sql})).await;
    assert!(code >= 400, "{sql}: {answer}");
    answer["error"]["message"].as_str().unwrap().to_owned()
}

async fn statistics(emulator: &RunningEmulator, answer: &Value) -> Value {
    let id = answer["jobReference"]["jobId"].as_str().unwrap();
    let (_, job) = call(emulator, "GET", &format!("/projects/p/jobs/{id}")).await;
    job["statistics"]["query"].clone()
}

async fn table(emulator: &RunningEmulator, id: &str) -> Value {
    let path = format!("/projects/p/datasets/d/tables/{id}");
    let (code, table) = call(emulator, "GET", &path).await;
    assert_eq!(code, 200, "{table}");
    table
}

#[tokio::test]
async fn data_are_loaded_by_a_statement() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    object(&root, "1.csv", "id;day\n1;2024-01-01\n2;2024-01-02\n");
    object(
        &root,
        "h/n=7/x.json",
        "{\"id\": 3, \"day\": \"2024-01-03\"}\n",
    );
    let load = "LOAD DATA OVERWRITE d.t (id INT64, day DATE) PARTITION BY day CLUSTER BY id OPTIONS (description = 'it''s') FROM FILES (format = 'CSV', uris = ['gs://b/1.csv'], skip_leading_rows = 1, field_delimiter = ';')";
    let loaded = run(&emulator, load).await;
    let told = statistics(&emulator, &loaded).await;
    assert_eq!(told["statementType"], "LOAD_DATA");
    assert_eq!(told["loadQueryStatistics"]["outputRows"], "2");
    run(&emulator, load).await;
    let made = table(&emulator, "t").await;
    assert_eq!(
        (&made["numRows"], &made["description"]),
        (&json!("2"), &json!("it's"))
    );
    assert_eq!(
        (
            &made["timePartitioning"]["field"],
            &made["clustering"]["fields"][0]
        ),
        (&json!("day"), &json!("id"))
    );
    run(
        &emulator,
        "LOAD DATA INTO d.t FROM FILES (format = 'JSON', uris = ['gs://b/h/n=7/*'])",
    )
    .await;
    let all = run(&emulator, "SELECT SUM(id) FROM d.t").await;
    assert_eq!(values(&all), [[json!("6")]]);
    run(&emulator, "LOAD DATA INTO d.h FROM FILES (format = 'JSON', uris = ['gs://b/h/*'], hive_partition_uri_prefix = 'gs://b/h') WITH PARTITION COLUMNS").await;
    let all = run(&emulator, "SELECT id, n FROM d.h").await;
    assert_eq!(values(&all), [[json!("3"), json!("7")]]);
    let script = "LOAD DATA INTO TEMP TABLE mine (id INT64, day DATE) FROM FILES (format = 'CSV', uris = ['gs://b/1.csv'], skip_leading_rows = 1, field_delimiter = ';'); SELECT COUNT(*) FROM mine;";
    assert_eq!(values(&run(&emulator, script).await), [[json!("2")]]);
    for (sql, wanted) in [
        (
            "LOAD DATA INTO d.t FROM FILES (uris = ['gs://b/1.csv'])",
            "format is missing",
        ),
        (
            "LOAD DATA INTO d.t FROM FILES (format = 'CSV', uris = ['gs://b/9.csv'])",
            "Not found: URI gs://b/9.csv",
        ),
        (
            "LOAD DATA INTO d.t FROM FILES (format = 'CSV', uris = ['gs://b/1.csv'], rows = 1)",
            "Unknown option: rows",
        ),
        (
            "LOAD DATA INTO d.t FROM FILES (format = 'ORC', uris = ['gs://b/1.csv'])",
            "ORC",
        ),
    ] {
        let said = refused(&emulator, sql).await;
        assert!(said.contains(wanted), "{sql}: {said}");
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_result_is_exported_by_a_statement() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    object(&root, "other.csv", "");
    let export = "EXPORT DATA OPTIONS (uri = 'gs://b/x-*.csv', format = 'CSV', overwrite = true, header = true, field_delimiter = '|') AS SELECT x, CONCAT('n', x) AS name FROM UNNEST([2, 1]) AS x ORDER BY x";
    for _ in 0..2 {
        let done = run(&emulator, export).await;
        let told = statistics(&emulator, &done).await;
        assert_eq!(told["statementType"], "EXPORT_DATA");
        assert_eq!(
            told["exportDataStatistics"],
            json!({"fileCount": "1", "rowCount": "2"})
        );
    }
    let file = root.path().join(".buckets/b/x-000000000000.csv");
    assert_eq!(fs::read_to_string(file).unwrap(), "x|name\n1|n1\n2|n2\n");
    for (sql, wanted) in [
        (
            "EXPORT DATA OPTIONS (uri = 'gs://b/x-*.csv', format = 'CSV') AS SELECT 1 AS x",
            "overwrite",
        ),
        (
            "EXPORT DATA OPTIONS (uri = 'gs://b/x.csv', format = 'CSV') AS SELECT 1 AS x",
            "wildcard",
        ),
        (
            "EXPORT DATA OPTIONS (uri = 'gs://b/*') AS SELECT 1 AS x",
            "format is missing",
        ),
        (
            "EXPORT DATA OPTIONS (uri = 'gs://b/y*', format = 'CSV') AS SELECT [1] AS x",
            "nested schema",
        ),
        (
            "EXPORT DATA OPTIONS (uri = 'gs://b/y*', format = 'CSV', colour = 'red') AS SELECT 1 AS x",
            "Unknown option: colour",
        ),
    ] {
        let said = refused(&emulator, sql).await;
        assert!(said.contains(wanted), "{sql}: {said}");
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn external_tables_are_made_and_dropped_by_statements() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    object(&root, "1.csv", "id,name\n1,a\n2,b\n");
    run(&emulator, "CREATE EXTERNAL TABLE d.e (id INT64, name STRING) OPTIONS (format = 'CSV', uris = ['gs://b/*.csv'], skip_leading_rows = 1, description = 'x')").await;
    let made = table(&emulator, "e").await;
    assert_eq!(
        (&made["type"], &made["description"]),
        (&json!("EXTERNAL"), &json!("x"))
    );
    assert_eq!(
        made["externalDataConfiguration"]["csvOptions"]["skipLeadingRows"],
        1
    );
    let all = run(&emulator, "SELECT name FROM d.e WHERE id = 2").await;
    assert_eq!(values(&all), [[json!("b")]]);
    run(
        &emulator,
        "CREATE EXTERNAL TABLE IF NOT EXISTS d.e OPTIONS (format = 'CSV', uris = ['gs://b/*.csv'])",
    )
    .await;
    let again = refused(
        &emulator,
        "CREATE EXTERNAL TABLE d.e OPTIONS (format = 'CSV', uris = ['gs://b/*.csv'])",
    )
    .await;
    assert!(again.contains("Already Exists"), "{again}");
    run(
        &emulator,
        "CREATE OR REPLACE EXTERNAL TABLE d.e OPTIONS (format = 'CSV', uris = ['gs://b/*.csv'])",
    )
    .await;
    let all = run(&emulator, "SELECT SUM(id) FROM d.e").await;
    assert_eq!(values(&all), [[json!("3")]]);
    let kept = refused(&emulator, "DROP SNAPSHOT TABLE d.e").await;
    assert!(kept.contains("has type EXTERNAL"), "{kept}");
    run(&emulator, "DROP EXTERNAL TABLE d.e").await;
    run(&emulator, "DROP EXTERNAL TABLE IF EXISTS d.e").await;
    emulator.shutdown().await;
}

#[tokio::test]
async fn tables_are_made_of_others_with_their_partitions() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t (id INT64, day DATE NOT NULL) PARTITION BY day CLUSTER BY id",
    )
    .await;
    run(
        &emulator,
        "INSERT INTO d.t VALUES (1, '2024-01-01'), (2, '2024-01-02')",
    )
    .await;
    for sql in [
        "CREATE SNAPSHOT TABLE d.snapshot CLONE d.t OPTIONS (description = 's')",
        "CREATE TABLE d.clone CLONE d.t",
        "CREATE OR REPLACE TABLE d.copy COPY d.t",
        "CREATE TABLE d.empty LIKE d.t",
        "CREATE SNAPSHOT TABLE IF NOT EXISTS d.snapshot CLONE d.t",
    ] {
        run(&emulator, sql).await;
    }
    run(&emulator, "DELETE FROM d.t WHERE TRUE").await;
    for (id, kind, rows) in [
        ("snapshot", "SNAPSHOT", "2"),
        ("clone", "TABLE", "2"),
        ("copy", "TABLE", "2"),
        ("empty", "TABLE", "0"),
    ] {
        let made = table(&emulator, id).await;
        assert_eq!(
            (&made["type"], &made["numRows"]),
            (&json!(kind), &json!(rows)),
            "{id}"
        );
        assert_eq!(made["timePartitioning"]["field"], "day", "{id}");
        assert_eq!(made["clustering"]["fields"], json!(["id"]), "{id}");
        assert_eq!(made["schema"]["fields"][1]["mode"], "REQUIRED", "{id}");
        let count = run(&emulator, &format!("SELECT COUNT(*) FROM d.{id}")).await;
        assert_eq!(values(&count), [[json!(rows)]], "{id}");
    }
    let snapshot = table(&emulator, "snapshot").await;
    assert_eq!(
        snapshot["snapshotDefinition"]["baseTableReference"]["tableId"],
        "t"
    );
    assert!(table(&emulator, "clone").await["cloneDefinition"]["cloneTime"].is_string());
    for (sql, wanted) in [
        (
            "INSERT INTO d.snapshot VALUES (3, '2024-01-03')",
            "currently a SNAPSHOT",
        ),
        ("DROP TABLE d.snapshot", "has type SNAPSHOT"),
        ("CREATE TABLE d.clone CLONE d.t", "Already Exists"),
        ("CREATE TABLE d.new CLONE d.gone", "p:d.gone"),
    ] {
        let said = refused(&emulator, sql).await;
        assert!(said.contains(wanted), "{sql}: {said}");
    }
    let (code, listed) = call(
        &emulator,
        "GET",
        "/projects/p/datasets/d/tables/snapshot/data",
    )
    .await;
    assert_eq!((code, &listed["totalRows"]), (200, &json!("2")), "{listed}");
    // A snapshot is brought back by a copy job.
    let reference = |id: &str| json!({"projectId": "p", "datasetId": "d", "tableId": id});
    let restore = json!({"configuration": {"copy": {"sourceTable": reference("snapshot"), "destinationTable": reference("back"), "operationType": "RESTORE", "destinationExpirationTime": "2999-01-01T00:00:00Z"}}});
    let (_, job) = send_json(&emulator, "POST", "/projects/p/jobs", &restore).await;
    assert_eq!(job["statistics"]["copy"]["copiedRows"], "2", "{job}");
    let back = table(&emulator, "back").await;
    assert_eq!(
        (&back["type"], &back["expirationTime"]),
        (&json!("TABLE"), &json!("32472144000000"))
    );
    run(&emulator, "DROP SNAPSHOT TABLE d.snapshot").await;
    emulator.shutdown().await;
}

#[tokio::test]
async fn rows_that_arrived_on_a_day_are_copied_into_that_day() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t (id INT64) PARTITION BY _PARTITIONDATE",
    )
    .await;
    object(&root, "1.csv", "1\n2\n");
    for (day, id) in [("20240101", "1.csv"), ("20240102", "1.csv")] {
        let target = json!({"projectId": "p", "datasetId": "d", "tableId": format!("t${day}")});
        let load = json!({"configuration": {"load": {"destinationTable": target, "sourceUris": [format!("gs://b/{id}")]}}});
        let (_, job) = send_json(&emulator, "POST", "/projects/p/jobs", &load).await;
        assert_eq!(job["status"]["errorResult"], Value::Null, "{job}");
    }
    run(&emulator, "CREATE TABLE d.u COPY d.t").await;
    let days = "SELECT CAST(_PARTITIONDATE AS STRING), COUNT(*) FROM d.u GROUP BY 1 ORDER BY 1";
    let row = |day: &str| vec![json!(day), json!("2")];
    assert_eq!(
        values(&run(&emulator, days).await),
        [row("2024-01-01"), row("2024-01-02")]
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_temporary_table_may_be_named_with_its_session() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let script = "CREATE TEMP TABLE _SESSION.mine (x INT64); INSERT INTO _SESSION.mine VALUES (1), (2); SELECT SUM(x) FROM mine;";
    assert_eq!(values(&run(&emulator, script).await), [[json!("3")]]);
    let made = run(&emulator, "CREATE TEMP TABLE mine (x INT64)").await;
    let id = made["jobReference"]["jobId"].as_str().unwrap();
    let (_, job) = call(&emulator, "GET", &format!("/projects/p/jobs/{id}")).await;
    let place = &job["configuration"]["query"]["destinationTable"];
    assert!(place["tableId"].is_string(), "{job}");
    // Statements that read say how much.
    run(
        &emulator,
        "CREATE TABLE d.t AS SELECT x FROM UNNEST([1, 2, 3]) AS x",
    )
    .await;
    let changed = run(&emulator, "UPDATE d.t SET x = x + 1 WHERE TRUE").await;
    assert_eq!(
        statistics(&emulator, &changed).await["totalBytesProcessed"],
        "24"
    );
    emulator.shutdown().await;
}
