//! Avro files: a header with the schema, then blocks of rows, which may be compressed.
//!
//! Rows become cells, like those of JSON. Must not know about the encoding of the Read API, which has no files.

use std::collections::HashMap;

use arrow::array::types::{Decimal256Type, DecimalType};
use arrow::datatypes::i256;
use bytes::{Buf, Bytes};
use serde_json::{Map, Value};

use super::{Columns, Decoded, FormatError, of_cells};
use crate::cells::Cell;
use crate::schema::{self, FieldSchema};
use crate::value_text;

mod codec;

use codec::Codec;

const MAGIC: &[u8] = b"Obj\x01";

/// Records in records, so many of them.
const MAX_DEPTH: usize = 16;

/// How a value is written.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Null,
    Boolean,
    /// Int and long are written alike.
    Long(Meaning),
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    /// An unscaled number, of a fixed length where there is one.
    Decimal(i8, Option<usize>),
    Enum(Vec<String>),
    Array(Box<Shape>),
    Map(Box<Shape>),
    Union(Vec<Shape>),
    Record(Vec<(String, Shape)>),
}

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meaning {
    Number,
    Date,
    /// Times, in so many microseconds each.
    Time(i64),
    Timestamp(i64),
    Datetime(i64),
}

fn damaged(what: &str) -> FormatError {
    FormatError::reading(format!(
        "The Apache Avro library failed to parse the file: {what}"
    ))
}

pub(super) fn decode(
    data: &Bytes,
    columns: Columns,
    settings: &Value,
) -> Result<Decoded, FormatError> {
    let mut rest = data.clone();
    if !rest.starts_with(MAGIC) {
        return Err(damaged("it does not begin like one"));
    }
    rest.advance(MAGIC.len());
    let mut header = HashMap::new();
    blocks(&mut rest, |rest| {
        let key = take_text(rest)?;
        let value = take_bytes(rest)?;
        header.insert(key, value);
        Ok(())
    })?;
    let schema = header.get("avro.schema");
    let schema: Value = schema
        .and_then(|json| serde_json::from_slice(json).ok())
        .ok_or_else(|| damaged("its header has no schema"))?;
    let codec = header.get("avro.codec").map_or(&b"null"[..], |c| c);
    let codec = Codec::named(codec)?;
    let mut reading = Reading {
        logical: settings["useAvroLogicalTypes"].as_bool() == Some(true),
        known: HashMap::new(),
    };
    let shape = reading.shape(&schema, 0)?;
    let Shape::Record(fields) = &shape else {
        return Err(damaged("its rows are not records"));
    };
    let own = fields
        .iter()
        .map(|(name, shape)| column(name, shape))
        .collect::<Result<Vec<_>, _>>()?;
    let own = schema::checked(&own).map_err(|e| FormatError::new(e.to_string()))?;
    let columns = columns.or_own(own);
    let sync = take(&mut rest, 16)?;
    let mut rows = Vec::new();
    while rest.has_remaining() {
        let count = take_long(&mut rest)?;
        let size = usize::try_from(take_long(&mut rest)?).unwrap_or(usize::MAX);
        let mut block = codec.unpack(take(&mut rest, size)?)?;
        // A row has a byte at least, unless nothing is in it.
        if usize::try_from(count).map_or(true, |count| count > block.len()) {
            return Err(damaged("a block has fewer bytes than rows"));
        }
        for _ in 0..count {
            rows.push(record(&mut block, fields, &columns)?);
        }
        if block.has_remaining() || take(&mut rest, 16)? != sync {
            return Err(damaged("a block does not end where it should"));
        }
    }
    of_cells(settings, columns, rows.into_iter().map(Ok))
}

/// Reads schemas, which name each other.
struct Reading {
    logical: bool,
    known: HashMap<String, Shape>,
}

impl Reading {
    fn shape(&mut self, schema: &Value, depth: usize) -> Result<Shape, FormatError> {
        if depth > MAX_DEPTH {
            return Err(damaged("its schema is nested too deep"));
        }
        match schema {
            Value::String(name) => self.named(name),
            Value::Array(all) => Ok(Shape::Union(
                all.iter()
                    .map(|one| self.shape(one, depth + 1))
                    .collect::<Result<_, _>>()?,
            )),
            Value::Object(object) => self.described(object, depth),
            _ => Err(damaged("its schema is none")),
        }
    }

    fn named(&self, name: &str) -> Result<Shape, FormatError> {
        Ok(match name {
            "null" => Shape::Null,
            "boolean" => Shape::Boolean,
            "int" | "long" => Shape::Long(Meaning::Number),
            "float" => Shape::Float,
            "double" => Shape::Double,
            "bytes" => Shape::Bytes,
            "string" => Shape::Text,
            other => {
                // Names are told apart by what stands behind their namespace.
                let last = other.rsplit('.').next().unwrap_or(other);
                let known = self.known.get(last);
                return known
                    .cloned()
                    .ok_or_else(|| damaged(&format!("its schema has an unknown type {other}")));
            }
        })
    }

    fn described(
        &mut self,
        object: &Map<String, Value>,
        depth: usize,
    ) -> Result<Shape, FormatError> {
        let get = |key: &str| object.get(key).unwrap_or(&Value::Null);
        let logical = get("logicalType").as_str().unwrap_or_default();
        let scale = i8::try_from(get("scale").as_i64().unwrap_or(0)).unwrap_or(0);
        let size = get("size").as_u64().and_then(|n| usize::try_from(n).ok());
        let shape = match get("type") {
            Value::String(kind) => match (kind.as_str(), logical) {
                ("bytes", "decimal") => Shape::Decimal(scale, None),
                ("fixed", "decimal") => Shape::Decimal(scale, size),
                ("fixed", _) => Shape::Fixed(size.unwrap_or(0)),
                ("int" | "long", logical) if self.logical => Shape::Long(match logical {
                    "date" => Meaning::Date,
                    "time-millis" => Meaning::Time(1000),
                    "time-micros" => Meaning::Time(1),
                    "timestamp-millis" => Meaning::Timestamp(1000),
                    "timestamp-micros" => Meaning::Timestamp(1),
                    "local-timestamp-millis" => Meaning::Datetime(1000),
                    "local-timestamp-micros" => Meaning::Datetime(1),
                    _ => Meaning::Number,
                }),
                ("enum", _) => Shape::Enum(
                    get("symbols")
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|s| s.as_str().map(str::to_owned))
                        .collect(),
                ),
                ("array", _) => Shape::Array(Box::new(self.shape(get("items"), depth + 1)?)),
                ("map", _) => Shape::Map(Box::new(self.shape(get("values"), depth + 1)?)),
                ("record", _) => {
                    let mut fields = Vec::new();
                    for field in get("fields").as_array().into_iter().flatten() {
                        let name = field["name"].as_str().unwrap_or_default().to_owned();
                        fields.push((name, self.shape(&field["type"], depth + 1)?));
                    }
                    Shape::Record(fields)
                }
                (plain, _) => self.named(plain)?,
            },
            other => self.shape(other, depth + 1)?,
        };
        if let Some(name) = get("name").as_str() {
            let last = name.rsplit('.').next().unwrap_or(name);
            self.known.insert(last.to_owned(), shape.clone());
        }
        Ok(shape)
    }
}

fn plain(name: &str, kind: &str, mode: &str) -> FieldSchema {
    FieldSchema {
        name: name.to_owned(),
        kind: kind.to_owned(),
        mode: mode.to_owned(),
        fields: Vec::new(),
        range_element_type: None,
        other: Map::new(),
    }
}

/// The column that values of a shape are loaded into.
fn column(name: &str, shape: &Shape) -> Result<FieldSchema, FormatError> {
    let required = |kind| plain(name, kind, "REQUIRED");
    Ok(match shape {
        Shape::Null => plain(name, "STRING", "NULLABLE"),
        Shape::Boolean => required("BOOLEAN"),
        Shape::Long(meaning) => required(match meaning {
            Meaning::Number => "INTEGER",
            Meaning::Date => "DATE",
            Meaning::Time(_) => "TIME",
            Meaning::Timestamp(_) => "TIMESTAMP",
            Meaning::Datetime(_) => "DATETIME",
        }),
        Shape::Float | Shape::Double => required("FLOAT"),
        Shape::Bytes | Shape::Fixed(_) => required("BYTES"),
        Shape::Text | Shape::Enum(_) => required("STRING"),
        Shape::Decimal(scale, _) if *scale <= 9 => required("NUMERIC"),
        Shape::Decimal(_, _) => required("BIGNUMERIC"),
        Shape::Array(element) => {
            let mut field = column(name, element)?;
            if field.mode == "REPEATED" {
                return Err(FormatError::new(format!(
                    "Nested arrays are not allowed. Field: {name}"
                )));
            }
            "REPEATED".clone_into(&mut field.mode);
            field
        }
        Shape::Map(value) => {
            let mut field = plain(name, "RECORD", "REPEATED");
            field.fields = vec![plain("key", "STRING", "REQUIRED"), column("value", value)?];
            field
        }
        Shape::Union(all) => match all
            .iter()
            .filter(|s| **s != Shape::Null)
            .collect::<Vec<_>>()[..]
        {
            [one] => {
                let mut field = column(name, one)?;
                if field.mode == "REQUIRED" && all.len() > 1 {
                    "NULLABLE".clone_into(&mut field.mode);
                }
                field
            }
            _ => {
                return Err(FormatError::new(format!(
                    "a union of several types is not supported by this emulator (field {name})"
                )));
            }
        },
        Shape::Record(fields) => {
            let mut field = required("RECORD");
            field.fields = fields
                .iter()
                .map(|(name, shape)| column(name, shape))
                .collect::<Result<_, _>>()?;
            field
        }
    })
}

/// A record's values at the places of their columns.
fn record(
    rest: &mut Bytes,
    fields: &[(String, Shape)],
    columns: &[FieldSchema],
) -> Result<Cell, FormatError> {
    let mut cells = vec![Cell::Null; columns.len()];
    for (name, shape) in fields {
        let at = columns
            .iter()
            .position(|c| c.name.eq_ignore_ascii_case(name));
        let below = at.and_then(|at| columns.get(at));
        let cell = value(rest, shape, below.map_or(&[], |c| c.fields.as_slice()))?;
        if let Some(slot) = at.and_then(|at| cells.get_mut(at)) {
            *slot = cell;
        }
    }
    Ok(Cell::Record(cells))
}

fn value(rest: &mut Bytes, shape: &Shape, below: &[FieldSchema]) -> Result<Cell, FormatError> {
    Ok(match shape {
        Shape::Null => Cell::Null,
        Shape::Boolean => Cell::Bool(take(rest, 1)?.first() == Some(&1)),
        Shape::Long(meaning) => {
            let number = take_long(rest)?;
            let unit = match meaning {
                Meaning::Number | Meaning::Date => 1,
                Meaning::Time(unit) | Meaning::Timestamp(unit) | Meaning::Datetime(unit) => *unit,
            };
            let scaled = number.checked_mul(unit);
            let scaled = scaled.ok_or_else(|| damaged("a time is out of range"))?;
            // A number would be taken for hours, minutes and seconds side by side, as protobuf rows have them.
            match meaning {
                Meaning::Time(_) if (0..86_400_000_000).contains(&scaled) => {
                    Cell::Text(value_text::time(scaled))
                }
                Meaning::Time(_) => return Err(damaged("a time is out of range")),
                Meaning::Datetime(_) => Cell::Text(value_text::datetime(scaled)),
                _ => Cell::Int(scaled),
            }
        }
        Shape::Float => Cell::Float(f64::from(take(rest, 4)?.get_f32_le())),
        Shape::Double => Cell::Float(take(rest, 8)?.get_f64_le()),
        Shape::Bytes => Cell::Bytes(take_bytes(rest)?.to_vec()),
        Shape::Fixed(size) => Cell::Bytes(take(rest, *size)?.to_vec()),
        Shape::Text => Cell::Text(take_text(rest)?),
        Shape::Decimal(scale, size) => {
            let bytes = match size {
                Some(size) => take(rest, *size)?,
                None => take_bytes(rest)?,
            };
            Cell::Text(decimal(&bytes, *scale)?)
        }
        Shape::Enum(symbols) => {
            let at = usize::try_from(take_long(rest)?).ok();
            let symbol = at.and_then(|at| symbols.get(at));
            Cell::Text(symbol.ok_or_else(|| damaged("an unknown symbol"))?.clone())
        }
        Shape::Array(element) => {
            let mut cells = Vec::new();
            blocks(rest, |rest| {
                cells.push(value(rest, element, below)?);
                Ok(())
            })?;
            Cell::List(cells)
        }
        Shape::Map(element) => {
            let inner = below.get(1).map_or(&[][..], |c| c.fields.as_slice());
            let mut cells = Vec::new();
            blocks(rest, |rest| {
                let key = Cell::Text(take_text(rest)?);
                cells.push(Cell::Record(vec![key, value(rest, element, inner)?]));
                Ok(())
            })?;
            Cell::List(cells)
        }
        Shape::Union(all) => {
            let at = usize::try_from(take_long(rest)?).ok();
            let branch = at.and_then(|at| all.get(at));
            let branch = branch.ok_or_else(|| damaged("an unknown branch of a union"))?;
            value(rest, branch, below)?
        }
        Shape::Record(fields) => record(rest, fields, below)?,
    })
}

/// The digits of a big-endian number.
fn decimal(bytes: &[u8], scale: i8) -> Result<String, FormatError> {
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 32];
    let start = wide
        .len()
        .checked_sub(bytes.len())
        .ok_or_else(|| damaged("a decimal has more than 32 bytes"))?;
    if let Some(tail) = wide.get_mut(start..) {
        tail.copy_from_slice(bytes);
    }
    let number = i256::from_be_bytes(wide);
    Ok(Decimal256Type::format_decimal(number, 76, scale))
}

/// Reads the blocks of an array or a map.
fn blocks(
    rest: &mut Bytes,
    mut one: impl FnMut(&mut Bytes) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    loop {
        let mut count = take_long(rest)?;
        if count < 0 {
            // The block's size follows.
            take_long(rest)?;
            count = count.saturating_neg();
        }
        if count == 0 {
            return Ok(());
        }
        if usize::try_from(count).map_or(true, |count| count > rest.len()) {
            return Err(damaged("a block has fewer bytes than values"));
        }
        for _ in 0..count {
            one(rest)?;
        }
    }
}

fn take(rest: &mut Bytes, len: usize) -> Result<Bytes, FormatError> {
    if rest.len() < len {
        return Err(damaged("it ends too early"));
    }
    Ok(rest.split_to(len))
}

fn take_bytes(rest: &mut Bytes) -> Result<Bytes, FormatError> {
    let len = usize::try_from(take_long(rest)?);
    take(rest, len.map_err(|_| damaged("a length is negative"))?)
}

fn take_text(rest: &mut Bytes) -> Result<String, FormatError> {
    String::from_utf8(take_bytes(rest)?.to_vec()).map_err(|_| damaged("a text is not UTF-8"))
}

/// A number in seven bits a byte, with its sign at the lowest.
fn take_long(rest: &mut Bytes) -> Result<i64, FormatError> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?.get_u8();
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    Err(damaged("a number has more than ten bytes"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::util::pretty::pretty_format_batches;
    use serde_json::json;

    fn long(number: i64, out: &mut Vec<u8>) {
        let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
        while rest >= 0x80 {
            out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        out.push(u8::try_from(rest).unwrap());
    }

    fn text(text: &str, out: &mut Vec<u8>) {
        long(i64::try_from(text.len()).unwrap(), out);
        out.extend_from_slice(text.as_bytes());
    }

    fn file(schema: &Value, codec: &str, rows: i64, block: &[u8]) -> Bytes {
        let mut out = MAGIC.to_vec();
        long(2, &mut out);
        text("avro.schema", &mut out);
        text(&schema.to_string(), &mut out);
        text("avro.codec", &mut out);
        text(codec, &mut out);
        long(0, &mut out);
        out.extend_from_slice(&[7; 16]);
        long(rows, &mut out);
        long(i64::try_from(block.len()).unwrap(), &mut out);
        out.extend_from_slice(block);
        out.extend_from_slice(&[7; 16]);
        out.into()
    }

    fn schema() -> Value {
        json!({"type": "record", "name": "r", "namespace": "n", "fields": [
            {"name": "a", "type": ["null", "long"]},
            {"name": "b", "type": {"type": "array", "items": "string"}},
            {"name": "c", "type": {"type": "record", "name": "s", "fields": [{"name": "x", "type": "double"}]}},
            {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}},
            {"name": "e", "type": {"type": "enum", "name": "e", "symbols": ["u", "v"]}},
            {"name": "f", "type": {"type": "int", "logicalType": "date"}},
            {"name": "g", "type": {"type": "map", "values": "n.e"}},
        ]})
    }

    fn block() -> Vec<u8> {
        let mut out = Vec::new();
        for row in 0..2 {
            long(row, &mut out);
            if row == 1 {
                long(-5, &mut out);
            }
            long(1, &mut out);
            text("ü", &mut out);
            long(0, &mut out);
            out.extend_from_slice(&1.5_f64.to_le_bytes());
            long(2, &mut out);
            out.extend_from_slice(&(-250_i16).to_be_bytes());
            long(1, &mut out);
            long(18_262, &mut out);
            long(1, &mut out);
            text("k", &mut out);
            long(0, &mut out);
            long(0, &mut out);
        }
        out
    }

    fn shown(data: &Bytes, settings: &Value) -> Result<String, String> {
        let decoded = decode(data, Columns::Detect, settings).map_err(|e| e.to_string())?;
        Ok(pretty_format_batches(&decoded.batches).unwrap().to_string())
    }

    #[test]
    fn every_shape_is_read() {
        let data = file(&schema(), "null", 2, &block());
        let logical = json!({"useAvroLogicalTypes": true});
        let rows = shown(&data, &logical).unwrap();
        for part in [
            "-5",
            "[ü]",
            "{x: 1.5}",
            "-2.500000000",
            "| v |",
            "2020-01-01",
            "{key: k, value: u}",
        ] {
            assert!(rows.contains(part), "{part} in\n{rows}");
        }
        assert!(shown(&data, &Value::Null).unwrap().contains("18262"));
        let mut deflated =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut deflated, &block()).unwrap();
        let deflated = file(&schema(), "deflate", 2, &deflated.finish().unwrap());
        assert_eq!(shown(&deflated, &logical).unwrap(), rows);
    }

    #[test]
    fn what_is_damaged_or_unknown_is_refused() {
        let whole = file(&schema(), "null", 2, &block());
        for len in [3, 20, whole.len() - 40, whole.len() - 1] {
            let cut = whole.slice(..len);
            assert!(shown(&cut, &Value::Null).is_err(), "{len} bytes");
        }
        let unknown = file(&schema(), "bzip2", 2, &block());
        assert!(
            shown(&unknown, &Value::Null)
                .unwrap_err()
                .contains("codec bzip2")
        );
        let longer = file(&schema(), "null", 1, &block());
        assert!(shown(&longer, &Value::Null).is_err());
        // A count of rows that nobody has must not take memory.
        let many = file(&schema(), "null", i64::MAX, &block());
        assert!(shown(&many, &Value::Null).is_err());
    }
}
