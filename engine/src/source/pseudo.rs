//! Columns that rows can be chosen by although the table does not hold them, such as the rest of a table's name in a wildcard.
//!
//! They can be named in `where` and `derive`, and are no part of "all columns".

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// Marks such a column in a source's schema.
const PSEUDO: &str = "millpond:pseudo";

/// A column of text that every row has a value of.
pub(crate) fn text(name: &str) -> Field {
    let mark = HashMap::from([(PSEUDO.to_owned(), "true".to_owned())]);
    Field::new(name, DataType::Utf8, false).with_metadata(mark)
}

/// The columns that the table holds.
pub(crate) fn without_pseudo(schema: &SchemaRef) -> SchemaRef {
    let held = |field: &Field| !field.metadata().contains_key(PSEUDO);
    if schema.fields().iter().all(|f| held(f)) {
        return Arc::clone(schema);
    }
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .filter(|f| held(f))
        .cloned()
        .collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}
