//! Gathering of one column's values at chosen rows. Owns one kind of gathering per kind of type.
//!
//! The result never tells how the values arrived: dictionaries and views become plain values, and a column without nulls
//! has no null buffer.

mod bytes;
mod extent;

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, BooleanBufferBuilder,
    PrimitiveArray, UInt32Array, downcast_primitive, make_array,
};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, LargeBinaryType, LargeUtf8Type};
use arrow::error::ArrowError;

use crate::error::{Error, ErrorKind, Result};

use self::bytes::BytesChunk;
use self::extent::{extent, is_open};
use super::validity::Validity;

/// Values of one column gathered from several batches.
pub(super) trait ColumnChunk: Debug + Send {
    /// Type of the gathered array.
    fn data_type(&self) -> DataType;

    /// Appends the values at `rows` of `source`, which has the column's type; every row is within `source`.
    fn append(&mut self, source: &ArrayRef, rows: &[u32]) -> Result<()>;

    /// The values gathered since the last call.
    fn take(&mut self) -> Result<ArrayRef>;

    /// Whether values have no fixed width, so that [`add_row_bytes`](Self::add_row_bytes) says something.
    fn is_long(&self) -> bool {
        false
    }

    /// Adds to each item of `bytes` the length of the value at the same item of `rows`.
    fn add_row_bytes(&self, _source: &ArrayRef, _rows: &[u32], _bytes: &mut [u64]) {}

    fn memory_bytes(&self) -> usize;
}

/// The gathering for a type; `capacity` is the most values at a time.
pub(super) fn column_chunk(data_type: &DataType, capacity: usize) -> Box<dyn ColumnChunk> {
    macro_rules! primitive {
        ($t:ty) => {
            Box::new(PrimitiveChunk::<$t>::new(data_type.clone(), capacity))
        };
    }
    let values = match data_type {
        DataType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    downcast_primitive! {
        data_type => (primitive),
        DataType::Boolean => Box::new(BooleanChunk::default()),
        _ => match values {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Box::new(BytesChunk::<LargeUtf8Type>::default()),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                Box::new(BytesChunk::<LargeBinaryType>::default())
            }
            _ => Box::new(PiecesChunk::new(data_type.clone())),
        },
    }
}

/// Numbers, times and decimals: one copy from the batch to the chunk.
#[derive(Debug)]
struct PrimitiveChunk<T: ArrowPrimitiveType> {
    data_type: DataType,
    capacity: usize,
    values: Vec<T::Native>,
    validity: Validity,
}

impl<T: ArrowPrimitiveType> PrimitiveChunk<T> {
    fn new(data_type: DataType, capacity: usize) -> Self {
        Self {
            data_type,
            capacity,
            values: Vec::new(),
            validity: Validity::default(),
        }
    }
}

impl<T: ArrowPrimitiveType + Debug> ColumnChunk for PrimitiveChunk<T> {
    fn data_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn append(&mut self, source: &ArrayRef, rows: &[u32]) -> Result<()> {
        let Some(source) = source.as_primitive_opt::<T>() else {
            return Err(unexpected(source));
        };
        if self.values.capacity() == 0 {
            self.values.reserve_exact(self.capacity);
        }
        let values: &[T::Native] = source.values();
        self.values.extend(
            rows.iter()
                .map(|&row| values.get(row as usize).copied().unwrap_or_default()),
        );
        self.validity.append(source.nulls(), rows);
        Ok(())
    }

    fn take(&mut self) -> Result<ArrayRef> {
        let values = std::mem::take(&mut self.values).into();
        let array =
            PrimitiveArray::<T>::try_new(values, self.validity.take()).map_err(not_gathered)?;
        Ok(Arc::new(array.with_data_type(self.data_type.clone())))
    }

    fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<T::Native>() + self.validity.memory_bytes()
    }
}

/// Booleans, bit by bit.
#[derive(Debug)]
struct BooleanChunk {
    values: BooleanBufferBuilder,
    validity: Validity,
}

impl Default for BooleanChunk {
    fn default() -> Self {
        Self {
            values: BooleanBufferBuilder::new(0),
            validity: Validity::default(),
        }
    }
}

impl ColumnChunk for BooleanChunk {
    fn data_type(&self) -> DataType {
        DataType::Boolean
    }

    fn append(&mut self, source: &ArrayRef, rows: &[u32]) -> Result<()> {
        let Some(source) = source.as_boolean_opt() else {
            return Err(unexpected(source));
        };
        let values = source.values();
        for &row in rows {
            self.values.append(values.value(row as usize));
        }
        self.validity.append(source.nulls(), rows);
        Ok(())
    }

    fn take(&mut self) -> Result<ArrayRef> {
        let values = self.values.finish();
        Ok(Arc::new(BooleanArray::new(values, self.validity.take())))
    }

    fn memory_bytes(&self) -> usize {
        self.values.capacity() / 8 + self.validity.memory_bytes()
    }
}

/// Everything else (lists, structs, fixed-size bytes): pieces are kept and joined at the end, a copy more.
#[derive(Debug)]
struct PiecesChunk {
    data_type: DataType,
    pieces: Vec<ArrayRef>,
}

impl PiecesChunk {
    fn new(data_type: DataType) -> Self {
        Self {
            data_type,
            pieces: Vec::new(),
        }
    }
}

impl ColumnChunk for PiecesChunk {
    fn data_type(&self) -> DataType {
        self.data_type.clone()
    }

    fn append(&mut self, source: &ArrayRef, rows: &[u32]) -> Result<()> {
        let rows = UInt32Array::from(rows.to_vec());
        self.pieces
            .push(take(source, &rows, None).map_err(not_gathered)?);
        Ok(())
    }

    fn take(&mut self) -> Result<ArrayRef> {
        let pieces: Vec<&dyn Array> = self.pieces.iter().map(AsRef::as_ref).collect();
        let joined = concat(&pieces).map_err(not_gathered)?;
        self.pieces.clear();
        if joined.nulls().is_some_and(|nulls| nulls.null_count() == 0) {
            let plain = joined.to_data().into_builder().nulls(None).build();
            return plain.map(make_array).map_err(not_gathered);
        }
        Ok(joined)
    }

    fn is_long(&self) -> bool {
        is_open(&self.data_type)
    }

    fn add_row_bytes(&self, source: &ArrayRef, rows: &[u32], bytes: &mut [u64]) {
        for (&row, bytes) in rows.iter().zip(bytes) {
            *bytes = bytes.saturating_add(extent(source.as_ref(), row as usize, 1));
        }
    }

    fn memory_bytes(&self) -> usize {
        self.pieces
            .iter()
            .map(|piece| piece.get_buffer_memory_size())
            .sum()
    }
}

fn unexpected(source: &ArrayRef) -> Error {
    Error::new(
        ErrorKind::Schema,
        format!(
            "a column of the batch is {}, which the sink was not made for",
            source.data_type()
        ),
    )
}

fn not_gathered(error: ArrowError) -> Error {
    Error::with_source(ErrorKind::Sink, "cannot gather rows", error)
}
