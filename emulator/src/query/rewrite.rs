//! From BigQuery's text to DataFusion's: table names, spellings, and what has none is refused by name.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Expr, Function, Ident, ObjectName, ObjectNamePart, Query, SelectItem,
    SetExpr, TableAliasColumnDef, TableFactor, Value, VisitMut, VisitorMut,
};

use super::parameters::Parameter;
use super::{Defaults, QueryError, unsupported};
use crate::name::TableName;
use crate::row_restriction;

/// Functions that mean the same in both, or are made to below.
const KNOWN_FUNCTIONS: [&str; 64] = [
    "abs",
    "acos",
    "any_value",
    "asin",
    "atan",
    "atan2",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "ceil",
    "ceiling",
    "coalesce",
    "concat",
    "cos",
    "count",
    "current_date",
    "current_timestamp",
    "date",
    "datetime",
    "dense_rank",
    "ends_with",
    "exp",
    "first_value",
    "floor",
    "generate_array",
    "if",
    "ifnull",
    "is_nan",
    "lag",
    "last_value",
    "lead",
    "least",
    "greatest",
    "ln",
    "log10",
    "logical_and",
    "logical_or",
    "lower",
    "ltrim",
    "max",
    "min",
    "mod",
    "nullif",
    "pi",
    "pow",
    "power",
    "rank",
    "repeat",
    "replace",
    "reverse",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "sin",
    "sqrt",
    "starts_with",
    "sum",
    "tan",
    "timestamp",
    "trim",
    "trunc",
    "upper",
];

/// Rewrites a query in place; returns the tables it names, by the names they go by from now on.
///
/// # Errors
/// [`QueryError`] for what is not supported, a name that is none, or a parameter that was not given.
pub(super) fn rewrite(
    query: &mut Query,
    defaults: &Defaults,
    parameters: &[Parameter],
) -> Result<BTreeMap<String, TableName>, QueryError> {
    name_columns(&mut query.body);
    let mut rewriter = Rewriter {
        defaults,
        parameters,
        next_positional: 0,
        scopes: Vec::new(),
        tables: BTreeMap::new(),
    };
    match VisitMut::visit(query, &mut rewriter) {
        ControlFlow::Continue(()) => Ok(rewriter.tables),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Columns without a name are called `f0_`, `f1_` and so on.
fn name_columns(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            let mut unnamed = 0;
            for item in &mut select.projection {
                let SelectItem::UnnamedExpr(expr) = item else {
                    continue;
                };
                if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                    continue;
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

struct Rewriter<'a> {
    defaults: &'a Defaults,
    parameters: &'a [Parameter],
    next_positional: usize,
    /// Names of the WITH clauses around.
    scopes: Vec<Vec<String>>,
    tables: BTreeMap<String, TableName>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = QueryError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<QueryError> {
        let mut names = Vec::new();
        if let Some(with) = &query.with {
            if with.recursive {
                return ControlFlow::Break(unsupported("WITH RECURSIVE"));
            }
            names.extend(with.cte_tables.iter().map(|c| c.alias.name.value.clone()));
        }
        self.scopes.push(names);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<QueryError> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<QueryError> {
        match self.table_factor(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(e),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        match self.expression(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(e),
        }
    }
}

impl Rewriter<'_> {
    fn table_factor(&mut self, factor: &mut TableFactor) -> Result<(), QueryError> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                version: None,
                sample: None,
                ..
            } => {
                let parts = name_parts(name)?;
                if let [single] = parts.as_slice()
                    && self.scopes.iter().flatten().any(|known| known == single)
                {
                    return Ok(());
                }
                let table = self.table(&parts)?;
                let last = table.table().to_owned();
                let key = table.to_resource();
                *name = ObjectName::from(vec![Ident::with_quote('`', key.clone())]);
                alias.get_or_insert_with(|| ast::TableAlias {
                    explicit: true,
                    name: Ident::with_quote('`', last),
                    columns: Vec::new(),
                    at: None,
                });
                self.tables.insert(key, table);
                Ok(())
            }
            TableFactor::UNNEST {
                alias, with_offset, ..
            } => {
                if *with_offset {
                    return Err(unsupported("UNNEST WITH OFFSET"));
                }
                // The alias is the name of the element, not of a table.
                if let Some(alias) = alias
                    && alias.columns.is_empty()
                {
                    alias.columns.push(TableAliasColumnDef {
                        name: alias.name.clone(),
                        data_type: None,
                    });
                }
                Ok(())
            }
            TableFactor::Derived { lateral: false, .. } | TableFactor::NestedJoin { .. } => Ok(()),
            TableFactor::Table { name, .. } => Err(unsupported(format!(
                "a sample, a version or arguments of the table {name}"
            ))),
            other => {
                let text = other.to_string();
                Err(unsupported(format!("the table expression {text}")))
            }
        }
    }

    /// The table that the parts of a name mean.
    fn table(&self, parts: &[String]) -> Result<TableName, QueryError> {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let missing = |name: &str| QueryError::NoDataset {
            name: name.to_owned(),
        };
        if parts
            .iter()
            .any(|p| p.eq_ignore_ascii_case("INFORMATION_SCHEMA"))
        {
            return Err(unsupported(format!("the view {}", parts.join("."))));
        }
        if parts.last().is_some_and(|p| p.ends_with('*')) {
            return Err(unsupported(format!(
                "the wildcard table {}",
                parts.join(".")
            )));
        }
        Ok(match parts.as_slice() {
            [table] => {
                let (project, dataset) = self
                    .defaults
                    .dataset
                    .as_ref()
                    .ok_or_else(|| missing(table))?;
                TableName::try_new(project, dataset, table)?
            }
            [dataset, table] => TableName::try_new(&self.defaults.project, dataset, table)?,
            [project, dataset, table] => TableName::try_new(project, dataset, table)?,
            _ => return Err(missing(&parts.join("."))),
        })
    }

    fn expression(&mut self, expr: &mut Expr) -> Result<(), QueryError> {
        match expr {
            Expr::Value(value) => {
                if let Value::Placeholder(name) = &value.value {
                    *expr = self.parameter(&name.clone())?;
                }
                return Ok(());
            }
            Expr::Identifier(ident) if ident.value.starts_with('@') => {
                *expr = self.parameter(&ident.value.clone())?;
                return Ok(());
            }
            Expr::Function(function) => {
                if let Some(other) = respelled(function)? {
                    *expr = other;
                    return Ok(());
                }
            }
            Expr::BinaryOp {
                left,
                op: BinaryOperator::Divide,
                ..
            } => {
                // A quotient of integers is a float, and by zero an error.
                return Err(unsupported(format!("the operator / after {left}")));
            }
            Expr::BinaryOp { op, .. } => check_operator(op)?,
            _ => {}
        }
        row_restriction::respell(expr);
        Ok(())
    }

    fn parameter(&mut self, placeholder: &str) -> Result<Expr, QueryError> {
        let missing = || QueryError::NoParameter {
            name: placeholder.to_owned(),
        };
        if let Some(name) = placeholder.strip_prefix('@') {
            let given = self
                .parameters
                .iter()
                .find(|p| p.name.eq_ignore_ascii_case(name));
            return given.map(respelled_literal).ok_or_else(missing);
        }
        let given = self.parameters.get(self.next_positional);
        self.next_positional += 1;
        given.map(respelled_literal).ok_or_else(missing)
    }
}

fn respelled_literal(parameter: &Parameter) -> Expr {
    let mut literal = parameter.literal();
    row_restriction::respell(&mut literal);
    literal
}

/// The parts of a name; dots inside backticks separate, too.
fn name_parts(name: &ObjectName) -> Result<Vec<String>, QueryError> {
    let mut parts = Vec::new();
    for part in &name.0 {
        let ObjectNamePart::Identifier(ident) = part else {
            return Err(unsupported(format!("the table name {name}")));
        };
        parts.extend(ident.value.split('.').map(str::to_owned));
    }
    Ok(parts)
}

fn check_operator(op: &BinaryOperator) -> Result<(), QueryError> {
    match op {
        BinaryOperator::Plus
        | BinaryOperator::Minus
        | BinaryOperator::Multiply
        | BinaryOperator::Modulo
        | BinaryOperator::StringConcat
        | BinaryOperator::Gt
        | BinaryOperator::Lt
        | BinaryOperator::GtEq
        | BinaryOperator::LtEq
        | BinaryOperator::Eq
        | BinaryOperator::NotEq
        | BinaryOperator::And
        | BinaryOperator::Or => Ok(()),
        other => Err(unsupported(format!("the operator {other}"))),
    }
}

/// Functions by their name: what has another spelling is given it, what is not known is refused.
fn respelled(function: &mut Function) -> Result<Option<Expr>, QueryError> {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_mut_slice() else {
        return Err(unsupported(format!("the function {}", function.name)));
    };
    let lower = name.value.to_ascii_lowercase();
    if !KNOWN_FUNCTIONS.contains(&lower.as_str()) {
        return Err(unsupported(format!("the function {}", name.value)));
    }
    let new = match lower.as_str() {
        "generate_array" => "generate_series",
        "is_nan" => "isnan",
        "logical_and" => "bool_and",
        "logical_or" => "bool_or",
        "any_value" => "min",
        "if" => return Ok(conditional(function)),
        "ifnull" => "coalesce",
        other => other,
    };
    new.clone_into(&mut name.value);
    name.quote_style = None;
    Ok(None)
}

/// `IF(condition, a, b)` as CASE.
fn conditional(function: &Function) -> Option<Expr> {
    let arguments = row_restriction::arguments(function)?;
    let [condition, yes, no] = arguments.as_slice() else {
        return None;
    };
    Some(Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: vec![ast::CaseWhen {
            condition: (*condition).clone(),
            result: (*yes).clone(),
        }],
        else_result: Some(Box::new((*no).clone())),
    })
}
