//! `x LIKE y` of BYTES, which the planner knows of texts only.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use crate::query::{functions, planning::node_expressions};

/// Makes calls of such comparisons.
pub(in crate::query) fn compared(plan: LogicalPlan) -> Result<LogicalPlan> {
    let changed = plan.transform_up_with_subqueries(|node| node_expressions::changed(node, one))?;
    Ok(changed.data)
}

fn one(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::Like(like) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let kinds = [like.expr.get_type(schema)?, like.pattern.get_type(schema)?];
    let bytes = kinds.contains(&DataType::Binary);
    let known = kinds.iter().all(|k| *k == DataType::Binary || k.is_null());
    if !bytes || !known || like.escape_char.is_some() {
        return Ok(Transformed::no(expr));
    }
    let function = functions::named("millpond_like_bytes")?;
    let arguments = vec![like.expr.as_ref().clone(), like.pattern.as_ref().clone()];
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments));
    Ok(Transformed::yes(match like.negated {
        true => Expr::Not(Box::new(call)),
        false => call,
    }))
}
