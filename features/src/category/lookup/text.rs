//! Codes of texts that are in memory.
//!
//! Owns the table from texts to codes; must not know what the codes mean.

use arrow::array::{ArrayRef, AsArray, GenericByteArray, LargeStringArray};
use arrow::datatypes::{ByteArrayType, DataType, LargeUtf8Type, Utf8Type};
use millpond_texts::{Block, Search, TextTable};

use super::UNKNOWN;

/// Finds texts of a sorted array of texts.
#[derive(Debug, Clone)]
pub(super) struct TextIndex {
    texts: LargeStringArray,
    table: TextTable<Found>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Found {
    /// Where the array has a text that is not in its key.
    position: u32,
    code: i32,
}

impl TextIndex {
    /// The missing text, if any, has no place in the table.
    pub(super) fn new(texts: &LargeStringArray, codes: &[i32]) -> Self {
        let mut table = TextTable::with_capacity(codes.len());
        for ((position, text), &code) in texts.iter().enumerate().zip(codes) {
            let (Some(text), Ok(position)) = (text, u32::try_from(position)) else {
                continue;
            };
            let search = table.search(text.as_bytes());
            table.get_or_insert_with(search, |_| false, || Found { position, code });
        }
        Self {
            texts: texts.clone(),
            table,
        }
    }

    /// Gives `found` each of `indices` with the code of the text there, which must not be null. None if `values` are not texts.
    pub(super) fn codes(
        &self,
        values: &ArrayRef,
        indices: impl Iterator<Item = usize>,
        found: impl FnMut(usize, i32),
    ) -> Option<()> {
        match values.data_type() {
            DataType::Utf8 => {
                self.codes_of_bytes(values.as_bytes_opt::<Utf8Type>()?, indices, found);
            }
            DataType::LargeUtf8 => {
                self.codes_of_bytes(values.as_bytes_opt::<LargeUtf8Type>()?, indices, found);
            }
            DataType::Utf8View => {
                let array = values.as_string_view_opt()?;
                self.blocks(
                    indices,
                    |index| self.table.search_view(array, index),
                    |index| array.value(index),
                    found,
                );
            }
            _ => return None,
        }
        Some(())
    }

    fn codes_of_bytes<T: ByteArrayType<Native = str>>(
        &self,
        array: &GenericByteArray<T>,
        indices: impl Iterator<Item = usize>,
        found: impl FnMut(usize, i32),
    ) {
        self.blocks(
            indices,
            |index| self.table.search(array.value(index).as_bytes()),
            |index| array.value(index),
            found,
        );
    }

    #[inline]
    fn blocks<'a>(
        &self,
        mut indices: impl Iterator<Item = usize>,
        search: impl Fn(usize) -> Search,
        text: impl Fn(usize) -> &'a str,
        mut found: impl FnMut(usize, i32),
    ) {
        let mut block = Block::new(Search::NONE);
        while block.fill(&mut indices, &search) {
            self.table.touch(&block);
            for (index, search) in block.iter() {
                let is_it =
                    |found: &Found| self.texts.value(found.position as usize) == text(index);
                let code = self.table.get(search, is_it).map(|found| found.code);
                found(index, code.unwrap_or(UNKNOWN));
            }
        }
    }

    /// Bytes of the table.
    pub(super) fn memory_bytes(&self) -> usize {
        self.table.memory_bytes()
    }
}
