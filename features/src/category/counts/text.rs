//! Counts of distinct texts: one table of small entries, and one arena for the bytes of long ones.
//!
//! Owns the storage of texts; knows nothing of missing values or dictionaries.

mod sorted;

use arrow::array::{ArrayRef, AsArray, GenericByteArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{ByteArrayType, DataType, LargeUtf8Type, Utf8Type};
use hashbrown::HashMap;
use millpond_texts::{Block, Search, TextKey, TextTable};

pub(in crate::category) use self::sorted::SortedTexts;
use crate::category::CategoryError;

/// Counts of distinct texts.
#[derive(Debug, Clone, Default)]
pub(super) struct TextCounts {
    /// The lower 32 bits of the count, or for a text that is not in its key its place among the long ones.
    table: TextTable,
    /// What is above 32 bits, by the bytes of keys.
    carried: HashMap<[u8; 12], u64>,
    long: Vec<LongText>,
    arena: Vec<u8>,
    text_bytes: usize,
}

/// How often a text was seen that is not in its key.
#[derive(Debug, Clone, Copy)]
struct LongText {
    count: u64,
    /// Where the arena has it, up to the next one.
    start: usize,
}

/// Where texts to be counted stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextsFrom {
    /// Once per row.
    Rows,
    /// Once each, perhaps in the order of their hashes. The new ones are added last, when there is room for all of them: in a table that
    /// grows with them they would all be at its beginning, each searched for behind all before it.
    Dictionary,
}

/// A text in the table with its count.
struct Counted {
    key: TextKey,
    value: u32,
    count: u64,
}

impl TextCounts {
    /// Counts the texts set in `rows`, each with its weight. None of them may be null.
    pub(super) fn add(
        &mut self,
        values: &ArrayRef,
        rows: &BooleanBuffer,
        from: TextsFrom,
        weight: impl Fn(usize) -> u64,
    ) -> Result<(), CategoryError> {
        match values.data_type() {
            DataType::Utf8 => {
                let array = values.as_bytes_opt::<Utf8Type>();
                array.map(|array| self.add_bytes(array, rows, from, weight))
            }
            DataType::LargeUtf8 => {
                let array = values.as_bytes_opt::<LargeUtf8Type>();
                array.map(|array| self.add_bytes(array, rows, from, weight))
            }
            DataType::Utf8View => values.as_string_view_opt().map(|array| {
                self.add_blocks(
                    rows.set_indices(),
                    |table, index| table.search_view(array, index),
                    |index| array.value(index).as_bytes(),
                    from,
                    weight,
                )
            }),
            _ => None,
        }
        .unwrap_or_else(|| Err(super::unreadable(values)))
    }

    fn add_bytes<T: ByteArrayType<Native = str>>(
        &mut self,
        array: &GenericByteArray<T>,
        rows: &BooleanBuffer,
        from: TextsFrom,
        weight: impl Fn(usize) -> u64,
    ) -> Result<(), CategoryError> {
        let text = |index| array.value(index).as_bytes();
        self.add_blocks(
            rows.set_indices(),
            |table, index| table.search(text(index)),
            text,
            from,
            weight,
        )
    }

    /// Counts the texts at `indices`, a block at a time.
    #[inline]
    fn add_blocks<'a>(
        &mut self,
        mut indices: impl Iterator<Item = usize>,
        search: impl Fn(&TextTable, usize) -> Search,
        text: impl Fn(usize) -> &'a [u8],
        from: TextsFrom,
        weight: impl Fn(usize) -> u64,
    ) -> Result<(), CategoryError> {
        let mut block = Block::new(Search::NONE);
        let mut new = Vec::new();
        while block.fill(&mut indices, |index| search(&self.table, index)) {
            if from == TextsFrom::Rows {
                self.table.reserve(block.searches().len());
            }
            self.table.touch(&block);
            for (index, search) in block.iter() {
                match from {
                    TextsFrom::Rows => self.add_one(search, || text(index), weight(index))?,
                    TextsFrom::Dictionary => {
                        if !self.add_known(search, || text(index), weight(index)) {
                            new.push((index, search));
                        }
                    }
                }
            }
        }
        self.table.reserve(new.len());
        for (index, search) in new {
            self.add_one(search, || text(index), weight(index))?;
        }
        Ok(())
    }

    /// Counts a text if it is not new, and says so.
    #[inline]
    fn add_known<'a>(&mut self, search: Search, text: impl Fn() -> &'a [u8], count: u64) -> bool {
        let (long, arena) = (&self.long, &self.arena);
        let is_it = |place| long_text(long, arena, place) == text();
        let Some(counted) = self.table.get_mut(search, is_it) else {
            return false;
        };
        if search.is_whole() {
            carry(counted, count, search.key(), &mut self.carried);
        } else if let Some(counted) = self.long.get_mut(*counted as usize) {
            counted.count += count;
        }
        true
    }

    /// There must be room in the table.
    #[inline]
    fn add_one<'a>(
        &mut self,
        search: Search,
        text: impl Fn() -> &'a [u8],
        count: u64,
    ) -> Result<(), CategoryError> {
        if !search.is_whole() {
            return self.add_long(search, text(), count);
        }
        let mut new = false;
        let counted = self.table.get_or_insert_with(
            search,
            |_| true,
            || {
                new = true;
                0
            },
        );
        if let Some(counted) = counted {
            carry(counted, count, search.key(), &mut self.carried);
        }
        if new {
            self.text_bytes += text().len();
        }
        Ok(())
    }

    fn add_long(&mut self, search: Search, text: &[u8], count: u64) -> Result<(), CategoryError> {
        let next = place_after(self.long.len())?;
        let (long, arena) = (&self.long, &self.arena);
        let is_it = |place| long_text(long, arena, place) == text;
        let place = self
            .table
            .get_or_insert_with(search, is_it, || next)
            .copied();
        if place == Some(next) {
            self.long.push(LongText {
                count,
                start: self.arena.len(),
            });
            self.arena.extend_from_slice(text);
            self.text_bytes += text.len();
        } else if let Some(counted) = place.and_then(|place| self.long.get_mut(place as usize)) {
            counted.count += count;
        }
        Ok(())
    }

    /// Adds the counts of `other`.
    pub(super) fn merge(&mut self, other: &Self) -> Result<(), CategoryError> {
        // Only texts that are new need room, and most are not; the order is that of memory, so looking twice costs little.
        let new = other.texts().filter(|counted| {
            let is_it = |place| self.long_text(place) == other.long_text(counted.value);
            let search = self.table.search_key(counted.key);
            self.table.get(search, is_it).is_none()
        });
        self.table.reserve(new.count());
        for counted in other.texts() {
            let bytes = counted.key.to_bytes();
            let text = other.text(&counted, &bytes);
            let search = self.table.search_key(counted.key);
            self.add_one(search, || text, counted.count)?;
        }
        Ok(())
    }

    /// In no order that means anything.
    fn texts(&self) -> impl Iterator<Item = Counted> {
        self.table.iter().map(|(key, value)| {
            let count = match key.is_whole() {
                true => self.short_count(value, &key.to_bytes()),
                false => self.long_count(value),
            };
            Counted { key, value, count }
        })
    }

    /// The text of an entry whose key has these bytes.
    fn text<'a>(&'a self, counted: &Counted, bytes: &'a [u8; 12]) -> &'a [u8] {
        match TextKey::text_in(bytes) {
            Some(text) => text,
            None => self.long_text(counted.value),
        }
    }

    /// The count of a text whose key has these bytes.
    fn short_count(&self, value: u32, bytes: &[u8; 12]) -> u64 {
        u64::from(value) + self.carried.get(bytes).copied().unwrap_or(0)
    }

    fn long_count(&self, place: u32) -> u64 {
        self.long.get(place as usize).map_or(0, |long| long.count)
    }

    fn long_text(&self, place: u32) -> &[u8] {
        long_text(&self.long, &self.arena, place)
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
        self.table.memory_bytes()
            + self.carried.allocation_size()
            + self.long.capacity() * size_of::<LongText>()
            + self.arena.capacity()
    }

    /// Texts and counts in code point order.
    pub(super) fn sorted(&self) -> SortedTexts<'_> {
        SortedTexts::new(self)
    }
}

/// Adds to a count, what does not fit into it beside it.
#[inline]
fn carry(counted: &mut u32, count: u64, key: TextKey, carried: &mut HashMap<[u8; 12], u64>) {
    let sum = u64::from(*counted) + count;
    *counted = sum as u32;
    if sum > u64::from(u32::MAX) {
        *carried.entry(key.to_bytes()).or_insert(0) += sum & !u64::from(u32::MAX);
    }
}

/// The place of a long text when there are so many already.
fn place_after(texts: usize) -> Result<u32, CategoryError> {
    u32::try_from(texts).map_err(|_| CategoryError::TooManyCategories {
        categories: texts,
        limit: u32::MAX as usize,
    })
}

/// Texts are whole in the arena, one behind the other; nothing stands for one that is not there.
fn long_text<'a>(long: &[LongText], arena: &'a [u8], place: u32) -> &'a [u8] {
    let start = |place: usize| long.get(place).map(|text| text.start);
    let place = place as usize;
    let end = start(place + 1).unwrap_or(arena.len());
    start(place)
        .and_then(|start| arena.get(start..end))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use arrow::array::StringArray;

    use super::*;

    fn counts(texts: &[&str], weight: u64) -> TextCounts {
        let array: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        let mut counts = TextCounts::default();
        let rows = BooleanBuffer::new_set(texts.len());
        counts
            .add(&array, &rows, TextsFrom::Rows, |_| weight)
            .unwrap();
        counts
    }

    #[test]
    fn counts_go_beyond_32_bits_alone_and_merged() {
        let most = u64::from(u32::MAX);
        let texts = ["short", "a long text, not in its key"];
        let mut all = counts(&texts, most);
        all.merge(&counts(&texts, 1)).unwrap();
        all.merge(&counts(&["short"], 5 * (most + 1) + 2)).unwrap();
        all.merge(&all.clone()).unwrap();
        let found: Vec<u64> = all.sorted().all().counts().collect();
        assert_eq!(found, [2 * (most + 1), 12 * (most + 1) + 4]);
        assert_eq!((all.len(), all.text_bytes()), (2, 5 + 27));
    }

    #[test]
    fn texts_in_the_order_of_their_hashes_are_counted() {
        let texts: Vec<String> = (0..200_000).map(|i| format!("{i} {}", i % 7)).collect();
        let mut table = TextTable::default();
        for (index, text) in (0..).zip(&texts) {
            table.reserve(1);
            let search = table.search(text.as_bytes());
            table.get_or_insert_with(search, |_| false, || index);
        }
        let ordered: Vec<&str> = table
            .iter()
            .map(|(_, i)| texts[i as usize].as_str())
            .collect();
        let array: ArrayRef = Arc::new(StringArray::from(ordered));
        let mut counts = TextCounts::default();
        let rows = BooleanBuffer::new_set(texts.len());
        // Each behind all others would be twenty thousand million comparisons, and this test would not end in minutes.
        for _ in 0..2 {
            counts
                .add(&array, &rows, TextsFrom::Dictionary, |_| 3)
                .unwrap();
        }
        assert_eq!(counts.len(), 200_000);
        assert!(counts.sorted().all().counts().all(|count| count == 6));
    }

    #[test]
    fn long_texts_are_numbered_as_far_as_there_are_numbers() {
        assert_eq!(place_after(u32::MAX as usize), Ok(u32::MAX));
        let error = place_after(u32::MAX as usize + 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "4294967296 distinct values are more than the 4294967295 that can be numbered"
        );
    }
}
