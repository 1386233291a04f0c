#![allow(clippy::unwrap_used)]
use serde_json::json;

use super::*;

/// A file as `gcloud iam workload-identity-pools create-cred-config` writes it.
fn federated() -> Value {
    json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/a",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "service_account_impersonation_url":
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b.iam.gserviceaccount.com:generateAccessToken",
        "credential_source": {"file": "/var/run/token"},
    })
}

fn with(path: &str, value: Value) -> Value {
    let mut file = federated();
    *file.pointer_mut(path).unwrap() = value;
    file
}

#[test]
fn the_usual_files_are_used() {
    for file in [
        federated(),
        json!({"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}),
        json!({"type": "service_account", "token_uri": "https://oauth2.googleapis.com/token", "private_key": "x"}),
        json!({"type": "impersonated_service_account", "source_credentials": federated(),
            "service_account_impersonation_url": "https://iamcredentials.googleapis.com:443/v1/x:generateAccessToken"}),
        with(
            "/credential_source",
            json!({
                "environment_id": "aws1",
                "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
                "url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
                "imdsv2_session_token_url": "http://[fd00:ec2::254]/latest/api/token",
                "regional_cred_verification_url":
                    "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
            }),
        ),
        with(
            "/credential_source",
            json!({"url": "https://idp.example.com/token"}),
        ),
        with(
            "/credential_source",
            json!({"url": "http://localhost:8080/token"}),
        ),
        json!(["no", "file"]),
    ] {
        assert_eq!(check(&file, Programs::Refused, 0), Ok(()), "{file}");
    }
}

#[test]
fn a_file_that_is_named_is_read_and_judged() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("key.json");
    let none = |_: &str| None;
    let missing = read(&path, &none);
    assert_eq!(
        missing,
        Err(CredentialFault::Unreadable(io::ErrorKind::NotFound))
    );
    for text in ["", "canary", "[1]", "{\"type\": 1"] {
        fs::write(&path, text).unwrap();
        assert_eq!(read(&path, &none), Err(CredentialFault::NoJson), "{text}");
    }
    for file in [
        json!({"a": 1}),
        json!({"type": "magic"}),
        json!({"type": 1}),
    ] {
        fs::write(&path, file.to_string()).unwrap();
        assert_eq!(read(&path, &none), Err(CredentialFault::UnknownKind));
    }
    fs::write(&path, federated().to_string()).unwrap();
    assert_eq!(read(&path, &none), Ok(federated()));
    let elsewhere = with("/token_url", json!("https://evil.example/"));
    fs::write(&path, elsewhere.to_string()).unwrap();
    assert!(matches!(
        read(&path, &none),
        Err(CredentialFault::ForeignHost { .. })
    ));
}

#[test]
fn secrets_go_to_google_only() {
    for host in [
        "https://googleapis.com.evil.example/token",
        "https://evilgoogleapis.com/token",
        "https://evil.example/sts.googleapis.com",
        "https://sts.googleapis.com@evil.example/",
        "https://sts.googleapis.com:8443/",
        "http://sts.googleapis.com/v1/token",
        "https://127.0.0.1/",
        "file:///etc/passwd",
        "sts.googleapis.com",
        "",
    ] {
        for field in GOOGLE_FIELDS {
            let file = json!({ field: host });
            assert!(check(&file, Programs::Allowed, 0).is_err(), "{file}");
            let nested = json!({"source_credentials": {"source_credentials": {field: host}}});
            assert!(check(&nested, Programs::Allowed, 0).is_err(), "{nested}");
        }
        let source = with(
            "/credential_source",
            json!({"regional_cred_verification_url": host}),
        );
        assert!(check(&source, Programs::Allowed, 0).is_err(), "{source}");
    }
    let fault = check(
        &json!({"token_url": "https://evil.example/?canary"}),
        Programs::Refused,
        0,
    )
    .unwrap_err();
    assert_eq!(
        fault.to_string(),
        "its token_url names evil.example, and secrets are sent to googleapis.com only"
    );
}

#[test]
fn first_tokens_are_not_asked_for_in_plain_text() {
    for address in [
        "http://idp.example.com/token",
        "http://8.8.8.8/",
        "ftp://x/",
        "file:///etc/shadow",
        "x",
    ] {
        let file = with("/credential_source", json!({"url": address}));
        assert!(
            matches!(check(&file, Programs::Allowed, 0), Err(CredentialFault::Address { field }) if field == "credential_source.url"),
            "{file}"
        );
    }
}

#[test]
fn programs_run_only_when_allowed() {
    let file = with(
        "/credential_source",
        json!({"executable": {"command": "/bin/sh -c id"}}),
    );
    assert_eq!(
        check(&file, Programs::Refused, 0),
        Err(CredentialFault::Program)
    );
    assert_eq!(check(&file, Programs::Allowed, 0), Ok(()));
    let mut deep = file;
    for _ in 0..=DEEPEST {
        deep = json!({ "source_credentials": deep });
    }
    assert_eq!(
        check(&deep, Programs::Allowed, 0),
        Err(CredentialFault::TooDeep)
    );
}

#[test]
fn the_file_is_the_one_the_library_uses() {
    let place = tempfile::tempdir().unwrap();
    let bad = with("/token_url", json!("https://evil.example/")).to_string();
    let named = place.path().join("named.json");
    let well_known = place
        .path()
        .join(".config/gcloud/application_default_credentials.json");
    fs::create_dir_all(well_known.parent().unwrap()).unwrap();
    let found = |file: Option<&Path>| {
        let file = file.map(|f| f.as_os_str().to_owned());
        let home = place.path().as_os_str().to_owned();
        check_default(&move |name| match name {
            FILE_VARIABLE => file.clone(),
            "HOME" => Some(home.clone()),
            _ => None,
        })
    };
    assert_eq!(found(None), Ok(()));
    fs::write(&well_known, &bad).unwrap();
    assert_eq!(found(None).unwrap_err().0, well_known);
    // A file that is named replaces the one at home, even when it is missing.
    assert_eq!(found(Some(&named)), Ok(()));
    fs::write(&named, federated().to_string()).unwrap();
    assert_eq!(found(Some(&named)), Ok(()));
    fs::write(&named, &bad).unwrap();
    assert_eq!(found(Some(&named)).unwrap_err().0, named);
    fs::write(&named, "{\"private_key\": \"canary").unwrap();
    assert_eq!(found(Some(&named)), Ok(()));
    assert_eq!(check_default(&|_| None), Ok(()));
}

#[test]
fn what_is_missing_is_named() {
    let user = json!({"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"});
    let key = json!({"type": "service_account", "client_email": "a@b", "private_key_id": "1", "private_key": "x", "project_id": "p"});
    let borrowed = json!({"type": "impersonated_service_account", "source_credentials": user,
        "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/x:generateAccessToken"});
    for whole in [
        &user,
        &key,
        &borrowed,
        &federated(),
        &json!({"no": "type"}),
        &json!([1]),
    ] {
        assert_eq!(complete(whole, 0), Ok(()), "{whole}");
    }
    let without = |file: &Value, field: &str| {
        let mut file = file.clone();
        file.as_object_mut().unwrap().remove(field);
        complete(&file, 0).unwrap_err().to_string()
    };
    for (file, kind, fields) in [
        (
            &key,
            "service_account",
            &[
                "client_email",
                "private_key_id",
                "private_key",
                "project_id",
            ][..],
        ),
        (
            &user,
            "authorized_user",
            &["client_id", "client_secret", "refresh_token"],
        ),
        (
            &federated(),
            "external_account",
            &[
                "audience",
                "subject_token_type",
                "token_url",
                "credential_source",
            ],
        ),
        (
            &borrowed,
            "impersonated_service_account",
            &["service_account_impersonation_url", "source_credentials"],
        ),
    ] {
        for field in fields {
            assert_eq!(
                without(file, field),
                format!("it is of the kind {kind} and has no {field}")
            );
        }
    }
    let mut nested = borrowed.clone();
    nested["source_credentials"]["refresh_token"] = json!("");
    assert_eq!(
        complete(&nested, 0).unwrap_err().to_string(),
        "it is of the kind authorized_user and has no refresh_token"
    );
    let other = complete(&json!({"type": "gdch_service_account"}), 0)
        .unwrap_err()
        .to_string();
    assert!(
        other.contains("external_account") && !other.contains("gdch"),
        "{other}"
    );
}
