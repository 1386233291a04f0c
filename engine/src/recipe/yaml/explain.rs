//! Turns what serde says about a recipe into what its writer has to change.
//!
//! Owns the wording. Must not know the recipe's keys: they come with serde's own message.

use serde_path_to_error::{Path, Segment};

use crate::recipe::nearest_name;

/// One line: the path of what is wrong, then what is wrong and what to write instead.
pub(super) fn explain(base: &str, path: &Path, message: &str) -> String {
    let unknown = Unknown::parse(message);
    let mut segments: Vec<String> = path.iter().filter_map(segment).collect();
    // The path of an unknown key ends with the key itself, which the text names anyway.
    if let Some(unknown) = &unknown
        && segments
            .last()
            .is_some_and(|last| last.as_str() == unknown.name)
    {
        segments.pop();
    }
    let mut place = base.to_owned();
    for segment in &segments {
        if !place.is_empty() && !segment.starts_with('[') {
            place.push('.');
        }
        place.push_str(segment);
    }
    let text = match unknown {
        Some(unknown) => unknown.explain(),
        None => reworded(message),
    };
    if place.is_empty() {
        text
    } else {
        format!("{place}: {text}")
    }
}

fn segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(format!("[{index}]")),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    }
}

/// Serde's "unknown field" and "unknown variant", taken apart.
struct Unknown<'a> {
    noun: &'static str,
    plural: &'static str,
    name: &'a str,
    known: Vec<&'a str>,
}

impl<'a> Unknown<'a> {
    fn parse(message: &'a str) -> Option<Self> {
        let (noun, plural, rest) = if let Some(rest) = message.strip_prefix("unknown field `") {
            ("key", "keys", rest)
        } else {
            let rest = message.strip_prefix("unknown variant `")?;
            ("value", "values", rest)
        };
        let (name, rest) = rest.split_once('`')?;
        // Known names stand between backticks, so they are every second piece.
        let known = rest.split('`').skip(1).step_by(2).collect();
        Some(Self {
            noun,
            plural,
            name,
            known,
        })
    }

    fn explain(&self) -> String {
        let Self {
            noun,
            plural,
            name,
            known,
        } = self;
        match (nearest_name(name, known.iter().copied()), known.is_empty()) {
            (Some(near), _) => format!("unknown {noun} \"{name}\", did you mean \"{near}\"?"),
            (None, false) => format!(
                "unknown {noun} \"{name}\", the {plural} known here are: {}",
                known.join(", ")
            ),
            (None, true) => format!("unknown {noun} \"{name}\", no {noun} is allowed here"),
        }
    }
}

fn reworded(message: &str) -> String {
    if let Some(name) = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'))
    {
        return format!("the key \"{name}\" is missing");
    }
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        return format!("found {}", plain(rest));
    }
    if let Some(rest) = message.strip_prefix("invalid value: ") {
        return format!("found {}", plain(rest));
    }
    // Names stand between double quotes in every error of the engine, whoever found it.
    message.replace(['\n', '\r'], " ").replace('`', "\"")
}

/// YAML's words for JSON's and Rust's.
fn plain(text: &str) -> String {
    let named = text.rsplit_once(", expected ").and_then(|(found, kind)| {
        let kind = match kind {
            "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not below 0",
            "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
            "f32" | "f64" => "a number",
            _ if kind.starts_with("struct ") => "a map",
            _ => return None,
        };
        Some(format!("{found}, expected {kind}"))
    });
    let text = named.as_deref().unwrap_or(text);
    text.replace("null, expected", "nothing, expected")
        .replace("a sequence", "a list")
        .replace("sequence, expected", "a list, expected")
        .replace("map, expected", "a map, expected")
        .replace(
            "expected parsable string",
            "expected a size such as 512MiB or 1GiB",
        )
        .replace(
            "expected an integer or string",
            "expected a size such as 512MiB or 1GiB",
        )
}
