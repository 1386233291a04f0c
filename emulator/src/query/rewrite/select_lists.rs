//! What a SELECT is made of before its tables are known: names of its columns, what it groups by, and the operators between several.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, Expr, Ident, SelectItem, SetExpr, Visitor};

use crate::query::rewrite::is_name;
use crate::query::{
    QueryError,
    rewrite::{build, names},
    unsupported,
};
use crate::syntax_walk;

/// Columns without a name are called `f0_`, `f1_` and so on.
pub(in crate::query) fn name_columns(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            let mut unnamed = 0;
            for item in &mut select.projection {
                let SelectItem::UnnamedExpr(expr) = item else {
                    continue;
                };
                match expr {
                    Expr::Identifier(name) if is_name(name) => continue,
                    Expr::CompoundIdentifier(path) if path.first().is_some_and(is_name) => continue,
                    Expr::CompoundFieldAccess { access_chain, .. } => {
                        if let Some(ast::AccessExpr::Dot(Expr::Identifier(name))) =
                            access_chain.last()
                        {
                            *item = SelectItem::ExprWithAlias {
                                alias: Ident::with_quote('`', &name.value),
                                expr: expr.clone(),
                            };
                            continue;
                        }
                    }
                    _ => {}
                }
                *item = SelectItem::ExprWithAlias {
                    expr: expr.clone(),
                    alias: Ident::with_quote('`', format!("f{unnamed}_")),
                };
                unnamed += 1;
            }
        }
        SetExpr::SetOperation { left, .. } => name_columns(left),
        SetExpr::Query(query) => name_columns(&mut query.body),
        _ => {}
    }
}

/// A set operation says whether equal rows are one; there is but one kind that keeps them.
pub(in crate::query) fn check_set(body: &SetExpr) -> Result<(), QueryError> {
    if let SetExpr::Select(select) = body
        && matches!(select.distinct, Some(ast::Distinct::On(_)))
    {
        return Err(unsupported("DISTINCT ON"));
    }
    let SetExpr::SetOperation {
        op,
        set_quantifier,
        left,
        right,
    } = body
    else {
        return Ok(());
    };
    check_set(left)?;
    check_set(right)?;
    match (op, set_quantifier) {
        (_, ast::SetQuantifier::None | ast::SetQuantifier::ByName) => Err(QueryError::Invalid {
            message:
                "Syntax error: Expected keyword ALL or keyword DISTINCT but got keyword SELECT"
                    .to_owned(),
        }),
        (ast::SetOperator::Union, _)
        | (_, ast::SetQuantifier::Distinct | ast::SetQuantifier::DistinctByName) => Ok(()),
        (op, quantifier) => Err(unsupported(format!("{op} {quantifier}"))),
    }
}

/// How many rows there are is no matter of other rows.
///
/// # Errors
/// [`QueryError::Invalid`] for a query in LIMIT or OFFSET, or a column.
pub(in crate::query) fn check_limit(query: &ast::Query) -> Result<(), QueryError> {
    let Some(ast::LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause else {
        return Ok(());
    };
    let offset = offset.as_ref().map(|offset| &offset.value);
    for (clause, count) in [("LIMIT", limit.as_ref()), ("OFFSET", offset)] {
        let within = matches!(
            count,
            Some(
                Expr::Subquery(_)
                    | Expr::Exists { .. }
                    | Expr::Value(ast::ValueWithSpan {
                        value: ast::Value::Null,
                        ..
                    })
            )
        );
        if within {
            return Err(QueryError::Invalid {
                message: format!("{clause} expects an integer literal or parameter"),
            });
        }
    }
    Ok(())
}

/// Functions of many rows.
const AGGREGATES: &[&str] = &[
    "any_value",
    "approx_count_distinct",
    "approx_quantiles",
    "approx_top_count",
    "approx_top_sum",
    "array_agg",
    "array_concat_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "corr",
    "count",
    "countif",
    "covar_pop",
    "covar_samp",
    "grouping",
    "logical_and",
    "logical_or",
    "max",
    "max_by",
    "min",
    "min_by",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
];

/// `GROUP BY ALL` beside functions of windows, by which the planner would group, too: the places of the columns that have neither them nor
/// aggregates.
pub(in crate::query) fn group_by_all(body: &mut SetExpr) {
    let SetExpr::Select(select) = body else {
        return;
    };
    let whole = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            Some(of_rows(expr))
        }
        _ => None,
    };
    let kinds: Option<Vec<OfRows>> = select.projection.iter().map(whole).collect();
    let ast::GroupByExpr::All(modifiers) = &select.group_by else {
        return;
    };
    let Some(kinds) = kinds.filter(|kinds| kinds.contains(&OfRows::Window)) else {
        return;
    };
    let places = (1..).zip(kinds).filter(|(_, kind)| *kind == OfRows::One);
    let places = places.map(|(place, _)| build::number(place)).collect();
    select.group_by = ast::GroupByExpr::Expressions(places, modifiers.clone());
}

/// Of which rows a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OfRows {
    One,
    Group,
    Window,
}

fn of_rows(expr: &Expr) -> OfRows {
    struct Calls {
        found: OfRows,
        depth: usize,
    }
    impl Visitor for Calls {
        type Break = Infallible;

        fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<Infallible> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<Infallible> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Infallible> {
            if let Expr::Function(function) = expr
                && self.depth == 0
            {
                let name = function.name.to_string().to_ascii_lowercase();
                if function.over.is_some() {
                    self.found = OfRows::Window;
                } else if self.found == OfRows::One && AGGREGATES.contains(&name.as_str()) {
                    self.found = OfRows::Group;
                }
            }
            ControlFlow::Continue(())
        }
    }
    let mut calls = Calls {
        found: OfRows::One,
        depth: 0,
    };
    let Ok(()) = syntax_walk::visit(expr, &mut calls);
    calls.found
}

/// A name in GROUP BY is that of a column of the result before it is that of a table's.
pub(in crate::query) fn group_by_results(body: &mut SetExpr) {
    let SetExpr::Select(select) = body else {
        return;
    };
    let ast::GroupByExpr::Expressions(groups, _) = &mut select.group_by else {
        return;
    };
    for group in groups {
        let Expr::Identifier(name) = &*group else {
            continue;
        };
        // By its position, because what it is computed from may hold parameters that count.
        let items = select.projection.iter();
        let known = items.take_while(|item| {
            !matches!(
                item,
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(_, _)
            )
        });
        let position = known.enumerate().find_map(|(index, item)| match item {
            SelectItem::ExprWithAlias { alias, .. } if names::same(&alias.value, &name.value) => {
                Some(index)
            }
            _ => None,
        });
        let number = position.and_then(|index| i64::try_from(index + 1).ok());
        if let Some(number) = number {
            *group = build::number(number);
        }
    }
}
