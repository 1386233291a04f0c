//! Statements that change rows, turned into queries for the rows a table will have.
//!
//! Must not know how rows are written.

use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Expr, FromTable, ObjectNamePart, Query, SelectItem,
    TableFactor, TableWithJoins, Update,
};

use super::{Defaults, QueryError, column_defaults, select, table_of, unsupported};
use crate::name::TableName;
use crate::schema::FieldSchema;

/// The column of a rewritten table that says which rows were meant.
pub(crate) const CHANGED: &str = "millpond_changed";

/// The column of a rewritten table partitioned by arrival that says which partition a row is in.
pub(crate) const PARTITION: &str = "millpond_partition";

/// A table and what a statement calls it.
#[derive(Debug)]
pub(crate) struct Target {
    pub table: TableName,
    /// As the statement names it.
    pub(super) name: String,
    /// What columns are qualified with.
    pub(super) alias: String,
}

/// The table a statement changes.
///
/// # Errors
/// [`QueryError::Unsupported`] for anything but one table.
pub(crate) fn target(tables: &[TableWithJoins], defaults: &Defaults) -> Result<Target, QueryError> {
    let [table] = tables else {
        return Err(unsupported("a change of several tables"));
    };
    if !table.joins.is_empty() {
        return Err(unsupported("a change with a join"));
    }
    target_of(&table.relation, defaults)
}

/// The table behind a name and an alias.
///
/// # Errors
/// [`QueryError::Unsupported`] for anything else.
pub(super) fn target_of(factor: &TableFactor, defaults: &Defaults) -> Result<Target, QueryError> {
    let TableFactor::Table { name, alias, .. } = factor else {
        return Err(unsupported(format!("a change of {factor}")));
    };
    let table = table_of(name, defaults)?;
    let alias = alias.as_ref().map(|a| a.name.value.clone());
    Ok(Target {
        name: name.to_string(),
        alias: alias.unwrap_or_else(|| table.table().to_owned()),
        table,
    })
}

impl Target {
    /// The table with all its columns, and the partitions of its rows if it is partitioned by arrival.
    fn from(&self) -> String {
        format!("{} AS `{}`", self.name, self.alias)
    }
}

/// What a column is set to, with the column's type.
///
/// # Errors
/// [`QueryError`] for a default value that cannot be read.
pub(super) fn value(value: &Expr, column: &FieldSchema) -> Result<String, QueryError> {
    let value = if is_default(value) {
        let text = column_defaults::of(column).unwrap_or("NULL");
        let parsed = select(&format!("SELECT {text}"))?;
        match parsed.body.as_select().map(|s| s.projection.as_slice()) {
            Some([SelectItem::UnnamedExpr(expr)]) => expr.clone(),
            _ => return Err(unsupported(format!("the default value {text}"))),
        }
    } else {
        value.clone()
    };
    Ok(super::build::cast(value, column).to_string())
}

/// Whether a value is the word DEFAULT.
pub(super) fn is_default(value: &Expr) -> bool {
    matches!(value, Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("DEFAULT"))
}

/// Which partition a row is in, as an item of a SELECT list.
fn partition_item(arrival: bool) -> String {
    if arrival {
        format!("_PARTITIONTIME AS `{PARTITION}`, ")
    } else {
        String::new()
    }
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
pub(crate) fn after_delete(
    delete: &Delete,
    target: &Target,
    arrival: bool,
) -> Result<Query, QueryError> {
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
        "SELECT *, {}COALESCE({condition}, FALSE) AS `{CHANGED}` FROM {}",
        partition_item(arrival),
        target.from()
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
    arrival: bool,
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
        set.push((column.name.as_str(), value(&assignment.value, column)?));
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
        "SELECT {}, {}COALESCE({condition}, FALSE) AS `{CHANGED}` FROM {}",
        items.join(", "),
        partition_item(arrival),
        target.from()
    ))
}

pub(super) fn assigned<'a>(
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
