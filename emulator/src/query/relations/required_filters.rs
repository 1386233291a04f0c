//! Tables that are only read with a condition on what they are partitioned by.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

use crate::name::TableName;
use crate::query::planning::meaning::Scanned;

/// A table, and the columns of which one has to be in a condition.
pub(in crate::query) type Required = (TableName, Vec<String>);

/// The first relation of an optimized plan that is read without such a condition, where `needs` tells what each one requires.
pub(in crate::query) fn missing(
    plan: &LogicalPlan,
    needs: &dyn Fn(&Scanned) -> Option<Required>,
) -> Option<Required> {
    let mut found = None;
    let _ = plan.apply_with_subqueries(|node| {
        // The planner has brought conditions as close to what is read as they can be.
        let (above, scan) = match node {
            LogicalPlan::Filter(filter) => (Some(&filter.predicate), filter.input.as_ref()),
            other => (None, other),
        };
        let Some(scanned) = Scanned::of(scan) else {
            return Ok(TreeNodeRecursion::Continue);
        };
        if let Some((table, columns)) = needs(&scanned) {
            let pushed = scanned.conditions.iter();
            let mut conditions = pushed.chain(above).flat_map(split_conjunction);
            if !conditions.any(|condition| chooses(condition, &columns)) {
                found = Some((table, columns));
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Jump)
    });
    found
}

/// Whether a condition says something about one of the columns, in each of its alternatives.
fn chooses(condition: &Expr, columns: &[String]) -> bool {
    match condition {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Or,
            right,
        }) => chooses(left, columns) && chooses(right, columns),
        other => other
            .column_refs()
            .iter()
            .any(|named| columns.iter().any(|c| c.eq_ignore_ascii_case(&named.name))),
    }
}
