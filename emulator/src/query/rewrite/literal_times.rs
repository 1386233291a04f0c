//! Literal texts where functions expect dates and times. A text in quotes is a date or time there, a column of texts is not.
//! Where a function takes more than one kind, a literal is a date, and what has a time of day besides is refused.

use datafusion::sql::sqlparser::ast::{
    self, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
};

use crate::query::rewrite::build;
use crate::query::sql_types::plain;

/// Makes dates and times of the literal texts among the arguments of a function of dates and times, called in small letters.
pub(in crate::query) fn coerce(name: &str, function: &mut Function) {
    let Some((kind, places)) = expected(name) else {
        return;
    };
    let FunctionArguments::List(list) = &mut function.args else {
        return;
    };
    for place in places {
        if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(value))) = list.args.get_mut(*place)
        {
            *value = as_kind(value, kind);
        }
    }
}

/// The value, or what it is as a date or time where it is a literal text.
pub(in crate::query) fn as_kind(value: &Expr, kind: &str) -> Expr {
    let literal = matches!(value, Expr::Value(text) if matches!(text.value, ast::Value::SingleQuotedString(_)));
    if literal {
        build::cast(value.clone(), &plain("value", kind))
    } else {
        value.clone()
    }
}

/// The kind that a function expects, and the places of the arguments that are such.
fn expected(name: &str) -> Option<(&'static str, &'static [usize])> {
    match name {
        "last_day" | "unix_date" => return Some(("DATE", &[0])),
        "unix_seconds" | "unix_millis" | "unix_micros" => return Some(("TIMESTAMP", &[0])),
        _ => {}
    }
    let (kind, places) = match name.strip_prefix("format_") {
        Some(kind) => (kind, &[1][..]),
        None => {
            let (kind, function) = name.split_once('_')?;
            let places = match function {
                "add" | "sub" | "trunc" => &[0][..],
                "diff" => &[0, 1],
                "bucket" => &[0, 2],
                _ => return None,
            };
            (kind, places)
        }
    };
    let kind = match kind {
        "date" => "DATE",
        "datetime" => "DATETIME",
        "time" => "TIME",
        "timestamp" => "TIMESTAMP",
        _ => return None,
    };
    Some((kind, places))
}
