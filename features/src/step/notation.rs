//! How steps are written in recipes: reading, writing, and the JSON schema.

use std::borrow::Cow;

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema, json_schema};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::Step;
use crate::clip::Clip;
use crate::date_parts::DateParts;
use crate::drop_step::Drop;
use crate::max_abs_scaler::MaxAbsScaler;
use crate::min_max_scaler::MinMaxScaler;
use crate::one_hot_encoder::OneHotEncoder;
use crate::ordinal_encoder::OrdinalEncoder;
use crate::robust_scaler::RobustScaler;
use crate::selector::nearest;
use crate::simple_imputer::SimpleImputer;
use crate::sql_step::Sql;
use crate::standard_scaler::StandardScaler;

/// Every step by name; the order is that of the documentation.
const NAMES: [&str; 14] = [
    "simple_imputer",
    "standard_scaler",
    "min_max_scaler",
    "max_abs_scaler",
    "robust_scaler",
    "log1p",
    "clip",
    "sqrt",
    "abs",
    "sql",
    "one_hot_encoder",
    "ordinal_encoder",
    "date_parts",
    "drop",
];

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        self.written()
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

fn read(written: Value) -> Result<Step, String> {
    let (name, options) = match written {
        Value::String(name) => (name, Value::Null),
        Value::Object(map) => {
            let keys = map.len();
            match map.into_iter().next() {
                Some(entry) if keys == 1 => entry,
                _ => {
                    return Err(format!(
                        "a step is a name or a map with one key, and this map has {keys} keys"
                    ));
                }
            }
        }
        other => {
            return Err(format!(
                "a step is a name or a map with one key, not `{other}`"
            ));
        }
    };
    match name.as_str() {
        "simple_imputer" => Ok(Step::SimpleImputer(options_of(
            "simple_imputer",
            options,
            Some("strategy"),
        )?)),
        "standard_scaler" => Ok(Step::StandardScaler(options_of(
            "standard_scaler",
            options,
            None,
        )?)),
        "min_max_scaler" => Ok(Step::MinMaxScaler(options_of(
            "min_max_scaler",
            options,
            None,
        )?)),
        "max_abs_scaler" => Ok(Step::MaxAbsScaler(options_of(
            "max_abs_scaler",
            options,
            None,
        )?)),
        "robust_scaler" => Ok(Step::RobustScaler(options_of(
            "robust_scaler",
            options,
            None,
        )?)),
        "log1p" => without_options("log1p", &options, Step::Log1p),
        "clip" => Ok(Step::Clip(options_of("clip", options, None)?)),
        "sqrt" => without_options("sqrt", &options, Step::Sqrt),
        "abs" => without_options("abs", &options, Step::Abs),
        "sql" => Ok(Step::Sql(options_of("sql", options, Some("expression"))?)),
        "one_hot_encoder" => Ok(Step::OneHotEncoder(options_of(
            "one_hot_encoder",
            options,
            None,
        )?)),
        "ordinal_encoder" => Ok(Step::OrdinalEncoder(options_of(
            "ordinal_encoder",
            options,
            None,
        )?)),
        "date_parts" => Ok(Step::DateParts(options_of("date_parts", options, None)?)),
        "drop" => Ok(Step::Drop(options_of("drop", options, None)?)),
        unknown => Err(match nearest(unknown, NAMES.into_iter()) {
            Some(near) => format!("unknown step `{unknown}`, did you mean `{near}`?"),
            None => format!(
                "unknown step `{unknown}`; the steps are {}",
                NAMES.join(", ")
            ),
        }),
    }
}

fn without_options(step: &str, options: &Value, value: Step) -> Result<Step, String> {
    match options {
        Value::Null => Ok(value),
        Value::Object(map) if map.is_empty() => Ok(value),
        other => Err(format!("step `{step}` takes no options, and got `{other}`")),
    }
}

/// Reads the options of a step; a value that is no map stands for the option `short`.
fn options_of<T: DeserializeOwned + JsonSchema>(
    step: &str,
    options: Value,
    short: Option<&str>,
) -> Result<T, String> {
    let map = match (options, short) {
        (Value::Null, _) => Map::new(),
        (Value::Object(map), _) => map,
        (other, Some(short)) => Map::from_iter([(short.to_owned(), other)]),
        (other, None) => return Err(format!("step `{step}`: options are a map, not `{other}`")),
    };
    let known = option_names::<T>();
    if let Some(unknown) = map.keys().find(|key| !known.contains(key)) {
        return Err(match nearest(unknown, known.iter().map(String::as_str)) {
            Some(near) => {
                format!("step `{step}`: unknown option `{unknown}`, did you mean `{near}`?")
            }
            None => format!(
                "step `{step}`: unknown option `{unknown}`; the options are {}",
                known.join(", ")
            ),
        });
    }
    serde_json::from_value(Value::Object(map)).map_err(|error| format!("step `{step}`: {error}"))
}

fn option_names<T: JsonSchema>() -> Vec<String> {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>();
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

impl Step {
    fn written(&self) -> Result<Value, serde_json::Error> {
        let options = match self {
            Self::Log1p | Self::Sqrt | Self::Abs => None,
            Self::SimpleImputer(options) => changed(options)?,
            Self::StandardScaler(options) => changed(options)?,
            Self::MinMaxScaler(options) => changed(options)?,
            Self::MaxAbsScaler(options) => changed(options)?,
            Self::RobustScaler(options) => changed(options)?,
            Self::Clip(options) => changed(options)?,
            Self::OneHotEncoder(options) => changed(options)?,
            Self::OrdinalEncoder(options) => changed(options)?,
            Self::DateParts(options) => changed(options)?,
            Self::Drop(options) => changed(options)?,
            Self::Sql(options) => Some(serde_json::to_value(options)?),
        };
        Ok(match options {
            None => Value::String(self.name().to_owned()),
            Some(options) => Value::Object(Map::from_iter([(self.name().to_owned(), options)])),
        })
    }
}

/// The options, or None when all are defaults.
fn changed<T: Serialize + Default + PartialEq>(
    options: &T,
) -> Result<Option<Value>, serde_json::Error> {
    if *options == T::default() {
        Ok(None)
    } else {
        serde_json::to_value(options).map(Some)
    }
}

impl JsonSchema for Step {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut forms = vec![json_schema!({
            "description": "a step with all its defaults",
            "enum": NAMES.iter().filter(|name| !matches!(**name, "sql" | "clip")).collect::<Vec<_>>(),
        })];
        let strategy = generator.subschema_for::<crate::simple_imputer::ImputeStrategy>();
        let mut add = |name: &str, options: Value| {
            forms.push(json_schema!({
                "type": "object",
                "properties": { name: options },
                "required": [name],
                "additionalProperties": false,
            }));
        };
        let imputer = generator.subschema_for::<SimpleImputer>();
        add(
            "simple_imputer",
            serde_json::json!({ "anyOf": [strategy, imputer] }),
        );
        add(
            "standard_scaler",
            generator.subschema_for::<StandardScaler>().to_value(),
        );
        add(
            "min_max_scaler",
            generator.subschema_for::<MinMaxScaler>().to_value(),
        );
        add(
            "max_abs_scaler",
            generator.subschema_for::<MaxAbsScaler>().to_value(),
        );
        add(
            "robust_scaler",
            generator.subschema_for::<RobustScaler>().to_value(),
        );
        add("clip", generator.subschema_for::<Clip>().to_value());
        let sql = generator.subschema_for::<Sql>();
        add(
            "sql",
            serde_json::json!({ "anyOf": [{ "type": "string" }, sql] }),
        );
        add(
            "one_hot_encoder",
            generator.subschema_for::<OneHotEncoder>().to_value(),
        );
        add(
            "ordinal_encoder",
            generator.subschema_for::<OrdinalEncoder>().to_value(),
        );
        add(
            "date_parts",
            generator.subschema_for::<DateParts>().to_value(),
        );
        add("drop", generator.subschema_for::<Drop>().to_value());
        json_schema!({ "anyOf": forms })
    }
}
