//! The stages of a query as its statistics show them, one for each step of the plan that gathers rows.
//!
//! Must not know how statistics are written.

use datafusion::logical_expr::LogicalPlan;

use crate::query::planning::meaning::Scanned;

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// `Input`, `Join` and so on.
    pub kind: &'static str,
    /// Positions of the stages whose rows it takes.
    pub inputs: Vec<usize>,
    /// Logical bytes that it reads, of tables or of stages before.
    pub bytes: u64,
}

/// The stages of a plan, inputs first; `bytes` tells the size of what is read of a table.
pub(in crate::query) fn stages(plan: &LogicalPlan, bytes: &dyn Fn(&Scanned) -> u64) -> Vec<Stage> {
    let mut stages = Vec::new();
    let inputs = walk(plan, bytes, &mut stages);
    push(&mut stages, "Output", inputs);
    stages
}

/// Adds the stages of a plan; returns those whose rows come out of it.
fn walk(
    plan: &LogicalPlan,
    bytes: &dyn Fn(&Scanned) -> u64,
    stages: &mut Vec<Stage>,
) -> Vec<usize> {
    if let Some(scanned) = Scanned::of(plan) {
        stages.push(Stage {
            kind: "Input",
            inputs: Vec::new(),
            bytes: bytes(&scanned),
        });
        return vec![stages.len() - 1];
    }
    let below = plan.inputs().into_iter();
    let inputs: Vec<usize> = below.flat_map(|input| walk(input, bytes, stages)).collect();
    let kind = match plan {
        LogicalPlan::Join(_) => "Join",
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => "Aggregate",
        LogicalPlan::Sort(_) => "Sort",
        LogicalPlan::Window(_) => "Analytic",
        LogicalPlan::Union(_) => "Union",
        _ => return inputs,
    };
    push(stages, kind, inputs);
    vec![stages.len() - 1]
}

fn push(stages: &mut Vec<Stage>, kind: &'static str, inputs: Vec<usize>) {
    let sizes = inputs.iter().filter_map(|i| stages.get(*i));
    let bytes = sizes.map(|s| s.bytes).sum();
    stages.push(Stage {
        kind,
        inputs,
        bytes,
    });
}
