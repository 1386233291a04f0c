//! Scripts: variables, loops, handlers, procedures, and their jobs.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rest::{call, send_json};
use crate::statements::{ask, run, start_with_dataset, values};

/// The only row of what a script gives, its values separated by `|`.
async fn row(emulator: &millpond_emulator::RunningEmulator, sql: &str) -> String {
    let rows = values(&run(emulator, sql).await);
    let row = rows.first().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("NULL").to_owned();
    row.iter().map(text).collect::<Vec<_>>().join("|")
}

#[tokio::test]
async fn variables_decide_what_runs() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t AS SELECT 1 AS id, 'a' AS name UNION ALL SELECT 2, 'b'",
    )
    .await;
    for (sql, wanted) in [
        (
            "DECLARE x, y INT64; DECLARE z DEFAULT 'q'; SET x = 3; SET (y, Z) = (4, 'w'); SELECT X, y, z",
            "3|4|w",
        ),
        (
            "DECLARE x INT64 DEFAULT 0; WHILE x < 5 DO SET x = x + 1; IF x = 3 THEN BREAK; END IF; END WHILE; SELECT x",
            "3",
        ),
        (
            "DECLARE x INT64 DEFAULT 0; a: LOOP SET x = x + 1; LOOP IF x > 7 THEN LEAVE a; ELSE ITERATE a; END IF; END LOOP; END LOOP a; SELECT x",
            "8",
        ),
        (
            "DECLARE x INT64 DEFAULT 0; REPEAT SET x = x + 2; UNTIL x >= 5 END REPEAT; SELECT x",
            "6",
        ),
        (
            "DECLARE s STRING DEFAULT ''; FOR r IN (SELECT name, id FROM d.t ORDER BY id) DO SET s = CONCAT(s, r.NAME, r.id); END FOR; SELECT s",
            "a1b2",
        ),
        (
            "DECLARE x INT64 DEFAULT 2; CASE x WHEN 1 THEN SELECT 'one'; WHEN 2 THEN SELECT 'two'; ELSE SELECT 'other'; END CASE",
            "two",
        ),
        (
            "DECLARE x INT64 DEFAULT 9; IF x < 3 THEN SELECT 'low'; ELSEIF x < 10 THEN SELECT 'middle'; ELSE SELECT 'high'; END IF",
            "middle",
        ),
        (
            "DECLARE s STRUCT<p INT64, q STRING> DEFAULT (1, 'x'); DECLARE a ARRAY<INT64> DEFAULT [1, 2]; SELECT s.Q, a[OFFSET(1)]",
            "x|2",
        ),
        (
            "DECLARE top INT64 DEFAULT (SELECT MAX(id) FROM d.t); SELECT name FROM d.t WHERE id = top",
            "b",
        ),
        // A column hides a variable.
        (
            "DECLARE id INT64 DEFAULT 1; SELECT COUNT(*) FROM d.t WHERE id = id",
            "2",
        ),
        (
            "DECLARE x INT64; EXECUTE IMMEDIATE 'SELECT @a + @b' INTO x USING 1 AS a, 2 AS b; SELECT x",
            "3",
        ),
        ("EXECUTE IMMEDIATE CONCAT('SELECT ', '1', ' AS a')", "1"),
        (
            "DECLARE n STRING DEFAULT 'b'; UPDATE d.t SET name = CONCAT(n, '!') WHERE name = n; SELECT @@row_count, MAX(name) FROM d.t",
            "1|b!",
        ),
        (
            "SET @@dataset_id = 'd'; SELECT COUNT(*), @@dataset_id FROM t",
            "2|d",
        ),
        (
            "BEGIN SELECT 1 / 0; EXCEPTION WHEN ERROR THEN SELECT @@error.message, @@error.statement_text; END",
            "Query error: division by zero: 1 / 0 at [1:7]|SELECT 1 / 0",
        ),
        (
            "BEGIN BEGIN RAISE USING MESSAGE = 'boo'; EXCEPTION WHEN ERROR THEN RAISE; END; EXCEPTION WHEN ERROR THEN SELECT @@error.message; END",
            "boo",
        ),
        (
            "DECLARE a ARRAY<INT64>; SET (a) = (SELECT AS STRUCT ARRAY_AGG(id ORDER BY id) FROM d.t); SELECT a[OFFSET(1)]",
            "2",
        ),
        ("SELECT 1; RETURN; SELECT 2", "1"),
    ] {
        assert_eq!(row(&emulator, sql).await, wanted, "{sql}");
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn what_a_script_cannot_do_is_said_with_its_place() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    for (sql, wanted) in [
        ("RAISE USING MESSAGE = 'boo'", "Query error: boo at [1:1]"),
        (
            "SELECT 1;\n SELECT * FROM d.none",
            "Not found: Table p:d.none at [2:2]",
        ),
        (
            "DECLARE x DATE DEFAULT '2020-01-01'; SET x = 5",
            "Cannot coerce expression of type INT64 to type DATE at [1:38]",
        ),
        (
            "EXECUTE IMMEDIATE 'SELECT ? + @b' USING 1, 2 AS b",
            "cannot mix named and positional parameters",
        ),
        (
            "DECLARE x STRING(2) DEFAULT 'abc'; SELECT x",
            "STRING(2) has maximum length 2 but got a value with length 3 at [1:1]",
        ),
        (
            "DECLARE x BYTES(2); SET x = b'abc'",
            "BYTES(2) has maximum length 2",
        ),
        (
            "DECLARE x ARRAY<STRING(2)>; SET (x) = (SELECT AS STRUCT ['ab', 'abc'])",
            "STRING(2) has maximum length 2",
        ),
        (
            "CREATE TEMP FUNCTION f(x INT64) AS (nosuch(x)); SELECT 1",
            "Function not found: nosuch",
        ),
        ("SET nothing = 1; SELECT 1", "Undeclared variable: nothing"),
        ("ASSERT 1 = 2 AS 'not equal'", "Assertion failed: not equal"),
        (
            "BEGIN DECLARE x INT64 DEFAULT 1; END; SELECT x",
            "Unrecognized name: x",
        ),
        ("IF 1 THEN SELECT 1; END IF", "must be of type BOOL"),
        ("IF TRUE THEN SELECT 1;", "END IF"),
        ("CALL d.none()", "Procedure is not found: d.none"),
        (
            "EXECUTE IMMEDIATE 'SELECT 1; SELECT 2'",
            "single SQL statement",
        ),
        (
            "EXECUTE IMMEDIATE 'BEGIN SELECT 1; END'",
            "not one of a script",
        ),
        (
            "DECLARE x INT64; EXECUTE IMMEDIATE 'SELECT 1 UNION ALL SELECT 2' INTO x",
            "more than one row",
        ),
        ("SET @@row_count = 'a'; SELECT 1", "Cannot assign"),
        ("SET @@time_zone = 'Asia/Tokyo'; SELECT 1", "time zone"),
        ("RAISE; SELECT 1", "Cannot re-raise"),
        (
            "SELECT 1; DECLARE x INT64",
            "only at the start of a block or script at [1:11]",
        ),
        (
            "BEGIN SET @@dataset_id = 'd'; DECLARE x INT64; END",
            "only at the start of a block or script at [1:31]",
        ),
        ("LOOP END LOOP", "1000000 steps"),
    ] {
        let (code, answer) = ask(&emulator, json!({"query": sql})).await;
        let text = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(code >= 400 && text.contains(wanted), "{sql}: {answer}");
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn procedures_take_and_give_values() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let create = "CREATE PROCEDURE d.p(a INT64, OUT b INT64, INOUT c STRING) BEGIN DECLARE z INT64 DEFAULT a * 2; IF a = 0 THEN RETURN; END IF; SET b = z + 1; SET c = c || '!'; END";
    run(&emulator, create).await;
    let (code, routine) = call(&emulator, "GET", "/projects/p/datasets/d/routines/p").await;
    assert_eq!(code, 200);
    assert_eq!(routine["routineType"], "PROCEDURE");
    assert_eq!(routine["arguments"][1]["mode"], "OUT");
    let body = routine["definitionBody"].as_str().unwrap();
    assert!(
        body.starts_with("BEGIN DECLARE") && body.ends_with("END"),
        "{body}"
    );
    let call_it = |a: i64| {
        format!(
            "DECLARE o INT64 DEFAULT 7; DECLARE c STRING DEFAULT 'h'; CALL d.p({a}, o, c); SELECT o, c"
        )
    };
    assert_eq!(row(&emulator, &call_it(4)).await, "9|h!");
    assert_eq!(row(&emulator, &call_it(0)).await, "NULL|h");
    for (sql, wanted) in [
        (create, "Already Exists"),
        ("CALL d.p(1)", "expects 3 arguments"),
        ("CALL d.p(1, 2, 'x')", "must be a variable"),
        (
            "CREATE PROCEDURE d.q() BEGIN SELECT; END; SELECT 1",
            "Syntax error: Unexpected",
        ),
        ("DROP PROCEDURE d.none", "Not found: Routine"),
    ] {
        let (code, answer) = ask(&emulator, json!({"query": sql})).await;
        assert!(
            code >= 400 && answer.to_string().contains(wanted),
            "{sql}: {answer}"
        );
    }
    run(
        &emulator,
        "CREATE OR REPLACE PROCEDURE d.p() BEGIN CREATE TABLE d.made AS SELECT 5 AS v; END",
    )
    .await;
    assert_eq!(
        row(&emulator, "CALL d.p(); SELECT v FROM d.made").await,
        "5"
    );
    run(&emulator, "DROP PROCEDURE d.p").await;
    emulator.shutdown().await;
}

#[tokio::test]
async fn a_script_that_fails_has_the_jobs_that_ran() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let sql = "DECLARE n INT64 DEFAULT (SELECT COUNT(*) FROM UNNEST([1]) AS x);\nCREATE TABLE d.t AS SELECT n AS x;\nSELECT 1 / 0";
    let body = json!({"jobReference": {"jobId": "script"}, "configuration": {"query": {"query": sql, "useLegacySql": false}}});
    let (code, job) = send_json(&emulator, "POST", "/projects/p/jobs", &body).await;
    assert_eq!(code, 200, "{job}");
    assert_eq!(job["statistics"]["query"]["statementType"], "SCRIPT");
    assert_eq!(job["statistics"]["numChildJobs"], "3");
    let message = &job["status"]["errorResult"]["message"];
    assert_eq!(message, "Query error: division by zero: 1 / 0 at [3:1]");
    let (_, listed) = call(&emulator, "GET", "/projects/p/jobs?parentJobId=script").await;
    let children = listed["jobs"].as_array().unwrap();
    let told: Vec<[&Value; 3]> = children
        .iter()
        .map(|job| {
            let script = &job["statistics"]["scriptStatistics"];
            let frame = &script["stackFrames"][0];
            [
                &script["evaluationKind"],
                &frame["startLine"],
                &frame["text"],
            ]
        })
        .collect();
    let wanted = [
        [json!("STATEMENT"), json!(3), json!("SELECT 1 / 0")],
        [
            json!("STATEMENT"),
            json!(2),
            json!("CREATE TABLE d.t AS SELECT n AS x"),
        ],
        [
            json!("EXPRESSION"),
            json!(1),
            json!("SELECT (SELECT COUNT(*) FROM UNNEST([1]) AS x)"),
        ],
    ];
    assert_eq!(told, wanted.each_ref().map(|row| row.each_ref()));
    assert!(children[0]["status"]["errorResult"]["message"].is_string());
    assert!(children[1]["status"]["errorResult"].is_null());
    emulator.shutdown().await;
}

#[tokio::test]
async fn sessions_end_with_a_procedure_and_their_tables_with_them() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let begin = json!({"query": "CREATE TEMP TABLE t AS SELECT 1 AS x", "createSession": true});
    let (_, begun) = ask(&emulator, begin).await;
    let id = begun["sessionInfo"]["sessionId"]
        .as_str()
        .unwrap()
        .to_owned();
    let within = |sql: &str| json!({"query": sql, "connectionProperties": [{"key": "session_id", "value": id}]});
    let (code, rows) = ask(&emulator, within("SELECT x FROM t")).await;
    assert_eq!((code, values(&rows)), (200, vec![vec![json!("1")]]));
    let call = format!("CALL BQ.ABORT_SESSION('{id}')");
    let (code, ended) = ask(&emulator, json!({"query": call})).await;
    assert_eq!(code, 200, "{ended}");
    for body in [within("SELECT x FROM t"), json!({"query": call})] {
        let (code, answer) = ask(&emulator, body).await;
        assert_eq!(code, 404, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("Not found: Session {id}")));
    }
    // One that ends itself needs no name.
    let own = json!({"query": "CALL BQ.ABORT_SESSION()", "createSession": true});
    let (code, ended) = ask(&emulator, own).await;
    assert_eq!(code, 200, "{ended}");
    let id = ended["sessionInfo"]["sessionId"].clone();
    let again =
        json!({"query": "SELECT 1", "connectionProperties": [{"key": "session_id", "value": id}]});
    assert_eq!(ask(&emulator, again).await.0, 404);
    for (sql, code) in [
        ("CALL BQ.REFRESH_MATERIALIZED_VIEW('d.m')", 200),
        ("CALL BQ.REFRESH_MATERIALIZED_VIEW('d.base')", 400),
        ("CALL BQ.REFRESH_MATERIALIZED_VIEW('d.none')", 404),
        ("CALL BQ.JOBS.CANCEL('p.j')", 400),
        ("CALL BQ.ABORT_SESSION()", 400),
    ] {
        run(
            &emulator,
            "CREATE TABLE IF NOT EXISTS d.base AS SELECT 1 AS x",
        )
        .await;
        let view = "CREATE MATERIALIZED VIEW IF NOT EXISTS d.m AS SELECT x FROM d.base";
        run(&emulator, view).await;
        let (found, answer) = ask(&emulator, json!({"query": sql})).await;
        assert_eq!(found, code, "{sql}: {answer}");
    }
    emulator.shutdown().await;
}
