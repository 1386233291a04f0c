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
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use std::sync::Arc;

    use arrow::array::RecordBatch;
    use arrow::compute::{cast, concat};
    use arrow::datatypes::{Field, Schema};
    use parquet::arrow::ArrowSchemaConverter;
    use parquet::arrow::arrow_reader::{
        ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    };
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;

    use super::*;
    use crate::row_group_encoder::RowGroupEncoder;
    use crate::test_rows::Dice;

    fn text(nullable: bool) -> Schema {
        Schema::new(vec![Field::new("t", DataType::Utf8, nullable)])
    }

    /// A file of one row group made of `parts`, and what it becomes when read as `data_type`.
    fn back(parts: &[ArrayRef], nullable: bool, data_type: &DataType) -> ArrayRef {
        let schema = text(nullable);
        let properties = Arc::new(WriterProperties::builder().build());
        let root = ArrowSchemaConverter::new().convert(&schema).unwrap();
        let mut file =
            SerializedFileWriter::new(Vec::new(), root.root_schema_ptr(), properties.clone())
                .unwrap();
        let batches: Vec<_> = parts
            .iter()
            .map(|part| {
                let field = Field::new("t", part.data_type().clone(), nullable);
                let schema = Arc::new(Schema::new(vec![field]));
                RecordBatch::try_new(schema, vec![Arc::clone(part)]).unwrap()
            })
            .collect();
        let encoder = RowGroupEncoder::try_new(&schema, &properties).unwrap();
        encoder.write(&mut file, &batches).unwrap();
        let file = Bytes::from(file.into_inner().unwrap());
        let wanted = Arc::new(Schema::new(vec![Field::new(
            "t",
            data_type.clone(),
            nullable,
        )]));
        let options = ArrowReaderOptions::new().with_schema(wanted);
        let reader: ParquetRecordBatchReader =
            ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
                .unwrap()
                .with_batch_size(10_000)
                .build()
                .unwrap();
        let columns: Vec<_> = reader.map(|b| b.unwrap().column(0).clone()).collect();
        let plain: Vec<_> = columns
            .iter()
            .map(|c| cast(c, &DataType::Utf8).unwrap())
            .collect();
        let plain: Vec<_> = plain.iter().map(AsRef::as_ref).collect();
        concat(&plain).unwrap()
    }

    fn parts(texts: usize, lengths: &[usize], nulls: usize, dice: &mut Dice) -> Vec<ArrayRef> {
        let values: ArrayRef = Arc::new(StringArray::from_iter_values(
            (0..texts).map(|i| "x".repeat(i % 20) + &i.to_string()),
        ));
        lengths
            .iter()
            .map(|&rows| {
                let keys: Int32Array = (0..rows)
                    .map(|_| (dice.below(100) >= nulls).then(|| dice.below(texts) as i32))
                    .collect();
                let part = DictionaryArray::try_new(keys, Arc::clone(&values)).unwrap();
                Arc::new(part) as ArrayRef
            })
            .collect()
    }

    #[test]
    fn every_width_length_and_share_of_nulls_reads_back() {
        let mut dice = Dice::new(3);
        let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
        for texts in [1, 2, 3, 4, 5, 255, 256, 257, 70_000] {
            let long = [vec![8192, 3, 8189, 70_000], vec![65_535, 1, 65_536, 2]];
            let long = long.iter().filter(|_| [2, 70_000].contains(&texts));
            for lengths in [vec![1], vec![7, 1, 9]].iter().chain(long) {
                for nulls in [0, 30, 100] {
                    let parts = parts(texts, lengths, nulls, &mut dice);
                    let plain: Vec<_> = parts
                        .iter()
                        .map(|p| cast(p, &DataType::Utf8).unwrap())
                        .collect();
                    let plain: Vec<_> = plain.iter().map(AsRef::as_ref).collect();
                    let expected = concat(&plain).unwrap();
                    for read_as in [&DataType::Utf8, &dictionary] {
                        let found = back(&parts, true, read_as);
                        assert_eq!(&found, &expected, "{texts} {lengths:?} {nulls} {read_as}");
                    }
                    if nulls == 0 {
                        assert_eq!(&back(&parts, false, &DataType::Utf8), &expected);
                    }
                }
            }
        }
    }

    #[test]
    fn only_a_shared_dictionary_of_texts_is_taken() {
        let mut dice = Dice::new(1);
        let one = parts(3, &[5, 5], 0, &mut dice);
        assert!(DictionaryColumn::of(&one).is_some());
        let other = parts(3, &[5], 0, &mut dice);
        assert!(DictionaryColumn::of(one.iter().chain(&other)).is_none());
        let plain = cast(&one[0], &DataType::Utf8).unwrap();
        assert!(DictionaryColumn::of([&plain]).is_none());
        assert!(DictionaryColumn::of(&[]).is_none());
        let with_null: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
        let keys = Int32Array::from(vec![0, 1]);
        let part: ArrayRef = Arc::new(DictionaryArray::try_new(keys, with_null).unwrap());
        assert!(DictionaryColumn::of([&part]).is_none());
        // Such a column is left to the library.
        assert_eq!(
            back(&[Arc::clone(&part)], true, &DataType::Utf8).null_count(),
            1
        );
    }
}
