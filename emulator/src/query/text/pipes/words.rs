//! Pipe operators that the parser does not know, in words that it does.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// The call that `|> DISTINCT` becomes.
pub(in crate::query) const DISTINCT: &str = "millpond_distinct_rows";

/// The call in front of a list of columns that is DISTINCT.
pub(in crate::query) const DISTINCT_LIST: &str = "millpond_distinct_list";

/// The call in front of AGGREGATE with GROUP AND ORDER BY.
pub(in crate::query) const ORDERED: &str = "millpond_ordered_groups";

fn is(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

fn word(text: &str, keyword: Keyword) -> Token {
    Token::Word(Word {
        value: text.to_owned(),
        quote_style: None,
        keyword,
    })
}

/// The tokens of a call as an operator, without the arrow in front.
fn call(name: &str) -> [Token; 4] {
    [
        word("CALL", Keyword::CALL),
        word(name, Keyword::NoKeyword),
        Token::LParen,
        Token::RParen,
    ]
}

/// `(FROM t)` as `(SELECT * FROM t)`, which the parser looks for in an expression.
fn selected(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut opened = false;
    for token in tokens {
        if opened && is(&token.token, "FROM") {
            let star = [word("SELECT", Keyword::SELECT), Token::Mul];
            all.extend(star.map(|other| TokenWithSpan {
                token: other,
                span: token.span,
            }));
        }
        if !matches!(token.token, Token::Whitespace(_)) {
            opened = token.token == Token::LParen;
        }
        all.push(token);
    }
    all
}

/// Writes operators in words that the parser knows.
pub(in crate::query) fn readable(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let arrow = |t: &TokenWithSpan| t.token == Token::VerticalBarRightAngleBracket;
    let tokens = selected(tokens);
    if !tokens.iter().any(arrow) {
        return tokens;
    }
    let mut all: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut left_out: Vec<usize> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if left_out.contains(&at) {
            continue;
        }
        all.push(token.clone());
        if !arrow(token) {
            continue;
        }
        let mut behind = words_behind(&tokens, at);
        let mut put = |tokens: &[Token]| {
            all.extend(tokens.iter().map(|other| TokenWithSpan {
                token: other.clone(),
                span: token.span,
            }));
        };
        let Some((first, operator)) = behind.next() else {
            continue;
        };
        if is(operator, "DISTINCT") {
            put(&call(DISTINCT));
            left_out.push(first);
        } else if is(operator, "WINDOW") {
            put(&[word("EXTEND", Keyword::EXTEND)]);
            left_out.push(first);
        } else if is(operator, "SELECT") {
            if let Some((second, next)) = behind.next()
                && is(next, "DISTINCT")
            {
                put(&call(DISTINCT_LIST));
                put(&[Token::VerticalBarRightAngleBracket]);
                left_out.push(second);
            }
        } else if is(operator, "AGGREGATE")
            && let Some(ordered) = group_and_order(&tokens, first)
        {
            put(&call(ORDERED));
            put(&[Token::VerticalBarRightAngleBracket]);
            left_out.extend(ordered);
        }
    }
    all
}

/// The tokens behind a place that are not spaces.
fn words_behind(tokens: &[TokenWithSpan], at: usize) -> impl Iterator<Item = (usize, &Token)> {
    let rest = tokens.iter().enumerate().skip(at + 1);
    rest.filter(|(_, t)| !matches!(t.token, Token::Whitespace(_)))
        .map(|(at, t)| (at, &t.token))
}

/// The places of AND and ORDER in `GROUP AND ORDER BY` of an operator.
fn group_and_order(tokens: &[TokenWithSpan], operator: usize) -> Option<[usize; 2]> {
    let mut depth = 0_i32;
    let mut words = words_behind(tokens, operator).peekable();
    while let Some((_, token)) = words.next() {
        match token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth -= 1,
            Token::VerticalBarRightAngleBracket if depth == 0 => return None,
            _ => {}
        }
        if depth < 0 {
            return None;
        }
        if depth == 0 && is(token, "GROUP") {
            let (and, _) = words.next_if(|(_, t)| is(t, "AND"))?;
            let (order, _) = words.next_if(|(_, t)| is(t, "ORDER"))?;
            return Some([and, order]);
        }
    }
    None
}
