//! The physical shape of a shard: rows per chunk, rows per row group, encodings. Owns every number that shows in the bytes.
//!
//! All of it follows from the schema and the compression. Neither memory nor data may have a say.

use arrow::datatypes::{DataType, Schema};
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

/// Values of one row group aimed at, in bytes before encoding. A larger group compresses a little better; each worker
/// holds three in encoded form.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// A reader handles at least this many rows at a time, however wide they are.
const FEWEST_GROUP_ROWS: usize = 1 << 10;
/// A reader never needs more rows than this at a time, however narrow they are.
const MOST_GROUP_ROWS: usize = 1 << 20;
/// Values of one chunk aimed at, in bytes: three chunks should stay in a core's own cache for the most part.
const CHUNK_BYTES: usize = 4 << 20;
const FEWEST_CHUNK_ROWS: usize = 1 << 8;
const MOST_CHUNK_ROWS: usize = 1 << 14;
/// Assumed width of a value that has no fixed width.
const ASSUMED_BYTES: usize = 32;
/// A dictionary above this size is given up for the rest of the row group, in bytes.
const DICTIONARY_BYTES: usize = 256 << 10;
/// Rows of one page.
const PAGE_ROWS: usize = 1 << 15;
/// Values of one page, in bytes. Reached before [`PAGE_ROWS`] by long strings only.
const PAGE_BYTES: usize = 1 << 20;

/// The shape of every shard of one schema.
#[derive(Debug)]
pub(super) struct Layout {
    chunk_rows: usize,
    packed_columns: usize,
    properties: WriterProperties,
}

impl Layout {
    pub(super) fn new(schema: &Schema, compression: Compression) -> Self {
        let row_bytes = schema
            .fields()
            .iter()
            .map(|field| width(field.data_type()))
            .sum::<usize>()
            .max(1);
        let chunk_rows =
            floor_power_of_two(CHUNK_BYTES / row_bytes).clamp(FEWEST_CHUNK_ROWS, MOST_CHUNK_ROWS);
        let group_rows = (ROW_GROUP_BYTES / row_bytes).clamp(FEWEST_GROUP_ROWS, MOST_GROUP_ROWS);
        // Whole chunks, so that no chunk is cut in two.
        let group_rows = (group_rows / chunk_rows).max(1) * chunk_rows;
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("millpond version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(compression)
            .set_max_row_group_row_count(Some(group_rows))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_data_page_size_limit(PAGE_BYTES)
            .set_dictionary_page_size_limit(DICTIONARY_BYTES)
            // Training reads whole columns: an index of pages and their extremes would never be looked at.
            .set_offset_index_disabled(true)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_dictionary_enabled(false);
        let mut packed_columns = 0;
        for field in schema.fields() {
            let path = ColumnPath::from(field.name().as_str());
            if is_packed(field.data_type()) {
                packed_columns += 1;
                properties =
                    properties.set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
            }
            if is_text(field.data_type()) {
                properties = properties.set_column_dictionary_enabled(path.clone(), true);
            }
            if has_statistics(field.data_type()) {
                properties =
                    properties.set_column_statistics_enabled(path, EnabledStatistics::Chunk);
            }
        }
        Self {
            chunk_rows,
            packed_columns,
            properties: properties.build(),
        }
    }

    /// Rows gathered before they are encoded together.
    pub(super) fn chunk_rows(&self) -> usize {
        self.chunk_rows
    }

    /// Columns whose values are written in just as many bits as they need.
    pub(super) fn packed_columns(&self) -> usize {
        self.packed_columns
    }

    pub(super) fn properties(&self) -> &WriterProperties {
        &self.properties
    }
}

/// Whether the column is written as differences in as few bits as they need.
///
/// Category ids, counts, keys and times are far smaller than their type allows. Packing them takes a fraction of the time
/// that looking up each value in a dictionary takes, and what is left to compress afterwards is a fraction as well.
fn is_packed(data_type: &DataType) -> bool {
    // Decimals may have another physical type, which cannot be packed.
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Date32
                | DataType::Date64
                | DataType::Time32(_)
                | DataType::Time64(_)
                | DataType::Timestamp(_, _)
                | DataType::Duration(_)
        )
}

/// Whether values are texts, which are long and repeat: a dictionary is worth its look-ups.
fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_text(values),
        other => matches!(
            other,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        ),
    }
}

/// Whether extremes of a row group help a reader: on keys, times and texts, which are filtered on, but not on features.
fn has_statistics(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::UInt64)
        || data_type.is_temporal()
        || is_text(data_type)
}

/// Bytes of one value in memory, as far as the type tells.
fn width(data_type: &DataType) -> usize {
    match data_type {
        DataType::Null => 0,
        DataType::Boolean => 1,
        DataType::FixedSizeBinary(bytes) => usize::try_from(*bytes).unwrap_or(0),
        DataType::FixedSizeList(item, length) => {
            width(item.data_type()).saturating_mul(usize::try_from(*length).unwrap_or(0))
        }
        DataType::Struct(fields) => fields
            .iter()
            .map(|field| width(field.data_type()))
            .fold(0, usize::saturating_add),
        DataType::Dictionary(_, value) => width(value),
        other => other.primitive_width().unwrap_or(ASSUMED_BYTES),
    }
}

fn floor_power_of_two(number: usize) -> usize {
    number.checked_ilog2().map_or(1, |bits| 1 << bits)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    fn schema(columns: usize, data_type: &DataType) -> Schema {
        Schema::new(
            (0..columns)
                .map(|i| Field::new(format!("c{i}"), data_type.clone(), true))
                .collect::<Vec<_>>(),
        )
    }

    fn rows(columns: usize, data_type: &DataType) -> (usize, usize) {
        let layout = Layout::new(&schema(columns, data_type), Compression::UNCOMPRESSED);
        (
            layout.chunk_rows(),
            layout.properties().max_row_group_row_count().unwrap_or(0),
        )
    }

    #[test]
    fn row_groups_are_whole_chunks_of_bounded_size() {
        assert_eq!(rows(1, &DataType::Float32), (16_384, 1 << 20));
        assert_eq!(rows(41, &DataType::Float32), (16_384, 12 * 16_384));
        assert_eq!(rows(10_000, &DataType::Float64), (256, 1_024));
        for columns in 1..2_000 {
            let (chunk, group) = rows(columns, &DataType::Float64);
            assert!(
                group % chunk == 0 && (1_024..=1 << 20).contains(&group),
                "{columns}: {chunk} {group}"
            );
        }
    }

    #[test]
    fn width_of_nested_and_open_types() {
        let list = DataType::FixedSizeList(Field::new("item", DataType::Float32, true).into(), 3);
        assert_eq!(width(&list), 12);
        assert_eq!(width(&DataType::Utf8), ASSUMED_BYTES);
        assert_eq!(
            width(&DataType::Struct(vec![Field::new("a", list, true)].into())),
            12
        );
    }
}
