//! Routines of a dataset: functions that clients have written, in one file beside the tables.
//!
//! Must not know what a routine computes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::metadata;
use super::{Catalog, CatalogError};
use crate::name::TableName;

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

impl Catalog {
    /// The routines of a dataset, by id.
    pub fn routines(&self, project: &str, dataset: &str) -> Result<Routines, CatalogError> {
        self.require_dataset(project, dataset)?;
        let file = self.routines_file(project, dataset);
        Ok(metadata::read(&file)?.unwrap_or_default())
    }

    /// One routine. Its name is made like a table's.
    pub fn routine(&self, name: &TableName) -> Result<Map<String, Value>, CatalogError> {
        let mut routines = self.routines(name.project(), name.dataset())?;
        let found = routines.remove(name.table());
        found.ok_or_else(|| CatalogError::RoutineNotFound {
            routine: name.clone(),
        })
    }

    /// Makes or changes a routine; returns it with its times.
    pub fn put_routine(
        &self,
        name: &TableName,
        mut resource: Map<String, Value>,
        existing: Existing,
    ) -> Result<Map<String, Value>, CatalogError> {
        let _changing = self.changing();
        let mut routines = self.routines(name.project(), name.dataset())?;
        let now = json!((self.tick() / 1000).to_string());
        let known = routines.get(name.table());
        match (existing, known) {
            (Existing::Keep, Some(_)) => {
                return Err(CatalogError::RoutineExists {
                    routine: name.clone(),
                });
            }
            (Existing::Update, None) => {
                return Err(CatalogError::RoutineNotFound {
                    routine: name.clone(),
                });
            }
            _ => {}
        }
        let created = known.and_then(|k| k.get("creationTime")).cloned();
        resource.insert("creationTime".to_owned(), created.unwrap_or(now.clone()));
        resource.insert("lastModifiedTime".to_owned(), now);
        routines.insert(name.table().to_owned(), resource.clone());
        let file = self.routines_file(name.project(), name.dataset());
        metadata::write(&file, &routines)?;
        Ok(resource)
    }

    /// Drops a routine.
    pub fn delete_routine(&self, name: &TableName) -> Result<(), CatalogError> {
        let _changing = self.changing();
        let mut routines = self.routines(name.project(), name.dataset())?;
        if routines.remove(name.table()).is_none() {
            return Err(CatalogError::RoutineNotFound {
                routine: name.clone(),
            });
        }
        let file = self.routines_file(name.project(), name.dataset());
        metadata::write(&file, &routines)
    }

    fn routines_file(&self, project: &str, dataset: &str) -> PathBuf {
        self.root().join(project).join(dataset).join(FILE)
    }
}
