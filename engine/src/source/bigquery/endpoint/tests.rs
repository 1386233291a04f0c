#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn reads_the_ways_an_endpoint_is_written() {
    let resolve = |written| Endpoint::resolve(written).unwrap();
    assert_eq!(resolve(None), Endpoint::Google);
    assert_eq!(resolve(Some(" ")), Endpoint::Google);
    let emulator = |address: &str| Endpoint::Emulator(address.to_owned());
    assert_eq!(
        resolve(Some("localhost:9050")),
        emulator("http://localhost:9050")
    );
    assert_eq!(
        resolve(Some(" http://127.0.0.1:1")),
        emulator("http://127.0.0.1:1")
    );
    assert_eq!(
        resolve(Some("http://[::1]:9050/")),
        emulator("http://[::1]:9050")
    );
    let regional = "https://bigquerystorage.us-east1.rep.googleapis.com";
    assert_eq!(
        resolve(Some(regional)),
        Endpoint::Secure(regional.to_owned())
    );
}

#[test]
fn plain_text_never_leaves_the_machine() {
    for written in [
        "http://10.0.0.1:9050",
        "bigquery:9050",
        "http://0.0.0.0:9050",
        "http://localhost.example.com",
        "http://[::]:1",
    ] {
        let error = Endpoint::resolve(Some(written)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth, "{written}");
    }
}

#[test]
fn refuses_what_is_not_an_address() {
    for written in [
        "http://",
        "ftp://127.0.0.1",
        "http://127.0.0.1:9050/bigquery/v2",
        "http://user:secret@127.0.0.1",
        "http://127.0.0.1:99999",
    ] {
        let error = Endpoint::resolve(Some(written)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{written}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
