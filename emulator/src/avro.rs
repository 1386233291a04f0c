//! Rows in Avro's binary encoding, as the Read API sends them when asked: records one after the other, without a file around.
//!
//! Must not know about gRPC, sessions or files.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Fields, Float64Type, Int64Type,
    IntervalMonthDayNanoType, Schema, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampNanosecondType,
};
use arrow::error::ArrowError;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{value_text, wire};

/// The schema of `schema` as JSON: a record called `__root__`.
pub(crate) fn schema_json(schema: &Schema) -> String {
    let mut records = 0;
    let fields = fields_json(schema.fields(), &mut records);
    json!({"type": "record", "name": "__root__", "fields": fields}).to_string()
}

fn fields_json(fields: &Fields, records: &mut usize) -> Vec<Value> {
    fields
        .iter()
        .map(|field| {
            let data_type = match field.data_type() {
                DataType::List(item) => {
                    let element = type_json(item.data_type(), wire::sql_type(field), records);
                    json!({"type": "array", "items": element})
                }
                other => {
                    let one = type_json(other, wire::sql_type(field), records);
                    if field.is_nullable() {
                        json!(["null", one])
                    } else {
                        one
                    }
                }
            };
            json!({"name": field.name(), "type": data_type})
        })
        .collect()
}

fn type_json(data_type: &DataType, sql_type: Option<&str>, records: &mut usize) -> Value {
    let text = |name: &str| json!({"type": "string", "sqlType": name});
    match data_type {
        DataType::Boolean => json!("boolean"),
        DataType::Int64 => json!("long"),
        DataType::Float64 => json!("double"),
        DataType::Binary => json!("bytes"),
        DataType::Date32 => json!({"type": "int", "logicalType": "date"}),
        DataType::Time64(_) => json!({"type": "long", "logicalType": "time-micros"}),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            json!({"type": "long", "logicalType": "timestamp-nanos"})
        }
        DataType::Timestamp(_, Some(_)) => {
            json!({"type": "long", "logicalType": "timestamp-micros"})
        }
        DataType::Timestamp(_, None) => {
            json!({"type": "string", "logicalType": "datetime", "sqlType": "DATETIME"})
        }
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
        }
        DataType::Interval(_) => text("INTERVAL"),
        DataType::Struct(fields) => {
            // Names of records must differ, whatever their fields are called.
            let name = format!("__s_{records}");
            *records += 1;
            let fields = fields_json(fields, records);
            let mut record = json!({"type": "record", "name": name, "fields": fields});
            if let Some(sql_type) = sql_type {
                record["sqlType"] = json!(sql_type.to_ascii_uppercase());
            }
            record
        }
        _ => match sql_type {
            Some(sql_type) => text(&sql_type.to_ascii_uppercase()),
            None => json!("string"),
        },
    }
}

/// The rows of a batch of wire types.
///
/// # Errors
/// [`ArrowError`] for a type that is none of the wire's.
pub(crate) fn encode(batch: &RecordBatch) -> Result<Bytes, ArrowError> {
    let mut out = Vec::new();
    for row in 0..batch.num_rows() {
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            value(field, column, row, &mut out)?;
        }
    }
    Ok(Bytes::from(out))
}

fn value(
    field: &Field,
    column: &ArrayRef,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), ArrowError> {
    if let DataType::List(item) = field.data_type() {
        let values = column.as_list::<i32>().value(row);
        // One block with all values, then an empty one that ends the array.
        if !values.is_empty() {
            long(i64::try_from(values.len()).unwrap_or(i64::MAX), out);
        }
        let element = Field::clone(item).with_nullable(false);
        for at in 0..values.len() {
            value(&element, &values, at, out)?;
        }
        long(0, out);
        return Ok(());
    }
    if field.is_nullable() {
        let present = column.is_valid(row);
        long(i64::from(present), out);
        if !present {
            return Ok(());
        }
    }
    scalar(column, row, out)
}

fn scalar(column: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    match column.data_type() {
        DataType::Boolean => out.push(u8::from(column.as_boolean().value(row))),
        DataType::Int64 => long(column.as_primitive::<Int64Type>().value(row), out),
        DataType::Float64 => {
            let float = column.as_primitive::<Float64Type>().value(row);
            out.extend_from_slice(&float.to_le_bytes());
        }
        DataType::Binary => bytes(column.as_binary::<i32>().value(row), out),
        DataType::Utf8 => bytes(column.as_string::<i32>().value(row).as_bytes(), out),
        DataType::Date32 => long(
            i64::from(column.as_primitive::<Date32Type>().value(row)),
            out,
        ),
        DataType::Time64(_) => long(
            column.as_primitive::<Time64MicrosecondType>().value(row),
            out,
        ),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let times = column.as_primitive::<TimestampNanosecondType>();
            long(times.value(row), out);
        }
        DataType::Timestamp(_, zone) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            if zone.is_some() {
                long(micros, out);
            } else {
                bytes(value_text::datetime(micros).as_bytes(), out);
            }
        }
        DataType::Decimal128(_, _) => {
            let number = column.as_primitive::<Decimal128Type>().value(row);
            bytes(shortest(&number.to_be_bytes()), out);
        }
        DataType::Decimal256(_, _) => {
            let number = column.as_primitive::<Decimal256Type>().value(row);
            bytes(shortest(&number.to_be_bytes()), out);
        }
        DataType::Interval(_) => {
            let interval = column.as_primitive::<IntervalMonthDayNanoType>().value(row);
            bytes(value_text::interval(interval).as_bytes(), out);
        }
        DataType::Struct(fields) => {
            for (field, child) in fields.iter().zip(column.as_struct().columns()) {
                value(field, child, row, out)?;
            }
        }
        other => {
            let message = format!("type {other} has no Avro form");
            return Err(ArrowError::NotYetImplemented(message));
        }
    }
    Ok(())
}

/// A number in two's complement without the leading bytes that only repeat its sign.
fn shortest(big_endian: &[u8]) -> &[u8] {
    let mut rest = big_endian;
    while let [first, second, ..] = rest {
        let repeats = matches!((first, second), (0x00, 0x00..=0x7f) | (0xff, 0x80..=0xff));
        let Some(shorter) = rest.get(1..).filter(|_| repeats) else {
            break;
        };
        rest = shorter;
    }
    rest
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    long(i64::try_from(value.len()).unwrap_or(i64::MAX), out);
    out.extend_from_slice(value);
}

/// Zigzag, then seven bits at a time.
// The low seven bits are cut out on purpose.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = (value << 1).cast_unsigned() ^ (value >> 63).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::cells::{self, JsonReading, UnknownFields, json_row};
    use crate::schema::{self, FieldSchema};

    #[test]
    fn numbers_are_as_short_as_avro_writes_them() {
        let longs = |value| {
            let mut out = Vec::new();
            long(value, &mut out);
            out
        };
        assert_eq!(longs(0), [0]);
        assert_eq!(longs(-1), [1]);
        assert_eq!(longs(64), [0x80, 1]);
        assert_eq!(longs(i64::MIN).len(), 10);
        assert_eq!(shortest(&(-1_i128).to_be_bytes()), [0xff]);
        assert_eq!(shortest(&128_i128.to_be_bytes()), [0, 0x80]);
        assert_eq!(shortest(&0_i128.to_be_bytes()), [0]);
    }

    #[test]
    fn a_row_is_its_values_one_after_the_other() {
        let fields: Vec<FieldSchema> = serde_json::from_value(json!([
            {"name": "id", "type": "INT64", "mode": "REQUIRED"}, {"name": "s", "type": "STRING"},
            {"name": "a", "type": "INT64", "mode": "REPEATED"}, {"name": "n", "type": "NUMERIC"},
            {"name": "r", "type": "RECORD", "fields": [{"name": "x", "type": "BOOL"}]},
        ]))
        .unwrap();
        let schema = Arc::new(schema::to_arrow(&schema::checked(&fields).unwrap()));
        let rows: Vec<_> = [
            json!({"id": 3, "s": "ab", "a": [1, -1], "n": "-0.000000001", "r": {"x": true}}),
            json!({"id": -3}),
        ]
        .iter()
        .map(|row| {
            json_row(
                schema.fields(),
                row,
                JsonReading::of_file(UnknownFields::Refuse),
            )
            .unwrap()
        })
        .collect();
        let encoded = encode(&cells::batch(&schema, &rows).unwrap()).unwrap();
        let first: &[u8] = &[6, 2, 4, b'a', b'b', 4, 2, 1, 0, 2, 2, 0xff, 2, 2, 1];
        let second: &[u8] = &[5, 0, 0, 0, 0];
        assert_eq!(encoded.as_ref(), [first, second].concat());
        let text: Value = serde_json::from_str(&schema_json(&schema)).unwrap();
        assert_eq!(text["name"], "__root__");
        assert_eq!(text["fields"][1]["type"], json!(["null", "string"]));
        assert_eq!(text["fields"][4]["type"][1]["name"], "__s_0");
    }
}
