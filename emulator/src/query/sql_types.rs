//! BigQuery's types as SQL writes them, turned into columns of a schema.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CastKind, DataType as SqlType, ExactNumberInfo, Expr, ObjectNamePart,
    SqlOption,
};
use datafusion::sql::sqlparser::dialect::BigQueryDialect;
use datafusion::sql::sqlparser::parser::Parser;
use serde_json::{Map, Value, json};

use super::text::escapes::REQUIRED;
use super::text::placeholders::RANGE_OF;
use super::{QueryError, unsupported};
use crate::schema::{FieldSchema, RangeElement};

/// A column of a type, nullable or repeated.
///
/// # Errors
/// [`QueryError::Unsupported`] naming a type that is not one of BigQuery's.
pub(crate) fn column(name: &str, sql_type: &SqlType) -> Result<FieldSchema, QueryError> {
    if let SqlType::Array(element) = sql_type {
        let ArrayElemTypeDef::AngleBracket(element) = element else {
            return Err(unsupported(format!("the type {sql_type}")));
        };
        let mut field = column(name, element)?;
        if field.mode == "REPEATED" {
            return Err(unsupported(format!(
                "the type {sql_type}, an array of arrays"
            )));
        }
        "REPEATED".clone_into(&mut field.mode);
        return Ok(field);
    }
    if let SqlType::Custom(custom, _) = sql_type
        && let Some(element) = custom.to_string().strip_prefix(RANGE_OF)
    {
        return Ok(range(name, element));
    }
    let mut field = plain(name, kind_of(sql_type)?);
    match sql_type {
        SqlType::Struct(children, _) => {
            field.fields = children
                .iter()
                .enumerate()
                .map(|(index, child)| {
                    let name = child.field_name.as_ref().map(|n| n.value.clone());
                    let name = name.unwrap_or_else(|| unnamed(index));
                    let mut field = column(&name, &child.field_type)?;
                    options_of(&mut field, child.options.as_deref().unwrap_or_default())?;
                    Ok(field)
                })
                .collect::<Result<_, QueryError>>()?;
        }
        SqlType::String(Some(length)) | SqlType::Bytes(Some(length)) => {
            set(&mut field, "maxLength", i128::from(*length));
        }
        SqlType::Numeric(digits)
        | SqlType::Decimal(digits)
        | SqlType::BigNumeric(digits)
        | SqlType::BigDecimal(digits) => match digits {
            ExactNumberInfo::None => {}
            ExactNumberInfo::Precision(precision) => {
                set(&mut field, "precision", i128::from(*precision));
            }
            ExactNumberInfo::PrecisionAndScale(precision, scale) => {
                set(&mut field, "precision", i128::from(*precision));
                set(&mut field, "scale", i128::from(*scale));
            }
        },
        SqlType::Timestamp(Some(12), _) => set(&mut field, "timestampPrecision", 12),
        SqlType::Timestamp(Some(precision), _) if *precision != 6 => {
            return Err(QueryError::Invalid {
                message: format!("Timestamp precision type parameter is not supported: {sql_type}"),
            });
        }
        _ => {}
    }
    Ok(field)
}

/// `CAST(value AS type)` as the parser would have it, so that it goes through the same rewrites.
///
/// # Errors
/// [`QueryError::Syntax`] when the type cannot be written.
pub(super) fn cast_to(value: Expr, to: &FieldSchema) -> Result<Expr, QueryError> {
    let mut parser = Parser::new(&BigQueryDialect {}).try_with_sql(&written(to))?;
    Ok(Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(value),
        data_type: parser.parse_data_type()?,
        array: false,
        format: None,
    })
}

/// A column's type as the service shows it: with its length or digits, and without backticks.
pub(crate) fn shown(field: &FieldSchema) -> String {
    shown_with(field, &|_| String::new())
}

/// The same as it is written in a definition, which says of fields that they are required.
pub(crate) fn defined(field: &FieldSchema) -> String {
    shown_with(field, &|field| match field.mode.as_str() {
        "REQUIRED" => " NOT NULL".to_owned(),
        _ => String::new(),
    })
}

/// A type with something said behind each field in it.
fn shown_with(field: &FieldSchema, behind: &dyn Fn(&FieldSchema) -> String) -> String {
    let digits = |key: &str| match field.other.get(key)? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let one = match field.kind.as_str() {
        "INTEGER" => "INT64".to_owned(),
        "FLOAT" => "FLOAT64".to_owned(),
        "BOOLEAN" => "BOOL".to_owned(),
        "RECORD" => {
            let fields = field.fields.iter();
            let one =
                |f: &FieldSchema| format!("{} {}{}", f.name, shown_with(f, behind), behind(f));
            let fields: Vec<String> = fields.map(one).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        "RANGE" => {
            let element = field.range_element_type.as_ref().map(|e| e.kind.as_str());
            format!("RANGE<{}>", element.unwrap_or("DATE"))
        }
        kind => kind.to_owned(),
    };
    let parts = [digits("maxLength"), digits("precision"), digits("scale")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let one = if parts.is_empty() {
        one
    } else {
        format!("{one}({})", parts.join(", "))
    };
    if field.mode == "REPEATED" {
        format!("ARRAY<{one}>")
    } else {
        one
    }
}

/// A column's type as SQL writes it.
pub(crate) fn written(field: &FieldSchema) -> String {
    let one = match field.kind.as_str() {
        "INTEGER" => "INT64".to_owned(),
        "FLOAT" => "FLOAT64".to_owned(),
        "BOOLEAN" => "BOOL".to_owned(),
        "RECORD" => {
            let fields: Vec<String> = field
                .fields
                .iter()
                .map(|f| format!("`{}` {}", f.name, written(f)))
                .collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        "RANGE" => {
            let element = field.range_element_type.as_ref().map(|e| e.kind.as_str());
            format!("{RANGE_OF}{}", element.unwrap_or("DATE"))
        }
        kind => kind.to_owned(),
    };
    if field.mode == "REPEATED" {
        format!("ARRAY<{one}>")
    } else {
        one
    }
}

/// What the service calls a field of a struct that has no name.
pub(crate) fn unnamed(index: usize) -> String {
    format!("_field_{}", index + 1)
}

/// Takes the options of a struct's field.
fn options_of(field: &mut FieldSchema, options: &[SqlOption]) -> Result<(), QueryError> {
    for option in options {
        let SqlOption::KeyValue { key, value } = option else {
            return Err(unsupported(format!("the option {option}")));
        };
        match (key.value.to_ascii_lowercase().as_str(), value) {
            (REQUIRED, _) if field.mode == "NULLABLE" => "REQUIRED".clone_into(&mut field.mode),
            (REQUIRED, _) => {
                return Err(QueryError::Invalid {
                    message: format!(
                        "NOT NULL constraint is not supported for ARRAY field {}",
                        field.name
                    ),
                });
            }
            ("description", Expr::Value(text)) => {
                let text = text.value.clone().into_string();
                field.other.insert("description".to_owned(), json!(text));
            }
            _ => return Err(unsupported(format!("the option {option} of a field"))),
        }
    }
    Ok(())
}

fn set(field: &mut FieldSchema, key: &str, number: i128) {
    field
        .other
        .insert(key.to_owned(), json!(number.to_string()));
}

pub(crate) fn plain(name: &str, kind: &str) -> FieldSchema {
    FieldSchema {
        name: name.to_owned(),
        kind: kind.to_owned(),
        mode: "NULLABLE".to_owned(),
        fields: Vec::new(),
        range_element_type: None,
        other: Map::new(),
    }
}

/// A range of dates or times.
pub(crate) fn range(name: &str, element: &str) -> FieldSchema {
    let mut field = plain(name, "RANGE");
    field.range_element_type = Some(RangeElement {
        kind: element.to_ascii_uppercase(),
    });
    field
}

fn kind_of(sql_type: &SqlType) -> Result<&'static str, QueryError> {
    Ok(match sql_type {
        SqlType::Int64
        | SqlType::Int(None)
        | SqlType::Integer(None)
        | SqlType::BigInt(None)
        | SqlType::SmallInt(None)
        | SqlType::TinyInt(None) => "INTEGER",
        SqlType::Float64 => "FLOAT",
        SqlType::Bool | SqlType::Boolean => "BOOLEAN",
        SqlType::String(_) => "STRING",
        SqlType::Bytes(_) => "BYTES",
        SqlType::Numeric(_) | SqlType::Decimal(_) => "NUMERIC",
        SqlType::BigNumeric(_) | SqlType::BigDecimal(_) => "BIGNUMERIC",
        SqlType::Date => "DATE",
        SqlType::Time(_, _) => "TIME",
        SqlType::Datetime(_) => "DATETIME",
        SqlType::Timestamp(_, _) => "TIMESTAMP",
        SqlType::Interval { .. } => "INTERVAL",
        SqlType::JSON => "JSON",
        SqlType::Struct(_, _) => "RECORD",
        SqlType::Custom(name, modifiers) if modifiers.is_empty() => {
            let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else {
                return Err(unsupported(format!("the type {sql_type}")));
            };
            match name.value.to_ascii_uppercase().as_str() {
                "GEOGRAPHY" => "GEOGRAPHY",
                "BYTEINT" => "INTEGER",
                _ => return Err(unsupported(format!("the type {sql_type}"))),
            }
        }
        _ => return Err(unsupported(format!("the type {sql_type}"))),
    })
}

/// A type as the planner's functions take it: without anything that is no part of it.
pub(super) fn described(field: &FieldSchema) -> String {
    serde_json::to_value(bare(field))
        .unwrap_or(Value::Null)
        .to_string()
}

/// The same with the lengths that its texts may have.
pub(super) fn with_lengths(field: &FieldSchema) -> String {
    serde_json::to_value(field)
        .unwrap_or(Value::Null)
        .to_string()
}

fn bare(field: &FieldSchema) -> FieldSchema {
    let mut other = field.other.clone();
    other.retain(|key, _| ["precision", "scale", "timestampPrecision"].contains(&key.as_str()));
    FieldSchema {
        fields: field.fields.iter().map(bare).collect(),
        other,
        ..field.clone()
    }
}
