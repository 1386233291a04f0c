#![allow(clippy::unwrap_used)]
use super::*;

fn place() -> Place {
    Place {
        table: TableName::parse("p.d.t").unwrap(),
        billing_project: "payer".to_owned(),
        endpoint: Endpoint::resolve(Some("http://127.0.0.1:9050")).unwrap(),
        credentials: None,
    }
}

fn service(code: Code, message: &str) -> ServiceError {
    ServiceError::service(Status::default().set_code(code).set_message(message))
}

const READING: Doing<'static> = Doing::Reading {
    stream: "stream 3",
    offset: 42,
};

#[test]
fn kinds_say_what_to_do() {
    for (doing, code, message, kind) in [
        (
            Doing::CreatingSession,
            Code::NotFound,
            "x",
            ErrorKind::NotFound,
        ),
        (
            Doing::CreatingSession,
            Code::PermissionDenied,
            "x",
            ErrorKind::Auth,
        ),
        (
            Doing::CreatingSession,
            Code::Unauthenticated,
            "x",
            ErrorKind::Auth,
        ),
        (
            Doing::CreatingSession,
            Code::InvalidArgument,
            "request failed: non-table entities cannot be read with the storage API",
            ErrorKind::Config,
        ),
        (
            Doing::CreatingSession,
            Code::Unavailable,
            "x",
            ErrorKind::Unavailable,
        ),
        (
            Doing::CreatingSession,
            Code::ResourceExhausted,
            "x",
            ErrorKind::Unavailable,
        ),
        (
            READING,
            Code::Internal,
            "request failed",
            ErrorKind::Unavailable,
        ),
        (
            READING,
            Code::FailedPrecondition,
            "there was an error operating on 's': session expired at 2024-11-23T09:59:13+00:00",
            ErrorKind::Unavailable,
        ),
        (
            READING,
            Code::FailedPrecondition,
            "offset 100 has not been allocated yet",
            ErrorKind::Data,
        ),
        (
            READING,
            Code::OutOfRange,
            "message too large",
            ErrorKind::Data,
        ),
        (
            READING,
            Code::Internal,
            "Out of range conversion for microseconds value",
            ErrorKind::Data,
        ),
    ] {
        let error = place().error(doing, service(code, message), 1);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("p.d.t"), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn texts_name_the_place() {
    let text = |doing, error, failures| place().error(doing, error, failures).to_string();
    assert_eq!(
        text(READING, service(Code::Unavailable, "try\nagain"), 12),
        "http://127.0.0.1:9050 failed with UNAVAILABLE while reading table p.d.t, stream 3 at row 42 after 12 attempts: try again"
    );
    let denied = text(
        Doing::CreatingSession,
        service(Code::PermissionDenied, ""),
        1,
    );
    assert!(
        denied.contains("bigquery.readsessions.create in project payer"),
        "{denied}"
    );
    assert!(denied.contains("bigquery.tables.getData"), "{denied}");
    let refused = text(
        Doing::CreatingSession,
        ServiceError::connect("connection refused"),
        9,
    );
    assert!(
        refused.starts_with("http://127.0.0.1:9050 does not answer"),
        "{refused}"
    );
    assert!(refused.contains("connection refused"), "{refused}");
    assert_eq!(
        place().silence(READING, 60, 1).to_string(),
        "http://127.0.0.1:9050 was silent for 60 s while reading table p.d.t, stream 3 at row 42"
    );
}

#[test]
fn a_session_that_is_gone_is_told_from_a_table_that_is_missing() {
    let gone =
        "Requested entity was not found. Entity: projects/p/locations/us/sessions/CAIS/streams/Ggq";
    let error = place().error(READING, service(Code::NotFound, gone), 1);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_expired_session());
    assert!(
        error
            .to_string()
            .starts_with("read session is gone while reading table p.d.t, stream 3 at row 42"),
        "{error}"
    );
    let error = place().error(READING, service(Code::NotFound, "not found: table"), 1);
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(!error.is_expired_session());
    assert!(
        error.to_string().contains("the table or the read session"),
        "{error}"
    );
    let error = place().error(Doing::CreatingSession, service(Code::NotFound, "x"), 1);
    assert!(
        error.to_string().starts_with("table p.d.t not found"),
        "{error}"
    );
}
