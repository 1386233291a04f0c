#![allow(clippy::unwrap_used)]
use super::*;
use arrow::array::{
    Array, AsArray, Date32Array, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow::datatypes::{Field, Float64Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::Compression;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};

const ROWS: usize = 10_000;

fn doubles() -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(
        (0..ROWS).map(|row| row as f64 * 0.5 - 3.0),
    ))
}

fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_data_page_row_count_limit(700)
        .set_write_batch_size(100)
        .set_max_row_group_row_count(Some(4_000))
}

/// A file of one column, and its footer.
fn stored(
    column: &ArrayRef,
    nullable: bool,
    properties: WriterProperties,
) -> (Arc<File>, ArrowReaderMetadata) {
    let field = Field::new("x", column.data_type().clone(), nullable);
    let schema = Arc::new(Schema::new(vec![field]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(column)]).unwrap();
    let file = tempfile::tempfile().unwrap();
    let mut writer = ArrowWriter::try_new(&file, schema, Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let footer = ArrowReaderMetadata::load(&file, Default::default()).unwrap();
    (Arc::new(file), footer)
}

fn found(file: &Arc<File>, footer: &ArrowReaderMetadata, skip: usize) -> Option<PlainColumn> {
    let metadata = footer.metadata();
    let groups = skip / 4_000..metadata.num_row_groups();
    let data_type = footer.schema().field(0).data_type();
    PlainColumn::find(file, metadata, 0, data_type, groups, skip % 4_000)
}

#[test]
fn values_are_the_same_from_any_row_on_in_any_steps() {
    let column = doubles();
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for nullable in [false, true] {
                let properties = properties()
                    .set_compression(compression)
                    .set_writer_version(version);
                // Version 2 pages would differences otherwise be.
                let properties = properties.set_encoding(Encoding::PLAIN).build();
                let (file, footer) = stored(&column, nullable, properties);
                for (start, step) in [
                    (0, 1_000),
                    (1, 699),
                    (699, 701),
                    (4_000, 3),
                    (8_123, 10_000),
                    (ROWS - 1, 1),
                ] {
                    let mut plain = found(&file, &footer, start).unwrap();
                    let mut row = start;
                    while row < ROWS {
                        let here = step.min(ROWS - row);
                        assert_eq!(&plain.next(here).unwrap(), &column.slice(row, here));
                        row += here;
                    }
                    assert!(matches!(plain.next(1), Err(ParquetError::EOF(_))));
                }
            }
        }
    }
}

#[test]
fn what_lies_in_one_page_is_not_copied() {
    let (file, footer) = stored(&doubles(), false, properties().build());
    let mut plain = found(&file, &footer, 0).unwrap();
    assert_eq!(plain.rows_at_hand().unwrap(), 700);
    let first = plain.next(300).unwrap();
    let second = plain.next(400).unwrap();
    let end = first
        .as_primitive::<Float64Type>()
        .values()
        .as_ptr_range()
        .end;
    assert_eq!(end, second.as_primitive::<Float64Type>().values().as_ptr());
}

#[test]
fn every_type_that_is_stored_as_arrow_holds_it_is_found() {
    let numbers = 0..ROWS as i64;
    let micros = TimestampMicrosecondArray::from_iter_values(numbers.clone()).with_timezone("UTC");
    let columns: [ArrayRef; 4] = [
        Arc::new(Int64Array::from_iter_values(numbers.clone())),
        Arc::new(Float32Array::from_iter_values(
            numbers.clone().map(|n| n as f32),
        )),
        Arc::new(Date32Array::from_iter_values(0..ROWS as i32)),
        Arc::new(micros),
    ];
    for column in columns {
        let (file, footer) = stored(&column, true, properties().build());
        assert_eq!(
            &found(&file, &footer, 0).unwrap().next(ROWS).unwrap(),
            &column
        );
    }
}

#[test]
fn other_columns_are_left_to_the_decoder() {
    let rows = 0..ROWS as i64;
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(
        rows.clone().map(|row| row.to_string()),
    ));
    let holes: ArrayRef = Arc::new(
        rows.clone()
            .map(|row| (row != 7_000).then_some(row))
            .collect::<Int64Array>(),
    );
    let millis: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter_values(rows));
    for column in [texts, holes, millis] {
        let (file, footer) = stored(&column, true, properties().build());
        assert!(found(&file, &footer, 0).is_none(), "{}", column.data_type());
    }
    let dictionary = properties().set_dictionary_enabled(true).build();
    let differences = properties()
        .set_encoding(Encoding::BYTE_STREAM_SPLIT)
        .build();
    for properties in [dictionary, differences] {
        let (file, footer) = stored(&doubles(), true, properties);
        assert!(found(&file, &footer, 0).is_none());
    }
    // The row group with the hole is one; those after it are read without a decoder.
    let holes: ArrayRef = Arc::new(
        (0..ROWS as i64)
            .map(|row| (row != 7).then_some(row))
            .collect::<Int64Array>(),
    );
    let (file, footer) = stored(&holes, true, properties().build());
    assert!(found(&file, &footer, 3_999).is_none());
    assert_eq!(
        &found(&file, &footer, 4_000).unwrap().next(6_000).unwrap(),
        &holes.slice(4_000, 6_000)
    );
}

#[test]
fn levels_that_leave_a_value_out_are_seen() {
    // Runs of 3 and of 13, then two packed groups of which four bits count.
    let levels = [6, 1, 26, 1, 0b101, 0xff, 0x0f];
    assert!(all_defined(&levels, 16));
    assert!(all_defined(&levels, 28));
    assert!(!all_defined(&levels, 29));
    assert!(!all_defined(&levels, 33));
    assert!(!all_defined(&[6, 0], 3));
    assert!(!all_defined(&[6], 3));
    assert!(!all_defined(&[], 1));
    assert!(!all_defined(&[0, 1], 1));
    assert!(!all_defined(&[0xff; 12], 1));
    assert!(!all_defined(&[0b11, 0xfe], 8));
    // 300 rows in one run.
    assert!(all_defined(&[0xd8, 0x04, 1], 300));
    assert!(!all_defined(&[0xd8, 0x04, 1], 301));
}

#[test]
fn pages_that_are_not_what_the_footer_says_are_refused() {
    let page = |buf: &[u8], num_values, encoding| Page::DataPage {
        buf: Bytes::copy_from_slice(buf),
        num_values,
        encoding,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    let two = [2u8, 0, 0, 0, 4, 1, 1, 2, 3, 4, 5, 6, 7, 8];
    let given = |page: &Page| values(page, 4, true).map_err(|e| e.to_string());
    assert_eq!(given(&page(&two, 2, Encoding::PLAIN)).unwrap(), two[6..]);
    let nulls = [2u8, 0, 0, 0, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    for wrong in [
        page(&nulls, 2, Encoding::PLAIN),
        page(&two, 2, Encoding::RLE_DICTIONARY),
        page(&[200, 0, 0, 0, 4, 1], 2, Encoding::PLAIN),
        page(&[2, 0], 2, Encoding::PLAIN),
    ] {
        assert!(given(&wrong).unwrap_err().contains("does not tell of"));
    }
    let short = given(&page(&two[..13], 2, Encoding::PLAIN)).unwrap_err();
    assert!(short.contains("a page of 2 values has 13 bytes"), "{short}");
}
