//! Partitions by decorator and by pseudo column: rows come into them, are read from them, and go with them.

use serde_json::{Value, json};
use tempfile::TempDir;

use millpond_emulator::RunningEmulator;

use crate::rest::{call, send_json};
use crate::statements::{ask, run, start_with_dataset, values};

/// Runs a query into a table or a partition of one.
async fn into(emulator: &RunningEmulator, table: &str, write: &str, sql: &str) -> Value {
    let job = json!({"configuration": {"query": {
        "query": sql, "useLegacySql": false, "writeDisposition": write,
        "destinationTable": {"projectId": "p", "datasetId": "d", "tableId": table},
    }}});
    let (code, job) = send_json(emulator, "POST", "/projects/p/jobs", &job).await;
    assert!(code == 200 || code == 400 || code == 409, "{job}");
    if code == 200 {
        job["status"]["errorResult"].clone()
    } else {
        job["error"]["errors"][0].clone()
    }
}

async fn listed(emulator: &RunningEmulator, table: &str) -> (u16, Vec<Value>) {
    let path = format!("/projects/p/datasets/d/tables/{table}/data");
    let (code, page) = call(emulator, "GET", &path).await;
    let rows = page["rows"].as_array().cloned().unwrap_or_default();
    (
        code,
        rows.iter().map(|row| row["f"][0]["v"].clone()).collect(),
    )
}

#[tokio::test]
async fn rows_of_tables_partitioned_by_arrival_have_pseudo_columns() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t (id INT64, name STRING) PARTITION BY _PARTITIONDATE",
    )
    .await;
    for (day, id) in [("20240101", 1), ("20240102", 2), ("20240103", 3)] {
        let sql = format!("SELECT {id} AS id, 'x' AS name");
        assert_eq!(
            into(&emulator, &format!("t${day}"), "WRITE_APPEND", &sql).await,
            Value::Null
        );
    }
    run(
        &emulator,
        "INSERT INTO d.t (_PARTITIONTIME, id) VALUES (TIMESTAMP '2024-01-04 00:00:00 UTC', 4)",
    )
    .await;
    let rows = run(&emulator, "SELECT *, _PARTITIONDATE AS day FROM d.t WHERE _partitiontime >= TIMESTAMP '2024-01-02' ORDER BY id").await;
    assert_eq!(
        values(&rows),
        [
            [json!("2"), json!("x"), json!("2024-01-02")],
            [json!("3"), json!("x"), json!("2024-01-03")],
            [json!("4"), Value::Null, json!("2024-01-04")],
        ]
    );
    let rows = run(
        &emulator,
        "SELECT * FROM d.t WHERE DATE(_PARTITIONTIME) = '2024-01-01'",
    )
    .await;
    assert_eq!(values(&rows), [[json!("1"), json!("x")]]);
    let rows = run(&emulator, "SELECT a.*, b.id AS other FROM d.t AS a JOIN d.t AS b ON a._PARTITIONTIME = b._PARTITIONTIME WHERE b._PARTITIONDATE = '2024-01-03'").await;
    assert_eq!(values(&rows), [[json!("3"), json!("x"), json!("3")]]);
    let rows = run(
        &emulator,
        "SELECT MAX(_PARTITIONTIME) AS latest, COUNT(*) AS n FROM d.t",
    )
    .await;
    assert_eq!(values(&rows), [[json!("1704326400.000000"), json!("4")]]);
    // Only what the condition leaves is read.
    let dry =
        json!({"query": "SELECT id FROM d.t WHERE _PARTITIONDATE = '2024-01-03'", "dryRun": true});
    let (_, dry) = ask(&emulator, dry).await;
    assert_eq!(dry["totalBytesProcessed"], "8");
    // What becomes a column needs another name.
    let (code, answer) = ask(
        &emulator,
        json!({"query": "SELECT _PARTITIONTIME FROM d.t"}),
    )
    .await;
    assert_eq!(code, 400, "{answer}");
    let (code, answer) = ask(&emulator, json!({"query": "SELECT * FROM d.t AS a, d.t AS b WHERE a._PARTITIONDATE = b._PARTITIONDATE"})).await;
    assert_eq!(code, 400, "{answer}");
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("a star over several"),
        "{answer}"
    );

    // Rows stay where they are when they change.
    run(&emulator, "UPDATE d.t SET name = 'changed' WHERE id = 2").await;
    run(
        &emulator,
        "DELETE FROM d.t WHERE _PARTITIONDATE = '2024-01-03'",
    )
    .await;
    run(&emulator, "MERGE d.t AS T USING (SELECT 1 AS id) AS S ON T.id = S.id WHEN MATCHED THEN UPDATE SET name = 'merged'").await;
    run(&emulator, "ALTER TABLE d.t RENAME COLUMN name TO title").await;
    let rows = run(
        &emulator,
        "SELECT id, title, _PARTITIONDATE AS day FROM d.t ORDER BY id",
    )
    .await;
    assert_eq!(
        values(&rows),
        [
            [json!("1"), json!("merged"), json!("2024-01-01")],
            [json!("2"), json!("changed"), json!("2024-01-02")],
            [json!("4"), Value::Null, json!("2024-01-04")],
        ]
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn decorators_name_partitions_to_write_list_copy_and_delete() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    // A table that is made by writing to its partition.
    assert_eq!(
        into(&emulator, "made$20240101", "WRITE_APPEND", "SELECT 1 AS id").await,
        Value::Null
    );
    let (_, made) = call(&emulator, "GET", "/projects/p/datasets/d/tables/made").await;
    assert_eq!(made["timePartitioning"]["type"], "DAY");
    assert_eq!(
        into(&emulator, "made$20240102", "WRITE_EMPTY", "SELECT 2 AS id").await,
        Value::Null
    );
    let again = into(&emulator, "made$20240102", "WRITE_EMPTY", "SELECT 2 AS id").await;
    assert_eq!(again["reason"], "duplicate");
    assert_eq!(
        into(
            &emulator,
            "made$20240102",
            "WRITE_TRUNCATE",
            "SELECT 5 AS id"
        )
        .await,
        Value::Null
    );
    assert_eq!(
        listed(&emulator, "made$20240101").await,
        (200, vec![json!("1")])
    );
    assert_eq!(
        listed(&emulator, "made$20240102").await,
        (200, vec![json!("5")])
    );
    assert_eq!(listed(&emulator, "made$20240109").await, (200, vec![]));
    assert_eq!(listed(&emulator, "made$2024").await.0, 400);

    run(
        &emulator,
        "CREATE TABLE d.c (id INT64, day DATE) PARTITION BY day",
    )
    .await;
    run(
        &emulator,
        "INSERT INTO d.c VALUES (1, '2024-01-01'), (2, '2024-01-02'), (3, '2024-01-01'), (4, NULL)",
    )
    .await;
    assert_eq!(
        listed(&emulator, "c$20240101").await.1,
        [json!("1"), json!("3")]
    );
    assert_eq!(listed(&emulator, "c$__NULL__").await.1, [json!("4")]);
    let wrong = into(
        &emulator,
        "c$20240101",
        "WRITE_TRUNCATE",
        "SELECT 9 AS id, DATE '2024-01-02' AS day",
    )
    .await;
    assert_eq!(
        wrong["message"],
        "Some rows belong to different partitions rather than destination partition 20240101"
    );
    let done = into(
        &emulator,
        "c$20240101",
        "WRITE_TRUNCATE",
        "SELECT 7 AS id, DATE '2024-01-01' AS day",
    )
    .await;
    assert_eq!(done, Value::Null);
    let rows = run(&emulator, "SELECT id FROM d.c ORDER BY id").await;
    assert_eq!(values(&rows), [[json!("2")], [json!("4")], [json!("7")]]);
    let copy = json!({"configuration": {"copy": {
        "sourceTable": {"projectId": "p", "datasetId": "d", "tableId": "c$20240101"},
        "destinationTable": {"projectId": "p", "datasetId": "d", "tableId": "copied"},
    }}});
    let (code, job) = send_json(&emulator, "POST", "/projects/p/jobs", &copy).await;
    assert_eq!(
        (code, &job["status"]["errorResult"]),
        (200, &Value::Null),
        "{job}"
    );
    assert_eq!(listed(&emulator, "copied").await.1, [json!("7")]);
    let (code, _) = call(
        &emulator,
        "DELETE",
        "/projects/p/datasets/d/tables/c$20240101",
    )
    .await;
    assert_eq!(code, 204);
    assert_eq!(listed(&emulator, "c").await.1, [json!("2"), json!("4")]);

    run(
        &emulator,
        "CREATE TABLE d.r (id INT64) PARTITION BY RANGE_BUCKET(id, GENERATE_ARRAY(0, 100, 10))",
    )
    .await;
    run(&emulator, "INSERT INTO d.r VALUES (5), (15), (17), (500)").await;
    assert_eq!(
        listed(&emulator, "r$10").await.1,
        [json!("15"), json!("17")]
    );
    assert_eq!(
        listed(&emulator, "r$__UNPARTITIONED__").await.1,
        [json!("500")]
    );
    assert_eq!(listed(&emulator, "r$15").await.0, 400);

    // Rows that stream in, too.
    let rows = json!({"rows": [{"json": {"id": 8}}]});
    let (_, answer) = send_json(
        &emulator,
        "POST",
        "/projects/p/datasets/d/tables/made$20240105/insertAll",
        &rows,
    )
    .await;
    assert_eq!(answer["insertErrors"], Value::Null, "{answer}");
    assert_eq!(listed(&emulator, "made$20240105").await.1, [json!("8")]);
    let (code, _) = send_json(
        &emulator,
        "POST",
        "/projects/p/datasets/d/tables/c$20240105/insertAll",
        &rows,
    )
    .await;
    assert_eq!(code, 400);
    run(&emulator, "CREATE TABLE d.plain (id INT64)").await;
    assert_eq!(listed(&emulator, "plain$20240101").await.0, 400);
    let refused = into(
        &emulator,
        "plain$20240101",
        "WRITE_APPEND",
        "SELECT 1 AS id",
    )
    .await;
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("not partitioned"),
        "{refused}"
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn tables_that_ask_for_a_condition_on_partitions_are_not_read_without_one() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    for sql in [
        "CREATE TABLE d.q (id INT64, day DATE) PARTITION BY day OPTIONS (require_partition_filter = TRUE)",
        "CREATE TABLE d.a (id INT64) PARTITION BY _PARTITIONDATE OPTIONS (require_partition_filter = TRUE)",
        "CREATE VIEW d.w AS SELECT id, day AS date FROM d.q",
        "INSERT INTO d.q VALUES (1, DATE '2020-01-01'), (2, DATE '2020-01-02')",
    ] {
        run(&emulator, sql).await;
    }
    let wanted = |table: &str, columns: &str| {
        format!(
            "Cannot query over table 'p.d.{table}' without a filter over column(s) {columns} that can be used for partition elimination"
        )
    };
    for sql in [
        "SELECT * FROM d.q",
        "SELECT COUNT(*) FROM d.q WHERE id = 1",
        "SELECT id FROM d.w",
        "SELECT 1 WHERE EXISTS (SELECT id FROM d.q)",
        "CREATE TABLE d.copy AS SELECT * FROM d.q",
        "INSERT INTO d.q SELECT id, DATE '2020-01-03' FROM d.q",
        "UPDATE d.q SET id = 3 WHERE id = 1",
        "DELETE FROM d.q WHERE TRUE",
    ] {
        let (code, error) = ask(&emulator, json!({"query": sql})).await;
        let error = &error["error"];
        assert_eq!(
            (code, &error["errors"][0]["reason"]),
            (400, &json!("invalidQuery")),
            "{sql}"
        );
        assert_eq!(error["message"], wanted("q", "'day'"), "{sql}");
    }
    let (_, error) = ask(&emulator, json!({"query": "SELECT id FROM d.a"})).await;
    assert_eq!(
        error["error"]["message"],
        wanted("a", "'_PARTITIONDATE', '_PARTITIONTIME'")
    );
    for (sql, rows) in [
        (
            "SELECT id FROM d.q WHERE day > DATE '2020-01-01'",
            json!([["2"]]),
        ),
        (
            "SELECT id FROM d.q WHERE day IS NOT NULL AND id = 1",
            json!([["1"]]),
        ),
        (
            "SELECT id FROM d.w WHERE date = DATE '2020-01-01'",
            json!([["1"]]),
        ),
        (
            "SELECT a.id FROM (SELECT * FROM d.q) AS a WHERE EXTRACT(DAY FROM a.day) = 2",
            json!([["2"]]),
        ),
        (
            "SELECT id FROM d.a WHERE _PARTITIONDATE = DATE '2020-01-01'",
            json!([]),
        ),
    ] {
        assert_eq!(json!(values(&run(&emulator, sql).await)), rows, "{sql}");
    }
    run(
        &emulator,
        "UPDATE d.q SET id = 3 WHERE day = DATE '2020-01-01'",
    )
    .await;
    run(&emulator, "DELETE FROM d.q WHERE day = DATE '2020-01-02'").await;
    let left = run(&emulator, "SELECT id FROM d.q WHERE day IS NOT NULL").await;
    assert_eq!(values(&left), [[json!("3")]]);
}
