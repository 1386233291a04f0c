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
/// It is about to be looked up by somebody.
const ASKED_FOR: i32 = i32::MIN + 3;

/// A batch that asks for one of so many values of a dictionary has all of it looked up: the next batches would ask for the rest, and
/// in the order in which a dictionary has its values they are often found faster.
const DENSE: usize = 16;

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
    /// One code per row of `array`: `missing` where the key is null. `look_up` is given a dictionary and the indices of values in
    /// it, and gives them back with their codes.
    pub(super) fn codes(
        &self,
        array: &dyn AnyDictionaryArray,
        missing: i32,
        look_up: impl Fn(&ArrayRef, &[usize], &dyn Fn(usize, i32)) -> Option<()>,
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
        // A new one usually takes the place of one that is read to its end.
        kept.retain(|dictionary| dictionary.is_read());
        let dictionary = Arc::new(DictionaryCodes::new(values));
        if dictionary.is_kept() {
            kept.push(Arc::clone(&dictionary));
            let mut bytes: usize = kept.iter().map(|dictionary| dictionary.bytes).sum();
            while kept.len() > KEPT || bytes > KEPT_BYTES {
                bytes -= kept.remove(0).bytes;
            }
        }
        dictionary
    }
}

/// Whether a code is a mark that it is not known.
fn is_open(code: i32) -> bool {
    matches!(code, UNRESOLVED | ASKED_FOR)
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

    /// Whether it is small enough to be remembered.
    fn is_kept(&self) -> bool {
        self.bytes <= KEPT_BYTES
    }

    /// Whether somebody else holds the values as well.
    fn is_read(&self) -> bool {
        let data = self.values.to_data();
        // Each buffer is held by the array here and by `data`.
        data.buffers()
            .iter()
            .any(|buffer| buffer.strong_count() > 2)
    }

    fn gather<T: ArrowDictionaryKeyType>(
        &self,
        keys: &dyn Array,
        missing: i32,
        look_up: impl Fn(&ArrayRef, &[usize], &dyn Fn(usize, i32)) -> Option<()>,
    ) -> Option<Vec<i32>> {
        let keys = keys.as_primitive_opt::<T>()?;
        let nulls = keys.nulls().filter(|nulls| nulls.null_count() > 0);
        let is_valid = |row| nulls.is_none_or(|nulls| nulls.is_valid(row));
        let mut codes = vec![missing; keys.len()];
        // Nearly always there are none, and counting them is no branch.
        let mut opens = 0_usize;
        for (key, code) in keys.values().iter().zip(&mut codes) {
            *code = self.known(*key, missing);
            opens += usize::from(is_open(*code));
        }
        let mut open = Vec::with_capacity(opens);
        if opens > 0 {
            let rows = codes.iter().enumerate();
            open.extend(rows.filter_map(|(row, code)| is_open(*code).then_some(row)));
        }
        // First those that nobody has asked for, each once; then what another thread has asked for and does not know yet.
        for state in [UNRESOLVED, ASKED_FOR] {
            open.retain(|&row| is_valid(row));
            if open.is_empty() {
                break;
            }
            let mut wanted = Vec::new();
            if state == UNRESOLVED && self.is_kept() && open.len() >= self.codes.len() / DENSE {
                self.want_all(&mut wanted);
            }
            for &row in &open {
                let index = keys.value(row).as_usize();
                let is_wanted = |code: &&AtomicI32| code.load(Ordering::Relaxed) == state;
                if let Some(code) = self.codes.get(index).filter(is_wanted) {
                    code.store(ASKED_FOR, Ordering::Relaxed);
                    wanted.push(index);
                }
            }
            look_up(&self.values, &wanted, &|index, code| {
                if let Some(place) = self.codes.get(index) {
                    place.store(code, Ordering::Relaxed);
                }
            })?;
            open.retain(|&row| {
                let code = self.known(keys.value(row), missing);
                if let Some(place) = codes.get_mut(row) {
                    *place = code;
                }
                is_open(code)
            });
        }
        if let Some(nulls) = nulls {
            let without_key = !nulls.inner();
            for row in without_key.set_indices() {
                if let Some(code) = codes.get_mut(row) {
                    *code = missing;
                }
            }
        }
        Some(codes)
    }

    /// Asks for everything that nobody has asked for.
    fn want_all(&self, wanted: &mut Vec<usize>) {
        for (index, code) in self.codes.iter().enumerate() {
            if code.load(Ordering::Relaxed) == UNRESOLVED {
                code.store(ASKED_FOR, Ordering::Relaxed);
                wanted.push(index);
            }
        }
    }

    /// The code of a key, or a mark that it is not known yet. Arrow has checked that keys of valid rows lie inside the dictionary; the
    /// others may be anything, and are `missing` in the end.
    #[inline]
    fn known<K: ArrowNativeType>(&self, key: K, missing: i32) -> i32 {
        let known = self.codes.get(key.as_usize());
        known.map_or(missing, |code| code.load(Ordering::Relaxed))
    }
}
