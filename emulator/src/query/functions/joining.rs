//! `ARRAY_TO_STRING`: the elements of an array as one text, or one value of BYTES.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::{Call, Function, argument, nullable};

pub(super) fn functions() -> Vec<ScalarUDF> {
    let name = "millpond_array_to_string";
    vec![Function::made(name, &[2, 3], of_elements, joined)]
}

fn of_elements(args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let array = argument(args, 0)?;
    let element = match array.data_type() {
        DataType::List(item) => item.data_type().clone(),
        other => other.clone(),
    };
    let fits = |other: &FieldRef| match other.data_type() {
        DataType::Null => true,
        DataType::Binary => matches!(element, DataType::Binary | DataType::Null),
        DataType::Utf8 => matches!(element, DataType::Utf8 | DataType::Null),
        _ => false,
    };
    let marked = crate::wire::sql_type(array).is_some();
    if marked || !args.arg_fields.iter().skip(1).all(fits) {
        let kinds: Vec<String> = args.arg_fields.iter().map(kind_of).collect();
        return plan_err!(
            "No matching signature for function ARRAY_TO_STRING for argument types: {}",
            kinds.join(", ")
        );
    }
    match element {
        DataType::Utf8 | DataType::Null => nullable(DataType::Utf8),
        DataType::Binary => nullable(DataType::Binary),
        _ => plan_err!(
            "No matching signature for function ARRAY_TO_STRING for argument types: {}, STRING",
            kind_of(array)
        ),
    }
}

fn kind_of(field: &FieldRef) -> String {
    let mut schema = crate::schema::FieldSchema::from_arrow(field);
    schema.kind.make_ascii_uppercase();
    crate::query::sql_types::shown(&schema)
}

fn joined(call: &Call) -> Result<ArrayRef> {
    let bytes = |array: &ArrayRef| -> Result<BinaryArray> {
        Ok(cast(array, &DataType::Binary)?.as_binary::<i32>().clone())
    };
    let Some(lists) = call.array(0)?.as_list_opt::<i32>() else {
        return Ok(arrow::array::new_null_array(
            call.returns.data_type(),
            call.rows,
        ));
    };
    let between = bytes(call.array(1)?)?;
    let missing = match call.arrays.len() {
        3 => Some(bytes(call.array(2)?)?),
        _ => None,
    };
    let mut all: Vec<Option<Vec<u8>>> = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let no_filling = missing.as_ref().is_some_and(|m| m.is_null(row));
        if lists.is_null(row) || between.is_null(row) || no_filling {
            all.push(None);
            continue;
        }
        let elements = bytes(&lists.value(row))?;
        let elements = elements.iter().filter_map(|element| match element {
            None => missing.as_ref().map(|m| m.value(row)),
            some => some,
        });
        let parts: Vec<&[u8]> = elements.collect();
        all.push(Some(parts.join(between.value(row))));
    }
    if *call.returns.data_type() == DataType::Binary {
        let all: BinaryArray = all.iter().map(Option::as_deref).collect();
        return Ok(Arc::new(all));
    }
    let texts = all
        .into_iter()
        .map(|bytes| match bytes.map(String::from_utf8) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => exec_err!("a text is no UTF-8"),
        });
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}
