//! How fitted features are saved: readable JSON, and side tables for long vocabularies.
//!
//! Owns the format and its version. Reading trusts nothing: any JSON gives features or an error, never a panic.

mod step_json;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::category::CategoryError;
use crate::category::store::CategoryTable;
use crate::chain::{Branch, DropReason, Tail};
use crate::date_parts::DatePartsError;
use crate::exact_float::ExactFloat;
use crate::expression::{ExpressionCompiler, ExpressionError};
use crate::fitted_features::{FittedChain, FittedFeatures};
use crate::output_dtype::OutputDtype;

const FORMAT: &str = "millpond-features";
const VERSION: u64 = 1;
/// Streams within streams that are read; a recipe of this many branching steps is no recipe.
const DEEPEST: usize = 32;

/// Saved fitted features.
///
/// Every learned number stands under its scikit-learn name (`mean_`, `scale_`, `statistics_`, …). Finite floats are JSON
/// numbers that read back bit for bit; the others are `"nan"`, `"inf"` and `"-inf"`.
#[derive(Clone, Debug)]
pub struct FeaturesArtifact {
    /// Everything but the side tables.
    pub json: Value,
    /// Vocabularies too long for JSON, by the name under which the JSON refers to them (`vocabulary-0`, …). Those of very
    /// many categories are not in memory: they are to be read batch by batch, and may have to be read more than once.
    pub tables: BTreeMap<String, Arc<dyn CategoryTable>>,
}

/// Why a saved artefact cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// Not an artefact of fitted features.
    #[error("not a {FORMAT} artefact: format is {found}")]
    Format {
        /// What `format` holds.
        found: String,
    },
    /// Written by a version this one does not know.
    #[error("artefact version {found} is not known; this build reads version {VERSION}")]
    Version {
        /// What `version` holds.
        found: String,
    },
    /// A part that is missing or not what it should be.
    #[error("artefact part {part}: {problem}")]
    Invalid {
        /// Where in the artefact.
        part: String,
        /// What is wrong.
        problem: String,
    },
    /// Streams nested too deeply.
    #[error("artefact part {part}: streams are nested more than {DEEPEST} deep")]
    TooDeep {
        /// Where in the artefact.
        part: String,
    },
    /// A side table the JSON refers to, which was not given.
    #[error("artefact part {part}: side table `{table}` is missing")]
    MissingTable {
        /// Where in the artefact.
        part: String,
        /// Name of the table.
        table: String,
    },
    /// An encoder that cannot be rebuilt.
    #[error("artefact part {part}: {source}")]
    Category {
        /// Where in the artefact.
        part: String,
        /// Why.
        source: CategoryError,
    },
    /// A date step that cannot be rebuilt.
    #[error("artefact part {part}: {source}")]
    DateParts {
        /// Where in the artefact.
        part: String,
        /// Why.
        source: DatePartsError,
    },
    /// An expression that does not compile.
    #[error("artefact part {part}: {source}")]
    Expression {
        /// Where in the artefact.
        part: String,
        /// Why.
        source: ExpressionError,
    },
    /// Two features of one name.
    #[error("artefact has two features named `{name}`, of column `{first}` and column `{second}`")]
    DuplicateOutput {
        /// The name.
        name: String,
        /// Column of the first.
        first: String,
        /// Column of the second.
        second: String,
    },
}

/// The head of a column's entry.
#[derive(Serialize, Deserialize)]
struct ColumnHead {
    column: String,
    #[serde(rename = "type")]
    data_type: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    prefix: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    suffix: String,
}

/// How a dropped stream is saved.
#[derive(Serialize, Deserialize)]
struct SavedDrop {
    reason: DropReason,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    null_fraction: Option<ExactFloat>,
}

fn invalid(part: &str, problem: impl ToString) -> ArtifactError {
    ArtifactError::Invalid {
        part: part.to_owned(),
        problem: problem.to_string(),
    }
}

fn to_map(part: &str, value: &impl Serialize) -> Result<Map<String, Value>, ArtifactError> {
    match serde_json::to_value(value).map_err(|error| invalid(part, error))? {
        Value::Object(map) => Ok(map),
        other => Err(invalid(part, format!("not a map: {other}"))),
    }
}

impl FittedFeatures {
    /// Everything learned, as readable JSON and side tables.
    ///
    /// # Errors
    /// When an encoder cannot be written, which none made by a fit does.
    pub fn to_artifact(&self) -> Result<FeaturesArtifact, ArtifactError> {
        let mut tables = BTreeMap::new();
        let mut columns = Vec::with_capacity(self.chains.len());
        for (index, chain) in self.chains.iter().enumerate() {
            let part = format!("columns[{index}]");
            let head = ColumnHead {
                column: chain.column.clone(),
                data_type: chain.data_type.to_string(),
                prefix: chain.prefix.clone(),
                suffix: chain.suffix.clone(),
            };
            let mut map = to_map(&part, &head)?;
            map.extend(write_branch(&chain.branch, &part, &mut tables)?);
            columns.push(Value::Object(map));
        }
        let json = json!({
            "format": FORMAT,
            "version": VERSION,
            "dtype": self.dtype,
            "training_rows": self.rows,
            "columns": columns,
        });
        Ok(FeaturesArtifact { json, tables })
    }

    /// Rebuilds what was saved. Transforms are the same to the bit. Long vocabularies stay in their tables, which are
    /// needed again only for saving.
    ///
    /// # Errors
    /// An unknown format or version; anything that is not as [`Self::to_artifact`] writes it.
    pub fn from_artifact(
        artifact: &FeaturesArtifact,
        compiler: &dyn ExpressionCompiler,
    ) -> Result<Self, ArtifactError> {
        let json = &artifact.json;
        let format = json.get("format").unwrap_or(&Value::Null);
        if format != FORMAT {
            return Err(ArtifactError::Format {
                found: format.to_string(),
            });
        }
        let version = json.get("version").unwrap_or(&Value::Null);
        if version.as_u64() != Some(VERSION) {
            return Err(ArtifactError::Version {
                found: version.to_string(),
            });
        }
        let dtype = json
            .get("dtype")
            .ok_or_else(|| invalid("dtype", "missing"))?;
        let dtype = OutputDtype::deserialize(dtype).map_err(|error| invalid("dtype", error))?;
        let rows = json.get("training_rows").and_then(Value::as_u64);
        let rows = rows.ok_or_else(|| invalid("training_rows", "not a whole number"))?;
        let columns = json.get("columns").and_then(Value::as_array);
        let columns = columns.ok_or_else(|| invalid("columns", "not a list"))?;
        let mut chains = Vec::with_capacity(columns.len());
        for (index, column) in columns.iter().enumerate() {
            let part = format!("columns[{index}]");
            let head = ColumnHead::deserialize(column).map_err(|error| invalid(&part, error))?;
            let data_type: DataType = head
                .data_type
                .parse()
                .map_err(|error| invalid(&part, error))?;
            let reader = Reader {
                tables: &artifact.tables,
                compiler,
                column: &head.column,
            };
            let branch = reader.branch(column, head.column.clone(), &data_type, &part, 0)?;
            chains.push(FittedChain {
                column: head.column,
                data_type,
                prefix: head.prefix,
                suffix: head.suffix,
                branch,
            });
        }
        Self::assemble(chains, dtype, rows).map_err(|duplicate| ArtifactError::DuplicateOutput {
            name: duplicate.name,
            first: duplicate.first,
            second: duplicate.second,
        })
    }
}

fn write_branch(
    branch: &Branch,
    part: &str,
    tables: &mut BTreeMap<String, Arc<dyn CategoryTable>>,
) -> Result<Map<String, Value>, ArtifactError> {
    let mut map = Map::new();
    let mut steps = Vec::with_capacity(branch.steps.len());
    for (index, step) in branch.steps.iter().enumerate() {
        steps.push(Value::Object(step_json::write(
            step,
            &format!("{part}.steps[{index}]"),
            tables,
        )?));
    }
    map.insert("steps".to_owned(), Value::Array(steps));
    match &branch.tail {
        Tail::Output => {}
        Tail::Open { .. } => return Err(invalid(part, "not fitted to its end")),
        Tail::Dropped {
            reason,
            null_fraction,
        } => {
            let dropped = SavedDrop {
                reason: *reason,
                null_fraction: null_fraction.map(ExactFloat),
            };
            map.insert("dropped".to_owned(), Value::Object(to_map(part, &dropped)?));
        }
        Tail::Streams(branches) => {
            let mut streams = Vec::with_capacity(branches.len());
            for (index, branch) in branches.iter().enumerate() {
                let mut stream =
                    Map::from_iter([("name".to_owned(), Value::String(branch.name.clone()))]);
                stream.extend(write_branch(
                    branch,
                    &format!("{part}.streams[{index}]"),
                    tables,
                )?);
                streams.push(Value::Object(stream));
            }
            map.insert("streams".to_owned(), Value::Array(streams));
        }
    }
    Ok(map)
}

/// What is at hand while a column is read.
struct Reader<'a> {
    tables: &'a BTreeMap<String, Arc<dyn CategoryTable>>,
    compiler: &'a dyn ExpressionCompiler,
    column: &'a str,
}

impl Reader<'_> {
    fn branch(
        &self,
        json: &Value,
        name: String,
        input: &DataType,
        part: &str,
        depth: usize,
    ) -> Result<Branch, ArtifactError> {
        if depth > DEEPEST {
            return Err(ArtifactError::TooDeep {
                part: part.to_owned(),
            });
        }
        let saved = json
            .get("steps")
            .and_then(Value::as_array)
            .ok_or_else(|| invalid(part, "`steps` is not a list"))?;
        let mut types = vec![input.clone()];
        // Names of the streams made by the last step; None while there is one stream.
        let mut names = None;
        let mut steps = Vec::with_capacity(saved.len());
        for (index, step) in saved.iter().enumerate() {
            let part = format!("{part}.steps[{index}]");
            let (Some(data_type), None) = (types.first(), &names) else {
                return Err(invalid(
                    &part,
                    "no stream, or more than one, reaches this step",
                ));
            };
            let step = step_json::read(step, &name, data_type, self, &part)?;
            types = step.output_types(data_type);
            names = step.stream_names(&name);
            steps.push(step);
        }
        let tail = match (names, json.get("streams"), json.get("dropped")) {
            (None, None, None) => Tail::Output,
            (None, None, Some(dropped)) => {
                let dropped =
                    SavedDrop::deserialize(dropped).map_err(|error| invalid(part, error))?;
                Tail::Dropped {
                    reason: dropped.reason,
                    null_fraction: dropped.null_fraction.map(|value| value.0),
                }
            }
            (Some(names), Some(Value::Array(streams)), None)
                if names.len() == streams.len() && names.len() == types.len() =>
            {
                let mut branches = Vec::with_capacity(streams.len());
                for (index, ((stream, name), data_type)) in
                    streams.iter().zip(names).zip(&types).enumerate()
                {
                    let part = format!("{part}.streams[{index}]");
                    branches.push(self.branch(stream, name, data_type, &part, depth + 1)?);
                }
                Tail::Streams(branches)
            }
            _ => return Err(invalid(part, "`streams` are not those of the last step")),
        };
        Ok(Branch { name, steps, tail })
    }
}

#[cfg(test)]
mod tests;
