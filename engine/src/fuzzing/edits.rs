//! Bytes as edits of a JSON document, so that chance reaches what lies behind the parser.
//!
//! Owns the little language of edits. Must not know what the document is for.

use serde_json::{Map, Number, Value};

/// Edits played at most: a document that shares nothing with the good one says nothing new.
const MOST_EDITS: usize = 12;

/// Values that programs get wrong.
fn awkward(index: u8) -> Value {
    let text = [
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "2",
        "0.5",
        "-0.0",
        "1e308",
        "5e-324",
        "4294967295",
        "4294967296",
        "2147483647",
        "-2147483648",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "\"\"",
        "\"nan\"",
        "\"inf\"",
        "\"-inf\"",
        "\"x\"",
        "\"Utf8\"",
        "\"Float64\"",
        "\"Int64\"",
        "\"Boolean\"",
        "\"Date32\"",
        "\"Timestamp(µs, \\\"UTC\\\")\"",
        "\"Timestamp(ns)\"",
        "\"Decimal128(38, 10)\"",
        "\"../../etc/passwd\"",
        "\"a\\u0000b\"",
        "\"*\"",
        "\"[\"",
        "[]",
        "{}",
        "[null]",
        "[\"x\", \"x\"]",
        "[[]]",
        "{\"x\": null}",
        "[0, 0, 0]",
        "\"9999-12-31T23:59:59Z\"",
        "\"Europe/Berlin\"",
    ];
    let chosen = text.get(usize::from(index) % text.len());
    chosen
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// `document` after the edits that `script` spells.
pub(super) fn apply(mut document: Value, script: &[u8]) -> Value {
    let mut script = Script(script);
    for _ in 0..MOST_EDITS {
        if script.0.is_empty() {
            break;
        }
        edit(&mut document, &mut script);
    }
    document
}

struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn eight(&mut self) -> [u8; 8] {
        let mut eight = [0; 8];
        let taken = self.bytes(8);
        eight
            .iter_mut()
            .zip(taken)
            .for_each(|(to, from)| *to = *from);
        eight
    }
}

fn edit(document: &mut Value, script: &mut Script<'_>) {
    let nodes = count(document);
    let place = script.word() % nodes;
    let new = match script.byte() % 10 {
        0 => awkward(script.byte()),
        1 => {
            let length = usize::from(script.byte());
            Value::from(String::from_utf8_lossy(script.bytes(length)).into_owned())
        }
        2 => {
            Number::from_f64(f64::from_le_bytes(script.eight())).map_or(Value::Null, Value::Number)
        }
        3 => Value::from(i64::from_le_bytes(script.eight())),
        // Another part of the document in this place.
        4 => {
            let other = script.word() % nodes;
            node(document, &mut { other })
                .map(|found| found.clone())
                .unwrap_or_default()
        }
        // Fewer or more of the same.
        action => {
            let index = script.word();
            if let Some(found) = node(document, &mut { place }) {
                resize(found, action, index, script.byte());
            }
            return;
        }
    };
    if let Some(found) = node(document, &mut { place }) {
        *found = new;
    }
}

fn resize(value: &mut Value, action: u8, index: usize, with: u8) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            let index = index % items.len();
            match action {
                5 => {
                    items.remove(index);
                }
                6 => {
                    let again = items.get(index).cloned().unwrap_or_default();
                    items.insert(index, again);
                }
                7 => items.swap(0, index),
                _ => items.push(awkward(with)),
            }
        }
        Value::Object(map) if !map.is_empty() => {
            let Some(key) = map.keys().nth(index % map.len()).cloned() else {
                return;
            };
            match action {
                5 | 6 => {
                    map.shift_remove(&key);
                }
                7 => rename(map, &key, "x"),
                _ => {
                    map.insert(format!("{key}{with}"), awkward(with));
                }
            }
        }
        // A scalar in its own list, or the other way round.
        other => *other = Value::Array(vec![other.take(); usize::from(with % 3)]),
    }
}

fn rename(map: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = map.shift_remove(from) {
        map.insert(to.to_owned(), value);
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

/// The node at `place` in the order in which the text names them.
fn node<'a>(value: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| node_or_skip(item, place)),
        Value::Object(map) => map.values_mut().find_map(|item| node_or_skip(item, place)),
        _ => None,
    }
}

fn node_or_skip<'a>(value: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    let nodes = count(value);
    if *place < nodes {
        node(value, place)
    } else {
        *place -= nodes;
        None
    }
}
