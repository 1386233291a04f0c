//! Statements that make, change or drop something instead of giving rows.

use std::fmt::Display;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::datasets;
use super::destination::{self, Destination};
use super::query::{Running, reference};
use super::{JobError, Work};
use crate::catalog::{CatalogError, Table};
use crate::name::TableName;
use crate::query::ast::{ObjectType, Statement};
use crate::query::statements::alter::Alter;
use crate::query::{self, Planned, QueryError, statements::change};
use crate::row_access::Visible;
use crate::schema::FieldSchema;

mod alterations;
mod altered_columns;
mod altered_keys;
mod arriving_rows;
mod changed_rows;
mod definitions;
mod files;
mod function_bodies;
mod functions;
mod grants;
mod kept_routines;
mod merged_rows;
pub(super) mod options;
mod procedures;
mod row_access;
mod table_functions;
mod views;

pub(super) use alterations::check_collation;
pub(super) use procedures::{create_procedure, drop_procedure};

use changed_rows::{Keep, insert_rows, rewrite};
use definitions::{create_table, drop_object};
use functions::{create_function, drop_function};
use views::create_view;

/// What a statement has done.
pub(super) struct Effect {
    /// The service's word for the kind of statement.
    pub statement: &'static str,
    /// What the statistics of the query say beside that.
    pub members: Map<String, Value>,
}

impl Effect {
    /// Of a statement that changes nothing by itself.
    pub fn named(statement: &'static str) -> Self {
        let members = Map::new();
        Self { statement, members }
    }

    fn ddl(statement: &'static str, operation: &str, table: &TableName) -> Self {
        let mut members = Map::new();
        members.insert("ddlOperationPerformed".to_owned(), json!(operation));
        members.insert("ddlTargetTable".to_owned(), reference(table));
        Self { statement, members }
    }

    /// Of a statement that was only tried, and reads what these queries do.
    fn tried(statement: &'static str, planned: &[&Planned], target: Option<&Table>) -> Self {
        let mut tables: Vec<&TableName> = Vec::new();
        for table in planned.iter().flat_map(|p| &p.read.tables) {
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        if let Some(target) = target
            && !tables.contains(&&target.name)
        {
            tables.push(&target.name);
        }
        let bytes: u64 = planned.iter().map(|p| p.read.bytes).sum();
        let mut members = Map::new();
        let tables: Vec<Value> = tables.into_iter().map(reference).collect();
        members.insert("referencedTables".to_owned(), json!(tables));
        members.insert("totalBytesProcessed".to_owned(), json!(bytes.to_string()));
        members.insert("totalBytesProcessedAccuracy".to_owned(), json!("PRECISE"));
        Self { statement, members }
    }

    /// The columns that a table made by the statement has.
    fn with_schema(mut self, columns: &[FieldSchema]) -> Self {
        let schema = json!({"fields": columns});
        self.members.insert("schema".to_owned(), schema);
        self
    }

    /// Of a statement that inserts, updates and deletes so many rows of a table, which is told as where its job has written.
    fn rows(
        running: &mut Running<'_, '_>,
        statement: &'static str,
        table: &TableName,
        (inserted, updated, deleted): (u64, u64, u64),
    ) -> Self {
        running.work.configuration["query"]["destinationTable"] = reference(table);
        let counts = json!({
            "insertedRowCount": inserted.to_string(),
            "updatedRowCount": updated.to_string(),
            "deletedRowCount": deleted.to_string(),
        });
        let all = inserted + updated + deleted;
        let mut members = Map::new();
        members.insert("numDmlAffectedRows".to_owned(), json!(all.to_string()));
        members.insert("dmlStats".to_owned(), counts);
        Self { statement, members }
    }
}

pub(super) fn unsupported(construct: impl Into<String>) -> JobError {
    QueryError::Unsupported {
        construct: construct.into(),
    }
    .into()
}

fn invalid(message: String) -> JobError {
    JobError::new("invalidQuery", message).at("query")
}

/// Runs an ALTER.
pub(super) fn alter(running: &mut Running<'_, '_>, alter: &Alter) -> Result<Effect, JobError> {
    refuse_half(running, alter)?;
    alterations::alter(running, alter)
}

/// Gives or takes roles.
pub(super) fn grant(
    running: &Running<'_, '_>,
    grant: &query::statements::grants::Grant,
) -> Result<Effect, JobError> {
    refuse_in_transaction(running, grant)?;
    grants::run(running, grant)
}

/// Makes or drops row access policies.
pub(super) fn row_access(
    running: &Running<'_, '_>,
    statement: &query::statements::row_access::RowAccess,
) -> Result<Effect, JobError> {
    refuse_in_transaction(running, statement)?;
    row_access::run(running, statement)
}

/// Makes or drops table functions.
pub(super) fn table_function(
    running: &mut Running<'_, '_>,
    statement: &query::statements::table_functions::TableFunction,
) -> Result<Effect, JobError> {
    refuse_in_transaction(running, statement)?;
    table_functions::run(running, statement)
}

/// Runs a statement about files or copies.
pub(super) fn files(
    running: &mut Running<'_, '_>,
    statement: &query::statements::files::FileStatement,
) -> Result<Effect, JobError> {
    files::run(running, statement)
}

/// Brings a dataset back.
pub(super) fn undrop(
    running: &mut Running<'_, '_>,
    undrop: &query::Statement,
) -> Result<Effect, JobError> {
    refuse_half(running, undrop)?;
    datasets::undrop(running, undrop)
}

/// Refuses what cannot be undone.
fn refuse_in_transaction(
    running: &Running<'_, '_>,
    statement: &impl Display,
) -> Result<(), JobError> {
    if running.transaction.is_some() {
        let kind = query::kind(statement);
        return Err(unsupported(format!(
            "the statement {kind} in a transaction"
        )));
    }
    Ok(())
}

/// Refuses what can neither be undone nor be tried.
fn refuse_half(running: &Running<'_, '_>, statement: &impl Display) -> Result<(), JobError> {
    refuse_in_transaction(running, statement)?;
    if running.is_dry_run() {
        let kind = query::kind(statement);
        return Err(unsupported(format!("a dry run of the statement {kind}")));
    }
    Ok(())
}

/// Runs a statement whose parameters have been put in.
pub(super) fn run(running: &mut Running<'_, '_>, statement: Statement) -> Result<Effect, JobError> {
    let known = matches!(
        statement,
        Statement::CreateTable(_)
            | Statement::CreateView(_)
            | Statement::CreateFunction(_)
            | Statement::DropFunction(_)
            | Statement::CreateSchema { .. }
            | Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Merge(_)
            | Statement::Delete(_)
            | Statement::Drop { .. }
            | Statement::Truncate(_)
    );
    if !known {
        return Err(query::unsupported_statement(&statement).into());
    }
    let changes_rows = matches!(
        statement,
        Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Merge(_)
            | Statement::Delete(_)
            | Statement::Truncate(_)
    );
    if !changes_rows {
        refuse_in_transaction(running, &statement)?;
    }
    let mut statement = statement;
    // All of these is written and read again.
    if matches!(
        statement,
        Statement::Update(_) | Statement::Delete(_) | Statement::CreateView(_)
    ) {
        query::text::literals::escape(&mut statement);
    }
    match statement {
        Statement::CreateTable(create) => create_table(running, create),
        Statement::CreateView(create) => create_view(running, &create),
        Statement::CreateFunction(create) => create_function(running, &create),
        Statement::DropFunction(drop) => drop_function(running, &drop),
        create @ Statement::CreateSchema { .. } => datasets::create(running, create),
        Statement::Insert(insert) => insert_rows(running, insert),
        Statement::Merge(merge) => merged_rows::merge(running, &merge),
        Statement::Update(update) if update.from.is_some() => merged_rows::update(running, &update),
        Statement::Update(update) => {
            let target = change::target(std::slice::from_ref(&update.table), &running.defaults)?;
            let (table, columns) = changeable(running.work, &target.table)?;
            check_filter(running, &target, &table, update.selection.as_ref())?;
            let arrival = table.has_partition_time();
            let query = change::after_update(&update, &target, &columns, arrival)?;
            let planned = running.plan(query)?;
            if running.is_dry_run() {
                return Ok(Effect::tried("UPDATE", &[&planned], None));
            }
            let changed = rewrite(running, planned, (&table, &columns), Keep::All)?;
            Ok(Effect::rows(
                running,
                "UPDATE",
                &table.name,
                (0, changed, 0),
            ))
        }
        Statement::Delete(delete) => {
            let target = change::target(change::deleted_from(&delete), &running.defaults)?;
            let (table, columns) = changeable(running.work, &target.table)?;
            check_filter(running, &target, &table, delete.selection.as_ref())?;
            let query = change::after_delete(&delete, &target, table.has_partition_time())?;
            let planned = running.plan(query)?;
            if running.is_dry_run() {
                return Ok(Effect::tried("DELETE", &[&planned], None));
            }
            let gone = rewrite(running, planned, (&table, &columns), Keep::Unchanged)?;
            Ok(Effect::rows(running, "DELETE", &table.name, (0, 0, gone)))
        }
        Statement::Truncate(truncate) => {
            let [name] = truncate.table_names.as_slice() else {
                return Err(unsupported("TRUNCATE of several tables"));
            };
            let name = query::table_of(&name.name, &running.defaults)?;
            let (table, _) = changeable(running.work, &name)?;
            if running.is_dry_run() {
                return Ok(Effect::tried("TRUNCATE_TABLE", &[], Some(&table)));
            }
            running.touch(&name);
            running.work.catalog.truncate(&name)?;
            Ok(Effect::rows(
                running,
                "TRUNCATE_TABLE",
                &name,
                (0, 0, table.rows),
            ))
        }
        Statement::Drop {
            object_type,
            if_exists,
            names,
            cascade,
            ..
        } => match (object_type, names.as_slice()) {
            (ObjectType::Schema, [name]) => {
                datasets::drop(running, name, if_exists, datasets::contents(cascade))
            }
            _ => drop_object(running, object_type, if_exists, &names),
        },
        other => Err(query::unsupported_statement(&other).into()),
    }
}

/// Refuses to change rows of a table that requires a condition, where there is none.
fn check_filter(
    running: &Running<'_, '_>,
    target: &change::Target,
    table: &Table,
    condition: Option<&query::ast::Expr>,
) -> Result<(), JobError> {
    let (Some(condition), false) = (condition, table.required_filter().is_empty()) else {
        return Ok(());
    };
    reads_filtered(running, change::chosen(target, condition)?)
}

/// Refuses a query that reads a table without the condition that it requires. The query is not run, nor counted.
fn reads_filtered(running: &Running<'_, '_>, query: query::ast::Query) -> Result<(), JobError> {
    let planned = query::plan(
        running.work.catalog,
        query,
        &running.defaults,
        &running.parameters,
    );
    Ok(running.handle.block_on(planned)?.check_filters()?)
}

/// A table that statements can change, for which all rows of it have to be seen, and its columns.
fn changeable(
    work: &Work<'_>,
    table: &TableName,
) -> Result<(Arc<Table>, Vec<FieldSchema>), JobError> {
    let destination = Destination {
        table: table.clone(),
        partition: None,
    };
    let columns = destination::existing(work, &destination)?;
    let columns = columns.ok_or_else(|| CatalogError::TableNotFound {
        table: table.clone(),
    })?;
    let table = work.catalog.table(table)?;
    Visible::check_all(&table).map_err(CatalogError::from)?;
    Ok((table, columns))
}
