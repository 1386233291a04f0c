//! The type in which a column travels through a Parquet file. Owns the list of what can be spilled and the way back to
//! the exact Arrow type; knows no files.
//!
//! Most types come back from Parquet as they went in, because the Arrow schema is stored with the file. Dictionaries are
//! the exception: the reader merges the dictionaries of many batches, and the merged one may not fit the key type. Only
//! text and bytes with wide keys keep their dictionary in the file; the others travel as plain values and are encoded
//! again after reading, a batch being cut in two as long as its values are too many for the key.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, Schema, SchemaRef};

use crate::error::SpillError;

/// Checks before any row is read that every column of `schema` can be spilled.
///
/// # Errors
/// [`SpillError::UnsupportedType`] for the first column that cannot: unions, run-end encoded and list-view types,
/// intervals with nanoseconds, structs without fields, and dictionaries whose values are booleans or nested.
pub fn check_spillable(schema: &Schema) -> Result<(), SpillError> {
    for field in schema.fields() {
        if let Some(bad) = first_unsupported(field.data_type()) {
            return Err(SpillError::UnsupportedType {
                column: field.name().clone(),
                data_type: bad.to_string(),
            });
        }
    }
    Ok(())
}

fn first_unsupported(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::Union(_, _)
        | DataType::RunEndEncoded(_, _)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::Interval(IntervalUnit::MonthDayNano) => Some(data_type),
        DataType::Struct(fields) if fields.is_empty() => Some(data_type),
        DataType::Struct(fields) => fields
            .iter()
            .find_map(|field| first_unsupported(field.data_type())),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => first_unsupported(field.data_type()),
        DataType::Dictionary(_, value) => {
            (value.is_nested() || packs_badly(value)).then_some(data_type)
        }
        _ => None,
    }
}

/// Value types for which Arrow has no way from plain values back to a dictionary.
fn packs_badly(value: &DataType) -> bool {
    matches!(
        value,
        DataType::Null
            | DataType::Boolean
            | DataType::Dictionary(_, _)
            | DataType::Duration(_)
            | DataType::Interval(_)
    )
}

/// The type a column of `data_type` has in the file.
fn carrier_type(data_type: &DataType) -> DataType {
    let inner = |field: &Arc<Field>| Arc::new(carrier_field(field));
    match data_type {
        DataType::Dictionary(key, value) => {
            let wide = matches!(
                **key,
                DataType::Int32 | DataType::Int64 | DataType::UInt32 | DataType::UInt64
            );
            let text = matches!(
                **value,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary
            );
            if wide && text {
                data_type.clone()
            } else {
                (**value).clone()
            }
        }
        DataType::List(field) => DataType::List(inner(field)),
        DataType::LargeList(field) => DataType::LargeList(inner(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(inner(field), *size),
        DataType::Map(field, sorted) => DataType::Map(inner(field), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        _ => data_type.clone(),
    }
}

fn carrier_field(field: &Field) -> Field {
    field
        .clone()
        .with_data_type(carrier_type(field.data_type()))
}

/// A schema and the schema its rows have in the file.
#[derive(Debug, Clone)]
pub(crate) struct Carrier {
    rows: SchemaRef,
    file: SchemaRef,
}

impl Carrier {
    /// The carrier for rows of `schema`.
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self, SpillError> {
        check_spillable(schema)?;
        let fields: Fields = schema.fields().iter().map(|f| carrier_field(f)).collect();
        // Metadata of the schema stays with `rows`; the file does not need a second copy.
        Ok(Self {
            rows: Arc::clone(schema),
            file: Arc::new(Schema::new(fields)),
        })
    }

    /// The schema of the file.
    pub(crate) fn file_schema(&self) -> &SchemaRef {
        &self.file
    }

    /// The schema of the rows.
    pub(crate) fn rows_schema(&self) -> &SchemaRef {
        &self.rows
    }

    /// A batch as it goes into the file. Columns that need no conversion stay as they are, be they interned or not.
    pub(crate) fn load(&self, batch: &RecordBatch) -> Result<RecordBatch, SpillError> {
        let fields = batch.schema_ref().fields().iter();
        let fields = fields
            .zip(self.rows.fields().iter().zip(self.file.fields()))
            .map(
                |(found, (rows, file))| match rows.data_type() == file.data_type() {
                    true => Arc::clone(found),
                    false => Arc::clone(file),
                },
            );
        converted(batch, &Arc::new(Schema::new(fields.collect::<Fields>())))
    }

    /// The columns `indices` of the rows.
    pub(crate) fn projected_rows(&self, indices: &[usize]) -> Result<SchemaRef, SpillError> {
        projected(&self.rows, indices)
    }

    /// The columns `indices` as they are in the file.
    pub(crate) fn projected_file(&self, indices: &[usize]) -> Result<SchemaRef, SpillError> {
        projected(&self.file, indices)
    }
}

fn projected(schema: &Schema, indices: &[usize]) -> Result<SchemaRef, SpillError> {
    let projected = schema.project(indices);
    projected
        .map(Arc::new)
        .map_err(SpillError::arrow("project a schema"))
}

/// Converts a batch read from a file to `rows`, in as many pieces as its narrow dictionaries need, in order.
pub(crate) fn unload(
    batch: RecordBatch,
    rows: &SchemaRef,
    out: &mut VecDeque<RecordBatch>,
) -> Result<(), SpillError> {
    let mut todo = vec![batch];
    while let Some(piece) = todo.pop() {
        match converted(&piece, rows) {
            Ok(done) => out.push_back(done),
            Err(_) if piece.num_rows() > 1 => {
                let half = piece.num_rows() / 2;
                todo.push(piece.slice(half, piece.num_rows() - half));
                todo.push(piece.slice(0, half));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn converted(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, SpillError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(Arc::clone(column))
            } else {
                cast_with_options(column, field.data_type(), &options)
            }
        })
        .collect::<Result<Vec<ArrayRef>, _>>()
        .map_err(SpillError::arrow("convert a column"))?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(SpillError::arrow("convert a batch"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::{Array, DictionaryArray};
    use arrow::datatypes::{Int8Type, UnionFields, UnionMode};

    use super::*;

    #[test]
    fn the_column_that_cannot_be_spilled_is_named() {
        let union = DataType::Union(UnionFields::empty(), UnionMode::Sparse);
        let nested = DataType::Struct(vec![Field::new("u", union, true)].into());
        let schema = Schema::new(vec![
            Field::new("fine", DataType::Int64, true),
            Field::new("odd", nested, true),
        ]);
        let error = check_spillable(&schema).unwrap_err();
        assert!(matches!(error, SpillError::UnsupportedType { ref column, .. } if column == "odd"));
    }

    #[test]
    fn a_batch_with_too_many_values_for_its_key_is_cut() {
        let narrow: DictionaryArray<Int8Type> = ["a", "b", "a"].into_iter().collect();
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new(
            "d",
            narrow.data_type().clone(),
            true,
        )]));
        let carrier = Carrier::new(&schema).unwrap();
        assert_eq!(carrier.file_schema().field(0).data_type(), &DataType::Utf8);
        let plain: ArrayRef = Arc::new(arrow::array::StringArray::from_iter_values(
            (0..300).map(|i| format!("v{i}")),
        ));
        let batch =
            RecordBatch::try_new(Arc::clone(carrier.file_schema()), vec![plain.clone()]).unwrap();
        let mut out = VecDeque::new();
        unload(batch, &schema, &mut out).unwrap();
        assert!(out.len() > 2);
        let back: Vec<_> = out
            .iter()
            .map(|b| arrow::compute::cast(b.column(0), &DataType::Utf8).unwrap())
            .collect();
        let back: Vec<&dyn Array> = back.iter().map(|a| a.as_ref()).collect();
        assert_eq!(&arrow::compute::concat(&back).unwrap(), &plain);
    }
}
