//! `x LIKE ANY (...)` and `x LIKE ALL (...)` as what they mean: several LIKEs.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};

use super::{QueryError, build, unsupported};
use crate::row_restriction;

/// What an expression is to be replaced with, if it is one of these.
///
/// # Errors
/// [`QueryError`] for forms that are not known to mean the same, and comparisons with ANY or ALL, which the service has not.
pub(super) fn expand(expr: &Expr) -> Result<Option<Expr>, QueryError> {
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
    if *negated {
        return Err(unsupported(format!("{expr}")));
    }
    let one = |pattern: Expr| Expr::Like {
        negated: false,
        any: false,
        expr: value.clone(),
        pattern: Box::new(pattern),
        escape_char: escape_char.clone(),
    };
    let all = patterns.into_iter().map(one);
    let all = all.reduce(|left, right| build::binary(left, op.clone(), right));
    Ok(all.map(|all| Expr::Nested(Box::new(all))))
}
