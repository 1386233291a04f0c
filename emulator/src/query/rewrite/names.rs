//! Names of columns and tables as they are spelled where they come from. BigQuery does not tell letters by their case in them; the
//! planner does. Names that no table in scope has are those of a script's variables.
//!
//! Works on queries whose tables go by their keys. Must not know types: fields of structs are found by [`crate::query::planning::fields`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr, TableWithJoins,
    VisitMut, VisitorMut,
};

use crate::query::planning::lateral;
use crate::query::rewrite::pivots;
use crate::query::script::variables::{self, Variable};
use crate::query::text::matched_columns;
use crate::query::{QueryError, rewrite::build, unsupported};
use crate::syntax_walk;

mod by_name;
mod elements;
mod projection;
mod scope;
mod stars;
mod tables;

use scope::{First, Found, Relation, Scope};

/// Columns of a relation; `None` where they are not known.
type Columns = Option<Vec<String>>;

/// What became of a query.
pub(in crate::query) enum Spelled {
    /// Its names are spelled, and these are the names of the result's columns.
    Names(Columns),
    /// First these fields have to be known.
    Asks(Box<Asked>),
}

/// The fields that have to be known before names can be spelled.
pub(in crate::query) struct Asked {
    /// The value is its only column.
    pub query: Query,
    pub of: Of,
}

/// Whose fields are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::query) enum Of {
    /// The value is a struct, or the query is wrong.
    Value,
    /// Elements of the value may be structs; if that cannot be told so far, they are taken for none.
    Elements,
}

/// Spells the names of a query, where `columns` are those of its tables by their keys, and `fields` those of the structs that it
/// asked for before.
///
/// # Errors
/// [`QueryError::Invalid`] for a name that is nobody's, or that of more than one column.
pub(in crate::query) fn spell(
    query: &mut Query,
    columns: &BTreeMap<String, Vec<String>>,
    variables: &[Variable],
    fields: &[Option<Vec<String>>],
) -> Result<Spelled, QueryError> {
    let mut names = Names {
        tables: columns,
        variables,
        ctes: Vec::new(),
        queries: Vec::new(),
        scopes: Vec::new(),
        around: Vec::new(),
        fields: fields.iter(),
        asked: None,
    };
    let spelled = names.query(query);
    match names.asked {
        Some(asked) => Ok(Spelled::Asks(Box::new(asked))),
        None => spelled.map(Spelled::Names),
    }
}

/// Names that more than one column of a result has.
pub(in crate::query) fn duplicates(columns: &Columns) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut told = BTreeSet::new();
    let twice = columns.iter().flatten().filter(|name| {
        let name = name.to_lowercase();
        !seen.insert(name.clone()) && told.insert(name)
    });
    twice.cloned().collect()
}

/// Whether two names are one.
pub(in crate::query) fn same(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}

struct Names<'a> {
    tables: &'a BTreeMap<String, Vec<String>>,
    variables: &'a [Variable],
    ctes: Vec<(String, Columns)>,
    /// The queries of WITH clauses around, spelled.
    queries: Vec<ast::Cte>,
    scopes: Vec<Scope>,
    /// The tables of SELECTs around.
    around: Vec<Vec<TableWithJoins>>,
    /// Fields that were asked for before, in the order of the text.
    fields: std::slice::Iter<'a, Option<Vec<String>>>,
    /// The value whose fields are to be told.
    asked: Option<Asked>,
}

impl Names<'_> {
    fn query(&mut self, query: &mut Query) -> Result<Columns, QueryError> {
        let (known, queries) = (self.ctes.len(), self.queries.len());
        if let Some(with) = &mut query.with {
            for cte in &mut with.cte_tables {
                if with.recursive {
                    // The planner spells these in small letters by itself, and does not find them then.
                    cte.alias.name.value = cte.alias.name.value.to_lowercase();
                }
                let own = if with.recursive {
                    let first = first_of(&mut cte.query.body);
                    let columns = match first {
                        Some(first) => self.select(&mut first.clone(), None)?,
                        None => None,
                    };
                    let columns = renamed(columns, &cte.alias);
                    self.ctes.push((cte.alias.name.value.clone(), columns));
                    let own = self.query(&mut cte.query)?;
                    self.ctes.pop();
                    own
                } else {
                    self.query(&mut cte.query)?
                };
                let columns = renamed(own, &cte.alias);
                self.ctes.push((cte.alias.name.value.clone(), columns));
                self.queries.push(cte.clone());
            }
        }
        let columns = self.body(&mut query.body, query.order_by.as_mut())?;
        if let Some(limit) = &mut query.limit_clause {
            self.expressions(limit, First::Columns)?;
        }
        self.ctes.truncate(known);
        self.queries.truncate(queries);
        Ok(columns)
    }

    fn body(
        &mut self,
        body: &mut SetExpr,
        order_by: Option<&mut OrderBy>,
    ) -> Result<Columns, QueryError> {
        match body {
            SetExpr::Select(select) => self.select(select, order_by),
            SetExpr::Query(query) => {
                let columns = self.query(query)?;
                self.order(order_by, &columns)?;
                Ok(columns)
            }
            SetExpr::SetOperation {
                left,
                right,
                set_quantifier,
                ..
            } => {
                let said = matched_columns::taken(left).or_else(|| by_name::said(set_quantifier));
                let mut columns = self.body(left, None)?;
                let others = self.body(right, None)?;
                if let Some(said) = said {
                    columns = by_name::placed(said, (left, &columns), (right, &others))?;
                }
                self.order(order_by, &columns)?;
                Ok(columns)
            }
            other => {
                self.expressions(other, First::Columns)?;
                Ok(None)
            }
        }
    }

    /// What the rows of a whole query are sorted by.
    fn order(&mut self, by: Option<&mut OrderBy>, columns: &Columns) -> Result<(), QueryError> {
        let Some(by) = by else { return Ok(()) };
        self.scopes.push(Scope {
            relations: vec![Relation {
                name: None,
                columns: columns.clone(),
                elements: false,
                array: None,
            }],
            ..Scope::default()
        });
        let done = self.expressions(by, First::Columns);
        self.scopes.pop();
        done
    }

    fn select(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
    ) -> Result<Columns, QueryError> {
        self.scopes.push(Scope::default());
        let done = self.select_in_scope(select, order_by);
        self.scopes.pop();
        done
    }

    fn select_in_scope(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
    ) -> Result<Columns, QueryError> {
        self.from(select)?;
        self.around.push(select.from.clone());
        let done = self.behind_tables(select, order_by);
        self.around.pop();
        done
    }

    fn behind_tables(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
    ) -> Result<Columns, QueryError> {
        self.pivot(select)?;
        self.stars_of_structs(select)?;
        let columns = self.projection(&mut select.projection)?;
        for condition in select.selection.iter_mut() {
            self.expressions(condition, First::Columns)?;
        }
        let explicit = |item: &SelectItem| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            _ => None,
        };
        let results = select.projection.iter().filter_map(explicit).collect();
        if let Some(scope) = self.scopes.last_mut() {
            scope.results = results;
        }
        self.expressions(&mut select.group_by, First::Columns)?;
        self.expressions(&mut select.named_window, First::Columns)?;
        for condition in [&mut select.having, &mut select.qualify] {
            for condition in condition.iter_mut() {
                self.expressions(condition, First::Columns)?;
            }
        }
        if let Some(by) = order_by
            && let OrderByKind::Expressions(all) = &mut by.kind
        {
            if let (Some(scope), Some(columns)) = (self.scopes.last_mut(), &columns) {
                scope.results.extend(columns.iter().cloned());
            }
            self.expressions(all, First::Results)?;
        }
        Ok(columns)
    }

    /// Spells out the columns that PIVOT groups by.
    fn pivot(&mut self, select: &mut Select) -> Result<(), QueryError> {
        let Some(left) = pivots::left_out(&select.group_by) else {
            return Ok(());
        };
        let Some(SelectItem::Wildcard(options)) = select.projection.first_mut() else {
            return Err(unsupported("this form of PIVOT"));
        };
        let columns = self.all_columns();
        let columns = self.star(options, columns)?;
        let Some(mut columns) = columns else {
            return Err(unsupported("PIVOT of columns that are not known"));
        };
        columns.retain(|column| !left.iter().any(|name| same(name, column)));
        let names = columns.iter().map(|c| Ident::with_quote('`', c));
        let groups: Vec<Expr> = names.map(Expr::Identifier).collect();
        let items = groups.iter().cloned().map(SelectItem::UnnamedExpr);
        select.projection.splice(..1, items);
        select.group_by = ast::GroupByExpr::Expressions(groups, Vec::new());
        Ok(())
    }

    /// Spells the names in expressions.
    fn expressions<N: VisitMut>(&mut self, node: &mut N, first: First) -> Result<(), QueryError> {
        let mut within = Within {
            names: self,
            first,
            depth: 0,
        };
        syntax_walk::visit_mut(node, &mut within)
    }

    fn spell_expr(&mut self, expr: &mut Expr, first: First) -> Result<(), QueryError> {
        match expr {
            Expr::Identifier(ident) => match self.find(ident, first)? {
                Found::Name(name) => ident.value = name,
                Found::Merged(other) | Found::Row(other) => *expr = *other,
                Found::Field(of) if self.is_around(&of) || self.is_column_beside(&of) => {
                    *expr = fields(element(&of), std::slice::from_ref(ident));
                }
                Found::Field(of) => {
                    let path = vec![Ident::with_quote('`', of), ident.clone()];
                    *expr = Expr::CompoundIdentifier(path);
                }
                Found::Unknown => {}
                Found::Nothing => match variables::find(self.variables, &ident.value) {
                    Some(call) => *expr = call,
                    None => return Err(unrecognized(ident)),
                },
            },
            Expr::CompoundIdentifier(path) => {
                let Some((head, rest)) = path.split_first_mut() else {
                    return Ok(());
                };
                if let Some((name, relation)) = self.relation(&head.value) {
                    head.value.clone_from(name);
                    let columns = relation.columns.as_ref().filter(|_| !relation.elements);
                    if let (Some(columns), Some(column)) = (columns, rest.first_mut()) {
                        let spelled = columns.iter().find(|c| same(c, &column.value));
                        let Some(spelled) = spelled else {
                            return Err(QueryError::Invalid {
                                message: format!(
                                    "Name {} not found inside {}{}",
                                    column.value,
                                    head.value,
                                    at(column)
                                ),
                            });
                        };
                        column.value.clone_from(spelled);
                    }
                    // The planner knows columns of the rows around, and no fields in them.
                    let column = match rest.split_first() {
                        Some((column, within)) if !relation.elements => {
                            let path = vec![head.clone(), column.clone()];
                            Some((Expr::CompoundIdentifier(path), within))
                        }
                        _ => Some((element(&head.value), &*rest)),
                    };
                    // Nor does it tell elements from a column that is called as they are.
                    let hidden = relation.elements && self.is_column_beside(&head.value);
                    if let Some((column, within)) = column.filter(|(_, within)| !within.is_empty())
                        && (hidden || self.is_around(&head.value))
                    {
                        *expr = fields(column, within);
                    }
                    return Ok(());
                }
                let around = self.is_around(&head.value);
                match self.find(head, first)? {
                    Found::Name(name) if around => {
                        let column = Expr::Identifier(Ident::with_quote('`', name));
                        *expr = fields(column, rest);
                    }
                    Found::Name(name) => head.value = name,
                    Found::Merged(other) | Found::Row(other) => *expr = fields(*other, rest),
                    Found::Field(of) if self.is_around(&of) || self.is_column_beside(&of) => {
                        *expr = fields(element(&of), path);
                    }
                    Found::Field(of) => path.insert(0, Ident::with_quote('`', of)),
                    Found::Unknown => {}
                    Found::Nothing => match variables::find(self.variables, &head.value) {
                        Some(call) => *expr = fields(call, rest),
                        None => return Err(unrecognized(head)),
                    },
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The fields of a value, one within the other.
fn fields(value: Expr, names: &[Ident]) -> Expr {
    names.iter().fold(value, |value, name| {
        build::call("millpond_field", vec![value, build::text(&name.value)])
    })
}

/// The column that the elements of an array are, which is called as they are.
fn element(name: &str) -> Expr {
    let path = [name, name].map(|part| Ident::with_quote('`', part));
    Expr::CompoundIdentifier(path.to_vec())
}

/// A walk through expressions that leaves queries in them to themselves.
struct Within<'n, 'a> {
    names: &'n mut Names<'a>,
    first: First,
    depth: usize,
}

impl VisitorMut for Within<'_, '_> {
    type Break = QueryError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<QueryError> {
        self.depth += 1;
        if self.depth == 1
            && let Err(e) = self.names.query(query)
        {
            return ControlFlow::Break(e);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<QueryError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        match self.names.spell_expr(expr, self.first) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(e),
        }
    }
}

/// Gives a column a name of its own, because another one has its name. Nobody can ask for it by that.
fn again(item: &mut SelectItem, index: usize) {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
        return;
    };
    *item = SelectItem::ExprWithAlias {
        expr: expr.clone(),
        alias: Ident::with_quote('`', format!("millpond_again_{index}")),
    };
}

/// Columns under the names that an alias gives them.
fn renamed(columns: Columns, alias: &ast::TableAlias) -> Columns {
    if alias.columns.is_empty() {
        return columns;
    }
    Some(alias.columns.iter().map(|c| c.name.value.clone()).collect())
}

/// The SELECT that a query begins with.
fn first_of(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::SetOperation { left, .. } => first_of(left),
        SetExpr::Query(query) => first_of(&mut query.body),
        _ => None,
    }
}

fn unrecognized(ident: &Ident) -> QueryError {
    QueryError::Invalid {
        message: format!("Unrecognized name: {}{}", ident.value, at(ident)),
    }
}

/// Where a name stands, if that is known.
fn at(ident: &Ident) -> String {
    let start = ident.span.start;
    if start.line == 0 {
        return String::new();
    }
    format!(" at [{}:{}]", start.line, start.column)
}
