//! Tables that are to be read by a condition on their partitions only, in a query that has none.
//!
//! Must not know how partitions are kept.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::change::CHANGED;

/// The relations of `wanted`, each with the columns that it has to be filtered by, that a plan reads without a condition on
/// any of these. A condition counts wherever it stands above the relation, and so does what UPDATE and DELETE mean.
pub(super) fn missing(
    plan: &LogicalPlan,
    wanted: &BTreeMap<String, Vec<String>>,
) -> Result<BTreeSet<String>> {
    let mut missing = BTreeSet::new();
    visit(plan, &BTreeSet::new(), wanted, &mut missing)?;
    Ok(missing)
}

fn visit(
    plan: &LogicalPlan,
    above: &BTreeSet<String>,
    wanted: &BTreeMap<String, Vec<String>>,
    missing: &mut BTreeSet<String>,
) -> Result<()> {
    let mut named = above.clone();
    let mut add = |expr: &Expr| {
        let columns: Vec<&Column> = expr.column_refs().into_iter().collect();
        named.extend(columns.iter().map(|c| c.name.to_lowercase()));
    };
    match plan {
        LogicalPlan::Filter(filter) => add(&filter.predicate),
        LogicalPlan::Join(join) => {
            join.filter.iter().for_each(&mut add);
            for (left, right) in &join.on {
                add(left);
                add(right);
            }
        }
        LogicalPlan::Projection(projection) => {
            let marks = |e: &&Expr| matches!(e, Expr::Alias(alias) if alias.name == CHANGED);
            projection.expr.iter().filter(marks).for_each(&mut add);
        }
        LogicalPlan::TableScan(scan) => {
            scan.filters.iter().for_each(&mut add);
            let key = scan.table_name.table();
            let filtered = |columns: &Vec<String>| {
                let mut columns = columns.iter();
                columns.any(|column| named.contains(&column.to_lowercase()))
            };
            if wanted.get(key).is_some_and(|columns| !filtered(columns)) {
                missing.insert(key.to_owned());
            }
        }
        _ => {}
    }
    for input in plan.inputs() {
        visit(input, &named, wanted, missing)?;
    }
    plan.apply_expressions(|expr| {
        expr.apply(|e| {
            let within = match e {
                Expr::ScalarSubquery(subquery) => subquery,
                Expr::InSubquery(within) => &within.subquery,
                Expr::Exists(exists) => &exists.subquery,
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            visit(&within.subquery, &named, wanted, missing)?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(())
}
