//! Scripts as jobs of several statements, and transactions over some of them.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rest::{call, send_json};
use crate::statements::{ask, run, start_with_dataset, values};

#[tokio::test]
async fn a_transaction_is_kept_or_undone_as_a_whole() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(&emulator, "CREATE TABLE d.t AS SELECT 1 AS x").await;
    let rows = || async { values(&run(&emulator, "SELECT x FROM d.t ORDER BY x").await) };
    run(
        &emulator,
        "BEGIN TRANSACTION; INSERT INTO d.t VALUES (2); UPDATE d.t SET x = x + 10 WHERE TRUE; COMMIT TRANSACTION;",
    )
    .await;
    assert_eq!(rows().await, [[json!("11")], [json!("12")]]);
    run(
        &emulator,
        "BEGIN; DELETE FROM d.t WHERE TRUE; INSERT INTO d.t VALUES (3); ROLLBACK TRANSACTION; INSERT INTO d.t VALUES (4)",
    )
    .await;
    assert_eq!(rows().await, [[json!("4")], [json!("11")], [json!("12")]]);
    for (sql, wanted) in [
        (
            "BEGIN TRANSACTION; TRUNCATE TABLE d.t; SELECT ERROR('no'); COMMIT TRANSACTION",
            "no",
        ),
        (
            "BEGIN TRANSACTION; UPDATE d.t SET x = 0 WHERE TRUE; CREATE TABLE d.u (x INT64); COMMIT",
            "in a transaction",
        ),
        (
            "BEGIN TRANSACTION; BEGIN TRANSACTION",
            "already in progress",
        ),
        ("COMMIT TRANSACTION", "no active transaction"),
        ("BEGIN INSERT INTO d.t VALUES (1);", "END"),
    ] {
        let (code, answer) = ask(&emulator, json!({"query": sql})).await;
        assert!(
            code == 400 && answer.to_string().contains(wanted),
            "{sql}: {answer}"
        );
    }
    // A script that ends too early undoes it, too.
    run(&emulator, "BEGIN TRANSACTION; TRUNCATE TABLE d.t").await;
    assert_eq!(rows().await, [[json!("4")], [json!("11")], [json!("12")]]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn statements_of_a_script_are_jobs_below_it() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let sql = "CREATE TABLE d.t (x INT64); BEGIN TRANSACTION; INSERT INTO d.t VALUES (1); COMMIT; SELECT x FROM d.t";
    let body = json!({"jobReference": {"jobId": "script"}, "configuration": {"query": {"query": sql, "useLegacySql": false}}});
    let (code, job) = send_json(&emulator, "POST", "/projects/p/jobs", &body).await;
    assert_eq!(code, 200, "{job}");
    assert_eq!(job["statistics"]["numChildJobs"], "5");
    assert!(job["statistics"]["transactionInfo"].is_null());
    let (_, listed) = call(&emulator, "GET", "/projects/p/jobs?parentJobId=script").await;
    let children = listed["jobs"].as_array().unwrap();
    let told: Vec<(&Value, bool)> = children
        .iter()
        .map(|job| {
            let statistics = &job["statistics"];
            let inside = statistics["transactionInfo"]["transactionId"].is_string();
            (&statistics["query"]["statementType"], inside)
        })
        .collect();
    let kind = |text| json!(text);
    let wanted = [
        (kind("SELECT"), false),
        (kind("COMMIT_TRANSACTION"), true),
        (kind("INSERT"), true),
        (kind("BEGIN_TRANSACTION"), true),
        (kind("CREATE_TABLE"), false),
    ];
    assert_eq!(
        told,
        wanted.iter().map(|(k, i)| (k, *i)).collect::<Vec<_>>()
    );
    let (_, all) = call(&emulator, "GET", "/projects/p/jobs").await;
    assert_eq!(all["jobs"].as_array().unwrap().len(), 1);
    emulator.shutdown().await;
}
