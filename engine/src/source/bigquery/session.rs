//! Read sessions: asking for one, patiently, and what is known of it.
//!
//! Owns the request and its answer. Must not know how streams are read.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use google_cloud_bigquery::client::Read;
use google_cloud_bigquery::model::arrow_serialization_options::CompressionCodec;
use google_cloud_bigquery::model::read_session::{
    Schema as WireSchema, TableModifiers, TableReadOptions,
};
use google_cloud_bigquery::model::{
    ArrowSerializationOptions, CreateReadSessionRequest, DataFormat, ReadSession,
};
use google_cloud_gax::options::RequestOptionsBuilder;
use google_cloud_wkt::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use super::decode::read_schema;
use super::failure::{Doing, Place};
use super::retry::{Attempts, Cause, Timing, cause_of};
use super::sql_log;
use crate::error::{Error, ErrorKind, Result};
use crate::recipe::WireCompression;

/// What a session is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionRequest {
    /// Columns; all when empty.
    pub columns: Vec<String>,
    /// Rows; all when empty.
    pub row_restriction: String,
    /// As of when.
    pub snapshot_time: Option<Timestamp>,
    /// Most streams; the service's choice when 0.
    pub max_streams: i32,
    /// Fewest streams wanted; no wish when 0.
    pub min_streams: i32,
    /// Compression of buffers on the wire.
    pub compression: Option<WireCompression>,
}

/// A session as the service made it. Written down, it can be read from in a later process, as long as the service keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Session {
    /// Its resource name.
    pub name: String,
    /// Its columns, in the table's order; the caller fills them in after reading the session back.
    #[serde(skip, default = "no_columns")]
    pub schema: SchemaRef,
    /// The resource names of its streams; none for an empty table.
    pub streams: Vec<String>,
    /// When it ends, in RFC 3339.
    pub expire_time: Option<String>,
    /// As of when it reads, in RFC 3339, when that was asked for.
    pub snapshot_time: Option<String>,
    /// Rows, estimated from the table's metadata.
    pub estimated_rows: Option<u64>,
    /// Bytes that reading every stream scans, estimated.
    pub estimated_bytes: Option<u64>,
}

fn no_columns() -> SchemaRef {
    Arc::new(Schema::empty())
}

impl Session {
    /// Creates a session. Costs nothing: only reading is billed. Retried, because an unused session harms nobody.
    ///
    /// # Errors
    /// When the service refuses, stays away, or answers without an Arrow schema.
    pub async fn create(
        client: &Read,
        place: &Place,
        request: &SessionRequest,
        timing: &Timing,
    ) -> Result<Self> {
        sql_log::session(
            &place.table.to_string(),
            &request.columns,
            &request.row_restriction,
        );
        let wire = wire_request(place, request);
        let mut attempts = Attempts::new(*timing, 0);
        loop {
            let sent = client
                .create_read_session()
                .with_request(wire.clone())
                .with_idempotency(true)
                .with_attempt_timeout(timing.answer)
                .send();
            let (cause, error) = match timeout(timing.answer, sent).await {
                Ok(Ok(answer)) => return Self::from_answer(place, answer),
                Ok(Err(error)) => (cause_of(&error), Some(error)),
                Err(_) => (Some(Cause::Silent), None),
            };
            let wait = cause.and_then(|cause| attempts.wait_after(cause, Instant::now()));
            let Some(wait) = wait else {
                let failures = attempts.failures();
                return Err(match error {
                    Some(error) => place.error(Doing::CreatingSession, error, failures),
                    None => {
                        place.silence(Doing::CreatingSession, timing.answer.as_secs(), failures)
                    }
                });
            };
            tracing::debug!(table = %place.table, ?cause, ?wait, "creating the read session again");
            sleep(wait).await;
        }
    }

    fn from_answer(place: &Place, answer: ReadSession) -> Result<Self> {
        let unusable = |why: String| {
            Error::new(
                ErrorKind::Schema,
                format!("read session of table {} {why}", place.table),
            )
        };
        let schema = match &answer.schema {
            Some(WireSchema::ArrowSchema(schema)) => read_schema(&schema.serialized_schema)
                .map_err(|fault| unusable(format!("has an unusable schema: {fault}")))?,
            _ => return Err(unusable("has no Arrow schema".to_owned())),
        };
        let known = |estimate: i64| u64::try_from(estimate).ok().filter(|n| *n > 0);
        Ok(Self {
            schema,
            streams: answer.streams.into_iter().map(|s| s.name).collect(),
            expire_time: answer.expire_time.map(String::from),
            snapshot_time: answer
                .table_modifiers
                .and_then(|modifiers| modifiers.snapshot_time)
                .map(String::from),
            estimated_rows: known(answer.estimated_row_count),
            estimated_bytes: known(answer.estimated_total_bytes_scanned),
            name: answer.name,
        })
    }
}

fn wire_request(place: &Place, request: &SessionRequest) -> CreateReadSessionRequest {
    let mut options = TableReadOptions::new()
        .set_selected_fields(request.columns.iter().cloned())
        .set_row_restriction(&request.row_restriction);
    if let Some(compression) = request.compression {
        let codec = match compression {
            WireCompression::Lz4 => CompressionCodec::Lz4Frame,
            WireCompression::Zstd => CompressionCodec::Zstd,
        };
        options = options.set_arrow_serialization_options(
            ArrowSerializationOptions::new().set_buffer_compression(codec),
        );
    }
    let mut session = ReadSession::new()
        .set_table(place.table.path())
        .set_data_format(DataFormat::Arrow)
        .set_read_options(options);
    if let Some(time) = request.snapshot_time {
        session = session.set_table_modifiers(TableModifiers::new().set_snapshot_time(time));
    }
    CreateReadSessionRequest::new()
        .set_parent(format!("projects/{}", place.billing_project))
        .set_read_session(session)
        .set_max_stream_count(request.max_streams)
        .set_preferred_min_stream_count(request.min_streams)
}
