//! Operators that mean something else in BigQuery: division, arithmetic that must not overflow unseen, and comparisons of floats,
//! where nothing equals NaN and minus zero equals zero.

use std::sync::Arc;

use arrow::datatypes::{DataType, Fields};
use datafusion::common::{DFSchema, DataFusionError, Result, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::query::functions;
use crate::wire;

/// Plans operators by the types of their operands.
#[derive(Debug)]
pub(in crate::query) struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let kind =
            |e: &Expr| Ok::<_, DataFusionError>(functions::field(e, schema)?.data_type().clone());
        let (left, right) = (kind(&expr.left)?, kind(&expr.right)?);
        if interval(&left) || interval(&right) {
            return with_interval(expr, &left, &right);
        }
        let between = matches!(expr.op, BinaryOperator::Minus) && timed(&left) && timed(&right);
        if between {
            return called("millpond_time_between", vec![expr.left, expr.right]);
        }
        let name = match &expr.op {
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide => arithmetic(&expr, schema, (&left, &right))?,
            BinaryOperator::Modulo => {
                let decimals = decimal(&left) || decimal(&right);
                decimals.then_some("millpond_decimal_mod")
            }
            BinaryOperator::StringConcat => {
                check_concatenation(&expr, schema)?;
                match (&left, &right) {
                    (DataType::Null, DataType::Null) => None,
                    (DataType::List(_), _) | (_, DataType::List(_)) => {
                        let arrays = functions::marks::arrays();
                        let call = vec![expr.left, expr.right];
                        let call = ScalarFunction::new_udf(Arc::new(arrays), call);
                        return Ok(PlannerResult::Planned(Expr::ScalarFunction(call)));
                    }
                    _ => Some("millpond_concat"),
                }
            }
            BinaryOperator::BitwiseAnd if left == DataType::Binary => Some("millpond_bit_and"),
            BinaryOperator::BitwiseOr if left == DataType::Binary => Some("millpond_bit_or"),
            op => {
                check_signature(op, &expr, schema)?;
                if matches!(op, BinaryOperator::Eq | BinaryOperator::NotEq)
                    && let (DataType::Struct(own), DataType::Struct(theirs)) = (&left, &right)
                    && own.len() == theirs.len()
                    && !own.is_empty()
                {
                    return self.structs(&expr, (own, theirs), schema);
                }
                comparison(op, &left, &right)?
            }
        };
        let Some(name) = name else {
            return Ok(PlannerResult::Original(expr));
        };
        let call = functions::called(name, (expr.left, expr.right), schema)?;
        Ok(PlannerResult::Planned(call))
    }

    fn plan_array_literal(
        &self,
        exprs: Vec<Expr>,
        _: &DFSchema,
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let array = Arc::new(functions::marks::array());
        let call = ScalarFunction::new_udf(array, exprs);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }
}

/// Refuses to put anything behind each other but a text and what can be one, two values of BYTES, or two arrays.
fn check_concatenation(expr: &RawBinaryExpr, schema: &DFSchema) -> Result<()> {
    let (left, right) = (kind_of(&expr.left, schema)?, kind_of(&expr.right, schema)?);
    let known = |kind| matches!(kind, "BYTES" | "ARRAY" | "NULL");
    let texts = |kind| !matches!(kind, "BYTES" | "ARRAY" | "STRUCT" | "JSON" | "GEOGRAPHY");
    let text = (left == "STRING" || right == "STRING") && texts(left) && texts(right);
    let same = known(left) && known(right) && (left == right || left == "NULL" || right == "NULL");
    if text || same {
        return Ok(());
    }
    plan_err!("No matching signature for operator || for argument types: {left}, {right}")
}

/// What the service calls a type, as far as comparisons ask for it.
fn kind_of(value: &Expr, schema: &DFSchema) -> Result<&'static str> {
    let field = functions::field(value, schema)?;
    Ok(match (wire::sql_type(&field), field.data_type()) {
        (_, DataType::List(_)) => "ARRAY",
        (Some("json"), _) => "JSON",
        (Some("geography"), _) => "GEOGRAPHY",
        (Some("datetime"), _) => "DATETIME",
        (Some(_), _) => "OTHER",
        (None, DataType::Null) => "NULL",
        (None, DataType::Binary) => "BYTES",
        (None, DataType::Date32) => "DATE",
        (None, DataType::Time64(_)) => "TIME",
        (None, DataType::Timestamp(_, None)) => "DATETIME",
        (None, DataType::Timestamp(_, Some(_))) => "TIMESTAMP",
        (None, DataType::Struct(_)) => "STRUCT",
        (None, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => "STRING",
        (None, DataType::Boolean) => "BOOL",
        (None, DataType::Decimal128(_, _)) => "NUMERIC",
        (None, DataType::Decimal256(_, _)) => "BIGNUMERIC",
        (None, kind) if kind.is_floating() => "FLOAT64",
        (None, kind) if kind.is_integer() => "INT64",
        _ => "OTHER",
    })
}

fn compares(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

/// Refuses comparisons that the service does not have, and which the planner would make by converting one side.
fn check_signature(op: &BinaryOperator, expr: &RawBinaryExpr, schema: &DFSchema) -> Result<()> {
    let sign = match op {
        BinaryOperator::NotEq => "!=".to_owned(),
        op => op.to_string(),
    };
    if !compares(op) {
        return Ok(());
    }
    let (left, right) = (kind_of(&expr.left, schema)?, kind_of(&expr.right, schema)?);
    let number = |kind: &str| {
        matches!(
            kind,
            "BOOL" | "INT64" | "FLOAT64" | "NUMERIC" | "BIGNUMERIC"
        )
    };
    if left == "STRING" && number(right) || right == "STRING" && number(left) {
        return plan_err!(
            "No matching signature for operator {sign} for argument types: {left}, {right}"
        );
    }
    let moments = ["DATE", "DATETIME", "TIMESTAMP", "TIME"];
    let mixed = moments.contains(&left) && moments.contains(&right) && left != right;
    // Of these only a date is another one without being asked.
    if mixed
        && ![left, right]
            .iter()
            .all(|k| ["DATE", "DATETIME"].contains(k))
    {
        return plan_err!(
            "No matching signature for operator {sign} for argument types: {left}, {right}"
        );
    }
    let ordered = !matches!(op, BinaryOperator::Eq | BinaryOperator::NotEq);
    if ordered && left == "STRUCT" && right == "STRUCT" {
        return plan_err!(
            "{} is not defined for arguments of type STRUCT",
            said_of(op)
        );
    }
    for kind in ["ARRAY", "JSON", "GEOGRAPHY"] {
        if left == kind && right == kind {
            return plan_err!("Equality is not defined for arguments of type {kind}");
        }
    }
    Ok(())
}

/// What the service calls a comparison of order.
fn said_of(op: &BinaryOperator) -> &'static str {
    match op {
        BinaryOperator::Lt | BinaryOperator::LtEq => "Less than",
        _ => "Greater than",
    }
}

impl Operators {
    /// Structs are equal where their fields are, whatever these are called; it is not known where one that is missing decides.
    fn structs(
        &self,
        expr: &RawBinaryExpr,
        (own, theirs): (&Fields, &Fields),
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let field = |value: &Expr, name: &str| {
            let function = functions::named("millpond_field")?;
            let arguments = vec![value.clone(), lit(name)];
            let call = ScalarFunction::new_udf(function, arguments);
            Ok::<_, DataFusionError>(Expr::ScalarFunction(call))
        };
        let mut all: Option<Expr> = None;
        for (one, other) in own.iter().zip(theirs) {
            let pair = RawBinaryExpr {
                op: BinaryOperator::Eq,
                left: field(&expr.left, one.name())?,
                right: field(&expr.right, other.name())?,
            };
            let same = match self.plan_binary_op(pair, schema)? {
                PlannerResult::Planned(same) => same,
                PlannerResult::Original(pair) => pair.left.eq(pair.right),
            };
            all = Some(match all {
                Some(before) => before.and(same),
                None => same,
            });
        }
        Ok(PlannerResult::Planned(match (all, &expr.op) {
            (Some(all), BinaryOperator::NotEq) => Expr::Not(Box::new(all)),
            (Some(all), _) => all,
            (None, _) => lit(true),
        }))
    }
}

fn called(name: &str, arguments: Vec<Expr>) -> Result<PlannerResult<RawBinaryExpr>> {
    let function = ScalarFunction::new_udf(functions::named(name)?, arguments);
    Ok(PlannerResult::Planned(Expr::ScalarFunction(function)))
}

/// Dates and points in time.
fn timed(t: &DataType) -> bool {
    matches!(t, DataType::Date32 | DataType::Timestamp(_, _))
}

fn interval(t: &DataType) -> bool {
    matches!(t, DataType::Interval(_))
}

fn with_interval(
    expr: RawBinaryExpr,
    left: &DataType,
    right: &DataType,
) -> Result<PlannerResult<RawBinaryExpr>> {
    let (both, of_time) = (interval(left) && interval(right), timed(left));
    let name = match &expr.op {
        BinaryOperator::Plus if both => "millpond_interval_add",
        BinaryOperator::Minus if both => "millpond_interval_subtract",
        BinaryOperator::Plus if of_time => "millpond_time_plus",
        BinaryOperator::Minus if of_time => "millpond_time_minus",
        BinaryOperator::Plus if timed(right) => {
            return called("millpond_time_plus", vec![expr.right, expr.left]);
        }
        BinaryOperator::Multiply if interval(left) && whole(right) => "millpond_interval_multiply",
        BinaryOperator::Multiply if interval(right) && whole(left) => {
            return called("millpond_interval_multiply", vec![expr.right, expr.left]);
        }
        BinaryOperator::Divide if interval(left) && whole(right) => "millpond_interval_divide",
        op if compares(op) && (both || left.is_null() || right.is_null()) => {
            let key = |value: Expr| {
                let function = functions::named("millpond_interval_key")?;
                let call = ScalarFunction::new_udf(function, vec![value]);
                Ok::<_, DataFusionError>(Expr::ScalarFunction(call))
            };
            return Ok(PlannerResult::Original(RawBinaryExpr {
                left: key(expr.left)?,
                right: key(expr.right)?,
                op: expr.op,
            }));
        }
        op => {
            return plan_err!(
                "the operator {op} for values of the type INTERVAL is not supported by this emulator"
            );
        }
    };
    called(name, vec![expr.left, expr.right])
}

fn whole(t: &DataType) -> bool {
    t.is_integer() || t.is_null()
}

fn decimal(t: &DataType) -> bool {
    matches!(t, DataType::Decimal128(_, _) | DataType::Decimal256(_, _))
}

fn arithmetic(
    expr: &RawBinaryExpr,
    schema: &DFSchema,
    (left, right): (&DataType, &DataType),
) -> Result<Option<&'static str>> {
    let op = &expr.op;
    let number = |t: &DataType| whole(t) || decimal(t) || t.is_floating();
    let text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8);
    if number(left) && text(right) || text(left) && number(right) {
        return plan_err!(
            "No matching signature for operator {op} for argument types: {}, {}",
            kind_of(&expr.left, schema)?,
            kind_of(&expr.right, schema)?
        );
    }
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
    let floats = left.is_floating() && (right.is_numeric() || right.is_null())
        || right.is_floating() && (left.is_numeric() || left.is_null());
    Ok(floats.then_some(name))
}

/// The planner's extension for operators.
pub(in crate::query) fn planner() -> Arc<dyn ExprPlanner> {
    Arc::new(Operators)
}
