//! Counts of distinct texts: one table of fixed-size entries, one arena of bytes.
//!
//! Owns hashing and storage of texts; knows nothing of missing values or dictionaries.

use std::hash::{BuildHasher, Hasher};

use arrow::array::{ArrayRef, AsArray, GenericByteArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{ByteArrayType, DataType, LargeUtf8Type, Utf8Type};
use hashbrown::hash_table::Entry as TableEntry;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::category::CategoryError;

/// One distinct text. The hash is kept so that growing the table does not touch the arena.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    count: u64,
    start: usize,
    len: usize,
}

/// Counts of distinct texts.
#[derive(Debug, Clone, Default)]
pub(super) struct TextCounts {
    arena: Vec<u8>,
    table: HashTable<Entry>,
    hasher: DefaultHashBuilder,
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
            DataType::Utf8View => {
                let Some(array) = values.as_string_view_opt() else {
                    return Err(super::unreadable(values));
                };
                for index in rows.set_indices() {
                    self.add_one(array.value(index).as_bytes(), weight(index));
                }
                Some(())
            }
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
            self.add_one(array.value(index).as_bytes(), weight(index));
        }
        Some(())
    }

    fn add_one(&mut self, text: &[u8], count: u64) {
        let hash = hash(&self.hasher, text);
        let arena = &mut self.arena;
        let found = self.table.entry(
            hash,
            |entry| {
                entry.hash == hash && arena.get(entry.start..entry.start + entry.len) == Some(text)
            },
            |entry| entry.hash,
        );
        match found {
            TableEntry::Occupied(mut entry) => entry.get_mut().count += count,
            TableEntry::Vacant(place) => {
                let start = arena.len();
                arena.extend_from_slice(text);
                place.insert(Entry {
                    hash,
                    count,
                    start,
                    len: text.len(),
                });
            }
        }
    }

    /// Adds the counts of `other`.
    pub(super) fn merge(&mut self, other: &Self) {
        for entry in &other.table {
            if let Some(text) = other.arena.get(entry.start..entry.start + entry.len) {
                self.add_one(text, entry.count);
            }
        }
    }

    /// Number of distinct texts.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes of the distinct texts.
    pub(super) fn text_bytes(&self) -> usize {
        self.arena.len()
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
                let bytes = self.arena.get(entry.start..entry.start + entry.len)?;
                // Every entry was copied from a str.
                std::str::from_utf8(bytes)
                    .ok()
                    .map(|text| (text, entry.count))
            })
            .collect();
        sorted.sort_unstable();
        sorted
    }
}

fn hash(builder: &DefaultHashBuilder, text: &[u8]) -> u64 {
    let mut hasher = builder.build_hasher();
    hasher.write(text);
    hasher.finish()
}
