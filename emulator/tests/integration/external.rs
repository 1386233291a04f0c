//! External tables: files outside of the catalog, read by SQL, and by the Storage Read API where a connection allows it.

use std::fs;

use arrow::array::Int64Array;
use millpond_emulator::RunningEmulator;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::envelope::packed;
use crate::harness::*;
use crate::rest::{call, send_json};
use crate::statements::{ask, run, start_with_dataset, values};

async fn define(emulator: &RunningEmulator, id: &str, configuration: Value) -> (u16, Value) {
    let body =
        json!({"tableReference": {"tableId": id}, "externalDataConfiguration": configuration});
    send_json(emulator, "POST", "/projects/p/datasets/d/tables", &body).await
}

/// Files of three formats below the data directory.
fn files(root: &TempDir) {
    let place = root.path().join("files");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("a.csv"), "id,name\n1,x\n2,\"y, z\"\n").unwrap();
    fs::write(place.join("b.csv"), "id,name\n3,\n").unwrap();
    fs::write(
        place.join("a.jsonl"),
        "{\"id\": 4, \"tags\": [\"u\", \"v\"]}\n{\"id\": 5}\n",
    )
    .unwrap();
    for (name, from, to) in [("1.parquet", 0, 10), ("2.parquet", 10, 25)] {
        write_file(root.path(), "moved", name, &[rows(from, to)], 5);
    }
    fs::rename(root.path().join("p/d/moved"), place.join("parquet")).unwrap();
}

#[tokio::test]
async fn csv_json_and_parquet_are_read_by_sql() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    files(&root);
    let csv = json!({"sourceFormat": "CSV", "sourceUris": ["files/*.csv"], "csvOptions": {"skipLeadingRows": "1"},
        "schema": {"fields": [{"name": "id", "type": "INT64"}, {"name": "name", "type": "STRING"}]}});
    let (code, made) = define(&emulator, "csv", csv).await;
    assert_eq!(code, 200, "{made}");
    assert_eq!(
        (&made["type"], &made["numRows"]),
        (&json!("EXTERNAL"), &json!("0"))
    );
    let full = format!("file://{}/files/a.jsonl", root.path().display());
    let json =
        json!({"sourceFormat": "NEWLINE_DELIMITED_JSON", "sourceUris": [full], "autodetect": true});
    let (code, made) = define(&emulator, "json", json).await;
    assert_eq!(code, 200, "{made}");
    assert_eq!(made["schema"]["fields"][1]["mode"], "REPEATED");
    let parquet = json!({"sourceFormat": "PARQUET", "sourceUris": ["files/parquet/*"]});
    assert_eq!(define(&emulator, "parquet", parquet).await.0, 200);

    let rows = run(&emulator, "SELECT id, name FROM d.csv ORDER BY id").await;
    let name = |id: &str, name: &str| vec![json!(id), json!(name)];
    assert_eq!(
        values(&rows),
        [
            name("1", "x"),
            name("2", "y, z"),
            vec![json!("3"), Value::Null]
        ]
    );
    let sum = "SELECT SUM(id), SUM(ARRAY_LENGTH(tags)) FROM d.json";
    assert_eq!(
        values(&run(&emulator, sum).await),
        [[json!("9"), json!("2")]]
    );
    let joined =
        "SELECT COUNT(*), MAX(p.id) FROM d.parquet AS p JOIN d.csv AS c ON p.id = c.id + 20";
    assert_eq!(
        values(&run(&emulator, joined).await),
        [[json!("3"), json!("23")]]
    );

    // Nobody knows the bytes of it beforehand, and what has changed is seen.
    let body = json!({"configuration": {"dryRun": true, "query": {"query": "SELECT * FROM d.parquet", "useLegacySql": false}}});
    let (_, dry) = send_json(&emulator, "POST", "/projects/p/jobs", &body).await;
    assert_eq!(
        dry["statistics"]["query"]["totalBytesProcessedAccuracy"],
        "LOWER_BOUND"
    );
    assert_eq!(dry["statistics"]["totalBytesProcessed"], "0");
    let compressed = packed(b"id,name\n9,w\n");
    fs::write(root.path().join("files/c.csv"), compressed).unwrap();
    let count = run(&emulator, "SELECT COUNT(*) FROM d.csv").await;
    assert_eq!(values(&count), [[json!("4")]]);

    // Dropping the table leaves the files.
    assert_eq!(
        call(&emulator, "DELETE", "/projects/p/datasets/d/tables/csv")
            .await
            .0,
        204
    );
    assert!(root.path().join("files/a.csv").is_file());
    emulator.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_by_name() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    files(&root);
    let columns = json!({"fields": [{"name": "id", "type": "INT64"}]});
    let csv = |uri: &str| json!({"sourceFormat": "CSV", "sourceUris": [uri], "schema": columns});
    for (id, configuration, wanted) in [
        (
            "bucket",
            csv("gs://bucket/a.csv"),
            "Not found: Files gs://bucket/a.csv",
        ),
        (
            "gone",
            csv("files/gone.csv"),
            "Not found: Files files/gone.csv",
        ),
        (
            "outside",
            csv("../secret.csv"),
            "../secret.csv cannot be read",
        ),
        (
            "broken",
            csv("files/a.csv"),
            "Error while reading table: p:d.broken",
        ),
        (
            "sheet",
            json!({"sourceFormat": "GOOGLE_SHEETS", "sourceUris": ["files/a.csv"], "schema": columns}),
            "source format GOOGLE_SHEETS is not supported",
        ),
        (
            "elsewhere",
            csv("s3://bucket/a.csv"),
            "s3://bucket/a.csv cannot be read by this emulator",
        ),
    ] {
        let (code, made) = define(&emulator, id, configuration).await;
        assert_eq!(code, 200, "{made}");
        let (code, answer) =
            ask(&emulator, json!({"query": format!("SELECT * FROM d.{id}")})).await;
        let text = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(code >= 400 && text.contains(wanted), "{id}: {code} {text}");
    }
    // Without columns they have to be looked for.
    let detect =
        json!({"sourceFormat": "CSV", "sourceUris": ["files/gone.csv"], "autodetect": true});
    assert_eq!(define(&emulator, "detect", detect).await.0, 404);
    let no_prefix = json!({"sourceFormat": "CSV", "sourceUris": ["files/a.csv"], "schema": columns, "hivePartitioningOptions": {"mode": "AUTO"}});
    let (code, refused) = define(&emulator, "hive", no_prefix).await;
    let text = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(code == 400 && text.contains("sourceUriPrefix"), "{refused}");
    let unknown = json!({"sourceFormat": "CSV", "sourceUris": ["files/a.csv"]});
    assert_eq!(define(&emulator, "unknown", unknown).await.0, 400);

    for (sql, wanted) in [
        ("INSERT INTO d.gone VALUES (1)", "currently a EXTERNAL"),
        ("DELETE FROM d.gone WHERE TRUE", "currently a EXTERNAL"),
        ("DROP TABLE d.gone", "EXTERNAL"),
    ] {
        let (code, answer) = ask(&emulator, json!({"query": sql})).await;
        let text = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(code == 400 && text.contains(wanted), "{sql}: {text}");
    }
    let (code, answer) = call(&emulator, "GET", "/projects/p/datasets/d/tables/gone/data").await;
    assert_eq!(
        (code, &answer["error"]["message"]),
        (400, &json!("Cannot list a table of type EXTERNAL."))
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn the_read_api_reads_those_with_a_connection() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    files(&root);
    let parquet = json!({"sourceFormat": "PARQUET", "sourceUris": ["files/parquet/*.parquet"]});
    let mut connected = parquet.clone();
    connected["connectionId"] = json!("p.us.c");
    let mut text =
        json!({"sourceFormat": "CSV", "sourceUris": ["files/a.csv"], "autodetect": true});
    text["connectionId"] = json!("p.us.c");
    for (id, configuration) in [("plain", parquet), ("connected", connected), ("text", text)] {
        let (code, made) = define(&emulator, id, configuration).await;
        assert_eq!(code, 200, "{made}");
    }
    let client = client(&emulator).await;
    let of = |id: &str| arrow_session().set_table(format!("projects/p/datasets/d/tables/{id}"));
    let refused = status(open(&client, of("plain")).await);
    assert_eq!(refused.0, "INVALID_ARGUMENT");
    assert_eq!(
        refused.1,
        "request failed: Only external tables with connections can be read with the Storage API."
    );
    assert!(
        status(open(&client, of("text")).await)
            .1
            .contains("format CSV")
    );
    let session = open(&client, of("connected")).await.unwrap();
    let mut found = ids(&read_all(&client, &session).await);
    found.sort_unstable();
    let wanted = Int64Array::from_iter_values(0..25);
    assert_eq!(found, wanted.values().to_vec());
    emulator.shutdown().await;
}
