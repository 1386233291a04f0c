//! Messages kept on disk.

use std::fs;
use std::path::PathBuf;

use google_cloud_bigquery::model::read_session::TableReadOptions;
use millpond_emulator::Emulator;
use tempfile::TempDir;

use crate::harness::*;
use crate::statements::{make_dataset, run};

/// Takes the files away that rows come from.
fn lose_files(root: &TempDir) {
    for part in 0..3 {
        fs::remove_file(root.path().join(format!("p/d/t/part-{part}.parquet"))).unwrap();
    }
}

#[tokio::test]
async fn what_was_read_whole_is_read_again_without_the_table() {
    let root = numbered_table(5000);
    let builder = Emulator::builder()
        .message_bytes(7000)
        .keep_messages(10 << 20);
    let (emulator, client) = start(builder, &root).await;
    let filter = TableReadOptions::new().set_row_restriction("MOD(id, 3) = 0");
    let whole = open(&client, arrow_session()).await.unwrap();
    let filtered = open(&client, arrow_session().set_read_options(filter))
        .await
        .unwrap();
    let mut before = Vec::new();
    for session in [&whole, &filtered] {
        before.push(
            read_once(&client, &session.streams[0].name, 0)
                .await
                .unwrap(),
        );
    }
    // Read, but not to its end and not from its beginning.
    let fields = TableReadOptions::new().set_selected_fields(["name"]);
    let unread = open(&client, arrow_session().set_read_options(fields))
        .await
        .unwrap();
    read_once(&client, &unread.streams[0].name, 100)
        .await
        .unwrap();
    lose_files(&root);
    for (session, before) in [&whole, &filtered].into_iter().zip(&before) {
        let stream = &session.streams[0].name;
        let again = read_once(&client, stream, 0).await.unwrap();
        assert_eq!(again.batches, before.batches);
        assert!((again.progress - 1.0).abs() < 1e-9);
        let first = before.batches[0].num_rows() as i64;
        let rest = read_once(&client, stream, first).await.unwrap();
        assert_eq!(rest.batches, before.batches[1..]);
        // Where no message begins, rows have to come from the files.
        assert!(read_once(&client, stream, first - 1).await.is_err());
    }
    assert!(
        read_once(&client, &unread.streams[0].name, 0)
            .await
            .is_err()
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn nothing_is_kept_unless_asked_for_and_nothing_that_is_too_large() {
    for builder in [
        Emulator::builder(),
        Emulator::builder().keep_messages(20_000),
        // Less than a 1,024th part.
        Emulator::builder().keep_messages(1 << 30),
    ] {
        let root = numbered_table(5000);
        let (emulator, client) = start(builder.message_bytes(7000), &root).await;
        let session = open(&client, arrow_session()).await.unwrap();
        let stream = &session.streams[0].name;
        let rows = read_once(&client, stream, 0).await.unwrap().ids();
        assert_eq!(rows, (0..5000).collect::<Vec<i64>>());
        lose_files(&root);
        assert!(read_once(&client, stream, 0).await.is_err());
        emulator.shutdown().await;
    }
}

#[tokio::test]
async fn columns_that_are_sent_as_they_are_stored_are_kept_as_well() {
    let root = TempDir::new().unwrap();
    let builder = Emulator::builder()
        .message_bytes(7000)
        .keep_messages(10 << 20);
    let (emulator, client) = start(builder, &root).await;
    make_dataset(&emulator).await;
    run(
        &emulator,
        "CREATE TABLE d.t AS SELECT x / 7 AS a, x / 11 AS b FROM UNNEST(GENERATE_ARRAY(1, 5000)) AS x",
    )
    .await;
    let session = open(&client, arrow_session()).await.unwrap();
    let stream = &session.streams[0].name;
    let before = read_once(&client, stream, 0).await.unwrap();
    let rows: usize = before.batches.iter().map(|b| b.num_rows()).sum();
    assert_eq!(rows, 5000);
    for entry in fs::read_dir(root.path().join("p/d/t")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "parquet") {
            fs::remove_file(path).unwrap();
        }
    }
    // Whoever reads second reads what was kept.
    let again = read_once(&client, stream, 0).await.unwrap();
    assert_eq!(again.batches, before.batches);
    emulator.shutdown().await;
}

/// The one file of kept messages.
fn kept_file(root: &TempDir) -> PathBuf {
    let entries = fs::read_dir(root.path().join(".kept-messages")).unwrap();
    let files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[tokio::test]
async fn what_was_kept_outlives_the_server_and_damage_is_read_from_the_table() {
    let root = numbered_table(5000);
    let builder = Emulator::builder()
        .message_bytes(7000)
        .keep_messages(10 << 20);
    let (emulator, client) = start(builder.clone(), &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    let before = read_once(&client, &session.streams[0].name, 0)
        .await
        .unwrap();
    emulator.shutdown().await;

    let path = kept_file(&root);
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    let (emulator, client) = start(builder, &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    let stream = &session.streams[0].name;
    for (bytes, stays) in [(&whole, true), (&damaged, false)] {
        fs::write(&path, bytes).unwrap();
        let again = read_once(&client, stream, 0).await.unwrap();
        assert_eq!(again.ids(), before.ids());
        assert_eq!(path.exists(), stays);
    }
    // What the table is read from is kept once more, and found without the table.
    read_once(&client, stream, 0).await.unwrap();
    lose_files(&root);
    let again = read_once(&client, stream, 0).await.unwrap();
    assert_eq!(again.batches, before.batches);
    emulator.shutdown().await;
}
