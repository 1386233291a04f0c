//! Pseudo columns in a query: `_TABLE_SUFFIX` is a column of every wildcard table, `_PARTITIONTIME` and `_PARTITIONDATE` are columns of
//! every table partitioned by arrival, but no star stands for them.
//!
//! Must not know which tables there are.

use datafusion::sql::sqlparser::ast::{
    ExceptSelectItem, Ident, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    TableFactor, WildcardAdditionalOptions,
};

use crate::catalog::{PARTITION_DATE, PARTITION_TIME};
use crate::query::relations::wildcard::TABLE_SUFFIX;
use crate::query::rewrite::name_parts;
use crate::query::{QueryError, unsupported};

/// Brings the column's name to its one form.
pub(in crate::query) fn spell(ident: &mut Ident) {
    let names = [TABLE_SUFFIX, PARTITION_TIME, PARTITION_DATE];
    for name in names {
        if ident.value.eq_ignore_ascii_case(name) {
            name.clone_into(&mut ident.value);
        }
    }
}

/// Leaves the columns out of what the stars of a SELECT list stand for; `by_arrival` tells tables partitioned by arrival from
/// others by the parts of their names.
///
/// # Errors
/// [`QueryError::Unsupported`] for a star over several tables with such columns.
pub(in crate::query) fn leave_out(
    body: &mut SetExpr,
    by_arrival: &dyn Fn(&[String]) -> bool,
) -> Result<(), QueryError> {
    match body {
        SetExpr::Select(select) => leave_out_of(select, by_arrival),
        SetExpr::SetOperation { left, right, .. } => {
            leave_out(left, by_arrival)?;
            leave_out(right, by_arrival)
        }
        // A query of its own is visited by itself.
        _ => Ok(()),
    }
}

fn leave_out_of(
    select: &mut Select,
    by_arrival: &dyn Fn(&[String]) -> bool,
) -> Result<(), QueryError> {
    let tables = select
        .from
        .iter()
        .flat_map(|t| std::iter::once(&t.relation).chain(t.joins.iter().map(|j| &j.relation)));
    let named: Vec<Named> = tables.filter_map(|t| named(t, by_arrival)).collect();
    if named.is_empty() {
        return Ok(());
    }
    for item in &mut select.projection {
        match item {
            SelectItem::Wildcard(options) => {
                let [one] = named.as_slice() else {
                    return Err(unsupported(
                        "a star over several wildcard tables or tables partitioned by arrival",
                    ));
                };
                except(options, one.pseudo);
            }
            SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                options,
            ) => {
                let name = name_parts(name)?.join(".");
                if let Some(one) = named.iter().find(|n| n.name == name) {
                    except(options, one.pseudo);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A table with pseudo columns.
struct Named {
    /// What it is called in its query.
    name: String,
    pseudo: &'static [&'static str],
}

fn named(factor: &TableFactor, by_arrival: &dyn Fn(&[String]) -> bool) -> Option<Named> {
    match factor {
        TableFactor::Table { name, alias, .. } => {
            let parts = name_parts(name).ok()?;
            let last = parts.last()?;
            let pseudo: &[&str] = if last.ends_with('*') {
                &[TABLE_SUFFIX]
            } else if by_arrival(&parts) {
                &[PARTITION_TIME, PARTITION_DATE]
            } else {
                return None;
            };
            let alias = alias.as_ref().map(|a| a.name.value.clone());
            Some(Named {
                name: alias.unwrap_or_else(|| last.clone()),
                pseudo,
            })
        }
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => named(&table_with_joins.relation, by_arrival),
        _ => None,
    }
}

fn except(options: &mut WildcardAdditionalOptions, pseudo: &[&str]) {
    for name in pseudo {
        let name = Ident::with_quote('`', *name);
        match &mut options.opt_except {
            Some(except) => except.additional_elements.push(name),
            None => {
                options.opt_except = Some(ExceptSelectItem {
                    first_element: name,
                    additional_elements: Vec::new(),
                });
            }
        }
    }
}
