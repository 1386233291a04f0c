//! What functions, operators and casts do not take, and what becomes of nulls.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::{answer, catalog};

#[tokio::test]
async fn what_has_no_signature_is_refused() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (query, named) in [
        (
            "LAG(id IGNORE NULLS) OVER (ORDER BY id) FROM d.t",
            "IGNORE NULLS is not allowed for function LAG",
        ),
        ("SUM(id IGNORE NULLS) FROM d.t", "SUM"),
        (
            "MAX(id ORDER BY id) FROM d.t",
            "MAX does not support ORDER BY",
        ),
        (
            "RANK() OVER () FROM d.t",
            "Window ORDER BY is required for analytic function rank",
        ),
        (
            "RANK() OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) FROM d.t",
            "framing",
        ),
        ("ROW_NUMBER() FROM d.t", "OVER clause"),
        (
            "ARRAY_TO_STRING([1, 2], ',')",
            "ARRAY_TO_STRING for argument types: ARRAY<INT64>, STRING",
        ),
        ("ARRAY_TO_STRING(['a'], b',')", "ARRAY_TO_STRING"),
        ("'a' IN UNNEST([1])", "IN UNNEST"),
        ("b'a' || 'b'", "operator ||"),
        ("STRUCT(1, 2) < STRUCT(1, 3)", "Less than is not defined"),
        (
            "DATE '2020-01-01' < TIMESTAMP '2020-01-02'",
            "operator < for argument types: DATE, TIMESTAMP",
        ),
        ("CAST('{}' AS JSON)", "Invalid cast from STRING to JSON"),
        ("CAST(1 AS DATE)", "Invalid cast from INT64 to DATE"),
        ("CAST('ab' AS STRING(1))", "maximum length 1"),
        ("CAST('2020-01-01 10:11' AS DATETIME)", "Invalid datetime"),
        (
            "CAST('2020-01-01 10:11:12.1234567' AS DATETIME)",
            "Invalid datetime",
        ),
        ("NUMERIC '1.1234567891'", "Invalid NUMERIC literal"),
        ("JSON '123456789012345678901'", "Invalid JSON literal"),
        ("PARSE_JSON('123456789012345678901')", "cannot round-trip"),
        ("RANGE_BUCKET(5, [10, 0])", "ascending order"),
        ("CONTAINS_SUBSTR('a', '')", "CONTAINS_SUBSTR"),
        ("DATE_TRUNC(DATE '2020-01-01', HOUR)", "HOUR"),
        ("EXTRACT(YEAR FROM TIME '10:00:00')", "YEAR"),
        (
            "1 LIMIT (SELECT 1)",
            "LIMIT expects an integer literal or parameter",
        ),
        (
            "1 LIMIT NULL",
            "LIMIT expects an integer literal or parameter",
        ),
        (
            "1 LIMIT 1.5",
            "LIMIT expects an integer literal or parameter",
        ),
        (
            "1 LIMIT 1 OFFSET (SELECT 0)",
            "OFFSET expects an integer literal or parameter",
        ),
        (
            "1 LIMIT -1",
            "LIMIT expects a non-negative integer literal or parameter",
        ),
        ("CONCAT('a', JSON '1')", "CONCAT"),
        ("CAST(1 AS STRING FORMAT '9.9.9')", "Unexpected '.'"),
        ("CAST(1 AS STRING FORMAT 'RN')", "the element R"),
        ("CAST(1 AS STRING FORMAT '$')", "at least one of"),
    ] {
        let refused = answer(&catalog, &format!("SELECT {query}"), &[]).await;
        let refused = refused.unwrap_err();
        assert!(refused.contains(named), "{query}: {refused}");
    }
}
