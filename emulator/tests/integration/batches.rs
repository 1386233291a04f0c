//! Several calls in one request, as Google's older clients for Java, Python and JavaScript bundle them.

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use millpond_emulator::RunningEmulator;

use crate::harness::serve;
use crate::rest::{call, send};
use crate::tables::make_table;

/// The whole answer as it came.
async fn raw(emulator: &RunningEmulator, kind: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(emulator.local_addr()).await.unwrap();
    let request = format!(
        "POST /batch/bigquery/v2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn every_call_of_a_batch_has_its_answer() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, json!([{"name": "id", "type": "INT64"}])).await;
    let patch = json!({"description": "by a batch"}).to_string();
    let body = format!(
        "before\r\n--b\r\nContent-Type: application/http\r\nContent-ID: <one+1>\r\n\r\n\
         PATCH /bigquery/v2/projects/p/datasets/d/tables/t?fields=id HTTP/1.1\r\nContent-Type: application/json\r\ncontent-length: {}\r\n\r\n{patch}\r\n\
         --b\r\ncontent-type: application/http\r\ncontent-id: two\r\n\r\nGET https://host/bigquery/v2/projects/p/datasets/none HTTP/1.1\r\n\r\n\r\n\
         --b\nContent-Type: application/http\n\nPOST /bigquery/v2/projects/p/datasets/d/tables/t HTTP/1.1\nX-HTTP-Method-Override: GET\n\n{{}}\n\
         --b--\r\nafter",
        patch.len()
    );
    let answer = raw(&emulator, "multipart/mixed; boundary=\"b\"", &body).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let head = answer.to_lowercase();
    assert!(
        head.contains("content-type: multipart/mixed; boundary=batch_millpond\r\n"),
        "{answer}"
    );
    let parts: Vec<&str> = answer.split("--batch_millpond").skip(1).collect();
    assert_eq!(parts.len(), 4, "{answer}");
    for (part, wanted) in parts.iter().zip([
        vec![
            "Content-ID: <response-one+1>",
            "HTTP/1.1 200 OK",
            "{\"id\":\"p:d.t\"}",
        ],
        vec![
            "Content-ID: response-two",
            "HTTP/1.1 404 Not Found",
            "Not found: Dataset p:none",
        ],
        vec!["HTTP/1.1 200 OK", "\"description\":\"by a batch\""],
        vec!["--"],
    ]) {
        for text in wanted {
            assert!(part.contains(text), "{text} in {part}");
        }
    }
    let (_, table) = call(&emulator, "GET", "/projects/p/datasets/d/tables/t").await;
    assert_eq!(table["description"], "by a batch");
    emulator.shutdown().await;
}

#[tokio::test]
async fn what_is_no_batch_is_refused() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    let many = "--b\r\n\r\nGET /projects HTTP/1.1\r\n\r\n".repeat(1001) + "--b--";
    for (kind, body) in [
        ("application/json", "{}"),
        ("multipart/mixed", "--b--"),
        ("multipart/mixed; boundary=b", "--b--"),
        ("multipart/mixed; boundary=b", "--b\r\n\r\nnothing\r\n--b--"),
        (
            "multipart/mixed; boundary=b",
            "--b\r\n\r\nGET /projects HTTP/1.1\r\nno header\r\n--b--",
        ),
        ("multipart/mixed; boundary=b", many.as_str()),
    ] {
        for path in ["/batch", "/batch/bigquery/v2"] {
            let (code, answer) = send(&emulator, "POST", path, kind, body).await;
            assert_eq!(code, 400, "{kind} {answer}");
        }
    }
    emulator.shutdown().await;
}
