//! The plan that turns units into rows: scan, `where`, `derive`, column choice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{Column, DFSchema};
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use futures::{StreamExt, TryStreamExt};

use super::paths::{parse, with_derived};
use super::session::{Session, from_datafusion, from_planning, no_such_column};
use super::unit_scan_exec::{Legs, UnitScanExec};
use super::unit_table::UnitTable;
use crate::error::{Error, Result};
use crate::source::{BatchStream, Leg, ReadContext, Scan, Source};

/// What rows are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowQuery {
    /// Keeps rows for which this SQL condition is true.
    pub filter: Option<String>,
    /// Derived columns in order: name and SQL.
    pub derive: Vec<(String, String)>,
    /// Columns delivered, in this order; source columns or derived ones.
    pub columns: Vec<String>,
}

/// Rows by unit. Units may be executed in any order, several at once.
pub(crate) struct RowPlan {
    plan: Arc<dyn ExecutionPlan>,
    tasks: Arc<TaskContext>,
    scan: Arc<dyn Scan>,
    delivered: Arc<Vec<AtomicU64>>,
    legs: Arc<Legs>,
    schema: SchemaRef,
}

impl RowPlan {
    /// Plans `query` over `source` and fixes the units of its scan.
    ///
    /// # Errors
    /// When the SQL is wrong for the schema, a column does not exist, or the source refuses the scan.
    pub async fn try_new(
        session: &Session,
        source: &Arc<dyn Source>,
        read: &ReadContext,
        query: &RowQuery,
    ) -> Result<Self> {
        let table = Arc::new(UnitTable::new(Arc::clone(source), read.clone()));
        let mut frame = session
            .context()
            .read_table(table)
            .map_err(|e| from_datafusion(e, "source"))?;
        let state = session.context().state();
        let mut known = source.schema();
        if let Some(sql) = &query.filter {
            let expr = parse(&state, sql, &known, "where")?;
            frame = frame
                .filter(expr)
                .map_err(|e| from_datafusion(e, "where"))?;
        }
        for (name, sql) in &query.derive {
            let what = format!("derive.{name}");
            let expr = parse(&state, sql, &known, &what)?;
            let field = field_of(&state, expr.clone(), &known, name, &what)?;
            known = with_derived(&known, field);
            frame = frame
                .with_column(name, expr)
                .map_err(|e| from_datafusion(e, &what))?;
        }
        let mut selected = Vec::with_capacity(query.columns.len());
        for name in &query.columns {
            let known = frame.schema();
            if !known.has_column_with_unqualified_name(name) {
                return Err(unknown_column(name, known.as_arrow(), source.name()));
            }
            selected.push(Expr::Column(
                match known.qualified_field_with_unqualified_name(name) {
                    Ok((qualifier, field)) => Column::new(qualifier.cloned(), field.name()),
                    Err(_) => Column::from_name(name),
                },
            ));
        }
        let frame = frame
            .select(selected)
            .map_err(|e| from_datafusion(e, "columns"))?;
        let plan = frame
            .create_physical_plan()
            .await
            .map_err(|e| from_datafusion(e, "plan"))?;
        let leaf = find_scan(&plan).ok_or_else(|| {
            Error::config("where: the condition is never true, so no row would be read")
        })?;
        let schema = unqualified(&plan.schema());
        Ok(Self {
            tasks: session.context().task_ctx(),
            plan,
            scan: leaf.scan,
            delivered: leaf.delivered,
            legs: leaf.legs,
            schema,
        })
    }

    /// Rows the source delivered when unit `index` was last executed, before any local filter.
    pub fn delivered(&self, index: usize) -> u64 {
        self.delivered
            .get(index)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// The schema of the rows delivered.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The scan below: its units, snapshot and the cost of reading again.
    pub fn scan(&self) -> &Arc<dyn Scan> {
        &self.scan
    }

    /// The rows of unit `index`, in order.
    ///
    /// # Errors
    /// When the plan cannot start; later errors arrive in the stream.
    pub fn execute(&self, index: usize) -> Result<BatchStream> {
        let stream = self
            .plan
            .execute(index, Arc::clone(&self.tasks))
            .map_err(|e| from_datafusion(e, "plan"))?;
        Ok(stream
            .map_err(|e| from_datafusion(e, "cannot compute the rows"))
            .boxed())
    }

    /// The rows of one leg of unit `index`, in order. When the stream has ended, [`delivered`](Self::delivered) tells how
    /// far the leg went; operators hold nothing back.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub fn execute_leg(&self, index: usize, leg: Leg) -> Result<BatchStream> {
        self.legs.choose(index, leg);
        self.execute(index)
    }

    /// The physical plan as indented text.
    pub fn explain(&self) -> String {
        displayable(self.plan.as_ref()).indent(false).to_string()
    }

    /// Whether some of `where` is evaluated here rather than by the source.
    pub fn filters_locally(&self) -> bool {
        fn any_filter(plan: &Arc<dyn ExecutionPlan>) -> bool {
            plan.name() == "FilterExec" || plan.children().into_iter().any(any_filter)
        }
        any_filter(&self.plan)
    }
}

/// The schema of all columns a recipe can name: the source's and the derived ones.
///
/// # Errors
/// When a derived column's SQL is wrong.
pub(crate) fn full_schema(
    session: &Session,
    source: &SchemaRef,
    derive: &[(String, String)],
) -> Result<SchemaRef> {
    let mut known = Arc::clone(source);
    let state = session.context().state();
    for (name, sql) in derive {
        let what = format!("derive.{name}");
        let expr = parse(&state, sql, &known, &what)?;
        let field = field_of(&state, expr, &known, name, &what)?;
        known = with_derived(&known, field);
    }
    Ok(known)
}

/// The column `name` that `expr` makes of `schema`.
fn field_of(
    state: &SessionState,
    expr: Expr,
    schema: &SchemaRef,
    name: &str,
    what: &str,
) -> Result<FieldRef> {
    let df_schema = DFSchema::try_from(Arc::clone(schema)).map_err(|e| from_planning(e, what))?;
    let physical = state
        .create_physical_expr(expr, &df_schema)
        .map_err(|e| from_planning(e, what))?;
    let field = physical
        .return_field(schema)
        .map_err(|e| from_planning(e, what))?;
    let (data_type, nullable) = (field.data_type().clone(), field.is_nullable());
    Ok(Arc::new(Field::new(name, data_type, nullable)))
}

/// The error for a column that is not there, with the nearest name that is.
pub(crate) fn unknown_column(name: &str, schema: &Schema, source: &str) -> Error {
    no_such_column(
        source,
        name,
        schema.fields().iter().map(|f| f.name().as_str()),
    )
}

/// What the leaf of a plan shares with it.
struct FoundScan {
    scan: Arc<dyn Scan>,
    delivered: Arc<Vec<AtomicU64>>,
    legs: Arc<Legs>,
}

fn find_scan(plan: &Arc<dyn ExecutionPlan>) -> Option<FoundScan> {
    if let Some(leaf) = plan.downcast_ref::<UnitScanExec>() {
        return Some(FoundScan {
            scan: Arc::clone(leaf.scan()),
            delivered: Arc::clone(leaf.delivered()),
            legs: Arc::clone(leaf.legs()),
        });
    }
    plan.children().into_iter().find_map(find_scan)
}

fn unqualified(schema: &SchemaRef) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().clone()))
}
