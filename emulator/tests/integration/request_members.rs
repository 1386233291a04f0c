//! What of a request is read, kept and refused, member by member.

use millpond_emulator::RunningEmulator;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::serve;
use crate::rest::{call, exchange, send_json};
use crate::statements::ask;

const TABLES: &str = "/projects/p/datasets/d/tables";
const ROUTINES: &str = "/projects/p/datasets/d/routines";

async fn start(root: &TempDir) -> RunningEmulator {
    let emulator = serve(root).await;
    let dataset = json!({"datasetReference": {"datasetId": "d"}, "location": "", "id": "", "tableType": "x", "access": [],
        "defaultTableExpirationMs": 7_200_000, "defaultPartitionExpirationMs": "7200000"});
    let (code, made) = send_json(&emulator, "POST", "/projects/p/datasets", &dataset).await;
    assert_eq!(code, 200, "{made}");
    assert_eq!(made["location"], "US");
    assert_eq!(made["id"], "p:d");
    assert_eq!(made["maxTimeTravelHours"], "168");
    assert_eq!(made["access"].as_array().map(Vec::len), Some(4));
    assert_eq!(made["defaultTableExpirationMs"], "7200000");
    assert_eq!(made["defaultPartitionExpirationMs"], "7200000");
    assert!(made.get("tableType").is_none());
    emulator
}

async fn make(emulator: &RunningEmulator, id: &str, more: Value) -> (u16, Value) {
    let mut table = json!({"tableReference": {"tableId": id}, "schema": {"fields": [
        {"name": "n", "type": "INT64"}, {"name": "s", "type": "STRING"}, {"name": "t", "type": "TIMESTAMP"},
    ]}});
    let (Value::Object(table_members), Value::Object(more)) = (&mut table, more) else {
        panic!("not an object");
    };
    table_members.extend(more);
    send_json(emulator, "POST", TABLES, &table).await
}

/// Code, reason and message of an answer.
fn error((code, body): &(u16, Value)) -> (u16, &str, &str) {
    let text = |value: &'static str| body.pointer(value).and_then(Value::as_str).unwrap_or("");
    (
        *code,
        text("/error/errors/0/reason"),
        text("/error/message"),
    )
}

#[tokio::test]
async fn long_numbers_are_texts_and_names_that_there_are_not_are_not_kept() {
    let root = TempDir::new().unwrap();
    let emulator = start(&root).await;
    let (code, made) = make(
        &emulator,
        "t",
        json!({"tableType": "", "expirationTime": 4_102_444_800_000_i64,
            "rangePartitioning": {"field": "n", "range": {"start": 0, "end": 10, "interval": 1}}}),
    )
    .await;
    assert_eq!(code, 200, "{made}");
    assert!(made.get("tableType").is_none());
    assert_eq!(made["expirationTime"], "4102444800000");
    let range = json!({"start": "0", "end": "10", "interval": "1"});
    assert_eq!(made["rangePartitioning"]["range"], range);
    let (_, patched) = send_json(
        &emulator,
        "PATCH",
        &format!("{TABLES}/t"),
        &json!({"expirationTime": 4_102_444_800_001_i64}),
    )
    .await;
    assert_eq!(patched["expirationTime"], "4102444800001");
    for path in ["/projects/p/datasets/d".to_owned(), format!("{TABLES}/t")] {
        let label = async |value: Value| {
            let labels = json!({"labels": {"color": value}});
            send_json(&emulator, "PATCH", &path, &labels).await.1
        };
        assert_eq!(label(json!("red")).await["labels"], json!({"color": "red"}));
        assert_eq!(label(Value::Null).await.get("labels"), None);
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn layouts_that_no_table_has_are_refused() {
    let root = TempDir::new().unwrap();
    let emulator = start(&root).await;
    for (layout, said) in [
        (
            json!({"timePartitioning": {"type": "DAY", "field": "s"}}),
            "The type found is: STRING",
        ),
        (
            json!({"timePartitioning": {"type": "WEEK"}}),
            "WEEK is none of",
        ),
        (
            json!({"clustering": {"fields": ["none"]}}),
            "cannot be found in the schema: none",
        ),
    ] {
        let answer = make(&emulator, "t", layout).await;
        let (code, reason, message) = error(&answer);
        assert_eq!((code, reason), (400, "invalid"));
        assert!(message.contains(said), "{message}");
    }
    assert_eq!(make(&emulator, "t", json!({})).await.0, 200);
    for (layout, said) in [
        (
            json!({"timePartitioning": {"type": "DAY"}}),
            "Cannot convert non partitioned",
        ),
        (
            json!({"clustering": {"fields": ["none"]}}),
            "cannot be found in the schema: none",
        ),
    ] {
        let answer = send_json(&emulator, "PATCH", &format!("{TABLES}/t"), &layout).await;
        let (code, _, message) = error(&answer);
        assert!(code == 400 && message.contains(said), "{answer:?}");
    }
    let answer = send_json(
        &emulator,
        "PATCH",
        &format!("{TABLES}/t"),
        // What is null in a list is not there, as in a request that makes a table.
        &json!({"clustering": {"fields": ["s"]}, "schema": {"fields": [
            {"name": "n", "type": "INT64", "fields": null}, {"name": "s", "type": "STRING", "mode": null},
            {"name": "t", "type": "TIMESTAMP"}]}}),
    )
    .await;
    assert_eq!(answer.0, 200, "{answer:?}");
    emulator.shutdown().await;
}

#[tokio::test]
async fn views_are_queries_that_can_be_run_and_take_no_rows() {
    let root = TempDir::new().unwrap();
    let emulator = start(&root).await;
    let view = async |id: &str, view: Value| {
        let body = json!({"tableReference": {"tableId": id}, "view": view});
        send_json(&emulator, "POST", TABLES, &body).await
    };
    assert_eq!(error(&view("v", json!({})).await).0, 400);
    let answer = view("v", json!({"query": "SELECT oops", "useLegacySql": false})).await;
    let (code, reason, message) = error(&answer);
    assert_eq!((code, reason), (400, "invalidQuery"));
    assert!(message.starts_with("Unrecognized name: oops"), "{message}");
    let answer = view(
        "v",
        json!({"query": "SELECT 1 AS x", "useLegacySql": false}),
    )
    .await;
    assert_eq!(answer.0, 200, "{answer:?}");
    let rows = json!({"rows": [{"json": {"x": 1}}]});
    let answer = send_json(&emulator, "POST", &format!("{TABLES}/v/insertAll"), &rows).await;
    assert_eq!(
        error(&answer),
        (400, "invalid", "Cannot add rows to a table of type VIEW.")
    );
    let answer = send_json(
        &emulator,
        "POST",
        &format!("{TABLES}/v/insertAll"),
        &json!({}),
    )
    .await;
    assert_eq!(
        error(&answer),
        (400, "invalid", "No rows present in the request.")
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn who_knows_the_state_of_a_resource_is_not_told_again() {
    let root = TempDir::new().unwrap();
    let emulator = start(&root).await;
    make(&emulator, "t", json!({})).await;
    let routine = json!({"routineReference": {"routineId": "r"}, "routineType": "SCALAR_FUNCTION",
        "language": "SQL", "definitionBody": "1"});
    send_json(&emulator, "POST", ROUTINES, &routine).await;
    let paths = [
        "/projects/p/datasets/d".to_owned(),
        format!("{TABLES}/t"),
        format!("{ROUTINES}/r"),
    ];
    for path in paths {
        let (_, told) = call(&emulator, "GET", &path).await;
        let tag = told["etag"].as_str().unwrap();
        let again = exchange(&emulator, "GET", &path, &[("If-None-Match", tag)], b"").await;
        assert_eq!((again.code, &again.body), (304, &Value::Null), "{path}");
        let other = exchange(&emulator, "GET", &path, &[("If-None-Match", "x")], b"").await;
        assert_eq!((other.code, other.body), (200, told));
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn tables_without_a_dataset_and_parameters_that_are_not_given_are_named() {
    let root = TempDir::new().unwrap();
    let emulator = start(&root).await;
    let (code, body) = ask(
        &emulator,
        json!({"query": "SELECT * FROM alone", "useLegacySql": false}),
    )
    .await;
    let wanted = "Table \"alone\" must be qualified with a dataset (e.g. dataset.table).";
    assert_eq!(error(&(code, body.clone())), (400, "invalid", wanted));
    let first = &body["error"]["errors"][0];
    assert_eq!(
        (&first["location"], &first["locationType"]),
        (&json!("alone"), &json!("other"))
    );
    let answer = ask(
        &emulator,
        json!({"query": "SELECT @a", "useLegacySql": false}),
    )
    .await;
    let wanted = "Query parameter 'a' not found";
    assert_eq!(error(&answer), (400, "invalidQuery", wanted));
    emulator.shutdown().await;
}

#[tokio::test]
async fn routines_have_a_type_and_policies() {
    let root = TempDir::new().unwrap();
    let emulator = start(&root).await;
    let routine = |kind: Value| {
        json!({"routineReference": {"routineId": "r"}, "routineType": kind, "language": "SQL",
            "definitionBody": "1", "policy": {"bindings": []}})
    };
    for kind in [Value::Null, json!("NONE")] {
        let answer = send_json(&emulator, "POST", ROUTINES, &routine(kind)).await;
        assert_eq!(error(&answer).0, 400);
    }
    let kind = json!("SCALAR_FUNCTION");
    assert_eq!(
        send_json(&emulator, "POST", ROUTINES, &routine(kind.clone()))
            .await
            .0,
        200
    );
    let ask = async |method: &str, body: Value| {
        send_json(&emulator, "POST", &format!("{ROUTINES}/r:{method}"), &body).await
    };
    let (code, never) = ask("getIamPolicy", json!({})).await;
    assert_eq!((code, never["bindings"].is_null()), (200, true));
    let bindings = json!([{"role": "roles/viewer", "members": ["allUsers"]}]);
    let policy = json!({"policy": {"bindings": bindings, "etag": never["etag"]}});
    let (code, set) = ask("setIamPolicy", policy.clone()).await;
    assert_eq!((code, &set["bindings"]), (200, &bindings));
    assert_eq!(error(&ask("setIamPolicy", policy).await).0, 409);
    // A change of the routine keeps its policy, and neither tells of the other.
    let path = format!("{ROUTINES}/r");
    let (code, changed) = send_json(&emulator, "PUT", &path, &routine(kind)).await;
    assert_eq!((code, changed.get("policy")), (200, None));
    assert_eq!(ask("getIamPolicy", json!({})).await.1, set);
    let asked = json!({"permissions": ["bigquery.routines.get"]});
    assert_eq!(ask("testIamPermissions", asked.clone()).await, (200, asked));
    let none = format!("{ROUTINES}/none:getIamPolicy");
    assert_eq!(send_json(&emulator, "POST", &none, &json!({})).await.0, 404);
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_boolean_is_no_text_of_a_row_that_is_inserted() {
    let root = TempDir::new().unwrap();
    let emulator = start(&root).await;
    make(&emulator, "t", json!({})).await;
    let rows = json!({"rows": [{"json": {"s": "a"}}, {"json": {"s": true}}, {"json": {"s": 5}}]});
    let path = format!("{TABLES}/t/insertAll");
    let (code, answer) = send_json(&emulator, "POST", &path, &rows).await;
    assert_eq!(code, 200, "{answer}");
    let told = answer["insertErrors"].as_array().unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|row| (&row["index"], &row["errors"][0]["reason"]))
        .collect();
    let reason = |reason: &str| json!(reason);
    let (invalid, stopped) = (reason("invalid"), reason("stopped"));
    assert_eq!(
        told,
        [
            (&json!(1), &invalid),
            (&json!(0), &stopped),
            (&json!(2), &stopped)
        ]
    );
    let message = &answer["insertErrors"][0]["errors"][0]["message"];
    assert_eq!(
        message,
        "Conversion from bool to std::string is unsupported."
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn members_that_would_change_what_is_done_are_refused_by_name() {
    let root = TempDir::new().unwrap();
    let emulator = start(&root).await;
    make(&emulator, "t", json!({})).await;
    let rows = json!({"templateSuffix": "_x", "rows": [{"json": {"n": 1}}]});
    let path = format!("{TABLES}/t/insertAll");
    let answer = send_json(&emulator, "POST", &path, &rows).await;
    let wanted = "templateSuffix is not supported by this emulator";
    assert_eq!(error(&answer), (400, "invalid", wanted));

    let external = json!({"sourceFormat": "CSV", "sourceUris": ["file:///none/a.csv"], "dateFormat": "DD/MM/YYYY",
        "schema": {"fields": [{"name": "d", "type": "DATE"}]}});
    let query = |name: &str, member: Value| json!({"query": {"query": "SELECT 1 AS x", "useLegacySql": false, name: member}});
    let load = json!({"load": {"sourceFormat": "CSV", "sourceUris": ["file:///none/a.csv"], "timeZone": "Asia/Tokyo",
        "destinationTable": {"projectId": "p", "datasetId": "d", "tableId": "t"}}});
    let functions = json!([{"inlineCode": "x"}]);
    let result = json!({"keyResultStatement": "FIRST_SELECT"});
    for (configuration, said) in [
        (load, "timeZone Asia/Tokyo"),
        (
            query("tableDefinitions", json!({"e": external})),
            "dateFormat DD/MM/YYYY",
        ),
        (
            query("userDefinedFunctionResources", functions),
            "userDefinedFunctionResources",
        ),
        (query("continuous", json!(true)), "continuous"),
        (query("scriptOptions", result), "FIRST_SELECT"),
    ] {
        let job = json!({"configuration": configuration});
        let (code, job) = send_json(&emulator, "POST", "/projects/p/jobs", &job).await;
        assert_eq!(code, 200, "{job}");
        let message = job["status"]["errorResult"]["message"].to_string();
        let named = message.contains(said) && message.contains("not supported");
        assert!(named, "{job}");
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_query_that_need_not_be_a_job_is_none_where_all_its_rows_are_told() {
    let root = TempDir::new().unwrap();
    let emulator = start(&root).await;
    let told = async |sql: &str, name: &str, member: Value| {
        let mut body = json!({"query": sql, "jobCreationMode": "JOB_CREATION_OPTIONAL"});
        body[name] = member;
        let (code, told) = ask(&emulator, body).await;
        assert_eq!(code, 200, "{told}");
        told
    };
    let rows = "SELECT x FROM UNNEST([1, 2, 3]) AS x";
    for mode in [json!("JOB_CREATION_OPTIONAL"), json!(2)] {
        let all = told(rows, "jobCreationMode", mode).await;
        assert_eq!(all["rows"].as_array().map(Vec::len), Some(3));
        assert!(all["queryId"].is_string());
        for absent in ["jobReference", "jobCreationReason"] {
            assert_eq!(all.get(absent), None);
        }
    }
    // Other rows are asked of the job.
    let some = told(rows, "maxResults", json!(2)).await;
    let id = some["jobReference"]["jobId"].as_str().unwrap();
    let path = format!("/projects/p/queries/{id}?startIndex=2");
    let (_, rest) = call(&emulator, "GET", &path).await;
    assert_eq!(rest["rows"], json!([{"f": [{"v": "3"}]}]));
    let made = told("CREATE TABLE d.made (x INT64)", "maxResults", json!(2)).await;
    for told in [some, made] {
        assert!(told["jobReference"]["jobId"].is_string(), "{told}");
        assert_eq!(told["jobCreationReason"], json!({"code": "OTHER"}));
    }
    let body = json!({"query": rows, "jobTimeoutMs": 5000, "reservation": "r"});
    let (_, usual) = ask(&emulator, body).await;
    assert_eq!(usual["jobCreationReason"], json!({"code": "REQUESTED"}));
    let id = usual["jobReference"]["jobId"].as_str().unwrap();
    let (_, job) = call(&emulator, "GET", &format!("/projects/p/jobs/{id}")).await;
    let configuration = &job["configuration"];
    assert_eq!(configuration["jobTimeoutMs"], "5000");
    assert_eq!(configuration["reservation"], "r");
    let answer = ask(
        &emulator,
        json!({"query": rows, "jobCreationMode": "SOMETIMES"}),
    )
    .await;
    let wanted = "Invalid value for jobCreationMode: SOMETIMES";
    assert_eq!(error(&answer), (400, "invalid", wanted));
    emulator.shutdown().await;
}

#[tokio::test]
async fn results_have_the_key_that_their_query_names() {
    let root = TempDir::new().unwrap();
    let emulator = start(&root).await;
    for key in [
        json!({"kmsKeyName": "projects/p/one"}),
        json!({"kmsKeyName": "projects/p/two"}),
        Value::Null,
    ] {
        let body = json!({"query": "SELECT 1 AS x", "destinationEncryptionConfiguration": key});
        let (_, told) = ask(&emulator, body).await;
        let id = told["jobReference"]["jobId"].as_str().unwrap();
        let (_, job) = call(&emulator, "GET", &format!("/projects/p/jobs/{id}")).await;
        let table = &job["configuration"]["query"]["destinationTable"];
        let part = |name: &str| table[name].as_str().unwrap();
        let (dataset, table) = (part("datasetId"), part("tableId"));
        let path = format!("/projects/p/datasets/{dataset}/tables/{table}");
        let (_, table) = call(&emulator, "GET", &path).await;
        assert_eq!(table["encryptionConfiguration"], key);
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn statements_that_change_rows_tell_their_table_as_the_destination() {
    let root = TempDir::new().unwrap();
    let emulator = start(&root).await;
    make(&emulator, "t", json!({})).await;
    for sql in [
        "INSERT INTO d.t (WITH w AS (SELECT 1 AS n, 'a' AS s) SELECT n, s, NULL FROM w)",
        "UPDATE d.t SET n = 2 WHERE TRUE",
        "MERGE d.t USING (SELECT 2 AS n) AS u ON t.n = u.n WHEN MATCHED THEN UPDATE SET s = 'b'",
        "DELETE FROM d.t WHERE n = 2",
        "TRUNCATE TABLE d.t",
    ] {
        let job = json!({"configuration": {"query": {"query": sql, "useLegacySql": false}}});
        let (code, job) = send_json(&emulator, "POST", "/projects/p/jobs", &job).await;
        assert_eq!((code, &job["status"]), (200, &json!({"state": "DONE"})));
        let table = &job["configuration"]["query"]["destinationTable"];
        let wanted = json!({"projectId": "p", "datasetId": "d", "tableId": "t"});
        assert_eq!(table, &wanted, "{sql}");
    }
    emulator.shutdown().await;
}
