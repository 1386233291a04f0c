//! A table's schema as the Write API describes it.

use googleapis_tonic_google_cloud_bigquery_storage_v1::google::cloud::bigquery::storage::v1 as proto;
use proto::table_field_schema::{FieldElementType, Mode, Type};
use tonic::Status;

use super::denied;
use crate::catalog::Catalog;
use crate::name::TableName;
use crate::schema::{self, FieldSchema};

/// The schema of a table that exists.
pub(super) fn table_schema(
    catalog: &Catalog,
    table: &TableName,
) -> Result<proto::TableSchema, Status> {
    let opened = catalog
        .table(table)
        .map_err(|e| denied(&e.into(), "TABLES_GET", table))?;
    let columns = match &opened.metadata {
        Some(metadata) if !metadata.schema.is_empty() => metadata.schema.clone(),
        _ => schema::from_arrow(&opened.schema),
    };
    Ok(proto::TableSchema {
        fields: columns.iter().map(field).collect(),
    })
}

fn field(column: &FieldSchema) -> proto::TableFieldSchema {
    let mode = match column.mode.as_str() {
        "REQUIRED" => Mode::Required,
        "REPEATED" => Mode::Repeated,
        _ => Mode::Nullable,
    };
    let text = |key: &str| {
        let value = column.other.get(key).and_then(serde_json::Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let number = |key: &str| column.number(key).unwrap_or(0);
    proto::TableFieldSchema {
        name: column.name.clone(),
        r#type: kind(&column.kind).into(),
        mode: mode.into(),
        fields: column.fields.iter().map(field).collect(),
        description: text("description"),
        max_length: number("maxLength"),
        precision: number("precision"),
        scale: number("scale"),
        default_value_expression: text("defaultValueExpression"),
        timestamp_precision: column.number("timestampPrecision"),
        range_element_type: column
            .range_element_type
            .as_ref()
            .map(|e| FieldElementType {
                r#type: kind(&e.kind).into(),
            }),
    }
}

fn kind(name: &str) -> Type {
    match name {
        "INTEGER" => Type::Int64,
        "FLOAT" => Type::Double,
        "RECORD" => Type::Struct,
        "BOOLEAN" => Type::Bool,
        other => Type::from_str_name(other).unwrap_or(Type::Unspecified),
    }
}
