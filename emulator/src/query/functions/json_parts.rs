//! Parts of texts of JSON, found without reading more of the text than it takes to find them.
//!
//! A part is as the text has it: members in their order, both of two with one name, numbers with all their digits. What is wrong behind
//! the part is not seen, as the service does not see it either. Must not know what a part is for.

use super::json_paths::Step;

/// Values in values are followed so far.
const DEEPEST: usize = 1000;

/// A value as it stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'a>(&'a str);

/// What is at a path of a text; nothing where the text is no JSON before that.
pub(super) fn find<'a>(text: &'a str, path: &[Step]) -> Option<Part<'a>> {
    Cursor { rest: text }.value(Some(path), 0)?.map(Part)
}

impl<'a> Part<'a> {
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// A value that is no object, no array and no null, as a text.
    pub fn scalar(self) -> Option<String> {
        match self.0.chars().next()? {
            '{' | '[' => None,
            '"' => decoded(self.0),
            _ if self.is_null() => None,
            _ => Some(self.0.to_owned()),
        }
    }

    /// The elements of an array.
    pub fn elements(self) -> Option<Vec<Self>> {
        let mut cursor = Cursor { rest: self.0 };
        if !cursor.eat('[') {
            return None;
        }
        let mut all = Vec::new();
        if cursor.eat(']') {
            return Some(all);
        }
        loop {
            all.push(Part(cursor.value(Some(&[]), 0)??));
            if cursor.eat(']') {
                return Some(all);
            }
            if !cursor.eat(',') {
                return None;
            }
        }
    }

    /// The value without the white space between what it is made of.
    pub fn compact(self) -> String {
        let mut text = String::with_capacity(self.0.len());
        let mut cursor = Cursor { rest: self.0 };
        loop {
            cursor.space();
            if let Some(own) = cursor.text() {
                match decoded(own).and_then(|plain| serde_json::to_string(&plain).ok()) {
                    Some(written) if own.contains('\\') => text.push_str(&written),
                    _ => text.push_str(own),
                }
                continue;
            }
            match cursor.rest.chars().next() {
                Some(mark) => {
                    text.push(mark);
                    cursor.eat(mark);
                }
                None => return text,
            }
        }
    }
}

/// The text that a literal in quotes stands for.
fn decoded(literal: &str) -> Option<String> {
    serde_json::from_str(literal).ok()
}

/// What is left of a text.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn eat(&mut self, mark: char) -> bool {
        self.space();
        let after = self.rest.strip_prefix(mark);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn take(&mut self, bytes: usize) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    /// A text with its quotes.
    fn text(&mut self) -> Option<&'a str> {
        let within = self.rest.strip_prefix('"')?;
        let mut escaped = false;
        let end = within.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        self.take(end + 2)
    }

    /// A number or a word.
    fn word(&mut self) -> Option<&'a str> {
        let ends = |c: char| c.is_ascii_whitespace() || matches!(c, ',' | ']' | '}' | ':');
        let word = self.take(self.rest.find(ends).unwrap_or(self.rest.len()))?;
        let digits = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
        let number = !word.starts_with(['+', '.']) && word.chars().all(digits);
        let known = matches!(word, "true" | "false" | "null");
        (known || number && word.parse::<f64>().is_ok()).then_some(word)
    }

    /// Passes over a value and gives what of it is at a path, if one is looked for. `None` where there is no value.
    fn value(&mut self, path: Option<&[Step]>, depth: usize) -> Option<Option<&'a str>> {
        if depth > DEEPEST {
            return None;
        }
        self.space();
        let before = self.rest;
        let (first, within) = match path {
            Some(path) => (path.first(), path.get(1..)),
            None => (None, None),
        };
        if self.eat('{') {
            let mut last = self.eat('}');
            while !last {
                self.space();
                let name = decoded(self.text()?)?;
                if !self.eat(':') {
                    return None;
                }
                let meant = matches!(first, Some(Step::Name(own)) if *own == name);
                if let Some(found) = self.value(within.filter(|_| meant), depth + 1)? {
                    return Some(Some(found));
                }
                last = self.eat('}');
                if !last && !self.eat(',') {
                    return None;
                }
            }
        } else if self.eat('[') {
            let mut last = self.eat(']');
            let mut position = 0;
            while !last {
                let meant = matches!(first, Some(Step::At(own)) if *own == position);
                if let Some(found) = self.value(within.filter(|_| meant), depth + 1)? {
                    return Some(Some(found));
                }
                position += 1;
                last = self.eat(']');
                if !last && !self.eat(',') {
                    return None;
                }
            }
        } else if before.starts_with('"') {
            decoded(self.text()?)?;
        } else {
            self.word()?;
        }
        let whole = path.is_some_and(<[Step]>::is_empty);
        Some(match whole {
            true => Some(before.get(..before.len() - self.rest.len())?),
            false => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::json_paths::steps;
    use super::*;

    fn at(text: &str, path: &str) -> Option<String> {
        find(text, &steps(path).ok()?).map(Part::compact)
    }

    #[test]
    fn parts_are_as_the_text_has_them() {
        let text = r#" {"b": [1.50, {"x": 1, "x": 2 }], "a" : "q\u0041\/\n", "a": null, "b": 7} "#;
        for (path, part) in [
            ("$.b", Some(r#"[1.50,{"x":1,"x":2}]"#)),
            ("$.b[1]", Some(r#"{"x":1,"x":2}"#)),
            ("$.b[1].x", Some("1")),
            ("$.a", Some(r#""qA/\n""#)),
            ("$.b[2]", None),
            ("$.b.x", None),
            ("$.c", None),
        ] {
            assert_eq!(at(text, path).as_deref(), part, "{path}");
        }
        assert_eq!(
            at(r#"{"a": 1, "a": {"b": 2}}"#, "$.a.b").as_deref(),
            Some("2")
        );
    }

    #[test]
    fn what_is_wrong_behind_a_part_is_not_seen() {
        assert_eq!(at(r#"{"a": "x""#, "$.a").as_deref(), Some("\"x\""));
        assert_eq!(at(r#"{"a": 1, b"#, "$.a").as_deref(), Some("1"));
        for wrong in [
            r#"{"a""#,
            r#"{"b": x, "a": 1}"#,
            "",
            r#"{"a": "\q"}"#,
            "{\"a\": 1",
        ] {
            let path = if wrong.ends_with('1') { "$" } else { "$.a" };
            assert_eq!(at(wrong, path), None, "{wrong}");
        }
        let deep = "[".repeat(5000);
        assert_eq!(at(&deep, "$[1]"), None);
    }

    #[test]
    fn scalars_and_elements() {
        let elements = find("[1, \"a\\n\", null, [true]]", &[]).and_then(Part::elements);
        let scalars: Option<Vec<_>> = elements.map(|all| all.iter().map(|e| e.scalar()).collect());
        let wanted = [Some("1".to_owned()), Some("a\n".to_owned()), None, None];
        assert_eq!(scalars.as_deref(), Some(wanted.as_slice()));
        assert_eq!(find("[]", &[]).and_then(Part::elements), Some(Vec::new()));
        assert_eq!(find("{}", &[]).and_then(Part::elements), None);
    }
}
