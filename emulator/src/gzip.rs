//! Unpacking of what clients compressed, up to a bound: a few bytes can unpack to any number.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

/// Why bytes were not unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GzipError {
    #[error("not gzip: {0}")]
    Damaged(#[from] io::Error),
    #[error("unpacks to more than {most} bytes")]
    TooLarge { most: usize },
}

/// Whether bytes begin as gzip does.
pub(crate) fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// What `packed` holds.
///
/// # Errors
/// [`GzipError`] for what is damaged or unpacks to more than `most` bytes.
pub(crate) fn unpack(packed: &[u8], most: usize) -> Result<Bytes, GzipError> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(packed)
        .take(most as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(GzipError::TooLarge { most });
    }
    Ok(Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_up_to_a_bound() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&[7; 1000]).unwrap();
        let packed = encoder.finish().unwrap();
        assert!(is_packed(&packed) && !is_packed(b"{}") && !is_packed(b""));
        assert_eq!(unpack(&packed, 1000).unwrap(), [7_u8; 1000].as_slice());
        let twice = [packed.clone(), packed.clone()].concat();
        assert_eq!(unpack(&twice, 2000).unwrap().len(), 2000);
        assert!(matches!(
            unpack(&packed, 999),
            Err(GzipError::TooLarge { most: 999 })
        ));
        for damaged in [&packed[..20], b"no gzip", b""] {
            assert!(matches!(unpack(damaged, 1000), Err(GzipError::Damaged(_))));
        }
    }
}
