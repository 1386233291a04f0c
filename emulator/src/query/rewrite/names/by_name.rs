//! `UNION ALL BY NAME` and its like: columns of two queries put where those of the same names are.

use datafusion::sql::sqlparser::ast::{Ident, SetExpr, SetQuantifier};

use super::{Columns, same};
use crate::query::rewrite::gathered;
use crate::query::text::matched_columns::Mode;
use crate::query::{QueryError, select, unsupported};

/// What a query is called whose columns are put in order.
const PLACED: &str = "millpond_placed";

/// What is said about the columns of a set operation that the parser knows, which is then one of columns by their places.
pub(super) fn said(quantifier: &mut SetQuantifier) -> Option<(Mode, Vec<String>)> {
    *quantifier = match quantifier {
        SetQuantifier::AllByName => SetQuantifier::All,
        SetQuantifier::DistinctByName => SetQuantifier::Distinct,
        _ => return None,
    };
    Some((Mode::Strict, Vec::new()))
}

/// Puts the columns of two queries in order; returns their names.
///
/// # Errors
/// [`QueryError::Invalid`] for columns that one of them should have and has not.
pub(super) fn placed(
    (mode, listed): (Mode, Vec<String>),
    (left, columns): (&mut SetExpr, &Columns),
    (right, others): (&mut SetExpr, &Columns),
) -> Result<Columns, QueryError> {
    let (Some(columns), Some(others)) = (columns, others) else {
        return Err(unsupported("BY NAME of columns that are not known"));
    };
    let has = |all: &[String], name: &str| all.iter().any(|other| same(other, name));
    let first = |name: &String| has(columns, name);
    let second = |name: &String| has(others, name);
    let wanted = wanted(mode, &listed, columns, others);
    let complete = match mode {
        Mode::Strict if listed.is_empty() => columns.iter().all(second) && others.iter().all(first),
        Mode::Strict | Mode::Inner => wanted.iter().all(|name| first(name) && second(name)),
        Mode::Left => wanted.iter().all(first) && (wanted.iter().any(second)),
        Mode::Full => wanted.iter().all(|name| first(name) || second(name)),
    };
    if !complete || wanted.is_empty() {
        let (columns, others) = (columns.join(", "), others.join(", "));
        let message = match (mode, listed.is_empty()) {
            (Mode::Strict, true) => format!(
                "BY NAME requires all input queries to have identical set of column names. Query 1 has [{columns}], query 2 has [{others}]"
            ),
            (_, true) => format!(
                "BY NAME requires queries that share columns. Query 1 has [{columns}], query 2 has [{others}]"
            ),
            (_, false) => format!(
                "Columns in the list of BY NAME are missing: [{}]. Query 1 has [{columns}], query 2 has [{others}]",
                listed.join(", ")
            ),
        };
        return Err(QueryError::Invalid { message });
    }
    put(left, columns, &wanted)?;
    put(right, others, &wanted)?;
    Ok(Some(wanted))
}

/// The columns of the result.
fn wanted(mode: Mode, listed: &[String], columns: &[String], others: &[String]) -> Vec<String> {
    if !listed.is_empty() {
        return listed.to_vec();
    }
    let has = |all: &[String], name: &str| all.iter().any(|other| same(other, name));
    let own = columns.iter();
    match mode {
        Mode::Strict | Mode::Left => own.cloned().collect(),
        Mode::Inner => own.filter(|name| has(others, name)).cloned().collect(),
        Mode::Full => {
            let more = others.iter().filter(|name| !has(columns, name));
            own.chain(more).cloned().collect()
        }
    }
}

/// Makes a query one of these columns, with NULL for those that it has not.
fn put(query: &mut SetExpr, columns: &[String], wanted: &[String]) -> Result<(), QueryError> {
    if columns == wanted {
        return Ok(());
    }
    let quoted = |name: &str| Ident::with_quote('`', name).to_string();
    let items = wanted.iter().map(|to| {
        let from = columns.iter().find(|own| same(own, to));
        let from = from.map_or_else(|| "NULL".to_owned(), |from| quoted(from));
        format!("{from} AS {}", quoted(to))
    });
    let items: Vec<String> = items.collect();
    let mut inner = select("SELECT 1")?;
    let mut outer = select(&format!(
        "SELECT {} FROM (SELECT 1) AS `{PLACED}`",
        items.join(", ")
    ))?;
    std::mem::swap(inner.body.as_mut(), query);
    gathered::place(&mut outer, inner, &[]);
    *query = *outer.body;
    Ok(())
}
