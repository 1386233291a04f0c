//! One fitted step as JSON and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{ArtifactError, Reader, invalid, to_map};
use crate::category::CategoryError;
use crate::category::store::CategoryTable;
use crate::date_parts::DateParts;
use crate::fitted_step::{BoundSql, FittedStep};
use crate::numeric;
use crate::one_hot_encoder::FittedOneHotEncoder;
use crate::ordinal_encoder::FittedOrdinalEncoder;
use crate::simple_imputer::{FillKind, FillStatistic, FittedSimpleImputer};

type Table = Arc<dyn CategoryTable>;
type Tables = BTreeMap<String, Table>;

pub(super) fn write(
    step: &FittedStep,
    part: &str,
    tables: &mut Tables,
) -> Result<Map<String, Value>, ArtifactError> {
    let fields = match step {
        FittedStep::Log1p | FittedStep::Sqrt | FittedStep::Abs => Map::new(),
        FittedStep::Clip(clip) => to_map(part, clip)?,
        FittedStep::SimpleImputer(fitted) => to_map(part, fitted)?,
        FittedStep::StandardScaler(fitted) => to_map(part, fitted)?,
        FittedStep::MinMaxScaler(fitted) => to_map(part, fitted)?,
        FittedStep::MaxAbsScaler(fitted) => to_map(part, fitted)?,
        FittedStep::RobustScaler(fitted) => to_map(part, fitted)?,
        FittedStep::Sql(bound) => Map::from_iter([("expression".to_owned(), json!(bound.text))]),
        FittedStep::OneHotEncoder(fitted) => with_table(fitted.to_parts(), part, tables)?,
        FittedStep::OrdinalEncoder(fitted) => with_table(fitted.to_parts(), part, tables)?,
        FittedStep::DateParts(bound) => to_map(part, bound.step())?,
        FittedStep::Kept(kept) => to_map(part, kept)?,
    };
    let mut map = Map::from_iter([("step".to_owned(), json!(step.name()))]);
    map.extend(fields);
    Ok(map)
}

fn with_table(
    parts: Result<(Value, Option<Table>), CategoryError>,
    part: &str,
    tables: &mut Tables,
) -> Result<Map<String, Value>, ArtifactError> {
    let (json, table) = parts.map_err(|source| ArtifactError::Category {
        part: part.to_owned(),
        source,
    })?;
    let mut map = Map::from_iter([("fitted".to_owned(), json)]);
    if let Some(table) = table {
        let name = format!("vocabulary-{}", tables.len());
        map.insert("table".to_owned(), json!(name));
        tables.insert(name, table);
    }
    Ok(map)
}

/// Reads one step, through which a stream of the given name and type goes.
pub(super) fn read(
    json: &Value,
    stream: &str,
    data_type: &DataType,
    reader: &Reader<'_>,
    part: &str,
) -> Result<FittedStep, ArtifactError> {
    let name = json
        .get("step")
        .and_then(Value::as_str)
        .ok_or_else(|| invalid(part, "`step` is missing"))?;
    let step = match name {
        "log1p" => FittedStep::Log1p,
        "sqrt" => FittedStep::Sqrt,
        "abs" => FittedStep::Abs,
        "clip" => FittedStep::Clip(fields(json, part)?),
        "simple_imputer" => {
            let fitted: FittedSimpleImputer = fields(json, part)?;
            let kind = crate::plan::fill_kind(data_type);
            let fits = match &fitted.statistics_ {
                None => kind.is_some(),
                Some(FillStatistic::Number(_)) => kind == Some(FillKind::Number),
                Some(FillStatistic::Text(_)) => kind == Some(FillKind::Text),
            };
            if !fits {
                return Err(invalid(
                    part,
                    format!("what it fills with does not go with type {data_type}"),
                ));
            }
            if fitted.statistics_.is_none() && !fitted.indicator_ {
                return Err(invalid(part, "it neither fills nor indicates"));
            }
            FittedStep::SimpleImputer(fitted)
        }
        "standard_scaler" => FittedStep::StandardScaler(fields(json, part)?),
        "min_max_scaler" => FittedStep::MinMaxScaler(fields(json, part)?),
        "max_abs_scaler" => FittedStep::MaxAbsScaler(fields(json, part)?),
        "robust_scaler" => FittedStep::RobustScaler(fields(json, part)?),
        "sql" => {
            let text = json.get("expression").and_then(Value::as_str);
            let text = text.ok_or_else(|| invalid(part, "`expression` is missing"))?;
            let field = Field::new(reader.column, data_type.clone(), true);
            let expression = reader.compiler.compile(text, &field).map_err(|source| {
                ArtifactError::Expression {
                    part: part.to_owned(),
                    source,
                }
            })?;
            FittedStep::Sql(BoundSql {
                text: text.to_owned(),
                input_type: data_type.clone(),
                expression,
            })
        }
        "one_hot_encoder" => {
            let (fitted, table) = encoder(json, reader, part)?;
            let fitted = FittedOneHotEncoder::from_parts(fitted, table);
            FittedStep::OneHotEncoder(Arc::new(fitted.map_err(|source| category(part, source))?))
        }
        "ordinal_encoder" => {
            let (fitted, table) = encoder(json, reader, part)?;
            let fitted = FittedOrdinalEncoder::from_parts(fitted, table);
            FittedStep::OrdinalEncoder(Arc::new(fitted.map_err(|source| category(part, source))?))
        }
        "date_parts" => {
            let options: DateParts = fields(json, part)?;
            let bound = options
                .bind(&Field::new(stream, data_type.clone(), true))
                .map_err(|source| ArtifactError::DateParts {
                    part: part.to_owned(),
                    source,
                })?;
            FittedStep::DateParts(Arc::new(bound))
        }
        "drop" => FittedStep::Kept(fields(json, part)?),
        unknown => return Err(invalid(part, format!("unknown step `{unknown}`"))),
    };
    if step.kernels().is_some() && !numeric::is_readable(data_type) {
        return Err(invalid(
            part,
            format!("step {name} cannot work on type {data_type}"),
        ));
    }
    Ok(step)
}

/// The fields of a step, its name aside.
fn fields<T: DeserializeOwned>(json: &Value, part: &str) -> Result<T, ArtifactError> {
    let mut map = Map::deserialize(json).map_err(|error| invalid(part, error))?;
    map.remove("step");
    serde_json::from_value(Value::Object(map)).map_err(|error| invalid(part, error))
}

fn encoder<'a>(
    json: &'a Value,
    reader: &Reader<'a>,
    part: &str,
) -> Result<(&'a Value, Option<&'a Table>), ArtifactError> {
    let fitted = json
        .get("fitted")
        .ok_or_else(|| invalid(part, "`fitted` is missing"))?;
    let Some(name) = json.get("table").and_then(Value::as_str) else {
        return Ok((fitted, None));
    };
    let table = reader.tables.get(name);
    let table = table.ok_or_else(|| ArtifactError::MissingTable {
        part: part.to_owned(),
        table: name.to_owned(),
    })?;
    Ok((fitted, Some(table)))
}

fn category(part: &str, source: CategoryError) -> ArtifactError {
    ArtifactError::Category {
        part: part.to_owned(),
        source,
    }
}
