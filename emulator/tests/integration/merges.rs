//! MERGE and UPDATE with FROM: rows of a table that meet those of a source.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::statements::{ask, run, start_with_dataset, values};

#[tokio::test]
async fn a_merge_changes_removes_and_adds_what_its_clauses_say() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t (id INT64, name STRING, n INT64 DEFAULT 9)",
    )
    .await;
    run(
        &emulator,
        "INSERT INTO d.t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, 'd', 4)",
    )
    .await;
    let merge = "MERGE INTO d.t AS T USING (SELECT 1 AS id, 'x' AS name UNION ALL SELECT 2, 'gone' UNION ALL SELECT 7, 'new' UNION ALL SELECT 8, 'skip') AS S \
        ON T.id = S.id \
        WHEN MATCHED AND S.name = 'gone' THEN DELETE \
        WHEN MATCHED THEN UPDATE SET name = S.name, n = T.n + 10 \
        WHEN NOT MATCHED AND name = 'skip' THEN INSERT (id) VALUES (-id) \
        WHEN NOT MATCHED BY TARGET THEN INSERT (id, name) VALUES (id, name) \
        WHEN NOT MATCHED BY SOURCE AND n = 4 THEN UPDATE SET name = DEFAULT, n = DEFAULT";
    let (code, job) = ask(&emulator, json!({"query": merge})).await;
    assert_eq!(code, 200, "{job}");
    assert_eq!(job["numDmlAffectedRows"], "5");
    assert_eq!(
        job["dmlStats"],
        json!({"insertedRowCount": "2", "updatedRowCount": "2", "deletedRowCount": "1"})
    );
    let rows = run(&emulator, "SELECT id, name, n FROM d.t ORDER BY id").await;
    assert_eq!(
        values(&rows),
        [
            [json!("-8"), Value::Null, json!("9")],
            [json!("1"), json!("x"), json!("11")],
            [json!("3"), json!("c"), json!("3")],
            [json!("4"), Value::Null, json!("9")],
            [json!("7"), json!("new"), json!("9")],
        ]
    );
    // A source that is a table, a constant condition, and whole rows.
    run(
        &emulator,
        "CREATE TABLE d.s AS SELECT id, name, n FROM d.t WHERE id = 1",
    )
    .await;
    let job = run(&emulator, "MERGE d.t USING d.s ON FALSE WHEN NOT MATCHED BY SOURCE AND id < 4 THEN DELETE WHEN NOT MATCHED THEN INSERT ROW").await;
    assert_eq!(job["numDmlAffectedRows"], "4");
    let rows = run(&emulator, "SELECT id, n FROM d.t ORDER BY id").await;
    assert_eq!(
        values(&rows),
        [
            [json!("1"), json!("11")],
            [json!("4"), json!("9")],
            [json!("7"), json!("9")]
        ]
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_row_meets_one_row_of_the_source_at_most() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t AS SELECT 1 AS id, 'a' AS name UNION ALL SELECT 2, 'b'",
    )
    .await;
    run(
        &emulator,
        "CREATE TABLE d.s AS SELECT 1 AS id, 'x' AS name UNION ALL SELECT 1, 'y'",
    )
    .await;
    for sql in [
        "MERGE d.t AS T USING d.s AS S ON T.id = S.id WHEN MATCHED THEN UPDATE SET name = S.name",
        "UPDATE d.t AS T SET name = S.name FROM d.s AS S WHERE T.id = S.id",
    ] {
        let (code, answer) = ask(&emulator, json!({"query": sql})).await;
        assert_eq!(code, 400, "{sql}: {answer}");
        assert_eq!(
            answer["error"]["message"],
            "UPDATE/MERGE must match at most one source row for each target row"
        );
    }
    let rows = run(&emulator, "SELECT name FROM d.t ORDER BY id").await;
    assert_eq!(values(&rows), [[json!("a")], [json!("b")]]);
    // The condition leaves one of them.
    let job = run(&emulator, "UPDATE d.t AS T SET name = CONCAT(T.name, S.name) FROM d.s AS S WHERE T.id = S.id AND S.name = 'y'").await;
    assert_eq!(job["dmlStats"]["updatedRowCount"], "1");
    let rows = run(&emulator, "SELECT name FROM d.t ORDER BY id").await;
    assert_eq!(values(&rows), [[json!("ay")], [json!("b")]]);
    for (sql, named) in [
        (
            "MERGE d.t USING d.s ON FALSE WHEN NOT MATCHED THEN INSERT (id, nothing) VALUES (1, 2)",
            "nothing",
        ),
        (
            "MERGE d.t USING d.s ON FALSE WHEN NOT MATCHED THEN INSERT (id) VALUES (1, 2)",
            "wrong column count",
        ),
        (
            "MERGE d.t USING d.s ON d.t.id = d.s.id WHEN MATCHED THEN UPDATE SET nothing = 1",
            "nothing",
        ),
        ("UPDATE d.t SET name = 'a' FROM d.s", "WHERE clause"),
        ("INSERT INTO d.t (id, ID) VALUES (1, 2)", "more than once"),
    ] {
        let (code, answer) = ask(&emulator, json!({"query": sql})).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(code, 400, "{sql}: {answer}");
        assert!(message.contains(named), "{sql}: {message}");
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn texts_survive_every_statement() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let text = "a\\b \"c\" it's\n\ttab \\n";
    // As a literal in SQL.
    let literal = "'a\\\\b \"c\" it\\'s\\n\\ttab \\\\n'";
    run(&emulator, "CREATE TABLE d.t (id INT64, name STRING)").await;
    for (sql, id) in [
        (format!("INSERT INTO d.t VALUES (1, {literal})"), "1"),
        (
            format!("INSERT INTO d.t VALUES (2, CONCAT({literal}, ''))"),
            "2",
        ),
        (format!("INSERT INTO d.t SELECT 3, {literal}"), "3"),
        (
            format!(
                "INSERT INTO d.t VALUES (4, ''); UPDATE d.t SET name = {literal} WHERE id = 4 OR name = {literal} AND FALSE"
            ),
            "4",
        ),
        (
            format!(
                "MERGE d.t USING (SELECT 5 AS id, {literal} AS name) AS S ON FALSE WHEN NOT MATCHED AND name = {literal} THEN INSERT ROW"
            ),
            "5",
        ),
        (
            format!(
                "MERGE d.t USING (SELECT 6 AS id) AS S ON FALSE WHEN NOT MATCHED THEN INSERT VALUES (id, {literal})"
            ),
            "6",
        ),
        (
            "INSERT INTO d.t SELECT 7, \"\"\"a\\\\b \"c\" it's\n\ttab \\\\n\"\"\"".to_owned(),
            "7",
        ),
    ] {
        run(&emulator, &sql).await;
        let rows = run(&emulator, &format!("SELECT name FROM d.t WHERE id = {id}")).await;
        assert_eq!(values(&rows), [[json!(text)]], "{sql}");
    }
    run(
        &emulator,
        &format!("CREATE VIEW d.v AS SELECT {literal} AS name"),
    )
    .await;
    assert_eq!(
        values(&run(&emulator, "SELECT name FROM d.v").await),
        [[json!(text)]]
    );
    run(
        &emulator,
        &format!("DELETE FROM d.t WHERE name = {literal} AND id < 7"),
    )
    .await;
    assert_eq!(
        values(&run(&emulator, "SELECT id FROM d.t").await),
        [[json!("7")]]
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_replacement_that_fails_leaves_the_table_as_it_was() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(&emulator, "CREATE TABLE d.t AS SELECT 1 AS id").await;
    let sql = "CREATE OR REPLACE TABLE d.t (id INT64 NOT NULL) AS SELECT CAST(NULL AS INT64) AS id";
    let (code, answer) = ask(&emulator, json!({"query": sql})).await;
    assert_eq!(code, 400, "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert_eq!(message, "Required field id cannot be null");
    let rows = run(&emulator, "SELECT id FROM d.t").await;
    assert_eq!(values(&rows), [[json!("1")]]);
    // Nothing else is left.
    let rows = run(
        &emulator,
        "SELECT table_name FROM d.INFORMATION_SCHEMA.TABLES",
    )
    .await;
    assert_eq!(values(&rows), [[json!("t")]]);
    run(
        &emulator,
        "CREATE OR REPLACE TABLE d.t (id INT64 NOT NULL) AS SELECT 2 AS id",
    )
    .await;
    let rows = run(&emulator, "SELECT id FROM d.t").await;
    assert_eq!(values(&rows), [[json!("2")]]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn null_fits_every_column() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t (id INT64, b BOOL, s STRING, day DATE, list ARRAY<STRING>, j JSON)",
    )
    .await;
    run(
        &emulator,
        "INSERT INTO d.t VALUES (1, NULL, NULL, NULL, NULL, NULL)",
    )
    .await;
    run(&emulator, "INSERT INTO d.t (id, b, s) SELECT 2, NULL, NULL").await;
    run(&emulator, "MERGE d.t USING (SELECT 3 AS id) AS S ON FALSE WHEN NOT MATCHED THEN INSERT (id, day) VALUES (id, NULL)").await;
    let rows = run(&emulator, "SELECT COUNT(*) AS n, COUNT(b) AS b, COUNT(s) AS s, COUNT(day) AS d, SUM(ARRAY_LENGTH(list)) AS l FROM d.t").await;
    let zero = json!("0");
    assert_eq!(
        values(&rows),
        [[json!("3"), zero.clone(), zero.clone(), zero.clone(), zero]]
    );
    // A NULL of another type does not.
    let sql = "INSERT INTO d.t (s) SELECT CAST(NULL AS INT64)";
    let (code, answer) = ask(&emulator, json!({"query": sql})).await;
    assert_eq!(code, 400, "{answer}");
    emulator.shutdown().await;
}
