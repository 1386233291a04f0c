//! Columns that nobody described: what the data themselves look like.

use serde_json::{Map, Value};

use super::FormatError;
use super::csv::Piece;
use crate::schema::{self, FieldSchema};

/// Rows looked at.
const LOOKED_AT: usize = 500;

/// A type that values look like, from the narrowest to the widest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Guess {
    Unknown,
    Boolean,
    Integer,
    Float,
    Date,
    Time,
    Timestamp,
    Text,
}

impl Guess {
    fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Integer => "INTEGER",
            Self::Float => "FLOAT",
            Self::Date => "DATE",
            Self::Time => "TIME",
            Self::Timestamp => "TIMESTAMP",
            Self::Unknown | Self::Text => "STRING",
        }
    }

    /// The narrowest type that holds both.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, known) | (known, Self::Unknown) => known,
            (a, b) if a == b => a,
            (Self::Integer, Self::Float) | (Self::Float, Self::Integer) => Self::Float,
            (Self::Date, Self::Timestamp) | (Self::Timestamp, Self::Date) => Self::Timestamp,
            _ => Self::Text,
        }
    }

    fn of_text(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            Self::Unknown
        } else if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            Self::Boolean
        } else if text.parse::<i64>().is_ok() {
            Self::Integer
        } else if text.parse::<f64>().is_ok() && text.contains(|c: char| c.is_ascii_digit()) {
            Self::Float
        } else if chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() {
            Self::Date
        } else if chrono::NaiveTime::parse_from_str(text, "%H:%M:%S%.f").is_ok() {
            Self::Time
        } else if looks_like_time(text) {
            Self::Timestamp
        } else {
            Self::Text
        }
    }
}

fn looks_like_time(text: &str) -> bool {
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    text.len() > 10
        && text.starts_with(|c: char| c.is_ascii_digit())
        && arrow::compute::kernels::cast_utils::string_to_datetime(&chrono::Utc, text).is_ok()
}

fn column(name: &str, guess: Guess) -> FieldSchema {
    FieldSchema {
        name: name.to_owned(),
        kind: guess.name().to_owned(),
        mode: "NULLABLE".to_owned(),
        fields: Vec::new(),
        range_element_type: None,
        other: Map::new(),
    }
}

/// The columns of newline-delimited JSON, in the order in which they appear.
pub(super) fn json_columns(text: &str) -> Result<Vec<FieldSchema>, FormatError> {
    let mut columns: Vec<Seen> = Vec::new();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    for line in lines.take(LOOKED_AT) {
        let value: Value = serde_json::from_str(line)
            .map_err(|e| FormatError::new(format!("JSON parsing error: {e}")))?;
        if let Value::Object(object) = value {
            look(&mut columns, &object)?;
        }
    }
    let fields: Vec<FieldSchema> = columns.into_iter().map(Seen::into_schema).collect();
    schema::checked(&fields).map_err(|e| FormatError::new(e.to_string()))
}

/// A column as far as it has been seen.
struct Seen {
    name: String,
    guess: Guess,
    repeated: bool,
    children: Vec<Seen>,
}

impl Seen {
    fn into_schema(self) -> FieldSchema {
        let mut field = column(&self.name, self.guess);
        if self.repeated {
            field.mode = "REPEATED".to_owned();
        }
        if !self.children.is_empty() {
            field.kind = "RECORD".to_owned();
            field.fields = self.children.into_iter().map(Self::into_schema).collect();
        }
        field
    }
}

fn look(columns: &mut Vec<Seen>, object: &Map<String, Value>) -> Result<(), FormatError> {
    for (name, value) in object {
        let at = columns.iter().position(|c| c.name == *name);
        let at = at.unwrap_or_else(|| {
            columns.push(Seen {
                name: name.clone(),
                guess: Guess::Unknown,
                repeated: false,
                children: Vec::new(),
            });
            columns.len() - 1
        });
        if let Some(column) = columns.get_mut(at) {
            look_at(column, value)?;
        }
    }
    Ok(())
}

fn look_at(column: &mut Seen, value: &Value) -> Result<(), FormatError> {
    let guess = match value {
        Value::Null => Guess::Unknown,
        Value::Bool(_) => Guess::Boolean,
        Value::Number(n) if n.is_i64() => Guess::Integer,
        Value::Number(_) => Guess::Float,
        Value::String(text) => match Guess::of_text(text) {
            // Digits in quotes are meant as text.
            Guess::Boolean | Guess::Integer | Guess::Float => Guess::Text,
            other => other,
        },
        Value::Array(values) => {
            column.repeated = true;
            for value in values {
                if value.is_array() {
                    return Err(FormatError::new(format!(
                        "Nested arrays are not allowed. Field: {}",
                        column.name
                    )));
                }
                look_at(column, value)?;
            }
            Guess::Unknown
        }
        Value::Object(object) => {
            look(&mut column.children, object)?;
            Guess::Unknown
        }
    };
    column.guess = column.guess.or(guess);
    Ok(())
}

/// The columns of CSV records and how many leading records are no data.
///
/// A first record that is text where the rest is not, or text only, is a header.
pub(super) fn csv_columns(
    records: &[Vec<Piece>],
    skip: Option<u64>,
) -> Result<(Vec<FieldSchema>, usize), FormatError> {
    let skip = skip.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let head = match skip {
        Some(0) => None,
        Some(n) => records.get(n - 1),
        None => records.first(),
    };
    let data_from = skip.unwrap_or(1).max(usize::from(head.is_some()));
    let width = records.iter().map(Vec::len).max().unwrap_or(0);
    let guess = |index: usize| {
        records
            .iter()
            .skip(data_from)
            .take(LOOKED_AT)
            .filter_map(|record| record.get(index))
            .map(|piece| Guess::of_text(&piece.text))
            .fold(Guess::Unknown, Guess::or)
    };
    let guesses: Vec<Guess> = (0..width).map(guess).collect();
    let names = head.filter(|record| {
        let texts = record
            .iter()
            .all(|piece| Guess::of_text(&piece.text) == Guess::Text);
        let differs = guesses.iter().any(|g| !matches!(g, Guess::Text));
        texts && (skip.is_some() || differs)
    });
    let fields: Vec<FieldSchema> = guesses
        .iter()
        .enumerate()
        .map(|(index, guess)| {
            let name = names.and_then(|record| record.get(index)).map_or_else(
                || format!("{}_field_{index}", guess.name().to_lowercase()),
                |p| p.text.clone(),
            );
            column(&name, *guess)
        })
        .collect();
    let first = match (skip, names) {
        (Some(n), _) => n,
        (None, Some(_)) => 1,
        (None, None) => 0,
    };
    let fields = schema::checked(&fields).map_err(|e| FormatError::new(e.to_string()))?;
    Ok((fields, first))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_of_day_are_detected_and_mixed_with_nothing_else() {
        let text = "{\"a\": \"23:59:59.999999\", \"b\": \"1:02:03\", \"c\": \"25:00:00\"}\n{\"b\": \"2020-01-01\"}\n";
        let columns = json_columns(text).unwrap();
        let kinds: Vec<&str> = columns.iter().map(|c| c.kind.as_str()).collect();
        assert_eq!(kinds, ["TIME", "STRING", "STRING"]);
    }

    #[test]
    fn json_shows_its_types() {
        let text = "{\"a\": 1, \"b\": [\"x\"], \"c\": {\"d\": \"2020-01-01\"}}\n{\"a\": 1.5, \"e\": \"7\"}\n";
        let columns = json_columns(text).unwrap();
        let shown: Vec<(&str, &str, &str)> = columns
            .iter()
            .map(|c| (c.name.as_str(), c.kind.as_str(), c.mode.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("a", "FLOAT", "NULLABLE"),
                ("b", "STRING", "REPEATED"),
                ("c", "RECORD", "NULLABLE"),
                ("e", "STRING", "NULLABLE"),
            ]
        );
        assert_eq!(columns.get(2).unwrap().fields.first().unwrap().kind, "DATE");
    }
}
