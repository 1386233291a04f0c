//! Statements that the service has and this emulator does not, told by their first words.

use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::query::{QueryError, unsupported};

/// What statements are about, behind CREATE, DROP, ALTER, EXPORT or UNDROP.
const OBJECTS: [&str; 17] = [
    "AGGREGATE FUNCTION",
    "ASSIGNMENT",
    "BI_CAPACITY",
    "CAPACITY",
    "CONNECTION",
    "CONSTANT",
    "DATA_POLICY",
    "EXTERNAL SCHEMA",
    "MODEL",
    "ORGANIZATION",
    "PROJECT",
    "PROPERTY GRAPH",
    "RESERVATION",
    "SEARCH INDEX",
    "TEMP AGGREGATE",
    "TEMP MODEL",
    "VECTOR INDEX",
];

/// Refuses a statement that begins like one of those.
///
/// # Errors
/// [`QueryError::Unsupported`] naming it.
pub(in crate::query) fn refuse(parser: &Parser<'_>) -> Result<(), QueryError> {
    let word = |n: usize| match &parser.peek_nth_token_ref(n).token {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_uppercase(),
        _ => String::new(),
    };
    let verb = word(0);
    if !["CREATE", "DROP", "ALTER", "EXPORT", "UNDROP"].contains(&verb.as_str()) {
        return Ok(());
    }
    let at = match (word(1).as_str(), word(2).as_str()) {
        ("OR", "REPLACE") => 3,
        _ => 1,
    };
    let (one, two) = (word(at), format!("{} {}", word(at), word(at + 1)));
    let mut objects = [one, two].into_iter();
    match objects.find(|o| OBJECTS.contains(&o.as_str())) {
        Some(object) => Err(unsupported(format!("the statement {verb} {object}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::query::statements::statements;

    #[test]
    fn they_are_refused_by_name() {
        for (sql, named) in [
            (
                "CREATE OR REPLACE MODEL d.m OPTIONS (model_type = 'x') AS SELECT 1",
                "CREATE MODEL",
            ),
            ("drop model if exists d.m", "DROP MODEL"),
            ("EXPORT MODEL d.m OPTIONS (uri = 'gs://x')", "EXPORT MODEL"),
            (
                "SELECT 1; CREATE SEARCH INDEX i ON d.t (ALL COLUMNS)",
                "CREATE SEARCH INDEX",
            ),
            (
                "ALTER ORGANIZATION SET OPTIONS (x = 1)",
                "ALTER ORGANIZATION",
            ),
        ] {
            let refused = statements(sql).unwrap_err().to_string();
            assert_eq!(
                refused,
                format!("the statement {named} is not supported by this emulator")
            );
        }
        for sql in [
            "CREATE TABLE model (x INT64)",
            "DROP TABLE model",
            "DROP VIEW connection",
        ] {
            assert_eq!(statements(sql).unwrap().len(), 1, "{sql}");
        }
    }
}
