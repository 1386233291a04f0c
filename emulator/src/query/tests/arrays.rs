//! Elements, positions and queries over arrays of a row.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::{answer, catalog, lines};

/// Rows with arrays, as a table of a query.
const ROWS: &str = "(SELECT 1 AS k, [3, 4] AS a, [STRUCT('x' AS Sku, 2 AS n), STRUCT('y', 5)] AS s UNION ALL SELECT 2, [], [])";

#[tokio::test]
async fn arrays_of_a_row_are_joined_to_it() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (select, wanted) in [
        (
            "k, e FROM {} AS t, UNNEST(t.a) AS e ORDER BY e",
            "k|e 1|3 1|4",
        ),
        ("k, e FROM {} AS t, t.a AS e ORDER BY e", "k|e 1|3 1|4"),
        (
            "k, e, o FROM {}, UNNEST(a) AS e WITH OFFSET AS o ORDER BY o DESC",
            "k|e|o 1|4|1 1|3|0",
        ),
        (
            "k, e FROM {} LEFT JOIN UNNEST(a) AS e ORDER BY k, e",
            "k|e 1|3 1|4 2|",
        ),
        ("k, e FROM {} JOIN UNNEST(a) AS e ON e > 3", "k|e 1|4"),
        (
            "k, i.sku, N FROM {}, UNNEST(s) AS I ORDER BY n",
            "k|sku|N 1|x|2 1|y|5",
        ),
        ("i.* FROM {}, UNNEST(s) AS i ORDER BY n", "Sku|n x|2 y|5"),
        (
            "e, u.b FROM {}, UNNEST(a) AS e JOIN (SELECT 4 AS b) AS u ON u.b = e",
            "e|b 4|4",
        ),
        (
            "* FROM UNNEST([5, 6]) AS e WITH OFFSET ORDER BY offset",
            "e|offset 5|0 6|1",
        ),
    ] {
        let sql = format!("SELECT {}", select.replace("{}", ROWS));
        let wanted: Vec<&str> = wanted.split(' ').collect();
        assert_eq!(lines(&catalog, &sql).await, wanted, "{sql}");
    }
}

#[tokio::test]
async fn queries_over_arrays_of_a_row_are_values() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (expression, wanted) in [
        ("(SELECT SUM(e) FROM UNNEST(a) AS e)", "7 "),
        (
            "(SELECT e FROM UNNEST(a) AS e ORDER BY e DESC LIMIT 1)",
            "4 ",
        ),
        (
            "EXISTS(SELECT 1 FROM UNNEST(a) AS e WHERE e = 3)",
            "true false",
        ),
        ("NOT EXISTS(SELECT 1 FROM UNNEST(a) AS e)", "false true"),
        (
            "ARRAY(SELECT e * 10 FROM UNNEST(a) AS e ORDER BY e DESC)",
            "[40,30] []",
        ),
        (
            "ARRAY_LENGTH(ARRAY(SELECT 1 FROM UNNEST(a) AS e WHERE e > 3))",
            "1 0",
        ),
        (
            "(SELECT STRING_AGG(i.sku, '-') FROM UNNEST(s) AS i)",
            "x-y ",
        ),
        (
            "ARRAY(SELECT AS STRUCT i.n AS m, k FROM UNNEST(s) AS i)[SAFE_OFFSET(0)].M",
            "2 ",
        ),
        ("(SELECT COUNT(*) FROM d.t WHERE t.id > k)", "2 1"),
        ("a[SAFE_OFFSET(1)]", "4 "),
        ("a[SAFE_ORDINAL(1)]", "3 "),
        ("s[SAFE_OFFSET(1)].SKU", "y "),
    ] {
        let sql = format!("SELECT {expression} AS v FROM {ROWS} ORDER BY k");
        let found = lines(&catalog, &sql).await;
        let found = found.get(1..).unwrap().join(" ");
        assert_eq!(found, wanted, "{sql}");
    }
    for (expression, wanted) in [
        ("[1, 2][OFFSET(0)]", "1"),
        ("[1, 2][1]", "2"),
        ("[1, 2][ORDINAL(2)]", "2"),
        ("JSON '{\"a\": {\"b\": [1, 2]}}'.a.b[1]", "2"),
        ("JSON '{\"a b\": 1}'['a b']", "1"),
        ("(SELECT AS STRUCT 1 AS a, 2 AS b).B", "2"),
    ] {
        let found = lines(&catalog, &format!("SELECT {expression} AS v")).await;
        assert_eq!(found, ["v", wanted], "{expression}");
    }
    for (sql, wanted) in [
        (
            "SELECT [1][OFFSET(1)]",
            "Array index 1 is out of bounds (overflow)",
        ),
        (
            "SELECT [1][ORDINAL(0)]",
            "Array index 0 is out of bounds (underflow)",
        ),
        ("SELECT 'a'[0]", "not supported on values of type"),
        ("SELECT * FROM UNNEST(1)", "must be arrays"),
        (
            "SELECT (SELECT e FROM UNNEST(a) AS e) FROM (SELECT [1, 2] AS a)",
            "Scalar subquery produced more than one element",
        ),
    ] {
        let refused = answer(&catalog, sql, &[]).await.unwrap_err();
        assert!(refused.contains(wanted), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn a_query_may_be_recursive() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let sql = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT N + 1 FROM R WHERE n < 3) SELECT n FROM r ORDER BY n";
    assert_eq!(lines(&catalog, sql).await, ["n", "1", "2", "3"]);
}

#[tokio::test]
async fn literals_of_arrays_know_the_row_around() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (expression, wanted) in [
        ("(SELECT SUM(v) FROM UNNEST([r.k, 5]) AS v)", "6"),
        (
            "EXISTS(SELECT v FROM UNNEST([r.k]) AS v WHERE v > 1)",
            "false",
        ),
        (
            "TO_JSON_STRING(ARRAY(SELECT v + o FROM UNNEST([[r.k, 7][OFFSET(0)], 5]) AS v WITH OFFSET AS o))",
            "[1,6]",
        ),
    ] {
        let sql = format!("SELECT {expression} AS v FROM {ROWS} AS r WHERE k = 1");
        assert_eq!(lines(&catalog, &sql).await, ["v", wanted], "{expression}");
    }
}

#[tokio::test]
async fn arrays_of_queries_are_within_arrays_of_queries() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (sql, wanted) in [
        (
            "SELECT TO_JSON_STRING(ARRAY(SELECT STRUCT(n, ARRAY(SELECT n * m FROM UNNEST([1, 2]) AS m) AS a) FROM UNNEST([1, 2]) AS n))",
            r#"[{"n":1,"a":[1,2]},{"n":2,"a":[2,4]}]"#,
        ),
        (
            "SELECT TO_JSON_STRING(ARRAY((SELECT AS STRUCT 1 AS a, 'x' AS b) LIMIT 2))",
            r#"[{"a":1,"b":"x"}]"#,
        ),
        (
            "SELECT ARRAY_LENGTH(ARRAY(((SELECT AS STRUCT n, 1 FROM UNNEST([1, 2, 3]) AS n LIMIT 2))))",
            "2",
        ),
        (
            "SELECT ARRAY(SELECT ARRAY_LENGTH(ARRAY(SELECT m FROM UNNEST([1, 2, 3]) AS m WHERE m >= n)) FROM UNNEST([1, 2]) AS n)",
            "[3,2]",
        ),
        (
            "SELECT TO_JSON_STRING([STRUCT(1 AS i, DATETIME '2020-01-01' AS v), STRUCT(2 AS i, CAST(TIMESTAMP '2020-01-02' AS DATETIME) AS v), STRUCT(3, NULL)])",
            r#"[{"i":1,"v":"2020-01-01T00:00:00"},{"i":2,"v":"2020-01-02T00:00:00"},{"i":3,"v":null}]"#,
        ),
    ] {
        assert_eq!(lines(&catalog, sql).await.get(1).unwrap(), wanted, "{sql}");
    }
}

#[tokio::test]
async fn functions_that_are_told_a_name_are_fine_without_rows() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let sql = "SELECT grantee AS g FROM d.INFORMATION_SCHEMA.OBJECT_PRIVILEGES \
               WHERE object_schema = 'd' AND object_name = 't' AND SPLIT(grantee, ':')[OFFSET(1)] != 'x'";
    assert_eq!(lines(&catalog, sql).await, ["g"]);
}

#[tokio::test]
async fn fields_of_elements_come_before_columns_around() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let of = "FROM (SELECT 'out' AS key, 7 AS v, [STRUCT('in' AS key, STRUCT(1 AS x) AS v), STRUCT('other', STRUCT(2))] AS a) AS t";
    for (select, wanted) in [
        ("(SELECT COUNT(*) FROM UNNEST(t.a) WHERE key = 'in')", "1"),
        ("(SELECT STRING_AGG(key) FROM UNNEST(a))", "in,other"),
        ("(SELECT v.x FROM UNNEST(a) WHERE key = 'in')", "1"),
        // What elements do not have is around them.
        (
            "(SELECT MAX(k) FROM UNNEST([STRUCT(5 AS k)]) WHERE key = 'out')",
            "5",
        ),
        (
            "(SELECT COUNT(*) FROM UNNEST(a) AS t WHERE key = 'in')",
            "1",
        ),
        (
            "(SELECT SUM(x) FROM UNNEST([3, 4]) AS x WHERE x > v - 4)",
            "4",
        ),
    ] {
        let sql = format!("SELECT {select} AS r {of}");
        assert_eq!(lines(&catalog, &sql).await, ["r", wanted], "{sql}");
    }
    let sql = "SELECT * FROM d.t JOIN UNNEST([STRUCT(id AS Key, 'z' AS v)]) AS Pair ON Pair.key = 3 AND pair.V = 'z'";
    assert_eq!(lines(&catalog, sql).await, ["id|Name|x|Key|v", "3|b||3|z"]);
    assert_eq!(
        lines(&catalog, "SELECT *, s FROM UNNEST([STRUCT(1 AS x)]) AS s").await,
        ["x|s", "1|{x:1}"]
    );
}

#[tokio::test]
async fn columns_become_rows_by_an_array_of_structs() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (select, array) in [
        ("id, k, v", "[STRUCT('a' AS k, a AS v), STRUCT('b', b)]"),
        (
            "id, p.k, p.v",
            "[STRUCT('a' AS k, t.a AS v), ('b', t.b)] AS p",
        ),
        (
            "* EXCEPT (a, b)",
            "[STRUCT('a' AS k, a AS v), STRUCT('b', b)]",
        ),
    ] {
        let array = array.replace(']', "])");
        let sql = format!(
            "SELECT {select} FROM (SELECT 1 AS id, 2 AS a, 3 AS b) AS t CROSS JOIN UNNEST({array} ORDER BY 2"
        );
        assert_eq!(
            lines(&catalog, &sql).await,
            ["id|k|v", "1|a|2", "1|b|3"],
            "{sql}"
        );
    }
}

#[tokio::test]
async fn fields_of_no_struct_are_null() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let sql = "SELECT k, x.a, x IS NULL AS n FROM (SELECT k, IF(k = 1, s, NULL) AS x FROM (SELECT 1 AS k, STRUCT(5 AS a) AS s UNION ALL SELECT 2, STRUCT(6))) ORDER BY k";
    assert_eq!(
        lines(&catalog, sql).await,
        ["k|a|n", "1|5|false", "2||true"]
    );
}

#[tokio::test]
async fn literals_get_their_types_from_those_beside_them() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (sql, wanted) in [
        ("SELECT [] AS a UNION ALL SELECT [1.5]", "[]-[1.5]"),
        (
            "SELECT NULL AS a UNION ALL SELECT [STRUCT(1 AS x)]",
            "[]-[{x:1}]",
        ),
        (
            "SELECT [STRUCT('p' AS k, STRUCT(1 AS i, 'x' AS s) AS v), STRUCT('q', STRUCT(2, NULL))] AS a",
            "[{k:p,v:{i:1,s:x}},{k:q,v:{i:2,s:}}]",
        ),
        (
            "SELECT TO_JSON_STRING([STRUCT(1 AS i, [STRUCT('k' AS k, 1 AS v)] AS p), STRUCT(2, []), (3, [STRUCT('z', NULL)])]) AS a",
            r#"[{"i":1,"p":[{"k":"k","v":1}]},{"i":2,"p":[]},{"i":3,"p":[{"k":"z","v":null}]}]"#,
        ),
    ] {
        let rows = lines(&catalog, sql).await;
        assert_eq!(rows.get(1..).unwrap().join("-"), wanted, "{sql}");
    }
    let refused = answer(&catalog, "SELECT [STRUCT(1 AS a), STRUCT('x')]", &[]).await;
    assert!(refused.unwrap_err().contains("common supertype"));
}
