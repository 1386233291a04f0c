//! Conditions that keep others from being computed where they would fail, as in `x != 0 AND 1 / x > 2` and `IF(x != 0, 1 / x > 2, FALSE)`.
//!
//! The planner computes both sides of AND and OR for all rows, and makes AND and OR of choices among truth values. Here these become
//! choices among numbers, which it computes row by row. Must not know what functions compute, only which may fail.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, Case, Expr, ExprSchemable, LogicalPlan, Operator, cast, lit,
};

use crate::query::{functions, planning::node_expressions};

/// Functions of numbers that fail for some.
const FAILING: [&str; 16] = [
    "millpond_at",
    "millpond_decimal_div",
    "millpond_decimal_divide",
    "millpond_decimal_mod",
    "millpond_div",
    "millpond_divide",
    "millpond_error",
    "millpond_exp",
    "millpond_ln",
    "millpond_log",
    "millpond_log10",
    "millpond_mod",
    "millpond_parse_json",
    "millpond_pow",
    "millpond_sqrt",
    "millpond_from_hex",
];

/// Makes such conditions choices, except where tables are joined, because the planner has to see what they are joined by.
pub(in crate::query) fn kept(plan: LogicalPlan) -> Result<LogicalPlan> {
    let kept = plan.transform_up_with_subqueries(|node| {
        if node.inputs().is_empty() || matches!(node, LogicalPlan::Join(_)) {
            return Ok(Transformed::no(node));
        }
        node_expressions::rewritten(node, guarded)
    })?;
    Ok(kept.data)
}

fn guarded(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if !may_fail(&expr, schema)? {
        return Ok(Transformed::no(expr));
    }
    expr.transform_down(|e| match e {
        Expr::BinaryExpr(BinaryExpr {
            op: op @ (Operator::And | Operator::Or),
            ..
        }) => {
            let terms = terms_of(e, op).into_iter();
            let terms = terms.map(|term| Ok(guarded(term, schema)?.data));
            let terms = joined(terms.collect::<Result<Vec<_>>>()?, op, schema)?;
            Ok(Transformed::new(terms, true, TreeNodeRecursion::Jump))
        }
        Expr::Case(Case { expr: None, .. }) => {
            let within = e.map_children(|child| guarded(child, schema))?.data;
            let Expr::Case(case) = within else {
                return Ok(Transformed::yes(within));
            };
            let chosen = chosen(case, schema)?;
            Ok(Transformed::new(chosen, true, TreeNodeRecursion::Jump))
        }
        other => Ok(Transformed::no(other)),
    })
}

/// Whether something in an expression fails for some values of columns.
fn may_fail(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    expr.exists(|e| {
        let Expr::ScalarFunction(call) = e else {
            return Ok(false);
        };
        let fails = match call.name() {
            "millpond_cast" => match call.args.first() {
                Some(text) => text.get_type(schema)? == DataType::Utf8,
                None => false,
            },
            _ => functions::names_within(&call.func)
                .iter()
                .any(|name| FAILING.contains(name) || name.starts_with("millpond_parse_")),
        };
        Ok(fails && has_columns(e)?)
    })
}

fn has_columns(expr: &Expr) -> Result<bool> {
    expr.exists(|e| {
        Ok(matches!(
            e,
            Expr::Column(_) | Expr::OuterReferenceColumn(_, _)
        ))
    })
}

/// Whether a condition may be what two tables are joined by.
fn compares_columns(expr: &Expr) -> Result<bool> {
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => Ok(has_columns(left)? && has_columns(right)?),
        _ => Ok(false),
    }
}

/// What is joined by one operator, in order.
fn terms_of(expr: Expr, by: Operator) -> Vec<Expr> {
    let mut terms = Vec::new();
    let mut left = vec![expr];
    while let Some(next) = left.pop() {
        match next {
            Expr::BinaryExpr(within) if within.op == by => {
                left.push(*within.left);
                left.push(*within.right);
            }
            term => terms.push(term),
        }
    }
    terms.reverse();
    terms
}

fn all(terms: impl IntoIterator<Item = Expr>, by: Operator) -> Option<Expr> {
    let join = |left, right| match by {
        Operator::And => Expr::and(left, right),
        _ => Expr::or(left, right),
    };
    terms.into_iter().reduce(join)
}

/// Terms joined by AND or OR, of which a later one is only computed where no earlier one decides. Those that name a row around
/// stay as they are, because the planner has to see what its queries are joined by.
fn joined(terms: Vec<Expr>, by: Operator, schema: &DFSchema) -> Result<Expr> {
    let (mut own, mut plain) = (Vec::new(), Vec::new());
    let mut guarded = false;
    for term in terms {
        let around = term.exists(|e| Ok(matches!(e, Expr::OuterReferenceColumn(_, _))))?;
        if around {
            plain.push(term);
            continue;
        }
        let fails = may_fail(&term, schema)? && !compares_columns(&term)?;
        if own.is_empty() || !fails {
            plain.push(term.clone());
        } else {
            guarded = true;
        }
        own.push(term);
    }
    if !guarded {
        return Ok(all(plain, by).unwrap_or_else(|| lit(true)));
    }
    let decided = lit(i64::from(by == Operator::Or));
    let cases = own.iter().map(|term| {
        let decides = match by {
            Operator::And => Expr::Not(Box::new(term.clone())),
            _ => term.clone(),
        };
        (Box::new(decides), Box::new(decided.clone()))
    });
    let cases = cases.collect();
    let whole = all(own, by).unwrap_or_else(|| lit(true));
    let case = Case::new(None, cases, Some(Box::new(cast(whole, DataType::Int64))));
    let choice = hidden(Expr::Case(case))?.eq(lit(1_i64));
    Ok(all(plain.into_iter().chain([choice]), by).unwrap_or_else(|| lit(true)))
}

/// A choice that stays one: of truth values, and of literals, which the planner compares with others before it chooses.
fn chosen(mut case: Case, schema: &DFSchema) -> Result<Expr> {
    let outputs = case.when_then_expr.iter().map(|(_, then)| then);
    let outputs: Vec<&Expr> = outputs
        .chain(case.else_expr.iter())
        .map(|output| output.as_ref())
        .collect();
    let mut truth = true;
    for output in &outputs {
        let kind = output.get_type(schema)?;
        truth &= matches!(kind, DataType::Boolean | DataType::Null);
    }
    if truth {
        for (_, then) in &mut case.when_then_expr {
            **then = cast(std::mem::take(then.as_mut()), DataType::Int64);
        }
        if let Some(other) = &mut case.else_expr {
            **other = cast(std::mem::take(other.as_mut()), DataType::Int64);
        }
        return Ok(hidden(Expr::Case(case))?.eq(lit(1_i64)));
    }
    if outputs.iter().all(|o| matches!(o, Expr::Literal(_, _))) {
        return hidden(Expr::Case(case));
    }
    Ok(Expr::Case(case))
}

/// A value of which the planner knows nothing.
fn hidden(value: Expr) -> Result<Expr> {
    let function = functions::named("millpond_hidden")?;
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
        function,
        vec![value],
    )))
}
