//! `LEFT JOIN UNNEST(t.array) AS x ON condition`: rows stay, with nulls, where no element meets the condition.

use datafusion::common::{Column, DFSchema, Result};
use datafusion::functions_aggregate::min_max::max_udaf;
use datafusion::functions_window::row_number::row_number;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Case, Expr, LogicalPlan, LogicalPlanBuilder, WindowFrame, WindowFunctionDefinition, lit,
};

use super::Taken;

/// Columns that only stand between the steps: which row before, which of its elements, whether that meets the condition, and whether
/// any of that row does.
const ROW: &str = "millpond_row_before";
const AT: &str = "millpond_element_at";
const MEETS: &str = "millpond_element_meets";
const ANY: &str = "millpond_any_meets";

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The greatest value of a column among the rows that another has the same value in.
fn greatest(value: &str, of: &str) -> Expr {
    Expr::WindowFunction(Box::new(WindowFunction {
        fun: WindowFunctionDefinition::AggregateUDF(max_udaf()),
        params: WindowFunctionParams {
            args: vec![column(value)],
            partition_by: vec![column(of)],
            order_by: Vec::new(),
            window_frame: WindowFrame::new(None),
            filter: None,
            null_treatment: None,
            distinct: false,
        },
    }))
}

/// Rows with one more column, that of a call over windows.
fn beside(rows: LogicalPlanBuilder, call: Expr, name: &str) -> Result<LogicalPlanBuilder> {
    let mut all = columns_of(rows.schema());
    let rows = rows.window(vec![call])?;
    let called = rows.schema().columns().pop();
    all.extend(called.map(|called| Expr::Column(called).alias(name)));
    rows.project(all)
}

fn choice(condition: Expr, yes: Expr, no: Option<Expr>) -> Expr {
    let when = vec![(Box::new(condition), Box::new(yes))];
    Expr::Case(Case::new(None, when, no.map(Box::new)))
}

impl Taken<'_> {
    /// The rows before with their elements that meet a condition, and with nulls where there are none.
    pub(super) fn that_meet(
        &self,
        input: LogicalPlanBuilder,
        array: Expr,
        meets: impl FnOnce(&DFSchema) -> Result<Expr>,
    ) -> Result<LogicalPlan> {
        let before: Vec<Expr> = columns_of(input.schema());
        let numbered = beside(input, row_number(), ROW)?;
        let at = self.offset.unwrap_or(AT);
        let taken = Taken {
            offset: Some(at),
            ..*self
        };
        let elements = LogicalPlanBuilder::from(taken.over(numbered, array)?);
        let shown = columns_of(elements.schema());
        let position = Expr::Column(Column::new(Some(self.positions()), at));
        let condition = meets(elements.schema())?;
        let there = position.clone().is_not_null();
        let met = choice(there.and(condition), lit(1_i64), Some(lit(0_i64)));
        let told = elements.project([shown.clone(), vec![met.alias(MEETS)]].concat())?;
        let told = beside(told, greatest(MEETS, ROW), ANY)?;
        // Of a row without any, the first element stands for none.
        let first = position.clone().is_null().or(position.eq(lit(0_i64)));
        let kept = column(MEETS)
            .eq(lit(1_i64))
            .or(column(ANY).eq(lit(0_i64)).and(first));
        let kept = told.filter(kept)?;
        let of_elements = shown.into_iter().skip(before.len() + 1);
        let of_elements = of_elements.filter(|e| {
            let own = matches!(e, Expr::Column(c) if c.name == AT);
            self.offset.is_some() || !own
        });
        let of_elements = of_elements.map(|value| {
            let Expr::Column(named) = &value else {
                return value;
            };
            let named = named.clone();
            choice(column(MEETS).eq(lit(1_i64)), value, None)
                .alias_qualified(named.relation, named.name)
        });
        let shown: Vec<Expr> = before.into_iter().chain(of_elements).collect();
        kept.project(shown)?.build()
    }
}

fn columns_of(schema: &DFSchema) -> Vec<Expr> {
    schema.columns().into_iter().map(Expr::Column).collect()
}
