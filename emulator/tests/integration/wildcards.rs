//! Tables whose names begin alike, read as one.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::*;
use crate::rest::{call, send_json};
use crate::statements::{ask, run, start_with_dataset, values};

async fn days(emulator: &millpond_emulator::RunningEmulator) {
    for sql in [
        "CREATE TABLE d.day_20260101 (id INT64 NOT NULL, old STRING)",
        "INSERT INTO d.day_20260101 VALUES (1, 'a'), (2, 'b')",
        "CREATE TABLE d.day_20260102 (id INT64, x FLOAT64, r STRUCT<a INT64, b STRING>)",
        "INSERT INTO d.day_20260102 VALUES (3, 1.5, (7, 'z'))",
        "CREATE TABLE d.night AS SELECT 'other' AS id",
    ] {
        run(emulator, sql).await;
    }
}

async fn bytes(emulator: &millpond_emulator::RunningEmulator, sql: &str) -> Value {
    let (code, answer) = ask(emulator, json!({"query": sql, "dryRun": true})).await;
    assert_eq!(code, 200, "{sql}: {answer}");
    answer["totalBytesProcessed"].clone()
}

#[tokio::test]
async fn tables_of_one_prefix_are_one_with_the_newest_ones_columns() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    days(&emulator).await;
    let all = run(&emulator, "SELECT * FROM `p.d.day_*` ORDER BY id").await;
    let names: Vec<&Value> = all["schema"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["name"])
        .collect();
    assert_eq!(names, ["id", "x", "r"]);
    assert_eq!(
        values(&all),
        [
            vec![json!("1"), Value::Null, Value::Null],
            vec![json!("2"), Value::Null, Value::Null],
            vec![
                json!("3"),
                json!("1.5"),
                json!({"f": [{"v": "7"}, {"v": "z"}]})
            ],
        ]
    );
    for (sql, wanted) in [
        (
            "SELECT _TABLE_SUFFIX AS day, COUNT(*) AS n FROM `p.d.day_*` GROUP BY day ORDER BY day",
            vec![
                vec![json!("20260101"), json!("2")],
                vec![json!("20260102"), json!("1")],
            ],
        ),
        (
            "SELECT id FROM d.`day_2026*` WHERE _table_suffix BETWEEN '0102' AND '0199'",
            vec![vec![json!("3")]],
        ),
        (
            "SELECT SUM(t.id) FROM `d.day_*` AS t WHERE t._TABLE_SUFFIX = '20260101' AND id > 1",
            vec![vec![json!("2")]],
        ),
        (
            "WITH w AS (SELECT * FROM `d.day_*`) SELECT COUNT(*), COUNT(x) FROM w",
            vec![vec![json!("3"), json!("1")]],
        ),
        (
            "SELECT a.* EXCEPT (x, r) FROM `d.day_*` AS a JOIN `d.day_*` AS b ON a.id = b.id AND a._TABLE_SUFFIX = b._TABLE_SUFFIX ORDER BY id DESC LIMIT 1",
            vec![vec![json!("3")]],
        ),
        (
            "SELECT COUNT(*) FROM `d.day_*` WHERE _TABLE_SUFFIX > '3'",
            vec![vec![json!("0")]],
        ),
    ] {
        assert_eq!(values(&run(&emulator, sql).await), wanted, "{sql}");
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn only_tables_that_are_chosen_by_their_names_are_counted() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    days(&emulator).await;
    assert_eq!(bytes(&emulator, "SELECT id FROM `d.day_*`").await, "24");
    let first = "SELECT id FROM `d.day_*` WHERE _TABLE_SUFFIX = '20260101'";
    assert_eq!(bytes(&emulator, first).await, "16");
    let none = "SELECT id FROM `d.day_*` WHERE _TABLE_SUFFIX LIKE '2027%'";
    assert_eq!(bytes(&emulator, none).await, "0");
    // What depends on rows chooses no tables.
    let rows = "SELECT id FROM `d.day_*` WHERE _TABLE_SUFFIX = '20260101' OR id = 3";
    assert_eq!(bytes(&emulator, rows).await, "24");
    // A table more is seen at once: results of wildcards are not used again.
    let count = "SELECT COUNT(*) FROM `d.day_*`";
    assert_eq!(values(&run(&emulator, count).await), [[json!("3")]]);
    run(&emulator, "CREATE TABLE d.day_20260103 AS SELECT 4 AS id").await;
    assert_eq!(values(&run(&emulator, count).await), [[json!("4")]]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn wildcards_that_mean_nothing_are_refused() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    days(&emulator).await;
    for sql in [
        "CREATE TABLE d.mixed_1 AS SELECT 'text' AS id",
        "CREATE TABLE d.mixed_2 AS SELECT 2 AS id",
        "CREATE TABLE d.with_1 AS SELECT 1 AS id",
        "CREATE VIEW d.with_2 AS SELECT 2 AS id",
    ] {
        run(&emulator, sql).await;
    }
    for (sql, code, wanted) in [
        (
            "SELECT * FROM `d.nothing_*`",
            404,
            "p:d.nothing_* does not match any table.",
        ),
        (
            "SELECT * FROM `nowhere.day_*`",
            404,
            "Not found: Dataset p:nowhere",
        ),
        (
            "SELECT id FROM `d.mixed_*`",
            400,
            "Cannot read field of type STRING as INTEGER Field: id",
        ),
        (
            "SELECT id FROM `d.with_*`",
            400,
            "Views cannot be queried through prefix",
        ),
        (
            "SELECT _TABLE_SUFFIX FROM `d.day_*`",
            400,
            "Invalid field name \"_TABLE_SUFFIX\"",
        ),
        (
            "SELECT * FROM `d.day_*` a, `d.day_*` b",
            400,
            "several wildcard tables",
        ),
        ("SELECT old FROM `d.day_*`", 400, "old"),
        ("SELECT id FROM `d.*_1`", 400, "d"),
        (
            "INSERT INTO `d.day_*` VALUES (1)",
            400,
            "the wildcard table d.day_*",
        ),
    ] {
        let (found, answer) = ask(&emulator, json!({"query": sql})).await;
        let text = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(
            found == code && text.contains(wanted),
            "{sql}: {found} {text}"
        );
    }
    // Those of the wrong type are not read when they are not chosen.
    let chosen = "SELECT id FROM `d.mixed_*` WHERE _TABLE_SUFFIX = '2'";
    assert_eq!(values(&run(&emulator, chosen).await), [[json!("2")]]);

    let client = client(&emulator).await;
    let session = arrow_session().set_table("projects/p/datasets/d/tables/day_*");
    assert_eq!(
        status(open(&client, session).await),
        (
            "INVALID_ARGUMENT".to_owned(),
            "request failed: wildcard tables are not supported".to_owned()
        )
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn foreign_files_and_expired_tables_are_told_apart() {
    let root = TempDir::new().unwrap();
    write_file(root.path(), "t_1", "a.parquet", &[rows(0, 3)], 10);
    write_file(root.path(), "t_2", "a.parquet", &[rows(3, 5)], 10);
    let emulator = serve(&root).await;
    let body = json!({"tableReference": {"tableId": "t_3"}, "expirationTime": "1",
        "schema": {"fields": [{"name": "gone", "type": "INT64"}]}});
    let made = send_json(&emulator, "POST", "/projects/p/datasets/d/tables", &body).await;
    assert_ne!(made.0, 200, "{}", made.1);
    let all = run(&emulator, "SELECT MAX(id), COUNT(*) FROM `p.d.t_*`").await;
    assert_eq!(values(&all), [[json!("4"), json!("5")]]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_wildcard_is_described_as_the_newest_of_its_tables() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    days(&emulator).await;
    let (code, found) = call(&emulator, "GET", "/projects/p/datasets/d/tables/day_*").await;
    assert_eq!(
        (code, &found["tableReference"]["tableId"]),
        (200, &json!("day_*"))
    );
    assert_eq!(found["schema"]["fields"][1]["name"], "x");
    let (code, none) = call(&emulator, "GET", "/projects/p/datasets/d/tables/week_*").await;
    assert_eq!(
        (code, &none["error"]["message"]),
        (404, &json!("Not found: Table p:d.week_*"))
    );
    emulator.shutdown().await;
}
