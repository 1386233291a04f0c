//! How the blocks of an Avro file are compressed.
//!
//! Must not know what is in them.

use std::io::{Cursor, Read};

use bytes::Bytes;

use super::damaged;
use crate::file_formats::{FormatError, MAX_ROW_BYTES};

/// The checksum behind a block of Snappy.
const CHECKSUM_BYTES: usize = 4;

/// A codec that BigQuery loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

impl Codec {
    /// The codec that a file's header names.
    ///
    /// # Errors
    /// [`FormatError`] for any other codec.
    pub fn named(name: &[u8]) -> Result<Self, FormatError> {
        match name {
            b"null" => Ok(Self::Null),
            b"deflate" => Ok(Self::Deflate),
            b"snappy" => Ok(Self::Snappy),
            b"zstandard" => Ok(Self::Zstandard),
            other => Err(FormatError::new(format!(
                "the Avro codec {} is not supported by this emulator; it reads null, deflate, snappy and zstandard",
                String::from_utf8_lossy(other)
            ))),
        }
    }

    /// A block as it was before.
    ///
    /// # Errors
    /// [`FormatError`] for what is not compressed so, and for what unpacks to more than rows may.
    pub fn unpack(self, block: Bytes) -> Result<Bytes, FormatError> {
        match self {
            Self::Null => Ok(block),
            Self::Deflate => read(flate2::read::DeflateDecoder::new(Cursor::new(block))),
            Self::Zstandard => {
                let plain = zstd::stream::read::Decoder::new(Cursor::new(block));
                read(plain.map_err(|_| unreadable())?)
            }
            Self::Snappy => snappy(&block),
        }
    }
}

fn unreadable() -> FormatError {
    damaged("a block cannot be decompressed")
}

fn read(packed: impl Read) -> Result<Bytes, FormatError> {
    let mut plain = Vec::new();
    let limit = MAX_ROW_BYTES as u64;
    packed
        .take(limit + 1)
        .read_to_end(&mut plain)
        .map_err(|_| unreadable())?;
    check_size(plain.len())?;
    Ok(plain.into())
}

fn check_size(bytes: usize) -> Result<(), FormatError> {
    if bytes > MAX_ROW_BYTES {
        return Err(damaged(&format!(
            "a block has more than {MAX_ROW_BYTES} bytes when it is decompressed"
        )));
    }
    Ok(())
}

/// Snappy without a frame, and behind it a checksum of what it was.
fn snappy(block: &[u8]) -> Result<Bytes, FormatError> {
    let end = block.len().checked_sub(CHECKSUM_BYTES);
    let (packed, checksum) = end
        .and_then(|end| block.split_at_checked(end))
        .ok_or_else(unreadable)?;
    check_size(snap::raw::decompress_len(packed).map_err(|_| unreadable())?)?;
    let plain = snap::raw::Decoder::new().decompress_vec(packed);
    let plain = plain.map_err(|_| unreadable())?;
    let mut sum = flate2::Crc::new();
    sum.update(&plain);
    if sum.sum().to_be_bytes() != checksum {
        return Err(damaged("a block does not have its checksum"));
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PLAIN: &[u8] = b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabcd";

    fn packed() -> Vec<u8> {
        let mut block = snap::raw::Encoder::new().compress_vec(PLAIN).unwrap();
        let mut sum = flate2::Crc::new();
        sum.update(PLAIN);
        block.extend_from_slice(&sum.sum().to_be_bytes());
        block
    }

    #[test]
    fn blocks_are_unpacked() {
        let snappy = Codec::named(b"snappy").unwrap();
        assert_eq!(snappy.unpack(packed().into()).unwrap(), PLAIN);
        let zstandard = Codec::named(b"zstandard").unwrap();
        let block = zstd::encode_all(PLAIN, 1).unwrap();
        assert_eq!(zstandard.unpack(block.into()).unwrap(), PLAIN);
    }

    #[test]
    fn what_is_no_block_of_the_codec_is_refused() {
        let snappy = Codec::Snappy;
        let whole = packed();
        for cut in [0, 3, whole.len() - 1] {
            let block = Bytes::copy_from_slice(whole.get(..cut).unwrap());
            assert!(snappy.unpack(block).is_err(), "{cut} bytes");
        }
        let mut other = whole.clone();
        *other.last_mut().unwrap() ^= 1;
        let refused = snappy.unpack(other.into()).unwrap_err().to_string();
        assert!(refused.contains("checksum"), "{refused}");
        // A length that nothing stands behind must not take memory.
        let huge = vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0];
        let refused = snappy.unpack(huge.into()).unwrap_err().to_string();
        assert!(refused.contains("more than"), "{refused}");
        for codec in [Codec::Deflate, Codec::Zstandard] {
            assert!(codec.unpack(Bytes::from_static(PLAIN)).is_err());
        }
        assert!(Codec::named(b"bzip2").is_err());
    }
}
