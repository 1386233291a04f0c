//! Names of columns and tables as they are spelled where they come from. BigQuery does not tell letters by their case in them; the
//! planner does. Names that no table in scope has are those of a script's variables.
//!
//! Works on queries whose tables go by their keys. Must not know types: fields of structs are found by [`super::fields`].

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, OrderBy,
    OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor,
    TableWithJoins, VisitMut, VisitorMut,
};

use super::lateral;
use super::variables::{self, Variable};
use super::{QueryError, build, unsupported};
use crate::syntax_walk;

/// Columns of a relation; `None` where they are not known.
type Columns = Option<Vec<String>>;

/// Spells the names of a query, where `columns` are those of its tables by their keys; returns the names of the result's columns.
///
/// # Errors
/// [`QueryError::Invalid`] for a name that is nobody's, or that of more than one column.
pub(super) fn spell(
    query: &mut Query,
    columns: &BTreeMap<String, Vec<String>>,
    variables: &[Variable],
) -> Result<Columns, QueryError> {
    let mut names = Names {
        tables: columns,
        variables,
        ctes: Vec::new(),
        scopes: Vec::new(),
    };
    names.query(query)
}

/// Names that more than one column of a result has.
pub(super) fn duplicates(columns: &Columns) -> Vec<String> {
    let mut seen: Vec<&String> = Vec::new();
    let mut twice: Vec<String> = Vec::new();
    for name in columns.iter().flatten() {
        let known = seen.iter().any(|other| same(other, name));
        if known && !twice.iter().any(|other| same(other, name)) {
            twice.push(name.clone());
        }
        seen.push(name);
    }
    twice
}

/// Whether two names are one.
pub(super) fn same(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}

/// Something behind FROM.
#[derive(Debug, Clone)]
struct Relation {
    name: Option<String>,
    columns: Columns,
    /// Whether it is the elements of an array, whose fields may stand alone.
    elements: bool,
}

/// What the names of one SELECT can mean.
#[derive(Debug, Default)]
struct Scope {
    relations: Vec<Relation>,
    /// Names that the SELECT list gives.
    results: Vec<String>,
    /// Columns that USING has made one, and what each is.
    merged: Vec<(String, Option<Expr>)>,
}

/// Which of two meanings a name has first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Columns,
    Results,
}

/// Which side of a join has all its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Left,
    Right,
    Both,
}

impl Kept {
    fn of(operator: &JoinOperator) -> Self {
        match operator {
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => Self::Right,
            JoinOperator::FullOuter(_) => Self::Both,
            _ => Self::Left,
        }
    }

    /// What a column of USING is, which both sides spell like this; relations from `left` on are those of the right side.
    fn column(self, scope: &Scope, left: usize, name: &str) -> Option<Expr> {
        let of = |relations: &[Relation]| {
            let has = |r: &&Relation| r.columns.iter().flatten().any(|c| same(c, name));
            let table = relations.iter().find(has)?.name.clone()?;
            let path = [table, name.to_owned()];
            let path = path.map(|part| Ident::with_quote('`', part)).to_vec();
            Some(Expr::CompoundIdentifier(path))
        };
        let (before, own) = scope.relations.split_at_checked(left)?;
        let earlier = scope.merged.iter().rev().find(|(m, _)| same(m, name));
        let before = || match earlier {
            Some((_, expr)) => expr.clone(),
            None => of(before),
        };
        match self {
            Self::Left => before(),
            Self::Right => of(own),
            Self::Both => Some(build::call("coalesce", vec![before()?, of(own)?])),
        }
    }
}

/// What a name means.
enum Found {
    /// This column or alias.
    Name(String),
    /// A column that USING has made of two.
    Merged(Expr),
    /// A field of the elements called so.
    Field(String),
    /// Perhaps something of a relation whose columns are not known.
    Unknown,
    Nothing,
}

struct Names<'a> {
    tables: &'a BTreeMap<String, Vec<String>>,
    variables: &'a [Variable],
    ctes: Vec<(String, Columns)>,
    scopes: Vec<Scope>,
}

impl Names<'_> {
    fn query(&mut self, query: &mut Query) -> Result<Columns, QueryError> {
        let known = self.ctes.len();
        if let Some(with) = &mut query.with {
            for cte in &mut with.cte_tables {
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
            }
        }
        let columns = self.body(&mut query.body, query.order_by.as_mut())?;
        if let Some(limit) = &mut query.limit_clause {
            self.expressions(limit, First::Columns)?;
        }
        self.ctes.truncate(known);
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
            SetExpr::SetOperation { left, right, .. } => {
                let columns = self.body(left, None)?;
                self.body(right, None)?;
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

    fn projection(&mut self, items: &mut [SelectItem]) -> Result<Columns, QueryError> {
        let mut names: Columns = Some(Vec::new());
        let mut explicit: Vec<String> = Vec::new();
        for (index, item) in items.iter_mut().enumerate() {
            let own: Columns = match item {
                SelectItem::UnnamedExpr(expr) => {
                    let shown = match &*expr {
                        Expr::Identifier(name) => Some(name.value.clone()),
                        Expr::CompoundIdentifier(path) => path.last().map(|n| n.value.clone()),
                        _ => None,
                    };
                    let before = expr.clone();
                    self.expressions(expr, First::Columns)?;
                    let plain = match &before {
                        Expr::CompoundIdentifier(path) => self.is_column(path),
                        _ => true,
                    };
                    if let Some(shown) = &shown
                        && (*expr != before || !plain)
                    {
                        *item = SelectItem::ExprWithAlias {
                            expr: expr.clone(),
                            alias: Ident::with_quote('`', shown.clone()),
                        };
                    }
                    shown.map(|shown| vec![shown])
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    self.expressions(expr, First::Columns)?;
                    Some(vec![alias.value.clone()])
                }
                SelectItem::Wildcard(options) => {
                    let columns = self.all_columns();
                    self.star(options, columns)?
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    let SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                        return Err(unsupported(format!("the item {kind}.*")));
                    };
                    let columns = self.qualified(name);
                    self.star(options, columns)?
                }
                _ => None,
            };
            if let Some([name]) = own.as_deref() {
                let star = !matches!(
                    item,
                    SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }
                );
                if !star && explicit.iter().any(|known| same(known, name)) {
                    again(item, index);
                }
                explicit.push(name.clone());
            }
            names = match (names, own) {
                (Some(mut all), Some(own)) => {
                    all.extend(own);
                    Some(all)
                }
                _ => None,
            };
        }
        Ok(names)
    }

    /// The columns of a relation that a star is put behind, whose name is spelled here.
    fn qualified(&self, name: &mut ObjectName) -> Columns {
        let [ObjectNamePart::Identifier(ident)] = name.0.as_mut_slice() else {
            return None;
        };
        let (spelled, relation) = self.relation(&ident.value)?;
        let columns = relation.columns.clone();
        ident.value.clone_from(spelled);
        columns
    }

    /// The relation of a name; one whose name is spelled alike comes before others.
    fn relation(&self, name: &str) -> Option<(&String, &Relation)> {
        let relations = self.scopes.iter().rev().flat_map(|s| &s.relations);
        let named = relations.filter_map(|r| Some((r.name.as_ref()?, r)));
        let exact = named.clone().find(|(n, _)| *n == name);
        exact.or_else(|| named.clone().find(|(n, _)| same(n, name)))
    }

    /// What a star stands for.
    fn all_columns(&self) -> Columns {
        let scope = self.scopes.last()?;
        let mut all: Vec<String> = Vec::new();
        for relation in &scope.relations {
            for column in relation.columns.as_ref()? {
                let merged = scope.merged.iter().any(|(m, _)| same(m, column));
                if merged && all.iter().any(|c| same(c, column)) {
                    continue;
                }
                all.push(column.clone());
            }
        }
        Some(all)
    }

    /// Spells what a star leaves out and replaces.
    fn star(
        &mut self,
        options: &mut ast::WildcardAdditionalOptions,
        mut columns: Columns,
    ) -> Result<Columns, QueryError> {
        if let Some(except) = &mut options.opt_except {
            let names =
                std::iter::once(&mut except.first_element).chain(&mut except.additional_elements);
            for name in names {
                let Some(columns) = &mut columns else {
                    continue;
                };
                let Some(spelled) = columns.iter().find(|c| same(c, &name.value)).cloned() else {
                    return Err(QueryError::Invalid {
                        message: format!(
                            "Column {} in SELECT * EXCEPT list does not exist{}",
                            name.value,
                            at(name)
                        ),
                    });
                };
                name.value.clone_from(&spelled);
                columns.retain(|c| *c != spelled);
            }
        }
        if let Some(replace) = &mut options.opt_replace {
            for item in &mut replace.items {
                self.expressions(&mut item.expr, First::Columns)?;
                let spelled = columns
                    .iter()
                    .flatten()
                    .find(|c| same(c, &item.column_name.value));
                if let Some(spelled) = spelled {
                    item.column_name.value.clone_from(spelled);
                }
            }
        }
        Ok(columns)
    }

    fn from(&mut self, select: &mut Select) -> Result<(), QueryError> {
        let mut done: Vec<TableWithJoins> = Vec::new();
        let mut conditions: Vec<Expr> = Vec::new();
        for mut table in std::mem::take(&mut select.from) {
            let joins = std::mem::take(&mut table.joins);
            let before = lateral::joined(&done);
            let correlated = self.factor(&mut table.relation)?;
            if let Some(unnest) = lateral::Unnest::of(&table.relation, &select.projection)
                && (correlated || unnest.needs_planning())
            {
                let input = before.filter(|_| correlated);
                if correlated {
                    done.clear();
                }
                self.forget_elements(&unnest);
                table.relation = unnest.over(input, lateral::Rows::Some)?;
            }
            for join in joins {
                self.join(&mut table, join, &select.projection, &mut conditions)?;
            }
            done.push(table);
        }
        select.from = done;
        for condition in conditions {
            select.selection = Some(match select.selection.take() {
                Some(other) => build::binary(
                    Expr::Nested(Box::new(other)),
                    ast::BinaryOperator::And,
                    Expr::Nested(Box::new(condition)),
                ),
                None => condition,
            });
        }
        Ok(())
    }

    fn join(
        &mut self,
        table: &mut TableWithJoins,
        mut join: Join,
        projection: &[SelectItem],
        conditions: &mut Vec<Expr>,
    ) -> Result<(), QueryError> {
        let left = self.scopes.last().map_or(0, |s| s.relations.len());
        let correlated = self.factor(&mut join.relation)?;
        let unnest = lateral::Unnest::of(&join.relation, projection);
        if let Some(unnest) = unnest.filter(|u| correlated || u.needs_planning()) {
            self.forget_elements(&unnest);
            if !correlated {
                join.relation = unnest.over(None, lateral::Rows::Some)?;
            } else {
                let rows = lateral::Rows::of(&join.join_operator)?;
                let input = lateral::joined(std::slice::from_ref(table));
                table.joins.clear();
                table.relation = unnest.over(input, rows)?;
                if let Some(condition) = lateral::condition(&join.join_operator, rows)? {
                    conditions.push(condition);
                }
                return Ok(());
            }
        }
        let constraint = constraint_of(&mut join.join_operator);
        if let Some(JoinConstraint::On(condition)) = constraint {
            self.expressions(condition, First::Columns)?;
        } else if let Some(JoinConstraint::Using(names)) = constraint {
            let names = std::mem::take(names);
            let kept = Kept::of(&join.join_operator);
            let names = self.using(names, left, &mut join.relation, kept)?;
            if let Some(constraint) = constraint_of(&mut join.join_operator) {
                *constraint = JoinConstraint::Using(names);
            }
        }
        self.leave_one_side(&join.join_operator, left);
        table.joins.push(join);
        Ok(())
    }

    /// Of joins that ask whether there is a row, only one side is seen afterwards.
    fn leave_one_side(&mut self, operator: &JoinOperator, left: usize) {
        let Some(scope) = self.scopes.last_mut() else {
            return;
        };
        match operator {
            JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::Anti(_)
            | JoinOperator::LeftAnti(_) => scope.relations.truncate(left),
            JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => {
                scope.relations.drain(..left.min(scope.relations.len()));
            }
            _ => {}
        }
    }

    /// Takes back which columns the last relation has, if they are the fields of elements.
    fn forget_elements(&mut self, unnest: &lateral::Unnest) {
        let scope = self.scopes.last_mut();
        if let Some(relation) = scope.and_then(|s| s.relations.last_mut())
            && unnest.gives_fields()
        {
            relation.columns = None;
            relation.elements = false;
        }
    }

    /// The columns of USING as both sides spell them; a side that spells one in another way is made to say it like the other.
    fn using(
        &mut self,
        names: Vec<ObjectName>,
        left: usize,
        right: &mut TableFactor,
        kept: Kept,
    ) -> Result<Vec<ObjectName>, QueryError> {
        let Some(scope) = self.scopes.last_mut() else {
            return Ok(names);
        };
        let find = |relations: &[Relation], name: &str| {
            let mut columns = relations
                .iter()
                .filter_map(|r| r.columns.as_ref())
                .flatten();
            columns.find(|c| same(c, name)).cloned()
        };
        let mut spelled = Vec::new();
        for name in names {
            let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
                return Err(unsupported(format!("USING ({name})")));
            };
            let (before, own) = scope.relations.split_at(left);
            let (before, own) = (find(before, &ident.value), find(own, &ident.value));
            let (Some(before), Some(own)) = (before, own) else {
                spelled.push(name);
                continue;
            };
            let one = kept.column(scope, left, &before);
            scope.merged.push((before.clone(), one));
            spelled.push(ObjectName::from(vec![Ident::with_quote('`', &before)]));
            if before == own {
                continue;
            }
            let single = scope.relations.len() == left + 1;
            let relation = match scope.relations.get_mut(left) {
                Some(relation) if single => relation,
                _ => return Err(unsupported("USING of names that are spelled in two ways")),
            };
            let (Some(alias), Some(columns)) = (&relation.name, &mut relation.columns) else {
                return Err(unsupported("USING of names that are spelled in two ways"));
            };
            let items: Vec<String> = columns
                .iter()
                .map(|c| {
                    let shown = if *c == own { &before } else { c };
                    format!("`{c}` AS `{shown}`")
                })
                .collect();
            let text = format!("SELECT {} FROM `x` AS `{alias}`", items.join(", "));
            let mut query = super::select(&text)?;
            if let SetExpr::Select(select) = query.body.as_mut()
                && let Some(table) = select.from.first_mut()
            {
                table.relation = right.clone();
            }
            *right = TableFactor::Derived {
                lateral: false,
                subquery: Box::new(query),
                alias: Some(build::alias(alias)),
                sample: None,
            };
            for column in columns.iter_mut().filter(|c| **c == own) {
                column.clone_from(&before);
            }
        }
        Ok(spelled)
    }

    /// Adds what stands behind FROM to the scope; whether it is an array of what stands before it.
    fn factor(&mut self, factor: &mut TableFactor) -> Result<bool, QueryError> {
        let mut correlated = false;
        let relation = match factor {
            TableFactor::Table { name, alias, .. } => {
                let [ObjectNamePart::Identifier(key)] = name.0.as_mut_slice() else {
                    return Ok(false);
                };
                let columns = match self.tables.get(&key.value) {
                    Some(columns) => Some(columns.clone()),
                    None => {
                        let cte = self.ctes.iter().rev().find(|(n, _)| same(n, &key.value));
                        if let Some((spelled, _)) = cte {
                            key.value.clone_from(spelled);
                        }
                        cte.and_then(|(_, columns)| columns.clone())
                    }
                };
                let name = alias.as_ref().map_or(&key.value, |a| &a.name.value).clone();
                Relation {
                    columns: match alias {
                        Some(alias) => renamed(columns, alias),
                        None => columns,
                    },
                    name: Some(name),
                    elements: false,
                }
            }
            TableFactor::Derived {
                subquery, alias, ..
            } => {
                // Tables beside it are none of its business.
                let beside = self.scopes.pop();
                let columns = self.query(subquery);
                self.scopes.extend(beside);
                let columns = columns?;
                Relation {
                    name: alias.as_ref().map(|a| a.name.value.clone()),
                    columns: match alias {
                        Some(alias) => renamed(columns, alias),
                        None => columns,
                    },
                    elements: false,
                }
            }
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset,
                with_offset_alias,
                ..
            } => {
                let before = array_exprs.clone();
                self.expressions(array_exprs, First::Columns)?;
                correlated = self.concerns(&before);
                let name = alias.as_ref().map(|a| a.name.value.clone());
                let mut relation = Relation {
                    columns: name.clone().map(|n| vec![n]),
                    name,
                    elements: true,
                };
                if *with_offset {
                    let offset = with_offset_alias.as_ref().map(|a| a.value.clone());
                    let offset = offset.unwrap_or_else(|| "offset".to_owned());
                    relation
                        .columns
                        .iter_mut()
                        .for_each(|c| c.push(offset.clone()));
                }
                relation
            }
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => {
                self.factor(&mut table_with_joins.relation)?;
                let joins = std::mem::take(&mut table_with_joins.joins);
                for join in joins {
                    self.join(table_with_joins, join, &[], &mut Vec::new())?;
                }
                return Ok(false);
            }
            _ => Relation {
                name: None,
                columns: None,
                elements: false,
            },
        };
        if let Some(scope) = self.scopes.last_mut() {
            scope.relations.push(relation);
        }
        Ok(correlated)
    }

    /// Whether expressions name something of the tables before them.
    fn concerns(&self, expressions: &[Expr]) -> bool {
        let Some(scope) = self.scopes.last() else {
            return false;
        };
        expressions.iter().any(|expr| {
            lateral::first_names(expr).iter().any(|name| {
                let named = |r: &Relation| r.name.as_ref().is_some_and(|n| same(n, name));
                scope.relations.iter().any(named)
                    || !matches!(self.find_in(scope, name), Ok(Found::Nothing))
            })
        })
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

    fn is_column(&self, path: &[Ident]) -> bool {
        let [table, _] = path else { return false };
        let mut relations = self.scopes.iter().flat_map(|s| &s.relations);
        relations.any(|r| !r.elements && r.name.as_ref().is_some_and(|n| same(n, &table.value)))
    }

    fn find_in(&self, scope: &Scope, name: &str) -> Result<Found, QueryError> {
        let mut found: Vec<&String> = Vec::new();
        let mut unknown = false;
        for relation in &scope.relations {
            match &relation.columns {
                Some(columns) => found.extend(columns.iter().find(|c| same(c, name))),
                None => unknown = true,
            }
        }
        let merged = scope.merged.iter().rev().find(|(m, _)| same(m, name));
        if let Some((_, Some(expr))) = merged {
            return Ok(Found::Merged(expr.clone()));
        }
        match found.as_slice() {
            [first, rest @ ..] if rest.is_empty() || merged.is_some() => {
                Ok(Found::Name((*first).clone()))
            }
            [] => {
                let mut elements = scope.relations.iter().filter(|r| r.elements);
                match (unknown, elements.next(), elements.next()) {
                    (true, _, _) => Ok(Found::Unknown),
                    (
                        false,
                        Some(Relation {
                            name: Some(name), ..
                        }),
                        None,
                    ) => Ok(Found::Field(name.clone())),
                    _ => Ok(Found::Nothing),
                }
            }
            _ => Err(QueryError::Invalid {
                message: format!("Column name {name} is ambiguous"),
            }),
        }
    }

    /// What a name that stands alone means.
    fn find(&self, ident: &Ident, first: First) -> Result<Found, QueryError> {
        let name = &ident.value;
        let mut field = None;
        for scope in self.scopes.iter().rev() {
            let result = scope.results.iter().find(|r| same(r, name));
            if let (Some(result), First::Results) = (result, first) {
                return Ok(Found::Name(result.clone()));
            }
            match self.find_in(scope, name).map_err(|e| match e {
                QueryError::Invalid { message } => QueryError::Invalid {
                    message: message + &at(ident),
                },
                other => other,
            })? {
                Found::Nothing => {}
                Found::Field(of) => {
                    field.get_or_insert(of);
                }
                other => return Ok(other),
            }
            if let Some(result) = result {
                return Ok(Found::Name(result.clone()));
            }
            let named = scope.relations.iter().filter_map(|r| r.name.as_ref());
            if let Some(relation) = named.into_iter().find(|n| same(n, name)) {
                return Ok(Found::Name(relation.clone()));
            }
        }
        if variables::find(self.variables, name).is_some() {
            return Ok(Found::Nothing);
        }
        Ok(field.map_or(Found::Nothing, Found::Field))
    }

    fn spell_expr(&self, expr: &mut Expr, first: First) -> Result<(), QueryError> {
        match expr {
            Expr::Identifier(ident) => match self.find(ident, first)? {
                Found::Name(name) => ident.value = name,
                Found::Merged(other) => *expr = other,
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
                    return Ok(());
                }
                match self.find(head, first)? {
                    Found::Name(name) => head.value = name,
                    Found::Merged(other) => {
                        *expr = rest.iter().fold(other, |value, name| {
                            build::call("millpond_field", vec![value, build::text(&name.value)])
                        });
                    }
                    Found::Field(of) => path.insert(0, Ident::with_quote('`', of)),
                    Found::Unknown => {}
                    Found::Nothing => match variables::find(self.variables, &head.value) {
                        Some(call) => {
                            *expr = rest.iter().fold(call, |value, name| {
                                build::call("millpond_field", vec![value, build::text(&name.value)])
                            });
                        }
                        None => return Err(unrecognized(head)),
                    },
                }
            }
            _ => {}
        }
        Ok(())
    }
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

fn constraint_of(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)
        | JoinOperator::CrossJoin(constraint)
        | JoinOperator::Semi(constraint)
        | JoinOperator::LeftSemi(constraint)
        | JoinOperator::RightSemi(constraint)
        | JoinOperator::Anti(constraint)
        | JoinOperator::LeftAnti(constraint)
        | JoinOperator::RightAnti(constraint) => Some(constraint),
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
