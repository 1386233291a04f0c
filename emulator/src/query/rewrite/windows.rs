//! Windows with names: `OVER w`, `OVER (w ROWS 1 PRECEDING)` and `WINDOW b AS (a ORDER BY x)`. The planner takes no notice of a name in
//! parentheses.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, Query, SetExpr, VisitMut, VisitorMut,
    WindowSpec, WindowType,
};

use crate::query::QueryError;
use crate::query::rewrite::names::same;
use crate::syntax_walk;

/// Windows by their names.
type Known = Vec<(String, WindowSpec)>;

/// Puts what names of windows mean in their place, in the SELECT that a query is.
///
/// # Errors
/// [`QueryError::Invalid`] for a name that no window has, and for what its window says already.
pub(super) fn spell_out(query: &mut Query) -> Result<(), QueryError> {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Ok(());
    };
    let mut known = Known::new();
    for NamedWindowDefinition(name, window) in &mut select.named_window {
        let spec = match &*window {
            NamedWindowExpr::NamedWindow(other) => find(&known, other)?.clone(),
            NamedWindowExpr::WindowSpec(spec) => whole(spec.clone(), &known)?,
        };
        *window = NamedWindowExpr::WindowSpec(spec.clone());
        known.push((name.value.clone(), spec));
    }
    in_calls(&mut select.projection, &known)?;
    in_calls(&mut select.qualify, &known)?;
    in_calls(&mut query.order_by, &known)
}

fn find<'a>(known: &'a Known, name: &Ident) -> Result<&'a WindowSpec, QueryError> {
    let found = known.iter().find(|(own, _)| same(own, &name.value));
    let found = found.map(|(_, spec)| spec);
    found.ok_or_else(|| QueryError::Invalid {
        message: format!("Unrecognized window alias {}", name.value),
    })
}

/// A window with all that the one it names says.
fn whole(mut spec: WindowSpec, known: &Known) -> Result<WindowSpec, QueryError> {
    let Some(name) = spec.window_name.take() else {
        return Ok(spec);
    };
    let base = find(known, &name)?.clone();
    let twice = |clause: &str| QueryError::Invalid {
        message: format!(
            "{clause} is not allowed in a window that is given by the name {}, whose window has that already",
            name.value
        ),
    };
    if !spec.partition_by.is_empty() {
        return Err(twice("PARTITION BY"));
    }
    if !spec.order_by.is_empty() && !base.order_by.is_empty() {
        return Err(twice("ORDER BY"));
    }
    if base.window_frame.is_some() && (spec.window_frame.is_some() || !spec.order_by.is_empty()) {
        return Err(twice("a frame or ORDER BY"));
    }
    spec.partition_by = base.partition_by;
    if spec.order_by.is_empty() {
        spec.order_by = base.order_by;
    }
    spec.window_frame = spec.window_frame.or(base.window_frame);
    Ok(spec)
}

fn in_calls<N: VisitMut>(node: &mut N, known: &Known) -> Result<(), QueryError> {
    struct Calls<'a> {
        known: &'a Known,
        /// Queries within, whose names are their own.
        depth: usize,
    }
    impl VisitorMut for Calls<'_> {
        type Break = QueryError;

        fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<QueryError> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<QueryError> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
            let Expr::Function(function) = expr else {
                return ControlFlow::Continue(());
            };
            let Some(over) = function.over.as_mut().filter(|_| self.depth == 0) else {
                return ControlFlow::Continue(());
            };
            let spec = match &*over {
                WindowType::NamedWindow(name) => find(self.known, name).cloned(),
                WindowType::WindowSpec(spec) => whole(spec.clone(), self.known),
            };
            match spec {
                Ok(spec) => {
                    *over = WindowType::WindowSpec(spec);
                    ControlFlow::Continue(())
                }
                Err(e) => ControlFlow::Break(e),
            }
        }
    }
    syntax_walk::visit_mut(node, &mut Calls { known, depth: 0 })
}
