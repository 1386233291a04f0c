//! Text that the parser does not know, in words that it does: parameters with names in backticks (`@`a name``) and ranges
//! (`RANGE<DATE> '[2020-01-01, UNBOUNDED)'`).
//!
//! Must not know what a parameter's value is, or what a range holds.

/// What the names that stand in for them begin with.
const STAND_IN: &str = "millpond_quoted_";

/// What the types of ranges are called instead, before the type of their ends.
pub(in crate::query) const RANGE_OF: &str = "MILLPOND_RANGE_";

/// The text with names that the parser can read.
pub(in crate::query) fn readable(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    let special = |c| matches!(c, '\'' | '"' | '`' | '#' | '-' | '/' | '@' | 'R' | 'r');
    while let Some(at) = rest.find(special) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some((element, len)) = range_type(from).filter(|_| !out.ends_with(in_word)) {
            rest = from.get(len..).unwrap_or_default();
            let literal = rest.trim_start();
            if literal.starts_with(['\'', '"']) {
                let (text, after) = literal.split_at(quoted(literal));
                out.push_str(&format!("CAST({text} AS {RANGE_OF}{element})"));
                rest = after;
            } else {
                out.push_str(&format!("{RANGE_OF}{element}"));
            }
            continue;
        }
        let len = match from.chars().next() {
            Some('@') => match from.get(1..).filter(|name| name.starts_with('`')) {
                Some(name) => {
                    let len = quoted(name);
                    out.push('@');
                    out.push_str(STAND_IN);
                    for byte in unescaped(name.get(..len).unwrap_or(name)).bytes() {
                        out.push_str(&format!("{byte:02x}"));
                    }
                    rest = name.get(len..).unwrap_or_default();
                    continue;
                }
                None => 1,
            },
            Some('#') => line(from),
            Some('-') if from.starts_with("--") => line(from),
            Some('/') if from.starts_with("/*") => {
                from.find("*/").map_or(from.len(), |end| end + 2)
            }
            Some('\'' | '"' | '`') => quoted(from),
            // A letter and what follows is one word.
            Some('R' | 'r') => from.find(|c| !in_word(c)).unwrap_or(from.len()),
            _ => 1,
        };
        let (kept, after) = from.split_at(len);
        out.push_str(kept);
        rest = after;
    }
    out.push_str(rest);
    out
}

pub(super) fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The type of the ends of `RANGE<type>` and its length, if the text begins with that.
fn range_type(text: &str) -> Option<(String, usize)> {
    let word = text.get(..5).filter(|w| w.eq_ignore_ascii_case("range"))?;
    let inner = text.get(word.len()..)?.trim_start().strip_prefix('<')?;
    let (element, after) = inner.split_once('>')?;
    let element = element.trim().to_ascii_uppercase();
    matches!(element.as_str(), "DATE" | "DATETIME" | "TIMESTAMP")
        .then(|| (element, text.len() - after.len()))
}

/// The name that a parameter in the text was given.
pub(in crate::query) fn written(name: &str) -> Option<String> {
    let digits = name.strip_prefix(STAND_IN)?;
    let bytes: Option<Vec<u8>> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    String::from_utf8(bytes?).ok()
}

pub(super) fn line(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// The length of what stands in quotes, quotes included; three of them may be one.
pub(super) fn quoted(text: &str) -> usize {
    let first = text.chars().next().unwrap_or_default();
    let three: String = [first; 3].iter().collect();
    let mark = if first != '`' && text.starts_with(&three) {
        three
    } else {
        first.to_string()
    };
    let mut at = mark.len();
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(&mark) {
            return at + mark.len();
        }
        let escape = rest.starts_with('\\');
        let mut characters = rest.chars();
        let one = characters.next().map_or(1, char::len_utf8);
        let next = characters.next().map_or(0, char::len_utf8);
        at += if escape { one + next } else { one };
    }
    text.len()
}

fn unescaped(quoted: &str) -> String {
    let inner = quoted.strip_prefix('`').unwrap_or(quoted);
    let inner = inner.strip_suffix('`').unwrap_or(inner);
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => out.extend(characters.next()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_names_of_parameters_are_replaced() {
        for same in [
            "SELECT '@`a`', \"@`b\\\"`\", `@`, r'''@`c` ' ''' -- @`d`\n# @`e`\n/* @`f` */, @g, a - b / c",
            "SELECT 'open @`a`",
            "",
        ] {
            assert_eq!(readable(same), same);
        }
        let changed = readable("SELECT @`a \\`b\\``, @`ü`");
        let names: Vec<String> = changed
            .split('@')
            .skip(1)
            .map(|n| n.trim_end_matches([',', ' ']))
            .map(|n| written(n).unwrap())
            .collect();
        assert_eq!(names, ["a `b`", "ü"]);
        assert_eq!(written("other"), None);
        for (range, wanted) in [
            (
                "SELECT RANGE<DATE> '[a, b)', r",
                "SELECT CAST('[a, b)' AS MILLPOND_RANGE_DATE), r",
            ),
            (
                "CAST(x AS range < datetime >)",
                "CAST(x AS MILLPOND_RANGE_DATETIME)",
            ),
            (
                "RANGE(a, b), arange<date>, 'RANGE<DATE>'",
                "RANGE(a, b), arange<date>, 'RANGE<DATE>'",
            ),
            (
                "SELECT r'a\\', \"RANGE<DATE>\"",
                "SELECT r'a\\', \"RANGE<DATE>\"",
            ),
        ] {
            assert_eq!(readable(range), wanted);
        }
    }
}
