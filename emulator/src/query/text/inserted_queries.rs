//! `INSERT INTO t (WITH ...)` and `INSERT INTO t ((SELECT ...))`: the parser takes these parentheses for those of a list of columns.
//!
//! Must not know what is inserted.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use super::escapes::is_word;

/// Takes such parentheses away.
pub(super) fn bare(tokens: &mut [TokenWithSpan]) {
    // Tokens that are not spaces.
    let telling: Vec<usize> = (0..tokens.len())
        .filter(|at| {
            let token = tokens.get(*at).map(|t| &t.token);
            !matches!(token, Some(Token::Whitespace(_)) | None)
        })
        .collect();
    let token = |nth: usize| {
        let found = telling.get(nth).and_then(|at| tokens.get(*at));
        found.map_or(&Token::EOF, |t| &t.token)
    };
    let mut pairs = Vec::new();
    for first in 0..telling.len() {
        if !is_word(token(first), "INSERT") {
            continue;
        }
        let name = first
            + if is_word(token(first + 1), "INTO") {
                2
            } else {
                1
            };
        let mut open = name;
        while matches!(token(open), Token::Word(_) | Token::Period | Token::Minus) {
            open += 1;
        }
        let is_query = is_word(token(open + 1), "WITH") || *token(open + 1) == Token::LParen;
        if open == name || *token(open) != Token::LParen || !is_query {
            continue;
        }
        let Some(close) = closing(open, &token) else {
            continue;
        };
        if matches!(token(close + 1), Token::EOF | Token::SemiColon) {
            pairs.extend([open, close]);
        }
    }
    for at in pairs {
        let place = telling.get(at).and_then(|at| tokens.get_mut(*at));
        if let Some(place) = place {
            place.token = Token::Whitespace(Whitespace::Space);
        }
    }
}

/// The parenthesis that closes the one at `open`.
fn closing<'t>(open: usize, token: &impl Fn(usize) -> &'t Token) -> Option<usize> {
    let mut depth = 0_usize;
    for at in open.. {
        match token(at) {
            Token::LParen => depth += 1,
            Token::RParen if depth == 1 => return Some(at),
            Token::RParen => depth -= 1,
            Token::EOF => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::query::text::escapes;

    fn read(sql: &str) -> String {
        let parsed = escapes::parser(sql).unwrap().parse_statement().unwrap();
        parsed.to_string()
    }

    #[test]
    fn queries_may_stand_in_parentheses_whatever_they_begin_with() {
        for (nested, plain) in [
            (
                "INSERT INTO `p`.d.t\n(\n  WITH w AS (SELECT 1) SELECT * FROM w\n)",
                "INSERT INTO `p`.d.t WITH w AS (SELECT 1) SELECT * FROM w",
            ),
            (
                "INSERT t ((SELECT 1) UNION ALL (SELECT 2));",
                "INSERT t (SELECT 1) UNION ALL (SELECT 2)",
            ),
        ] {
            assert_eq!(read(nested), read(plain));
        }
        let columns = "INSERT INTO t (a, b) (WITH w AS (SELECT 1, 2) SELECT * FROM w)";
        assert!(read(columns).contains("(a, b)"), "{}", read(columns));
    }
}
