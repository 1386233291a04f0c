//! How wire types are kept in Parquet: as they are, but for intervals, which Parquet writers of Arrow do not know.
//!
//! An interval is stored in 16 bytes: months and days as 32-bit, nanoseconds as 64-bit numbers, little endian.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, IntervalMonthDayNanoArray, ListArray,
    RecordBatch, RecordBatchOptions, StructArray,
};
use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, IntervalMonthDayNano, IntervalMonthDayNanoType, Schema,
    SchemaRef,
};
use arrow::error::ArrowError;

const INTERVAL_BYTES: i32 = 16;

/// The schema that rows of a wire schema are stored with.
pub(crate) fn storage_schema(wire: &Schema) -> SchemaRef {
    Arc::new(Schema::new(
        wire.fields().iter().map(stored_field).collect::<Fields>(),
    ))
}

fn stored_field(field: &FieldRef) -> FieldRef {
    let stored = match field.data_type() {
        DataType::Interval(_) => DataType::FixedSizeBinary(INTERVAL_BYTES),
        DataType::Struct(children) => DataType::Struct(children.iter().map(stored_field).collect()),
        DataType::List(item) => DataType::List(stored_field(item)),
        _ => return Arc::clone(field),
    };
    Arc::new(Field::clone(field).with_data_type(stored))
}

/// Rows of a wire schema as they are stored.
///
/// # Errors
/// [`ArrowError`] when the rows do not have the schema that `storage` was made from.
pub(crate) fn to_storage(
    batch: &RecordBatch,
    storage: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let columns = batch
        .columns()
        .iter()
        .zip(storage.fields())
        .map(|(column, field)| stored(column, field))
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(storage), columns, &options)
}

fn stored(array: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    Ok(match field.data_type() {
        DataType::FixedSizeBinary(_) => {
            let intervals = array.as_primitive::<IntervalMonthDayNanoType>();
            let mut bytes = FixedSizeBinaryBuilder::with_capacity(array.len(), INTERVAL_BYTES);
            for interval in intervals {
                match interval {
                    Some(interval) => bytes.append_value(encode(interval))?,
                    None => bytes.append_null(),
                }
            }
            Arc::new(bytes.finish())
        }
        DataType::Struct(children) => {
            let array = array.as_struct();
            let columns = array
                .columns()
                .iter()
                .zip(children)
                .map(|(column, child)| stored(column, child))
                .collect::<Result<Vec<_>, _>>()?;
            Arc::new(StructArray::try_new_with_length(
                children.clone(),
                columns,
                array.nulls().cloned(),
                array.len(),
            )?)
        }
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = stored(list.values(), item)?;
            Arc::new(ListArray::try_new(
                Arc::clone(item),
                list.offsets().clone(),
                values,
                list.nulls().cloned(),
            )?)
        }
        _ => Arc::clone(array),
    })
}

fn encode(interval: IntervalMonthDayNano) -> [u8; 16] {
    let number = u128::from(interval.months.cast_unsigned())
        | u128::from(interval.days.cast_unsigned()) << 32
        | u128::from(interval.nanoseconds.cast_unsigned()) << 64;
    number.to_le_bytes()
}

/// Stored intervals as they are sent.
pub(super) fn intervals(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let stored = array.as_fixed_size_binary();
    let decoded = stored
        .iter()
        .map(|bytes| bytes.map(decode).transpose())
        .collect::<Result<IntervalMonthDayNanoArray, ArrowError>>()?;
    Ok(Arc::new(decoded))
}

// Each part is cut out of the number on purpose.
#[allow(clippy::cast_possible_truncation)]
fn decode(bytes: &[u8]) -> Result<IntervalMonthDayNano, ArrowError> {
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| {
        ArrowError::InvalidArgumentError(format!(
            "a stored interval has {} bytes, not {INTERVAL_BYTES}",
            bytes.len()
        ))
    })?;
    let number = u128::from_le_bytes(bytes);
    Ok(IntervalMonthDayNano {
        months: (number as u32).cast_signed(),
        days: ((number >> 32) as u32).cast_signed(),
        nanoseconds: ((number >> 64) as u64).cast_signed(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::datatypes::IntervalUnit;

    #[test]
    fn intervals_survive_storage_wherever_they_are() {
        let interval = |months, days, nanoseconds| IntervalMonthDayNano {
            months,
            days,
            nanoseconds,
        };
        let values: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(vec![
            Some(interval(-120_000, 3_660_000, i64::MIN)),
            None,
            Some(interval(1, -2, 3)),
        ]));
        let kind = DataType::Interval(IntervalUnit::MonthDayNano);
        let child = Field::new("i", kind.clone(), true);
        let nested: ArrayRef = Arc::new(StructArray::new(
            vec![child].into(),
            vec![Arc::clone(&values)],
            None,
        ));
        let batch = RecordBatch::try_from_iter([("a", values), ("s", nested)]).unwrap();
        let storage = storage_schema(&batch.schema());
        assert_eq!(
            storage.field(0).data_type(),
            &DataType::FixedSizeBinary(INTERVAL_BYTES)
        );
        let kept = to_storage(&batch, &storage).unwrap();
        for (column, field) in kept.columns().iter().zip(batch.schema().fields()) {
            let back = super::super::to_wire(column, field).unwrap();
            assert_eq!(&back, batch.column_by_name(field.name()).unwrap());
        }
    }
}
