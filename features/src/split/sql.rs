//! Quoting for the BigQuery SQL that splits print about themselves.
//!
//! Owns the lexical rules of names and texts; knows nothing of splits.

use std::fmt::Write;

/// A column name in backticks.
pub(super) fn quoted_name(name: &str) -> String {
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('`');
    escape(name, '`', &mut quoted);
    quoted.push('`');
    quoted
}

/// A text literal in single quotes.
pub(super) fn quoted_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    escape(text, '\'', &mut quoted);
    quoted.push('\'');
    quoted
}

fn escape(text: &str, quote: char, out: &mut String) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            character if character == quote => {
                out.push('\\');
                out.push(character);
            }
            character if character.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            character => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_would_end_the_literal() {
        assert_eq!(quoted_text("a'b\\c\n"), "'a\\'b\\\\c\\n'");
        assert_eq!(quoted_text("\u{1f}"), "'\\u001f'");
        assert_eq!(quoted_name("we`ird"), "`we\\`ird`");
        assert_eq!(quoted_name("käse"), "`käse`");
    }
}
