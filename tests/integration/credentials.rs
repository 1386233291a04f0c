//! Where credentials come from: every kind of file, the metadata server, and an emulator that needs none.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::command::text;
use crate::rows::{ADDRESS, TABLE, orders, write_table};
use crate::served::Served;
use crate::tls::stranger;

const CANARY: &str = "canary-91ac";

/// A bench that reads BigQuery with these credentials.
fn bench_with(credentials: &Value) -> Bench {
    let mut bench = Bench::new().source(ADDRESS);
    let path = bench.path("key.json");
    fs::write(&path, credentials.to_string()).unwrap();
    bench.environment = vec![(
        "GOOGLE_APPLICATION_CREDENTIALS".to_owned(),
        text(&path).to_owned(),
    )];
    bench
}

#[test]
fn files_that_lack_something_are_refused_by_name() {
    let user = json!({"type": "authorized_user", "client_id": CANARY, "client_secret": CANARY});
    let cases = [
        (
            json!({"type": "service_account", "client_email": CANARY}),
            ["service_account", "private_key_id"],
        ),
        (user.clone(), ["authorized_user", "refresh_token"]),
        (
            json!({"type": "external_account", "audience": CANARY, "subject_token_type": "jwt"}),
            ["external_account", "token_url"],
        ),
        (
            json!({"type": "impersonated_service_account", "source_credentials": user,
                "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/x:generateAccessToken"}),
            ["authorized_user", "refresh_token"],
        ),
        (
            json!({"type": "magic", "secret": CANARY}),
            ["key.json", "external_account"],
        ),
    ];
    for (file, says) in cases {
        let ended = bench_with(&file).refuses(3, &["key.json", says[0], says[1]]);
        assert!(
            !ended.stderr.contains(CANARY),
            "a secret is shown: {}",
            ended.stderr
        );
    }
    let mut bench = Bench::new().source(ADDRESS);
    let path = bench.path("nothing.json");
    bench.environment = vec![(
        "GOOGLE_APPLICATION_CREDENTIALS".to_owned(),
        text(&path).to_owned(),
    )];
    bench.refuses(3, &["GOOGLE_APPLICATION_CREDENTIALS"]);
}

/// A file named on the command line takes the place of all others, for every command that reads BigQuery.
#[test]
fn a_file_that_is_named_takes_the_place_of_the_default_ones() {
    let named = |file: &Value| {
        let bench = bench_with(&json!({"type": "magic"}));
        let path = bench.path("named.json");
        fs::write(&path, file.to_string()).unwrap();
        let path = text(&path).to_owned();
        bench.more(&["--credentials", &path])
    };
    let key = json!({"type": "service_account", "project_id": "p", "private_key_id": CANARY, "client_email": CANARY,
        "private_key": format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n")});
    let cases = [
        (json!({"secret": CANARY}), "type is none of"),
        (json!(CANARY), "no JSON object"),
        (
            json!({"type": "authorized_user", "client_id": CANARY, "client_secret": CANARY}),
            "refresh_token",
        ),
        (key, "not usable"),
    ];
    for (file, says) in cases {
        let ended = named(&file).refuses(3, &["named.json", says]);
        assert!(!ended.stderr.contains(CANARY), "{}", ended.stderr);
    }
    let bench = Bench::new().source(ADDRESS);
    let nowhere = text(&bench.path("nowhere.json")).to_owned();
    let bench = bench.more(&["--credentials", &nowhere]);
    bench.refuses(3, &["nowhere.json", "not found"]);
}

/// An emulator is on this machine and needs nobody's word, so a file is not even looked for.
#[test]
fn an_emulator_never_sees_a_file() {
    let place = tempfile::tempdir().unwrap();
    write_table(&place.path().join(TABLE), &orders(600, 3, 5));
    let served = Served::start(place.path());
    let bench = Bench::new().source(ADDRESS);
    let bench = bench.more(&["--credentials", "/nonexistent", "--emulator", &served.url]);
    let ended = bench.run();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// A token of workload identity comes from a file that the platform writes; without it there is nothing to exchange.
#[test]
fn a_federated_token_that_is_not_there() {
    let file = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/a",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": "/nonexistent/token"},
    });
    bench_with(&file).refuses(3, &["credentials"]);
}

/// Answers what the metadata server of a Google machine answers, and keeps what it was asked.
fn metadata_server() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let lines: Vec<String> = BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            heard.lock().unwrap().push(lines.join("\n"));
            let body = if lines.first().is_some_and(|line| line.contains("/token")) {
                json!({"access_token": CANARY, "expires_in": 3600, "token_type": "Bearer"})
                    .to_string()
            } else {
                "googleapis.com".to_owned()
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    (address, asked)
}

/// On a Google machine there is no file: the token comes from the metadata server, and goes to nobody who is not trusted.
#[test]
fn the_metadata_server_gives_the_token() {
    let mut bench = Bench::new().source(ADDRESS);
    let place = bench.path("tls");
    fs::create_dir(&place).unwrap();
    let Some(stranger) = stranger(&place, "2") else {
        eprintln!("skipped: there is no OpenSSL to play a stranger");
        return;
    };
    let (address, asked) = metadata_server();
    let home = bench.path("home");
    fs::create_dir(&home).unwrap();
    bench.environment = vec![
        ("HOME".to_owned(), text(&home).to_owned()),
        ("GCE_METADATA_HOST".to_owned(), address),
    ];
    let bench = bench.more(&["--emulator", &stranger.url]);
    let ended = bench.run();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("certificate"), "{}", ended.stderr);
    assert!(!ended.stderr.contains(CANARY), "{}", ended.stderr);
    let asked = asked.lock().unwrap().join("\n\n");
    assert!(
        asked.contains("/token") && asked.to_lowercase().contains("metadata-flavor: google"),
        "{asked}"
    );
}

/// The emulator's address may be written with or without a scheme, and needs no credentials.
#[test]
fn the_emulator_s_address_from_the_environment() {
    let place = tempfile::tempdir().unwrap();
    write_table(&place.path().join(TABLE), &orders(600, 3, 5));
    let served = Served::start(place.path());
    let bare = served.url.strip_prefix("http://").unwrap().to_owned();
    for host in [served.url.clone(), bare, format!("{}/", served.url)] {
        let mut bench = Bench::new().source(ADDRESS);
        bench.environment = vec![("BIGQUERY_EMULATOR_HOST".to_owned(), host.clone())];
        let ended = bench.run();
        assert_eq!(ended.code, Some(0), "{host}: {}", ended.stderr);
    }
    let mut bench = Bench::new().source(ADDRESS);
    bench.environment = vec![(
        "BIGQUERY_EMULATOR_HOST".to_owned(),
        "192.0.2.1:9050".to_owned(),
    )];
    bench.refuses(3, &["192.0.2.1"]);
}
