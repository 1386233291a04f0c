//! The checksums that clients of storage compare: MD5, and CRC32C.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

/// Castagnoli's polynomial, its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The checksum of each byte.
const TABLE: [u32; 256] = table();

#[allow(
    clippy::indexing_slicing,
    reason = "const code has no iterators, and both bounds are 256"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let odd = value & 1 == 1;
            value >>= 1;
            if odd {
                value ^= POLYNOMIAL;
            }
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

fn crc32c(bytes: &[u8]) -> u32 {
    let sum = bytes.iter().fold(!0_u32, |sum, byte| {
        let index = (sum ^ u32::from(*byte)) & 0xff;
        let known = usize::try_from(index).ok().and_then(|at| TABLE.get(at));
        known.copied().unwrap_or_default() ^ (sum >> 8)
    });
    !sum
}

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
            crc32c: STANDARD.encode(crc32c(bytes).to_be_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_their_definitions() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b""), 0);
        assert_eq!(Checksums::of(b"").md5, "1B2M2Y8AsgTpgAmY7PhCfg==");
        assert_eq!(Checksums::of(b"123456789").crc32c, "4waSgw==");
    }
}
