#![allow(clippy::unwrap_used)]
use google_cloud_gax::error::rpc::Status;

use super::*;

fn status(code: Code, message: &str) -> ServiceError {
    ServiceError::service(Status::default().set_code(code).set_message(message))
}

#[test]
fn retries_what_may_pass_and_nothing_else() {
    for code in [
        Code::Unavailable,
        Code::Aborted,
        Code::Cancelled,
        Code::DeadlineExceeded,
    ] {
        assert_eq!(cause_of(&status(code, "any")), Some(Cause::Interrupted));
    }
    for text in [
        "Received RST_STREAM with error code 2",
        "Rst Stream",
        "Received unexpected EOS on DATA frame from server.",
        "Connection closed with unknown cause",
        "HTTP/2 error code: INTERNAL_ERROR\nReceived Rst Stream",
        "Unexpected EOF decoding stream.",
    ] {
        assert_eq!(
            cause_of(&status(Code::Internal, text)),
            Some(Cause::Interrupted),
            "{text}"
        );
    }
    assert_eq!(cause_of(&status(Code::Internal, "request failed")), None);
    assert_eq!(cause_of(&status(Code::Internal, "")), None);
    assert_eq!(
        cause_of(&status(Code::Unknown, "")),
        Some(Cause::Interrupted)
    );
    assert_eq!(cause_of(&status(Code::Unknown, "table is odd")), None);
    for code in [
        Code::NotFound,
        Code::PermissionDenied,
        Code::FailedPrecondition,
        Code::InvalidArgument,
        Code::OutOfRange,
        Code::DataLoss,
        Code::Unimplemented,
        Code::Unauthenticated,
    ] {
        assert_eq!(cause_of(&status(code, "Rst Stream")), None, "{code:?}");
    }
    assert_eq!(
        cause_of(&ServiceError::connect("refused")),
        Some(Cause::Unreachable)
    );
    assert_eq!(
        cause_of(&ServiceError::timeout("late")),
        Some(Cause::Silent)
    );
    assert_eq!(
        cause_of(&ServiceError::io("broken pipe")),
        Some(Cause::Interrupted)
    );
    let untrusted = ServiceError::connect("invalid peer certificate: UnknownIssuer");
    assert_eq!(cause_of(&untrusted), None);
    assert!(is_untrusted(&untrusted));
}

#[test]
fn quota_waits_only_as_told() {
    assert_eq!(cause_of(&status(Code::ResourceExhausted, "quota")), None);
    let details: Vec<StatusDetails> = serde_json::from_value(serde_json::json!([
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.5s"}
    ]))
    .unwrap();
    let told = ServiceError::service(
        Status::default()
            .set_code(Code::ResourceExhausted)
            .set_details(details),
    );
    assert_eq!(
        cause_of(&told),
        Some(Cause::Told(Duration::from_millis(2500)))
    );
    let mut attempts = Attempts::new(Timing::REMOTE, 1);
    let now = Instant::now();
    assert_eq!(
        attempts.wait_after(Cause::Told(Duration::from_secs(500)), now),
        Some(Duration::from_secs(500))
    );
    assert_eq!(
        attempts.wait_after(
            Cause::Told(Duration::from_secs(500)),
            now + Duration::from_secs(501)
        ),
        None
    );
}

#[test]
fn waits_grow_and_stop_at_the_deadline_unless_there_is_progress() {
    let mut attempts = Attempts::new(Timing::REMOTE, 7);
    let mut now = Instant::now();
    let start = now;
    let mut waits = vec![];
    while let Some(wait) = attempts.wait_after(Cause::Interrupted, now) {
        waits.push(wait);
        now += wait;
    }
    assert!(now - start <= Timing::REMOTE.stalled);
    assert!(now - start >= Timing::REMOTE.stalled - Timing::REMOTE.longest_wait);
    assert!(waits[0] <= Duration::from_millis(100) && waits[0] >= Duration::from_millis(75));
    assert!(waits.iter().all(|w| *w <= Timing::REMOTE.longest_wait));
    assert!(waits.last().unwrap() >= &Duration::from_secs(20));

    // A hundred failures with rows in between never use the budget up.
    let mut attempts = Attempts::new(Timing::REMOTE, 7);
    for _ in 0..100 {
        now += Duration::from_secs(60);
        assert!(attempts.wait_after(Cause::Interrupted, now).is_some());
        attempts.progress();
    }
    assert_eq!(attempts.failures(), 0);
}

#[test]
fn nobody_listening_on_this_machine_is_known_soon() {
    let mut attempts = Attempts::new(Timing::LOOPBACK, 0);
    let start = Instant::now();
    let mut now = start;
    while let Some(wait) = attempts.wait_after(Cause::Unreachable, now) {
        now += wait;
    }
    assert!(now - start <= Duration::from_secs(3));
    // An endpoint that answers, if only with errors, is given more time.
    assert!(attempts.wait_after(Cause::Interrupted, now).is_some());
}
