//! Pipe syntax: `FROM t |> WHERE a |> AGGREGATE SUM(b) GROUP BY c`, as the queries that it stands for.
//!
//! Operators go into one SELECT as long as they can, because names of tables are known until there is another list of columns. Must
//! not know which columns there are.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, ExprWithAliasAndOrderBy, GroupByExpr, Ident, LimitClause, OrderBy, OrderByExpr,
    OrderByKind, PipeOperator, Query, Select, SelectItem, SetExpr, SetOperator, TableFactor,
    TableWithJoins, Visit, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use crate::query::{QueryError, rewrite::build, unsupported};
use crate::syntax_walk;

mod words;

pub(in crate::query) use words::{DISTINCT, DISTINCT_LIST, ORDERED, readable};

/// What a table without a name of its own is called.
const PIPED: &str = "millpond_piped";

/// Makes ordinary queries of all piped ones within.
///
/// # Errors
/// [`QueryError`] for operators that are not supported.
pub(in crate::query) fn expand<N: Visit + VisitMut>(node: &mut N) -> Result<(), QueryError> {
    struct Expanding;
    impl VisitorMut for Expanding {
        type Break = QueryError;

        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<QueryError> {
            match expanded(query) {
                Ok(()) => ControlFlow::Continue(()),
                Err(e) => ControlFlow::Break(e),
            }
        }
    }
    syntax_walk::visit_mut(node, &mut Expanding)
}

/// Makes an ordinary query of a piped one.
///
/// # Errors
/// [`QueryError`] for operators that are not supported.
pub(in crate::query) fn expanded(query: &mut Query) -> Result<(), QueryError> {
    if let SetExpr::Select(select) = query.body.as_mut() {
        match select.flavor {
            ast::SelectFlavor::Standard => {}
            ast::SelectFlavor::FromFirstNoSelect => {
                let star = SelectItem::Wildcard(WildcardAdditionalOptions::default());
                select.projection = vec![star];
                select.flavor = ast::SelectFlavor::Standard;
            }
            ast::SelectFlavor::FromFirst => {
                return Err(QueryError::Invalid {
                    message: "Syntax error: Unexpected keyword SELECT".to_owned(),
                });
            }
        }
    }
    let operators = std::mem::take(&mut query.pipe_operators);
    if operators.is_empty() {
        return Ok(());
    }
    let with = query.with.take();
    let mut piped = Piped::of(std::mem::replace(query, crate::query::select("SELECT 1")?))?;
    for operator in operators {
        piped.take(operator)?;
    }
    *query = piped.query;
    query.with = with;
    Ok(())
}

/// A query, and what is still to come into its SELECT.
struct Piped {
    query: Query,
    /// Whether the next list of columns is DISTINCT.
    distinct: bool,
    /// Whether the next groups are in order.
    ordered: bool,
}

fn star(options: WildcardAdditionalOptions) -> SelectItem {
    SelectItem::Wildcard(options)
}

fn is_star(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(options) if *options == WildcardAdditionalOptions::default())
}

impl Piped {
    fn of(query: Query) -> Result<Self, QueryError> {
        let mut piped = Self {
            query,
            distinct: false,
            ordered: false,
        };
        if !matches!(piped.query.body.as_ref(), SetExpr::Select(_)) {
            piped.wrap()?;
        }
        Ok(piped)
    }

    fn select(&mut self) -> Result<&mut Select, QueryError> {
        match self.query.body.as_mut() {
            SetExpr::Select(select) => Ok(select),
            _ => Err(unsupported("this form of a piped query")),
        }
    }

    /// Whether it is but tables, joined and filtered.
    fn is_plain(&self) -> bool {
        let SetExpr::Select(select) = self.query.body.as_ref() else {
            return false;
        };
        let ungrouped =
            matches!(&select.group_by, GroupByExpr::Expressions(all, _) if all.is_empty());
        matches!(select.projection.as_slice(), [item] if is_star(item))
            && ungrouped
            && select.distinct.is_none()
            && select.having.is_none()
            && select.qualify.is_none()
            && select.value_table_mode.is_none()
            && self.query.order_by.is_none()
            && self.query.limit_clause.is_none()
    }

    /// The name of its only table, which stays known.
    fn name(&self) -> Option<Ident> {
        let SetExpr::Select(select) = self.query.body.as_ref() else {
            return None;
        };
        let [table] = select.from.as_slice() else {
            return None;
        };
        // Where columns were set, the name of the table would still be that of its own rows.
        let listed = select.projection.iter().any(
            |item| matches!(item, SelectItem::Wildcard(options) if options.opt_replace.is_none()),
        );
        if !table.joins.is_empty() || !listed {
            return None;
        }
        match &table.relation {
            TableFactor::Table { name, alias, .. } => match alias {
                Some(alias) => Some(alias.name.clone()),
                None => {
                    let last = name.0.last()?.as_ident()?;
                    let own = last.value.rsplit('.').next()?;
                    Some(Ident::with_quote('`', own))
                }
            },
            TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => {
                alias.as_ref().map(|alias| alias.name.clone())
            }
            _ => None,
        }
    }

    /// Makes a table of what it is so far.
    fn wrap(&mut self) -> Result<(), QueryError> {
        let name = self.name();
        self.wrap_as(name)
    }

    fn wrap_as(&mut self, name: Option<Ident>) -> Result<(), QueryError> {
        let mut outer = crate::query::select("SELECT * FROM `x`")?;
        let alias = match name {
            Some(name) => ast::TableAlias {
                name,
                ..build::alias(PIPED)
            },
            None => build::alias(PIPED),
        };
        std::mem::swap(&mut self.query, &mut outer);
        let relation = TableFactor::Derived {
            lateral: false,
            subquery: Box::new(outer),
            alias: Some(alias),
            sample: None,
        };
        self.select()?.from = vec![TableWithJoins {
            relation,
            joins: Vec::new(),
        }];
        Ok(())
    }

    /// Makes room for another list of columns.
    fn plain(&mut self) -> Result<&mut Select, QueryError> {
        if !self.is_plain() {
            self.wrap()?;
        }
        self.select()
    }

    fn take(&mut self, operator: PipeOperator) -> Result<(), QueryError> {
        match operator {
            PipeOperator::Where { expr } => {
                let select = self.plain()?;
                select.selection = Some(match select.selection.take() {
                    None => expr,
                    Some(other) => build::binary(
                        build::nested(&other),
                        ast::BinaryOperator::And,
                        build::nested(&expr),
                    ),
                });
            }
            PipeOperator::Select { exprs } => {
                let distinct = std::mem::take(&mut self.distinct);
                let select = self.plain()?;
                select.projection = exprs;
                select.distinct = distinct.then_some(ast::Distinct::Distinct);
            }
            PipeOperator::Extend { exprs } => {
                let select = self.plain()?;
                select.projection.extend(exprs);
            }
            PipeOperator::Set { assignments } => self.set(assignments)?,
            PipeOperator::Drop { columns } => {
                let mut names = columns.into_iter();
                let Some(first_element) = names.next() else {
                    return Ok(());
                };
                self.plain()?.projection = vec![star(WildcardAdditionalOptions {
                    opt_except: Some(ast::ExceptSelectItem {
                        first_element,
                        additional_elements: names.collect(),
                    }),
                    ..WildcardAdditionalOptions::default()
                })];
            }
            PipeOperator::Rename { mappings } => {
                let renamed = ast::RenameSelectItem::Multiple(mappings);
                self.plain()?.projection = vec![star(WildcardAdditionalOptions {
                    opt_rename: Some(renamed),
                    ..WildcardAdditionalOptions::default()
                })];
            }
            PipeOperator::As { alias } => self.wrap_as(Some(alias))?,
            PipeOperator::OrderBy { exprs } => self.order(exprs)?,
            PipeOperator::Limit { expr, offset } => {
                if self.query.limit_clause.is_some() {
                    self.wrap()?;
                }
                self.query.limit_clause = Some(LimitClause::LimitOffset {
                    limit: Some(expr),
                    offset: offset.map(|value| ast::Offset {
                        value,
                        rows: ast::OffsetRows::None,
                    }),
                    limit_by: Vec::new(),
                });
            }
            PipeOperator::Aggregate {
                full_table_exprs,
                group_by_expr,
            } => self.aggregate(full_table_exprs, group_by_expr)?,
            PipeOperator::TableSample { sample } => {
                let plain = self.is_plain();
                let select = self.select()?;
                let filtered = select.selection.is_some();
                match select.from.as_mut_slice() {
                    [
                        TableWithJoins {
                            relation: TableFactor::Table { sample: own, .. },
                            joins,
                        },
                    ] if plain && !filtered && joins.is_empty() && own.is_none() => {
                        *own = Some(ast::TableSampleKind::AfterTableAlias(sample));
                    }
                    _ => return Err(unsupported("TABLESAMPLE of what is no table")),
                }
            }
            PipeOperator::Union {
                set_quantifier,
                queries,
            } => self.set_operation(SetOperator::Union, set_quantifier, queries)?,
            PipeOperator::Intersect {
                set_quantifier,
                queries,
            } => self.set_operation(SetOperator::Intersect, set_quantifier, queries)?,
            PipeOperator::Except {
                set_quantifier,
                queries,
            } => self.set_operation(SetOperator::Except, set_quantifier, queries)?,
            PipeOperator::Call { function, .. } => match function.name.to_string().as_str() {
                DISTINCT => {
                    self.plain()?.distinct = Some(ast::Distinct::Distinct);
                }
                DISTINCT_LIST => self.distinct = true,
                ORDERED => self.ordered = true,
                name => return Err(unsupported(format!("the table function {name}"))),
            },
            PipeOperator::Pivot {
                aggregate_functions,
                value_column,
                value_source,
                alias,
            } => {
                let value = match value_column.as_slice() {
                    [one] => Expr::Identifier(one.clone()),
                    _ => Expr::CompoundIdentifier(value_column),
                };
                self.over(alias, |table| TableFactor::Pivot {
                    table,
                    aggregate_functions,
                    value_column: vec![value],
                    value_source,
                    default_on_null: None,
                    alias: None,
                })?;
            }
            PipeOperator::Unpivot {
                value_column,
                name_column,
                unpivot_columns,
                alias,
            } => {
                let columns = unpivot_columns.into_iter();
                let columns = columns.map(|name| ast::ExprWithAlias {
                    expr: Expr::Identifier(name),
                    alias: None,
                });
                let columns = columns.collect();
                self.over(alias, |table| TableFactor::Unpivot {
                    table,
                    value: Expr::Identifier(value_column),
                    name: name_column,
                    columns,
                    null_inclusion: None,
                    alias: None,
                })?;
            }
            PipeOperator::Join(join) => {
                let select = self.plain()?;
                let joined = select.from.iter().any(|table| !table.joins.is_empty());
                // Of these joins it makes no difference when the rows before them are filtered.
                let after = joined && keeps_conditions(&join.join_operator);
                if select.selection.is_some() && !after || select.from.len() > 1 {
                    self.wrap()?;
                }
                let select = self.select()?;
                if let Some(table) = select.from.first_mut() {
                    table.joins.push(join);
                }
            }
        }
        Ok(())
    }

    /// Puts the table that it is so far into another one.
    fn over(
        &mut self,
        alias: Option<Ident>,
        outer: impl FnOnce(Box<TableFactor>) -> TableFactor,
    ) -> Result<(), QueryError> {
        self.wrap_as(None)?;
        let select = self.select()?;
        if let Some(table) = select.from.pop() {
            select.from = vec![TableWithJoins {
                relation: outer(Box::new(table.relation)),
                joins: Vec::new(),
            }];
        }
        self.wrap_as(alias)
    }

    fn set(&mut self, assignments: Vec<ast::Assignment>) -> Result<(), QueryError> {
        let mut items = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            let name = match &assignment.target {
                ast::AssignmentTarget::ColumnName(name) => match name.0.as_slice() {
                    [one] => one.as_ident().cloned(),
                    _ => None,
                },
                ast::AssignmentTarget::Tuple(_) => None,
            };
            let Some(column_name) = name else {
                return Err(unsupported(format!("|> SET {assignment}")));
            };
            items.push(Box::new(ast::ReplaceSelectElement {
                expr: assignment.value,
                column_name,
                as_keyword: true,
            }));
        }
        self.plain()?.projection = vec![star(WildcardAdditionalOptions {
            opt_replace: Some(ast::ReplaceSelectItem { items }),
            ..WildcardAdditionalOptions::default()
        })];
        Ok(())
    }

    fn order(&mut self, by: Vec<OrderByExpr>) -> Result<(), QueryError> {
        if !self.is_plain() {
            self.wrap()?;
        }
        self.query.order_by = Some(OrderBy {
            kind: OrderByKind::Expressions(by),
            interpolate: None,
        });
        Ok(())
    }

    /// `AGGREGATE sums GROUP BY groups`: the groups are the first columns.
    fn aggregate(
        &mut self,
        sums: Vec<ExprWithAliasAndOrderBy>,
        groups: Vec<ExprWithAliasAndOrderBy>,
    ) -> Result<(), QueryError> {
        let ordered = std::mem::take(&mut self.ordered);
        let mut order = Vec::new();
        let mut items = Vec::new();
        let count = groups.len();
        for (at, item) in groups.into_iter().chain(sums).enumerate() {
            let number = build::number(i64::try_from(at + 1).unwrap_or(i64::MAX));
            let options = item.order_by;
            if options.asc.is_some() || options.nulls_first.is_some() || ordered && at < count {
                order.push(OrderByExpr {
                    expr: number,
                    options,
                    with_fill: None,
                });
            }
            let computed =
                matches!(&item.expr.expr, Expr::Function(call) if at < count && is_grouping(call));
            if computed
                || matches!(
                    &item.expr.expr,
                    Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_)
                )
            {
                return Err(unsupported(format!("{} in |> AGGREGATE", item.expr.expr)));
            }
            items.push(match item.expr.alias {
                Some(alias) => SelectItem::ExprWithAlias {
                    expr: item.expr.expr,
                    alias,
                },
                None => SelectItem::UnnamedExpr(item.expr.expr),
            });
        }
        let numbers = (1..=count).filter_map(|n| i64::try_from(n).ok());
        let groups: Vec<Expr> = numbers.map(build::number).collect();
        let select = self.plain()?;
        select.projection = items;
        select.group_by = GroupByExpr::Expressions(groups, Vec::new());
        if order.is_empty() {
            return Ok(());
        }
        self.wrap_as(None)?;
        self.order(order)
    }

    fn set_operation(
        &mut self,
        op: SetOperator,
        set_quantifier: ast::SetQuantifier,
        queries: Vec<Query>,
    ) -> Result<(), QueryError> {
        for other in queries {
            let before = std::mem::replace(&mut self.query, crate::query::select("SELECT 1")?);
            *self.query.body = SetExpr::SetOperation {
                op,
                set_quantifier,
                left: Box::new(SetExpr::Query(Box::new(before))),
                right: Box::new(SetExpr::Query(Box::new(other))),
            };
        }
        self.wrap_as(None)
    }
}

/// Whether conditions on the left side of a join may as well come after it.
fn keeps_conditions(operator: &ast::JoinOperator) -> bool {
    matches!(
        operator,
        ast::JoinOperator::Join(_)
            | ast::JoinOperator::Inner(_)
            | ast::JoinOperator::CrossJoin(_)
            | ast::JoinOperator::Left(_)
            | ast::JoinOperator::LeftOuter(_)
    )
}

/// Whether a call is one of the forms of several groupings.
fn is_grouping(call: &ast::Function) -> bool {
    let name = call.name.to_string().to_ascii_uppercase();
    ["ROLLUP", "CUBE"].contains(&name.as_str())
}
