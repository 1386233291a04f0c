//! What the parser says of a text that it cannot read, in the service's words.

use datafusion::sql::sqlparser::keywords::RESERVED_FOR_TABLE_ALIAS;
use datafusion::sql::sqlparser::parser::ParserError;

/// The message of an error; where the parser says it in another way than usual, its own words.
pub(in crate::query) fn said(error: &ParserError) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("sql parser error: ").unwrap_or(&text);
    found(text).unwrap_or_else(|| text.to_owned())
}

/// `Expected: this, found: that at Line: 1, Column: 2`.
fn found(text: &str) -> Option<String> {
    let (expected, rest) = text.strip_prefix("Expected: ")?.split_once(", found: ")?;
    let (token, place) = match rest.rsplit_once(" at Line: ") {
        Some((token, place)) => {
            let (line, column) = place.split_once(", Column: ")?;
            (token, format!(" at [{line}:{column}]"))
        }
        None => (rest, String::new()),
    };
    let keyword = |text: &str| text.chars().all(|c| c.is_ascii_uppercase() || c == ' ');
    let ends = token == "EOF";
    let token = match ends {
        true => "end of script".to_owned(),
        false => called(token),
    };
    Some(match expected {
        expected if keyword(expected) => {
            format!("Expected keyword {expected} but got {token}{place}")
        }
        "end of statement" => format!("Expected end of input but got {token}{place}"),
        _ => format!("Unexpected {token}{place}"),
    })
}

/// What kind of word or sign a token is, and itself.
fn called(token: &str) -> String {
    let first = token.chars().next().unwrap_or_default();
    let reserved = RESERVED_FOR_TABLE_ALIAS.iter();
    let is_keyword = reserved
        .map(|keyword| format!("{keyword:?}"))
        .any(|keyword| keyword.eq_ignore_ascii_case(token));
    match first {
        _ if is_keyword => format!("keyword {}", token.to_uppercase()),
        '\'' | '"' => format!("string literal {token}"),
        '0'..='9' if token.contains(['.', 'e', 'E']) => {
            format!("floating point literal \"{token}\"")
        }
        '0'..='9' => format!("integer literal \"{token}\""),
        c if c.is_alphanumeric() || c == '_' || c == '`' => {
            format!("identifier \"{}\"", token.trim_matches('`'))
        }
        _ => format!("\"{token}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_tokens_are_named_as_the_service_names_them() {
        for (own, wanted) in [
            (
                "Expected: end of statement, found: LIMIT at Line: 1, Column: 18",
                "Expected end of input but got keyword LIMIT at [1:18]",
            ),
            (
                "Expected: an SQL statement, found: SELEC at Line: 1, Column: 1",
                "Unexpected identifier \"SELEC\" at [1:1]",
            ),
            (
                "Expected: an expression, found: EOF",
                "Unexpected end of script",
            ),
            (
                "Expected: ), found: 1 at Line: 2, Column: 3",
                "Unexpected integer literal \"1\" at [2:3]",
            ),
            (
                "Expected: an expression, found: ) at Line: 1, Column: 8",
                "Unexpected \")\" at [1:8]",
            ),
            (
                "Expected: END IF, found: EOF",
                "Expected keyword END IF but got end of script",
            ),
            ("no such thing", "no such thing"),
        ] {
            let error = ParserError::ParserError(own.to_owned());
            assert_eq!(said(&error), wanted);
        }
    }
}
