//! Query parameters: literals that arrive beside the text.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use datafusion::logical_expr::ScalarUDF;
use datafusion::sql::sqlparser::ast::{Array, Expr, Value};
use serde_json::Value as Json;

use crate::query::rewrite::build;
use crate::query::sql_types::{plain, range, unnamed};
use crate::query::{QueryError, unsupported};
use crate::schema::FieldSchema;

mod lists;

/// How an array among the parameters is written into a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrays {
    /// As one value, which the planner of the statement knows by a name.
    Held,
    /// Element by element, where the text of the statement is kept.
    Written,
}

/// The functions that give the arrays among parameters.
pub(in crate::query) fn functions(
    parameters: &[Parameter],
) -> impl Iterator<Item = ScalarUDF> + '_ {
    let all = parameters.iter().enumerate();
    let held = all.filter(|(_, given)| lists::is_held(&given.field));
    held.map(|(index, given)| lists::function(index, &given.field, &given.value))
}

/// One parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameter {
    /// Empty for a positional one.
    pub name: String,
    /// Its type as a column.
    pub field: FieldSchema,
    /// The value in the REST form; null when there is none.
    pub value: Json,
}

impl Parameter {
    /// Reads `queryParameters`.
    ///
    /// # Errors
    /// [`QueryError::Unsupported`] for a type that is not one of BigQuery's.
    pub fn read(list: &Json) -> Result<Vec<Self>, QueryError> {
        let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter()
            .map(|parameter| {
                Ok(Self {
                    name: parameter["name"].as_str().unwrap_or_default().to_owned(),
                    field: field_of("value", &parameter["parameterType"])?,
                    value: parameter["parameterValue"].clone(),
                })
            })
            .collect()
    }

    /// The expression that stands for it, which is the parameter at `index`, or for the part of it that `path` leads to.
    pub fn literal(&self, index: usize, path: &[String], arrays: Arrays) -> Option<Expr> {
        if path.is_empty() && arrays == Arrays::Held && lists::is_held(&self.field) {
            return Some(build::cast(lists::call(index), &self.field));
        }
        let (mut field, mut value) = (&self.field, &self.value);
        for step in path {
            field = field
                .fields
                .iter()
                .find(|f| f.name.eq_ignore_ascii_case(step))?;
            value = &value["structValues"][field.name.as_str()];
        }
        Some(literal(field, value))
    }
}

fn field_of(name: &str, described: &Json) -> Result<FieldSchema, QueryError> {
    let kind = described["type"].as_str().unwrap_or("STRING");
    match kind.to_ascii_uppercase().as_str() {
        "ARRAY" => {
            let mut field = field_of(name, &described["arrayType"])?;
            if field.mode == "REPEATED" {
                return Err(unsupported("a query parameter that is an array of arrays"));
            }
            "REPEATED".clone_into(&mut field.mode);
            Ok(field)
        }
        "STRUCT" | "RECORD" => {
            let members = described["structTypes"].as_array();
            let mut field = plain(name, "RECORD");
            for (index, member) in members.into_iter().flatten().enumerate() {
                let name = member["name"].as_str().filter(|n| !n.is_empty());
                let name = name.map_or_else(|| unnamed(index), str::to_owned);
                field.fields.push(field_of(&name, &member["type"])?);
            }
            Ok(field)
        }
        "RANGE" => {
            let element = described["rangeElementType"]["type"].as_str();
            Ok(range(name, element.unwrap_or("DATE")))
        }
        _ => {
            let field = plain(name, kind);
            crate::schema::checked(std::slice::from_ref(&field))
                .ok()
                .and_then(|checked| checked.into_iter().next())
                .ok_or_else(|| unsupported(format!("a query parameter of type {kind}")))
        }
    }
}

fn literal(field: &FieldSchema, value: &Json) -> Expr {
    if field.mode == "REPEATED" {
        let element = FieldSchema {
            mode: "NULLABLE".to_owned(),
            ..field.clone()
        };
        // A parameter has no null array.
        let values = value["arrayValues"].as_array();
        let elements: Vec<Expr> = values
            .into_iter()
            .flatten()
            .map(|v| literal(&element, v))
            .collect();
        if elements.is_empty() {
            let none = Expr::Array(Array {
                elem: vec![literal(&element, &Json::Null)],
                named: false,
            });
            // An empty array has its type from an array that is not.
            return build::call("array_resize", vec![none, build::number(0)]);
        }
        return Expr::Array(Array {
            elem: elements,
            named: false,
        });
    }
    match field.kind.as_str() {
        // A struct without any value is null.
        "RECORD"
            if value["structValues"]
                .as_object()
                .is_none_or(|v| v.is_empty()) =>
        {
            build::cast(Expr::Value(Value::Null.into()), field)
        }
        "RECORD" => {
            let members = field.fields.iter().flat_map(|child| {
                let value = &value["structValues"][child.name.as_str()];
                [build::text(&child.name), literal(child, value)]
            });
            build::call("named_struct", members.collect())
        }
        "RANGE" => {
            let end = |key: &str| {
                let end = match value["rangeValue"][key]["value"].as_str() {
                    None | Some("UNBOUNDED") => Expr::Value(Value::Null.into()),
                    Some(text) => build::text(text),
                };
                let kind = field.range_element_type.as_ref().map(|e| e.kind.as_str());
                build::cast(end, &plain("value", kind.unwrap_or("DATE")))
            };
            build::call("millpond_range", vec![end("start"), end("end")])
        }
        "BYTES" => {
            let encoded = value["value"].as_str();
            encoded.map_or_else(build::null, |encoded| build::bytes(&decoded(encoded)))
        }
        "TIMESTAMP" | "DATETIME" | "TIME" => match value["value"].as_str() {
            Some(text) => build::cast(build::text(&in_microseconds(text)), field),
            None => build::cast(scalar(value), field),
        },
        _ => build::cast(scalar(value), field),
    }
}

/// A time whose fraction has no zeros beyond microseconds: clients that count nanoseconds write nine digits.
fn in_microseconds(text: &str) -> String {
    let Some((before, after)) = text.split_once('.') else {
        return text.to_owned();
    };
    let end = after.find(|c: char| !c.is_ascii_digit());
    let (fraction, rest) = after.split_at(end.unwrap_or(after.len()));
    match fraction.split_at_checked(6) {
        Some((micros, zeros)) if zeros.bytes().all(|digit| digit == b'0') => {
            format!("{before}.{micros}{rest}")
        }
        _ => text.to_owned(),
    }
}

/// Bytes of base64, in either of its alphabets, with or without padding.
fn decoded(encoded: &str) -> Vec<u8> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
    let plain = encoded.replace('-', "+").replace('_', "/");
    engine.decode(plain.trim()).unwrap_or_default()
}

fn scalar(value: &Json) -> Expr {
    match &value["value"] {
        Json::Null => Expr::Value(Value::Null.into()),
        Json::String(text) => build::text(text),
        other => build::text(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_beyond_microseconds_are_no_precision() {
        for (given, read) in [
            (
                "2020-02-29T01:02:03.000004000Z",
                "2020-02-29T01:02:03.000004Z",
            ),
            ("01:02:03.100000000", "01:02:03.100000"),
            (
                "2020-02-29 01:02:03.0000040+01:00",
                "2020-02-29 01:02:03.000004+01:00",
            ),
            ("2020-02-29 01:02:03.5", "2020-02-29 01:02:03.5"),
            ("2020-02-29 01:02:03", "2020-02-29 01:02:03"),
            // What would be lost is for the cast to refuse.
            (
                "2020-02-29 01:02:03.000004001",
                "2020-02-29 01:02:03.000004001",
            ),
        ] {
            assert_eq!(in_microseconds(given), read);
        }
    }
}
