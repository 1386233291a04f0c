//! Statements that make and change tables, scripts, sessions, results used again, and results as Arrow.

use arrow::buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use millpond_emulator::RunningEmulator;

use crate::harness::*;
use crate::rest::send_json;

pub async fn start_with_dataset(root: &TempDir) -> RunningEmulator {
    let emulator = serve(root).await;
    make_dataset(&emulator).await;
    emulator
}

/// Makes the dataset `p:d`.
pub async fn make_dataset(emulator: &RunningEmulator) {
    let dataset = json!({"datasetReference": {"datasetId": "d"}});
    let made = send_json(emulator, "POST", "/projects/p/datasets", &dataset).await;
    assert_eq!(made.0, 200, "{}", made.1);
}

pub async fn ask(emulator: &RunningEmulator, body: Value) -> (u16, Value) {
    let mut body = body;
    body["useLegacySql"] = json!(false);
    send_json(emulator, "POST", "/bigquery/v2/projects/p/queries", &body).await
}

pub async fn run(emulator: &RunningEmulator, sql: &str) -> Value {
    let (code, answer) = ask(emulator, json!({"query": sql})).await;
    assert_eq!(code, 200, "{sql}: {answer}");
    answer
}

/// The values of all rows, without the frame around them.
pub fn values(answer: &Value) -> Vec<Vec<Value>> {
    let rows = answer["rows"].as_array().cloned().unwrap_or_default();
    rows.iter()
        .map(|row| {
            let cells = row["f"].as_array().unwrap();
            cells.iter().map(|cell| cell["v"].clone()).collect()
        })
        .collect()
}

#[tokio::test]
async fn a_table_is_made_changed_and_dropped_by_sql() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t (id INT64 NOT NULL, name STRING, price NUMERIC, at TIMESTAMP, tags ARRAY<STRING>)",
    )
    .await;
    let added = run(
        &emulator,
        "INSERT INTO d.t (id, name, price, at) VALUES (1, 'a', 1.5, '2020-01-01 00:00:00'), (2, NULL, 2, NULL), (3, 'c', NULL, NULL)",
    )
    .await;
    assert_eq!(added["numDmlAffectedRows"], "3");
    assert_eq!(added["dmlStats"]["insertedRowCount"], "3");
    let changed = run(
        &emulator,
        "UPDATE d.t SET name = CONCAT(name, '!'), price = id WHERE price IS NULL OR id = 1",
    )
    .await;
    assert_eq!(changed["dmlStats"]["updatedRowCount"], "2");
    let gone = run(&emulator, "DELETE FROM d.t WHERE name IS NULL").await;
    assert_eq!(gone["numDmlAffectedRows"], "1");
    let left = run(&emulator, "SELECT id, name, price FROM d.t ORDER BY id").await;
    assert_eq!(
        values(&left),
        [
            [json!("1"), json!("a!"), json!("1")],
            [json!("3"), json!("c!"), json!("3")],
        ]
    );

    let copied = run(
        &emulator,
        "CREATE TABLE d.u AS SELECT id FROM d.t WHERE id > 1",
    )
    .await;
    assert!(copied["schema"].is_null() && copied["totalRows"].is_null());
    let client = client(&emulator).await;
    let session = open(
        &client,
        arrow_session().set_table("projects/p/datasets/d/tables/u"),
    )
    .await;
    assert_eq!(ids(&read_all(&client, &session.unwrap()).await), [3]);

    for (sql, code, named) in [
        ("CREATE TABLE d.u (x INT64)", 409, "Already Exists"),
        (
            "INSERT INTO d.t (id) VALUES ('x')",
            400,
            "cannot be inserted",
        ),
        ("INSERT INTO d.t (name) VALUES ('x')", 400, "id"),
        ("INSERT INTO d.t (id, id2) VALUES (1, 2)", 400, "id2"),
        ("UPDATE d.t SET id = 1", 400, "WHERE"),
        ("UPDATE d.t SET nothing = 1 WHERE TRUE", 400, "nothing"),
        ("DELETE FROM d.t", 400, "WHERE"),
        (
            "MERGE d.t USING d.u TABLESAMPLE SYSTEM (1 PERCENT) ON FALSE WHEN NOT MATCHED THEN INSERT ROW",
            400,
            "MERGE",
        ),
        ("DROP TABLE d.none", 404, "d.none"),
    ] {
        let (found, answer) = ask(&emulator, json!({"query": sql})).await;
        assert_eq!(found, code, "{sql}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(named), "{sql}: {message}");
    }
    let left = run(&emulator, "SELECT COUNT(*) FROM d.t").await;
    assert_eq!(values(&left), [[json!("2")]]);
    run(
        &emulator,
        "CREATE VIEW d.v AS SELECT id + 1 AS next FROM d.t",
    )
    .await;
    let viewed = run(&emulator, "SELECT MAX(next) FROM d.v").await;
    assert_eq!(values(&viewed), [[json!("4")]]);
    run(&emulator, "TRUNCATE TABLE d.t").await;
    let left = run(&emulator, "SELECT COUNT(*) FROM d.t").await;
    assert_eq!(values(&left), [[json!("0")]]);
    run(&emulator, "DROP TABLE d.t").await;
    run(&emulator, "DROP TABLE IF EXISTS d.t").await;
    emulator.shutdown().await;
}

#[tokio::test]
async fn scripts_and_sessions_have_tables_of_their_own() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let script =
        "CREATE TEMP TABLE n AS SELECT 1 AS x; INSERT INTO n VALUES (2); SELECT SUM(x) FROM n;";
    assert_eq!(values(&run(&emulator, script).await), [[json!("3")]]);
    let (code, _) = ask(&emulator, json!({"query": "SELECT * FROM n"})).await;
    assert_eq!(code, 400);

    let body = json!({"query": "CREATE TEMP TABLE n AS SELECT * FROM UNNEST([1, 2, 3]) AS id", "createSession": true});
    let (code, made) = ask(&emulator, body).await;
    assert_eq!(code, 200, "{made}");
    let id = made["sessionInfo"]["sessionId"].as_str().unwrap();
    let body = json!({
        "query": "SELECT COUNT(*) FROM n",
        "connectionProperties": [{"key": "session_id", "value": id}],
    });
    let (_, counted) = ask(&emulator, body).await;
    assert_eq!(values(&counted), [[json!("3")]]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_result_is_used_again_until_a_table_changes() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(&emulator, "CREATE TABLE d.t AS SELECT 1 AS x").await;
    let sql = "SELECT SUM(x) AS s FROM d.t";
    assert_eq!(run(&emulator, sql).await["cacheHit"], false);
    let again = run(&emulator, sql).await;
    assert_eq!(again["cacheHit"], true);
    assert_eq!(again["totalBytesBilled"], "0");
    run(&emulator, "INSERT INTO d.t VALUES (2)").await;
    let new = run(&emulator, sql).await;
    assert_eq!(
        (&new["cacheHit"], values(&new)),
        (&json!(false), vec![vec![json!("3")]])
    );
    let random = "SELECT RAND() AS r";
    run(&emulator, random).await;
    assert_eq!(run(&emulator, random).await["cacheHit"], false);
    emulator.shutdown().await;
}

#[tokio::test]
async fn parameters_of_every_shape_and_pages_as_arrow() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let point =
        json!({"type": "STRUCT", "structTypes": [{"name": "x", "type": {"type": "INT64"}}]});
    let body = json!({
        "query": "SELECT id FROM UNNEST(@ids) AS id WHERE id > @point.x ORDER BY id",
        "parameterMode": "NAMED",
        "queryParameters": [
            {"name": "ids", "parameterType": {"type": "ARRAY", "arrayType": {"type": "INT64"}},
             "parameterValue": {"arrayValues": [{"value": "7"}, {"value": "5"}, {"value": "6"}]}},
            {"name": "point", "parameterType": point, "parameterValue": {"structValues": {"x": {"value": "5"}}}},
        ],
        "queryResultsFormat": "ARROW",
        "maxResults": 1,
    });
    let (code, page) = ask(&emulator, body).await;
    assert_eq!(code, 200, "{page}");
    assert_eq!(
        (&page["totalRows"], &page["pageRowCount"]),
        (&json!("2"), &json!("1"))
    );
    assert!(page["rows"].is_null() && page["pageToken"].is_string());
    let message = |value: &Value| Buffer::from(STANDARD.decode(value.as_str().unwrap()).unwrap());
    let mut decoder = StreamDecoder::new();
    let mut schema = message(&page["arrowSchema"]["serializedSchema"]);
    decoder.decode(&mut schema).unwrap();
    let mut batch = message(&page["arrowRecordBatch"]["serializedRecordBatch"]);
    let batch = decoder.decode(&mut batch).unwrap().unwrap();
    assert_eq!(ids(&[batch]), [6]);
    // The other rows come from the job's own stream.
    let job = page["jobReference"]["jobId"].as_str().unwrap();
    let client = client(&emulator).await;
    let stream = format!("projects/p/locations/US/jobs/{job}/streams/_default");
    assert_eq!(read_once(&client, &stream, 1).await.unwrap().ids(), [7]);
    emulator.shutdown().await;
}
