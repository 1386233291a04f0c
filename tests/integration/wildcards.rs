//! Tables named by a wildcard are read as one, and `where` chooses among them.

use std::fs;

use arrow::array::RecordBatch;
use serde_json::Value;

use crate::bench::Bench;
use crate::rows::{ADDRESS, RECIPE, TABLE, orders, read_sorted, write_table};
use crate::served::Served;

#[test]
fn days_of_a_wildcard_are_chosen_by_where() {
    let place = Bench::new();
    let rows = orders(3_000, 5, 20);
    let data = place.path("data");
    write_table(&data.join(TABLE), &rows.slice(0, 2_000));
    for (day, from) in [(1, 0), (2, 1_000), (3, 2_000)] {
        write_table(
            &data.join(format!("proj/shop/day_{day}")),
            &rows.slice(from, 1_000),
        );
    }
    let served = Served::start(&data);
    let reading = |address: &str, recipe: String| {
        let mut bench = Bench::new()
            .source(address)
            .more(&["--emulator", &served.url]);
        bench.recipe = recipe;
        let ended = bench.run();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        bench
    };
    let table = reading(ADDRESS, RECIPE.to_owned());
    // Once where the service can tell, once where only we can.
    for condition in [
        "_TABLE_SUFFIX < '3'",
        "length(_TABLE_SUFFIX || '.') = 2 AND _TABLE_SUFFIX <> '3'",
    ] {
        let chosen = format!("where: {condition} AND (");
        let recipe = RECIPE.replace("where: ", &chosen);
        let recipe = recipe.replace("items < 60\n", "items < 60)\n");
        let days = reading("bigquery://proj.shop.day_*", recipe);
        for split in ["train", "val", "test"] {
            let (one, all) = (
                read_sorted(&table.out().join(split)),
                read_sorted(&days.out().join(split)),
            );
            assert_eq!(one.num_rows(), all.num_rows(), "{split}");
            let names = |batch: &RecordBatch| -> Vec<String> {
                let fields = batch.schema();
                fields.fields().iter().map(|f| f.name().clone()).collect()
            };
            assert_eq!(names(&one), names(&all), "{split}");
            assert_eq!(
                one.column_by_name("id"),
                all.column_by_name("id"),
                "{split}"
            );
        }
        let told = fs::read(days.out().join("report.json")).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        let bytes = told["bytes_processed"].as_u64().unwrap();
        assert!(bytes > 0, "{told}");
        assert_eq!(told["query_jobs"], 1);
    }
}
