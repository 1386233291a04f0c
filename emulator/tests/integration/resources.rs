//! Resources as clients change and list them: conditions, whole replacements, labels, policies, projects, filters.

use serde_json::{Value, json};
use tempfile::TempDir;

use millpond_emulator::RunningEmulator;

use crate::harness::serve;
use crate::rest::{call, exchange, send_json};
use crate::tables::make_table;

const DATASET: &str = "/projects/p/datasets/d";
const TABLE: &str = "/projects/p/datasets/d/tables/t";

async fn with_table(root: &TempDir) -> RunningEmulator {
    let emulator = serve(root).await;
    let columns = json!([{"name": "id", "type": "INT64"}, {"name": "day", "type": "DATE"}]);
    make_table(&emulator, columns).await;
    emulator
}

#[tokio::test]
async fn a_change_of_what_has_changed_is_refused() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    for path in [TABLE, DATASET] {
        let (_, seen) = call(&emulator, "GET", path).await;
        let if_match = async |method: &str, etag: &Value| {
            let body = json!({"description": "two"}).to_string();
            let headers = [("If-Match", etag.as_str().unwrap())];
            exchange(&emulator, method, path, &headers, body.as_bytes()).await
        };
        let changed = if_match("PATCH", &seen["etag"]).await;
        assert_eq!(changed.code, 200, "{}", changed.body);
        assert_ne!(changed.body["etag"], seen["etag"]);
        for method in ["PATCH", "PUT", "DELETE"] {
            let refused = if_match(method, &seen["etag"]).await;
            assert_eq!(refused.code, 412, "{method} {path}");
            let error = &refused.body["error"];
            assert_eq!(error["status"], "FAILED_PRECONDITION");
            assert_eq!(error["errors"][0]["reason"], "conditionNotMet");
            assert_eq!(error["errors"][0]["location"], "If-Match");
            assert_eq!(error["errors"][0]["locationType"], "header");
        }
        let changed = if_match("PUT", &changed.body["etag"]).await;
        assert_eq!(changed.code, 200, "{}", changed.body);
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn members_given_as_null_are_as_good_as_not_there() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    let dataset = json!({"datasetReference": {"datasetId": "n"}, "defaultTableExpirationMs": null, "access": null});
    let (code, made) = send_json(&emulator, "POST", "/projects/p/datasets", &dataset).await;
    assert_eq!(code, 200, "{made}");
    assert!(!made.to_string().contains("null"), "{made}");
    let column =
        json!({"name": "id", "type": "INT64", "mode": null, "fields": null, "maxLength": null});
    let table = json!({"tableReference": {"datasetId": "n", "tableId": "t"}, "schema": {"fields": [column]},
        "view": null, "timePartitioning": null, "expirationTime": null});
    let tables = "/projects/p/datasets/n/tables";
    let (code, made) = send_json(&emulator, "POST", tables, &table).await;
    assert_eq!((code, &made["type"]), (200, &json!("TABLE")), "{made}");
    assert!(!made.to_string().contains("null"), "{made}");
    let query = json!({"query": "SELECT 1", "useLegacySql": false, "destinationTable": null});
    let job = json!({"configuration": {"query": query, "load": null, "labels": null}, "jobReference": null});
    let (code, run) = send_json(&emulator, "POST", "/projects/p/jobs", &job).await;
    assert_eq!(code, 200, "{run}");
    assert_eq!(run["status"], json!({"state": "DONE"}));
    assert!(!run.to_string().contains("null"), "{run}");
    emulator.shutdown().await;
}

#[tokio::test]
async fn patches_change_what_they_name_and_updates_everything() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    for path in [TABLE, DATASET] {
        let labels = json!({"labels": {"a": "1", "b": "2"}, "friendlyName": "x"});
        assert_eq!(send_json(&emulator, "PATCH", path, &labels).await.0, 200);
        let labels = json!({"labels": {"a": null, "c": "3"}});
        let (_, patched) = send_json(&emulator, "PATCH", path, &labels).await;
        assert_eq!(patched["labels"], json!({"b": "2", "c": "3"}));
        assert_eq!(patched["friendlyName"], "x");
        let whole = json!({"labels": {"d": "4"}, "description": null});
        let (_, updated) = send_json(&emulator, "PUT", path, &whole).await;
        assert_eq!(updated["labels"], json!({"d": "4"}));
        assert!(updated["friendlyName"].is_null() && updated["description"].is_null());
        assert_eq!(updated["location"], "EU");
    }
    let (_, table) = call(&emulator, "GET", TABLE).await;
    assert_eq!(table["schema"]["fields"].as_array().unwrap().len(), 2);
    emulator.shutdown().await;
}

#[tokio::test]
async fn columns_are_added_last_and_filters_told_twice() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    let columns = json!([{"name": "new", "type": "STRING"}, {"name": "day", "type": "DATE"}, {"name": "id", "type": "INT64"}]);
    let change = json!({"schema": {"fields": columns}});
    let (code, changed) = send_json(&emulator, "PATCH", TABLE, &change).await;
    assert_eq!(code, 200, "{changed}");
    let names = |table: &Value| {
        let fields = table["schema"]["fields"].as_array().unwrap();
        fields.iter().map(|f| f["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&changed), ["id", "day", "new"]);
    let (_, same) = send_json(
        &emulator,
        "PATCH",
        TABLE,
        &json!({"schema": {"fields": []}}),
    )
    .await;
    assert_eq!(names(&same), ["id", "day", "new"]);
    let day = json!({"type": "DAY", "field": "day"});
    for (told, partitioning) in [
        (json!(true), day.clone()),
        (
            Value::Null,
            json!({"type": "DAY", "field": "day", "requirePartitionFilter": true}),
        ),
    ] {
        let table = json!({"tableReference": {"tableId": "f"}, "schema": {"fields": [{"name": "day", "type": "DATE"}]},
            "timePartitioning": partitioning, "requirePartitionFilter": told});
        let (_, made) = send_json(&emulator, "POST", &format!("{DATASET}/tables"), &table).await;
        assert_eq!(made["requirePartitionFilter"], true, "{made}");
        assert_eq!(
            made["timePartitioning"]["requirePartitionFilter"], true,
            "{made}"
        );
        call(&emulator, "DELETE", &format!("{DATASET}/tables/f")).await;
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn jobs_are_found_where_they_are() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    let query = json!({"query": "SELECT id FROM d.t", "useLegacySql": false, "location": "EU"});
    let (_, answer) = send_json(&emulator, "POST", "/projects/p/queries", &query).await;
    let id = answer["jobReference"]["jobId"].as_str().unwrap();
    for (place, code) in [("EU", 200), ("eu", 200), ("", 200), ("US", 404)] {
        for path in ["jobs", "queries"] {
            let path = format!("/projects/p/{path}/{id}?location={place}");
            assert_eq!(call(&emulator, "GET", &path).await.0, code, "{path}");
        }
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn lists_tell_what_clients_look_for() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    let other = json!({"datasetReference": {"datasetId": "e"}, "labels": {"team": "x", "old": ""}});
    send_json(&emulator, "POST", "/projects/q/datasets", &other).await;
    let (_, projects) = call(&emulator, "GET", "/bigquery/v2/projects?maxResults=1").await;
    assert_eq!(
        (&projects["totalItems"], &projects["projects"][0]["id"]),
        (&json!(2), &json!("p"))
    );
    assert_eq!(
        projects["projects"][0]["projectReference"],
        json!({"projectId": "p"})
    );
    let (_, projects) = call(&emulator, "GET", "/projects?pageToken=1").await;
    assert_eq!(projects["projects"][0]["id"], "q");

    for (filter, found) in [
        ("labels.team:x", true),
        ("labels.team", true),
        ("labels.team:x%20labels.old", true),
        ("labels.team:y", false),
        ("labels.none", false),
    ] {
        let path = format!("/projects/q/datasets?filter={filter}");
        let (_, list) = call(&emulator, "GET", &path).await;
        assert_eq!(list["datasets"].is_array(), found, "{filter}: {list}");
    }
    let wrong = call(&emulator, "GET", "/projects/q/datasets?filter=name:x").await;
    assert_eq!(wrong.0, 400);

    let settings = json!({
        "tableReference": {"tableId": "u"}, "schema": {"fields": [{"name": "day", "type": "DATE"}]}, "labels": {"a": "1"},
        "timePartitioning": {"type": "DAY", "field": "day"}, "clustering": {"fields": ["day"]}, "friendlyName": "U",
        "expirationTime": "9999999999999",
    });
    let tables = format!("{DATASET}/tables");
    send_json(&emulator, "POST", &tables, &settings).await;
    let view = json!({"tableReference": {"tableId": "v"}, "view": {"query": "SELECT id FROM d.t", "useLegacySql": false}});
    let (code, made) = send_json(&emulator, "POST", &tables, &view).await;
    assert_eq!(code, 200, "{made}");
    assert_eq!(made["schema"]["fields"][0]["name"], "id");
    let (_, list) = call(&emulator, "GET", &tables).await;
    let entry = &list["tables"][1];
    for key in [
        "labels",
        "timePartitioning",
        "clustering",
        "friendlyName",
        "expirationTime",
    ] {
        assert_eq!(entry[key], settings[key], "{key}");
    }
    assert!(entry["creationTime"].is_string());
    assert_eq!(list["tables"][2]["view"], json!({"useLegacySql": false}));
    let nowhere =
        json!({"tableReference": {"tableId": "w"}, "view": {"query": "SELECT id FROM d.nowhere"}});
    assert_eq!(send_json(&emulator, "POST", &tables, &nowhere).await.0, 404);

    for kind in ["models", "routines"] {
        let found = call(&emulator, "GET", &format!("{DATASET}/{kind}")).await;
        assert_eq!(found, (200, json!({})));
        assert_eq!(
            call(&emulator, "GET", &format!("{DATASET}/{kind}/x"))
                .await
                .0,
            404
        );
        assert_eq!(
            call(&emulator, "GET", &format!("/projects/p/datasets/no/{kind}"))
                .await
                .0,
            404
        );
    }
    let found = call(&emulator, "GET", &format!("{TABLE}/rowAccessPolicies")).await;
    assert_eq!(found, (200, json!({})));
    emulator.shutdown().await;
}

#[tokio::test]
async fn policies_are_kept_with_their_table() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    let ask = async |method: &str, body: Value| {
        send_json(&emulator, "POST", &format!("{TABLE}:{method}"), &body).await
    };
    let (code, never) = ask("getIamPolicy", json!({})).await;
    assert_eq!((code, never["bindings"].is_null()), (200, true));
    let bindings = json!([{"role": "roles/viewer", "members": ["allUsers"]}]);
    let policy = json!({"policy": {"bindings": bindings, "etag": never["etag"]}});
    let (code, set) = ask("setIamPolicy", policy.clone()).await;
    assert_eq!((code, &set["bindings"]), (200, &bindings));
    assert_eq!(ask("getIamPolicy", json!({})).await.1, set);
    let (code, error) = ask("setIamPolicy", policy).await;
    assert_eq!((code, &error["error"]["status"]), (409, &json!("ABORTED")));
    assert_eq!(ask("setIamPolicy", json!({})).await.0, 400);
    assert_eq!(ask("undelete", json!({})).await.0, 501);
    let (_, table) = call(&emulator, "GET", TABLE).await;
    assert!(table["policy"].is_null());
    emulator.shutdown().await;
}

#[tokio::test]
async fn jobs_are_listed_as_asked_and_queries_asked_twice_run_once() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    let insert = json!({"query": "INSERT INTO d.t (id) VALUES (1)", "useLegacySql": false, "requestId": "once"});
    let (_, first) = send_json(&emulator, "POST", "/projects/p/queries", &insert).await;
    assert_eq!(first["numDmlAffectedRows"], "1", "{first}");
    let (_, second) = send_json(&emulator, "POST", "/projects/p/queries", &insert).await;
    assert_eq!(second["jobReference"], first["jobReference"]);
    let (_, table) = call(&emulator, "GET", TABLE).await;
    assert_eq!(table["numRows"], "1");
    let count = async |query: &str| {
        let (code, list) = call(&emulator, "GET", &format!("/projects/p/jobs?{query}")).await;
        assert_eq!(code, 200, "{list}");
        list["jobs"].as_array().unwrap().len()
    };
    assert_eq!(count("stateFilter=done&stateFilter=pending").await, 1);
    assert_eq!(count("stateFilter=running&stateFilter=pending").await, 0);
    assert_eq!(count("minCreationTime=99999999999999").await, 0);
    assert_eq!(count("maxCreationTime=99999999999999").await, 1);
    assert_eq!(count("maxCreationTime=1").await, 0);
    assert_eq!(count("parentJobId=none").await, 0);
    let (_, brief) = call(&emulator, "GET", "/projects/p/jobs").await;
    assert!(brief["jobs"][0]["configuration"].is_null());
    let (_, full) = call(&emulator, "GET", "/projects/p/jobs?projection=full").await;
    assert!(full["jobs"][0]["configuration"].is_object());
    let wrong = call(&emulator, "GET", "/projects/p/jobs?maxResults=many").await;
    assert_eq!(
        (wrong.0, &wrong.1["error"]["errors"][0]["reason"]),
        (400, &json!("invalid"))
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn times_come_in_the_form_asked_for() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    let asked = async |format: Value| {
        let sql = "SELECT TIMESTAMP '2020-01-01 00:00:00.5+00' AS t";
        let body = json!({"query": sql, "useLegacySql": false, "formatOptions": format});
        let (_, answer) = send_json(&emulator, "POST", "/projects/p/queries", &body).await;
        answer["rows"][0]["f"][0]["v"].clone()
    };
    assert_eq!(asked(json!({})).await, "1577836800.500000");
    assert_eq!(
        asked(json!({"useInt64Timestamp": true})).await,
        "1577836800500000"
    );
    let iso = json!({"timestampOutputFormat": "ISO8601_STRING"});
    assert_eq!(asked(iso).await, "2020-01-01T00:00:00.500000000000Z");
    assert_eq!(
        asked(json!({"timestampOutputFormat": "ROMAN"})).await,
        Value::Null
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn tables_live_as_long_as_their_dataset_says() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    let lifetime = json!({"defaultTableExpirationMs": "3600000"});
    send_json(&emulator, "PATCH", DATASET, &lifetime).await;
    let table = json!({"tableReference": {"tableId": "u"}, "schema": {"fields": []}});
    let (_, made) = send_json(&emulator, "POST", &format!("{DATASET}/tables"), &table).await;
    let number = |key: &str| made[key].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(number("expirationTime") - number("creationTime"), 3_600_000);
    emulator.shutdown().await;
}

#[tokio::test]
async fn views_and_states_that_there_are_not_are_errors() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    for (path, wanted) in [
        ("datasets/d/tables/t?view=SMALL", 400),
        ("datasets/d/tables/t?view=STORAGE_STATS", 200),
        ("datasets/d/tables/t?view=full", 200),
        ("datasets/d/tables/t?view=3", 200),
        ("datasets/d/tables/t?view=4", 400),
        ("jobs?projection=half", 400),
        ("jobs?projection=1", 200),
        ("jobs?projection=full", 200),
        ("jobs?stateFilter=gone", 400),
        ("jobs?stateFilter=running&stateFilter=gone", 400),
        ("jobs?stateFilter=done&stateFilter=pending", 200),
    ] {
        let path = format!("/projects/p/{path}");
        let (code, answer) = call(&emulator, "GET", &path).await;
        assert_eq!(code, wanted, "{path}: {answer}");
        if wanted == 400 {
            assert_eq!(answer["error"]["errors"][0]["reason"], "invalid");
            let text = answer["error"]["message"].as_str().unwrap();
            assert!(text.starts_with("Invalid value for "), "{text}");
        }
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_dataset_stays_where_it_is() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    let dataset = json!({"datasetReference": {"datasetId": "eu"}, "location": "EU"});
    let (code, made) = send_json(&emulator, "POST", "/projects/p/datasets", &dataset).await;
    assert_eq!((code, &made["location"]), (200, &json!("EU")), "{made}");
    let path = "/projects/p/datasets/eu";
    for method in ["PATCH", "PUT"] {
        let moved = json!({"location": "US", "description": "moved"});
        let (code, refused) = send_json(&emulator, method, path, &moved).await;
        assert_eq!(code, 400, "{method}: {refused}");
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("p:eu is in EU and cannot be moved to US"),
            "{message}"
        );
        let again = json!({"location": "eu", "description": method});
        let (code, told) = send_json(&emulator, method, path, &again).await;
        assert_eq!(code, 200, "{method}: {told}");
        assert_eq!(
            (&told["location"], &told["description"]),
            (&json!("EU"), &json!(method))
        );
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn of_a_view_only_what_changes_has_to_be_said() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    let tables = "/projects/p/datasets/d/tables";
    let view = json!({"tableReference": {"tableId": "m"}, "materializedView": {"query": "SELECT id FROM d.t"}});
    let (code, made) = send_json(&emulator, "POST", tables, &view).await;
    assert_eq!(code, 200, "{made}");
    let path = format!("{tables}/m");
    let changes =
        json!({"materializedView": {"enableRefresh": false, "refreshIntervalMs": "3600000"}});
    let (code, told) = send_json(&emulator, "PATCH", &path, &changes).await;
    assert_eq!(code, 200, "{told}");
    assert_eq!(told["materializedView"]["query"], "SELECT id FROM d.t");
    assert_eq!(told["materializedView"]["refreshIntervalMs"], "3600000");
    assert_eq!(told["schema"]["fields"][0]["name"], "id");
    let without = json!({"materializedView": {"query": " "}});
    let (code, refused) = send_json(&emulator, "PATCH", &path, &without).await;
    assert_eq!(code, 400, "{refused}");
    emulator.shutdown().await;
}
