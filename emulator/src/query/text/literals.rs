//! Literal texts: all kinds of quotes brought to one, and written so that they mean the same when a statement is read again.
//!
//! Must not know what a text is for.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Value, ValueWithSpan, VisitMut, VisitorMut};

use crate::syntax_walk;

/// The text of a literal in quotes of whatever kind.
fn text_of(value: &Value) -> Option<&String> {
    match value {
        Value::SingleQuotedString(text)
        | Value::DoubleQuotedString(text)
        | Value::TripleSingleQuotedString(text)
        | Value::TripleDoubleQuotedString(text)
        | Value::SingleQuotedRawStringLiteral(text)
        | Value::DoubleQuotedRawStringLiteral(text)
        | Value::TripleSingleQuotedRawStringLiteral(text)
        | Value::TripleDoubleQuotedRawStringLiteral(text) => Some(text),
        _ => None,
    }
}

/// A literal text in single quotes; `None` for any other literal, and for one that is so already.
pub(in crate::query) fn plain(value: &Value) -> Option<Value> {
    if matches!(value, Value::SingleQuotedString(_)) {
        return None;
    }
    text_of(value).map(|text| Value::SingleQuotedString(text.clone()))
}

/// Makes the texts in a part of a statement such that it can be written and read again: the parser takes escapes away when it reads,
/// and does not put them back when it writes.
pub(crate) fn escape<T: VisitMut>(part: &mut T) {
    struct Escaping;
    impl VisitorMut for Escaping {
        type Break = Infallible;

        fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Infallible> {
            if let Some(text) = text_of(&value.value) {
                let mut escaped = String::with_capacity(text.len());
                for c in text.chars() {
                    match c {
                        '\\' => escaped.push_str("\\\\"),
                        '\'' => escaped.push_str("\\'"),
                        '\n' => escaped.push_str("\\n"),
                        '\r' => escaped.push_str("\\r"),
                        c => escaped.push(c),
                    }
                }
                value.value = Value::SingleQuotedString(escaped);
            }
            ControlFlow::Continue(())
        }
    }
    let Ok(()) = syntax_walk::visit_mut(part, &mut Escaping);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::query::text::escapes;

    #[test]
    fn texts_are_the_same_when_they_are_read_again() {
        for literal in [
            r"'it\'s \\ \n a'",
            r#""say \"hi\" 'x' \t""#,
            "\"\"\"two\nlines with \"quotes\" and 'others' \\\\d \"\"\"",
            r"r'\d+\\'",
            r"'ü \x41 C:\\new'",
        ] {
            let read = |sql: &str| {
                let mut parser = escapes::parser(sql).unwrap();
                parser.parse_value().unwrap()
            };
            let mut value = read(literal);
            let text = text_of(&value.value).unwrap().clone();
            escape(&mut value);
            let again = read(&value.to_string());
            assert_eq!(text_of(&again.value), Some(&text), "{literal} {value}");
        }
    }
}
