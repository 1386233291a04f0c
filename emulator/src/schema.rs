//! Table schemas in BigQuery's own form, as REST and the metadata files write them, and their Arrow counterparts.
//!
//! Owns the names of types and modes. Must not know about tables, files or requests.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, TimeUnit};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{picoseconds, wire};

/// Deepest nesting the service accepts.
const MAX_DEPTH: usize = 15;

/// Longest column name, in characters.
const MAX_NAME_CHARS: usize = 300;

/// What names of pseudo columns begin with.
const RESERVED: [&str; 6] = [
    "_PARTITION",
    "_TABLE_",
    "_FILE_",
    "_ROW_TIMESTAMP",
    "__ROOT__",
    "_COLIDENTIFIER",
];

/// Members that are numbers of 64 bits, which are texts in Google's JSON.
const NUMBERS: [&str; 4] = ["maxLength", "precision", "scale", "timestampPrecision"];

/// Why a schema was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The type's name is not one of BigQuery's.
    #[error("Invalid value for type: {kind} is not a valid value (field {field})")]
    UnknownType {
        /// Dotted path of the column.
        field: String,
        /// The type as written.
        kind: String,
    },
    /// The mode is not NULLABLE, REQUIRED or REPEATED.
    #[error("Invalid value for mode: {mode} is not a valid value (field {field})")]
    UnknownMode {
        /// Dotted path of the column.
        field: String,
        /// The mode as written.
        mode: String,
    },
    /// A name that is empty, too long, or holds a forbidden character.
    #[error(
        "Invalid field name {name:?}. Fields must contain the allowed characters, and be at most {MAX_NAME_CHARS} characters long."
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A name that begins like those of pseudo columns.
    #[error(
        "Invalid field name {name:?}. Field names are not allowed to start with the (case-insensitive) prefixes _PARTITION, _TABLE_, _FILE_, _ROW_TIMESTAMP, __ROOT__ and _COLIDENTIFIER"
    )]
    Reserved {
        /// The name.
        name: String,
    },
    /// Two columns whose names are equal but for case.
    #[error("Duplicate field name {name:?}: field names are case-insensitive")]
    Duplicate {
        /// The second one's name.
        name: String,
    },
    /// A record without fields.
    #[error("Field {field} is type RECORD but has no schema")]
    EmptyRecord {
        /// Dotted path of the column.
        field: String,
    },
    /// Records in records, too many of them.
    #[error("Schema is nested deeper than {MAX_DEPTH} levels at field {field}")]
    TooDeep {
        /// Dotted path of the column.
        field: String,
    },
    /// Digits of a second that TIMESTAMP does not have.
    #[error("Invalid timestamp precision of field {field}: {precision}. It must be 6 or 12")]
    TimestampPrecision {
        /// Dotted path of the column.
        field: String,
        /// Digits of a second.
        precision: i64,
    },
    /// Digits that the type cannot hold.
    #[error("Field {field}: precision {precision} and scale {scale} are out of range for {kind}")]
    Digits {
        /// Dotted path of the column.
        field: String,
        /// NUMERIC or BIGNUMERIC.
        kind: String,
        /// Digits in all.
        precision: i64,
        /// Digits after the point.
        scale: i64,
    },
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FieldSchema {
    pub name: String,
    /// The old type name, such as INTEGER, once the schema has been checked.
    #[serde(rename = "type")]
    pub kind: String,
    /// Empty when nobody has said it, which is how it is told then, too.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mode: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldSchema>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_element_type: Option<RangeElement>,
    /// Everything else: description, precision, scale, maxLength, policyTags and so on, handed back as given.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a RANGE ranges over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RangeElement {
    #[serde(rename = "type")]
    pub kind: String,
}

/// Checks a schema and brings its names of types and modes to their one form.
///
/// # Errors
/// [`SchemaError`] with the service's texts where they are known.
pub(crate) fn checked(fields: &[FieldSchema]) -> Result<Vec<FieldSchema>, SchemaError> {
    checked_below(fields, "", 1)
}

fn checked_below(
    fields: &[FieldSchema],
    parent: &str,
    depth: usize,
) -> Result<Vec<FieldSchema>, SchemaError> {
    let mut seen = HashSet::new();
    fields
        .iter()
        .map(|field| {
            let path = if parent.is_empty() {
                field.name.clone()
            } else {
                format!("{parent}.{}", field.name)
            };
            if !is_name(&field.name) {
                return Err(SchemaError::Name {
                    name: field.name.clone(),
                });
            }
            let reserved = RESERVED.iter().any(|prefix| {
                let start = field.name.get(..prefix.len());
                start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            });
            if reserved && depth == 1 {
                return Err(SchemaError::Reserved {
                    name: field.name.clone(),
                });
            }
            if !seen.insert(field.name.to_lowercase()) {
                return Err(SchemaError::Duplicate {
                    name: field.name.clone(),
                });
            }
            if depth > MAX_DEPTH {
                return Err(SchemaError::TooDeep { field: path });
            }
            let kind = canonical(&field.kind).ok_or_else(|| SchemaError::UnknownType {
                field: path.clone(),
                kind: field.kind.clone(),
            })?;
            let mode = match field.mode.to_ascii_uppercase().as_str() {
                known @ ("" | "NULLABLE" | "REQUIRED" | "REPEATED") => known.to_owned(),
                _ => {
                    return Err(SchemaError::UnknownMode {
                        field: path,
                        mode: field.mode.clone(),
                    });
                }
            };
            if kind == "RECORD" && field.fields.is_empty() {
                return Err(SchemaError::EmptyRecord { field: path });
            }
            let mut other = field.other.clone();
            // What is given as nothing is taken away.
            other.retain(|key, value| {
                let no_tags = value["names"].as_array().is_some_and(Vec::is_empty);
                !(value.is_null() || key == "policyTags" && no_tags)
            });
            for key in NUMBERS {
                if let Some(number) = other.get(key).and_then(Value::as_i64) {
                    other.insert(key.to_owned(), number.to_string().into());
                }
            }
            let checked = FieldSchema {
                kind: kind.to_owned(),
                mode,
                fields: checked_below(&field.fields, &path, depth + 1)?,
                other,
                ..field.clone()
            };
            checked.arrow_type().ok_or_else(|| checked.digits(&path))?;
            Ok(checked)
        })
        .collect()
}

pub(crate) fn is_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || "!\"$()*,./;?@[\\]^`{}~".contains(c);
    !name.is_empty() && name.chars().count() <= MAX_NAME_CHARS && !name.contains(forbidden)
}

/// The old name of a type, which is what the service answers with.
fn canonical(kind: &str) -> Option<&'static str> {
    Some(match kind.to_ascii_uppercase().as_str() {
        "STRING" => "STRING",
        "BYTES" => "BYTES",
        "INTEGER" | "INT64" => "INTEGER",
        "FLOAT" | "FLOAT64" | "DOUBLE" => "FLOAT",
        "BOOLEAN" | "BOOL" => "BOOLEAN",
        "TIMESTAMP" => "TIMESTAMP",
        "DATE" => "DATE",
        "TIME" => "TIME",
        "DATETIME" => "DATETIME",
        "GEOGRAPHY" => "GEOGRAPHY",
        "NUMERIC" | "DECIMAL" => "NUMERIC",
        "BIGNUMERIC" | "BIGDECIMAL" => "BIGNUMERIC",
        "INTERVAL" => "INTERVAL",
        "JSON" => "JSON",
        "RANGE" => "RANGE",
        "RECORD" | "STRUCT" => "RECORD",
        _ => return None,
    })
}

impl FieldSchema {
    /// The mode that the column has, whether or not somebody has said it.
    pub fn mode(&self) -> &str {
        match self.mode.as_str() {
            "" => "NULLABLE",
            said => said,
        }
    }

    /// A member that is a number, written as such or as text.
    pub fn number(&self, key: &str) -> Option<i64> {
        // 64-bit numbers are strings in Google's JSON, but not every client knows.
        match self.other.get(key)? {
            Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        }
    }

    fn digits(&self, path: &str) -> SchemaError {
        if let ("TIMESTAMP", Some(precision)) =
            (self.kind.as_str(), self.number("timestampPrecision"))
        {
            return SchemaError::TimestampPrecision {
                field: path.to_owned(),
                precision,
            };
        }
        SchemaError::Digits {
            field: path.to_owned(),
            kind: self.kind.clone(),
            precision: self.number("precision").unwrap_or(0),
            scale: self.number("scale").unwrap_or(0),
        }
    }

    /// The type of a single value; `None` when its digits are out of range.
    fn arrow_type(&self) -> Option<DataType> {
        Some(match self.kind.as_str() {
            "INTEGER" => DataType::Int64,
            "FLOAT" => DataType::Float64,
            "BOOLEAN" => DataType::Boolean,
            "BYTES" => DataType::Binary,
            "TIMESTAMP" => match self.number("timestampPrecision") {
                None | Some(6) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                Some(12) => DataType::Utf8,
                Some(_) => return None,
            },
            "DATE" => DataType::Date32,
            "TIME" => DataType::Time64(TimeUnit::Microsecond),
            "DATETIME" => DataType::Timestamp(TimeUnit::Microsecond, None),
            "NUMERIC" => {
                let (precision, scale) = self.precision_and_scale(38, 9, 29)?;
                DataType::Decimal128(precision, scale)
            }
            "BIGNUMERIC" => {
                let (precision, scale) = self.precision_and_scale(76, 38, 38)?;
                DataType::Decimal256(precision, scale)
            }
            "INTERVAL" => DataType::Interval(IntervalUnit::MonthDayNano),
            "RECORD" => DataType::Struct(self.fields.iter().map(Self::to_arrow).collect()),
            "RANGE" => {
                let element = match self.range_element_type.as_ref()?.kind.as_str() {
                    "DATE" => DataType::Date32,
                    "DATETIME" => DataType::Timestamp(TimeUnit::Microsecond, None),
                    "TIMESTAMP" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                    _ => return None,
                };
                DataType::Struct(
                    vec![
                        Field::new("start", element.clone(), true),
                        Field::new("end", element, true),
                    ]
                    .into(),
                )
            }
            // STRING, GEOGRAPHY, JSON.
            _ => DataType::Utf8,
        })
    }

    fn precision_and_scale(&self, usual: u8, usual_scale: i8, whole: i64) -> Option<(u8, i8)> {
        let Some(precision) = self.number("precision") else {
            return Some((usual, usual_scale));
        };
        let scale = self.number("scale").unwrap_or(0);
        let fits = (0..=i64::from(usual_scale)).contains(&scale)
            && precision >= scale.max(1)
            && precision - scale <= whole;
        fits.then_some((u8::try_from(precision).ok()?, i8::try_from(scale).ok()?))
    }

    /// The column as the Read API sends it. The schema has been checked.
    pub fn to_arrow(&self) -> Field {
        let data_type = self.arrow_type().unwrap_or(DataType::Utf8);
        let extension = match self.kind.as_str() {
            "TIMESTAMP" if data_type == DataType::Utf8 => {
                wire::extension_metadata(picoseconds::SQL_TYPE)
            }
            kind @ ("DATETIME" | "INTERVAL" | "JSON" | "GEOGRAPHY" | "RANGE") => {
                wire::extension_metadata(&kind.to_ascii_lowercase())
            }
            _ => HashMap::new(),
        };
        let field = match self.mode.as_str() {
            "REPEATED" => {
                let list = DataType::List(Arc::new(Field::new("item", data_type, true)));
                Field::new(&self.name, list, false)
            }
            mode => Field::new(&self.name, data_type, mode != "REQUIRED"),
        };
        field.with_metadata(extension)
    }

    /// The column in BigQuery's form.
    pub fn from_arrow(field: &Field) -> Self {
        let (mode, element) = match field.data_type() {
            DataType::List(item) => ("REPEATED", item.data_type()),
            other if field.is_nullable() => ("NULLABLE", other),
            other => ("REQUIRED", other),
        };
        let kind = type_name(element, wire::sql_type(field));
        let mut other = Map::new();
        let range_element_type = match element {
            DataType::Struct(ends) if kind == "RANGE" => ends.first().map(|start| RangeElement {
                kind: type_name(start.data_type(), None),
            }),
            _ => None,
        };
        let fields = match element {
            DataType::Struct(children) if kind == "RECORD" => {
                children.iter().map(|c| Self::from_arrow(c)).collect()
            }
            _ => Vec::new(),
        };
        let digits = match element {
            DataType::Decimal128(p, s) if (*p, *s) != (38, 9) => Some((*p, *s)),
            DataType::Decimal256(p, s) if (*p, *s) != (76, 38) => Some((*p, *s)),
            _ => None,
        };
        if let Some((precision, scale)) = digits {
            other.insert("precision".to_owned(), precision.to_string().into());
            other.insert("scale".to_owned(), scale.to_string().into());
        }
        if picoseconds::is_here(field) {
            other.insert("timestampPrecision".to_owned(), "12".into());
        }
        Self {
            name: field.name().clone(),
            kind,
            mode: mode.to_owned(),
            fields,
            range_element_type,
            other,
        }
    }
}

/// The Arrow schema of checked columns.
pub(crate) fn to_arrow(fields: &[FieldSchema]) -> Schema {
    Schema::new(
        fields
            .iter()
            .map(FieldSchema::to_arrow)
            .collect::<Vec<Field>>(),
    )
}

/// The columns of an Arrow schema of wire types.
pub(crate) fn from_arrow(schema: &Schema) -> Vec<FieldSchema> {
    schema
        .fields()
        .iter()
        .map(|f| FieldSchema::from_arrow(f))
        .collect()
}

fn type_name(wire: &DataType, sql_type: Option<&str>) -> String {
    if sql_type == Some(picoseconds::SQL_TYPE) {
        return "TIMESTAMP".to_owned();
    }
    if let Some(sql_type) = sql_type {
        return sql_type.to_ascii_uppercase();
    }
    match wire {
        DataType::Boolean => "BOOLEAN",
        DataType::Int64 => "INTEGER",
        DataType::Float64 => "FLOAT",
        DataType::Binary => "BYTES",
        DataType::Date32 => "DATE",
        DataType::Time64(_) => "TIME",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP",
        DataType::Timestamp(_, None) => "DATETIME",
        DataType::Decimal128(_, _) => "NUMERIC",
        DataType::Decimal256(_, _) => "BIGNUMERIC",
        DataType::Interval(_) => "INTERVAL",
        DataType::Struct(_) => "RECORD",
        _ => "STRING",
    }
    .to_owned()
}

/// Why a table's schema cannot become another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Provided Schema does not match Table {table}. {detail}")]
pub struct SchemaChangeError {
    /// The table.
    pub table: String,
    /// Which column, and what about it.
    pub detail: String,
}

/// Checks that `new` is `old` with columns added or relaxed from REQUIRED to NULLABLE, and nothing else.
///
/// # Errors
/// [`SchemaChangeError`] naming the first column that differs.
pub(crate) fn check_change(
    table: &str,
    old: &[FieldSchema],
    new: &[FieldSchema],
) -> Result<(), SchemaChangeError> {
    let refuse = |detail: String| SchemaChangeError {
        table: table.to_owned(),
        detail,
    };
    for field in old {
        let Some(now) = new
            .iter()
            .find(|n| n.name.eq_ignore_ascii_case(&field.name))
        else {
            return Err(refuse(format!(
                "Field {} is missing in new schema",
                field.name
            )));
        };
        if now.kind != field.kind {
            return Err(refuse(format!(
                "Field {} has changed type from {} to {}",
                field.name, field.kind, now.kind
            )));
        }
        let digits = |f: &FieldSchema| f.number("timestampPrecision").unwrap_or(6);
        if digits(now) != digits(field) {
            return Err(refuse(format!(
                "Field {} has changed timestamp precision from {} to {}",
                field.name,
                digits(field),
                digits(now)
            )));
        }
        let relaxed = field.mode() == "REQUIRED" && now.mode() == "NULLABLE";
        if now.mode() != field.mode() && !relaxed {
            return Err(refuse(format!(
                "Field {} has changed mode from {} to {}",
                field.name,
                field.mode(),
                now.mode()
            )));
        }
        check_change(table, &field.fields, &now.fields)?;
    }
    let added = new
        .iter()
        .filter(|n| !old.iter().any(|o| o.name.eq_ignore_ascii_case(&n.name)));
    for field in added {
        if field.mode() == "REQUIRED" {
            return Err(refuse(format!(
                "Cannot add required fields to an existing schema. (field: {})",
                field.name
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn parsed(fields: Value) -> Vec<FieldSchema> {
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn every_type_survives_arrow() {
        let fields = parsed(json!([
            {"name": "s", "type": "STRING"}, {"name": "b", "type": "BYTES", "mode": "REQUIRED"},
            {"name": "i", "type": "INT64"}, {"name": "f", "type": "FLOAT64"}, {"name": "o", "type": "BOOL"},
            {"name": "ts", "type": "TIMESTAMP"}, {"name": "d", "type": "DATE"}, {"name": "t", "type": "TIME"},
            {"name": "dt", "type": "DATETIME"}, {"name": "g", "type": "GEOGRAPHY"}, {"name": "n", "type": "NUMERIC"},
            {"name": "np", "type": "NUMERIC", "precision": "10", "scale": "2"}, {"name": "bn", "type": "BIGNUMERIC"},
            {"name": "iv", "type": "INTERVAL"}, {"name": "j", "type": "JSON"},
            {"name": "r", "type": "RANGE", "rangeElementType": {"type": "DATE"}},
            {"name": "a", "type": "STRING", "mode": "REPEATED"},
            {"name": "rec", "type": "STRUCT", "mode": "REPEATED", "fields": [{"name": "x", "type": "INT64"}]},
        ]));
        let checked = checked(&fields).unwrap();
        let said = |fields: &[FieldSchema]| serde_json::to_value(fields).unwrap();
        let mut nullable = said(&checked);
        for field in nullable.as_array_mut().unwrap() {
            // Nobody has said the others.
            let mode = field["mode"].as_str().unwrap_or("NULLABLE").to_owned();
            field["mode"] = mode.into();
            if let Some(below) = field.pointer_mut("/fields/0") {
                below["mode"] = "NULLABLE".into();
            }
        }
        assert_eq!(said(&from_arrow(&to_arrow(&checked))), nullable);
        assert_eq!(said(&checked)[0].get("mode"), None);
        assert_eq!(checked.first().unwrap().mode(), "NULLABLE");
        let kinds: Vec<&str> = checked.iter().map(|f| f.kind.as_str()).collect();
        assert!(kinds.contains(&"INTEGER") && kinds.contains(&"RECORD"));
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        let refused = |fields| checked(&parsed(fields)).unwrap_err().to_string();
        assert!(refused(json!([{"name": "a", "type": "TEXT"}])).contains("TEXT is not a valid"));
        assert!(refused(json!([{"name": "a", "type": "DATE", "mode": "MAYBE"}])).contains("MAYBE"));
        assert!(refused(json!([{"name": "a.b", "type": "DATE"}])).contains("a.b"));
        assert!(
            refused(json!([{"name": "a", "type": "DATE"}, {"name": "A", "type": "DATE"}]))
                .contains("Duplicate")
        );
        assert!(refused(json!([{"name": "a", "type": "RECORD"}])).contains("no schema"));
        assert!(
            refused(json!([{"name": "a", "type": "NUMERIC", "precision": 40, "scale": 2}]))
                .contains("precision 40")
        );
    }

    #[test]
    fn columns_may_be_added_and_relaxed_only() {
        let old = parsed(json!([{"name": "a", "type": "STRING", "mode": "REQUIRED"}]));
        let change = |new| check_change("p:d.t", &old, &parsed(new)).map_err(|e| e.detail);
        assert_eq!(
            change(
                json!([{"name": "a", "type": "STRING", "mode": "NULLABLE"}, {"name": "b", "type": "DATE", "mode": "NULLABLE"}])
            ),
            Ok(())
        );
        for wrong in [
            json!([{"name": "b", "type": "STRING"}]),
            json!([{"name": "a", "type": "DATE", "mode": "REQUIRED"}]),
            json!([{"name": "a", "type": "STRING", "mode": "REPEATED"}]),
            json!([{"name": "a", "type": "STRING"}, {"name": "b", "type": "DATE", "mode": "REQUIRED"}]),
        ] {
            assert!(change(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
