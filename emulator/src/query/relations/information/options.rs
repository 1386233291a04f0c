//! Options of tables and datasets, as `OPTIONS` would write them.

use serde_json::{Map, Value, json};

use super::{Columns, Row, head, time, with};
use crate::catalog::Table;

pub(super) const TABLE_OPTIONS: Columns = &[
    ("table_catalog", "STRING"),
    ("table_schema", "STRING"),
    ("table_name", "STRING"),
    ("option_name", "STRING"),
    ("option_type", "STRING"),
    ("option_value", "STRING"),
];

const TEXT: &str = "STRING";
const DAYS: &str = "FLOAT64";
const TIME: &str = "TIMESTAMP";
const FLAG: &str = "BOOL";
const PAIRS: &str = "ARRAY<STRUCT<STRING, STRING>>";
const HOURS: &str = "INT64";

/// An option: its name, its type, and where REST has it.
type Known = (&'static str, &'static str, &'static [&'static str]);

const OF_TABLE: &[Known] = &[
    (
        "partition_expiration_days",
        DAYS,
        &["timePartitioning", "expirationMs"],
    ),
    ("expiration_timestamp", TIME, &["expirationTime"]),
    (
        "require_partition_filter",
        FLAG,
        &["requirePartitionFilter"],
    ),
    (
        "kms_key_name",
        TEXT,
        &["encryptionConfiguration", "kmsKeyName"],
    ),
    ("friendly_name", TEXT, &["friendlyName"]),
    ("description", TEXT, &["description"]),
    ("labels", PAIRS, &["labels"]),
    ("tags", PAIRS, &["resourceTags"]),
    ("default_rounding_mode", TEXT, &["defaultRoundingMode"]),
    (
        "enable_refresh",
        FLAG,
        &["materializedView", "enableRefresh"],
    ),
];

const OF_DATASET: &[Known] = &[
    (
        "default_table_expiration_days",
        DAYS,
        &["defaultTableExpirationMs"],
    ),
    (
        "default_partition_expiration_days",
        DAYS,
        &["defaultPartitionExpirationMs"],
    ),
    (
        "default_kms_key_name",
        TEXT,
        &["defaultEncryptionConfiguration", "kmsKeyName"],
    ),
    ("friendly_name", TEXT, &["friendlyName"]),
    ("description", TEXT, &["description"]),
    ("labels", PAIRS, &["labels"]),
    ("tags", PAIRS, &["resourceTags"]),
    ("max_time_travel_hours", HOURS, &["maxTimeTravelHours"]),
    ("storage_billing_model", TEXT, &["storageBillingModel"]),
    ("default_rounding_mode", TEXT, &["defaultRoundingMode"]),
    ("is_case_insensitive", FLAG, &["isCaseInsensitive"]),
];

/// Names, types and values of what is set.
pub(super) type Set = Vec<(&'static str, &'static str, String)>;

pub(super) fn of_table(table: &Table) -> Vec<Row> {
    let set = set_of_table(table).into_iter();
    set.map(|(name, kind, value)| {
        let option = json!({"option_name": name, "option_type": kind, "option_value": value});
        with(head(table), option)
    })
    .collect()
}

pub(super) fn set_of_table(table: &Table) -> Set {
    let resource = table.metadata.as_ref().map(|m| &m.resource);
    resource.map(|r| set(OF_TABLE, r)).unwrap_or_default()
}

pub(super) fn set_of_dataset(resource: &Map<String, Value>) -> Set {
    set(OF_DATASET, resource)
}

fn set(known: &[Known], resource: &Map<String, Value>) -> Set {
    let found = known.iter().filter_map(|(name, kind, path)| {
        let (first, rest) = path.split_first()?;
        let value = resource.get(*first)?;
        let value = rest.iter().try_fold(value, |value, key| value.get(*key))?;
        Some((*name, *kind, written(kind, value)?))
    });
    found.collect()
}

/// A value as SQL writes it; `None` for one that is not there.
fn written(kind: &str, value: &Value) -> Option<String> {
    let number = || match value {
        Value::String(text) => text.parse::<i64>().ok(),
        other => other.as_i64(),
    };
    Some(match kind {
        TEXT => quoted(value.as_str()?),
        FLAG => value.as_bool()?.to_string(),
        HOURS => number()?.to_string(),
        DAYS => {
            let days = number()? as f64 / 86_400_000.0;
            format!("{days:?}")
        }
        TIME => match time(number()?.checked_mul(1000)?) {
            Value::String(text) => {
                let text = text.replace(".000000 UTC", " UTC");
                let text = text.replace(" UTC", "Z").replace(' ', "T");
                format!("TIMESTAMP \"{text}\"")
            }
            _ => return None,
        },
        _ => {
            let pairs = value.as_object().filter(|pairs| !pairs.is_empty())?;
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(key, value)| {
                    let value = value.as_str().unwrap_or_default();
                    format!("STRUCT({}, {})", quoted(key), quoted(value))
                })
                .collect();
            format!("[{}]", pairs.join(", "))
        }
    })
}

/// A text in double quotes, with what cannot stand there escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
