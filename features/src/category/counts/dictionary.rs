//! Counting by dictionary key while the dictionary stays the same.
//!
//! Owns the dense counters of one dictionary; knows nothing of the values behind the keys.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    ArrowDictionaryKeyType, ArrowNativeType, DataType, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::category::CategoryError;

/// Counts per key of one dictionary that have not yet been given to the values.
#[derive(Debug, Clone)]
pub(super) struct PendingDictionary {
    /// Held, not only remembered, so that its addresses cannot be reused while they are compared.
    values: ArrayRef,
    counts: Vec<u32>,
    rows: usize,
}

impl PendingDictionary {
    pub(super) fn new(values: &ArrayRef) -> Self {
        Self {
            values: values.clone(),
            counts: vec![0; values.len()],
            rows: 0,
        }
    }

    /// Whether `rows` more rows over the dictionary `values` can be counted here.
    pub(super) fn continues_with(&self, values: &ArrayRef, rows: usize) -> bool {
        let fits = self
            .rows
            .checked_add(rows)
            .is_some_and(|sum| u32::try_from(sum).is_ok());
        fits && same_array(&self.values, values)
    }

    /// Counts the keys set in `rows`, none of which may be null; returns how many there were.
    pub(super) fn count(
        &mut self,
        keys: &dyn Array,
        rows: &BooleanBuffer,
    ) -> Result<u64, CategoryError> {
        self.rows += rows.len();
        match keys.data_type() {
            DataType::Int8 => self.count_typed::<Int8Type>(keys, rows),
            DataType::Int16 => self.count_typed::<Int16Type>(keys, rows),
            DataType::Int32 => self.count_typed::<Int32Type>(keys, rows),
            DataType::Int64 => self.count_typed::<Int64Type>(keys, rows),
            DataType::UInt8 => self.count_typed::<UInt8Type>(keys, rows),
            DataType::UInt16 => self.count_typed::<UInt16Type>(keys, rows),
            DataType::UInt32 => self.count_typed::<UInt32Type>(keys, rows),
            DataType::UInt64 => self.count_typed::<UInt64Type>(keys, rows),
            _ => None,
        }
        .ok_or_else(|| CategoryError::UnreadableValues {
            data_type: keys.data_type().clone(),
        })
    }

    fn count_typed<T: ArrowDictionaryKeyType>(
        &mut self,
        keys: &dyn Array,
        rows: &BooleanBuffer,
    ) -> Option<u64> {
        let keys: &[T::Native] = keys.as_primitive_opt::<T>()?.values();
        let counts = self.counts.as_mut_slice();
        let mut counted = 0;
        let mut blocks = keys.chunks_exact(64);
        let words = rows.bit_chunks();
        for (block, mut word) in blocks.by_ref().zip(words.iter()) {
            counted += u64::from(word.count_ones());
            if word == u64::MAX {
                for key in block {
                    increment(counts, *key);
                }
                continue;
            }
            while word != 0 {
                if let Some(key) = block.get(word.trailing_zeros() as usize) {
                    increment(counts, *key);
                }
                word &= word - 1;
            }
        }
        let last = words.remainder_bits();
        for (bit, key) in blocks.remainder().iter().enumerate() {
            if last >> bit & 1 == 1 {
                increment(counts, *key);
                counted += 1;
            }
        }
        Some(counted)
    }

    /// The dictionary and how often each of its keys was seen.
    pub(super) fn into_parts(self) -> (ArrayRef, Vec<u32>) {
        (self.values, self.counts)
    }

    /// Bytes of the counters and of the dictionary they belong to.
    pub(super) fn memory_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<u32>()
            + self.values.to_data().get_slice_memory_size().unwrap_or(0)
    }
}

/// Arrow has checked that keys of valid rows lie inside the dictionary.
fn increment<K: ArrowNativeType>(counts: &mut [u32], key: K) {
    if let Some(count) = counts.get_mut(key.as_usize()) {
        *count += 1;
    }
}

/// Whether two arrays are views of the same memory: same type, buffers, offset and length.
pub(crate) fn same_array(left: &ArrayRef, right: &ArrayRef) -> bool {
    std::sync::Arc::ptr_eq(left, right) || left.to_data().ptr_eq(&right.to_data())
}
