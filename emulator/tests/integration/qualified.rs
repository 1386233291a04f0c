//! Columns called by the whole name of their table, as SQLAlchemy writes all of them.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::serve;
use crate::rest::{call, send_json};
use crate::tables::make_table;

#[tokio::test]
async fn columns_are_found_by_the_whole_name_of_their_table() {
    let root = TempDir::new().unwrap();
    let emulator = serve(&root).await;
    make_table(&emulator, json!([{"name": "id", "type": "INT64"}])).await;
    let ask = async |sql: &str| {
        let body = json!({"query": sql, "useLegacySql": false});
        send_json(&emulator, "POST", "/projects/p/queries", &body).await
    };
    let inserted = ask("INSERT INTO `d.t` (id) VALUES (1), (2), (3)").await;
    assert_eq!(inserted.0, 200, "{}", inserted.1);
    for sql in [
        "SELECT `d.t`.`id` FROM `d.t` WHERE `d.t`.`id` > 1 ORDER BY `d.t`.`id`",
        "SELECT `p.d.t`.id AS id FROM `p.d.t` GROUP BY `p.d.t`.id HAVING `p.d.t`.id > 1 ORDER BY 1",
        "SELECT a.id FROM `d.t` AS a JOIN `d.t` ON a.id = `d.t`.id WHERE `d.t`.id > 1 ORDER BY a.id",
    ] {
        let (code, answer) = ask(sql).await;
        assert_eq!(code, 200, "{sql}: {answer}");
        let rows = answer["rows"].as_array().unwrap();
        let ids: Vec<&Value> = rows.iter().map(|row| &row["f"][0]["v"]).collect();
        assert_eq!(ids, ["2", "3"], "{sql}");
    }
    let (_, gone) = ask("DELETE FROM `d.t` WHERE `d.t`.`id` = 2").await;
    assert_eq!(gone["numDmlAffectedRows"], "1", "{gone}");
    let (_, table) = call(&emulator, "GET", "/projects/p/datasets/d/tables/t").await;
    assert_eq!(table["numRows"], "2");
    emulator.shutdown().await;
}
