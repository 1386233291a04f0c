//! Arrays among query parameters as one value each: a function without arguments gives the texts of all elements, and one cast makes
//! them what they are.
//!
//! Written into the query as expressions, every element would be planned.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, ListArray, StringArray, StructArray, new_empty_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ScalarUDF;
use datafusion::sql::sqlparser::ast::Expr;
use serde_json::Value as Json;

use super::{decoded, in_microseconds};
use crate::query::rewrite::build;
use crate::query::script::variables;
use crate::schema::FieldSchema;

/// Whether a parameter is an array that is one value. Ranges are made of two values each.
pub(super) fn is_held(field: &FieldSchema) -> bool {
    fn has_range(field: &FieldSchema) -> bool {
        field.kind == "RANGE" || field.fields.iter().any(has_range)
    }
    field.mode == "REPEATED" && !has_range(field)
}

fn name(index: usize) -> String {
    format!("millpond_parameter_{index}")
}

/// The call that gives the texts of the parameter at `index`.
pub(super) fn call(index: usize) -> Expr {
    build::call(&name(index), Vec::new())
}

/// The function behind [`call`].
pub(super) fn function(index: usize, field: &FieldSchema, value: &Json) -> ScalarUDF {
    let texts = of(field, &[value]);
    let held = Field::new("value", texts.data_type().clone(), true);
    variables::held(
        name(index),
        Arc::new(held),
        ScalarValue::List(Arc::new(texts)),
    )
}

/// Lists of texts, one for every value; a parameter has no null array.
fn of(field: &FieldSchema, values: &[&Json]) -> ListArray {
    let element = FieldSchema {
        mode: "NULLABLE".to_owned(),
        ..field.clone()
    };
    let of_value = |value: &&Json| value["arrayValues"].as_array().map_or(0, Vec::len);
    let offsets = OffsetBuffer::from_lengths(values.iter().map(of_value));
    let elements = values.iter().flat_map(|v| v["arrayValues"].as_array());
    let elements = texts(&element, &elements.flatten().collect::<Vec<_>>());
    let item = Arc::new(Field::new_list_field(elements.data_type().clone(), true));
    match ListArray::try_new(Arc::clone(&item), offsets, elements, None) {
        Ok(lists) => lists,
        // Lengths are those of the elements that were just counted.
        Err(_) => ListArray::new_null(item, values.len()),
    }
}

/// Values of one type in the texts that they came in, bytes as bytes.
fn texts(field: &FieldSchema, values: &[&Json]) -> ArrayRef {
    if field.mode == "REPEATED" {
        return Arc::new(of(field, values));
    }
    match field.kind.as_str() {
        "RECORD" => records(field, values),
        "BYTES" => {
            let bytes = values.iter().map(|v| v["value"].as_str().map(decoded));
            Arc::new(bytes.collect::<BinaryArray>())
        }
        "TIMESTAMP" | "DATETIME" | "TIME" => {
            let texts = values.iter().map(|v| text(v).map(|t| in_microseconds(&t)));
            Arc::new(texts.collect::<StringArray>())
        }
        _ => Arc::new(values.iter().map(|v| text(v)).collect::<StringArray>()),
    }
}

fn text(value: &Json) -> Option<String> {
    match &value["value"] {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Structs; one without any value is null.
fn records(field: &FieldSchema, values: &[&Json]) -> ArrayRef {
    let there = |value: &&Json| {
        let members = value["structValues"].as_object();
        members.is_some_and(|members| !members.is_empty())
    };
    let columns = field.fields.iter().map(|child| {
        let own = values
            .iter()
            .map(|v| &v["structValues"][child.name.as_str()]);
        let column = texts(child, &own.collect::<Vec<_>>());
        let own = Field::new(&child.name, column.data_type().clone(), true);
        (own, column)
    });
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.unzip();
    let nulls = NullBuffer::from_iter(values.iter().map(there));
    let fields = Fields::from(fields);
    match StructArray::try_new_with_length(fields.clone(), columns, Some(nulls), values.len()) {
        Ok(records) => Arc::new(records),
        // Every column has a row for every value.
        Err(_) => new_empty_array(&DataType::Struct(fields)),
    }
}
