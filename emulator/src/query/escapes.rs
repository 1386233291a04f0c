//! Escapes in literal texts, as BigQuery reads them. The parser's own reading drops the backslash of every escape it does not know, such as `\x41`.
//!
//! Must not know what a text is for. Literals of bytes keep their escapes.

use std::str::Chars;

use datafusion::sql::sqlparser::dialect::BigQueryDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::QueryError;

/// A parser of BigQuery's SQL at the beginning of a text.
///
/// # Errors
/// [`QueryError`] for a text that does not consist of BigQuery's words and literals.
pub(crate) fn parser(sql: &str) -> Result<Parser<'static>, QueryError> {
    let mut tokens = Tokenizer::new(&BigQueryDialect, sql)
        .with_unescape(false)
        .tokenize_with_location()
        .map_err(ParserError::from)?;
    for token in &mut tokens {
        match &mut token.token {
            Token::SingleQuotedString(text) => *text = read(text, Some('\''))?,
            Token::DoubleQuotedString(text) => *text = read(text, Some('"'))?,
            Token::TripleSingleQuotedString(text) | Token::TripleDoubleQuotedString(text) => {
                *text = read(text, None)?;
            }
            Token::Word(word) if word.quote_style == Some('`') => {
                word.value = word.value.replace("``", "`");
            }
            _ => {}
        }
    }
    Ok(Parser::new(&BigQueryDialect).with_tokens_with_locations(tokens))
}

/// The text that a literal stands for; `quote` stands for itself where it is doubled.
fn read(literal: &str, quote: Option<char>) -> Result<String, QueryError> {
    let mut text = String::with_capacity(literal.len());
    let mut rest = literal.chars();
    while let Some(c) = rest.next() {
        if Some(c) == quote {
            rest.next();
        }
        text.push(if c == '\\' { escaped(&mut rest)? } else { c });
    }
    Ok(text)
}

/// The character that an escape stands for, from behind its backslash on.
fn escaped(rest: &mut Chars<'_>) -> Result<char, QueryError> {
    let from = rest.as_str();
    let kind = rest.next();
    let known = match kind {
        Some('a') => Some('\u{7}'),
        Some('b') => Some('\u{8}'),
        Some('f') => Some('\u{c}'),
        Some('n') => Some('\n'),
        Some('r') => Some('\r'),
        Some('t') => Some('\t'),
        Some('v') => Some('\u{b}'),
        Some('\\' | '?' | '"' | '\'' | '`') => kind,
        Some('x' | 'X') => number(rest, 2, 16),
        Some('u') => number(rest, 4, 16),
        Some('U') => number(rest, 8, 16),
        Some('0'..='3') => {
            *rest = from.chars();
            number(rest, 3, 8)
        }
        _ => None,
    };
    known.ok_or_else(|| QueryError::Invalid {
        message: format!(
            "Syntax error: Illegal escape sequence: \\{}",
            kind.unwrap_or_default()
        ),
    })
}

/// The character whose number is written in exactly so many digits.
fn number(rest: &mut Chars<'_>, digits: usize, radix: u32) -> Option<char> {
    let mut number = 0;
    for _ in 0..digits {
        number = number * radix + rest.next()?.to_digit(radix)?;
    }
    char::from_u32(number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::sql::sqlparser::ast::Value;

    fn text(sql: &str) -> Result<String, String> {
        let mut parser = parser(sql).map_err(|e| e.to_string())?;
        match parser.parse_value().unwrap().value {
            Value::SingleQuotedString(text)
            | Value::DoubleQuotedString(text)
            | Value::TripleSingleQuotedString(text)
            | Value::TripleDoubleQuotedString(text)
            | Value::SingleQuotedRawStringLiteral(text) => Ok(text),
            other => Err(other.to_string()),
        }
    }

    #[test]
    fn every_escape_is_read() {
        for (sql, expected) in [
            (r"'\x41\X42\u00fc\U0001F600\101'", "ABü😀A"),
            (
                r#"'\a\b\f\n\r\t\v\\\?\"\'\`'"#,
                "\u{7}\u{8}\u{c}\n\r\t\u{b}\\?\"'`",
            ),
            (r#""say \"hi\" 'x' ""y"" ""#, "say \"hi\" 'x' \"y\" "),
            ("'it''s'", "it's"),
            ("'''a ''b'' \\x63'''", "a ''b'' c"),
            ("\"\"\"a\n\\\"\"\"\"", "a\n\""),
            (r"r'\d+\x41'", r"\d+\x41"),
            ("'ü'", "ü"),
        ] {
            assert_eq!(text(sql).as_deref(), Ok(expected), "{sql}");
        }
    }

    #[test]
    fn other_escapes_are_refused() {
        for (sql, named) in [
            (r"'a\qb'", r"\q"),
            (r"'\x4'", r"\x"),
            (r"'\x4g'", r"\x"),
            (r"'\u12'", r"\u"),
            (r"'\ud800'", r"\u"),
            (r"'\U00110000'", r"\U"),
            (r"'\8'", r"\8"),
            (r"'\12'", r"\1"),
            (r"'\%'", r"\%"),
        ] {
            let refused = text(sql).unwrap_err();
            assert_eq!(
                refused,
                format!("Syntax error: Illegal escape sequence: {named}")
            );
        }
    }

    #[test]
    fn quoted_names_are_as_before() {
        let mut parser = parser("`a-b``c`").unwrap();
        assert_eq!(parser.parse_identifier().unwrap().value, "a-b`c");
    }
}
