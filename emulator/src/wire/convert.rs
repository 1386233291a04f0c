//! Conversion of decoded arrays to their wire types.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, StringArray, StructArray,
    new_empty_array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::storage;
use crate::{geography, picoseconds};

/// Converts `array` to the type of the wire field `target`.
///
/// Shapes: same length as the input. Of a struct only the children that `target` names are kept, so a pruned target prunes.
/// An array that already has the wire type is shared, not copied. Null arrays (lists) become empty ones.
///
/// # Errors
/// [`ArrowError`] when a value does not fit the wire type (an unsigned integer above the signed range, a decimal out of range)
/// or the stored type cannot become the wire type.
pub(crate) fn to_wire(array: &ArrayRef, target: &Field) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), target.data_type()) {
        (DataType::Struct(_), DataType::Struct(children)) => to_struct(array.as_struct(), children),
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            to_list(list.values(), list.offsets(), list.nulls(), item)
        }
        (DataType::Map(_, _), DataType::List(item)) => {
            let map = array.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            to_list(&entries, map.offsets(), map.nulls(), item)
        }
        (
            DataType::LargeList(stored)
            | DataType::FixedSizeList(stored, _)
            | DataType::ListView(stored)
            | DataType::LargeListView(stored),
            DataType::List(_),
        ) => to_wire(&cast(array, &DataType::List(Arc::clone(stored)))?, target),
        (DataType::FixedSizeBinary(_), DataType::Interval(_)) => storage::intervals(array),
        (DataType::Binary, DataType::Utf8) if super::sql_type(target) == Some("geography") => {
            places(array)
        }
        (DataType::Timestamp(_, _), DataType::Utf8) if picoseconds::is_here(target) => {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            let micros = cast(array, &micros)?;
            let times = micros.as_primitive::<TimestampMicrosecondType>().iter();
            let texts = times.map(|at| at.and_then(picoseconds::text_of_micros));
            Ok(Arc::new(StringArray::from_iter(texts)))
        }
        (DataType::Null, wire) => Ok(new_null_array(wire, array.len())),
        (stored, wire) if stored == wire => Ok(Arc::clone(array)),
        (_, wire) => cast(array, wire),
    }
}

/// Places in well-known binary.
fn places(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts = array
        .as_binary::<i32>()
        .iter()
        .map(|bytes| bytes.map(geography::from_binary).transpose())
        .collect::<Result<StringArray, String>>()
        .map_err(ArrowError::CastError)?;
    Ok(Arc::new(texts))
}

/// A column that the stored rows do not have: null everywhere, or empty where it is repeated.
///
/// # Errors
/// [`ArrowError`] when the column is required.
pub(crate) fn absent(field: &Field, rows: usize) -> Result<ArrayRef, ArrowError> {
    if let DataType::List(item) = field.data_type() {
        let offsets = OffsetBuffer::new_zeroed(rows);
        let values = new_empty_array(item.data_type());
        let list = ListArray::try_new(Arc::clone(item), offsets, values, None)?;
        return Ok(Arc::new(list));
    }
    if !field.is_nullable() {
        let message = format!("stored rows have no column {}", field.name());
        return Err(ArrowError::SchemaError(message));
    }
    Ok(new_null_array(field.data_type(), rows))
}

/// The batch with the columns of a wire schema in its order; columns it does not have are null.
///
/// # Errors
/// As [`to_wire`] and [`absent`].
pub(crate) fn arranged(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let own = batch.schema_ref().fields();
    let columns = schema
        .fields()
        .iter()
        .map(|field| match crate::projection::find(own, field.name()) {
            Some((index, _)) => to_wire(batch.column(index), field),
            None => absent(field, batch.num_rows()),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    // Not "safe": a value that does not fit is an error, never a silent null.
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(array, to, &options)
}

fn to_struct(array: &StructArray, children: &Fields) -> Result<ArrayRef, ArrowError> {
    let columns = children
        .iter()
        .map(|child| match array.column_by_name(child.name()) {
            Some(column) => to_wire(column, child),
            None => absent(child, array.len()),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let array = StructArray::try_new_with_length(
        children.clone(),
        columns,
        array.nulls().cloned(),
        array.len(),
    )?;
    Ok(Arc::new(array))
}

fn to_list(
    values: &ArrayRef,
    offsets: &OffsetBuffer<i32>,
    nulls: Option<&NullBuffer>,
    item: &Arc<Field>,
) -> Result<ArrayRef, ArrowError> {
    if let Some(nulls) = nulls {
        let hidden = offsets
            .lengths()
            .zip(nulls.iter())
            .any(|(n, valid)| !valid && n > 0);
        if hidden {
            return Err(ArrowError::InvalidArgumentError(
                "a null array holds values, so it cannot be sent as an empty one".to_owned(),
            ));
        }
    }
    let values = to_wire(values, item)?;
    let list = ListArray::try_new(Arc::clone(item), offsets.clone(), values, None)?;
    Ok(Arc::new(list))
}
