//! What is asked of exported events: arrays of keys and values, and of items, in every row.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::{catalog, lines};

/// Three events of two users.
const EVENTS: &str = "WITH e AS (
      SELECT * FROM UNNEST([
        STRUCT('page_view' AS name, 1 AS at, 'u1' AS user,
          [STRUCT('page' AS key, STRUCT('/a' AS s, CAST(NULL AS INT64) AS i) AS value), STRUCT('session', STRUCT(NULL, 11))] AS params,
          [STRUCT('hat' AS sku, 2.5 AS price, 2 AS n, [STRUCT('color' AS key, 'blue' AS text)] AS tags)] AS items),
        STRUCT('purchase', 2, 'u1',
          [STRUCT('page', STRUCT('/b', NULL)), STRUCT('session', STRUCT(NULL, 11)), STRUCT('engaged', STRUCT('1', NULL))],
          [STRUCT('shoe', 4.5, 1, [STRUCT('color', 'red')]), STRUCT('hat', 2.5, 2, [STRUCT('color', 'blue'), STRUCT('size', 'l')])]),
        STRUCT('start', 3, 'u2', [], [])]))";

/// What a parameter of an event is.
const SESSION: &str = "(SELECT value.i FROM UNNEST(params) WHERE key = 'session')";
const PAGE: &str = "(SELECT value.s FROM UNNEST(params) WHERE key = 'page')";

#[tokio::test]
async fn arrays_of_events_are_looked_into() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (select, wanted) in [
        (
            "SELECT name, {session} AS s FROM e ORDER BY at",
            "page_view|11 purchase|11 start|",
        ),
        (
            "SELECT name FROM e WHERE {session} = 11 ORDER BY at",
            "page_view purchase",
        ),
        (
            "SELECT {session} AS s, COUNT(*) AS c FROM e GROUP BY s ORDER BY s",
            "|1 11|2",
        ),
        (
            "SELECT {session} AS s, COUNT(*) AS c FROM e GROUP BY {session} ORDER BY {session} DESC",
            "11|2 |1",
        ),
        (
            "SELECT name FROM e ORDER BY {page} DESC",
            "purchase page_view start",
        ),
        (
            "SELECT COUNT(DISTINCT CONCAT(user, CAST({session} AS STRING))) AS c FROM e",
            "1",
        ),
        (
            "SELECT COUNTIF((SELECT value.s FROM UNNEST(params) WHERE key = 'engaged') = '1') AS c FROM e",
            "1",
        ),
        (
            "SELECT user, MAX(IF(name = 'purchase', {session}, 0)) AS m FROM e GROUP BY 1 ORDER BY 1",
            "u1|11 u2|0",
        ),
        (
            "SELECT name, ROW_NUMBER() OVER (PARTITION BY user, {session} ORDER BY at DESC) AS r FROM e ORDER BY at",
            "page_view|2 purchase|1 start|1",
        ),
        (
            "SELECT LAG({page}) OVER (PARTITION BY user ORDER BY at) AS l FROM e ORDER BY at",
            "_ /a _",
        ),
        (
            "SELECT name FROM e WHERE EXISTS (SELECT 1 FROM UNNEST(params) WHERE key = 'engaged')",
            "purchase",
        ),
        (
            "SELECT name FROM e WHERE NOT EXISTS (SELECT 1 FROM UNNEST(params) AS p WHERE p.key = 'engaged' AND p.value.s = '1') ORDER BY at",
            "page_view start",
        ),
        (
            "SELECT name, i.sku FROM e, UNNEST(items) AS i ORDER BY at, sku",
            "page_view|hat purchase|hat purchase|shoe",
        ),
        (
            "SELECT i.sku, SUM(i.price * i.n) AS r FROM e, UNNEST(items) AS i GROUP BY 1 ORDER BY 2",
            "shoe|4.5 hat|10.0",
        ),
        (
            "SELECT i.sku, (SELECT text FROM UNNEST(i.tags) WHERE key = 'color') AS c FROM e, UNNEST(items) AS i ORDER BY at, 1",
            "hat|blue hat|blue shoe|red",
        ),
        (
            "SELECT i.* EXCEPT (tags), (SELECT text FROM UNNEST(i.tags) WHERE key = 'color') AS c FROM e, UNNEST(items) AS i ORDER BY at, 1",
            "hat|2.5|2|blue hat|2.5|2|blue shoe|4.5|1|red",
        ),
        (
            "SELECT (SELECT COUNT(*) FROM UNNEST(items) AS i WHERE i.sku IN (SELECT x.sku FROM UNNEST(items) AS x WHERE x.price > 3)) AS c FROM e ORDER BY at",
            "0 1 0",
        ),
        (
            "SELECT (SELECT MAX(sku) FROM UNNEST(items) WHERE price = (SELECT MAX(price) FROM UNNEST(items))) AS b FROM e ORDER BY at",
            "hat shoe _",
        ),
        (
            "SELECT ARRAY_LENGTH(ARRAY(SELECT AS STRUCT i.* EXCEPT (tags), o FROM UNNEST(items) AS i WITH OFFSET AS o WHERE i.price > (SELECT AVG(price) FROM UNNEST(items)))) AS c FROM e ORDER BY at",
            "0 1 0",
        ),
        (
            "SELECT ARRAY(SELECT AS STRUCT sku, n FROM UNNEST(items) ORDER BY sku)[SAFE_OFFSET(0)].sku AS a FROM e ORDER BY at",
            "hat hat _",
        ),
        (
            "SELECT (SELECT STRING_AGG((SELECT text FROM UNNEST(i.tags) WHERE key = 'color'), '-' ORDER BY i.sku) FROM UNNEST(items) AS i) AS c FROM e ORDER BY at",
            "blue blue-red _",
        ),
        (
            "SELECT (SELECT COUNT(*) FROM UNNEST(items) AS i, UNNEST(i.tags) AS t WHERE t.text = 'l') AS c FROM e ORDER BY at",
            "0 1 0",
        ),
        (
            "SELECT (SELECT sku FROM UNNEST(items) ORDER BY (SELECT COUNT(*) FROM UNNEST(tags)) DESC LIMIT 1) AS c FROM e ORDER BY at",
            "hat hat _",
        ),
        (
            "SELECT (SELECT value.i FROM e.params WHERE key = 'session') AS s FROM e ORDER BY at",
            "11 11 _",
        ),
        (
            "SELECT name, i.sku FROM e LEFT JOIN UNNEST(items) AS i ON i.price > 3 ORDER BY at",
            "page_view| purchase|shoe start|",
        ),
        (
            "SELECT name, i.sku, o FROM e LEFT JOIN UNNEST(items) AS i WITH OFFSET AS o ON o = 1 ORDER BY at",
            "page_view|| purchase|hat|1 start||",
        ),
        (
            "SELECT name, i.sku, t.text FROM e LEFT JOIN UNNEST(items) AS i ON i.sku = 'hat' LEFT JOIN UNNEST(i.tags) AS t ON t.key = 'size' ORDER BY at",
            "page_view|hat| purchase|hat|l start||",
        ),
        (
            "SELECT sku, text FROM e, e.items LEFT JOIN items.tags WHERE key = 'size'",
            "hat|l",
        ),
        (
            "SELECT user FROM e GROUP BY 1 HAVING SUM({session}) > 20",
            "u1",
        ),
        (
            "SELECT user, ARRAY_TO_STRING(ARRAY_AGG({page} IGNORE NULLS ORDER BY at), ',') AS p FROM e GROUP BY 1 ORDER BY 1",
            "u1|/a,/b u2|",
        ),
        (
            "SELECT name FROM e QUALIFY ROW_NUMBER() OVER (PARTITION BY user ORDER BY {session}, at DESC) = 1 ORDER BY 1",
            "purchase start",
        ),
        (
            "SELECT (SELECT AS STRUCT MAX(IF(key = 'session', value.i, NULL)) AS s, MAX(IF(key = 'page', value.s, NULL)) AS p FROM UNNEST(params)).* FROM e ORDER BY at",
            "11|/a 11|/b |",
        ),
        (
            "SELECT COUNT(*) OVER () AS t, user FROM e GROUP BY ALL ORDER BY user",
            "2|u1 2|u2",
        ),
        (
            "SELECT ARRAY(SELECT AS STRUCT i.* EXCEPT (tags) FROM UNNEST(items) AS i WITH OFFSET AS o ORDER BY o DESC)[SAFE_OFFSET(0)].sku AS s FROM e ORDER BY at",
            "hat hat _",
        ),
        (
            "SELECT TO_JSON_STRING(ARRAY(SELECT AS STRUCT i.* EXCEPT (tags) FROM UNNEST(items) AS i WITH OFFSET AS o ORDER BY o DESC LIMIT 1)) AS s FROM e WHERE at = 1",
            r#"[{"sku":"hat","price":2.5,"n":2}]"#,
        ),
    ] {
        let select = select.replace("{session}", SESSION).replace("{page}", PAGE);
        let rows = lines(&catalog, &format!("{EVENTS} {select}")).await;
        let rows = rows.iter().skip(1);
        let rows: Vec<&str> = rows.map(|r| if r.is_empty() { "_" } else { r }).collect();
        assert_eq!(rows.join(" "), wanted, "{select}");
    }
}
