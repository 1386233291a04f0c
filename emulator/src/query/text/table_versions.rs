//! `FROM t AS a FOR SYSTEM_TIME AS OF ...`: GoogleSQL has the alias first, the parser has it last.
//!
//! Must not know what the point in time means.

use std::ops::Range;

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use super::escapes::is_word;

const VERSION: [&str; 4] = ["FOR", "SYSTEM_TIME", "AS", "OF"];

/// Words behind which a name is a table, and no alias of one.
const BEFORE_TABLES: &[&str] = &["FROM", "JOIN", "CLONE", "COPY", "INTO", "USING"];

/// Words that end the point in time.
const BEHIND: &[&str] = &[
    "CROSS",
    "EXCEPT",
    "FULL",
    "GROUP",
    "HAVING",
    "INNER",
    "INTERSECT",
    "JOIN",
    "LEFT",
    "LIMIT",
    "ON",
    "OPTIONS",
    "ORDER",
    "PIVOT",
    "QUALIFY",
    "RIGHT",
    "TABLESAMPLE",
    "UNION",
    "UNPIVOT",
    "USING",
    "WHERE",
    "WINDOW",
];

/// Puts aliases behind the points in time of their tables.
pub(super) fn before_aliases(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    // Tokens that are not spaces.
    let telling: Vec<usize> = (0..tokens.len())
        .filter(|at| {
            tokens
                .get(*at)
                .is_some_and(|t| !matches!(t.token, Token::Whitespace(_)))
        })
        .collect();
    let token = |nth: usize| telling.get(nth).and_then(|at| tokens.get(*at));
    // What is moved, as places of tokens: an alias, and where its point in time ends.
    let mut moves: Vec<(Range<usize>, usize)> = Vec::new();
    for first in 2..telling.len() {
        let version = VERSION
            .iter()
            .enumerate()
            .all(|(nth, word)| token(first + nth).is_some_and(|t| is_word(&t.token, word)));
        let Some(from) = version.then(|| alias_before(first, &token)).flatten() else {
            continue;
        };
        let end = end_of_expression(first + VERSION.len(), &token);
        let place = |nth: usize| telling.get(nth).copied().unwrap_or(tokens.len());
        moves.push((place(from)..place(first), place(end)));
    }
    let mut all = Vec::with_capacity(tokens.len());
    let mut waiting: Vec<(usize, Vec<TokenWithSpan>)> = Vec::new();
    let mut moves = moves.into_iter().peekable();
    let mut rest = tokens.into_iter().enumerate().peekable();
    while let Some((at, token)) = rest.next() {
        if let Some((_, aliases)) = waiting.pop_if(|(end, _)| *end == at) {
            all.extend(aliases);
        }
        if let Some((alias, end)) = moves.next_if(|(alias, _)| alias.start == at) {
            let space = TokenWithSpan {
                token: Token::Whitespace(Whitespace::Space),
                span: token.span,
            };
            let mut moved = vec![space.clone(), token];
            while let Some((_, token)) = rest.next_if(|(at, _)| alias.contains(at)) {
                moved.push(token);
            }
            moved.push(space);
            waiting.push((end, moved));
            continue;
        }
        all.push(token);
    }
    all.extend(waiting.into_iter().rev().flat_map(|(_, aliases)| aliases));
    all
}

/// Where the alias begins that ends before the token `first`, if there is one.
fn alias_before<'t>(
    first: usize,
    token: &impl Fn(usize) -> Option<&'t TokenWithSpan>,
) -> Option<usize> {
    let name = first.checked_sub(1)?;
    let before = name.checked_sub(1)?;
    if !matches!(token(name)?.token, Token::Word(_)) {
        return None;
    }
    match &token(before)?.token {
        word if is_word(word, "AS") => Some(before),
        Token::Word(word)
            if word.quote_style.is_some()
                || !BEFORE_TABLES
                    .iter()
                    .any(|name| word.value.eq_ignore_ascii_case(name)) =>
        {
            Some(name)
        }
        _ => None,
    }
}

/// The first token behind an expression that begins with the token `first`.
fn end_of_expression<'t>(
    first: usize,
    token: &impl Fn(usize) -> Option<&'t TokenWithSpan>,
) -> usize {
    let mut depth = 0_usize;
    let mut at = first;
    while let Some(found) = token(at) {
        match &found.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket if depth > 0 => depth -= 1,
            Token::RParen | Token::RBracket => break,
            _ if depth > 0 => {}
            Token::Comma | Token::SemiColon | Token::EOF | Token::VerticalBarRightAngleBracket => {
                break;
            }
            word if BEHIND.iter().any(|name| is_word(word, name)) => break,
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::query::text::escapes;

    fn read(sql: &str) -> String {
        let parsed = escapes::parser(sql).unwrap().parse_query().unwrap();
        parsed.to_string()
    }

    #[test]
    fn an_alias_stands_on_either_side_of_the_point_in_time() {
        let (at, other) = ("TIMESTAMP_SUB(NOW(), 3)", "CASE WHEN TRUE THEN @a END");
        for (first, last) in [
            (
                format!("SELECT 1 FROM `t` AS `a` FOR SYSTEM_TIME AS OF {at}"),
                format!("SELECT 1 FROM `t` FOR SYSTEM_TIME AS OF {at} AS `a`"),
            ),
            (
                format!("SELECT 1 FROM d.t a FOR SYSTEM_TIME AS OF {at} WHERE a.x"),
                format!("SELECT 1 FROM d.t FOR SYSTEM_TIME AS OF {at} a WHERE a.x"),
            ),
            (
                format!(
                    "SELECT 1 FROM (SELECT 2 FROM t x FOR SYSTEM_TIME AS OF {at}) AS y, u AS v FOR SYSTEM_TIME AS OF {at} JOIN w FOR SYSTEM_TIME AS OF {at} ON TRUE"
                ),
                format!(
                    "SELECT 1 FROM (SELECT 2 FROM t FOR SYSTEM_TIME AS OF {at} x) AS y, u FOR SYSTEM_TIME AS OF {at} AS v JOIN w FOR SYSTEM_TIME AS OF {at} ON TRUE"
                ),
            ),
            (
                format!("SELECT 1 FROM t AS a FOR SYSTEM_TIME AS OF ({other})"),
                format!("SELECT 1 FROM t FOR SYSTEM_TIME AS OF ({other}) AS a"),
            ),
        ] {
            assert_eq!(read(&first), read(&last));
        }
    }

    #[test]
    fn tables_without_an_alias_stay_as_they_are() {
        for sql in [
            "SELECT 1 FROM t FOR SYSTEM_TIME AS OF @at",
            "SELECT 1 FROM d.t FOR SYSTEM_TIME AS OF @at, u",
            "SELECT 1 FROM s AS r INNER JOIN `p.d.t` FOR SYSTEM_TIME AS OF @at ON TRUE",
        ] {
            assert!(!read(sql).contains("@at AS"), "{}", read(sql));
        }
    }
}
