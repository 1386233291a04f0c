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
        SerializedFileWriter::new(Vec::new(), root.root_schema_ptr(), properties.clone()).unwrap();
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
