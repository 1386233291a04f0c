//! ALTER: what a table, view or dataset is, changed by a statement. All actions of a statement happen, or none.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use serde_json::{Map, Value};

use super::altered_columns::{AlteredColumn, Columns};
use super::altered_keys::Keys;
use super::options::{self, Of, Setting};
use super::{Effect, invalid, unsupported};
use crate::catalog::{Catalog, CatalogError, Table};
use crate::jobs::query::Running;
use crate::jobs::{JobError, datasets};
use crate::name::TableName;
use crate::query;
use crate::query::statements::alter::{Action, Alter, Altered};
use crate::schema;
use crate::table_rows::TableRows;
use crate::wire;

/// Changes a table, a view or a dataset.
pub(super) fn alter(running: &mut Running<'_, '_>, alter: &Alter) -> Result<Effect, JobError> {
    let other = alter.actions.iter().find_map(|action| match action {
        Action::Other(what) => Some(what),
        _ => None,
    });
    if let Some(what) = other {
        return Err(unsupported(format!("{what} in {}", words(alter.altered))));
    }
    match alter.altered {
        Altered::Schema => datasets::alter(running, alter),
        Altered::Table => of_table(running, alter, Of::Table, "ALTER_TABLE"),
        Altered::View => of_table(running, alter, Of::View, "ALTER_VIEW"),
        Altered::MaterializedView => of_table(
            running,
            alter,
            Of::MaterializedView,
            "ALTER_MATERIALIZED_VIEW",
        ),
    }
}

fn words(altered: Altered) -> &'static str {
    match altered {
        Altered::Table => "ALTER TABLE",
        Altered::View => "ALTER VIEW",
        Altered::MaterializedView => "ALTER MATERIALIZED VIEW",
        Altered::Schema => "ALTER SCHEMA",
    }
}

fn of_table(
    running: &mut Running<'_, '_>,
    alter: &Alter,
    of: Of,
    statement: &'static str,
) -> Result<Effect, JobError> {
    let name = query::table_of(&alter.name, &running.defaults)?;
    let catalog = Arc::clone(running.work.catalog);
    let table = match catalog.table(&name) {
        Ok(table) => table,
        Err(CatalogError::TableNotFound { .. }) if alter.if_exists => {
            return Ok(Effect::ddl(statement, "SKIP", &name));
        }
        Err(e) => return Err(e.into()),
    };
    let (fits, expected) = match of {
        Of::View => (table.kind() == "VIEW", "VIEW"),
        Of::MaterializedView => (table.kind() == "MATERIALIZED_VIEW", "MATERIALIZED_VIEW"),
        _ => (matches!(table.kind(), "TABLE" | "EXTERNAL"), "TABLE"),
    };
    if !fits {
        let kind = table.kind();
        return Err(invalid(format!(
            "Cannot alter {name} which has type {kind}. {expected} is expected."
        )));
    }
    if let [Action::RenameTo(to)] = alter.actions.as_slice() {
        rename(running, &table, to)?;
        return Ok(Effect::ddl(statement, "ALTER", &name));
    }
    let mut columns = Columns::of(&table);
    let mut settings: Vec<Setting> = Vec::new();
    let mut keys = Keys::of(&table);
    for action in &alter.actions {
        if table.kind() != "TABLE"
            && !matches!(action, Action::SetOptions(_) | Action::Column { .. })
        {
            return Err(unsupported(format!("{alter} of a {}", table.kind())));
        }
        match action {
            Action::SetOptions(options) => {
                settings.extend(options::settings(running, of, options)?);
            }
            Action::AddPrimaryKey(names) => {
                let names: Vec<String> = names.iter().map(|n| n.value.clone()).collect();
                for name in &names {
                    columns.require(name)?;
                }
                keys.set_primary(&names);
            }
            Action::DropPrimaryKey { if_exists } => keys.drop_primary(&table, *if_exists)?,
            Action::AddForeignKey(key) => {
                for column in &key.columns {
                    columns.require(&column.value)?;
                }
                keys.add_foreign(running, &table, key)?;
            }
            Action::DropConstraint { if_exists, name } => {
                keys.drop_foreign(&table, &name.value, *if_exists)?;
            }
            Action::SetDefaultCollate(collation) => {
                check_collation(collation)?;
                settings.push(Setting::collation(collation));
            }
            Action::RenameTo(_) => {
                return Err(unsupported("RENAME TO beside other actions of ALTER TABLE"));
            }
            other => columns.apply(running, other)?,
        }
    }
    if settings.iter().any(Setting::needs_partitions) && !is_partitioned(&table) {
        return Err(invalid(format!(
            "Options of partitions cannot be set on table {name}, which is not partitioned"
        )));
    }
    running.touch(&name);
    let change = |resource: &mut Map<String, Value>| {
        settings.iter().for_each(|s| s.apply(resource));
        keys.apply(resource);
    };
    write_back(&catalog, &table, columns, change)?;
    Ok(Effect::ddl(statement, "ALTER", &name))
}

/// The collations there are.
pub(in crate::jobs) fn check_collation(collation: &str) -> Result<(), JobError> {
    match collation {
        "" => Ok(()),
        other => Err(unsupported(format!("the collation {other}"))),
    }
}

fn is_partitioned(table: &Table) -> bool {
    let settings = table.metadata.as_ref().map(|m| &m.resource);
    settings.is_some_and(|s| {
        ["timePartitioning", "rangePartitioning"]
            .iter()
            .any(|key| s.contains_key(*key))
    })
}

/// The new name is one of the same dataset.
fn rename(
    running: &mut Running<'_, '_>,
    table: &Table,
    to: &query::ast::ObjectName,
) -> Result<(), JobError> {
    if table.kind() != "TABLE" {
        return Err(unsupported(format!("RENAME TO of a {}", table.kind())));
    }
    let from = &table.name;
    let parts = query::name_parts(to)?;
    let [name] = parts.as_slice() else {
        return Err(invalid(format!(
            "The new name of a table is its name alone, without a dataset: {to}"
        )));
    };
    let to = TableName::try_new(from.project(), from.dataset(), name)
        .map_err(|e| invalid(e.to_string()))?;
    running.work.catalog.rename_table(from, &to)?;
    for known in running.defaults.temporary.values_mut() {
        if known == from {
            known.clone_from(&to);
        }
    }
    Ok(())
}

/// Makes the changes last. Rows are written again only where a column's files can no longer be read by its name or type.
fn write_back(
    catalog: &Arc<Catalog>,
    table: &Arc<Table>,
    columns: Columns,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Result<(), JobError> {
    let rewritten = columns.rewrites_rows() && table.rows > 0;
    let columns = columns.into_columns();
    let fields = columns.iter().map(|c| c.field.clone()).collect::<Vec<_>>();
    if !rewritten {
        catalog.update_table(&table.name, |metadata| {
            metadata.schema = fields;
            change(&mut metadata.resource);
            Ok(())
        })?;
        return Ok(());
    }
    let schema = Arc::new(schema::to_arrow(&fields));
    let mut replacement = catalog.replace_all(table, Arc::clone(&schema))?;
    for file in &table.files {
        let partition = file.partition();
        let count = file.end_row() - file.first_row;
        let rows = TableRows::try_new(Arc::clone(table), &[], file.first_row, count)
            .map_err(|e| JobError::new("internalError", e.to_string()))?;
        for batch in rows {
            let batch = batch.map_err(|e| JobError::new("internalError", e.to_string()))?;
            let batch = converted(&batch, &columns, &schema)?;
            replacement.write(partition.as_deref(), &batch)?;
        }
    }
    replacement.commit_with(|metadata| {
        metadata.schema = fields;
        change(&mut metadata.resource);
    })?;
    Ok(())
}

/// Rows as they are under the new columns.
fn converted(
    batch: &RecordBatch,
    columns: &[AlteredColumn],
    schema: &Arc<Schema>,
) -> Result<RecordBatch, JobError> {
    let own = batch.schema();
    let arrays = columns
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            let from = column.from.as_ref().and_then(|from| {
                let (index, _) = crate::projection::find(own.fields(), from)?;
                batch.columns().get(index)
            });
            match from {
                None => wire::absent(field, batch.num_rows()),
                // Only wider types are let through, so that nothing is lost.
                Some(array) => wire::to_wire(array, field),
            }
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| invalid(e.to_string()))?;
    RecordBatch::try_new(Arc::clone(schema), arrays).map_err(|e| invalid(e.to_string()))
}
