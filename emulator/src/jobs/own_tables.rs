//! Tables that a query brings with it: `tableDefinitions`, external data under names that only this query knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::query::anonymous_with;
use super::{JobError, Work};
use crate::catalog::{Catalog, CatalogError};
use crate::external::{self, External};
use crate::name::TableName;
use crate::query::Defaults;

/// Tables without a name in any dataset.
#[derive(Debug, Default)]
pub(super) struct OwnTables {
    tables: BTreeMap<String, TableName>,
}

impl OwnTables {
    /// Makes the tables that are described.
    ///
    /// # Errors
    /// [`JobError`] when the data of one of them cannot be had.
    pub fn make(work: &Work<'_>, definitions: &Value) -> Result<Self, JobError> {
        let mut made = Self::default();
        for (name, definition) in definitions.as_object().into_iter().flatten() {
            match made_of(work, definition) {
                Ok(table) => made.tables.insert(name.clone(), table),
                Err(e) => {
                    made.remove(work.catalog, &mut Defaults::default())?;
                    return Err(e);
                }
            };
        }
        Ok(made)
    }

    /// Makes their names known to a query.
    pub fn show(&self, defaults: &mut Defaults) {
        defaults.temporary.extend(self.tables.clone());
    }

    /// Removes them, and their names.
    pub fn remove(
        &self,
        catalog: &Arc<Catalog>,
        defaults: &mut Defaults,
    ) -> Result<(), CatalogError> {
        for (name, table) in &self.tables {
            defaults.temporary.remove(name);
            catalog.delete_table(table)?;
        }
        Ok(())
    }
}

fn made_of(work: &Work<'_>, definition: &Value) -> Result<TableName, JobError> {
    let mut resource = Map::new();
    resource.insert(external::CONFIGURATION.to_owned(), definition.clone());
    let external = External::of(&resource, work.catalog.places())
        .ok_or_else(|| JobError::invalid("a table definition is not external data"))?;
    // Nobody asks for these columns without asking for rows.
    external.files()?;
    let columns = external.columns_of_table()?;
    anonymous_with(work, columns, resource)
}
