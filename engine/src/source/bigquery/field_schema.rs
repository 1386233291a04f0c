//! Columns as the REST API describes them, and as the Storage Read API sends them.
//!
//! Owns the way from the one to the other. Must not know values.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit};
use google_cloud_bigquery_v2::model::TableFieldSchema;

use crate::error::{Error, ErrorKind, Result};

/// The columns as they arrive. Query results have no required columns, so all but lists may be null.
///
/// # Errors
/// Schema for a type that is not known, naming the column.
pub(super) fn to_arrow(columns: &[TableFieldSchema]) -> Result<SchemaRef> {
    let fields = columns.iter().map(field).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

/// What is needed of the columns to make a table that takes rows of them.
pub(super) fn for_table(columns: &[TableFieldSchema]) -> Vec<TableFieldSchema> {
    columns
        .iter()
        .map(|column| {
            let mode = match column.mode.as_str() {
                "REPEATED" => "REPEATED",
                _ => "NULLABLE",
            };
            TableFieldSchema::new()
                .set_name(&column.name)
                .set_type(&column.r#type)
                .set_mode(mode)
                .set_fields(for_table(&column.fields))
                .set_precision(column.precision)
                .set_scale(column.scale)
                .set_max_length(column.max_length)
                .set_or_clear_timestamp_precision(column.timestamp_precision)
                .set_or_clear_range_element_type(column.range_element_type.clone())
        })
        .collect()
}

/// The columns, and those of them never null that the table says are required.
pub(super) fn with_required(schema: &SchemaRef, columns: &[TableFieldSchema]) -> SchemaRef {
    let required = |name: &str| {
        columns
            .iter()
            .any(|column| column.name == name && column.mode == "REQUIRED")
    };
    let fields = schema.fields().iter().map(|field| {
        let nullable = field.is_nullable() && !required(field.name());
        field.as_ref().clone().with_nullable(nullable)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn field(column: &TableFieldSchema) -> Result<Field> {
    let data_type = data_type(column)?;
    let kind = column.r#type.to_ascii_lowercase();
    let mut metadata = HashMap::new();
    if matches!(
        kind.as_str(),
        "datetime" | "interval" | "json" | "geography" | "range"
    ) {
        metadata.insert(
            "ARROW:extension:name".to_owned(),
            format!("google:sqlType:{kind}"),
        );
    }
    if kind == "geography" {
        metadata.insert(
            "ARROW:extension:metadata".to_owned(),
            r#"{"encoding": "WKT"}"#.to_owned(),
        );
    }
    let field = if column.mode == "REPEATED" {
        let item = Arc::new(Field::new("item", data_type, true));
        Field::new(&column.name, DataType::List(item), false)
    } else {
        Field::new(&column.name, data_type, true)
    };
    Ok(field.with_metadata(metadata))
}

fn data_type(column: &TableFieldSchema) -> Result<DataType> {
    let utc = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let unknown = |kind: &str| {
        Error::new(
            ErrorKind::Schema,
            format!("column {:?} has the unknown type {kind}", column.name),
        )
    };
    Ok(match column.r#type.as_str() {
        "INTEGER" | "INT64" => DataType::Int64,
        "FLOAT" | "FLOAT64" => DataType::Float64,
        "BOOLEAN" | "BOOL" => DataType::Boolean,
        "STRING" | "JSON" | "GEOGRAPHY" => DataType::Utf8,
        "BYTES" => DataType::Binary,
        "DATE" => DataType::Date32,
        "TIME" => DataType::Time64(TimeUnit::Microsecond),
        "DATETIME" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "TIMESTAMP" => utc(),
        "NUMERIC" => {
            let (precision, scale) = digits(column, 38, 9).ok_or_else(|| unknown("NUMERIC"))?;
            DataType::Decimal128(precision, scale)
        }
        "BIGNUMERIC" => {
            let (precision, scale) = digits(column, 76, 38).ok_or_else(|| unknown("BIGNUMERIC"))?;
            DataType::Decimal256(precision, scale)
        }
        "INTERVAL" => DataType::Interval(IntervalUnit::MonthDayNano),
        "RECORD" | "STRUCT" => {
            let fields = column
                .fields
                .iter()
                .map(field)
                .collect::<Result<Vec<_>>>()?;
            DataType::Struct(fields.into())
        }
        "RANGE" => {
            let element = column.range_element_type.as_ref();
            let element = match element.map(|e| e.r#type.as_str()) {
                Some("DATE") => DataType::Date32,
                Some("DATETIME") => DataType::Timestamp(TimeUnit::Microsecond, None),
                Some("TIMESTAMP") => utc(),
                other => return Err(unknown(&format!("RANGE of {}", other.unwrap_or("nothing")))),
            };
            let end = |name| Field::new(name, element.clone(), true);
            DataType::Struct(vec![end("start"), end("end")].into())
        }
        other => return Err(unknown(other)),
    })
}

/// Digits in all and after the point; the type's own when none are given.
fn digits(column: &TableFieldSchema, precision: u8, scale: i8) -> Option<(u8, i8)> {
    if column.precision == 0 {
        return Some((precision, scale));
    }
    Some((
        u8::try_from(column.precision)
            .ok()
            .filter(|p| *p <= precision)?,
        i8::try_from(column.scale).ok().filter(|s| *s <= scale)?,
    ))
}
