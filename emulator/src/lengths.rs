//! How long texts and bytes may be that a type bounds: `STRING(10)`, `BYTES(4)`.

use arrow::array::{ArrayRef, AsArray, RecordBatch};

use crate::schema::FieldSchema;

/// A value that is longer than its type allows.
#[derive(Debug, thiserror::Error)]
#[error("{kind}({most}) has maximum length {most} but got a value with length {length}")]
pub(crate) struct TooLong {
    kind: &'static str,
    most: usize,
    length: usize,
}

/// Looks for texts of more characters, and bytes of more bytes.
fn check_values(array: &ArrayRef, most: usize) -> Result<(), TooLong> {
    let check = |kind: &'static str, length: usize| match length > most {
        true => Err(TooLong { kind, most, length }),
        false => Ok(()),
    };
    if let Some(texts) = array.as_string_opt::<i32>() {
        let mut texts = texts.iter().flatten();
        texts.try_for_each(|text| check("STRING", text.chars().count()))
    } else if let Some(all) = array.as_binary_opt::<i32>() {
        let mut all = all.iter().flatten();
        all.try_for_each(|bytes| check("BYTES", bytes.len()))
    } else {
        Ok(())
    }
}

/// Looks through the columns of a batch, and what is within them.
///
/// # Errors
/// [`TooLong`] for the first value that is too long.
pub(crate) fn check(columns: &[FieldSchema], batch: &RecordBatch) -> Result<(), TooLong> {
    let bounded = columns.iter().filter(|column| is_bounded(column));
    for column in bounded {
        let found = crate::projection::find(batch.schema_ref().fields(), &column.name);
        if let Some(array) = found.and_then(|(index, _)| batch.columns().get(index)) {
            check_column(column, array)?;
        }
    }
    Ok(())
}

/// Whether a type bounds anything in it.
pub(crate) fn is_bounded(column: &FieldSchema) -> bool {
    column.number("maxLength").is_some() || column.fields.iter().any(is_bounded)
}

/// Looks through the values of one column.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_column(column: &FieldSchema, array: &ArrayRef) -> Result<(), TooLong> {
    if let Some(lists) = array.as_list_opt::<i32>() {
        return check_column(column, lists.values());
    }
    if let Some(record) = array.as_struct_opt() {
        let fields = column.fields.iter().filter(|field| is_bounded(field));
        for field in fields {
            let found = crate::projection::find(record.fields(), &field.name);
            if let Some(own) = found.and_then(|(index, _)| record.columns().get(index)) {
                check_column(field, own)?;
            }
        }
        return Ok(());
    }
    let most = column.number("maxLength");
    match most.and_then(|most| usize::try_from(most).ok()) {
        Some(most) => check_values(array, most),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow::array::{ListArray, StringArray, StructArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{DataType, Field};
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_as_long_as_their_types_allow() {
        let columns: Vec<FieldSchema> = serde_json::from_value(json!([
            {"name": "s", "type": "RECORD", "fields": [
                {"name": "t", "type": "STRING", "maxLength": "2"}, {"name": "u", "type": "STRING"},
            ]},
            {"name": "l", "type": "STRING", "mode": "REPEATED", "maxLength": "3"},
        ]))
        .unwrap();
        let batch = |t: &str, element: &str| {
            let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
            let field = |name: &str| Arc::new(Field::new(name, DataType::Utf8, true));
            let record =
                StructArray::from(vec![(field("t"), text(t)), (field("u"), text("longer"))]);
            let list = ListArray::new(
                field("item"),
                OffsetBuffer::from_lengths([1]),
                text(element),
                None,
            );
            RecordBatch::try_from_iter([
                ("S", Arc::new(record) as ArrayRef),
                ("l", Arc::new(list) as ArrayRef),
            ])
            .unwrap()
        };
        assert!(check(&columns, &batch("äö", "abc")).is_ok());
        let said = check(&columns, &batch("abc", "abc"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            said,
            "STRING(2) has maximum length 2 but got a value with length 3"
        );
        let said = check(&columns, &batch("ab", "abcd"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            said,
            "STRING(3) has maximum length 3 but got a value with length 4"
        );
    }
}
