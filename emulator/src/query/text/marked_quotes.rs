//! Quotes behind backslashes in raw texts and literals of bytes, `r'it\'s'` and `b"\""`, which the tokenizer takes for the ends of these literals;
//! and raw bytes, `rb'\d'`, which it does not know.
//!
//! Marks stand for characters, one for one, so that places in the text stay what they are. Must not know what a literal means.

use std::borrow::Cow;

use super::placeholders::{in_word, line, quoted};

/// Stands for `'` behind a backslash.
const SINGLE: char = '\u{fdd0}';

/// Stands for `"` behind a backslash.
const DOUBLE: char = '\u{fdd1}';

/// Stands for a backslash that is one, in bytes.
const BACKSLASH: char = '\u{fdd2}';

/// The text with marks in such literals. A text that has those characters is left alone, which no text should have.
pub(super) fn marked(sql: &str) -> Cow<'_, str> {
    if !sql.contains('\\') && !sql.contains(['b', 'B']) || sql.contains([SINGLE, DOUBLE, BACKSLASH])
    {
        return Cow::Borrowed(sql);
    }
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    let special = |c: char| matches!(c, '\'' | '"' | '`' | '#' | '-' | '/') || in_word(c);
    while let Some(at) = rest.find(special) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let len = match from.chars().next() {
            Some('#') => line(from),
            Some('-') if from.starts_with("--") => line(from),
            Some('/') if from.starts_with("/*") => {
                from.find("*/").map_or(from.len(), |end| end + 2)
            }
            Some('\'' | '"' | '`') => quoted(from),
            Some(c) if in_word(c) => from.find(|c| !in_word(c)).unwrap_or(from.len()),
            _ => 1,
        };
        let (whole, after) = from.split_at(len);
        rest = after;
        let (raw, bytes) = match whole.to_ascii_lowercase().as_str() {
            "r" => (true, false),
            "b" => (false, true),
            "rb" | "br" => (true, true),
            _ => (false, false),
        };
        if !(raw || bytes) || !rest.starts_with(['\'', '"']) {
            out.push_str(whole);
            continue;
        }
        match raw && bytes {
            true => out.push_str(" b"),
            false => out.push_str(whole),
        }
        let (literal, after) = rest.split_at(quoted(rest));
        rest = after;
        mark(literal, raw && bytes, &mut out);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A literal with marks; `plain` tells that its backslashes are nothing but that.
fn mark(literal: &str, plain: bool, out: &mut String) {
    let backslash = if plain { BACKSLASH } else { '\\' };
    let mut characters = literal.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(backslash);
        out.extend(characters.next().map(|next| match next {
            '\'' => SINGLE,
            '"' => DOUBLE,
            '\\' => backslash,
            other => other,
        }));
    }
}

/// Puts the characters back; backslashes of raw bytes become escapes of backslashes, as bytes are read with their escapes.
pub(super) fn restore(literal: &mut String) {
    if literal.contains([SINGLE, DOUBLE, BACKSLASH]) {
        *literal = literal
            .replace(SINGLE, "'")
            .replace(DOUBLE, "\"")
            .replace(BACKSLASH, "\\\\");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::query::text::escapes;

    #[test]
    fn quotes_behind_backslashes_are_parts_of_literals() {
        for (sql, shown) in [
            (r"r'it\'s'", r"R'it\'s'"),
            (r#"r"[\"']""#, r#"R"[\"']""#),
            (r"b'\'\\'", r"B'\'\\'"),
            (r"rb'\d\''", r"B'\\d\\''"),
            (r#"Br"\"""#, r#"B"\\"""#),
        ] {
            let value = escapes::parser(sql).unwrap().parse_value().unwrap();
            assert_eq!(value.to_string(), shown, "{sql}");
        }
    }

    #[test]
    fn places_in_the_text_stay() {
        for sql in [
            r"SELECT r'it\'s', b'\'', rb'\d\'', 'it\'s' -- rb'\''",
            r#"SELECT r"""a\"""", `rb'\'`, barb"x" FROM t # b'\''"#,
            r"SELECT b'\\', /* r'\' */ br'\\'",
        ] {
            let marked = marked(sql);
            assert_eq!(marked.chars().count(), sql.chars().count(), "{marked}");
            for (one, other) in sql.chars().zip(marked.chars()) {
                let same = one == other || [SINGLE, DOUBLE, BACKSLASH, 'b', ' '].contains(&other);
                assert!(same, "{one} {other} in {marked}");
            }
        }
    }

    #[test]
    fn what_is_no_such_literal_stays() {
        for sql in [
            r"SELECT 'it\'s', `b'\'`, b.c -- b'\''",
            r"SELECT /* rb'\'' */ 'b\'' # r'\''",
            r"SELECT ab'x', r'\d', b'\x41'",
        ] {
            assert_eq!(marked(sql), sql);
        }
    }
}
