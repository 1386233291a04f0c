//! What stands inside of a call behind its arguments, and in the window behind it, where the service does not know it, or does not go
//! without it.

use datafusion::sql::sqlparser::ast::{
    self, Function, FunctionArgumentClause, FunctionArguments, WindowType,
};

use crate::query::{QueryError, rewrite::build, unsupported};

/// Functions that may leave nulls out.
const OF_NULLS: &[&str] = &[
    "array_agg",
    "array_concat_agg",
    "approx_quantiles",
    "first_value",
    "last_value",
    "nth_value",
    "percentile_cont",
    "percentile_disc",
];

/// Functions that are told an order of their values.
const OF_ORDER: &[&str] = &["array_agg", "array_concat_agg", "string_agg"];

/// Functions of a row's place among others, which know no frame.
const OF_PLACES: &[&str] = &[
    "cume_dist",
    "dense_rank",
    "lag",
    "lead",
    "ntile",
    "percent_rank",
    "rank",
];

/// Refuses clauses that a function does not have.
///
/// # Errors
/// [`QueryError`] naming the clause and the function.
pub(in crate::query) fn check(name: &str, function: &Function) -> Result<(), QueryError> {
    let shown = name.to_uppercase();
    let of_nulls = |treatment: &ast::NullTreatment| match OF_NULLS.contains(&name) {
        true => Ok(()),
        false => Err(QueryError::Invalid {
            message: format!("{treatment} is not allowed for function {shown}"),
        }),
    };
    if let Some(treatment) = &function.null_treatment {
        of_nulls(treatment)?;
    }
    if let FunctionArguments::List(list) = &function.args {
        for clause in &list.clauses {
            match clause {
                FunctionArgumentClause::IgnoreOrRespectNulls(treatment) => of_nulls(treatment)?,
                FunctionArgumentClause::OrderBy(_) if OF_ORDER.contains(&name) => {}
                FunctionArgumentClause::OrderBy(_) => {
                    return Err(QueryError::Invalid {
                        message: format!("{shown} does not support ORDER BY in arguments"),
                    });
                }
                other => return Err(unsupported(format!("{other} in {name}"))),
            }
        }
    }
    window(name, &shown, function)
}

/// Refuses windows that leave open which row is which, or have a frame where none is asked for.
fn window(name: &str, shown: &str, function: &Function) -> Result<(), QueryError> {
    let placed = OF_PLACES.contains(&name);
    if !placed && name != "row_number" {
        return Ok(());
    }
    let window = match &function.over {
        Some(WindowType::WindowSpec(window)) => window,
        Some(WindowType::NamedWindow(_)) => return Ok(()),
        None => {
            return Err(QueryError::Invalid {
                message: format!(
                    "Analytic function {shown} cannot be called without an OVER clause"
                ),
            });
        }
    };
    if window.window_frame.is_some() {
        return Err(QueryError::Invalid {
            message: format!("Window framing clause is not allowed for analytic function {name}"),
        });
    }
    if placed && window.order_by.is_empty() && window.window_name.is_none() {
        return Err(QueryError::Invalid {
            message: format!("Window ORDER BY is required for analytic function {name}"),
        });
    }
    Ok(())
}

/// Puts what windows and aggregates are ordered by into BigQuery's order.
pub(in crate::query) fn in_order(function: &mut Function) {
    let mut orders: Vec<&mut ast::OrderByExpr> = Vec::new();
    if let FunctionArguments::List(list) = &mut function.args {
        let distinct = matches!(
            list.duplicate_treatment,
            Some(ast::DuplicateTreatment::Distinct)
        );
        // Different values are ordered by themselves, and the planner has to see that they are.
        let clauses = if distinct {
            &mut []
        } else {
            list.clauses.as_mut_slice()
        };
        for clause in clauses {
            if let FunctionArgumentClause::OrderBy(by) = clause {
                orders.extend(by);
            }
        }
    }
    if let Some(ast::WindowType::WindowSpec(window)) = &mut function.over {
        orders.extend(orders_of(window));
    }
    orders.into_iter().for_each(by_order);
}

/// The same for the named windows of a SELECT.
pub(in crate::query) fn order_windows(body: &mut ast::SetExpr) {
    if let ast::SetExpr::Select(select) = body {
        for ast::NamedWindowDefinition(_, window) in &mut select.named_window {
            if let ast::NamedWindowExpr::WindowSpec(window) = window {
                orders_of(window).iter_mut().for_each(by_order);
            }
        }
    }
}

/// What a window is ordered by, unless its frame counts values, which needs the values themselves.
fn orders_of(window: &mut ast::WindowSpec) -> &mut [ast::OrderByExpr] {
    let counted = window.window_frame.as_ref().is_some_and(|frame| {
        let counts = |bound: &ast::WindowFrameBound| {
            matches!(
                bound,
                ast::WindowFrameBound::Preceding(Some(_))
                    | ast::WindowFrameBound::Following(Some(_))
            )
        };
        matches!(frame.units, ast::WindowFrameUnits::Range)
            && (counts(&frame.start_bound) || frame.end_bound.as_ref().is_some_and(counts))
    });
    if counted {
        &mut []
    } else {
        &mut window.order_by
    }
}

fn by_order(order: &mut ast::OrderByExpr) {
    order.expr = build::call("millpond_order", vec![order.expr.clone()]);
}
