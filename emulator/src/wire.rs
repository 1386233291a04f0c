//! The types BigQuery puts on the wire, and how a stored column becomes one of them.
//!
//! [`wire_schema`] decides the type of every column once per table; [`to_wire`] converts arrays towards that decision.
//! [`decode_schema`] is what the Parquet reader is asked for, so that most columns need no conversion at all.
//! Must not know about tables, sessions or requests.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, Schema, TimeUnit};
use parquet::basic::LogicalType;
use parquet::schema::types::SchemaDescriptor;

mod convert;
mod storage;

pub(crate) use convert::{absent, arranged, to_wire};
pub(crate) use storage::{storage_schema, to_storage};

/// Metadata key under which the service names a type that Arrow cannot tell from its storage type.
pub(crate) const EXTENSION_NAME: &str = "ARROW:extension:name";
const EXTENSION_METADATA: &str = "ARROW:extension:metadata";
const SQL_TYPE_PREFIX: &str = "google:sqlType:";

/// A column that has no BigQuery type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column} has type {data_type}, which no BigQuery type holds")]
pub struct UnsupportedColumn {
    /// Dotted path of the column.
    pub column: String,
    /// Its Arrow type as stored.
    pub data_type: String,
}

/// The schema the service would send for a Parquet file.
///
/// Integers become Int64, floats Float64, text Utf8, timestamps microseconds, decimals NUMERIC when they fit it and BIGNUMERIC
/// otherwise. A repeated column is never null: the service has no null array, only an empty one.
///
/// # Errors
/// [`UnsupportedColumn`] for unions, arrays of arrays, and decimals wider than BIGNUMERIC.
pub(crate) fn wire_schema(
    stored: &Schema,
    parquet: &SchemaDescriptor,
) -> Result<Schema, UnsupportedColumn> {
    let mut walk = Walk { parquet, leaf: 0 };
    let fields = stored
        .fields()
        .iter()
        .map(|f| walk.field(f, f.name()))
        .collect::<Result<Vec<Field>, _>>()?;
    Ok(Schema::new(fields))
}

/// The schema the Parquet reader is asked for: as stored, with dictionaries, views and 64-bit offsets read as their plain forms.
pub(crate) fn decode_schema(stored: &Schema) -> Schema {
    let fields: Vec<FieldRef> = stored.fields().iter().map(|f| decode_field(f)).collect();
    Schema::new_with_metadata(fields, stored.metadata().clone())
}

fn decode_field(field: &Field) -> FieldRef {
    let data_type = decode_type(field.data_type());
    Arc::new(field.clone().with_data_type(data_type))
}

fn decode_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => decode_type(value),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => DataType::List(decode_field(item)),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|f| decode_field(f)).collect())
        }
        DataType::Map(entries, sorted) => DataType::Map(decode_field(entries), *sorted),
        other => other.clone(),
    }
}

/// Depth-first walk that keeps count of the Parquet leaves it has passed.
struct Walk<'a> {
    parquet: &'a SchemaDescriptor,
    leaf: usize,
}

impl Walk<'_> {
    fn field(&mut self, field: &Field, path: &str) -> Result<Field, UnsupportedColumn> {
        let (data_type, extension) = self.data_type(field, path)?;
        let repeated = matches!(data_type, DataType::List(_));
        let wire = Field::new(field.name(), data_type, field.is_nullable() && !repeated);
        Ok(match extension {
            Some(extension) => wire.with_metadata(extension_metadata(&extension)),
            None => wire,
        })
    }

    /// The wire type and, where the type alone is ambiguous, the SQL type's name.
    fn data_type(
        &mut self,
        field: &Field,
        path: &str,
    ) -> Result<(DataType, Option<String>), UnsupportedColumn> {
        let unsupported = || UnsupportedColumn {
            column: path.to_owned(),
            data_type: field.data_type().to_string(),
        };
        let nested = match field.data_type() {
            DataType::Struct(children) if sql_type(field) == Some("range") => {
                let ends = DataType::Struct(self.children(children, path)?);
                return Ok((ends, Some("range".to_owned())));
            }
            DataType::Struct(children) => Some(DataType::Struct(self.children(children, path)?)),
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _) => {
                let (item_type, extension) = self.data_type(item, path)?;
                if matches!(item_type, DataType::List(_)) {
                    return Err(unsupported());
                }
                let list = DataType::List(Arc::new(Field::new("item", item_type, true)));
                // The service describes the element on the list field itself.
                let own = || sql_type(field).map(str::to_owned);
                return Ok((list, extension.or_else(own)));
            }
            DataType::Map(entries, _) => {
                let (entry_type, _) = self.data_type(entries, path)?;
                Some(DataType::List(Arc::new(Field::new(
                    "item", entry_type, true,
                ))))
            }
            _ => None,
        };
        if let Some(nested) = nested {
            return Ok((nested, None));
        }
        let logical = if self.leaf < self.parquet.num_columns() {
            self.parquet.column(self.leaf).logical_type_ref().cloned()
        } else {
            None
        };
        self.leaf += 1;
        let wire = leaf_type(field.data_type()).ok_or_else(unsupported)?;
        let extension = match &wire {
            DataType::Timestamp(_, None) => Some("datetime".to_owned()),
            DataType::Interval(_) => Some("interval".to_owned()),
            DataType::Utf8 if logical == Some(LogicalType::Json) => Some("json".to_owned()),
            _ => field
                .metadata()
                .get(EXTENSION_NAME)
                .and_then(|name| name.strip_prefix(SQL_TYPE_PREFIX))
                .map(str::to_owned),
        };
        Ok((wire, extension))
    }

    fn children(&mut self, children: &Fields, path: &str) -> Result<Fields, UnsupportedColumn> {
        children
            .iter()
            .map(|child| self.field(child, &format!("{path}.{}", child.name())))
            .collect::<Result<Vec<Field>, _>>()
            .map(Fields::from)
    }
}

/// The metadata of a field whose SQL type Arrow cannot tell from its storage type.
pub(crate) fn extension_metadata(sql_type: &str) -> HashMap<String, String> {
    let mut metadata = HashMap::from([(
        EXTENSION_NAME.to_owned(),
        format!("{SQL_TYPE_PREFIX}{sql_type}"),
    )]);
    if sql_type == "geography" {
        metadata.insert(
            EXTENSION_METADATA.to_owned(),
            r#"{"encoding": "WKT"}"#.to_owned(),
        );
    }
    metadata
}

/// The SQL type named in a wire field's metadata, such as `json` or `datetime`.
pub(crate) fn sql_type(field: &Field) -> Option<&str> {
    field
        .metadata()
        .get(EXTENSION_NAME)
        .and_then(|name| name.strip_prefix(SQL_TYPE_PREFIX))
}

/// The wire type of a stored type that has no children; `None` for those that have, and for what BigQuery has no type for.
pub(crate) fn leaf_type(stored: &DataType) -> Option<DataType> {
    Some(match stored {
        DataType::Dictionary(_, value) => return leaf_type(value),
        DataType::Boolean => DataType::Boolean,
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Duration(_) => DataType::Int64,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Float64,
        // A column whose every value is null has no type of its own; text is what the service's own schema inference takes.
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            DataType::Utf8
        }
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => {
            return decimal_type(*p, *s);
        }
        DataType::Interval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        _ => return None,
    })
}

/// NUMERIC (29 digits before the point, 9 after) when the declared digits fit, else BIGNUMERIC (38 and 38).
fn decimal_type(precision: u8, scale: i8) -> Option<DataType> {
    let whole = i16::from(precision) - i16::from(scale);
    if scale <= 9 && whole <= 29 {
        Some(DataType::Decimal128(38, 9))
    } else if scale <= 38 && whole <= 38 {
        Some(DataType::Decimal256(76, 38))
    } else {
        None
    }
}

/// Bytes one value of a fixed-width wire type counts for, by the service's table of logical sizes; `None` for text and bytes.
pub(crate) fn logical_width(wire: &DataType) -> Option<u64> {
    match wire {
        DataType::Utf8 | DataType::Binary => None,
        DataType::Boolean => Some(1),
        DataType::Decimal128(_, _) | DataType::Interval(_) => Some(16),
        DataType::Decimal256(_, _) => Some(32),
        _ => Some(8),
    }
}

/// The wire types of a field's leaves, in Parquet's order.
pub(crate) fn leaves(field: &Field, out: &mut Vec<DataType>) {
    match field.data_type() {
        DataType::Struct(children) => children.iter().for_each(|child| leaves(child, out)),
        DataType::List(item) => leaves(item, out),
        leaf => out.push(leaf.clone()),
    }
}

#[cfg(test)]
mod tests;
