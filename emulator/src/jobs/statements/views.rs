//! CREATE VIEW and CREATE MATERIALIZED VIEW. A materialized view is computed when it is read, so it is never stale.

use serde_json::{Map, json};

use super::definitions::{refuse_duplicates, table_settings};
use super::options::{self, Of, Setting};
use super::{Effect, invalid, unsupported};
use crate::catalog::CatalogError;
use crate::jobs::JobError;
use crate::jobs::query::{Running, columns};
use crate::name::TableName;
use crate::query;
use crate::query::ast::{ColumnOption, CreateView, ViewColumnDef};
use crate::schema::FieldSchema;

pub(super) fn create_view(
    running: &mut Running<'_, '_>,
    create: &CreateView,
) -> Result<Effect, JobError> {
    if create.temporary {
        return Err(unsupported("a temporary view"));
    }
    let (statement, of, key) = if create.materialized {
        let of = Of::MaterializedView;
        ("CREATE_MATERIALIZED_VIEW", of, "materializedView")
    } else {
        ("CREATE_VIEW", Of::View, "view")
    };
    let table = query::table_of(&create.name, &running.defaults)?;
    let catalog = running.work.catalog;
    let existing = match catalog.table(&table) {
        Ok(existing) => Some(existing.kind()),
        Err(CatalogError::TableNotFound { .. }) => None,
        Err(e) => return Err(e.into()),
    };
    if existing.is_some() && create.if_not_exists {
        return Ok(Effect::ddl(statement, "SKIP", &table));
    }
    if existing.is_some() && !create.or_replace {
        return Err(CatalogError::TableExists { table }.into());
    }
    if let Some(kind) = existing
        && !replaces(of, kind)
    {
        return Err(wrong_kind(&table, kind, of));
    }
    let planned = running.plan(*create.query.clone())?;
    refuse_duplicates(&planned, "CREATE VIEW")?;
    let own = columns(&planned)?;
    let mut columns = own.clone();
    let mut text = create.query.to_string();
    if !create.columns.is_empty() {
        name_columns(running, &mut columns, &create.columns)?;
        text = under_names(&text, &own, &columns);
    }
    let mut resource = Map::new();
    let definition = if create.materialized {
        json!({"query": text})
    } else {
        json!({"query": text, "useLegacySql": false})
    };
    resource.insert(key.to_owned(), definition);
    if !create.cluster_by.is_empty() {
        let names: Vec<&String> = create.cluster_by.iter().map(|name| &name.value).collect();
        resource.insert("clustering".to_owned(), json!({"fields": names}));
    }
    let settings = table_settings(running, of, &create.options)?;
    if settings.iter().any(Setting::needs_partitions) {
        return Err(unsupported("partitions of a materialized view"));
    }
    settings.iter().for_each(|s| s.apply(&mut resource));
    let operation = if existing.is_some() {
        "REPLACE"
    } else {
        "CREATE"
    };
    if running.is_dry_run() {
        let mut effect = Effect::ddl(statement, operation, &table);
        let read = Effect::tried(statement, &[&planned], None);
        effect.members.extend(read.members);
        return Ok(effect.with_schema(&columns));
    }
    let catalog = running.work.catalog;
    if existing.is_some() {
        catalog.delete_table(&table)?;
    }
    catalog.create_table(&table, columns, resource)?;
    Ok(Effect::ddl(statement, operation, &table))
}

/// Whether CREATE OR REPLACE puts the new thing in the place of one of this kind.
fn replaces(of: Of, kind: &str) -> bool {
    match of {
        Of::MaterializedView => kind == "MATERIALIZED_VIEW",
        _ => kind == "VIEW",
    }
}

fn wrong_kind(table: &TableName, kind: &str, of: Of) -> JobError {
    let wanted = match of {
        Of::MaterializedView => "MATERIALIZED VIEW",
        _ => "VIEW",
    };
    invalid(format!(
        "Cannot replace {table} which has type {kind} with a {wanted}; drop it first"
    ))
}

/// Gives the columns of a view the names and descriptions that it lists.
fn name_columns(
    running: &Running<'_, '_>,
    columns: &mut [FieldSchema],
    listed: &[ViewColumnDef],
) -> Result<(), JobError> {
    if listed.len() != columns.len() {
        return Err(invalid(format!(
            "The number of columns in the column definition list does not match the number of columns produced by the query: {} and {}",
            listed.len(),
            columns.len()
        )));
    }
    for (column, listed) in columns.iter_mut().zip(listed) {
        column.name.clone_from(&listed.name.value);
        for option in listed.options.iter().flat_map(|o| o.as_slice()) {
            let ColumnOption::Options(options) = option else {
                return Err(unsupported(format!("the column option {option}")));
            };
            for setting in options::settings(running, Of::Column, options)? {
                setting.apply(&mut column.other);
            }
        }
    }
    Ok(())
}

/// A query whose columns go by other names.
fn under_names(text: &str, own: &[FieldSchema], wanted: &[FieldSchema]) -> String {
    if own
        .iter()
        .zip(wanted)
        .all(|(own, wanted)| own.name == wanted.name)
    {
        return text.to_owned();
    }
    let items = own.iter().zip(wanted);
    let items: Vec<String> = items
        .map(|(own, wanted)| format!("`{}` AS `{}`", own.name, wanted.name))
        .collect();
    format!("SELECT {} FROM ({text})", items.join(", "))
}
