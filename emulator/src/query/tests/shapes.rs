//! Queries in expressions, PIVOT and UNPIVOT, stars of structs, whole rows, and groups by several sets.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::{answer, catalog, lines};

/// Rows to be grouped.
const SALES: &str =
    "(SELECT 'x' AS a, 'p' AS b, 1 AS c UNION ALL SELECT 'x', 'q', 2 UNION ALL SELECT 'y', 'p', 4)";

async fn check(cases: &[(&str, &str)]) {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (sql, wanted) in cases {
        let sql = sql.replace("{}", SALES);
        let found = lines(&catalog, &sql).await;
        let wanted: Vec<&str> = wanted.split(' ').collect();
        assert_eq!(found, wanted, "{sql}");
    }
}

async fn check_refused(cases: &[(&str, &str)]) {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (sql, named) in cases {
        let sql = sql.replace("{}", SALES);
        let refused = answer(&catalog, &sql, &[]).await.unwrap_err();
        assert!(refused.contains(named), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn the_name_of_a_table_of_values_is_the_value() {
    check(&[
        ("SELECT t FROM (SELECT AS VALUE 1) AS t", "t 1"),
        (
            "SELECT t + 1 AS u FROM (SELECT AS VALUE 1 AS x) AS t",
            "u 2",
        ),
        (
            "SELECT t FROM (SELECT AS VALUE 1 UNION ALL SELECT AS VALUE 2) AS t ORDER BY t",
            "t 1 2",
        ),
        (
            "WITH t AS (SELECT AS VALUE x FROM UNNEST([1, 2]) AS x) SELECT SUM(t) AS s FROM t",
            "s 3",
        ),
        (
            "SELECT t.a FROM (SELECT AS VALUE STRUCT(1 AS a, 2 AS b)) AS t",
            "a 1",
        ),
        (
            "SELECT * FROM (SELECT AS VALUE STRUCT(1 AS a, 2 AS b)) AS t",
            "a|b 1|2",
        ),
    ])
    .await;
}

#[tokio::test]
async fn long_chains_of_operators_are_computed_in_their_order() {
    let repeated = |one: &str, op: &str, times: usize| vec![one; times].join(op);
    let rows = "FROM UNNEST([3]) AS x";
    let conditions = |sign: &str, op: &str| {
        let all: Vec<String> = (10..400).map(|i| format!("x {sign} {i}")).collect();
        all.join(op)
    };
    check(&[
        (
            &format!("SELECT {} AS s", repeated("1", " + ", 400)),
            "s 400",
        ),
        (
            &format!("SELECT {} AS s {rows}", repeated("x", " - ", 400)),
            "s -1194",
        ),
        (
            &format!(
                "SELECT LENGTH({}) AS s {rows}",
                repeated("'ab'", " || ", 200)
            ),
            "s 400",
        ),
        (
            &format!("SELECT {} * 0.5 / 4 AS s {rows}", repeated("x", " * ", 20)),
            "s 435848050.125",
        ),
        (
            &format!(
                "SELECT {} - NUMERIC '0.5' AS s {rows}",
                repeated("x", " + ", 20)
            ),
            "s 59.500000000",
        ),
        (
            &format!("SELECT {} AS s {rows}", conditions("=", " OR ")),
            "s false",
        ),
        (
            &format!("SELECT x {rows} WHERE {}", conditions("!=", " AND ")),
            "x 3",
        ),
    ])
    .await;
    let over = format!(
        "SELECT {} + 9223372036854775807 {rows}",
        repeated("x", " + ", 20)
    );
    check_refused(&[(&over, "overflow")]).await;
    check_refused(&[(
        "SELECT 'a' COLLATE 'und:ci' = 'A'",
        "COLLATE is not supported",
    )])
    .await;
}

#[tokio::test]
async fn queries_stand_wherever_a_value_does() {
    check(&[
        (
            "SELECT c, EXISTS (SELECT 1 FROM {} AS s WHERE s.a = r.a AND s.c > r.c) AS e FROM {} AS r ORDER BY c",
            "c|e 1|true 2|false 4|false",
        ),
        (
            "SELECT c, (SELECT COUNT(*) FROM {} AS s WHERE s.a = r.a AND s.c < r.c) AS n FROM {} AS r ORDER BY c",
            "c|n 1|0 2|1 4|0",
        ),
        (
            "SELECT c, ARRAY(SELECT c FROM {} AS s WHERE s.a = r.a ORDER BY c DESC) AS l FROM {} AS r ORDER BY c",
            "c|l 1|[2,1] 2|[2,1] 4|[4]",
        ),
        (
            "SELECT SUM((SELECT MAX(c) FROM {} AS s WHERE s.a = r.a)) AS n FROM {} AS r",
            "n 8",
        ),
        (
            "SELECT c FROM {} AS r ORDER BY (SELECT MAX(c) FROM {} AS s WHERE s.a = r.a) DESC, c",
            "c 4 1 2",
        ),
        (
            "SELECT c, CASE WHEN c IN (SELECT c FROM {} AS s WHERE s.b = 'q') THEN 'in' ELSE 'out' END AS w FROM {} ORDER BY c",
            "c|w 1|out 2|in 4|out",
        ),
        ("SELECT IF(1 IN (SELECT 1), 'in', 'out') AS w", "w in"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_not_known_to_be_in_a_query_is_null() {
    check(&[
        (
            "SELECT x, x IN (SELECT y FROM UNNEST([1, NULL]) AS y) AS i FROM UNNEST([1, 2]) AS x ORDER BY x",
            "x|i 1|true 2|",
        ),
        (
            "SELECT x, x NOT IN (SELECT y FROM UNNEST([1]) AS y) AS i FROM UNNEST([1, 2, NULL]) AS x ORDER BY x",
            "x|i | 1|false 2|true",
        ),
        (
            "SELECT x FROM UNNEST([1, 2]) AS x WHERE x NOT IN (SELECT y FROM UNNEST([2, NULL]) AS y) OR x = 5",
            "x",
        ),
        (
            "SELECT x FROM UNNEST([1, 2]) AS x WHERE NOT (x IN (SELECT y FROM UNNEST([2, NULL]) AS y))",
            "x",
        ),
        (
            "SELECT x FROM UNNEST([1, 2]) AS x WHERE (x IN (SELECT y FROM UNNEST([2, NULL]) AS y)) IS NULL",
            "x 1",
        ),
    ])
    .await;
    check_refused(&[
        (
            "SELECT (SELECT c FROM {} AS s)",
            "Scalar subquery produced more than one element",
        ),
        ("SELECT 1 = ANY (SELECT 1)", "the comparison"),
    ])
    .await;
}

#[tokio::test]
async fn pivot_makes_columns_of_values() {
    check(&[
        (
            "SELECT * FROM {} PIVOT(SUM(c) FOR b IN ('p', 'q')) ORDER BY a",
            "a|p|q x|1|2 y|4|",
        ),
        (
            "SELECT * FROM (SELECT B, c FROM {}) PIVOT(SUM(c) AS s, COUNT(*) AS n FOR b IN ('p' AS one, 'q' two))",
            "s_one|n_one|s_two|n_two 5|2|2|1",
        ),
        (
            "SELECT z.a, p FROM {} PIVOT(MAX(c) FOR b IN ('p')) AS z WHERE z.a = 'x'",
            "a|p x|1",
        ),
        (
            "SELECT _1, minus_1, _2_point_5 FROM (SELECT 1.0 AS k, 2 AS v) PIVOT(ANY_VALUE(v) FOR k IN (1, -1, 2.5))",
            "_1|minus_1|_2_point_5 2||",
        ),
        (
            "SELECT _2020_01_01 FROM (SELECT DATE '2020-01-01' AS k, 2 AS v) PIVOT(STRING_AGG(CAST(v AS STRING)) FOR k IN (DATE '2020-01-01'))",
            "_2020_01_01 2",
        ),
    ])
    .await;
    check_refused(&[
        (
            "SELECT * FROM {} PIVOT(ARRAY_AGG(c) FOR b IN ('p'))",
            "IGNORE NULLS",
        ),
        ("SELECT * FROM {} PIVOT(c FOR b IN ('p'))", "Syntax error"),
        (
            "SELECT * FROM {} PIVOT(SUM(c) FOR b IN (CONCAT('p', 'q')))",
            "alias",
        ),
    ])
    .await;
}

#[tokio::test]
async fn unpivot_makes_rows_of_columns() {
    check(&[
        (
            "SELECT * FROM {} UNPIVOT(v FOR n IN (a, B)) WHERE c < 4 ORDER BY c, n",
            "c|v|n 1|p|B 1|x|a 2|q|B 2|x|a",
        ),
        (
            "SELECT * FROM (SELECT 1 AS k, 2 AS q1, 3 AS q2, 4 AS q3, 5 AS q4) UNPIVOT((v, w) FOR n IN ((q1, q2) AS 'x', (q3, q4))) ORDER BY n",
            "k|v|w|n 1|4|5|q3_q4 1|2|3|x",
        ),
        (
            "SELECT * FROM (SELECT 1 AS k, CAST(NULL AS INT64) AS q1, 3 AS q2) UNPIVOT(v FOR n IN (q1, q2))",
            "k|v|n 1|3|q2",
        ),
        (
            "SELECT * FROM (SELECT 1 AS k, CAST(NULL AS INT64) AS q1, 3 AS q2) UNPIVOT INCLUDE NULLS (v FOR n IN (q1, q2)) ORDER BY n",
            "k|v|n 1||q1 1|3|q2",
        ),
    ])
    .await;
    check_refused(&[(
        "SELECT * FROM {} UNPIVOT((v, w) FOR n IN (a, b))",
        "does not match the 2 value columns",
    )])
    .await;
}

#[tokio::test]
async fn rows_are_structs_and_structs_are_columns() {
    check(&[
        (
            "SELECT TO_JSON_STRING(r) AS j FROM {} AS r WHERE c = 1",
            "j {\"a\":\"x\",\"b\":\"p\",\"c\":1}",
        ),
        (
            "SELECT u.* FROM (SELECT ARRAY_AGG(o ORDER BY c DESC LIMIT 1)[OFFSET(0)] AS u FROM {} AS o GROUP BY a) ORDER BY c",
            "a|b|c x|q|2 y|p|4",
        ),
        (
            "WITH t AS (SELECT * FROM {}), g AS (SELECT ARRAY_AGG(o ORDER BY c LIMIT 1)[OFFSET(0)] AS u FROM t AS o GROUP BY a) SELECT u.* EXCEPT (b) REPLACE (1 AS c) FROM g ORDER BY a",
            "a|c x|1 y|1",
        ),
        (
            "SELECT ARRAY(SELECT AS STRUCT * FROM (SELECT 1 AS k, 2 AS v)) AS l",
            "l [{k:1,v:2}]",
        ),
        ("SELECT COUNT(r) AS n FROM {} AS r", "n 3"),
        (
            "SELECT * FROM (SELECT 1 AS k) JOIN (SELECT 1 AS k, 2 AS v) USING (k)",
            "k|v 1|2",
        ),
    ])
    .await;
    check_refused(&[
        ("SELECT c.* FROM {}", "Dot-star is not supported"),
        (
            "SELECT s.* EXCEPT (z) FROM (SELECT STRUCT(1 AS k) AS s)",
            "Column z in SELECT * EXCEPT list does not exist",
        ),
    ])
    .await;
}

#[tokio::test]
async fn groups_of_several_sets_are_whole_and_in_order() {
    // Constant in all rows, which the planner must not take for constant in all groups.
    const ONE: &str = "(SELECT 'x' AS a, 'p' AS b, 1 AS c UNION ALL SELECT 'x', 'q', 2)";
    let sql = |groups: &str| {
        format!("SELECT a, b, SUM(c) AS s FROM {ONE} GROUP BY {groups} ORDER BY a, b")
    };
    check(&[
        (
            &sql("ROLLUP (a, b)"),
            "a|b|s ||3 x||3 x|p|1 x|q|2",
        ),
        (
            &sql("CUBE (a, b)"),
            "a|b|s ||3 |p|1 |q|2 x||3 x|p|1 x|q|2",
        ),
        (
            &sql("GROUPING SETS (a, b, ())"),
            "a|b|s ||3 |p|1 |q|2 x||3",
        ),
        (
            "SELECT a, SUM(c) AS s FROM (SELECT * FROM {} ORDER BY a) GROUP BY ROLLUP (a) ORDER BY a",
            "a|s |7 x|3 y|4",
        ),
        (
            &sql("ROLLUP (a, (a, b))"),
            "a|b|s ||3 x||3 x|p|1 x|q|2",
        ),
        (
            &sql("CUBE ((a, b))"),
            "a|b|s ||3 x|p|1 x|q|2",
        ),
        (
            &sql("GROUPING SETS (b, ROLLUP (a, b))"),
            "a|b|s ||3 |p|1 |q|2 x||3 x|p|1 x|q|2",
        ),
        (
            &sql("GROUPING SETS ((), b, CUBE (a, b))"),
            "a|b|s ||3 ||3 |p|1 |p|1 |q|2 |q|2 x||3 x|p|1 x|q|2",
        ),
    ])
    .await;
    for (groups, named) in [
        ("a, ROLLUP (b)", "only supports ROLLUP when"),
        ("CUBE (a), b", "only supports CUBE when"),
        (
            "a, GROUPING SETS (b, ())",
            "only supports GROUPING SETS when",
        ),
        ("a, ()", "GROUP BY () is only allowed"),
    ] {
        check_refused(&[(&sql(groups), named)]).await;
    }
}

#[tokio::test]
async fn sets_say_whether_equal_rows_are_one() {
    check_refused(&[
        (
            "SELECT 1 UNION SELECT 1",
            "Expected keyword ALL or keyword DISTINCT",
        ),
        ("SELECT 1 EXCEPT ALL SELECT 1", "EXCEPT ALL"),
        (
            "SELECT c, COUNT(*) AS n FROM {}",
            "SELECT list expression references column c which is neither grouped nor aggregated",
        ),
        (
            "SELECT * FROM {} TABLESAMPLE SYSTEM (10 PERCENT)",
            "can only be applied directly to tables",
        ),
    ])
    .await;
}

#[tokio::test]
async fn bytes_are_an_order_of_windows() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let sql = r"SELECT k, RANK() OVER (ORDER BY b) AS up, SUM(k) OVER (ORDER BY b DESC) AS down
        FROM UNNEST([STRUCT(1 AS k, b'\x80' AS b), (2, b'\x09'), (4, b''), (8, NULL)]) ORDER BY k";
    assert_eq!(
        lines(&catalog, sql).await,
        ["k|up|down", "1|4|1", "2|3|3", "4|2|7", "8|1|15"]
    );
}

#[tokio::test]
async fn queries_stand_in_each_other_as_deep_as_tools_write_them() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let nested = |depth: usize| {
        (0..depth).fold("SELECT 1 AS x".to_owned(), |inner, at| {
            format!("SELECT x + COALESCE(LAG(x) OVER (ORDER BY x), 0) AS x FROM ({inner}) AS t{at}")
        })
    };
    assert_eq!(lines(&catalog, &nested(20)).await, ["x", "1"]);
    let refused = answer(&catalog, &nested(400), &[]).await.unwrap_err();
    assert!(refused.contains("recursion limit"), "{refused}");
}

#[tokio::test]
async fn columns_of_sets_are_found_by_name() {
    check(&[
        (
            "SELECT 1 AS a, 'x' AS b UNION ALL BY NAME SELECT 'y' AS B, 2 AS a",
            "a|b 1|x 2|y",
        ),
        (
            "SELECT 1 AS a, 2 AS b INTERSECT DISTINCT BY NAME SELECT 2 AS b, 1 AS a",
            "a|b 1|2",
        ),
        (
            "SELECT a, c FROM {} EXCEPT DISTINCT BY NAME (SELECT 2 AS c, 'x' AS a UNION ALL SELECT 1, 'x') ORDER BY a",
            "a|c y|4",
        ),
    ])
    .await;
    check_refused(&[
        (
            "SELECT 1 AS a UNION ALL BY NAME SELECT 2 AS b",
            "identical set of column names. Query 1 has [a], query 2 has [b]",
        ),
        (
            "SELECT 1 AS a UNION ALL BY NAME SELECT 2 AS b, 3 AS a",
            "identical set of column names",
        ),
        (
            "SELECT 1 AS a UNION BY NAME SELECT 2 AS a",
            "Expected keyword ALL",
        ),
    ])
    .await;
}

#[tokio::test]
async fn labels_of_unpivoted_columns_may_be_integers() {
    check(&[
        (
            "SELECT v, l + 1 AS l FROM (SELECT 7 AS a, 8 AS b) UNPIVOT(v FOR l IN (a AS 1, b AS 20)) ORDER BY l",
            "v|l 7|2 8|21",
        ),
        (
            "SELECT v, w, l FROM (SELECT 7 AS a, 8 AS b) UNPIVOT((v, w) FOR l IN ((a, b) AS 3))",
            "v|w|l 7|8|3",
        ),
    ])
    .await;
    check_refused(&[(
        "SELECT * FROM (SELECT 7 AS a, 8 AS b) UNPIVOT(v FOR l IN (a AS 1, b AS 'x'))",
        "must have the same type",
    )])
    .await;
}

#[tokio::test]
async fn set_operations_match_columns_by_name() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let (left, right) = (
        "SELECT 1 AS a, 2 AS b, 3 AS c",
        "SELECT 4 AS b, 5 AS a, 6 AS d",
    );
    for (operation, wanted) in [
        ("INNER UNION ALL BY NAME", "a|b 1|2 5|4"),
        ("UNION ALL CORRESPONDING", "a|b 1|2 5|4"),
        ("LEFT OUTER UNION ALL BY NAME", "a|b|c 1|2|3 5|4|"),
        ("LEFT UNION DISTINCT CORRESPONDING", "a|b|c 1|2|3 5|4|"),
        ("FULL OUTER UNION ALL BY NAME", "a|b|c|d 1|2|3| 5|4||6"),
        ("OUTER UNION ALL BY NAME", "a|b|c|d 1|2|3| 5|4||6"),
        ("UNION ALL BY NAME ON (b, a)", "b|a 2|1 4|5"),
        ("FULL UNION ALL BY NAME ON (d, a)", "d|a |1 6|5"),
        ("UNION ALL STRICT CORRESPONDING BY (b)", "b 2 4"),
        ("INNER EXCEPT DISTINCT BY NAME", "a|b 1|2"),
    ] {
        let sql = format!("{left} {operation} {right} ORDER BY a");
        let sql = match wanted.contains('a') {
            true => sql,
            false => sql.replace(" ORDER BY a", ""),
        };
        assert_eq!(lines(&catalog, &sql).await.join(" "), wanted, "{sql}");
    }
    for (operation, said) in [
        (
            "UNION ALL STRICT CORRESPONDING",
            "identical set of column names",
        ),
        (
            "UNION ALL BY NAME ON (a, d)",
            "Columns in the list of BY NAME are missing",
        ),
    ] {
        let refused = answer(&catalog, &format!("{left} {operation} {right}"), &[]).await;
        assert!(refused.unwrap_err().contains(said), "{operation}");
    }
    // A join on the left is none of it.
    let sql = "SELECT t.id FROM d.t LEFT JOIN d.v USING (id) WHERE t.id = 1 UNION ALL SELECT 9 AS id ORDER BY id";
    assert_eq!(lines(&catalog, sql).await, ["id", "1", "9"]);
}

#[tokio::test]
async fn values_have_names_in_expressions() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (expression, wanted) in [
        ("WITH(a AS 2, b AS a + 1, a * b)", "6"),
        (
            "WITH(a AS [1, 2, 3], n AS ARRAY_LENGTH(a), a[ORDINAL(n)])",
            "3",
        ),
        ("WITH(s AS STRUCT(1 AS x, 2 AS y), s.x + s.y)", "3"),
        ("WITH(a AS 1, WITH(a AS a + 1, a * 10) + a)", "21"),
        ("WITH(n AS SUM(id), n / 2)", "3.0"),
    ] {
        let sql = format!("SELECT {expression} AS r FROM d.t");
        let rows = lines(&catalog, &sql).await;
        assert_eq!(rows.get(1).unwrap(), wanted, "{sql}");
    }
    for (expression, said) in [
        ("WITH(r AS RAND(), r - r)", "the volatile value r"),
        (
            "WITH(a AS 1, (SELECT a FROM d.t))",
            "a query in WITH that names a",
        ),
    ] {
        let refused = answer(&catalog, &format!("SELECT {expression}"), &[]).await;
        assert!(refused.unwrap_err().contains(said), "{expression}");
    }
}

#[tokio::test]
async fn recursive_queries_come_in_any_order() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let sql = "WITH RECURSIVE a AS (SELECT n + 10 AS n FROM B), b AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM b WHERE n < 3) SELECT SUM(n) AS s FROM a";
    assert_eq!(lines(&catalog, sql).await, ["s", "36"]);
    let sql = "WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM a";
    let refused = answer(&catalog, sql, &[]).await.unwrap_err();
    assert!(refused.contains("mutual recursion"), "{refused}");
}

#[tokio::test]
async fn functions_that_nobody_has_are_not_found() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (call, said) in [
        ("NoSuch(1)", "Function not found: NoSuch"),
        ("SAFE.nosuch(1)", "Function not found: nosuch"),
        ("NET.nosuch(1)", "Function not found: NET.nosuch"),
        (
            "ST_UNION(1)",
            "the function ST_UNION is not supported by this emulator",
        ),
        (
            "KEYS.NEW_KEYSET('x')",
            "the function KEYS.NEW_KEYSET is not supported",
        ),
    ] {
        let refused = answer(&catalog, &format!("SELECT {call}"), &[]).await;
        assert!(refused.unwrap_err().contains(said), "{call}");
    }
}
