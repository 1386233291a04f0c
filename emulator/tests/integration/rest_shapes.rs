//! What resources look like in answers, and what of a request decides about it.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, TimeUnit};
use google_cloud_bigquery::model::ArrowSerializationOptions;
use google_cloud_bigquery::model::arrow_serialization_options::PicosTimestampPrecision;
use google_cloud_bigquery::model::read_session::TableReadOptions;
use serde_json::{Value, json};
use tempfile::TempDir;

use millpond_emulator::RunningEmulator;

use crate::harness::*;
use crate::rest::{call, send_json};
use crate::tables::make_table;

const TABLES: &str = "/projects/p/datasets/d/tables";

async fn insert(emulator: &RunningEmulator, id: &str, mut table: Value) -> (u16, Value) {
    table["tableReference"] = json!({"tableId": id});
    send_json(emulator, "POST", TABLES, &table).await
}

/// Runs a query job; its error's reason when it failed.
async fn job(emulator: &RunningEmulator, query: Value) -> (String, Value) {
    let body = json!({"configuration": {"query": query}});
    let (_, job) = send_json(emulator, "POST", "/projects/p/jobs", &body).await;
    let failed = job["status"]["errorResult"]["reason"].as_str();
    let refused = job["error"]["errors"][0]["reason"].as_str();
    let reason = failed.or(refused).unwrap_or_default().to_owned();
    (reason, job)
}

#[tokio::test]
async fn columns_are_told_as_they_were_given_and_numbers_as_text() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    let fields = json!([
        {"name": "a", "type": "STRING", "maxLength": 9},
        {"name": "n", "type": "NUMERIC", "mode": "NULLABLE", "precision": 12, "scale": "2"},
        {"name": "r", "type": "RECORD", "mode": "REPEATED", "fields": [{"name": "x", "type": "DATE"}]},
    ]);
    make_table(&emulator, fields.clone()).await;
    let told = |table: &Value| table["schema"]["fields"].clone();
    let mut wanted = fields;
    wanted[0]["maxLength"] = json!("9");
    wanted[1]["precision"] = json!("12");
    let path = format!("{TABLES}/t");
    let (_, table) = call(&emulator, "GET", &path).await;
    assert_eq!(told(&table), wanted);
    // A column that nobody gave a mode is nullable: saying so changes nothing.
    wanted[0]["mode"] = json!("NULLABLE");
    wanted
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "z", "type": "INTEGER"}));
    let change = json!({"schema": {"fields": wanted}});
    let (code, table) = send_json(&emulator, "PATCH", &path, &change).await;
    assert_eq!((code, told(&table)), (200, wanted));
    let (reason, _) = job(
        &emulator,
        json!({"query": "INSERT d.t (z) VALUES (NULL)", "useLegacySql": false}),
    )
    .await;
    assert_eq!(reason, "");
    let (_, basic) = call(&emulator, "GET", &format!("{path}?view=BASIC")).await;
    let (_, full) = call(&emulator, "GET", &path).await;
    for counted in ["numRows", "numBytes", "lastModifiedTime"] {
        assert!(
            basic.get(counted).is_none() && full.get(counted).is_some(),
            "{counted}"
        );
    }
    assert_eq!(told(&basic), told(&full));
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_filter_that_is_required_by_the_table_is_by_its_partitioning() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, json!([{"name": "a", "type": "DATE"}])).await;
    let partitioning = json!({"type": "DAY", "field": "a", "requirePartitionFilter": true});
    let fields = json!({"fields": [{"name": "a", "type": "DATE"}]});
    insert(
        &emulator,
        "f",
        json!({"schema": fields, "timePartitioning": partitioning}),
    )
    .await;
    let path = format!("{TABLES}/f");
    for wanted in [false, true] {
        let change = json!({"requirePartitionFilter": wanted});
        let (_, table) = send_json(&emulator, "PATCH", &path, &change).await;
        assert_eq!(table["requirePartitionFilter"], wanted);
        assert_eq!(table["timePartitioning"]["requirePartitionFilter"], wanted);
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn views_are_of_the_dialect_that_they_say() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, json!([{"name": "a", "type": "DATE"}])).await;
    let brackets = "SELECT a FROM [p:d.t]";
    let backticks = "SELECT a FROM `p.d.t`";
    for (index, (sql, legacy, code)) in [
        (brackets, true, 200),
        (backticks, false, 200),
        (brackets, false, 400),
        (backticks, true, 400),
    ]
    .into_iter()
    .enumerate()
    {
        let view = json!({"view": {"query": sql, "useLegacySql": legacy}});
        let made = insert(&emulator, &format!("v{index}"), view).await;
        assert_eq!(made.0, code, "{sql} {}", made.1);
    }
    let (reason, _) = job(&emulator, json!({"query": backticks, "useLegacySql": true})).await;
    assert_eq!(reason, "invalidQuery");
    emulator.shutdown().await;
}

#[tokio::test]
async fn jobs_are_found_where_they_are() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    for (location, found) in [("US", 200), ("EU", 200), ("asia-northeast1", 404)] {
        let body = json!({
            "jobReference": {"location": location},
            "configuration": {"query": {"query": "SELECT 1", "useLegacySql": false}},
        });
        let (_, job) = send_json(&emulator, "POST", "/projects/p/jobs", &body).await;
        let path = format!(
            "/projects/p/jobs/{}",
            job["jobReference"]["jobId"].as_str().unwrap()
        );
        assert_eq!(call(&emulator, "GET", &path).await.0, found, "{location}");
        let whole = format!("{path}?location={location}");
        assert_eq!(call(&emulator, "GET", &whole).await.0, 200, "{location}");
        let deleted = format!("{path}/delete?location={location}");
        assert_eq!(call(&emulator, "DELETE", &deleted).await, (200, json!({})));
        assert_eq!(call(&emulator, "GET", &whole).await.0, 404);
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn results_give_an_empty_table_its_columns_and_relax_required_ones() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(
        &emulator,
        json!([{"name": "a", "type": "STRING"}, {"name": "b", "type": "INT64", "mode": "REQUIRED"}]),
    )
    .await;
    insert(&emulator, "bare", json!({})).await;
    let to = |table: &str, more: Value| {
        let mut query = json!({
            "query": "SELECT 'x' AS a",
            "useLegacySql": false,
            "writeDisposition": "WRITE_APPEND",
            "destinationTable": {"projectId": "p", "datasetId": "d", "tableId": table},
        });
        query
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        query
    };
    let key = json!({"destinationEncryptionConfiguration": {"kmsKeyName": "k"}});
    assert_eq!(job(&emulator, to("bare", key)).await.0, "");
    let (_, table) = call(&emulator, "GET", &format!("{TABLES}/bare")).await;
    assert_eq!(
        (&table["numRows"], &table["schema"]["fields"][0]["name"]),
        (&json!("1"), &json!("a"))
    );
    let (reason, refused) = job(&emulator, to("t", json!({}))).await;
    let message = refused["status"]["errorResult"]["message"]
        .as_str()
        .unwrap();
    assert!(
        reason == "invalid" && message.contains("Required field b is missing"),
        "{refused}"
    );
    let relax = json!({"schemaUpdateOptions": ["ALLOW_FIELD_RELAXATION"]});
    assert_eq!(job(&emulator, to("t", relax)).await.0, "");
    let (_, table) = call(&emulator, "GET", &format!("{TABLES}/t")).await;
    assert_eq!(
        (&table["numRows"], &table["schema"]["fields"][1]["mode"]),
        (&json!("1"), &json!("NULLABLE"))
    );
    let key = json!({"destinationEncryptionConfiguration": {"kmsKeyName": "k"}});
    assert_eq!(job(&emulator, to("made", key)).await.0, "");
    let (_, table) = call(&emulator, "GET", &format!("{TABLES}/made")).await;
    assert_eq!(table["encryptionConfiguration"]["kmsKeyName"], "k");
    emulator.shutdown().await;
}

#[tokio::test]
async fn points_in_time_keep_twelve_digits_where_the_column_has_them() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(
        &emulator,
        json!([{"name": "ts", "type": "TIMESTAMP", "timestampPrecision": 12}, {"name": "n", "type": "INT64"}]),
    )
    .await;
    let path = format!("{TABLES}/t");
    let (_, table) = call(&emulator, "GET", &path).await;
    assert_eq!(table["schema"]["fields"][0]["timestampPrecision"], "12");
    let rows = json!({"rows": [
        {"json": {"n": 1, "ts": "2024-04-05T15:45:58.981123456789Z"}},
        {"json": {"n": 2, "ts": "1969-12-31 23:59:59.9+00"}},
        {"json": {"n": 3}},
    ]});
    let (_, inserted) = send_json(&emulator, "POST", &format!("{path}/insertAll"), &rows).await;
    assert!(inserted.get("insertErrors").is_none(), "{inserted}");
    let wrong = json!({"rows": [{"json": {"ts": "2024-04-05T15:45:58.9811234567890Z"}}]});
    let (_, refused) = send_json(&emulator, "POST", &format!("{path}/insertAll"), &wrong).await;
    let message = &refused["insertErrors"][0]["errors"][0]["message"];
    assert!(message.as_str().unwrap().contains("12 digits"), "{refused}");
    let listed = async |options: &str| {
        let (code, page) = call(&emulator, "GET", &format!("{path}/data?{options}")).await;
        let value = |row: usize| page["rows"][row]["f"][0]["v"].clone();
        (
            code,
            [value(0), value(1), value(2)],
            page["error"]["message"].clone(),
        )
    };
    let iso = "formatOptions.timestampOutputFormat=ISO8601_STRING";
    let int64 = "formatOptions.useInt64Timestamp=true";
    assert_eq!(
        listed(iso).await.1,
        [
            json!("2024-04-05T15:45:58.981123456789Z"),
            json!("1969-12-31T23:59:59.900000000000Z"),
            Value::Null
        ]
    );
    assert_eq!(
        listed(int64).await.1,
        [json!("1712331958981123"), json!("-100000"), Value::Null]
    );
    assert_eq!(listed("").await.1[1], "-0.100000");
    let (code, _, message) = listed(&format!("{iso}&{int64}")).await;
    assert_eq!(
        (code, message),
        (
            400,
            json!("Cannot specify both use_int64_timestamp and timestamp_output_format.")
        )
    );
    let both = "formatOptions.timestampOutputFormat=INT64&formatOptions.useInt64Timestamp=true";
    assert_eq!(listed(both).await.0, 200);

    let query = async |sql: &str| {
        let body = json!({"query": sql, "useLegacySql": false, "formatOptions": {"timestampOutputFormat": "ISO8601_STRING"}});
        send_json(&emulator, "POST", "/projects/p/queries", &body)
            .await
            .1
    };
    let found =
        query("SELECT ts, CAST(ts AS TIMESTAMP) AS cut FROM d.t ORDER BY ts DESC LIMIT 1").await;
    assert_eq!(found["schema"]["fields"][0]["timestampPrecision"], "12");
    assert_eq!(
        found["rows"][0]["f"][0]["v"],
        "2024-04-05T15:45:58.981123456789Z"
    );
    assert_eq!(
        found["rows"][0]["f"][1]["v"],
        "2024-04-05T15:45:58.981123000000Z"
    );
    let made = query("SELECT CAST('2025-10-20' AS TIMESTAMP(12)), CAST(TIMESTAMP '2025-10-20 00:00:00.5+00' AS TIMESTAMP(12))").await;
    assert_eq!(
        made["rows"][0]["f"][0]["v"],
        "2025-10-20T00:00:00.000000000000Z"
    );
    assert_eq!(
        made["rows"][0]["f"][1]["v"],
        "2025-10-20T00:00:00.500000000000Z"
    );
    let client = client(&emulator).await;
    let read = async |precision: PicosTimestampPrecision| {
        let arrow = ArrowSerializationOptions::new().set_picos_timestamp_precision(precision);
        let options = TableReadOptions::new().set_arrow_serialization_options(arrow);
        let session = arrow_session().set_read_options(options.set_selected_fields(["ts"]));
        let session = open(&client, session).await.unwrap();
        let column = read_all(&client, &session).await[0].column(0).clone();
        let text = arrow::compute::cast(&column, &DataType::Utf8).unwrap();
        (
            column.data_type().clone(),
            text.as_string::<i32>().value(0).to_owned(),
        )
    };
    let utc = |unit| DataType::Timestamp(unit, Some("UTC".into()));
    let (micros, nanos) = (utc(TimeUnit::Microsecond), utc(TimeUnit::Nanosecond));
    for (precision, data_type, text) in [
        (
            PicosTimestampPrecision::Unspecified,
            micros,
            "2024-04-05T15:45:58.981123Z",
        ),
        (
            PicosTimestampPrecision::TimestampPrecisionNanos,
            nanos,
            "2024-04-05T15:45:58.981123456Z",
        ),
        (
            PicosTimestampPrecision::TimestampPrecisionPicos,
            DataType::Utf8,
            "2024-04-05T15:45:58.981123456789Z",
        ),
    ] {
        assert_eq!(read(precision).await, (data_type, text.to_owned()));
    }
    let filter = TableReadOptions::new().set_row_restriction("ts > '2024-01-01'");
    let refused = open(&client, arrow_session().set_read_options(filter)).await;
    assert_eq!(status(refused).0, "INVALID_ARGUMENT");
    // The text that it is kept as is nobody's business.
    for sql in [
        "SELECT n FROM d.t WHERE ts > '2024-01-01'",
        "SELECT LENGTH(ts) FROM d.t",
        "SELECT CONCAT(ts, 'x') FROM d.t",
        "SELECT MAX(ts) FROM d.t",
        "SELECT CAST(ts AS STRING) FROM d.t",
    ] {
        let refused = query(sql).await;
        assert_eq!(refused["error"]["code"], 400, "{sql} {refused}");
    }
    let change = json!({"schema": {"fields": [{"name": "ts", "type": "TIMESTAMP"}, {"name": "n", "type": "INT64"}]}});
    assert_eq!(send_json(&emulator, "PATCH", &path, &change).await.0, 400);
    let nine = json!({"schema": {"fields": [{"name": "ts", "type": "TIMESTAMP", "timestampPrecision": 9}]}});
    assert_eq!(insert(&emulator, "nine", nine).await.0, 400);
    emulator.shutdown().await;
}

#[tokio::test]
async fn dropped_tables_come_back_by_a_copy_of_what_they_were() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, json!([{"name": "n", "type": "INT64"}])).await;
    let insert = async |n: i64| {
        let rows = json!({"rows": [{"json": {"n": n}}]});
        send_json(&emulator, "POST", &format!("{TABLES}/t/insertAll"), &rows).await
    };
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.unwrap().as_millis()
    };
    let pause = || tokio::time::sleep(std::time::Duration::from_millis(3));
    let before = now() - 1_000;
    insert(1).await;
    let one = now();
    pause().await;
    insert(2).await;
    let two = now();
    pause().await;
    let copy = async |source: String, to: &str| {
        let table = |id: &str| json!({"projectId": "p", "datasetId": "d", "tableId": id});
        let copy = json!({"sourceTable": table(&source), "destinationTable": table(to)});
        let body = json!({"configuration": {"copy": copy}});
        let (_, job) = send_json(&emulator, "POST", "/projects/p/jobs", &body).await;
        let reason = job["status"]["errorResult"]["reason"].as_str();
        reason
            .unwrap_or(
                job["statistics"]["copy"]["copiedRows"]
                    .as_str()
                    .unwrap_or("?"),
            )
            .to_owned()
    };
    assert_eq!(copy(format!("t@{one}"), "a").await, "1");
    for _ in 0..2 {
        assert_eq!(
            call(&emulator, "DELETE", &format!("{TABLES}/t")).await.0,
            204
        );
        // One that has its name, and is gone as well.
        make_again(&emulator).await;
    }
    assert_eq!(copy(format!("t@{one}"), "b").await, "1");
    assert_eq!(copy(format!("t@{two}"), "c").await, "2");
    assert_eq!(copy("t@-1".to_owned(), "e").await, "0");
    assert_eq!(copy(format!("t@{before}"), "f").await, "notFound");
    assert_eq!(copy("t@x".to_owned(), "f").await, "invalid");
    assert_eq!(copy(format!("t@{}", now() + 60_000), "f").await, "invalid");
    call(&emulator, "DELETE", &format!("{TABLES}/t")).await;
    assert_eq!(copy(format!("t@{two}"), "g").await, "2");
    let (_, tables) = call(&emulator, "GET", TABLES).await;
    assert_eq!(tables["totalItems"], 5, "{tables}");
    emulator.shutdown().await;
}

async fn make_again(emulator: &RunningEmulator) {
    let fields = json!({"fields": [{"name": "other", "type": "DATE"}]});
    assert_eq!(
        insert(emulator, "t", json!({"schema": fields})).await.0,
        200
    );
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
}

#[tokio::test]
async fn structs_without_values_are_null_and_nothing_is_told_of_nothing() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    let inner =
        json!({"type": "STRUCT", "structTypes": [{"name": "d", "type": {"type": "STRING"}}]});
    let types = json!([
        {"name": "a", "type": {"type": "INT64"}},
        {"name": "b", "type": inner},
        {"name": "c", "type": {"type": "ARRAY", "arrayType": {"type": "STRING"}}},
    ]);
    let values = json!({"a": {"value": "1"}, "b": {}, "c": {"arrayValues": []}});
    let parameter = json!({
        "name": "p",
        "parameterType": {"type": "STRUCT", "structTypes": types},
        "parameterValue": {"structValues": values},
    });
    let query = json!({"query": "SELECT @p.a, @p.b IS NULL, ARRAY_LENGTH(@p.c)", "useLegacySql": false, "parameterMode": "NAMED", "queryParameters": [parameter]});
    let (reason, job) = job(&emulator, query).await;
    assert_eq!(reason, "", "{job}");
    let told = &job["configuration"]["query"]["queryParameters"][0]["parameterValue"];
    assert_eq!(*told, json!({"structValues": {"a": {"value": "1"}}}));
    let path = format!(
        "/projects/p/queries/{}",
        job["jobReference"]["jobId"].as_str().unwrap()
    );
    let (_, rows) = call(&emulator, "GET", &path).await;
    assert_eq!(
        rows["rows"],
        json!([{"f": [{"v": "1"}, {"v": "true"}, {"v": "0"}]}])
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn names_of_two_parts_are_of_the_default_dataset_s_project_and_jobs_where_their_table_is() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, json!([{"name": "n", "type": "INT64"}])).await;
    for sql in ["SELECT n FROM d.t", "SELECT n FROM t"] {
        let query = json!({
            "query": sql,
            "useLegacySql": false,
            "defaultDataset": {"projectId": "p", "datasetId": "d"},
        });
        let (code, answer) = send_json(&emulator, "POST", "/projects/payer/queries", &query).await;
        assert_eq!(code, 200, "{answer}");
        let elsewhere = json!({"query": sql, "useLegacySql": false});
        let (code, _) = send_json(&emulator, "POST", "/projects/payer/queries", &elsewhere).await;
        assert_ne!(code, 200, "{sql}");
    }
    let table = |id: &str| json!({"projectId": "p", "datasetId": "d", "tableId": id});
    let copy = json!({"sourceTable": table("t"), "destinationTable": table("u")});
    let body = json!({"configuration": {"copy": copy}});
    let (_, job) = send_json(&emulator, "POST", "/projects/p/jobs", &body).await;
    assert_eq!(job["jobReference"]["location"], "EU", "{job}");
    emulator.shutdown().await;
}

#[tokio::test]
async fn only_a_dry_run_of_a_wrong_query_is_refused_as_a_request() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    let body = |dry: bool| {
        let query = json!({"query": "SELECT COUNT(x FROM t", "useLegacySql": false});
        json!({"configuration": {"dryRun": dry, "query": query}})
    };
    let (code, refused) = send_json(&emulator, "POST", "/projects/p/jobs", &body(true)).await;
    assert_eq!(code, 400, "{refused}");
    let (code, job) = send_json(&emulator, "POST", "/projects/p/jobs", &body(false)).await;
    assert_eq!(code, 200, "{job}");
    let status = &job["status"];
    assert_eq!(status["state"], "DONE");
    assert_eq!(status["errorResult"]["reason"], "invalidQuery");
    let id = job["jobReference"]["jobId"].as_str().unwrap();
    let (code, _) = call(&emulator, "GET", &format!("/projects/p/queries/{id}")).await;
    assert_eq!(code, 400);
    emulator.shutdown().await;
}

#[tokio::test]
async fn results_are_kept_where_a_query_wants_to_run() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    let body = json!({
        "jobReference": {"location": "europe-west1"},
        "configuration": {"query": {"query": "SELECT 1", "useLegacySql": false}},
    });
    let (_, job) = send_json(&emulator, "POST", "/projects/p/jobs", &body).await;
    let table = &job["configuration"]["query"]["destinationTable"];
    let (dataset, table) = (table["datasetId"].as_str(), table["tableId"].as_str());
    let path = format!(
        "/projects/p/datasets/{}/tables/{}",
        dataset.unwrap(),
        table.unwrap()
    );
    let (_, table) = call(&emulator, "GET", &path).await;
    assert_eq!(table["location"], "europe-west1");
    emulator.shutdown().await;
}

#[tokio::test]
async fn parts_of_datasets_tables_and_routines_are_told() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    let columns = json!([
        {"name": "a", "type": "DATE"},
        {"name": "r", "type": "RECORD", "fields": [{"name": "x", "type": "STRING"}, {"name": "y", "type": "STRING"}]},
    ]);
    make_table(&emulator, columns).await;
    let (_, table) = call(&emulator, "GET", &format!("{TABLES}/t?selectedFields=R.y")).await;
    let fields = &table["schema"]["fields"];
    assert_eq!(fields.as_array().unwrap().len(), 1);
    assert_eq!(
        fields[0]["fields"],
        json!([{"name": "y", "type": "STRING"}])
    );
    let dataset = |view: &'static str| {
        let path = format!("/projects/p/datasets/d?datasetView={view}");
        let emulator = &emulator;
        async move { call(emulator, "GET", &path).await }
    };
    assert_eq!(
        dataset("FULL").await.1["access"].as_array().unwrap().len(),
        4
    );
    assert!(dataset("METADATA").await.1.get("access").is_none());
    assert!(dataset("ACL").await.1.get("location").is_none());
    assert_eq!(dataset("OTHER").await.0, 400);

    let routines = "/projects/p/datasets/d/routines";
    let body = json!({
        "routineReference": {"routineId": "f"},
        "routineType": "SCALAR_FUNCTION",
        "language": "SQL",
        "definitionBody": "1",
    });
    assert_eq!(send_json(&emulator, "POST", routines, &body).await.0, 200);
    for (path, key, wanted) in [
        (
            "?filter=routineType:SCALAR_FUNCTION",
            "/routines/0/language",
            json!("SQL"),
        ),
        ("", "/routines/0/definitionBody", Value::Null),
        (
            "?readMask=definitionBody",
            "/routines/0",
            json!({"definitionBody": "1"}),
        ),
        ("?filter=routineType:PROCEDURE", "/routines", Value::Null),
        ("?filter=x", "/error/errors/0/reason", json!("invalid")),
        ("/f", "/definitionBody", json!("1")),
        ("/f?readMask=language", "", json!({"language": "SQL"})),
    ] {
        let (_, answer) = call(&emulator, "GET", &format!("{routines}{path}")).await;
        let found = answer.pointer(key).cloned().unwrap_or_default();
        assert_eq!(found, wanted, "{path}: {answer}");
    }
    let body = json!({"configuration": {"query": {"query": "SELECT 1"}, "load": {}}});
    let (code, refused) = send_json(&emulator, "POST", "/projects/p/jobs", &body).await;
    assert_eq!(code, 400);
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("there were 2"), "{message}");
    emulator.shutdown().await;
}

#[tokio::test]
async fn jobs_that_replace_rows_at_one_time_do_not_add_them_up() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    let column = json!([{"name": "x", "type": "INTEGER"}]);
    make_table(&emulator, column).await;
    let body = json!({"configuration": {"query": {
        "query": "SELECT x FROM UNNEST(GENERATE_ARRAY(1, 5)) AS x",
        "useLegacySql": false,
        "useQueryCache": false,
        "writeDisposition": "WRITE_TRUNCATE",
        "destinationTable": {"projectId": "p", "datasetId": "d", "tableId": "t"},
    }}});
    let jobs = (0..12).map(|_| send_json(&emulator, "POST", "/projects/p/jobs", &body));
    for (code, job) in futures::future::join_all(jobs).await {
        assert_eq!(code, 200);
        assert!(job["status"].get("errorResult").is_none(), "{job}");
    }
    let (_, table) = call(&emulator, "GET", &format!("{TABLES}/t")).await;
    assert_eq!(table["numRows"], "5");
    emulator.shutdown().await;
}
