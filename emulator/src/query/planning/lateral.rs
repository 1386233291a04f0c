//! UNNEST of arrays that stand in the rows before it, and the positions of elements: `FROM t, UNNEST(t.array) AS x WITH OFFSET`.
//!
//! The planner's own UNNEST knows neither, so that the rows before and the array become one relation under a name that is planned here.
//! Must not know which columns there are.

use std::convert::Infallible;
use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::common::{
    Column, DFSchema, Result, ScalarValue, TableReference, UnnestOptions, plan_err,
};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Case, Expr as Planned, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, JoinOperator, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, Value, Visitor,
};

use crate::query::rewrite::names::same;
use crate::query::{QueryError, functions, rewrite::build, unsupported};
use crate::{syntax_walk, wire};

mod conditional;

/// What the aliases of such relations begin with.
const MARK: &str = "millpond_unnest";

/// The columns of elements and positions while they are taken out.
const ELEMENTS: &str = "millpond_elements";
const OFFSETS: &str = "millpond_offsets";

/// Rows before that have no elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::query) enum Rows {
    /// Go.
    Some,
    /// Stay, with a null.
    All,
}

impl Rows {
    /// What a join keeps.
    ///
    /// # Errors
    /// [`QueryError::Unsupported`] for joins that cannot depend on the row before.
    pub fn of(operator: &JoinOperator) -> Result<Self, QueryError> {
        match operator {
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => {
                Ok(Self::Some)
            }
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => Ok(Self::All),
            _ => Err(unsupported("this kind of join with UNNEST of a column")),
        }
    }
}

/// The condition of such a join, if it has one.
///
/// # Errors
/// [`QueryError::Unsupported`] for USING.
pub(in crate::query) fn condition(operator: &JoinOperator) -> Result<Option<Expr>, QueryError> {
    let (JoinOperator::Join(constraint)
    | JoinOperator::Inner(constraint)
    | JoinOperator::CrossJoin(constraint)
    | JoinOperator::Left(constraint)
    | JoinOperator::LeftOuter(constraint)) = operator
    else {
        return Ok(None);
    };
    match constraint {
        JoinConstraint::None => Ok(None),
        JoinConstraint::On(Expr::Value(value)) if value.value == Value::Boolean(true) => Ok(None),
        JoinConstraint::On(condition) => Ok(Some(condition.clone())),
        _ => Err(unsupported("a join with UNNEST of a column USING columns")),
    }
}

/// The tables of a FROM clause as one.
pub(in crate::query) fn joined(tables: &[TableWithJoins]) -> Option<TableFactor> {
    let nested = |table: &TableWithJoins| match table.joins.as_slice() {
        [] => table.relation.clone(),
        _ => TableFactor::NestedJoin {
            table_with_joins: Box::new(table.clone()),
            alias: None,
        },
    };
    let mut all = tables.iter().map(nested);
    let relation = all.next()?;
    let joins: Vec<Join> = all
        .map(|relation| Join {
            relation,
            global: false,
            join_operator: JoinOperator::CrossJoin(JoinConstraint::None),
        })
        .collect();
    if joins.is_empty() {
        return Some(relation);
    }
    Some(TableFactor::NestedJoin {
        table_with_joins: Box::new(TableWithJoins { relation, joins }),
        alias: None,
    })
}

/// The first names of paths in an expression.
pub(in crate::query) fn first_names(expr: &Expr) -> Vec<String> {
    #[derive(Default)]
    struct First(Vec<String>);
    impl Visitor for First {
        type Break = Infallible;

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Infallible> {
            match expr {
                Expr::Identifier(name) => self.0.push(name.value.clone()),
                Expr::CompoundIdentifier(path) => {
                    self.0.extend(path.first().map(|n| n.value.clone()));
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut first = First::default();
    let Ok(()) = syntax_walk::visit(expr, &mut first);
    first.0
}

/// An UNNEST of a FROM clause.
#[derive(Debug)]
pub(in crate::query) struct Unnest {
    array: Expr,
    name: String,
    offset: Option<String>,
    /// Whether a star asks for the fields of elements.
    fields: bool,
}

impl Unnest {
    /// The UNNEST that a table is, in a SELECT of these items.
    pub fn of(factor: &TableFactor, items: &[SelectItem]) -> Option<Self> {
        let TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset,
            with_offset_alias,
            ..
        } = factor
        else {
            return None;
        };
        let [array] = array_exprs.as_slice() else {
            return None;
        };
        let name = alias.as_ref()?.name.value.clone();
        let offset = with_offset_alias.as_ref().map(|a| a.value.clone());
        let fields = items.iter().any(|item| match item {
            SelectItem::Wildcard(_) => true,
            SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(table),
                _,
            ) => same(&table.to_string().replace('`', ""), &name),
            _ => false,
        });
        Some(Self {
            array: array.clone(),
            name,
            offset: with_offset.then(|| offset.unwrap_or_else(|| "offset".to_owned())),
            fields,
        })
    }

    /// Whether elements that are structs become their fields.
    pub fn gives_fields(&self) -> bool {
        self.fields
    }

    /// The columns that fields become, if the array is written such that they can be told.
    pub fn columns(&self) -> Option<Vec<String>> {
        let mut array = &self.array;
        while let Expr::Nested(inner) = array {
            array = inner;
        }
        let Expr::Array(array) = array else {
            return None;
        };
        let Some(Expr::Function(record)) = array.elem.first() else {
            return None;
        };
        if record.name.to_string() != "named_struct" {
            return None;
        }
        let given = crate::row_restriction::arguments(record)?;
        let text = |expr: &&Expr| match expr {
            Expr::Value(value) => value.value.clone().into_string(),
            _ => None,
        };
        given.iter().step_by(2).map(text).collect()
    }

    /// The array.
    pub fn array(&self) -> &Expr {
        &self.array
    }

    /// Whether there is a column of positions.
    pub fn has_offset(&self) -> bool {
        self.offset.is_some()
    }

    /// The relation of the rows before and the elements, of which those go that `condition` does not hold for.
    ///
    /// # Errors
    /// [`QueryError::Syntax`] for none.
    pub fn over(
        self,
        input: Option<TableFactor>,
        rows: Rows,
        condition: Option<Expr>,
    ) -> Result<TableFactor, QueryError> {
        let mut query = crate::query::select("SELECT 1")?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.projection = vec![SelectItem::UnnamedExpr(self.array)];
            select.selection = condition;
            let table = |relation| TableWithJoins {
                relation,
                joins: Vec::new(),
            };
            select.from = input.map(table).into_iter().collect();
        }
        let mark = format!("{MARK} {rows:?} {}", self.fields);
        let names = std::iter::once(self.name).chain(self.offset);
        Ok(TableFactor::Derived {
            lateral: false,
            subquery: Box::new(query),
            alias: Some(TableAlias {
                columns: names
                    .map(|name| TableAliasColumnDef {
                        name: Ident::with_quote('`', name),
                        data_type: None,
                    })
                    .collect(),
                ..build::alias(&mark)
            }),
            sample: None,
        })
    }
}

/// Plans these relations.
#[derive(Debug)]
pub(in crate::query) struct Laterals;

impl RelationPlanner for Laterals {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let original = |relation| Ok(RelationPlanning::Original(Box::new(relation)));
        let TableFactor::Derived {
            subquery,
            alias: Some(alias),
            ..
        } = &relation
        else {
            return original(relation);
        };
        let Some(mark) = alias.name.value.strip_prefix(MARK) else {
            return original(relation);
        };
        let SetExpr::Select(select) = subquery.body.as_ref() else {
            return original(relation);
        };
        let [SelectItem::UnnamedExpr(array)] = select.projection.as_slice() else {
            return original(relation);
        };
        let mut names = alias.columns.iter().map(|c| c.name.value.as_str());
        let element = names.next().unwrap_or("f0_");
        let plan = Taken {
            all: mark.contains("All"),
            fields: mark.ends_with("true"),
            element,
            offset: names.next(),
        };
        let input = match select.from.first() {
            Some(table) => LogicalPlanBuilder::from(context.plan(table.relation.clone())?),
            None => LogicalPlanBuilder::empty(true),
        };
        let array = context.sql_to_expr(array.clone(), input.schema())?;
        let plan = match &select.selection {
            None => plan.over(input, array)?,
            Some(condition) => {
                let meets = |schema: &DFSchema| context.sql_to_expr(condition.clone(), schema);
                plan.that_meet(input, array, meets)?
            }
        };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
            plan, None,
        ))))
    }
}

/// How elements are taken out of an array.
struct Taken<'a> {
    all: bool,
    fields: bool,
    element: &'a str,
    offset: Option<&'a str>,
}

fn called(name: &str, arguments: Vec<Planned>) -> Result<Planned> {
    Ok(Planned::ScalarFunction(ScalarFunction::new_udf(
        functions::named(name)?,
        arguments,
    )))
}

impl Taken<'_> {
    /// What the positions are called, beside the elements: a star behind those is not for them.
    fn positions(&self) -> TableReference {
        TableReference::bare(format!("{OFFSETS} {}", self.element))
    }

    fn over(
        &self,
        input: LogicalPlanBuilder,
        array: Planned,
    ) -> Result<datafusion::logical_expr::LogicalPlan> {
        use datafusion::logical_expr::ExprSchemable;
        let schema = std::sync::Arc::clone(input.schema());
        let fields = match array.get_type(&schema)? {
            DataType::List(item) => match item.data_type() {
                DataType::Struct(fields) if self.fields => Some(fields.clone()),
                _ => None,
            },
            other => {
                return plan_err!(
                    "Values referenced in UNNEST must be arrays. UNNEST contains expression of type {other}"
                );
            }
        };
        let kind = array.to_field(&schema)?.1;
        let array = if self.all {
            let length = called("millpond_array_length", vec![array.clone()])?;
            let some = length.gt(lit(0_i64));
            Planned::Case(Case::new(
                None,
                vec![(Box::new(some), Box::new(array))],
                None,
            ))
        } else {
            array
        };
        let before: Vec<Planned> = schema
            .iter()
            .map(|(qualifier, field)| Planned::Column(Column::from((qualifier, field))))
            .collect();
        let mut all = before.clone();
        let mut lists = vec![Column::new_unqualified(ELEMENTS)];
        all.push(array.clone().alias(ELEMENTS));
        if self.offset.is_some() {
            lists.push(Column::new_unqualified(OFFSETS));
            all.push(called("millpond_offsets", vec![array])?.alias(OFFSETS));
        }
        let options = UnnestOptions::new().with_preserve_nulls(self.all);
        let unnested = input
            .project(all)?
            .unnest_columns_with_options(lists, options)?;
        let table = TableReference::bare(self.element);
        let named = |value: Planned, name: &str| value.alias_qualified(Some(table.clone()), name);
        let mut elements = Planned::Column(Column::new_unqualified(ELEMENTS));
        if wire::sql_type(&kind).is_some() {
            // What kind of values they are stands beside the array.
            let model = Planned::Literal(ScalarValue::Null, Some(kind.as_ref().into()));
            elements = called("millpond_like", vec![elements, model])?;
        }
        let mut shown = before;
        match fields {
            None => shown.push(named(elements, self.element)),
            Some(fields) => {
                for field in &fields {
                    let name = field.name().as_str();
                    let value = called("millpond_field", vec![elements.clone(), lit(name)])?;
                    shown.push(named(value, name));
                }
            }
        }
        if let Some(offset) = self.offset {
            let offsets = Planned::Column(Column::new_unqualified(OFFSETS));
            shown.push(offsets.alias_qualified(Some(self.positions()), offset));
        }
        unnested.project(shown)?.build()
    }
}
