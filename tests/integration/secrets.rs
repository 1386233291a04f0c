//! Keys and tokens are told to nobody: not in errors, logs or artefacts, and not to addresses that a file names.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::command::{Ended, text};
use crate::rows::{ADDRESS, TABLE, orders, write_table};
use crate::served::Served;
use crate::tree::tree;

const CANARY: &str = "canary-5f1d0c";
const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// A key of a service account, as Google hands them out, whose secrets are all the canary.
fn key() -> Value {
    json!({
        "type": "service_account",
        "project_id": "proj",
        "private_key_id": format!("{CANARY}-id"),
        "private_key": format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n"),
        "client_email": "robot@proj.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    })
}

fn federated(changes: Value) -> Value {
    let mut file = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/a",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "client_secret": CANARY,
        "credential_source": {"file": "/nonexistent/token"},
    });
    for (name, value) in changes.as_object().unwrap() {
        file[name] = value.clone();
    }
    file
}

/// A bench that reads BigQuery with these credentials, and tells everything there is to tell.
fn bench_with(credentials: &Value) -> Bench {
    let mut bench = Bench::new().source(ADDRESS);
    let path = bench.path("key.json");
    fs::write(&path, serde_json::to_vec(credentials).unwrap()).unwrap();
    bench.environment = vec![(VARIABLE.to_owned(), text(&path).to_owned())];
    bench
}

/// Looks for the canary wherever the run could have put it.
fn is_silent(bench: &Bench, ended: &Ended) {
    for (name, told) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        assert!(!told.contains(CANARY), "the secret is in {name}: {told}");
    }
    no_canary_below(&bench.out());
    no_canary_below(&bench.path("temp"));
}

fn no_canary_below(directory: &Path) {
    if !directory.exists() {
        return;
    }
    for (name, bytes) in tree(directory) {
        let found = bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes());
        assert!(!found && !name.contains(CANARY), "the secret is in {name}");
    }
}

#[test]
fn files_that_send_secrets_elsewhere_are_refused() {
    let user = json!({"type": "authorized_user", "client_id": "c", "client_secret": CANARY, "refresh_token": CANARY,
        "token_uri": "https://evil.example/token"});
    let impersonated = json!({"type": "impersonated_service_account", "source_credentials": user,
        "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/x:generateAccessToken"});
    let cases = [
        (
            federated(json!({"token_url": "https://sts.googleapis.com.evil.example/"})),
            "sts.googleapis.com.evil.example",
        ),
        (
            federated(json!({"token_url": "http://sts.googleapis.com/v1/token"})),
            "token_url",
        ),
        (
            federated(json!({"service_account_impersonation_url": "https://evil.example/"})),
            "evil.example",
        ),
        (
            federated(json!({"credential_source": {"url": "http://evil.example/token"}})),
            "credential_source.url",
        ),
        (user, "evil.example"),
        (impersonated, "evil.example"),
    ];
    for (file, says) in cases {
        let bench = bench_with(&file);
        let ended = bench.refuses(3, &["key.json", says]);
        is_silent(&bench, &ended);
    }
}

#[test]
fn files_that_run_programs_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let marker = place.path().join("was-run");
    let program = json!({"executable": {"command": format!("/usr/bin/touch {}", text(&marker)), "timeout_millis": 5000}});
    let bench = bench_with(&federated(json!({ "credential_source": program })));
    let ended = bench.refuses(3, &["key.json", "program"]);
    is_silent(&bench, &ended);
    assert!(!marker.exists(), "the program was run");
}

#[test]
fn secrets_are_in_no_error_and_no_log() {
    let mut broken = bench_with(&key());
    broken
        .environment
        .push(("RUST_LOG".to_owned(), "trace".to_owned()));
    let ended = broken.run();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    is_silent(&broken, &ended);

    // Queries ask for credentials of their own.
    let mut asking = bench_with(&key()).source("");
    asking.recipe = format!(
        "source: {{bigquery_sql: SELECT 1 AS id, project: proj}}\n{}",
        asking.recipe
    );
    asking
        .environment
        .push(("RUST_LOG".to_owned(), "trace".to_owned()));
    let ended = asking.run();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    is_silent(&asking, &ended);

    // The same file where a token would be, or torn.
    for torn in [
        format!("{{\"private_key\": \"{CANARY}\""),
        CANARY.to_owned(),
        format!("[\"{CANARY}\"]"),
    ] {
        let bench = bench_with(&key());
        fs::write(bench.path("key.json"), torn).unwrap();
        let ended = bench.refuses(3, &[]);
        is_silent(&bench, &ended);
    }

    // A password in an address, wherever an address can be written.
    let address = format!("https://user:{CANARY}@bigquery.example");
    let bench = Bench::new().source(ADDRESS).more(&["--emulator", &address]);
    let ended = bench.refuses(2, &["user name or password"]);
    is_silent(&bench, &ended);
    let mut bench = Bench::new().source(ADDRESS);
    bench.environment = vec![("BIGQUERY_EMULATOR_HOST".to_owned(), address)];
    let ended = bench.refuses(2, &["user name or password"]);
    is_silent(&bench, &ended);
}

#[test]
fn secrets_are_in_no_artefact() {
    let mut bench = bench_with(&key());
    write_table(&bench.path("data").join(TABLE), &orders(600, 2, 5));
    let served = Served::start(&bench.path("data"));
    bench
        .environment
        .push(("RUST_LOG".to_owned(), "trace".to_owned()));
    bench
        .environment
        .push(("AWS_SECRET_ACCESS_KEY".to_owned(), CANARY.to_owned()));
    let bench = bench.more(&["--emulator", &served.url]);
    let ended = bench.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("TRACE") || ended.stderr.contains("DEBUG"),
        "nothing was logged"
    );
    assert!(bench.out().join("_SUCCESS").is_file());
    is_silent(&bench, &ended);
}
