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
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::{DictionaryArray, Int64Array, ListArray, StringArray};
    use arrow::datatypes::Int32Type;
    use arrow::ipc::reader::StreamReader;
    use arrow::ipc::writer::StreamWriter;

    use super::*;

    fn through_ipc(batch: &RecordBatch) -> RecordBatch {
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
        writer.write(batch).unwrap();
        writer.finish().unwrap();
        drop(writer);
        StreamReader::try_new(bytes.as_slice(), None)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
    }

    fn addresses(batch: &RecordBatch) -> Vec<usize> {
        fn walk(data: &ArrayData, out: &mut Vec<usize>) {
            let nulls = data.nulls().map(|n| n.inner().inner());
            for b in data.buffers().iter().chain(nulls) {
                if b.capacity() > 0 {
                    out.push(b.data_ptr().as_ptr() as usize);
                }
            }
            for c in data.child_data() {
                walk(c, out);
            }
        }
        let mut out = Vec::new();
        for column in batch.columns() {
            walk(&column.to_data(), &mut out);
        }
        out
    }

    fn wide() -> RecordBatch {
        let n = 2000;
        let texts: Vec<Option<String>> = (0..n)
            .map(|i| {
                (i % 7 != 0).then(|| format!("value number {i} that is longer than a view holds"))
            })
            .collect();
        let keys: DictionaryArray<Int32Type> = (0..n)
            .map(|i| ["red", "green", "blue"].get(i % 3).copied())
            .collect();
        let short: Vec<Option<&str>> = (0..n).map(|i| (i % 5 != 0).then_some("tiny")).collect();
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
            (0..n as i32).map(|i| (i % 4 != 0).then(|| vec![Some(i), None])),
        );
        RecordBatch::try_from_iter([
            (
                "i",
                Arc::new(Int64Array::from_iter_values(0..n as i64)) as ArrayRef,
            ),
            ("t", Arc::new(StringArray::from(texts.clone()))),
            ("v", Arc::new(StringViewArray::from_iter(texts))),
            ("s", Arc::new(StringViewArray::from_iter(short))),
            ("d", Arc::new(keys)),
            ("l", Arc::new(lists)),
        ])
        .unwrap()
    }

    #[test]
    fn a_projected_ipc_batch_lets_the_message_go() {
        let message = through_ipc(&wide());
        let one = message.project(&[0]).unwrap();
        let before = batch_memory_bytes(&one);
        let tight = compact_if_wasteful(one.clone()).unwrap();
        assert_eq!(tight, one);
        assert!(before > 100_000, "{before}");
        assert!(batch_memory_bytes(&tight) <= 2000 * 8 + 128);
        let whole = compact_if_wasteful(message.clone()).unwrap();
        assert_eq!(
            addresses(&whole),
            addresses(&message),
            "nothing to gain, nothing copied"
        );
    }

    #[test]
    fn a_copy_shares_no_allocation_and_equals_its_source() {
        let source = through_ipc(&wide()).slice(501, 333);
        let tight = compact(&source).unwrap();
        assert_eq!(tight, source);
        let old = addresses(&source);
        assert!(addresses(&tight).iter().all(|a| !old.contains(a)));
        assert!(batch_memory_bytes(&tight) <= 2 * batch_logical_bytes(&tight));
    }

    #[test]
    fn a_batch_without_columns_keeps_its_rows() {
        let none = wide().project(&[]).unwrap();
        assert_eq!(compact(&none).unwrap().num_rows(), 2000);
    }
}
