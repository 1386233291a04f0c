//! The `fields` parameter: which members of an answer a client wants to have.
//!
//! `a,b/c,d(e,f/g),h/*`: names apart by commas, a slash or brackets for members of members, a star for all. Members of
//! lists are those of each of their entries. Must not know about requests.

use serde_json::{Map, Value};

/// Masks nested deeper than this are refused.
const MAX_DEPTH: usize = 32;

/// The members wanted of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    /// The value as it is.
    All,
    /// These members of it, by name; a star is a name, too.
    Members(Vec<(String, Wanted)>),
}

/// A mask that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldMask(Wanted);

impl FieldMask {
    /// Reads a mask; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim();
        let members = list(&mut rest, 0)?;
        rest.is_empty().then_some(Self(Wanted::Members(members)))
    }

    /// Takes everything else out of `value`.
    pub fn apply(&self, value: &mut Value) {
        keep(&self.0, value);
    }
}

fn list(rest: &mut &str, depth: usize) -> Option<Vec<(String, Wanted)>> {
    let mut members = Vec::new();
    loop {
        members.push(member(rest, depth)?);
        match rest.strip_prefix(',') {
            Some(more) => *rest = more,
            None => return Some(members),
        }
    }
}

fn member(rest: &mut &str, depth: usize) -> Option<(String, Wanted)> {
    if depth > MAX_DEPTH {
        return None;
    }
    let end = rest.find([',', '/', '(', ')']).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let name = name.trim();
    if name.is_empty() {
        return None;
    }
    *rest = after;
    let wanted = if let Some(after) = rest.strip_prefix('/') {
        *rest = after;
        Wanted::Members(vec![member(rest, depth + 1)?])
    } else if let Some(after) = rest.strip_prefix('(') {
        *rest = after;
        let members = list(rest, depth + 1)?;
        *rest = rest.strip_prefix(')')?.trim_start();
        Wanted::Members(members)
    } else {
        Wanted::All
    };
    Some((name.to_owned(), wanted))
}

fn keep(wanted: &Wanted, value: &mut Value) {
    let Wanted::Members(members) = wanted else {
        return;
    };
    match value {
        Value::Array(entries) => entries.iter_mut().for_each(|entry| keep(wanted, entry)),
        Value::Object(fields) => {
            let all = std::mem::take(fields);
            *fields = all
                .into_iter()
                .filter_map(|(name, value)| chosen(members, name, value))
                .collect::<Map<_, _>>();
        }
        _ => {}
    }
}

/// A member, and what is left of it when some mask speaks of it.
fn chosen(members: &[(String, Wanted)], name: String, mut value: Value) -> Option<(String, Value)> {
    let mut of_it = Vec::new();
    for (wanted_name, wanted) in members {
        if *wanted_name == name || wanted_name == "*" {
            match wanted {
                Wanted::All => return Some((name, value)),
                Wanted::Members(more) => of_it.extend(more.iter().cloned()),
            }
        }
    }
    if of_it.is_empty() || !(value.is_object() || value.is_array()) {
        return None;
    }
    keep(&Wanted::Members(of_it), &mut value);
    Some((name, value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn masked(mask: &str) -> Value {
        let mut value = json!({"kind": "k", "id": "i", "ref": {"p": 1, "d": 2}, "list": [{"a": {"x": 1, "y": 2}, "b": 3}, {"b": 4}]});
        FieldMask::parse(mask).unwrap().apply(&mut value);
        value
    }

    #[test]
    fn only_what_is_named_stays() {
        assert_eq!(masked("id"), json!({"id": "i"}));
        assert_eq!(masked("id, ref/p"), json!({"id": "i", "ref": {"p": 1}}));
        assert_eq!(
            masked("list(a/y,b)"),
            json!({"list": [{"a": {"y": 2}, "b": 3}, {"b": 4}]})
        );
        assert_eq!(
            masked("list/b,list/a/x"),
            json!({"list": [{"a": {"x": 1}, "b": 3}, {"b": 4}]})
        );
        assert_eq!(masked("*/p"), json!({"ref": {"p": 1}, "list": [{}, {}]}));
        assert_eq!(masked("*")["list"], masked("list")["list"]);
        assert_eq!(masked("nothing"), json!({}));
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        for text in ["", ",", "a,", "a(b", "a)", "a//b", "a(b))", "(a)"] {
            assert_eq!(FieldMask::parse(text), None, "{text}");
        }
        assert_eq!(FieldMask::parse(&"a/".repeat(1000)), None);
    }
}
