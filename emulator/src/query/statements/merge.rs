//! MERGE, and UPDATE with FROM, turned into queries: for the rows that change, for the rows that come, and for those that are there.
//!
//! Rows of the target go by their number in storage order, so that a row that two rows of the source want to change is seen. Must not
//! know how rows are written.

use datafusion::sql::sqlparser::ast::{
    Expr, Merge, MergeAction, MergeClause, MergeClauseKind, MergeInsertExpr, MergeInsertKind,
    MergeUpdateExpr, Query, TableFactor, Update, UpdateTableFromKind,
};

use crate::query::statements::change::{self, PARTITION, Target, assigned};
use crate::query::{Defaults, QueryError, select, statements::column_defaults, unsupported};
use crate::schema::FieldSchema;

/// The column that numbers the target's rows, from one.
pub(crate) const ROW: &str = "millpond_row";

/// The column that says whether a row goes.
pub(crate) const GONE: &str = "millpond_gone";

/// What a statement does with the source.
#[derive(Debug)]
pub(crate) struct Merging<'a> {
    target: Target,
    /// The source as FROM writes it.
    source: String,
    on: String,
    columns: &'a [FieldSchema],
    /// Whether the target is partitioned by arrival.
    arrival: bool,
}

/// Rows that come.
#[derive(Debug)]
pub(crate) struct Inserting {
    /// The columns they have.
    pub columns: Vec<String>,
    pub query: Query,
}

/// A clause that changes rows of the target.
struct Changing<'a> {
    condition: String,
    /// None deletes.
    update: Option<&'a [datafusion::sql::sqlparser::ast::Assignment]>,
}

/// The table a MERGE changes.
///
/// # Errors
/// [`QueryError::Unsupported`] for anything but a table.
pub(crate) fn target(merge: &Merge, defaults: &Defaults) -> Result<Target, QueryError> {
    change::target_of(&merge.table, defaults)
}

/// The query that the source of a MERGE is, unless it is a table by its name.
///
/// # Errors
/// [`QueryError`] for what cannot be read from.
pub(crate) fn source(merge: &Merge) -> Result<(Option<Query>, Option<String>), QueryError> {
    let alias = |alias: &Option<datafusion::sql::sqlparser::ast::TableAlias>| {
        alias.as_ref().map(|a| a.name.value.clone())
    };
    match &merge.source {
        TableFactor::Table {
            args: None,
            sample: None,
            version: None,
            alias: name,
            ..
        } => Ok((None, alias(name))),
        TableFactor::Derived {
            subquery,
            alias: name,
            ..
        } => Ok((Some(*subquery.clone()), alias(name))),
        other => {
            let name = match other {
                TableFactor::UNNEST { alias: name, .. } => alias(name),
                _ => return Err(unsupported(format!("the source {other} of MERGE"))),
            };
            Ok((Some(select(&format!("SELECT * FROM {other}"))?), name))
        }
    }
}

impl<'a> Merging<'a> {
    /// A MERGE whose source is `source`, as FROM writes it.
    pub fn new(
        merge: &Merge,
        target: Target,
        source: String,
        columns: &'a [FieldSchema],
        arrival: bool,
    ) -> Self {
        Self {
            target,
            source,
            on: merge.on.to_string(),
            columns,
            arrival,
        }
    }

    /// An UPDATE with FROM, and the query for the rows it changes.
    ///
    /// # Errors
    /// [`QueryError`] for a column the table does not have, and for what is not supported.
    pub fn of_update(
        update: &Update,
        target: Target,
        columns: &'a [FieldSchema],
        arrival: bool,
    ) -> Result<(Self, Query), QueryError> {
        if update.returning.is_some() || update.limit.is_some() {
            return Err(unsupported(format!("{update}")));
        }
        let from = match &update.from {
            Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => {
                from
            }
            None => return Err(unsupported("UPDATE without FROM")),
        };
        let Some(condition) = &update.selection else {
            return Err(QueryError::Invalid {
                message: "UPDATE must have a WHERE clause".to_owned(),
            });
        };
        let from: Vec<String> = from.iter().map(ToString::to_string).collect();
        let merging = Self {
            target,
            source: from.join(", "),
            on: condition.to_string(),
            columns,
            arrival,
        };
        let clause = Changing {
            condition: "TRUE".to_owned(),
            update: Some(&update.assignments),
        };
        let join = format!(
            "{}, {} WHERE COALESCE({}, FALSE)",
            merging.numbered(),
            merging.source,
            merging.on
        );
        let query = merging.changed(&[clause], &join)?;
        Ok((merging, query))
    }

    /// The target with its rows numbered.
    fn numbered(&self) -> String {
        let partition = if self.arrival {
            format!("_PARTITIONTIME AS `{PARTITION}`, ")
        } else {
            String::new()
        };
        format!(
            "(SELECT *, {partition}ROW_NUMBER() OVER () AS `{ROW}` FROM {}) AS `{}`",
            self.target.name, self.target.alias
        )
    }

    /// Rows that meet, as far as a clause is about them.
    ///
    /// # Errors
    /// [`QueryError::Syntax`] for conditions that cannot be written.
    pub fn meeting(&self, clause: Option<&MergeClause>) -> Result<Query, QueryError> {
        let matched = clause.filter(|c| matches!(c.clause_kind, MergeClauseKind::Matched));
        let condition = matched.and_then(|clause| clause.predicate.as_ref());
        let condition = condition.map_or("TRUE".to_owned(), ToString::to_string);
        select(&format!(
            "SELECT 1 FROM {} AS `{}`, {} WHERE ({}) AND ({condition})",
            self.target.name, self.target.alias, self.source, self.on
        ))
    }

    /// Rows of the target that a clause about those without a source is about, as far as it says so itself.
    ///
    /// # Errors
    /// [`QueryError::Syntax`] for a condition that cannot be written.
    pub fn alone(&self, clause: &MergeClause) -> Result<Option<Query>, QueryError> {
        let alone = matches!(clause.clause_kind, MergeClauseKind::NotMatchedBySource);
        let condition = clause.predicate.as_ref().filter(|_| alone);
        let query = condition.map(|condition| {
            select(&format!(
                "SELECT 1 FROM {} AS `{}` WHERE {condition}",
                self.target.name, self.target.alias
            ))
        });
        query.transpose()
    }

    /// Rows of the target that meet a row of the source and are changed by that.
    ///
    /// # Errors
    /// [`QueryError`] for a column the table does not have, and for what is not supported.
    pub fn matched(&self, clauses: &[MergeClause]) -> Result<Option<Query>, QueryError> {
        let clauses = changing(clauses, |kind| matches!(kind, MergeClauseKind::Matched))?;
        if clauses.is_empty() {
            return Ok(None);
        }
        let join = format!(
            "{}, {} WHERE COALESCE({}, FALSE)",
            self.numbered(),
            self.source,
            self.on
        );
        self.changed(&clauses, &join).map(Some)
    }

    /// Rows of the target that meet none of the source and are changed by that.
    ///
    /// # Errors
    /// As [`Merging::matched`].
    pub fn not_by_source(&self, clauses: &[MergeClause]) -> Result<Option<Query>, QueryError> {
        let by_source = |kind| matches!(kind, MergeClauseKind::NotMatchedBySource);
        let clauses = changing(clauses, by_source)?;
        if clauses.is_empty() {
            return Ok(None);
        }
        let join = format!(
            "{} LEFT ANTI JOIN {} ON {} WHERE TRUE",
            self.numbered(),
            self.source,
            self.on
        );
        self.changed(&clauses, &join).map(Some)
    }

    /// Rows as the first clause that holds leaves them, each with its number and whether it goes.
    fn changed(&self, clauses: &[Changing<'_>], from: &str) -> Result<Query, QueryError> {
        let alias = &self.target.alias;
        let mut sets = Vec::new();
        for clause in clauses {
            let mut set: Vec<(&str, String)> = Vec::new();
            for assignment in clause.update.into_iter().flatten() {
                let column = assigned(assignment, self.columns)?;
                if set.iter().any(|(name, _)| *name == column.name) {
                    let message = format!("Update item {} assigned more than once", column.name);
                    return Err(QueryError::Invalid { message });
                }
                let value = change::value(&assignment.value, column)?;
                set.push((column.name.as_str(), value));
            }
            sets.push((clause.condition.as_str(), set));
        }
        let mut items: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let name = &column.name;
                let own = format!("`{alias}`.`{name}`");
                if !sets
                    .iter()
                    .any(|(_, set)| set.iter().any(|(n, _)| n == name))
                {
                    return format!("{own} AS `{name}`");
                }
                let cases: Vec<String> = sets
                    .iter()
                    .map(|(condition, set)| {
                        let value = set.iter().find(|(n, _)| n == name);
                        let value = value.map_or(own.as_str(), |(_, value)| value.as_str());
                        format!("WHEN {condition} THEN {value}")
                    })
                    .collect();
                format!("CASE {} ELSE {own} END AS `{name}`", cases.join(" "))
            })
            .collect();
        if self.arrival {
            items.push(format!("`{alias}`.`{PARTITION}` AS `{PARTITION}`"));
        }
        items.push(format!("`{alias}`.`{ROW}` AS `{ROW}`"));
        let gone: Vec<String> = clauses
            .iter()
            .map(|c| format!("WHEN {} THEN {}", c.condition, c.update.is_none()))
            .collect();
        items.push(format!(
            "CASE {} ELSE FALSE END AS `{GONE}`",
            gone.join(" ")
        ));
        let any: Vec<&str> = clauses.iter().map(|c| c.condition.as_str()).collect();
        select(&format!(
            "SELECT {} FROM {from} AND ({})",
            items.join(", "),
            any.join(" OR ")
        ))
    }

    /// Rows of the source that meet none of the target, as each clause inserts them; the first that holds does.
    ///
    /// # Errors
    /// [`QueryError`] for values that do not fit their columns in number, and for what is not supported.
    pub fn inserted(&self, clauses: &[MergeClause]) -> Result<Vec<Inserting>, QueryError> {
        let mut before: Vec<String> = Vec::new();
        let mut all = Vec::new();
        for clause in clauses {
            let MergeAction::Insert(insert) = &clause.action else {
                continue;
            };
            let condition = condition(clause);
            let (columns, items) = self.insert_items(insert)?;
            let others: String = before.iter().map(|c| format!(" AND NOT {c}")).collect();
            let query = select(&format!(
                "SELECT {items} FROM {} LEFT ANTI JOIN {} AS `{}` ON {} WHERE {condition}{others}",
                self.source, self.target.name, self.target.alias, self.on
            ))?;
            before.push(condition);
            all.push(Inserting { columns, query });
        }
        Ok(all)
    }

    fn insert_items(&self, insert: &MergeInsertExpr) -> Result<(Vec<String>, String), QueryError> {
        if insert.insert_predicate.is_some() {
            return Err(unsupported("WHERE behind INSERT in MERGE"));
        }
        let mut columns = Vec::new();
        for name in &insert.columns {
            columns.extend(crate::query::name_parts(name)?.pop());
        }
        if columns.is_empty() {
            columns = self.columns.iter().map(|c| c.name.clone()).collect();
        }
        let values = match &insert.kind {
            MergeInsertKind::Row => return Ok((columns, "*".to_owned())),
            MergeInsertKind::Values(values) => values,
        };
        let [row] = values.rows.as_slice() else {
            return Err(unsupported("several rows of VALUES in MERGE"));
        };
        if row.len() != columns.len() {
            return Err(QueryError::Invalid {
                message: format!(
                    "Inserted row has wrong column count; Has {}, expected {}",
                    row.len(),
                    columns.len()
                ),
            });
        }
        let items: Vec<String> = row
            .iter()
            .zip(&columns)
            .enumerate()
            .map(|(index, (value, name))| {
                let own = self.columns.iter();
                let column = own.clone().find(|c| c.name.eq_ignore_ascii_case(name));
                let default = column.and_then(column_defaults::of).unwrap_or("NULL");
                let value = if change::is_default(value) {
                    default.to_owned()
                } else {
                    value.to_string()
                };
                format!("{value} AS `f{index}_`")
            })
            .collect();
        Ok((columns, items.join(", ")))
    }

    /// All rows of the target, with their numbers.
    ///
    /// # Errors
    /// [`QueryError::Syntax`] for names that cannot be written.
    pub fn all(&self) -> Result<Query, QueryError> {
        select(&format!("SELECT * FROM {}", self.numbered()))
    }
}

/// The clauses of a kind, each with the condition under which it holds.
fn changing(
    clauses: &[MergeClause],
    kind: impl Fn(MergeClauseKind) -> bool,
) -> Result<Vec<Changing<'_>>, QueryError> {
    let chosen = clauses.iter().filter(|c| kind(c.clause_kind));
    chosen
        .map(|clause| {
            let update = match &clause.action {
                MergeAction::Delete { .. } => None,
                MergeAction::Update(MergeUpdateExpr {
                    assignments,
                    update_predicate: None,
                    delete_predicate: None,
                    ..
                }) => Some(assignments.as_slice()),
                other => return Err(unsupported(format!("{other} in MERGE"))),
            };
            Ok(Changing {
                condition: condition(clause),
                update,
            })
        })
        .collect()
}

fn condition(clause: &MergeClause) -> String {
    let holds = |predicate: &Expr| format!("COALESCE({predicate}, FALSE)");
    clause.predicate.as_ref().map_or("TRUE".to_owned(), holds)
}
