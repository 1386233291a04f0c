//! The seam through which SQL expressions enter a recipe. Owns the traits; must not know any SQL engine.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field};
use thiserror::Error;

/// Turns SQL text over one column into something that can be evaluated.
pub trait ExpressionCompiler {
    /// Compiles `sql`, in which the column goes by its own name or by `x`.
    ///
    /// The expression must be row-wise: the value of a row may depend on that row alone.
    ///
    /// # Errors
    /// When the text does not parse, does not type-check, or needs more than this column.
    fn compile(
        &self,
        sql: &str,
        input: &Field,
    ) -> Result<Arc<dyn ColumnExpression>, ExpressionError>;
}

/// A compiled expression over one column.
pub trait ColumnExpression: fmt::Debug + Send + Sync {
    /// Type of the result.
    fn output_type(&self) -> &DataType;

    /// Evaluates the expression; the result has as many rows as the input and the type of [`Self::output_type`].
    ///
    /// # Errors
    /// When a value cannot be computed.
    fn evaluate(&self, values: &ArrayRef) -> Result<ArrayRef, ExpressionError>;
}

/// Why an expression was refused or failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExpressionError {
    /// No SQL engine stands behind the compiler.
    #[error("sql expression `{expression}` cannot be used here: no sql engine is attached")]
    NoEngine {
        /// The SQL text.
        expression: String,
    },
    /// The text is not a valid expression over the column.
    #[error("sql expression `{expression}` is not valid")]
    Compile {
        /// The SQL text.
        expression: String,
        /// The engine's reason.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The evaluation failed.
    #[error("sql expression `{expression}` failed")]
    Evaluate {
        /// The SQL text.
        expression: String,
        /// The engine's reason.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The result does not have one row per input row, or not the announced type.
    #[error(
        "sql expression `{expression}` returned {rows} rows of type {data_type} for {expected_rows} rows of type {expected_type}"
    )]
    Shape {
        /// The SQL text.
        expression: String,
        /// Rows returned.
        rows: usize,
        /// Type returned.
        data_type: DataType,
        /// Rows given.
        expected_rows: usize,
        /// Type announced.
        expected_type: DataType,
    },
}

/// A compiler that refuses every expression, for callers without a SQL engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoExpressions;

impl ExpressionCompiler for NoExpressions {
    fn compile(
        &self,
        sql: &str,
        _input: &Field,
    ) -> Result<Arc<dyn ColumnExpression>, ExpressionError> {
        Err(ExpressionError::NoEngine {
            expression: sql.to_owned(),
        })
    }
}
