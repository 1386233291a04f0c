//! GRANT and REVOKE: roles are kept with tables and datasets, told by INFORMATION_SCHEMA and by the API.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::statements::{ask, run, start_with_dataset, values};

const WHO: &str = "SELECT object_schema, object_name, object_type, privilege_type, grantee \
     FROM `region-us`.INFORMATION_SCHEMA.OBJECT_PRIVILEGES ORDER BY object_name, privilege_type, grantee";

#[tokio::test]
async fn roles_are_given_and_taken() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(&emulator, "CREATE TABLE d.t (a INT64)").await;
    run(&emulator, "CREATE VIEW d.v AS SELECT 1 AS a").await;
    let answer = run(
        &emulator,
        "GRANT `roles/bigquery.dataViewer`, `roles/bigquery.dataEditor` ON TABLE d.t TO \"user:a@x.com\", \"group:g@x.com\"",
    )
    .await;
    assert_eq!(answer["jobComplete"], true);
    run(
        &emulator,
        "GRANT `roles/bigquery.dataViewer` ON VIEW d.v TO 'user:a@x.com'",
    )
    .await;
    run(
        &emulator,
        "GRANT `roles/bigquery.dataOwner` ON SCHEMA d TO 'serviceAccount:s@x.com'",
    )
    .await;
    run(
        &emulator,
        "REVOKE `roles/bigquery.dataEditor` ON TABLE d.t FROM 'user:a@x.com', 'user:nobody@x.com'",
    )
    .await;
    let row = |schema: Value, name: &str, kind: &str, role: &str, who: &str| {
        let role = format!("roles/bigquery.{role}");
        [schema, json!(name), json!(kind), json!(role), json!(who)]
    };
    assert_eq!(
        values(&run(&emulator, WHO).await),
        [
            row(Value::Null, "d", "SCHEMA", "dataOwner", "user:s@x.com"),
            row(json!("d"), "t", "TABLE", "dataEditor", "group:g@x.com"),
            row(json!("d"), "t", "TABLE", "dataViewer", "group:g@x.com"),
            row(json!("d"), "t", "TABLE", "dataViewer", "user:a@x.com"),
            row(json!("d"), "v", "VIEW", "dataViewer", "user:a@x.com"),
        ]
    );
    run(
        &emulator,
        "REVOKE `roles/bigquery.dataOwner` ON SCHEMA d FROM 'user:s@x.com'",
    )
    .await;
    assert_eq!(values(&run(&emulator, WHO).await).len(), 4);
    emulator.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_granted_is_refused() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(&emulator, "CREATE TABLE d.t (a INT64)").await;
    for (sql, named) in [
        ("GRANT `r` ON TABLE d.none TO 'user:a@x.com'", "Not found"),
        ("GRANT `r` ON VIEW d.t TO 'user:a@x.com'", "is a TABLE"),
        (
            "GRANT `r` ON TABLE d.t TO 'somebody'",
            "Invalid grantee: somebody",
        ),
        (
            "GRANT SELECT ON TABLE d.t TO 'user:a@x.com'",
            "Unexpected keyword SELECT",
        ),
        ("REVOKE `r` ON TABLE d.t TO 'user:a@x.com'", "FROM"),
    ] {
        let body = json!({"query": sql, "useLegacySql": false});
        let (_, answer) = ask(&emulator, body).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(named), "{sql}: {answer}");
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn parameters_of_routines_are_listed() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE FUNCTION d.f(x INT64, y ARRAY<STRING>) RETURNS STRUCT<a INT64> AS (STRUCT(x AS a))",
    )
    .await;
    let rows = run(
        &emulator,
        "SELECT ordinal_position, is_result, parameter_name, data_type FROM d.INFORMATION_SCHEMA.PARAMETERS ORDER BY 1",
    )
    .await;
    assert_eq!(
        values(&rows),
        [
            [
                json!("0"),
                json!("YES"),
                Value::Null,
                json!("STRUCT<a INT64>")
            ],
            [json!("1"), json!("NO"), json!("x"), json!("INT64")],
            [json!("2"), json!("NO"), json!("y"), json!("ARRAY<STRING>")],
        ]
    );
    emulator.shutdown().await;
}
