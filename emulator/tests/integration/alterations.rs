//! ALTER: what tables, views and datasets are, changed by statements as dbt, SQLAlchemy and migrations write them.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rest::call;
use crate::statements::{ask, run, start_with_dataset, values};

use millpond_emulator::RunningEmulator;

async fn described(emulator: &RunningEmulator, table: &str) -> Value {
    let path = format!("/projects/p/datasets/d/tables/{table}");
    let (code, table) = call(emulator, "GET", &path).await;
    assert_eq!(code, 200, "{table}");
    table
}

/// What the service says about a statement that it refuses.
async fn refused(emulator: &RunningEmulator, sql: &str) -> String {
    let (code, answer) = ask(emulator, json!({"query": sql})).await;
    assert_eq!(code, 400, "{sql}: {answer}");
    let error = &answer["error"]["errors"][0];
    assert_eq!(error["reason"], "invalidQuery", "{sql}: {answer}");
    error["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn options_of_tables_views_and_columns_are_set_and_taken_away() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.t (id INT64 OPTIONS (description = 'a key'), day DATE) PARTITION BY day \
         OPTIONS (labels = [('team', 'x'), ('cost', 'low')], partition_expiration_days = 1.5)",
    )
    .await;
    let table = described(&emulator, "t").await;
    assert_eq!(table["labels"], json!({"team": "x", "cost": "low"}));
    assert_eq!(table["timePartitioning"]["expirationMs"], "129600000");
    assert_eq!(table["schema"]["fields"][0]["description"], "a key");
    let sql = "ALTER TABLE d.t SET OPTIONS (description = \"it's\", friendly_name = 'F', labels = [STRUCT('a', 'b')], \
               require_partition_filter = true, expiration_timestamp = TIMESTAMP_ADD(TIMESTAMP '2100-01-01 00:00:00 UTC', INTERVAL 1 HOUR))";
    let (code, job) = ask(&emulator, json!({"query": sql})).await;
    assert_eq!(code, 200, "{job}");
    let table = described(&emulator, "t").await;
    for (key, wanted) in [
        ("description", json!("it's")),
        ("friendlyName", json!("F")),
        ("labels", json!({"a": "b"})),
        ("requirePartitionFilter", json!(true)),
        ("expirationTime", json!("4102448400000")),
    ] {
        assert_eq!(table[key], wanted, "{key}");
    }
    run(
        &emulator,
        "ALTER TABLE d.t SET OPTIONS (description = NULL, partition_expiration_days = NULL), \
         ALTER COLUMN id SET OPTIONS (description = 'changed')",
    )
    .await;
    let table = described(&emulator, "t").await;
    assert_eq!(table["description"], Value::Null);
    assert_eq!(table["timePartitioning"]["expirationMs"], Value::Null);
    assert_eq!(table["timePartitioning"]["field"], "day");
    assert_eq!(table["schema"]["fields"][0]["description"], "changed");

    run(&emulator, "CREATE VIEW d.v (number OPTIONS (description = 'n')) OPTIONS (description = 'first') AS SELECT 1 AS id").await;
    let view = described(&emulator, "v").await;
    assert_eq!(view["description"], "first");
    assert_eq!(view["schema"]["fields"][0]["name"], "number");
    assert_eq!(view["schema"]["fields"][0]["description"], "n");
    let rows = run(&emulator, "SELECT number FROM d.v").await;
    assert_eq!(values(&rows), [[json!("1")]]);
    run(
        &emulator,
        "ALTER VIEW d.v SET OPTIONS (labels = [('k', 'v')], description = 'second')",
    )
    .await;
    let view = described(&emulator, "v").await;
    assert_eq!(
        (&view["labels"], &view["description"]),
        (&json!({"k": "v"}), &json!("second"))
    );
    run(&emulator, "CREATE MATERIALIZED VIEW d.m OPTIONS (enable_refresh = false) AS SELECT COUNT(*) AS n FROM d.t WHERE day IS NULL").await;
    assert_eq!(described(&emulator, "m").await["type"], "MATERIALIZED_VIEW");
    let rows = run(&emulator, "SELECT n FROM d.m").await;
    assert_eq!(values(&rows), [[json!("0")]]);

    for (sql, named) in [
        (
            "ALTER TABLE d.t SET OPTIONS (nothing = 1)",
            "Unknown option: nothing",
        ),
        (
            "ALTER TABLE d.t SET OPTIONS (description = 1)",
            "Option description value has type",
        ),
        (
            "ALTER TABLE d.t SET OPTIONS (description = 'a', description = 'b')",
            "Duplicate option",
        ),
        (
            "ALTER TABLE d.t SET OPTIONS (enable_change_history = true)",
            "enable_change_history",
        ),
        (
            "ALTER TABLE d.v SET OPTIONS (description = 'a')",
            "which has type VIEW. TABLE is expected.",
        ),
        (
            "ALTER VIEW d.t SET OPTIONS (description = 'a')",
            "which has type TABLE. VIEW is expected.",
        ),
        (
            "ALTER TABLE d.t ADD CONSTRAINT x FOREIGN KEY (none) REFERENCES d.u (id) NOT ENFORCED",
            "none",
        ),
        (
            "ALTER SCHEMA d ADD REPLICA x",
            "ADD REPLICA in ALTER SCHEMA",
        ),
        (
            "ALTER SCHEMA d SET DEFAULT COLLATE 'und:ci'",
            "the collation und:ci",
        ),
    ] {
        let message = refused(&emulator, sql).await;
        assert!(message.contains(named), "{sql}: {message}");
    }
    run(&emulator, "CREATE TABLE d.plain (id INT64)").await;
    let message = refused(
        &emulator,
        "ALTER TABLE d.plain SET OPTIONS (require_partition_filter = true)",
    )
    .await;
    assert!(message.contains("not partitioned"), "{message}");
    let (code, _) = ask(
        &emulator,
        json!({"query": "ALTER TABLE d.none SET OPTIONS (description = 'a')"}),
    )
    .await;
    assert_eq!(code, 404);
    run(
        &emulator,
        "ALTER TABLE IF EXISTS d.none SET OPTIONS (description = 'a')",
    )
    .await;

    run(&emulator, "ALTER SCHEMA d SET OPTIONS (description = 'all', default_table_expiration_days = 2, labels = [('a', 'b')])").await;
    let (_, dataset) = call(&emulator, "GET", "/projects/p/datasets/d").await;
    assert_eq!(dataset["description"], "all");
    assert_eq!(dataset["defaultTableExpirationMs"], "172800000");
    assert_eq!(dataset["labels"], json!({"a": "b"}));
    emulator.shutdown().await;
}

#[tokio::test]
async fn columns_are_added_dropped_renamed_and_widened_with_their_values() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(&emulator, "CREATE TABLE d.t (id INT64 NOT NULL, name STRING(3), price NUMERIC(5, 2), r STRUCT<a INT64>)").await;
    run(
        &emulator,
        "INSERT INTO d.t VALUES (1, 'a', 1.25, STRUCT(7)), (2, NULL, NULL, NULL)",
    )
    .await;
    run(
        &emulator,
        "ALTER TABLE d.t ADD COLUMN tags ARRAY<STRING>, ADD COLUMN IF NOT EXISTS name INT64, DROP COLUMN IF EXISTS none, ADD COLUMN note STRING",
    )
    .await;
    run(
        &emulator,
        "ALTER TABLE d.t RENAME COLUMN name TO title, RENAME COLUMN price TO cost",
    )
    .await;
    run(
        &emulator,
        "ALTER TABLE d.t ALTER COLUMN id DROP NOT NULL, ALTER COLUMN id SET DATA TYPE FLOAT64, \
         ALTER COLUMN title SET DATA TYPE STRING, ALTER COLUMN cost SET DATA TYPE BIGNUMERIC, \
         ALTER COLUMN r SET DATA TYPE STRUCT<a INT64, b STRING>",
    )
    .await;
    run(
        &emulator,
        "ALTER TABLE d.t ALTER COLUMN note SET DEFAULT CONCAT('n', 'ew')",
    )
    .await;
    run(
        &emulator,
        "INSERT INTO d.t (id, title) VALUES (2.5, 'long text')",
    )
    .await;
    let rows = run(&emulator, "SELECT id, title, cost, r.a AS a, r.b AS b, ARRAY_LENGTH(tags) AS n, note FROM d.t ORDER BY id").await;
    assert_eq!(
        values(&rows),
        [
            [
                json!("1.0"),
                json!("a"),
                json!("1.25"),
                json!("7"),
                Value::Null,
                json!("0"),
                Value::Null
            ],
            [
                json!("2.0"),
                Value::Null,
                Value::Null,
                Value::Null,
                Value::Null,
                json!("0"),
                Value::Null
            ],
            [
                json!("2.5"),
                json!("long text"),
                Value::Null,
                Value::Null,
                Value::Null,
                json!("0"),
                json!("new")
            ],
        ]
    );
    let fields = described(&emulator, "t").await["schema"]["fields"].clone();
    let names: Vec<&str> = fields
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["id", "title", "cost", "r", "tags", "note"]);
    assert_eq!(fields[1]["maxLength"], Value::Null);
    // What is dropped does not come back under its name.
    run(&emulator, "ALTER TABLE d.t DROP COLUMN title").await;
    run(
        &emulator,
        "ALTER TABLE d.t ADD COLUMN title STRING, ALTER COLUMN note DROP DEFAULT",
    )
    .await;
    let rows = run(
        &emulator,
        "SELECT COUNT(title) AS n, COUNT(*) AS m FROM d.t",
    )
    .await;
    assert_eq!(values(&rows), [[json!("0"), json!("3")]]);

    run(&emulator, "ALTER TABLE d.t RENAME TO renamed").await;
    let rows = run(&emulator, "SELECT COUNT(*) AS n FROM d.renamed").await;
    assert_eq!(values(&rows), [[json!("3")]]);
    assert_eq!(
        call(&emulator, "GET", "/projects/p/datasets/d/tables/t")
            .await
            .0,
        404
    );

    run(&emulator, "CREATE TABLE d.c (id INT64, day DATE, kind STRING, amount NUMERIC) PARTITION BY day CLUSTER BY kind").await;
    for (sql, named) in [
        (
            "ALTER TABLE d.c ADD COLUMN id STRING",
            "Column already exists: id",
        ),
        (
            "ALTER TABLE d.c ADD COLUMN x STRING NOT NULL",
            "Cannot add required fields",
        ),
        (
            "ALTER TABLE d.c ADD COLUMN x STRING DEFAULT 'a'",
            "default value",
        ),
        ("ALTER TABLE d.c DROP COLUMN x", "Column not found: x"),
        (
            "ALTER TABLE d.c DROP COLUMN day",
            "partitioned or clustered",
        ),
        (
            "ALTER TABLE d.c RENAME COLUMN kind TO x",
            "partitioned or clustered",
        ),
        (
            "ALTER TABLE d.c RENAME COLUMN id TO amount",
            "Column already exists: amount",
        ),
        (
            "ALTER TABLE d.c ALTER COLUMN x SET OPTIONS (description = 'a')",
            "Column not found: x",
        ),
        (
            "ALTER TABLE d.c ALTER COLUMN id DROP NOT NULL",
            "DROP NOT NULL",
        ),
        (
            "ALTER TABLE d.c ALTER COLUMN id SET DATA TYPE STRING",
            "(INT64) is assignable to the new type (STRING)",
        ),
        (
            "ALTER TABLE d.c ALTER COLUMN amount SET DATA TYPE INT64",
            "(NUMERIC) is assignable to the new type (INT64)",
        ),
        (
            "ALTER TABLE d.c ALTER COLUMN amount SET DATA TYPE NUMERIC(5, 2)",
            "NUMERIC(5, 2)",
        ),
        ("ALTER TABLE d.c RENAME TO d.renamed", "without a dataset"),
        (
            "ALTER TABLE d.c ADD COLUMN _PARTITION_x INT64",
            "_PARTITION",
        ),
        // All or nothing: the first action alone would do.
        (
            "ALTER TABLE d.c ADD COLUMN fine INT64, DROP COLUMN none",
            "Column not found: none",
        ),
    ] {
        let message = refused(&emulator, sql).await;
        assert!(message.contains(named), "{sql}: {message}");
    }
    let fields = described(&emulator, "c").await["schema"]["fields"].clone();
    assert_eq!(fields.as_array().unwrap().len(), 4);
    let (code, answer) = ask(
        &emulator,
        json!({"query": "ALTER TABLE d.c RENAME TO renamed"}),
    )
    .await;
    assert_eq!(code, 409, "{answer}");
    emulator.shutdown().await;
}

#[tokio::test]
async fn keys_are_kept_and_shown() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.k (id INT64, PRIMARY KEY (id) NOT ENFORCED)",
    )
    .await;
    run(
        &emulator,
        "CREATE TABLE d.t (id INT64, k INT64, CONSTRAINT f FOREIGN KEY (k) REFERENCES d.k (id) NOT ENFORCED)",
    )
    .await;
    let table = described(&emulator, "k").await;
    assert_eq!(
        table["tableConstraints"],
        json!({"primaryKey": {"columns": ["id"]}})
    );
    let key = &described(&emulator, "t").await["tableConstraints"]["foreignKeys"][0];
    assert_eq!(
        (&key["name"], &key["referencedTable"]["tableId"]),
        (&json!("f"), &json!("k"))
    );
    run(
        &emulator,
        "ALTER TABLE d.t ADD PRIMARY KEY (id) NOT ENFORCED",
    )
    .await;
    let rows = run(&emulator, "SELECT constraint_name, column_name FROM d.INFORMATION_SCHEMA.KEY_COLUMN_USAGE WHERE table_name = 't' ORDER BY 1").await;
    assert_eq!(
        values(&rows),
        [[json!("t.f"), json!("k")], [json!("t.pk$"), json!("id")]]
    );
    let rows = run(&emulator, "SELECT constraint_type, enforced FROM d.INFORMATION_SCHEMA.TABLE_CONSTRAINTS WHERE table_name = 'k'").await;
    assert_eq!(values(&rows), [[json!("PRIMARY KEY"), json!("NO")]]);
    run(&emulator, "ALTER TABLE d.k DROP PRIMARY KEY").await;
    assert_eq!(
        described(&emulator, "k").await["tableConstraints"],
        Value::Null
    );
    let message = refused(&emulator, "CREATE TABLE d.e (id INT64, PRIMARY KEY (id))").await;
    assert!(message.contains("NOT ENFORCED"), "{message}");
    let message = refused(&emulator, "ALTER TABLE d.k DROP PRIMARY KEY").await;
    assert!(message.contains("no primary key"), "{message}");
    emulator.shutdown().await;
}

#[tokio::test]
async fn foreign_keys_come_and_go() {
    let root = TempDir::new().unwrap();
    let emulator = start_with_dataset(&root).await;
    run(
        &emulator,
        "CREATE TABLE d.u (id INT64, PRIMARY KEY (id) NOT ENFORCED)",
    )
    .await;
    run(
        &emulator,
        "CREATE TABLE d.k (id INT64, other INT64 REFERENCES d.u(id) NOT ENFORCED)",
    )
    .await;
    let names = async || {
        let sql = "SELECT constraint_name FROM d.INFORMATION_SCHEMA.TABLE_CONSTRAINTS WHERE table_name = 'k' ORDER BY 1";
        values(&run(&emulator, sql).await).concat()
    };
    let add = "ALTER TABLE d.k ADD CONSTRAINT one FOREIGN KEY (id) REFERENCES d.u (id) NOT ENFORCED, ADD FOREIGN KEY (other) REFERENCES d.u (id) NOT ENFORCED";
    run(&emulator, add).await;
    assert_eq!(
        names().await,
        ["k.fk$1", "k.fk$3", "k.one"].map(|name| json!(name))
    );
    let message = refused(&emulator, add).await;
    assert!(
        message.contains("Constraint one already exists"),
        "{message}"
    );
    run(
        &emulator,
        "ALTER TABLE d.k ADD CONSTRAINT IF NOT EXISTS one FOREIGN KEY (id) REFERENCES d.u (id) NOT ENFORCED",
    )
    .await;
    run(
        &emulator,
        "ALTER TABLE d.k DROP CONSTRAINT `fk$3`, DROP CONSTRAINT ONE, DROP CONSTRAINT IF EXISTS none",
    )
    .await;
    assert_eq!(names().await, [json!("k.fk$1")]);
    for (sql, named) in [
        (
            "ALTER TABLE d.k DROP CONSTRAINT none",
            "Constraint none not found",
        ),
        (
            "ALTER TABLE d.k ADD FOREIGN KEY (id, other) REFERENCES d.u (id) NOT ENFORCED",
            "of 2 columns cannot refer to 1",
        ),
        (
            "ALTER TABLE d.k ADD FOREIGN KEY (id) REFERENCES d.u (id)",
            "NOT",
        ),
    ] {
        let message = refused(&emulator, sql).await;
        assert!(message.contains(named), "{sql}: {message}");
    }
    emulator.shutdown().await;
}
