//! The split by a column that already says which split a row belongs to.
//!
//! Owns the lists of values; must not know how values are written as text.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use hashbrown::HashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key_text::{KeyKind, KeyTexts};
use super::sql::{quoted_name, quoted_text};
use super::{OneOrMany, Split, SplitAssignment, SplitError, batch_column, column_type};

/// Splits by the value of a column, compared as text (the BigQuery `CAST(column AS STRING)` form, so `0` and `true` work for
/// integers and booleans).
///
/// A value that is not listed, null included, is refused with an error that names it and counts its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnSplit {
    /// The column.
    pub column: String,
    /// Values of training rows; `train` if not given.
    #[serde(default = "train_values")]
    pub train: OneOrMany<String>,
    /// Values of validation rows; `val` and `validation` if not given.
    #[serde(default = "val_values")]
    pub val: OneOrMany<String>,
    /// Values of test rows; `test` if not given.
    #[serde(default = "test_values")]
    pub test: OneOrMany<String>,
}

fn train_values() -> OneOrMany<String> {
    "train".into()
}

fn val_values() -> OneOrMany<String> {
    ["val", "validation"].into()
}

fn test_values() -> OneOrMany<String> {
    "test".into()
}

impl ColumnSplit {
    /// A split by the usual values of `column`.
    #[must_use]
    pub fn new(column: impl Into<String>) -> Self {
        Self {
            column: column.into(),
            train: train_values(),
            val: val_values(),
            test: test_values(),
        }
    }

    /// Sets the values of one split.
    #[must_use]
    pub fn values(mut self, split: Split, values: impl Into<OneOrMany<String>>) -> Self {
        *match split {
            Split::Train => &mut self.train,
            Split::Val => &mut self.val,
            Split::Test => &mut self.test,
        } = values.into();
        self
    }

    pub(super) fn bind(&self, schema: &Schema) -> Result<BoundColumn, SplitError> {
        let kind = KeyKind::of(&self.column, column_type(schema, &self.column)?)?;
        let mut splits = HashMap::new();
        for (split, values) in [
            (Split::Train, &self.train),
            (Split::Val, &self.val),
            (Split::Test, &self.test),
        ] {
            for value in values {
                if let Some(first) = splits.insert(value.clone().into_bytes(), split) {
                    return Err(SplitError::RepeatedValue {
                        value: value.clone(),
                        first,
                        second: split,
                    });
                }
            }
        }
        Ok(BoundColumn {
            spec: self.clone(),
            kind,
            splits,
        })
    }
}

#[derive(Debug, Clone)]
pub(super) struct BoundColumn {
    spec: ColumnSplit,
    kind: KeyKind,
    splits: HashMap<Vec<u8>, Split>,
}

impl BoundColumn {
    pub(super) fn assign(&self, batch: &RecordBatch) -> Result<SplitAssignment, SplitError> {
        let column = &self.spec.column;
        let array = batch_column(batch, column)?;
        if KeyKind::of(column, array.data_type())? != self.kind {
            return Err(SplitError::KeyKindChanged {
                column: column.clone(),
                found: array.data_type().clone(),
            });
        }
        let texts = KeyTexts::try_new(column, array)?;
        let mut text = Vec::new();
        let mut rows = Vec::with_capacity(batch.num_rows());
        let mut unknown = Unknown::default();
        for row in 0..batch.num_rows() {
            text.clear();
            let known = texts.append(row, &mut text);
            match self.splits.get(text.as_slice()) {
                Some(split) if known => rows.push(*split as u8),
                _ => unknown.add(known.then_some(text.as_slice())),
            }
        }
        match unknown.first {
            None => Ok(SplitAssignment::new(rows, 0)),
            Some(value) => Err(SplitError::UnknownValue {
                column: column.clone(),
                value: match value {
                    Some(text) => format!("`{}`", String::from_utf8_lossy(&text)),
                    None => "NULL".to_owned(),
                },
                value_rows: unknown.first_rows,
                unknown_rows: unknown.rows,
                rows: batch.num_rows(),
            }),
        }
    }

    pub(super) fn bigquery_sql(&self) -> String {
        let column = quoted_name(&self.spec.column);
        let mut sql = "CASE".to_owned();
        for (split, values) in [
            (Split::Train, &self.spec.train),
            (Split::Val, &self.spec.val),
            (Split::Test, &self.spec.test),
        ] {
            if !values.is_empty() {
                let list: Vec<String> = values.iter().map(|value| quoted_text(value)).collect();
                sql.push_str(&format!(
                    " WHEN CAST({column} AS STRING) IN ({}) THEN '{split}'",
                    list.join(", ")
                ));
            }
        }
        sql.push_str(&format!(
            " ELSE ERROR(CONCAT('this value names no split: ', IFNULL(CAST({column} AS STRING), 'NULL'))) END"
        ));
        sql
    }
}

/// Rows whose value is not listed.
#[derive(Default)]
struct Unknown {
    /// The value of the first of them; `Some(None)` is null.
    first: Option<Option<Vec<u8>>>,
    first_rows: usize,
    rows: usize,
}

impl Unknown {
    fn add(&mut self, value: Option<&[u8]>) {
        let first = self.first.get_or_insert_with(|| value.map(<[u8]>::to_vec));
        self.first_rows += usize::from(first.as_deref() == value);
        self.rows += 1;
    }
}
