//! What must hold for any bytes from the service, and for any name sent to it. Compiled for tests and fuzz targets only.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;

use super::decode::{DecodeFault, Decoder, decoded_bytes, read_schema};
use super::endpoint::Endpoint;
use super::parse_snapshot_time;
use super::restriction::{quote_text, row_restriction};
use super::table::{TableName, quote_column};
use crate::ErrorKind;
use crate::source::{Comparison, Literal, Predicate};

/// No budget of a test would grant more.
const MOST_BYTES: u64 = 64 << 20;

/// The first byte chooses the session's schema, the rest is a message: it is refused, or its rows are sound and take no
/// more memory than was said before they were decoded.
///
/// # Panics
/// When that does not hold.
pub fn ipc(bytes: &[u8]) {
    let Some((mode, rest)) = bytes.split_first() else {
        return;
    };
    let (schema, message) = match mode % 4 {
        0 => (few_columns(), rest),
        1 | 2 => (every_type(), rest),
        // A schema from the wire, its length before it.
        _ => {
            let Some((length, rest)) = rest.split_first_chunk::<2>() else {
                return;
            };
            let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
            let (schema, message) = rest.split_at(length);
            let Ok(schema) = read_schema(schema) else {
                return;
            };
            (schema, message)
        }
    };
    let message = Bytes::copy_from_slice(message);
    let Ok(expected) = decoded_bytes(&message) else {
        return;
    };
    if expected > MOST_BYTES {
        return;
    }
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .rev()
        .map(|f| f.name().clone())
        .collect();
    let Some(decoder) = Decoder::new(schema, &columns) else {
        return;
    };
    // No message has a negative number of rows, so the answer tells how many there are.
    let rows = match decoder.decode(&message, -1) {
        Err(DecodeFault::RowCount { found, .. }) => found,
        Err(fault) => {
            let text = fault.to_string();
            assert!(
                !text.contains('\n') || matches!(fault, DecodeFault::Arrow { .. }),
                "{text:?}"
            );
            return;
        }
        Ok(_) => unreachable!("a message with a negative number of rows was accepted"),
    };
    let rows = i64::try_from(rows).expect("a number of rows");
    let batch = decoder
        .decode(&message, rows)
        .expect("the same bytes decode again");
    sound(&batch, expected);
}

/// Whether a message of a schema chosen by `mode` is decoded at all.
#[cfg(test)]
pub(crate) fn is_decoded(mode: u8, message: &Bytes) -> bool {
    let schema = if mode == 0 {
        few_columns()
    } else {
        every_type()
    };
    let decoder = Decoder::new(schema, &[]).expect("no column is missing");
    matches!(decoder.decode(message, -1), Err(DecodeFault::RowCount { found, .. }) if found > 0)
}

fn sound(batch: &RecordBatch, expected: u64) {
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        assert_eq!(
            column.len(),
            batch.num_rows(),
            "column {} has another length",
            field.name()
        );
        column
            .to_data()
            .validate_full()
            .unwrap_or_else(|e| panic!("column {} is unsound: {e}", field.name()));
    }
    // Buffers that lie askew in the message are copied, so each byte may be there twice; and empty columns have offsets.
    let most = 2 * expected
        + 64 * (1 + batch
            .columns()
            .iter()
            .map(|c| nodes(c.data_type()))
            .sum::<u64>());
    let taken = millpond_spill::batch_memory_bytes(batch) as u64;
    assert!(
        taken <= most,
        "{taken} bytes decoded from a message that announced {expected}"
    );
}

fn nodes(data_type: &DataType) -> u64 {
    1 + match data_type {
        DataType::List(f)
        | DataType::LargeList(f)
        | DataType::FixedSizeList(f, _)
        | DataType::Map(f, _) => nodes(f.data_type()),
        DataType::Struct(fields) => fields.iter().map(|f| nodes(f.data_type())).sum(),
        _ => 0,
    }
}

/// A table as most are.
pub(crate) fn few_columns() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("text", DataType::Utf8, true),
        Field::new("value", DataType::Float64, true),
    ]))
}

/// A column of every type that the service sends.
pub(crate) fn every_type() -> SchemaRef {
    let text = Arc::new(Field::new("item", DataType::Utf8, true));
    let inner = DataType::Struct(
        vec![
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::List(Arc::clone(&text)), true),
        ]
        .into(),
    );
    let fields = [
        ("flag", DataType::Boolean),
        ("id", DataType::Int64),
        ("value", DataType::Float64),
        ("text", DataType::Utf8),
        ("bytes", DataType::Binary),
        ("day", DataType::Date32),
        ("time", DataType::Time64(TimeUnit::Microsecond)),
        (
            "ts",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ),
        ("datetime", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("numeric", DataType::Decimal128(38, 9)),
        ("bignumeric", DataType::Decimal256(76, 38)),
        ("texts", DataType::List(text)),
        ("record", inner.clone()),
        (
            "records",
            DataType::List(Arc::new(Field::new("item", inner, true))),
        ),
    ];
    Arc::new(Schema::new(
        fields
            .map(|(name, data_type)| Field::new(name, data_type, true))
            .to_vec(),
    ))
}

/// Names of tables, columns and endpoints, times, and text in conditions.
///
/// # Panics
/// When one of them could be read as more than a name.
pub fn names(text: &str) {
    if let Ok(name) = TableName::parse(text) {
        let path = name.path();
        let parts: Vec<&str> = path.split('/').collect();
        assert!(
            matches!(
                parts.as_slice(),
                ["projects", _, "datasets", _, "tables", _]
            ) && !parts.iter().any(|part| matches!(*part, "" | "." | "..")),
            "{path:?} is not the path of a table"
        );
        assert!(
            !path
                .chars()
                .any(|c| c.is_control() || "`'\"\\;?#%".contains(c)),
            "{path:?} holds a sign"
        );
        let again = TableName::parse(&name.to_string()).expect("a name reads back");
        assert_eq!(name, again, "a name changes when it is read again");
    }
    if let Ok(quoted) = quote_column(text) {
        assert_eq!(quoted, format!("`{text}`"));
        assert!(
            !text.contains(['`', '\\', '\n', '\0']),
            "{quoted:?} can be left"
        );
    }
    if let Some(quoted) = quote_text(text) {
        assert_eq!(
            unquoted(&quoted).as_deref(),
            Some(text),
            "{quoted:?} is not the text it quotes"
        );
    }
    let predicate = Predicate::Compare {
        column: text.to_owned(),
        comparison: Comparison::Equal,
        literal: Literal::Text(text.to_owned()),
    };
    let _ = row_restriction(&[predicate]);
    match Endpoint::resolve(Some(text)) {
        Ok(Endpoint::Emulator(address)) => {
            let host = address.trim_start_matches("http://");
            let name = host
                .strip_prefix('[')
                .map_or_else(|| host.split(':').next(), |v6| v6.split(']').next());
            let name = name.unwrap_or_default();
            assert!(
                name == "localhost"
                    || name
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|ip| ip.is_loopback()),
                "plain text to {address:?}"
            );
        }
        Ok(Endpoint::Secure(address)) => {
            assert!(
                address.starts_with("https://") && !address.contains('@'),
                "{address:?} as a secure endpoint"
            );
        }
        Ok(Endpoint::Google) => {
            assert!(text.trim().is_empty(), "{text:?} was taken for no endpoint")
        }
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::Config | ErrorKind::Auth),
            "{error:?}"
        ),
    }
    if let Ok(time) = parse_snapshot_time(text) {
        let written = String::from(time);
        assert_eq!(
            parse_snapshot_time(&written).ok(),
            Some(time),
            "{written:?} is another time than {text:?}"
        );
    }
}

/// What GoogleSQL reads between the quotes; nothing when the literal ends early or not at all.
fn unquoted(quoted: &str) -> Option<String> {
    let mut text = String::new();
    let mut signs = quoted.strip_prefix('\'')?.strip_suffix('\'')?.chars();
    while let Some(sign) = signs.next() {
        text.push(match sign {
            '\'' | '\n' | '\r' => return None,
            '\\' => match signs.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                same @ ('\'' | '\\') => same,
                _ => return None,
            },
            same => same,
        });
    }
    Some(text)
}
