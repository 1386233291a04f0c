//! `SELECT AS VALUE`: rows that are values. Where rows have columns, a struct gives its fields; in an expression it stays what it is.

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, ObjectName, ObjectNamePart, Query, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, ValueTableMode,
};

use crate::query::{QueryError, rewrite::build, unsupported};

/// The table of values whose fields are taken.
pub(in crate::query) const VALUES: &str = "millpond_values";

/// Says DISTINCT where a mode says it, and whether rows are values.
fn taken(select: &mut ast::Select) -> bool {
    let mode = select.value_table_mode;
    let (distinct, values) = match mode {
        Some(ValueTableMode::DistinctAsValue) => (true, true),
        Some(ValueTableMode::AsValue) => (false, true),
        Some(ValueTableMode::DistinctAsStruct) => (true, false),
        _ => (false, false),
    };
    if distinct {
        select.distinct = Some(ast::Distinct::Distinct);
        select.value_table_mode = (!values).then_some(ValueTableMode::AsStruct);
    }
    if values {
        select.value_table_mode = None;
    }
    values
}

/// Calls the value of a row in FROM as its table is called: the name of the table means the value, and not a struct of it.
pub(in crate::query) fn name_in_from(factor: &mut ast::TableFactor) {
    if let ast::TableFactor::Derived {
        subquery,
        alias: Some(alias),
        ..
    } = factor
    {
        called(subquery, &alias.name);
    }
}

/// The same for queries of WITH.
pub(in crate::query) fn name_in_with(query: &mut Query) {
    let tables = query.with.iter_mut().flat_map(|with| &mut with.cte_tables);
    for table in tables {
        called(&mut table.query, &table.alias.name);
    }
}

fn called(query: &mut Query, name: &Ident) {
    // The order may be by what the value is called within.
    if query.order_by.is_some() {
        return;
    }
    let mut body = query.body.as_mut();
    while let SetExpr::SetOperation { left, .. } = body {
        body = left.as_mut();
    }
    let SetExpr::Select(select) = body else {
        return;
    };
    let values = matches!(
        select.value_table_mode,
        Some(ValueTableMode::AsValue | ValueTableMode::DistinctAsValue)
    );
    let [item] = select.projection.as_mut_slice() else {
        return;
    };
    if let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }, true) =
        (&mut *item, values)
    {
        *item = SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias: name.clone(),
        };
    }
}

/// Leaves values of queries in an expression as they are.
pub(in crate::query) fn keep(expr: &mut Expr) {
    if let Some(query) = build::query_within(expr) {
        kept(&mut query.body);
    }
}

fn kept(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            taken(select);
        }
        SetExpr::Query(query) => kept(&mut query.body),
        SetExpr::SetOperation { left, right, .. } => {
            kept(left);
            kept(right);
        }
        _ => {}
    }
}

/// Makes columns of the fields of values.
///
/// # Errors
/// [`QueryError`] for more than one value in a row.
pub(in crate::query) fn expand(query: &mut Query) -> Result<(), QueryError> {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return operands(&mut query.body);
    };
    if !taken(select) {
        return Ok(());
    }
    let item = named(&mut select.projection)?;
    let mut outer = crate::query::select("SELECT 1")?;
    outer.with = query.with.take();
    let inner = std::mem::replace(query, outer);
    over(&mut query.body, inner, item)
}

/// The same for the operands of a set operation.
fn operands(body: &mut SetExpr) -> Result<(), QueryError> {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            operands(left)?;
            operands(right)
        }
        SetExpr::Select(select) => {
            if !taken(select) {
                return Ok(());
            }
            let item = named(&mut select.projection)?;
            let mut inner = crate::query::select("SELECT 1")?;
            let outer = inner.body.clone();
            *inner.body = std::mem::replace(body, *outer);
            over(body, inner, item)
        }
        _ => Ok(()),
    }
}

/// The name of the only value of a row, which it is given if it has none.
fn named(items: &mut [SelectItem]) -> Result<Ident, QueryError> {
    let [item] = items else {
        return Err(QueryError::Invalid {
            message: "SELECT AS VALUE query must have exactly one column".to_owned(),
        });
    };
    Ok(match item {
        SelectItem::ExprWithAlias { alias, .. } => alias.clone(),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => name.clone(),
        SelectItem::UnnamedExpr(expr) => {
            let name = Ident::with_quote('`', "f0_");
            let name = match &*expr {
                Expr::CompoundIdentifier(path) => path.last().cloned().unwrap_or(name),
                _ => name,
            };
            *item = SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias: name.clone(),
            };
            name
        }
        other => return Err(unsupported(format!("{other} in SELECT AS VALUE"))),
    })
}

/// Takes the fields of what a query gives.
fn over(body: &mut SetExpr, inner: Query, value: Ident) -> Result<(), QueryError> {
    let SetExpr::Select(select) = body else {
        return Err(unsupported("this form of SELECT AS VALUE"));
    };
    let path = [Ident::with_quote('`', VALUES), value];
    let path = ObjectName(path.map(ObjectNamePart::Identifier).to_vec());
    let options = ast::WildcardAdditionalOptions::default();
    let kind = SelectItemQualifiedWildcardKind::ObjectName(path);
    select.projection = vec![SelectItem::QualifiedWildcard(kind, options)];
    select.from = vec![ast::TableWithJoins {
        relation: ast::TableFactor::Derived {
            lateral: false,
            subquery: Box::new(inner),
            alias: Some(build::alias(VALUES)),
            sample: None,
        },
        joins: Vec::new(),
    }];
    Ok(())
}
