//! Datasets, tables, loads and queries over REST, and what of them survives a restart.

use serde_json::{Value, json};
use tempfile::TempDir;

use millpond_emulator::RunningEmulator;

use crate::harness::*;
use crate::rest::{call, send, send_json};

/// Makes the dataset `p:d` and the table `p:d.t` of the columns `fields`.
pub async fn make_table(emulator: &RunningEmulator, fields: Value) {
    let dataset = json!({"datasetReference": {"datasetId": "d"}, "location": "EU"});
    let made = send_json(emulator, "POST", "/projects/p/datasets", &dataset).await;
    assert_eq!(made.0, 200, "{}", made.1);
    let table = json!({"tableReference": {"tableId": "t"}, "schema": {"fields": fields}, "description": "one"});
    let made = send_json(emulator, "POST", "/projects/p/datasets/d/tables", &table).await;
    assert_eq!(made.0, 200, "{}", made.1);
}

async fn load(emulator: &RunningEmulator, settings: Value, data: &str) -> Value {
    let mut settings = settings;
    settings["destinationTable"] = json!({"projectId": "p", "datasetId": "d", "tableId": "t"});
    let job = json!({"configuration": {"load": settings}});
    let body = format!(
        "--x\r\nContent-Type: application/json\r\n\r\n{job}\r\n--x\r\nContent-Type: */*\r\n\r\n{data}\r\n--x--"
    );
    let path = "/upload/bigquery/v2/projects/p/jobs?uploadType=multipart";
    let (code, job) = send(
        emulator,
        "POST",
        path,
        "multipart/related; boundary=x",
        &body,
    )
    .await;
    assert_eq!(code, 200, "{job}");
    assert_eq!(job["status"]["state"], "DONE");
    job
}

async fn query(emulator: &RunningEmulator, sql: &str) -> (u16, Value) {
    let body = json!({"query": sql, "useLegacySql": false});
    send_json(emulator, "POST", "/bigquery/v2/projects/p/queries", &body).await
}

fn columns() -> Value {
    json!([
        {"name": "id", "type": "INT64", "mode": "REQUIRED"},
        {"name": "name", "type": "STRING"},
        {"name": "at", "type": "TIMESTAMP"},
    ])
}

#[tokio::test]
async fn loaded_rows_are_read_queried_and_survive_a_restart() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, columns()).await;
    let json_rows =
        "{\"id\": 1, \"name\": \"a\"}\n{\"id\": \"2\", \"at\": \"2020-01-01 00:00:00 UTC\"}\n";
    let job = load(
        &emulator,
        json!({"sourceFormat": "NEWLINE_DELIMITED_JSON"}),
        json_rows,
    )
    .await;
    assert_eq!(job["statistics"]["load"]["outputRows"], "2");
    let csv = "id,name,at\n3,\"c, d\",\n";
    load(
        &emulator,
        json!({"sourceFormat": "CSV", "skipLeadingRows": 1}),
        csv,
    )
    .await;
    // A row that does not fit leaves the table as it was.
    let failed = load(
        &emulator,
        json!({"sourceFormat": "NEWLINE_DELIMITED_JSON"}),
        "{\"id\": 4}\n{\"name\": \"no id\"}\n",
    )
    .await;
    let message = failed["status"]["errorResult"]["message"].as_str().unwrap();
    assert!(
        message.contains("row 2: Missing required field: id"),
        "{message}"
    );
    emulator.shutdown().await;

    let emulator = serve(&root).await;
    let (_, table) = call(&emulator, "GET", "/projects/p/datasets/d/tables/t").await;
    assert_eq!(table["numRows"], "3");
    assert_eq!(table["description"], "one");
    assert_eq!(table["schema"]["fields"][0]["type"], "INTEGER");
    let (_, dataset) = call(&emulator, "GET", "/projects/p/datasets/d").await;
    assert_eq!(dataset["location"], "EU");
    let client = client(&emulator).await;
    let session = open(&client, arrow_session()).await.unwrap();
    assert_eq!(ids(&read_all(&client, &session).await), [1, 2, 3]);

    let (code, answer) = query(&emulator, "SELECT id, name, `at` FROM d.t ORDER BY id").await;
    assert_eq!(code, 200, "{answer}");
    assert_eq!(
        answer["rows"],
        json!([
            {"f": [{"v": "1"}, {"v": "a"}, {"v": null}]},
            {"f": [{"v": "2"}, {"v": null}, {"v": "1577836800.000000"}]},
            {"f": [{"v": "3"}, {"v": "c, d"}, {"v": null}]},
        ])
    );
    let job = answer["jobReference"]["jobId"].as_str().unwrap();
    let path = format!("/projects/p/queries/{job}?maxResults=1&startIndex=1");
    let (_, page) = call(&emulator, "GET", &path).await;
    assert_eq!(page["rows"][0]["f"][0]["v"], "2");
    assert_eq!(page["pageToken"], "2");
    assert_eq!(page["totalRows"], "3");
    emulator.shutdown().await;
}

#[tokio::test]
async fn queries_write_tables_count_bytes_and_refuse_by_name() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, columns()).await;
    let rows: String = (0..10).map(|i| format!("{{\"id\": {i}}}\n")).collect();
    load(
        &emulator,
        json!({"sourceFormat": "NEWLINE_DELIMITED_JSON"}),
        &rows,
    )
    .await;
    let job = |destination: Value, extra: Value| {
        let mut query =
            json!({"query": "SELECT id FROM `p.d.t` WHERE id >= 7", "useLegacySql": false});
        if !destination.is_null() {
            query["destinationTable"] = destination;
        }
        let mut configuration = json!({"query": query});
        configuration
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({"configuration": configuration, "jobReference": {"projectId": "p"}})
    };
    let target = json!({"projectId": "p", "datasetId": "d", "tableId": "copy"});
    let dry = job(Value::Null, json!({"dryRun": true}));
    let (_, dry) = send_json(&emulator, "POST", "/projects/p/jobs", &dry).await;
    assert_eq!(dry["statistics"]["totalBytesProcessed"], "80");
    assert!(dry["jobReference"]["jobId"].is_null());
    for expected in [None, Some("duplicate")] {
        let (code, done) = send_json(
            &emulator,
            "POST",
            "/projects/p/jobs",
            &job(target.clone(), json!({})),
        )
        .await;
        assert_eq!(code, 200, "{done}");
        assert_eq!(done["status"]["errorResult"]["reason"].as_str(), expected);
    }
    let (_, copy) = call(&emulator, "GET", "/projects/p/datasets/d/tables/copy").await;
    assert_eq!(copy["numRows"], "3");
    let (_, listed) = call(&emulator, "GET", "/projects/p/datasets").await;
    assert_eq!(
        listed["datasets"].as_array().unwrap().len(),
        1,
        "results are hidden"
    );
    for (sql, reason) in [
        ("SELECT KEYS.NEW_KEYSET(name) FROM d.t", "invalidQuery"),
        ("SELECT id FROM d.none", "notFound"),
    ] {
        let (code, error) = query(&emulator, sql).await;
        assert!(code >= 400, "{sql}");
        assert_eq!(error["error"]["errors"][0]["reason"], reason, "{error}");
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn views_snapshots_and_partition_filters_are_as_the_service_has_them() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, columns()).await;
    let view = json!({"tableReference": {"tableId": "v"}, "view": {"query": "SELECT id FROM d.t", "useLegacySql": false}});
    let (code, made) = send_json(&emulator, "POST", "/projects/p/datasets/d/tables", &view).await;
    assert_eq!((code, made["type"].as_str()), (200, Some("VIEW")));
    let client = client(&emulator).await;
    let session = arrow_session().set_table("projects/p/datasets/d/tables/v");
    assert_eq!(
        status(open(&client, session).await).1,
        "request failed: non-table entities cannot be read with the storage API"
    );
    let fields = json!([{"name": "day", "type": "DATE"}]);
    let partitioned = json!({"tableReference": {"tableId": "q"}, "schema": {"fields": fields},
        "timePartitioning": {"type": "DAY", "field": "day"}, "requirePartitionFilter": true});
    let made = send_json(
        &emulator,
        "POST",
        "/projects/p/datasets/d/tables",
        &partitioned,
    )
    .await;
    assert_eq!(made.1["timePartitioning"]["field"], "day", "{}", made.1);
    let session = arrow_session().set_table("projects/p/datasets/d/tables/q");
    assert_eq!(
        status(open(&client, session).await).1,
        "request failed: Query error: Cannot query over table 'p.d.q' without a filter over column(s) 'day' that can be used for partition elimination"
    );
    // An empty table has a schema and no streams.
    let empty = open(&client, arrow_session()).await.unwrap();
    assert!(empty.streams.is_empty());
    assert_eq!(session_schema(&empty).fields().len(), 3);
    let change = json!({"schema": {"fields": [{"name": "id", "type": "STRING"}]}});
    let (code, error) = send_json(
        &emulator,
        "PATCH",
        "/projects/p/datasets/d/tables/t",
        &change,
    )
    .await;
    assert_eq!(code, 400, "{error}");
    let (code, _) = call(
        &emulator,
        "DELETE",
        "/projects/p/datasets/d?deleteContents=true",
    )
    .await;
    assert_eq!(code, 204);
    assert!(!root.path().join("p/d").exists());
    emulator.shutdown().await;
}
