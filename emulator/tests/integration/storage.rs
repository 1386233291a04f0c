//! Buckets and objects by Cloud Storage's JSON API.

use serde_json::json;
use tempfile::TempDir;

use crate::rest::{call, exchange, send, send_json};
use crate::statements::start_with_dataset;

const UPLOAD: &str = "/upload/storage/v1/b/b/o";

#[tokio::test]
async fn a_bucket_is_made_filled_listed_and_removed() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let missing = call(&emulator, "GET", "/storage/v1/b/b").await;
    assert_eq!(missing.0, 404);
    let bucket = json!({"name": "b"});
    let made = send_json(&emulator, "POST", "/storage/v1/b?project=p", &bucket).await;
    assert_eq!((made.0, &made.1["name"]), (200, &json!("b")));
    let again = send_json(&emulator, "POST", "/storage/v1/b?project=p", &bucket).await;
    assert_eq!(again.0, 409);
    let odd = json!({"name": "../b"});
    assert_eq!(send_json(&emulator, "POST", "/b", &odd).await.0, 400);

    let media = format!("{UPLOAD}?uploadType=media&name=dir%2Fa.txt");
    let (code, object) = send(&emulator, "POST", &media, "text/plain", "\"abc\"").await;
    assert_eq!((code, &object["size"]), (200, &json!("5")), "{object}");
    assert_eq!(object["md5Hash"].as_str().map(str::len), Some(24));
    let parts = "--x\r\ncontent-type: application/json\r\n\r\n{\"name\": \"dir/b.txt\"}\r\n--x\r\ncontent-type: text/plain\r\n\r\n12\r\n--x--";
    let path = format!("{UPLOAD}?uploadType=multipart");
    let (code, object) = send(
        &emulator,
        "POST",
        &path,
        "multipart/related; boundary=x",
        parts,
    )
    .await;
    assert_eq!(
        (code, &object["name"]),
        (200, &json!("dir/b.txt")),
        "{object}"
    );

    let (_, listed) = call(
        &emulator,
        "GET",
        "/storage/v1/b/b/o?prefix=dir/&maxResults=1",
    )
    .await;
    assert_eq!(listed["items"][0]["name"], "dir/a.txt");
    let next = listed["nextPageToken"].as_str().unwrap();
    let (_, listed) = call(
        &emulator,
        "GET",
        &format!("/storage/v1/b/b/o?pageToken={next}"),
    )
    .await;
    assert_eq!(listed["items"][0]["name"], "dir/b.txt");
    let (_, listed) = call(&emulator, "GET", "/storage/v1/b/b/o?delimiter=/").await;
    assert_eq!(
        (
            &listed["prefixes"],
            listed["items"].as_array().unwrap().len()
        ),
        (&json!(["dir/"]), 0)
    );

    for path in [
        "/storage/v1/b/b/o/dir%2Fa.txt?alt=media",
        "/download/storage/v1/b/b/o/dir/a.txt",
        "/b/dir/a.txt",
    ] {
        let read = exchange(&emulator, "GET", path, &[], b"").await;
        assert_eq!((read.code, &read.body), (200, &json!("abc")), "{path}");
        assert!(read.header("x-goog-hash").unwrap().starts_with("crc32c="));
    }
    let range = [("Range", "bytes=1-1")];
    let read = exchange(&emulator, "GET", "/b/dir/b.txt", &range, b"").await;
    assert_eq!((read.code, &read.body), (206, &json!(2)));
    assert_eq!(read.header("content-range"), Some("bytes 1-1/2"));

    let copied = call(
        &emulator,
        "POST",
        "/storage/v1/b/b/o/dir%2Fa.txt/rewriteTo/b/b/o/c",
    )
    .await;
    assert_eq!((copied.0, &copied.1["done"]), (200, &json!(true)));
    let sources = json!({"sourceObjects": [{"name": "dir/b.txt"}, {"name": "dir/b.txt"}]});
    let composed = send_json(&emulator, "POST", "/storage/v1/b/b/o/d/compose", &sources).await;
    assert_eq!((composed.0, &composed.1["size"]), (200, &json!("4")));
    let full = call(&emulator, "DELETE", "/storage/v1/b/b").await;
    assert_eq!(full.0, 409);
    for name in ["dir%2Fa.txt", "dir%2Fb.txt", "c", "d"] {
        let path = format!("/storage/v1/b/b/o/{name}");
        assert_eq!(call(&emulator, "DELETE", &path).await.0, 204);
        assert_eq!(call(&emulator, "DELETE", &path).await.0, 404);
    }
    assert_eq!(call(&emulator, "DELETE", "/storage/v1/b/b").await.0, 204);
    let (_, none) = call(&emulator, "GET", "/storage/v1/b").await;
    assert_eq!(none["items"], json!([]));
    emulator.shutdown().await;
}

#[tokio::test]
async fn an_object_arrives_in_pieces_and_only_once_if_asked() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    send_json(&emulator, "POST", "/storage/v1/b", &json!({"name": "b"})).await;
    let begin = format!("{UPLOAD}?uploadType=resumable");
    let begun = exchange(&emulator, "POST", &begin, &[], b"{\"name\": \"x\"}").await;
    let place = begun.header("location").unwrap();
    let place = place.strip_prefix(&emulator.endpoint()).unwrap();
    let first = [("Content-Range", "bytes 0-2/*")];
    assert_eq!(
        exchange(&emulator, "PUT", place, &first, b"123").await.code,
        308
    );
    let last = [("Content-Range", "bytes 3-4/5")];
    let ended = exchange(&emulator, "PUT", place, &last, b"45").await;
    assert_eq!((ended.code, &ended.body["size"]), (200, &json!("5")));
    let read = call(&emulator, "GET", "/storage/v1/b/b/o/x?alt=media").await;
    assert_eq!(read.1, json!(12345));

    let once = format!("{UPLOAD}?uploadType=media&name=x&ifGenerationMatch=0");
    assert_eq!(
        send(&emulator, "POST", &once, "text/plain", "1").await.0,
        412
    );
    let nowhere = "/upload/storage/v1/b/other/o?uploadType=media&name=x";
    assert_eq!(
        send(&emulator, "POST", nowhere, "text/plain", "1").await.0,
        404
    );
    let outside = format!("{UPLOAD}?uploadType=media&name=..%2F..%2Fx");
    assert_eq!(
        send(&emulator, "POST", &outside, "text/plain", "1").await.0,
        400
    );
    assert!(!root.path().join("x").exists());
    emulator.shutdown().await;
}
