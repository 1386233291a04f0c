//! Over the network the other side has to prove who it is, before it is told who we are.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench::Bench;
use crate::command::text;
use crate::rows::ADDRESS;

/// A server of OpenSSL with a certificate that nobody trusts; ends when dropped.
pub struct Stranger {
    process: Child,
    /// Its address.
    pub url: String,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn openssl(directory: &Path, arguments: &[&str]) -> Option<()> {
    let done = Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .status();
    done.ok()
        .filter(std::process::ExitStatus::success)
        .map(|_| ())
}

/// Nothing where there is no OpenSSL.
pub fn stranger(directory: &Path, days: &str) -> Option<Stranger> {
    openssl(
        directory,
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
            "-days",
            days,
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ],
    )?;
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let process = Command::new("openssl")
        .args([
            "s_server",
            "-quiet",
            "-key",
            "key.pem",
            "-cert",
            "cert.pem",
            "-alpn",
            "h2",
            "-accept",
            &port.to_string(),
        ])
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let stranger = Stranger {
        process,
        url: format!("https://localhost:{port}"),
    };
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "the server never listened"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(stranger)
}

#[test]
fn a_certificate_that_nobody_vouches_for() {
    let mut bench = Bench::new().source(ADDRESS);
    let place = bench.path("tls");
    fs::create_dir(&place).unwrap();
    let Some(mut stranger) = stranger(&place, "2") else {
        eprintln!("skipped: there is no OpenSSL to play a stranger");
        return;
    };
    // A whole key, so that a token is made and would be sent.
    openssl(
        &place,
        &[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-out",
            "robot.pem",
        ],
    )
    .unwrap();
    let private = fs::read_to_string(place.join("robot.pem")).unwrap();
    let key = json!({
        "type": "service_account", "project_id": "proj", "private_key_id": "canary-id", "private_key": private,
        "client_email": "robot@proj.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
    });
    fs::write(place.join("key.json"), key.to_string()).unwrap();
    bench.environment = vec![
        (
            "GOOGLE_APPLICATION_CREDENTIALS".to_owned(),
            text(&place.join("key.json")).to_owned(),
        ),
        ("RUST_LOG".to_owned(), "trace".to_owned()),
    ];
    let bench = bench.more(&["--emulator", &stranger.url]);
    let began = Instant::now();
    let ended = bench.run();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "it was tried for {:?}",
        began.elapsed()
    );
    let error = ended
        .stderr
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap();
    assert!(
        error.contains("localhost") && error.contains("certificate"),
        "{error}"
    );
    assert!(!bench.out().exists());

    let _ = stranger.process.kill();
    let mut heard = String::new();
    stranger
        .process
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut heard)
        .unwrap();
    let secret = private.lines().nth(1).unwrap();
    for (name, told) in [
        ("the log", &ended.stderr),
        ("what the stranger heard", &heard),
    ] {
        assert!(!told.contains(secret), "the key is in {name}");
        // What every signed token begins with, in base64.
        assert!(!told.contains("eyJhbGciOi"), "a token is in {name}");
        assert!(!told.contains("canary-id"), "the key's name is in {name}");
    }
}
