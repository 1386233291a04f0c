//! Queries inside of expressions that the planner cannot turn into joins, such as those over an array of the row around: they are run
//! for every row.
//!
//! Slow where there are many rows, and right. Must not know how queries are written.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_plan::collect;

use crate::query::planning::meaning;
use members::Members;

mod members;

/// Makes `x IN (SELECT ...)` a function wherever it is a value: joins, which the planner makes of it, tell what is unknown from what is not
/// only where it is a condition of its own.
pub(in crate::query) fn memberships(
    plan: LogicalPlan,
    state: &SessionState,
) -> Result<LogicalPlan> {
    let changed = plan.transform_up_with_subqueries(|node| {
        if let LogicalPlan::Filter(mut filter) = node {
            let conditions = split_conjunction_owned(filter.predicate.clone());
            let alone = |e: &Expr| matches!(e, Expr::InSubquery(_));
            let changed = conditions
                .into_iter()
                .map(|condition| match alone(&condition) {
                    true => Ok(condition),
                    false => Ok(condition.transform_up(|e| membership(e, state))?.data),
                });
            let changed = changed.collect::<Result<Vec<_>>>()?;
            if let Some(predicate) = conjunction(changed) {
                filter.predicate = predicate;
            }
            return Ok(Transformed::yes(LogicalPlan::Filter(filter)));
        }
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let changed = expr.transform_up(|e| membership(e, state))?;
            Ok(changed.update_data(|e| name.restore(e)))
        })
    })?;
    Ok(changed.data)
}

fn membership(expr: Expr, state: &SessionState) -> Result<Transformed<Expr>> {
    match expr {
        Expr::InSubquery(_) => one(expr, state),
        _ => Ok(Transformed::no(expr)),
    }
}

/// A plan, and the same with all types known. Where queries in expressions stand that the planner does not take there, they are made
/// functions of their rows.
///
/// # Errors
/// What the planner says.
pub(in crate::query) fn analyzed(
    plan: LogicalPlan,
    state: &SessionState,
) -> Result<(LogicalPlan, LogicalPlan)> {
    let analyze = |plan: LogicalPlan| {
        let options = state.config_options();
        state.analyzer().execute_and_check(plan, options, |_, _| {})
    };
    let tried = match analyze(plan.clone()) {
        Ok(analyzed) => return Ok((plan, analyzed)),
        Err(e) => e,
    };
    let changed = computed(plan, state)?;
    match analyze(changed.clone()) {
        Ok(analyzed) => Ok((changed, analyzed)),
        Err(_) => Err(tried),
    }
}

/// Optimizes a plan. Where queries in expressions are left that could not be run, they are made functions of their rows before.
///
/// # Errors
/// What the planner says.
pub(in crate::query) fn optimized(
    plan: LogicalPlan,
    state: &SessionState,
) -> Result<(LogicalPlan, LogicalPlan)> {
    let tried = state.optimize(&plan);
    if let Ok(optimized) = &tried
        && !is_left(optimized)?
    {
        return Ok((plan, tried?));
    }
    let changed = computed(plan.clone(), state)?;
    match state.optimize(&changed) {
        Ok(optimized) => Ok((changed, optimized)),
        Err(other) => Err(tried.err().unwrap_or(other)),
    }
}

/// Whether a plan has an expression left that cannot be run.
fn is_left(plan: &LogicalPlan) -> Result<bool> {
    let mut left = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                left |= matches!(
                    e,
                    Expr::Exists(_) | Expr::InSubquery(_) | Expr::OuterReferenceColumn(_, _)
                );
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(left)
}

fn computed(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let changed = plan.transform_up(|node| {
        let names = NamePreserver::new(&node);
        let mapped = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let changed = expr.transform_up(|e| one(e, state))?;
            Ok(changed.update_data(|e| name.restore(e)))
        })?;
        mapped.map_data(|node| match node {
            // Columns that functions are of may not be among those that are selected.
            LogicalPlan::Sort(sort) => {
                let input = LogicalPlanBuilder::from(Arc::unwrap_or_clone(sort.input));
                input.sort_with_limit(sort.expr, sort.fetch)?.build()
            }
            node => node.recompute_schema(),
        })
    })?;
    Ok(changed.data)
}

fn one(expr: Expr, state: &SessionState) -> Result<Transformed<Expr>> {
    let (subquery, asks) = match &expr {
        Expr::ScalarSubquery(subquery) => (subquery, Asks::Value),
        Expr::Exists(exists) if exists.negated => (&exists.subquery, Asks::Absence),
        Expr::Exists(exists) => (&exists.subquery, Asks::Presence),
        Expr::InSubquery(within) if within.negated => (&within.subquery, Asks::NonMembership),
        Expr::InSubquery(within) => (&within.subquery, Asks::Membership),
        _ => return Ok(Transformed::no(expr)),
    };
    let outer = outer_columns(&subquery.subquery)?;
    if asks == Asks::Value && outer.is_empty() {
        // It is run once, as it is; what is in it may be of its own rows.
        let within = computed(subquery.subquery.as_ref().clone(), state)?;
        let subquery = subquery.with_plan(Arc::new(within));
        return Ok(Transformed::yes(Expr::ScalarSubquery(subquery)));
    }
    let plan = Arc::clone(&subquery.subquery);
    let returns = match asks {
        Asks::Value => match plan.schema().fields().first() {
            Some(field) => Field::clone(field).with_nullable(true),
            None => return Ok(Transformed::no(expr)),
        },
        _ => Field::new("value", DataType::Boolean, true),
    };
    let columns = outer.iter().cloned().map(Expr::Column);
    let arguments: Vec<Expr> = match &expr {
        Expr::InSubquery(within) => columns.chain([within.expr.as_ref().clone()]).collect(),
        _ => columns.collect(),
    };
    let function = ScalarUDF::new_from_impl(OfRow {
        signature: match arguments.len() {
            0 => Signature::nullary(Volatility::Volatile),
            count => Signature::any(count, Volatility::Volatile),
        },
        plan,
        outer,
        asks,
        returns: Arc::new(returns),
        state: state.clone(),
    });
    Ok(Transformed::yes(Expr::ScalarFunction(
        ScalarFunction::new_udf(Arc::new(function), arguments),
    )))
}

/// The columns of the row around that a query names, those of queries in it included, if they mean the same row.
fn outer_columns(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut all: Vec<Column> = Vec::new();
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                let found = match e {
                    Expr::OuterReferenceColumn(_, column) => vec![column.clone()],
                    Expr::ScalarSubquery(inner) => outer_columns(&inner.subquery)?,
                    Expr::Exists(inner) => outer_columns(&inner.subquery.subquery)?,
                    Expr::InSubquery(inner) => outer_columns(&inner.subquery.subquery)?,
                    _ => Vec::new(),
                };
                let nested = !matches!(e, Expr::OuterReferenceColumn(_, _));
                for column in found {
                    let own = nested && is_own(node, &column);
                    if !own && !all.contains(&column) {
                        all.push(column);
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(all)
}

/// Whether a column is one of the rows that a step of a plan takes. What rows are sorted by may be left out of them before.
fn is_own(node: &LogicalPlan, column: &Column) -> bool {
    let has = |plan: &LogicalPlan| {
        plan.inputs()
            .iter()
            .any(|input| input.schema().has_column(column))
    };
    has(node) || matches!(node, LogicalPlan::Sort(sort) if has(&sort.input))
}

/// What is wanted of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Value,
    Presence,
    Absence,
    /// Whether a value, the last argument, is among its own.
    Membership,
    NonMembership,
}

/// A query as a function of columns of the row around.
struct OfRow {
    plan: Arc<LogicalPlan>,
    outer: Vec<Column>,
    asks: Asks,
    returns: FieldRef,
    state: SessionState,
    signature: Signature,
}

impl std::fmt::Debug for OfRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfRow")
            .field("outer", &self.outer)
            .finish_non_exhaustive()
    }
}

impl PartialEq for OfRow {
    fn eq(&self, other: &Self) -> bool {
        self.asks == other.asks && self.plan == other.plan
    }
}

impl Eq for OfRow {}

impl Hash for OfRow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.plan.hash(state);
    }
}

impl OfRow {
    /// The query's answers for rows of arguments. On a thread of its own: whoever asks may hold the only thread that there is.
    fn answers(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<ScalarValue>> {
        let failed = |what: &str| exec_datafusion_err!("a query in an expression {what}");
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = { runtime }.build()?;
                runtime.block_on(self.of_rows(columns, rows))
            });
            thread.join().map_err(|_| failed("did not end"))?
        })
    }

    async fn of_rows(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<ScalarValue>> {
        let mut known: HashMap<Vec<ScalarValue>, Known> = HashMap::new();
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            let mut values = columns
                .iter()
                .map(|column| ScalarValue::try_from_array(column, row))
                .collect::<Result<Vec<_>>>()?;
            let member = match self.asks {
                Asks::Membership | Asks::NonMembership => values.pop(),
                _ => None,
            };
            if !known.contains_key(&values) {
                let rows = self.run(&values).await?;
                known.insert(values.clone(), self.known(&rows)?);
            }
            let Some(known) = known.get(&values) else {
                return exec_err!("a query in an expression gave nothing");
            };
            found.push(match known {
                Known::Value(value) => value.clone(),
                Known::Members(members) => {
                    let is = members.has(member.as_ref())?;
                    let not = self.asks == Asks::NonMembership;
                    ScalarValue::Boolean(is.map(|is| is != not))
                }
            });
        }
        Ok(found)
    }

    async fn run(&self, values: &[ScalarValue]) -> Result<Vec<RecordBatch>> {
        let plan = with_values(self.plan.as_ref().clone(), &self.outer, values)?;
        let (plan, analyzed) = analyzed(plan, &self.state)?;
        meaning::check(&analyzed).map_err(|e| datafusion::common::exec_datafusion_err!("{e}"))?;
        let (_, plan) = optimized(plan, &self.state)?;
        let plan = self
            .state
            .query_planner()
            .create_physical_plan(&plan, &self.state)
            .await?;
        collect(plan, self.state.task_ctx()).await
    }

    /// What is asked of the rows of the query.
    fn known(&self, rows: &[RecordBatch]) -> Result<Known> {
        let count: usize = rows.iter().map(RecordBatch::num_rows).sum();
        match self.asks {
            Asks::Presence => return Ok(Known::Value(ScalarValue::Boolean(Some(count > 0)))),
            Asks::Absence => return Ok(Known::Value(ScalarValue::Boolean(Some(count == 0)))),
            Asks::Membership | Asks::NonMembership => return Members::of(rows).map(Known::Members),
            Asks::Value => {}
        }
        if count > 1 {
            return exec_err!("Scalar subquery produced more than one element");
        }
        let value = match rows.iter().find(|batch| batch.num_rows() > 0) {
            Some(batch) => ScalarValue::try_from_array(batch.column(0), 0),
            None => ScalarValue::try_from(self.returns.data_type()),
        };
        value.map(Known::Value)
    }
}

/// What is known of a query for one row.
enum Known {
    Value(ScalarValue),
    Members(Members),
}

/// A query with the values of one row in the place of its columns.
fn with_values(plan: LogicalPlan, outer: &[Column], values: &[ScalarValue]) -> Result<LogicalPlan> {
    let changed = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let mapped = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let changed = expr.transform_up(|e| {
                let Expr::OuterReferenceColumn(field, column) = &e else {
                    return Ok(Transformed::no(e));
                };
                let at = outer.iter().position(|c| c == column);
                let Some(value) = at.and_then(|at| values.get(at)) else {
                    return Ok(Transformed::no(e));
                };
                let metadata = Some(field.as_ref().into()).filter(|_| !field.metadata().is_empty());
                Ok(Transformed::yes(Expr::Literal(value.clone(), metadata)))
            })?;
            Ok(changed.update_data(|e| name.restore(e)))
        })?;
        mapped.map_data(|node| match node {
            // One in an expression stays one.
            LogicalPlan::Subquery(_) => Ok(node),
            node => {
                let inputs = node.map_children(|input| match input {
                    // Nothing of another row is left in it, so that it is a plan like any other.
                    LogicalPlan::Subquery(inner) if outer_columns(&inner.subquery)?.is_empty() => {
                        Ok(Transformed::yes(Arc::unwrap_or_clone(inner.subquery)))
                    }
                    input => Ok(Transformed::no(input)),
                })?;
                inputs.data.recompute_schema()
            }
        })
    })?;
    Ok(changed.data)
}

impl ScalarUDFImpl for OfRow {
    fn name(&self) -> &str {
        "millpond_query"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::clone(&self.returns))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if args.args.is_empty() {
            let mut found = self.answers(&[], 1)?;
            let value = found.pop().unwrap_or(ScalarValue::Null);
            return Ok(ColumnarValue::Scalar(value));
        }
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let rows = columns.first().map_or(args.number_rows, |c| c.len());
        if rows == 0 {
            return Ok(ColumnarValue::Array(arrow::array::new_empty_array(
                self.returns.data_type(),
            )));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(
            self.answers(&columns, rows)?,
        )?))
    }
}
