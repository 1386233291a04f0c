//! A response and the bytes of its rows, which go to the connection as they are: no protobuf message is made that holds them.

use bytes::Bytes;
use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, int64};
use proto::read_rows_response::Rows;
use tonic::Status;

use crate::message_body::MessageBody;

/// What comes before every message of gRPC: a byte that says it is not compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Largest message sent, the service's own limit.
const MAX_BYTES: usize = 128 << 20;

/// Numbers of the fields of `ArrowRecordBatch` and `AvroRows` alike.
const SERIALIZED: u32 = 1;
const ROW_COUNT: u32 = 2;

/// Numbers of `ReadRowsResponse`'s fields that hold one of them.
const AVRO_ROWS: u32 = 3;
const ARROW_RECORD_BATCH: u32 = 4;

/// A response whose rows are apart: its own field for them is empty.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub response: proto::ReadRowsResponse,
    pub body: MessageBody,
}

impl Outgoing {
    /// The message as gRPC frames it, byte for byte what protobuf's own encoder writes: fields by ascending number.
    ///
    /// # Errors
    /// OUT_OF_RANGE when it is larger than a message may be.
    pub fn into_frame(self) -> Result<MessageBody, Status> {
        let Self { mut response, body } = self;
        let before = proto::ReadRowsResponse {
            stats: response.stats.take(),
            ..proto::ReadRowsResponse::default()
        };
        let rows = response.rows.take();
        let mut head = vec![0; PREFIX_BYTES];
        before.encode_raw(&mut head);
        let mut tail = Vec::new();
        if let Some((field, row_count)) = rows.as_ref().map(field_and_count) {
            open_rows(field, row_count, body.len(), &mut head, &mut tail);
        }
        response.encode_raw(&mut tail);
        let bytes = head.len() - PREFIX_BYTES + body.len() + tail.len();
        let declared = u32::try_from(bytes).ok().filter(|_| bytes <= MAX_BYTES);
        let Some(declared) = declared else {
            return Err(Status::out_of_range(format!(
                "a response of {bytes} bytes is above the limit of {MAX_BYTES} bytes"
            )));
        };
        if let Some(length) = head.get_mut(1..PREFIX_BYTES) {
            length.copy_from_slice(&declared.to_be_bytes());
        }
        let mut frame = MessageBody::from(Bytes::from(head));
        frame.append(body);
        frame.push(Bytes::from(tail));
        Ok(frame)
    }
}

// The count is marked as deprecated in favour of the response's own, but the service still fills it.
#[allow(deprecated)]
fn field_and_count(rows: &Rows) -> (u32, i64) {
    match rows {
        Rows::ArrowRecordBatch(batch) => (ARROW_RECORD_BATCH, batch.row_count),
        Rows::AvroRows(rows) => (AVRO_ROWS, rows.row_count),
    }
}

/// Writes what stands around the bytes of the rows.
fn open_rows(field: u32, row_count: i64, body: usize, head: &mut Vec<u8>, tail: &mut Vec<u8>) {
    if row_count != 0 {
        int64::encode(ROW_COUNT, &row_count, tail);
    }
    let mut key = Vec::new();
    if body > 0 {
        encode_key(SERIALIZED, WireType::LengthDelimited, &mut key);
        encode_varint(body as u64, &mut key);
    }
    encode_key(field, WireType::LengthDelimited, head);
    encode_varint((key.len() + body + tail.len()) as u64, head);
    head.extend_from_slice(&key);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, deprecated)]
    use super::*;
    use proto::read_rows_response::Schema;

    /// The same response with its rows in it.
    fn whole(outgoing: &Outgoing) -> proto::ReadRowsResponse {
        let mut response = outgoing.response.clone();
        let bytes = outgoing.body.clone().into_bytes();
        match &mut response.rows {
            Some(Rows::ArrowRecordBatch(batch)) => batch.serialized_record_batch = bytes,
            Some(Rows::AvroRows(rows)) => rows.serialized_binary_rows = bytes,
            None => {}
        }
        response
    }

    fn responses() -> Vec<Outgoing> {
        let stats = proto::StreamStats {
            progress: Some(proto::stream_stats::Progress {
                at_response_start: 0.25,
                at_response_end: 0.5,
            }),
        };
        let arrow = |row_count| {
            Rows::ArrowRecordBatch(proto::ArrowRecordBatch {
                row_count,
                ..proto::ArrowRecordBatch::default()
            })
        };
        let avro = Rows::AvroRows(proto::AvroRows {
            row_count: 1 << 40,
            ..proto::AvroRows::default()
        });
        let schema = Schema::ArrowSchema(proto::ArrowSchema {
            serialized_schema: Bytes::from(vec![7; 300]),
        });
        let mut all = Vec::new();
        for rows in [
            None,
            Some(arrow(0)),
            Some(arrow(-3)),
            Some(arrow(8192)),
            Some(avro),
        ] {
            for length in [0, 1, 127, 128, 70_000] {
                for full in [false, true] {
                    let body = if rows.is_some() { length } else { 0 };
                    all.push(Outgoing {
                        response: proto::ReadRowsResponse {
                            row_count: if full { 8192 } else { 0 },
                            stats: full.then_some(stats),
                            throttle_state: full.then(proto::ThrottleState::default),
                            uncompressed_byte_size: full.then_some(-1),
                            rows: rows.clone(),
                            schema: full.then(|| schema.clone()),
                        },
                        body: Bytes::from(vec![42; body]).into(),
                    });
                }
            }
        }
        all
    }

    #[test]
    fn bytes_are_those_of_the_usual_encoder() {
        for outgoing in responses() {
            let expected = whole(&outgoing);
            let frame = outgoing.into_frame().unwrap().into_bytes();
            let (prefix, message) = frame.split_at(PREFIX_BYTES);
            let length = (message.len() as u32).to_be_bytes();
            assert_eq!(prefix, [&[0u8][..], &length].concat());
            assert_eq!(message, expected.encode_to_vec(), "{expected:?}");
            assert_eq!(proto::ReadRowsResponse::decode(message).unwrap(), expected);
        }
    }

    #[test]
    fn a_message_above_the_limit_is_refused() {
        let outgoing = Outgoing {
            response: proto::ReadRowsResponse {
                rows: Some(Rows::AvroRows(proto::AvroRows::default())),
                ..proto::ReadRowsResponse::default()
            },
            body: Bytes::from(vec![0; MAX_BYTES]).into(),
        };
        let status = outgoing.into_frame().unwrap_err();
        assert_eq!(status.code(), tonic::Code::OutOfRange);
        assert!(status.message().contains("134217728"), "{status}");
    }
}
