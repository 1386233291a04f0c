//! `RANGE_SESSIONIZE(TABLE t, 'range', ['key'])` as the query that it stands for.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query,
};

use crate::query::{QueryError, select, unsupported};

/// The function by its name.
const NAME: &str = "RANGE_SESSIONIZE";

/// Whether a name is that of the function.
pub(in crate::query) fn is(name: &ObjectName) -> bool {
    name.to_string().eq_ignore_ascii_case(NAME)
}

/// The rows of the table, each with the range from where its session begins to where it ends.
///
/// # Errors
/// [`QueryError`] for arguments that the service does not take.
pub(in crate::query) fn query(given: &[FunctionArg]) -> Result<Query, QueryError> {
    let given: Option<Vec<&Expr>> = given
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
            _ => None,
        })
        .collect();
    let given = given.unwrap_or_default();
    let (table, column, keys, option) = match given.as_slice() {
        [table, column, keys] => (table, column, keys, None),
        [table, column, keys, option] => (table, column, keys, Some(*option)),
        _ => return Err(unsupported(format!("{NAME} with these arguments"))),
    };
    let table = match table {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Subquery(_) => table.to_string(),
        _ => return Err(unsupported(format!("{table} as the table of {NAME}"))),
    };
    let name = |value: &Expr| text(value).map(|name| Ident::with_quote('`', name).to_string());
    let invalid = |what: &str| QueryError::Invalid {
        message: format!("{what} of {NAME} must be literal"),
    };
    let column = name(column).ok_or_else(|| invalid("The range column"))?;
    let keys: Option<Vec<String>> = match keys {
        Expr::Array(keys) => keys.elem.iter().map(name).collect(),
        _ => None,
    };
    let mut keys = keys.ok_or_else(|| invalid("The partitioning columns"))?;
    keys.push(format!("{column} IS NULL"));
    let keys = keys.join(", ");
    let apart = match option.map(|option| text(option).unwrap_or_default().to_uppercase()) {
        None => ">",
        Some(option) if option == "MEETS" => ">",
        Some(option) if option == "OVERLAPS" => ">=",
        Some(option) => {
            return Err(QueryError::Invalid {
                message: format!("Invalid sessionize option {option:?} of {NAME}"),
            });
        }
    };
    let from = format!("millpond_range_from({column})");
    let to = format!("millpond_range_to({column})");
    select(&format!(
        "SELECT * EXCEPT (`millpond_first`, `millpond_session`), IF({column} IS NULL, NULL, RANGE(\
         FIRST_VALUE(RANGE_START({column})) OVER (PARTITION BY {keys}, `millpond_session` ORDER BY {from}), \
         FIRST_VALUE(RANGE_END({column})) OVER (PARTITION BY {keys}, `millpond_session` ORDER BY {to} DESC)\
         )) AS session_range \
         FROM (SELECT *, SUM(`millpond_first`) OVER (PARTITION BY {keys} ORDER BY {from}, {to} \
         ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS `millpond_session` \
         FROM (SELECT *, IF({from} {apart} MAX({to}) OVER (PARTITION BY {keys} ORDER BY {from}, {to} \
         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 1, 0) AS `millpond_first` FROM {table}))"
    ))
}

/// The text that a literal is.
fn text(value: &Expr) -> Option<String> {
    match value {
        Expr::Value(value) => value.value.clone().into_string(),
        _ => None,
    }
}
