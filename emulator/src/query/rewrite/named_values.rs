//! `WITH(a AS 1, b AS a + 1, a * b)`: values with names in an expression, put where the names are.
//!
//! Works on expressions whose calls are spelled, and whose names are not yet.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Value, Visitor, VisitorMut};

use crate::query::rewrite::names::same;
use crate::query::{QueryError, rewrite::build, unsupported};
use crate::{row_restriction, syntax_walk};

/// The call that such an expression is read as: names and values by turns, and the result.
pub(in crate::query) const CALL: &str = "millpond_with";

/// The result with the values in the place of their names, if an expression is such a call.
///
/// # Errors
/// [`QueryError::Unsupported`] where a value would be computed more than once though it is another each time, or a name may be that of a column.
pub(super) fn put(expr: &Expr) -> Result<Option<Expr>, QueryError> {
    let Expr::Function(function) = expr else {
        return Ok(None);
    };
    if function.name.to_string() != CALL {
        return Ok(None);
    }
    let given = row_restriction::arguments(function).unwrap_or_default();
    let Some((result, named)) = given.split_last() else {
        return Ok(None);
    };
    let mut known: Vec<(String, Expr)> = Vec::new();
    for pair in named.chunks(2) {
        let [Expr::Value(name), value] = pair else {
            continue;
        };
        let Value::SingleQuotedString(name) = &name.value else {
            continue;
        };
        let value = with_values((*value).clone(), &known)?;
        known.retain(|(other, _)| !same(other, name));
        known.push((name.clone(), value));
    }
    let result = with_values((*result).clone(), &known)?;
    Ok(Some(Expr::Nested(Box::new(result))))
}

fn with_values(mut expr: Expr, known: &[(String, Expr)]) -> Result<Expr, QueryError> {
    let mut putting = Putting {
        known,
        used: vec![0; known.len()],
        depth: 0,
    };
    syntax_walk::visit_mut(&mut expr, &mut putting)?;
    let used = putting.used.iter().zip(known);
    for (times, (name, value)) in used {
        if *times > 1 && is_volatile(value) {
            return Err(unsupported(format!(
                "the volatile value {name} of WITH, which is named more than once,"
            )));
        }
    }
    Ok(expr)
}

struct Putting<'a> {
    known: &'a [(String, Expr)],
    used: Vec<usize>,
    /// Queries around.
    depth: usize,
}

impl VisitorMut for Putting<'_> {
    type Break = QueryError;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<QueryError> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<QueryError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        let (name, within) = match &*expr {
            Expr::Identifier(name) => (name, &[][..]),
            Expr::CompoundIdentifier(path) => match path.split_first() {
                Some(parts) => parts,
                None => return ControlFlow::Continue(()),
            },
            _ => return ControlFlow::Continue(()),
        };
        let found = self
            .known
            .iter()
            .position(|(own, _)| same(own, &name.value));
        let Some((at, (_, value))) = found.and_then(|at| Some((at, self.known.get(at)?))) else {
            return ControlFlow::Continue(());
        };
        if self.depth > 0 {
            return ControlFlow::Break(unsupported(format!(
                "a query in WITH that names {name}, a value of it,"
            )));
        }
        if let Some(times) = self.used.get_mut(at) {
            *times += 1;
        }
        let whole = build::nested(value);
        *expr = within.iter().fold(whole, |value, field| {
            build::call("millpond_field", vec![value, build::text(&field.value)])
        });
        ControlFlow::Continue(())
    }
}

/// Whether a value may be another each time that it is computed.
fn is_volatile(value: &Expr) -> bool {
    struct Volatile;
    impl Visitor for Volatile {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(function)
                    if ["random", "uuid"].contains(&function.name.to_string().as_str()) =>
                {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    syntax_walk::visit(value, &mut Volatile).is_err()
}
