//! Set operations that match columns by name in ways that the parser does not know: `LEFT OUTER UNION ALL BY NAME`, `CORRESPONDING`,
//! `INTERSECT DISTINCT BY NAME ON (a, b)`.
//!
//! What is said about columns becomes rows of VALUES between two operations: `a UNION ALL VALUES ('LEFT') UNION ALL b`.
//! Must not know which columns there are.

use datafusion::sql::sqlparser::ast::{Expr, SetExpr, Value};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// What the first value of such a row begins with.
const MARK: &str = "millpond_columns ";

/// Which columns a set operation has of those of its two queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::query) enum Mode {
    /// Those of both, which are to be the same.
    Strict,
    /// Those that both have.
    Inner,
    /// Those of the first.
    Left,
    /// All.
    Full,
}

const MODES: [(Mode, &str); 4] = [
    (Mode::Strict, "STRICT"),
    (Mode::Inner, "INNER"),
    (Mode::Left, "LEFT"),
    (Mode::Full, "FULL"),
];

/// Writes such operations in words that the parser knows.
pub(super) fn readable(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let telling: Vec<usize> = tokens
        .iter()
        .enumerate()
        .filter(|(_, t)| !matches!(t.token, Token::Whitespace(_)))
        .map(|(at, _)| at)
        .collect();
    let token = |nth: usize| Some(&tokens.get(*telling.get(nth)?)?.token);
    let mut all = Vec::with_capacity(tokens.len());
    let mut done = 0;
    let mut nth = 0;
    while nth < telling.len() {
        let behind_arrow = nth > 0 && token(nth - 1) == Some(&Token::VerticalBarRightAngleBracket);
        let found = if behind_arrow {
            None
        } else {
            Operation::at(nth, &token)
        };
        let Some(found) = found else {
            nth += 1;
            continue;
        };
        let place = |nth: usize| telling.get(nth).copied().unwrap_or(tokens.len());
        all.extend(tokens.get(done..place(nth)).into_iter().flatten().cloned());
        if let Some(first) = tokens.get(place(nth)) {
            let span = first.span;
            all.extend(found.written().map(|token| TokenWithSpan { token, span }));
        }
        nth = found.end;
        done = place(nth);
    }
    all.extend(tokens.get(done..).into_iter().flatten().cloned());
    all
}

/// A set operation that says more about its columns than the parser knows.
struct Operation {
    operator: Token,
    quantifier: Token,
    mode: Mode,
    columns: Vec<String>,
    /// The first token behind it.
    end: usize,
}

fn word(token: Option<&Token>) -> Option<String> {
    match token {
        Some(Token::Word(word)) if word.quote_style.is_none() => {
            Some(word.value.to_ascii_uppercase())
        }
        _ => None,
    }
}

impl Operation {
    fn at<'t>(first: usize, token: &impl Fn(usize) -> Option<&'t Token>) -> Option<Self> {
        let is = |nth: usize, name: &str| word(token(nth)).as_deref() == Some(name);
        let mut nth = first;
        let mut mode = None;
        for (named, name) in MODES {
            if named != Mode::Strict && is(nth, name) {
                mode = Some(named);
            }
        }
        nth += usize::from(mode.is_some());
        if mode != Some(Mode::Inner) && is(nth, "OUTER") {
            mode = mode.or(Some(Mode::Full));
            nth += 1;
        }
        let operators = ["UNION", "INTERSECT", "EXCEPT"];
        let operator = operators.iter().any(|name| is(nth, name));
        let quantified = is(nth + 1, "ALL") || is(nth + 1, "DISTINCT");
        if !operator || !quantified {
            return None;
        }
        let (operator, quantifier) = (token(nth)?.clone(), token(nth + 1)?.clone());
        let plain_union = is(nth, "UNION");
        nth += 2;
        let strict = is(nth, "STRICT");
        nth += usize::from(strict);
        let by_name = !strict && is(nth, "BY") && is(nth + 1, "NAME");
        let list = if by_name {
            nth += 2;
            "ON"
        } else if is(nth, "CORRESPONDING") {
            nth += 1;
            "BY"
        } else {
            return None;
        };
        let mut columns = Vec::new();
        if is(nth, list) && token(nth + 1) == Some(&Token::LParen) {
            nth += 2;
            loop {
                let Some(Token::Word(name)) = token(nth) else {
                    return None;
                };
                columns.push(name.value.clone());
                nth += 2;
                match token(nth - 1)? {
                    Token::Comma => {}
                    Token::RParen => break,
                    _ => return None,
                }
            }
        }
        if by_name && mode.is_none() && columns.is_empty() && plain_union {
            // The parser knows these.
            return None;
        }
        let otherwise = match by_name || strict {
            true => Mode::Strict,
            false => Mode::Inner,
        };
        Some(Self {
            operator,
            quantifier,
            mode: mode.unwrap_or(otherwise),
            columns,
            end: nth,
        })
    }

    fn written(&self) -> impl Iterator<Item = Token> + '_ {
        let operation = [self.operator.clone(), self.quantifier.clone()];
        let named = MODES.iter().find(|(mode, _)| *mode == self.mode);
        let mark = format!("{MARK}{}", named.map_or("", |(_, name)| name));
        let texts = std::iter::once(mark).chain(self.columns.iter().cloned());
        let mut values = Vec::new();
        for text in texts {
            values.extend([Token::Comma, Token::SingleQuotedString(text)]);
        }
        let rows = Token::make_keyword("VALUES");
        let values = values.into_iter().skip(1);
        let row = std::iter::once(Token::LParen)
            .chain(values)
            .chain([Token::RParen]);
        let before = operation.clone().into_iter().chain([rows]);
        before.chain(row).chain(operation)
    }
}

/// What is said about columns between two queries, if the first of them ends with that; it is taken out.
pub(in crate::query) fn taken(first: &mut SetExpr) -> Option<(Mode, Vec<String>)> {
    let SetExpr::SetOperation { left, right, .. } = first else {
        return None;
    };
    let SetExpr::Values(values) = right.as_ref() else {
        return None;
    };
    let [row] = values.rows.as_slice() else {
        return None;
    };
    let mut texts = row.iter().map(|value| match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    });
    let mark = texts.next().flatten()?;
    let name = mark.strip_prefix(MARK)?;
    let (mode, _) = *MODES.iter().find(|(_, own)| *own == name)?;
    let columns = texts.collect::<Option<Vec<String>>>()?;
    let only = std::mem::replace(left.as_mut(), SetExpr::Values(values.clone()));
    *first = only;
    Some((mode, columns))
}
