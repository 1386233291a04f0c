//! Arrays of SQL out of arrays of JSON.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};
use serde_json::Value;

use super::members::{lax_bool, lax_float, lax_integer, lax_text, whole};
use super::{Call, Function, nullable};

/// What becomes of elements of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    Fail,
    BecomeNull,
}

macro_rules! lists {
    ($call:expr, $builder:expr, $kind:expr, $others:expr, $one:expr) => {{
        let mut lists = ListBuilder::new($builder);
        for row in documents($call)? {
            match row {
                None | Some(Value::Null) => lists.append_null(),
                Some(Value::Array(all)) => {
                    for element in &all {
                        match $one(element) {
                            None if $others == Others::Fail => return refused(element, $kind),
                            found => lists.values().append_option(found),
                        }
                    }
                    lists.append(true);
                }
                Some(_) if $others == Others::BecomeNull => lists.append_null(),
                Some(other) => return refused(&other, $kind),
            }
        }
        Ok(Arc::new(lists.finish()) as ArrayRef)
    }};
}

pub(super) fn functions() -> Vec<ScalarUDF> {
    let text = |_: &ReturnFieldArgs<'_>| nullable(DataType::new_list(DataType::Utf8, true));
    let whole_numbers =
        |_: &ReturnFieldArgs<'_>| nullable(DataType::new_list(DataType::Int64, true));
    let floats = |_: &ReturnFieldArgs<'_>| nullable(DataType::new_list(DataType::Float64, true));
    let flags = |_: &ReturnFieldArgs<'_>| nullable(DataType::new_list(DataType::Boolean, true));
    vec![
        Function::made("millpond_json_text_array", &[1], text, |call| {
            lists!(
                call,
                StringBuilder::new(),
                "STRING",
                Others::Fail,
                |v: &Value| v.as_str().map(str::to_owned)
            )
        }),
        Function::made("millpond_json_lax_text_array", &[1], text, |call| {
            lists!(
                call,
                StringBuilder::new(),
                "STRING",
                Others::BecomeNull,
                lax_text
            )
        }),
        Function::made("millpond_json_integer_array", &[1], whole_numbers, |call| {
            lists!(call, Int64Builder::new(), "INT64", Others::Fail, whole)
        }),
        Function::made(
            "millpond_json_lax_integer_array",
            &[1],
            whole_numbers,
            |call| {
                lists!(
                    call,
                    Int64Builder::new(),
                    "INT64",
                    Others::BecomeNull,
                    lax_integer
                )
            },
        ),
        Function::made("millpond_json_float_array", &[1], floats, |call| {
            lists!(
                call,
                Float64Builder::new(),
                "FLOAT64",
                Others::Fail,
                Value::as_f64
            )
        }),
        Function::made("millpond_json_lax_float_array", &[1], floats, |call| {
            lists!(
                call,
                Float64Builder::new(),
                "FLOAT64",
                Others::BecomeNull,
                lax_float
            )
        }),
        Function::made("millpond_json_bool_array", &[1], flags, |call| {
            lists!(
                call,
                BooleanBuilder::new(),
                "BOOL",
                Others::Fail,
                Value::as_bool
            )
        }),
        Function::made("millpond_json_lax_bool_array", &[1], flags, |call| {
            lists!(
                call,
                BooleanBuilder::new(),
                "BOOL",
                Others::BecomeNull,
                lax_bool
            )
        }),
    ]
}

fn documents(call: &Call) -> Result<Vec<Option<Value>>> {
    let read = |text: &str| {
        serde_json::from_str(text).map_err(|e| exec_datafusion_err!("invalid JSON: {e}"))
    };
    super::each(&call.texts(0)?, read)
}

fn refused(value: &Value, kind: &str) -> Result<ArrayRef> {
    exec_err!("The provided JSON input is not {kind}: {value}")
}
