//! Queries, views and chunks give what the table gives, are accounted for, and leave nothing at the service.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array,
    Int64Array, RecordBatch, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Float64Type;
use millpond_emulator::{FaultAction, FaultScript, FaultTarget, LoggedCall};
use serde_json::Value;

use crate::bench::Bench;
use crate::command::{call, signal, spawn, succeed, text, wait};
use crate::rows::{ADDRESS, RECIPE, TABLE, assert_same_bits, orders, read_sorted, write_table};
use crate::served::Served;
use crate::tree::{assert_same, results};

const SPLITS: [&str; 3] = ["train", "val", "test"];

/// The same rows by SQL that BigQuery runs.
const SQL: &str = "source: {bigquery_sql: \"SELECT * FROM `proj.shop.orders`\", project: proj, temporary_dataset: shop}\n";

fn data(bench: &Bench, batch: &RecordBatch) -> std::path::PathBuf {
    let data = bench.path("data");
    write_table(&data.join(TABLE), batch);
    data
}

/// A bench that asks a query instead of reading an address.
fn asking(bench: Bench, recipe: &str, served: &Served) -> Bench {
    let mut bench = bench.source("").more(&["--emulator", &served.url]);
    bench.recipe = recipe.to_owned();
    bench
}

/// Tables of ours at the service.
fn left(data: &Path) -> Vec<String> {
    fs::read_dir(data.join("proj/shop"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("millpond_"))
        .collect()
}

fn report(bench: &Bench) -> Value {
    serde_json::from_slice(&fs::read(bench.out().join("report.json")).unwrap()).unwrap()
}

/// How many queries were run, dry ones not counted: each is followed by a look at its result or leaves a table.
fn made(served: &Served) -> usize {
    served
        .requests()
        .iter()
        .filter(|call| matches!(call, LoggedCall::Rest { method, path, .. } if method == "POST" && path.ends_with("/tables")))
        .count()
}

#[test]
fn a_query_gives_the_features_of_its_table_and_is_accounted_for() {
    let place = Bench::new();
    let data = data(&place, &orders(6_000, 3, 40));
    let served = Served::start(&data);
    let table = Bench::new()
        .source(ADDRESS)
        .more(&["--emulator", &served.url]);
    assert_eq!(table.run().code, Some(0));
    let bench = asking(Bench::new(), &format!("{SQL}{RECIPE}"), &served);
    let ended = bench.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for split in SPLITS {
        let (of_table, of_query) = (
            read_sorted(&table.out().join(split)),
            read_sorted(&bench.out().join(split)),
        );
        // Results of queries have no required columns.
        let of_table =
            RecordBatch::try_new(of_query.schema(), of_table.columns().to_vec()).unwrap();
        assert_eq!(of_table.num_rows(), of_query.num_rows(), "{split}");
        for (field, (a, b)) in of_query
            .schema()
            .fields()
            .iter()
            .zip(of_table.columns().iter().zip(of_query.columns()))
        {
            let Some(a_floats) = a.as_primitive_opt::<Float64Type>() else {
                assert_eq!(a, b, "{split}: {}", field.name());
                continue;
            };
            // The streams of the result are cut elsewhere, and so are sums.
            for (x, y) in a_floats.iter().zip(b.as_primitive::<Float64Type>()) {
                let same = match (x, y) {
                    (Some(x), Some(y)) => {
                        x.to_bits() == y.to_bits() || (x - y).abs() <= 1e-12 * x.abs().max(1.0)
                    }
                    (x, y) => x.is_none() && y.is_none(),
                };
                assert!(same, "{split}: {}: {x:?} and {y:?}", field.name());
            }
        }
    }
    assert!(left(&data).is_empty());

    let told = report(&bench);
    assert_eq!(told["query_jobs"], 1);
    assert!(told["bytes_processed"].as_u64().unwrap() > 0);
    assert!(told["bytes_billed"].as_u64().unwrap() >= 10 << 20);
    assert!(told["slot_ms"].as_u64().is_some());
    assert_eq!(told["duration_seconds"], told["seconds"]["total"]);
    for told in [told, report(&table)] {
        let streams = told["streams"].as_array().unwrap();
        assert_eq!(streams.len(), 3);
        let sum = |key: &str| {
            streams
                .iter()
                .map(|s| s[key].as_u64().unwrap())
                .sum::<u64>()
        };
        assert_eq!(sum("rows"), told["rows"]["read"].as_u64().unwrap());
        assert_eq!(sum("bytes"), told["bytes_read"].as_u64().unwrap());
    }
    let told = report(&table);
    assert_eq!(told["query_jobs"], 0);
    assert_eq!(told["bytes_processed"], told["snapshot"]["estimated_bytes"]);
    assert_eq!(told["slot_ms"], Value::Null);

    // The same query again gives the same bytes: nothing of its job is in them.
    let again = asking(Bench::new(), &bench.recipe, &served);
    assert_eq!(again.run().code, Some(0));
    assert_same(&results(&bench.out()), &results(&again.out()), "again");
}

/// Rows are made durable often enough that a run can be met in between.
const IN_LEGS: &[&str] = &["--checkpoint", "20kB", "--slots", "3"];

/// Streams that take their time after some messages, so that a run can be met with some of its rows kept.
fn slow(data: &Path) -> Served {
    let script = FaultScript::new().fault(
        FaultTarget::AnyStream,
        4,
        1,
        FaultAction::Slow(Duration::from_millis(100)),
    );
    Served::start_cut(data, 3, 16 << 10, script)
}

fn begun(bench: &Bench) -> std::process::Child {
    let mut child = spawn(&mut bench.command());
    let began = Instant::now();
    let kept = || {
        let journal = fs::read(bench.out().join(".millpond/journal")).unwrap_or_default();
        String::from_utf8_lossy(&journal).contains("\"record\":\"rows\"")
    };
    while !kept() {
        assert!(child.try_wait().unwrap().is_none(), "ended before");
        assert!(began.elapsed() < Duration::from_secs(60), "never got there");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

#[test]
fn a_signal_takes_the_table_away_and_the_next_run_asks_again() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let place = Bench::new();
        let data = data(&place, &orders(6_000, 3, 200));
        let served = slow(&data);
        let bench = asking(Bench::new(), &format!("{SQL}{RECIPE}"), &served).more(IN_LEGS);
        let child = begun(&bench);
        assert_eq!(left(&data).len(), 1);
        signal(child.id(), name);
        let ended = wait(child);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("nothing was kept"),
            "{}",
            ended.stderr
        );
        assert!(left(&data).is_empty(), "{:?}", left(&data));
        assert!(!bench.out().exists());
        let again = bench.run();
        assert_eq!(again.code, Some(0), "{}", again.stderr);
        assert_eq!(made(&served), 2);
        assert!(left(&data).is_empty());
    }
}

#[test]
fn a_run_that_was_killed_goes_on_with_the_table_it_left() {
    let place = Bench::new();
    let data = data(&place, &orders(6_000, 3, 200));
    let served = slow(&data);
    let bench = asking(Bench::new(), &format!("{SQL}{RECIPE}"), &served).more(IN_LEGS);
    let child = begun(&bench);
    signal(child.id(), "KILL");
    wait(child);
    assert_eq!(left(&data).len(), 1, "nobody was there to remove it");
    let ended = bench.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(made(&served), 1, "asked once");
    assert!(left(&data).is_empty());
    let undisturbed = asking(Bench::new(), &bench.recipe, &served).more(IN_LEGS);
    assert_eq!(undisturbed.run().code, Some(0));
    assert_same(
        &results(&undisturbed.out()),
        &results(&bench.out()),
        "killed",
    );
}

#[test]
fn a_killed_run_whose_table_has_gone_says_so_and_mixes_nothing() {
    let place = Bench::new();
    let data = data(&place, &orders(6_000, 3, 200));
    let served = slow(&data);
    let bench = asking(Bench::new(), &format!("{SQL}{RECIPE}"), &served).more(IN_LEGS);
    let child = begun(&bench);
    signal(child.id(), "KILL");
    wait(child);
    for table in left(&data) {
        fs::remove_dir_all(data.join("proj/shop").join(table)).unwrap();
    }
    let ended = bench.run();
    assert_eq!(ended.code, Some(10), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("is gone") && ended.stderr.contains("--restart"),
        "{}",
        ended.stderr
    );
    let bench = bench.more(&["--restart"]);
    let ended = bench.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(left(&data).is_empty());
}

#[test]
fn a_failure_takes_the_table_away() {
    let place = Bench::new();
    let data = data(&place, &orders(600, 3, 40));
    let served = Served::start(&data);
    // Found out by reading: no training row.
    let recipe = format!(
        "{SQL}{}",
        RECIPE.replace("items < 60", "items < -999 AND amount > 1e300")
    );
    let recipe = recipe.replace("items IS NULL OR", "");
    let bench = asking(Bench::new(), &recipe, &served);
    bench.refuses(8, &["nothing can be learned"]);
    assert_eq!(made(&served), 1);
    assert!(left(&data).is_empty());
}

#[test]
fn wrong_queries_are_refused_with_the_words_of_the_service() {
    let place = Bench::new();
    let data = data(&place, &orders(60, 3, 40));
    let served = Served::start(&data);
    let ask = |sql: &str| {
        let source = format!(
            "source: {{bigquery_sql: \"{sql}\", project: proj, temporary_dataset: shop}}\n"
        );
        asking(Bench::new(), &format!("{source}{RECIPE}"), &served)
    };
    ask("SELECT nonsense FROM shop.orders").refuses(2, &["nonsense", "location query"]);
    ask("SELECT * FROM shop.nowhere").refuses(4, &["shop.nowhere"]);
    ask("DROP TABLE shop.orders").refuses(2, &["DROP"]);
    ask("SELECT id FROM shop.orders").refuses(9, &["amount", "does not exist"]);
    let nobody = ask("SELECT * FROM shop.orders");
    let nobody = nobody.rewrite("project: proj, ", "");
    nobody.refuses(2, &["no project", "GOOGLE_CLOUD_PROJECT"]);
    let mut paid = nobody;
    paid.recipe = paid.recipe.replace("shop.orders", "proj.shop.orders");
    paid.recipe = paid
        .recipe
        .replace("temporary_dataset: shop", "temporary_dataset: proj.shop");
    paid.environment = vec![("GOOGLE_CLOUD_PROJECT".to_owned(), "payer".to_owned())];
    let ended = paid.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let asked = |part: &str| {
        served
            .requests()
            .iter()
            .any(|call| matches!(call, LoggedCall::Rest { path, .. } if path.contains(part)))
    };
    assert!(asked("projects/payer/jobs") && !asked("projects/other/jobs"));
    let again = Bench::new();
    let mut flagged = asking(again, &paid.recipe, &served).more(&["--project", "other"]);
    flagged.environment = paid.environment.clone();
    assert_eq!(flagged.run().code, Some(0));
    assert!(asked("projects/other/jobs"), "the command line wins");
    assert!(left(&data).is_empty());
}

#[test]
fn the_sql_that_is_sent_is_told_without_its_values() {
    let place = Bench::new();
    let data = data(&place, &orders(600, 3, 40));
    let served = Served::start(&data);
    let recipe = SQL.replace(
        "shop.orders`",
        "shop.orders` WHERE country <> 'secret-land'",
    );
    let bench = asking(Bench::new(), &format!("{recipe}{RECIPE}"), &served).more(&["--log-sql"]);
    let ended = bench.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let told = &ended.stderr;
    assert!(
        told.contains("SELECT * FROM `proj.shop.orders` WHERE country <> '***'"),
        "{told}"
    );
    assert!(
        told.contains("read session of proj.shop.millpond_"),
        "{told}"
    );
    assert!(!told.contains("secret-land"), "{told}");
}

#[test]
fn more_bytes_than_allowed_are_refused_before_a_row_is_read() {
    let place = Bench::new();
    let data = data(&place, &orders(6_000, 3, 40));
    let served = Served::start(&data);
    let address = || {
        Bench::new()
            .source(ADDRESS)
            .more(&["--emulator", &served.url])
    };
    address()
        .more(&["--max-bytes", "1kB"])
        .refuses(2, &["1000 (", "bytes", "--max-bytes"]);
    asking(Bench::new(), &format!("{SQL}{RECIPE}"), &served)
        .more(&["--max-bytes", "1kB"])
        .refuses(2, &["1000 ("]);
    let mut bench = Bench::new();
    bench.source = String::new();
    let table = format!("source: {{table: \"{ADDRESS}\", bigquery: {{max_bytes: 2kB}}}}\n{RECIPE}");
    asking(bench, &table, &served).refuses(2, &["2000 ("]);
    // Files have a size, too.
    Bench::new()
        .more(&["--max-bytes", "100B"])
        .refuses(2, &["100 ("]);
    let read = served
        .requests()
        .iter()
        .any(|call| matches!(call, LoggedCall::ReadRows { .. }));
    assert!(!read, "rows were read");
    assert!(left(&data).is_empty());
    let enough = address().more(&["--max-bytes", "1GB"]).run();
    assert_eq!(enough.code, Some(0), "{}", enough.stderr);
}

#[test]
fn a_plan_tells_bytes_and_a_dated_price_and_runs_nothing() {
    let bench = Bench::new();
    let data = data(&bench, &orders(6_000, 3, 40));
    let served = Served::start(&data);
    let recipe = bench.path("recipe.yaml");
    let plan = |yaml: &str, more: &[&str]| {
        fs::write(&recipe, yaml).unwrap();
        let mut arguments = vec!["plan", text(&recipe), "--emulator", &served.url];
        arguments.extend(more);
        succeed(arguments).stdout
    };
    let table = format!("source: \"{ADDRESS}\"\n{RECIPE}");
    let told: Value = serde_json::from_str(&plan(&table, &["--json"])).unwrap();
    assert_eq!(told["table"]["kind"], "TABLE");
    assert!(told["dry_run_bytes"].as_u64().unwrap() > 0);
    assert_eq!(told["cost"]["billing"], "storage_read");
    assert_eq!(told["cost"]["bytes"], told["bytes_estimated"]);
    assert_eq!(told["cost"]["prices"]["as_of"], "2025");
    let price = told["cost"]["price"].as_f64().unwrap();
    let bytes = told["cost"]["bytes"].as_f64().unwrap();
    assert!((price - bytes / (1_u64 << 40) as f64 * 1.1).abs() < 1e-12);
    let words = plan(&table, &[]);
    assert!(
        words.contains("dry run") && words.contains("2025, US multi-region"),
        "{words}"
    );

    let prices = bench.path("prices.yaml");
    let list = "{as_of: 2026-10, region: mars, currency: EUR, query_per_tib: 1000000, storage_read_per_tib: 2}";
    fs::write(&prices, list).unwrap();
    let sql = format!("{SQL}{RECIPE}");
    let words = plan(&sql, &["--prices", text(&prices)]);
    assert!(
        words.contains("EUR by a query") && words.contains("2026-10, mars"),
        "{words}"
    );
    assert!(words.contains("known once the query has run"), "{words}");
    assert_eq!(made(&served), 0);
    let missing = call([
        "plan",
        text(&recipe),
        "--emulator",
        &served.url,
        "--prices",
        "/nonexistent",
    ]);
    assert_eq!(missing.code, Some(4), "{}", missing.stderr);
    let refused = call([
        "plan",
        text(&recipe),
        "--emulator",
        &served.url,
        "--max-bytes",
        "1kB",
    ]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);

    // Without the REST API the plan of a table tells the rest.
    let closed = Served::start_with(
        &data,
        FaultScript::new().fault(
            FaultTarget::Rest(String::new()),
            0,
            1000,
            FaultAction::Http {
                status: 403,
                reason: "accessDenied".to_owned(),
                message: "not for you".to_owned(),
            },
        ),
    );
    fs::write(&recipe, &table).unwrap();
    let words = succeed(["plan", text(&recipe), "--emulator", &closed.url]).stdout;
    assert!(
        words.contains("no dry run") && words.contains("bigquery.jobs.create"),
        "{words}"
    );
    assert!(words.contains("USD by the Storage Read API"), "{words}");
}

/// Every scalar type that a recipe can carry along, with nulls and the ends of their ranges.
fn every_scalar(rows: usize) -> RecordBatch {
    let n = |i: usize| i as i64;
    let some = |i: usize| i % 7 != 3;
    let float = |i: usize| match i % 5 {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => -0.0,
        _ => i as f64 / 3.0,
    };
    let all = 0..rows;
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "id",
            Arc::new(Int64Array::from_iter_values(all.clone().map(n))),
        ),
        (
            "x",
            Arc::new(Float64Array::from_iter(
                all.clone().map(|i| some(i).then_some(i as f64 / 7.0)),
            )),
        ),
        (
            "f",
            Arc::new(Float64Array::from_iter(
                all.clone().map(|i| some(i).then(|| float(i))),
            )),
        ),
        (
            "i",
            Arc::new(Int64Array::from_iter(all.clone().map(|i| {
                some(i).then_some(if i % 2 == 0 { i64::MIN } else { i64::MAX })
            }))),
        ),
        (
            "b",
            Arc::new(BooleanArray::from_iter(
                all.clone().map(|i| some(i).then_some(i % 2 == 0)),
            )),
        ),
        (
            "s",
            Arc::new(StringArray::from_iter(
                all.clone().map(|i| some(i).then(|| format!("é\"'\n{i}"))),
            )),
        ),
        (
            "y",
            Arc::new(BinaryArray::from_iter(
                all.clone().map(|i| some(i).then(|| vec![i as u8, 255, 0])),
            )),
        ),
        (
            "d",
            Arc::new(Date32Array::from_iter(
                all.clone().map(|i| some(i).then_some(i as i32 - 719_162)),
            )),
        ),
        (
            "t",
            Arc::new(Time64MicrosecondArray::from_iter(
                all.clone().map(|i| some(i).then_some(n(i) * 1_000_003)),
            )),
        ),
        (
            "dt",
            Arc::new(TimestampMicrosecondArray::from_iter(all.clone().map(|i| {
                some(i).then_some(n(i) * 86_400_000_017 - 62_135_596_800_000_000)
            }))),
        ),
        (
            "ts",
            Arc::new(
                TimestampMicrosecondArray::from_iter(
                    all.clone().map(|i| some(i).then_some(-n(i) * 1_000_001)),
                )
                .with_timezone("UTC"),
            ),
        ),
        (
            "n",
            Arc::new(
                Decimal128Array::from_iter(
                    all.map(|i| some(i).then_some(i128::from(n(i)) * 10_i128.pow(34) - 5)),
                )
                .with_precision_and_scale(38, 9)
                .unwrap(),
            ),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn chunks_give_what_the_storage_api_gives() {
    let bench = Bench::new();
    let data = data(&bench, &every_scalar(1_000));
    let served = Served::start_cut(&data, 1, 16 << 10, FaultScript::new());
    let rest = "key: id\npass_through: [f, i, b, s, y, d, t, dt, ts, n]\nsplit: {hash: {columns: id}}\nfeatures: [{columns: x, steps: [{simple_imputer: median}, standard_scaler]}]\n";
    let storage = asking(
        Bench::new(),
        &format!("source: \"{ADDRESS}\"\n{rest}"),
        &served,
    );
    let ended = storage.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let chunks = format!(
        "source: {{table: \"{ADDRESS}\", bigquery: {{read: limit_offset, chunk_rows: 300, order_by: id}}}}\n{rest}"
    );
    let chunks = asking(bench, &chunks, &served);
    let ended = chunks.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for split in SPLITS {
        assert_same_bits(
            &read_sorted(&storage.out().join(split)),
            &read_sorted(&chunks.out().join(split)),
            split,
        );
    }
    let told = report(&chunks);
    assert_eq!(told["query_jobs"], 4);
    assert_eq!(told["bytes_billed"], 4 * (10 << 20));
    let warnings = told["warnings"].to_string();
    assert!(
        warnings.contains("comparison only") && warnings.contains("billed"),
        "{warnings}"
    );
    let fitted = |bench: &Bench| -> Value {
        serde_json::from_slice(&fs::read(bench.out().join("fitted.json")).unwrap()).unwrap()
    };
    assert_eq!(fitted(&storage)["features"], fitted(&chunks)["features"]);
}
