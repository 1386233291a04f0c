//! Texts and bytes. Owns the reading of every Arrow form of them, dictionaries included.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, GenericByteArray, LargeBinaryArray,
    LargeStringArray, PrimitiveArray, StringArray, StringViewArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowDictionaryKeyType, ArrowNativeType, ByteArrayType, DataType, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::error::Result;

use super::{ColumnChunk, Validity, not_gathered, unexpected};

/// Texts (`T` = `LargeUtf8Type`) or bytes (`T` = `LargeBinaryType`), always with 64-bit offsets.
pub(super) struct BytesChunk<T: ByteArrayType<Offset = i64>> {
    values: Vec<u8>,
    offsets: Vec<i64>,
    validity: Validity,
    kind: PhantomData<T>,
}

impl<T: ByteArrayType<Offset = i64>> fmt::Debug for BytesChunk<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BytesChunk")
            .field("bytes", &self.values.len())
            .finish_non_exhaustive()
    }
}

impl<T: ByteArrayType<Offset = i64>> Default for BytesChunk<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            offsets: vec![0],
            validity: Validity::default(),
            kind: PhantomData,
        }
    }
}

impl<T: ByteArrayType<Offset = i64>> ColumnChunk for BytesChunk<T> {
    fn data_type(&self) -> DataType {
        T::DATA_TYPE
    }

    fn append(&mut self, source: &ArrayRef, rows: &[u32]) -> Result<()> {
        let texts = Texts::of(source)?;
        let nulls = texts.nulls;
        self.offsets.reserve(rows.len());
        for &row in rows {
            if let Some(text) = texts.get(row as usize) {
                self.values.extend_from_slice(text);
            }
            // A vector is never longer than i64::MAX.
            self.offsets
                .push(i64::try_from(self.values.len()).unwrap_or(i64::MAX));
        }
        if texts.is_null_by_value() {
            self.validity
                .append_bits(rows.iter().map(|&row| texts.get(row as usize).is_some()));
        } else {
            self.validity.append(nulls, rows);
        }
        Ok(())
    }

    fn take(&mut self) -> Result<ArrayRef> {
        // The next chunk will be about as large; this one is kept for a while and should not keep more than it is.
        let mut next_offsets = Vec::with_capacity(self.offsets.len());
        next_offsets.push(0);
        let mut offsets = std::mem::replace(&mut self.offsets, next_offsets);
        let next_values = Vec::with_capacity(self.values.len() + self.values.len() / 8);
        let mut values = std::mem::replace(&mut self.values, next_values);
        if values.capacity() / 4 * 3 > values.len() {
            values.shrink_to_fit();
        }
        if offsets.capacity() / 4 * 3 > offsets.len() {
            offsets.shrink_to_fit();
        }
        let array = GenericByteArray::<T>::try_new(
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            Buffer::from_vec(values),
            self.validity.take(),
        );
        Ok(Arc::new(array.map_err(not_gathered)?))
    }

    fn is_long(&self) -> bool {
        true
    }

    fn add_row_bytes(&self, source: &ArrayRef, rows: &[u32], bytes: &mut [u64]) {
        // A source of another type is refused when it is appended.
        let Ok(texts) = Texts::of(source) else {
            return;
        };
        for (&row, bytes) in rows.iter().zip(bytes) {
            *bytes += texts.get(row as usize).map_or(0, |text| text.len() as u64);
        }
    }

    fn memory_bytes(&self) -> usize {
        self.values.capacity()
            + self.offsets.capacity() * size_of::<i64>()
            + self.validity.memory_bytes()
    }
}

/// Texts or bytes of one array in any form.
struct Texts<'a> {
    values: Values<'a>,
    keys: Keys<'a>,
    /// Nulls of the rows, but not of a dictionary's values.
    nulls: Option<&'a NullBuffer>,
}

enum Values<'a> {
    Utf8(&'a StringArray),
    LargeUtf8(&'a LargeStringArray),
    Utf8View(&'a StringViewArray),
    Binary(&'a BinaryArray),
    LargeBinary(&'a LargeBinaryArray),
    BinaryView(&'a BinaryViewArray),
}

/// Where a row's value is.
enum Keys<'a> {
    /// At the row itself.
    Row,
    Int8(&'a PrimitiveArray<Int8Type>),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    UInt8(&'a PrimitiveArray<UInt8Type>),
    UInt16(&'a PrimitiveArray<UInt16Type>),
    UInt32(&'a PrimitiveArray<UInt32Type>),
    UInt64(&'a PrimitiveArray<UInt64Type>),
}

impl<'a> Texts<'a> {
    fn of(source: &'a ArrayRef) -> Result<Self> {
        let keys = match source.data_type() {
            DataType::Dictionary(key, _) => match key.as_ref() {
                DataType::Int8 => Keys::Int8(keys(source)?),
                DataType::Int16 => Keys::Int16(keys(source)?),
                DataType::Int32 => Keys::Int32(keys(source)?),
                DataType::Int64 => Keys::Int64(keys(source)?),
                DataType::UInt8 => Keys::UInt8(keys(source)?),
                DataType::UInt16 => Keys::UInt16(keys(source)?),
                DataType::UInt32 => Keys::UInt32(keys(source)?),
                DataType::UInt64 => Keys::UInt64(keys(source)?),
                _ => return Err(unexpected(source)),
            },
            _ => Keys::Row,
        };
        let values = source
            .as_any_dictionary_opt()
            .map_or(source, |dictionary| dictionary.values());
        let values = match values.data_type() {
            DataType::Utf8 => values.as_string_opt().map(Values::Utf8),
            DataType::LargeUtf8 => values.as_string_opt().map(Values::LargeUtf8),
            DataType::Utf8View => values.as_string_view_opt().map(Values::Utf8View),
            DataType::Binary => values.as_binary_opt().map(Values::Binary),
            DataType::LargeBinary => values.as_binary_opt().map(Values::LargeBinary),
            DataType::BinaryView => values.as_binary_view_opt().map(Values::BinaryView),
            _ => None,
        };
        Ok(Self {
            values: values.ok_or_else(|| unexpected(source))?,
            keys,
            nulls: source.nulls(),
        })
    }

    /// Whether a row may be null because the dictionary value it points to is.
    fn is_null_by_value(&self) -> bool {
        !matches!(self.keys, Keys::Row)
            && self
                .values
                .nulls()
                .is_some_and(|nulls| nulls.null_count() > 0)
    }

    /// The value of a row within the array; `None` for a null.
    fn get(&self, row: usize) -> Option<&'a [u8]> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let at = match &self.keys {
            Keys::Row => return Some(self.values.get(row)),
            Keys::Int8(keys) => keys.value(row).as_usize(),
            Keys::Int16(keys) => keys.value(row).as_usize(),
            Keys::Int32(keys) => keys.value(row).as_usize(),
            Keys::Int64(keys) => keys.value(row).as_usize(),
            Keys::UInt8(keys) => keys.value(row).as_usize(),
            Keys::UInt16(keys) => keys.value(row).as_usize(),
            Keys::UInt32(keys) => keys.value(row).as_usize(),
            Keys::UInt64(keys) => keys.value(row).as_usize(),
        };
        if self.values.nulls().is_some_and(|nulls| nulls.is_null(at)) {
            return None;
        }
        Some(self.values.get(at))
    }
}

impl<'a> Values<'a> {
    fn get(&self, at: usize) -> &'a [u8] {
        match *self {
            Self::Utf8(array) => array.value(at).as_bytes(),
            Self::LargeUtf8(array) => array.value(at).as_bytes(),
            Self::Utf8View(array) => array.value(at).as_bytes(),
            Self::Binary(array) => array.value(at),
            Self::LargeBinary(array) => array.value(at),
            Self::BinaryView(array) => array.value(at),
        }
    }

    fn nulls(&self) -> Option<&'a NullBuffer> {
        match *self {
            Self::Utf8(array) => array.nulls(),
            Self::LargeUtf8(array) => array.nulls(),
            Self::Utf8View(array) => array.nulls(),
            Self::Binary(array) => array.nulls(),
            Self::LargeBinary(array) => array.nulls(),
            Self::BinaryView(array) => array.nulls(),
        }
    }
}

fn keys<K: ArrowDictionaryKeyType>(source: &ArrayRef) -> Result<&PrimitiveArray<K>> {
    source
        .as_dictionary_opt::<K>()
        .map(|dictionary| dictionary.keys())
        .ok_or_else(|| unexpected(source))
}
