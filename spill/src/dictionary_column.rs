//! A column chunk of texts whose dictionary is known already. Owns what is in its pages; the file around them belongs to
//! the caller.
//!
//! The Parquet library looks up every value of a dictionary array in a dictionary of its own. Here the keys become the
//! indices of the pages as they are, in as few bits as the largest one needs. Layout and encodings:
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, StringArray};
use arrow::datatypes::{DataType, Int32Type};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescPtr;

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
        let mut page = DataPage::new(nullable, largest);
        let mut rows = 0;
        for part in &self.parts {
            let mut at = 0;
            while at < part.len() {
                let taken = (part.len() - at).min(PAGE_ROWS - page.levels.rows());
                page.append(&part.keys().slice(at, taken));
                at += taken;
                rows += taken;
                if page.levels.rows() == PAGE_ROWS {
                    let full = std::mem::replace(&mut page, DataPage::new(nullable, largest));
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
    keys: BitPacker,
}

impl DataPage {
    fn new(nullable: bool, largest_key: usize) -> Self {
        let width = usize::BITS - largest_key.leading_zeros();
        Self {
            levels: DefinitionLevels::new(nullable),
            keys: BitPacker::new(width.max(1)),
        }
    }

    fn append(&mut self, part: &Int32Array) {
        let keys = part.values();
        let nulls = part.nulls().filter(|nulls| nulls.null_count() > 0);
        match nulls {
            None => keys.iter().for_each(|key| self.keys.push(*key)),
            Some(nulls) => {
                for index in nulls.valid_indices() {
                    if let Some(key) = keys.get(index) {
                        self.keys.push(*key);
                    }
                }
            }
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

/// Numbers in a fixed number of bits each, lowest bit first, in groups of eight.
struct BitPacker {
    bytes: Vec<u8>,
    /// Bits not in `bytes` yet, fewer than 32 between two calls.
    open: u64,
    open_bits: u32,
    width: u32,
    count: usize,
}

impl BitPacker {
    /// For numbers of `width` bits, 1 to 31.
    fn new(width: u32) -> Self {
        Self {
            bytes: Vec::new(),
            open: 0,
            open_bits: 0,
            width,
            count: 0,
        }
    }

    #[inline]
    fn push(&mut self, key: i32) {
        self.open |= u64::from(key.cast_unsigned()) << self.open_bits;
        self.open_bits += self.width;
        self.count += 1;
        if self.open_bits >= 32 {
            self.bytes
                .extend_from_slice(&(self.open as u32).to_le_bytes());
            self.open >>= 32;
            self.open_bits -= 32;
        }
    }

    /// How many groups of eight there are, the last filled up with zeros, and their bytes.
    fn finish(mut self) -> (usize, Vec<u8>) {
        let groups = self.count.div_ceil(8);
        self.bytes.extend_from_slice(&self.open.to_le_bytes());
        self.bytes.resize(groups * self.width as usize, 0);
        (groups, self.bytes)
    }
}

#[cfg(test)]
mod tests;
