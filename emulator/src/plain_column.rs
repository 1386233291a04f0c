//! Columns whose pages hold values as Arrow does: arrays share the bytes that were read, nothing is decoded or copied.
//!
//! Owns which columns are such ones, and the walk over their pages. Must not know about tables, sessions or messages.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayData, ArrayRef, make_array};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, TimeUnit};
use bytes::Bytes;
use parquet::basic::{Encoding, LogicalType, Type};
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescriptor;

/// One leaf of one file, from some row on.
pub(crate) struct PlainColumn {
    file: Arc<File>,
    metadata: Arc<ParquetMetaData>,
    leaf: usize,
    data_type: DataType,
    /// Bytes of one value.
    width: usize,
    /// Whether pages begin with definition levels.
    optional: bool,
    /// Row groups that were not begun.
    groups: Range<usize>,
    pages: Option<SerializedPageReader<File>>,
    /// What is left of the page last read.
    values: Buffer,
    /// Rows to leave out before the next value.
    skip: usize,
}

impl PlainColumn {
    /// A reader of `leaf` as `data_type` over `groups`, without their first `skip` rows; `None` where the pages are not known
    /// to hold every value, and as Arrow holds it.
    pub fn find(
        file: &Arc<File>,
        metadata: &Arc<ParquetMetaData>,
        leaf: usize,
        data_type: &DataType,
        groups: Range<usize>,
        skip: usize,
    ) -> Option<Self> {
        let column = metadata
            .file_metadata()
            .schema_descr()
            .columns()
            .get(leaf)?;
        let width = same_width(column, data_type)?;
        let optional = column.max_def_level() > 0;
        let flat = column.max_rep_level() == 0 && column.path().parts().len() == 1;
        let stored_plainly = metadata
            .row_groups()
            .get(groups.clone())?
            .iter()
            .all(|group| {
                group.columns().get(leaf).is_some_and(|chunk| {
                    let nulls = chunk.statistics().and_then(|s| s.null_count_opt());
                    chunk.dictionary_page_offset().is_none()
                        && chunk
                            .encodings()
                            .all(|e| matches!(e, Encoding::PLAIN | Encoding::RLE))
                        && (!optional || nulls == Some(0))
                })
            });
        (flat && stored_plainly).then(|| Self {
            file: Arc::clone(file),
            metadata: Arc::clone(metadata),
            leaf,
            data_type: data_type.clone(),
            width,
            optional,
            groups,
            pages: None,
            values: Buffer::from_vec(Vec::<u8>::new()),
            skip,
        })
    }

    /// Values of the page being read that were not given yet, at least one: that many are shared.
    ///
    /// # Errors
    /// As [`PlainColumn::next`].
    pub fn rows_at_hand(&mut self) -> Result<usize, ParquetError> {
        if self.values.is_empty() {
            self.values = self.next_page()?;
        }
        Ok(self.values.len() / self.width)
    }

    /// The next `rows` values. Shared with the page they lie in; copied where they lie in several.
    ///
    /// # Errors
    /// [`ParquetError`] when pages are damaged, do not hold what the footer says, or end before.
    pub fn next(&mut self, rows: usize) -> Result<ArrayRef, ParquetError> {
        let mut pieces = Vec::new();
        let mut missing = rows;
        while missing > 0 {
            let here = missing.min(self.rows_at_hand()?);
            let bytes = here * self.width;
            pieces.push(self.values.slice_with_length(0, bytes));
            self.values.advance(bytes);
            missing -= here;
        }
        let values = match pieces.as_slice() {
            [piece] => piece.clone(),
            pieces => Buffer::from_vec(
                pieces
                    .iter()
                    .map(Buffer::as_slice)
                    .collect::<Vec<_>>()
                    .concat(),
            ),
        };
        let data = ArrayData::builder(self.data_type.clone())
            .len(rows)
            .add_buffer(values)
            .align_buffers(true)
            .build()?;
        Ok(make_array(data))
    }

    /// The values of the next page that has any after what is to be skipped.
    fn next_page(&mut self) -> Result<Buffer, ParquetError> {
        loop {
            let Some(pages) = &mut self.pages else {
                let group = self.groups.next().ok_or_else(|| {
                    ParquetError::EOF(format!("column {} has too few values", self.leaf))
                })?;
                self.pages = Some(self.open_group(group)?);
                continue;
            };
            if self.skip > 0
                && let Some(next) = pages.peek_next_page()?
                && let Some(rows) = next.num_rows.or(next.num_levels)
                && rows <= self.skip
            {
                pages.skip_next_page()?;
                self.skip -= rows;
                continue;
            }
            let Some(page) = pages.get_next_page()? else {
                self.pages = None;
                continue;
            };
            let mut values = Buffer::from(values(&page, self.width, self.optional)?);
            let skipped = self.skip.min(values.len() / self.width);
            self.skip -= skipped;
            values.advance(skipped * self.width);
            if !values.is_empty() {
                return Ok(values);
            }
        }
    }

    fn open_group(&self, group: usize) -> Result<SerializedPageReader<File>, ParquetError> {
        let of_group = self.metadata.row_group(group);
        let rows = usize::try_from(of_group.num_rows()).unwrap_or(0);
        SerializedPageReader::new(
            Arc::clone(&self.file),
            of_group.column(self.leaf),
            rows,
            None,
        )
    }
}

/// Bytes of a value, where Parquet's plain form of `column` is Arrow's of `data_type`.
fn same_width(column: &ColumnDescriptor, data_type: &DataType) -> Option<usize> {
    use parquet::basic::TimeUnit::MICROS;
    let logical = column.logical_type_ref();
    match (column.physical_type(), data_type) {
        (Type::DOUBLE, DataType::Float64) => Some(8),
        (Type::FLOAT, DataType::Float32) => Some(4),
        (Type::INT64, DataType::Int64) => Some(8),
        (Type::INT64, DataType::Timestamp(TimeUnit::Microsecond, _)) => {
            matches!(logical, Some(LogicalType::Timestamp(kept)) if kept.unit == MICROS)
                .then_some(8)
        }
        (Type::INT64, DataType::Time64(TimeUnit::Microsecond)) => {
            matches!(logical, Some(LogicalType::Time(kept)) if kept.unit == MICROS).then_some(8)
        }
        (Type::INT32, DataType::Date32) => Some(4),
        _ => None,
    }
}

/// The values of a data page without its levels; one for each of its rows.
fn values(page: &Page, width: usize, optional: bool) -> Result<Bytes, ParquetError> {
    let (levels_end, all_there) = match page {
        Page::DataPage {
            def_level_encoding: Encoding::RLE,
            buf,
            num_values,
            ..
        } if optional => {
            let len = buf
                .first_chunk()
                .map_or(0, |len| u32::from_le_bytes(*len) as usize);
            let levels = buf
                .get(4..)
                .and_then(|rest| rest.get(..len))
                .unwrap_or_default();
            (4 + len, all_defined(levels, *num_values as usize))
        }
        Page::DataPage { .. } => (0, !optional),
        Page::DataPageV2 {
            num_nulls,
            def_levels_byte_len,
            rep_levels_byte_len,
            ..
        } => (
            (def_levels_byte_len + rep_levels_byte_len) as usize,
            *num_nulls == 0,
        ),
        Page::DictionaryPage { .. } => (0, false),
    };
    let plain = match page {
        Page::DataPage { encoding, .. } | Page::DataPageV2 { encoding, .. } => {
            *encoding == Encoding::PLAIN
        }
        Page::DictionaryPage { .. } => false,
    };
    if !plain || !all_there {
        return Err(ParquetError::General(
            "a page has nulls or an encoding that the footer does not tell of".to_owned(),
        ));
    }
    let needed = page.num_values() as usize * width;
    let buffer = page.buffer();
    if buffer.len() < levels_end + needed {
        return Err(ParquetError::EOF(format!(
            "a page of {} values has {} bytes",
            page.num_values(),
            buffer.len()
        )));
    }
    Ok(buffer.slice(levels_end..levels_end + needed))
}

/// Whether definition levels of one bit, in Parquet's hybrid of runs and packed groups, are 1 for each of `rows` rows.
fn all_defined(mut levels: &[u8], mut rows: usize) -> bool {
    while rows > 0 {
        let Some((header, rest)) = varint(levels) else {
            return false;
        };
        let count = usize::try_from(header >> 1).unwrap_or(0);
        // Packed in groups of eight, the last of which may be filled up with anything; or one value in a byte of its own.
        let (bytes, here) = if header & 1 == 1 {
            (count, count.saturating_mul(8))
        } else {
            (1, count)
        };
        let Some((run, rest)) = rest.split_at_checked(bytes) else {
            return false;
        };
        let here = here.min(rows);
        let defined = if header & 1 == 1 {
            run.iter().take(here / 8).all(|byte| *byte == 0xff)
                && run
                    .get(here / 8)
                    .is_none_or(|last| last.trailing_ones() as usize >= here % 8)
        } else {
            run == [1]
        };
        if here == 0 || !defined {
            return false;
        }
        levels = rest;
        rows -= here;
    }
    true
}

/// An unsigned number in groups of seven bits, the lowest first, and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (place, byte) in bytes.iter().enumerate().take(9) {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(place + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests;
