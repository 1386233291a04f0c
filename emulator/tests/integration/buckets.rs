//! Load jobs, extract jobs, external tables and tables of one query over objects in buckets.

use std::fs;
use std::path::Path;

use millpond_emulator::{Emulator, RunningEmulator};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::*;
use crate::rest::{call, send_json};
use crate::statements::{ask, run, start_with_dataset, values};

fn table(id: &str) -> Value {
    json!({"projectId": "p", "datasetId": "d", "tableId": id})
}

/// Runs a job to its end.
async fn job(emulator: &RunningEmulator, kind: &str, settings: Value) -> Value {
    let body = json!({"configuration": {kind: settings}});
    let (code, job) = send_json(emulator, "POST", "/projects/p/jobs", &body).await;
    assert_eq!(code, 200, "{job}");
    job
}

async fn fine(emulator: &RunningEmulator, kind: &str, settings: Value) -> Value {
    let job = job(emulator, kind, settings).await;
    assert_eq!(job["status"]["errorResult"], Value::Null, "{job}");
    job["statistics"][kind].clone()
}

/// What a job said that failed.
async fn refused(emulator: &RunningEmulator, kind: &str, settings: Value) -> (String, String) {
    let job = job(emulator, kind, settings).await;
    let text = |key: &str| {
        job["status"]["errorResult"][key]
            .as_str()
            .map(str::to_owned)
    };
    (text("reason").unwrap(), text("message").unwrap())
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn a_table_is_extracted_and_loaded_in_every_format() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    write_file(root.path(), "t", "a.parquet", &[rows(0, 50)], 20);
    write_file(root.path(), "t", "b.parquet", &[rows(50, 60)], 20);
    fs::create_dir_all(root.path().join(".buckets/b")).unwrap();
    for (format, compression) in [
        ("CSV", "NONE"),
        ("CSV", "GZIP"),
        ("NEWLINE_DELIMITED_JSON", "GZIP"),
        ("AVRO", "DEFLATE"),
        ("PARQUET", "SNAPPY"),
    ] {
        let uri = format!("gs://b/{format}/{compression}/x-*.bin");
        let extract = json!({"sourceTable": table("t"), "destinationUris": [uri], "destinationFormat": format, "compression": compression});
        let extracted = fine(&emulator, "extract", extract).await;
        assert_eq!(extracted["destinationUriFileCounts"], json!(["1"]));
        assert_ne!(extracted["inputBytes"], "0");
        let file = format!(".buckets/b/{format}/{compression}/x-000000000000.bin");
        assert!(root.path().join(file).is_file());
        let load = json!({"destinationTable": table(&format!("{format}_{compression}")), "sourceUris": [uri], "sourceFormat": format, "autodetect": true});
        let loaded = fine(&emulator, "load", load).await;
        assert_eq!(
            (&loaded["inputFiles"], &loaded["outputRows"]),
            (&json!("1"), &json!("60"))
        );
        // JSON has whole numbers as texts, and what is found in texts is text.
        let same = format!(
            "SELECT COUNT(*), SUM(a.id), COUNTIF(a.name IS NULL) FROM d.t AS a JOIN d.{format}_{compression} AS b ON a.id = CAST(b.id AS INT64) AND a.name IS NOT DISTINCT FROM b.name"
        );
        let same = run(&emulator, &same).await;
        assert_eq!(
            values(&same),
            [[json!("60"), json!("1770"), json!("9")]],
            "{format}"
        );
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn objects_are_loaded_by_star_and_in_the_order_of_their_addresses() {
    let root = TempDir::new().unwrap();
    let buckets = TempDir::new().unwrap();
    write(buckets.path(), "b/in/1.csv", "id,name\n1,a\n");
    write(buckets.path(), "b/in/deep/2.csv", "id,name\n2,b\n3,\n");
    write(buckets.path(), "b/in/3.json", "{\"id\": 4}\n");
    let emulator = Emulator::builder()
        .data_dir(root.path())
        .buckets(buckets.path());
    let emulator = emulator.start().await.unwrap();
    let dataset = json!({"datasetReference": {"datasetId": "d"}});
    send_json(&emulator, "POST", "/projects/p/datasets", &dataset).await;
    let csv = json!({"destinationTable": table("t"), "sourceUris": ["gs://b/in/*.csv"], "skipLeadingRows": 1,
        "schema": {"fields": [{"name": "id", "type": "INT64"}, {"name": "name", "type": "STRING"}]}});
    let loaded = fine(&emulator, "load", csv).await;
    assert_eq!(
        (&loaded["inputFiles"], &loaded["outputRows"]),
        (&json!("2"), &json!("3"))
    );
    assert_eq!(loaded["inputFileBytes"], "27");
    let more = json!({"destinationTable": table("t"), "sourceUris": ["gs://b/in/3.json"], "sourceFormat": "NEWLINE_DELIMITED_JSON"});
    fine(&emulator, "load", more).await;
    let ids = run(&emulator, "SELECT id FROM d.t ORDER BY id").await;
    assert_eq!(values(&ids).len(), 4);

    for (uri, wanted) in [
        ("gs://b/in/9.csv", "Not found: URI gs://b/in/9.csv"),
        ("gs://c/in/*.csv", "Not found: URI gs://c/in/*.csv"),
    ] {
        let load = json!({"destinationTable": table("t"), "sourceUris": [uri]});
        let said = refused(&emulator, "load", load).await;
        assert_eq!(said, ("notFound".to_owned(), wanted.to_owned()));
    }
    // Nothing is loaded of several files when one of them is damaged.
    write(buckets.path(), "b/in/4.csv", "x,y,z\n");
    let load = json!({"destinationTable": table("t"), "sourceUris": ["gs://b/in/*.csv"], "skipLeadingRows": 0});
    assert_eq!(refused(&emulator, "load", load).await.0, "invalid");
    let count = run(&emulator, "SELECT COUNT(*) FROM d.t").await;
    assert_eq!(values(&count), [[json!("4")]]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn an_extract_that_cannot_be_is_refused() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    fs::create_dir_all(root.path().join(".buckets/b")).unwrap();
    run(&emulator, "CREATE TABLE d.nested (a ARRAY<INT64>)").await;
    run(&emulator, "CREATE VIEW d.v AS SELECT 1 AS x").await;
    for (settings, reason, text) in [
        (
            json!({"sourceTable": table("nested"), "destinationUris": ["gs://b/x"]}),
            "invalid",
            "nested schema. Field: a",
        ),
        (
            json!({"sourceTable": table("v"), "destinationUris": ["gs://b/x"]}),
            "invalid",
            "currently a VIEW",
        ),
        (
            json!({"sourceTable": table("gone"), "destinationUris": ["gs://b/x"]}),
            "notFound",
            "p:d.gone",
        ),
        (
            json!({"sourceTable": table("nested"), "destinationUris": ["gs://c/x"], "destinationFormat": "AVRO"}),
            "notFound",
            "Bucket c",
        ),
        (
            json!({"sourceTable": table("nested"), "destinationUris": ["gs://b/*/*"], "destinationFormat": "AVRO"}),
            "invalid",
            "gs://b/*/*",
        ),
        (
            json!({"sourceTable": table("nested"), "destinationUris": ["/etc/x"], "destinationFormat": "AVRO"}),
            "invalid",
            "'/etc/x'",
        ),
        (
            json!({"sourceTable": table("nested"), "destinationUris": ["gs://b/../../x"], "destinationFormat": "AVRO"}),
            "invalid",
            "gs://b/../../x",
        ),
        (
            json!({"sourceTable": table("nested"), "destinationFormat": "AVRO"}),
            "invalid",
            "destinationUris",
        ),
        (
            json!({"sourceModel": {"modelId": "m"}, "destinationUris": ["gs://b/x"]}),
            "notImplemented",
            "models",
        ),
        (
            json!({"sourceTable": table("nested"), "destinationUris": ["gs://b/x"], "destinationFormat": "ORC"}),
            "invalid",
            "ORC",
        ),
    ] {
        let said = refused(&emulator, "extract", settings).await;
        assert!(said.0 == reason && said.1.contains(text), "{said:?}");
    }
    // A table without rows is a file without rows, under each of the addresses.
    let empty = json!({"sourceTable": table("nested"), "destinationUris": ["gs://b/a*", "gs://b/b.json"], "destinationFormat": "NEWLINE_DELIMITED_JSON"});
    let extracted = fine(&emulator, "extract", empty).await;
    assert_eq!(extracted["destinationUriFileCounts"], json!(["1", "1"]));
    assert_eq!(
        fs::read(root.path().join(".buckets/b/a000000000000")).unwrap(),
        b""
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn directories_are_columns_of_loads_and_external_tables() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let bucket = root.path().join(".buckets/b");
    write(&bucket, "h/day=2024-01-01/n=1/x.csv", "1\n2\n");
    write(&bucket, "h/day=2024-01-02/n=2/x.csv", "3\n");
    let hive = json!({"mode": "AUTO", "sourceUriPrefix": "gs://b/h"});
    let id = json!({"fields": [{"name": "id", "type": "INT64"}]});
    let load = json!({"destinationTable": table("loaded"), "sourceUris": ["gs://b/h/*"], "schema": id, "hivePartitioningOptions": hive});
    fine(&emulator, "load", load.clone()).await;
    fine(&emulator, "load", load).await;
    let external = json!({"tableReference": table("external"), "externalDataConfiguration":
        {"sourceFormat": "CSV", "sourceUris": ["gs://b/h/*.csv"], "schema": id, "hivePartitioningOptions": hive}});
    let tables = "/projects/p/datasets/d/tables";
    let (code, made) = send_json(&emulator, "POST", tables, &external).await;
    assert_eq!(code, 200, "{made}");
    assert_eq!(made["schema"]["fields"][1]["type"], "DATE");
    for (id, times) in [("loaded", 2), ("external", 1)] {
        let sql = format!("SELECT day, SUM(n), SUM(id) FROM d.{id} GROUP BY day ORDER BY day");
        let row = |day: &str, n: i64, ids: i64| {
            vec![
                json!(day),
                json!((n * times).to_string()),
                json!((ids * times).to_string()),
            ]
        };
        let found = run(&emulator, &sql).await;
        assert_eq!(
            values(&found),
            [row("2024-01-01", 2, 3), row("2024-01-02", 2, 3)],
            "{id}"
        );
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_query_may_bring_tables_of_its_own() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    write(
        &root.path().join(".buckets/b"),
        "x.csv",
        "id,name\n1,a\n2,b\n",
    );
    let definition =
        json!({"sourceFormat": "CSV", "sourceUris": ["gs://b/x.csv"], "autodetect": true});
    let query = json!({"query": "SELECT name FROM mine WHERE id = 2", "useLegacySql": false, "tableDefinitions": {"mine": definition}});
    let job = job(&emulator, "query", query.clone()).await;
    assert_eq!(job["status"]["errorResult"], Value::Null, "{job}");
    let id = job["jobReference"]["jobId"].as_str().unwrap();
    let (_, rows) = call(&emulator, "GET", &format!("/projects/p/queries/{id}")).await;
    assert_eq!(values(&rows), [[json!("b")]]);
    // Nobody else knows it.
    let (code, _) = ask(&emulator, json!({"query": "SELECT name FROM mine"})).await;
    assert_eq!(code, 400);
    let mut gone = query;
    gone["tableDefinitions"]["mine"]["sourceUris"] = json!(["gs://b/y.csv"]);
    let said = refused(&emulator, "query", gone).await;
    assert_eq!(said.0, "notFound");
    emulator.shutdown().await;
}

#[tokio::test]
async fn jobs_run_where_their_dataset_was_put() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let dataset = json!({"datasetReference": {"datasetId": "eu"}, "location": "EU"});
    send_json(&emulator, "POST", "/projects/p/datasets", &dataset).await;
    write(&root.path().join(".buckets/b"), "x.csv", "1\n");
    run(&emulator, "CREATE TABLE eu.t (id INT64)").await;
    let eu = json!({"projectId": "p", "datasetId": "eu", "tableId": "t"});
    let other = json!({"projectId": "p", "datasetId": "eu", "tableId": "u"});
    for (kind, settings) in [
        (
            "load",
            json!({"destinationTable": eu, "sourceUris": ["gs://b/x.csv"]}),
        ),
        (
            "copy",
            json!({"sourceTable": eu, "destinationTable": other}),
        ),
        (
            "extract",
            json!({"sourceTable": eu, "destinationUris": ["gs://b/y.csv"]}),
        ),
        (
            "query",
            json!({"query": "SELECT * FROM eu.t", "useLegacySql": false}),
        ),
    ] {
        for (place, wanted) in [("US", "notFound"), ("EU", "")] {
            let body =
                json!({"configuration": {kind: settings}, "jobReference": {"location": place}});
            let (_, job) = send_json(&emulator, "POST", "/projects/p/jobs", &body).await;
            // There is no job that extracts a table from where it is not.
            let job = match kind {
                "extract" if place == "US" => &job["error"]["errors"][0],
                _ => &job["status"]["errorResult"],
            };
            let reason = job["reason"].as_str();
            assert_eq!(
                reason.unwrap_or_default(),
                wanted,
                "{kind} in {place}: {job}"
            );
        }
    }
    // What only the job finds out is told by the job.
    let none = json!({"projectId": "p", "datasetId": "eu", "tableId": "none"});
    let extract = json!({"sourceTable": none, "destinationUris": ["gs://b/y.csv"]});
    let body = json!({"configuration": {"extract": extract}, "jobReference": {"location": "US"}});
    let (code, job) = send_json(&emulator, "POST", "/projects/p/jobs", &body).await;
    let reason = &job["status"]["errorResult"]["reason"];
    assert_eq!((code, reason), (200, &json!("notFound")), "{job}");
    emulator.shutdown().await;
}

#[tokio::test]
async fn another_file_tells_the_columns_and_they_are_looked_for_again_when_asked() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    write_file(root.path(), "t", "a.parquet", &[rows(0, 5)], 20);
    let bucket = root.path().join(".buckets/b");
    fs::create_dir_all(&bucket).unwrap();
    let uri = "gs://b/two.parquet";
    let extract = json!({"sourceTable": table("t"), "destinationUris": [uri], "destinationFormat": "PARQUET"});
    fine(&emulator, "extract", extract).await;
    run(&emulator, "CREATE TABLE d.one AS SELECT id FROM d.t").await;
    let extract = json!({"sourceTable": table("one"), "destinationUris": ["gs://b/one.parquet"], "destinationFormat": "PARQUET"});
    fine(&emulator, "extract", extract).await;
    let load = json!({"destinationTable": table("loaded"), "sourceUris": ["gs://b/one.parquet"], "sourceFormat": "PARQUET", "referenceFileSchemaUri": uri});
    fine(&emulator, "load", load).await;
    let found = run(&emulator, "SELECT COUNT(id), COUNT(name) FROM d.loaded").await;
    assert_eq!(values(&found), [[json!("5"), json!("0")]]);

    let mut configuration = json!({"sourceFormat": "PARQUET", "sourceUris": ["gs://b/*.parquet"], "referenceFileSchemaUri": uri,
        "schema": {"fields": [{"name": "id", "type": "INT64"}]}});
    let define = json!({"tableReference": table("x"), "externalDataConfiguration": configuration});
    let tables = "/projects/p/datasets/d/tables";
    let (code, made) = send_json(&emulator, "POST", tables, &define).await;
    assert_eq!(
        (code, made["schema"]["fields"].as_array().unwrap().len()),
        (200, 1),
        "{made}"
    );
    configuration["schema"] = Value::Null;
    configuration["autodetect"] = json!(true);
    let patch = json!({"externalDataConfiguration": configuration});
    let path = format!("{tables}/x?autodetect_schema=True");
    let (code, changed) = send_json(&emulator, "PATCH", &path, &patch).await;
    assert_eq!(
        (code, changed["schema"]["fields"].as_array().unwrap().len()),
        (200, 2),
        "{changed}"
    );
    let found = run(&emulator, "SELECT COUNT(id), COUNT(name) FROM d.x").await;
    assert_eq!(values(&found), [[json!("10"), json!("4")]]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn the_last_file_tells_the_columns_and_bad_values_are_told() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    write_file(root.path(), "t", "a.parquet", &[rows(0, 5)], 20);
    let bucket = root.path().join(".buckets/b");
    fs::create_dir_all(&bucket).unwrap();
    run(&emulator, "CREATE TABLE d.one AS SELECT id FROM d.t").await;
    for (source, uri) in [("t", "gs://b/a.parquet"), ("one", "gs://b/b.parquet")] {
        let extract = json!({"sourceTable": table(source), "destinationUris": [uri], "destinationFormat": "PARQUET"});
        fine(&emulator, "extract", extract).await;
    }
    let load = json!({"destinationTable": table("all"), "sourceUris": ["gs://b/b.parquet", "gs://b/a.parquet"], "sourceFormat": "PARQUET"});
    fine(&emulator, "load", load).await;
    let (_, made) = call(&emulator, "GET", "/projects/p/datasets/d/tables/all").await;
    assert_eq!(
        (
            &made["numRows"],
            made["schema"]["fields"].as_array().unwrap().len()
        ),
        (&json!("10"), 1)
    );

    let columns = json!({"fields": [{"name": "at", "type": "TIMESTAMP", "mode": "REQUIRED"}, {"name": "n", "type": "NUMERIC"}, {"name": "b", "type": "BIGNUMERIC"}]});
    for (line, wanted) in [
        (
            "{\"at\": null}",
            "Only optional fields can be set to NULL. Field: at; Value: NULL",
        ),
        ("{}", "Missing required field: at"),
        ("{\"at\": \"AA\"}", "Could not parse 'AA' as a timestamp."),
        (
            "{\"at\": 1, \"n\": \"100000000000000000000000000000\"}",
            "Invalid NUMERIC value: 100000000000000000000000000000 Field: n;",
        ),
        (
            "{\"at\": 1, \"b\": \"0.000000000000000000000000000000000000001\"}",
            "Invalid BIGNUMERIC value: 0.000000000000000000000000000000000000001 Field: b;",
        ),
    ] {
        write(&bucket, "x.json", line);
        let load = json!({"destinationTable": table("bad"), "sourceUris": ["gs://b/x.json"], "sourceFormat": "NEWLINE_DELIMITED_JSON", "schema": columns});
        let said = refused(&emulator, "load", load).await;
        assert!(said.1.contains(wanted), "{line}: {said:?}");
    }
    emulator.shutdown().await;
}
