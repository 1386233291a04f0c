//! Tables that require a condition on what they are partitioned by, and what rows of VALUES leave to their columns.

use serde_json::json;
use tempfile::TempDir;

use crate::statements::{ask, run, start_with_dataset, values};

#[tokio::test]
async fn a_required_filter_is_asked_for() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t (day DATE, id INT64) PARTITION BY day OPTIONS (require_partition_filter = TRUE)",
    )
    .await;
    run(
        &emulator,
        "CREATE TABLE d.a (id INT64) PARTITION BY _PARTITIONDATE OPTIONS (require_partition_filter = TRUE)",
    )
    .await;
    run(
        &emulator,
        "INSERT d.t VALUES ('2020-01-01', 1), ('2020-01-02', 2)",
    )
    .await;
    run(&emulator, "INSERT d.a (id) VALUES (7)").await;
    run(&emulator, "CREATE VIEW d.v AS SELECT id AS x, day FROM d.t").await;
    for sql in [
        "SELECT * FROM d.t",
        "SELECT id FROM d.t WHERE id = 1",
        "SELECT id FROM d.t WHERE day = '2020-01-01' OR id = 2",
        "SELECT x FROM d.v WHERE x = 1",
        "SELECT a.id FROM d.t AS a JOIN (SELECT * FROM d.t WHERE day = '2020-01-01') AS b ON a.id = b.id",
        "CREATE TABLE d.copy AS SELECT id FROM d.t",
        "INSERT d.t SELECT day, id FROM d.t",
        "UPDATE d.t SET id = 9 WHERE id = 1",
        "DELETE FROM d.t WHERE TRUE",
        "UPDATE d.t SET id = s.id FROM (SELECT 1 AS id) AS s WHERE t.id = s.id",
        "MERGE d.t USING (SELECT 1 AS id) AS s ON t.id = s.id WHEN MATCHED THEN DELETE",
        "MERGE d.t USING (SELECT 1 AS id) AS s ON t.id = s.id WHEN MATCHED AND day = '2020-01-01' THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (1)",
        "MERGE d.t USING (SELECT 1 AS id) AS s ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE",
    ] {
        let body = json!({"query": sql, "useLegacySql": false});
        let (code, answer) = ask(&emulator, body).await;
        let text = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(code, 400, "{sql}: {answer}");
        assert_eq!(
            text,
            "Cannot query over table 'p.d.t' without a filter over column(s) 'day' that can be used for partition elimination",
            "{sql}"
        );
    }
    let body = json!({"query": "SELECT id FROM d.a", "useLegacySql": false});
    let (_, answer) = ask(&emulator, body).await;
    let text = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(
        text.contains("'_PARTITIONDATE', '_PARTITIONTIME'"),
        "{text}"
    );
    for (sql, wanted) in [
        ("SELECT id FROM d.t WHERE day > '2020-01-01'", "2"),
        (
            "SELECT id FROM d.t WHERE day = '2020-01-01' AND id < 5",
            "1",
        ),
        (
            "SELECT COUNT(*) FROM d.t WHERE day = '2020-01-01' OR day = '2020-01-02'",
            "2",
        ),
        (
            "SELECT x FROM d.v WHERE day IN ('2020-01-02', '2021-01-01')",
            "2",
        ),
        (
            "SELECT id FROM (SELECT * FROM d.t) WHERE day < '2020-01-02'",
            "1",
        ),
        (
            "SELECT id FROM d.a WHERE _PARTITIONTIME > '2020-01-01'",
            "7",
        ),
    ] {
        assert_eq!(
            values(&run(&emulator, sql).await),
            [[json!(wanted)]],
            "{sql}"
        );
    }
    for sql in [
        "UPDATE d.t SET id = s.id FROM (SELECT 1 AS id) AS s WHERE t.id = s.id AND day = '2020-01-01'",
        "MERGE d.t USING (SELECT 5 AS id) AS s ON t.id = s.id AND t.day > '2020-01-01' WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE AND FALSE THEN DELETE",
        "MERGE d.t USING (SELECT 5 AS id) AS s ON t.id = s.id WHEN MATCHED AND day = '2020-01-01' THEN DELETE",
        "MERGE d.t USING (SELECT 1 AS id UNION ALL SELECT 2) AS s ON t.id = s.id WHEN NOT MATCHED BY SOURCE AND day = '2020-01-01' THEN DELETE",
        "MERGE d.t USING (SELECT 5 AS id) AS s ON FALSE WHEN NOT MATCHED AND id = 6 THEN INSERT (id) VALUES (6)",
    ] {
        run(&emulator, sql).await;
    }
    run(&emulator, "UPDATE d.t SET id = 9 WHERE day = '2020-01-01'").await;
    run(&emulator, "DELETE FROM d.t WHERE day = '2020-01-02'").await;
    let rest = run(&emulator, "SELECT id FROM d.t WHERE day IS NOT NULL").await;
    assert_eq!(values(&rest), [[json!("9")]]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn values_that_are_left_to_their_columns() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t (a INT64, b INT64 DEFAULT 2 + 3, c STRING DEFAULT 'it\\'s')",
    )
    .await;
    run(
        &emulator,
        "INSERT d.t VALUES (1, DEFAULT, default), (DEFAULT, 6, 'x')",
    )
    .await;
    run(&emulator, "INSERT d.t (c, a) VALUES (DEFAULT, 3)").await;
    let all = run(&emulator, "SELECT * FROM d.t ORDER BY b, a").await;
    assert_eq!(
        values(&all),
        [
            [json!("1"), json!("5"), json!("it's")],
            [json!("3"), json!("5"), json!("it's")],
            [json!(null), json!("6"), json!("x")],
        ]
    );
    emulator.shutdown().await;
}
