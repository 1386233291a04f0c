//! Compression of everything a response holds of rows, beside that of single Arrow buffers.
//!
//! Must not know what the bytes are.

use bytes::Bytes;

use crate::message_body::MessageBody;

/// What `uncompressed_byte_size` says of a payload that would not have become smaller, and is sent as it is.
const NOT_COMPRESSED: i64 = -1;

/// How the payloads of a session's responses are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ResponseCompression {
    #[default]
    None,
    /// One raw LZ4 block, without a length in front.
    Lz4,
}

impl ResponseCompression {
    /// What is sent of a payload, and what the response says about its size.
    pub fn apply(self, payload: MessageBody) -> (MessageBody, Option<i64>) {
        match self {
            Self::None => (payload, None),
            Self::Lz4 => {
                let whole = payload.into_bytes();
                let block = lz4_flex::block::compress(&whole);
                if block.len() < whole.len() {
                    let size = i64::try_from(whole.len()).unwrap_or(i64::MAX);
                    (Bytes::from(block).into(), Some(size))
                } else {
                    (whole.into(), Some(NOT_COMPRESSED))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_payload_is_sent_compressed_when_that_is_smaller() {
        let payload = Bytes::from(vec![9u8; 5000]);
        let (sent, size) = ResponseCompression::Lz4.apply(payload.clone().into());
        let sent = sent.into_bytes();
        assert!(sent.len() < 100);
        assert_eq!(size, Some(5000));
        assert_eq!(lz4_flex::block::decompress(&sent, 5000).unwrap(), payload);
    }

    #[test]
    fn a_payload_that_does_not_shrink_is_sent_as_it_is() {
        let payload = Bytes::from((0..=255).collect::<Vec<u8>>());
        let (sent, size) = ResponseCompression::Lz4.apply(payload.clone().into());
        assert_eq!((sent.into_bytes(), size), (payload.clone(), Some(-1)));
        let (sent, size) = ResponseCompression::None.apply(payload.clone().into());
        assert_eq!((sent.into_bytes(), size), (payload, None));
    }
}
