//! What to write for columns of types that cannot be used as they are.
//!
//! Owns BigQuery's names of types and the SQL that makes usable values of them. Must not know recipes or plans.

use arrow::datatypes::{DataType, Field, TimeUnit};

/// Metadata under which BigQuery notes a type that the Arrow type does not tell, and what stands before its name.
const EXTENSION: (&str, &str) = ("ARROW:extension:name", "google:sqlType:");

/// Names of columns that SQL takes for something else.
const RESERVED: [&str; 17] = [
    "all", "array", "case", "cast", "distinct", "end", "from", "group", "in", "interval", "is",
    "limit", "not", "order", "select", "when", "where",
];

/// BigQuery's name of the type of `field`, or Arrow's where BigQuery has no such type.
pub(crate) fn type_name(field: &Field) -> String {
    if let Some(noted) = noted(field) {
        let noted = noted.to_ascii_uppercase();
        return match field.data_type() {
            DataType::List(_) => format!("ARRAY<{noted}>"),
            DataType::Struct(ends) => match ends.first() {
                Some(start) => format!("{noted}<{}>", plain_name(start.data_type())),
                None => noted,
            },
            _ => noted,
        };
    }
    plain_name(field.data_type())
}

fn noted(field: &Field) -> Option<&str> {
    let (key, prefix) = EXTENSION;
    field.metadata().get(key)?.strip_prefix(prefix)
}

fn plain_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOL".to_owned(),
        DataType::Int64 => "INT64".to_owned(),
        DataType::Float64 => "FLOAT64".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".to_owned(),
        DataType::Dictionary(_, values) => plain_name(values),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTES".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Time64(TimeUnit::Microsecond) => "TIME".to_owned(),
        DataType::Timestamp(_, None) => "DATETIME".to_owned(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP".to_owned(),
        DataType::Decimal128(38, 9) => "NUMERIC".to_owned(),
        DataType::Decimal128(precision, scale) => format!("NUMERIC({precision}, {scale})"),
        DataType::Decimal256(76, 38) => "BIGNUMERIC".to_owned(),
        DataType::Decimal256(precision, scale) => format!("BIGNUMERIC({precision}, {scale})"),
        DataType::Interval(_) => "INTERVAL".to_owned(),
        DataType::List(item) | DataType::LargeList(item) => format!("ARRAY<{}>", type_name(item)),
        DataType::Struct(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|f| format!("{} {}", f.name(), type_name(f)))
                .collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// What to write instead of the column `field`: a path, or an expression under `derive`. Nothing for types that are used as
/// they are by some step.
pub(crate) fn instead(field: &Field) -> Option<String> {
    let name = field.name();
    let column = in_sql(name);
    let json = noted(field) == Some("json");
    Some(match field.data_type() {
        DataType::Struct(fields) => {
            let inside = fields.first().map_or("field", |f| f.name().as_str());
            format!("name what is inside of it, such as {name}.{inside}")
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            format!("derive a number or an element, such as array_length({column}) or {column}[1]")
        }
        DataType::Interval(_) => format!(
            "months have no fixed length: derive parts of it, such as date_part('day', {column})"
        ),
        DataType::Time32(_) | DataType::Time64(_) => {
            format!("derive parts of it, such as date_part('hour', {column})")
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            format!("derive its length, byte_length({column}), or its text, hex({column})")
        }
        data_type if json && data_type.is_string() => {
            format!("derive a value of it, such as CAST(json_value({column}, '$.name') AS DOUBLE)")
        }
        _ => return None,
    })
}

/// The name of a column as SQL wants it.
fn in_sql(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let is_word_of_sql = RESERVED.contains(&name.to_ascii_lowercase().as_str());
    if name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) && !is_word_of_sql
    {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// Whether values of the type can be written to the files that come out: everything but intervals, wherever they are inside.
pub(crate) fn is_writable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Interval(_) => false,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            is_writable(item.data_type())
        }
        DataType::Map(entries, _) => is_writable(entries.data_type()),
        DataType::Struct(fields) => fields.iter().all(|f| is_writable(f.data_type())),
        DataType::Dictionary(_, values) => is_writable(values),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use arrow::datatypes::IntervalUnit;

    use super::*;

    fn noting(field: Field, name: &str) -> Field {
        let (key, prefix) = EXTENSION;
        field.with_metadata([(key.to_owned(), format!("{prefix}{name}"))].into())
    }

    fn list(item: DataType) -> DataType {
        DataType::List(Arc::new(Field::new("item", item, true)))
    }

    #[test]
    fn types_have_bigquery_s_names() {
        let interval = DataType::Interval(IntervalUnit::MonthDayNano);
        let day = DataType::Struct(
            vec![
                Field::new("start", DataType::Date32, true),
                Field::new("end", DataType::Date32, true),
            ]
            .into(),
        );
        let place = DataType::Struct(
            vec![
                Field::new("n", DataType::Int64, true),
                noting(Field::new("at", DataType::Utf8, true), "geography"),
                Field::new("tags", list(DataType::Utf8), false),
            ]
            .into(),
        );
        for (field, name) in [
            (Field::new("x", DataType::Int64, true), "INT64"),
            (
                noting(Field::new("x", DataType::Utf8, true), "json"),
                "JSON",
            ),
            (
                noting(Field::new("x", list(DataType::Utf8), true), "json"),
                "ARRAY<JSON>",
            ),
            (noting(Field::new("x", day, true), "range"), "RANGE<DATE>"),
            (
                Field::new("x", list(interval.clone()), true),
                "ARRAY<INTERVAL>",
            ),
            (
                Field::new("x", place, true),
                "STRUCT<n INT64, at GEOGRAPHY, tags ARRAY<STRING>>",
            ),
            (
                Field::new("x", DataType::Decimal128(10, 2), true),
                "NUMERIC(10, 2)",
            ),
            (
                Field::new("x", DataType::Decimal256(76, 38), true),
                "BIGNUMERIC",
            ),
            (Field::new("x", DataType::UInt8, true), "UInt8"),
        ] {
            assert_eq!(type_name(&field), name);
        }
        assert!(!is_writable(&list(interval)));
        assert!(is_writable(&list(DataType::Binary)));
    }

    #[test]
    fn advice_is_sql_for_the_very_column() {
        let field = Field::new("my time", DataType::Time64(TimeUnit::Microsecond), true);
        assert_eq!(
            instead(&field).unwrap(),
            "derive parts of it, such as date_part('hour', \"my time\")"
        );
        let field = Field::new("user.tags", list(DataType::Utf8), true);
        assert!(instead(&field).unwrap().contains("array_length(user.tags)"));
        assert_eq!(instead(&Field::new("x", DataType::Int64, true)), None);
        assert_eq!(in_sql("interval"), "\"interval\"");
    }
}
