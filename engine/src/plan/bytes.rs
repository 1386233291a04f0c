//! `byte_length(bytes)` and `hex(bytes)`, for columns of bytes, which no built-in function takes as they are.
//!
//! Owns the two functions. Must not know where the bytes come from.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The functions, to be registered.
pub(super) fn byte_functions() -> [ScalarUDF; 2] {
    [Kind::Length, Kind::Hex].map(|kind| {
        ScalarUDF::new_from_impl(ByteFunction {
            kind,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// How many bytes a text or bytes have, as BigQuery's BYTE_LENGTH.
    Length,
    /// Two lower-case hexadecimal digits for each byte, as BigQuery's TO_HEX.
    Hex,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ByteFunction {
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for ByteFunction {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Length => "byte_length",
            Kind::Hex => "hex",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let fits = |data_type: &DataType| match data_type {
            DataType::Dictionary(_, values) => values.is_string() || values.is_binary(),
            other => other.is_string() || other.is_binary() || other.is_null(),
        };
        match given {
            [one] if fits(one) => Ok(vec![DataType::Binary]),
            [one] => Err(DataFusionError::Plan(format!(
                "{} takes bytes or a text, not a value of type {one}",
                self.name()
            ))),
            _ => Err(DataFusionError::Plan(format!(
                "{} takes one argument, not {}",
                self.name(),
                given.len()
            ))),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Length => DataType::Int64,
            Kind::Hex => DataType::Utf8,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let Some(bytes) = arguments.args.into_iter().next() else {
            return Err(DataFusionError::Plan(format!(
                "{} takes one argument",
                self.name()
            )));
        };
        let bytes = cast(&bytes.into_array(rows)?, &DataType::Binary)?;
        let bytes = bytes.as_binary::<i32>();
        let made: ArrayRef = match self.kind {
            Kind::Length => {
                let lengths = bytes
                    .iter()
                    .map(|b| b.and_then(|b| i64::try_from(b.len()).ok()));
                Arc::new(lengths.collect::<Int64Array>())
            }
            Kind::Hex => {
                let mut texts = StringBuilder::with_capacity(bytes.len(), 2 * bytes.values().len());
                for value in bytes {
                    texts.append_option(value.map(hex));
                }
                Arc::new(texts.finish())
            }
        };
        Ok(ColumnarValue::Array(made))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::{BinaryArray, RecordBatch, StringArray};

    use super::*;
    use crate::plan::{DerivedColumns, SqlExpressions};

    fn derive(sql: &str, column: ArrayRef) -> crate::Result<ArrayRef> {
        let batch = RecordBatch::try_from_iter_with_nullable([("b", column, true)]).unwrap();
        let derivations = [("d".to_owned(), sql.to_owned())];
        let compiler = SqlExpressions::try_new()?;
        let all = DerivedColumns::try_new(&derivations, &batch.schema(), &compiler, &|_| true)?;
        Ok(Arc::clone(all.add_to(batch)?.column(1)))
    }

    #[test]
    fn of_bytes_and_texts() {
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![
            Some(&b"\x00\xff"[..]),
            None,
            Some(b""),
        ]));
        let expected: ArrayRef = Arc::new(Int64Array::from(vec![Some(2), None, Some(0)]));
        assert_eq!(
            &derive("byte_length(b)", Arc::clone(&bytes)).unwrap(),
            &expected
        );
        let expected: ArrayRef = Arc::new(StringArray::from(vec![Some("00ff"), None, Some("")]));
        assert_eq!(&derive("hex(b)", bytes).unwrap(), &expected);
        let text: ArrayRef = Arc::new(StringArray::from(vec!["é"]));
        let expected: ArrayRef = Arc::new(Int64Array::from(vec![2]));
        assert_eq!(&derive("byte_length(b)", text).unwrap(), &expected);
        let error = derive("hex(b)", expected).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("hex takes bytes or a text, not a value of type Int64"),
            "{error}"
        );
    }
}
