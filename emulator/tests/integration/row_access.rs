//! Row access policies: made by statements and over REST, and what they leave of a table.

use google_cloud_bigquery::model::read_session::TableReadOptions;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{arrow_session, client, ids as ids_of, open, read_all, status};
use crate::rest::send_json;
use crate::statements::{ask, run, start_with_dataset, values};

const POLICIES: &str = "/projects/p/datasets/d/tables/t/rowAccessPolicies";

async fn refused(emulator: &millpond_emulator::RunningEmulator, sql: &str) -> (u16, String) {
    let body = json!({"query": sql, "useLegacySql": false});
    let (code, answer) = ask(emulator, body).await;
    let text = answer["error"]["message"].as_str().unwrap_or_default();
    (code, text.to_owned())
}

/// `d.t` with the rows 1 to 4, of `a` and `b` in turn.
async fn table(root: &TempDir) -> millpond_emulator::RunningEmulator {
    let emulator = start_with_dataset(root).await;
    let rows = "SELECT id, IF(MOD(id, 2) = 1, 'a', 'b') AS who FROM UNNEST([1, 2, 3, 4]) AS id";
    run(&emulator, &format!("CREATE TABLE d.t AS {rows}")).await;
    emulator
}

async fn ids(emulator: &millpond_emulator::RunningEmulator, from: &str) -> Vec<i64> {
    let answer = run(emulator, &format!("SELECT id FROM {from} ORDER BY id")).await;
    let ids = values(&answer).into_iter().flatten();
    ids.map(|id| id.as_str().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn queries_see_the_rows_of_the_policies_that_are_granted() {
    let root = TempDir::new().unwrap();
    let emulator = table(&root).await;
    run(&emulator, "CREATE VIEW d.v AS SELECT * FROM d.t").await;
    let made = run(
        &emulator,
        "CREATE ROW ACCESS POLICY nobody ON d.t GRANT TO ('user:a@x.com') FILTER USING (TRUE)",
    )
    .await;
    assert_eq!(made["jobComplete"], true);
    assert_eq!(ids(&emulator, "d.t").await, [0_i64; 0]);
    run(
        &emulator,
        "CREATE ROW ACCESS POLICY own ON d.t GRANT TO ('allUsers', 'group:g@x.com') FILTER USING (who = 'a')",
    )
    .await;
    for from in [
        "d.t",
        "d.v",
        "(SELECT * FROM d.t)",
        "d.t TABLESAMPLE SYSTEM (100 PERCENT)",
    ] {
        assert_eq!(ids(&emulator, from).await, [1, 3], "{from}");
    }
    let joined = "d.t JOIN (SELECT COUNT(*) AS n FROM d.t) ON id <= n";
    assert_eq!(ids(&emulator, joined).await, [1]);
    run(
        &emulator,
        "CREATE ROW ACCESS POLICY more ON d.t GRANT TO ('domain:localhost') FILTER USING (id IN (SELECT 4) AND SESSION_USER() LIKE '%@localhost')",
    )
    .await;
    assert_eq!(ids(&emulator, "d.t").await, [1, 3, 4]);
    run(
        &emulator,
        "CREATE OR REPLACE ROW ACCESS POLICY nobody ON d.t GRANT TO ('allAuthenticatedUsers') FILTER USING (TRUE)",
    )
    .await;
    assert_eq!(ids(&emulator, "d.t").await, [1, 2, 3, 4]);
    run(&emulator, "DROP ROW ACCESS POLICY nobody ON d.t").await;
    run(&emulator, "DROP ROW ACCESS POLICY IF EXISTS nobody ON d.t").await;
    assert_eq!(ids(&emulator, "d.t").await, [1, 3, 4]);
    let job =
        json!({"configuration": {"query": {"query": "SELECT * FROM d.t", "useLegacySql": false}}});
    let (_, job) = send_json(&emulator, "POST", "/projects/p/jobs", &job).await;
    assert_eq!(
        job["statistics"]["rowLevelSecurityStatistics"]["rowLevelSecurityApplied"],
        true
    );
    // Another table has taken its place.
    run(&emulator, "CREATE OR REPLACE TABLE d.t AS SELECT 5 AS id").await;
    assert_eq!(ids(&emulator, "d.t").await, [5]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn what_needs_all_rows_is_denied() {
    let root = TempDir::new().unwrap();
    let emulator = table(&root).await;
    run(
        &emulator,
        "CREATE ROW ACCESS POLICY own ON d.t GRANT TO ('allUsers') FILTER USING (id = 1)",
    )
    .await;
    for sql in [
        "INSERT d.t (id) VALUES (9)",
        "UPDATE d.t SET id = 2 WHERE TRUE",
        "DELETE FROM d.t WHERE TRUE",
        "TRUNCATE TABLE d.t",
        "MERGE d.t AS t USING (SELECT 1 AS x) ON t.id = x WHEN MATCHED THEN DELETE",
        "CREATE TABLE d.copy COPY d.t",
        "CREATE SNAPSHOT TABLE d.copy CLONE d.t",
        "SELECT * FROM d.t FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()",
    ] {
        let (code, text) = refused(&emulator, sql).await;
        assert_eq!(code, 403, "{sql}: {text}");
        assert!(text.starts_with("Access Denied: "), "{sql}: {text}");
    }
    let (code, text) = refused(&emulator, "SELECT * FROM `d.t*`").await;
    assert_eq!(code, 400, "{text}");
    assert!(text.contains("row access policies"), "{text}");
    let data = "/projects/p/datasets/d/tables/t/data";
    let (code, answer) = send_json(&emulator, "GET", data, &Value::Null).await;
    assert_eq!(
        (code, &answer["error"]["errors"][0]["reason"]),
        (403, &json!("accessDenied"))
    );
    let extract = json!({"configuration": {"extract": {
        "sourceTable": {"projectId": "p", "datasetId": "d", "tableId": "t"},
        "destinationUris": ["gs://b/x.csv"]}}});
    let (_, job) = send_json(&emulator, "POST", "/projects/p/jobs", &extract).await;
    assert_eq!(job["status"]["errorResult"]["reason"], "accessDenied");
    run(&emulator, "CREATE TABLE d.like LIKE d.t").await;

    run(
        &emulator,
        "CREATE ROW ACCESS POLICY everything ON d.t GRANT TO ('user:anonymous@localhost') FILTER USING (TRUE)",
    )
    .await;
    run(&emulator, "UPDATE d.t SET id = id + 10 WHERE TRUE").await;
    run(&emulator, "CREATE TABLE d.copy COPY d.t").await;
    // Policies go with the rows.
    run(&emulator, "DROP ROW ACCESS POLICY everything ON d.copy").await;
    assert_eq!(ids(&emulator, "d.copy").await, [0_i64; 0]);
    assert_eq!(ids(&emulator, "d.t").await, [11, 12, 13, 14]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn statements_about_policies_say_what_is_wrong() {
    let root = TempDir::new().unwrap();
    let emulator = table(&root).await;
    run(&emulator, "CREATE VIEW d.v AS SELECT 1 AS a").await;
    run(
        &emulator,
        "CREATE ROW ACCESS POLICY p ON d.t FILTER USING (TRUE)",
    )
    .await;
    run(
        &emulator,
        "CREATE ROW ACCESS POLICY IF NOT EXISTS p ON d.t FILTER USING (id = 1)",
    )
    .await;
    for (sql, code, named) in [
        (
            "CREATE ROW ACCESS POLICY p ON d.t FILTER USING (TRUE)",
            409,
            "Already Exists: Row access policy p",
        ),
        (
            "CREATE ROW ACCESS POLICY q ON d.none FILTER USING (TRUE)",
            404,
            "Not found: Table",
        ),
        (
            "CREATE ROW ACCESS POLICY q ON d.v FILTER USING (TRUE)",
            400,
            "which is a VIEW",
        ),
        (
            "CREATE ROW ACCESS POLICY q ON d.t FILTER USING (nothing = 1)",
            400,
            "nothing",
        ),
        (
            "CREATE ROW ACCESS POLICY q ON d.t FILTER USING (id)",
            400,
            "non-boolean",
        ),
        (
            "CREATE ROW ACCESS POLICY q ON d.t FILTER USING (COUNT(*) > 1)",
            400,
            "Aggregate",
        ),
        (
            "CREATE ROW ACCESS POLICY `q-r` ON d.t FILTER USING (TRUE)",
            400,
            "Invalid row access policy ID",
        ),
        (
            "CREATE ROW ACCESS POLICY q ON d.t GRANT TO ('x') FILTER USING (TRUE)",
            400,
            "Invalid grantee: x",
        ),
        (
            "DROP ROW ACCESS POLICY q ON d.t",
            404,
            "Not found: Row access policy q",
        ),
        (
            "DROP ROW ACCESS POLICY p ON d.t",
            400,
            "DROP ALL ROW ACCESS POLICIES",
        ),
    ] {
        let (found, text) = refused(&emulator, sql).await;
        assert_eq!(found, code, "{sql}: {text}");
        assert!(text.contains(named), "{sql}: {text}");
    }
    let sql = "DROP ALL ROW ACCESS POLICIES ON d.t";
    let job =
        json!({"configuration": {"dryRun": true, "query": {"query": sql, "useLegacySql": false}}});
    let (_, tried) = send_json(&emulator, "POST", "/projects/p/jobs", &job).await;
    let tried = &tried["statistics"]["query"];
    assert_eq!(tried["ddlAffectedRowAccessPolicyCount"], "1");
    assert_eq!(tried["statementType"], "DROP_ROW_ACCESS_POLICY");
    assert_eq!(ids(&emulator, "d.t").await, [0_i64; 0]);
    run(&emulator, sql).await;
    assert_eq!(ids(&emulator, "d.t").await, [1, 2, 3, 4]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn policies_are_resources() {
    let root = TempDir::new().unwrap();
    let emulator = table(&root).await;
    let call = async |method: &str, path: &str, body: Value| {
        send_json(&emulator, method, &format!("{POLICIES}{path}"), &body).await
    };
    assert_eq!(call("GET", "", Value::Null).await, (200, json!({})));
    let policy = |id: &str, filter: &str| {
        json!({"rowAccessPolicyReference": {"projectId": "p", "datasetId": "d", "tableId": "t", "policyId": id},
            "filterPredicate": filter, "grantees": ["user:anonymous@localhost"]})
    };
    let (code, made) = call("POST", "", policy("one", "id = 1")).await;
    assert_eq!(code, 200, "{made}");
    assert_eq!(made["rowAccessPolicyReference"]["policyId"], "one");
    assert_eq!(made["filterPredicate"], "id = 1");
    assert!(made["creationTime"].as_str().unwrap().ends_with('Z'));
    assert!(made["grantees"].is_null());
    assert_eq!(
        call("POST", "", policy("two", "id = 2 -- or so")).await.0,
        200
    );
    assert_eq!(ids(&emulator, "d.t").await, [1, 2]);
    let (_, page) = call("GET", "?pageSize=1", Value::Null).await;
    assert_eq!(page["rowAccessPolicies"], json!([made]));
    let next = page["nextPageToken"].as_str().unwrap();
    let (_, page) = call("GET", &format!("?pageSize=1&pageToken={next}"), Value::Null).await;
    assert_eq!(
        page["rowAccessPolicies"][0]["rowAccessPolicyReference"]["policyId"],
        "two"
    );
    assert!(page["nextPageToken"].is_null());

    let changed = json!({"filterPredicate": "id >= 3"});
    assert_eq!(call("PUT", "/one", changed.clone()).await.0, 200);
    assert_eq!(ids(&emulator, "d.t").await, [2, 3, 4]);
    let (_, got) = call("GET", "/one", Value::Null).await;
    assert_ne!(got["etag"], made["etag"]);
    assert_eq!(got["creationTime"], made["creationTime"]);
    let (_, iam) = call("POST", "/one:getIamPolicy", json!({})).await;
    let binding = json!([{"role": "roles/bigquery.filteredDataViewer", "members": ["user:anonymous@localhost"]}]);
    assert_eq!(iam["bindings"], binding);
    assert_eq!(
        call("POST", "/one/:getIamPolicy", json!({})).await,
        (200, iam)
    );
    let asked = json!({"permissions": ["bigquery.rowAccessPolicies.get"]});
    assert_eq!(
        call("POST", "/one:testIamPermissions", asked.clone()).await,
        (200, asked)
    );

    for (method, path, body, wanted) in [
        ("POST", "", policy("one", "TRUE"), 409),
        ("POST", "", policy("a-b", "TRUE"), 400),
        ("POST", "", policy("x", "id = 1) OR (TRUE"), 400),
        ("POST", "", policy("x", "id"), 400),
        ("POST", "", policy("x", ""), 400),
        ("POST", "", json!({"filterPredicate": "TRUE"}), 400),
        (
            "POST",
            "",
            json!({"filterPredicate": "TRUE", "grantees": "x"}),
            400,
        ),
        ("PUT", "/none", changed, 404),
        ("GET", "/none", Value::Null, 404),
        ("DELETE", "/none", Value::Null, 404),
        ("POST", "/one:setIamPolicy", json!({}), 501),
        ("POST", "/none:getIamPolicy", json!({}), 404),
        ("POST", "/one/getIamPolicy", json!({}), 404),
        ("POST", "/one/:setIamPolicy", json!({}), 501),
        (
            "POST",
            ":batchDelete",
            json!({"policyIds": ["one", "two"]}),
            400,
        ),
        (
            "POST",
            ":batchDelete",
            json!({"policyIds": ["one", "none"]}),
            404,
        ),
        ("POST", ":batchDelete", json!({}), 400),
    ] {
        let (code, answer) = call(method, path, body).await;
        assert_eq!(code, wanted, "{method} {path}: {answer}");
    }
    assert_eq!(call("DELETE", "/two", Value::Null).await, (200, json!({})));
    assert_eq!(call("DELETE", "/one", Value::Null).await.0, 400);
    assert_eq!(call("DELETE", "/one?force=true", Value::Null).await.0, 200);
    assert_eq!(call("POST", "", policy("one", "id = 1")).await.0, 200);
    let all = json!({"policyIds": ["one"], "force": true});
    assert_eq!(call("POST", ":batchDelete", all).await, (200, json!({})));
    assert_eq!(ids(&emulator, "d.t").await, [1, 2, 3, 4]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn rows_are_read_as_they_are_seen() {
    let root = TempDir::new().unwrap();
    let emulator = table(&root).await;
    let client = client(&emulator).await;
    let session = |restriction: &str| {
        let options = TableReadOptions::new().set_row_restriction(restriction);
        open(&client, arrow_session().set_read_options(options))
    };
    let read = async |restriction: &str| {
        let session = session(restriction).await.unwrap();
        let mut ids = ids_of(&read_all(&client, &session).await);
        ids.sort_unstable();
        ids
    };
    run(
        &emulator,
        "CREATE ROW ACCESS POLICY own ON d.t GRANT TO ('allUsers') FILTER USING (who = 'a' AND SESSION_USER() = 'anonymous@localhost')",
    )
    .await;
    assert_eq!(read("").await, [1, 3]);
    assert_eq!(read("id > 1").await, [3]);
    let (_, error) = status(session("nothing = 1").await);
    assert!(error.contains("Filter is '(nothing = 1)'"), "{error}");
    run(
        &emulator,
        "CREATE OR REPLACE ROW ACCESS POLICY own ON d.t GRANT TO ('user:a@x.com') FILTER USING (TRUE)",
    )
    .await;
    assert_eq!(read("").await, [0_i64; 0]);
    run(
        &emulator,
        "CREATE OR REPLACE ROW ACCESS POLICY own ON d.t GRANT TO ('allUsers') FILTER USING (id IN (SELECT 1))",
    )
    .await;
    let (_, error) = status(session("").await);
    assert!(
        error.contains("too complex to be processed in filtering"),
        "{error}"
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn the_time_of_arrival_may_decide() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t (id INT64) PARTITION BY _PARTITIONDATE",
    )
    .await;
    run(&emulator, "INSERT d.t (id) VALUES (1), (2)").await;
    let filter = "_PARTITIONDATE > '2001-01-01' AND id = 1";
    let policy = format!(
        "CREATE ROW ACCESS POLICY own ON d.t GRANT TO ('allUsers') FILTER USING ({filter})"
    );
    run(&emulator, &policy).await;
    let all = values(&run(&emulator, "SELECT * FROM d.t").await);
    assert_eq!(all, [[json!("1")]]);
    assert_eq!(
        ids(&emulator, "d.t WHERE _PARTITIONTIME IS NOT NULL").await,
        [1]
    );
    emulator.shutdown().await;
}
