//! Transactions over some statements of a script or session.
//!
//! A transaction that fails or is rolled back leaves its tables as they were when it began. Others can see its changes before it
//! ends.

use serde_json::json;

use super::{Changed, invalid};
use crate::jobs::query::Running;
use crate::jobs::statements::Effect;
use crate::jobs::{Done, JobError};
use crate::name::TableName;
use crate::query::{QueryError, Statement};

/// A transaction under way.
#[derive(Debug)]
pub(in crate::jobs) struct Transaction {
    id: String,
    /// In microseconds since 1970; later changes are undone when it fails.
    since_us: i64,
    tables: Changed,
}

impl Running<'_, '_> {
    /// Runs a statement, and says which transaction it is part of.
    pub(super) fn in_transaction(&mut self, statement: Statement) -> Result<Done, JobError> {
        let before = self.transaction.as_ref().map(|t| t.id.clone());
        let mut done = self.one(statement)?;
        let id = self.transaction.as_ref().map(|t| t.id.clone()).or(before);
        if let Some(id) = id {
            let info = json!({"transactionId": id});
            done.statistics.insert("transactionInfo".to_owned(), info);
        }
        Ok(done)
    }

    pub(super) fn begin(&mut self) -> Result<Effect, JobError> {
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
            tables: Changed::new(),
        });
        Ok(Effect::named("BEGIN_TRANSACTION"))
    }

    pub(super) fn commit(&mut self) -> Result<Effect, JobError> {
        if self.transaction.take().is_none() {
            return Err(invalid("There is no active transaction to commit"));
        }
        Ok(Effect::named("COMMIT_TRANSACTION"))
    }

    pub(super) fn end_by_rolling_back(&mut self) -> Result<Effect, JobError> {
        if self.transaction.is_none() {
            return Err(invalid("There is no active transaction to roll back"));
        }
        self.roll_back()?;
        Ok(Effect::named("ROLLBACK_TRANSACTION"))
    }

    /// Says that a table is about to be changed.
    pub fn touch(&mut self, table: &TableName) {
        if let Some(transaction) = &mut self.transaction {
            transaction.tables.insert(table.clone());
        }
    }

    /// Undoes the transaction, if there is one.
    pub(super) fn roll_back(&mut self) -> Result<(), JobError> {
        let Some(transaction) = self.transaction.take() else {
            return Ok(());
        };
        for table in &transaction.tables {
            self.work.catalog.restore(table, transaction.since_us)?;
        }
        Ok(())
    }
}
