//! Damage to one response's record batch, as a broken proxy or a broken server would do it.

use bytes::Bytes;

/// Where an encapsulated IPC message says how long its metadata is: after the four bytes of the continuation marker.
const METADATA_LENGTH: std::ops::Range<usize> = 4..8;

/// What is done to the bytes of a record batch message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Corruption {
    /// All bits of one byte are inverted. Bytes 0 to 3 are the continuation marker, 4 to 7 the length of the metadata, then
    /// the metadata, then the values; a flipped value is one that no client can notice, as in the real protocol.
    FlipByte {
        /// Position of the byte, taken modulo the message's length.
        at: u64,
    },
    /// The message ends after this many bytes.
    TruncateTo {
        /// Bytes kept.
        bytes: u64,
    },
    /// The message declares metadata of this length, whatever follows.
    DeclareLength {
        /// The declared length as the protocol writes it: above 2,147,483,647 it reads as negative.
        bytes: u32,
    },
}

impl Corruption {
    /// The damaged message.
    pub(crate) fn apply(self, message: &Bytes) -> Bytes {
        match self {
            Self::FlipByte { at } => {
                let mut damaged = message.to_vec();
                let at = usize::try_from(at % damaged.len().max(1) as u64).unwrap_or(0);
                if let Some(byte) = damaged.get_mut(at) {
                    *byte = !*byte;
                }
                Bytes::from(damaged)
            }
            Self::TruncateTo { bytes } => {
                let kept = usize::try_from(bytes).unwrap_or(usize::MAX);
                message.slice(..kept.min(message.len()))
            }
            Self::DeclareLength { bytes } => {
                let mut damaged = message.to_vec();
                if let Some(length) = damaged.get_mut(METADATA_LENGTH) {
                    length.copy_from_slice(&bytes.to_le_bytes());
                }
                Bytes::from(damaged)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_where_it_was_ordered() {
        let message = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 8, 1, 0, 0, 42]);
        let flipped = Corruption::FlipByte { at: 9 + 8 }.apply(&message);
        assert_eq!(flipped.as_ref(), [0xff, 0xff, 0xff, 0xff, 8, 1, 0, 0, !42]);
        let cut = Corruption::TruncateTo { bytes: 3 }.apply(&message);
        assert_eq!(cut.as_ref(), [0xff; 3]);
        assert_eq!(
            Corruption::TruncateTo { bytes: 99 }.apply(&message),
            message
        );
        let huge = Corruption::DeclareLength { bytes: 0xffff_fff0 }.apply(&message);
        assert_eq!(huge.as_ref(), [255, 255, 255, 255, 0xf0, 255, 255, 255, 42]);
        let short = Bytes::from_static(&[1]);
        assert_eq!(Corruption::DeclareLength { bytes: 1 }.apply(&short), short);
        assert_eq!(
            Corruption::FlipByte { at: 3 }.apply(&Bytes::new()),
            Bytes::new()
        );
    }
}
