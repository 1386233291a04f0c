//! Arrow IPC messages as the Read API carries them: one encapsulated message each, without a stream around it.
//!
//! Must not know about gRPC, sessions or files.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow_ipc::writer::{
    DictionaryTracker, IpcDataGenerator, IpcWriteOptions, StreamEncoder, write_message,
};
use arrow_ipc::{CompressionType, MetadataVersion};
use bytes::Bytes;

use crate::interval;
use crate::message_body::MessageBody;

/// Buffers are padded to 8 bytes, as the service pads them.
const ALIGNMENT: usize = 8;

/// How the buffers inside a message are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum BufferCompression {
    #[default]
    None,
    Lz4Frame,
    Zstd,
}

fn options(compression: BufferCompression) -> Result<IpcWriteOptions, ArrowError> {
    let compression = match compression {
        BufferCompression::None => None,
        BufferCompression::Lz4Frame => Some(CompressionType::LZ4_FRAME),
        BufferCompression::Zstd => Some(CompressionType::ZSTD),
    };
    IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?
        .try_with_compression(compression)
}

/// The Schema message of `schema`.
pub(crate) fn schema_message(schema: &Schema) -> Result<Bytes, ArrowError> {
    let options = options(BufferCompression::None)?;
    let mut dictionaries = DictionaryTracker::new(false);
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
        schema,
        &mut dictionaries,
        &options,
    );
    let mut message = Vec::new();
    write_message(&mut message, encoded, &options)?;
    Ok(Bytes::from(message))
}

/// Encodes batches of one schema.
pub(crate) struct MessageEncoder {
    encoder: StreamEncoder,
}

impl MessageEncoder {
    pub fn try_new(schema: &Schema, compression: BufferCompression) -> Result<Self, ArrowError> {
        let mut encoder = StreamEncoder::try_new_with_options(schema, options(compression)?)?;
        // The first call writes the schema in front; an empty batch takes it away.
        encoder.encode(&RecordBatch::new_empty(schema.clone().into()))?;
        Ok(Self { encoder })
    }

    /// The RecordBatch message of `batch`: metadata, then the body. Buffers that are not compressed are shared with the batch.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<MessageBody, ArrowError> {
        batch.columns().iter().try_for_each(interval::check_arrow)?;
        Ok(MessageBody::from_buffers(self.encoder.encode(batch)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use arrow::buffer::Buffer;
    use arrow_ipc::reader::StreamDecoder;
    use std::sync::Arc;

    #[test]
    fn schema_and_batches_decode_as_one_stream() {
        let batch = RecordBatch::try_from_iter([
            ("a", Arc::new(Int64Array::from_iter_values(0..1000)) as _),
            (
                "b",
                Arc::new(StringArray::from_iter_values(
                    (0..1000).map(|i| i.to_string()),
                )) as _,
            ),
        ])
        .unwrap();
        let sliced = batch.slice(100, 7);
        for compression in [
            BufferCompression::None,
            BufferCompression::Lz4Frame,
            BufferCompression::Zstd,
        ] {
            let mut encoder = MessageEncoder::try_new(&batch.schema(), compression).unwrap();
            let mut decoder = StreamDecoder::new();
            let mut schema = Buffer::from(schema_message(&batch.schema()).unwrap());
            assert!(decoder.decode(&mut schema).unwrap().is_none());
            for expected in [&batch, &sliced] {
                let message = encoder.encode(expected).unwrap().into_bytes();
                assert_eq!(message.get(..4).unwrap(), [0xff; 4]);
                assert_eq!(message.len() % ALIGNMENT, 0);
                let decoded = decoder.decode(&mut Buffer::from(message)).unwrap().unwrap();
                assert_eq!(&decoded, expected);
            }
            // A slice carries its own rows only.
            assert!(encoder.encode(&sliced).unwrap().len() < 1000);
        }
    }
}
