#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch, make_array};
use arrow::buffer::Buffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::ZstdLevel;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;

use super::*;
use crate::row_group_encoder::RowGroupEncoder;
use crate::test_rows::Dice;

fn packed_types() -> Vec<DataType> {
    use DataType::*;
    let units = [
        TimeUnit::Second,
        TimeUnit::Millisecond,
        TimeUnit::Microsecond,
        TimeUnit::Nanosecond,
    ];
    let mut types = vec![
        Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Date32, Date64,
    ];
    types.extend(units[..2].iter().map(|unit| Time32(*unit)));
    types.extend(units[2..].iter().map(|unit| Time64(*unit)));
    types.extend(
        units
            .iter()
            .map(|unit| Timestamp(*unit, Some("UTC".into()))),
    );
    types.extend(units.iter().map(|unit| Duration(*unit)));
    types
}

/// Which rows are null.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Nulls {
    /// In a column that cannot have any.
    Impossible,
    None,
    Some,
    First,
    Long,
    All,
}

impl Nulls {
    const ALL: [Self; 6] = [
        Self::Impossible,
        Self::None,
        Self::Some,
        Self::First,
        Self::Long,
        Self::All,
    ];

    fn of(self, rows: usize, dice: &mut Dice) -> Option<NullBuffer> {
        let valid = |row: usize| match self {
            Self::Impossible | Self::None => true,
            Self::Some => dice.below(5) > 0,
            Self::First => row > 0,
            Self::Long => row % 1000 < 300,
            Self::All => false,
        };
        (self != Self::Impossible).then(|| (0..rows).map(valid).collect())
    }
}

/// The lowest bytes of `numbers` as values of `data_type`.
fn array(data_type: &DataType, numbers: &[i64], nulls: Option<NullBuffer>) -> ArrayRef {
    let width = data_type.primitive_width().unwrap();
    let bytes = numbers
        .iter()
        .flat_map(|n| n.to_le_bytes().into_iter().take(width));
    let data = ArrayData::builder(data_type.clone())
        .len(numbers.len())
        .add_buffer(Buffer::from(bytes.collect::<Vec<_>>()))
        .nulls(nulls);
    make_array(data.build().unwrap())
}

fn numbers(rows: usize, dice: &mut Dice) -> Vec<i64> {
    let number = |row| match row / 300 % 3 {
        0 => dice.next() as i64,
        1 => dice.below(100) as i64 - 50,
        _ => row as i64,
    };
    (0..rows).map(number).collect()
}

/// Batches of one column of these lengths, of which none begins with a byte of validity.
fn batches(
    data_type: &DataType,
    lengths: &[usize],
    nulls: Nulls,
    dice: &mut Dice,
) -> Vec<RecordBatch> {
    let field = Field::new("n", data_type.clone(), nulls != Nulls::Impossible);
    let schema = Arc::new(Schema::new(vec![field]));
    let rows = 3 + lengths.iter().sum::<usize>();
    let column = array(
        data_type,
        &numbers(rows, dice),
        nulls.of(rows - 3, dice).map(|nulls| {
            [true, false, true]
                .into_iter()
                .chain(nulls.iter())
                .collect()
        }),
    );
    let mut at = 3;
    let slices = lengths.iter().map(|rows| {
        let part = column.slice(at, *rows);
        at += rows;
        RecordBatch::try_new(Arc::clone(&schema), vec![part]).unwrap()
    });
    slices.collect()
}

fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::DELTA_BINARY_PACKED)
        .set_offset_index_disabled(true)
        .set_statistics_enabled(EnabledStatistics::None)
}

/// Pages of 200 rows, wherever a batch ends: the library counts after each row.
fn small_pages() -> WriterPropertiesBuilder {
    properties()
        .set_data_page_row_count_limit(200)
        .set_write_batch_size(1)
}

#[derive(Clone, Copy, PartialEq)]
enum By {
    Us,
    Library,
}

/// A file of one row group.
fn file(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    properties: WriterPropertiesBuilder,
    by: By,
) -> Bytes {
    let mut properties = properties.build();
    add_encoded_arrow_schema_to_metadata(schema, &mut properties);
    let properties = Arc::new(properties);
    let root = ArrowSchemaConverter::new().convert(schema).unwrap();
    let mut file =
        SerializedFileWriter::new(Vec::new(), root.root_schema_ptr(), properties.clone()).unwrap();
    let encoder = match by {
        By::Us => RowGroupEncoder::try_new(schema, &properties).unwrap(),
        By::Library => RowGroupEncoder::of_library(schema, &properties).unwrap(),
    };
    let packed = if by == By::Us {
        schema.fields().len()
    } else {
        0
    };
    assert_eq!(encoder.packed_columns().count(), packed);
    encoder.write(&mut file, batches).unwrap();
    file.into_inner().unwrap().into()
}

fn read(file: &Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<_> = reader
        .with_batch_size(777)
        .build()
        .unwrap()
        .map(Result::unwrap)
        .collect();
    concat_batches(&schema, &batches).unwrap()
}

/// The metadata of the only chunk, and rows and values of each of its pages.
fn chunk(file: &Bytes, nullable: bool) -> (ColumnChunkMetaData, Vec<(u32, Vec<u8>)>) {
    let reader = SerializedFileReader::new(file.clone()).unwrap();
    let pages = reader
        .get_row_group(0)
        .unwrap()
        .get_column_page_reader(0)
        .unwrap();
    let pages = pages.map(Result::unwrap).map(|page| {
        assert_eq!(page.encoding(), Encoding::DELTA_BINARY_PACKED);
        let bytes = page.buffer();
        let levels = if nullable {
            4 + u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize
        } else {
            0
        };
        (page.num_values(), bytes[levels..].to_vec())
    });
    (
        reader.metadata().row_group(0).column(0).clone(),
        pages.collect(),
    )
}

/// That the file is read as what was written, and is as the library writes it but for the runs of its levels.
fn check(batches: &[RecordBatch], properties: WriterPropertiesBuilder) {
    let schema = batches[0].schema();
    let nullable = schema.field(0).is_nullable();
    let ours = file(&schema, batches, properties.clone(), By::Us);
    let theirs = file(&schema, batches, properties, By::Library);
    let expected = concat_batches(&schema, batches).unwrap();
    assert_eq!(read(&ours), expected);
    if expected.column(0).null_count() == 0 {
        assert!(ours == theirs, "the files differ");
    }
    let (ours, our_pages) = chunk(&ours, nullable);
    let (theirs, their_pages) = chunk(&theirs, nullable);
    // Rows without any value go to the library's pages batch by batch, however many they are.
    if expected.column(0).null_count() < expected.num_rows() {
        assert_eq!(our_pages, their_pages);
    }
    assert_eq!(ours.num_values(), theirs.num_values());
    assert_eq!(ours.compression(), theirs.compression());
    assert_eq!(ours.encodings_mask(), theirs.encodings_mask());
    assert_eq!(
        ours.page_encoding_stats_mask(),
        theirs.page_encoding_stats_mask()
    );
    assert_eq!(ours.statistics(), theirs.statistics());
    assert_eq!(
        ours.definition_level_histogram(),
        theirs.definition_level_histogram()
    );
}

#[test]
fn every_type_and_share_of_nulls_is_as_the_library_writes_it() {
    let mut dice = Dice::new(1);
    for data_type in packed_types() {
        for nulls in Nulls::ALL {
            for statistics in [EnabledStatistics::None, EnabledStatistics::Chunk] {
                let batches = batches(&data_type, &[7, 193, 1, 0, 1000, 99], nulls, &mut dice);
                check(&batches, small_pages().set_statistics_enabled(statistics));
            }
        }
    }
}

#[test]
fn every_length_of_blocks_and_pages() {
    let mut dice = Dice::new(2);
    for data_type in [DataType::Int32, DataType::Int64] {
        for nulls in Nulls::ALL {
            for rows in [
                0, 1, 2, 31, 32, 33, 64, 65, 66, 127, 128, 129, 130, 199, 200, 201,
            ] {
                check(
                    &batches(&data_type, &[rows], nulls, &mut dice),
                    small_pages(),
                );
            }
            for rows in [255, 256, 257, 258, 512, 513, 514] {
                let one_page = properties().set_write_batch_size(1);
                check(&batches(&data_type, &[rows], nulls, &mut dice), one_page);
            }
        }
    }
}

#[test]
fn large_pages_over_many_batches() {
    let mut dice = Dice::new(3);
    for data_type in [DataType::UInt16, DataType::Int32, DataType::UInt64] {
        for nulls in [Nulls::Impossible, Nulls::Some, Nulls::Long] {
            for lengths in [
                &[65_535][..],
                &[8_191, 57_345],
                &[13, 65_524],
                &[65_535, 65_537],
            ] {
                let batches = batches(&data_type, lengths, nulls, &mut dice);
                let schema = batches[0].schema();
                let pages_end_by_rows = properties().set_data_page_row_count_limit(1 << 16);
                let pages_end_by_bytes = properties().set_data_page_size_limit(100_001);
                for properties in [pages_end_by_rows, pages_end_by_bytes] {
                    let file = file(&schema, &batches, properties, By::Us);
                    assert_eq!(read(&file), concat_batches(&schema, &batches).unwrap());
                    let (_, pages) = chunk(&file, nulls != Nulls::Impossible);
                    assert!(pages.iter().all(|(rows, _)| (1..=1 << 16).contains(rows)));
                }
            }
        }
    }
}

#[test]
fn extremes_constants_and_leaps() {
    let alternating = |a: i64, b: i64| (0..700).map(move |row| if row % 2 == 0 { a } else { b });
    for data_type in packed_types() {
        let bits = 8 * data_type.primitive_width().unwrap() as u32;
        let (least, most) = (i64::MIN >> (64 - bits), i64::MAX >> (64 - bits));
        let mut leaps: Vec<i64> = alternating(0, 0).collect();
        leaps[300] = most;
        leaps[512] = least;
        for numbers in [
            alternating(least, most).collect(),
            alternating(-1, 0).collect(),
            alternating(least, least).collect(),
            alternating(most, most - 1).collect(),
            (0..700).collect(),
            leaps,
        ] {
            for nullable in [false, true] {
                let field = Field::new("n", data_type.clone(), nullable);
                let schema = Arc::new(Schema::new(vec![field]));
                let column = array(&data_type, &numbers, None);
                let batch = RecordBatch::try_new(schema, vec![column]).unwrap();
                let properties = properties().set_statistics_enabled(EnabledStatistics::Chunk);
                check(&[batch], properties);
            }
        }
    }
}

#[test]
fn values_of_nulls_do_not_matter() {
    let nulls = NullBuffer::from_iter((0..500).map(|row| row % 3 > 0));
    let column = |hidden: i64| {
        let number = |row| if row % 3 > 0 { row } else { hidden };
        let numbers: Vec<_> = (0..500).map(number).collect();
        let column = array(&DataType::Int64, &numbers, Some(nulls.clone()));
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let schema = batch.schema();
        let properties = properties().set_statistics_enabled(EnabledStatistics::Chunk);
        file(&schema, &[batch], properties, By::Us)
    };
    assert!(column(0) == column(i64::MIN));
}

#[test]
fn compressed_as_the_library_does_it() {
    let mut dice = Dice::new(4);
    for level in [1, 7] {
        let zstd = Compression::ZSTD(ZstdLevel::try_new(level).unwrap());
        for nulls in Nulls::ALL {
            let batches = batches(&DataType::Int32, &[500, 2_001], nulls, &mut dice);
            check(&batches, small_pages().set_compression(zstd));
        }
    }
}

#[test]
fn what_hardly_gets_smaller_is_not_compressed() {
    let mut dice = Dice::new(6);
    let zstd = properties().set_compression(Compression::ZSTD(ZstdLevel::default()));
    let compression = |numbers: Vec<i64>| {
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let schema = batch.schema();
        let file = file(&schema, std::slice::from_ref(&batch), zstd.clone(), By::Us);
        assert_eq!(read(&file), batch);
        chunk(&file, false).0.compression()
    };
    // Several pages each, the first of which decides.
    let noise: Vec<i64> = (0..40_000).map(|_| dice.below(1 << 20) as i64).collect();
    assert_eq!(compression(noise), Compression::UNCOMPRESSED);
    let repeated: Vec<i64> = (0..40_000).map(|i| (i % 10) << (i % 7)).collect();
    assert!(matches!(compression(repeated), Compression::ZSTD(_)));
}

#[test]
fn what_only_the_library_does_is_left_to_it() {
    let packed = |data_type: &DataType, properties: WriterPropertiesBuilder| {
        let schema = Schema::new(vec![Field::new("n", data_type.clone(), true)]);
        let encoder = RowGroupEncoder::try_new(&schema, &Arc::new(properties.build())).unwrap();
        encoder.packed_columns().count() == 1
    };
    for data_type in packed_types() {
        assert!(packed(&data_type, properties()), "{data_type}");
        for others in [
            properties().set_dictionary_enabled(true),
            properties().set_bloom_filter_enabled(true),
            properties().set_offset_index_disabled(false),
            properties().set_statistics_enabled(EnabledStatistics::Page),
            properties().set_writer_version(WriterVersion::PARQUET_2_0),
            properties().set_encoding(Encoding::PLAIN),
            properties().set_compression(Compression::SNAPPY),
            properties().set_compression(Compression::LZ4_RAW),
        ] {
            assert!(!packed(&data_type, others), "{data_type}");
        }
        let coerced = properties().set_coerce_types(true);
        assert_eq!(packed(&data_type, coerced), data_type != DataType::Date64);
    }
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    for data_type in [
        DataType::Decimal128(9, 2),
        DataType::Decimal64(12, 2),
        DataType::List(Arc::clone(&item)),
        DataType::Struct(vec![item].into()),
    ] {
        assert!(!packed(&data_type, properties()), "{data_type}");
    }
}

#[test]
fn columns_of_another_type_are_refused() {
    let of = |column: ArrayRef| RecordBatch::try_from_iter([("n", column)]).unwrap();
    let mut dice = Dice::new(5);
    let longs = of(array(&DataType::Int64, &numbers(9, &mut dice), None));
    let ints = of(array(&DataType::Int32, &numbers(9, &mut dice), None));
    let floats = of(Arc::new(Float64Array::from(vec![1.0; 9])));
    for (schema, batch, says) in [
        (&ints, &longs, "Int64 are not stored as INT32"),
        (&longs, &ints, "Int32 are not stored as INT64"),
        (&longs, &floats, "Float64 are not stored as INT64"),
    ] {
        let schema = schema.schema();
        let properties = Arc::new(properties().build());
        let root = ArrowSchemaConverter::new().convert(&schema).unwrap();
        let mut file =
            SerializedFileWriter::new(Vec::new(), root.root_schema_ptr(), properties.clone())
                .unwrap();
        let encoder = RowGroupEncoder::try_new(&schema, &properties).unwrap();
        let error = encoder
            .write(&mut file, std::slice::from_ref(batch))
            .unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}
