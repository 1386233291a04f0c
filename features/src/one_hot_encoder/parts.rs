//! The fitted one-hot encoder as JSON and a side table.
//!
//! Owns that format. Reading never trusts what it reads.

use std::sync::Arc;

use arrow::array::Array;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FittedOneHotEncoder, Grouping, OneHotEncoder, Words};
use crate::category::frequency::CountHistogram;
use crate::category::lookup::compact::CompactIndex;
use crate::category::lookup::{CategoryLookup, UNKNOWN};
use crate::category::store::{CategoryTable, MemoryTable};
use crate::category::vocabulary::{IdColumn, LOADED_BYTES, SavedVocabulary, TableVocabulary};
use crate::category::{CategoryError, InvalidParts};

const ENCODER: &str = "one-hot encoder";

/// The output columns follow from these two.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    params: OneHotEncoder,
    vocabulary: SavedVocabulary,
}

impl FittedOneHotEncoder {
    /// Everything needed to rebuild the encoder: JSON with every learned value, or, for vocabularies above a thousand
    /// categories, JSON with the outline and a side table with the columns `category` and `count`.
    pub(crate) fn to_parts(
        &self,
    ) -> Result<(Value, Option<Arc<dyn CategoryTable>>), CategoryError> {
        let (vocabulary, table) = match &self.words {
            Words::Stored { saved, table } => (saved.clone(), Some(Arc::clone(table))),
            Words::InMemory(vocabulary) => {
                let table: Option<Arc<dyn CategoryTable>> = if vocabulary.needs_table() {
                    Some(Arc::new(MemoryTable::new(vocabulary.to_table(Vec::new())?)))
                } else {
                    None
                };
                (SavedVocabulary::of(vocabulary), table)
            }
        };
        let saved = Saved {
            params: self.options.clone(),
            vocabulary,
        };
        let json = serde_json::to_value(saved).map_err(|error| json_error(&error))?;
        Ok((json, table))
    }

    /// Rebuilds an encoder from [`to_parts`](Self::to_parts). Of a long vocabulary only the codes are kept in memory; the
    /// table is then needed as long as the encoder may be saved again.
    ///
    /// # Errors
    /// [`CategoryError::InvalidParts`] for anything that fitting could not have produced; contradictory options; what the
    /// table fails with.
    pub(crate) fn from_parts(
        json: &Value,
        table: Option<&Arc<dyn CategoryTable>>,
    ) -> Result<Self, CategoryError> {
        Self::from_parts_within(json, table, LOADED_BYTES)
    }

    /// As [`from_parts`](Self::from_parts), with a vocabulary in memory up to `most_bytes`.
    pub(super) fn from_parts_within(
        json: &Value,
        table: Option<&Arc<dyn CategoryTable>>,
        most_bytes: usize,
    ) -> Result<Self, CategoryError> {
        let saved = Saved::deserialize(json).map_err(|error| json_error(&error))?;
        saved.params.limits().check()?;
        let vocabulary = match (saved.vocabulary.listed().map_err(invalid)?, table) {
            (Some(vocabulary), None) => vocabulary,
            (None, Some(table)) => {
                let table = TableVocabulary::try_new(saved.vocabulary, Arc::clone(table), ENCODER)?;
                match table.in_memory(IdColumn::Absent, most_bytes)? {
                    Some((vocabulary, _)) => vocabulary,
                    None => return Self::compact(saved.params, table),
                }
            }
            _ => return Err(invalid(InvalidParts::Table)),
        };
        Self::new(saved.params, vocabulary)
    }

    /// An encoder that leaves its categories in the table, but for those that have a column.
    fn compact(options: OneHotEncoder, table: TableVocabulary) -> Result<Self, CategoryError> {
        let mut counts = CountHistogram::default();
        table.for_each(IdColumn::Absent, |rows| {
            rows.counts
                .values()
                .iter()
                .for_each(|count| counts.add(*count));
            Ok(())
        })?;
        let grouping = Grouping::try_new(&options, &counts, table.rows())?;
        let mut outputs = Vec::new();
        let mut missing = UNKNOWN;
        let index = CompactIndex::build(table.len(), |filling| {
            let mut columns = grouping.begin();
            table.for_each(IdColumn::Absent, |rows| {
                let codes = columns.next_values(table.kind(), &rows.values, &rows.counts);
                if let (Some(code), true) = (codes.last(), rows.values.null_count() > 0) {
                    missing = *code;
                }
                filling.add_values(&rows.values, codes.into_iter())
            })?;
            outputs = columns.finish();
            Ok(())
        })?;
        let lookup = CategoryLookup::compact(table.kind(), index, missing);
        let words = Words::Stored {
            saved: table.saved,
            table: table.table,
        };
        Ok(Self::assemble(
            options,
            words,
            outputs,
            grouping.rest,
            lookup,
        ))
    }
}

fn json_error(error: &serde_json::Error) -> CategoryError {
    invalid(InvalidParts::Json {
        message: error.to_string(),
    })
}

fn invalid(reason: InvalidParts) -> CategoryError {
    CategoryError::InvalidParts {
        encoder: ENCODER,
        reason,
    }
}
