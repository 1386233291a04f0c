//! Counts of distinct texts: one table of fixed-size entries, and one arena for the bytes of long ones.
//!
//! Owns the storage of texts; knows nothing of missing values or dictionaries.

use arrow::array::{ArrayRef, AsArray, GenericByteArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{ByteArrayType, DataType, LargeUtf8Type, Utf8Type};
use millpond_texts::{Block, Search, TextKey, TextTable};

use crate::category::CategoryError;

/// How often a text was seen.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    count: u64,
    /// Where the arena has a text that is not in its key.
    start: usize,
}

/// Counts of distinct texts.
#[derive(Debug, Clone, Default)]
pub(super) struct TextCounts {
    arena: Vec<u8>,
    table: TextTable<Count>,
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
                self.add_blocks(
                    rows.set_indices(),
                    |table, index| table.search_view(array, index),
                    |index| array.value(index).as_bytes(),
                    weight,
                );
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
        let text = |index| array.value(index).as_bytes();
        self.add_blocks(
            rows.set_indices(),
            |table, index| table.search(text(index)),
            text,
            weight,
        );
        Some(())
    }

    /// Counts the texts at `indices`, a block at a time.
    #[inline]
    fn add_blocks<'a>(
        &mut self,
        mut indices: impl Iterator<Item = usize>,
        search: impl Fn(&TextTable<Count>, usize) -> Search,
        text: impl Fn(usize) -> &'a [u8],
        weight: impl Fn(usize) -> u64,
    ) {
        let mut block = Block::new(Search::NONE);
        while block.fill(&mut indices, |index| search(&self.table, index)) {
            self.table.reserve(block.searches().len());
            self.table.touch(&block);
            for (index, search) in block.iter() {
                self.add_one(search, || text(index), weight(index));
            }
        }
    }

    /// There must be room in the table.
    #[inline]
    fn add_one<'a>(&mut self, search: Search, text: impl Fn() -> &'a [u8], count: u64) {
        let (arena, text_bytes) = (&mut self.arena, &mut self.text_bytes);
        let mut added = None;
        let start = arena.len();
        let counted = self.table.get_or_insert_with(
            search,
            |counted| in_arena(arena, counted.start, text().len()) == text(),
            || {
                added = Some(text());
                Count { count: 0, start }
            },
        );
        if let Some(counted) = counted {
            counted.count += count;
        }
        if let Some(text) = added {
            if !search.is_whole() {
                arena.extend_from_slice(text);
            }
            *text_bytes += text.len();
        }
    }

    /// Adds the counts of `other`.
    pub(super) fn merge(&mut self, other: &Self) {
        // Only texts that are new need room, and most are not; the order is that of memory, so looking twice costs little.
        let new = other.texts().filter(|(key, bytes, counted)| {
            let text = other.text(*key, bytes, counted);
            let is_it = |own: &Count| in_arena(&self.arena, own.start, text.len()) == text;
            self.table.get(self.table.search_key(*key), is_it).is_none()
        });
        self.table.reserve(new.count());
        for (key, bytes, counted) in other.texts() {
            let text = other.text(key, &bytes, counted);
            self.add_one(self.table.search_key(key), || text, counted.count);
        }
    }

    /// Keys, their bytes and counts, in no order that means anything.
    fn texts(&self) -> impl Iterator<Item = (TextKey, [u8; 16], &Count)> {
        let entries = self.table.iter();
        entries.map(|(key, counted)| (*key, key.to_bytes(), counted))
    }

    /// The text of a key whose bytes are `bytes`.
    fn text<'a>(&'a self, key: TextKey, bytes: &'a [u8; 16], counted: &Count) -> &'a [u8] {
        match TextKey::text_in(bytes) {
            Some(text) => text,
            None => in_arena(&self.arena, counted.start, key.text_len()),
        }
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
        self.table.memory_bytes() + self.arena.capacity()
    }

    /// Gives `take` texts and counts in code point order, which for UTF-8 is byte order.
    pub(super) fn sorted<R>(&self, take: impl FnOnce(&[(&str, u64)]) -> R) -> R {
        // Short texts stand in their keys, and keys in no order of bytes.
        let bytes: Vec<[u8; 16]> = self.texts().map(|(_, bytes, _)| bytes).collect();
        let mut sorted: Vec<(&str, u64)> = self
            .table
            .iter()
            .zip(&bytes)
            .filter_map(|((key, counted), bytes)| {
                // Every text was copied from a str.
                let text = std::str::from_utf8(self.text(*key, bytes, counted)).ok()?;
                Some((text, counted.count))
            })
            .collect();
        sorted.sort_unstable();
        take(&sorted)
    }
}

/// Texts are whole in the arena; nothing stands for one that is not.
fn in_arena(arena: &[u8], start: usize, len: usize) -> &[u8] {
    start
        .checked_add(len)
        .and_then(|end| arena.get(start..end))
        .unwrap_or_default()
}
