//! Conversion of decoded arrays to their wire types.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, new_null_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields};
use arrow::error::ArrowError;

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
        (DataType::Null, wire) => Ok(new_null_array(wire, array.len())),
        (stored, wire) if stored == wire => Ok(Arc::clone(array)),
        (_, wire) => cast(array, wire),
    }
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
        .map(|child| {
            let column = array.column_by_name(child.name()).ok_or_else(|| {
                ArrowError::SchemaError(format!("decoded struct has no field {}", child.name()))
            })?;
            to_wire(column, child)
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
