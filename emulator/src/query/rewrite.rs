//! From BigQuery's text to DataFusion's: table names, spellings, and what has none is refused by name.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::SystemTime;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectName, Query, Statement, TableFactor, Value, Visitor,
    VisitorMut,
};

use super::relations::information::View;
use super::script::variables::SYSTEM;
use super::{
    Defaults, QueryError,
    script::variables,
    text::{escapes, literals, pipes, placeholders},
    unsupported,
};
use crate::name::{TableName, TablePrefix};
use crate::syntax_walk;
use parameters::{Arrays, Parameter};
use times_of_tables::Times;

pub(super) mod arrays;
pub(crate) mod build;
pub(super) mod calls;
pub(super) mod clauses;
pub(super) mod gathered;
pub(super) mod grouping_sets;
pub(super) mod likes;
pub(super) mod literal_times;
pub(super) mod long_conditions;
pub(super) mod named;
pub(super) mod named_values;
pub(super) mod names;
pub(super) mod parameters;
pub(super) mod parts;
pub(super) mod pivots;
mod recursion;
pub(crate) mod routines;
pub(super) mod select_lists;
pub(super) mod sessions;
pub(super) mod shapes;
pub(super) mod spelling;
pub(super) mod suffixes;
mod tables;
pub(super) mod times_of_tables;
pub(super) mod unnest;
pub(super) mod value_tables;
mod windows;

pub(super) use tables::name_parts;

/// What stands behind FROM.
#[derive(Debug, Clone)]
pub(super) enum Relation {
    Table(TableName),
    /// All tables whose names begin alike.
    Wildcard(TablePrefix),
    /// About so many percent of a table's rows.
    Sample(TableName, f64),
    /// A table as it was at a point in time.
    At(TableName, SystemTime),
    /// A table partitioned by arrival, with its pseudo columns.
    Arrivals(TableName),
    /// A view of what there is.
    Information(View),
}

/// The tables that a query names, those of its WITH clauses and wildcards left out.
pub(super) fn tables(query: &Query, defaults: &Defaults) -> BTreeSet<TableName> {
    struct Tables<'a>(BTreeSet<TableName>, &'a Defaults);
    impl Visitor for Tables<'_> {
        type Break = Infallible;

        fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Infallible> {
            self.0.extend(table_of(name, self.1).ok());
            ControlFlow::Continue(())
        }
    }
    let mut tables = Tables(BTreeSet::new(), defaults);
    let Ok(()) = syntax_walk::visit(query, &mut tables);
    tables.0
}

/// Rewrites a query in place, where `arrivals` are those of its tables whose pseudo columns it may name; returns the tables it names, by the names they go by from now on.
///
/// # Errors
/// [`QueryError`] for what is not supported, a name that is none, or a parameter that was not given.
pub(super) fn rewrite(
    query: &mut Query,
    defaults: &Defaults,
    parameters: &[Parameter],
    arrivals: BTreeSet<TableName>,
    times: Times,
) -> Result<BTreeMap<String, Relation>, QueryError> {
    let mut rewriter = Rewriter::new(defaults, parameters);
    rewriter.arrivals = arrivals;
    rewriter.times = times;
    syntax_walk::visit_mut(query, &mut rewriter)?;
    Ok(rewriter.tables)
}

/// Whether a name is neither that of a parameter nor of a system variable.
pub(super) fn is_name(name: &Ident) -> bool {
    !name.value.starts_with('@')
}

fn is_parameter(path: &[Ident]) -> bool {
    path.first()
        .is_some_and(|first| first.value.starts_with('@'))
}

struct Rewriter<'a> {
    defaults: &'a Defaults,
    parameters: &'a [Parameter],
    arrays: Arrays,
    next_positional: usize,
    /// Names of the WITH clauses around.
    scopes: Vec<Vec<String>>,
    /// What the tables of the queries around are called.
    around: Vec<Vec<String>>,
    tables: BTreeMap<String, Relation>,
    arrivals: BTreeSet<TableName>,
    /// Points in time of tables, by the texts that they are given by.
    times: Times,
    /// How many queries among the tables were given a name.
    derived: usize,
    /// How many arrays without a name each query around has among its tables.
    unnamed: Vec<usize>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = QueryError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<QueryError> {
        if let Err(e) = pipes::expanded(query) {
            return ControlFlow::Break(e);
        }
        value_tables::name_in_with(query);
        if let Err(e) = recursion::in_order(query) {
            return ControlFlow::Break(e);
        }
        if let Err(e) = windows::spell_out(query) {
            return ControlFlow::Break(e);
        }
        self.around.push(unnest::tables(query));
        let mut names = Vec::new();
        if let Some(with) = &query.with {
            names.extend(with.cte_tables.iter().map(|c| c.alias.name.value.clone()));
        }
        self.scopes.push(names);
        self.unnamed.push(0);
        let by_arrival = |parts: &[String]| {
            let shadowed = matches!(parts, [single] if self.is_of_with(single));
            !shadowed && self.table(parts).is_ok_and(|t| self.arrivals.contains(&t))
        };
        if let Err(e) = value_tables::expand(query) {
            return ControlFlow::Break(e);
        }
        if let Err(e) = suffixes::leave_out(&mut query.body, &by_arrival) {
            return ControlFlow::Break(e);
        }
        if let Err(e) = select_lists::check_limit(query) {
            return ControlFlow::Break(e);
        }
        if let Err(e) = select_lists::check_set(&query.body) {
            return ControlFlow::Break(e);
        }
        if let Err(e) = grouping_sets::expand(&mut query.body) {
            return ControlFlow::Break(e);
        }
        select_lists::group_by_all(&mut query.body);
        select_lists::group_by_results(&mut query.body);
        select_lists::name_columns(&mut query.body);
        clauses::order_windows(&mut query.body);
        if let Err(e) = unnest::expand(query) {
            return ControlFlow::Break(e);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<QueryError> {
        self.scopes.pop();
        self.around.pop();
        self.unnamed.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<QueryError> {
        value_tables::name_in_from(factor);
        match self.table_factor(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(e),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        value_tables::keep(expr);
        if let Some(query) = build::query_within(expr) {
            unnest::of_row(query, &self.around);
        }
        match expr {
            Expr::BinaryOp { .. } => long_conditions::balance(expr),
            Expr::Function(function) => {
                if let Some(part) = calls::week_from(function) {
                    *expr = part;
                }
                return ControlFlow::Continue(());
            }
            Expr::InList { .. } => {
                if let Some(other) = likes::pairs(expr) {
                    *expr = other;
                }
                return ControlFlow::Continue(());
            }
            Expr::Like { .. } | Expr::AnyOp { .. } | Expr::AllOp { .. } => {
                match likes::expand(expr) {
                    Ok(Some(other)) => *expr = other,
                    Ok(None) => {}
                    Err(e) => return ControlFlow::Break(e),
                }
                return ControlFlow::Continue(());
            }
            Expr::Array(array) => {
                unnest::name_fields(&mut array.elem);
                return ControlFlow::Continue(());
            }
            _ => {}
        }
        let Expr::CompoundFieldAccess { root, access_chain } = expr else {
            return ControlFlow::Continue(());
        };
        match parts::spell(root, access_chain) {
            Ok(calls) => {
                *expr = calls;
                ControlFlow::Continue(())
            }
            Err(e) => ControlFlow::Break(e),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        match self.expression(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => ControlFlow::Break(e),
        }
    }
}

impl<'a> Rewriter<'a> {
    fn new(defaults: &'a Defaults, parameters: &'a [Parameter]) -> Self {
        Self {
            defaults,
            parameters,
            arrays: Arrays::Held,
            next_positional: 0,
            scopes: Vec::new(),
            around: Vec::new(),
            tables: BTreeMap::new(),
            arrivals: BTreeSet::new(),
            times: Times::new(),
            derived: 0,
            unnamed: Vec::new(),
        }
    }

    /// Whether a name is that of a WITH clause around.
    fn is_of_with(&self, name: &str) -> bool {
        self.scopes
            .iter()
            .flatten()
            .any(|known| names::same(known, name))
    }

    fn expression(&mut self, expr: &mut Expr) -> Result<(), QueryError> {
        match expr {
            Expr::Value(value) => {
                match &value.value {
                    Value::Placeholder(name) => *expr = self.parameter(&name.clone(), &[])?,
                    Value::SingleQuotedByteStringLiteral(text)
                    | Value::DoubleQuotedByteStringLiteral(text)
                    | Value::TripleSingleQuotedByteStringLiteral(text)
                    | Value::TripleDoubleQuotedByteStringLiteral(text) => {
                        *expr = build::bytes(&escapes::bytes(text)?);
                    }
                    other => {
                        if let Some(text) = literals::plain(other) {
                            *expr = Expr::Value(text.into());
                        }
                    }
                }
                return Ok(());
            }
            Expr::Identifier(ident) if ident.value.starts_with('@') => {
                *expr = self.parameter(&ident.value.clone(), &[])?;
                return Ok(());
            }
            Expr::CompoundIdentifier(path) if is_parameter(path) => {
                let path: Vec<String> = path.iter().map(|i| i.value.clone()).collect();
                if let Some((name, rest)) = path.split_first() {
                    *expr = self.parameter(name, rest)?;
                }
                return Ok(());
            }
            Expr::Identifier(ident) => suffixes::spell(ident),
            Expr::CompoundIdentifier(path) => {
                shorten_table(path);
                path.iter_mut().for_each(suffixes::spell);
            }
            Expr::BinaryOp { op, .. } => check_operator(op)?,
            _ => {}
        }
        if let Some(other) = spelling::expression(expr)? {
            *expr = other;
        }
        if let Some(other) = named_values::put(expr)? {
            *expr = other;
        }
        Ok(())
    }

    fn parameter(&mut self, placeholder: &str, path: &[String]) -> Result<Expr, QueryError> {
        let missing = || QueryError::NoParameter {
            name: placeholder.to_owned(),
        };
        let variables = &self.defaults.variables;
        if placeholder.starts_with(SYSTEM) {
            let unknown = || QueryError::Invalid {
                message: format!("Unrecognized name: {placeholder}"),
            };
            return variables::named(variables, placeholder, path).ok_or_else(unknown);
        }
        let held = match placeholder.strip_prefix('@') {
            Some(_) => variables::named(variables, placeholder, path),
            None => variables::named(variables, &format!("?{}", self.next_positional), path),
        };
        if let Some(held) = held {
            self.next_positional += usize::from(!placeholder.starts_with('@'));
            return Ok(held);
        }
        let given = if let Some(name) = placeholder.strip_prefix('@') {
            let quoted = placeholders::written(name);
            let name = quoted.as_deref().unwrap_or(name);
            let mut names = self.parameters.iter().map(|p| &p.name);
            names.position(|own| own.eq_ignore_ascii_case(name))
        } else {
            self.next_positional += 1;
            Some(self.next_positional - 1)
        };
        let given = given.and_then(|at| Some((at, self.parameters.get(at)?)));
        let literal = given.and_then(|(at, p)| p.literal(at, path, self.arrays));
        let mut literal = literal.ok_or_else(missing)?;
        // Arrays and structs among parameters are written like those of the text.
        if let Some(other) = spelling::expression(&mut literal)? {
            literal = other;
        }
        Ok(literal)
    }
}

/// Puts literals in the place of parameters, so that a statement can be taken apart.
///
/// # Errors
/// [`QueryError::NoParameter`] for one that was not given.
pub(super) fn bind(
    statement: &mut Statement,
    defaults: &Defaults,
    parameters: &[Parameter],
) -> Result<(), QueryError> {
    struct Binder<'a>(Rewriter<'a>);
    impl VisitorMut for Binder<'_> {
        type Break = QueryError;
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
            let bound = match expr {
                Expr::Value(value) => match &value.value {
                    Value::Placeholder(name) => self.0.parameter(&name.clone(), &[]),
                    _ => return ControlFlow::Continue(()),
                },
                Expr::Identifier(ident) if ident.value.starts_with('@') => {
                    self.0.parameter(&ident.value.clone(), &[])
                }
                Expr::CompoundIdentifier(path) if is_parameter(path) => {
                    let rest: Vec<String> = path.iter().skip(1).map(|i| i.value.clone()).collect();
                    let name = path.first().map(|i| i.value.clone()).unwrap_or_default();
                    self.0.parameter(&name, &rest)
                }
                _ => return ControlFlow::Continue(()),
            };
            match bound {
                Ok(literal) => {
                    *expr = literal;
                    ControlFlow::Continue(())
                }
                Err(e) => ControlFlow::Break(e),
            }
        }
    }
    let mut binder = Binder(Rewriter::new(defaults, parameters));
    if matches!(
        statement,
        Statement::CreateView(_) | Statement::CreateFunction(_)
    ) {
        binder.0.arrays = Arrays::Written;
    }
    syntax_walk::visit_mut(statement, &mut binder)
}

/// The table that a statement names.
pub(super) fn table_of(name: &ObjectName, defaults: &Defaults) -> Result<TableName, QueryError> {
    Rewriter::new(defaults, &[]).table(&name_parts(name)?)
}

/// A column may be called by its table's whole name in backticks; the query knows the table by the last part of that.
fn shorten_table(path: &mut [Ident]) {
    if let Some(table) = path.first_mut() {
        shorten(table);
    }
}

/// Leaves the last part of a name with dots.
fn shorten(table: &mut Ident) {
    if let Some((_, last)) = table.value.rsplit_once('.') {
        table.value = last.to_owned();
    }
}

fn check_operator(op: &BinaryOperator) -> Result<(), QueryError> {
    match op {
        BinaryOperator::Plus
        | BinaryOperator::Minus
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Modulo
        | BinaryOperator::StringConcat
        | BinaryOperator::Gt
        | BinaryOperator::Lt
        | BinaryOperator::GtEq
        | BinaryOperator::LtEq
        | BinaryOperator::Eq
        | BinaryOperator::NotEq
        | BinaryOperator::And
        | BinaryOperator::Or
        | BinaryOperator::BitwiseAnd
        | BinaryOperator::BitwiseOr
        | BinaryOperator::BitwiseXor => Ok(()),
        other => Err(unsupported(format!("the operator {other}"))),
    }
}
