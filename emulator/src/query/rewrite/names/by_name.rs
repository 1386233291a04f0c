//! `UNION ALL BY NAME` and its like: columns of the second query put where the first has those of their names.

use datafusion::sql::sqlparser::ast::{Ident, SetExpr, SetQuantifier};

use super::{Columns, same};
use crate::query::rewrite::gathered;
use crate::query::{QueryError, select, unsupported};

/// What the second query is called.
const OTHER: &str = "millpond_other";

/// Puts the columns of the second query in order, if the operator asks for that. Both have columns of the same names.
///
/// # Errors
/// [`QueryError::Invalid`] for columns that only one of them has.
pub(super) fn placed(
    quantifier: &mut SetQuantifier,
    (columns, others): (&Columns, &Columns),
    other: &mut SetExpr,
) -> Result<(), QueryError> {
    let plain = match quantifier {
        SetQuantifier::AllByName => SetQuantifier::All,
        SetQuantifier::DistinctByName => SetQuantifier::Distinct,
        _ => return Ok(()),
    };
    let (Some(columns), Some(others)) = (columns, others) else {
        return Err(unsupported("BY NAME of columns that are not known"));
    };
    let found = columns
        .iter()
        .map(|name| others.iter().find(|other| same(name, other)));
    let found: Option<Vec<&String>> = found.collect();
    let Some(found) = found.filter(|found| found.len() == others.len()) else {
        return Err(QueryError::Invalid {
            message: format!(
                "BY NAME requires all input queries to have identical set of column names. Query 1 has [{}], query 2 has [{}]",
                columns.join(", "),
                others.join(", ")
            ),
        });
    };
    *quantifier = plain;
    if found.iter().zip(others).all(|(one, other)| *one == other) {
        return Ok(());
    }
    let quoted = |name: &str| Ident::with_quote('`', name).to_string();
    let items = found.iter().zip(columns);
    let items: Vec<String> = items
        .map(|(from, to)| format!("{} AS {}", quoted(from), quoted(to)))
        .collect();
    let mut inner = select("SELECT 1")?;
    let mut outer = select(&format!(
        "SELECT {} FROM (SELECT 1) AS `{OTHER}`",
        items.join(", ")
    ))?;
    std::mem::swap(inner.body.as_mut(), other);
    gathered::place(&mut outer, inner, &[]);
    *other = *outer.body;
    Ok(())
}
