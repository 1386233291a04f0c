//! `ARRAY(SELECT ...)` and `SELECT AS STRUCT` inside of expressions: a query as one value.

use datafusion::sql::sqlparser::ast::{
    self, Expr, Function, FunctionArguments, Ident, OrderByKind, Query, SelectItem, SetExpr, Value,
};

use crate::query::{QueryError, rewrite::build, sql_types, unsupported};

/// The column of rows that are gathered in order.
pub(in crate::query) const AT: &str = "millpond_at";

/// What whole rows are called of which structs are made.
const ROW: &str = "millpond_row";

/// `ARRAY(SELECT ...)`: the column's values gathered in the query's order.
///
/// # Errors
/// [`QueryError::Unsupported`] for an order that cannot be told.
pub(in crate::query) fn array_of(function: &Function) -> Result<Expr, QueryError> {
    let FunctionArguments::Subquery(query) = &function.args else {
        return Err(unsupported("the function ARRAY without a query"));
    };
    let mut inner = query.as_ref().clone();
    bare(&mut inner);
    order_behind(&mut inner)?;
    let number = order_of(&inner)?;
    one_value(&mut inner)?;
    let (text, columns) = if let Some(number) = number {
        if let SetExpr::Select(select) = inner.body.as_mut() {
            let at = Ident::with_quote('`', AT);
            let number = SelectItem::ExprWithAlias {
                expr: number,
                alias: at.clone(),
            };
            match rows_within(select) {
                // What they are in order of is only known in there.
                Some(rows) => {
                    rows.projection.push(number);
                    let at = SelectItem::UnnamedExpr(Expr::Identifier(at));
                    select.projection.push(at);
                }
                None => select.projection.push(number),
            }
        }
        let text = "SELECT millpond_some(array_agg(`element` ORDER BY `millpond_at`)) FROM (SELECT 1) AS `gathered`";
        (text, &["element", AT][..])
    } else {
        let text = "SELECT millpond_some(array_agg(`element`)) FROM (SELECT 1) AS `gathered`";
        (text, &["element"][..])
    };
    let mut outer = crate::query::select(text)?;
    place(&mut outer, inner, columns);
    Ok(Expr::Subquery(Box::new(outer)))
}

/// Takes away parentheses around the only query there is.
fn bare(query: &mut Query) {
    let plain = |query: &Query| {
        query.with.is_none()
            && query.order_by.is_none()
            && query.limit_clause.is_none()
            && query.pipe_operators.is_empty()
    };
    while let SetExpr::Query(inner) = query.body.as_ref() {
        let mut inner = inner.as_ref().clone();
        if plain(query) {
            *query = inner;
        } else if plain(&inner) {
            std::mem::swap(&mut query.body, &mut inner.body);
        } else {
            return;
        }
    }
}

/// Sorts rows that were made one, or put together of several queries, as rows of a query of their own.
fn order_behind(query: &mut Query) -> Result<(), QueryError> {
    const ELEMENT: &str = "millpond_element";
    let mut body = query.body.as_ref();
    let several = matches!(body, SetExpr::SetOperation { .. });
    while let SetExpr::SetOperation { left, .. } = body {
        body = left.as_ref();
    }
    let first = match body {
        SetExpr::Select(select) if several || select.distinct.is_some() => {
            select.projection.first()
        }
        _ => return Ok(()),
    };
    let (Some(mut order), Some(item)) = (query.order_by.clone(), first.cloned()) else {
        return Ok(());
    };
    let OrderByKind::Expressions(keys) = &mut order.kind else {
        return Ok(());
    };
    for key in keys {
        let own = match (&key.expr, &item) {
            (Expr::Identifier(name), SelectItem::ExprWithAlias { alias, .. }) => {
                crate::query::rewrite::names::same(&name.value, &alias.value)
            }
            (key, SelectItem::UnnamedExpr(expr)) => key == expr,
            _ => false,
        };
        if !own && key.expr.to_string() != "1" {
            return Ok(());
        }
        key.expr = Expr::Identifier(Ident::with_quote('`', ELEMENT));
    }
    let text = format!("SELECT `{ELEMENT}` FROM (SELECT 1) AS `millpond_rows`");
    let mut outer = crate::query::select(&text)?;
    let mut inner = std::mem::replace(query, outer.clone());
    inner.order_by = None;
    outer.order_by = Some(order);
    outer.limit_clause = inner.limit_clause.take();
    place(&mut outer, inner, &[ELEMENT]);
    *query = outer;
    Ok(())
}

/// The number of a row in the order of its query, if it has one.
fn order_of(query: &Query) -> Result<Option<Expr>, QueryError> {
    let Some(order) = &query.order_by else {
        return Ok(None);
    };
    let refused = || unsupported("ORDER BY in ARRAY of DISTINCT rows or of a set operation");
    let (SetExpr::Select(select), OrderByKind::Expressions(keys)) =
        (query.body.as_ref(), &order.kind)
    else {
        return Err(refused());
    };
    if select.distinct.is_some() {
        return Err(refused());
    }
    let item = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr) => {
            Some(expr.clone())
        }
        _ => None,
    };
    let mut own = Vec::new();
    for key in keys {
        let mut key = key.clone();
        let meant = match &key.expr {
            Expr::Identifier(name) => select.projection.iter().find_map(|i| match i {
                SelectItem::ExprWithAlias { expr, alias }
                    if crate::query::rewrite::names::same(&alias.value, &name.value) =>
                {
                    Some(expr.clone())
                }
                _ => None,
            }),
            Expr::Value(value) => match &value.value {
                Value::Number(text, _) => {
                    let at = text.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                    at.and_then(|at| select.projection.get(at)).and_then(item)
                }
                _ => None,
            },
            _ => None,
        };
        let expr = meant.unwrap_or(key.expr);
        key.expr = build::call("millpond_order", vec![expr]);
        own.push(key);
    }
    let Expr::Function(mut number) = build::call("row_number", Vec::new()) else {
        return Err(refused());
    };
    number.args = FunctionArguments::List(ast::FunctionArgumentList {
        duplicate_treatment: None,
        args: Vec::new(),
        clauses: Vec::new(),
    });
    number.over = Some(ast::WindowType::WindowSpec(ast::WindowSpec {
        window_name: None,
        partition_by: Vec::new(),
        order_by: own,
        window_frame: None,
    }));
    Ok(Some(Expr::Function(number)))
}

/// Makes one struct of what `SELECT AS STRUCT` in an expression gives.
///
/// # Errors
/// [`QueryError::Unsupported`] for an item of another kind.
pub(in crate::query) fn one_value(query: &mut Query) -> Result<(), QueryError> {
    match query.body.as_mut() {
        SetExpr::SetOperation { .. } => one_value_each(query.body.as_mut()),
        SetExpr::Select(_) => one_value_of_one(query),
        _ => Ok(()),
    }
}

/// The same for each of several queries of which one is made.
fn one_value_each(body: &mut SetExpr) -> Result<(), QueryError> {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            one_value_each(left)?;
            one_value_each(right)
        }
        SetExpr::Query(query) => one_value(query),
        SetExpr::Select(select) => match select.value_table_mode {
            None => Ok(()),
            Some(_) => {
                // As a query of its own, which may become one around it.
                let mut query = crate::query::select("SELECT 1")?;
                *query.body = SetExpr::Select(select.clone());
                one_value_of_one(&mut query)?;
                *body = *query.body;
                Ok(())
            }
        },
        _ => Ok(()),
    }
}

fn one_value_of_one(query: &mut Query) -> Result<(), QueryError> {
    let ast::SetExpr::Select(select) = query.body.as_mut() else {
        return Ok(());
    };
    let mode = select.value_table_mode.take();
    let as_struct = matches!(
        mode,
        Some(ast::ValueTableMode::AsStruct | ast::ValueTableMode::DistinctAsStruct)
    );
    if !as_struct {
        return Ok(());
    }
    let star = |item: &SelectItem| {
        matches!(
            item,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(_, _)
        )
    };
    if select.projection.iter().any(star) {
        return whole_rows(query);
    }
    let mut arguments = Vec::new();
    for (index, item) in select.projection.iter().enumerate() {
        let (name, value) = match item {
            ast::SelectItem::ExprWithAlias { expr, alias } => {
                // What has no name of its own has been numbered.
                let numbered = alias
                    .value
                    .strip_prefix('f')
                    .and_then(|n| n.strip_suffix('_'));
                let unnamed = numbered.is_some_and(|n| n.parse::<usize>().is_ok());
                let name = if unnamed {
                    sql_types::unnamed(index)
                } else {
                    alias.value.clone()
                };
                (name, expr.clone())
            }
            ast::SelectItem::UnnamedExpr(expr) => {
                let name = match expr {
                    Expr::Identifier(name) => Some(name.value.clone()),
                    Expr::CompoundIdentifier(path) => path.last().map(|n| n.value.clone()),
                    _ => None,
                };
                let name = name.unwrap_or_else(|| sql_types::unnamed(index));
                (name, expr.clone())
            }
            other => return Err(unsupported(format!("{other} in SELECT AS STRUCT"))),
        };
        arguments.extend([build::text(&name), value]);
    }
    select.projection = vec![ast::SelectItem::ExprWithAlias {
        expr: build::call("named_struct", arguments),
        alias: Ident::with_quote('`', "millpond_struct"),
    }];
    Ok(())
}

/// The rows of a query as structs: whole rows of a table that the query is.
fn whole_rows(query: &mut Query) -> Result<(), QueryError> {
    let text = format!("SELECT `{ROW}` AS `millpond_struct` FROM (SELECT 1) AS `{ROW}`");
    let mut outer = crate::query::select(&text)?;
    let inner = std::mem::replace(query, outer.clone());
    place(&mut outer, inner, &[]);
    *query = outer;
    Ok(())
}

/// The SELECT of the rows that another one makes structs of, as [`whole_rows`] does.
fn rows_within(select: &mut ast::Select) -> Option<&mut ast::Select> {
    let ast::TableFactor::Derived {
        subquery,
        alias: Some(alias),
        ..
    } = &mut select.from.first_mut()?.relation
    else {
        return None;
    };
    match subquery.body.as_mut() {
        SetExpr::Select(rows) if alias.name.value == ROW => Some(rows),
        _ => None,
    }
}

/// Puts a query in the place of the only derived table of another one, with columns of these names.
pub(super) fn place(outer: &mut Query, inner: Query, columns: &[&str]) {
    let SetExpr::Select(select) = outer.body.as_mut() else {
        return;
    };
    let table = select.from.first_mut().map(|table| &mut table.relation);
    if let Some(ast::TableFactor::Derived {
        subquery,
        alias: Some(alias),
        ..
    }) = table
    {
        **subquery = inner;
        let column = |name: &&str| ast::TableAliasColumnDef {
            name: Ident::with_quote('`', *name),
            data_type: None,
        };
        alias.columns = columns.iter().map(column).collect();
    }
}
