//! What is wrong is said in one line that names it, with the right exit code, and leaves no trace.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array, StringArray, new_null_array};
use arrow::datatypes::DataType;

use crate::bench::Bench;
use crate::command::{millpond, signal, text, wait};
use crate::rows::{orders, with, without, write_file, write_table};
use crate::tree::tree;

mod endpoint;
mod output;

#[test]
fn the_bench_itself_runs() {
    let bench = Bench::new();
    assert_eq!(bench.run().code, Some(0));
    assert!(bench.out().join("_SUCCESS").is_file());
}

#[test]
fn missing_column() {
    Bench::new()
        .rewrite("columns: sku", "columns: skus")
        .refuses(9, &["skus", "did you mean `sku`"]);
}

#[test]
fn missing_key_column() {
    Bench::new()
        .rewrite("key: id", "key: ids")
        .refuses(9, &["key", "\"ids\""]);
}

#[test]
fn missing_split_column() {
    Bench::new()
        .rewrite("{columns: id,", "{columns: idd,")
        .refuses(9, &["split", "idd"]);
}

#[test]
fn missing_column_in_where() {
    Bench::new()
        .rewrite("where: items IS NULL", "where: itms IS NULL")
        .refuses(9, &["itms"]);
}

#[test]
fn missing_column_in_derive() {
    Bench::new()
        .rewrite("amount / NULLIF(items, 0)", "amnt / NULLIF(items, 0)")
        .refuses(9, &["amnt"]);
}

#[test]
fn missing_label() {
    Bench::with_table(&without(&orders(600, 1, 5), "returned")).refuses(9, &["label", "returned"]);
}

#[test]
fn sql_that_is_no_sql() {
    Bench::new()
        .rewrite("amount / NULLIF(items, 0)", "amount / / items")
        .refuses(2, &["per_item"]);
}

#[test]
fn wrong_type() {
    Bench::new().rewrite("columns: sku\n    steps: [{ordinal_encoder: {order: frequency, min_frequency: 2, missing: category}}]", "columns: sku\n    steps: [standard_scaler]")
        .refuses(9, &["sku", "standard_scaler", "Utf8"]);
}

#[test]
fn wrong_type_of_key() {
    Bench::new()
        .rewrite("{columns: id,", "{columns: amount,")
        .refuses(9, &["amount", "Float64"]);
}

#[test]
fn unknown_step() {
    Bench::new()
        .rewrite("robust_scaler", "robust_scalar")
        .refuses(2, &["robust_scalar", "did you mean `robust_scaler`"]);
}

#[test]
fn unknown_option() {
    Bench::new()
        .rewrite("add_indicator: true", "add_indicators: true")
        .refuses(2, &["add_indicators", "did you mean `add_indicator`"]);
}

#[test]
fn unknown_key() {
    Bench::new()
        .rewrite("pass_through: note", "passthrough: note")
        .refuses(2, &["passthrough", "pass_through", "recipe.yaml"]);
}

#[test]
fn value_of_the_wrong_kind() {
    Bench::new()
        .rewrite("seed: 5", "seed: five")
        .refuses(2, &["seed"]);
}

#[test]
fn ratios_that_do_not_sum_to_one() {
    Bench::new()
        .rewrite("val: 0.15", "val: 0.25")
        .refuses(2, &["1.1", "ratios"]);
}

#[test]
fn no_split() {
    Bench::new()
        .rewrite(
            "split:\n  hash: {columns: id, seed: 5, ratios: {train: 0.7, val: 0.15, test: 0.15}}\n",
            "",
        )
        .refuses(2, &["split"]);
}

#[test]
fn recipe_that_is_no_yaml() {
    Bench::new()
        .rewrite("key: id", "key: [id")
        .refuses(2, &["recipe.yaml"]);
}

#[test]
fn missing_recipe() {
    let bench = Bench::new();
    let out = bench.out();
    let mut command = millpond();
    command.args([
        "run",
        "/nonexistent/recipe.yaml",
        "--source",
        &bench.source,
        "--out",
        text(&out),
    ]);
    let ended = wait(command.spawn().unwrap());
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(
        ended.stderr.starts_with("error: ") && ended.stderr.contains("/nonexistent/recipe.yaml"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr.lines().count(), 1);
    assert!(!out.exists());
}

#[test]
fn empty_table() {
    Bench::with_table(&orders(0, 1, 5)).refuses(8, &["nothing can be learned", "empty"]);
}

#[test]
fn filter_that_keeps_nothing() {
    Bench::new()
        .rewrite(
            "where: items IS NULL OR items < 60",
            "where: items > 1000000",
        )
        .refuses(8, &["items > 1000000"]);
}

#[test]
fn all_null_column() {
    let batch = orders(600, 1, 5);
    let bench = Bench::with_table(&with(
        &batch,
        "score",
        new_null_array(&DataType::Float64, 600),
    ));
    bench.refuses(8, &["score", "no value"]);
}

#[test]
fn infinity() {
    let mut values = vec![Some(1.5); 600];
    for place in values.iter_mut().step_by(5) {
        *place = Some(f64::NEG_INFINITY);
    }
    let score: ArrayRef = Arc::new(Float64Array::from(values));
    Bench::with_table(&with(&orders(600, 1, 5), "score", score))
        .refuses(8, &["score", "infinit", "clip"]);
}

#[test]
fn unknown_category() {
    let sku: StringArray = (0..600).map(|i| Some(format!("only-{i}"))).collect();
    Bench::with_table(&with(&orders(600, 1, 5), "sku", Arc::new(sku)))
        .rewrite(
            "{ordinal_encoder: {order: frequency, min_frequency: 2, missing: category}}",
            "ordinal_encoder",
        )
        .refuses(8, &["sku", "only-"]);
}

#[test]
fn value_that_names_no_split() {
    Bench::new()
        .rewrite(
            "hash: {columns: id, seed: 5, ratios: {train: 0.7, val: 0.15, test: 0.15}}",
            "column: {column: country}",
        )
        .refuses(8, &["country"]);
}

#[test]
fn null_time() {
    Bench::new()
        .rewrite(
            "hash: {columns: id, seed: 5, ratios: {train: 0.7, val: 0.15, test: 0.15}}",
            "time: {column: ordered_at, val_from: \"2000-01-01\", test_from: \"2010-01-01\"}",
        )
        .refuses(8, &["ordered_at", "null"]);
}

#[test]
fn unreadable_file() {
    let bench = Bench::new();
    fs::write(
        bench.path("rows/part-9.parquet"),
        b"this is no Parquet file, whatever its name says",
    )
    .unwrap();
    bench.refuses(8, &["part-9.parquet"]);
}

#[test]
fn truncated_file() {
    let bench = Bench::new();
    let whole = fs::read(bench.path("rows/part-0.parquet")).unwrap();
    fs::write(bench.path("rows/part-0.parquet"), &whole[..whole.len() / 2]).unwrap();
    bench.refuses(8, &["part-0.parquet"]);
}

#[test]
fn damaged_pages() {
    let bench = Bench::new();
    let mut bytes = fs::read(bench.path("rows/part-0.parquet")).unwrap();
    for byte in bytes.iter_mut().skip(4).take(3_000) {
        *byte ^= 0x5a;
    }
    fs::write(bench.path("rows/part-0.parquet"), bytes).unwrap();
    bench.refuses(8, &["part-0.parquet"]);
}

#[test]
fn files_that_do_not_match() {
    let bench = Bench::new();
    write_file(
        &bench.path("rows/part-8.parquet"),
        &without(&orders(10, 1, 5), "sku"),
    );
    bench.refuses(9, &["part-8.parquet", "columns"]);
}

#[test]
fn missing_file() {
    Bench::new()
        .source("/nonexistent/orders.parquet")
        .refuses(4, &["/nonexistent/orders.parquet"]);
}

#[test]
fn glob_without_files() {
    let bench = Bench::new();
    let glob = format!("{}/none-*.parquet", bench.place.path().display());
    bench.source(glob).refuses(4, &["none-*.parquet"]);
}

#[test]
fn format_nobody_reads() {
    let bench = Bench::new();
    fs::write(bench.path("rows/orders.txt"), "id\n1\n").unwrap();
    let file = text(&bench.path("rows/orders.txt")).to_owned();
    bench.source(file).refuses(2, &["orders.txt"]);
}

#[test]
fn budget_too_small() {
    Bench::new()
        .more(&["--memory", "16MiB"])
        .refuses(6, &["16777216", "--memory"]);
}

#[test]
fn size_that_is_no_size() {
    let bench = Bench::new().more(&["--memory", "plenty"]);
    let ended = bench.run();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.starts_with("error: ") && ended.stderr.contains("--memory"),
        "{}",
        ended.stderr
    );
    assert!(!bench.out().exists());
}

#[test]
fn two_runs_on_one_directory() {
    let bench = Bench::new();
    let first = bench.path("rows/part-0.parquet");
    for number in 100..500 {
        fs::hard_link(&first, bench.path(&format!("rows/part-{number}.parquet"))).unwrap();
    }
    fs::write(bench.path("recipe.yaml"), &bench.recipe).unwrap();
    let mut command = millpond();
    command.args([
        "run",
        text(&bench.path("recipe.yaml")),
        "--source",
        &bench.source,
        "--out",
        text(&bench.out()),
    ]);
    command.args([
        "--temp-dir",
        text(&bench.path("temp")),
        "--quiet",
        "--slots",
        "1",
        "--batch-rows",
        "10",
    ]);
    let child = command.spawn().unwrap();
    let id = child.id();
    let began = Instant::now();
    while !bench.out().join(".millpond/lock").exists() {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = bench.run();
    // The first run must have been there all the time.
    assert!(
        bench.out().join(".millpond/lock").exists(),
        "the first run ended too early"
    );
    assert!(!bench.out().join("_SUCCESS").exists());
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.starts_with("error: ") && ended.stderr.contains("another run"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr.lines().count(), 1);
    signal(id, "KILL");
    wait(child);
    // The lock of a killed run is stale: it keeps nobody out, and what it left is removed.
    for number in 100..500 {
        fs::remove_file(bench.path(&format!("rows/part-{number}.parquet"))).unwrap();
    }
    let ended = bench.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!bench.out().join(".millpond/lock").exists());
    assert!(
        tree(&bench.path("temp")).is_empty(),
        "the spill directory of the killed run is still there"
    );
}

#[test]
fn temporary_directory_that_anybody_may_change() {
    use std::os::unix::fs::PermissionsExt;

    let bench = Bench::new();
    // Without the sticky bit, others could put a link in place of the spill directory.
    fs::set_permissions(bench.path("temp"), fs::Permissions::from_mode(0o777)).unwrap();
    bench.refuses(7, &["/temp"]);
}

#[test]
fn errors_as_json() {
    let bench = Bench::new()
        .rewrite("columns: sku", "columns: skus")
        .more(&["--json"]);
    let ended = bench.run();
    assert_eq!(ended.code, Some(9));
    let value: serde_json::Value = serde_json::from_str(ended.stderr.trim_end()).unwrap();
    assert_eq!(value["error"]["kind"], "schema");
    assert_eq!(value["error"]["exit_code"], 9);
    assert!(value["error"]["message"].as_str().unwrap().contains("skus"));
    assert_eq!(ended.stderr.lines().count(), 1);
}

/// Values of the data never become paths.
#[test]
fn names_that_climb() {
    let bench = Bench::new().rewrite("  - columns: country\n    steps: [{one_hot_encoder: {handle_unknown: infrequent_if_exist, min_frequency: 40}}]\n", "");
    let climbing: StringArray = (0..600)
        .map(|i| {
            Some(if i % 2 == 0 {
                "../../../etc/passwd"
            } else {
                "a;`b\u{0}"
            })
        })
        .collect();
    write_table(
        &bench.path("rows"),
        &with(&orders(600, 1, 5), "country", Arc::new(climbing)),
    );
    let outside = |root: &Path| {
        tree(root)
            .into_keys()
            .filter(|name| !name.starts_with("out/"))
            .collect::<Vec<_>>()
    };
    fs::write(bench.path("recipe.yaml"), &bench.recipe).unwrap();
    let before = outside(bench.place.path());
    assert_eq!(bench.run().code, Some(0));
    assert_eq!(outside(bench.place.path()), before);
}
