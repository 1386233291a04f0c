//! From wire messages to batches: one Arrow IPC message in, the requested columns in the requested order out.
//!
//! Owns every check on bytes that came over the wire, and the catching of panics of the IPC decoder. Must not know where
//! messages come from, nor wait for anything.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::{CompressionType, MessageHeader, root_as_message};
use bytes::Bytes;

use crate::source::nested::Wanted;

mod lz4_frame;

/// Four bytes before the length of a message, absent in very old writers.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// A compressed buffer begins with its uncompressed length.
const LENGTH_PREFIX: usize = 8;
/// How far an LZ4 frame may be able to outgrow twice the length it claims: about two of its largest blocks.
const LZ4_SLACK: u64 = 8 << 20;

/// What is wrong with a message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum DecodeFault {
    /// The bytes end before the message does.
    #[error("message of {bytes} bytes is cut short")]
    Truncated {
        /// Bytes there are.
        bytes: usize,
    },
    /// The header is not one of the format.
    #[error("message header is invalid: {0}")]
    Header(String),
    /// The message is not a record batch.
    #[error("message holds {0} where a record batch was expected")]
    NotABatch(String),
    /// A buffer lies outside the body.
    #[error(
        "buffer {index} of {length} bytes at {offset} lies outside the body of {body_bytes} bytes"
    )]
    BufferRange {
        /// Which buffer.
        index: usize,
        /// Its declared offset in the body.
        offset: i64,
        /// Its declared length.
        length: i64,
        /// Bytes of the body.
        body_bytes: usize,
    },
    /// A compressed buffer claims a length it cannot have.
    #[error("compressed buffer {index} of {length} bytes claims {claimed} bytes")]
    CompressedLength {
        /// Which buffer.
        index: usize,
        /// Its length on the wire.
        length: usize,
        /// The uncompressed length it claims.
        claimed: i64,
    },
    /// The rows do not match the count beside them.
    #[error("message says {said} rows and holds {found}")]
    RowCount {
        /// Rows as counted by the service.
        said: i64,
        /// Rows decoded.
        found: usize,
    },
    /// The decoder refused the data.
    #[error("{}cannot be decoded: {source}", of_column(.column.as_deref()))]
    Arrow {
        /// The first column that fails alone, when one does.
        column: Option<String>,
        /// The decoder's answer.
        source: ArrowError,
    },
    /// The decoder panicked.
    #[error("{}made the decoder panic: {text}", of_column(.column.as_deref()))]
    Panic {
        /// The first column that fails alone, when one does.
        column: Option<String>,
        /// The panic's text.
        text: String,
    },
    /// A column is encoded with a dictionary, which the service does not do.
    #[error("column {0} is dictionary-encoded")]
    Dictionary(String),
}

fn of_column(column: Option<&str>) -> String {
    column
        .map(|name| format!("column {name} "))
        .unwrap_or_default()
}

/// Reads an IPC schema message.
///
/// # Errors
/// When the bytes are not one, or a column is dictionary-encoded.
pub(super) fn read_schema(message: &[u8]) -> Result<SchemaRef, DecodeFault> {
    let schema = caught(|| try_schema_from_ipc_buffer(message))
        .map_err(|fault| DecodeFault::Header(fault.to_string()))?;
    match schema
        .fields()
        .iter()
        .find(|field| has_dictionary(field.data_type()))
    {
        Some(field) => Err(DecodeFault::Dictionary(field.name().clone())),
        None => Ok(Arc::new(schema)),
    }
}

fn has_dictionary(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(..) => true,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => has_dictionary(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|f| has_dictionary(f.data_type())),
        _ => false,
    }
}

/// How `found` differs from `expected` in names, types and nullability; nothing when it does not. Order is not compared.
pub(super) fn schema_difference(expected: &Schema, found: &Schema) -> Option<String> {
    let describe = |field: &Field| {
        let null = if field.is_nullable() { "" } else { " not null" };
        format!("{}{null}", field.data_type())
    };
    let mut differences = Vec::new();
    for field in expected.fields() {
        match found.field_with_name(field.name()) {
            Err(_) => differences.push(format!("- {} {}", field.name(), describe(field))),
            Ok(other)
                if other.data_type() != field.data_type()
                    || other.is_nullable() != field.is_nullable() =>
            {
                differences.push(format!(
                    "~ {} {} became {}",
                    field.name(),
                    describe(field),
                    describe(other)
                ));
            }
            Ok(_) => {}
        }
    }
    for field in found.fields() {
        if expected.field_with_name(field.name()).is_err() {
            differences.push(format!("+ {} {}", field.name(), describe(field)));
        }
    }
    (!differences.is_empty()).then(|| differences.join(", "))
}

/// Bytes that decoding `message` will hold: the message, and what compressed buffers become.
///
/// # Errors
/// When the framing is broken or a buffer claims what it cannot have; so no allocation follows a false claim.
pub(super) fn decoded_bytes(message: &Bytes) -> Result<u64, DecodeFault> {
    let frame = Frame::read(message)?;
    let header = frame.header()?;
    let batch = frame.batch(&header)?;
    let codec = batch.compression().map(|c| c.codec());
    let mut total = message.len() as u64;
    for (index, buffer) in batch.buffers().into_iter().flatten().enumerate() {
        let (offset, length) = (buffer.offset(), buffer.length());
        let bytes = usize::try_from(offset)
            .ok()
            .zip(usize::try_from(length).ok())
            .and_then(|(start, length)| frame.body.get(start..start.checked_add(length)?))
            .ok_or(DecodeFault::BufferRange {
                index,
                offset,
                length,
                body_bytes: frame.body.len(),
            })?;
        let (Some(codec), false) = (codec, bytes.is_empty()) else {
            continue;
        };
        let Some(prefix) = bytes.first_chunk::<LENGTH_PREFIX>() else {
            return Err(DecodeFault::CompressedLength {
                index,
                length: bytes.len(),
                claimed: 0,
            });
        };
        let claimed = i64::from_le_bytes(*prefix);
        let data = bytes.get(LENGTH_PREFIX..).unwrap_or_default();
        // -1 means that this buffer was left as it is.
        let grown = match u64::try_from(claimed) {
            Err(_) => (claimed == -1).then_some(0),
            Ok(0) => Some(0),
            Ok(grown) if codec == CompressionType::LZ4_FRAME => {
                let most = grown.saturating_mul(2).saturating_add(LZ4_SLACK);
                lz4_frame::upper_bound(data)
                    .filter(|bound| (grown..=most).contains(bound))
                    .map(|_| grown)
            }
            Ok(grown) => Some(grown),
        };
        total = grown
            .and_then(|grown| total.checked_add(grown))
            .filter(|total| i64::try_from(*total).is_ok())
            .ok_or(DecodeFault::CompressedLength {
                index,
                length: bytes.len(),
                claimed,
            })?;
    }
    Ok(total)
}

/// The parts of an encapsulated message.
struct Frame {
    header: Bytes,
    body: Bytes,
}

impl Frame {
    fn read(message: &Bytes) -> Result<Self, DecodeFault> {
        let cut = || DecodeFault::Truncated {
            bytes: message.len(),
        };
        let mut start = 0;
        if message.starts_with(&CONTINUATION) {
            start = CONTINUATION.len();
        }
        let length = message
            .get(start..)
            .and_then(|rest| rest.first_chunk::<4>())
            .ok_or_else(cut)?;
        let length = usize::try_from(i32::from_le_bytes(*length)).map_err(|_| cut())?;
        let header_start = start + 4;
        let body_start = header_start
            .checked_add(length)
            .filter(|end| *end <= message.len())
            .ok_or_else(cut)?;
        let header = message.slice(header_start..body_start);
        let mut frame = Self {
            header,
            body: message.slice(body_start..),
        };
        let body_length = frame.header()?.bodyLength();
        let body_length = usize::try_from(body_length)
            .ok()
            .filter(|length| *length <= frame.body.len())
            .ok_or_else(cut)?;
        frame.body.truncate(body_length);
        Ok(frame)
    }

    fn header(&self) -> Result<arrow_ipc::Message<'_>, DecodeFault> {
        root_as_message(&self.header).map_err(|e| DecodeFault::Header(e.to_string()))
    }

    fn batch<'a>(
        &self,
        header: &arrow_ipc::Message<'a>,
    ) -> Result<arrow_ipc::RecordBatch<'a>, DecodeFault> {
        header
            .header_as_record_batch()
            .filter(|_| header.header_type() == MessageHeader::RecordBatch)
            .ok_or_else(|| DecodeFault::NotABatch(format!("{:?}", header.header_type())))
    }
}

/// Decodes the messages of one session.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The session's columns, in the table's order.
    wire: SchemaRef,
    /// The columns wanted, in the order wanted.
    wanted: Wanted,
}

impl Decoder {
    /// A decoder for a session that delivers `wire`; nothing when `wire` lacks one of `columns`, which may be paths.
    pub fn new(wire: SchemaRef, columns: &[String]) -> Option<Self> {
        let wanted = Wanted::find(wire.fields(), columns)?;
        Some(Self { wire, wanted })
    }

    /// The columns delivered.
    pub fn schema(&self) -> &SchemaRef {
        self.wanted.schema()
    }

    /// The session's columns.
    pub fn wire_schema(&self) -> &SchemaRef {
        &self.wire
    }

    /// The rows of one message, which should be `rows`.
    ///
    /// # Errors
    /// When the message is not what it should be.
    pub fn decode(&self, message: &Bytes, rows: i64) -> Result<RecordBatch, DecodeFault> {
        let frame = Frame::read(message)?;
        let batch = match self.read(&frame, None) {
            Ok(batch) => batch,
            Err(fault) => return Err(self.blame_column(&frame, fault)),
        };
        if usize::try_from(rows) != Ok(batch.num_rows()) {
            return Err(DecodeFault::RowCount {
                said: rows,
                found: batch.num_rows(),
            });
        }
        let schema = Arc::clone(self.wanted.schema());
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        self.wanted
            .of(&batch)
            .and_then(|columns| RecordBatch::try_new_with_options(schema, columns, &options))
            .map_err(|source| DecodeFault::Arrow {
                column: None,
                source,
            })
    }

    fn read(
        &self,
        frame: &Frame,
        projection: Option<&[usize]>,
    ) -> Result<RecordBatch, DecodeFault> {
        let header = frame.header()?;
        let version = header.version();
        let batch = frame.batch(&header)?;
        let body = Buffer::from(frame.body.clone());
        let schema = Arc::clone(&self.wire);
        caught(|| read_record_batch(&body, batch, schema, &HashMap::new(), projection, &version))
    }

    /// Finds the first column that cannot be decoded alone.
    fn blame_column(&self, frame: &Frame, fault: DecodeFault) -> DecodeFault {
        let blamed = || {
            self.wire
                .fields()
                .iter()
                .enumerate()
                .find(|(index, _)| self.read(frame, Some(&[*index])).is_err())
                .map(|(_, field)| field.name().clone())
        };
        match fault {
            DecodeFault::Arrow { source, .. } => DecodeFault::Arrow {
                column: blamed(),
                source,
            },
            DecodeFault::Panic { text, .. } => DecodeFault::Panic {
                column: blamed(),
                text,
            },
            other => other,
        }
    }
}

/// Runs a function of the Arrow libraries that may panic on hostile bytes.
fn caught<T>(run: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, DecodeFault> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(DecodeFault::Arrow {
            column: None,
            source,
        }),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no text");
            Err(DecodeFault::Panic {
                column: None,
                text: text.lines().next().unwrap_or_default().to_owned(),
            })
        }
    }
}

#[cfg(test)]
mod tests;
