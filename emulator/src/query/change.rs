//! Statements that change rows, turned into queries for the rows a table will have.
//!
//! Must not know how rows are written.

use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, FromTable, ObjectNamePart, Query, TableFactor,
    TableWithJoins, Update,
};

use super::{Defaults, QueryError, select, table_of, unsupported};
use crate::name::TableName;
use crate::schema::FieldSchema;

/// The column of a rewritten table that says which rows were meant.
pub(crate) const CHANGED: &str = "millpond_changed";

/// A table and what a statement calls it.
pub(crate) struct Target {
    pub table: TableName,
    /// As in FROM, alias included.
    from: String,
}

/// The table a statement changes.
///
/// # Errors
/// [`QueryError::Unsupported`] for anything but one table.
pub(crate) fn target(tables: &[TableWithJoins], defaults: &Defaults) -> Result<Target, QueryError> {
    let [table] = tables else {
        return Err(unsupported("a change of several tables"));
    };
    let TableFactor::Table { name, alias, .. } = &table.relation else {
        return Err(unsupported(format!("a change of {}", table.relation)));
    };
    if !table.joins.is_empty() {
        return Err(unsupported("a change with a join"));
    }
    let alias = alias.as_ref().map(|a| format!(" AS {}", a.name));
    Ok(Target {
        table: table_of(name, defaults)?,
        from: format!("{name}{}", alias.unwrap_or_default()),
    })
}

/// What `delete` takes rows from.
pub(crate) fn deleted_from(delete: &Delete) -> &[TableWithJoins] {
    match &delete.from {
        FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables) => tables,
    }
}

/// All rows, each with a word on whether it is to go.
///
/// # Errors
/// [`QueryError::Unsupported`] for clauses that BigQuery does not have.
pub(crate) fn after_delete(delete: &Delete, target: &Target) -> Result<Query, QueryError> {
    let odd = delete.using.is_some()
        || delete.returning.is_some()
        || !delete.order_by.is_empty()
        || delete.limit.is_some()
        || !delete.tables.is_empty();
    if odd {
        return Err(unsupported(format!("{delete}")));
    }
    let Some(condition) = &delete.selection else {
        return Err(QueryError::Invalid {
            message: "DELETE must have a WHERE clause".to_owned(),
        });
    };
    select(&format!(
        "SELECT *, COALESCE({condition}, FALSE) AS `{CHANGED}` FROM {}",
        target.from
    ))
}

/// All rows as they will be, each with a word on whether it was changed.
///
/// # Errors
/// [`QueryError`] for a column the table does not have, and for what is not supported.
pub(crate) fn after_update(
    update: &Update,
    target: &Target,
    columns: &[FieldSchema],
) -> Result<Query, QueryError> {
    if update.from.is_some() || update.returning.is_some() || update.limit.is_some() {
        return Err(unsupported("UPDATE with FROM"));
    }
    let Some(condition) = &update.selection else {
        return Err(QueryError::Invalid {
            message: "UPDATE must have a WHERE clause".to_owned(),
        });
    };
    let mut set: Vec<(&str, String)> = Vec::new();
    for assignment in &update.assignments {
        let column = assigned(assignment, columns)?;
        if set.iter().any(|(name, _)| *name == column.name) {
            let message = format!("Update item {} assigned more than once", column.name);
            return Err(QueryError::Invalid { message });
        }
        let value = super::build::cast(assignment.value.clone(), column);
        set.push((column.name.as_str(), value.to_string()));
    }
    let items: Vec<String> = columns
        .iter()
        .map(|column| {
            let name = &column.name;
            match set.iter().find(|(set, _)| set == name) {
                Some((_, value)) => format!(
                    "CASE WHEN COALESCE({condition}, FALSE) THEN {value} ELSE `{name}` END AS `{name}`"
                ),
                None => format!("`{name}`"),
            }
        })
        .collect();
    select(&format!(
        "SELECT {}, COALESCE({condition}, FALSE) AS `{CHANGED}` FROM {}",
        items.join(", "),
        target.from
    ))
}

fn assigned<'a>(
    assignment: &Assignment,
    columns: &'a [FieldSchema],
) -> Result<&'a FieldSchema, QueryError> {
    let AssignmentTarget::ColumnName(name) = &assignment.target else {
        return Err(unsupported(format!("the assignment {assignment}")));
    };
    let parts: Vec<&str> = name
        .0
        .iter()
        .filter_map(|part| match part {
            ObjectNamePart::Identifier(ident) => Some(ident.value.as_str()),
            ObjectNamePart::Function(_) => None,
        })
        .collect();
    let find = |name: &str| columns.iter().find(|c| c.name.eq_ignore_ascii_case(name));
    match parts.as_slice() {
        [name] => find(name).ok_or_else(|| QueryError::Invalid {
            message: format!("Unrecognized name: {name}"),
        }),
        // An alias in front, unless it is a field of a record.
        [first, name] if find(first).is_none() && find(name).is_some() => {
            find(name).ok_or_else(|| unsupported(format!("the assignment {assignment}")))
        }
        _ => Err(unsupported(format!("the assignment {assignment}"))),
    }
}
