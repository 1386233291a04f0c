//! `WITH RECURSIVE`: queries may name such as come after them, which the planner reads in their order.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Cte, ObjectName, Query, Visitor};

use crate::query::QueryError;
use crate::query::rewrite::name_parts;
use crate::query::rewrite::names::same;
use crate::syntax_walk;

/// Puts the queries of a recursive WITH clause behind those that they name.
///
/// # Errors
/// [`QueryError::Invalid`] for queries that name each other.
pub(super) fn in_order(query: &mut Query) -> Result<(), QueryError> {
    let Some(with) = query.with.as_mut().filter(|with| with.recursive) else {
        return Ok(());
    };
    let mut waiting = std::mem::take(&mut with.cte_tables);
    let named: Vec<(String, Vec<String>)> =
        waiting.iter().map(|cte| (name(cte), names(cte))).collect();
    let waits_for = |cte: &Cte, other: &Cte| {
        let (own, other) = (name(cte), name(other));
        let of_own = named
            .iter()
            .find(|(n, _)| *n == own)
            .map(|(_, names)| names);
        own != other && of_own.into_iter().flatten().any(|n| same(n, &other))
    };
    while !waiting.is_empty() {
        let ready = waiting
            .iter()
            .position(|cte| !waiting.iter().any(|other| waits_for(cte, other)));
        let Some(ready) = ready else {
            let first = waiting.first().map(name).unwrap_or_default();
            return Err(QueryError::Invalid {
                message: format!(
                    "Unsupported WITH entry dependency: mutual recursion is not supported, as of {first}"
                ),
            });
        };
        with.cte_tables.push(waiting.remove(ready));
    }
    Ok(())
}

fn name(cte: &Cte) -> String {
    cte.alias.name.value.clone()
}

/// Names of tables without a dataset in a query.
fn names(cte: &Cte) -> Vec<String> {
    struct Names(Vec<String>);
    impl Visitor for Names {
        type Break = Infallible;

        fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Infallible> {
            if let Ok([one]) = name_parts(name).as_deref() {
                self.0.push(one.clone());
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(Vec::new());
    let Ok(()) = syntax_walk::visit(&*cte.query, &mut names);
    names.0
}
