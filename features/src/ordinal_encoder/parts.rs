//! The fitted ordinal encoder as JSON and a side table.
//!
//! Owns that format. Reading never trusts what it reads.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FittedOrdinalEncoder, Numbering, OrdinalEncoder};
use crate::category::lookup::{MIN_CODE, NO_CODE};
use crate::category::vocabulary::{SavedVocabulary, Vocabulary};
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
    pub(crate) fn to_parts(&self) -> Result<(Value, Option<RecordBatch>), CategoryError> {
        let ids: Vec<Option<i32>> = self
            .numbering
            .ids
            .iter()
            .map(|&id| if id == NO_CODE { None } else { Some(id) })
            .collect();
        let table = if self.vocabulary.needs_table() {
            let column: ArrayRef = Arc::new(ids.iter().copied().collect::<Int32Array>());
            Some(
                self.vocabulary
                    .to_table(vec![(Field::new("id", DataType::Int32, true), column)])?,
            )
        } else {
            None
        };
        let saved = Saved {
            params: self.options.clone(),
            vocabulary: self.vocabulary.to_saved(),
            ids_: table.is_none().then_some(ids),
            unknown_id_: self.numbering.unknown,
        };
        let json = serde_json::to_value(saved).map_err(|error| invalid(json_error(&error)))?;
        Ok((json, table))
    }

    /// Rebuilds an encoder from [`to_parts`](Self::to_parts).
    ///
    /// # Errors
    /// [`CategoryError::InvalidParts`] for anything that fitting could not have produced; contradictory options.
    pub(crate) fn from_parts(
        json: &Value,
        table: Option<&RecordBatch>,
    ) -> Result<Self, CategoryError> {
        let saved = Saved::deserialize(json).map_err(|error| invalid(json_error(&error)))?;
        saved.params.check_options()?;
        let vocabulary = Vocabulary::from_saved(saved.vocabulary, table).map_err(invalid)?;
        let ids = match (saved.ids_, table) {
            (Some(ids), None) => ids,
            (None, Some(table)) => {
                let wrong = InvalidParts::TableColumn { column: "id" };
                let column = table
                    .column_by_name("id")
                    .and_then(|column| column.as_primitive_opt::<Int32Type>());
                column.ok_or(wrong).map_err(invalid)?.iter().collect()
            }
            _ => return Err(invalid(InvalidParts::Table)),
        };
        let ids = checked_ids(&vocabulary, &ids).map_err(invalid)?;
        if let Some(code) = saved.unknown_id_.filter(|code| *code < MIN_CODE) {
            return Err(invalid(InvalidParts::Code {
                index: vocabulary.len(),
                code: code.into(),
            }));
        }
        Ok(Self::new(
            saved.params,
            vocabulary,
            Numbering {
                ids,
                unknown: saved.unknown_id_,
            },
        ))
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
    let check = |(index, id): (usize, &Option<i32>)| match *id {
        Some(id) if id >= MIN_CODE => Ok(id),
        Some(id) => Err(InvalidParts::Code {
            index,
            code: id.into(),
        }),
        None if vocabulary.values().is_null(index) => Ok(NO_CODE),
        None => Err(InvalidParts::Code {
            index,
            code: NO_CODE.into(),
        }),
    };
    ids.iter().enumerate().map(check).collect()
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
