//! Datasets made and dropped by statements, as dbt and ibis do it.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::serve;
use crate::rest::{call, send_json};
use crate::tables::make_table;

#[tokio::test]
async fn schemas_are_datasets() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, json!([{"name": "id", "type": "INT64"}])).await;
    let run = async |sql: &str| {
        let job = json!({"configuration": {"query": {"query": sql, "useLegacySql": false}}});
        let (code, job) = send_json(&emulator, "POST", "/projects/p/jobs", &job).await;
        let failed = job["status"]["errorResult"]["reason"]
            .as_str()
            .map(str::to_owned);
        let reason = failed.or(job["error"]["errors"][0]["reason"]
            .as_str()
            .map(str::to_owned));
        let query = &job["statistics"]["query"];
        let done = query["ddlOperationPerformed"].as_str().map(str::to_owned);
        (code, done.or(reason).unwrap_or_default(), query.clone())
    };
    let sql = "CREATE SCHEMA IF NOT EXISTS `p`.`s` OPTIONS (location = 'EU', description = \"x\", default_table_expiration_days = 2)";
    let (_, operation, query) = run(sql).await;
    assert_eq!(operation, "CREATE");
    assert_eq!(query["statementType"], "CREATE_SCHEMA");
    assert_eq!(
        query["ddlTargetDataset"],
        json!({"projectId": "p", "datasetId": "s"})
    );
    let (_, dataset) = call(&emulator, "GET", "/projects/p/datasets/s").await;
    assert_eq!(
        (&dataset["location"], &dataset["description"]),
        (&json!("EU"), &json!("x"))
    );
    assert_eq!(dataset["defaultTableExpirationMs"], "172800000");
    assert_eq!(run(sql).await.1, "SKIP");
    assert_eq!(run("CREATE SCHEMA s").await.1, "duplicate");
    assert_eq!(
        run("CREATE SCHEMA t OPTIONS (storage_billing_model = 'x')")
            .await
            .1,
        "invalidQuery"
    );
    assert_eq!(run("DROP SCHEMA d").await.1, "resourceInUse");
    assert_eq!(run("DROP SCHEMA IF EXISTS `p.d` CASCADE").await.1, "DROP");
    assert_eq!(run("DROP SCHEMA IF EXISTS d").await.1, "SKIP");
    assert_eq!(run("DROP SCHEMA d").await.1, "notFound");
    assert_eq!(
        call(&emulator, "GET", "/projects/p/datasets/d").await.0,
        404
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_dropped_dataset_comes_back() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, json!([{"name": "id", "type": "INT64"}])).await;
    let undelete = "/bigquery/v2/projects/p/datasets/d:undelete";
    // It is there.
    assert_eq!(
        send_json(&emulator, "POST", undelete, &json!({})).await.0,
        409
    );
    let dropped = "/projects/p/datasets/d?deleteContents=true";
    assert_eq!(call(&emulator, "DELETE", dropped).await.0, 204);
    assert_eq!(
        call(&emulator, "GET", "/projects/p/datasets/d").await.0,
        404
    );
    let (code, list) = call(&emulator, "GET", "/projects/p/datasets?all=true").await;
    assert_eq!((code, &list["datasets"]), (200, &Value::Null));
    let with_time = json!({"deletionTime": "2026-01-01T00:00:00Z"});
    assert_eq!(
        send_json(&emulator, "POST", undelete, &with_time).await.0,
        400
    );
    let (code, dataset) = send_json(&emulator, "POST", undelete, &json!({})).await;
    assert_eq!(code, 200, "{dataset}");
    assert_eq!(dataset["datasetReference"]["datasetId"], "d");
    assert_eq!(
        call(&emulator, "GET", "/projects/p/datasets/d/tables/t")
            .await
            .0,
        200
    );
    // The latest of several, and by SQL.
    assert_eq!(call(&emulator, "DELETE", dropped).await.0, 204);
    let again = json!({"datasetReference": {"datasetId": "d"}, "description": "later"});
    assert_eq!(
        send_json(&emulator, "POST", "/projects/p/datasets", &again)
            .await
            .0,
        200
    );
    assert_eq!(call(&emulator, "DELETE", dropped).await.0, 204);
    let sql = json!({"query": "UNDROP SCHEMA IF NOT EXISTS d", "useLegacySql": false});
    let (code, answer) = send_json(&emulator, "POST", "/projects/p/queries", &sql).await;
    assert_eq!(code, 200, "{answer}");
    let (_, dataset) = call(&emulator, "GET", "/projects/p/datasets/d").await;
    assert_eq!(dataset["description"], "later");
    let none = "/bigquery/v2/projects/p/datasets/none:undelete";
    assert_eq!(send_json(&emulator, "POST", none, &json!({})).await.0, 404);
    assert_eq!(
        send_json(&emulator, "POST", "/projects/p/datasets/d", &json!({}))
            .await
            .0,
        501
    );
    emulator.shutdown().await;
}
