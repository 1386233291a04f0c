//! Tight copies of batches. Owns the decision when a batch keeps too much memory alive and the copy itself; knows no
//! budget.
//!
//! A projected, sliced or filtered batch that came from an IPC message keeps the whole message alive. Before such a batch
//! waits for long it is copied, so that what is counted is what is needed.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, BinaryViewArray, MutableArrayData, RecordBatch, RecordBatchOptions,
    StringViewArray, make_array,
};
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;

use crate::batch_size::{batch_logical_bytes, batch_memory_bytes};
use crate::error::SpillError;

/// A batch is copied when it keeps more than this many times its own bytes alive.
const WASTE_FACTOR: usize = 2;

/// Below this many bytes kept alive a copy is not worth its time.
const SMALL_BYTES: usize = 4096;

/// Returns `batch` itself, or a tight copy when it keeps more than twice its own bytes alive.
///
/// # Errors
/// [`SpillError::Arrow`] when the copy fails.
pub fn compact_if_wasteful(batch: RecordBatch) -> Result<RecordBatch, SpillError> {
    let kept = batch_memory_bytes(&batch);
    if kept <= SMALL_BYTES || kept / WASTE_FACTOR <= batch_logical_bytes(&batch) {
        Ok(batch)
    } else {
        compact(&batch)
    }
}

/// A copy of `batch` that shares no memory with it and holds only the rows it shows. Values behind a null parent and
/// dictionary entries without a key may be kept or dropped.
///
/// # Errors
/// [`SpillError::Arrow`] when a column cannot be rebuilt.
pub fn compact(batch: &RecordBatch) -> Result<RecordBatch, SpillError> {
    let columns = batch
        .columns()
        .iter()
        .map(|column| copy(&column.to_data()).map(make_array))
        .collect::<Result<Vec<ArrayRef>, SpillError>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options)
        .map_err(SpillError::arrow("copy a batch"))
}

fn copy(data: &ArrayData) -> Result<ArrayData, SpillError> {
    match data.data_type() {
        DataType::Utf8View => copy_views(StringViewArray::from(data.clone()).gc().into_data()),
        DataType::BinaryView => copy_views(BinaryViewArray::from(data.clone()).gc().into_data()),
        _ => {
            let mut rows = MutableArrayData::new(vec![data], false, data.len());
            rows.try_extend(0, 0, data.len())
                .map_err(SpillError::arrow("copy a column"))?;
            let copied = rows.freeze();
            // The copy above still shares dictionaries and the data of views, wherever they are nested.
            if copied.child_data().iter().any(holds_shared) || is_dictionary(data.data_type()) {
                let children = copied.child_data().iter().map(copy);
                let children = children.collect::<Result<Vec<_>, _>>()?;
                let rebuilt = copied.into_builder().child_data(children).build();
                rebuilt.map_err(SpillError::arrow("copy a nested column"))
            } else {
                Ok(copied)
            }
        }
    }
}

fn is_dictionary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(_, _))
}

fn holds_shared(data: &ArrayData) -> bool {
    let own = data.data_type();
    is_dictionary(own)
        || matches!(own, DataType::Utf8View | DataType::BinaryView)
        || data.child_data().iter().any(holds_shared)
}

/// Copies the views and validity that `gc` shares with its input when all values are short.
fn copy_views(data: ArrayData) -> Result<ArrayData, SpillError> {
    let (offset, len) = (data.offset(), data.len());
    let mut buffers = data.buffers().to_vec();
    if let Some(views) = buffers.first_mut() {
        *views = Buffer::from_slice_ref(
            views
                .typed_data::<u128>()
                .get(offset..offset + len)
                .unwrap_or_default(),
        );
    }
    let nulls = data.nulls().map(|n| n.iter().collect());
    let builder = ArrayData::builder(data.data_type().clone())
        .len(len)
        .nulls(nulls)
        .buffers(buffers);
    builder
        .build()
        .map_err(SpillError::arrow("copy a view column"))
}

/// Whether two arrays are views of the same memory: same type, buffers, offset and length.
pub(crate) fn same_array(left: &ArrayRef, right: &ArrayRef) -> bool {
    Arc::ptr_eq(left, right) || left.to_data().ptr_eq(&right.to_data())
}

/// Keeps the type of `columns[i]` and renames nothing: the columns of `batch` at `indices`, in that order.
pub(crate) fn project(
    batch: &RecordBatch,
    schema: &Arc<arrow::datatypes::Schema>,
    indices: &[usize],
) -> Result<RecordBatch, SpillError> {
    let columns = indices
        .iter()
        .map(|index| {
            batch
                .columns()
                .get(*index)
                .cloned()
                .ok_or(SpillError::ProjectionOutOfRange {
                    index: *index,
                    columns: batch.num_columns(),
                })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(SpillError::arrow("project a batch"))
}

#[cfg(test)]
mod tests;
