//! Values that become one, of different types.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::{answer, catalog, lines};

#[tokio::test]
async fn floats_and_decimals_are_floats_together() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let from = "FROM UNNEST([0.1, 2.5]) AS x";
    for (query, wanted) in [
        (
            "SELECT IF(x > 1, x, CAST(x AS BIGNUMERIC)) {} ORDER BY x",
            "0.1 2.5",
        ),
        ("SELECT GREATEST(x, NUMERIC '1') {} ORDER BY x", "1.0 2.5"),
        ("SELECT COALESCE(NULL, NUMERIC '1', x) {} LIMIT 1", "1.0"),
        ("SELECT [x, NUMERIC '1.5'] {} WHERE x < 1", "[0.1,1.5]"),
        (
            "SELECT 2.5 AS x UNION ALL SELECT NUMERIC '1.5' ORDER BY x",
            "1.5 2.5",
        ),
        (
            "SELECT BIGNUMERIC '1.5' AS x UNION ALL SELECT x {} UNION ALL SELECT 3 ORDER BY 1",
            "0.1 1.5 2.5 3.0",
        ),
        (
            "SELECT 1 AS x UNION ALL SELECT NUMERIC '2.5' UNION ALL SELECT x {} ORDER BY x",
            "0.1 1.0 2.5 2.5",
        ),
        (
            "SELECT * FROM (SELECT 1 AS x UNION DISTINCT SELECT NUMERIC '2.5') UNION ALL SELECT x {} ORDER BY 1",
            "0.1 1.0 2.5 2.5",
        ),
    ] {
        let sql = query.replace("{}", from);
        let rows = lines(&catalog, &sql).await;
        assert_eq!(rows.get(1..).unwrap().join(" "), wanted, "{sql}");
    }
}

#[tokio::test]
async fn structs_are_what_the_first_of_them_is() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (query, wanted) in [
        (
            "SELECT s.a, s.b FROM (SELECT STRUCT(1 AS a, 'x' AS b) AS s UNION ALL SELECT STRUCT(2, 'y')) ORDER BY 1",
            "1|x 2|y",
        ),
        (
            "SELECT s.a, TO_JSON_STRING(s.j) FROM (SELECT STRUCT(1 AS a, JSON '1' AS j) AS s UNION ALL SELECT STRUCT(2, JSON '[2]')) ORDER BY 1",
            "1|1 2|[2]",
        ),
        (
            "SELECT IF(x > 1, STRUCT(x AS a, 'p' AS b), STRUCT(0.5, 'q')).a FROM UNNEST([1, 2]) AS x ORDER BY x",
            "0.5 2.0",
        ),
        (
            "SELECT COALESCE(IF(x > 1, STRUCT(x AS a), NULL), STRUCT(0)).a FROM UNNEST([1, 2]) AS x ORDER BY x",
            "0 2",
        ),
    ] {
        let rows = lines(&catalog, query).await;
        assert_eq!(rows.get(1..).unwrap().join(" "), wanted, "{query}");
    }
}

#[tokio::test]
async fn literal_texts_beside_dates_and_times_are_such() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (query, wanted) in [
        (
            "SELECT [DATE '2024-01-01', '2024-01-02']",
            "[2024-01-01,2024-01-02]",
        ),
        (
            "SELECT IFNULL(NULL, COALESCE(NULL, '2024-01-02', DATE '2024-01-01'))",
            "2024-01-02",
        ),
        (
            "SELECT IF(d > '2024-01-01', d, '2023-12-31') FROM UNNEST([DATE '2024-01-01', '2024-02-01']) AS d ORDER BY d",
            "2023-12-31 2024-02-01",
        ),
        (
            "SELECT CAST(CASE WHEN TRUE THEN '10:00:00' ELSE TIME '09:00:00' END AS STRING)",
            "10:00:00",
        ),
        (
            "SELECT GREATEST(DATE '2024-01-01', '2025-01-01')",
            "2025-01-01",
        ),
    ] {
        let rows = lines(&catalog, query).await;
        assert_eq!(rows.get(1..).unwrap().join(" "), wanted, "{query}");
    }
    for (query, wanted) in [
        (
            "SELECT COALESCE(s, DATE '2024-01-01') FROM (SELECT CONCAT('2', '0') AS s)",
            "have no common supertype",
        ),
        ("SELECT [DATE '2024-01-01', 'x']", "Invalid date"),
    ] {
        let refused = answer(&catalog, query, &[]).await.unwrap_err();
        assert!(refused.contains(wanted), "{query}: {refused}");
    }
}
