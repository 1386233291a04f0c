//! The fitted one-hot encoder as JSON and a side table.
//!
//! Owns that format. Reading never trusts what it reads.

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FittedOneHotEncoder, OneHotEncoder};
use crate::category::vocabulary::{SavedVocabulary, Vocabulary};
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
    pub(crate) fn to_parts(&self) -> Result<(Value, Option<RecordBatch>), CategoryError> {
        let table = if self.vocabulary.needs_table() {
            Some(self.vocabulary.to_table(Vec::new())?)
        } else {
            None
        };
        let saved = Saved {
            params: self.options.clone(),
            vocabulary: self.vocabulary.to_saved(),
        };
        let json = serde_json::to_value(saved).map_err(|error| json_error(&error))?;
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
        let saved = Saved::deserialize(json).map_err(|error| json_error(&error))?;
        saved.params.limits().check()?;
        let vocabulary = Vocabulary::from_saved(saved.vocabulary, table).map_err(|reason| {
            CategoryError::InvalidParts {
                encoder: ENCODER,
                reason,
            }
        })?;
        Ok(Self::new(saved.params, vocabulary))
    }
}

fn json_error(error: &serde_json::Error) -> CategoryError {
    CategoryError::InvalidParts {
        encoder: ENCODER,
        reason: InvalidParts::Json {
            message: error.to_string(),
        },
    }
}
