//! `SAFE.` in front of a function: null where the function fails.

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::PREFIX;

/// What the names of such functions begin with.
pub(in crate::query) const SAFELY: &str = "millpond_safely_";

/// Every function of ours again, as one that does not fail.
pub(super) fn functions(all: &[ScalarUDF]) -> Vec<ScalarUDF> {
    let safe = all.iter().filter_map(|inner| {
        let name = inner.name().strip_prefix(PREFIX)?;
        Some(ScalarUDF::new_from_impl(Safely {
            name: format!("{SAFELY}{name}"),
            signature: inner.signature().clone(),
            inner: inner.clone(),
        }))
    });
    safe.collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Safely {
    name: String,
    signature: Signature,
    inner: ScalarUDF,
}

impl ScalarUDFImpl for Safely {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        Ok(FieldRef::new(field.as_ref().clone().with_nullable(true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Ok(values) = self.inner.invoke_with_args(args.clone()) {
            return Ok(values);
        }
        // Row by row, to find those that fail.
        let rows = args.number_rows;
        let columns = args.args.iter().map(|a| a.to_array(rows));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let one = |row: usize| {
            let arguments = columns
                .iter()
                .map(|c| ColumnarValue::Array(c.slice(row, 1)));
            let value = self.inner.invoke_with_args(ScalarFunctionArgs {
                args: arguments.collect(),
                number_rows: 1,
                ..args.clone()
            });
            value.and_then(|value| value.to_array(1))
        };
        let none = || new_null_array(args.return_field.data_type(), 1);
        let found: Vec<ArrayRef> = (0..rows)
            .map(|row| one(row).unwrap_or_else(|_| none()))
            .collect();
        let found: Vec<&dyn Array> = found.iter().map(AsRef::as_ref).collect();
        if found.is_empty() {
            return Ok(ColumnarValue::Array(new_null_array(
                args.return_field.data_type(),
                0,
            )));
        }
        Ok(ColumnarValue::Array(concat(&found)?))
    }
}
