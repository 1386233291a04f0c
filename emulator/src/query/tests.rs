#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use serde_json::{Map, json};
use tempfile::TempDir;

use super::*;
use crate::cells::{self, JsonReading, UnknownFields, json_row};
use crate::clock::SystemClock;
use crate::schema::{self, FieldSchema};

mod arrays;
mod casts;
mod choices;
mod documented;
mod documents;
mod events;
mod functions;
mod guards;
mod kinds;
mod names;
mod numbers;
mod orders;
mod parameters;
mod pipes;
mod shapes;
mod signatures;

/// A catalog with the table `p:d.t` of three rows and a view on it.
fn catalog(root: &TempDir) -> Arc<Catalog> {
    let catalog = Arc::new(Catalog::new(root.path().to_owned(), Arc::new(SystemClock)));
    catalog.create_dataset("p", "d", Map::new()).unwrap();
    let columns: Vec<FieldSchema> = serde_json::from_value(json!([
        {"name": "id", "type": "INT64"}, {"name": "Name", "type": "STRING"}, {"name": "x", "type": "FLOAT64"},
    ]))
    .unwrap();
    let columns = schema::checked(&columns).unwrap();
    let name = TableName::try_new("p", "d", "t").unwrap();
    catalog.create_table(&name, columns, Map::new()).unwrap();
    let schema = catalog.table(&name).unwrap().schema.clone();
    let rows = [
        json!({"id": 1, "Name": "a", "x": 1.5}),
        json!({"id": 2, "Name": null, "x": -0.5}),
        json!({"id": 3, "Name": "b"}),
    ];
    let rows: Vec<_> = rows
        .iter()
        .map(|r| {
            json_row(
                schema.fields(),
                r,
                JsonReading::of_file(UnknownFields::Refuse),
            )
            .unwrap()
        })
        .collect();
    let mut writer = catalog.writer(&name, None).unwrap();
    writer
        .write(&cells::batch(&schema, &rows).unwrap())
        .unwrap();
    writer.commit().unwrap();
    let view = TableName::try_new("p", "d", "v").unwrap();
    let query = json!({"query": "SELECT id, Name FROM d.t WHERE id > 1"});
    let resource = Map::from_iter([("view".to_owned(), query)]);
    catalog.create_table(&view, Vec::new(), resource).unwrap();
    catalog
}

async fn answer(catalog: &Catalog, sql: &str, given: &[Parameter]) -> Result<String, String> {
    let defaults = Defaults {
        project: "p".to_owned(),
        ..Defaults::default()
    };
    let query = select(sql).map_err(|e| e.to_string())?;
    let planned = plan(catalog, query, &defaults, given)
        .await
        .map_err(|e| e.to_string())?;
    let schema = planned.schema.clone();
    let rows = planned.run().await.map_err(|e| e.to_string())?;
    let mut batches: Vec<RecordBatch> = rows.try_collect().await.map_err(|e| e.to_string())?;
    batches.push(RecordBatch::new_empty(schema));
    Ok(pretty_format_batches(&batches).unwrap().to_string())
}

/// The lines of a result without the frame: the header, then rows with their values separated by `|`.
async fn lines(catalog: &Catalog, sql: &str) -> Vec<String> {
    let text = answer(catalog, sql, &[]).await.unwrap();
    text.lines()
        .filter(|l| l.starts_with('|'))
        .map(|l| l.trim_matches('|').replace(' ', ""))
        .collect()
}

#[tokio::test]
async fn queries_over_tables_and_views() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    assert_eq!(
        lines(
            &catalog,
            "SELECT id, x FROM `p.d.t` WHERE Name IS NOT NULL ORDER BY id DESC"
        )
        .await,
        ["id|x", "3|", "1|1.5"]
    );
    assert_eq!(
        lines(&catalog, "SELECT COUNT(*), SUM(v.id) AS s FROM d.v AS v").await,
        ["f0_|s", "2|5"]
    );
    assert_eq!(
        lines(
            &catalog,
            "WITH w AS (SELECT id FROM d.t) SELECT w.id FROM w ORDER BY 1 LIMIT 1 OFFSET 1"
        )
        .await,
        ["id", "2"]
    );
    // Nulls come first, as they are the smallest.
    assert_eq!(
        lines(&catalog, "SELECT Name FROM d.t ORDER BY Name").await,
        ["Name", "", "a", "b"]
    );
    assert_eq!(
        lines(&catalog, "SELECT y, REPEAT('A', 3) AS r, IF(y > 1, 'more', 'one') AS w FROM UNNEST(GENERATE_ARRAY(1, 2)) AS y ORDER BY y").await,
        ["y|r|w", "1|AAA|one", "2|AAA|more"]
    );
}

#[tokio::test]
async fn tables_of_a_query_are_called_in_any_case() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for sql in [
        "SELECT dest.id FROM d.t AS DEST WHERE Dest.id = 1",
        "SELECT T.id FROM d.t WHERE t.id = 1",
        "WITH W AS (SELECT id FROM d.t) SELECT w.id FROM W WHERE w.id = 1",
    ] {
        assert_eq!(lines(&catalog, sql).await, ["id", "1"], "{sql}");
    }
    // Where both are there, each is meant.
    let sql =
        "SELECT a.id, A.id AS other FROM d.t AS a JOIN d.t AS A ON a.id = A.id + 1 WHERE a.id = 2";
    assert_eq!(lines(&catalog, sql).await, ["id|other", "2|1"]);
}

#[tokio::test]
async fn groups_are_those_of_the_result() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    // Not by the table's own column of that name.
    let sql = "SELECT MOD(id, 2) AS id, COUNT(*) AS n FROM d.t GROUP BY id ORDER BY n";
    assert_eq!(lines(&catalog, sql).await, ["id|n", "0|1", "1|2"]);
    let sql = "SELECT id AS x, COUNT(*) AS n FROM d.t GROUP BY x ORDER BY x LIMIT 1";
    assert_eq!(lines(&catalog, sql).await, ["x|n", "1|1"]);
}

#[tokio::test]
async fn parameters_are_literals() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let named = [Parameter {
        name: "least".to_owned(),
        field: sql_types::plain("least", "INTEGER"),
        value: json!({"value": "2"}),
    }];
    let text = answer(&catalog, "SELECT id FROM d.t WHERE id >= @least", &named)
        .await
        .unwrap();
    assert!(text.contains("| 2  |") && text.contains("| 3  |") && !text.contains("| 1  |"));
    let missing = answer(&catalog, "SELECT id FROM d.t WHERE id >= @most", &named).await;
    let said = missing.unwrap_err();
    assert!(said.contains("Query parameter 'most' not found"), "{said}");
}

#[tokio::test]
async fn what_might_mean_something_else_is_refused_by_name() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (sql, named) in [
        ("SELECT ST_AREA(Name) FROM d.t", "ST_AREA"),
        ("SELECT ST_X(Name) FROM d.t", "a GEOGRAPHY is expected"),
        (
            "SELECT ST_Y(ST_GEOGFROMTEXT('LINESTRING(0 0, 1 1)'))",
            "ST_Y: the geography is not a single point",
        ),
        (
            "SELECT * FROM VECTOR_SEARCH((SELECT 1), 'a', TABLE d.t)",
            "the table function VECTOR_SEARCH",
        ),
        (
            "SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.t)",
            "the function ML.PREDICT",
        ),
        (
            "SELECT CAST(1e30 AS NUMERIC)",
            "Invalid NUMERIC value: 1e30",
        ),
        ("SELECT id / 0 FROM d.t", "division by zero: 1 / 0"),
        (
            "SELECT id + 9223372036854775807 FROM d.t",
            "int64 overflow: 1 + 9223372036854775807",
        ),
        ("DELETE FROM d.t WHERE TRUE", "DELETE"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("SELECT * FROM `p.d.none*`", "does not match any table"),
        (
            "SELECT * FROM d.INFORMATION_SCHEMA.JOBS",
            "d.INFORMATION_SCHEMA.JOBS",
        ),
        (
            "SELECT * FROM d.t TABLESAMPLE BERNOULLI (10 PERCENT)",
            "sample",
        ),
        (
            "SELECT * FROM d.v TABLESAMPLE SYSTEM (10 PERCENT)",
            "TABLESAMPLE is not allowed on p:d.v",
        ),
        ("SELECT nothing FROM d.t", "nothing"),
        ("SELECT * FROM t", "must be qualified"),
        ("SELECT * FROM d.none", "Not found: Table p:d.none"),
        ("SELEC 1", "Syntax error"),
    ] {
        let refused = answer(&catalog, sql, &[]).await.unwrap_err();
        assert!(refused.contains(named), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn bytes_are_those_of_the_columns_read() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let defaults = Defaults {
        project: "p".to_owned(),
        ..Defaults::default()
    };
    for (sql, bytes) in [
        ("SELECT id FROM d.t", 24),
        ("SELECT id, x FROM d.t", 40),
        ("SELECT x FROM d.t WHERE id = 1", 40),
        ("SELECT id FROM d.v", 24),
        ("SELECT 1", 0),
    ] {
        let planned = plan(&catalog, select(sql).unwrap(), &defaults, &[])
            .await
            .unwrap();
        assert_eq!(planned.read.bytes, bytes, "{sql}");
    }
}

#[tokio::test]
async fn values_of_every_kind_are_computed_as_bigquery_computes_them() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    for (expression, value) in [
        ("7 / 2", "3.5"),
        ("TO_HEX(MD5('abc'))", "900150983cd24fb0d6963f7d28e17f72"),
        ("REGEXP_EXTRACT('a12b3', '[0-9]+')", "12"),
        ("REGEXP_EXTRACT('a12b3', 'b([0-9])')", "3"),
        ("REGEXP_EXTRACT('abc', '[0-9]')", ""),
        (
            "ARRAY_TO_STRING(REGEXP_EXTRACT_ALL('a1b22c', '([0-9])[0-9]?'), ',')",
            "1,2",
        ),
        (
            "JSON_VALUE('{\"a\": [{\"b c\": 1.5}]}', \"$.a[0]['b c']\")",
            "1.5",
        ),
        ("JSON_VALUE('{\"a\": {}}', '$.a')", ""),
        ("JSON_QUERY('{\"a\": {\"b\":true}}', '$.a')", "{\"b\":true}"),
        ("LEFT('äbc', 2)", "äb"),
        ("RIGHT('abc', 5)", "abc"),
        ("LPAD('a', 4, 'xy')", "xyxa"),
        ("RPAD('abc', 2)", "ab"),
        ("TO_BASE64(CAST('ab' AS BYTES))", "YWI="),
        ("LENGTH(CAST(CURRENT_TIMESTAMP() AS STRING)) > 20", "true"),
        (
            "CAST('2020-01-01 00:00:00-0' AS TIMESTAMP)",
            "2020-01-01T00:00:00Z",
        ),
        (
            "CAST('2020-01-01 00:00:00+5:30' AS TIMESTAMP)",
            "2019-12-31T18:30:00Z",
        ),
        ("CAST(2.5 AS INT64)", "3"),
        ("CAST(1.0 AS STRING)", "1"),
        ("CAST('0x1f' AS INT64)", "31"),
        ("SAFE_CAST('x' AS INT64)", ""),
        ("SAFE_DIVIDE(1, 0)", ""),
        ("CONCAT('a', NULL)", ""),
        ("GREATEST(1, NULL)", ""),
        ("MOD(-5, 3)", "-2"),
        ("POW(2, 3)", "8.0"),
        ("SUBSTR('abcd', -3, 2)", "bc"),
        ("FORMAT('%03d|%s', 7, 'x')", "007|x"),
        (
            "TO_JSON_STRING(STRUCT(1 AS a, [1.5] AS b))",
            "{\"a\":1,\"b\":[1.5]}",
        ),
        (
            "DATE_ADD(DATE '2024-01-31', INTERVAL 1 MONTH)",
            "2024-02-29",
        ),
        ("DATE_DIFF(DATE '2018-01-01', DATE '2017-12-31', YEAR)", "1"),
        (
            "TIMESTAMP_TRUNC(TIMESTAMP '2024-05-15 13:14:15', HOUR)",
            "2024-05-15T13:00:00Z",
        ),
        ("EXTRACT(DAYOFWEEK FROM DATE '2024-05-12')", "1"),
        ("FORMAT_DATE('%Y/%m', DATE '2024-05-12')", "2024/05"),
        ("UNIX_SECONDS(TIMESTAMP_SECONDS(5))", "5"),
        ("ARRAY_LENGTH(SPLIT('a,b,c'))", "3"),
        ("(SELECT SUM(x) FROM UNNEST([1, 2, 3]) AS x)", "6"),
        ("STRUCT(1 AS a, 'b')", "{a: 1, _field_2: b}"),
        ("[1, 2]", "[1, 2]"),
        ("ARRAY(SELECT id FROM d.t WHERE id > 1)", "[2, 3]"),
        ("2 IN UNNEST([1, 2])", "true"),
        ("CAST(b'abc' AS STRING)", "abc"),
    ] {
        let text = answer(&catalog, &format!("SELECT {expression} AS v"), &[]).await;
        let text = text.unwrap_or_else(|e| format!("{expression}: {e}"));
        let found = text
            .lines()
            .nth(3)
            .map(|l| l.trim_matches(['|', ' ']).to_owned());
        assert_eq!(found.as_deref(), Some(value), "{expression}: {text}");
    }
}

#[tokio::test]
async fn types_that_arrow_cannot_tell_survive_expressions() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    let sql = "SELECT TO_JSON(1) AS j, IF(id = 1, NULL, ST_GEOGPOINT(1, 2)) AS g, \
               RANGE(DATE '2020-01-01', NULL) AS r, NULL AS n, [] AS a FROM d.t";
    let defaults = Defaults {
        project: "p".to_owned(),
        ..Defaults::default()
    };
    let planned = plan(&catalog, select(sql).unwrap(), &defaults, &[])
        .await
        .unwrap();
    let kinds: Vec<String> = schema::from_arrow(&planned.schema)
        .into_iter()
        .map(|c| c.kind)
        .collect();
    assert_eq!(kinds, ["JSON", "GEOGRAPHY", "RANGE", "INTEGER", "INTEGER"]);
}

#[tokio::test]
async fn arrays_of_structs_are_tables() {
    let root = TempDir::new().unwrap();
    let catalog = catalog(&root);
    assert_eq!(
        lines(&catalog, "SELECT * FROM UNNEST([(1, 'x'), (2, 'y')])").await,
        ["f0_|f1_", "1|x", "2|y"]
    );
    assert_eq!(
        lines(
            &catalog,
            "SELECT a, s.b FROM UNNEST([STRUCT(1 AS a, 2 AS b)]) AS s"
        )
        .await,
        ["a|b", "1|2"]
    );
    assert_eq!(
        lines(&catalog, "SELECT s.b FROM (SELECT 1) AS q, UNNEST([STRUCT(1 AS a, 2 AS b)]) AS s WHERE q.f0_ = s.a").await,
        ["b", "2"]
    );
}
