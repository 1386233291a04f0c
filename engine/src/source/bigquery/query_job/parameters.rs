//! Values of query parameters, from a recipe's to the service's.
//!
//! Owns what type a value written without one has. Must not know queries.

use std::collections::BTreeMap;

use google_cloud_bigquery_v2::model::{QueryParameter, QueryParameterType, QueryParameterValue};
use serde_json::Value;

use crate::error::{Error, Result};

/// Types that can be named outright. Their values are written as the service writes them.
const NAMED: [&str; 12] = [
    "BIGNUMERIC",
    "BOOL",
    "BYTES",
    "DATE",
    "DATETIME",
    "FLOAT64",
    "INT64",
    "JSON",
    "NUMERIC",
    "STRING",
    "TIME",
    "TIMESTAMP",
];

/// Named parameters with the types their values have: text is STRING, whole numbers are INT64, others FLOAT64, lists are ARRAY,
/// and `{type: DATE, value: "2026-01-31"}` says another.
///
/// # Errors
/// Config for names that are none and values without a type.
pub(in crate::source::bigquery) fn parameters(
    written: &BTreeMap<String, Value>,
) -> Result<Vec<QueryParameter>> {
    written
        .iter()
        .map(|(name, value)| {
            if !is_name(name) {
                return Err(Error::config(format!(
                    "parameters: {name:?} is not a parameter name"
                )));
            }
            let (kind, value) = typed(name, value)?;
            Ok(QueryParameter::new()
                .set_name(name)
                .set_parameter_type(kind)
                .set_parameter_value(value))
        })
        .collect()
}

fn is_name(name: &str) -> bool {
    let first = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && name.len() <= 128 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn typed(name: &str, value: &Value) -> Result<(QueryParameterType, QueryParameterValue)> {
    let wrong = |why: &str| {
        Error::config(format!(
            "parameters.{name}: {why}; write a text, a number, true, false, a list of one of them, or {{type: DATE, value: \"2026-01-31\"}}"
        ))
    };
    let single = |kind: &str, text: String| {
        (
            QueryParameterType::new().set_type(kind),
            QueryParameterValue::new().set_value(text),
        )
    };
    Ok(match value {
        Value::String(text) => single("STRING", text.clone()),
        Value::Bool(value) => single("BOOL", value.to_string()),
        Value::Number(n) if n.is_i64() => single("INT64", n.to_string()),
        Value::Number(n) => single("FLOAT64", n.to_string()),
        Value::Array(values) => {
            let all = values
                .iter()
                .map(|v| match v {
                    Value::Array(_) => Err(wrong("a list holds a list")),
                    other => typed(name, other),
                })
                .collect::<Result<Vec<_>>>()?;
            let Some((kind, _)) = all.first().cloned() else {
                return Err(wrong("an empty list has no type"));
            };
            if all.iter().any(|(other, _)| *other != kind) {
                return Err(wrong("a list holds values of different types"));
            }
            (
                QueryParameterType::new()
                    .set_type("ARRAY")
                    .set_array_type(kind),
                QueryParameterValue::new().set_array_values(all.into_iter().map(|(_, v)| v)),
            )
        }
        Value::Object(members) => {
            let kind = members.get("type").and_then(Value::as_str);
            let kind = kind.map(str::to_ascii_uppercase).unwrap_or_default();
            let known = NAMED.contains(&kind.as_str());
            if !known || members.keys().any(|k| k != "type" && k != "value") {
                return Err(wrong("the map names no type that is known"));
            }
            let text = match members.get("value") {
                Some(Value::String(text)) => Some(text.clone()),
                Some(other @ (Value::Number(_) | Value::Bool(_))) => Some(other.to_string()),
                None | Some(Value::Null) => None,
                Some(_) => return Err(wrong("the value is a list or a map")),
            };
            let value = QueryParameterValue::new().set_or_clear_value(text);
            (QueryParameterType::new().set_type(kind), value)
        }
        Value::Null => return Err(wrong("a null has no type")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<(QueryParameterType, QueryParameterValue)> {
        typed("p", &value)
    }

    #[test]
    fn values_bring_their_types() {
        for (value, kind, text) in [
            (json!("a'b"), "STRING", "a'b"),
            (json!(-3), "INT64", "-3"),
            (json!(2.5), "FLOAT64", "2.5"),
            (json!(true), "BOOL", "true"),
            (
                json!({"type": "date", "value": "2026-01-31"}),
                "DATE",
                "2026-01-31",
            ),
            (json!({"type": "NUMERIC", "value": 1.5}), "NUMERIC", "1.5"),
        ] {
            let (found, held) = read(value).unwrap();
            assert_eq!(found.r#type, kind);
            assert_eq!(held.value.unwrap(), text);
        }
        let (kind, value) = read(json!(["a", "b"])).unwrap();
        assert_eq!(kind.r#type, "ARRAY");
        assert_eq!(kind.array_type.unwrap().r#type, "STRING");
        assert_eq!(value.array_values.len(), 2);
        assert!(read(json!({"type": "DATE"})).unwrap().1.value.is_none());
    }

    #[test]
    fn what_has_no_type_is_refused_by_name() {
        for value in [
            json!(null),
            json!([]),
            json!([1, "a"]),
            json!([[1]]),
            json!({"type": "STRUCT", "value": "x"}),
            json!({"value": "x"}),
            json!({"type": "DATE", "value": [1]}),
        ] {
            let error = read(value).unwrap_err();
            assert!(error.to_string().contains("parameters.p"), "{error}");
        }
        let bad = BTreeMap::from([("a-b".to_owned(), json!(1))]);
        assert!(parameters(&bad).is_err());
    }
}
