//! Routines of a dataset: functions that clients have written, in one file beside the tables.
//!
//! Must not know what a routine computes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::metadata;
use super::{Catalog, CatalogError};
use crate::name::TableName;

/// Who may use a routine, among its members; a change of the routine keeps it.
const POLICY: &str = "policy";

/// Name of the file in a dataset's directory.
const FILE: &str = "routines.json";

/// Routines by their id, in the REST form.
type Routines = BTreeMap<String, Map<String, Value>>;

/// What becomes of a routine that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Keep,
    Replace,
    /// There must be one.
    Update,
}

fn not_found(name: &TableName) -> CatalogError {
    CatalogError::RoutineNotFound {
        routine: name.clone(),
    }
}

impl Catalog {
    /// The routines of a dataset, by id.
    pub fn routines(&self, project: &str, dataset: &str) -> Result<Routines, CatalogError> {
        let mut routines = self.all_routines(project, dataset)?;
        for routine in routines.values_mut() {
            routine.remove(POLICY);
        }
        Ok(routines)
    }

    /// The same with who may use them.
    fn all_routines(&self, project: &str, dataset: &str) -> Result<Routines, CatalogError> {
        self.require_dataset(project, dataset)?;
        let file = self.routines_file(project, dataset);
        Ok(metadata::read(&file)?.unwrap_or_default())
    }

    /// One routine. Its name is made like a table's.
    pub fn routine(&self, name: &TableName) -> Result<Map<String, Value>, CatalogError> {
        let mut routine = self.routine_with_policy(name)?;
        routine.remove(POLICY);
        Ok(routine)
    }

    fn routine_with_policy(&self, name: &TableName) -> Result<Map<String, Value>, CatalogError> {
        let mut routines = self.all_routines(name.project(), name.dataset())?;
        let found = routines.remove(name.table());
        found.ok_or_else(|| not_found(name))
    }

    /// Makes or changes a routine; returns it with its times.
    pub fn put_routine(
        &self,
        name: &TableName,
        mut resource: Map<String, Value>,
        existing: Existing,
    ) -> Result<Map<String, Value>, CatalogError> {
        let _changing = self.changing();
        let mut routines = self.all_routines(name.project(), name.dataset())?;
        let now = json!((self.tick() / 1000).to_string());
        let known = routines.get(name.table());
        match (existing, known) {
            (Existing::Keep, Some(_)) => {
                return Err(CatalogError::RoutineExists {
                    routine: name.clone(),
                });
            }
            (Existing::Update, None) => {
                return Err(not_found(name));
            }
            _ => {}
        }
        let created = known.and_then(|k| k.get("creationTime")).cloned();
        if let Some(policy) = known.and_then(|k| k.get(POLICY)) {
            resource.insert(POLICY.to_owned(), policy.clone());
        }
        resource.insert("creationTime".to_owned(), created.unwrap_or(now.clone()));
        resource.insert("lastModifiedTime".to_owned(), now);
        routines.insert(name.table().to_owned(), resource.clone());
        let file = self.routines_file(name.project(), name.dataset());
        metadata::write(&file, &routines)?;
        resource.remove(POLICY);
        Ok(resource)
    }

    /// Who may use a routine, as REST says it.
    pub fn routine_policy(&self, name: &TableName) -> Result<Option<Value>, CatalogError> {
        let mut routine = self.routine_with_policy(name)?;
        Ok(routine.remove(POLICY))
    }

    /// Says who may use a routine, by what was said before.
    pub fn update_routine_policy(
        &self,
        name: &TableName,
        change: impl FnOnce(&mut Option<Value>),
    ) -> Result<(), CatalogError> {
        let _changing = self.changing();
        let mut routines = self.all_routines(name.project(), name.dataset())?;
        let routine = routines.get_mut(name.table());
        let routine = routine.ok_or_else(|| not_found(name))?;
        let mut policy = routine.remove(POLICY);
        change(&mut policy);
        if let Some(policy) = policy {
            routine.insert(POLICY.to_owned(), policy);
        }
        let file = self.routines_file(name.project(), name.dataset());
        metadata::write(&file, &routines)
    }

    /// Drops a routine.
    pub fn delete_routine(&self, name: &TableName) -> Result<(), CatalogError> {
        let _changing = self.changing();
        let mut routines = self.all_routines(name.project(), name.dataset())?;
        if routines.remove(name.table()).is_none() {
            return Err(not_found(name));
        }
        let file = self.routines_file(name.project(), name.dataset());
        metadata::write(&file, &routines)
    }

    fn routines_file(&self, project: &str, dataset: &str) -> PathBuf {
        self.root().join(project).join(dataset).join(FILE)
    }
}
