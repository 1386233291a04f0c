//! `UNPIVOT(v FOR l IN (a AS 1, b AS 2))`: labels that are integers, where the parser looks for names.
//!
//! Must not know what a label is for.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::escapes::is_word;

/// Makes such integers names in backticks.
pub(super) fn named(tokens: &mut [TokenWithSpan]) {
    // How deep parentheses are, from those of UNPIVOT on.
    let mut depth: Option<usize> = None;
    let mut before = Token::EOF;
    for token in tokens {
        match (&mut token.token, depth) {
            (Token::Whitespace(_), _) => continue,
            (word, None) if is_word(word, "UNPIVOT") => depth = Some(0),
            (Token::LParen, Some(open)) => depth = Some(open + 1),
            (Token::RParen, Some(open)) => depth = open.checked_sub(1).filter(|open| *open > 0),
            (Token::SemiColon, _) => depth = None,
            (Token::Number(number, false), Some(_)) if is_word(&before, "AS") => {
                token.token = Token::make_word(number, Some('`'));
            }
            _ => {}
        }
        before = token.token.clone();
    }
}
