//! Samples, and responses compressed as a whole.

use std::num::NonZeroU32;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use google_cloud_bigquery::client::Read;
use google_cloud_bigquery::model::read_session::TableReadOptions;
use google_cloud_bigquery::model::read_session::table_read_options::ResponseCompressionCodec;
use google_cloud_bigquery::model::{
    ArrowSerializationOptions, DataFormat, ReadRowsResponse, ReadSession,
    arrow_serialization_options::CompressionCodec, read_session,
};
use millpond_emulator::Emulator;
use tempfile::TempDir;

use crate::harness::*;

/// Rows of a block in the table below: its row groups are smaller than blocks get.
const GROUP_ROWS: i64 = 700;

/// One file of a hundred row groups.
fn blocks() -> TempDir {
    let root = TempDir::new().unwrap();
    let all = rows(0, 100 * GROUP_ROWS);
    write_file(root.path(), "t", "a.parquet", &[all], GROUP_ROWS as usize);
    root
}

fn sample(percentage: f64) -> ReadSession {
    let options = TableReadOptions::new().set_sample_percentage(percentage);
    arrow_session().set_read_options(options)
}

#[tokio::test]
async fn a_sample_is_whole_blocks_and_stays_the_same() {
    let root = blocks();
    let builder = Emulator::builder()
        .streams(NonZeroU32::new(3).unwrap())
        .message_bytes(9000);
    let (emulator, client) = start(builder, &root).await;
    let whole = open(&client, arrow_session()).await.unwrap();
    let session = open(&client, sample(30.0)).await.unwrap();
    assert_eq!(session.streams.len(), 3);
    let sampled = ids(&read_all(&client, &session).await);
    assert_eq!(session.estimated_row_count, sampled.len() as i64);
    assert!(
        (10..=50).contains(&(sampled.len() as i64 / GROUP_ROWS)),
        "{} rows",
        sampled.len()
    );
    let share =
        session.estimated_total_bytes_scanned as f64 / whole.estimated_total_bytes_scanned as f64;
    let expected = sampled.len() as f64 / (100 * GROUP_ROWS) as f64;
    assert!((share - expected).abs() < 0.01, "{share} beside {expected}");
    for block in sampled.chunks(GROUP_ROWS as usize) {
        let first = block[0];
        assert_eq!(first % GROUP_ROWS, 0);
        assert_eq!(block, (first..first + GROUP_ROWS).collect::<Vec<i64>>());
    }
    assert!(sampled.is_sorted());
    assert_eq!(ids(&read_all(&client, &session).await), sampled);
    for stream in &session.streams {
        let full = read_once(&client, &stream.name, 0).await.unwrap();
        assert!((full.progress - 1.0).abs() < 1e-9);
        let full = full.ids();
        for offset in [1, GROUP_ROWS as usize, full.len() / 2, full.len()] {
            let rest = read_once(&client, &stream.name, offset as i64).await;
            assert_eq!(rest.unwrap().ids(), full[offset..]);
        }
        let beyond = read_once(&client, &stream.name, full.len() as i64 + 1).await;
        assert_eq!(status(beyond.map(|d| d.ids())).0, "FAILED_PRECONDITION");
    }
    // Another session, another choice.
    let other = open(&client, sample(30.0)).await.unwrap();
    assert_ne!(ids(&read_all(&client, &other).await), sampled);
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_sample_is_taken_before_the_filter() {
    let root = blocks();
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let options = TableReadOptions::new()
        .set_sample_percentage(50.0)
        .set_row_restriction("MOD(id, 7) = 3");
    let session = open(&client, arrow_session().set_read_options(options))
        .await
        .unwrap();
    let passed = ids(&read_all(&client, &session).await);
    assert!(passed.iter().all(|id| id % 7 == 3));
    assert_eq!(passed.len() as i64, session.estimated_row_count / 7);
    assert!(passed.len() as i64 * 7 < 100 * GROUP_ROWS);
    emulator.shutdown().await;
}

#[tokio::test]
async fn percentages_have_ends() {
    let root = blocks();
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let all = open(&client, sample(100.0)).await.unwrap();
    assert_eq!(all.estimated_row_count, 100 * GROUP_ROWS);
    let none = open(&client, sample(0.0)).await.unwrap();
    assert!(none.streams.is_empty());
    assert_eq!(session_schema(&none), rows(0, 0).schema());
    for percentage in [-1.0, 100.5, f64::NAN] {
        let (code, message) = status(open(&client, sample(percentage)).await);
        assert_eq!(code, "INVALID_ARGUMENT");
        assert!(
            message.ends_with("is not between 0 and 100"),
            "{percentage}: {message}"
        );
    }
    emulator.shutdown().await;
}

fn lz4() -> TableReadOptions {
    TableReadOptions::new().set_response_compression_codec(ResponseCompressionCodec::Lz4)
}

async fn responses(client: &Read, stream: &str) -> Vec<ReadRowsResponse> {
    let mut call = client
        .read_rows()
        .set_read_stream(stream)
        .send()
        .await
        .unwrap();
    let mut all = Vec::new();
    while let Some(response) = call.next().await.transpose().unwrap() {
        all.push(response);
    }
    all
}

/// A payload as it was, and whether it came compressed.
fn payload(response: &ReadRowsResponse, sent: &[u8]) -> (Vec<u8>, bool) {
    match response.uncompressed_byte_size.unwrap() {
        -1 => (sent.to_vec(), false),
        size => {
            assert!(size > sent.len() as i64);
            let whole = lz4_flex::block::decompress(sent, size as usize).unwrap();
            assert_eq!(whole.len() as i64, size);
            (whole, true)
        }
    }
}

#[tokio::test]
async fn responses_compressed_as_a_whole_hold_the_same_rows() {
    let root = numbered_table(3000);
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let session = open(&client, arrow_session().set_read_options(lz4()))
        .await
        .unwrap();
    let echoed = session.read_options.as_ref().unwrap();
    assert_eq!(
        echoed.response_compression_codec,
        Some(ResponseCompressionCodec::Lz4)
    );
    let mut decoder = StreamDecoder::new();
    let Some(read_session::Schema::ArrowSchema(schema)) = &session.schema else {
        panic!("no Arrow schema in {session:?}");
    };
    decoder
        .decode(&mut Buffer::from(schema.serialized_schema.clone()))
        .unwrap();
    let mut batches: Vec<RecordBatch> = Vec::new();
    for response in responses(&client, &session.streams[0].name).await {
        let sent = &response
            .arrow_record_batch()
            .unwrap()
            .serialized_record_batch;
        let (whole, compressed) = payload(&response, sent);
        assert!(compressed);
        let batch = decoder.decode(&mut Buffer::from(whole)).unwrap().unwrap();
        assert_eq!(batch.num_rows() as i64, response.row_count);
        batches.push(batch);
    }
    assert_eq!(ids(&batches), (0..3000).collect::<Vec<i64>>());
    // Without it nothing is said of sizes.
    let plain = open(&client, arrow_session()).await.unwrap();
    let plain = responses(&client, &plain.streams[0].name).await;
    assert!(plain.iter().all(|r| r.uncompressed_byte_size.is_none()));
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_payload_that_does_not_shrink_is_sent_as_it_is() {
    // A single row has nothing that repeats but the padding, of which Avro has none.
    let root = TempDir::new().unwrap();
    write_file(root.path(), "t", "a.parquet", &[rows(1, 2)], 700);
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let read = |options: TableReadOptions| {
        let session = ReadSession::new()
            .set_data_format(DataFormat::Avro)
            .set_table(TABLE)
            .set_read_options(options);
        let client = &client;
        async move {
            let session = open(client, session).await.unwrap();
            responses(client, &session.streams[0].name).await.remove(0)
        }
    };
    let compressed = read(lz4()).await;
    let plain = read(TableReadOptions::new()).await;
    let sent = &compressed.avro_rows().unwrap().serialized_binary_rows;
    assert_eq!(compressed.uncompressed_byte_size, Some(-1));
    assert_eq!(*sent, plain.avro_rows().unwrap().serialized_binary_rows);
    emulator.shutdown().await;
}

#[tokio::test]
async fn one_kind_of_compression_at_a_time() {
    let root = numbered_table(100);
    let (emulator, client) = start(Emulator::builder(), &root).await;
    let buffers = |codec| {
        let arrow = ArrowSerializationOptions::new().set_buffer_compression(codec);
        arrow_session().set_read_options(lz4().set_arrow_serialization_options(arrow))
    };
    let (code, message) = status(open(&client, buffers(CompressionCodec::Zstd)).await);
    assert_eq!(code, "INVALID_ARGUMENT");
    assert!(message.contains("cannot both be set"), "{message}");
    let neither = buffers(CompressionCodec::CompressionUnspecified);
    assert!(open(&client, neither).await.is_ok());
    emulator.shutdown().await;
}
