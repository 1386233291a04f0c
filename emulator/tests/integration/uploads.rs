//! Load jobs whose data arrive piece by piece, by each of the protocols that clients use.

use serde_json::{Value, json};
use tempfile::TempDir;

use millpond_emulator::RunningEmulator;

use crate::envelope::packed;
use crate::harness::serve;
use crate::rest::{Answer, call, exchange};
use crate::tables::make_table;

const UPLOAD: &str = "/upload/bigquery/v2/projects/p/jobs";

async fn with_table(root: &TempDir) -> RunningEmulator {
    let emulator = serve(root).await;
    make_table(&emulator, json!([{"name": "id", "type": "INT64"}])).await;
    emulator
}

fn job() -> String {
    let table = json!({"projectId": "p", "datasetId": "d", "tableId": "t"});
    json!({"configuration": {"load": {"destinationTable": table, "sourceFormat": "NEWLINE_DELIMITED_JSON"}}}).to_string()
}

async fn begin(emulator: &RunningEmulator, headers: &[(&str, &str)], path: &str) -> Answer {
    let answer = exchange(emulator, "POST", path, headers, job().as_bytes()).await;
    assert_eq!(answer.code, 200, "{}", answer.body);
    answer
}

fn path_of<'a>(emulator: &RunningEmulator, address: &'a str) -> &'a str {
    address.strip_prefix(&emulator.endpoint()).unwrap()
}

async fn rows(emulator: &RunningEmulator) -> Value {
    let (_, table) = call(emulator, "GET", "/projects/p/datasets/d/tables/t").await;
    table["numRows"].clone()
}

/// As Go's client does it: pieces are posted, and no answer may have the status 308.
#[tokio::test]
async fn pieces_may_be_posted() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    let begun = begin(&emulator, &[], &format!("{UPLOAD}?uploadType=resumable")).await;
    let path = path_of(&emulator, begun.header("location").unwrap());
    let quiet = ("X-GUploader-No-308", "yes");
    let piece = async |range: &str, body: &str| {
        let headers = [quiet, ("Content-Range", range)];
        exchange(&emulator, "POST", path, &headers, body.as_bytes()).await
    };
    let first = piece("bytes 0-8/*", "{\"id\": 1}").await;
    assert_eq!(first.code, 200);
    assert_eq!(first.header("x-http-status-code-override"), Some("308"));
    assert_eq!(first.header("range"), Some("bytes=0-8"));
    // Sent again, it is not taken again.
    let again = piece("bytes 0-8/*", "{\"id\": 1}").await;
    assert_eq!(again.header("range"), Some("bytes=0-8"));
    let last = piece("bytes 9-18/19", "\n{\"id\": 2}").await;
    assert_eq!(last.code, 200);
    assert_eq!(last.header("x-http-status-code-override"), None);
    assert_eq!(last.body["status"], json!({"state": "DONE"}));
    assert_eq!(rows(&emulator).await, "2");
    assert_eq!(piece("bytes */19", "").await.code, 404);
    emulator.shutdown().await;
}

/// As Ruby's client does it: commands in headers.
#[tokio::test]
async fn pieces_may_come_with_commands() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    let headers = [
        ("X-Goog-Upload-Protocol", "resumable"),
        ("X-Goog-Upload-Command", "start"),
    ];
    let begun = begin(&emulator, &headers, UPLOAD).await;
    assert_eq!(begun.header("x-goog-upload-status"), Some("active"));
    let path = path_of(&emulator, begun.header("x-goog-upload-url").unwrap());
    let command = async |command: &str, offset: &str, body: &str| {
        let headers = [
            ("X-Goog-Upload-Command", command),
            ("X-Goog-Upload-Offset", offset),
        ];
        exchange(&emulator, "POST", path, &headers, body.as_bytes()).await
    };
    let first = command("upload", "0", "{\"id\": 1}").await;
    assert_eq!(
        (first.code, first.header("x-goog-upload-status")),
        (200, Some("active"))
    );
    let asked = command("query", "0", "").await;
    assert_eq!(asked.header("x-goog-upload-size-received"), Some("9"));
    let last = command("upload, finalize", "9", "\n{\"id\": 2}").await;
    assert_eq!(last.header("x-goog-upload-status"), Some("final"));
    assert_eq!(last.body["statistics"]["load"]["outputRows"], "2");
    emulator.shutdown().await;
}

#[tokio::test]
async fn an_upload_may_be_given_up() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    let begun = begin(&emulator, &[], &format!("{UPLOAD}?uploadType=resumable")).await;
    let path = path_of(&emulator, begun.header("location").unwrap());
    assert_eq!(
        exchange(&emulator, "DELETE", path, &[], b"").await.code,
        499
    );
    assert_eq!(
        exchange(&emulator, "DELETE", path, &[], b"").await.code,
        404
    );
    let left = std::fs::read_dir(root.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["p"]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn files_of_rows_may_be_compressed() {
    let root = TempDir::new().unwrap();
    let emulator = with_table(&root).await;
    let packed = packed(b"{\"id\": 1}\n{\"id\": 2}\n");
    for (data, good) in [(&packed[..], true), (&packed[..20], false)] {
        let begun = begin(&emulator, &[], &format!("{UPLOAD}?uploadType=resumable")).await;
        let path = path_of(&emulator, begun.header("location").unwrap());
        let done = exchange(&emulator, "PUT", path, &[], data).await;
        assert_eq!(
            done.body["status"]["errorResult"].is_null(),
            good,
            "{}",
            done.body
        );
    }
    assert_eq!(rows(&emulator).await, "2");
    emulator.shutdown().await;
}
