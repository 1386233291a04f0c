//! Operators that mean something else in BigQuery: division, arithmetic that must not overflow unseen, and comparisons of floats,
//! where nothing equals NaN and minus zero equals zero.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::functions;

/// Plans operators by the types of their operands.
#[derive(Debug)]
pub(super) struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let (left, right) = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
        for (operand, kind) in [(&expr.left, &left), (&expr.right, &right)] {
            // Those of columns may be longer than the planner can count.
            let literal = matches!(operand, Expr::Literal(_, _));
            if matches!(kind, DataType::Interval(_)) && !literal {
                let op = &expr.op;
                return plan_err!(
                    "the operator {op} for values of the type INTERVAL is not supported by this emulator"
                );
            }
        }
        let name = match &expr.op {
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide => arithmetic(&expr.op, &left, &right)?,
            BinaryOperator::Modulo => {
                let decimals = decimal(&left) || decimal(&right);
                decimals.then_some("millpond_decimal_mod")
            }
            op => comparison(op, &left, &right)?,
        };
        let Some(name) = name else {
            return Ok(PlannerResult::Original(expr));
        };
        let function =
            ScalarFunction::new_udf(functions::named(name)?, vec![expr.left, expr.right]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(function)))
    }
}

fn whole(t: &DataType) -> bool {
    t.is_integer() || t.is_null()
}

fn decimal(t: &DataType) -> bool {
    matches!(t, DataType::Decimal128(_, _) | DataType::Decimal256(_, _))
}

fn arithmetic(
    op: &BinaryOperator,
    left: &DataType,
    right: &DataType,
) -> Result<Option<&'static str>> {
    let number = |t: &DataType| whole(t) || decimal(t) || t.is_floating();
    if !number(left) || !number(right) {
        // Dates, times and intervals.
        return Ok(None);
    }
    let floats = left.is_floating() || right.is_floating();
    let decimals = !floats && (decimal(left) || decimal(right));
    Ok(Some(match op {
        BinaryOperator::Plus if decimals => "millpond_decimal_add",
        BinaryOperator::Minus if decimals => "millpond_decimal_subtract",
        BinaryOperator::Multiply if decimals => "millpond_decimal_multiply",
        BinaryOperator::Divide if decimals => "millpond_decimal_divide",
        BinaryOperator::Plus if floats => "millpond_float_add",
        BinaryOperator::Minus if floats => "millpond_float_subtract",
        BinaryOperator::Multiply if floats => "millpond_float_multiply",
        BinaryOperator::Plus => "millpond_add",
        BinaryOperator::Minus => "millpond_subtract",
        BinaryOperator::Multiply => "millpond_multiply",
        _ => "millpond_divide",
    }))
}

fn comparison(
    op: &BinaryOperator,
    left: &DataType,
    right: &DataType,
) -> Result<Option<&'static str>> {
    let name = match op {
        BinaryOperator::Eq => "millpond_float_eq",
        BinaryOperator::NotEq => "millpond_float_not_eq",
        BinaryOperator::Lt => "millpond_float_less",
        BinaryOperator::LtEq => "millpond_float_less_eq",
        BinaryOperator::Gt => "millpond_float_greater",
        BinaryOperator::GtEq => "millpond_float_greater_eq",
        _ => return Ok(None),
    };
    let interval = |t: &DataType| matches!(t, DataType::Interval(_));
    if interval(left) || interval(right) {
        return plan_err!("the operator {op} for INTERVAL is not supported by this emulator");
    }
    let floats = left.is_floating() && (right.is_numeric() || right.is_null())
        || right.is_floating() && (left.is_numeric() || left.is_null());
    Ok(floats.then_some(name))
}

/// The planner's extension for operators.
pub(super) fn planner() -> Arc<dyn ExprPlanner> {
    Arc::new(Operators)
}
