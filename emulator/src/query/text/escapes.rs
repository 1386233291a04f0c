//! Escapes in literal texts, as BigQuery reads them. The parser's own reading drops the backslash of every escape it does not know, such as `\x41`.
//!
//! Must not know what a text is for. Literals of bytes are read later.

use std::str::Chars;

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer, Whitespace};

use crate::query::text::dialect::GoogleSql;
use crate::query::text::{
    inserted_queries, marked_quotes, matched_columns, pipes, table_versions, unpivot_labels,
};
use crate::query::{QueryError, unsupported};

/// How deep parts of a query may stand in each other; a derived table takes some four. The parser's own bound is at fifteen derived tables,
/// and tools that write queries go beyond it.
const MAX_NESTING: usize = 600;

/// A parser of BigQuery's SQL at the beginning of a text.
///
/// # Errors
/// [`QueryError`] for a text that does not consist of BigQuery's words and literals.
pub(crate) fn parser(sql: &str) -> Result<Parser<'static>, QueryError> {
    let sql = &*marked_quotes::marked(sql);
    let mut tokens = Tokenizer::new(&GoogleSql, sql)
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
            Token::SingleQuotedRawStringLiteral(text)
            | Token::DoubleQuotedRawStringLiteral(text)
            | Token::TripleSingleQuotedRawStringLiteral(text)
            | Token::TripleDoubleQuotedRawStringLiteral(text)
            | Token::SingleQuotedByteStringLiteral(text)
            | Token::DoubleQuotedByteStringLiteral(text)
            | Token::TripleSingleQuotedByteStringLiteral(text)
            | Token::TripleDoubleQuotedByteStringLiteral(text) => marked_quotes::restore(text),
            Token::Word(word) if word.quote_style == Some('`') => {
                word.value = word.value.replace("``", "`");
            }
            Token::HexStringLiteral(digits) if is_number(sql, &token.span) => {
                token.token = Token::Number(hexadecimal(digits)?, false);
            }
            _ => {}
        }
    }
    plain_calls(&mut tokens);
    tables_given(&mut tokens)?;
    inserted_queries::bare(&mut tokens);
    unpivot_labels::named(&mut tokens);
    let tokens = with_digits(tokens);
    let tokens = table_versions::before_aliases(tokens);
    let tokens = matched_columns::readable(tokens);
    let tokens = pipes::readable(tokens);
    let parser = Parser::new(&GoogleSql).with_recursion_limit(MAX_NESTING);
    Ok(parser.with_tokens_with_locations(typed(required(joined(tokens)))))
}

/// Whether a literal of hexadecimal digits is a number, `0x1F`, and not the other thing that the tokens have for it.
fn is_number(sql: &str, span: &Span) -> bool {
    let line = usize::try_from(span.start.line)
        .ok()
        .and_then(|n| n.checked_sub(1));
    let line = line.and_then(|line| sql.split('\n').nth(line));
    let column = usize::try_from(span.start.column).unwrap_or(0);
    let first = line.and_then(|line| line.chars().nth(column.saturating_sub(1)));
    first == Some('0')
}

fn hexadecimal(digits: &str) -> Result<String, QueryError> {
    let number = i64::from_str_radix(digits, 16);
    let number = number.map_err(|_| QueryError::Invalid {
        message: format!("Invalid integer literal: 0x{digits}"),
    })?;
    Ok(number.to_string())
}

/// Functions behind `SAFE.` that the parser knows forms of which it does not look for there are names like any other.
fn plain_calls(tokens: &mut [TokenWithSpan]) {
    for at in 2..tokens.len() {
        let [first, dot, word] = tokens.get_mut(at - 2..=at).unwrap_or_default() else {
            continue;
        };
        let safe = matches!(&first.token, Token::Word(w) if w.value.eq_ignore_ascii_case("SAFE"));
        if let (true, Token::Period, Token::Word(word)) = (safe, &dot.token, &mut word.token) {
            word.keyword = Keyword::NoKeyword;
        }
    }
}

/// Whether a token is this word, and no name in backticks.
pub(super) fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// Table functions that are given a table or a model by a word in front of its name.
const GIVEN_TABLES: [&str; 3] = ["EXTERNAL_OBJECT_TRANSFORM", "GAP_FILL", "VECTOR_SEARCH"];

/// Leaves out the word TABLE in front of the table of `RANGE_SESSIONIZE(TABLE t, ...)`, where the parser looks for a value.
///
/// # Errors
/// [`QueryError::Unsupported`] for functions that are given a table or a model as well, and are not there.
fn tables_given(tokens: &mut [TokenWithSpan]) -> Result<(), QueryError> {
    let mut before = [const { Token::EOF }; 4];
    for token in tokens {
        if matches!(token.token, Token::Whitespace(_)) {
            continue;
        }
        let [family, dot, name, open] = &before;
        let given = *open == Token::LParen
            && (is_word(&token.token, "TABLE") || is_word(&token.token, "MODEL"));
        if given && is_word(name, "RANGE_SESSIONIZE") {
            token.token = Token::Whitespace(Whitespace::Space);
        } else if token.token == Token::LParen
            && *name != Token::Period
            && let Some(known) = GIVEN_TABLES.iter().find(|known| is_word(open, known))
        {
            return Err(unsupported(format!("the table function {known}")));
        } else if given && *dot == Token::Period && (is_word(family, "ML") || is_word(family, "AI"))
        {
            return Err(unsupported(format!("the function {family}.{name}")));
        }
        before.rotate_left(1);
        before[3] = token.token.clone();
    }
    Ok(())
}

/// Words behind which a number may stand without a space.
const BEFORE_NUMBERS: &[&str] = &[
    "AND", "BETWEEN", "BY", "ELSE", "IN", "LIKE", "LIMIT", "NOT", "OFFSET", "ON", "OR", "RETURN",
    "SELECT", "THEN", "VALUES", "WHEN", "WHERE",
];

/// Names in a path that begin with digits, which the tokenizer takes for numbers: `dataset.2020_table`.
fn with_digits(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let behind_name = match all.last().map(|t| &t.token) {
            Some(Token::Word(word)) => {
                word.quote_style.is_some()
                    || !BEFORE_NUMBERS.contains(&word.value.to_ascii_uppercase().as_str())
            }
            _ => false,
        };
        let number = match &token.token {
            Token::Number(number, _) => number.strip_prefix('.').map(str::to_owned),
            _ => None,
        };
        let Some(mut name) = number.filter(|_| behind_name) else {
            all.push(token);
            continue;
        };
        if let Some(next) =
            rest.next_if(|t| matches!(&t.token, Token::Word(w) if w.quote_style.is_none()))
            && let Token::Word(word) = next.token
        {
            name.push_str(&word.value);
        }
        let span = token.span;
        let word = Token::make_word(&name, Some('`'));
        all.extend([Token::Period, word].map(|token| TokenWithSpan { token, span }));
    }
    all
}

/// What stands for NOT NULL behind a field of a struct, among its options.
pub(in crate::query) const REQUIRED: &str = "millpond_required";

/// Makes an option of NOT NULL between the angle brackets of a type, where the parser knows options only.
fn required(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut depth = 0_usize;
    let mut rest = tokens.into_iter().peekable();
    let mut before = Token::EOF;
    while let Some(token) = rest.next() {
        match &token.token {
            Token::Lt if depth > 0 || is_word(&before, "STRUCT") || is_word(&before, "ARRAY") => {
                depth += 1
            }
            Token::Gt => depth = depth.saturating_sub(1),
            // One token, and the parser wants two where the type of a literal ends.
            Token::ShiftRight if depth > 1 => {
                depth -= 2;
                before = Token::Gt;
                for _ in 0..2 {
                    all.push(TokenWithSpan {
                        token: Token::Gt,
                        span: token.span,
                    });
                }
                continue;
            }
            Token::SemiColon => depth = 0,
            _ => {}
        }
        let not_null = depth > 0 && is_word(&token.token, "NOT");
        if !matches!(token.token, Token::Whitespace(_)) {
            before = token.token.clone();
        }
        if !not_null {
            all.push(token);
            continue;
        }
        let span = token.span;
        let mut put = |token: Token| all.push(TokenWithSpan { token, span });
        let space = |t: &TokenWithSpan| matches!(t.token, Token::Whitespace(_));
        while rest.next_if(space).is_some() {}
        if rest.next_if(|t| is_word(&t.token, "NULL")).is_none() {
            put(before.clone());
            continue;
        }
        while rest.next_if(space).is_some() {}
        put(Token::make_word("OPTIONS", None));
        put(Token::LParen);
        put(Token::make_word(REQUIRED, None));
        put(Token::Eq);
        put(Token::make_word("TRUE", None));
        if rest.next_if(|t| is_word(&t.token, "OPTIONS")).is_some() {
            while rest.next_if(space).is_some() {}
            rest.next_if(|t| t.token == Token::LParen);
            put(Token::Comma);
        } else {
            put(Token::RParen);
        }
    }
    all
}

/// Makes casts of arrays with a type, `ARRAY<T>[...]`, which the parser does not know.
fn typed(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let rest = tokens.get(at..).unwrap_or_default();
        let Some((kind, elements)) = typed_array(rest) else {
            all.push(token.clone());
            at += 1;
            continue;
        };
        let span = token.span;
        let word = |word: &str| TokenWithSpan {
            token: Token::make_word(word, None),
            span,
        };
        let sign = |token: Token| TokenWithSpan { token, span };
        let space = || sign(Token::Whitespace(Whitespace::Space));
        at += kind.len() + elements.len();
        all.extend([word("CAST"), sign(Token::LParen)]);
        all.extend(typed(elements.to_vec()));
        all.extend([space(), word("AS"), space()]);
        all.extend(kind.to_vec());
        all.push(sign(Token::RParen));
    }
    all
}

/// The tokens of an array's type and those of its elements, brackets included, if an array with a type comes next.
fn typed_array(tokens: &[TokenWithSpan]) -> Option<(&[TokenWithSpan], &[TokenWithSpan])> {
    let Token::Word(first) = &tokens.first()?.token else {
        return None;
    };
    if first.quote_style.is_some() || !first.value.eq_ignore_ascii_case("ARRAY") {
        return None;
    }
    let until = |from: usize, open: &Token, close: &Token| {
        let mut depth = 0_usize;
        for (at, token) in tokens.iter().enumerate().skip(from) {
            match &token.token {
                other if other == open => depth += 1,
                other if other == close => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                Token::Whitespace(_) => {}
                // Nothing may stand before what opens.
                _ if depth == 0 => return None,
                _ => {}
            }
        }
        None
    };
    let end = until(1, &Token::Lt, &Token::Gt)?;
    let last = until(end, &Token::LBracket, &Token::RBracket)?;
    Some((tokens.get(..end)?, tokens.get(end..last)?))
}

/// Puts the two at signs of a system variable and its name together, which the tokens have apart.
fn joined(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let plain = |token: &Token| match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.clone()),
        _ => None,
    };
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        let sign = all.last().is_some_and(|last| {
            plain(&last.token).as_deref() == Some("@") && last.span.end == token.span.start
        });
        match plain(&token.token) {
            Some(name) if sign && name.starts_with('@') => {
                if let Some(last) = all.last_mut() {
                    last.token = Token::make_word(&format!("@{name}"), None);
                    last.span.end = token.span.end;
                }
            }
            _ => all.push(token),
        }
    }
    all
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

/// The bytes that a literal of bytes stands for, which is read with its escapes.
///
/// # Errors
/// [`QueryError::Invalid`] for an escape that bytes do not have.
pub(in crate::query) fn bytes(literal: &str) -> Result<Vec<u8>, QueryError> {
    let mut all = Vec::with_capacity(literal.len());
    let mut rest = literal.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            all.extend(c.to_string().as_bytes());
            continue;
        }
        let kind = rest.clone().next();
        let escaped = escaped(&mut rest)?;
        match kind {
            // A number is that of a byte.
            Some('x' | 'X' | '0'..='3') => {
                all.extend(u8::try_from(u32::from(escaped)).ok());
            }
            Some('u' | 'U') => {
                return Err(QueryError::Invalid {
                    message: "Syntax error: Illegal escape sequence: Unicode escape sequence cannot be used in bytes literals".to_owned(),
                });
            }
            _ => all.extend(escaped.to_string().as_bytes()),
        }
    }
    Ok(all)
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
