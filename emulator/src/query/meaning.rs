//! What a plan would compute, checked for the places where DataFusion's answer is not BigQuery's.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use super::{QueryError, functions, sql_types, unsupported};
use crate::schema::FieldSchema;
use crate::wire;

/// Says again what kind of value a CASE gives where its branches have one that Arrow's types cannot tell.
pub(super) fn keep_types(plan: LogicalPlan) -> Result<LogicalPlan, QueryError> {
    let kept = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Projection(_) = &node else {
            return Ok(Transformed::no(node));
        };
        let schema = node
            .inputs()
            .iter()
            .fold(DFSchema::empty(), |mut all, input| {
                all.merge(input.schema());
                all
            });
        let names = NamePreserver::new(&node);
        let mapped = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let typed = expr.transform_up(|e| tagged(e, &schema))?;
            Ok(typed.update_data(|e| name.restore(e)))
        })?;
        mapped.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(kept.data)
}

fn tagged(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>, DataFusionError> {
    let Expr::Case(case) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let branches = case
        .when_then_expr
        .iter()
        .map(|(_, then)| then)
        .chain(case.else_expr.iter());
    let mut model = None;
    for branch in branches {
        let (_, field) = branch.to_field(schema)?;
        if field.data_type().is_null() {
            continue;
        }
        if wire::sql_type(&field).is_none() {
            return Ok(Transformed::no(expr));
        }
        model.get_or_insert(field);
    }
    let Some(model) = model else {
        return Ok(Transformed::no(expr));
    };
    let described = sql_types::described(&FieldSchema::from_arrow(&model));
    let arguments = vec![
        expr,
        Expr::Literal(ScalarValue::Utf8(Some(described)), None),
    ];
    let function = functions::named("millpond_cast")?;
    Ok(Transformed::yes(Expr::ScalarFunction(
        ScalarFunction::new_udf(function, arguments),
    )))
}

/// Refuses conversions that round or write differently.
pub(super) fn check(plan: &LogicalPlan) -> Result<(), QueryError> {
    let mut wrong = None;
    plan.apply_with_subqueries(|node| {
        let schema = node
            .inputs()
            .iter()
            .fold(node.schema().as_ref().clone(), |mut all, input| {
                all.merge(input.schema());
                all
            });
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                let (inner, to) = match e {
                    Expr::Cast(cast) => (&cast.expr, cast.field.data_type()),
                    Expr::TryCast(cast) => (&cast.expr, cast.field.data_type()),
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                if let Ok(from) = inner.get_type(&schema)
                    && differs(&from, to)
                {
                    wrong = Some(format!("a conversion from {from} to {to}"));
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    wrong.map_or(Ok(()), |construct| Err(unsupported(construct)))
}

/// Floats are cut off where BigQuery rounds, and numbers and times are written in other forms.
fn differs(from: &DataType, to: &DataType) -> bool {
    let float = from.is_floating();
    let decimal = matches!(
        from,
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _)
    );
    let timed = matches!(from, DataType::Timestamp(_, _) | DataType::Time64(_));
    match to {
        _ if to.is_integer() => float || decimal,
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => float,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            float || decimal || timed || matches!(from, DataType::Binary)
        }
        _ => false,
    }
}

/// The columns a plan reads, each with the name its table is registered under.
pub(super) fn scanned(plan: &LogicalPlan, columns: &mut Vec<(String, String)>) {
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let table = scan.table_name.table().to_owned();
            let fields = scan.projected_schema.fields();
            columns.extend(fields.iter().map(|f| (table.clone(), f.name().clone())));
        }
        Ok(TreeNodeRecursion::Continue)
    });
}
