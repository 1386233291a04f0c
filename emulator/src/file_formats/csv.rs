//! CSV: records with quotes, delimiters and headers, as load jobs and external tables describe them.

use serde_json::Value;

use super::{Columns, Decoded, FormatError, detect, of_cells, text_of};
use crate::cells::Cell;
use crate::schema::FieldSchema;

/// How the text is cut into values.
struct Dialect<'a> {
    delimiter: char,
    quote: Option<char>,
    /// What stands for nothing.
    null_markers: Vec<&'a str>,
    jagged: bool,
    ignore_unknown: bool,
}

/// A value and whether it stood in quotes, which makes an empty one a text and no null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub text: String,
    pub quoted: bool,
}

pub(super) fn decode(
    data: &[u8],
    columns: Columns,
    settings: &Value,
) -> Result<Decoded, FormatError> {
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
        null_markers: null_markers(settings),
        jagged: settings["allowJaggedRows"].as_bool() == Some(true),
        ignore_unknown: settings["ignoreUnknownValues"].as_bool() == Some(true),
    };
    let mut records = records(text, &dialect)?;
    let skip = match &settings["skipLeadingRows"] {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    let mut first_row = skip.map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
    // A blank line is a value where there is one column, and nothing where there are several.
    let single = match &columns {
        Columns::Given(known) | Columns::OfTable(known) => known.len() == 1,
        Columns::Detect => false,
    };
    if single {
        for record in records.iter_mut().filter(|r| r.is_empty()) {
            record.push(Piece::default());
        }
    } else {
        records.retain(|record| !record.is_empty());
    }
    let looks = settings["autodetect"].as_bool() == Some(true) && skip.is_none();
    if let (Columns::OfTable(_), true) = (&columns, looks) {
        // Columns that were found by looking were found together with a header.
        first_row = detect::csv_columns(&records, skip)?.1;
    }
    let columns = columns.or_detect(|| {
        let (columns, header) = detect::csv_columns(&records, skip)?;
        first_row = header;
        Ok(columns)
    })?;
    let rows = records
        .iter()
        .enumerate()
        .skip(first_row)
        .map(|(row, record)| row_of(record, &columns, &dialect).map_err(|message| (row, message)));
    of_cells(settings, columns.clone(), rows)
}

/// Several markers may be given, or one, which otherwise is nothing between two delimiters.
fn null_markers(settings: &Value) -> Vec<&str> {
    let several = settings["nullMarkers"].as_array();
    let several: Vec<&str> = several
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match several.is_empty() {
        true => vec![settings["nullMarker"].as_str().unwrap_or("")],
        false => several,
    }
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
    let markers = &dialect.null_markers;
    // Quotes with nothing between them are an empty text, and no value of any other type; with a marker of one's own they are wrong there.
    let nothing = value.text.is_empty() && markers.contains(&"") && !is_text;
    if nothing || !value.quoted && markers.contains(&value.text.as_str()) {
        return Cell::Null;
    }
    Cell::Text(value.text.clone())
}

/// Cuts the text into records; that of a blank line is empty.
fn records(text: &str, dialect: &Dialect<'_>) -> Result<Vec<Vec<Piece>>, FormatError> {
    let mut records = Vec::new();
    let mut record = Vec::new();
    let mut value = Piece::default();
    let mut inside = false;
    let mut characters = text.chars().peekable();
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
            record.push(std::mem::take(&mut value));
        } else if c == '\n' {
            if value.text.ends_with('\r') && !value.quoted {
                value.text.pop();
            }
            let blank = record.is_empty() && value.text.is_empty() && !value.quoted;
            let value = std::mem::take(&mut value);
            if !blank {
                record.push(value);
            }
            records.push(std::mem::take(&mut record));
        } else if c == '\r' && value.quoted && characters.peek() == Some(&'\n') {
            // The end of a line after a quoted value.
        } else {
            value.text.push(c);
        }
    }
    if inside {
        return Err(FormatError::new(
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
    use serde_json::json;

    fn dialect<'a>(null_markers: &[&'a str]) -> Dialect<'a> {
        Dialect {
            delimiter: ',',
            quote: Some('"'),
            null_markers: null_markers.to_vec(),
            jagged: false,
            ignore_unknown: false,
        }
    }

    #[test]
    fn what_is_null_depends_on_quotes_types_and_the_marker() {
        let cell_with = |kind: &str, text: &str, quoted, null_markers: &[&str]| {
            let dialect = dialect(null_markers);
            let value = Piece {
                text: text.to_owned(),
                quoted,
            };
            let column = json!({"name": "x", "type": kind});
            let column: FieldSchema = serde_json::from_value(column).unwrap();
            match cell_of(&column, &value, &dialect) {
                Cell::Null => None,
                Cell::Text(text) => Some(text),
                _ => unreachable!("values of CSV are texts"),
            }
        };
        let cell = |kind: &str, text: &str, quoted, null_marker: &str| {
            cell_with(kind, text, quoted, &[null_marker])
        };
        let text = |text: &str| Some(text.to_owned());
        let several = json!({"nullMarkers": ["NA", "-"], "nullMarker": ""});
        let several = null_markers(&several);
        for (value, wanted) in [("NA", None), ("-", None), ("", text(""))] {
            assert_eq!(cell_with("STRING", value, false, &several), wanted);
        }
        assert_eq!(cell("STRING", "", false, ""), None);
        assert_eq!(cell("STRING", "", true, ""), text(""));
        assert_eq!(cell("INTEGER", "", false, ""), None);
        assert_eq!(cell("INTEGER", "", true, ""), None);
        assert_eq!(cell("STRING", "NA", false, "NA"), None);
        assert_eq!(cell("STRING", "NA", true, "NA"), text("NA"));
        assert_eq!(cell("STRING", "", false, "NA"), text(""));
        assert_eq!(cell("INTEGER", "", false, "NA"), text(""));
    }

    #[test]
    fn quotes_hide_delimiters_and_line_ends() {
        let cut = |text| {
            let records = records(text, &dialect(&[""])).map_err(|e| e.to_string())?;
            Ok::<_, String>(
                records
                    .into_iter()
                    .map(|r| r.into_iter().map(|v| v.text).collect::<Vec<_>>())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            cut("a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n\n2,").unwrap(),
            [
                vec!["a", "b"],
                vec!["1", "x, \"y\"\nz"],
                vec![],
                vec!["2", ""]
            ]
        );
        assert!(cut("a,\"b").unwrap_err().contains("close quote"));
        assert_eq!(cut("").unwrap(), Vec::<Vec<String>>::new());
    }
}
