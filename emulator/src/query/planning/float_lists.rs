//! `x IN (...)` where one of the values is a float: they are compared as floats, one of which is no number and equals none.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use crate::query::{functions, planning::node_expressions};

/// Makes comparisons of such lists, which the planner would make decimals or compare by their bits.
pub(in crate::query) fn compared(plan: LogicalPlan) -> Result<LogicalPlan> {
    let changed = plan.transform_up_with_subqueries(|node| node_expressions::changed(node, one))?;
    Ok(changed.data)
}

fn one(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::InList(within) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let values = within.list.iter().chain([within.expr.as_ref()]);
    let kinds = values.map(|value| value.get_type(schema));
    let kinds = kinds.collect::<Result<Vec<_>>>()?;
    let numbers = kinds.iter().all(|k| k.is_numeric() || k.is_null());
    if !numbers || !kinds.iter().any(DataType::is_floating) {
        return Ok(Transformed::no(expr));
    }
    let equal = functions::named("millpond_float_eq")?;
    let same = |value: &Expr| {
        let arguments = vec![within.expr.as_ref().clone(), value.clone()];
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&equal), arguments))
    };
    let Some(any) = any(within.list.iter().map(same).collect()) else {
        return Ok(Transformed::no(expr));
    };
    Ok(Transformed::yes(match within.negated {
        true => Expr::Not(Box::new(any)),
        false => any,
    }))
}

/// Conditions of which one must be true: halves of halves, so that long lists do not nest deep.
fn any(mut all: Vec<Expr>) -> Option<Expr> {
    while all.len() > 1 {
        let mut rest = all.into_iter();
        let mut joined = Vec::new();
        while let Some(left) = rest.next() {
            joined.push(match rest.next() {
                Some(right) => left.or(right),
                None => left,
            });
        }
        all = joined;
    }
    all.pop()
}
