//! The first rows of sorted parts, such as those of a union. The planner sorts each part by itself, leaves out what is one
//! value in a part, and yet lets parts drop rows by what the others have found. Two parts with other values there drop each
//! other's rows; so where a part is sorted by less than what they are merged by, it is sorted by all of that.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, replace_children_if_necessary,
};

/// The rule; it comes after all of the planner's own.
#[derive(Debug, Default)]
pub(super) struct SharedThresholds;

impl PhysicalOptimizerRule for SharedThresholds {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|plan| {
            let merge = plan.downcast_ref::<SortPreservingMergeExec>();
            let mut changed = false;
            let mut children = Vec::with_capacity(1);
            for child in plan.children() {
                let better = child
                    .downcast_ref::<SortExec>()
                    .and_then(|sort| repaired(sort, merge));
                changed |= better.is_some();
                children.push(better.unwrap_or_else(|| Arc::clone(child)));
            }
            if !changed {
                return Ok(Transformed::no(plan));
            }
            replace_children_if_necessary(plan, children).map(Transformed::yes)
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &str {
        "millpond_shared_thresholds"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A sort of parts that finds the first rows of each, by all that they are merged by; without a merge, one that keeps all rows.
fn repaired(
    sort: &SortExec,
    merge: Option<&SortPreservingMergeExec>,
) -> Option<Arc<dyn ExecutionPlan>> {
    let parts = sort.input().output_partitioning().partition_count();
    if sort.fetch().is_none() || !sort.preserve_partitioning() || parts < 2 {
        return None;
    }
    match merge {
        Some(merge) if merge.expr() == sort.expr() => None,
        Some(merge) => {
            let whole = SortExec::new(merge.expr().clone(), Arc::clone(sort.input()));
            let whole = whole.with_preserve_partitioning(true);
            Some(Arc::new(whole.with_fetch(sort.fetch())))
        }
        None => Some(Arc::new(sort.with_fetch(None))),
    }
}
