//! First rows in order, of parts that were put together.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::{answer, catalog, lines};

#[tokio::test]
async fn parts_of_a_union_keep_each_others_rows() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let parts = "(SELECT x, 2 AS s FROM UNNEST([1, 2, 3, 4, 5, 6]) AS x
        UNION ALL SELECT x, 1 AS s FROM UNNEST([6, 5, 4, 3, 2, 1]) AS x)";
    for (select, wanted) in [
        (
            "x, s FROM {} ORDER BY s, x LIMIT 5",
            "x|s 1|1 2|1 3|1 4|1 5|1",
        ),
        (
            "x, s FROM {} ORDER BY s, x DESC LIMIT 4 OFFSET 1",
            "x|s 5|1 4|1 3|1 2|1",
        ),
        ("x, s FROM {} ORDER BY x, s DESC LIMIT 3", "x|s 1|2 1|1 2|2"),
        (
            "x, s FROM (SELECT * FROM {} ORDER BY s, x LIMIT 7) ORDER BY x, s LIMIT 3",
            "x|s 1|1 1|2 2|1",
        ),
        (
            "x, s, ROW_NUMBER() OVER (ORDER BY x, s) AS n FROM (SELECT * FROM {} ORDER BY s, x LIMIT 7) ORDER BY n LIMIT 2",
            "x|s|n 1|1|1 1|2|2",
        ),
        (
            "y, MAX(s) AS m FROM (SELECT x + 1 AS y, s FROM {} ORDER BY s, x LIMIT 5) GROUP BY y ORDER BY y",
            "y|m 2|1 3|1 4|1 5|1 6|1",
        ),
        (
            "ARRAY_TO_STRING(ARRAY(SELECT CAST(10 * s + x AS STRING) FROM {} ORDER BY s, x LIMIT 4), ',') AS a",
            "a 11,12,13,14",
        ),
    ] {
        let sql = format!("SELECT {}", select.replace("{}", parts));
        let wanted: Vec<&str> = wanted.split(' ').collect();
        assert_eq!(lines(&catalog, &sql).await, wanted, "{sql}");
    }
}

#[tokio::test]
async fn parts_of_a_union_come_one_after_the_other() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let parts: Vec<String> = (1..=20).map(|x| format!("SELECT {x} AS x")).collect();
    let parts = parts.join(" UNION ALL ");
    let numbers = (1..=20).map(|x| x.to_string());
    let all: Vec<String> = std::iter::once("x".to_owned()).chain(numbers).collect();
    assert_eq!(lines(&catalog, &parts).await, all);
    let sql = format!("SELECT x + 1 AS x FROM ({parts}) WHERE x < 4");
    assert_eq!(lines(&catalog, &sql).await, ["x", "2", "3", "4"]);
    let sql = format!("SELECT x FROM ({parts}) LIMIT 3");
    assert_eq!(lines(&catalog, &sql).await, ["x", "1", "2", "3"]);
    let sql = format!("SELECT ARRAY_AGG(x) AS a FROM ({parts}) WHERE MOD(x, 4) = 0");
    assert_eq!(lines(&catalog, &sql).await, ["a", "[4,8,12,16,20]"]);
}

#[tokio::test]
async fn windows_are_given_by_their_names() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let of =
        "FROM UNNEST([STRUCT('a' AS k, 1 AS n), STRUCT('a', 2), STRUCT('b', 4), STRUCT('b', 8)])";
    for (select, windows, wanted) in [
        (
            "SUM(n) OVER w",
            "w AS (PARTITION BY k ORDER BY n)",
            "1 3 4 12",
        ),
        (
            "SUM(n) OVER (W)",
            "w AS (PARTITION BY k ORDER BY n)",
            "1 3 4 12",
        ),
        (
            "SUM(n) OVER (w ORDER BY n DESC)",
            "w AS (PARTITION BY k)",
            "3 2 12 8",
        ),
        (
            "SUM(n) OVER (w ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING)",
            "w AS (PARTITION BY k ORDER BY n)",
            "3 2 12 8",
        ),
        (
            "LAST_VALUE(n) OVER (w)",
            "w AS (PARTITION BY k ORDER BY n ROWS BETWEEN 2 PRECEDING AND 2 FOLLOWING)",
            "2 2 8 8",
        ),
        (
            "SUM(n) OVER c",
            "a AS (PARTITION BY k), b AS (a ORDER BY n), c AS b",
            "1 3 4 12",
        ),
    ] {
        let sql = format!("SELECT {select} AS r {of} WINDOW {windows} ORDER BY k, n");
        let rows = lines(&catalog, &sql).await;
        assert_eq!(rows.get(1..).unwrap().join(" "), wanted, "{sql}");
    }
    for (select, said) in [
        (
            "SUM(n) OVER (w PARTITION BY n)",
            "PARTITION BY is not allowed",
        ),
        ("SUM(n) OVER (w ORDER BY n)", "ORDER BY is not allowed"),
        ("SUM(n) OVER x", "Unrecognized window alias x"),
    ] {
        let sql = format!("SELECT {select} {of} WINDOW w AS (PARTITION BY k ORDER BY n)");
        let refused = answer(&catalog, &sql, &[]).await.unwrap_err();
        assert!(refused.contains(said), "{sql}: {refused}");
    }
}
