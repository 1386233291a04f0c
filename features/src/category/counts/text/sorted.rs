//! Counted texts in code point order, which for UTF-8 is byte order.
//!
//! Owns the order; knows nothing of who wants it.

use super::TextCounts;
use millpond_texts::TextKey;

/// Stands for the length of a text that is longer than what is compared first.
const LONG: u8 = u8::MAX;

/// The texts of a column, in order.
pub(in crate::category) struct SortedTexts<'a> {
    counts: &'a TextCounts,
    entries: Vec<Entry>,
}

/// Some of them, one behind the other.
#[derive(Clone, Copy)]
pub(in crate::category) struct SomeTexts<'a> {
    counts: &'a TextCounts,
    entries: &'a [Entry],
}

/// Two numbers that compare as the first eleven bytes of a text and its length do, so that hardly any text has to be
/// fetched for being compared, and what the table has beside its key.
struct Entry {
    head: u64,
    tail: u32,
    value: u32,
}

impl Entry {
    fn new(counts: &TextCounts, key: TextKey, value: u32) -> Self {
        let (len, text) = if key.is_whole() {
            let [len, text @ ..] = key.to_bytes();
            (len, text)
        } else {
            let first = counts.long_text(value).first_chunk();
            (LONG, first.copied().unwrap_or_default())
        };
        let [head @ .., a, b, c]: [u8; 11] = text;
        Self {
            head: u64::from_be_bytes(head),
            tail: u32::from_be_bytes([a, b, c, len]),
            value,
        }
    }

    fn is_long(&self) -> bool {
        self.tail as u8 == LONG
    }

    /// The bytes of the key, if the text is in it.
    fn key_bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let [len, text @ ..] = &mut bytes;
        let [a, b, c, d] = self.tail.to_be_bytes();
        *len = d;
        let ordered = self.head.to_be_bytes().into_iter().chain([a, b, c]);
        for (place, byte) in text.iter_mut().zip(ordered) {
            *place = byte;
        }
        bytes
    }
}

impl<'a> SortedTexts<'a> {
    pub(super) fn new(counts: &'a TextCounts) -> Self {
        let entries = counts.table.iter();
        let mut entries: Vec<Entry> = entries
            .map(|(key, value)| Entry::new(counts, key, value))
            .collect();
        entries.sort_unstable_by(|left, right| {
            let order = (left.head, left.tail).cmp(&(right.head, right.tail));
            // Only long texts are alike that far; short ones would be one and the same.
            order.then_with(|| {
                let [left, right] = [left, right].map(|entry| counts.long_text(entry.value));
                left.cmp(right)
            })
        });
        Self { counts, entries }
    }

    /// Bytes of all texts.
    pub(in crate::category) fn text_bytes(&self) -> usize {
        self.counts.text_bytes()
    }

    /// All of them.
    pub(in crate::category) fn all(&self) -> SomeTexts<'_> {
        SomeTexts {
            counts: self.counts,
            entries: &self.entries,
        }
    }

    /// So many at a time.
    pub(in crate::category) fn parts(&self, most: usize) -> impl Iterator<Item = SomeTexts<'_>> {
        let parts = self.entries.chunks(most.max(1));
        parts.map(|entries| SomeTexts {
            counts: self.counts,
            entries,
        })
    }
}

impl<'a> SomeTexts<'a> {
    pub(in crate::category) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(in crate::category) fn texts(self) -> impl Iterator<Item = SortedText<'a>> {
        self.entries.iter().map(move |entry| match entry.is_long() {
            true => SortedText::Long(self.counts.long_text(entry.value)),
            false => SortedText::Short(entry.key_bytes()),
        })
    }

    /// How often each was seen.
    pub(in crate::category) fn counts(self) -> impl Iterator<Item = u64> {
        self.entries.iter().map(move |entry| match entry.is_long() {
            true => self.counts.long_count(entry.value),
            false => self.counts.short_count(entry.value, &entry.key_bytes()),
        })
    }
}

/// A text out of its key or out of the arena.
pub(in crate::category) enum SortedText<'a> {
    Short([u8; 12]),
    Long(&'a [u8]),
}

impl AsRef<str> for SortedText<'_> {
    fn as_ref(&self) -> &str {
        let bytes = match self {
            Self::Short(key) => TextKey::text_in(key).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        };
        // Every text was copied from a str.
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use arrow::buffer::BooleanBuffer;

    use super::super::TextsFrom;
    use super::*;

    #[test]
    fn texts_are_in_the_order_of_their_bytes() {
        let mut texts: Vec<String> = (0..14).map(|len| "a".repeat(len)).collect();
        texts.extend((1..14).map(|len| format!("{}\0", "a".repeat(len))));
        texts.extend((0..14).map(|len| "\0".repeat(len)));
        texts.extend((0..300).map(|i| format!("{i}")));
        texts.extend((0..300).map(|i| format!("the same beginning {}", i * 7 % 300)));
        texts.extend(["ä", "€", "🦀", "zebra", "Zebra", "\u{7f}"].map(str::to_owned));
        texts.sort();
        texts.dedup();
        let mut shuffled = texts.clone();
        shuffled.reverse();
        shuffled.rotate_left(17);
        let array: ArrayRef = Arc::new(StringArray::from(shuffled));
        let mut counts = TextCounts::default();
        let rows = BooleanBuffer::new_set(array.len());
        let weight = |index: usize| index as u64 + 1;
        counts.add(&array, &rows, TextsFrom::Rows, weight).unwrap();
        let sorted = counts.sorted();
        let found: Vec<String> = sorted
            .all()
            .texts()
            .map(|t| t.as_ref().to_owned())
            .collect();
        assert_eq!(found, texts);
        let parts: Vec<String> = sorted
            .parts(100)
            .flat_map(|part| part.texts().map(|t| t.as_ref().to_owned()))
            .collect();
        assert_eq!(parts, texts);
        let sum: u64 = sorted.all().counts().sum();
        assert_eq!(sum, (1..=texts.len() as u64).sum::<u64>());
        assert_eq!(sorted.all().len(), texts.len());
    }
}
