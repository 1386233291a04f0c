//! Several statements in one job: each a job of its own below it, and transactions over some of them.
//!
//! A transaction that fails or is rolled back leaves its tables as they were when it began. Others can see its changes before it
//! ends. Must not know what a statement does.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::query::Running;
use super::statements::{self, Effect};
use super::{Done, JobError};
use crate::name::TableName;
use crate::query::ast::Statement as Parsed;
use crate::query::{self, QueryError, Statement};

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Transaction {
    id: String,
    /// In microseconds since 1970; later changes are undone when it fails.
    since_us: i64,
    tables: BTreeSet<TableName>,
}

/// One statement of a script, as a job.
#[derive(Debug)]
pub(super) struct Child {
    pub sql: String,
    pub done: Done,
}

fn invalid(message: &str) -> JobError {
    JobError::new("invalidQuery", message).at("query")
}

impl Running<'_, '_> {
    /// Runs statement after statement; what the last SELECT gives is the job's result.
    pub fn all(&mut self, statements: Vec<Statement>) -> Result<Done, JobError> {
        let count = statements.len();
        if count > 1 && self.is_dry_run() {
            return Err(QueryError::Unsupported {
                construct: "a dry run of a script".to_owned(),
            }
            .into());
        }
        let outcome = self.each(statements);
        // A script that ends before its transaction does undoes it.
        let undone = self.roll_back();
        let (mut last, result, children) = outcome?;
        undone?;
        if count > 1 {
            last.result = result;
            last.children = children;
            last.statistics
                .insert("numChildJobs".to_owned(), json!(count.to_string()));
            last.statistics.remove("transactionInfo");
            if let Some(Value::Object(query)) = last.statistics.get_mut("query") {
                query.insert("statementType".to_owned(), json!("SCRIPT"));
            }
        }
        Ok(last)
    }

    #[allow(clippy::type_complexity)]
    fn each(
        &mut self,
        statements: Vec<Statement>,
    ) -> Result<(Done, Option<super::QueryResult>, Vec<Child>), JobError> {
        let mut result = None;
        let mut last = Done::default();
        let mut children = Vec::new();
        for statement in statements {
            let sql = statement.to_string();
            let before = self.transaction.as_ref().map(|t| t.id.clone());
            let mut done = self.one(statement)?;
            let id = self.transaction.as_ref().map(|t| t.id.clone()).or(before);
            if let Some(id) = id {
                let info = json!({"transactionId": id});
                done.statistics.insert("transactionInfo".to_owned(), info);
            }
            result = done.result.clone().or(result);
            children.push(Child {
                sql,
                done: Done {
                    statistics: done.statistics.clone(),
                    result: done.result.clone(),
                    ..Done::default()
                },
            });
            last = done;
        }
        Ok((last, result, children))
    }

    fn one(&mut self, statement: Statement) -> Result<Done, JobError> {
        let statement = match statement {
            Statement::Plain(statement) => *statement,
            Statement::Alter(alter) => {
                let effect = statements::alter(self, &alter)?;
                return Ok(effect.done());
            }
            undrop @ Statement::Undrop { .. } => {
                let effect = statements::undrop(self, &undrop)?;
                return Ok(effect.done());
            }
        };
        let effect = match statement {
            Parsed::Query(query) => return self.select(*query),
            Parsed::StartTransaction {
                statements,
                has_end_keyword: false,
                ..
            } if statements.is_empty() => self.begin()?,
            Parsed::Commit { end: false, .. } => {
                if self.transaction.take().is_none() {
                    return Err(invalid("There is no active transaction to commit"));
                }
                Effect::named("COMMIT_TRANSACTION")
            }
            Parsed::Rollback {
                savepoint: None, ..
            } => {
                if self.transaction.is_none() {
                    return Err(invalid("There is no active transaction to roll back"));
                }
                self.roll_back()?;
                Effect::named("ROLLBACK_TRANSACTION")
            }
            mut other => {
                query::bind(&mut other, &self.parameters)?;
                statements::run(self, other)?
            }
        };
        Ok(effect.done())
    }

    fn begin(&mut self) -> Result<Effect, JobError> {
        if self.transaction.is_some() {
            return Err(invalid("Transaction is already in progress"));
        }
        if self.is_dry_run() {
            return Err(QueryError::Unsupported {
                construct: "a dry run of a transaction".to_owned(),
            }
            .into());
        }
        let since_us = self.work.catalog.tick();
        self.transaction = Some(Transaction {
            id: format!("{:016x}", crate::faults::mix(since_us.unsigned_abs())),
            since_us,
            tables: BTreeSet::new(),
        });
        Ok(Effect::named("BEGIN_TRANSACTION"))
    }

    /// Says that a table is about to be changed.
    pub fn touch(&mut self, table: &TableName) {
        if let Some(transaction) = &mut self.transaction {
            transaction.tables.insert(table.clone());
        }
    }

    /// Undoes the transaction, if there is one.
    fn roll_back(&mut self) -> Result<(), JobError> {
        let Some(transaction) = self.transaction.take() else {
            return Ok(());
        };
        for table in &transaction.tables {
            self.work.catalog.restore(table, transaction.since_us)?;
        }
        Ok(())
    }
}
