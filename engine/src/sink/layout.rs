//! The physical shape of a shard: rows per chunk, rows per row group, encodings. Owns every number that shows in the bytes.
//!
//! All of it follows from the schema and the compression. Memory may have no say, and of the data only the length of texts.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use millpond_spill::{RowGroupEncoder, packs_well};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::schema::types::{ColumnPath, TypePtr};

use crate::error::{Error, ErrorKind, Result};

/// Values of one row group aimed at, in bytes before encoding. A larger group compresses a little better; each worker
/// gathers three at a time.
const ROW_GROUP_BYTES: usize = 16 << 20;
/// A group of wide rows may be larger until it has this many, because each column of each group has a place in the footer ...
const FEWEST_GROUP_ROWS: usize = 1 << 11;
/// ... but not larger than this, in bytes before encoding.
const WIDE_GROUP_BYTES: usize = 64 << 20;
/// A reader never needs more rows than this at a time, however narrow they are.
const MOST_GROUP_ROWS: usize = 1 << 20;
/// Values of one chunk aimed at, in bytes: three chunks should stay in a core's own cache for the most part.
const CHUNK_BYTES: usize = 4 << 20;
const FEWEST_CHUNK_ROWS: usize = 1 << 8;
const MOST_CHUNK_ROWS: usize = 1 << 14;
/// Assumed width of a value that has no fixed width.
const ASSUMED_BYTES: usize = 32;
/// Texts and bytes of one row group beyond which it ends early, in bytes.
const MOST_LONG_BYTES: u64 = 32 << 20;
/// What encoding one column takes while a group is written: a page as values and compressed, the compressor, a dictionary.
const ENCODER_BYTES: usize = 8 << 20;
/// Memory that a finished row group takes per column until the footer is written, in bytes.
const FOOTER_COLUMN_BYTES: usize = 512;
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
    group_rows: usize,
    parquet_schema: TypePtr,
    properties: WriterPropertiesPtr,
    encoder: RowGroupEncoder,
}

impl Layout {
    /// The shape of shards of `schema`.
    ///
    /// # Errors
    /// Schema when a column's type cannot be written.
    pub(super) fn try_new(schema: &SchemaRef, compression: Compression) -> Result<Self> {
        let (chunk_rows, group_rows) = rows_of(row_bytes(schema));
        let mut properties = properties(schema, compression);
        add_encoded_arrow_schema_to_metadata(schema, &mut properties);
        let properties = Arc::new(properties);
        let encoder = RowGroupEncoder::try_new(schema, &properties).map_err(|e| {
            let what = format!("column \"{}\" cannot be written as Parquet", e.column);
            Error::with_source(ErrorKind::Schema, what, e.source)
        })?;
        let parquet_schema = ArrowSchemaConverter::new()
            .with_coerce_types(properties.coerce_types())
            .convert(schema)
            .map_err(|e| {
                let what = format!(
                    "the {} output columns cannot be written as Parquet",
                    schema.fields().len()
                );
                Error::with_source(ErrorKind::Schema, what, e)
            })?
            .root_schema_ptr();
        Ok(Self {
            chunk_rows,
            group_rows,
            parquet_schema,
            properties,
            encoder,
        })
    }

    /// Rows gathered at a time.
    pub(super) fn chunk_rows(&self) -> usize {
        self.chunk_rows
    }

    /// Rows encoded together.
    pub(super) fn group_rows(&self) -> usize {
        self.group_rows
    }

    /// Texts and bytes, in bytes, with which a group ends before it has all its rows.
    pub(super) fn most_long_bytes(&self) -> u64 {
        MOST_LONG_BYTES
    }

    /// Memory that `groups` finished row groups take until the footer is written, in bytes.
    pub(super) fn footer_bytes(&self, groups: usize) -> usize {
        groups
            .saturating_mul(self.encoder.columns())
            .saturating_mul(FOOTER_COLUMN_BYTES)
    }

    /// What encodes row groups.
    pub(super) fn encoder(&self) -> &RowGroupEncoder {
        &self.encoder
    }

    pub(super) fn parquet_schema(&self) -> &TypePtr {
        &self.parquet_schema
    }

    pub(super) fn properties(&self) -> &WriterPropertiesPtr {
        &self.properties
    }
}

/// Memory of `shards` shards of `columns` columns that are written side by side, in bytes: a row group of each and one encoder.
/// Columns count as numbers of eight bytes; texts much longer than [`ASSUMED_BYTES`] take more, up to [`MOST_LONG_BYTES`] a shard.
pub(crate) fn shards_memory_bytes(columns: usize, shards: usize) -> usize {
    let row_bytes = columns.saturating_mul(8).max(1);
    let (_, group_rows) = rows_of(row_bytes);
    group_rows
        .saturating_mul(row_bytes)
        .saturating_mul(shards)
        .saturating_add(ENCODER_BYTES)
}

/// Bytes of a row as far as the types tell.
fn row_bytes(schema: &Schema) -> usize {
    schema
        .fields()
        .iter()
        .map(|field| width(field.data_type()))
        .fold(0, usize::saturating_add)
        .max(1)
}

/// Rows of a chunk and rows of a row group.
fn rows_of(row_bytes: usize) -> (usize, usize) {
    let chunk_rows =
        floor_power_of_two(CHUNK_BYTES / row_bytes).clamp(FEWEST_CHUNK_ROWS, MOST_CHUNK_ROWS);
    let fewest = FEWEST_GROUP_ROWS.min(WIDE_GROUP_BYTES / row_bytes);
    let group_rows = (ROW_GROUP_BYTES / row_bytes)
        .max(fewest)
        .min(MOST_GROUP_ROWS);
    // Whole chunks, so that no chunk is cut in two.
    let group_rows = (group_rows / chunk_rows).max(1) * chunk_rows;
    (chunk_rows, group_rows)
}

fn properties(schema: &Schema, compression: Compression) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("millpond version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(compression)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        // Training reads whole columns: an index of pages and their extremes would never be looked at.
        .set_offset_index_disabled(true)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_dictionary_enabled(false);
    for field in schema.fields() {
        let path = ColumnPath::from(field.name().as_str());
        if packs_well(field.data_type()) {
            properties =
                properties.set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
        }
        if is_text(field.data_type()) {
            properties = properties.set_column_dictionary_enabled(path.clone(), true);
        }
        if has_statistics(field.data_type()) {
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::Chunk);
        }
    }
    properties.build()
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
    #![allow(clippy::unwrap_used)]
    use arrow::datatypes::{Field, TimeUnit};
    use parquet::basic::ZstdLevel;

    use super::*;

    fn schema(columns: usize, data_type: &DataType) -> Schema {
        Schema::new(
            (0..columns)
                .map(|i| Field::new(format!("c{i}"), data_type.clone(), true))
                .collect::<Vec<_>>(),
        )
    }

    fn rows(columns: usize, data_type: &DataType) -> (usize, usize) {
        rows_of(row_bytes(&schema(columns, data_type)))
    }

    #[test]
    fn row_groups_are_whole_chunks_of_bounded_size() {
        assert_eq!(rows(1, &DataType::Float32), (16_384, 1 << 20));
        assert_eq!(rows(41, &DataType::Float32), (16_384, 6 * 16_384));
        assert_eq!(rows(2_000, &DataType::Float64), (256, 2_048));
        assert_eq!(rows(10_000, &DataType::Float64), (256, 768));
        assert_eq!(rows(100_000, &DataType::Float64), (256, 256));
        for columns in 1..2_000 {
            let (chunk, group) = rows(columns, &DataType::Float64);
            assert!(
                group % chunk == 0 && (2_048..=1 << 20).contains(&group),
                "{columns}: {chunk} {group}"
            );
        }
    }

    #[test]
    fn integers_are_packed_without_the_library_where_that_is_possible() {
        let types = [
            DataType::UInt8,
            DataType::Int32,
            DataType::Int64,
            DataType::Float32,
            DataType::Utf8,
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Microsecond, None),
        ];
        let fields = types.iter().enumerate();
        let fields = fields.map(|(i, t)| Field::new(format!("c{i}"), t.clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let packed = |compression| {
            let layout = Layout::try_new(&schema, compression).unwrap();
            layout
                .encoder()
                .packed_columns()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let zstd = Compression::ZSTD(ZstdLevel::try_new(1).unwrap());
        for compression in [Compression::UNCOMPRESSED, zstd] {
            assert_eq!(packed(compression), ["c0", "c1", "c2", "c5", "c6"]);
        }
        assert!(packed(Compression::SNAPPY).is_empty());
    }

    #[test]
    fn memory_of_shards_is_bounded_however_wide_they_are() {
        assert_eq!(
            shards_memory_bytes(41, 3),
            3 * 3 * 16_384 * 41 * 8 + ENCODER_BYTES
        );
        for columns in (1..200_000).step_by(997) {
            let bytes = shards_memory_bytes(columns, 3);
            // A chunk of the widest rows alone may be larger than a group should be.
            let chunk = FEWEST_CHUNK_ROWS * columns * 8;
            assert!(
                bytes <= 3 * WIDE_GROUP_BYTES.max(chunk) + ENCODER_BYTES,
                "{columns}: {bytes}"
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
