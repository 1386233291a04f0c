//! What a table's partitioning and clustering may be.
//!
//! Must not know how rows are kept.

use serde_json::{Map, Value};

use super::error::RestError;
use crate::schema::FieldSchema;

const BY_TIME: &str = "timePartitioning";
const BY_RANGE: &str = "rangePartitioning";

/// How long partitions by time may be.
const LENGTHS: [&str; 4] = ["HOUR", "DAY", "MONTH", "YEAR"];

/// Refuses settings that no table with these columns can have.
///
/// # Errors
/// [`RestError`] that says which of them.
pub(super) fn check(
    settings: &Map<String, Value>,
    columns: &[FieldSchema],
) -> Result<(), RestError> {
    let said = |key: &str| settings.get(key).filter(|value| !value.is_null());
    let (by_time, by_range) = (said(BY_TIME), said(BY_RANGE));
    if by_time.is_some() && by_range.is_some() {
        return Err(RestError::invalid(
            "A table cannot be partitioned both by time and by range.",
        ));
    }
    if let Some(by_time) = by_time {
        check_time(by_time, columns)?;
    }
    if let Some(by_range) = by_range {
        check_range(by_range, columns)?;
    }
    let clustered = said("clustering")
        .and_then(|c| c["fields"].as_array())
        .map(Vec::as_slice)
        .unwrap_or_default();
    if clustered.len() > 4 {
        return Err(RestError::invalid(
            "The number of clustering columns must not exceed 4.",
        ));
    }
    for name in clustered.iter().filter_map(Value::as_str) {
        column(columns, name)?;
    }
    Ok(())
}

/// Refuses to partition a table that is not partitioned, which has to be made anew for that.
///
/// # Errors
/// [`RestError`] for it.
pub(super) fn check_change(
    known: &Map<String, Value>,
    changes: &Map<String, Value>,
) -> Result<(), RestError> {
    let partitioned = |settings: &Map<String, Value>| {
        [BY_TIME, BY_RANGE]
            .iter()
            .any(|key| settings.get(*key).is_some_and(|value| !value.is_null()))
    };
    if partitioned(changes) && !partitioned(known) {
        return Err(RestError::invalid(
            "Cannot convert non partitioned/clustered table to partitioned/clustered table.",
        ));
    }
    Ok(())
}

fn column<'c>(columns: &'c [FieldSchema], name: &str) -> Result<&'c FieldSchema, RestError> {
    let found = columns.iter().find(|c| c.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        RestError::invalid(&format!(
            "The field specified for partitioning or clustering cannot be found in the schema: {name}."
        ))
    })
}

fn check_time(by: &Value, columns: &[FieldSchema]) -> Result<(), RestError> {
    if let Some(length) = by["type"].as_str().filter(|length| !length.is_empty())
        && !LENGTHS.contains(&length)
    {
        return Err(RestError::invalid(&format!(
            "Invalid value for timePartitioning.type: {length} is none of {}",
            LENGTHS.join(", ")
        )));
    }
    let Some(name) = by["field"].as_str() else {
        return Ok(());
    };
    let kind = &column(columns, name)?.kind;
    if ["DATE", "TIMESTAMP", "DATETIME"].contains(&kind.as_str()) {
        return Ok(());
    }
    Err(RestError::invalid(&format!(
        "The field specified for partitioning can only be of type DATE, TIMESTAMP or DATETIME. The type found is: {kind}."
    )))
}

fn check_range(by: &Value, columns: &[FieldSchema]) -> Result<(), RestError> {
    let name = by["field"].as_str().unwrap_or_default();
    let kind = &column(columns, name)?.kind;
    if kind != "INTEGER" {
        return Err(RestError::invalid(&format!(
            "The field specified for partitioning can only be of type INTEGER. The type found is: {kind}."
        )));
    }
    let bound = |key: &str| match &by["range"][key] {
        Value::String(text) => text.parse::<i64>().ok(),
        other => other.as_i64(),
    };
    match (bound("start"), bound("end"), bound("interval")) {
        (Some(start), Some(end), Some(interval)) if start < end && interval > 0 => Ok(()),
        _ => Err(RestError::invalid(&format!(
            "Invalid range of partitions: {}. It needs a start before its end, and an interval above zero",
            by["range"]
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn refused(settings: &Value) -> bool {
        let columns = json!([
            {"name": "d", "type": "DATE"}, {"name": "n", "type": "INTEGER"}, {"name": "s", "type": "STRING"},
        ]);
        let columns: Vec<FieldSchema> = serde_json::from_value(columns).unwrap();
        check(settings.as_object().unwrap(), &columns).is_err()
    }

    #[test]
    fn only_layouts_that_the_columns_allow_are_taken() {
        let range = |field: &str, start: i64, interval: i64| {
            json!({"rangePartitioning": {"field": field,
            "range": {"start": start.to_string(), "end": "10", "interval": interval}}})
        };
        for taken in [
            json!({}),
            json!({"timePartitioning": null}),
            json!({"timePartitioning": {"type": "DAY"}, "clustering": {"fields": ["S", "n"]}}),
            json!({"timePartitioning": {"type": "MONTH", "field": "D"}}),
            range("n", 0, 1),
        ] {
            assert!(!refused(&taken), "{taken}");
        }
        let mut both = range("n", 0, 1);
        both["timePartitioning"] = json!({"type": "DAY"});
        for wrong in [
            both,
            range("s", 0, 1),
            range("n", 10, 1),
            range("n", 0, 0),
            range("none", 0, 1),
            json!({"rangePartitioning": {"field": "n"}}),
            json!({"timePartitioning": {"type": "WEEK"}}),
            json!({"timePartitioning": {"type": "DAY", "field": "s"}}),
            json!({"timePartitioning": {"type": "DAY", "field": "none"}}),
            json!({"clustering": {"fields": ["none"]}}),
            json!({"clustering": {"fields": ["d", "n", "s", "d", "n"]}}),
        ] {
            assert!(refused(&wrong), "{wrong}");
        }
    }

    #[test]
    fn tables_are_not_partitioned_later() {
        let check = |known: Value, changes: Value| {
            check_change(known.as_object().unwrap(), changes.as_object().unwrap()).is_ok()
        };
        let partitioned = json!({"timePartitioning": {"type": "DAY"}});
        assert!(check(json!({}), json!({"timePartitioning": null})));
        assert!(check(partitioned.clone(), partitioned.clone()));
        assert!(!check(json!({}), partitioned));
    }
}
