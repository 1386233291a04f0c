//! Write streams of a server that is gone, taken up by the next.

use std::fs;
use std::path::{Path, PathBuf};

use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use millpond_emulator::Emulator;
use proto::write_stream::Type;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::harness::TABLE;
use crate::writes::*;

/// The same tables, served anew.
async fn restarted(setup: Setup) -> Setup {
    setup.emulator.shutdown().await;
    served(setup.root).await
}

async fn served(root: tempfile::TempDir) -> Setup {
    let builder = Emulator::builder().data_dir(root.path());
    let emulator = builder.start().await.unwrap();
    let channel = Channel::from_shared(emulator.endpoint()).unwrap();
    let writer = Writer::new(channel.connect().await.unwrap());
    Setup {
        root,
        emulator,
        writer,
    }
}

async fn finalize(writer: &mut Writer, stream: &str) -> i64 {
    let name = stream.to_owned();
    let request = proto::FinalizeWriteStreamRequest { name };
    let finalized = writer.finalize_write_stream(request).await.unwrap();
    finalized.into_inner().row_count
}

#[tokio::test]
async fn pending_rows_outlive_the_server() {
    let mut setup = setup_with(Emulator::builder()).await;
    let streams = [
        make(&mut setup.writer, Type::Pending).await,
        make(&mut setup.writer, Type::Pending).await,
    ];
    let first = request(&streams[0], &some(0..3), Some(0));
    append(&mut setup.writer, vec![first]).await;
    let other = request(&streams[1], &some(10..12), Some(0));
    append(&mut setup.writer, vec![other]).await;
    assert_eq!(finalize(&mut setup.writer, &streams[1]).await, 2);

    let mut setup = restarted(setup).await;
    let answers = append(
        &mut setup.writer,
        vec![
            request(&streams[0], &some(0..3), Some(0)),
            request(&streams[0], &some(3..5), Some(3)),
        ],
    )
    .await;
    assert_eq!(outcomes(&answers), [Err(EXISTS), Ok(Some(3))]);
    let late = append(
        &mut setup.writer,
        vec![request(&streams[1], &some(12..13), None)],
    );
    assert!(outcomes(&late.await)[0].is_err());
    assert!(visible(&setup.emulator).await.is_empty());

    let mut setup = restarted(setup).await;
    assert_eq!(finalize(&mut setup.writer, &streams[0]).await, 5);
    let commit = || proto::BatchCommitWriteStreamsRequest {
        parent: TABLE.to_owned(),
        write_streams: streams.to_vec(),
    };
    let committed = setup.writer.batch_commit_write_streams(commit()).await;
    assert!(committed.unwrap().into_inner().stream_errors.is_empty());
    let mut ids = visible(&setup.emulator).await;
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3, 4, 10, 11]);

    let mut setup = restarted(setup).await;
    let again = setup.writer.batch_commit_write_streams(commit()).await;
    assert_eq!(again.unwrap().into_inner().stream_errors.len(), 2);
    assert_eq!(visible(&setup.emulator).await.len(), 7);
    setup.emulator.shutdown().await;
}

#[tokio::test]
async fn buffered_rows_outlive_the_server_flushed_or_not() {
    let mut setup = setup_with(Emulator::builder()).await;
    let stream = make(&mut setup.writer, Type::Buffered).await;
    let flush = |offset| proto::FlushRowsRequest {
        write_stream: stream.clone(),
        offset: Some(offset),
    };
    append(
        &mut setup.writer,
        vec![
            request(&stream, &some(0..4), Some(0)),
            request(&stream, &some(4..8), Some(4)),
        ],
    )
    .await;
    setup.writer.flush_rows(flush(5)).await.unwrap();

    let mut setup = restarted(setup).await;
    assert_eq!(visible(&setup.emulator).await, [0, 1, 2, 3, 4, 5]);
    let more = append(
        &mut setup.writer,
        vec![
            request(&stream, &some(4..8), Some(4)),
            request(&stream, &some(8..9), Some(8)),
        ],
    );
    assert_eq!(outcomes(&more.await), [Err(EXISTS), Ok(Some(8))]);
    setup.writer.flush_rows(flush(3)).await.unwrap();
    assert_eq!(visible(&setup.emulator).await.len(), 6);
    setup.writer.flush_rows(flush(8)).await.unwrap();
    assert_eq!(visible(&setup.emulator).await, (0..9).collect::<Vec<i64>>());
    assert!(setup.writer.flush_rows(flush(9)).await.is_err());
    setup.emulator.shutdown().await;
}

/// The file that says how far the table's only stream is.
fn record(root: &Path) -> PathBuf {
    let table = root.join("p/d/t");
    let mut streams = fs::read_dir(&table).unwrap().map(|e| e.unwrap().path());
    let is_stream = |path: &PathBuf| path.to_str().unwrap().contains("/_stream-");
    streams.find(is_stream).unwrap().join("stream.json")
}

#[tokio::test]
async fn committed_offsets_outlive_a_server_that_died_at_any_moment() {
    let mut setup = setup_with(Emulator::builder()).await;
    let stream = make(&mut setup.writer, Type::Committed).await;
    let again = || vec![request(&stream, &some(0..3), Some(0))];
    append(&mut setup.writer, again()).await;
    let mut setup = restarted(setup).await;
    assert_eq!(
        outcomes(&append(&mut setup.writer, again()).await),
        [Err(EXISTS)]
    );
    assert_eq!(visible(&setup.emulator).await, [0, 1, 2]);

    // As it was written down just before the rows became part of the table.
    setup.emulator.shutdown().await;
    let path = record(setup.root.path());
    let mut was: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    was["published"] = json!(0);
    was["publishing"] = json!({
        "parts": [{"file": "_part-x.parquet", "partition": null}],
        "published": 3,
        "committed": false,
    });
    fs::write(&path, was.to_string()).unwrap();
    // The file has its final name: it happened.
    let mut setup = served(setup.root).await;
    assert_eq!(
        outcomes(&append(&mut setup.writer, again()).await),
        [Err(EXISTS)]
    );
    setup.emulator.shutdown().await;
    // It has not: nothing happened, and the rows are sent again.
    fs::write(&path, was.to_string()).unwrap();
    let table = setup.root.path().join("p/d/t");
    fs::write(table.join("_part-x.parquet"), "").unwrap();
    let data = |name: &str| name.starts_with("data-");
    for entry in fs::read_dir(&table).unwrap().map(Result::unwrap) {
        if data(entry.file_name().to_str().unwrap()) {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let mut setup = served(setup.root).await;
    assert!(visible(&setup.emulator).await.is_empty());
    assert_eq!(
        outcomes(&append(&mut setup.writer, again()).await),
        [Ok(Some(0))]
    );
    assert_eq!(visible(&setup.emulator).await, [0, 1, 2]);
    setup.emulator.shutdown().await;
}

#[tokio::test]
async fn a_commit_that_was_cut_short_is_completed() {
    let mut setup = setup_with(Emulator::builder()).await;
    let stream = make(&mut setup.writer, Type::Pending).await;
    append(&mut setup.writer, vec![request(&stream, &some(0..3), None)]).await;
    finalize(&mut setup.writer, &stream).await;
    setup.emulator.shutdown().await;
    // Two files were to become part of the table; one did, the other is still under its first name.
    let path = record(setup.root.path());
    let mut was: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    was["publishing"] = json!({
        "parts": [{"file": "_part-x.parquet"}, {"file": "_part-y.parquet"}],
        "published": 3,
        "committed": true,
    });
    fs::write(&path, was.to_string()).unwrap();
    let table = setup.root.path().join("p/d/t");
    let rows = crate::harness::rows(0, 3);
    crate::harness::write_file(setup.root.path(), "t", "_part-y.parquet", &[rows], 700);
    let mut setup = served(setup.root).await;
    let commit = proto::BatchCommitWriteStreamsRequest {
        parent: TABLE.to_owned(),
        write_streams: vec![stream.clone()],
    };
    let again = setup.writer.batch_commit_write_streams(commit).await;
    let errors = again.unwrap().into_inner().stream_errors;
    assert!(errors[0].error_message.contains("already committed"));
    assert!(!table.join("_part-y.parquet").exists());
    assert_eq!(visible(&setup.emulator).await, [0, 1, 2]);
    setup.emulator.shutdown().await;
}
