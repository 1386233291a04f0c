//! What is asked of a value behind it: `value.field`, `array[OFFSET(0)]`, `json['member'][1]`, as calls of functions.

use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, FunctionArguments, Subscript};

use crate::query::{QueryError, rewrite::build, unsupported};
use crate::row_restriction;

/// The functions that say how elements are counted.
const COUNTED: [&str; 4] = ["OFFSET", "ORDINAL", "SAFE_OFFSET", "SAFE_ORDINAL"];

/// Calls for the parts of a value, one in the other.
///
/// # Errors
/// [`QueryError::Unsupported`] for what the service does not have.
pub(in crate::query) fn spell(root: &Expr, chain: &[AccessExpr]) -> Result<Expr, QueryError> {
    let mut chain = chain.iter().peekable();
    let mut value = root.clone();
    // What stands before the first bracket is a path.
    if let Expr::Identifier(name) = root {
        let mut path = vec![name.clone()];
        while let Some(AccessExpr::Dot(Expr::Identifier(name))) = chain.peek() {
            path.push(name.clone());
            chain.next();
        }
        if path.len() > 1 {
            value = Expr::CompoundIdentifier(path);
        }
    }
    for access in chain {
        value = match access {
            AccessExpr::Dot(Expr::Identifier(name)) => {
                build::call("millpond_field", vec![value, build::text(&name.value)])
            }
            AccessExpr::Subscript(Subscript::Index { index }) => {
                let (index, kind) = counted(index)?;
                build::call("millpond_at", vec![value, index, build::text(kind)])
            }
            other => return Err(unsupported(format!("the part {other} of a value"))),
        };
    }
    Ok(value)
}

/// Where an element stands, and how that is counted.
fn counted(index: &Expr) -> Result<(Expr, &'static str), QueryError> {
    let Expr::Function(function) = index else {
        return Ok((index.clone(), "OFFSET"));
    };
    let name = function.name.to_string().to_uppercase();
    let Some(kind) = COUNTED.into_iter().find(|kind| *kind == name) else {
        return Ok((index.clone(), "OFFSET"));
    };
    let FunctionArguments::List(_) = &function.args else {
        return Err(unsupported(format!("the subscript {index}")));
    };
    match row_restriction::arguments(function).as_deref() {
        Some([position]) => Ok(((*position).clone(), kind)),
        _ => Err(unsupported(format!("the subscript {index}"))),
    }
}
