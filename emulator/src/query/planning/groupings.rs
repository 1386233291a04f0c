//! What groups by several sets of columns at once are made of.
//!
//! The planner remembers which columns are constant or sorted and goes on believing it where ROLLUP has put nulls into them: groups
//! come apart and results out of order. What they are computed from is hidden here.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, GroupingSet, LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;

use crate::query::functions;

/// Puts columns of which the planner knows nothing below such groups.
pub(in crate::query) fn apart(plan: LogicalPlan) -> Result<LogicalPlan> {
    let changed = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Aggregate(mut aggregate) = node else {
            return Ok(Transformed::no(node));
        };
        let sets = |e: &Expr| {
            matches!(
                e,
                Expr::GroupingSet(
                    GroupingSet::Rollup(_) | GroupingSet::Cube(_) | GroupingSet::GroupingSets(_)
                )
            )
        };
        if !aggregate.group_expr.iter().any(sets) {
            return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
        }
        let hide = functions::named("millpond_hidden")?;
        let columns = aggregate.input.schema().iter().map(|(qualifier, field)| {
            let column = Expr::Column((qualifier, field).into());
            let arguments = vec![column];
            let hidden = ScalarFunction::new_udf(Arc::clone(&hide), arguments);
            Expr::ScalarFunction(hidden).alias_qualified(qualifier.cloned(), field.name())
        });
        let columns: Vec<Expr> = columns.collect();
        let input = Arc::unwrap_or_clone(aggregate.input);
        let input = LogicalPlanBuilder::from(input).project(columns)?.build()?;
        aggregate.input = Arc::new(input);
        Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
    })?;
    Ok(changed.data)
}
