//! Texts as twelve bytes, so that most of them are found in a table without touching their own bytes.
//!
//! Owns the representation; knows nothing of tables or counts.
//!
//! A text of at most eleven bytes is its own key: a byte of length, then the bytes, then zeros. Two short texts are equal exactly
//! if their keys are. A longer one has a mark, and eleven bytes of its length and a hash: equal texts have equal keys, and
//! whoever finds equal keys compares the texts. Beside a key there is room for a number of four bytes in sixteen, so that four
//! places of a table share a line of the caches.

use std::hash::{BuildHasher, Hasher};

use arrow::array::StringViewArray;
use hashbrown::DefaultHashBuilder;

/// Bytes that fit into a key beside the length.
const MOST_INLINE: usize = 11;
/// Stands for the length of a text that does not fit.
const LONG: u64 = 0xFE;

/// A text of at most eleven bytes, or the outline of a longer one.
///
/// Two numbers and not an array: so a key travels in registers. Written to memory as halves and read back as a whole, it
/// would make the processor wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextKey {
    /// The length, which is the lowest byte, and the first seven bytes.
    pub(crate) low: u64,
    /// The other four.
    pub(crate) high: u32,
}

impl TextKey {
    /// The key of no text: none is so long.
    pub const NONE: Self = Self {
        low: u64::MAX,
        high: u32::MAX,
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
        // The lowest four bytes of a view are the length. Up to twelve bytes of text stand in it, of which we can have eleven.
        match array.views().get(index) {
            Some(&view) if (view as u32) as usize <= MOST_INLINE => {
                Self::of_number(view >> 32, (view as u32) as usize)
            }
            _ => Self::long(array.value(index).as_bytes(), hasher),
        }
    }

    #[inline]
    fn short(text: &[u8]) -> Option<Self> {
        let number = |bytes: &[u8; 8]| u128::from(u64::from_le_bytes(*bytes));
        let half = |bytes: &[u8; 4]| u128::from(u32::from_le_bytes(*bytes));
        // Where the last bytes overlap the first, both are the same.
        let bytes = match text.len() {
            len @ 8..=MOST_INLINE => {
                number(text.first_chunk()?) | number(text.last_chunk()?) << (8 * len - 64)
            }
            len @ 4..=7 => half(text.first_chunk()?) | half(text.last_chunk()?) << (8 * len - 32),
            0..=3 => text
                .iter()
                .rev()
                .fold(0, |bytes, &byte| bytes << 8 | u128::from(byte)),
            _ => return None,
        };
        Some(Self::of_number(bytes, text.len()))
    }

    /// The key of the bytes that are a little-endian number.
    #[inline]
    fn of_number(bytes: u128, len: usize) -> Self {
        let key = bytes << 8 | len as u128;
        Self {
            low: key as u64,
            high: (key >> 64) as u32,
        }
    }

    #[cold]
    fn long(text: &[u8], hasher: &DefaultHashBuilder) -> Self {
        let mut state = hasher.build_hasher();
        state.write(text);
        let hash = state.finish();
        Self {
            low: LONG | hash << 8,
            high: (hash >> 56) as u32 | (text.len() as u32) << 8,
        }
    }

    /// Whether equal keys are equal texts.
    #[inline]
    pub fn is_whole(self) -> bool {
        self.low & 0xFF != LONG
    }

    /// A hash of the key.
    #[inline]
    pub fn hash(self, hasher: &DefaultHashBuilder) -> u64 {
        let mut state = hasher.build_hasher();
        state.write_u64(self.low);
        state.write_u32(self.high);
        state.finish()
    }

    /// Twelve bytes, in which [`text_in`](Self::text_in) finds the text of a [whole](Self::is_whole) key.
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let (low, high) = bytes.split_at_mut(size_of_val(&self.low));
        low.copy_from_slice(&self.low.to_le_bytes());
        high.copy_from_slice(&self.high.to_le_bytes());
        bytes
    }

    /// The text of a [whole](Self::is_whole) key, with zeros behind it, and its length.
    pub fn whole(self) -> Option<([u8; MOST_INLINE], usize)> {
        let [len, text @ ..] = self.to_bytes();
        self.is_whole().then_some((text, usize::from(len)))
    }

    /// The text in the bytes of a [whole](Self::is_whole) key; none for others.
    pub fn text_in(bytes: &[u8; 12]) -> Option<&[u8]> {
        let [len, text @ ..] = bytes;
        text.get(..usize::from(*len))
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
                "0123456789a",
                "0123456789b",
                "1123456789a",
            ]
            .map(str::to_owned),
        );
        texts.extend((0..12).map(|at| {
            let mut bytes = [b'x'; 12];
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
            let whole = key.whole().map(|(bytes, len)| bytes[..len].to_vec());
            assert_eq!(whole, key.is_whole().then(|| text.clone().into_bytes()));
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
