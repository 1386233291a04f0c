//! GROUP BY with ROLLUP, CUBE and GROUPING SETS, of which the planner knows those of single columns.

use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, SetExpr};

use crate::query::{QueryError, unsupported};
use crate::row_restriction;

/// CUBE of more columns would be more sets than anybody waits for.
const MOST_OF_CUBE: usize = 12;

/// Columns that are grouped by together.
type Set = Vec<Expr>;

/// Writes sets that stand in others, and those of several columns, one by one.
///
/// # Errors
/// [`QueryError::Invalid`] for sets beside anything else.
pub(in crate::query) fn expand(body: &mut SetExpr) -> Result<(), QueryError> {
    let SetExpr::Select(select) = body else {
        return Ok(());
    };
    let GroupByExpr::Expressions(groups, _) = &mut select.group_by else {
        return Ok(());
    };
    let several = groups.len() > 1;
    for group in groups {
        let (word, sets) = match group {
            Expr::Rollup(elements) => ("ROLLUP", rollup(elements)),
            Expr::Cube(elements) => ("CUBE", cube(elements)?),
            Expr::GroupingSets(sets) => ("GROUPING SETS", listed(sets)?),
            Expr::Tuple(columns) if columns.is_empty() && several => {
                return Err(QueryError::Invalid {
                    message: "GROUP BY () is only allowed when there are no other grouping items"
                        .to_owned(),
                });
            }
            _ => continue,
        };
        if several {
            return Err(QueryError::Invalid {
                message: format!(
                    "The GROUP BY clause only supports {word} when there are no other grouping elements"
                ),
            });
        }
        let single = |elements: &[Set]| elements.iter().all(|element| element.len() == 1);
        match group {
            Expr::Rollup(elements) | Expr::Cube(elements) if single(elements) => {}
            _ => *group = Expr::GroupingSets(sets),
        }
    }
    Ok(())
}

/// All elements, then one less from behind each time.
fn rollup(elements: &[Set]) -> Vec<Set> {
    let lengths = (0..=elements.len()).rev();
    lengths
        .map(|length| together(elements.iter().take(length)))
        .collect()
}

/// Every choice among the elements.
fn cube(elements: &[Set]) -> Result<Vec<Set>, QueryError> {
    if elements.len() > MOST_OF_CUBE {
        return Err(unsupported(format!(
            "CUBE of more than {MOST_OF_CUBE} elements"
        )));
    }
    let choices = (0..1_usize << elements.len()).rev();
    let chosen = |choice: usize| {
        let elements = elements.iter().enumerate();
        together(
            elements
                .filter(move |(at, _)| (choice >> at) & 1 == 1)
                .map(|(_, element)| element),
        )
    };
    Ok(choices.map(chosen).collect())
}

/// Sets as they are listed, with those of ROLLUP and CUBE among them.
fn listed(sets: &[Set]) -> Result<Vec<Set>, QueryError> {
    let mut all = Vec::new();
    for set in sets {
        let [Expr::Function(function)] = set.as_slice() else {
            all.push(set.clone());
            continue;
        };
        let name = function.name.to_string();
        let is = |word: &str| name.eq_ignore_ascii_case(word);
        if !is("ROLLUP") && !is("CUBE") {
            all.push(set.clone());
            continue;
        }
        let elements = row_restriction::arguments(function);
        let elements =
            elements.ok_or_else(|| unsupported(format!("{function} in GROUPING SETS")))?;
        let elements: Vec<Set> = elements.into_iter().map(columns).collect();
        all.extend(match is("CUBE") {
            true => cube(&elements)?,
            false => rollup(&elements),
        });
    }
    Ok(all)
}

/// The columns of an element: those of a tuple, or the one that it is.
fn columns(element: &Expr) -> Set {
    match element {
        Expr::Tuple(columns) => columns.clone(),
        Expr::Nested(column) => vec![column.as_ref().clone()],
        column => vec![column.clone()],
    }
}

/// The columns of several elements, each of them once.
fn together<'a>(elements: impl Iterator<Item = &'a Set>) -> Set {
    let mut all = Set::new();
    for column in elements.flatten() {
        if !all.contains(column) {
            all.push(column.clone());
        }
    }
    all
}
