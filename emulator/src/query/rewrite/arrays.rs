//! Array literals as calls: the planner does not know the rows around in a literal, and does in the arguments of a function.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, VisitorMut};

use crate::query::rewrite::build;
use crate::syntax_walk;

struct Calls;

impl VisitorMut for Calls {
    type Break = Infallible;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        if let Expr::Array(array) = expr
            && !array.elem.is_empty()
        {
            *expr = build::call("make_array", std::mem::take(&mut array.elem));
        }
        ControlFlow::Continue(())
    }
}

/// Makes calls of all array literals that have elements.
pub(in crate::query) fn call(query: &mut Query) {
    let Ok(()) = syntax_walk::visit_mut(query, &mut Calls);
}
