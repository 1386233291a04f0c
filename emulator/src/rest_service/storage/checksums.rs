//! The checksums that clients of storage compare: MD5, and CRC32C.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

/// Both, in the form of an object's description: base64 of their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checksums {
    pub md5: String,
    pub crc32c: String,
}

impl Checksums {
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            md5: STANDARD.encode(Md5::digest(bytes)),
            crc32c: STANDARD.encode(crc32c::crc32c(bytes).to_be_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_their_definitions() {
        assert_eq!(Checksums::of(b"").md5, "1B2M2Y8AsgTpgAmY7PhCfg==");
        assert_eq!(Checksums::of(b"123456789").crc32c, "4waSgw==");
    }
}
