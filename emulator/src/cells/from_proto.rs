//! Protobuf rows as cells, by the descriptor that came with them.
//!
//! Reads the wire format itself: the messages are not known before they arrive. Must not know about gRPC.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Fields};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto};

use super::Cell;

/// Why rows cannot be read with a descriptor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ProtoSchemaError {
    /// The message has a field that the table does not.
    #[error("Input schema has more fields than BigQuery schema, extra fields: '{field}'")]
    ExtraField {
        /// Dotted path of the field.
        field: String,
    },
    /// The descriptor is not complete.
    #[error("Invalid proto schema: field {field} has a type that the descriptor does not hold")]
    UnknownType {
        /// Dotted path of the field.
        field: String,
    },
    /// A record where the table has none, or the other way round.
    #[error("Proto schema mismatch: field {field} is a {kind} in only one of message and table")]
    Shape {
        /// Dotted path of the field.
        field: String,
        /// Record.
        kind: &'static str,
    },
}

/// How a message's fields become the columns of a table.
#[derive(Debug, Clone)]
pub(crate) struct ProtoReader {
    by_number: HashMap<u32, Place>,
    columns: usize,
}

#[derive(Debug, Clone)]
struct Place {
    column: usize,
    repeated: bool,
    value: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Scalar(Type),
    /// Whether the column wants the name rather than the number.
    Enum(HashMap<i64, String>, bool),
    Record(ProtoReader),
    /// A message around one value, or around seconds and nanoseconds.
    Wrapped(Box<ProtoReader>, Wrapper),
    /// Text for a column of bytes: its own bytes.
    TextAsBytes,
}

#[derive(Debug, Clone, Copy)]
enum Wrapper {
    Value,
    Timestamp,
}

impl ProtoReader {
    /// Matches the fields of a message with columns by name, ignoring case.
    ///
    /// # Errors
    /// [`ProtoSchemaError`] naming the first field that has no place.
    pub fn try_new(
        descriptor: &DescriptorProto,
        fields: &Fields,
    ) -> Result<Self, ProtoSchemaError> {
        Self::below(descriptor, &[descriptor], fields, "root")
    }

    fn below(
        message: &DescriptorProto,
        scopes: &[&DescriptorProto],
        fields: &Fields,
        path: &str,
    ) -> Result<Self, ProtoSchemaError> {
        let mut by_number = HashMap::new();
        for field in &message.field {
            let path = format!("{path}.{}", field.name());
            let Some((column, target)) = crate::projection::find(fields, field.name()) else {
                return Err(ProtoSchemaError::ExtraField { field: path });
            };
            let place = Place {
                column,
                repeated: field.label() == Label::Repeated,
                value: kind_of(field, scopes, target, &path)?,
            };
            by_number.insert(field.number().unsigned_abs(), place);
        }
        Ok(Self {
            by_number,
            columns: fields.len(),
        })
    }

    /// Reads one message.
    ///
    /// # Errors
    /// A message when the bytes are no such message.
    pub fn row(&self, bytes: &[u8]) -> Result<Cell, String> {
        let mut cells = vec![Cell::Null; self.columns];
        let mut input = Input { rest: bytes };
        while !input.rest.is_empty() {
            let tag = input.varint()?;
            let number = u32::try_from(tag >> 3).map_err(|_| malformed())?;
            let raw = input.value(tag & 7)?;
            let Some(place) = self.by_number.get(&number) else {
                continue;
            };
            let Some(cell) = cells.get_mut(place.column) else {
                continue;
            };
            if !place.repeated {
                *cell = place.value.read(raw)?;
                continue;
            }
            if *cell == Cell::Null {
                *cell = Cell::List(Vec::new());
            }
            if let Cell::List(values) = cell {
                place.value.read_repeated(raw, values)?;
            }
        }
        Ok(Cell::Record(cells))
    }
}

fn kind_of(
    field: &FieldDescriptorProto,
    scopes: &[&DescriptorProto],
    target: &Field,
    path: &str,
) -> Result<Kind, ProtoSchemaError> {
    let unknown = || ProtoSchemaError::UnknownType {
        field: path.to_owned(),
    };
    let element = match target.data_type() {
        DataType::List(item) => item.data_type(),
        other => other,
    };
    match field.r#type() {
        Type::Message => {
            let name = simple_name(field.type_name());
            let nested: &DescriptorProto = scopes
                .iter()
                .rev()
                .flat_map(|scope| &scope.nested_type)
                .find(|m| m.name() == name)
                .ok_or_else(unknown)?;
            let mut inner = scopes.to_vec();
            inner.push(nested);
            match element {
                DataType::Struct(children) => {
                    ProtoReader::below(nested, &inner, children, path).map(Kind::Record)
                }
                _ => wrapped(nested, element).ok_or_else(|| ProtoSchemaError::Shape {
                    field: path.to_owned(),
                    kind: "record",
                }),
            }
        }
        Type::Group => Err(unknown()),
        Type::Enum => {
            let name = simple_name(field.type_name());
            let found: &EnumDescriptorProto = scopes
                .iter()
                .rev()
                .flat_map(|scope| &scope.enum_type)
                .find(|e| e.name() == name)
                .ok_or_else(unknown)?;
            let names = found
                .value
                .iter()
                .map(|v| (i64::from(v.number()), v.name().to_owned()))
                .collect();
            Ok(Kind::Enum(names, matches!(element, DataType::Utf8)))
        }
        _ if matches!(element, DataType::Struct(_))
            && crate::wire::sql_type(target) != Some("range") =>
        {
            Err(ProtoSchemaError::Shape {
                field: path.to_owned(),
                kind: "record",
            })
        }
        Type::String if matches!(element, DataType::Binary) => Ok(Kind::TextAsBytes),
        scalar => Ok(Kind::Scalar(scalar)),
    }
}

/// The last part of `.package.Outer.Inner`.
fn simple_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Messages such as `google.protobuf.Int64Value` and `google.protobuf.Timestamp`, where the table has a single value.
fn wrapped(message: &DescriptorProto, element: &DataType) -> Option<Kind> {
    let names: Vec<&str> = message
        .field
        .iter()
        .map(FieldDescriptorProto::name)
        .collect();
    let wrapper = match names.as_slice() {
        ["value"] => Wrapper::Value,
        ["seconds", "nanos"] if matches!(element, DataType::Timestamp(_, Some(_))) => {
            Wrapper::Timestamp
        }
        _ => return None,
    };
    let by_number = message
        .field
        .iter()
        .enumerate()
        .map(|(column, field)| {
            let place = Place {
                column,
                repeated: false,
                value: Kind::Scalar(field.r#type()),
            };
            (field.number().unsigned_abs(), place)
        })
        .collect();
    let reader = ProtoReader {
        by_number,
        columns: names.len(),
    };
    Some(Kind::Wrapped(Box::new(reader), wrapper))
}

/// A value as the wire format has it, before its type is known.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

impl Kind {
    fn read(&self, raw: Raw<'_>) -> Result<Cell, String> {
        match (self, raw) {
            (Self::Record(reader), Raw::Bytes(bytes)) => reader.row(bytes),
            (Self::Wrapped(reader, wrapper), Raw::Bytes(bytes)) => {
                let Cell::Record(values) = reader.row(bytes)? else {
                    return Err(malformed());
                };
                Ok(match (wrapper, values.as_slice()) {
                    // A wrapped value that equals its type's default is not written.
                    (Wrapper::Value, [Cell::Null]) => reader.default_value(),
                    (Wrapper::Value, [value]) => value.clone(),
                    (Wrapper::Timestamp, [seconds, nanos]) => {
                        let number = |cell: &Cell| match cell {
                            Cell::Int(number) => *number,
                            _ => 0,
                        };
                        let micros = number(seconds).checked_mul(1_000_000);
                        let micros = micros.and_then(|m| m.checked_add(number(nanos) / 1000));
                        Cell::Int(micros.ok_or_else(malformed)?)
                    }
                    _ => Cell::Null,
                })
            }
            (Self::Enum(names, wants_name), Raw::Varint(number)) => {
                let number = number.cast_signed();
                if !wants_name {
                    return Ok(Cell::Int(number));
                }
                let name = names.get(&number).cloned();
                Ok(Cell::Text(name.unwrap_or_else(|| number.to_string())))
            }
            (Self::TextAsBytes, Raw::Bytes(bytes)) => Ok(Cell::Bytes(bytes.to_vec())),
            (Self::Scalar(scalar), raw) => scalar_of(*scalar, raw),
            _ => Err(malformed()),
        }
    }

    /// One more value of a repeated field, or many that are packed in one.
    fn read_repeated(&self, raw: Raw<'_>, values: &mut Vec<Cell>) -> Result<(), String> {
        let packed = match (self, raw) {
            (Self::Scalar(Type::String | Type::Bytes), _) => None,
            (Self::Scalar(scalar), Raw::Bytes(bytes)) => Some((wire_type(*scalar), bytes)),
            (Self::Enum(_, _), Raw::Bytes(bytes)) => Some((0, bytes)),
            _ => None,
        };
        let Some((wire_type, bytes)) = packed else {
            values.push(self.read(raw)?);
            return Ok(());
        };
        let mut input = Input { rest: bytes };
        while !input.rest.is_empty() {
            let raw = input.value(wire_type)?;
            values.push(self.read(raw)?);
        }
        Ok(())
    }
}

impl ProtoReader {
    fn default_value(&self) -> Cell {
        let kind = self.by_number.values().next().map(|place| &place.value);
        match kind {
            Some(Kind::Scalar(Type::String)) => Cell::Text(String::new()),
            Some(Kind::Scalar(Type::Bytes)) => Cell::Bytes(Vec::new()),
            Some(Kind::Scalar(Type::Bool)) => Cell::Bool(false),
            Some(Kind::Scalar(Type::Double | Type::Float)) => Cell::Float(0.0),
            _ => Cell::Int(0),
        }
    }
}

fn wire_type(scalar: Type) -> u64 {
    match scalar {
        Type::Double | Type::Fixed64 | Type::Sfixed64 => 1,
        Type::Float | Type::Fixed32 | Type::Sfixed32 => 5,
        _ => 0,
    }
}

// 32-bit numbers are sign-extended to 64 bits on the wire, and cut back to their own width here.
#[allow(clippy::cast_possible_truncation)]
fn scalar_of(scalar: Type, raw: Raw<'_>) -> Result<Cell, String> {
    Ok(match (scalar, raw) {
        (Type::Int64, Raw::Varint(n)) => Cell::Int(n.cast_signed()),
        (Type::Int32, Raw::Varint(n)) => Cell::Int(i64::from((n as u32).cast_signed())),
        (Type::Uint32, Raw::Varint(n)) => Cell::Int(i64::from(n as u32)),
        (Type::Uint64, Raw::Varint(n)) | (Type::Fixed64, Raw::Fixed64(n)) => unsigned(n),
        (Type::Sint32 | Type::Sint64, Raw::Varint(n)) => {
            Cell::Int((n >> 1).cast_signed() ^ -(n & 1).cast_signed())
        }
        (Type::Bool, Raw::Varint(n)) => Cell::Bool(n != 0),
        (Type::Sfixed64, Raw::Fixed64(n)) => Cell::Int(n.cast_signed()),
        (Type::Double, Raw::Fixed64(n)) => Cell::Float(f64::from_bits(n)),
        (Type::Fixed32, Raw::Fixed32(n)) => Cell::Int(i64::from(n)),
        (Type::Sfixed32, Raw::Fixed32(n)) => Cell::Int(i64::from(n.cast_signed())),
        (Type::Float, Raw::Fixed32(n)) => Cell::Float(f64::from(f32::from_bits(n))),
        (Type::String, Raw::Bytes(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => return Err("a string field is not valid UTF-8".to_owned()),
        },
        (Type::Bytes, Raw::Bytes(bytes)) => Cell::Bytes(bytes.to_vec()),
        _ => return Err(malformed()),
    })
}

fn unsigned(number: u64) -> Cell {
    i64::try_from(number).map_or_else(|_| Cell::Text(number.to_string()), Cell::Int)
}

fn malformed() -> String {
    "the row is not a message of the writer's schema".to_owned()
}

/// The bytes of a message that are still to be read.
pub(super) struct Input<'a> {
    pub rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or_else(malformed)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed())
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn value(&mut self, wire_type: u64) -> Result<Raw<'a>, String> {
        Ok(match wire_type {
            0 => Raw::Varint(self.varint()?),
            1 => {
                let bytes = self.take(8)?.try_into().map_err(|_| malformed())?;
                Raw::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| malformed())?;
                Raw::Bytes(self.take(len)?)
            }
            5 => {
                let bytes = self.take(4)?.try_into().map_err(|_| malformed())?;
                Raw::Fixed32(u32::from_le_bytes(bytes))
            }
            _ => return Err(malformed()),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::schema::{self, FieldSchema};
    use serde_json::json;

    fn field(
        name: &str,
        number: i32,
        kind: Type,
        label: Label,
        type_name: &str,
    ) -> FieldDescriptorProto {
        FieldDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(number),
            r#type: Some(kind.into()),
            label: Some(label.into()),
            type_name: (!type_name.is_empty()).then(|| type_name.to_owned()),
            ..FieldDescriptorProto::default()
        }
    }

    fn columns() -> Fields {
        let fields: Vec<FieldSchema> = serde_json::from_value(json!([
            {"name": "Id", "type": "INT64"}, {"name": "s", "type": "STRING"}, {"name": "f", "type": "FLOAT64"},
            {"name": "a", "type": "INT64", "mode": "REPEATED"},
            {"name": "r", "type": "RECORD", "fields": [{"name": "x", "type": "BOOL"}]},
            {"name": "b", "type": "BYTES"},
        ]))
        .unwrap();
        schema::to_arrow(&schema::checked(&fields).unwrap())
            .fields()
            .clone()
    }

    fn descriptor() -> DescriptorProto {
        DescriptorProto {
            field: vec![
                field("id", 1, Type::Sint64, Label::Optional, ""),
                field("s", 2, Type::String, Label::Optional, ""),
                field("f", 3, Type::Float, Label::Optional, ""),
                field("a", 4, Type::Int32, Label::Repeated, ""),
                field("r", 5, Type::Message, Label::Optional, ".p.Row.Inner"),
                field("b", 6, Type::String, Label::Optional, ""),
            ],
            nested_type: vec![DescriptorProto {
                name: Some("Inner".to_owned()),
                field: vec![field("x", 1, Type::Bool, Label::Optional, "")],
                ..DescriptorProto::default()
            }],
            ..DescriptorProto::default()
        }
    }

    #[test]
    fn every_wire_type_is_read() {
        let reader = ProtoReader::try_new(&descriptor(), &columns()).unwrap();
        let row = [
            &[0x08, 0x05][..],
            &[0x12, 2, b'h', b'i'],
            &[0x1d, 0, 0, 0x80, 0x3f],
            // Packed, then one by itself; -1 takes ten bytes.
            &[0x22, 2, 1, 2, 0x20],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x2a, 2, 8, 1],
            &[0x32, 1, 0x41],
            // A field nobody knows is passed over.
            &[0x7a, 1, 0],
        ]
        .concat();
        assert_eq!(
            reader.row(&row).unwrap(),
            Cell::Record(vec![
                Cell::Int(-3),
                Cell::Text("hi".to_owned()),
                Cell::Float(1.0),
                Cell::List(vec![Cell::Int(1), Cell::Int(2), Cell::Int(-1)]),
                Cell::Record(vec![Cell::Bool(true)]),
                Cell::Bytes(vec![0x41]),
            ])
        );
        assert_eq!(reader.row(&[]).unwrap(), Cell::Record(vec![Cell::Null; 6]));
        for cut in [1, 3, 5, 12, row.len() - 8] {
            assert!(reader.row(row.get(..cut).unwrap()).is_err(), "{cut}");
        }
    }

    #[test]
    fn fields_without_a_place_are_named() {
        let mut descriptor = descriptor();
        descriptor
            .field
            .push(field("more", 9, Type::Int64, Label::Optional, ""));
        let error = ProtoReader::try_new(&descriptor, &columns()).unwrap_err();
        assert!(error.to_string().contains("'root.more'"), "{error}");
        descriptor.field = vec![field("r", 5, Type::Message, Label::Optional, "Gone")];
        let error = ProtoReader::try_new(&descriptor, &columns()).unwrap_err();
        assert!(matches!(error, ProtoSchemaError::UnknownType { .. }));
        descriptor.field = vec![field("r", 5, Type::Int64, Label::Optional, "")];
        let error = ProtoReader::try_new(&descriptor, &columns()).unwrap_err();
        assert!(matches!(error, ProtoSchemaError::Shape { .. }));
    }
}
