//! Operators that mean something else in BigQuery: division, and arithmetic that must not overflow unseen.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::functions;

/// Plans arithmetic by the types of its operands.
#[derive(Debug)]
pub(super) struct Arithmetic;

impl ExprPlanner for Arithmetic {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let arithmetic = matches!(
            expr.op,
            BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
        );
        if !arithmetic {
            return Ok(PlannerResult::Original(expr));
        }
        let (left, right) = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
        let whole = |t: &DataType| t.is_integer() || t.is_null();
        let decimal =
            |t: &DataType| matches!(t, DataType::Decimal128(_, _) | DataType::Decimal256(_, _));
        let product = matches!(expr.op, BinaryOperator::Multiply | BinaryOperator::Divide);
        if product && (decimal(&left) || decimal(&right)) {
            return plan_err!(
                "the operator {} for {left} and {right} is not supported by this emulator",
                expr.op
            );
        }
        let name = match expr.op {
            BinaryOperator::Divide => "millpond_divide",
            _ if !(whole(&left) && whole(&right)) => return Ok(PlannerResult::Original(expr)),
            BinaryOperator::Plus => "millpond_add",
            BinaryOperator::Minus => "millpond_subtract",
            _ => "millpond_multiply",
        };
        let function =
            ScalarFunction::new_udf(functions::named(name)?, vec![expr.left, expr.right]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(function)))
    }
}

/// The planner's extension for arithmetic.
pub(super) fn planner() -> Arc<dyn ExprPlanner> {
    Arc::new(Arithmetic)
}
