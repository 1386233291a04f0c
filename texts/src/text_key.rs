//! Texts as sixteen bytes, so that most of them are found in a table without touching their own bytes.
//!
//! Owns the representation; knows nothing of tables or counts.
//!
//! A text of at most twelve bytes is its own key, laid out like an [Arrow string view](https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-view-layout):
//! four bytes of length, then the bytes, then zeros. Two short texts are equal exactly if their keys are. A longer one has its
//! length, its first four bytes and a hash of all of them: equal texts have equal keys, and whoever finds equal keys compares
//! the texts.

use std::hash::{BuildHasher, Hasher};

use arrow::array::StringViewArray;
use hashbrown::DefaultHashBuilder;

/// Bytes that fit into a key beside the length.
const MOST_INLINE: usize = 12;

/// A text of at most twelve bytes, or the outline of a longer one.
///
/// Two numbers and not an array of two: so a key travels in registers. Written to memory as halves and read back as a whole, it
/// would make the processor wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextKey {
    low: u64,
    high: u64,
}

impl TextKey {
    /// The key of no text: none is so long and begins with bytes that are in no text.
    pub const NONE: Self = Self {
        low: u64::MAX,
        high: u64::MAX,
    };

    /// The key of `text`; `hasher` hashes long ones.
    #[inline]
    pub fn of(text: &[u8], hasher: &DefaultHashBuilder) -> Self {
        match Self::short(text) {
            Some(key) => key,
            None => Self::long(text, hasher),
        }
    }

    /// The key of the text at `index`, which must be valid, of an array of views.
    #[inline]
    pub fn of_view(array: &StringViewArray, index: usize, hasher: &DefaultHashBuilder) -> Self {
        match array.views().get(index) {
            // The low half holds the length and the first four bytes.
            Some(&view) if (view as u32) as usize <= MOST_INLINE => Self {
                low: view as u64,
                high: (view >> 64) as u64,
            },
            _ => Self::long(array.value(index).as_bytes(), hasher),
        }
    }

    /// Length and bytes as one little-endian number of sixteen bytes.
    #[inline]
    fn short(text: &[u8]) -> Option<Self> {
        let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        let (low, high) = match text.len() {
            len @ 8..=MOST_INLINE => {
                let (first, last) = (text.first_chunk()?, text.last_chunk()?);
                // The last eight bytes overlap the first; what is new in them is at their top.
                let new = number(last).checked_shr(128 - 8 * len as u32).unwrap_or(0);
                (number(first), new)
            }
            len @ 4..=7 => {
                let (first, last) = (text.first_chunk()?, text.last_chunk()?);
                let new = half(last) >> (64 - 8 * len as u32);
                (half(first) | new << 32, 0)
            }
            0..=3 => {
                let bytes = text.iter().rev();
                (bytes.fold(0, |low, &byte| low << 8 | u64::from(byte)), 0)
            }
            _ => return None,
        };
        let len = text.len() as u64;
        Some(Self {
            low: len | low << 32,
            high: low >> 32 | high << 32,
        })
    }

    #[cold]
    fn long(text: &[u8], hasher: &DefaultHashBuilder) -> Self {
        let mut state = hasher.build_hasher();
        state.write(text);
        let first = text.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
        Self {
            low: text.len() as u64 & u64::from(u32::MAX) | u64::from(first) << 32,
            high: state.finish(),
        }
    }

    /// Whether equal keys are equal texts.
    #[inline]
    pub fn is_whole(self) -> bool {
        self.text_len() <= MOST_INLINE
    }

    /// Bytes of the text.
    #[inline]
    pub fn text_len(self) -> usize {
        (self.low as u32) as usize
    }

    /// Something that cannot be known without reading all of the key.
    #[inline]
    pub(crate) fn folded(self) -> u64 {
        self.low ^ self.high
    }

    /// A hash of the key.
    #[inline]
    pub fn hash(self, hasher: &DefaultHashBuilder) -> u64 {
        let mut state = hasher.build_hasher();
        state.write_u64(self.low);
        state.write_u64(self.high);
        state.finish()
    }

    /// All sixteen bytes, in which [`text_in`](Self::text_in) finds the text of a [whole](Self::is_whole) key.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.low) | u128::from(self.high) << 64).to_le_bytes()
    }

    /// The text in the bytes of a [whole](Self::is_whole) key; none for others.
    pub fn text_in(bytes: &[u8; 16]) -> Option<&[u8]> {
        let len = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        bytes.get(4..)?.get(..len)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts() -> Vec<String> {
        let mut texts: Vec<String> = (0..40)
            .map(|len| "abcdefghijklm".repeat(4)[..len].into())
            .collect();
        texts.extend((0..13).map(|len| "\0".repeat(len)));
        texts.extend(
            [
                "a\0",
                "\0a",
                "ä",
                "€uro",
                "0123456789ab",
                "0123456789ac",
                "1123456789ab",
            ]
            .map(str::to_owned),
        );
        texts.extend((0..13).map(|at| {
            let mut bytes = [b'x'; 13];
            bytes[at] = b'y';
            String::from_utf8(bytes.into()).unwrap()
        }));
        texts
    }

    #[test]
    fn keys_are_equal_exactly_for_equal_texts() {
        let hasher = DefaultHashBuilder::default();
        let mut texts = texts();
        texts.sort();
        texts.dedup();
        for left in &texts {
            for right in &texts {
                let keys = [left, right].map(|text| TextKey::of(text.as_bytes(), &hasher));
                assert_eq!(keys[0] == keys[1], left == right, "{left:?} {right:?}");
            }
        }
    }

    #[test]
    fn short_keys_hold_their_text() {
        let hasher = DefaultHashBuilder::default();
        for text in texts() {
            let key = TextKey::of(text.as_bytes(), &hasher);
            assert_eq!(key.is_whole(), text.len() <= MOST_INLINE);
            assert_eq!(
                TextKey::text_in(&key.to_bytes()),
                key.is_whole().then_some(text.as_bytes()),
                "{text:?}"
            );
            assert_ne!(key, TextKey::NONE);
        }
    }

    #[test]
    fn views_have_the_keys_of_their_texts() {
        let hasher = DefaultHashBuilder::default();
        let texts = texts();
        let array = StringViewArray::from_iter_values(&texts);
        for (index, text) in texts.iter().enumerate() {
            assert_eq!(
                TextKey::of_view(&array, index, &hasher),
                TextKey::of(text.as_bytes(), &hasher)
            );
        }
    }
}
