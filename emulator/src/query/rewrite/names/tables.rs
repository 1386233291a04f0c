//! Names of what stands behind FROM: tables, queries, arrays, and how they are joined.

use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Select,
    SelectItem, SetExpr, TableFactor, TableWithJoins,
};

use super::scope::{First, Found, Kept, Relation};
use super::{Names, build, lateral, renamed, same};
use crate::query::{self, QueryError, unsupported};

impl Names<'_> {
    pub(super) fn from(&mut self, select: &mut Select) -> Result<(), QueryError> {
        let mut done: Vec<TableWithJoins> = Vec::new();
        let mut conditions: Vec<Expr> = Vec::new();
        for mut table in std::mem::take(&mut select.from) {
            let joins = std::mem::take(&mut table.joins);
            let before = lateral::joined(&done);
            let correlated = self.factor(&mut table.relation)?;
            if let Some(unnest) = lateral::Unnest::of(&table.relation, &select.projection) {
                let input = before.filter(|_| correlated);
                self.take_elements(&unnest, &done)?;
                if correlated {
                    done.clear();
                }
                table.relation = unnest.over(input, lateral::Rows::Some, None)?;
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

    pub(super) fn join(
        &mut self,
        table: &mut TableWithJoins,
        mut join: Join,
        projection: &[SelectItem],
        conditions: &mut Vec<Expr>,
    ) -> Result<(), QueryError> {
        let left = self.scopes.last().map_or(0, |s| s.relations.len());
        let correlated = self.factor(&mut join.relation)?;
        let unnest = lateral::Unnest::of(&join.relation, projection);
        if let Some(unnest) = unnest {
            self.take_elements(&unnest, std::slice::from_ref(table))?;
            if !correlated {
                join.relation = unnest.over(None, lateral::Rows::Some, None)?;
            } else {
                let rows = lateral::Rows::of(&join.join_operator)?;
                let mut condition = lateral::condition(&join.join_operator)?;
                if rows == lateral::Rows::Some {
                    conditions.extend(condition.take());
                }
                if let Some(condition) = &mut condition {
                    self.expressions(condition, First::Columns)?;
                }
                let input = lateral::joined(std::slice::from_ref(table));
                table.joins.clear();
                table.relation = unnest.over(input, rows, condition)?;
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
    pub(super) fn leave_one_side(&mut self, operator: &JoinOperator, left: usize) {
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

    /// The columns of USING as both sides spell them; a side that spells one in another way is made to say it like the other.
    pub(super) fn using(
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
            let mut query = query::select(&text)?;
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
    pub(super) fn factor(&mut self, factor: &mut TableFactor) -> Result<bool, QueryError> {
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
                    array: None,
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
                    array: None,
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
                let elements = Relation {
                    columns: name.clone().map(|n| vec![n]),
                    name,
                    elements: true,
                    array: None,
                };
                if !*with_offset {
                    elements
                } else {
                    let offset = with_offset_alias.as_ref().map(|a| a.value.clone());
                    let offset = offset.unwrap_or_else(|| "offset".to_owned());
                    if let Some(scope) = self.scopes.last_mut() {
                        scope.relations.push(elements);
                    }
                    // Positions are beside the elements, and not of them.
                    Relation {
                        name: None,
                        columns: Some(vec![offset]),
                        elements: false,
                        array: None,
                    }
                }
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
                array: None,
            },
        };
        if let Some(scope) = self.scopes.last_mut() {
            scope.relations.push(relation);
        }
        Ok(correlated)
    }

    /// Whether expressions name something of the tables before them.
    pub(super) fn concerns(&self, expressions: &[Expr]) -> bool {
        let Some(scope) = self.scopes.last() else {
            return false;
        };
        let elements = scope.relations.iter().any(|relation| relation.elements);
        expressions.iter().any(|expr| {
            lateral::first_names(expr).iter().any(|name| {
                let named = |r: &Relation| r.name.as_ref().is_some_and(|n| same(n, name));
                elements
                    || scope.relations.iter().any(named)
                    || !matches!(self.find_in(scope, name), Ok(Found::Nothing))
            })
        })
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
