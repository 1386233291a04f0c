//! Pipe syntax gives what the queries give that it stands for.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::{answer, catalog, lines};

#[tokio::test]
async fn operators_follow_each_other() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (sql, wanted) in [
        (
            "FROM d.t |> WHERE id > 1 |> SELECT id",
            vec!["id", "2", "3"],
        ),
        ("FROM d.t", vec!["id|Name|x", "1|a|1.5", "2||-0.5", "3|b|"]),
        (
            "FROM d.t AS q |> EXTEND q.id * 10 AS y |> WHERE y > 10 |> DROP x, Name |> ORDER BY y DESC",
            vec!["id|y", "3|30", "2|20"],
        ),
        (
            "FROM d.t |> SET x = id + 1 |> RENAME NAME AS called |> LIMIT 1",
            vec!["id|called|x", "1|a|2"],
        ),
        (
            "FROM d.t |> AGGREGATE COUNT(*) AS n, SUM(id) AS s GROUP BY x IS NULL AS missing |> ORDER BY missing",
            vec!["missing|n|s", "false|2|3", "true|1|3"],
        ),
        (
            "FROM d.t |> AGGREGATE SUM(id) AS s DESC GROUP BY MOD(id, 2) AS odd",
            vec!["odd|s", "1|4", "0|2"],
        ),
        (
            "FROM d.t |> AGGREGATE SUM(id) AS s GROUP AND ORDER BY MOD(id, 2) AS odd",
            vec!["odd|s", "0|2", "1|4"],
        ),
        (
            "FROM d.t AS a |> WHERE id < 3 |> LEFT JOIN d.v AS b USING (id) |> SELECT a.id, b.Name |> ORDER BY id",
            vec!["id|Name", "1|", "2|"],
        ),
        (
            "FROM d.t |> ORDER BY id DESC |> LIMIT 2 OFFSET 1 |> SELECT id",
            vec!["id", "2", "1"],
        ),
        (
            "SELECT 1 AS a |> UNION ALL (SELECT 1), (SELECT 2) |> DISTINCT |> ORDER BY a",
            vec!["a", "1", "2"],
        ),
        (
            "FROM UNNEST([1, 1, 2]) AS y |> SELECT DISTINCT y |> EXCEPT DISTINCT (SELECT 2)",
            vec!["y", "1"],
        ),
        (
            "WITH w AS (SELECT 1 AS a) FROM w |> AS z |> SELECT z.a, (FROM d.t |> AGGREGATE MAX(id)) AS m",
            vec!["a|m", "1|3"],
        ),
        (
            "FROM (SELECT 'a' AS k, 1 AS v, 'q' AS w) |> PIVOT(SUM(v) FOR w IN ('q', 'r'))",
            vec!["k|q|r", "a|1|"],
        ),
        (
            "FROM (SELECT 'a' AS k, 1 AS q, 2 AS r) |> UNPIVOT(v FOR w IN (q, r)) |> ORDER BY w",
            vec!["k|v|w", "a|1|q", "a|2|r"],
        ),
        (
            "FROM d.t |> EXTEND SUM(id) OVER () AS total |> WINDOW id / total AS part |> SELECT total |> LIMIT 1",
            vec!["total", "6"],
        ),
    ] {
        assert_eq!(lines(&catalog, sql).await, wanted, "{sql}");
    }
}

#[tokio::test]
async fn what_is_not_known_is_refused() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (sql, named) in [
        ("FROM d.t SELECT id", "Unexpected keyword SELECT"),
        ("FROM d.t |> CALL f()", "table function f"),
        (
            "FROM d.t |> AGGREGATE COUNT(*) GROUP BY ROLLUP(id)",
            "ROLLUP",
        ),
        (
            "FROM d.t |> WHERE id > 1 |> TABLESAMPLE SYSTEM (10 PERCENT)",
            "TABLESAMPLE",
        ),
        (
            "FROM d.t |> SELECT id |> WHERE x > 1",
            "Unrecognized name: x",
        ),
        ("FROM d.t |> RENAME nothing AS y", "nothing"),
        // The table's own column, which is not known any more.
        (
            "FROM d.t AS a |> SET id = 5 |> SELECT a.id",
            "Unrecognized name: a",
        ),
    ] {
        let refused = answer(&catalog, sql, &[]).await.unwrap_err();
        assert!(refused.contains(named), "{sql}: {refused}");
    }
}
