//! PIVOT and UNPIVOT as the queries that they stand for.
//!
//! Which columns a table has is not known here: what PIVOT groups by are all that it does not name, which [`crate::query::rewrite::names`] spells out.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, ExprWithAlias, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, GroupByExpr, Ident, NullInclusion, PivotValueSource, SelectItem, SetExpr,
    TableAlias, TableFactor, TableWithJoins, UnaryOperator, Value, Visitor,
};

use crate::query::{QueryError, rewrite::build, unsupported};
use crate::row_restriction;
use crate::syntax_walk;

/// The call in GROUP BY that stands for all columns but those it names.
const REST: &str = "millpond_pivot";

/// The columns that elements are taken apart to.
const LABEL: &str = "millpond_label";

fn value_name(at: usize) -> String {
    format!("millpond_value_{at}")
}

/// Puts a query in the place of PIVOT or UNPIVOT.
///
/// # Errors
/// [`QueryError`] for what the service does not take either, or a column that it would name in a way that is not known.
pub(in crate::query) fn expand(factor: &mut TableFactor) -> Result<(), QueryError> {
    let expanded = match factor {
        TableFactor::Pivot {
            table,
            aggregate_functions,
            value_column,
            value_source: PivotValueSource::List(values),
            default_on_null: None,
            alias,
        } => {
            let [value] = value_column.as_slice() else {
                return Err(unsupported("PIVOT for more than one column"));
            };
            let select = pivoted(aggregate_functions, value, values)?;
            placed(select, table, alias.take())?
        }
        TableFactor::Unpivot {
            table,
            value,
            name,
            columns,
            null_inclusion,
            alias,
        } => {
            let all = matches!(null_inclusion, Some(NullInclusion::IncludeNulls));
            let select = unpivoted(value, name, columns, all)?;
            placed(select, table, alias.take())?
        }
        other => return Err(unsupported(format!("the table expression {other}"))),
    };
    *factor = expanded;
    Ok(())
}

/// A SELECT as a table of a query, over this table.
fn placed(
    mut select: ast::Select,
    table: &TableFactor,
    alias: Option<TableAlias>,
) -> Result<TableFactor, QueryError> {
    match select.from.first_mut() {
        Some(from) => from.relation = table.clone(),
        None => select.from.push(TableWithJoins {
            relation: table.clone(),
            joins: Vec::new(),
        }),
    }
    let mut subquery = crate::query::select("SELECT 1")?;
    *subquery.body = SetExpr::Select(Box::new(select));
    Ok(TableFactor::Derived {
        lateral: false,
        subquery: Box::new(subquery),
        alias,
        sample: None,
    })
}

fn written(text: &str) -> Result<ast::Select, QueryError> {
    match *crate::query::select(text)?.body {
        SetExpr::Select(select) => Ok(*select),
        _ => Err(unsupported("this form of PIVOT")),
    }
}

fn pivoted(
    aggregates: &[ExprWithAlias],
    value: &Expr,
    values: &[ExprWithAlias],
) -> Result<ast::Select, QueryError> {
    let mut select = written("SELECT * FROM `x`")?;
    let mut named = names_in(value);
    for aggregate in aggregates {
        named.extend(names_in(&aggregate.expr));
    }
    let named = named.iter().map(|name| build::text(name)).collect();
    let rest = build::call(REST, named);
    select.group_by = GroupByExpr::Expressions(vec![rest], Vec::new());
    for item in values {
        let name = match &item.alias {
            Some(alias) => alias.value.clone(),
            None => name_of(&item.expr)?,
        };
        for aggregate in aggregates {
            let shown = match &aggregate.alias {
                Some(alias) => format!("{}_{name}", alias.value),
                None => name.clone(),
            };
            let is = Expr::IsNotDistinctFrom(
                Box::new(build::nested(value)),
                Box::new(build::nested(&item.expr)),
            );
            select.projection.push(SelectItem::ExprWithAlias {
                expr: where_it_is(&aggregate.expr, is)?,
                alias: Ident::with_quote('`', shown),
            });
        }
    }
    Ok(select)
}

/// The columns that a SELECT leaves to what PIVOT does with them, if it is one.
pub(in crate::query) fn left_out(groups: &GroupByExpr) -> Option<Vec<String>> {
    let GroupByExpr::Expressions(groups, _) = groups else {
        return None;
    };
    let [Expr::Function(rest)] = groups.as_slice() else {
        return None;
    };
    if rest.name.to_string() != REST {
        return None;
    }
    let names = row_restriction::arguments(rest)?;
    let text = |expr: &&Expr| match expr {
        Expr::Value(value) => value.value.clone().into_string(),
        _ => None,
    };
    names.iter().map(text).collect()
}

/// An aggregate of the rows for which this is so.
fn where_it_is(aggregate: &Expr, is: Expr) -> Result<Expr, QueryError> {
    let refused = || QueryError::Invalid {
        message: format!("PIVOT expression must be an aggregate function call: {aggregate}"),
    };
    let Expr::Function(call) = aggregate else {
        return Err(refused());
    };
    let mut call: Function = call.clone();
    let FunctionArguments::List(list) = &mut call.args else {
        return Err(refused());
    };
    let ignores = list.clauses.iter().any(|clause| {
        matches!(
            clause,
            FunctionArgumentClause::IgnoreOrRespectNulls(ast::NullTreatment::IgnoreNulls)
        )
    });
    let name = call.name.to_string();
    if name.eq_ignore_ascii_case("ARRAY_AGG") && !ignores {
        return Err(QueryError::Invalid {
            message: "PIVOT expression ARRAY_AGG must be called with IGNORE NULLS".to_owned(),
        });
    }
    match list.args.first_mut() {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Wildcard)) => {
            call.name = vec![Ident::new("COUNTIF")].into();
            list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(is))];
        }
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(value))) => {
            *value = build::choice(is, value.clone(), None);
        }
        _ => return Err(refused()),
    }
    Ok(Expr::Function(call))
}

/// The name of the column of a value that was given none.
fn name_of(value: &Expr) -> Result<String, QueryError> {
    let refused = || QueryError::Invalid {
        message: format!("PIVOT value {value} must have an alias"),
    };
    let number = |text: &str| text.replace('.', "_point_");
    Ok(match value {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => format!("_{}", number(text)),
            Value::Boolean(flag) => flag.to_string().to_uppercase(),
            Value::Null => "NULL".to_owned(),
            other => other.clone().into_string().ok_or_else(refused)?,
        },
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => format!("minus{}", name_of(expr)?),
        Expr::TypedString(typed) => {
            let text = typed.value.value.clone().into_string();
            let text = text.ok_or_else(refused)?;
            match typed.data_type.to_string().to_uppercase().as_str() {
                "DATE" => format!("_{}", text.replace('-', "_")),
                "NUMERIC" | "BIGNUMERIC" => match text.strip_prefix('-') {
                    Some(digits) => format!("minus_{}", number(digits)),
                    None => format!("_{}", number(&text)),
                },
                _ => return Err(refused()),
            }
        }
        _ => return Err(refused()),
    })
}

fn unpivoted(
    values: &Expr,
    name: &Ident,
    columns: &[ExprWithAlias],
    nulls: bool,
) -> Result<ast::Select, QueryError> {
    let values = idents(values)?;
    let mut left: Vec<Ident> = Vec::new();
    let mut rows: Vec<Expr> = Vec::new();
    let numbered = columns.iter().filter(|item| number(item).is_some()).count();
    if numbered > 0 && numbered < columns.len() {
        return Err(QueryError::Invalid {
            message: "All row values of UNPIVOT must have the same type".to_owned(),
        });
    }
    for item in columns {
        let own = idents(&item.expr)?;
        if own.len() != values.len() {
            return Err(QueryError::Invalid {
                message: format!(
                    "The number of columns in {} does not match the {} value columns of UNPIVOT",
                    item.expr,
                    values.len()
                ),
            });
        }
        let shown: Vec<&str> = own.iter().map(|n| n.value.as_str()).collect();
        let label = match &item.alias {
            Some(alias) => alias.value.clone(),
            None => shown.join("_"),
        };
        let field = |expr: Expr, name: String| Expr::Named {
            expr: Box::new(expr),
            name: Ident::with_quote('`', name),
        };
        let cells = own.iter().enumerate();
        let mut fields: Vec<Expr> = cells
            .map(|(at, column)| field(Expr::Identifier(column.clone()), value_name(at)))
            .collect();
        let label = number(item).map_or_else(|| build::text(&label), build::number);
        fields.push(field(label, LABEL.to_owned()));
        rows.push(Expr::Struct {
            values: fields,
            fields: Vec::new(),
        });
        left.extend(own);
    }
    left.extend((0..values.len()).map(|at| Ident::with_quote('`', value_name(at))));
    left.push(Ident::with_quote('`', LABEL));
    let mut seen = std::collections::BTreeSet::new();
    left.retain(|name| seen.insert(name.value.to_lowercase()));
    let left: Vec<String> = left.iter().map(|n| format!("`{}`", n.value)).collect();
    let mut select = written(&format!(
        "SELECT * EXCEPT ({}) FROM `x` CROSS JOIN UNNEST(([])) AS `millpond_unpivoted`",
        left.join(", ")
    ))?;
    let array = Expr::Nested(Box::new(Expr::Array(ast::Array {
        elem: rows,
        named: false,
    })));
    let joins = select.from.iter_mut().flat_map(|table| &mut table.joins);
    for join in joins {
        if let TableFactor::UNNEST { array_exprs, .. } = &mut join.relation {
            *array_exprs = vec![array.clone()];
        }
    }
    let column = |name: &str| Expr::Identifier(Ident::with_quote('`', name));
    for (at, value) in values.iter().enumerate() {
        select.projection.push(SelectItem::ExprWithAlias {
            expr: column(&value_name(at)),
            alias: value.clone(),
        });
    }
    select.projection.push(SelectItem::ExprWithAlias {
        expr: column(LABEL),
        alias: name.clone(),
    });
    let some = (0..values.len()).map(|at| Expr::IsNotNull(Box::new(column(&value_name(at)))));
    let some = some.reduce(|one, other| build::binary(one, ast::BinaryOperator::Or, other));
    select.selection = some.filter(|_| !nulls);
    Ok(select)
}

/// The integer that a row has as its label.
fn number(item: &ExprWithAlias) -> Option<i64> {
    let label = item.alias.as_ref()?;
    let digits = label.quote_style == Some('`');
    digits.then(|| label.value.parse().ok()).flatten()
}

/// One name or several in parentheses.
fn idents(expr: &Expr) -> Result<Vec<Ident>, QueryError> {
    match expr {
        Expr::Identifier(name) => Ok(vec![name.clone()]),
        Expr::CompoundIdentifier(path) => Ok(path.last().cloned().into_iter().collect()),
        Expr::Nested(one) => idents(one),
        Expr::Tuple(all) => {
            let all: Result<Vec<_>, _> = all.iter().map(idents).collect();
            Ok(all?.concat())
        }
        other => Err(unsupported(format!("{other} in UNPIVOT"))),
    }
}

/// The names in an expression that may be those of columns, behind the name of their table or not.
fn names_in(expr: &Expr) -> Vec<String> {
    #[derive(Default)]
    struct Names(Vec<String>);
    impl Visitor for Names {
        type Break = std::convert::Infallible;

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
            match expr {
                Expr::Identifier(name) => self.0.push(name.value.clone()),
                Expr::CompoundIdentifier(path) => {
                    self.0.extend(path.iter().take(2).map(|n| n.value.clone()));
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names::default();
    let Ok(()) = syntax_walk::visit(expr, &mut names);
    names.0
}
