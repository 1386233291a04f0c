//! `CALL BQ.…`: the procedures that the service itself has.

use super::invalid;
use crate::catalog::CatalogError;
use crate::jobs::JobError;
use crate::jobs::query::{Running, unknown_session};
use crate::jobs::statements::Effect;
use crate::name::TableName;
use crate::query::QueryError;
use crate::query::ast::Expr;
use crate::query::script::Step;

/// A procedure of the service.
#[derive(Debug, Clone, Copy)]
pub(super) enum System {
    AbortSession,
    RefreshMaterializedView,
}

impl System {
    /// The procedure that a name is, if it is one of the service's.
    ///
    /// # Errors
    /// [`QueryError::Unsupported`] for the others.
    pub(super) fn of(parts: &[String]) -> Result<Option<Self>, QueryError> {
        let upper: Vec<String> = parts.iter().map(|p| p.to_ascii_uppercase()).collect();
        let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
        match upper.as_slice() {
            ["BQ", "ABORT_SESSION"] => Ok(Some(Self::AbortSession)),
            ["BQ", "REFRESH_MATERIALIZED_VIEW"] => Ok(Some(Self::RefreshMaterializedView)),
            ["BQ", "JOBS", "CANCEL"] | ["BQ", "REFRESH_EXTERNAL_METADATA_CACHE"] => {
                Err(QueryError::Unsupported {
                    construct: format!("the procedure {}", upper.join(".")),
                })
            }
            _ => Ok(None),
        }
    }
}

impl Running<'_, '_> {
    pub(super) fn system_call(
        &mut self,
        step: &Step,
        procedure: System,
        given: &[Expr],
    ) -> Result<(), JobError> {
        match (procedure, given) {
            (System::AbortSession, [] | [_]) => {
                let named = match given.first() {
                    Some(id) => self.text(step, id)?,
                    None => self.session.clone(),
                };
                let id = named.ok_or_else(|| invalid("There is no session to abort"))?;
                let tables = self.work.past.sessions.end(&id);
                let own = self.session.take_if(|own| *own == id).is_some();
                let tables = match (tables, own) {
                    // One that this very query has begun is not among the others yet.
                    (None, false) => return Err(unknown_session(&id)),
                    (_, true) => std::mem::take(&mut self.defaults.temporary),
                    (Some(tables), false) => tables,
                };
                for table in tables.into_values() {
                    match self.work.catalog.delete_table(&table) {
                        Ok(()) | Err(CatalogError::TableNotFound { .. }) => {}
                        Err(e) => return Err(e.into()),
                    }
                }
            }
            (System::RefreshMaterializedView, [name]) => {
                // Its rows are those of its query whenever it is read.
                let name = self.text(step, name)?.unwrap_or_default();
                let table = self.named_table(&name)?;
                let kind = self.work.catalog.table(&table)?;
                if kind.kind() != "MATERIALIZED_VIEW" {
                    return Err(invalid(format!("{table} is not a materialized view")));
                }
            }
            _ => {
                return Err(invalid(format!(
                    "{} arguments do not fit the procedure",
                    given.len()
                )));
            }
        }
        self.done(step, Effect::named("CALL").done());
        Ok(())
    }

    /// The table of a name in a text, `[project.]dataset.table`.
    fn named_table(&self, name: &str) -> Result<TableName, JobError> {
        let parts: Vec<&str> = name.split('.').collect();
        let (project, dataset, table) = match parts.as_slice() {
            [dataset, table] => (self.defaults.project.as_str(), *dataset, *table),
            [project, dataset, table] => (*project, *dataset, *table),
            _ => return Err(invalid(format!("{name} is not the name of a table"))),
        };
        TableName::try_new(project, dataset, table).map_err(|e| invalid(e.to_string()))
    }
}
