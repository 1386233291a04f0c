//! Functions that clients write: kept, listed, changed, and called in queries.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::serve;
use crate::rest::{call, exchange, send_json};
use crate::statements::{ask, run, start_with_dataset, values};

const PATH: &str = "/projects/p/datasets/d/routines";

fn of(kind: &str) -> Value {
    json!({"typeKind": kind})
}

fn scalar(id: &str, body: &str, arguments: &[(&str, Value)], returns: Value) -> Value {
    let arguments: Vec<Value> = arguments
        .iter()
        .map(|(name, kind)| json!({"name": name, "dataType": kind}))
        .collect();
    json!({"routineReference": {"projectId": "p", "datasetId": "d", "routineId": id}, "routineType": "SCALAR_FUNCTION",
        "language": "SQL", "definitionBody": body, "arguments": arguments, "returnType": returns})
}

#[tokio::test]
async fn routines_are_kept_across_restarts() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let add = scalar(
        "add",
        "x + y",
        &[("x", of("INT64")), ("y", of("INT64"))],
        of("INT64"),
    );
    let (code, made) = send_json(&emulator, "POST", PATH, &add).await;
    assert_eq!(code, 200, "{made}");
    assert_eq!(made["routineReference"]["routineId"], "add");
    assert!(made["creationTime"].is_string() && made["etag"].is_string());
    assert_eq!(send_json(&emulator, "POST", PATH, &add).await.0, 409);
    emulator.shutdown().await;

    let emulator = serve(&root).await;
    let (_, listed) = call(&emulator, "GET", PATH).await;
    assert_eq!(listed["routines"].as_array().unwrap().len(), 1);
    let changed = scalar(
        "add",
        "x - y",
        &[("x", of("INT64")), ("y", of("INT64"))],
        of("INT64"),
    );
    let query = "SELECT d.add(5, 3), `p.d.add`(1, NULL)";
    assert_eq!(
        values(&run(&emulator, query).await),
        [[json!("8"), Value::Null]]
    );
    let put = async |etag: &str| {
        let (path, body) = (format!("{PATH}/add"), changed.to_string());
        exchange(
            &emulator,
            "PUT",
            &path,
            &[("If-Match", etag)],
            body.as_bytes(),
        )
        .await
    };
    assert_eq!(put("another").await.code, 412);
    let answer = put(listed["routines"][0]["etag"].as_str().unwrap()).await;
    assert_eq!(answer.body["definitionBody"], "x - y", "{}", answer.body);
    // Not the result from before.
    assert_eq!(
        values(&run(&emulator, query).await),
        [[json!("2"), Value::Null]]
    );
    assert_eq!(
        call(&emulator, "DELETE", &format!("{PATH}/add")).await.0,
        204
    );
    let (code, answer) = call(&emulator, "GET", &format!("{PATH}/add")).await;
    assert_eq!(
        (code, &answer["error"]["message"]),
        (404, &json!("Not found: Routine p:d.add"))
    );
    let (code, answer) = ask(&emulator, json!({"query": query})).await;
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(
        code == 400 && text.contains("Function not found: d.add"),
        "{text}"
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn calls_are_replaced_by_bodies() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let floats = json!({"typeKind": "ARRAY", "arrayElementType": {"typeKind": "FLOAT64"}});
    let dates = json!({"typeKind": "RANGE", "rangeElementType": {"typeKind": "DATE"}});
    for routine in [
        scalar("twice", "2 * x", &[("x", of("INT64"))], of("INT64")),
        scalar(
            "four",
            "d.twice(d.twice(x))",
            &[("x", of("INT64"))],
            of("FLOAT64"),
        ),
        scalar(
            "total",
            "(SELECT SUM(v) FROM UNNEST(a) AS v)",
            &[("a", floats)],
            of("FLOAT64"),
        ),
        scalar("from_day", "RANGE_START(r)", &[("r", dates)], of("DATE")),
        json!({"routineReference": {"routineId": "above"}, "routineType": "TABLE_VALUED_FUNCTION",
            "arguments": [{"name": "least", "dataType": {"typeKind": "INT64"}}],
            "definitionBody": "SELECT n, n * n AS square FROM UNNEST([1, 2, 3]) AS n WHERE n > least"}),
        json!({"routineReference": {"routineId": "js"}, "routineType": "SCALAR_FUNCTION", "language": "JAVASCRIPT",
            "definitionBody": "return 1", "returnType": {"typeKind": "FLOAT64"}}),
    ] {
        let (code, made) = send_json(&emulator, "POST", PATH, &routine).await;
        assert_eq!(code, 200, "{made}");
    }
    run(
        &emulator,
        "CREATE TABLE d.t AS SELECT 1 AS x, 10 AS y UNION ALL SELECT 2, 20",
    )
    .await;
    for (sql, wanted) in [
        (
            "SELECT d.four(3), d.twice(y) FROM d.t ORDER BY y",
            vec![json!("12.0"), json!("20")],
        ),
        ("SELECT d.total([1.5, 2.0])", vec![json!("3.5")]),
        (
            "SELECT d.from_day(RANGE<DATE> '[2016-08-12, UNBOUNDED)')",
            vec![json!("2016-08-12")],
        ),
        ("SELECT * FROM d.above(2)", vec![json!("3"), json!("9")]),
        (
            "SELECT a.square FROM `p.d.above`(1) AS a ORDER BY square",
            vec![json!("4")],
        ),
    ] {
        assert_eq!(
            values(&run(&emulator, sql).await).first(),
            Some(&wanted),
            "{sql}"
        );
    }
    for (sql, wanted) in [
        ("SELECT d.twice(1, 2)", "it has 1 arguments, not 2"),
        ("SELECT d.js()", "written in JAVASCRIPT"),
        ("SELECT d.above(1)", "TABLE_VALUED_FUNCTION"),
        ("SELECT * FROM d.twice(1)", "SCALAR_FUNCTION"),
        ("SELECT d.nothing(1)", "Function not found"),
    ] {
        let (code, answer) = ask(&emulator, json!({"query": sql})).await;
        let text = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(code == 400 && text.contains(wanted), "{sql}: {text}");
    }
    // An argument that a column of a table hides.
    let hidden = scalar(
        "hidden",
        "(SELECT MAX(x) FROM d.t)",
        &[("x", of("INT64"))],
        of("INT64"),
    );
    send_json(&emulator, "POST", PATH, &hidden).await;
    let (code, answer) = ask(&emulator, json!({"query": "SELECT d.hidden(1)"})).await;
    assert!(
        code == 400 && answer.to_string().contains("name of a column"),
        "{answer}"
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn functions_are_made_and_dropped_by_sql() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let script =
        "CREATE TEMP FUNCTION half(x FLOAT64) RETURNS FLOAT64 AS (x / 2); SELECT half(5), half(1)";
    assert_eq!(
        values(&run(&emulator, script).await),
        [[json!("2.5"), json!("0.5")]]
    );
    let (code, _) = ask(&emulator, json!({"query": "SELECT half(5)"})).await;
    assert_eq!(code, 400);
    run(
        &emulator,
        "CREATE FUNCTION d.shout(s STRING) AS (UPPER(s) || '!')",
    )
    .await;
    assert_eq!(
        values(&run(&emulator, "SELECT d.shout('a')").await),
        [[json!("A!")]]
    );
    run(
        &emulator,
        "CREATE OR REPLACE FUNCTION d.shout(s STRING) AS (s)",
    )
    .await;
    assert_eq!(
        values(&run(&emulator, "SELECT d.shout('a')").await),
        [[json!("a")]]
    );
    let (code, _) = ask(
        &emulator,
        json!({"query": "CREATE FUNCTION d.shout(s STRING) AS (s)"}),
    )
    .await;
    assert_eq!(code, 409);
    run(&emulator, "DROP FUNCTION d.shout").await;
    run(&emulator, "DROP FUNCTION IF EXISTS d.shout").await;
    assert_eq!(
        ask(&emulator, json!({"query": "DROP FUNCTION d.shout"}))
            .await
            .0,
        404
    );
    emulator.shutdown().await;
}

#[tokio::test]
async fn table_functions_are_made_called_and_dropped_by_sql() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let made = run(
        &emulator,
        "CREATE TABLE FUNCTION d.above(least INT64) OPTIONS (description = 'numbers') AS
            SELECT least AS bound, n, 'it\\'s' AS said FROM UNNEST([1, 2, 3]) AS n WHERE n > least",
    )
    .await;
    let told = statistics(&emulator, &made).await;
    assert_eq!(told["statementType"], "CREATE_TABLE_FUNCTION");
    assert_eq!(told["ddlOperationPerformed"], "CREATE");
    assert_eq!(told["ddlTargetRoutine"]["routineId"], "above");
    let rows = values(
        &run(
            &emulator,
            "SELECT n, bound, said FROM d.above(1) ORDER BY n",
        )
        .await,
    );
    assert_eq!(
        rows,
        [
            [json!("2"), json!("1"), json!("it's")],
            [json!("3"), json!("1"), json!("it's")]
        ]
    );
    let (_, kept) = call(&emulator, "GET", &format!("{PATH}/above")).await;
    assert_eq!(kept["routineType"], "TABLE_VALUED_FUNCTION");
    assert_eq!(kept["description"], "numbers");
    // RETURNS says what the columns are.
    let sql = "CREATE OR REPLACE TABLE FUNCTION d.above(least ANY TYPE)
        RETURNS TABLE<n FLOAT64, said STRING> AS (SELECT n, said FROM (SELECT 5 AS n, 'x' AS said, 1 AS more))";
    run(&emulator, sql).await;
    let answer = run(&emulator, "SELECT * FROM d.above('any')").await;
    assert_eq!(answer["schema"]["fields"][0]["type"], "FLOAT");
    assert_eq!(values(&answer), [[json!("5.0"), json!("x")]]);
    for (sql, said) in [
        (
            "CREATE TABLE FUNCTION d.above() AS SELECT 1 AS x",
            "Already Exists",
        ),
        (
            "CREATE TABLE FUNCTION d.g(t TABLE<x INT64>) AS SELECT 1 AS x",
            "which is a table",
        ),
        ("DROP FUNCTION d.above", "Not found"),
        ("SELECT d.above(1)", "TABLE_VALUED_FUNCTION"),
        ("SELECT * FROM d.above(1, 2)", "1 arguments, not 2"),
    ] {
        let (code, refused) = ask(&emulator, json!({"query": sql})).await;
        assert!(code >= 400, "{sql}: {refused}");
        assert!(refused.to_string().contains(said), "{sql}: {refused}");
    }
    run(
        &emulator,
        "CREATE TABLE FUNCTION IF NOT EXISTS d.above() AS SELECT 1 AS x",
    )
    .await;
    run(&emulator, "DROP TABLE FUNCTION IF EXISTS d.above").await;
    let gone = run(&emulator, "DROP TABLE FUNCTION IF EXISTS d.above").await;
    let told = statistics(&emulator, &gone).await;
    assert_eq!(told["ddlOperationPerformed"], "SKIP");
    emulator.shutdown().await;
}

/// What the job of an answer says about its query.
async fn statistics(emulator: &millpond_emulator::RunningEmulator, answer: &Value) -> Value {
    let id = answer["jobReference"]["jobId"].as_str().unwrap();
    let (_, job) = call(
        emulator,
        "GET",
        &format!("/bigquery/v2/projects/p/jobs/{id}"),
    )
    .await;
    job["statistics"]["query"].clone()
}

#[tokio::test]
async fn bodies_that_mean_nothing_are_refused() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(&emulator, "CREATE TABLE d.t AS SELECT 1 AS n").await;
    for (sql, named) in [
        (
            "CREATE FUNCTION d.f(x INT64) AS (y + 1)",
            "Unrecognized name: y",
        ),
        (
            "CREATE TEMP FUNCTION f(x INT64) AS (y); SELECT 1",
            "Unrecognized name: y",
        ),
        ("CREATE FUNCTION d.f(x INT64) AS (x + 'a')", "operator +"),
        (
            "CREATE FUNCTION d.f(x INT64) RETURNS STRING AS (x)",
            "Function declared to return STRING but the function body produces incompatible type INT64",
        ),
        (
            "CREATE FUNCTION d.f() AS ((SELECT MAX(n) FROM d.none))",
            "Not found: Table p:d.none",
        ),
        (
            "CREATE TABLE FUNCTION d.f(x INT64) AS (SELECT m FROM d.t)",
            "Unrecognized name: m",
        ),
    ] {
        let (code, answer) = ask(&emulator, json!({"query": sql})).await;
        assert!(code == 400 || code == 404, "{sql}: {answer}");
        assert!(answer.to_string().contains(named), "{sql}: {answer}");
    }
    let (_, listed) = call(&emulator, "GET", PATH).await;
    assert_eq!(listed["routines"], Value::Null, "{listed}");
    for sql in [
        "CREATE FUNCTION d.a(x INT64) RETURNS FLOAT64 AS (x)",
        "CREATE FUNCTION d.b(x DATE) RETURNS TIMESTAMP AS (x)",
        "CREATE FUNCTION d.c(x ANY TYPE) AS (x.field)",
        "CREATE FUNCTION d.e(x ARRAY<STRUCT<a INT64>>) AS ((SELECT SUM(v.a) FROM UNNEST(x) AS v))",
        "CREATE FUNCTION d.g(x STRING) RETURNS DATE AS (IF(x IS NULL, ERROR('none'), DATE '2020-01-01'))",
        "CREATE FUNCTION d.h() RETURNS ARRAY<INT64> AS ([])",
        "CREATE FUNCTION d.i(x STRING) RETURNS STRING LANGUAGE js AS 'return x;'",
        "CREATE TABLE FUNCTION d.j(x INT64) AS (SELECT n FROM d.t WHERE n = x)",
    ] {
        run(&emulator, sql).await;
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_routine_is_dropped_only_as_what_it_is() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(&emulator, "CREATE FUNCTION d.f(x INT64) AS (x)").await;
    for kind in ["PROCEDURE", "TABLE FUNCTION"] {
        let (code, refused) = ask(&emulator, json!({"query": format!("DROP {kind} d.f")})).await;
        assert_eq!(code, 404, "{kind}: {refused}");
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains("Not found: Routine p:d.f"), "{message}");
        run(&emulator, &format!("DROP {kind} IF EXISTS d.f")).await;
    }
    assert_eq!(
        values(&run(&emulator, "SELECT d.f(3)").await),
        [[json!("3")]]
    );
    emulator.shutdown().await;
}
