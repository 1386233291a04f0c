//! Texts of one column, each kept once. Owns the table from text to number and the order of the dictionary that it becomes; when
//! interning is worth it is decided elsewhere.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, StringArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use millpond_texts::{Block, Search, TextKey, TextTable};

use crate::error::SpillError;

/// Gives each distinct text a number, in the order of first sight.
pub(crate) struct TextInterner {
    numbers: TextTable,
    /// The texts that are not in their keys, one behind the other, and where each text ends: nothing is there of those that are.
    bytes: Vec<u8>,
    ends: Vec<i32>,
    /// Bytes of all distinct texts.
    text_bytes: usize,
    rows: usize,
}

/// The distinct texts of a column, in the order of their hashes.
///
/// All tables of texts in the process have that order too. So whoever counts the texts of a dictionary, or looks them up, goes through his
/// table from one end to the other, instead of to a place that is in no cache for each.
pub(crate) struct InternedTexts {
    values: ArrayRef,
    /// Where the text of each number is.
    places: Vec<i32>,
}

impl InternedTexts {
    /// The texts.
    pub(crate) fn values(&self) -> &ArrayRef {
        &self.values
    }

    /// The places of texts that are given by their numbers.
    pub(crate) fn keys(&self, numbers: Int32Array) -> Int32Array {
        let place = |number: i32| {
            let place = usize::try_from(number)
                .ok()
                .and_then(|n| self.places.get(n));
            place.copied().unwrap_or(0)
        };
        // Nobody else has the numbers, so that they are replaced where they are.
        let replaced = numbers.unary_mut(place);
        replaced.unwrap_or_else(|shared| shared.unary(place))
    }
}

impl TextInterner {
    /// With room for so many distinct texts.
    pub(crate) fn with_capacity(texts: usize) -> Self {
        Self {
            numbers: TextTable::with_capacity(texts),
            bytes: Vec::new(),
            ends: Vec::with_capacity(texts),
            text_bytes: 0,
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
        self.numbers.memory_bytes()
            + self.bytes.capacity()
            + self.ends.capacity() * size_of::<i32>()
    }

    /// One number per row, sharing no memory with `texts`; nothing when the dictionary would be larger than its offsets can say.
    pub(crate) fn intern(&mut self, texts: &StringArray) -> Option<Int32Array> {
        let most = self.text_bytes + texts.value_data().len();
        i32::try_from(most).ok()?;
        let nulls = texts.nulls().filter(|nulls| nulls.null_count() > 0);
        let mut numbers = vec![0; texts.len()];
        match nulls {
            None => self.intern_rows(texts, 0..texts.len(), &mut numbers),
            Some(nulls) => self.intern_rows(texts, nulls.valid_indices(), &mut numbers),
        }
        self.rows += texts.len();
        let nulls = nulls.map(|nulls| {
            let bits = nulls.inner().sliced();
            let copy = Buffer::from_slice_ref(bits.as_slice());
            NullBuffer::new(BooleanBuffer::new(copy, 0, nulls.len()))
        });
        Some(Int32Array::new(ScalarBuffer::from(numbers), nulls))
    }

    fn intern_rows(
        &mut self,
        texts: &StringArray,
        mut rows: impl Iterator<Item = usize>,
        numbers: &mut [i32],
    ) {
        let mut block = Block::new(Search::NONE);
        while block.fill(&mut rows, |row| {
            self.numbers.search(texts.value(row).as_bytes())
        }) {
            self.numbers.reserve(block.searches().len());
            self.numbers.touch(&block);
            for (row, search) in block.iter() {
                let found = self.number(search, || texts.value(row));
                if let (Some(number), Some(found)) = (numbers.get_mut(row), found) {
                    *number = found;
                }
            }
        }
    }

    /// The number of a text, for which there is room in the table.
    #[inline]
    fn number<'a>(&mut self, search: Search, text: impl Fn() -> &'a str) -> Option<i32> {
        let (bytes, ends) = (&mut self.bytes, &mut self.ends);
        // The caller has checked that bytes, of which there are more than texts, can be counted so.
        let next = u32::try_from(ends.len()).unwrap_or(u32::MAX);
        let is_it = |number| text_at(bytes, ends, number) == text().as_bytes();
        let number = *self.numbers.get_or_insert_with(search, is_it, || next)?;
        if number == next {
            if !search.is_whole() {
                bytes.extend_from_slice(text().as_bytes());
            }
            ends.push(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            self.text_bytes += text().len();
        }
        i32::try_from(number).ok()
    }

    /// The distinct texts.
    ///
    /// # Errors
    /// Never for texts that were interned.
    pub(crate) fn texts(&self) -> Result<InternedTexts, SpillError> {
        let mut places = vec![0; self.distinct()];
        let mut offsets = Vec::with_capacity(self.distinct() + 1);
        let mut data = Vec::with_capacity(self.text_bytes + size_of::<TextKey>());
        offsets.push(0);
        for (place, (key, number)) in (0..).zip(self.numbers.iter()) {
            if let Some(of_number) = places.get_mut(number as usize) {
                *of_number = place;
            }
            match key.whole() {
                // Copying a fixed number of bytes takes no call.
                Some((bytes, len)) => {
                    let behind = data.len() + len;
                    data.extend_from_slice(&bytes);
                    data.truncate(behind);
                }
                None => data.extend_from_slice(text_at(&self.bytes, &self.ends, number)),
            }
            offsets.push(i32::try_from(data.len()).unwrap_or(i32::MAX));
        }
        let values = StringArray::try_new(
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            Buffer::from_vec(data),
            None,
        )
        .map_err(SpillError::arrow("make a dictionary"))?;
        Ok(InternedTexts {
            values: Arc::new(values),
            places,
        })
    }

    /// Forgets all texts, and keeps the memory for the next ones.
    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
        self.bytes.clear();
        self.ends.clear();
        self.text_bytes = 0;
        self.rows = 0;
    }
}

fn text_at<'a>(bytes: &'a [u8], ends: &[i32], number: u32) -> &'a [u8] {
    let at = |index: Option<usize>| {
        let end = index.and_then(|index| ends.get(index)).copied();
        usize::try_from(end.unwrap_or(0)).unwrap_or(0)
    };
    let index = number as usize;
    let start = at(index.checked_sub(1));
    bytes.get(start..at(Some(index))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::DictionaryArray;
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
            let numbers: Vec<_> = pieces.iter().map(|p| interner.intern(p).unwrap()).collect();
            let interned = interner.texts().unwrap();
            let values = interned.values();
            let mut distinct: Vec<_> = texts.iter().flatten().collect();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(
                (interner.distinct(), values.len()),
                (distinct.len(), distinct.len())
            );
            assert_eq!(interner.rows(), 5000);
            for (numbers, piece) in numbers.into_iter().zip(&pieces) {
                // Shared or not, numbers become keys.
                let shared = interned.keys(numbers.clone());
                let keys = interned.keys(numbers);
                assert_eq!(keys, shared);
                let array = DictionaryArray::try_new(keys, values.clone()).unwrap();
                let plain = cast(&array, &DataType::Utf8).unwrap();
                assert_eq!(plain.as_ref(), piece as &dyn Array);
            }
            interner.clear();
            assert_eq!(interner.distinct(), 0);
        }
    }
}
