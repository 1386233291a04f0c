//! The expressions of one node of a plan, changed in the knowledge of their types, under the names they had.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Gives every expression of `node`, innermost first, to `change`, with the columns that it can name.
pub(in crate::query) fn changed(
    node: LogicalPlan,
    change: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    rewritten(node, |expr, schema| {
        expr.transform_up(|e| change(e, schema))
    })
}

/// Gives the expressions of `node`, each as a whole, to `change`, with the columns that they can name.
pub(in crate::query) fn rewritten(
    node: LogicalPlan,
    change: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let schema = node
        .inputs()
        .iter()
        .fold(DFSchema::empty(), |mut all, input| {
            all.merge(input.schema());
            all
        });
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        let name = names.save(&expr);
        let changed = change(expr, &schema)?;
        Ok(changed.update_data(|e| name.restore(e)))
    })
}
