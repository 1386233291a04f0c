//! CSV: records with quotes, delimiters and headers, as a load job describes them.

use serde_json::Value;

use super::super::destination::Destination;
use super::super::{JobError, Work};
use super::{Loaded, columns_of, detect, load_cells, text_of};
use crate::cells::Cell;
use crate::schema::FieldSchema;

/// How the text is cut into values.
struct Dialect<'a> {
    delimiter: char,
    quote: Option<char>,
    null_marker: &'a str,
    jagged: bool,
    ignore_unknown: bool,
}

/// A value and whether it stood in quotes, which makes an empty one a text and no null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub text: String,
    pub quoted: bool,
}

pub(super) fn load(
    work: &Work<'_>,
    settings: &Value,
    target: &Destination,
    data: &[u8],
) -> Result<Loaded, JobError> {
    let text = text_of(data)?;
    let delimiter = match settings["fieldDelimiter"].as_str() {
        None | Some("") => ',',
        Some("tab" | "\\t") => '\t',
        Some(other) => other.chars().next().unwrap_or(','),
    };
    let quote = match settings["quote"].as_str() {
        None => Some('"'),
        Some(other) => other.chars().next(),
    };
    let dialect = Dialect {
        delimiter,
        quote,
        null_marker: settings["nullMarker"].as_str().unwrap_or(""),
        jagged: settings["allowJaggedRows"].as_bool() == Some(true),
        ignore_unknown: settings["ignoreUnknownValues"].as_bool() == Some(true),
    };
    let records = records(text, &dialect)?;
    let skip = match &settings["skipLeadingRows"] {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    let mut first_row = skip.map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let columns = columns_of(work, settings, target, || {
        let (columns, header) = detect::csv_columns(&records, skip)?;
        first_row = header;
        Ok(columns)
    })?;
    let rows = records
        .iter()
        .enumerate()
        .skip(first_row)
        .map(|(row, record)| row_of(record, &columns, &dialect).map_err(|message| (row, message)));
    load_cells(work, settings, target, &columns, rows)
}

fn row_of(
    record: &[Piece],
    columns: &[FieldSchema],
    dialect: &Dialect<'_>,
) -> Result<Cell, String> {
    if record.len() > columns.len() && !dialect.ignore_unknown {
        return Err(format!(
            "Too many values in line. Found {} column(s) while expected {}.",
            record.len(),
            columns.len()
        ));
    }
    if record.len() < columns.len() && !dialect.jagged {
        return Err(format!(
            "CSV table references column position {}, but line contains only {} columns.",
            columns.len() - 1,
            record.len()
        ));
    }
    let cells = columns
        .iter()
        .zip(record)
        .map(|(column, value)| cell_of(column, value, dialect))
        .collect();
    Ok(Cell::Record(cells))
}

fn cell_of(column: &FieldSchema, value: &Piece, dialect: &Dialect<'_>) -> Cell {
    let is_text = matches!(column.kind.as_str(), "STRING" | "BYTES");
    if !value.quoted && value.text == dialect.null_marker {
        // Nothing between two commas is an empty text where a text is expected, and null elsewhere.
        if dialect.null_marker.is_empty() && is_text {
            return Cell::Text(String::new());
        }
        return Cell::Null;
    }
    if value.text.is_empty() && !is_text {
        return Cell::Null;
    }
    Cell::Text(value.text.clone())
}

/// Cuts the text into records; blank lines are none.
fn records(text: &str, dialect: &Dialect<'_>) -> Result<Vec<Vec<Piece>>, JobError> {
    let mut records = Vec::new();
    let mut record = Vec::new();
    let mut value = Piece {
        text: String::new(),
        quoted: false,
    };
    let mut inside = false;
    let mut characters = text.chars().peekable();
    let take = |value: &mut Piece| {
        std::mem::replace(
            value,
            Piece {
                text: String::new(),
                quoted: false,
            },
        )
    };
    while let Some(c) = characters.next() {
        let is_quote = Some(c) == dialect.quote;
        if inside {
            if !is_quote {
                value.text.push(c);
            } else if characters.peek().copied() == dialect.quote {
                value.text.push(c);
                characters.next();
            } else {
                inside = false;
            }
        } else if is_quote && value.text.is_empty() && !value.quoted {
            inside = true;
            value.quoted = true;
        } else if c == dialect.delimiter {
            record.push(take(&mut value));
        } else if c == '\n' {
            if value.text.ends_with('\r') && !value.quoted {
                value.text.pop();
            }
            let blank = record.is_empty() && value.text.is_empty() && !value.quoted;
            if !blank {
                record.push(take(&mut value));
                records.push(std::mem::take(&mut record));
            }
        } else if c == '\r' && value.quoted && characters.peek() == Some(&'\n') {
            // The end of a line after a quoted value.
        } else {
            value.text.push(c);
        }
    }
    if inside {
        return Err(JobError::invalid(
            "Error while reading data, error message: Missing close quote character (\").",
        ));
    }
    if !record.is_empty() || !value.text.is_empty() || value.quoted {
        record.push(value);
        records.push(record);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn quotes_hide_delimiters_and_line_ends() {
        let dialect = Dialect {
            delimiter: ',',
            quote: Some('"'),
            null_marker: "",
            jagged: false,
            ignore_unknown: false,
        };
        let cut = |text| {
            let records = records(text, &dialect).map_err(|e| e.message)?;
            Ok::<_, String>(
                records
                    .into_iter()
                    .map(|r| r.into_iter().map(|v| v.text).collect::<Vec<_>>())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            cut("a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n\n2,").unwrap(),
            [vec!["a", "b"], vec!["1", "x, \"y\"\nz"], vec!["2", ""]]
        );
        assert!(cut("a,\"b").unwrap_err().contains("close quote"));
        assert_eq!(cut("").unwrap(), Vec::<Vec<String>>::new());
    }
}
