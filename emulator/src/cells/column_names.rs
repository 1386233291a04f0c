//! Descriptors of rows whose fields say in an option which column they are for.
//!
//! Names of columns may hold what names of protobuf fields may not; the message types that everything else uses forget options
//! they do not know, so that these are read from the bytes.

use prost::Message as _;
use prost_types::DescriptorProto;

use super::from_proto::{Input, Raw};

/// `google.cloud.bigquery.storage.v1.column_name`, an extension of a field's options.
const COLUMN_NAME: u64 = 454_943_157;

// Where the parts are in their messages.
const MESSAGE_FIELD: u64 = 2;
const MESSAGE_NESTED: u64 = 3;
const FIELD_OPTIONS: u64 = 8;

/// Bytes that are no descriptor of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid proto schema: the writer schema is no descriptor of a message")]
pub(crate) struct NotADescriptor;

/// The descriptor of a message, its fields called like the columns they are for.
///
/// # Errors
/// [`NotADescriptor`].
pub(crate) fn descriptor(bytes: &[u8]) -> Result<DescriptorProto, NotADescriptor> {
    let mut message = DescriptorProto::decode(bytes).map_err(|_| NotADescriptor)?;
    rename(bytes, &mut message)?;
    Ok(message)
}

fn rename(bytes: &[u8], message: &mut DescriptorProto) -> Result<(), NotADescriptor> {
    let mut fields = message.field.iter_mut();
    let mut nested = message.nested_type.iter_mut();
    for (number, part) in parts(bytes)? {
        match number {
            MESSAGE_FIELD => {
                if let (Some(field), Some(name)) = (fields.next(), column_name(part)?) {
                    field.name = Some(name);
                }
            }
            MESSAGE_NESTED => {
                if let Some(inner) = nested.next() {
                    rename(part, inner)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn column_name(field: &[u8]) -> Result<Option<String>, NotADescriptor> {
    let mut name = None;
    for (_, options) in parts(field)?
        .into_iter()
        .filter(|(n, _)| *n == FIELD_OPTIONS)
    {
        for (_, text) in parts(options)?
            .into_iter()
            .filter(|(n, _)| *n == COLUMN_NAME)
        {
            let text = std::str::from_utf8(text).map_err(|_| NotADescriptor)?;
            name = Some(text.to_owned());
        }
    }
    Ok(name)
}

/// The fields of a message that have a length, by number.
fn parts(bytes: &[u8]) -> Result<Vec<(u64, &[u8])>, NotADescriptor> {
    let mut input = Input { rest: bytes };
    let mut parts = Vec::new();
    while !input.rest.is_empty() {
        let tag = input.varint().map_err(|_| NotADescriptor)?;
        if let Raw::Bytes(part) = input.value(tag & 7).map_err(|_| NotADescriptor)? {
            parts.push((tag >> 3, part));
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use prost_types::{FieldDescriptorProto, FieldOptions};

    /// A message's field `number` that holds `inner`.
    fn put(number: u64, inner: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(number << 3 | 2, &mut bytes);
        prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
        [bytes, inner.to_vec()].concat()
    }

    fn field(name: &str, column: Option<&str>) -> Vec<u8> {
        let field = FieldDescriptorProto {
            name: Some(name.to_owned()),
            options: Some(FieldOptions::default()),
            ..FieldDescriptorProto::default()
        };
        let mut bytes = field.encode_to_vec();
        if let Some(column) = column {
            let option = put(COLUMN_NAME, column.as_bytes());
            bytes.extend(put(FIELD_OPTIONS, &option));
        }
        bytes
    }

    #[test]
    fn fields_are_called_like_their_columns_at_every_depth() {
        let inner = put(MESSAGE_FIELD, &field("col_1", Some("tiefer-unten")));
        let bytes = [
            put(MESSAGE_FIELD, &field("plain", None)),
            put(MESSAGE_NESTED, &inner),
            put(MESSAGE_FIELD, &field("col_2", Some("特別コラム"))),
        ]
        .concat();
        let read = descriptor(&bytes).unwrap();
        let names: Vec<&str> = read.field.iter().map(FieldDescriptorProto::name).collect();
        assert_eq!(names, ["plain", "特別コラム"]);
        let nested = read.nested_type.first().unwrap();
        assert_eq!(nested.field.first().unwrap().name(), "tiefer-unten");
        assert_eq!(descriptor(&[0xff]), Err(NotADescriptor));
    }
}
