//! Columns that are no part of the files: `key=value` directories between a common prefix and a file's name.
//!
//! Owns which keys there are and of which type. Must not know where files are.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::cells::{self, Cell};
use crate::file_formats::Decoded;
use crate::schema::{self, FieldSchema};

/// How Hive names the partition of a null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Why directories do not tell columns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HiveError {
    #[error("Required parameter is missing: hivePartitioningOptions.sourceUriPrefix")]
    NoPrefix,
    #[error("Unsupported hive partitioning mode: {mode}")]
    Mode { mode: String },
    #[error("The source URI {uri} does not begin with the source URI prefix {prefix}")]
    Outside { uri: String, prefix: String },
    #[error(
        "Incompatible partition schemas. The keys of {uri} are {found:?}, those of other files {expected:?}"
    )]
    Keys {
        uri: String,
        found: Vec<String>,
        expected: Vec<String>,
    },
    #[error("Invalid partition key description {text} in the source URI prefix")]
    Key { text: String },
    #[error("Invalid value of partition key {key} in {uri}: {message}")]
    Value {
        key: String,
        uri: String,
        message: String,
    },
}

/// Partitions by directories.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hive {
    prefix: String,
    columns: Vec<FieldSchema>,
}

impl Hive {
    /// What `hivePartitioningOptions` say of files with these addresses; `None` where there are none.
    ///
    /// # Errors
    /// [`HiveError`] for options that say nothing, and files whose directories have different keys.
    pub fn read(options: &Value, uris: &[&str]) -> Result<Option<Self>, HiveError> {
        if !options.is_object() {
            return Ok(None);
        }
        let whole = options["sourceUriPrefix"].as_str().unwrap_or_default();
        if whole.is_empty() {
            return Err(HiveError::NoPrefix);
        }
        let (prefix, described) = match whole.split_once('{') {
            None => (whole, None),
            Some((prefix, _)) => (prefix, whole.strip_prefix(prefix)),
        };
        let prefix = prefix
            .trim_end_matches('*')
            .trim_end_matches('/')
            .to_owned();
        let mut all = Vec::new();
        for uri in uris {
            all.push(keys(&prefix, uri)?);
        }
        let first: Vec<&str> = all.first().into_iter().flatten().map(|k| k.0).collect();
        for (keys, uri) in all.iter().zip(uris) {
            if keys.iter().map(|k| k.0).ne(first.iter().copied()) {
                let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
                return Err(HiveError::Keys {
                    uri: (*uri).to_owned(),
                    found: owned(keys.iter().map(|k| k.0).collect()),
                    expected: owned(first),
                });
            }
        }
        let kinds: Vec<(String, String)> = match options["mode"].as_str().unwrap_or("AUTO") {
            "AUTO" => (0..first.len())
                .zip(&first)
                .map(|(at, key)| {
                    let values = all.iter().filter_map(|keys| keys.get(at)).map(|k| k.1);
                    ((*key).to_owned(), guess(values).to_owned())
                })
                .collect(),
            "STRINGS" => first
                .iter()
                .map(|key| ((*key).to_owned(), "STRING".to_owned()))
                .collect(),
            "CUSTOM" => described_keys(described.unwrap_or_default())?,
            other => {
                let mode = other.to_owned();
                return Err(HiveError::Mode { mode });
            }
        };
        let columns = kinds.into_iter().filter_map(|(name, kind)| {
            serde_json::from_value(json!({"name": name, "type": kind, "mode": "NULLABLE"})).ok()
        });
        Ok(Some(Self {
            prefix,
            columns: columns.collect(),
        }))
    }

    /// The columns that the directories are.
    pub fn columns(&self) -> &[FieldSchema] {
        &self.columns
    }

    /// Whether a column is one of the directories'.
    pub fn has(&self, column: &FieldSchema) -> bool {
        let mut names = self.columns.iter();
        names.any(|own| own.name.eq_ignore_ascii_case(&column.name))
    }

    /// The rows of a file with the columns of its directories behind its own.
    ///
    /// # Errors
    /// [`HiveError`] for a value that is none of its column's type.
    pub fn beside(&self, uri: &str, decoded: Decoded) -> Result<Decoded, HiveError> {
        let keys = keys(&self.prefix, uri)?;
        let cells = self.columns.iter().map(|column| {
            let value = keys.iter().find(|(key, _)| *key == column.name);
            value.map_or(Cell::Null, |(_, value)| match *value {
                NULL => Cell::Null,
                value => Cell::Text(decode(value)),
            })
        });
        let cells: Vec<Cell> = cells.collect();
        let wrong = |message: String| HiveError::Value {
            key: keys.iter().map(|k| k.0).collect::<Vec<_>>().join(", "),
            uri: uri.to_owned(),
            message,
        };
        let own: SchemaRef = Arc::new(schema::to_arrow(&self.columns));
        let mut batches = Vec::new();
        for batch in &decoded.batches {
            let rows = vec![Cell::Record(cells.clone()); batch.num_rows()];
            let beside = cells::batch(&own, &rows)
                .map_err(|e| wrong(e.first().map(|e| e.message.clone()).unwrap_or_default()))?;
            let fields = batch.schema_ref().fields().iter().chain(own.fields());
            let schema = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
            let columns = batch.columns().iter().chain(beside.columns()).cloned();
            let whole = RecordBatch::try_new(schema, columns.collect());
            batches.push(whole.map_err(|e| wrong(e.to_string()))?);
        }
        Ok(Decoded {
            columns: [decoded.columns, self.columns.clone()].concat(),
            batches,
            bad: decoded.bad,
        })
    }
}

/// The keys and values between a prefix and the name of a file.
fn keys<'u>(prefix: &str, uri: &'u str) -> Result<Vec<(&'u str, &'u str)>, HiveError> {
    let inside = uri
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('/'));
    let inside = inside.ok_or_else(|| HiveError::Outside {
        uri: uri.to_owned(),
        prefix: prefix.to_owned(),
    })?;
    let directories = inside
        .rsplit_once('/')
        .map_or("", |(directories, _)| directories);
    let keys = directories
        .split('/')
        .filter_map(|part| part.split_once('='));
    Ok(keys.collect())
}

/// The keys of a prefix that describes them, `{day:DATE}/{n:INTEGER}`.
fn described_keys(text: &str) -> Result<Vec<(String, String)>, HiveError> {
    let parts = text.split('/').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let inner = part.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
            let described = inner.and_then(|inner| inner.split_once(':'));
            let known = described.filter(|(key, kind)| {
                schema::is_name(key)
                    && matches!(
                        kind.to_ascii_uppercase().as_str(),
                        "STRING" | "INTEGER" | "INT64" | "DATE" | "TIMESTAMP" | "DATETIME"
                    )
            });
            let (key, kind) = known.ok_or_else(|| HiveError::Key {
                text: part.to_owned(),
            })?;
            Ok((key.to_owned(), kind.to_ascii_uppercase()))
        })
        .collect()
}

/// The type that all values have.
fn guess<'v>(values: impl Iterator<Item = &'v str> + Clone) -> &'static str {
    let mut known = values.filter(|value| *value != NULL).peekable();
    if known.peek().is_none() {
        return "STRING";
    }
    let all = |is: fn(&str) -> bool| known.clone().all(|value| is(&decode(value)));
    if all(|v| v.parse::<i64>().is_ok()) {
        "INTEGER"
    } else if all(|v| chrono::NaiveDate::parse_from_str(v, "%Y-%m-%d").is_ok()) {
        "DATE"
    } else if all(is_timestamp) {
        "TIMESTAMP"
    } else {
        "STRING"
    }
}

fn is_timestamp(value: &str) -> bool {
    let column = json!({"name": "t", "type": "TIMESTAMP"});
    let Ok(column) = serde_json::from_value::<FieldSchema>(column) else {
        return false;
    };
    let schema: SchemaRef = Arc::new(schema::to_arrow(&[column]));
    let row = Cell::Record(vec![Cell::Text(value.to_owned())]);
    value.contains(':') && cells::batch(&schema, &[row]).is_ok()
}

/// Text without the percent signs that stand for what no name of a directory can have.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let byte = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn columns(options: &Value, uris: &[&str]) -> Result<Vec<(String, String)>, String> {
        let hive = Hive::read(options, uris).map_err(|e| e.to_string())?;
        let columns = hive.unwrap().columns;
        Ok(columns.into_iter().map(|c| (c.name, c.kind)).collect())
    }

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        all.iter().map(owned).collect()
    }

    #[test]
    fn keys_are_guessed_named_or_described() {
        let uris = [
            "gs://b/t/n=1/day=2024-01-02/at=2024-01-02%2003%3A04%3A05/word=x/a.csv",
            "gs://b/t/n=__HIVE_DEFAULT_PARTITION__/day=2024-01-03/at=2024-01-02 03:04:05/word=1/b.csv",
        ];
        let prefix = "gs://b/t";
        let auto = json!({"mode": "AUTO", "sourceUriPrefix": prefix});
        let kinds = ["INTEGER", "DATE", "TIMESTAMP", "STRING"];
        let names = ["n", "day", "at", "word"];
        let wanted: Vec<(&str, &str)> = names.into_iter().zip(kinds).collect();
        assert_eq!(columns(&auto, &uris).unwrap(), pairs(&wanted));
        let strings = json!({"mode": "STRINGS", "sourceUriPrefix": "gs://b/t/"});
        let wanted: Vec<(&str, &str)> = names.into_iter().map(|n| (n, "STRING")).collect();
        assert_eq!(columns(&strings, &uris).unwrap(), pairs(&wanted));
        let custom = json!({"mode": "CUSTOM", "sourceUriPrefix": "gs://b/t/{n:STRING}/{day:DATE}"});
        let wanted = [("n", "STRING"), ("day", "DATE")];
        assert_eq!(columns(&custom, &uris).unwrap(), pairs(&wanted));
        assert_eq!(Hive::read(&Value::Null, &uris), Ok(None));
    }

    #[test]
    fn what_directories_do_not_tell_is_refused() {
        let one = ["gs://b/t/n=1/a.csv", "gs://b/t/m=1/a.csv"];
        let said = |options: Value| columns(&options, &one).unwrap_err();
        assert!(said(json!({"mode": "AUTO"})).contains("sourceUriPrefix"));
        let prefix = "gs://b/t";
        assert!(said(json!({"sourceUriPrefix": prefix})).contains("Incompatible partition"));
        assert!(said(json!({"sourceUriPrefix": "gs://b/u"})).contains("does not begin"));
        let one = &one[..1];
        let said = |options: Value| columns(&options, one).unwrap_err();
        let mode = json!({"mode": "GUESS", "sourceUriPrefix": prefix});
        assert!(said(mode).contains("GUESS"));
        let custom = json!({"mode": "CUSTOM", "sourceUriPrefix": "gs://b/t/{n:GEOGRAPHY}"});
        assert!(said(custom).contains("{n:GEOGRAPHY}"));
    }
}
