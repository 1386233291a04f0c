//! Texts of one column, each kept once. Owns the table from text to key; when interning is worth it is decided elsewhere.

use arrow::array::{Array, Int32Array, StringArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use millpond_texts::{Block, Search, TextTable};

use crate::error::SpillError;

/// Gives each distinct text a key, in the order of first sight.
pub(crate) struct TextInterner {
    keys: TextTable,
    /// The distinct texts, one behind the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<i32>,
    rows: usize,
}

impl TextInterner {
    /// With room for so many distinct texts.
    pub(crate) fn with_capacity(texts: usize) -> Self {
        Self {
            keys: TextTable::with_capacity(texts),
            bytes: Vec::new(),
            ends: Vec::with_capacity(texts),
            rows: 0,
        }
    }

    /// Rows interned, nulls included.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Number of distinct texts.
    pub(crate) fn distinct(&self) -> usize {
        self.ends.len()
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.keys.memory_bytes() + self.bytes.capacity() + self.ends.capacity() * size_of::<i32>()
    }

    /// One key per row, sharing no memory with `texts`; nothing when the dictionary would be larger than its offsets can say.
    pub(crate) fn intern(&mut self, texts: &StringArray) -> Option<Int32Array> {
        let most = self.bytes.len() + texts.value_data().len();
        i32::try_from(most).ok()?;
        let nulls = texts.nulls().filter(|nulls| nulls.null_count() > 0);
        let mut keys = vec![0; texts.len()];
        match nulls {
            None => self.intern_rows(texts, 0..texts.len(), &mut keys),
            Some(nulls) => self.intern_rows(texts, nulls.valid_indices(), &mut keys),
        }
        self.rows += texts.len();
        let nulls = nulls.map(|nulls| {
            let bits = nulls.inner().sliced();
            let copy = Buffer::from_slice_ref(bits.as_slice());
            NullBuffer::new(BooleanBuffer::new(copy, 0, nulls.len()))
        });
        Some(Int32Array::new(ScalarBuffer::from(keys), nulls))
    }

    fn intern_rows(
        &mut self,
        texts: &StringArray,
        mut rows: impl Iterator<Item = usize>,
        keys: &mut [i32],
    ) {
        let mut block = Block::new(Search::NONE);
        while block.fill(&mut rows, |row| {
            self.keys.search(texts.value(row).as_bytes())
        }) {
            self.keys.reserve(block.searches().len());
            self.keys.touch(&block);
            for (row, search) in block.iter() {
                let found = self.key(search, || texts.value(row));
                if let (Some(key), Some(found)) = (keys.get_mut(row), found) {
                    *key = found;
                }
            }
        }
    }

    /// The key of a text, for which there is room in the table.
    #[inline]
    fn key<'a>(&mut self, search: Search, text: impl Fn() -> &'a str) -> Option<i32> {
        let (bytes, ends) = (&mut self.bytes, &mut self.ends);
        // The caller has checked that bytes, of which there are more than texts, can be counted so.
        let next = u32::try_from(ends.len()).unwrap_or(u32::MAX);
        let is_it = |key| text_at(bytes, ends, key) == text().as_bytes();
        let key = *self.keys.get_or_insert_with(search, is_it, || next)?;
        if key == next {
            bytes.extend_from_slice(text().as_bytes());
            ends.push(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        }
        i32::try_from(key).ok()
    }

    /// The distinct texts in the order of their keys.
    ///
    /// # Errors
    /// Never for texts that were interned.
    pub(crate) fn values(&self) -> Result<StringArray, SpillError> {
        let mut offsets = Vec::with_capacity(self.ends.len() + 1);
        offsets.push(0);
        offsets.extend_from_slice(&self.ends);
        StringArray::try_new(
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            Buffer::from_slice_ref(&self.bytes),
            None,
        )
        .map_err(SpillError::arrow("make a dictionary"))
    }

    /// Forgets all texts, and keeps the memory for the next ones.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.bytes.clear();
        self.ends.clear();
        self.rows = 0;
    }
}

fn text_at<'a>(bytes: &'a [u8], ends: &[i32], key: u32) -> &'a [u8] {
    let at = |index: Option<usize>| {
        let end = index.and_then(|index| ends.get(index)).copied();
        usize::try_from(end.unwrap_or(0)).unwrap_or(0)
    };
    let index = key as usize;
    let start = at(index.checked_sub(1));
    bytes.get(start..at(Some(index))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::{ArrayRef, DictionaryArray};
    use arrow::compute::cast;
    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn keys_and_values_give_the_texts_back() {
        let texts: Vec<Option<String>> = (0..5000_usize)
            .map(|i| match i % 7 {
                0 => None,
                1 => Some(String::new()),
                2 => Some(format!("{}", i % 50)),
                3 => Some("\0".repeat(i % 14)),
                _ => Some(format!("{:>1$}", i % 300, i % 23)),
            })
            .collect();
        let texts = StringArray::from(texts);
        let mut interner = TextInterner::with_capacity(0);
        for _ in 0..2 {
            // Slices that begin inside of a byte of the validity, and one without nulls.
            let pieces = [
                texts.slice(0, 1003),
                texts.slice(1003, 1),
                texts.slice(1004, 3996),
            ];
            let keys: Vec<_> = pieces.iter().map(|p| interner.intern(p).unwrap()).collect();
            let values: ArrayRef = std::sync::Arc::new(interner.values().unwrap());
            let mut distinct: Vec<_> = texts.iter().flatten().collect();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(
                (interner.distinct(), values.len()),
                (distinct.len(), distinct.len())
            );
            assert_eq!(interner.rows(), 5000);
            for (keys, piece) in keys.into_iter().zip(&pieces) {
                let array = DictionaryArray::try_new(keys, values.clone()).unwrap();
                let plain = cast(&array, &DataType::Utf8).unwrap();
                assert_eq!(plain.as_ref(), piece as &dyn Array);
            }
            interner.clear();
            assert_eq!(interner.distinct(), 0);
        }
    }
}
