//! Wrong endpoints, tables and credentials of BigQuery sources.

use super::*;

#[test]
fn unreachable_endpoint() {
    let bench = Bench::new()
        .source("bigquery://proj.shop.orders")
        .more(&["--emulator", "http://127.0.0.1:1"]);
    let began = Instant::now();
    bench.refuses(5, &["127.0.0.1:1"]);
    assert!(
        began.elapsed() < Duration::from_secs(90),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn plain_http_to_another_machine() {
    // An address of the documentation: nothing must be sent there.
    let bench = Bench::new()
        .source("bigquery://proj.shop.orders")
        .more(&["--emulator", "http://192.0.2.1:9050"]);
    let ended = bench.refuses(3, &["192.0.2.1"]);
    assert!(
        ended.stderr.contains("loopback") || ended.stderr.contains("https"),
        "{}",
        ended.stderr
    );
}

#[test]
fn table_that_the_service_does_not_have() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("data/proj/shop")).unwrap();
    let served = crate::served::Served::start(&bench.path("data"));
    let bench = bench
        .source("bigquery://proj.shop.nothing")
        .more(&["--emulator", &served.url]);
    bench.refuses(4, &["nothing"]);
}

#[test]
fn table_name_that_is_none() {
    for name in ["proj.shop", "proj.shop.a`b", "proj.shop.../../etc", ""] {
        Bench::new()
            .source(format!("bigquery://{name}"))
            .more(&["--emulator", "http://127.0.0.1:1"])
            .refuses(2, &[name]);
    }
}

#[test]
fn missing_credentials() {
    let mut bench = Bench::new().source("bigquery://proj.shop.orders");
    let home = bench.path("home");
    fs::create_dir(&home).unwrap();
    bench.environment = vec![("HOME".to_owned(), text(&home).to_owned())];
    let began = Instant::now();
    bench.refuses(3, &["GOOGLE_APPLICATION_CREDENTIALS", "gcloud"]);
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn credentials_that_are_no_credentials() {
    let mut bench = Bench::new().source("bigquery://proj.shop.orders");
    let key = bench.path("key.json");
    fs::write(
        &key,
        "{\"type\": \"service_account\", \"private_key\": \"canary-7f3a\"",
    )
    .unwrap();
    bench.environment = vec![(
        "GOOGLE_APPLICATION_CREDENTIALS".to_owned(),
        text(&key).to_owned(),
    )];
    let ended = bench.refuses(3, &[]);
    assert!(
        !ended.stderr.contains("canary"),
        "a secret is shown: {}",
        ended.stderr
    );
}
