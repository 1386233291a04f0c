//! Row access policies in the metadata of their table.

use super::{Catalog, CatalogError, TableMetadata};
use crate::name::TableName;
use crate::row_access::{RowAccessError, RowAccessPolicy};

/// What becomes of a policy that there is, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It must not be there.
    New,
    /// It may be there.
    Any,
    /// It must be there.
    Changed,
}

/// Whether the last policy of a table may be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastOne {
    Kept,
    Dropped,
}

fn not_found(table: &TableName, policy: &str) -> CatalogError {
    RowAccessError::NotFound {
        policy: policy.to_owned(),
        table: table.clone(),
    }
    .into()
}

impl Catalog {
    /// The policies of a table, in the order of their making.
    ///
    /// # Errors
    /// [`CatalogError`] when there is no such table.
    pub fn row_access(&self, table: &TableName) -> Result<Vec<RowAccessPolicy>, CatalogError> {
        let table = self.table(table)?;
        let metadata = table.metadata.as_ref();
        Ok(metadata.map(|m| m.row_access.clone()).unwrap_or_default())
    }

    /// One policy of a table.
    ///
    /// # Errors
    /// [`CatalogError`] when there is no such table, and [`RowAccessError::NotFound`].
    pub fn row_access_policy(
        &self,
        table: &TableName,
        policy: &str,
    ) -> Result<RowAccessPolicy, CatalogError> {
        let mut all = self.row_access(table)?.into_iter();
        all.find(|p| p.name == policy)
            .ok_or_else(|| not_found(table, policy))
    }

    /// Makes a policy, or changes it; without grantees it keeps those it has.
    ///
    /// # Errors
    /// [`CatalogError`] when there is no such table, and what [`Put`] says.
    pub fn put_row_access(
        &self,
        table: &TableName,
        policy: &str,
        filter: String,
        grantees: Option<Vec<String>>,
        put: Put,
    ) -> Result<RowAccessPolicy, CatalogError> {
        let kind = self.table(table)?.kind();
        if !matches!(kind, "TABLE" | "SNAPSHOT") {
            let table = table.clone();
            return Err(RowAccessError::NotATable { table, kind }.into());
        }
        let now = self.tick();
        self.change_row_access(table, |policies| {
            let known = policies.iter_mut().find(|p| p.name == policy);
            match (known, put) {
                (Some(_), Put::New) => Err(RowAccessError::Exists {
                    policy: policy.to_owned(),
                    table: table.clone(),
                }
                .into()),
                (None, Put::Changed) => Err(not_found(table, policy)),
                (Some(known), _) => {
                    known.filter = filter;
                    known.modified_us = now;
                    if let Some(grantees) = grantees {
                        known.grantees = grantees;
                    }
                    Ok(known.clone())
                }
                (None, _) => {
                    let made = RowAccessPolicy {
                        name: policy.to_owned(),
                        filter,
                        grantees: grantees.unwrap_or_default(),
                        created_us: now,
                        modified_us: now,
                    };
                    policies.push(made.clone());
                    Ok(made)
                }
            }
        })
    }

    /// Drops policies, all of them or none.
    ///
    /// # Errors
    /// [`RowAccessError::NotFound`] for one that is not there, [`RowAccessError::Last`] when none would be left.
    pub fn drop_row_access(
        &self,
        table: &TableName,
        names: &[String],
        last: LastOne,
    ) -> Result<(), CatalogError> {
        self.change_row_access(table, |policies| {
            for name in names {
                let known = policies.len();
                policies.retain(|p| p.name != *name);
                if policies.len() == known {
                    return Err(not_found(table, name));
                }
                if policies.is_empty() && last == LastOne::Kept {
                    return Err(RowAccessError::Last {
                        policy: name.clone(),
                        table: table.clone(),
                    }
                    .into());
                }
            }
            Ok(())
        })
    }

    /// Drops all policies of a table; returns how many there were.
    ///
    /// # Errors
    /// [`CatalogError`] when there is no such table.
    pub fn drop_all_row_access(&self, table: &TableName) -> Result<usize, CatalogError> {
        self.change_row_access(table, |policies| Ok(std::mem::take(policies).len()))
    }

    fn change_row_access<T>(
        &self,
        table: &TableName,
        change: impl FnOnce(&mut Vec<RowAccessPolicy>) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        let mut answer = None;
        self.update_table(table, |metadata: &mut TableMetadata| {
            answer = Some(change(&mut metadata.row_access)?);
            Ok(())
        })?;
        answer.ok_or_else(|| CatalogError::TableNotFound {
            table: table.clone(),
        })
    }
}
