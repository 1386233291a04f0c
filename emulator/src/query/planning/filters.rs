//! The planner's rule that brings conditions closer to what is read, without the place where it breaks.
//!
//! It takes for granted that a step of windows computes nothing but calls of window functions, under a name or not, and ends the
//! thread where other rules have left something around one.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::optimizer::push_down_filter::PushDownFilter;
use std::sync::Arc;

/// The rule, which leaves conditions where they are above windows that it does not understand.
#[derive(Debug, Default)]
struct Filters(PushDownFilter);

fn understands(window: &Expr) -> bool {
    match window {
        Expr::WindowFunction(_) => true,
        Expr::Alias(alias) => matches!(*alias.expr, Expr::WindowFunction(_)),
        _ => false,
    }
}

/// Whether a condition, or one below it, stands on windows that are more than calls.
fn on_other_windows(plan: &LogicalPlan) -> bool {
    let mut plan = plan;
    while let LogicalPlan::Filter(filter) = plan {
        plan = filter.input.as_ref();
        if let LogicalPlan::Window(window) = plan {
            return !window.window_expr.iter().all(understands);
        }
    }
    false
}

impl OptimizerRule for Filters {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        if on_other_windows(&plan) {
            return Ok(Transformed::no(plan));
        }
        self.0.rewrite(plan, config)
    }
}

/// The rules of a state with this one in place of the planner's own.
pub(in crate::query) fn rules(state: &SessionState) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let own = Filters::default();
    let name = own.name().to_owned();
    let own: Arc<dyn OptimizerRule + Send + Sync> = Arc::new(own);
    let rules = state.optimizers().iter();
    rules
        .map(|rule| match rule.name() == name {
            true => Arc::clone(&own),
            false => Arc::clone(rule),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::execution::context::SessionContext;
    use datafusion::functions_window::row_number::row_number;
    use datafusion::logical_expr::{LogicalPlanBuilder, Window, col, lit};
    use datafusion::optimizer::OptimizerContext;

    use super::*;

    #[test]
    fn conditions_stay_above_windows_that_are_more_than_calls() {
        let state = SessionContext::new().state();
        let rules = rules(&state);
        let rule = rules.iter().find(|r| r.name() == "push_down_filter");
        let rule = rule.unwrap();
        assert_eq!(rules.len(), state.optimizers().len());
        for (window, kept) in [
            (row_number(), false),
            (row_number().alias("n"), false),
            (row_number().alias("m").alias("n"), true),
            ((row_number() + lit(1_u64)).alias("n"), true),
        ] {
            let one = LogicalPlanBuilder::values(vec![vec![lit(1)]]).unwrap();
            let window = Window::try_new(vec![window], Arc::new(one.build().unwrap())).unwrap();
            let plan = LogicalPlanBuilder::from(LogicalPlan::Window(window));
            let plan = plan.filter(col("column1").gt(lit(0))).unwrap();
            let plan = plan.filter(col("column1").lt(lit(9))).unwrap();
            let plan = plan.build().unwrap();
            let found = rule
                .rewrite(plan.clone(), &OptimizerContext::new())
                .unwrap();
            if kept {
                assert_eq!((found.transformed, found.data), (false, plan));
            }
        }
    }
}
