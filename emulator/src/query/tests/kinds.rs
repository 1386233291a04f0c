//! What a value is, where Arrow's types alone cannot tell: it stays so wherever it is put.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::{Defaults, answer, catalog, lines, plan, select};
use crate::query::sql_types::shown;
use crate::schema::FieldSchema;

/// The types of a query's columns, as SQL writes them.
async fn kinds(sql: &str) -> String {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let defaults = Defaults {
        project: "p".to_owned(),
        ..Defaults::default()
    };
    let planned = plan(&catalog, select(sql).unwrap(), &defaults, &[]).await;
    let schema = planned.unwrap().schema;
    let kinds = schema.fields().iter().map(|field| {
        let field = FieldSchema::from_arrow(field);
        format!("{} {}", field.name, shown(&field))
    });
    kinds.collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn marked_values_stay_what_they_are() {
    for (sql, wanted) in [
        ("SELECT [JSON '1'] AS a", "a ARRAY<JSON>"),
        ("SELECT STRUCT(JSON '2' AS j) AS s", "s STRUCT<j JSON>"),
        (
            "SELECT [STRUCT([JSON '2'] AS j, ST_GEOGPOINT(1, 2) AS g, RANGE(DATE '2020-01-01', NULL) AS r)] AS a",
            "a ARRAY<STRUCT<j ARRAY<JSON>, g GEOGRAPHY, r RANGE<DATE>>>",
        ),
        (
            "SELECT [RANGE(DATE '2020-01-01', NULL)] AS r, [INTERVAL 1 DAY] AS i, [DATETIME '2020-01-01'] AS d",
            "r ARRAY<RANGE<DATE>>; i ARRAY<INTERVAL>; d ARRAY<DATETIME>",
        ),
        (
            "SELECT ARRAY_AGG(x ORDER BY y LIMIT 1) AS a, ANY_VALUE(x) AS b, MAX_BY(x, y) AS c, ARRAY_AGG(STRUCT(x)) AS d
             FROM (SELECT JSON '1' AS x, 1 AS y)",
            "a ARRAY<JSON>; b JSON; c JSON; d ARRAY<STRUCT<x JSON>>",
        ),
        (
            "SELECT ARRAY(SELECT x FROM UNNEST([JSON '1']) AS x) AS a, ARRAY(SELECT AS STRUCT JSON '1' AS j) AS b",
            "a ARRAY<JSON>; b ARRAY<STRUCT<j JSON>>",
        ),
        ("SELECT x FROM UNNEST([JSON '1']) AS x", "x JSON"),
        ("SELECT j FROM UNNEST([STRUCT(JSON '1' AS j)])", "j JSON"),
        ("SELECT * FROM UNNEST([STRUCT(JSON '1' AS j)])", "j JSON"),
        (
            "SELECT [JSON '1'] AS a UNION ALL SELECT [JSON '2']",
            "a ARRAY<JSON>",
        ),
        (
            "SELECT IF(TRUE, [JSON '1'], []) AS a, COALESCE(NULL, JSON '1') AS b, IF(TRUE, STRUCT(JSON '1' AS j), NULL) AS c",
            "a ARRAY<JSON>; b JSON; c STRUCT<j JSON>",
        ),
        (
            "SELECT (SELECT AS STRUCT JSON '1' AS j).j AS a, [JSON '1'][SAFE_OFFSET(0)] AS b",
            "a JSON; b JSON",
        ),
        (
            "WITH w AS (SELECT [JSON '1'] AS a, STRUCT(JSON '2' AS j) AS s) SELECT a, s, s.j, a[0] AS e FROM w",
            "a ARRAY<JSON>; s STRUCT<j JSON>; j JSON; e JSON",
        ),
        (
            "SELECT ARRAY_CONCAT([JSON '1'], [JSON '2']) AS a, ARRAY_REVERSE([JSON '1']) AS b, [JSON '1'] || [JSON '2'] AS c,
             ARRAY<JSON>[] AS d, CAST(NULL AS ARRAY<STRUCT<j JSON>>) AS e",
            "a ARRAY<JSON>; b ARRAY<JSON>; c ARRAY<JSON>; d ARRAY<JSON>; e ARRAY<STRUCT<j JSON>>",
        ),
        (
            "SELECT t FROM (SELECT JSON '1' AS a, [JSON '1'] AS b) AS t",
            "t STRUCT<a JSON, b ARRAY<JSON>>",
        ),
    ] {
        assert_eq!(kinds(sql).await, wanted, "{sql}");
    }
}

#[tokio::test]
async fn functions_know_what_they_are_given() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (expression, wanted) in [
        ("TO_JSON_STRING([JSON '{\"a\":2}'])", "[{\"a\":2}]"),
        (
            "TO_JSON_STRING(STRUCT(JSON '{\"a\":2}' AS x))",
            "{\"x\":{\"a\":2}}",
        ),
        (
            "TO_JSON_STRING(COALESCE(NULL, JSON '{\"a\":2}'))",
            "{\"a\":2}",
        ),
        (
            "TO_JSON_STRING(ARRAY(SELECT JSON '{\"a\":2}'))",
            "[{\"a\":2}]",
        ),
        (
            "(SELECT TO_JSON_STRING(ARRAY_AGG(x ORDER BY y)) FROM (SELECT JSON '[1]' AS x, 1 AS y))",
            "[[1]]",
        ),
        ("FORMAT('%T', [JSON '1'])", "[JSON \"1\"]"),
    ] {
        let text = answer(&catalog, &format!("SELECT {expression} AS v"), &[]).await;
        let text = text.unwrap();
        let line = text.lines().nth(3).unwrap();
        assert_eq!(line.trim_matches('|').trim(), wanted, "{expression}");
    }
}

#[tokio::test]
async fn values_of_rows_give_their_fields() {
    for (sql, wanted) in [
        (
            "SELECT AS VALUE STRUCT(1 AS a, 'x' AS b)",
            "a INT64; b STRING",
        ),
        ("SELECT AS VALUE 1", "f0_ INT64"),
        (
            "SELECT AS VALUE t FROM (SELECT 1 AS a, 2 AS b) AS t",
            "a INT64; b INT64",
        ),
        (
            "SELECT * FROM (SELECT AS VALUE STRUCT(1 AS a, 2 AS b))",
            "a INT64; b INT64",
        ),
        (
            "SELECT AS VALUE STRUCT(COUNT(*) AS n, Name AS k) FROM d.t GROUP BY Name",
            "n INT64; k STRING",
        ),
        (
            "SELECT AS VALUE STRUCT(1 AS a) UNION ALL SELECT AS VALUE STRUCT(2 AS a) ORDER BY a",
            "a INT64",
        ),
        (
            "SELECT ARRAY(SELECT AS VALUE STRUCT(1 AS a)) AS v",
            "v ARRAY<STRUCT<a INT64>>",
        ),
        (
            "SELECT AS VALUE RANGE(DATE '2020-01-01', NULL)",
            "f0_ RANGE<DATE>",
        ),
    ] {
        assert_eq!(kinds(sql).await, wanted, "{sql}");
    }
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let refused = answer(&catalog, "SELECT AS VALUE 1, 2", &[]).await;
    assert!(refused.unwrap_err().contains("exactly one column"));
}

#[tokio::test]
async fn bytes_are_like_patterns_of_bytes() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (condition, wanted) in [
        (r"b'abc' LIKE b'a%'", "true"),
        (r"b'abc' LIKE b'%b_'", "true"),
        (r"b'abc' LIKE b'a_'", "false"),
        (r"b'aab\xffab' LIKE b'%a\xff%'", "false"),
        (r"b'aab\xffab' LIKE b'%b\xff%ab'", "true"),
        (r"b'a%c' LIKE b'a\\%c'", "true"),
        (r"b'abc' LIKE b'a\\%c'", "false"),
        (r"b'' LIKE b'%'", "true"),
        (r"b'x' NOT LIKE b'_'", "false"),
        (r"b'x' LIKE CAST(NULL AS BYTES)", ""),
    ] {
        let sql = format!("SELECT {condition} AS r");
        assert_eq!(lines(&catalog, &sql).await, ["r", wanted], "{sql}");
    }
    let refused = answer(&catalog, r"SELECT b'a' LIKE b'a\\'", &[]).await;
    assert!(refused.unwrap_err().contains("ends with a backslash"));
    let refused = answer(&catalog, "SELECT b'a' LIKE 'a'", &[]).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn intervals_have_sums_and_means() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let of = "FROM UNNEST([INTERVAL 1 DAY, INTERVAL '3:00:01' HOUR TO SECOND, INTERVAL 2 MONTH, INTERVAL -1 YEAR, NULL]) AS x";
    for (select, wanted) in [
        ("CAST(SUM(x) AS STRING)", "-0-1013:0:1"),
        ("CAST(AVG(x) AS STRING)", "-0-2-14-17:14:59.750"),
        ("SUM(IF(FALSE, x, NULL)) IS NULL", "true"),
    ] {
        let rows = lines(&catalog, &format!("SELECT {select} AS r {of}")).await;
        assert_eq!(rows.get(1).unwrap(), wanted, "{select}");
    }
    let sql = "SELECT CAST(SUM(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS STRING) AS r FROM UNNEST([INTERVAL 1 HOUR, INTERVAL 2 HOUR, INTERVAL 3 HOUR]) AS x ORDER BY x";
    assert_eq!(
        lines(&catalog, sql).await,
        ["r", "0-001:0:0", "0-003:0:0", "0-005:0:0"]
    );
}
