//! Codes of texts that are in memory.
//!
//! Owns the table from texts to codes; must not know what the codes mean.

use arrow::array::{LargeStringArray, StringViewArray};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::UNKNOWN;
use crate::category::text_key::TextKey;

/// Finds texts of a sorted array of texts.
#[derive(Debug, Clone)]
pub(super) struct TextIndex {
    texts: LargeStringArray,
    table: HashTable<Slot>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    key: TextKey,
    /// Where the array has a text that is not in the key.
    position: u32,
    code: i32,
}

impl TextIndex {
    /// The missing text, if any, has no place in the table.
    pub(super) fn new(texts: &LargeStringArray, codes: &[i32]) -> Self {
        let hasher = DefaultHashBuilder::default();
        let mut table = HashTable::with_capacity(codes.len());
        for ((position, text), &code) in texts.iter().enumerate().zip(codes) {
            let (Some(text), Ok(position)) = (text, u32::try_from(position)) else {
                continue;
            };
            let key = TextKey::of(text.as_bytes(), &hasher);
            let slot = Slot {
                key,
                position,
                code,
            };
            table.insert_unique(key.hash(&hasher), slot, |slot| slot.key.hash(&hasher));
        }
        Self {
            texts: texts.clone(),
            table,
            hasher,
        }
    }

    #[inline]
    pub(super) fn code(&self, text: &str) -> i32 {
        let key = TextKey::of(text.as_bytes(), &self.hasher);
        self.find(key, || text)
    }

    #[inline]
    pub(super) fn code_of_view(&self, array: &StringViewArray, index: usize) -> i32 {
        let key = TextKey::of_view(array, index, &self.hasher);
        self.find(key, || array.value(index))
    }

    #[inline]
    fn find<'a>(&self, key: TextKey, text: impl Fn() -> &'a str) -> i32 {
        let is_it = |slot: &Slot| {
            slot.key == key
                && (key.is_whole() || self.texts.value(slot.position as usize) == text())
        };
        self.table
            .find(key.hash(&self.hasher), is_it)
            .map_or(UNKNOWN, |slot| slot.code)
    }

    /// Bytes of the table.
    pub(super) fn memory_bytes(&self) -> usize {
        self.table.allocation_size()
    }
}
