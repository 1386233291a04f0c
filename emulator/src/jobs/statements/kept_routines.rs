//! Routines that statements make and drop: whether one is there already, what all kinds say alike, and what the job says of it.
//!
//! Must not know what a routine does.

use serde_json::{Map, Value, json};

use super::Effect;
use super::functions::SCALAR;
use crate::catalog::{CatalogError, Existing};
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::name::TableName;
use crate::query::ast::{DataType, Expr, ObjectName, SqlOption};
use crate::query::{self, rewrite::routines, sql_types};

/// An argument of a routine; without a type it takes any.
pub(super) fn argument(name: &str, data_type: Option<&DataType>) -> Result<Value, JobError> {
    Ok(match data_type {
        None => json!({"name": name, "argumentKind": "ANY_TYPE"}),
        Some(data_type) => json!({"name": name, "dataType": described(data_type)?}),
    })
}

/// A type as routines tell it.
pub(super) fn described(data_type: &DataType) -> Result<Value, JobError> {
    let field = sql_types::column("value", data_type)?;
    Ok(routines::described(&field))
}

/// The text of a literal; `None` for anything else.
pub(super) fn text(value: &Expr) -> Option<String> {
    match value {
        Expr::Value(value) => value.value.clone().into_string(),
        _ => None,
    }
}

/// What the option `description` says; `None` for other options.
pub(super) fn description(option: &SqlOption) -> Option<String> {
    match option {
        SqlOption::KeyValue { key, value } if key.value.eq_ignore_ascii_case("description") => {
            text(value)
        }
        _ => None,
    }
}

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

/// How a statement drops a routine.
pub(super) struct Dropped {
    pub statement: &'static str,
    /// The `routineType`: routines of other kinds are not there for the statement.
    pub kind: &'static str,
    pub if_exists: bool,
}

impl Dropped {
    /// Drops the routine, unless it is only tried whether it could be.
    ///
    /// # Errors
    /// When there is none of this name and kind that has to be there, and what the catalog says.
    pub fn drop(&self, running: &Running<'_, '_>, name: &ObjectName) -> Result<Effect, JobError> {
        let parts = query::name_parts(name)?;
        let name = routines::routine_name(&parts, &running.defaults)?;
        let catalog = running.work.catalog;
        let gone = catalog.routine(&name).and_then(|resource| {
            let kind = resource.get("routineType").and_then(Value::as_str);
            if kind.unwrap_or(SCALAR) != self.kind {
                let routine = name.clone();
                return Err(CatalogError::RoutineNotFound { routine });
            }
            if running.is_dry_run() {
                return Ok(());
            }
            catalog.delete_routine(&name)
        });
        match gone {
            Ok(()) => Ok(of_routine(self.statement, "DROP", &name)),
            Err(CatalogError::RoutineNotFound { .. }) if self.if_exists => {
                Ok(of_routine(self.statement, "SKIP", &name))
            }
            Err(e) => Err(e.into()),
        }
    }
}

/// What a statement did to a routine.
fn of_routine(statement: &'static str, operation: &str, name: &TableName) -> Effect {
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
