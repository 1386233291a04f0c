//! Pieces of SQL that the rewriter puts in place of others.

use datafusion::sql::sqlparser::ast::{
    self, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Value,
    helpers::attached_token::AttachedToken,
};

use crate::query::sql_types;
use crate::row_restriction;
use crate::schema::FieldSchema;

pub(crate) fn text(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).into())
}

pub(in crate::query) fn bytes(bytes: &[u8]) -> Expr {
    let hex = bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    call("millpond_from_hex", vec![text(&hex)])
}

pub(in crate::query) fn number(number: i64) -> Expr {
    Expr::Value(Value::Number(number.to_string(), false).into())
}

pub(in crate::query) fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

/// A call of a function by the planner's own name.
pub(crate) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let args = arguments
        .into_iter()
        .map(|a| FunctionArg::Unnamed(FunctionArgExpr::Expr(a)))
        .collect();
    Expr::Function(Function {
        name: vec![Ident::new(name)].into(),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// `ARRAY(query)`.
pub(in crate::query) fn array_of(query: Box<ast::Query>) -> Expr {
    let mut array = call("ARRAY", Vec::new());
    if let Expr::Function(function) = &mut array {
        function.args = FunctionArguments::Subquery(query);
    }
    array
}

/// The query that an expression is nothing but.
pub(in crate::query) fn query_within(expr: &mut Expr) -> Option<&mut ast::Query> {
    match expr {
        Expr::Subquery(query)
        | Expr::Exists {
            subquery: query, ..
        }
        | Expr::InSubquery {
            subquery: query, ..
        }
        | Expr::Function(Function {
            args: FunctionArguments::Subquery(query),
            ..
        }) => Some(query),
        _ => None,
    }
}

/// `CAST(value AS field's type)` with BigQuery's rules.
pub(in crate::query) fn cast(value: Expr, to: &FieldSchema) -> Expr {
    call(
        "millpond_cast",
        vec![value, text(&sql_types::described(to))],
    )
}

/// `SAFE_CAST`.
pub(in crate::query) fn safe_cast(value: Expr, to: &FieldSchema) -> Expr {
    call(
        "millpond_safe_cast",
        vec![value, text(&sql_types::described(to))],
    )
}

/// `CASE WHEN condition THEN yes ELSE no END`.
pub(in crate::query) fn choice(condition: Expr, yes: Expr, no: Option<Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![ast::CaseWhen {
            condition,
            result: yes,
        }],
        else_result: no.map(Box::new),
    }
}

/// The number and the part of an interval of one part, as this crate's rewrites write it.
pub(in crate::query) fn interval_of(expr: &Expr) -> Option<(&Expr, &Expr)> {
    let Expr::Function(function) = expr else {
        return None;
    };
    if function.name.to_string() != "millpond_interval_of" {
        return None;
    }
    match row_restriction::arguments(function)?.as_slice() {
        [count, part] => Some((*count, *part)),
        _ => None,
    }
}

/// Whether any of the values is null.
pub(in crate::query) fn any_null(values: &[Expr]) -> Expr {
    let mut all = values
        .iter()
        .map(|v| Expr::IsNull(Box::new(v.clone())))
        .collect::<Vec<_>>();
    let first = all.pop().unwrap_or_else(null);
    all.into_iter().fold(first, |left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: ast::BinaryOperator::Or,
        right: Box::new(right),
    })
}

pub(in crate::query) fn binary(left: Expr, op: ast::BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }
}

pub(in crate::query) fn nested(expr: &Expr) -> Expr {
    Expr::Nested(Box::new(expr.clone()))
}

/// An alias without columns.
pub(in crate::query) fn alias(name: &str) -> ast::TableAlias {
    ast::TableAlias {
        explicit: true,
        name: Ident::with_quote('`', name),
        columns: Vec::new(),
        at: None,
    }
}
