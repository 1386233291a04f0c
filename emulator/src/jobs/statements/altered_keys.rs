//! The keys of a table while an ALTER changes them. They are kept and enforced by nobody.

use serde_json::{Map, Value, json};

use super::invalid;
use crate::catalog::Table;
use crate::jobs::JobError;
use crate::jobs::query::{Running, reference};
use crate::query;
use crate::query::statements::alter::ForeignKey;

/// Where tables have their keys.
const KEYS: &str = "tableConstraints";

/// What the keys are, and will be.
pub(super) struct Keys {
    all: Map<String, Value>,
    changed: bool,
}

impl Keys {
    pub fn of(table: &Table) -> Self {
        let settings = table.metadata.as_ref().map(|m| &m.resource);
        let all = settings.and_then(|settings| settings.get(KEYS)?.as_object().cloned());
        Self {
            all: all.unwrap_or_default(),
            changed: false,
        }
    }

    pub fn set_primary(&mut self, columns: &[String]) {
        self.changed = true;
        let key = json!({"columns": columns});
        self.all.insert("primaryKey".to_owned(), key);
    }

    /// # Errors
    /// [`JobError`] when there is none, and it may not be missing.
    pub fn drop_primary(&mut self, table: &Table, if_exists: bool) -> Result<(), JobError> {
        self.changed = true;
        if self.all.remove("primaryKey").is_none() && !if_exists {
            return Err(invalid(format!("Table {} has no primary key", table.name)));
        }
        Ok(())
    }

    fn foreign(&self) -> Vec<Value> {
        let keys = self.all.get("foreignKeys").and_then(Value::as_array);
        keys.cloned().unwrap_or_default()
    }

    fn set_foreign(&mut self, keys: Vec<Value>) {
        self.changed = true;
        if keys.is_empty() {
            self.all.remove("foreignKeys");
        } else {
            self.all.insert("foreignKeys".to_owned(), json!(keys));
        }
    }

    /// # Errors
    /// [`JobError`] for a name that another key has, and for columns of another number.
    pub fn add_foreign(
        &mut self,
        running: &Running<'_, '_>,
        table: &Table,
        key: &ForeignKey,
    ) -> Result<(), JobError> {
        let mut keys = self.foreign();
        let name = key.name.as_ref().map(|name| name.value.as_str());
        if let Some(name) = name
            && named(&keys, name).is_some()
        {
            if key.if_not_exists {
                return Ok(());
            }
            return Err(invalid(format!(
                "Constraint {name} already exists on table {}",
                table.name
            )));
        }
        if key.columns.len() != key.referenced.len() {
            return Err(invalid(format!(
                "A foreign key of {} columns cannot refer to {}",
                key.columns.len(),
                key.referenced.len()
            )));
        }
        let to = query::table_of(&key.table, &running.defaults)?;
        let pairs = key.columns.iter().zip(&key.referenced);
        let pairs: Vec<Value> = pairs
            .map(|(own, other)| {
                json!({"referencingColumn": own.value, "referencedColumn": other.value})
            })
            .collect();
        let mut one = json!({"referencedTable": reference(&to), "columnReferences": pairs});
        if let Some(name) = name {
            one["name"] = json!(name);
        }
        keys.push(one);
        self.set_foreign(keys);
        Ok(())
    }

    /// # Errors
    /// [`JobError`] when there is none of the name, and it may not be missing.
    pub fn drop_foreign(
        &mut self,
        table: &Table,
        name: &str,
        if_exists: bool,
    ) -> Result<(), JobError> {
        let mut keys = self.foreign();
        match named(&keys, name) {
            Some(at) => {
                keys.remove(at);
                self.set_foreign(keys);
                Ok(())
            }
            None if if_exists => Ok(()),
            None => Err(invalid(format!(
                "Constraint {name} not found on table {}",
                table.name
            ))),
        }
    }

    /// Makes the changes, if there were any.
    pub fn apply(self, resource: &mut Map<String, Value>) {
        if !self.changed {
            return;
        }
        if self.all.is_empty() {
            resource.remove(KEYS);
        } else {
            resource.insert(KEYS.to_owned(), Value::Object(self.all));
        }
    }
}

/// Where the foreign key of a name is; those without one go by their number.
fn named(keys: &[Value], name: &str) -> Option<usize> {
    keys.iter().enumerate().position(|(at, key)| {
        let own = key["name"].as_str().map(str::to_owned);
        let own = own.unwrap_or_else(|| format!("fk${}", at + 1));
        own.eq_ignore_ascii_case(name)
    })
}
