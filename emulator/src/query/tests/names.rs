//! Names are found in any case of letters, and shown as the query writes them.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::{answer, catalog, lines};

#[tokio::test]
async fn columns_are_found_in_any_case_and_shown_as_written() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (sql, wanted) in [
        ("SELECT ID, name FROM d.t WHERE iD = 1", ["ID|name", "1|a"]),
        ("SELECT * FROM d.t WHERE ID = 1", ["id|Name|x", "1|a|1.5"]),
        ("SELECT T.NAME FROM d.t WHERE X > 1", ["NAME", "a"]),
        (
            "SELECT `d.u`.`NAME` FROM `d.t` `d.u` WHERE `d.u`.x > 1",
            ["NAME", "a"],
        ),
        (
            "SELECT `d.w`.a + e AS n FROM (SELECT 1 AS a, [2] AS l) `d.w`, UNNEST(`d.w`.`l`) AS e",
            ["n", "3"],
        ),
        (
            "SELECT * EXCEPT (NAME, X) FROM d.t ORDER BY ID LIMIT 1",
            ["id", "1"],
        ),
        (
            "SELECT * REPLACE (ID * 10 AS ID) FROM d.t WHERE id = 1",
            ["id|Name|x", "10|a|1.5"],
        ),
        (
            "SELECT NAME, COUNT(*) AS Many FROM d.t GROUP BY name HAVING MANY > 0 ORDER BY nAME LIMIT 1",
            ["NAME|Many", "|1"],
        ),
        (
            "WITH W AS (SELECT id AS Foo FROM d.t) SELECT q.FOO FROM w AS Q WHERE foo = 2",
            ["FOO", "2"],
        ),
        (
            "SELECT ID, V.NAME FROM d.t JOIN d.v USING (Id) WHERE ID = 3",
            ["ID|NAME", "3|b"],
        ),
        (
            "SELECT u.ID FROM d.t JOIN (SELECT id AS ID, x AS y FROM d.t) AS U USING (id) WHERE U.Y > 1",
            ["ID", "1"],
        ),
        (
            "SELECT (SELECT MAX(ID) FROM d.t AS U WHERE u.ID < T.id) AS m FROM d.t WHERE Id = 3",
            ["m", "2"],
        ),
        (
            "SELECT ROW_NUMBER() OVER (ORDER BY NAME DESC) AS R, ID FROM d.t QUALIFY r = 1",
            ["R|ID", "1|3"],
        ),
        (
            "SELECT STRUCT(1 AS Abc).aBC AS s, S.INNER.Deep FROM (SELECT STRUCT(STRUCT(7 AS deep) AS Inner) AS s)",
            ["s|Deep", "1|7"],
        ),
        (
            "SELECT id FROM d.t WHERE id = 1 UNION ALL SELECT ID + 1 FROM d.t WHERE ID = 0 ORDER BY ID",
            ["id", "1"],
        ),
        (
            "SELECT TABLE_NAME FROM d.INFORMATION_SCHEMA.TABLES WHERE Table_Name = 't'",
            ["TABLE_NAME", "t"],
        ),
    ] {
        assert_eq!(lines(&catalog, sql).await, wanted, "{sql}");
    }
}

#[tokio::test]
async fn names_of_nobody_and_of_more_than_one_are_refused() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (sql, wanted) in [
        (
            "SELECT nothing FROM d.t",
            "Unrecognized name: nothing at [1:8]",
        ),
        (
            "SELECT t.nothing FROM d.t",
            "Name nothing not found inside t at [1:10]",
        ),
        (
            "SELECT ID FROM d.t JOIN d.v ON t.id = v.id",
            "Column name ID is ambiguous at [1:8]",
        ),
        (
            "SELECT * EXCEPT (no) FROM d.t",
            "Column no in SELECT * EXCEPT list does not exist at [1:18]",
        ),
        ("SELECT STRUCT(1 AS a).b", "Field name b does not exist"),
        ("SELECT @@nothing", "Unrecognized name: @@nothing"),
        ("SELECT id FROM d.T", "Not found: Table p:d.T"),
    ] {
        let refused = answer(&catalog, sql, &[]).await.unwrap_err();
        assert!(refused.contains(wanted), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn names_in_a_path_may_begin_with_digits() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let name = crate::name::TableName::try_new("p", "d", "2024_t").unwrap();
    let column = crate::query::sql_types::plain("a", "INTEGER");
    let fields = crate::schema::checked(&[column]).unwrap();
    catalog
        .create_table(&name, fields, serde_json::Map::new())
        .unwrap();
    for (sql, wanted) in [
        ("SELECT COUNT(a) AS n FROM d.2024_t", ["n", "0"]),
        ("SELECT COUNT(*) AS n FROM p.d.2024_t AS t", ["n", "0"]),
        (
            "SELECT t.1e3 + .5 AS x FROM (SELECT 1 AS `1e3`) AS t",
            ["x", "1.5"],
        ),
        ("SELECT .5 AS x", ["x", "0.5"]),
    ] {
        assert_eq!(lines(&catalog, sql).await, wanted, "{sql}");
    }
}

#[tokio::test]
async fn fields_of_rows_around_are_found_in_queries_within() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let races = "WITH races AS (SELECT 'a' AS race, [STRUCT('x' AS name, [3, 4] AS laps), ('y', [1, 2])] AS runs)";
    for (select, wanted) in [
        (
            "race, (SELECT MAX((SELECT SUM(l) FROM UNNEST(laps) AS l)) FROM UNNEST(runs)) AS longest FROM races",
            ["race|longest", "a|7"],
        ),
        (
            "race, (SELECT r.name FROM UNNEST(runs) AS r WHERE EXISTS (SELECT 1 FROM UNNEST(r.laps) AS l WHERE l > 3)) AS slow FROM races",
            ["race|slow", "a|x"],
        ),
        (
            "(SELECT MAX(s.t.u + v) FROM UNNEST([1, 2]) AS v) AS w, 1 AS x FROM (SELECT STRUCT(STRUCT(5 AS u) AS t) AS s)",
            ["w|x", "7|1"],
        ),
    ] {
        let sql = format!("{races} SELECT {select}");
        assert_eq!(lines(&catalog, &sql).await, wanted, "{sql}");
    }
}

#[tokio::test]
async fn recursive_queries_are_called_in_any_case() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let sql = "WITH RECURSIVE T1 AS (SELECT 1 AS n UNION ALL SELECT T1.n + 1 FROM t1 AS T1 WHERE T1.n < 3) SELECT T1.n FROM T1 ORDER BY n";
    assert_eq!(lines(&catalog, sql).await, ["n", "1", "2", "3"]);
    let sql = "WITH RECURSIVE T0 AS (SELECT 2 AS p), T1 AS ((SELECT 1 AS n) UNION ALL (SELECT T1.n + T0.p FROM T1 CROSS JOIN T0 WHERE T1.n < 4)) SELECT n, p FROM T1 CROSS JOIN T0 ORDER BY n";
    assert_eq!(lines(&catalog, sql).await, ["n|p", "1|2", "3|2", "5|2"]);
}
