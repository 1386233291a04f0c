//! What clients wrap around calls: other methods, compressed bodies, parts of answers, descriptions of the API.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::serve;
use crate::rest::{call, exchange, send};
use crate::tables::make_table;

const TABLE: &str = "/bigquery/v2/projects/p/datasets/d/tables/t";

fn columns() -> Value {
    json!([{"name": "id", "type": "INT64"}])
}

/// A body as clients compress it.
pub fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_post_may_mean_another_method() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, columns()).await;
    let meaning = async |method: &str, body: &Value| {
        let headers = [("X-HTTP-Method-Override", method)];
        exchange(
            &emulator,
            "POST",
            TABLE,
            &headers,
            body.to_string().as_bytes(),
        )
        .await
    };
    let changed = meaning("PATCH", &json!({"description": "two"})).await;
    assert_eq!(changed.code, 200, "{}", changed.body);
    assert_eq!(changed.body["description"], "two");
    assert_eq!(meaning("GET", &json!({})).await.body["description"], "two");
    assert_eq!(meaning("no method", &json!({})).await.code, 400);
    assert_eq!(meaning("DELETE", &json!({})).await.code, 204);
    assert_eq!(call(&emulator, "GET", TABLE).await.0, 404);
    // The log tells what was meant.
    let (_, calls) = call(&emulator, "GET", "/emulator/requests").await;
    let calls = calls.to_string();
    assert!(
        calls.contains("PATCH") && calls.contains("DELETE"),
        "{calls}"
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn bodies_may_be_compressed_and_called_anything() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, columns()).await;
    let headers = [
        ("Content-Type", "application/json; charset=UTF-8"),
        ("Content-Encoding", "gzip"),
    ];
    let changed = json!({"description": "packed"});
    let answer = exchange(
        &emulator,
        "PATCH",
        TABLE,
        &headers,
        &packed(changed.to_string().as_bytes()),
    )
    .await;
    assert_eq!(answer.code, 200, "{}", answer.body);
    assert_eq!(answer.body["description"], "packed");
    let refused = exchange(&emulator, "PATCH", TABLE, &headers, b"{}").await;
    assert_eq!(refused.code, 400);
    assert_eq!(refused.body["error"]["errors"][0]["reason"], "invalid");
    let brotli = [("Content-Encoding", "br")];
    let refused = exchange(&emulator, "PATCH", TABLE, &brotli, b"{}").await;
    assert_eq!(
        (refused.code, &refused.body["error"]["code"]),
        (415, &json!(415))
    );
    let text = "{\"description\": \"text\"}";
    let (code, table) = send(&emulator, "PATCH", TABLE, "text/plain", text).await;
    assert_eq!((code, &table["description"]), (200, &json!("text")));
    let (code, error) = send(&emulator, "PATCH", TABLE, "application/json", "{\"a\"").await;
    assert_eq!(
        (code, &error["error"]["errors"][0]["reason"]),
        (400, &json!("parseError"))
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn answers_have_the_members_that_are_asked_for() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, columns()).await;
    let path =
        format!("{TABLE}?fields=id,tableReference/tableId,schema(fields/name)&alt=json&unknown=1");
    let (code, table) = call(&emulator, "GET", &path).await;
    assert_eq!(code, 200);
    assert_eq!(
        table,
        json!({"id": "p:d.t", "tableReference": {"tableId": "t"}, "schema": {"fields": [{"name": "id"}]}})
    );
    let (code, error) = call(&emulator, "GET", &format!("{TABLE}?fields=a(b")).await;
    assert_eq!(
        (code, &error["error"]["errors"][0]["reason"]),
        (400, &json!("invalid"))
    );
    // Errors come whole, and what has no body stays without one.
    let (code, error) = call(&emulator, "GET", &format!("{TABLE}x?fields=id")).await;
    assert_eq!((code, &error["error"]["code"]), (404, &json!(404)));
    let gone = call(&emulator, "DELETE", &format!("{TABLE}?fields=id")).await;
    assert_eq!(gone, (204, Value::Null));
    emulator.shutdown().await;
}

#[tokio::test]
async fn the_api_is_described_as_far_as_it_is_served() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    let (code, document) = call(&emulator, "GET", "/$discovery/rest?version=v2").await;
    assert_eq!(code, 200);
    assert_eq!(document["rootUrl"], format!("{}/", emulator.endpoint()));
    let other = call(&emulator, "GET", "/discovery/v1/apis/bigquery/v2/rest").await;
    assert_eq!(other, (200, document.clone()));
    // Clients make a method for the next page of these.
    for (answer, token) in [
        ("TableList", "nextPageToken"),
        ("TableDataList", "pageToken"),
    ] {
        let properties = &document["schemas"][answer]["properties"];
        assert_eq!(properties[token]["type"], "string", "{answer}");
    }
    let mut described = 0;
    for (resource, held) in document["resources"].as_object().unwrap() {
        for (name, method) in held["methods"].as_object().unwrap() {
            described += 1;
            for body in ["request", "response"] {
                if let Some(schema) = method[body]["$ref"].as_str() {
                    assert!(document["schemas"][schema].is_object(), "{schema}");
                }
            }
            let resource_path = "projects/p/datasets/d/tables/t";
            let mut path = method["path"]
                .as_str()
                .unwrap()
                .replace("{+resource}", resource_path);
            for parameter in method["parameterOrder"].as_array().unwrap() {
                let parameter = parameter.as_str().unwrap();
                path = path.replace(&format!("{{{parameter}}}"), "x");
            }
            // No method is described that nobody serves.
            let http = method["httpMethod"].as_str().unwrap();
            let (code, answer) = call(&emulator, http, &format!("/bigquery/v2/{path}")).await;
            assert_ne!(code, 501, "{resource}.{name}: {answer}");
            let message = answer["error"]["message"].as_str().unwrap_or_default();
            assert!(!message.contains('/'), "{resource}.{name}: {message}");
        }
    }
    assert_eq!(described, 47);
    emulator.shutdown().await;
}

/// As clients that keep their connection open find it.
#[tokio::test]
async fn a_refused_call_with_a_body_leaves_the_connection_open() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    let mut socket = TcpStream::connect(emulator.local_addr()).await.unwrap();
    for path in [
        "/projects/p/nothing",
        "/nowhere",
        "/projects/p/datasets/d/models",
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        // The body comes in a packet of its own, after the answer could have been sent.
        tokio::time::sleep(Duration::from_millis(50)).await;
        socket.write_all(b"{}").await.unwrap();
        let mut answer = [0; 4096];
        let read = socket.read(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer[..read]).to_ascii_lowercase();
        assert!(
            text.starts_with("http/1.1 ") && text.contains("\"code\":"),
            "{path}: {text}"
        );
        assert!(!text.contains("connection: close"), "{path}: {text}");
    }
    emulator.shutdown().await;
}
