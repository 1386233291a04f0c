//! Arrays among parameters, each one value.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Parameter, answer, catalog};

/// An array under the name `p`, of a type in its REST form.
fn array(element: &Value, values: &Value) -> Vec<Parameter> {
    Parameter::read(&json!([{
        "name": "p",
        "parameterType": {"type": "ARRAY", "arrayType": element},
        "parameterValue": {"arrayValues": values},
    }]))
    .unwrap()
}

fn plain(kind: &str, values: &[&str]) -> Vec<Parameter> {
    let values: Vec<Value> = values.iter().map(|v| json!({"value": v})).collect();
    array(&json!({"type": kind}), &json!(values))
}

async fn first(sql: &str, given: &[Parameter]) -> String {
    let root = TempDir::new().unwrap();
    let text = answer(&catalog(&root), sql, given).await;
    let text = text.unwrap_or_else(|e| format!("| h |\n|{e}|"));
    let rows = text.lines().filter(|l| l.starts_with('|')).skip(1);
    let rows: Vec<String> = rows
        .map(|l| l.trim_matches('|').trim().replace(' ', ""))
        .collect();
    rows.join(";")
}

#[tokio::test]
async fn arrays_are_values_of_every_type() {
    for (kind, value, wanted) in [
        ("INT64", "7", "[7]"),
        ("FLOAT64", "-inf", "[-inf]"),
        ("BOOL", "true", "[true]"),
        ("NUMERIC", "1.5", "[1.500000000]"),
        ("STRING", "it's", "[it's]"),
        ("BYTES", "_w==", "[ff]"),
        ("DATE", "2020-01-02", "[2020-01-02]"),
        (
            "DATETIME",
            "2020-01-02 03:04:05.000006000",
            "[2020-01-02T03:04:05.000006]",
        ),
        (
            "TIMESTAMP",
            "2020-01-02 03:04:05+01:00",
            "[2020-01-02T02:04:05Z]",
        ),
        ("JSON", "{\"a\": 1}", "[{\"a\":1}]"),
    ] {
        let given = plain(kind, &[value]);
        assert_eq!(first("SELECT @p", &given).await, wanted, "{kind}");
    }
    let refused = first("SELECT @p", &plain("INT64", &["x"])).await;
    assert!(refused.contains("Badint64value:x"), "{refused}");
}

#[tokio::test]
async fn arrays_are_looked_into_like_those_of_the_text() {
    let numbers = plain("INT64", &["3", "1", "2"]);
    for (sql, wanted) in [
        ("SELECT COUNT(*) FROM d.t WHERE id IN UNNEST(@p)", "3"),
        ("SELECT COUNT(*) FROM d.t WHERE id NOT IN UNNEST(@p)", "0"),
        (
            "SELECT x FROM UNNEST(@p) AS x WITH OFFSET AS o ORDER BY o",
            "3;1;2",
        ),
        ("SELECT @p[ORDINAL(1)] + ARRAY_LENGTH(@p)", "6"),
        (
            "SELECT (SELECT SUM(x) FROM UNNEST(@p) AS x WHERE x > id) FROM d.t ORDER BY id",
            "5;3;",
        ),
    ] {
        assert_eq!(first(sql, &numbers).await, wanted, "{sql}");
    }
    let none = plain("STRING", &[]);
    let sql = "SELECT ARRAY_LENGTH(@p), 'a' IN UNNEST(@p), @p IS NULL";
    assert_eq!(first(sql, &none).await, "0|false|false");
}

#[tokio::test]
async fn elements_may_be_structs() {
    let element = json!({"type": "STRUCT", "structTypes": [
        {"name": "a", "type": {"type": "INT64"}},
        {"name": "b", "type": {"type": "ARRAY", "arrayType": {"type": "STRING"}}},
    ]});
    let one = json!({"structValues": {"a": {"value": "1"}, "b": {"arrayValues": [{"value": "x"}, {"value": "y"}]}}});
    let other = json!({"structValues": {"a": {"value": null}, "b": {"arrayValues": []}}});
    let given = array(&element, &json!([one, other]));
    let sql = "SELECT a, ARRAY_TO_STRING(b, '+') FROM UNNEST(@p) WITH OFFSET AS o ORDER BY o";
    assert_eq!(first(sql, &given).await, "1|x+y;|");
    let sql = "SELECT x.a FROM UNNEST(@p) AS x WHERE 'y' IN UNNEST(x.b)";
    assert_eq!(first(sql, &given).await, "1");
}

#[test]
fn what_is_planned_does_not_grow_with_an_array() {
    let texts: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let long = plain("INT64", &texts);
    let written = |given: &[Parameter]| {
        let [one] = given else { return String::new() };
        let held = crate::query::rewrite::parameters::Arrays::Held;
        one.literal(0, &[], held).unwrap().to_string()
    };
    assert_eq!(written(&long), written(&plain("INT64", &["1"])));
}
