//! The REST subset, spoken in plain HTTP/1.1 on the port gRPC uses.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use millpond_emulator::RunningEmulator;

use crate::harness::*;

pub async fn call(emulator: &RunningEmulator, method: &str, path: &str) -> (u16, Value) {
    send(emulator, method, path, "application/json", "").await
}

/// A call with a body of JSON.
pub async fn send_json(
    emulator: &RunningEmulator,
    method: &str,
    path: &str,
    body: &Value,
) -> (u16, Value) {
    send(
        emulator,
        method,
        path,
        "application/json",
        &body.to_string(),
    )
    .await
}

/// A call with any body.
pub async fn send(
    emulator: &RunningEmulator,
    method: &str,
    path: &str,
    content_type: &str,
    body: &str,
) -> (u16, Value) {
    let headers = [("Content-Type", content_type)];
    let answer = exchange(emulator, method, path, &headers, body.as_bytes()).await;
    (answer.code, answer.body)
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    /// Its headers as they were sent.
    pub head: String,
    /// Null when it was empty.
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A call with any headers and any bytes.
pub async fn exchange(
    emulator: &RunningEmulator,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut socket = TcpStream::connect(emulator.local_addr()).await.unwrap();
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(b"\r\n").await.unwrap();
    socket.write_all(body).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = match body {
        "" => Value::Null,
        body => serde_json::from_str(body).unwrap_or_else(|e| panic!("{e} in {text}")),
    };
    Answer {
        code,
        head: head.to_owned(),
        body,
    }
}

#[tokio::test]
async fn tables_and_datasets_are_described_with_and_without_the_prefix() {
    let root = numbered_table(100);
    write_file(root.path(), "u", "a.parquet", &[rows(0, 3)], 100);
    let emulator = serve(&root).await;
    for prefix in ["", "/bigquery/v2"] {
        let (code, table) = call(
            &emulator,
            "GET",
            &format!("{prefix}/{TABLE}?prettyPrint=false"),
        )
        .await;
        assert_eq!(code, 200);
        assert_eq!(table["kind"], "bigquery#table");
        assert_eq!(table["id"], "p:d.t");
        assert_eq!(table["numRows"], "100");
        assert_eq!(table["type"], "TABLE");
        assert_eq!(table["location"], "US");
        let bytes: u64 = table["numBytes"].as_str().unwrap().parse().unwrap();
        assert!(bytes > 100 * 8, "{bytes}");
        assert_eq!(
            table["schema"]["fields"],
            json!([
                {"name": "id", "type": "INTEGER", "mode": "REQUIRED"},
                {"name": "name", "type": "STRING", "mode": "NULLABLE"},
            ])
        );
        let (code, list) = call(
            &emulator,
            "GET",
            &format!("{prefix}/projects/p/datasets/d/tables?maxResults=1"),
        )
        .await;
        assert_eq!((code, &list["totalItems"]), (200, &json!(2)));
        assert_eq!(list["tables"][0]["tableReference"]["tableId"], "t");
        let token = list["nextPageToken"].as_str().unwrap();
        let next = format!("{prefix}/projects/p/datasets/d/tables?maxResults=1&pageToken={token}");
        let (_, list) = call(&emulator, "GET", &next).await;
        assert_eq!(list["tables"][0]["tableReference"]["tableId"], "u");
        assert!(list.get("nextPageToken").is_none());
        let (_, datasets) = call(&emulator, "GET", &format!("{prefix}/projects/p/datasets")).await;
        assert_eq!(datasets["datasets"][0]["id"], "p:d");
        let (_, dataset) = call(&emulator, "GET", &format!("{prefix}/projects/p/datasets/d")).await;
        assert_eq!(
            dataset["datasetReference"],
            json!({"datasetId": "d", "projectId": "p"})
        );
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn errors_have_the_service_s_body() {
    let root = numbered_table(10);
    let emulator = serve(&root).await;
    let (code, body) = call(
        &emulator,
        "GET",
        "/bigquery/v2/projects/p/datasets/d/tables/nope",
    )
    .await;
    assert_eq!(code, 404);
    assert_eq!(
        body,
        json!({"error": {
            "code": 404,
            "message": "Not found: Table p:d.nope",
            "errors": [{"message": "Not found: Table p:d.nope", "domain": "global", "reason": "notFound"}],
            "status": "NOT_FOUND",
        }})
    );
    for (method, path, code, reason) in [
        ("GET", "/projects/p/datasets/nope/tables", 404, "notFound"),
        (
            "GET",
            "/projects/p/datasets/d/tables/%2e%2e",
            400,
            "invalid",
        ),
        ("GET", "/projects/p/datasets/d/tables/a%2Fb", 400, "invalid"),
        (
            "GET",
            "/projects/p/datasets/d/tables?pageToken=x",
            400,
            "invalid",
        ),
        ("PUT", "/projects/p/datasets", 501, "notImplemented"),
        ("DELETE", "/projects/p/datasets/d", 400, "resourceInUse"),
        ("DELETE", "/projects/p/datasets/d/tables/u", 404, "notFound"),
        ("GET", "/projects/p/jobs/nope", 404, "notFound"),
        ("GET", "/nothing/here", 404, "notFound"),
    ] {
        let (got, body) = call(&emulator, method, path).await;
        assert_eq!(
            (got, body["error"]["errors"][0]["reason"].as_str()),
            (code, Some(reason)),
            "{method} {path}"
        );
    }
    emulator.shutdown().await;
}
