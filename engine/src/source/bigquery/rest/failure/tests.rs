#![allow(clippy::unwrap_used)]
use super::*;
use crate::source::bigquery::endpoint::Endpoint;
use crate::source::bigquery::retry::Timing;

fn answer(status: u16, body: &str) -> ServiceError {
    let bytes = bytes::Bytes::from(body.to_owned());
    match google_cloud_gax::error::rpc::Status::try_from(&bytes) {
        Ok(known) => ServiceError::service_with_http_metadata(known, Some(status), None),
        Err(_) => ServiceError::http(status, Default::default(), bytes),
    }
}

fn body(reason: &str, location: &str) -> String {
    format!(
        r#"{{"error": {{"code": 400, "message": "it\nfailed", "errors": [{{"message": "m", "domain": "global", "reason": "{reason}", "location": "{location}"}}], "status": "INVALID_ARGUMENT"}}}}"#
    )
}

async fn rest() -> Rest {
    let endpoint = Endpoint::resolve(Some("http://127.0.0.1:1")).unwrap();
    Rest::connect(endpoint, "payer".to_owned(), Timing::LOOPBACK, None)
        .await
        .unwrap()
}

#[test]
fn asks_again_for_what_may_pass_and_nothing_else() {
    for (status, reason) in [
        (403, "rateLimitExceeded"),
        (403, "jobRateLimitExceeded"),
        (500, "backendError"),
        (503, "backendError"),
        (500, "internalError"),
        (502, "badGateway"),
    ] {
        let error = answer(status, &body(reason, ""));
        assert_eq!(cause_of(&error), Some(Cause::Interrupted), "{reason}");
    }
    for status in [429, 500, 502, 503, 504] {
        assert_eq!(
            cause_of(&answer(status, "<html>")),
            Some(Cause::Interrupted)
        );
    }
    for (status, reason) in [
        (403, "quotaExceeded"),
        (403, "accessDenied"),
        (403, "responseTooLarge"),
        (400, "invalidQuery"),
        (404, "notFound"),
        (409, "duplicate"),
    ] {
        assert_eq!(
            cause_of(&answer(status, &body(reason, ""))),
            None,
            "{reason}"
        );
    }
    assert_eq!(cause_of(&answer(404, "<html>")), None);
    assert_eq!(cause_of(&answer(400, "<html>")), None);
}

#[tokio::test]
async fn reasons_say_what_to_do() {
    let rest = rest().await;
    let cases = [
        (400, "invalidQuery", ErrorKind::Config, "location query"),
        (404, "notFound", ErrorKind::NotFound, "not found"),
        (
            403,
            "accessDenied",
            ErrorKind::Auth,
            "bigquery.jobs.create in project payer",
        ),
        (
            401,
            "authError",
            ErrorKind::Auth,
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        (
            403,
            "quotaExceeded",
            ErrorKind::Unavailable,
            "quota exceeded",
        ),
        (
            403,
            "rateLimitExceeded",
            ErrorKind::Unavailable,
            "after 4 attempts",
        ),
        (
            403,
            "responseTooLarge",
            ErrorKind::Config,
            "temporary_dataset",
        ),
        (
            400,
            "bytesBilledLimitExceeded",
            ErrorKind::Config,
            "raise the bound",
        ),
        (
            503,
            "backendError",
            ErrorKind::Unavailable,
            "BigQuery failed",
        ),
        (400, "invalid", ErrorKind::Config, "as invalid"),
    ];
    for (status, reason, kind, says) in cases {
        let error = answer(status, &body(reason, "query"));
        let error = explain(&rest, &Doing::Querying, error, 4);
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{reason}: {text}");
        assert!(text.contains(says), "{reason}: {text}");
        assert!(text.contains("it failed"), "{text}");
    }
    for (status, kind) in [
        (401, ErrorKind::Auth),
        (403, ErrorKind::Auth),
        (404, ErrorKind::NotFound),
        (429, ErrorKind::Unavailable),
        (502, ErrorKind::Unavailable),
        (400, ErrorKind::Config),
    ] {
        let error = explain(&rest, &Doing::DryRun, answer(status, "<html>"), 1);
        assert_eq!(error.kind(), kind, "{status}: {error}");
    }
}

#[tokio::test]
async fn missing_permissions_are_named_for_what_was_done() {
    let rest = rest().await;
    let table = TableName::parse("p.d.t").unwrap();
    for (doing, permission) in [
        (
            Doing::Creating(&table),
            "bigquery.tables.create on dataset p.d",
        ),
        (
            Doing::Removing(&table),
            "bigquery.tables.delete on table p.d.t",
        ),
        (
            Doing::Describing(&table),
            "bigquery.tables.get on table p.d.t",
        ),
        (Doing::DryRun, "bigquery.jobs.create in project payer"),
    ] {
        let error = explain(&rest, &doing, answer(403, &body("accessDenied", "")), 1);
        assert!(error.to_string().contains(permission), "{error}");
    }
}
