//! Counts of distinct texts: one table of fixed-size entries, and one arena for the bytes of long ones.
//!
//! Owns the storage of texts; knows nothing of missing values or dictionaries.

use arrow::array::{ArrayRef, AsArray, GenericByteArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{ByteArrayType, DataType, LargeUtf8Type, Utf8Type};
use hashbrown::hash_table::Entry as TableEntry;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::category::CategoryError;
use crate::category::text_key::{TextKey, text_of};

/// One distinct text.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// As bytes, so that short texts can be borrowed from it.
    key: [u8; 16],
    count: u64,
    /// Where the arena has a text that is not in the key.
    start: usize,
}

/// Counts of distinct texts.
#[derive(Debug, Clone, Default)]
pub(super) struct TextCounts {
    arena: Vec<u8>,
    table: HashTable<Entry>,
    hasher: DefaultHashBuilder,
    text_bytes: usize,
}

impl TextCounts {
    /// Counts the texts set in `rows`, each `weight` times. None of them may be null.
    pub(super) fn add(
        &mut self,
        values: &ArrayRef,
        rows: &BooleanBuffer,
        weight: impl Fn(usize) -> u64,
    ) -> Result<(), CategoryError> {
        match values.data_type() {
            DataType::Utf8 => self.add_bytes(values.as_bytes_opt::<Utf8Type>(), rows, weight),
            DataType::LargeUtf8 => {
                self.add_bytes(values.as_bytes_opt::<LargeUtf8Type>(), rows, weight)
            }
            DataType::Utf8View => values.as_string_view_opt().map(|array| {
                for index in rows.set_indices() {
                    let key = TextKey::of_view(array, index, &self.hasher);
                    self.add_one(key, || array.value(index).as_bytes(), weight(index));
                }
            }),
            _ => None,
        }
        .ok_or_else(|| super::unreadable(values))
    }

    fn add_bytes<T: ByteArrayType<Native = str>>(
        &mut self,
        array: Option<&GenericByteArray<T>>,
        rows: &BooleanBuffer,
        weight: impl Fn(usize) -> u64,
    ) -> Option<()> {
        let array = array?;
        for index in rows.set_indices() {
            let text = array.value(index).as_bytes();
            let key = TextKey::of(text, &self.hasher);
            self.add_one(key, || text, weight(index));
        }
        Some(())
    }

    #[inline]
    fn add_one<'a>(&mut self, key: TextKey, text: impl Fn() -> &'a [u8], count: u64) {
        let arena = &mut self.arena;
        let found = self.table.entry(
            key.hash(&self.hasher),
            |entry| {
                TextKey::from_bytes(entry.key) == key
                    && (key.is_whole() || in_arena(arena, entry.start, text().len()) == text())
            },
            |entry| TextKey::from_bytes(entry.key).hash(&self.hasher),
        );
        match found {
            TableEntry::Occupied(mut entry) => entry.get_mut().count += count,
            TableEntry::Vacant(place) => {
                let start = arena.len();
                if !key.is_whole() {
                    arena.extend_from_slice(text());
                }
                self.text_bytes += text().len();
                place.insert(Entry {
                    key: key.to_bytes(),
                    count,
                    start,
                });
            }
        }
    }

    /// Adds the counts of `other`.
    pub(super) fn merge(&mut self, other: &Self) {
        for entry in &other.table {
            let text = other.text(entry);
            let mut key = TextKey::from_bytes(entry.key);
            if !key.is_whole() {
                // Each table hashes long texts in its own way.
                key = TextKey::of(text, &self.hasher);
            }
            self.add_one(key, || text, entry.count);
        }
    }

    /// The bytes of an entry of this table.
    fn text<'a>(&'a self, entry: &'a Entry) -> &'a [u8] {
        text_of(&entry.key).unwrap_or_else(|| {
            let len = TextKey::from_bytes(entry.key).len();
            in_arena(&self.arena, entry.start, len)
        })
    }

    /// Number of distinct texts.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes of the distinct texts.
    pub(super) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Bytes held by the table and the arena.
    pub(super) fn memory_bytes(&self) -> usize {
        self.table.allocation_size() + self.arena.capacity()
    }

    /// Texts and counts in code point order, which for UTF-8 is byte order.
    pub(super) fn sorted(&self) -> Vec<(&str, u64)> {
        let mut sorted: Vec<(&str, u64)> = self
            .table
            .iter()
            .filter_map(|entry| {
                // Every entry was copied from a str.
                std::str::from_utf8(self.text(entry))
                    .ok()
                    .map(|text| (text, entry.count))
            })
            .collect();
        sorted.sort_unstable();
        sorted
    }
}

/// Texts are whole in the arena; nothing stands for one that is not.
fn in_arena(arena: &[u8], start: usize, len: usize) -> &[u8] {
    start
        .checked_add(len)
        .and_then(|end| arena.get(start..end))
        .unwrap_or_default()
}
