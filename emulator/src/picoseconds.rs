//! TIMESTAMP(12): points in time with picoseconds, which no type of Arrow's holds.
//!
//! A value is kept as text of one form, `2025-01-01T00:00:00.123456789012Z`, whose order is that of time. What clients get is
//! that text, or a timestamp with the digits beyond its unit cut off. Must not know about tables or requests.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, StringArray, StructArray,
    TimestampMicrosecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use chrono::DateTime;

use crate::wire;

/// What the SQL type is called in a field's metadata.
pub(crate) const SQL_TYPE: &str = "timestamp12";

/// Digits after the second.
const DIGITS: usize = 12;

/// How points in time are sent that have picoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Precision {
    /// As they are kept.
    #[default]
    Kept,
    /// As text that is nothing else.
    Text,
    Micros,
    Nanos,
}

/// Whether the values of a field, or the elements of its arrays, have picoseconds.
pub(crate) fn is_here(field: &Field) -> bool {
    wire::sql_type(field) == Some(SQL_TYPE)
}

/// Whole seconds and a fraction of at most twelve digits as text; `None` beyond the calendar.
pub(crate) fn text_of(seconds: i64, fraction: &str) -> Option<String> {
    let at = DateTime::from_timestamp(seconds, 0)?;
    let written = at.format("%Y-%m-%dT%H:%M:%S");
    (fraction.len() <= DIGITS).then(|| format!("{written}.{fraction:0<DIGITS$}Z"))
}

/// Microseconds as text.
pub(crate) fn text_of_micros(micros: i64) -> Option<String> {
    let fraction = format!("{:06}", micros.rem_euclid(1_000_000));
    text_of(micros.div_euclid(1_000_000), &fraction)
}

/// Microseconds since 1970, digits beyond them cut off. `None` for text of another form.
pub(crate) fn micros(text: &str) -> Option<i64> {
    let (seconds, picos) = parts(text)?;
    seconds
        .checked_mul(1_000_000)?
        .checked_add(picos / 1_000_000)
}

/// Nanoseconds since 1970; `None` where 64 bits do not hold them, too.
fn nanos(text: &str) -> Option<i64> {
    let (seconds, picos) = parts(text)?;
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(picos / 1_000)
}

fn parts(text: &str) -> Option<(i64, i64)> {
    let (whole, fraction) = text.strip_suffix('Z')?.split_once('.')?;
    let at = chrono::NaiveDateTime::parse_from_str(whole, "%Y-%m-%dT%H:%M:%S").ok()?;
    let digits = fraction.len() == DIGITS;
    Some((
        at.and_utc().timestamp(),
        digits.then(|| fraction.parse().ok())??,
    ))
}

/// The fields as they are sent.
pub(crate) fn sent_schema(schema: &Schema, precision: Precision) -> Schema {
    Schema::new(sent_fields(schema.fields(), precision))
}

fn sent_fields(fields: &Fields, precision: Precision) -> Fields {
    fields
        .iter()
        .map(|field| sent_field(field, precision))
        .collect()
}

fn sent_field(field: &FieldRef, precision: Precision) -> FieldRef {
    let plain = |data_type| Arc::new(Field::clone(field).with_data_type(data_type));
    match field.data_type() {
        DataType::Utf8 if is_here(field) => {
            let unmarked = Field::clone(field).with_metadata(HashMap::new());
            Arc::new(unmarked.with_data_type(sent_type(precision)))
        }
        DataType::List(item) if is_here(field) => {
            let item = Field::clone(item).with_data_type(sent_type(precision));
            let list = DataType::List(Arc::new(item));
            Arc::new(Field::clone(&plain(list)).with_metadata(HashMap::new()))
        }
        DataType::List(item) => plain(DataType::List(sent_field(item, precision))),
        DataType::Struct(children) => plain(DataType::Struct(sent_fields(children, precision))),
        _ => Arc::clone(field),
    }
}

fn sent_type(precision: Precision) -> DataType {
    let unit = match precision {
        Precision::Kept | Precision::Text => return DataType::Utf8,
        Precision::Micros => TimeUnit::Microsecond,
        Precision::Nanos => TimeUnit::Nanosecond,
    };
    DataType::Timestamp(unit, Some("UTC".into()))
}

/// Rows of a wire schema in the schema that [`sent_schema`] makes of it.
///
/// # Errors
/// [`ArrowError`] for a time that nanoseconds do not hold.
pub(crate) fn sent(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| sent_array(column, field))
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn sent_array(array: &ArrayRef, to: &Field) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to.data_type()) {
        (DataType::Utf8, DataType::Timestamp(TimeUnit::Microsecond, _)) => {
            let values = times(array.as_string(), micros)?;
            Ok(Arc::new(
                TimestampMicrosecondArray::from(values).with_timezone("UTC"),
            ))
        }
        (DataType::Utf8, DataType::Timestamp(TimeUnit::Nanosecond, _)) => {
            let values = times(array.as_string(), nanos)?;
            Ok(Arc::new(
                TimestampNanosecondArray::from(values).with_timezone("UTC"),
            ))
        }
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let values = sent_array(list.values(), item)?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(
                Arc::clone(item),
                offsets,
                values,
                nulls,
            )?))
        }
        (DataType::Struct(_), DataType::Struct(children)) => {
            let record = array.as_struct();
            let columns = record
                .columns()
                .iter()
                .zip(children)
                .map(|(column, child)| sent_array(column, child))
                .collect::<Result<Vec<_>, _>>()?;
            let nulls = record.nulls().cloned();
            let made =
                StructArray::try_new_with_length(children.clone(), columns, nulls, record.len());
            Ok(Arc::new(made?))
        }
        _ => Ok(Arc::clone(array)),
    }
}

fn times(
    texts: &StringArray,
    read: fn(&str) -> Option<i64>,
) -> Result<Vec<Option<i64>>, ArrowError> {
    let one = |text: &str| {
        let what = || {
            ArrowError::CastError(format!(
                "{text} is out of range for the timestamp precision asked for"
            ))
        };
        read(text).ok_or_else(what)
    };
    texts.iter().map(|text| text.map(one).transpose()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn texts_have_the_order_of_time_and_are_cut_off() {
        assert_eq!(
            text_of_micros(-1).unwrap(),
            "1969-12-31T23:59:59.999999000000Z"
        );
        let early = text_of(0, "000000000001").unwrap();
        assert!(early < text_of(0, "00000000001").unwrap());
        assert_eq!((micros(&early), nanos(&early)), (Some(0), Some(0)));
        let before = text_of(-1, "999999999999").unwrap();
        assert_eq!((micros(&before), nanos(&before)), (Some(-1), Some(-1)));
        assert_eq!(
            micros("0001-01-01T00:00:00.000000000000Z"),
            Some(-62_135_596_800_000_000)
        );
        assert_eq!(nanos("0001-01-01T00:00:00.000000000000Z"), None);
        assert_eq!(micros("2025-01-01 00:00:00Z"), None);
        assert_eq!(text_of(0, "0000000000001"), None);
    }

    #[test]
    fn arrays_are_sent_at_every_depth() {
        let marked = |name: &str, data_type| {
            Field::new(name, data_type, true).with_metadata(wire::extension_metadata(SQL_TYPE))
        };
        let item = Arc::new(Field::new("item", DataType::Utf8, true));
        let child: FieldRef = Arc::new(marked("in", DataType::Utf8));
        let schema = Arc::new(Schema::new(vec![
            marked("l", DataType::List(Arc::clone(&item))),
            Field::new("s", DataType::Struct(vec![Arc::clone(&child)].into()), true),
        ]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![text_of(1, "5")]));
        let lists = ListArray::new(
            item,
            arrow::buffer::OffsetBuffer::from_lengths([1]),
            Arc::clone(&texts),
            None,
        );
        let records = StructArray::new(vec![child].into(), vec![texts], None);
        let batch = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![Arc::new(lists), Arc::new(records)],
        )
        .unwrap();
        for (precision, unit) in [
            (Precision::Micros, 1_500_000),
            (Precision::Nanos, 1_500_000_000),
        ] {
            let target = Arc::new(sent_schema(&schema, precision));
            let made = sent(batch.clone(), &target).unwrap();
            let list = made.column(0).as_list::<i32>().values().clone();
            let long = arrow::compute::cast(&list, &DataType::Int64).unwrap();
            let number = long.as_primitive::<arrow::datatypes::Int64Type>().value(0);
            assert_eq!(number, unit);
            assert_eq!(made.column(1).as_struct().column(0).as_ref(), list.as_ref());
        }
        let kept = Arc::new(sent_schema(&schema, Precision::Text));
        assert_eq!(wire::sql_type(kept.field(0)), None);
        assert_eq!(sent(batch, &kept).unwrap().num_rows(), 1);
    }
}
