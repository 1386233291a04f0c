//! Routines that statements make: whether one is there already, and what the job says of it.
//!
//! Must not know what is in a routine.

use serde_json::{Map, Value, json};

use super::Effect;
use crate::catalog::{CatalogError, Existing};
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::name::TableName;

/// How a statement makes a routine.
pub(super) struct Made {
    pub statement: &'static str,
    pub or_replace: bool,
    pub if_not_exists: bool,
}

impl Made {
    /// Keeps the routine, unless it is only tried whether it could be.
    ///
    /// # Errors
    /// When there is one of this name that may not be replaced, and what the catalog says.
    pub fn keep(
        &self,
        running: &Running<'_, '_>,
        name: &TableName,
        resource: Map<String, Value>,
    ) -> Result<Effect, JobError> {
        let catalog = running.work.catalog;
        let exists = match catalog.routine(name) {
            Ok(_) => true,
            Err(CatalogError::RoutineNotFound { .. }) => false,
            Err(e) => return Err(e.into()),
        };
        if exists && self.if_not_exists {
            return Ok(of_routine(self.statement, "SKIP", name));
        }
        let operation = if exists { "REPLACE" } else { "CREATE" };
        if running.is_dry_run() {
            if exists && !self.or_replace {
                let routine = name.clone();
                return Err(CatalogError::RoutineExists { routine }.into());
            }
            return Ok(of_routine(self.statement, operation, name));
        }
        let existing = if self.or_replace {
            Existing::Replace
        } else {
            Existing::Keep
        };
        catalog.put_routine(name, resource, existing)?;
        Ok(of_routine(self.statement, operation, name))
    }
}

/// What a statement did to a routine.
pub(super) fn of_routine(statement: &'static str, operation: &str, name: &TableName) -> Effect {
    let target = json!({
        "projectId": name.project(),
        "datasetId": name.dataset(),
        "routineId": name.table(),
    });
    Effect {
        statement,
        members: Map::from_iter([
            ("ddlOperationPerformed".to_owned(), json!(operation)),
            ("ddlTargetRoutine".to_owned(), target),
        ]),
    }
}
