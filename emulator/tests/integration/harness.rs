//! Tables on disk, a client, and decoding of what arrives.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_ipc::reader::StreamDecoder;
use google_cloud_auth::credentials::anonymous;
use google_cloud_bigquery::client::Read;
use google_cloud_bigquery::model::{
    DataFormat, ReadRowsResponse, ReadSession, read_rows_response, read_session,
};
use millpond_emulator::{Emulator, EmulatorBuilder, RunningEmulator};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

pub const TABLE: &str = "projects/p/datasets/d/tables/t";

/// Writes `batches` as one file of the table `p:d.<table>`.
pub fn write_file(
    root: &Path,
    table: &str,
    file: &str,
    batches: &[RecordBatch],
    group_rows: usize,
) {
    let directory = root.join("p/d").join(table);
    fs::create_dir_all(&directory).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_row_count_limit(100)
        .set_write_batch_size(50)
        .build();
    let out = File::create(directory.join(file)).unwrap();
    let mut writer = ArrowWriter::try_new(out, batches[0].schema(), Some(properties)).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.close().unwrap();
}

/// Rows `from..to`: `id` counts up, `name` is text of varying length, null in every seventh row.
pub fn rows(from: i64, to: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(from..to));
    let names: ArrayRef =
        Arc::new(StringArray::from_iter((from..to).map(|i| {
            (i % 7 != 0).then(|| format!("name {i} {}", "x".repeat((i % 40) as usize)))
        })));
    RecordBatch::try_from_iter_with_nullable([("id", ids, false), ("name", names, true)]).unwrap()
}

/// A data directory with the table `p:d.t` of `total` rows in three files of unequal length.
pub fn numbered_table(total: i64) -> TempDir {
    let root = TempDir::new().unwrap();
    let cuts = [0, total / 5, total / 2, total];
    for (i, pair) in cuts.windows(2).enumerate() {
        write_file(
            root.path(),
            "t",
            &format!("part-{i}.parquet"),
            &[rows(pair[0], pair[1])],
            700,
        );
    }
    root
}

pub async fn start(builder: EmulatorBuilder, root: &TempDir) -> (RunningEmulator, Read) {
    let emulator = builder.data_dir(root.path()).start().await.unwrap();
    let client = client(&emulator).await;
    (emulator, client)
}

/// An emulator of what is below `root`.
pub async fn serve(root: &TempDir) -> RunningEmulator {
    let builder = Emulator::builder().data_dir(root.path());
    builder.start().await.unwrap()
}

pub async fn client(emulator: &RunningEmulator) -> Read {
    Read::builder()
        .with_endpoint(emulator.endpoint())
        .with_credentials(anonymous::Builder::new().build())
        .build()
        .await
        .unwrap()
}

pub fn arrow_session() -> ReadSession {
    ReadSession::new()
        .set_data_format(DataFormat::Arrow)
        .set_table(TABLE)
}

pub async fn open(
    client: &Read,
    session: ReadSession,
) -> Result<ReadSession, google_cloud_bigquery::Error> {
    client
        .create_read_session()
        .set_parent("projects/p")
        .set_read_session(session)
        .send()
        .await
}

/// Code and message of a failed call.
pub fn status<T: std::fmt::Debug>(
    result: Result<T, google_cloud_bigquery::Error>,
) -> (String, String) {
    let error = result.unwrap_err();
    let status = error
        .status()
        .unwrap_or_else(|| panic!("no status in {error:?}"));
    (status.code.name().to_owned(), status.message.clone())
}

pub fn session_schema(session: &ReadSession) -> SchemaRef {
    let Some(read_session::Schema::ArrowSchema(schema)) = &session.schema else {
        panic!("no Arrow schema in {session:?}");
    };
    decode_schema(schema.serialized_schema.clone())
}

fn decode_schema(message: bytes::Bytes) -> SchemaRef {
    Arc::new(try_schema_from_ipc_buffer(&message).unwrap())
}

/// Decodes the responses of one call; the schema must come with the first one and only there.
#[derive(Default)]
pub struct Decoded {
    decoder: Option<StreamDecoder>,
    pub batches: Vec<RecordBatch>,
    pub progress: f64,
}

impl Decoded {
    pub fn push(&mut self, response: &ReadRowsResponse) {
        match &response.schema {
            Some(read_rows_response::Schema::ArrowSchema(schema)) => {
                let mut decoder = StreamDecoder::new();
                decoder
                    .decode(&mut Buffer::from(schema.serialized_schema.clone()))
                    .unwrap();
                self.decoder = Some(decoder);
            }
            _ => assert!(self.decoder.is_some(), "the first response has no schema"),
        }
        let Some(read_rows_response::Rows::ArrowRecordBatch(batch)) = &response.rows else {
            panic!("no rows in {response:?}");
        };
        let mut body = Buffer::from(batch.serialized_record_batch.clone());
        let batch = self
            .decoder
            .as_mut()
            .unwrap()
            .decode(&mut body)
            .unwrap()
            .unwrap();
        assert!(body.is_empty(), "more than one message in a response");
        assert_eq!(batch.num_rows() as i64, response.row_count);
        let progress = response.stats.as_ref().unwrap().progress.as_ref().unwrap();
        assert!(progress.at_response_start <= progress.at_response_end);
        assert!(
            (progress.at_response_start - self.progress).abs() < 1e-9 || self.batches.is_empty()
        );
        self.progress = progress.at_response_end;
        self.batches.push(batch);
    }

    pub fn ids(&self) -> Vec<i64> {
        ids(&self.batches)
    }
}

pub fn ids(batches: &[RecordBatch]) -> Vec<i64> {
    batches
        .iter()
        .flat_map(|b| {
            b.column_by_name("id")
                .unwrap()
                .as_primitive::<Int64Type>()
                .values()
                .to_vec()
        })
        .collect()
}

/// One ReadRows call, without the client's own reconnecting.
pub async fn read_once(
    client: &Read,
    stream: &str,
    offset: i64,
) -> Result<Decoded, google_cloud_bigquery::Error> {
    let mut responses = client
        .read_rows()
        .set_read_stream(stream)
        .set_offset(offset)
        .send()
        .await?;
    let mut decoded = Decoded::default();
    while let Some(response) = responses.next().await {
        decoded.push(&response?);
    }
    Ok(decoded)
}

/// Reads all streams in order, each with one call.
pub async fn read_all(client: &Read, session: &ReadSession) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    for stream in &session.streams {
        batches.extend(read_once(client, &stream.name, 0).await.unwrap().batches);
    }
    batches
}
