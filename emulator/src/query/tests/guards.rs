//! Conditions that keep others from failing.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::{catalog, lines};

#[tokio::test]
async fn what_an_earlier_condition_decides_is_not_computed() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let from = "FROM UNNEST([0, 1, 2, 5]) AS x";
    for (query, wanted) in [
        ("SELECT x {} WHERE x != 0 AND 10 / x > 4 ORDER BY x", "1 2"),
        ("SELECT x {} WHERE x = 0 OR 10 / x > 4 ORDER BY x", "0 1 2"),
        (
            "SELECT x {} WHERE x != 0 AND 512 / 2 / 2 / 2 / 2 / 2 / 2 / 2 / 2 / x >= 1 ORDER BY x",
            "1 2",
        ),
        (
            "SELECT x {} WHERE x > 0 AND x < 5 AND LN(x) > 0 AND MOD(6, x) = 0",
            "2",
        ),
        (
            "SELECT IF(x != 0, 10 / x > 4, NULL) {} ORDER BY x",
            " true true false",
        ),
        (
            "SELECT CASE WHEN x = 0 THEN FALSE WHEN 10 / x > 4 THEN TRUE ELSE NULL END {} ORDER BY x",
            "false true true ",
        ),
        (
            "SELECT x {} WHERE CASE WHEN x = 0 THEN 'none' WHEN 10 / x > 4 THEN 'large' ELSE 'small' END = 'small'",
            "5",
        ),
        (
            "SELECT x != 0 AND (x = 1 OR 10 / (x - 1) > 4) {} ORDER BY x",
            "false true true false",
        ),
        (
            "SELECT x {} WHERE NOT (x = 0 OR SQRT(x - 1) < 1) ORDER BY x",
            "2 5",
        ),
        (
            "SELECT s FROM UNNEST(['a', '7']) AS s WHERE REGEXP_CONTAINS(s, r'^[0-9]+$') AND CAST(s AS INT64) > 5",
            "7",
        ),
        (
            "SELECT x {} WHERE EXISTS (SELECT 1 FROM UNNEST([0, 1, 2]) AS y WHERE y = x AND y > 0 AND 10 / y > 4) ORDER BY x",
            "1 2",
        ),
        (
            "SELECT COUNT(*) {} HAVING COUNTIF(x > 9) > 0 AND 1 / COUNTIF(x > 9) > 0",
            "",
        ),
    ] {
        let sql = query.replace("{}", from);
        let rows = lines(&catalog, &sql).await;
        assert_eq!(rows.get(1..).unwrap().join(" "), wanted, "{sql}");
    }
}

#[tokio::test]
async fn what_is_not_known_stays_so() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let from = "FROM UNNEST([STRUCT(1 AS n, 2 AS x), (2, NULL), (3, 100)])";
    for (condition, wanted) in [
        ("x > 0 AND 10 / x > 4", "true  false"),
        ("n > 0 AND 10 / x > 4", "true  false"),
        ("x > 5 OR 10 / x > 4", "true  true"),
        ("n = 2 OR 10 / x > 4", "true true false"),
        ("n != 2 AND 10 / x > 4", "true false false"),
        ("NULL AND 10 / x > 4", "  false"),
    ] {
        let sql = format!("SELECT {condition} {from} ORDER BY n");
        let rows = lines(&catalog, &sql).await;
        assert_eq!(rows.get(1..).unwrap().join(" "), wanted, "{sql}");
    }
}
