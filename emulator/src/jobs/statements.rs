//! Statements that make, change or drop something instead of giving rows.

use serde_json::{Map, Value, json};

use super::datasets;
use super::destination::{self, Destination};
use super::query::{Running, reference};
use super::{JobError, Work};
use crate::catalog::CatalogError;
use crate::name::TableName;
use crate::query::ast::{ObjectType, Statement};
use crate::query::{self, QueryError, change};
use crate::schema::FieldSchema;

mod changed_rows;
mod definitions;

use changed_rows::{Keep, insert_rows, rewrite};
use definitions::{create_function, create_table, create_view, drop_function, drop_object};

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

    fn dml(statement: &'static str, counted: &str, rows: u64) -> Self {
        let mut counts = Map::new();
        for key in ["insertedRowCount", "deletedRowCount", "updatedRowCount"] {
            let count = if key == counted { rows } else { 0 };
            counts.insert(key.to_owned(), json!(count.to_string()));
        }
        let mut members = Map::new();
        members.insert("numDmlAffectedRows".to_owned(), json!(rows.to_string()));
        members.insert("dmlStats".to_owned(), Value::Object(counts));
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
            | Statement::Delete(_)
            | Statement::Drop { .. }
            | Statement::Truncate(_)
    );
    if !known {
        return Err(query::unsupported_statement(&statement).into());
    }
    let changes_rows = matches!(
        statement,
        Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) | Statement::Truncate(_)
    );
    if running.transaction.is_some() && !changes_rows {
        return Err(unsupported(format!(
            "the statement {} in a transaction",
            query::kind(&statement)
        )));
    }
    if running.is_dry_run() {
        return Err(unsupported(format!(
            "a dry run of the statement {}",
            query::kind(&statement)
        )));
    }
    match statement {
        Statement::CreateTable(create) => create_table(running, create),
        Statement::CreateView(create) => create_view(running, &create),
        Statement::CreateFunction(create) => create_function(running, &create),
        Statement::DropFunction(drop) => drop_function(running, &drop),
        create @ Statement::CreateSchema { .. } => datasets::create(running, create),
        Statement::Insert(insert) => insert_rows(running, insert),
        Statement::Update(update) => {
            let target = change::target(std::slice::from_ref(&update.table), &running.defaults)?;
            let columns = columns_of(running.work, &target.table)?;
            let query = change::after_update(&update, &target, &columns)?;
            let planned = running.plan(query)?;
            let changed = rewrite(running, planned, &target.table, Keep::All)?;
            Ok(Effect::dml("UPDATE", "updatedRowCount", changed))
        }
        Statement::Delete(delete) => {
            let target = change::target(change::deleted_from(&delete), &running.defaults)?;
            columns_of(running.work, &target.table)?;
            let query = change::after_delete(&delete, &target)?;
            let planned = running.plan(query)?;
            let gone = rewrite(running, planned, &target.table, Keep::Unchanged)?;
            Ok(Effect::dml("DELETE", "deletedRowCount", gone))
        }
        Statement::Truncate(truncate) => {
            let [name] = truncate.table_names.as_slice() else {
                return Err(unsupported("TRUNCATE of several tables"));
            };
            let table = query::table_of(&name.name, &running.defaults)?;
            let rows = running.work.catalog.table(&table)?.rows;
            columns_of(running.work, &table)?;
            running.touch(&table);
            running.work.catalog.truncate(&table)?;
            Ok(Effect::dml("TRUNCATE_TABLE", "deletedRowCount", rows))
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

/// The columns of a table that rows can be written to.
fn columns_of(work: &Work<'_>, table: &TableName) -> Result<Vec<FieldSchema>, JobError> {
    let destination = Destination {
        table: table.clone(),
        partition: None,
    };
    destination::existing(work, &destination)?.ok_or_else(|| {
        CatalogError::TableNotFound {
            table: table.clone(),
        }
        .into()
    })
}
