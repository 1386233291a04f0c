//! `OPTIONS (name = value, ...)` of tables, views, datasets and columns, as members of their REST form.
//!
//! Values are expressions over constants, evaluated like any query. Must not know what statement the options are part of.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use futures::TryStreamExt;
use serde_json::{Map, Value, json};

use super::{invalid, unsupported};
use crate::jobs::JobError;
use crate::jobs::query::Running;
use crate::query;
use crate::query::ast::{Expr, SqlOption};

/// What the options are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::jobs) enum Of {
    Table,
    View,
    MaterializedView,
    Schema,
    Column,
}

/// The values an option may have, and how REST writes them.
#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Days as milliseconds.
    Days,
    /// Whole hours, as a text.
    Hours,
    /// Minutes as milliseconds.
    Minutes,
    /// A time as milliseconds since 1970.
    Time,
    /// Pairs of texts as an object.
    Pairs,
    /// An interval that is taken down by nobody.
    Forgotten,
}

/// One setting: where it is in the resource, and its value; null takes it away.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::jobs) struct Setting {
    path: &'static [&'static str],
    value: Value,
}

impl Setting {
    /// Puts the value into a resource.
    pub fn apply(&self, resource: &mut Map<String, Value>) {
        match self.path {
            [] => {}
            [key] if self.value.is_null() => {
                resource.remove(*key);
            }
            [key] => {
                resource.insert((*key).to_owned(), self.value.clone());
            }
            [outer, rest @ ..] => {
                let inner = resource.entry(*outer).or_insert_with(|| json!({}));
                if let Value::Object(inner) = inner {
                    let below = Setting {
                        path: rest,
                        value: self.value.clone(),
                    };
                    below.apply(inner);
                }
                if resource.get(*outer) == Some(&json!({})) {
                    resource.remove(*outer);
                }
            }
        }
    }

    /// The collation of a table's or dataset's texts.
    pub fn collation(collation: &str) -> Self {
        Self {
            path: &["defaultCollation"],
            value: json!(collation),
        }
    }

    /// Whether it says where a dataset is.
    pub fn is_location(&self) -> bool {
        self.path == ["location"]
    }

    /// Whether it is about the partitions that a table must have for it.
    pub fn needs_partitions(&self) -> bool {
        !self.value.is_null() && self.path == EXPIRATION
            || self.value == true && self.path == FILTER
    }
}

const EXPIRATION: &[&str] = &["timePartitioning", "expirationMs"];
const FILTER: &[&str] = &["requirePartitionFilter"];

/// Where an option is kept, and what it may be; `None` for one that there is not.
fn known(of: Of, name: &str) -> Option<(&'static [&'static str], Form)> {
    const ROUNDING: Form = Form::Word(&[
        "ROUND_HALF_AWAY_FROM_ZERO",
        "ROUND_HALF_EVEN",
        "ROUNDING_MODE_UNSPECIFIED",
    ]);
    let table = matches!(of, Of::Table);
    let schema = matches!(of, Of::Schema);
    let materialized = matches!(of, Of::MaterializedView);
    Some(match name {
        "description" => (&["description"], Form::Text),
        "rounding_mode" if of == Of::Column => (&["roundingMode"], ROUNDING),
        _ if of == Of::Column => return None,
        "friendly_name" => (&["friendlyName"], Form::Text),
        "labels" => (&["labels"], Form::Pairs),
        "tags" => (&["resourceTags"], Form::Pairs),
        "expiration_timestamp" if !schema => (&["expirationTime"], Form::Time),
        "kms_key_name" if table || materialized => {
            (&["encryptionConfiguration", "kmsKeyName"], Form::Text)
        }
        "partition_expiration_days" if table || materialized => (EXPIRATION, Form::Days),
        "require_partition_filter" if table => (FILTER, Form::Flag),
        "default_rounding_mode" if table || schema => (&["defaultRoundingMode"], ROUNDING),
        "max_staleness" if table || materialized => (&["maxStaleness"], Form::Forgotten),
        "enable_refresh" if materialized => (&["materializedView", "enableRefresh"], Form::Flag),
        "refresh_interval_minutes" if materialized => {
            (&["materializedView", "refreshIntervalMs"], Form::Minutes)
        }
        "allow_non_incremental_definition" if materialized => (
            &["materializedView", "allowNonIncrementalDefinition"],
            Form::Flag,
        ),
        "location" if schema => (&["location"], Form::Text),
        "default_kms_key_name" if schema => (
            &["defaultEncryptionConfiguration", "kmsKeyName"],
            Form::Text,
        ),
        "default_table_expiration_days" if schema => (&["defaultTableExpirationMs"], Form::Days),
        "default_partition_expiration_days" if schema => {
            (&["defaultPartitionExpirationMs"], Form::Days)
        }
        "is_case_insensitive" if schema => (&["isCaseInsensitive"], Form::Flag),
        "max_time_travel_hours" if schema => (&["maxTimeTravelHours"], Form::Hours),
        "storage_billing_model" if schema => (
            &["storageBillingModel"],
            Form::Word(&["LOGICAL", "PHYSICAL"]),
        ),
        _ => return None,
    })
}

/// Options the service has that have no meaning here.
const REFUSED: [&str; 9] = [
    "enable_change_history",
    "enable_fine_grained_mutations",
    "storage_uri",
    "file_format",
    "table_format",
    "privacy_policy",
    "data_policies",
    "default_collation",
    "failover_reservation",
];

/// The settings that options make.
///
/// # Errors
/// [`JobError`] for an option that there is not, or whose value is of another type.
pub(in crate::jobs) fn settings(
    running: &Running<'_, '_>,
    of: Of,
    options: &[SqlOption],
) -> Result<Vec<Setting>, JobError> {
    let mut seen: Vec<String> = Vec::new();
    options
        .iter()
        .map(|option| {
            let SqlOption::KeyValue { key, value } = option else {
                return Err(unsupported(format!("the option {option}")));
            };
            let name = key.value.to_ascii_lowercase();
            if seen.contains(&name) {
                return Err(invalid(format!("Duplicate option specified: {name}")));
            }
            let Some((path, form)) = known(of, &name) else {
                return Err(if REFUSED.contains(&name.as_str()) {
                    unsupported(format!("the option {option}"))
                } else {
                    invalid(format!("Unknown option: {name}"))
                });
            };
            let value = evaluate(running, value)?;
            let value = form.read(&name, &value)?;
            seen.push(name);
            Ok(Setting { path, value })
        })
        .collect()
}

/// Whether an option says something of a table, whatever its data are.
pub(super) fn is_of_table(name: &str) -> bool {
    known(Of::Table, &name.to_ascii_lowercase()).is_some()
}

/// The one value of an expression over constants.
pub(super) fn evaluate(running: &Running<'_, '_>, expr: &Expr) -> Result<ArrayRef, JobError> {
    let mut expr = expr.clone();
    query::text::literals::escape(&mut expr);
    let planned = running.plan(query::select(&format!("SELECT {expr} AS value"))?)?;
    let batches: Vec<_> = running.handle.block_on(async {
        let rows = planned.run().await?;
        rows.try_collect().await
    })?;
    let value = batches.first().and_then(|b| b.columns().first().cloned());
    value
        .filter(|value| value.len() == 1)
        .ok_or_else(|| invalid(format!("The option value {expr} is not one value")))
}

impl Form {
    fn read(self, name: &str, value: &ArrayRef) -> Result<Value, JobError> {
        if value.is_null(0) {
            return Ok(Value::Null);
        }
        let wrong = || {
            let expected = self.expected();
            let found = value.data_type();
            invalid(format!(
                "Option {name} value has type {found} which cannot be coerced to expected type {expected}"
            ))
        };
        let number = || match value.data_type() {
            DataType::Int64 => Some(value.as_primitive::<Int64Type>().value(0) as f64),
            DataType::Float64 => Some(value.as_primitive::<Float64Type>().value(0)),
            _ => None,
        };
        let scaled = |unit: f64| {
            let scaled = number().ok_or_else(wrong)? * unit;
            if !(0.0..=9e15).contains(&scaled) {
                return Err(invalid(format!("Option {name} has an invalid value")));
            }
            Ok(json!((scaled.round() as i64).to_string()))
        };
        let text = || value.as_string_opt::<i32>().map(|text| text.value(0));
        match self {
            Self::Text => Ok(json!(text().ok_or_else(wrong)?)),
            Self::Flag => Ok(json!(value.as_boolean_opt().ok_or_else(wrong)?.value(0))),
            Self::Word(words) => {
                let given = text().ok_or_else(wrong)?.trim_matches('\'');
                let word = words.iter().find(|w| w.eq_ignore_ascii_case(given));
                let word = word
                    .ok_or_else(|| invalid(format!("Invalid value for option {name}: {given}")))?;
                Ok(json!(word))
            }
            Self::Days => scaled(86_400_000.0),
            Self::Minutes => scaled(60_000.0),
            Self::Hours => scaled(1.0),
            Self::Time => {
                let time = value.as_primitive_opt::<TimestampMicrosecondType>();
                let micros = time.ok_or_else(wrong)?.value(0);
                Ok(json!(micros.div_euclid(1000).to_string()))
            }
            Self::Pairs => pairs(name, value).ok_or_else(wrong)?,
            Self::Forgotten => Ok(Value::Null),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::Word(_) => "STRING",
            Self::Flag => "BOOL",
            Self::Days | Self::Minutes => "FLOAT64",
            Self::Hours => "INT64",
            Self::Time => "TIMESTAMP",
            Self::Pairs => "ARRAY<STRUCT<STRING, STRING>>",
            Self::Forgotten => "INTERVAL",
        }
    }
}

/// An array of pairs of texts as an object; `None` when it is none.
fn pairs(name: &str, value: &ArrayRef) -> Option<Result<Value, JobError>> {
    let elements = value.as_list_opt::<i32>()?.value(0);
    if elements.is_empty() {
        return Some(Ok(json!({})));
    }
    let pairs = elements.as_struct_opt()?;
    let [keys, values] = pairs.columns() else {
        return None;
    };
    let (keys, values) = (keys.as_string_opt::<i32>()?, values.as_string_opt::<i32>()?);
    let mut object = Map::new();
    for (key, value) in keys.iter().zip(values) {
        let (key, value) = (key?.to_owned(), value?);
        if object.insert(key.clone(), json!(value)).is_some() {
            return Some(Err(invalid(format!(
                "Duplicate key {key} in option {name}"
            ))));
        }
    }
    Some(Ok(Value::Object(object)))
}
