//! Sessions that have not ended, and the temporary tables of each.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::name::TableName;

/// The open sessions of a server; clones are of the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<HashMap<String, BTreeMap<String, TableName>>>>);

impl Sessions {
    fn all(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<String, TableName>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The temporary tables of a session, if there is such a session.
    pub fn get(&self, id: &str) -> Option<BTreeMap<String, TableName>> {
        self.all().get(id).cloned()
    }

    pub fn keep(&self, id: &str, temporary: BTreeMap<String, TableName>) {
        self.all().insert(id.to_owned(), temporary);
    }

    /// Ends a session; its temporary tables, if there was such a session.
    pub fn end(&self, id: &str) -> Option<BTreeMap<String, TableName>> {
        self.all().remove(id)
    }

    /// Their names, in no particular order.
    pub fn names(&self) -> Vec<String> {
        self.all().keys().cloned().collect()
    }
}
