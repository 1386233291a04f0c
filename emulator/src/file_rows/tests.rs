#![allow(clippy::unwrap_used)]
use super::*;
use std::io::Write;

use arrow::array::{Float64Array, Int64Array, StringArray};
use arrow::compute::concat_batches;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

use crate::catalog::Catalog;
use crate::clock::SystemClock;
use crate::name::TableName;

const ROWS: i64 = 5_000;

/// Doubles to share, texts and integers with nulls to decode, in pages of 300 rows and row groups of 2,000.
fn rows() -> RecordBatch {
    let numbers = 0..ROWS;
    let doubles = Float64Array::from_iter_values(numbers.clone().map(|n| n as f64));
    let texts = StringArray::from_iter_values(numbers.clone().map(|n| (n % 7).to_string()));
    let holes: Int64Array = numbers.map(|n| (n % 3 > 0).then_some(n)).collect();
    RecordBatch::try_from_iter([
        ("text", Arc::new(texts) as ArrayRef),
        ("double", Arc::new(doubles)),
        ("hole", Arc::new(holes)),
    ])
    .unwrap()
}

fn stored(root: &TempDir) -> DataFile {
    let directory = root.path().join("p/d/t");
    fs::create_dir_all(&directory).unwrap();
    let rows = rows();
    let properties = WriterProperties::builder()
        .set_column_dictionary_enabled("double".into(), false)
        .set_data_page_row_count_limit(300)
        .set_write_batch_size(100)
        .set_max_row_group_row_count(Some(2_000))
        .build();
    let file = File::create(directory.join("0.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let catalog = Catalog::new(root.path().to_owned(), Arc::new(SystemClock));
    let table = catalog
        .table(&TableName::try_new("p", "d", "t").unwrap())
        .unwrap();
    table.files.first().unwrap().clone()
}

fn read(
    file: &DataFile,
    rows: Range<u64>,
    leaves: &[usize],
    batch_rows: usize,
) -> Vec<RecordBatch> {
    let mut open = FileRows::open(file, rows, leaves, batch_rows).unwrap();
    std::iter::from_fn(|| open.next_batch().unwrap()).collect()
}

#[test]
fn shared_and_decoded_columns_are_of_the_same_rows() {
    let root = TempDir::new().unwrap();
    let file = stored(&root);
    let rows = rows();
    for range in [0..5_000, 1..2_001, 1_999..2_000, 2_000..4_700, 3_333..5_000] {
        let expected = rows.slice(range.start as usize, (range.end - range.start) as usize);
        for leaves in [&[0, 1, 2][..], &[1], &[0, 2]] {
            for batch_rows in [70, 299, 1_000, 10_000] {
                let batches = read(&file, range.clone(), leaves, batch_rows);
                let schema = batches.first().unwrap().schema();
                let whole = concat_batches(&schema, &batches).unwrap();
                assert_eq!(whole.num_columns(), leaves.len());
                for field in schema.fields() {
                    assert_eq!(
                        whole.column_by_name(field.name()),
                        expected.column_by_name(field.name()),
                    );
                }
            }
        }
    }
}

#[test]
fn batches_of_shared_columns_end_with_their_pages() {
    let root = TempDir::new().unwrap();
    let file = stored(&root);
    let lengths = |batch_rows| -> Vec<usize> {
        let batches = read(&file, 0..700, &[1], batch_rows);
        batches.iter().map(RecordBatch::num_rows).collect()
    };
    assert_eq!(lengths(140), [150, 150, 150, 150, 100]);
    assert_eq!(lengths(290), [300, 300, 100]);
    // Pages are much shorter than what is wanted.
    assert_eq!(lengths(650), [650, 50]);
}

#[test]
fn a_file_that_is_not_the_one_listed_is_refused() {
    let root = TempDir::new().unwrap();
    let file = stored(&root);
    let mut longer = fs::OpenOptions::new()
        .append(true)
        .open(&file.path)
        .unwrap();
    longer.write_all(b"x").unwrap();
    let refused = FileRows::open(&file, 0..1, &[1], 10).err().unwrap();
    assert!(matches!(refused, FileError::Changed { .. }), "{refused}");
}
