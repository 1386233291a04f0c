//! Sessions, streams and offsets.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use arrow::compute::concat_batches;
use google_cloud_bigquery::model::read_session::TableReadOptions;
use google_cloud_bigquery::model::{
    ArrowSerializationOptions, arrow_serialization_options::CompressionCodec,
};
use millpond_emulator::{Emulator, LoggedCall};
use tempfile::TempDir;

use crate::harness::*;

#[tokio::test]
async fn every_row_is_in_exactly_one_stream_in_storage_order() {
    let root = numbered_table(10_000);
    let expected = rows(0, 10_000);
    for (streams, message_bytes) in [(1, 1 << 20), (7, 10_000), (999, 100)] {
        let builder = Emulator::builder()
            .streams(NonZeroU32::new(streams).unwrap())
            .message_bytes(message_bytes);
        let (emulator, client) = start(builder, &root).await;
        let session = open(&client, arrow_session()).await.unwrap();
        assert_eq!(session.streams.len(), streams as usize);
        assert_eq!(session.estimated_row_count, 10_000);
        assert_eq!(session_schema(&session), expected.schema());
        let batches = read_all(&client, &session).await;
        assert_eq!(
            concat_batches(&expected.schema(), &batches).unwrap(),
            expected
        );
        // Messages keep to their target: never more than about twice of it.
        let bytes = |b: &arrow::array::RecordBatch| {
            b.columns()
                .iter()
                .map(|c| c.to_data().get_slice_memory_size().unwrap())
                .sum::<usize>()
        };
        let largest = batches
            .iter()
            .filter(|b| b.num_rows() > 1)
            .map(bytes)
            .max()
            .unwrap_or(0);
        assert!(
            largest <= 2 * message_bytes + 200,
            "{largest} bytes for a target of {message_bytes}"
        );
        emulator.shutdown().await;
    }
}

#[tokio::test]
async fn a_read_at_an_offset_is_the_suffix_of_the_full_read() {
    let root = numbered_table(5000);
    let builder = Emulator::builder()
        .streams(NonZeroU32::new(3).unwrap())
        .message_bytes(7000);
    let (emulator, client) = start(builder, &root).await;
    for filter in ["", "MOD(id, 3) = 0 AND name IS NOT NULL"] {
        let options = TableReadOptions::new().set_row_restriction(filter);
        let session = open(&client, arrow_session().set_read_options(options))
            .await
            .unwrap();
        for stream in session.streams.iter().map(|s| &s.name) {
            let full = read_once(&client, stream, 0).await.unwrap();
            assert!((full.progress - 1.0).abs() < 1e-9);
            let full = full.ids();
            let count = full.len();
            for offset in [1, 2, 100, count / 2, count - 101, count - 1, count] {
                let rest = read_once(&client, stream, offset as i64).await.unwrap();
                assert_eq!(
                    rest.ids(),
                    full[offset..],
                    "{filter:?} at {offset} of {count}"
                );
            }
            let beyond = status(
                read_once(&client, stream, count as i64 + 1)
                    .await
                    .map(|d| d.ids()),
            );
            let text = format!("offset {} has not been allocated yet", count + 1);
            assert_eq!(beyond, ("FAILED_PRECONDITION".to_owned(), text));
        }
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn an_offset_without_a_filter_decodes_only_what_is_asked_for() {
    let root = numbered_table(5000);
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    let stream = &session.streams[0].name;
    read_once(&client, stream, 4990).await.unwrap();
    let reads: Vec<LoggedCall> = emulator.requests();
    let Some(LoggedCall::ReadRows {
        offset,
        rows,
        responses,
        ..
    }) = reads.last()
    else {
        panic!("the last call was no read: {reads:?}");
    };
    assert_eq!((*offset, *rows, *responses), (4990, 10, 1));
    let Some(LoggedCall::CreateReadSession { table, streams, .. }) = reads.first() else {
        panic!("the first call made no session: {reads:?}");
    };
    assert_eq!((table.as_str(), streams.len()), (TABLE, 1));
    emulator.shutdown().await;
}

#[tokio::test]
async fn an_empty_table_has_a_schema_and_no_streams() {
    let root = TempDir::new().unwrap();
    write_file(root.path(), "t", "a.parquet", &[rows(0, 0)], 100);
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    assert!(session.streams.is_empty());
    assert_eq!(session_schema(&session), rows(0, 0).schema());
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_filter_that_nothing_passes_gives_streams_without_rows() {
    let root = numbered_table(2000);
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let options = TableReadOptions::new().set_row_restriction("id < 0");
    let session = open(&client, arrow_session().set_read_options(options))
        .await
        .unwrap();
    assert_eq!(session.streams.len(), 1);
    assert!(read_all(&client, &session).await.is_empty());
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_session_says_what_was_asked_for_and_when_it_ends() {
    let root = numbered_table(100);
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let options = TableReadOptions::new()
        .set_selected_fields(["name", "id"])
        .set_row_restriction("id > 5");
    let asked = arrow_session()
        .set_read_options(options)
        .set_trace_id("trace");
    let session = open(&client, asked).await.unwrap();
    assert!(
        session
            .name
            .starts_with("projects/p/locations/us/sessions/"),
        "{}",
        session.name
    );
    assert_eq!(session.table, TABLE);
    assert_eq!(session.trace_id, "trace");
    let echoed = session.read_options.as_ref().unwrap();
    assert_eq!(echoed.selected_fields, ["name", "id"]);
    assert_eq!(echoed.row_restriction, "id > 5");
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let left = session.expire_time.as_ref().unwrap().seconds() - now.as_secs() as i64;
    assert!(
        (6 * 3600 - 60..=6 * 3600 + 1).contains(&left),
        "{left} seconds"
    );
    let names: Vec<String> = session_schema(&session)
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(names, ["id", "name"]);
    assert!(session.estimated_total_bytes_scanned > 800);
    emulator.shutdown().await;
}

#[tokio::test]
async fn compressed_buffers_decode_to_the_same_rows() {
    let root = numbered_table(3000);
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let mut sizes = Vec::new();
    for codec in [
        CompressionCodec::CompressionUnspecified,
        CompressionCodec::Lz4Frame,
        CompressionCodec::Zstd,
    ] {
        let arrow = ArrowSerializationOptions::new().set_buffer_compression(codec);
        let options = TableReadOptions::new().set_arrow_serialization_options(arrow);
        let session = open(&client, arrow_session().set_read_options(options))
            .await
            .unwrap();
        let mut responses = client
            .read_rows()
            .set_read_stream(&session.streams[0].name)
            .send()
            .await
            .unwrap();
        let mut decoded = Decoded::default();
        let mut size = 0;
        while let Some(response) = responses.next().await.transpose().unwrap() {
            decoded.push(&response);
            size += response
                .arrow_record_batch()
                .unwrap()
                .serialized_record_batch
                .len();
        }
        assert_eq!(decoded.ids(), (0..3000).collect::<Vec<i64>>());
        sizes.push(size);
    }
    assert!(sizes[1] < sizes[0] && sizes[2] < sizes[0], "{sizes:?}");
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_split_stream_is_read_as_two_and_still_as_one() {
    let root = numbered_table(3000);
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    let original = &session.streams[0].name;
    let split = client
        .split_read_stream()
        .set_name(original)
        .set_fraction(0.25)
        .send()
        .await
        .unwrap();
    let primary = read_once(&client, &split.primary_stream.unwrap().name, 0)
        .await
        .unwrap()
        .ids();
    let remainder = read_once(&client, &split.remainder_stream.unwrap().name, 0)
        .await
        .unwrap()
        .ids();
    assert!((400..1200).contains(&primary.len()), "{}", primary.len());
    let both: Vec<i64> = primary.into_iter().chain(remainder).collect();
    assert_eq!(both, read_once(&client, original, 0).await.unwrap().ids());
    emulator.shutdown().await;
}

#[tokio::test]
async fn rows_of_a_session_do_not_change_under_it() {
    let root = numbered_table(1000);
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    // A file more belongs to later sessions only; a file replaced ends the session with an error instead of other rows.
    write_file(root.path(), "t", "part-9.parquet", &[rows(1000, 1100)], 700);
    assert_eq!(
        read_once(&client, &session.streams[0].name, 0)
            .await
            .unwrap()
            .ids()
            .len(),
        1000
    );
    let later = open(&client, arrow_session()).await.unwrap();
    assert_eq!(later.estimated_row_count, 1100);
    write_file(root.path(), "t", "part-0.parquet", &[rows(5000, 5003)], 700);
    let (code, message) = status(
        read_once(&client, &session.streams[0].name, 0)
            .await
            .map(|d| d.ids()),
    );
    assert_eq!(code, "FAILED_PRECONDITION");
    assert!(
        message.ends_with("part-0.parquet changed after the session was created"),
        "{message}"
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn many_streams_are_read_at_once_and_slow_readers_hold_nobody_up() {
    let root = numbered_table(10_000);
    let builder = Emulator::builder()
        .streams(NonZeroU32::new(600).unwrap())
        .message_bytes(200);
    let (emulator, client) = start(builder, &root).await;
    let session = open(&client, arrow_session()).await.unwrap();
    // All 600 calls are open before the first is read to its end: more than the runtime has blocking threads.
    let mut calls = Vec::new();
    for stream in &session.streams {
        calls.push(
            client
                .read_rows()
                .set_read_stream(&stream.name)
                .send()
                .await
                .unwrap(),
        );
    }
    let mut total = 0;
    for mut call in calls {
        while let Some(response) = call.next().await.transpose().unwrap() {
            total += response.row_count;
        }
    }
    assert_eq!(total, 10_000);
    let stopped = tokio::time::timeout(Duration::from_secs(5), emulator.shutdown()).await;
    assert!(stopped.is_ok());
}
