//! Patterns and replacements as RE2 reads them, written for the library that matches here.

use datafusion::common::{Result, exec_err};

/// A pattern of RE2 in the other library's syntax: classes of letters are ASCII, and brackets and signs that only it knows inside of
/// classes are themselves.
pub(super) fn of_re2(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('Q') if !in_class => {
                    let mut text = String::new();
                    while let Some(c) = rest.next() {
                        if c == '\\' && rest.next_if_eq(&'E').is_some() {
                            break;
                        }
                        text.push(c);
                    }
                    out.push_str(&regex::escape(&text));
                }
                Some(class @ ('w' | 'W' | 'd' | 'D' | 's' | 'S')) => {
                    out.push_str(&ascii(class, in_class));
                }
                Some('b') if !in_class => out.push_str(r"(?-u:\b)"),
                Some('C') if !in_class => out.push_str("(?s:.)"),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if rest.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // A bracket that comes first is one of the characters.
                if rest.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            '[' if rest.peek() == Some(&':') => {
                // `[:alpha:]`, which both know.
                out.push('[');
                for c in rest.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' => out.push_str(r"\["),
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

fn ascii(class: char, in_class: bool) -> String {
    let inner = match class.to_ascii_lowercase() {
        'w' => "0-9A-Za-z_",
        'd' => "0-9",
        _ => r"\t\n\x0C\r ",
    };
    match (class.is_ascii_uppercase(), in_class) {
        (false, true) => inner.to_owned(),
        (false, false) => format!("[{inner}]"),
        (true, _) => format!("[^{inner}]"),
    }
}

/// A pattern of bytes as a text; those above ASCII by their numbers.
pub(super) fn of_bytes(pattern: &[u8]) -> String {
    let one = |byte: &u8| match byte.is_ascii() {
        true => char::from(*byte).to_string(),
        false => format!("\\x{byte:02x}"),
    };
    pattern.iter().map(one).collect()
}

/// A part of a replacement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(Vec<u8>),
    Group(usize),
}

/// The parts of a replacement, where `\0` to `\9` are groups, of an expression that has so many of them with the whole match.
pub(super) fn template(text: &[u8], groups: usize) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut plain = Vec::new();
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'\\') => plain.push(b'\\'),
            Some(digit @ b'0'..=b'9') => {
                let number = usize::from(digit - b'0');
                if number >= groups {
                    return exec_err!(
                        "Invalid REGEXP_REPLACE pattern: the expression has no group {number}"
                    );
                }
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Group(number));
            }
            _ => {
                return exec_err!(
                    "Invalid REGEXP_REPLACE pattern: a backslash must be followed by a digit or another backslash"
                );
            }
        }
    }
    parts.push(Part::Text(plain));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn patterns_are_those_of_re2() {
        for (pattern, text, is) in [
            (r"^\w\w$", "aé", false),
            (r"^\W$", "é", true),
            (r"\bé\b", "é", false),
            (r"^[\w.]+$", "a.b", true),
            (r"^[^\d]$", "٣", true),
            (r"^[[]$", "[", true),
            (r"^[]a]+$", "]a", true),
            (r"^[a&&b]+$", "&", true),
            (r"^\Qa.b\E$", "a.b", true),
            (r"^\Qa.b\E$", "axb", false),
            (r"^[[:alpha:]]+$", "ab", true),
            ("^.$", "é", true),
        ] {
            let own = of_re2(pattern);
            let regex = regex::bytes::Regex::new(&own).unwrap();
            assert_eq!(regex.is_match(text.as_bytes()), is, "{pattern} as {own}");
        }
    }

    #[test]
    fn replacements_name_groups_by_digits() {
        let parts = template(br"a\1\\$1", 2).unwrap();
        assert_eq!(
            parts,
            [
                Part::Text(b"a".to_vec()),
                Part::Group(1),
                Part::Text(br"\$1".to_vec())
            ]
        );
        assert!(template(br"\2", 2).is_err());
        assert!(template(br"\x", 2).is_err());
    }
}
