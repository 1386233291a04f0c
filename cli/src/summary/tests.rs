#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn report() -> serde_json::Value {
    json!({
        "millpond_version": "0.1.0",
        "source": "bigquery://demo.shop.clicks",
        "snapshot": {},
        "session": {},
        "output": "out",
        "rows": {"read": 100_000, "filtered": 0, "train": 80_012, "val": 9_990, "test": 9_998},
        "bytes_read": 35_000_000_u64,
        "passes": 2,
        "units": 4,
        "shards": 12,
        "bytes_written": 9_000_000,
        "retries": 0,
        "spilled_bytes": 0,
        "peak_rss_bytes": 300 << 20,
        "memory_limit_bytes": 1 << 30,
        "seconds": {"connect": 0.1, "fit": 1.2, "write": 0.7, "total": 2.0},
        "unknown_categories": {},
        "dropped_columns": [],
        "warnings": []
    })
}

fn text(value: serde_json::Value) -> String {
    of_run(&serde_json::from_value(value).unwrap())
}

#[test]
fn a_plain_run() {
    insta::assert_snapshot!(text(report()));
}

#[test]
fn a_run_that_went_on() {
    let mut value = report();
    value["resumed_units_read"] = json!(3);
    value["resumed_units_written"] = json!(1);
    let said = text(value);
    let line = said.lines().find(|line| line.contains("resumed"));
    assert_eq!(
        line,
        Some("  resumed   3 of 4 units were read and 1 written by earlier runs")
    );
    assert!(!text(report()).contains("resumed"));
}

#[test]
fn a_run_with_much_to_say() {
    let mut value = report();
    value["rows"]["filtered"] = json!(1_234);
    value["passes"] = json!(1);
    value["units"] = json!(1);
    value["retries"] = json!(1);
    value["spilled_bytes"] = json!(5_u64 << 30);
    value["unknown_categories"] = json!({"c1": 7, "c2": 0, "c3": 1});
    value["dropped_columns"] = json!(["a", "b", "c", "d", "e", "f", "g"]);
    value["warnings"] = json!(["the test split is empty"]);
    insta::assert_snapshot!(text(value));
}
