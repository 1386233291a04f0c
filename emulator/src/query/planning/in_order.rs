//! The parts of a UNION ALL one after the other, in the order in which the query has them, so that the same query gives its rows in the same order.
//!
//! The planner lets the parts run beside each other, and takes their rows as they come.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, config::ConfigOptions, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};

/// The rule that puts the parts in order.
#[derive(Debug)]
pub(in crate::query) struct InOrder;

impl PhysicalOptimizerRule for InOrder {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|node| {
            let gathered = node.downcast_ref::<CoalescePartitionsExec>();
            let Some(gathered) = gathered.filter(|gathered| is_union(gathered.input())) else {
                return Ok(Transformed::no(node));
            };
            let parts: Arc<dyn ExecutionPlan> =
                Arc::new(InOrderExec::new(Arc::clone(gathered.input())));
            Ok(Transformed::yes(match gathered.fetch() {
                Some(most) => Arc::new(GlobalLimitExec::new(parts, 0, Some(most))),
                None => parts,
            }))
        });
        let plan = plan.data()?;
        if plan.output_partitioning().partition_count() > 1 && is_union(&plan) {
            return Ok(Arc::new(InOrderExec::new(plan)));
        }
        Ok(plan)
    }

    fn name(&self) -> &'static str {
        "millpond_in_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether the parts of a plan are those of a union.
fn is_union(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let several = plan.output_partitioning().partition_count() > 1;
    several && (plan.is::<UnionExec>() || plan.children().into_iter().any(is_union))
}

/// All parts of a plan as one, the next when the one before has ended.
#[derive(Debug)]
struct InOrderExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl InOrderExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self {
            input,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for InOrderExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InOrderExec")
    }
}

impl ExecutionPlan for InOrderExec {
    fn name(&self) -> &'static str {
        "InOrderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.as_slice() {
            [input] => Ok(Arc::new(Self::new(Arc::clone(input)))),
            _ => internal_err!("InOrderExec has one input"),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if partition > 0 {
            return internal_err!("InOrderExec has one part, not {partition}");
        }
        let input = Arc::clone(&self.input);
        let parts = 0..input.output_partitioning().partition_count();
        let rows = stream::iter(parts)
            .map(move |part| input.execute(part, Arc::clone(&context)))
            .try_flatten();
        let schema = self.input.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            schema,
            rows.boxed(),
        )))
    }
}
