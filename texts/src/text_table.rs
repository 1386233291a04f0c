//! A table of texts that can be searched for many at a time.
//!
//! Owns the places of texts; must not know what stands beside them.

use std::sync::LazyLock;

use arrow::array::StringViewArray;
use hashbrown::DefaultHashBuilder;

use crate::block::Block;
use crate::text_key::TextKey;

/// All tables of a process hash alike, so that keys go from one to the other, and in the order of their hashes.
static HASHER: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

/// Of four slots three may be taken.
const TAKEN: usize = 3;
const OF: usize = 4;
/// Slots of a table that has got its first text.
const FEWEST: usize = 16;

/// Texts with a number each: open addressing with linear probing, in the order of the hashes, so that growing reads and writes one
/// slot after the other.
#[derive(Debug, Clone)]
pub struct TextTable {
    slots: Vec<Slot>,
    len: usize,
    hasher: DefaultHashBuilder,
}

/// Sixteen bytes: four of them share a line of the caches.
#[derive(Debug, Clone, Copy)]
struct Slot {
    low: u64,
    high: u32,
    value: u32,
}

impl Slot {
    const EMPTY: Self = Self::new(TextKey::NONE, 0);

    const fn new(key: TextKey, value: u32) -> Self {
        Self {
            low: key.low,
            high: key.high,
            value,
        }
    }

    #[inline]
    fn key(&self) -> TextKey {
        TextKey {
            low: self.low,
            high: self.high,
        }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        // The lowest byte, which is the length, alone tells it.
        self.low == TextKey::NONE.low
    }
}

/// A text to be found, in any table.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    key: TextKey,
    hash: u64,
}

impl Search {
    /// Stands where there is nothing to search for.
    pub const NONE: Self = Self {
        key: TextKey::NONE,
        hash: 0,
    };

    /// The key of the text.
    #[inline]
    pub fn key(self) -> TextKey {
        self.key
    }

    /// Whether the text stands in its key, so that it need not be compared with any other.
    #[inline]
    pub fn is_whole(self) -> bool {
        self.key.is_whole()
    }
}

impl Default for TextTable {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            len: 0,
            hasher: HASHER.clone(),
        }
    }
}

impl TextTable {
    /// An empty table with room for `texts`.
    pub fn with_capacity(texts: usize) -> Self {
        let mut table = Self::default();
        table.reserve(texts);
        table
    }

    /// The search for `text`.
    #[inline]
    pub fn search(&self, text: &[u8]) -> Search {
        self.search_key(TextKey::of(text, &self.hasher))
    }

    /// The search for the text at `index`, which must be valid, of an array of views.
    #[inline]
    pub fn search_view(&self, array: &StringViewArray, index: usize) -> Search {
        self.search_key(TextKey::of_view(array, index, &self.hasher))
    }

    /// The search for the text of a key, which any table may have made.
    #[inline]
    pub fn search_key(&self, key: TextKey) -> Search {
        Search {
            key,
            hash: key.hash(&self.hasher),
        }
    }

    /// Makes the memory that is needed for the searches come, all of it at once.
    #[inline]
    pub fn touch(&self, block: &Block<Search>) {
        block.touch(|search| {
            let slot = self.slots.get(place(search.hash, self.slots.len()));
            slot.map_or(0, |slot| slot.low)
        });
    }

    /// What stands beside the text, if the table has it. `is_it` compares the text itself with one that has the same key but is
    /// too long to stand in it.
    #[inline]
    pub fn get(&self, search: Search, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let found = self.find(search, is_it).ok()?;
        self.slots.get(found).map(|slot| slot.value)
    }

    /// As [`get`](Self::get), to be changed.
    #[inline]
    pub fn get_mut(&mut self, search: Search, is_it: impl Fn(u32) -> bool) -> Option<&mut u32> {
        let found = self.find(search, is_it).ok()?;
        self.slots.get_mut(found).map(|slot| &mut slot.value)
    }

    /// What stands beside the text, which is added with `new` if the table does not have it. There must be
    /// [room](Self::reserve) for it.
    #[inline]
    pub fn get_or_insert_with(
        &mut self,
        search: Search,
        is_it: impl Fn(u32) -> bool,
        new: impl FnOnce() -> u32,
    ) -> Option<&mut u32> {
        let found = match self.find(search, is_it) {
            Ok(found) => found,
            Err(empty) => {
                self.len += 1;
                *self.slots.get_mut(empty)? = Slot::new(search.key, new());
                empty
            }
        };
        self.slots.get_mut(found).map(|slot| &mut slot.value)
    }

    /// Where the text is, or else the empty slot where it would be.
    #[inline]
    fn find(&self, search: Search, is_it: impl Fn(u32) -> bool) -> Result<usize, usize> {
        let mut index = place(search.hash, self.slots.len());
        loop {
            let Some(slot) = self.slots.get(index) else {
                // The end goes on with the beginning; a table without slots has no place for anything.
                if self.slots.is_empty() {
                    return Err(0);
                }
                index = 0;
                continue;
            };
            if slot.key() == search.key && (search.key.is_whole() || is_it(slot.value)) {
                return Ok(index);
            }
            if slot.is_empty() {
                return Err(index);
            }
            index += 1;
        }
    }

    /// Makes room for so many more texts.
    #[inline]
    pub fn reserve(&mut self, texts: usize) {
        let needed = self.len.saturating_add(texts);
        if needed > self.slots.len() / OF * TAKEN {
            self.grow(needed);
        }
    }

    #[cold]
    fn grow(&mut self, texts: usize) {
        let needed = texts.div_ceil(TAKEN).saturating_mul(OF);
        let slots = needed.max(self.slots.len() / 2 * 3).max(FEWEST);
        let old = std::mem::replace(
            &mut self.slots,
            vec![Slot::EMPTY; slots.next_multiple_of(OF)],
        );
        self.len = 0;
        for slot in old.into_iter().filter(|slot| !slot.is_empty()) {
            // All texts are different, however alike their keys.
            self.get_or_insert_with(self.search_key(slot.key()), |_| false, || slot.value);
        }
    }

    /// Forgets all texts, and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.slots.fill(Slot::EMPTY);
        self.len = 0;
    }

    /// Keys and values, in the order of their hashes: that of all tables in the process, up to neighbours.
    pub fn iter(&self) -> impl Iterator<Item = (TextKey, u32)> {
        let taken = self.slots.iter().filter(|slot| !slot.is_empty());
        taken.map(|slot| (slot.key(), slot.value))
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }
}

/// Where the search for a hash begins among so many slots: hashes keep their order.
#[inline]
pub fn place(hash: u64, slots: usize) -> usize {
    // The upper half of a product of 64 bits each: below `slots`.
    ((u128::from(hash) * slots as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn insert(table: &mut TextTable, text: &str, texts: &[String], value: u32) -> u32 {
        table.reserve(1);
        let search = table.search(text.as_bytes());
        let is_it = |index: u32| texts[index as usize] == text;
        *table.get_or_insert_with(search, is_it, || value).unwrap()
    }

    #[test]
    fn finds_every_text_that_was_added_and_no_other() {
        let texts: Vec<String> = (0..20_000)
            .map(|i| match i % 3 {
                0 => format!("{i}"),
                1 => format!("a longer text, number {i}"),
                _ => "\0".repeat(i % 11) + &i.to_string(),
            })
            .collect();
        let mut table = TextTable::default();
        for (index, text) in (0..).zip(&texts) {
            assert_eq!(insert(&mut table, text, &texts, index), index);
        }
        for (index, text) in (0..).zip(&texts) {
            assert_eq!(insert(&mut table, text, &texts, u32::MAX), index);
        }
        assert_eq!(table.len(), texts.len());
        assert_eq!(table.iter().count(), texts.len());
        let others = ["x", "longer than twelve bytes", ""];
        let mut block = Block::new(Search::NONE);
        let mut indices = 0..others.len();
        while block.fill(&mut indices, |index| table.search(others[index].as_bytes())) {
            table.touch(&block);
            for (_, search) in block.iter() {
                assert_eq!(table.get(search, |_| false), None);
            }
        }
    }

    #[test]
    fn an_empty_table_has_nothing_and_the_empty_text_is_one() {
        let mut table = TextTable::default();
        let search = table.search(b"");
        table.touch(&Block::new(search));
        assert_eq!(table.get(search, |_| true), None);
        assert!(table.is_empty());
        assert_eq!(insert(&mut table, "", &[], 7), 7);
        assert_eq!(table.get(table.search(b""), |_| false), Some(7));
        assert_eq!(table.len(), 1);
        table.clear();
        assert_eq!((table.len(), table.iter().count()), (0, 0));
        assert_eq!(table.get(table.search(b""), |_| false), None);
    }

    #[test]
    fn long_texts_with_one_key_are_told_apart_by_the_caller() {
        let mut table = TextTable::with_capacity(2);
        let search = table.search(b"thirteen byte");
        for value in [1, 2] {
            table.get_or_insert_with(search, |found| found == value, || value);
        }
        assert_eq!(table.get(search, |found| found == 2), Some(2));
        assert_eq!(table.get(search, |found| found == 3), None);
        table.reserve(1000);
        assert_eq!(table.get(search, |found| found == 1), Some(1));
    }

    #[test]
    fn the_last_slots_go_on_with_the_first() {
        let mut table = TextTable::with_capacity(12);
        let searches: Vec<Search> = (0..12_u8)
            .map(|byte| Search {
                hash: u64::MAX,
                ..table.search(&[byte])
            })
            .collect();
        for (value, search) in (0..).zip(&searches) {
            table.get_or_insert_with(*search, |_| false, || value);
        }
        for (value, search) in (0..).zip(&searches) {
            assert_eq!(table.get(*search, |_| false), Some(value));
        }
    }
}
