//! `_TABLE_SUFFIX` in a query: it is a column of every wildcard table, but not one that a star stands for.
//!
//! Must not know which tables there are.

use datafusion::sql::sqlparser::ast::{
    ExceptSelectItem, Ident, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    TableFactor, WildcardAdditionalOptions,
};

use super::rewrite::name_parts;
use super::wildcard::TABLE_SUFFIX;
use super::{QueryError, unsupported};

/// Brings the column's name to its one form.
pub(super) fn spell(ident: &mut Ident) {
    if ident.value.eq_ignore_ascii_case(TABLE_SUFFIX) {
        TABLE_SUFFIX.clone_into(&mut ident.value);
    }
}

/// Leaves the column out of what the stars of a SELECT list stand for.
///
/// # Errors
/// [`QueryError::Unsupported`] for a star over several wildcard tables.
pub(super) fn leave_out(body: &mut SetExpr) -> Result<(), QueryError> {
    match body {
        SetExpr::Select(select) => leave_out_of(select),
        SetExpr::SetOperation { left, right, .. } => {
            leave_out(left)?;
            leave_out(right)
        }
        // A query of its own is visited by itself.
        _ => Ok(()),
    }
}

fn leave_out_of(select: &mut Select) -> Result<(), QueryError> {
    let tables = select
        .from
        .iter()
        .flat_map(|t| std::iter::once(&t.relation).chain(t.joins.iter().map(|j| &j.relation)));
    let names: Vec<String> = tables.filter_map(wildcard_name).collect();
    if names.is_empty() {
        return Ok(());
    }
    for item in &mut select.projection {
        match item {
            SelectItem::Wildcard(options) => {
                if names.len() > 1 {
                    return Err(unsupported("a star over several wildcard tables"));
                }
                except(options);
            }
            SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                options,
            ) if names.contains(&name_parts(name)?.join(".")) => except(options),
            _ => {}
        }
    }
    Ok(())
}

/// What a wildcard table is called in its query.
fn wildcard_name(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { name, alias, .. } => {
            let parts = name_parts(name).ok()?;
            let last = parts.last().filter(|last| last.ends_with('*'))?;
            let alias = alias.as_ref().map(|a| a.name.value.clone());
            Some(alias.unwrap_or_else(|| last.clone()))
        }
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => wildcard_name(&table_with_joins.relation),
        _ => None,
    }
}

fn except(options: &mut WildcardAdditionalOptions) {
    let suffix = Ident::with_quote('`', TABLE_SUFFIX);
    match &mut options.opt_except {
        Some(except) => except.additional_elements.push(suffix),
        None => {
            options.opt_except = Some(ExceptSelectItem {
                first_element: suffix,
                additional_elements: Vec::new(),
            });
        }
    }
}
