//! The fitted ordinal encoder as JSON and a side table.
//!
//! Owns that format. Reading never trusts what it reads.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array};
use arrow::datatypes::{DataType, Field};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FittedOrdinalEncoder, OrdinalEncoder, Words};
use crate::category::lookup::compact::CompactIndex;
use crate::category::lookup::{CategoryLookup, MIN_CODE, NO_CODE};
use crate::category::store::{CategoryTable, MemoryTable};
use crate::category::vocabulary::{
    IdColumn, LOADED_BYTES, SavedVocabulary, TableVocabulary, Vocabulary,
};
use crate::category::{CategoryError, InvalidParts};

const ENCODER: &str = "ordinal encoder";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    params: OrdinalEncoder,
    vocabulary: SavedVocabulary,
    /// One per category; null for a missing value that stays missing. Absent if a side table has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ids_: Option<Vec<Option<i32>>>,
    /// Null if unknown values are an error.
    unknown_id_: Option<i32>,
}

impl FittedOrdinalEncoder {
    /// Everything needed to rebuild the encoder: JSON with every learned value, or, for vocabularies above a thousand
    /// categories, JSON with the outline and a side table with the columns `category`, `count` and `id`.
    pub(crate) fn to_parts(
        &self,
    ) -> Result<(Value, Option<Arc<dyn CategoryTable>>), CategoryError> {
        let (vocabulary, ids, table) = match &self.words {
            Words::Stored { saved, table } => (saved.clone(), None, Some(Arc::clone(table))),
            Words::InMemory { vocabulary, ids } => {
                let ids = ids.iter().map(|&id| (id != NO_CODE).then_some(id));
                let saved = SavedVocabulary::of(vocabulary);
                if vocabulary.needs_table() {
                    let column: ArrayRef = Arc::new(ids.collect::<Int32Array>());
                    let ids = vec![(Field::new("id", DataType::Int32, true), column)];
                    let table: Arc<dyn CategoryTable> =
                        Arc::new(MemoryTable::new(vocabulary.to_table(ids)?));
                    (saved, None, Some(table))
                } else {
                    (saved, Some(ids.collect()), None)
                }
            }
        };
        let saved = Saved {
            params: self.options.clone(),
            vocabulary,
            ids_: ids,
            unknown_id_: self.unknown,
        };
        let json = serde_json::to_value(saved).map_err(|error| invalid(json_error(&error)))?;
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
        let saved = Saved::deserialize(json).map_err(|error| invalid(json_error(&error)))?;
        saved.params.check_options()?;
        if let Some(code) = saved.unknown_id_.filter(|code| *code < MIN_CODE) {
            return Err(invalid(InvalidParts::Code {
                index: saved.vocabulary.categories(),
                code: code.into(),
            }));
        }
        let listed = saved.vocabulary.listed().map_err(invalid)?;
        let (vocabulary, ids) = match (listed, saved.ids_, table) {
            (Some(vocabulary), Some(ids), None) => (vocabulary, ids),
            (None, None, Some(table)) => {
                let table = TableVocabulary::try_new(saved.vocabulary, Arc::clone(table), ENCODER)?;
                match table.in_memory(IdColumn::Present, most_bytes)? {
                    Some(found) => found,
                    None => return Self::compact(saved.params, table, saved.unknown_id_),
                }
            }
            _ => return Err(invalid(InvalidParts::Table)),
        };
        let ids = checked_ids(&vocabulary, &ids).map_err(invalid)?;
        Ok(Self::new(saved.params, vocabulary, ids, saved.unknown_id_))
    }

    /// An encoder that leaves its categories in the table.
    fn compact(
        options: OrdinalEncoder,
        table: TableVocabulary,
        unknown: Option<i32>,
    ) -> Result<Self, CategoryError> {
        let mut missing = options.unseen_missing();
        let index = CompactIndex::build(table.len(), |filling| {
            table.for_each(IdColumn::Present, |rows| {
                let mut codes = Vec::with_capacity(rows.values.len());
                for (row, id) in rows.ids.iter().flatten().enumerate() {
                    let is_missing = rows.values.is_null(row);
                    let code = checked_id(id, is_missing, rows.start + row).map_err(invalid)?;
                    if is_missing {
                        missing = code;
                    }
                    codes.push(code);
                }
                filling.add_values(&rows.values, codes.into_iter())
            })
        })?;
        Ok(Self {
            options,
            unknown,
            lookup: CategoryLookup::compact(table.kind(), index, missing),
            words: Words::Stored {
                saved: table.saved,
                table: table.table,
            },
            _reservation: None,
        })
    }
}

fn checked_ids(vocabulary: &Vocabulary, ids: &[Option<i32>]) -> Result<Vec<i32>, InvalidParts> {
    if ids.len() != vocabulary.len() {
        return Err(InvalidParts::Lengths {
            categories: vocabulary.len(),
            counts: vocabulary.counts().len(),
            codes: ids.len(),
        });
    }
    let check = |(index, id): (usize, &Option<i32>)| {
        checked_id(*id, vocabulary.values().is_null(index), index)
    };
    ids.iter().enumerate().map(check).collect()
}

/// The id as a code. Only a missing value may stay without.
fn checked_id(id: Option<i32>, is_missing: bool, index: usize) -> Result<i32, InvalidParts> {
    let code = match id {
        Some(id) if id >= MIN_CODE => return Ok(id),
        Some(id) => id,
        None if is_missing => return Ok(NO_CODE),
        None => NO_CODE,
    };
    Err(InvalidParts::Code {
        index,
        code: code.into(),
    })
}

fn json_error(error: &serde_json::Error) -> InvalidParts {
    InvalidParts::Json {
        message: error.to_string(),
    }
}

fn invalid(reason: InvalidParts) -> CategoryError {
    CategoryError::InvalidParts {
        encoder: ENCODER,
        reason,
    }
}
