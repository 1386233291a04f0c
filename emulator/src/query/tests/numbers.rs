//! Numbers at the ends of their types: overflows are errors, NaN is nothing's equal and comes first.

use tempfile::TempDir;

use super::documented::{check, check_refused};
use super::{answer, catalog, lines};

async fn value(sql: &str) -> Result<String, String> {
    let root = TempDir::new().unwrap();
    let text = answer(&catalog(&root), sql, &[]).await?;
    let rows = text.lines().skip(3).filter(|l| l.starts_with('|'));
    let rows: Vec<String> = rows
        .map(|l| {
            let cells = l.trim_matches('|').split('|').map(str::trim);
            cells.collect::<Vec<_>>().join(" | ")
        })
        .collect();
    Ok(rows.join(", "))
}

const MOST: &str = "9223372036854775807";

#[tokio::test]
async fn sums_and_means_are_exact_or_errors() {
    let over = |list: &str| format!("FROM UNNEST([{list}]) AS x");
    for (sql, wanted) in [
        (format!("SELECT SUM(x) {}", over(&format!("{MOST}, 1, -1"))), MOST),
        (format!("SELECT AVG(x) {}", over(&format!("{MOST}, {MOST}"))), "9.223372036854776e18"),
        (format!("SELECT SUM(DISTINCT x) {}", over("5, 5, 7")), "12"),
        (format!("SELECT AVG(DISTINCT x) {}", over("1, 1, 2")), "1.5"),
        (format!("SELECT SUM(x) {} WHERE x > 9", over("1")), ""),
        (format!("SELECT SUM(NULL) {}", over("1")), ""),
        (format!("SELECT SUM(x) {}", over("1.5, NULL, 2.25")), "3.75"),
        (format!("SELECT SUM(x) {}", over("NUMERIC '1.1', NUMERIC '2.2'")), "3.300000000"),
        (format!("SELECT AVG(x) {}", over("NUMERIC '1', NUMERIC '2', NUMERIC '2'")), "1.666666667"),
        (format!("SELECT AVG(x) {}", over("NUMERIC '-1', NUMERIC '-2', NUMERIC '-2'")), "-1.666666667"),
        (
            "SELECT k, SUM(x) FROM UNNEST([STRUCT(1 AS k, 2 AS x), STRUCT(1 AS k, 3 AS x), STRUCT(2 AS k, 5 AS x)]) GROUP BY k ORDER BY k".to_owned(),
            "1 | 5, 2 | 5",
        ),
        (
            "SELECT x, SUM(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM UNNEST([1, 2, 3]) AS x ORDER BY x".to_owned(),
            "1 | 1, 2 | 3, 3 | 5",
        ),
        (
            "SELECT SUM(IF(x > 1, x, NULL)) / COUNT(*) FROM UNNEST([1, 2, 3]) AS x".to_owned(),
            "1.6666666666666667",
        ),
    ] {
        assert_eq!(value(&sql).await.as_deref(), Ok(wanted), "{sql}");
    }
    let nine = "9".repeat(29);
    for (sql, wanted) in [
        (
            format!("SELECT SUM(x) {}", over(&format!("{MOST}, 1"))),
            "int64 overflow in SUM",
        ),
        (
            format!("SELECT SUM(x) {}", over(&format!("-{MOST}, -2"))),
            "int64 overflow in SUM",
        ),
        (
            format!("SELECT SUM(x) OVER () {}", over(&format!("{MOST}, 1"))),
            "int64 overflow in SUM",
        ),
        (
            format!("SELECT SUM(x) {}", over("1.7e308, 1.7e308")),
            "double overflow in SUM",
        ),
        (
            format!(
                "SELECT SUM(x) {}",
                over(&format!("NUMERIC '{nine}', NUMERIC '{nine}'"))
            ),
            "numeric overflow",
        ),
        (format!("SELECT SUM(x) {}", over("'a'")), "SUM"),
    ] {
        let refused = value(&sql).await.unwrap_err();
        assert!(refused.contains(wanted), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn arithmetic_that_leaves_its_type_is_an_error() {
    for (sql, wanted) in [
        ("SELECT 1e308 * 10", "double overflow: 1e+308 * 10"),
        ("SELECT -1e308 - 1e308", "double overflow"),
        ("SELECT EXP(1000)", "Floating point error in function: EXP"),
        (
            "SELECT -x FROM UNNEST([-9223372036854775808]) AS x",
            "int64 overflow: -(-9223372036854775808)",
        ),
        (
            "SELECT ABS(x) FROM UNNEST([-9223372036854775808]) AS x",
            "verflow",
        ),
        ("SELECT NUMERIC '9e28' + NUMERIC '9e28'", "numeric overflow"),
        ("SELECT NUMERIC '1e15' * NUMERIC '1e15'", "numeric overflow"),
        ("SELECT NUMERIC '1' / NUMERIC '0'", "division by zero"),
        ("SELECT BIGNUMERIC '1e37' * 100", "bignumeric overflow"),
        (
            "SELECT ARRAY_AGG(x) FROM UNNEST([1, NULL]) AS x",
            "Array cannot have a null element",
        ),
        (
            "SELECT MAX(x) FROM (SELECT CAST('1-0 0 0:0:0' AS INTERVAL) AS x)",
            "MAX of INTERVAL",
        ),
    ] {
        let refused = value(sql).await.unwrap_err();
        assert!(refused.contains(wanted), "{sql}: {refused}");
    }
    for (sql, wanted) in [
        (
            "SELECT CAST(x AS STRING) FROM (SELECT CAST('0-0 40 0:0:0' AS INTERVAL) AS x UNION ALL SELECT CAST('0-1 0 0:0:0' AS INTERVAL)) ORDER BY x LIMIT 1",
            "0-1 0 0:0:0",
        ),
        ("SELECT CAST('inf' AS FLOAT64) * 2", "inf"),
        (
            "SELECT NUMERIC '1.5' * NUMERIC '0.000000001'",
            "0.000000002",
        ),
        ("SELECT NUMERIC '-10' / 3", "-3.333333333"),
        ("SELECT NUMERIC '2' * 0.5", "1.0"),
        (
            "SELECT BIGNUMERIC '1' - NUMERIC '0.5' = BIGNUMERIC '0.5'",
            "true",
        ),
        ("SELECT -x FROM UNNEST([5]) AS x", "-5"),
        ("SELECT -x FROM UNNEST([1.5]) AS x", "-1.5"),
    ] {
        assert_eq!(value(sql).await.as_deref(), Ok(wanted), "{sql}");
    }
}

#[tokio::test]
async fn nan_equals_nothing_and_comes_before_all_numbers() {
    let list =
        "UNNEST([1.0, CAST('nan' AS FLOAT64), NULL, -1.0, CAST('-inf' AS FLOAT64), -0.0]) AS x";
    for (select, wanted) in [
        (
            "SELECT x FROM {} ORDER BY x",
            ", NaN, -inf, -1.0, -0.0, 1.0",
        ),
        (
            "SELECT x FROM {} ORDER BY x DESC",
            "1.0, -0.0, -1.0, -inf, NaN, ",
        ),
        ("SELECT x FROM {} ORDER BY 1 DESC LIMIT 1", "1.0"),
        (
            "SELECT COUNTIF(x = x), COUNTIF(x > 0), COUNTIF(x = 0), COUNTIF(x != 5) FROM {}",
            "4 | 1 | 1 | 5",
        ),
        (
            "SELECT COUNTIF(x BETWEEN -2 AND 2), COUNTIF(x NOT BETWEEN -2 AND 2) FROM {}",
            "3 | 2",
        ),
        ("SELECT MIN(x), MAX(x) FROM {}", "NaN | NaN"),
        ("SELECT MIN(x), MAX(x) FROM {} WHERE x > -1", "-0.0 | 1.0"),
        ("SELECT SUM(x) FROM {}", "NaN"),
        (
            "SELECT MIN(x) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) \
             FROM UNNEST([STRUCT(1 AS n, 2.5 AS x), (2, CAST('nan' AS FLOAT64)), (3, 1.5), (4, NULL), (5, 3.5)]) ORDER BY n",
            "2.5, NaN, NaN, 1.5, 3.5",
        ),
        (
            "SELECT RANK() OVER (ORDER BY t), COUNT(*) OVER (ORDER BY t) FROM UNNEST([TIME '01:00:00', TIME '02:00:00', TIME '01:00:00']) AS t ORDER BY t",
            "1 | 2, 1 | 2, 3 | 3",
        ),
        (
            "SELECT STRING_AGG(CAST(x AS STRING) ORDER BY x) FROM {} WHERE x IS NOT NULL",
            "nan,-inf,-1,0,1",
        ),
        (
            "SELECT n FROM (SELECT x, RANK() OVER (ORDER BY x) AS n FROM {} WHERE x IS NOT NULL) WHERE x = 1",
            "5",
        ),
    ] {
        let sql = select.replace("{}", list);
        assert_eq!(value(&sql).await.as_deref(), Ok(wanted), "{sql}");
    }
}

#[tokio::test]
async fn lists_with_floats_are_compared_as_floats() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (condition, wanted) in [
        ("CAST('1.5' AS NUMERIC) IN (555.555, 1.5)", "true"),
        ("CAST('1.5' AS BIGNUMERIC) NOT IN (2.5)", "true"),
        ("2 IN (3.5, 2.0, 1)", "true"),
        (
            "CAST('nan' AS FLOAT64) IN (1.0, CAST('nan' AS FLOAT64))",
            "false",
        ),
        ("-0.0 IN (0.0)", "true"),
        ("1.5 NOT IN (1, NULL)", ""),
    ] {
        let sql = format!("SELECT {condition} AS v");
        assert_eq!(lines(&catalog, &sql).await, ["v", wanted], "{condition}");
    }
}

#[tokio::test]
async fn floats_that_become_too_large() {
    check(&[
        ("SAFE_DIVIDE(1e300, 1e-300)", "NULL"),
        (
            "SAFE_DIVIDE(CAST('inf' AS FLOAT64), 2)",
            "CAST(\"inf\" AS FLOAT64)",
        ),
        ("CAST('inf' AS FLOAT64) / 2", "CAST(\"inf\" AS FLOAT64)"),
        ("COSH(0)", "1.0"),
        ("SINH(CAST('inf' AS FLOAT64))", "CAST(\"inf\" AS FLOAT64)"),
        ("SAFE.COSH(1000)", "NULL"),
        ("SAFE.PARSE_NUMERIC('1 2')", "NULL"),
        ("SAFE.PARSE_NUMERIC('1e100')", "NULL"),
        ("SAFE.PARSE_BIGNUMERIC(' - 12.5 ')", "BIGNUMERIC \"-12.5\""),
    ])
    .await;
    check_refused(&[
        ("1e300 / 1e-300", "double overflow: 1e+300 / 1e-300"),
        ("COSH(1000)", "Floating point error in function: COSH(1000)"),
        (
            "SINH(-1000)",
            "Floating point error in function: SINH(-1000)",
        ),
    ])
    .await;
}
