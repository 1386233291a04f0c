//! Codes of whole dictionaries, kept from batch to batch while the dictionary stays the same.
//!
//! Owns the cache and its bounds; must not know how one value is looked up.

use std::fmt;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{AnyDictionaryArray, Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowDictionaryKeyType, ArrowNativeType, DataType, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::category::counts::same_array;

/// The value of this key has not been looked up yet.
const UNRESOLVED: i32 = i32::MIN + 2;

/// Dictionaries remembered at a time: threads work on different parts of the data, each with its own dictionary.
const KEPT: usize = 8;
/// Bytes of dictionaries and codes remembered at a time.
const KEPT_BYTES: usize = 8 << 20;

/// The dictionaries seen last, with the codes of those of their values that have been met.
#[derive(Default)]
pub(super) struct DictionaryCache {
    /// Oldest first.
    kept: Mutex<Vec<Arc<DictionaryCodes>>>,
}

struct DictionaryCodes {
    /// Held, not only remembered, so that its addresses cannot be reused while they are compared.
    values: ArrayRef,
    /// One per value; threads may look up the same value twice, and find the same code.
    codes: Vec<AtomicI32>,
    bytes: usize,
}

impl DictionaryCache {
    /// One code per row of `array`: `missing` where the key or the value behind it is null.
    pub(super) fn codes(
        &self,
        array: &dyn AnyDictionaryArray,
        missing: i32,
        look_up: impl Fn(&ArrayRef, usize) -> Option<i32>,
    ) -> Option<Vec<i32>> {
        let dictionary = self.dictionary(array.values());
        let keys = array.keys();
        match keys.data_type() {
            DataType::Int8 => dictionary.gather::<Int8Type>(keys, missing, look_up),
            DataType::Int16 => dictionary.gather::<Int16Type>(keys, missing, look_up),
            DataType::Int32 => dictionary.gather::<Int32Type>(keys, missing, look_up),
            DataType::Int64 => dictionary.gather::<Int64Type>(keys, missing, look_up),
            DataType::UInt8 => dictionary.gather::<UInt8Type>(keys, missing, look_up),
            DataType::UInt16 => dictionary.gather::<UInt16Type>(keys, missing, look_up),
            DataType::UInt32 => dictionary.gather::<UInt32Type>(keys, missing, look_up),
            DataType::UInt64 => dictionary.gather::<UInt64Type>(keys, missing, look_up),
            _ => None,
        }
    }

    fn dictionary(&self, values: &ArrayRef) -> Arc<DictionaryCodes> {
        // A thread that panicked while holding the lock has left the list whole: it is only ever pushed to and cut.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = kept
            .iter()
            .position(|dictionary| same_array(&dictionary.values, values))
        {
            let dictionary = kept.remove(position);
            kept.push(Arc::clone(&dictionary));
            return dictionary;
        }
        let dictionary = Arc::new(DictionaryCodes::new(values));
        if dictionary.bytes <= KEPT_BYTES {
            kept.push(Arc::clone(&dictionary));
            let mut bytes: usize = kept.iter().map(|dictionary| dictionary.bytes).sum();
            while kept.len() > KEPT || bytes > KEPT_BYTES {
                bytes -= kept.remove(0).bytes;
            }
        }
        dictionary
    }
}

impl Clone for DictionaryCache {
    /// A clone starts empty: what is remembered is not part of the value.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for DictionaryCache {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("DictionaryCache")
    }
}

impl DictionaryCodes {
    fn new(values: &ArrayRef) -> Self {
        let codes: Vec<AtomicI32> = std::iter::repeat_with(|| AtomicI32::new(UNRESOLVED))
            .take(values.len())
            .collect();
        let bytes = codes.len() * size_of::<AtomicI32>()
            + values
                .to_data()
                .get_slice_memory_size()
                .unwrap_or(usize::MAX / 2);
        Self {
            values: Arc::clone(values),
            codes,
            bytes,
        }
    }

    fn gather<T: ArrowDictionaryKeyType>(
        &self,
        keys: &dyn Array,
        missing: i32,
        look_up: impl Fn(&ArrayRef, usize) -> Option<i32>,
    ) -> Option<Vec<i32>> {
        let keys = keys.as_primitive_opt::<T>()?;
        let code = |key: T::Native| {
            // Arrow has checked that keys of valid rows lie inside the dictionary.
            let place = self.codes.get(key.as_usize())?;
            match place.load(Ordering::Relaxed) {
                UNRESOLVED => {
                    let code = look_up(&self.values, key.as_usize())?;
                    place.store(code, Ordering::Relaxed);
                    Some(code)
                }
                code => Some(code),
            }
        };
        match keys.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => keys.values().iter().map(|&key| code(key)).collect(),
            Some(nulls) => keys
                .values()
                .iter()
                .zip(nulls)
                .map(|(&key, valid)| if valid { code(key) } else { Some(missing) })
                .collect(),
        }
    }
}
