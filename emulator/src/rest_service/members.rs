//! Members of a body as the service reads them, which is as protobuf does: null is not there, numbers of 64 bits are texts.
//!
//! Must not know what any method does with them.

use serde_json::{Value, json};

/// Members that hold values of users: a row to insert, and query parameters.
const VALUES: [&str; 2] = ["json", "queryParameters"];

/// Members whose own members are named by users.
const NAMED: [&str; 2] = ["labels", "resourceTags"];

/// Numbers of 64 bits, which answers tell as texts, however they came.
const LONG_NUMBERS: [&str; 9] = [
    "defaultPartitionExpirationMs",
    "defaultTableExpirationMs",
    "expirationMs",
    "expirationTime",
    "jobTimeoutMs",
    "maxTimeTravelHours",
    "maximumBytesBilled",
    "refreshIntervalMs",
    "statementTimeoutMs",
];

/// Those that are so only within one other member.
const LONG_NUMBERS_WITHIN: [(&str, &str); 5] = [
    ("csvOptions", "skipLeadingRows"),
    ("googleSheetsOptions", "skipLeadingRows"),
    ("range", "start"),
    ("range", "end"),
    ("range", "interval"),
];

/// What a member that is null means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nulls {
    /// Nothing: it is as good as not there.
    Absent,
    /// It says what goes, in a PATCH.
    Kept,
}

/// Makes of a body what the service reads of it.
pub(super) fn settle(body: &mut Value, nulls: Nulls) {
    settle_within("", body, nulls);
}

fn settle_within(owner: &str, value: &mut Value, nulls: Nulls) {
    match value {
        Value::Object(members) => {
            members.retain(|name, member| match member {
                Value::Null => nulls == Nulls::Kept,
                // No place is nowhere.
                Value::String(text) => {
                    NAMED.contains(&owner) || name != "location" || !text.is_empty()
                }
                Value::Object(labels) if nulls == Nulls::Absent => {
                    !(name == "labels" && labels.is_empty())
                }
                Value::Array(entries) if nulls == Nulls::Absent => {
                    !(name == "access" && entries.is_empty())
                }
                _ => true,
            });
            for (name, member) in members {
                let name = name.as_str();
                if VALUES.contains(&name) {
                    continue;
                }
                let long =
                    LONG_NUMBERS.contains(&name) || LONG_NUMBERS_WITHIN.contains(&(owner, name));
                match member {
                    Value::Number(number) if long => *member = json!(number.to_string()),
                    member => settle_within(name, member, nulls),
                }
            }
        }
        // Elements are replaced as a whole, so that nothing in them is there to go.
        Value::Array(elements) => {
            for element in elements {
                settle_within(owner, element, Nulls::Absent);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(mut body: Value, nulls: Nulls) -> Value {
        settle(&mut body, nulls);
        body
    }

    #[test]
    fn a_member_that_is_null_is_not_there_but_in_a_patch() {
        let body = json!({
            "a": null, "b": [{"mode": null, "name": "x"}], "c": {"d": null},
            "rows": [{"insertId": null, "json": {"a": null, "expirationMs": 1}}],
            "queryParameters": [{"value": null}],
        });
        let wanted = json!({
            "b": [{"name": "x"}], "c": {}, "rows": [{"json": {"a": null, "expirationMs": 1}}],
            "queryParameters": [{"value": null}],
        });
        assert_eq!(settled(body.clone(), Nulls::Absent), wanted);
        let patched = settled(body, Nulls::Kept);
        assert_eq!(patched["c"], json!({"d": null}));
        assert!(patched.get("a").is_some());
        // Elements of lists are not patched, but replaced.
        assert_eq!(patched["b"], wanted["b"]);
        assert_eq!(patched["rows"], wanted["rows"]);
    }

    #[test]
    fn numbers_of_64_bits_are_texts() {
        let sent = json!({
            "expirationTime": 5, "timeoutMs": 5, "skipLeadingRows": 1, "csvOptions": {"skipLeadingRows": 1},
            "timePartitioning": {"expirationMs": "7"},
            "rangePartitioning": {"range": {"start": 0, "end": 10, "interval": 2}}, "start": 1,
        });
        let wanted = json!({
            "expirationTime": "5", "timeoutMs": 5, "skipLeadingRows": 1, "csvOptions": {"skipLeadingRows": "1"},
            "timePartitioning": {"expirationMs": "7"},
            "rangePartitioning": {"range": {"start": "0", "end": "10", "interval": "2"}}, "start": 1,
        });
        assert_eq!(settled(sent.clone(), Nulls::Absent), wanted);
        assert_eq!(settled(sent, Nulls::Kept), wanted);
    }

    #[test]
    fn an_empty_place_is_none_as_are_labels_and_access() {
        let sent = json!({"access": [], "labels": {}, "location": "", "jobReference": {"location": "", "jobId": ""}});
        let wanted = json!({"jobReference": {"jobId": ""}});
        assert_eq!(settled(sent, Nulls::Absent), wanted);
        let labelled = json!({"labels": {"location": "", "expirationMs": ""}, "configuration": {"labels": {"location": ""}},
            "resourceTags": {"location": ""}});
        for nulls in [Nulls::Absent, Nulls::Kept] {
            assert_eq!(settled(labelled.clone(), nulls), labelled);
        }
    }
}
