//! What a plan would compute, checked for the places where DataFusion's answer is not BigQuery's.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use crate::query::{QueryError, functions, planning::node_expressions, sql_types, unsupported};
use crate::schema::FieldSchema;
use crate::{picoseconds, wire};

/// Says again what kind of value a choice gives where its branches have one that Arrow's types cannot tell.
pub(in crate::query) fn keep_types(plan: LogicalPlan) -> Result<LogicalPlan, QueryError> {
    let kept = plan.transform_up_with_subqueries(|node| {
        if node.inputs().is_empty() {
            return Ok(Transformed::no(node));
        }
        let mapped = node_expressions::changed(node, tagged)?;
        mapped.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(kept.data)
}

/// Refuses unions of texts with numbers or truth values, which the planner would make texts.
pub(in crate::query) fn check_unions(plan: &LogicalPlan) -> Result<(), QueryError> {
    let mut wrong = None;
    plan.apply_with_subqueries(|node| {
        let LogicalPlan::Union(union) = node else {
            return Ok(TreeNodeRecursion::Continue);
        };
        let columns = union.schema.fields().len();
        for at in 0..columns {
            let fields = union
                .inputs
                .iter()
                .filter_map(|i| i.schema().fields().get(at));
            let (mut text, mut number) = (false, false);
            for field in fields {
                let kind = field.data_type();
                text |= matches!(kind, DataType::Utf8) && wire::sql_type(field).is_none();
                number |= kind.is_numeric() || *kind == DataType::Boolean;
            }
            if text && number {
                wrong = Some(at + 1);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match wrong {
        Some(at) => Err(QueryError::Invalid {
            message: format!("Column {at} in UNION ALL has incompatible types"),
        }),
        None => Ok(()),
    }
}

/// Puts floats that rows are sorted by into BigQuery's order.
pub(in crate::query) fn sort(plan: LogicalPlan) -> Result<LogicalPlan, QueryError> {
    let sorted = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Sort(mut sort) = node else {
            return Ok(Transformed::no(node));
        };
        for by in &mut sort.expr {
            match by.expr.get_type(sort.input.schema())? {
                float if float.is_floating() => {
                    let function = functions::named("millpond_order")?;
                    let key = ScalarFunction::new_udf(function, vec![by.expr.clone()]);
                    by.expr = Expr::ScalarFunction(key);
                }
                DataType::Interval(_) => {
                    let function = functions::named("millpond_interval_key")?;
                    let key = ScalarFunction::new_udf(function, vec![by.expr.clone()]);
                    by.expr = Expr::ScalarFunction(key);
                }
                _ => {}
            }
        }
        Ok(Transformed::yes(LogicalPlan::Sort(sort)))
    })?;
    Ok(sorted.data)
}

/// Refuses arrays of a result that have null elements.
pub(in crate::query) fn check_elements(
    schema: &Schema,
    columns: &[ArrayRef],
) -> Result<(), QueryError> {
    for (field, column) in schema.fields().iter().zip(columns) {
        if has_null_element(column) {
            let name = field.name();
            return Err(QueryError::Invalid {
                message: format!("Array cannot have a null element; error in writing field {name}"),
            });
        }
    }
    Ok(())
}

fn has_null_element(column: &ArrayRef) -> bool {
    if let Some(list) = column.as_list_opt::<i32>() {
        let (Some(from), Some(to)) = (list.offsets().first(), list.offsets().last()) else {
            return false;
        };
        let (from, to) = (usize::try_from(*from), usize::try_from(*to));
        let (from, to) = (from.unwrap_or(0), to.unwrap_or(0));
        let used = list.values().slice(from, to.saturating_sub(from));
        return used.null_count() > 0 || has_null_element(&used);
    }
    let record = column.as_struct_opt();
    record.is_some_and(|record| record.columns().iter().any(has_null_element))
}

fn tagged(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>, DataFusionError> {
    let branches: Vec<&Expr> = match &expr {
        Expr::Case(case) => {
            let branches = case.when_then_expr.iter().map(|(_, then)| then);
            let branches = branches.chain(case.else_expr.iter());
            branches.map(|branch| branch.as_ref()).collect()
        }
        Expr::ScalarFunction(call) if call.name() == "coalesce" => call.args.iter().collect(),
        Expr::ScalarSubquery(_) => vec![&expr],
        _ => return Ok(Transformed::no(expr)),
    };
    let mut model = None;
    for branch in branches {
        let (_, field) = branch.to_field(schema)?;
        let untyped = match field.data_type() {
            DataType::List(item) => item.data_type().is_null(),
            other => other.is_null(),
        };
        if untyped {
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
    Ok(Transformed::yes(cast(
        expr,
        &FieldSchema::from_arrow(&model),
    )?))
}

/// `CAST(expr AS field's type)`, planned.
pub(in crate::query) fn cast(expr: Expr, to: &FieldSchema) -> Result<Expr, DataFusionError> {
    let described = sql_types::described(to);
    let arguments = vec![
        expr,
        Expr::Literal(ScalarValue::Utf8(Some(described)), None),
    ];
    let function = functions::named("millpond_cast")?;
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
        function, arguments,
    )))
}

/// Refuses conversions that round or write differently.
pub(in crate::query) fn check(plan: &LogicalPlan) -> Result<(), QueryError> {
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
                if takes_picoseconds(e, &schema)? {
                    wrong = Some(format!("a value of TIMESTAMP(12) in {}", e.schema_name()));
                    return Ok(TreeNodeRecursion::Stop);
                }
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

/// Whether an expression would take the text that points in time with picoseconds are kept as for mere text. What only
/// hands them on, compares two of them or converts them does not.
fn takes_picoseconds(expr: &Expr, schema: &DFSchema) -> Result<bool, DataFusionError> {
    let hands_on = match expr {
        Expr::Column(_) | Expr::Alias(_) | Expr::IsNull(_) | Expr::IsNotNull(_) => true,
        Expr::AggregateFunction(call) => call.func.name() == "count",
        Expr::ScalarFunction(call) => {
            call.name().starts_with("millpond_") && call.name().ends_with("cast")
        }
        _ => false,
    };
    if hands_on {
        return Ok(false);
    }
    let (mut with, mut all) = (0, 0);
    expr.apply_children(|child| {
        all += 1;
        // Operators give plain values; telling the types of long conditions anew for each of their parts would take minutes.
        if matches!(child, Expr::BinaryExpr(_)) {
            return Ok(TreeNodeRecursion::Continue);
        }
        if let Ok((_, field)) = child.to_field(schema) {
            with += usize::from(picoseconds::is_here(&field));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let compared = matches!(
        expr,
        Expr::BinaryExpr(_) | Expr::Between(_) | Expr::InList(_)
    );
    Ok(with > 0 && !(compared && with == all))
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

/// What a plan reads of one relation.
#[derive(Debug)]
pub(in crate::query) struct Scanned {
    /// The name it is registered under.
    pub key: String,
    pub columns: Vec<String>,
    /// Conditions that the relation was told.
    pub conditions: Vec<Expr>,
}

impl Scanned {
    /// What this very step of a plan reads, if it does.
    pub fn of(plan: &LogicalPlan) -> Option<Self> {
        let LogicalPlan::TableScan(scan) = plan else {
            return None;
        };
        let fields = scan.projected_schema.fields();
        Some(Self {
            key: scan.table_name.table().to_owned(),
            columns: fields.iter().map(|f| f.name().clone()).collect(),
            conditions: scan.filters.clone(),
        })
    }
}

/// What a plan reads.
pub(in crate::query) fn scanned(plan: &LogicalPlan) -> Vec<Scanned> {
    let mut all = Vec::new();
    let _ = plan.apply_with_subqueries(|node| {
        all.extend(Scanned::of(node));
        Ok(TreeNodeRecursion::Continue)
    });
    all
}
