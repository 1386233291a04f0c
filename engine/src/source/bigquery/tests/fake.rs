//! A service without a network: sessions and streams by script, on paused time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use bytes::Bytes;
use futures::{StreamExt, stream};
use google_cloud_bigquery::Error as ServiceError;
use google_cloud_bigquery::client::Read;
use google_cloud_bigquery::model::{
    ArrowRecordBatch, ArrowSchema, CreateReadSessionRequest, ReadRowsRequest, ReadRowsResponse,
    ReadSession, StreamStats, stream_stats,
};
use google_cloud_bigquery::stub;
use google_cloud_gax::error::rpc::{Code, Status, StatusDetails};
use google_cloud_gax::options::RequestOptions;
use google_cloud_gax::response::Response;
use google_cloud_gax::streaming::ResponseStream;

/// How one call ends.
#[derive(Debug, Clone)]
pub enum End {
    /// After all messages.
    Clean,
    /// After this many messages, with a status.
    Status(usize, Code, &'static str),
    /// After this many messages, with RESOURCE_EXHAUSTED and a RetryInfo of so many seconds.
    Quota(usize, u64),
    /// After this many messages, the connection breaks.
    Broken(usize),
    /// After this many messages, never.
    Silent(usize),
    /// All messages from the first, whatever the offset.
    IgnoresOffset,
}

/// What a stream holds.
#[derive(Debug, Clone, Default)]
pub struct FakeStream {
    /// Messages and their row counts.
    pub messages: Vec<(Bytes, i64)>,
    /// The schema sent with the first message of every call.
    pub schema: Bytes,
    /// How the calls end, one after the other; clean when used up.
    pub ends: VecDeque<End>,
}

/// The service. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Fake {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Result<ReadSession, (Code, &'static str)>>,
    streams: HashMap<String, FakeStream>,
    sessions: Vec<CreateReadSessionRequest>,
    reads: Vec<(String, i64)>,
}

impl Fake {
    /// A client of it.
    pub fn client(&self) -> Read {
        Read::from_stub::<Self>(self.clone())
    }

    /// Adds an answer to CreateReadSession.
    pub fn answer(&self, answer: Result<ReadSession, (Code, &'static str)>) {
        self.state.lock().unwrap().answers.push_back(answer);
    }

    /// Adds a stream.
    pub fn stream(&self, name: &str, stream: FakeStream) {
        let mut state = self.state.lock().unwrap();
        state.streams.insert(name.to_owned(), stream);
    }

    /// The sessions asked for.
    pub fn sessions(&self) -> Vec<CreateReadSessionRequest> {
        self.state.lock().unwrap().sessions.clone()
    }

    /// The offsets `stream` was opened at.
    pub fn offsets(&self, stream: &str) -> Vec<i64> {
        let state = self.state.lock().unwrap();
        let reads = state.reads.iter().filter(|(name, _)| name == stream);
        reads.map(|(_, offset)| *offset).collect()
    }
}

fn failure(code: Code, message: &str) -> ServiceError {
    ServiceError::service(Status::default().set_code(code).set_message(message))
}

fn quota(seconds: u64) -> ServiceError {
    let details: Vec<StatusDetails> = serde_json::from_value(serde_json::json!([
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")}
    ]))
    .unwrap();
    ServiceError::service(
        Status::default()
            .set_code(Code::ResourceExhausted)
            .set_message("quota exceeded")
            .set_details(details),
    )
}

impl stub::Read for Fake {
    async fn create_read_session(
        &self,
        request: CreateReadSessionRequest,
        options: RequestOptions,
    ) -> google_cloud_bigquery::Result<Response<ReadSession>> {
        assert_eq!(options.idempotent(), Some(true));
        let mut state = self.state.lock().unwrap();
        state.sessions.push(request);
        match state.answers.pop_front().expect("one more session") {
            Ok(session) => Ok(Response::from(session)),
            Err((code, message)) => Err(failure(code, message)),
        }
    }

    async fn read_rows(
        &self,
        request: ReadRowsRequest,
        _options: RequestOptions,
    ) -> google_cloud_bigquery::Result<ResponseStream<ReadRowsResponse>> {
        let mut state = self.state.lock().unwrap();
        let (name, offset) = (request.read_stream, request.offset);
        state.reads.push((name.clone(), offset));
        let stream = state
            .streams
            .get_mut(&name)
            .ok_or_else(|| failure(Code::NotFound, "no such stream"))?;
        let end = match stream.ends.front() {
            Some(End::IgnoresOffset) => End::IgnoresOffset,
            Some(_) => stream.ends.pop_front().unwrap(),
            None => End::Clean,
        };
        let total: i64 = stream.messages.iter().map(|(_, rows)| rows).sum();
        let offset = if matches!(end, End::IgnoresOffset) {
            0
        } else if offset > total {
            return Err(failure(
                Code::FailedPrecondition,
                "offset has not been allocated yet",
            ));
        } else {
            offset
        };
        let mut row = 0;
        let mut responses = Vec::new();
        for (payload, rows) in &stream.messages {
            let start = row;
            row += rows;
            if start < offset {
                assert!(row <= offset, "offset {offset} lies inside a message");
                continue;
            }
            let progress = stream_stats::Progress::new()
                .set_at_response_start(start as f64 / total as f64)
                .set_at_response_end(row as f64 / total as f64);
            let mut response = ReadRowsResponse::new()
                .set_row_count(*rows)
                .set_stats(StreamStats::new().set_progress(progress))
                .set_arrow_record_batch(
                    ArrowRecordBatch::new().set_serialized_record_batch(payload.clone()),
                );
            if responses.is_empty() {
                response = response.set_arrow_schema(
                    ArrowSchema::new().set_serialized_schema(stream.schema.clone()),
                );
            }
            responses.push(Ok(response));
        }
        let responses = stream::iter(responses);
        Ok(match end {
            End::Clean | End::IgnoresOffset => ResponseStream::from_stream(responses),
            End::Status(n, code, message) => ResponseStream::from_stream(
                responses
                    .take(n)
                    .chain(stream::once(async move { Err(failure(code, message)) })),
            ),
            End::Quota(n, seconds) => ResponseStream::from_stream(
                responses
                    .take(n)
                    .chain(stream::once(async move { Err(quota(seconds)) })),
            ),
            End::Broken(n) => ResponseStream::from_stream(
                responses
                    .take(n)
                    .chain(stream::once(async { Err(ServiceError::io("broken pipe")) })),
            ),
            End::Silent(n) => {
                ResponseStream::from_stream(responses.take(n).chain(stream::pending()))
            }
        })
    }
}

/// The schema message of `schema`.
pub fn schema_message(schema: &SchemaRef) -> Bytes {
    let writer = StreamWriter::try_new(Vec::new(), schema).unwrap();
    Bytes::from(writer.get_ref().clone())
}

/// The message of one batch, without schema or end.
pub fn batch_message(batch: &RecordBatch, compression: Option<CompressionType>) -> Bytes {
    let options = IpcWriteOptions::default()
        .try_with_compression(compression)
        .unwrap();
    let mut writer =
        StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    let start = writer.get_ref().len();
    writer.write(batch).unwrap();
    Bytes::copy_from_slice(&writer.get_ref()[start..])
}

/// Long enough for everything that is not deliberately slow.
pub const SOON: Duration = Duration::from_millis(1);
