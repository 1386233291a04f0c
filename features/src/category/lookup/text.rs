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
    /// The code, or for a text that is not in its key its place among the long ones.
    table: TextTable,
    long: Vec<LongText>,
}

#[derive(Debug, Clone, Copy)]
struct LongText {
    /// Where the array has it.
    position: usize,
    code: i32,
}

impl TextIndex {
    /// The missing text, if any, has no place in the table.
    pub(super) fn new(texts: &LargeStringArray, codes: &[i32]) -> Self {
        let mut table = TextTable::with_capacity(codes.len());
        let mut long = Vec::new();
        for ((position, text), &code) in texts.iter().enumerate().zip(codes) {
            let Some(text) = text else {
                continue;
            };
            let search = table.search(text.as_bytes());
            let value = if search.is_whole() {
                code.cast_unsigned()
            } else {
                long.push(LongText { position, code });
                // The texts of a vocabulary in memory have 32-bit codes, so there are not more of them.
                u32::try_from(long.len() - 1).unwrap_or(u32::MAX)
            };
            table.get_or_insert_with(search, |_| false, || value);
        }
        Self {
            texts: texts.clone(),
            table,
            long,
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
                let is_it = |place| {
                    let known = self.long(place).map(|long| self.texts.value(long.position));
                    known == Some(text(index))
                };
                let value = self.table.get(search, is_it);
                let code = match search.is_whole() {
                    true => value.map(u32::cast_signed),
                    false => value.and_then(|place| Some(self.long(place)?.code)),
                };
                found(index, code.unwrap_or(UNKNOWN));
            }
        }
    }

    fn long(&self, place: u32) -> Option<&LongText> {
        self.long.get(place as usize)
    }

    /// Bytes of the table.
    pub(super) fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.long.capacity() * size_of::<LongText>()
    }
}
