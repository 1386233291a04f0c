//! The split by a hash of key columns.
//!
//! Owns the composition of the hashed text and the SQL that reproduces it; must not know how single values are written.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key_text::{KeyKind, KeyTexts};
use super::ratios::Buckets;
use super::sql::{quoted_name, quoted_text};
use super::{
    OneOrMany, Split, SplitAssignment, SplitError, SplitRatios, batch_column, column_type,
};

/// Stands between the texts of several key columns, and before the seed.
const SEPARATOR: &str = "\u{1f}";
/// Stands for a null key.
const NULL_TEXT: &str = "__null__";

/// Splits by a hash of key columns: equal keys always share a split, in any order of rows, on any machine, and in
/// BigQuery.
///
/// The hashed text is the BigQuery `CAST(key AS STRING)` form of the key. Several keys are joined by the character U+001F,
/// and a seed is appended as one more; a null key is the text `__null__`, so all null keys share a split. The bucket of a
/// row is `ABS(MOD(FARM_FINGERPRINT(text), n))`, with `n` the smallest power of ten from 10 to 1 000 000 that makes every
/// ratio whole (1 000 000 with rounded cumulated ratios if none does). Buckets go to train, then val, then test. For one
/// key, no seed and ratios of 0.8, 0.1, 0.1, train is the well-known `MOD(ABS(FARM_FINGERPRINT(..)), 10) < 8`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HashSplit {
    /// The key columns: strings, integers, booleans, dates, timestamps or decimals.
    pub columns: OneOrMany<String>,
    /// A number that gives another, independent split of the same keys; none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Shares of the three splits; 0.8, 0.1, 0.1 if not given.
    #[serde(default)]
    pub ratios: SplitRatios,
}

impl HashSplit {
    /// A split by `columns` with ratios 0.8, 0.1, 0.1 and no seed.
    #[must_use]
    pub fn new(columns: impl Into<OneOrMany<String>>) -> Self {
        Self {
            columns: columns.into(),
            seed: None,
            ratios: SplitRatios::default(),
        }
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(mut self, seed: i64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the ratios; they are checked when the split is bound.
    #[must_use]
    pub fn ratios(mut self, train: f64, val: f64, test: f64) -> Self {
        self.ratios = SplitRatios { train, val, test };
        self
    }

    pub(super) fn bind(&self, schema: &Schema) -> Result<BoundHash, SplitError> {
        if self.columns.is_empty() {
            return Err(SplitError::NoColumns);
        }
        let buckets = self.ratios.buckets()?;
        let mut keys: Vec<(String, KeyKind)> = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            if keys.iter().any(|(earlier, _)| earlier == column) {
                return Err(SplitError::RepeatedColumn {
                    column: column.clone(),
                });
            }
            keys.push((
                column.clone(),
                KeyKind::of(column, column_type(schema, column)?)?,
            ));
        }
        Ok(BoundHash {
            keys,
            seed: self.seed,
            buckets,
        })
    }
}

#[derive(Debug, Clone)]
pub(super) struct BoundHash {
    keys: Vec<(String, KeyKind)>,
    seed: Option<i64>,
    buckets: Buckets,
}

impl BoundHash {
    pub(super) fn assign(&self, batch: &RecordBatch) -> Result<SplitAssignment, SplitError> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for (column, kind) in &self.keys {
            let array = batch_column(batch, column)?;
            if KeyKind::of(column, array.data_type())? != *kind {
                return Err(SplitError::KeyKindChanged {
                    column: column.clone(),
                    found: array.data_type().clone(),
                });
            }
            keys.push(KeyTexts::try_new(column, array)?);
        }
        let mut hasher = RowHasher {
            buckets: self.buckets,
            suffix: self.suffix().into_bytes(),
            text: Vec::new(),
        };
        let mut rows = Vec::with_capacity(batch.num_rows());
        let mut null_keys = 0;
        let mut push = |(split, is_null): (Split, bool)| {
            rows.push(split as u8);
            null_keys += usize::from(is_null);
        };
        match keys.as_slice() {
            [only] => match only.as_dictionary() {
                // A dictionary no longer than the batch is worth hashing as a whole.
                Some((position, values, length)) if length <= batch.num_rows() => {
                    let table: Vec<(Split, bool)> =
                        (0..length).map(|index| hasher.one(values, index)).collect();
                    let null = hasher.null();
                    for row in 0..batch.num_rows() {
                        push(
                            position(row)
                                .and_then(|index| table.get(index).copied())
                                .unwrap_or(null),
                        );
                    }
                }
                _ => {
                    for row in 0..batch.num_rows() {
                        push(hasher.one(only, row));
                    }
                }
            },
            several => {
                for row in 0..batch.num_rows() {
                    push(hasher.several(several, row));
                }
            }
        }
        Ok(SplitAssignment::new(rows, null_keys))
    }

    /// What follows the texts of the keys.
    fn suffix(&self) -> String {
        self.seed
            .map(|seed| format!("{SEPARATOR}{seed}"))
            .unwrap_or_default()
    }

    pub(super) fn bigquery_sql(&self) -> String {
        let null = quoted_text(NULL_TEXT);
        let mut parts: Vec<String> = Vec::with_capacity(self.keys.len() * 2);
        for (column, _) in &self.keys {
            if !parts.is_empty() {
                parts.push(quoted_text(SEPARATOR));
            }
            parts.push(format!(
                "IFNULL(CAST({} AS STRING), {null})",
                quoted_name(column)
            ));
        }
        if self.seed.is_some() {
            parts.push(quoted_text(&self.suffix()));
        }
        let text = match parts.as_slice() {
            [only] => only.clone(),
            several => format!("CONCAT({})", several.join(", ")),
        };
        let Buckets {
            count,
            train_below,
            val_below,
        } = self.buckets;
        let bucket = format!("ABS(MOD(FARM_FINGERPRINT({text}), {count}))");
        format!(
            "CASE WHEN {bucket} < {train_below} THEN 'train' WHEN {bucket} < {val_below} THEN 'val' ELSE 'test' END"
        )
    }
}

/// Hashes rows one after the other into one reused buffer.
struct RowHasher {
    buckets: Buckets,
    suffix: Vec<u8>,
    text: Vec<u8>,
}

impl RowHasher {
    /// The split of one key, and whether it is null.
    fn one(&mut self, key: &KeyTexts<'_>, row: usize) -> (Split, bool) {
        if self.suffix.is_empty()
            && let Some(stored) = key.stored(row)
        {
            return (self.split(stored), false);
        }
        self.text.clear();
        let is_null = self.append(key, row);
        self.text.extend_from_slice(&self.suffix);
        (self.split(&self.text), is_null)
    }

    /// The split of several keys together, and whether any of them is null.
    fn several(&mut self, keys: &[KeyTexts<'_>], row: usize) -> (Split, bool) {
        self.text.clear();
        let mut any_null = false;
        for (index, key) in keys.iter().enumerate() {
            if index > 0 {
                self.text.extend_from_slice(SEPARATOR.as_bytes());
            }
            any_null |= self.append(key, row);
        }
        self.text.extend_from_slice(&self.suffix);
        (self.split(&self.text), any_null)
    }

    /// The split of a null key.
    fn null(&self) -> (Split, bool) {
        let text = [NULL_TEXT.as_bytes(), &self.suffix].concat();
        (self.split(&text), true)
    }

    /// Appends a key, or what stands for null; returns whether it was null.
    fn append(&mut self, key: &KeyTexts<'_>, row: usize) -> bool {
        let is_null = !key.append(row, &mut self.text);
        if is_null {
            self.text.extend_from_slice(NULL_TEXT.as_bytes());
        }
        is_null
    }

    fn split(&self, text: &[u8]) -> Split {
        self.buckets.split(fingerprint(text))
    }
}

/// BigQuery's `FARM_FINGERPRINT`: the 64 bits of FarmHash's fingerprint read as a signed number.
pub(super) fn fingerprint(text: &[u8]) -> i64 {
    farmhash::fingerprint64(text).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn agrees_with_bigquery() {
        for (text, expected) in [
            ("1footrue", -1_541_654_101_129_638_711),
            ("2applefalse", 2_794_438_866_806_483_259),
            ("3true", -4_880_158_226_897_771_312),
            ("", -7_286_425_919_675_154_353),
            ("a", -5_528_939_962_900_187_677),
            ("2024-01-01", -2_292_598_919_038_380_741),
        ] {
            assert_eq!(fingerprint(text.as_bytes()), expected, "{text}");
        }
    }
}
