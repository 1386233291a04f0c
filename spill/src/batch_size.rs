//! How many bytes a batch keeps alive and how many it needs. Owns both measures; copies and frees nothing.
//!
//! Arrow's own `get_array_memory_size` counts a shared allocation once per buffer that points into it. A batch decoded
//! from one IPC message points into that message with every buffer, so it would be counted many times over. Here an
//! allocation counts once, with its full capacity, however many columns share it.

use std::collections::HashSet;

use arrow::array::{Array, ArrayData, BinaryViewArray, RecordBatch, StringViewArray};
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;

/// Bytes of memory that `batch` keeps alive: the capacity of every distinct allocation its buffers point into.
pub fn batch_memory_bytes(batch: &RecordBatch) -> usize {
    BatchMeasure::new().add(batch)
}

/// Bytes a tight copy of `batch` would need: only the rows it shows, each value once. Dictionaries count whole.
pub fn batch_logical_bytes(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    columns.map(|c| logical_bytes(&c.to_data())).sum()
}

/// Measures a growing set of batches that may share allocations, counting each allocation once.
///
/// Valid only while all measured batches are alive: an address can be used again after a batch is gone.
#[derive(Debug, Default)]
pub struct BatchMeasure {
    seen: HashSet<usize>,
    added: Vec<usize>,
}

impl BatchMeasure {
    /// A measure that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `batch` and returns the bytes it keeps alive beyond all batches added before.
    pub fn add(&mut self, batch: &RecordBatch) -> usize {
        self.added.clear();
        let columns = batch.columns().iter();
        columns.map(|c| self.add_data(&c.to_data())).sum()
    }

    /// Forgets the batch added last, which then must not be kept.
    pub(crate) fn undo(&mut self) {
        for address in self.added.drain(..) {
            self.seen.remove(&address);
        }
    }

    fn add_data(&mut self, data: &ArrayData) -> usize {
        let mut bytes = 0;
        for buffer in data.buffers() {
            bytes += self.add_buffer(buffer);
        }
        if let Some(nulls) = data.nulls() {
            bytes += self.add_buffer(nulls.inner().inner());
        }
        for child in data.child_data() {
            bytes += self.add_data(child);
        }
        bytes
    }

    fn add_buffer(&mut self, buffer: &Buffer) -> usize {
        let address = buffer.data_ptr().as_ptr() as usize;
        if self.seen.insert(address) {
            self.added.push(address);
            buffer.capacity()
        } else {
            0
        }
    }
}

fn logical_bytes(data: &ArrayData) -> usize {
    let rows = data.len();
    let nulls = data.nulls().map_or(0, |_| rows.div_ceil(8));
    nulls + value_bytes(data)
}

fn value_bytes(data: &ArrayData) -> usize {
    let rows = data.len();
    match data.data_type() {
        DataType::Null => 0,
        DataType::Boolean => rows.div_ceil(8),
        DataType::Utf8 | DataType::Binary => (rows + 1) * 4 + span::<i32>(data).1,
        DataType::LargeUtf8 | DataType::LargeBinary => (rows + 1) * 8 + span::<i64>(data).1,
        DataType::Utf8View => {
            rows * 16 + StringViewArray::from(data.clone()).total_buffer_bytes_used()
        }
        DataType::BinaryView => {
            rows * 16 + BinaryViewArray::from(data.clone()).total_buffer_bytes_used()
        }
        DataType::FixedSizeBinary(width) => rows * usize::try_from(*width).unwrap_or(0),
        DataType::List(_) | DataType::Map(_, _) => {
            let (start, len) = span::<i32>(data);
            (rows + 1) * 4 + child_bytes(data, start, len)
        }
        DataType::LargeList(_) => {
            let (start, len) = span::<i64>(data);
            (rows + 1) * 8 + child_bytes(data, start, len)
        }
        DataType::FixedSizeList(_, size) => {
            let size = usize::try_from(*size).unwrap_or(0);
            child_bytes(data, data.offset() * size, rows * size)
        }
        DataType::Struct(_) => {
            // Slicing a struct slices its children too and yet moves the offset, so the offset says nothing about them.
            let sliced = data.child_data().iter().all(|c| c.len() == rows);
            child_bytes(data, if sliced { 0 } else { data.offset() }, rows)
        }
        DataType::Dictionary(key, _) => {
            let values: usize = data.child_data().iter().map(logical_bytes).sum();
            rows * key.primitive_width().unwrap_or(8) + values
        }
        other => match other.primitive_width() {
            Some(width) => rows * width,
            // Types without a fixed rule here: what they keep alive, which never asks for a copy.
            None => BatchMeasure::new().add_data(data),
        },
    }
}

/// First value and number of values that the rows of `data` refer to by its offsets buffer.
fn span<O: arrow::array::OffsetSizeTrait>(data: &ArrayData) -> (usize, usize) {
    let Some(buffer) = data.buffers().first() else {
        return (0, 0);
    };
    let offsets = buffer.typed_data::<O>();
    let at = |i: usize| offsets.get(i).map_or(0, |o| o.as_usize());
    let start = at(data.offset());
    let end = at(data.offset() + data.len());
    (start, end.saturating_sub(start))
}

fn child_bytes(data: &ArrayData, start: usize, len: usize) -> usize {
    let slice_bytes = |child: &ArrayData| {
        let start = start.min(child.len());
        logical_bytes(&child.slice(start, len.min(child.len() - start)))
    };
    data.child_data().iter().map(slice_bytes).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, Int64Array, ListArray, StringArray, StructArray};
    use arrow::datatypes::{Field, Int64Type, Schema};

    use super::*;

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        let names = (0..columns.len()).map(|i| format!("c{i}"));
        RecordBatch::try_from_iter(names.zip(columns)).unwrap()
    }

    #[test]
    fn a_shared_allocation_counts_once() {
        let whole = Int64Array::from_iter_values(0..1024);
        let parts: Vec<ArrayRef> = (0..8)
            .map(|i| Arc::new(whole.slice(i * 128, 128)) as ArrayRef)
            .collect();
        let b = batch(parts);
        assert_eq!(batch_memory_bytes(&b), 8 * 1024);
        assert_eq!(batch_logical_bytes(&b), 8 * 1024);
        assert_eq!(batch_logical_bytes(&b.slice(3, 4)), 8 * 8 * 4);
    }

    #[test]
    fn batches_of_one_message_count_once_and_undo_forgets() {
        let whole = batch(vec![Arc::new(Int64Array::from_iter_values(0..1024))]);
        let mut measure = BatchMeasure::new();
        assert_eq!(measure.add(&whole.slice(0, 10)), 8192);
        assert_eq!(measure.add(&whole.slice(10, 10)), 0);
        let other = batch(vec![Arc::new(Int64Array::from_iter_values(0..8))]);
        assert_eq!(measure.add(&other), 64);
        measure.undo();
        assert_eq!(measure.add(&other), 64);
    }

    #[test]
    fn logical_bytes_follow_slices_into_nested_values() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(
            (0..100).map(|i| Some(vec![Some(i); 10])),
        );
        let text = StringArray::from_iter_values((0..100).map(|_| "0123456789"));
        let fields = vec![
            Field::new("l", lists.data_type().clone(), true),
            Field::new("t", text.data_type().clone(), true),
        ];
        let nested = StructArray::new(
            fields.clone().into(),
            vec![Arc::new(lists), Arc::new(text)],
            None,
        );
        let schema = Schema::new(vec![Field::new("s", nested.data_type().clone(), true)]);
        let b = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(nested)]).unwrap();
        // Ten rows: eleven offsets each; a hundred integers; a hundred bytes of text.
        let expected = 11 * 4 + 100 * 8 + 11 * 4 + 100;
        assert_eq!(batch_logical_bytes(&b.slice(50, 10)), expected);
    }
}
