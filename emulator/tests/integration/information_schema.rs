//! INFORMATION_SCHEMA: what there is, asked for by SQL as dbt, DataGrip and notebooks do.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::statements::{ask, run, start_with_dataset, values};

#[tokio::test]
async fn tables_columns_and_options_are_listed() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t (id INT64 NOT NULL OPTIONS (description = 'k'), r STRUCT<a ARRAY<STRING>, b NUMERIC(5, 2)>, at TIMESTAMP) \
         PARTITION BY DATE(at) CLUSTER BY id OPTIONS (description = 'say \"hi\"', labels = [('a', 'b')])",
    )
    .await;
    run(&emulator, "INSERT INTO d.t (id) VALUES (1), (2)").await;
    run(
        &emulator,
        "CREATE VIEW d.v AS SELECT id FROM d.t WHERE id = 1",
    )
    .await;
    let rows = run(&emulator, "SELECT table_catalog, table_name, table_type, is_insertable_into FROM d.INFORMATION_SCHEMA.TABLES ORDER BY table_name").await;
    assert_eq!(
        values(&rows),
        [
            [json!("p"), json!("t"), json!("BASE TABLE"), json!("YES")],
            [json!("p"), json!("v"), json!("VIEW"), json!("NO")],
        ]
    );
    let rows = run(
        &emulator,
        "SELECT ddl FROM `p.d.INFORMATION_SCHEMA.TABLES` WHERE table_name = 't'",
    )
    .await;
    let ddl = "CREATE TABLE `p.d.t`\n(\n  id INT64 NOT NULL OPTIONS(description=\"k\"),\n  \
        r STRUCT<a ARRAY<STRING>, b NUMERIC(5, 2)>,\n  at TIMESTAMP\n)\nPARTITION BY DATE(at)\nCLUSTER BY id\n\
        OPTIONS(\n  description=\"say \\\"hi\\\"\",\n  labels=[STRUCT(\"a\", \"b\")]\n);";
    assert_eq!(values(&rows), [[json!(ddl)]]);
    let rows = run(
        &emulator,
        "SELECT column_name, ordinal_position, is_nullable, data_type, is_partitioning_column, clustering_ordinal_position \
         FROM d.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 't' ORDER BY ordinal_position",
    )
    .await;
    assert_eq!(
        values(&rows),
        [
            [
                json!("id"),
                json!("1"),
                json!("NO"),
                json!("INT64"),
                json!("NO"),
                json!("1")
            ],
            [
                json!("r"),
                json!("2"),
                json!("YES"),
                json!("STRUCT<a ARRAY<STRING>, b NUMERIC(5, 2)>"),
                json!("NO"),
                Value::Null
            ],
            [
                json!("at"),
                json!("3"),
                json!("YES"),
                json!("TIMESTAMP"),
                json!("YES"),
                Value::Null
            ],
        ]
    );
    let rows = run(&emulator, "SELECT field_path, data_type, description FROM d.INFORMATION_SCHEMA.COLUMN_FIELD_PATHS WHERE table_name = 't' AND column_name IN ('id', 'r') ORDER BY field_path").await;
    let paths: Vec<Vec<Value>> = values(&rows);
    assert_eq!(paths[0], [json!("id"), json!("INT64"), json!("k")]);
    assert_eq!(
        paths[2],
        [json!("r.a"), json!("ARRAY<STRING>"), Value::Null]
    );
    assert_eq!(paths.len(), 4);
    let rows = run(&emulator, "SELECT option_name, option_type, option_value FROM d.INFORMATION_SCHEMA.TABLE_OPTIONS ORDER BY 1").await;
    assert_eq!(
        values(&rows),
        [
            [
                json!("description"),
                json!("STRING"),
                json!("\"say \\\"hi\\\"\"")
            ],
            [
                json!("labels"),
                json!("ARRAY<STRUCT<STRING, STRING>>"),
                json!("[STRUCT(\"a\", \"b\")]")
            ],
        ]
    );
    let rows = run(
        &emulator,
        "SELECT table_name, view_definition, use_standard_sql FROM d.INFORMATION_SCHEMA.VIEWS",
    )
    .await;
    assert_eq!(
        values(&rows),
        [[
            json!("v"),
            json!("SELECT id FROM d.t WHERE id = 1"),
            json!("YES")
        ]]
    );
    let rows = run(
        &emulator,
        "SELECT table_id, row_count, type FROM d.__TABLES__ ORDER BY table_id",
    )
    .await;
    assert_eq!(
        values(&rows),
        [
            [json!("t"), json!("2"), json!("1")],
            [json!("v"), json!("0"), json!("2")]
        ]
    );
    let rows = run(
        &emulator,
        "SELECT partition_id, total_rows FROM d.INFORMATION_SCHEMA.PARTITIONS",
    )
    .await;
    assert_eq!(values(&rows), [[json!("__NULL__"), json!("2")]]);
    emulator.shutdown().await;
}

#[tokio::test]
async fn datasets_and_routines_are_listed_by_project_and_region() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(&emulator, "CREATE SCHEMA e OPTIONS (location = 'EU', description = 'x', default_table_expiration_days = 2)").await;
    run(&emulator, "CREATE TABLE e.far (id INT64)").await;
    run(&emulator, "CREATE FUNCTION d.f(x INT64) AS (x + 1)").await;
    // Results make a dataset that is the service's own.
    run(&emulator, "SELECT 1").await;
    let rows = run(
        &emulator,
        "SELECT schema_name, location FROM INFORMATION_SCHEMA.SCHEMATA ORDER BY 1",
    )
    .await;
    assert_eq!(
        values(&rows),
        [[json!("d"), json!("US")], [json!("e"), json!("EU")]]
    );
    let rows = run(&emulator, "SELECT schema_name, option_name, option_value FROM INFORMATION_SCHEMA.SCHEMATA_OPTIONS ORDER BY 2").await;
    assert_eq!(
        values(&rows),
        [
            [
                json!("e"),
                json!("default_table_expiration_days"),
                json!("2.0")
            ],
            [json!("e"), json!("description"), json!("\"x\"")],
        ]
    );
    for (view, wanted) in [
        (
            "`region-eu`.INFORMATION_SCHEMA.TABLES",
            vec![vec![json!("far")]],
        ),
        ("`p.region-us.INFORMATION_SCHEMA.TABLES`", Vec::new()),
    ] {
        let rows = run(&emulator, &format!("SELECT table_name FROM {view}")).await;
        assert_eq!(values(&rows), wanted, "{view}");
    }
    let rows = run(
        &emulator,
        "SELECT routine_name, routine_type, routine_definition FROM d.INFORMATION_SCHEMA.ROUTINES",
    )
    .await;
    assert_eq!(
        values(&rows),
        [[json!("f"), json!("FUNCTION"), json!("x + 1")]]
    );
    for (sql, code, named) in [
        (
            "SELECT * FROM none.INFORMATION_SCHEMA.TABLES",
            404,
            "Not found: Dataset p:none",
        ),
        (
            "SELECT * FROM INFORMATION_SCHEMA.TABLES",
            400,
            "must be qualified",
        ),
        (
            "SELECT * FROM d.INFORMATION_SCHEMA.JOBS_BY_USER",
            400,
            "d.INFORMATION_SCHEMA.JOBS_BY_USER",
        ),
    ] {
        let (found, answer) = ask(&emulator, json!({"query": sql})).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(found, code, "{sql}: {answer}");
        assert!(message.contains(named), "{sql}: {message}");
    }
    emulator.shutdown().await;
}

#[tokio::test]
async fn jobs_are_rows_once_they_have_ended() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let none = "SELECT COUNT(*) FROM `region-us`.INFORMATION_SCHEMA.JOBS";
    assert_eq!(values(&run(&emulator, none).await), [[json!("0")]]);
    run(&emulator, "CREATE TABLE d.t (a INT64)").await;
    run(&emulator, "INSERT d.t (a) VALUES (1), (2)").await;
    run(&emulator, "SELECT a FROM d.t").await;
    let (code, _) = ask(
        &emulator,
        json!({"query": "SELECT ERROR('broken')", "useLegacySql": false}),
    )
    .await;
    assert_eq!(code, 400);
    let jobs = run(
        &emulator,
        "SELECT statement_type, dml_statistics.inserted_row_count, destination_table.table_id, error_result.message, \
            ARRAY_LENGTH(referenced_tables), creation_time <= end_time \
         FROM `region-us`.INFORMATION_SCHEMA.JOBS_BY_PROJECT \
         WHERE job_type = 'QUERY' AND state = 'DONE' AND user_email = SESSION_USER() AND NOT CONTAINS_SUBSTR(query, 'JOBS') \
         ORDER BY creation_time, job_id",
    )
    .await;
    let mut jobs = values(&jobs);
    jobs.sort_by_key(|job| job[0].to_string());
    // What a result is kept in has a name of its own.
    jobs.iter_mut().for_each(|job| {
        job.remove(2);
    });
    assert_eq!(
        jobs,
        [
            [
                json!("CREATE_TABLE"),
                Value::Null,
                Value::Null,
                json!("0"),
                json!("true")
            ],
            [
                json!("INSERT"),
                json!("2"),
                Value::Null,
                json!("0"),
                json!("true")
            ],
            [
                json!("SELECT"),
                Value::Null,
                Value::Null,
                json!("1"),
                json!("true")
            ],
            [
                Value::Null,
                Value::Null,
                json!("broken"),
                json!("0"),
                json!("true")
            ],
        ]
    );
    for view in [
        "`region-eu`.INFORMATION_SCHEMA.JOBS",
        "`other.region-us`.INFORMATION_SCHEMA.JOBS_BY_USER",
    ] {
        let count = run(&emulator, &format!("SELECT COUNT(*) FROM {view}")).await;
        assert_eq!(values(&count), [[json!("0")]], "{view}");
    }
    let (_, answer) = ask(
        &emulator,
        json!({"query": "SELECT * FROM d.INFORMATION_SCHEMA.JOBS", "useLegacySql": false}),
    )
    .await;
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(text.contains("of that scope is not supported"), "{text}");
    emulator.shutdown().await;
}

#[tokio::test]
async fn sessions_are_rows_and_active_until_they_end() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    let begin = json!({"query": "SELECT 1", "createSession": true, "useLegacySql": false});
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (code, begun) = ask(&emulator, begin.clone()).await;
        assert_eq!(code, 200, "{begun}");
        ids.push(
            begun["sessionInfo"]["sessionId"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    run(&emulator, &format!("CALL BQ.ABORT_SESSION('{}')", ids[0])).await;
    let sessions = run(
        &emulator,
        "SELECT session_id, is_active, project_id, user_email = SESSION_USER(), principal_subject = CONCAT('user:', user_email), \
            creation_time <= last_modified_time, TIMESTAMP_DIFF(expiration_time, last_modified_time, HOUR), project_number \
         FROM `region-us`.INFORMATION_SCHEMA.SESSIONS_BY_PROJECT ORDER BY is_active",
    )
    .await;
    let row = |id: &str, active: &str| {
        let yes = json!("true");
        vec![
            json!(id),
            json!(active),
            json!("p"),
            yes.clone(),
            yes.clone(),
            yes,
            json!("24"),
            Value::Null,
        ]
    };
    assert_eq!(
        values(&sessions),
        [row(&ids[0], "false"), row(&ids[1], "true")]
    );
    for (view, count) in [
        ("`region-us`.INFORMATION_SCHEMA.SESSIONS_BY_USER", "2"),
        ("`region-us`.INFORMATION_SCHEMA.SESSIONS", "2"),
        ("`region-eu`.INFORMATION_SCHEMA.SESSIONS_BY_USER", "0"),
        ("`q.region-us`.INFORMATION_SCHEMA.SESSIONS_BY_PROJECT", "0"),
    ] {
        let counted = run(&emulator, &format!("SELECT COUNT(*) FROM {view}")).await;
        assert_eq!(values(&counted), [[json!(count)]], "{view}");
    }
    emulator.shutdown().await;
}
