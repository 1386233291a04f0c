//! Comparisons with several values as what they mean: `x LIKE ANY (...)`, `x LIKE ALL (...)` and `(a, b) IN ((1, 2), (3, 4))`.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use crate::query::{QueryError, rewrite::build, unsupported};
use crate::row_restriction;

/// What an expression is to be replaced with, if it is one of these.
///
/// # Errors
/// [`QueryError`] for forms that are not known to mean the same, and comparisons with ANY or ALL, which the service has not.
pub(in crate::query) fn expand(expr: &Expr) -> Result<Option<Expr>, QueryError> {
    if matches!(expr, Expr::AnyOp { .. } | Expr::AllOp { .. }) {
        return Err(unsupported(format!("the comparison {expr}")));
    }
    let Expr::Like {
        negated,
        any,
        expr: value,
        pattern,
        escape_char,
    } = expr
    else {
        return Ok(None);
    };
    let (patterns, op) = match pattern.as_ref() {
        Expr::Tuple(all) if *any => (all.clone(), BinaryOperator::Or),
        Expr::Nested(one) if *any => (vec![one.as_ref().clone()], BinaryOperator::Or),
        _ if *any => return Err(unsupported(format!("{expr}"))),
        Expr::Function(function) => {
            let op = match function.name.to_string().to_ascii_uppercase().as_str() {
                "ALL" => BinaryOperator::And,
                "SOME" | "ANY" => BinaryOperator::Or,
                _ => return Ok(None),
            };
            let Some(all) = row_restriction::arguments(function) else {
                return Err(unsupported(format!("{expr}")));
            };
            (all.into_iter().cloned().collect(), op)
        }
        _ => return Ok(None),
    };
    let one = |pattern: Expr| Expr::Like {
        negated: *negated,
        any: false,
        expr: value.clone(),
        pattern: Box::new(pattern),
        escape_char: escape_char.clone(),
    };
    let all = patterns.into_iter().map(one);
    let all = all.reduce(|left, right| build::binary(left, op.clone(), right));
    Ok(all.map(|all| Expr::Nested(Box::new(all))))
}

/// How a value is compared with several patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::query) struct Quantified {
    /// Whether patterns are not to fit.
    pub negated: bool,
    /// Whether one of them is enough, or all are needed.
    pub one_is_enough: bool,
}

/// The comparison of a value with the elements of an array of patterns.
pub(in crate::query) fn each(value: &Expr, how: Quantified, patterns: Expr) -> Expr {
    let flag = |flag: bool| Expr::Value(Value::Boolean(flag).into());
    let how = [flag(how.negated), flag(how.one_is_enough)];
    let arguments = [vec![value.clone(), patterns], how.to_vec()];
    build::call("millpond_like_each", arguments.concat())
}

/// `(a, b) IN ((1, 2), (3, 4))` as comparisons of the parts, as structs are compared whatever their fields are called.
pub(in crate::query) fn pairs(expr: &Expr) -> Option<Expr> {
    let Expr::InList {
        expr: value,
        list,
        negated,
    } = expr
    else {
        return None;
    };
    let unnamed = |value: &Expr| match value {
        Expr::Named { expr, .. } => expr.as_ref().clone(),
        other => other.clone(),
    };
    let parts = |expr: &Expr| match expr {
        Expr::Tuple(parts) => Some(parts.clone()),
        Expr::Struct { values, fields } if fields.is_empty() => {
            Some(values.iter().map(unnamed).collect::<Vec<_>>())
        }
        _ => None,
    };
    let own = parts(value)?;
    let mut any: Option<Expr> = None;
    for element in list {
        let theirs = parts(element).filter(|theirs| theirs.len() == own.len())?;
        let same = own.iter().zip(&theirs).map(|(left, right)| {
            let (left, right) = (build::nested(left), build::nested(right));
            build::binary(left, BinaryOperator::Eq, right)
        });
        let all = same.reduce(|left, right| build::binary(left, BinaryOperator::And, right))?;
        let all = Expr::Nested(Box::new(all));
        any = Some(match any {
            Some(before) => build::binary(before, BinaryOperator::Or, all),
            None => all,
        });
    }
    let any = Expr::Nested(Box::new(any?));
    Some(match negated {
        true => Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: Box::new(any),
        },
        false => any,
    })
}
