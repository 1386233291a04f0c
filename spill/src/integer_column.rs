//! A column chunk of integers, dates or times, packed as differences. Owns which columns and properties it can do, and what is in
//! the pages; the file around them belongs to the caller.
//!
//! The Parquet library makes a level of every row, an index of every value that is there, and packs value by value. Here levels
//! are the validity bitmap, and values go from the array to the page in blocks. Pages, values and metadata are those of the library.

use std::ops::BitXor;

use arrow::array::{Array, ArrayData, ArrayRef};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowNativeType, DataType};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, SortOrder, Type};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::LevelHistogram;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

use crate::column_pages::{ChunkStatistics, ColumnPages, signed};
use crate::definition_levels::DefinitionLevels;
use crate::delta_binary_packed::{self, Stored};
use crate::row_group_encoder::packs_well;

/// Rows whose validity is one word.
const WORD_ROWS: usize = u64::BITS as usize;

/// Encodes the chunks of one column.
#[derive(Debug)]
pub(crate) struct IntegerColumn {
    page_rows: usize,
    compression: Compression,
    statistics: bool,
}

impl IntegerColumn {
    /// What encodes `column`, which is of `data_type` in memory; nothing when type or properties ask for what only the library does.
    pub(crate) fn of(
        data_type: &DataType,
        column: &ColumnDescriptor,
        properties: &WriterProperties,
    ) -> Option<Self> {
        let path = column.path();
        let value_bytes = match column.physical_type() {
            // The library makes these of days: the values are others then.
            Type::INT32 if data_type != &DataType::Date64 => size_of::<i32>(),
            Type::INT64 => size_of::<i64>(),
            _ => return None,
        };
        let statistics = properties.statistics_enabled(path);
        let can = packs_well(data_type)
            && column.max_rep_level() == 0
            && column.max_def_level() <= 1
            && properties.encoding(path) == Some(Encoding::DELTA_BINARY_PACKED)
            && !properties.dictionary_enabled(path)
            && properties.bloom_filter_properties(path).is_none()
            && properties.writer_version() == WriterVersion::PARQUET_1_0
            && properties.offset_index_disabled()
            && statistics != EnabledStatistics::Page
            && ColumnPages::can_compress(properties.compression(path));
        let rows = properties
            .data_page_row_count_limit()
            .min(properties.column_data_page_size_limit(path) / value_bytes);
        can.then(|| Self {
            page_rows: rows.max(1),
            compression: properties.compression(path),
            statistics: statistics == EnabledStatistics::Chunk,
        })
    }

    /// The encoded chunk of `parts` and what the file has to say about it.
    ///
    /// # Errors
    /// When a part is of another type, or when there is more than the format can say.
    pub(crate) fn encode<'a>(
        &self,
        parts: impl Iterator<Item = &'a ArrayRef>,
        column: &ColumnDescPtr,
    ) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        match column.physical_type() {
            Type::INT32 => self.encode_as::<i32>(parts, column),
            _ => self.encode_as::<i64>(parts, column),
        }
    }

    fn encode_as<'a, T: Physical>(
        &self,
        parts: impl Iterator<Item = &'a ArrayRef>,
        column: &ColumnDescPtr,
    ) -> Result<(Bytes, ColumnCloseResult), ParquetError> {
        let nullable = column.max_def_level() > 0;
        let mut pages = ColumnPages::try_new(self.compression)?;
        let mut summary = Summary::new(column, self.statistics);
        let mut page = Page::<T>::new(nullable);
        for part in parts {
            let data = part.to_data();
            let nulls = data.nulls().filter(|_| nullable && data.null_count() > 0);
            let mut at = 0;
            while at < data.len() {
                let rows = (data.len() - at).min(self.page_rows - page.levels.rows());
                let nulls = nulls.map(|nulls| nulls.slice(at, rows));
                page.append(&data, at, rows, nulls.as_ref())?;
                at += rows;
                if page.levels.rows() == self.page_rows {
                    page.finish(&mut summary, &mut pages)?;
                }
            }
        }
        if page.levels.rows() > 0 {
            page.finish(&mut summary, &mut pages)?;
        }
        pages.close(column, summary.close()?)
    }
}

/// A page being filled: which rows have a value, and the values of those that have.
struct Page<T> {
    levels: DefinitionLevels,
    values: Vec<T>,
    nullable: bool,
}

impl<T: Physical> Page<T> {
    fn new(nullable: bool) -> Self {
        Self {
            levels: DefinitionLevels::new(nullable),
            values: Vec::new(),
            nullable,
        }
    }

    /// Appends the rows of `data` from `at` on, whose validity is `nulls`.
    fn append(
        &mut self,
        data: &ArrayData,
        at: usize,
        rows: usize,
        nulls: Option<&NullBuffer>,
    ) -> Result<(), ParquetError> {
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        T::gather(data, at, rows, nulls, &mut self.values)?;
        self.levels.append(rows, nulls);
        Ok(())
    }

    /// Writes the page and begins the next one.
    fn finish(
        &mut self,
        summary: &mut Summary<T>,
        pages: &mut ColumnPages,
    ) -> Result<(), ParquetError> {
        summary.add(&self.values, &self.levels);
        let mut bytes = Vec::new();
        self.levels.write(&mut bytes)?;
        delta_binary_packed::push_all(&self.values, &mut bytes);
        pages.push_data(self.levels.rows(), Encoding::DELTA_BINARY_PACKED, bytes)?;
        self.values.clear();
        self.levels = DefinitionLevels::new(self.nullable);
        Ok(())
    }
}

/// Statistics of a chunk, if they are wanted.
struct Summary<T> {
    wanted: bool,
    nullable: bool,
    order: SortOrder,
    extremes: Option<(T, T)>,
    nulls: usize,
    values: usize,
}

impl<T: Physical> Summary<T> {
    fn new(column: &ColumnDescriptor, wanted: bool) -> Self {
        Self {
            wanted,
            nullable: column.max_def_level() > 0,
            order: column.sort_order(),
            extremes: None,
            nulls: 0,
            values: 0,
        }
    }

    fn add(&mut self, values: &[T], levels: &DefinitionLevels) {
        if !self.wanted {
            return;
        }
        self.nulls += levels.nulls();
        self.values += values.len();
        // With the upper bit turned, unsigned numbers are in order like signed ones.
        let turned = match self.order {
            SortOrder::UNSIGNED => T::UPPER_BIT,
            _ => T::default(),
        };
        let Some(first) = values.first() else {
            return;
        };
        let (least, most) = self.extremes.unwrap_or((*first, *first));
        let begin = (least ^ turned, most ^ turned);
        let (least, most) = values.iter().fold(begin, |(least, most), value| {
            let value = *value ^ turned;
            (least.min(value), most.max(value))
        });
        self.extremes = Some((least ^ turned, most ^ turned));
    }

    fn close(self) -> Result<Option<ChunkStatistics>, ParquetError> {
        if !self.wanted {
            return Ok(None);
        }
        let levels = [signed(self.nulls)?, signed(self.values)?];
        Ok(Some(ChunkStatistics {
            values: T::statistics(self.extremes, self.nulls, self.order),
            definition_levels: self.nullable.then(|| LevelHistogram::from(levels.to_vec())),
        }))
    }
}

/// A number as Parquet stores it, and the arrays it comes from.
trait Physical: Stored + Default + Ord + BitXor<Output = Self> {
    /// The bit of the sign.
    const UPPER_BIT: Self;

    /// Appends those of `rows` values of `data` from `at` on that are not null.
    ///
    /// # Errors
    /// When they are of a type that is not stored like this.
    fn gather(
        data: &ArrayData,
        at: usize,
        rows: usize,
        nulls: Option<&NullBuffer>,
        values: &mut Vec<Self>,
    ) -> Result<(), ParquetError>;

    /// Least and most value and the number of nulls, for a reader.
    fn statistics(extremes: Option<(Self, Self)>, nulls: usize, order: SortOrder) -> Statistics;
}

impl Physical for i32 {
    const UPPER_BIT: Self = Self::MIN;

    fn gather(
        data: &ArrayData,
        at: usize,
        rows: usize,
        nulls: Option<&NullBuffer>,
        values: &mut Vec<Self>,
    ) -> Result<(), ParquetError> {
        match data.data_type() {
            DataType::Int8 => keep(part::<i8>(data, at, rows), nulls, values),
            DataType::Int16 => keep(part::<i16>(data, at, rows), nulls, values),
            DataType::UInt8 => keep(part::<u8>(data, at, rows), nulls, values),
            DataType::UInt16 => keep(part::<u16>(data, at, rows), nulls, values),
            other if has_width::<Self>(other) => {
                keep(part::<Self>(data, at, rows), nulls, values);
            }
            other => return Err(mistaken(other, "INT32")),
        }
        Ok(())
    }

    fn statistics(extremes: Option<(Self, Self)>, nulls: usize, order: SortOrder) -> Statistics {
        let (least, most) = extremes.unzip();
        ValueStatistics::new(least, most, None, Some(nulls as u64), false)
            .with_backwards_compatible_min_max(order.is_signed())
            .into()
    }
}

impl Physical for i64 {
    const UPPER_BIT: Self = Self::MIN;

    fn gather(
        data: &ArrayData,
        at: usize,
        rows: usize,
        nulls: Option<&NullBuffer>,
        values: &mut Vec<Self>,
    ) -> Result<(), ParquetError> {
        let data_type = data.data_type();
        if !has_width::<Self>(data_type) {
            return Err(mistaken(data_type, "INT64"));
        }
        keep(part::<Self>(data, at, rows), nulls, values);
        Ok(())
    }

    fn statistics(extremes: Option<(Self, Self)>, nulls: usize, order: SortOrder) -> Statistics {
        let (least, most) = extremes.unzip();
        ValueStatistics::new(least, most, None, Some(nulls as u64), false)
            .with_backwards_compatible_min_max(order.is_signed())
            .into()
    }
}

/// Whether the values of a type are stored bit by bit as they are in memory.
fn has_width<T>(data_type: &DataType) -> bool {
    packs_well(data_type) && data_type.primitive_width() == Some(size_of::<T>())
}

fn mistaken(data_type: &DataType, physical: &str) -> ParquetError {
    ParquetError::General(format!(
        "values of {data_type} are not stored as {physical}"
    ))
}

fn part<N: ArrowNativeType>(data: &ArrayData, at: usize, rows: usize) -> &[N] {
    data.buffer::<N>(0).get(at..at + rows).unwrap_or_default()
}

/// Appends the numbers that are not null.
fn keep<N: Copy, T: Copy + Default + From<N>>(
    numbers: &[N],
    nulls: Option<&NullBuffer>,
    values: &mut Vec<T>,
) {
    let Some(nulls) = nulls else {
        values.extend(numbers.iter().map(|number| T::from(*number)));
        return;
    };
    let bits = nulls.inner().bit_chunks();
    let words = bits.iter().chain([bits.remainder_bits()]);
    let mut kept = [T::default(); WORD_ROWS];
    for (word, numbers) in words.zip(numbers.chunks(WORD_ROWS)) {
        if word == u64::MAX {
            values.extend(numbers.iter().map(|number| T::from(*number)));
            continue;
        }
        // What a null leaves is written over by the next value, or not taken with the others.
        let mut count = 0;
        for (bit, number) in numbers.iter().enumerate() {
            if let Some(place) = kept.get_mut(count % WORD_ROWS) {
                *place = T::from(*number);
            }
            count += (word >> bit & 1) as usize;
        }
        values.extend_from_slice(kept.get(..count).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests;
