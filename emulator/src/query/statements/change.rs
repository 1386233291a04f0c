//! Statements that change rows, turned into queries for the rows a table will have.
//!
//! Must not know how rows are written.

use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Expr, FromTable, ObjectNamePart, Query, SelectItem,
    TableFactor, TableWithJoins, Update,
};

use crate::name::TableName;
use crate::query::{
    Defaults, QueryError, select, statements::column_defaults, table_of, unsupported,
};
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
    pub(in crate::query) name: String,
    /// What columns are qualified with.
    pub(in crate::query) alias: String,
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
pub(in crate::query) fn target_of(
    factor: &TableFactor,
    defaults: &Defaults,
) -> Result<Target, QueryError> {
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
pub(in crate::query) fn value(value: &Expr, column: &FieldSchema) -> Result<String, QueryError> {
    let value = if is_default(value) {
        default(column)?
    } else {
        value.clone()
    };
    Ok(crate::query::rewrite::build::cast(value, column).to_string())
}

/// What a column is where nothing is said.
///
/// # Errors
/// [`QueryError`] for a default value that cannot be read.
pub(crate) fn default(column: &FieldSchema) -> Result<Expr, QueryError> {
    let text = column_defaults::of(column).unwrap_or("NULL");
    let parsed = select(&format!("SELECT {text}"))?;
    match parsed.body.as_select().map(|s| s.projection.as_slice()) {
        Some([SelectItem::UnnamedExpr(expr)]) => Ok(expr.clone()),
        _ => Err(unsupported(format!("the default value {text}"))),
    }
}

/// The rows of a target that a statement is about.
///
/// # Errors
/// [`QueryError`] for a condition that cannot be read.
pub(crate) fn chosen(target: &Target, condition: &Expr) -> Result<Query, QueryError> {
    select(&format!(
        "SELECT 1 FROM {} WHERE {condition}",
        target.from()
    ))
}

/// Whether a value is the word DEFAULT.
pub(crate) fn is_default(value: &Expr) -> bool {
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
    let mut set: Vec<(Vec<&str>, String)> = Vec::new();
    for assignment in &update.assignments {
        let path = path_of(assignment, columns, &target.alias)?;
        let names: Vec<&str> = path.iter().map(|field| field.name.as_str()).collect();
        let overlap = |(other, _): &&(Vec<&str>, String)| {
            other.starts_with(&names) || names.starts_with(other)
        };
        if set.iter().any(|one| overlap(&one)) {
            let message = format!("Update item {} assigned more than once", names.join("."));
            return Err(QueryError::Invalid { message });
        }
        let Some(field) = path.last() else {
            return Err(unsupported(format!("the assignment {assignment}")));
        };
        set.push((names, value(&assignment.value, field)?));
    }
    let items: Vec<String> = columns
        .iter()
        .map(|column| {
            let name = &column.name;
            match changed(column, &[], &set) {
                Some(value) => format!(
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

/// The value that a column or a field below `before` will have, if anything of it is assigned.
fn changed(field: &FieldSchema, before: &[&str], set: &[(Vec<&str>, String)]) -> Option<String> {
    let mut path = before.to_vec();
    path.push(&field.name);
    let within: Vec<_> = set
        .iter()
        .filter(|(other, _)| other.starts_with(&path))
        .collect();
    let [(first, value), ..] = within.as_slice() else {
        return None;
    };
    if first.len() == path.len() {
        return Some(value.clone());
    }
    let fields = field.fields.iter().map(|inner| {
        let value = changed(inner, &path, set).unwrap_or_else(|| {
            let names = path.iter().copied().chain([inner.name.as_str()]);
            let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            names.join(".")
        });
        format!("{value} AS `{}`", inner.name)
    });
    Some(format!("STRUCT({})", fields.collect::<Vec<_>>().join(", ")))
}

/// The column and the fields in it that an assignment names, from the outside in.
fn path_of<'a>(
    assignment: &Assignment,
    columns: &'a [FieldSchema],
    alias: &str,
) -> Result<Vec<&'a FieldSchema>, QueryError> {
    let refused = || unsupported(format!("the assignment {assignment}"));
    let AssignmentTarget::ColumnName(name) = &assignment.target else {
        return Err(refused());
    };
    let parts: Option<Vec<&str>> = name
        .0
        .iter()
        .map(|part| part.as_ident().map(|ident| ident.value.as_str()))
        .collect();
    let parts = parts.ok_or_else(refused)?;
    let find = |among: &'a [FieldSchema], name: &str| {
        among.iter().find(|c| c.name.eq_ignore_ascii_case(name))
    };
    let mut parts = parts.as_slice();
    if let [first, rest @ ..] = parts
        && !rest.is_empty()
        && (find(columns, first).is_none() || first.eq_ignore_ascii_case(alias))
    {
        parts = rest;
    }
    let mut path: Vec<&FieldSchema> = Vec::new();
    let mut among = columns;
    for part in parts {
        let Some(field) = find(among, part) else {
            return Err(QueryError::Invalid {
                message: match path.last() {
                    None => format!("Unrecognized name: {part}"),
                    Some(_) => format!("Field name {part} does not exist in {}", name),
                },
            });
        };
        if path.last().is_some_and(|outer| outer.mode == "REPEATED") {
            return Err(refused());
        }
        path.push(field);
        among = &field.fields;
    }
    Ok(path)
}

pub(in crate::query) fn assigned<'a>(
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
