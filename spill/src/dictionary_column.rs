//! A column chunk of texts whose dictionary is known already. Owns what is in its pages; the file around them belongs to
//! the caller.
//!
//! The Parquet library looks up every value of a dictionary array in a dictionary of its own. Here the keys become the
//! indices of the pages as they are, in as few bits as the largest one needs. Layout and encodings:
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Int32Type};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescPtr;

use crate::bit_packer::BitPacker;
use crate::column_pages::{ColumnPages, push_varint, unsigned};
use crate::compact::same_array;
use crate::definition_levels::DefinitionLevels;

/// Rows of one page: a reader holds a page of every column it reads.
const PAGE_ROWS: usize = 1 << 16;

/// The parts of one column, all over one dictionary of texts without nulls.
pub(crate) struct DictionaryColumn<'a> {
    values: &'a StringArray,
    parts: Vec<&'a DictionaryArray<Int32Type>>,
}

impl<'a> DictionaryColumn<'a> {
    /// The column of these parts; nothing when they do not share a dictionary, or it is not one of plain texts.
    pub(crate) fn of(parts: impl IntoIterator<Item = &'a ArrayRef>) -> Option<Self> {
        let parts = parts
            .into_iter()
            .map(|part| part.as_dictionary_opt::<Int32Type>())
            .collect::<Option<Vec<_>>>()?;
        let shared = parts.first()?.values();
        let same = parts.iter().all(|part| same_array(part.values(), shared));
        let texts = shared.data_type() == &DataType::Utf8 && shared.null_count() == 0;
        (same && texts).then_some(())?;
        Some(Self {
            values: shared.as_string_opt()?,
            parts,
        })
    }

    /// The encoded chunk and what the file has to say about it.
    ///
    /// # Errors
    /// When a page has more bytes than the format can say.
    pub(crate) fn encode(
        &self,
        column: &ColumnDescPtr,
    ) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let mut pages = ColumnPages::try_new(Compression::UNCOMPRESSED)?;
        pages.push_dictionary(self.values.len(), self.dictionary()?)?;
        let nullable = column.max_def_level() > 0;
        let largest = self.values.len().saturating_sub(1);
        let all: usize = self.parts.iter().map(|part| part.len()).sum();
        let page_from = |row: usize| DataPage::new(nullable, largest, (all - row).min(PAGE_ROWS));
        let mut page = page_from(0);
        let mut rows = 0;
        for part in &self.parts {
            let mut at = 0;
            while at < part.len() {
                let taken = (part.len() - at).min(PAGE_ROWS - page.levels.rows());
                page.append(&part.keys().slice(at, taken));
                at += taken;
                rows += taken;
                if page.levels.rows() == PAGE_ROWS {
                    let full = std::mem::replace(&mut page, page_from(rows));
                    full.finish(&mut pages)?;
                }
            }
        }
        if page.levels.rows() > 0 || rows == 0 {
            page.finish(&mut pages)?;
        }
        pages.close(column, None)
    }

    /// Each text behind its length.
    fn dictionary(&self) -> Result<Vec<u8>, ParquetError> {
        let texts = self.values;
        let mut bytes = Vec::with_capacity(texts.value_data().len() + 4 * texts.len());
        for index in 0..texts.len() {
            let text = texts.value(index).as_bytes();
            bytes.extend_from_slice(&unsigned(text.len())?.to_le_bytes());
            bytes.extend_from_slice(text);
        }
        Ok(bytes)
    }
}

/// A page being filled: which rows have a value, and the keys of those that have.
struct DataPage {
    levels: DefinitionLevels,
    keys: PackedKeys,
}

impl DataPage {
    /// A page for at most `rows` rows.
    fn new(nullable: bool, largest_key: usize, rows: usize) -> Self {
        let width = usize::BITS - largest_key.leading_zeros();
        Self {
            levels: DefinitionLevels::new(nullable),
            keys: PackedKeys::with_capacity(rows, width.max(1)),
        }
    }

    fn append(&mut self, part: &Int32Array) {
        let keys = part.values();
        let nulls = part.nulls().filter(|nulls| nulls.null_count() > 0);
        match nulls {
            None => self.keys.extend(keys),
            Some(nulls) => self.keys.extend_valid(keys, nulls.inner()),
        }
        self.levels.append(part.len(), nulls);
    }

    fn finish(self, pages: &mut ColumnPages) -> Result<(), ParquetError> {
        let mut bytes = Vec::new();
        self.levels.write(&mut bytes)?;
        bytes.push(self.keys.width as u8);
        let (groups, mut packed) = self.keys.finish();
        if groups > 0 {
            push_varint(&mut bytes, (groups as u64) << 1 | 1);
            bytes.append(&mut packed);
        }
        pages.push_data(self.levels.rows(), Encoding::RLE_DICTIONARY, bytes)
    }
}

/// Keys in a fixed number of bits each, in groups of eight.
struct PackedKeys {
    bytes: Vec<u8>,
    width: u32,
    packer: BitPacker,
    /// Keys that wait in the packer: there is room for one more.
    waiting: usize,
}

impl PackedKeys {
    /// For `keys` keys of `width` bits, 1 to 31.
    fn with_capacity(keys: usize, width: u32) -> Self {
        Self {
            bytes: Vec::with_capacity(keys.div_ceil(8) * width as usize),
            width,
            packer: BitPacker::default(),
            waiting: 0,
        }
    }

    fn extend(&mut self, mut keys: &[i32]) {
        while !keys.is_empty() {
            let places = self.packer.numbers.iter_mut().skip(self.waiting);
            let (now, later) = keys.split_at(places.len().min(keys.len()));
            for (place, key) in places.zip(now) {
                *place = u64::from(key.cast_unsigned());
            }
            self.waiting += now.len();
            if self.waiting == BitPacker::MOST_NUMBERS {
                let packed = self.packer.pack(BitPacker::MOST_NUMBERS, self.width);
                self.bytes.extend_from_slice(packed);
                self.waiting = 0;
            }
            keys = later;
        }
    }

    /// Takes in the keys whose bit in `valid` is set.
    fn extend_valid(&mut self, keys: &[i32], valid: &BooleanBuffer) {
        let words = valid.bit_chunks();
        for (keys, word) in keys.chunks(64).zip(words.iter_padded()) {
            if word == u64::MAX {
                self.extend(keys);
                continue;
            }
            // Each goes behind those that stay, and stays or is written over: no branch to guess.
            let mut found = [0; 64];
            let mut count = 0;
            for (index, key) in keys.iter().enumerate() {
                if let Some(place) = found.get_mut(count) {
                    *place = *key;
                }
                count += (word >> index & 1) as usize;
            }
            self.extend(found.get(..count).unwrap_or_default());
        }
    }

    /// How many groups of eight there are, the last filled up with zeros, and their bytes.
    fn finish(mut self) -> (usize, Vec<u8>) {
        let behind = self.packer.numbers.iter_mut().skip(self.waiting);
        behind.for_each(|place| *place = 0);
        let packed = self.packer.pack(BitPacker::MOST_NUMBERS, self.width);
        let used = self.waiting.div_ceil(8) * self.width as usize;
        self.bytes
            .extend_from_slice(packed.get(..used).unwrap_or_default());
        (self.bytes.len() / self.width as usize, self.bytes)
    }
}

#[cfg(test)]
mod tests;
