//! Messages kept in memory.

use std::fs;

use google_cloud_bigquery::model::read_session::TableReadOptions;
use millpond_emulator::Emulator;
use tempfile::TempDir;

use crate::harness::*;

/// Takes the files away that rows come from.
fn lose_files(root: &TempDir) {
    for part in 0..3 {
        fs::remove_file(root.path().join(format!("p/d/t/part-{part}.parquet"))).unwrap();
    }
}

#[tokio::test]
async fn what_was_read_whole_is_read_again_from_memory() {
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
